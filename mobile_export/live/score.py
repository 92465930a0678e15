"""Events against what was really gestured: which are right, and how many are false a minute."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from core.decision import Event
from core.evaluation.events import Gesture, count_right


@dataclass(frozen=True)
class Score:
    """Counts over a stream; ``f1`` is 1 for a stream with neither gestures nor events."""

    gestures: int
    events: int
    right: int
    minutes: float
    f1: float
    false_a_minute: float

    def to_dict(self) -> dict:
        """JSON-ready."""
        return asdict(self)


def score(events: Sequence[Event], gestures: Sequence[Gesture], minutes: float) -> Score:
    """Times in seconds; every event that ``count_right`` does not count is false."""
    right, total = count_right(events, gestures), len(events) + len(gestures)
    return Score(
        gestures=len(gestures),
        events=len(events),
        right=right,
        minutes=minutes,
        f1=2 * right / total if total else 1.0,
        false_a_minute=(len(events) - right) / minutes if minutes else 0.0,
    )
