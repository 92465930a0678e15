"""Clips of a data set as its label files list them: reading, sampling, cropping, what is broken."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.data.clips import Clips
from core.data.crops import Box, View, cut
from core.data.decode import Decoded, decoded, upright
from core.data.sampling import choose
from core.data.source import MAX_BROKEN, most_broken
from core.data.video import Unreadable, frame_files, open_image
from core.errors import BadInput
from core.labels import IGNORE

MOST_KEPT = 256 * 2**20  # bytes of a file's decoded frames; 10 s of 1080p are 930 MB


@dataclass(frozen=True)
class Record:
    """One labelled clip: a video file, or a folder of frame images at ``rate`` frames a second.

    ``first`` and ``last`` are the numbers of the clip's frames where a folder holds a longer
    recording, whose images are then named ``000001.jpg`` and so on. ``span`` is the clip's part of
    the recording in seconds, from its first frame on.
    """

    path: Path
    label: int
    rate: float = 0.0
    first: int | None = None
    last: int | None = None
    span: tuple[float, float] | None = None

    def __str__(self) -> str:
        part = "" if self.first is None else f" frames {self.first} to {self.last}"
        start, end = self.seconds
        return f"{self.path}{part}" + (
            f" from {start or 0} to {end or 'its end'} s" if self.span else ""
        )

    @property
    def seconds(self) -> tuple[str, str]:
        """Start and end of the part of a recording, as a list of clips has them: maybe empty."""
        if self.first is not None and self.last is not None:
            span = ((self.first - 1) / self.rate, self.last / self.rate)
        else:
            span = self.span or (0.0, math.inf)
        start, end = span
        return exact(start) if start else "", exact(end) if math.isfinite(end) else ""


@dataclass
class Listing:
    """What a data set's label files give for one split.

    ``missing`` are clips that are listed but not there, with the reason. ``split`` is the one that
    was read, which is not the one that was asked for where that has no labels.
    """

    labels: list[str]
    records: list[Record]
    split: str
    missing: list[tuple[str, str]] = field(default_factory=list)


def exact(value: float) -> str:
    """A number that reads back as itself: a start rounded up would lose the frame that it is of."""
    return repr(float(value)).removesuffix(".0")


def frame_path(folder: Path, number: int) -> Path:
    """The image of a frame of a long recording."""
    return folder / f"{number:06d}.jpg"


class RecordClips(Clips):
    """Clips as ``(uint8 (frames, 3, S, S) RGB, class index)``, or all test views of each.

    With ``clips`` x ``view.crops`` above 1 an item's frames are (views, T, 3, S, S). With
    ``train`` an item is asked for by ``(index, draw)`` and its random frames and crop depend on
    both and on ``seed`` alone, so that any number of workers gives the same clips.

    A clip that cannot be read is named on stderr, once for all workers, and replaced by the next
    readable clip of its class; without ``replace`` its label is ``IGNORE``, so that no other clip
    counts twice in an accuracy. Raises ``BadInput`` when more than ``max_broken`` of the clips are
    missing or broken, at once for the missing ones.
    """

    def __init__(
        self,
        listing: Listing,
        view: View,
        *,
        sampling: str,
        frames: int,
        frame_rate: float,
        clips: int = 1,
        seed: int = 0,
        train: bool = False,
        replace: bool = True,
        max_broken: float = MAX_BROKEN,
    ) -> None:
        self.labels, self.records, self.split = listing.labels, listing.records, listing.split
        self.view, self.sampling, self.frames, self.frame_rate = view, sampling, frames, frame_rate
        self.views = clips * max(1, view.crops)
        self.clips, self.seed, self.train, self.replace = clips, seed, train, replace
        self.max_broken = max_broken
        self.total = len(listing.records) + len(listing.missing)
        self.missing = listing.missing
        self._found: list[tuple[str, str]] = []  # broken ones, as this process met them
        # One flag a record in shared memory: workers count a broken clip once, together.
        self._flags = torch.zeros(len(self.records), dtype=torch.uint8).share_memory_()
        self._check_limit()  # first: of a data set that is not there nobody wants 100,000 lines
        for place, reason in self.missing:
            _warn(f"{place} is missing ({reason}): skipped")

    @property
    def broken(self) -> list[tuple[str, str]]:
        """What was missing, and what this process found broken so far."""
        return self.missing + self._found

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int | tuple[int, int]) -> tuple[Tensor, int]:
        index, draw = key if isinstance(key, tuple) else (key, 0)
        if not 0 <= index < len(self):
            raise IndexError(index)
        random = np.random.default_rng((self.seed, draw, index)) if self.train else None
        label = self.records[index].label
        count = len(self)
        for at in (i % count for i in range(index, index + count)):
            record = self.records[at]
            if record.label != label:
                continue
            try:
                return self.read(record, random), label
            except Unreadable as error:
                self._report(at, str(error))
            if not self.replace:
                return self._black(), IGNORE
        raise BadInput(f"no {self.split} clip of class {self.labels[label]!r} can be read")

    def read(self, record: Record, random: np.random.Generator | None = None) -> Tensor:
        """Frames of a record in this set's view. Raises ``Unreadable``."""
        source = source_of(record)
        chosen = choose(
            source.times, self.sampling, self.frames, self.frame_rate, random, self.clips
        )
        fitted: tuple[int, int] | None = None
        boxes: list[Box] = []
        seen: list[dict[int, np.ndarray]] = []
        for i, picture in source.pictures(sorted({int(i) for i in chosen.flat})):
            if fitted is None:  # of the first: a size that changes later is fitted to it
                fitted = self.view.fitted(picture.size)
                boxes = self.view.boxes(fitted, random)
                seen = [{} for _ in boxes]
            for crop, box in zip(seen, boxes, strict=True):
                crop[i] = cut(picture, fitted, box, self.view.size)
        views = [np.stack([crop[int(i)] for i in clip]) for clip in chosen for crop in seen]
        frames = torch.from_numpy(np.stack(views)).permute(0, 1, 4, 2, 3).contiguous()
        return frames if self.views > 1 else frames[0]

    def _black(self) -> Tensor:
        shape = (self.frames, 3, self.view.size, self.view.size)
        return torch.zeros(shape if self.views == 1 else (self.views, *shape), dtype=torch.uint8)

    def _report(self, index: int, reason: str) -> None:
        known = bool(self._flags[index])
        self._flags[index] = 1
        if not known:
            _warn(f"{self.records[index]} cannot be read ({reason}): skipped")
        if str(self.records[index]) not in dict(self._found):
            self._found.append((str(self.records[index]), reason))
        self._check_limit()

    def _check_limit(self) -> None:
        count = len(self.missing) + int(self._flags.sum())
        if count > most_broken(self.max_broken, self.total):
            place, reason = self.broken[0] if self.broken else ("in another worker", "see above")
            raise BadInput(
                f"{count} of {self.total} {self.split} clips are missing or broken, first {place} "
                f"({reason}): repair them, or allow more with --max-broken PERCENT"
            )

    @property
    def classes(self) -> list[int]:
        """The class of every clip."""
        return [record.label for record in self.records]


class _Video:
    """A video file's frames, made RGB only where they are wanted.

    A gesture's frames are kept as they are decoded; those of a longer or larger file would fill the
    memory, so that it is decoded twice: for the times, and for the frames that are wanted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.times: list[float] = []
        kept: list[Decoded] = []
        size = 0
        for time, frame in decoded(path):
            self.times.append(time)
            size += sum(plane.buffer_size for plane in frame.frame.planes)
            if size <= MOST_KEPT:
                kept.append(frame)
            else:
                kept.clear()
        if not self.times:
            raise Unreadable("no video frame in it")
        self._kept = kept if size <= MOST_KEPT else None

    def pictures(self, wanted: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        frames = self._kept
        if frames is not None:
            yield from ((i, Image.fromarray(upright(frames[i]))) for i in wanted)
            return
        chosen, last = set(wanted), wanted[-1]
        for i, (_, frame) in enumerate(decoded(self._path)):
            if i in chosen:
                yield i, Image.fromarray(upright(frame))
            if i == last:
                return


class _Folder:
    """A folder of frame images, or a stretch of one."""

    def __init__(self, record: Record) -> None:
        if record.first is None:
            try:
                self._files = frame_files(record.path)
            except OSError as error:
                raise Unreadable(error.strerror) from None
            if not self._files:
                raise Unreadable("no frame images in it (.jpg, .jpeg, .png)")
        else:
            assert record.last is not None, "listed with the first"
            numbers = range(record.first, record.last + 1)
            self._files = [frame_path(record.path, number) for number in numbers]
        self.times = [i / record.rate for i in range(len(self._files))]

    def pictures(self, wanted: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        yield from ((i, open_image(self._files[i])) for i in wanted)


class _Part:
    """The frames of a span of a recording; ``_Video`` and ``_Folder`` are whole ones."""

    def __init__(self, whole: "_Video | _Folder", start: float, end: float) -> None:
        self._whole = whole
        first = whole.times[0]
        inside = [i for i, time in enumerate(whole.times) if start <= time - first < end]
        if not inside:
            length = whole.times[-1] - first
            raise Unreadable(f"no frame from {start:g} to {end:g} s: it lasts {length:.1f} s")
        self._first = inside[0]
        self.times = [whole.times[i] for i in inside]

    def pictures(self, wanted: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        for i, picture in self._whole.pictures([i + self._first for i in wanted]):
            yield i - self._first, picture


def source_of(record: Record) -> _Video | _Folder | _Part:
    """The frames behind a record: ``times`` in seconds and ``pictures(indices in order)``, RGB.

    Raises ``Unreadable``.
    """
    whole = _Folder(record) if record.rate else _Video(record.path)
    return _Part(whole, *record.span) if record.span else whole


def _warn(text: str) -> None:
    sys.stderr.write(f"warning: {text}\n")  # in one piece: workers share stderr
