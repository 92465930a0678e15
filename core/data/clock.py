"""One clock out of the time stamps of a file, which may restart, leap or be wrong in one place."""

import statistics
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

RESTART = 0.5  # seconds back from which a clock has restarted; less is a frame out of order
LEAP = 60.0  # seconds ahead from which a clock was set anew; a shorter pause may be one
LAST_LEAP = 2.0  # of the last frame, behind which nothing shows that its stamp is right
RECENT = 15  # frames whose median distance goes on where a clock is set anew

T = TypeVar("T")


def steady(frames: Iterable[tuple[float, T]]) -> Iterator[tuple[float, T]]:
    """``(seconds, frame)`` pairs on one clock that runs on; each frame waits for the next one.

    Where stamps start again, as in files that were joined, or leap by more than a minute, time goes
    on by the usual distance of two frames. A frame whose stamp is alone in lying behind or ahead of
    its neighbours is dropped, and so is one that lies a little behind: it has no place in time.
    """
    gaps: deque[float] = deque(maxlen=RECENT)
    last: float | None = None  # on the clock that runs on
    offset = 0.0
    held: tuple[float, T] | None = None
    for pair in frames:
        if held is not None:
            stamp, frame = held
            at, offset = _place(stamp, pair[0], last, offset, gaps)
            if at is not None:
                if last is not None:
                    gaps.append(at - last)
                last = at
                yield at, frame
        held = pair
    if held is None:
        return
    at = held[0] + offset
    if last is not None:
        too_far = bool(gaps) and at - last > max(LAST_LEAP, 10 * _usual(gaps))
        at = last + _usual(gaps) if too_far or at - last < -RESTART else at
    if last is None or at > last:
        yield at, held[1]


def _place(
    stamp: float, following: float, last: float | None, offset: float, gaps: deque[float]
) -> tuple[float | None, float]:
    """A frame's place on the clock, ``None`` without one, and the offset of stamps from then on."""
    at, after = stamp + offset, following + offset
    if last is None:
        return at, offset
    if at <= last:
        alone = after > last
        if alone or at > last - RESTART:
            return None, offset
    elif at - last <= LEAP:
        ahead = last < after < at - RESTART
        return (None if ahead else at), offset
    elif last < after <= last + LEAP:
        return None, offset
    at = last + _usual(gaps)
    return at, at - stamp


def _usual(gaps: deque[float]) -> float:
    return statistics.median(gaps) if gaps else 1 / 30
