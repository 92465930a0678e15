"""One's own clips: one sub-folder a class, with video files or folders of frame images in it.

```
root/swipe left/clip1.mp4            root/train/swipe left/clip1.mp4
root/swipe left/clip2/00001.jpg ...  root/val/swipe left/...
root/none/...                        root/test/...
root/wave/anna/clip1.mp4             root/wave/ben/...
```

Folders of splits may be spelled otherwise (Train, training, valid, validation, dev), and instead of
classes they may hold clips that lists beside them name: see ``listed``. Without such folders the
clips are split by a hash of their path, so that a clip stays in its split when others are added,
but for classes so small that a split would be empty. One person's clips then fall into all three;
give the three folders to keep people apart, or in every class a folder of each person's clips,
which are then kept in one split. Where a split is missing, ``origin`` says what takes its place.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from core.data.clips import Clips
from core.data.find import find_clips
from core.data.label_files import SPLITS
from core.data.sampling import window
from core.data.source import MAX_BROKEN, most_broken
from core.data.video import (
    Unreadable,
    frame_files,
    probe,
    read_clip,
    read_image,
    write_clip,
)
from core.errors import BadInput
from core.labels import IGNORE

__all__ = ["SPLITS", "FolderClips", "window", "write_clip"]


class FolderClips(Clips):
    """Clips of a folder as ``(uint8 (frames, 3, size, size) RGB, class index)``.

    ``labels`` are the sorted names of the class folders, or the given ones, among which those must
    then be. ``split`` is the one that is read, which is ``val`` where that stands in for ``test``.
    A clip is resampled to ``frame_rate`` by its time stamps (a frame folder is taken to be at that
    rate), and ``frames`` consecutive frames are taken: the centre ones, or random ones with
    ``train``. Asked for by ``(index, draw)``, the random window depends on that draw and on
    ``seed`` alone; by a plain index, on torch's own random state, which each worker and epoch has
    of its own.

    A clip that a list names and that is not there is named on stderr and kept in ``broken``. So is
    one that turns out to be unreadable; it is replaced by the next clip of its class, which suits
    training. Without ``replace`` its item is black frames of the class ``IGNORE``, so that no other
    clip counts twice in an accuracy. Workers of a DataLoader each have their own list: call
    ``check`` before they start.

    Raises ``BadInput``: root missing, a file, empty or without two classes; labels that do not
    match; a class without clips; more than ``max_broken`` of the clips unreadable.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        *,
        frames: int,
        size: int,
        frame_rate: float,
        labels: list[str] | None = None,
        seed: int = 0,
        train: bool = False,
        replace: bool = True,
        max_broken: float = MAX_BROKEN,
    ) -> None:
        if split not in SPLITS:
            raise BadInput(f"split {split!r} is unknown: choose one of {', '.join(SPLITS)}")
        self.root = Path(root)
        self.frames = frames
        self.size = size
        self.frame_rate = frame_rate
        self.seed = seed
        self.train = train
        self.replace = replace
        self.max_broken = max_broken
        found = find_clips(self.root, split, labels, max_broken)
        self.labels, self.clips, self.split = found.labels, found.clips, found.split
        self.broken: list[tuple[Path, str]] = list(found.missing)
        for path, reason in found.missing:
            sys.stderr.write(f"warning: {path} is missing ({reason}): skipped\n")
        self._missing = len(found.missing)
        self._label = dict(self.clips)
        self._total = Counter(self._label.values())

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def classes(self) -> list[int]:
        """The class of every clip."""
        return [label for _, label in self.clips]

    def __getitem__(self, key: int | tuple[int, int]) -> tuple[Tensor, int]:
        index, draw = key if isinstance(key, tuple) else (key, int(torch.randint(2**31, ())))
        label = self.clips[index][1]
        random = np.random.default_rng((self.seed, draw, index))
        count = len(self.clips)
        for at in (i % count for i in range(index, index + count)):
            path, other = self.clips[at]
            if other != label:
                continue
            if not any(path == bad for bad, _ in self.broken):
                try:
                    return self._read(path, random), label
                except Unreadable as error:
                    self._report(path, label, str(error))
            if not self.replace:
                return torch.zeros(self.frames, 3, self.size, self.size, dtype=torch.uint8), IGNORE
        raise AssertionError("_report stops at the last clip of a class")

    def check(self) -> list[tuple[Path, str]]:
        """Open every clip, drop the unreadable ones and tell how many; returns ``broken``.

        Decodes the first frame alone: damage further on is found when the clip is read.
        """
        kept, count = [], len(self.clips) + self._missing
        for path, label in tqdm(self.clips, f"checking {self.split} clips", disable=None):
            try:
                probe(path)
                kept.append((path, label))
            except Unreadable as error:
                self._report(path, label, str(error))
        self.clips = kept
        if self.broken:
            sys.stderr.write(
                f"warning: {len(self.broken)} of {count} {self.split} clips of {self.root} are "
                f"{'missing or ' if self._missing else ''}broken and left out\n"
            )
        return self.broken

    def _read(self, path: Path, random: np.random.Generator) -> Tensor:
        if not path.is_dir():
            clip = read_clip(path, self.frame_rate, self.size)
            return clip[torch.from_numpy(self._window(len(clip), random))]
        files = frame_files(path)
        if not files:
            raise Unreadable("no frame images in it (.jpg, .jpeg, .png)")
        wanted = self._window(len(files), random)
        images = {int(i): read_image(files[i], self.size) for i in np.unique(wanted)}
        return torch.stack([images[int(i)] for i in wanted])

    def _window(self, count: int, random: np.random.Generator) -> np.ndarray:
        if not self.train or count <= self.frames:
            return window(count, self.frames)
        return window(count, self.frames, int(random.integers(count - self.frames + 1)))

    def _report(self, path: Path, label: int, reason: str) -> None:
        self.broken.append((path, reason))
        # In one piece, newline included: workers and the main process share stderr.
        sys.stderr.write(f"warning: {path} cannot be read ({reason}): skipped\n")
        total, count = self._total.total() + self._missing, len(self.broken)
        if count > most_broken(self.max_broken, total):
            first, why = self.broken[0]
            raise BadInput(
                f"{self.root}: {count} of {total} {self.split} clips cannot be read, first {first} "
                f"({why}): repair or remove them, or allow more with --max-broken PERCENT"
            )
        lost = [(p, why) for p, why in self.broken if self._label.get(p) == label]
        if len(lost) == self._total[label]:
            first, why = lost[0]
            raise BadInput(
                f"{self.root}: no {self.split} clip of class {self.labels[label]!r} can be read, "
                f"first {first} ({why}): repair it or add clips"
            )
