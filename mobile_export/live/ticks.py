"""The tick: which camera frames a stream takes, by their time stamps alone.

A model is trained for frames at a steady rate, a camera delivers others. Ticks are due at
``k / rate`` seconds after the first frame. Each frame that arrives is the newest there is: it is
taken if a tick is due for it, and is passed over otherwise. Whoever is busy while frames arrive
sees a later frame next, so that a tick that nothing came for is missed: it is counted and never
made up for. After ``reset_after_missed`` in a row the past is too long ago to be continued.

Specified in ``docs/bundle.md``, Ticks.
"""

import math
from dataclasses import dataclass

# A frame serves a tick from a quarter of a period before it on. Cameras jitter, and the frame that
# is meant for a tick must not be passed over because it is a millisecond early.
EARLY = 0.25
SLOW = 0.75  # of the model's rate: with fewer frames than that gestures are missed


@dataclass(frozen=True)
class Tick:
    """What to do with a frame: ``take`` it or not; ``missed`` ticks before it; ``reset`` first."""

    take: bool
    missed: int = 0
    reset: bool = False


class Ticks:
    """Decides on frames by time stamps in seconds, in the order of their arrival."""

    def __init__(self, rate: float, reset_after_missed: int) -> None:
        self.rate, self.reset_after_missed = rate, reset_after_missed
        self._first: float | None = None  # time of tick 0
        self._last = 0  # number of the latest tick that was served
        self._latest = -math.inf  # time of the latest frame

    def restart(self) -> None:
        """As before the first frame: the time until the next one is no missed ticks."""
        self._first, self._latest = None, -math.inf

    def frame(self, seconds: float) -> Tick:
        """Decide on the frame of this time stamp.

        The clock starts anew with the first frame, with one that is earlier than the frame before
        it (another recording), and after too many missed ticks.
        """
        back, self._latest = seconds < self._latest, seconds
        if self._first is None or back:
            self._first, self._last = seconds, 0
            return Tick(take=True, reset=back)
        number = math.floor((seconds - self._first) * self.rate + EARLY)
        if number <= self._last:
            return Tick(take=False)
        missed = number - self._last - 1
        self._last = number
        if missed >= self.reset_after_missed:
            self._first, self._last = seconds, 0
            return Tick(take=True, missed=missed, reset=True)
        return Tick(take=True, missed=missed)
