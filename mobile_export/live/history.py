"""What a run of live recognition leaves behind: events, counts, latency and a timeline.

Memory is bounded: an hour is 36,000 ticks, and a phone's camera has no end.
"""

from array import array
from collections import deque
from dataclasses import asdict

import numpy as np

from core.decision import Event
from mobile_export.live.recognizer import Moment

LATENCIES = 6000  # latest ticks whose times are kept: ten minutes
THUMBNAILS = 32  # pictures of a timeline; every second one is dropped when there are more


class History:
    """Gathers the moments of a run; ``timeline`` keeps probabilities and small pictures too."""

    def __init__(self, timeline: bool) -> None:
        self.events: list[Event] = []
        self.ticks = 0
        self._ms: dict[str, deque[float]] = {
            stage: deque(maxlen=LATENCIES) for stage in ("preprocess", "execute", "postprocess")
        }
        self._timeline = timeline
        self._times, self._chances = array("d"), array("f")
        self._stride = 1  # ticks from one picture to the next
        self._pictures: list[tuple[float, np.ndarray]] = []

    def add(self, moment: Moment) -> None:
        """Take what came of a tick."""
        self.events.extend(moment.ended)
        self.ticks += 1
        for stage, kept in self._ms.items():
            kept.append(getattr(moment, f"{stage}_ms"))
        if self._timeline:
            self._times.append(moment.seconds)
            self._chances.extend(moment.answer.probabilities)

    @property
    def wants_picture(self) -> bool:
        """Whether the picture of the tick that was added last belongs on the timeline."""
        return self._timeline and (self.ticks - 1) % self._stride == 0

    def add_picture(self, seconds: float, small: np.ndarray) -> None:
        """Keep a small picture, RGB (S, S, 3)."""
        self._pictures.append((seconds, small))
        if len(self._pictures) >= 2 * THUMBNAILS:
            self._stride *= 2
            del self._pictures[1::2]

    def timeline(self) -> tuple[np.ndarray, np.ndarray, list[tuple[float, np.ndarray]]]:
        """Times (T,), probabilities (T, classes) and pictures with their times."""
        chances = np.frombuffer(self._chances, np.float32) if self.ticks else np.empty(0)
        return np.array(self._times), chances.reshape(self.ticks, -1), self._pictures

    def latency(self) -> dict[str, dict[str, float]] | None:
        """Median and 99th percentile of every stage in milliseconds; None without a tick."""
        if not self.ticks:
            return None
        stages = {stage: np.array(kept) for stage, kept in self._ms.items()}
        stages["end_to_end"] = np.sum(list(stages.values()), axis=0)
        return {
            stage: {f"p{q}_ms": round(float(np.percentile(ms, q)), 4) for q in (50, 99)}
            for stage, ms in stages.items()
        }

    def event_rows(self) -> list[dict]:
        """The events, JSON-ready."""
        return [{k: _rounded(v) for k, v in asdict(event).items()} for event in self.events]


def _rounded(value: str | float) -> str | float:
    return round(value, 4) if isinstance(value, float) else value
