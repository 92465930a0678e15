"""Labelled clips from the page's frames, one after the other, at the model's frame rate."""

import shutil
from collections.abc import Callable, Sequence
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from core.data.video import VIDEO_SUFFIXES, at_rate, hidden
from core.errors import BadInput
from mobile_export.live.record import save_clip, spoils
from mobile_export.live.server.frames import decode

SECONDS = (0.8, 10.0)  # a clip's least and most
# A camera of 60 frames a second fills a clip of ten seconds with 600 of them.
MOST_FRAMES = 1200
MOST_CLIPS = 10_000  # in all classes of a folder
LEAST_FREE = 2**30  # bytes of its disk; a clip of ten seconds is far below a hundredth of that


class Spoiled(Exception):
    """A clip that is not worth keeping; the message is the reason in one line."""


class Clip:
    """The frames of one clip while they come, still as JPEG.

    ``view`` makes what is kept of a picture: what the model sees a part of.
    """

    def __init__(
        self, label: str, seconds: float, view: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        self._label, self._wanted, self._view = label, seconds, view
        self._frames: list[tuple[float, bytes]] = []

    def add(self, seconds: float, jpeg: bytes) -> bool:
        """Take a frame; True when the clip is whole."""
        self._frames.append((seconds, jpeg))
        long = seconds - self._frames[0][0] >= self._wanted
        return long or len(self._frames) >= MOST_FRAMES

    def frames(self, rate: float) -> np.ndarray:
        """Pictures at ``rate``, each the nearest in time: uint8 RGB (T, H, W, 3).

        Raises ``Spoiled`` for a clip with a hole or pictures of several sizes, ``Refusal`` for a
        picture that does not decode.
        """
        gap = max((b - a for (a, _), (b, _) in pairwise(self._frames)), default=0.0)
        reason = spoils((), gap)
        if reason:
            raise Spoiled(reason)
        count = round(self._wanted * rate)
        chosen = list(islice(at_rate(self._frames, rate), count))
        if len(chosen) < count:
            raise Spoiled("the time stamps of this clip do not span its length")
        return _stack([self._view(decode(jpeg)) for jpeg in chosen])

    def save(self, out: Path, rate: float) -> Path:
        """Write it as ``OUT/<label>/<time>-<n>.mp4``; raises what ``frames`` and writing do."""
        return save_clip(out, self._label, self.frames(rate), rate)


def _stack(pictures: Sequence[np.ndarray]) -> np.ndarray:
    reason = spoils(pictures, 0.0)
    if reason:
        raise Spoiled(reason)
    return np.stack(pictures)


def require_room(out: Path) -> None:
    """Refuse more clips than anybody records by hand, and a disk that they would fill.

    Raises ``BadInput``.
    """
    count = sum(count_clips(out).values())
    if count >= MOST_CLIPS:
        raise BadInput(f"{out} holds {count} clips: start the server with another --out")
    there = next(place for place in (out, *out.absolute().parents) if place.is_dir())
    if shutil.disk_usage(there).free < LEAST_FREE:
        raise BadInput(f"the disk of {out} is nearly full: make room, or give another --out")


def count_clips(out: Path) -> dict[str, int]:
    """How many videos each class folder of ``out`` holds, in the order of their names."""
    if not out.is_dir():
        return {}
    folders = sorted(p for p in out.iterdir() if p.is_dir() and not hidden(p))
    return {
        folder.name: sum(
            path.suffix.lower() in VIDEO_SUFFIXES and not hidden(path) for path in folder.iterdir()
        )
        for folder in folders
    }
