"""Events against what was really gestured: which are right, and how many are false a minute."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mobile_export.live.decision import Event
from mobile_export.live.sources import Gesture

LATE = 0.5  # seconds after a gesture's end within which its event may begin


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
    """Match events to gestures in the order of time, one event a gesture.

    An event is right when its label is right and its time overlaps the gesture, or begins at most
    ``LATE`` after its end. Every other event is false, a second one of the same gesture too.
    """
    left = sorted(gestures, key=lambda g: g.start)
    right = 0
    for event in sorted(events, key=lambda e: e.start):
        found = next((g for g in left if _fits(event, g)), None)
        if found:
            left.remove(found)
            right += 1
    total = len(events) + len(gestures)
    return Score(
        gestures=len(gestures),
        events=len(events),
        right=right,
        minutes=minutes,
        f1=2 * right / total if total else 1.0,
        false_a_minute=(len(events) - right) / minutes if minutes else 0.0,
    )


def _fits(event: Event, gesture: Gesture) -> bool:
    in_time = event.start <= gesture.end + LATE and event.end >= gesture.start
    return event.label == gesture.label and in_time
