"""Recordings of many gestures with their annotation, for the streaming protocol.

An item is ``(frames, first frame, last frame and class of each gesture (G,))``; frames are uint8
(T, 3, S, S) at the model's rate, or an iterator of such parts for a file of any length.
"""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from core.data.crops import cut, validation_view
from core.data.egogesture import FRAME_RATE, class_names, read_rows, recordings
from core.data.label_files import text_of
from core.data.transforms import resize_crop
from core.data.video import Unreadable, at_rate, at_rate_pixels, frame_files, open_image
from core.errors import BadInput
from core.model import ModelConfig

PART = 64  # frames of a file that are held at a time


def ticks(first: float, last: float, rate: float) -> tuple[int, int]:
    """First and last frame at ``rate`` that lie within a stretch of time in seconds."""
    start = math.ceil(first * rate - 1e-6)
    return start, max(start, math.floor(last * rate + 1e-6))


class EgoGestureStreams(Dataset):
    """The recordings of a split's subjects, whole, with every gesture in them.

    Raises ``BadInput`` when a recording cannot be read: an annotation without its frames would
    count as missed gestures.
    """

    def __init__(self, root: Path, split: str, count: int, config: ModelConfig, labels: list[str]):
        own = class_names(root, None)
        class_names(root, labels)  # the same names
        self.place = [labels.index(name) for name in own]
        self.recordings = recordings(root, split)[:count]
        self.config, self.view = config, validation_view("square", config.size)

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        path, folder = self.recordings[index]
        try:
            files = frame_files(folder)
            times = ((i / FRAME_RATE, file) for i, file in enumerate(files))
            chosen = at_rate(times, self.config.frame_rate, math.inf)
            frames = [self._frame(file) for file in chosen]
            if not frames:
                raise Unreadable("no frame images in it")
        except (OSError, Unreadable) as error:
            raise BadInput(f"recording {folder} cannot be read ({error}): repair it") from None
        found = [
            (*ticks((first - 1) / FRAME_RATE, (last - 1) / FRAME_RATE, self.config.frame_rate),
             self.place[label])
            for label, first, last in sorted(read_rows(path)[0], key=lambda row: row[1])
        ]  # fmt: skip
        starts, ends, classes = torch.tensor(found, dtype=torch.long).reshape(-1, 3).T
        return torch.stack(frames), starts, ends.clamp(max=len(frames) - 1), classes

    def _frame(self, path: Path) -> Tensor:
        picture = open_image(path)
        fitted = self.view.fitted(picture.size)
        pixels = cut(picture, fitted, self.view.boxes(fitted)[0], self.view.size)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def file_stream(
    video: Path, truth: Path, config: ModelConfig, labels: list[str]
) -> tuple[Iterator[Tensor], Tensor, Tensor, Tensor]:
    """A video file of any length and a CSV of its gestures: ``label,start,end`` in seconds.

    Raises ``BadInput`` when the annotation is none of these labels or times; reading the frames
    raises it when the video cannot be decoded.
    """
    found = []
    lines = text_of(truth).splitlines()
    mark = next((sign for sign in ";\t" if sign in (lines or [""])[0]), ",")
    for number, row in enumerate(csv.reader(lines, delimiter=mark), 1):
        head = number == 1 and [cell.strip().lower() for cell in row[:2]] == ["label", "start"]
        if not any(cell.strip() for cell in row) or head:
            continue
        try:
            name, first, last = (cell.strip() for cell in row)
            start, end = float(first), float(last)
            if name not in labels or not 0 <= start <= end < math.inf:
                raise ValueError
        except ValueError:
            raise BadInput(
                f"--truth {truth} line {number}: {','.join(row)!r} is not 'label,start,end' with a "
                "label of the model and times in seconds"
            ) from None
        found.append((*ticks(start, end, config.frame_rate), labels.index(name)))
    starts, ends, classes = torch.tensor(sorted(found), dtype=torch.long).reshape(-1, 3).T
    return _parts(video, config), starts, ends, classes


def _parts(video: Path, config: ModelConfig) -> Iterator[Tensor]:
    try:
        yield from video_parts(video, config, math.inf)
    except Unreadable as error:
        raise BadInput(f"--stream {video} cannot be read ({error}): give another file") from None


def video_parts(video: Path, config: ModelConfig, most: float) -> Iterator[Tensor]:
    """A video file's frames as the model sees them, uint8 (T, 3, S, S), few at a time.

    Raises ``Unreadable``, past ``most`` seconds too.
    """
    held: list[Tensor] = []
    for pixels in at_rate_pixels(video, config.frame_rate, most):
        held.append(resize_crop(pixels, config.size))
        if len(held) == PART:
            yield torch.stack(held)
            held = []
    if held:
        yield torch.stack(held)
