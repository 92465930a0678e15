"""A steady frame rate out of frames with times."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

MAX_SECONDS = 120.0  # a clip is one gesture; longer files would fill the memory
TIE = 1e-6  # seconds: time stamps are rounded, and a tie must not fall either way

T = TypeVar("T")


class Unreadable(Exception):
    """A clip that cannot be decoded; the message is the reason in one line."""


def at_rate(
    frames: Iterable[tuple[float, T]], rate: float, most: float = MAX_SECONDS
) -> Iterator[T]:
    """Resample ``(seconds, frame)`` pairs to ``rate`` frames a second, nearest in time.

    Ticks start at the first frame and end before the last one does, which lasts as long as the
    median of the others. On a tie the earlier frame is taken. Frames are repeated where the source
    is slower. A frame whose time is not after the one before it is dropped.

    Raises ``Unreadable`` past ``most`` seconds.
    """
    start: float | None = None
    last = 0.0
    tick = 0
    gaps: list[float] = []
    held: T
    for seconds, frame in frames:
        if start is None:
            start = last = seconds
            held = frame
            continue
        if seconds <= last:
            continue
        if seconds - start > most:
            raise Unreadable(f"longer than {most:g} s: cut it into one gesture a file")
        while start + tick / rate <= (last + seconds) / 2 + TIE:
            yield held
            tick += 1
        gaps.append(seconds - last)
        last, held = seconds, frame
    if start is None:
        return
    end = last + (float(np.median(gaps)) if gaps else 1 / rate)
    while tick == 0 or start + tick / rate < end - TIE:
        yield held
        tick += 1
