"""Clips of rendered people that come with the package: nothing has to be drawn to export a model.

    python -m core.data.packed       # draw them anew; needs the extra 'render' and EGL

They are the first clips of two splits as ``people.clips.PeopleClips`` draws them, without
backgrounds of one's own, in the view of the model in the package, and as H.264 leaves them: those
of the test split for checks, those of the training split for the ranges of int8.
"""

import io
from pathlib import Path

import numpy as np
from torch import Tensor
from tqdm import tqdm

from core.data import h264
from core.data.clips import Clips
from core.data.transforms import resize_crop
from core.errors import run_main
from core.files import write_bytes
from core.labels import LABELS
from core.model import ModelConfig
from core.options import Parser

FOLDER = Path(__file__).with_name("packed_clips")
# 535 clips show a drop of one point at most where no answer differs; 64 of the others give the
# ranges of int8, four a class are replayed beside new gestures.
COUNTS = {"test": 540, "train": 108}
FRAMES, SIZE, RATE = 16, 112, 10.0
CRF = 20  # 37 to 41 dB; 10 kB a clip


class PackedClips(Clips):
    """The clips of a split, or those whose class is one of ``only``.

    An item is ``(uint8 (T, 3, S, S), class index)`` with the middle ``frames`` frames.
    """

    def __init__(
        self, split: str, *, frames: int = FRAMES, size: int = SIZE, only: tuple[str, ...] = LABELS
    ) -> None:
        self.labels, self.split, self.frames, self.size = list(LABELS), split, frames, size
        with np.load(FOLDER / f"{split}.npz") as found:
            self.data, self.ends = found["data"].tobytes(), found["ends"].tolist()
        wanted = {LABELS.index(name) for name in only}
        self.numbers = [i for i in range(len(self.ends)) if i % len(LABELS) in wanted]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if not 0 <= index < len(self.numbers):
            raise IndexError(index)
        number = self.numbers[index]
        start = self.ends[number - 1] if number else 0
        frames = h264.decode(self.data[start : self.ends[number]], SIZE)
        first = (FRAMES - self.frames) // 2
        frames = frames[first : first + self.frames]
        if self.size != SIZE:
            frames = resize_crop(frames.permute(0, 2, 3, 1).contiguous().numpy(), self.size)
        return frames, number % len(LABELS)


def fits(config: ModelConfig) -> bool:
    """Whether the packed clips are what a model sees, or can be cut and shrunk to it."""
    return config.frame_rate == RATE and config.frames <= FRAMES and config.size <= SIZE


def pack(split: str, count: int) -> None:
    """Draw the first ``count`` clips of ``split`` and write them into the package."""
    from core.data.rendered.people.clips import PeopleClips

    clips = PeopleClips(split, count, frames=FRAMES, size=SIZE, frame_rate=RATE)
    bar = tqdm(range(count), desc=split, unit="clip")
    coded = [h264.encode(clips[i][0], CRF, preset="veryslow") for i in bar]
    ends = np.cumsum([len(data) for data in coded])
    content = io.BytesIO()
    np.savez(content, data=np.frombuffer(b"".join(coded), np.uint8), ends=ends)
    write_bytes(FOLDER / f"{split}.npz", content.getvalue())


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    Parser(prog="python -m core.data.packed", description=__doc__).parse_args(argv)
    for split, count in COUNTS.items():
        pack(split, count)
    return 0


if __name__ == "__main__":
    run_main(main)
