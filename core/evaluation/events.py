"""Events against what was really gestured."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.decision import Event

LATE = 0.5  # seconds after a gesture's end within which its event may begin


@dataclass(frozen=True)
class Gesture:
    """What was made in a recording, and when."""

    label: str
    start: float
    end: float


def count_right(events: Sequence[Event], gestures: Sequence[Gesture], late: float = LATE) -> int:
    """How many events are right, matched to gestures in the order of time, one event a gesture.

    An event is right when its label is right and its time overlaps the gesture, or begins at most
    ``late`` after its end. All times are in the same unit, seconds unless ``late`` says otherwise.
    """
    left = sorted(gestures, key=lambda g: g.start)
    right = 0
    for event in sorted(events, key=lambda e: e.start):
        found = next((g for g in left if _fits(event, g, late)), None)
        if found:
            left.remove(found)
            right += 1
    return right


def _fits(event: Event, gesture: Gesture, late: float) -> bool:
    in_time = event.start <= gesture.end + late and event.end >= gesture.start
    return event.label == gesture.label and in_time
