"""The streaming protocol: a long recording of many gestures, and what is decided at every frame.

The decision rule is that of the live path. From the decisions:

- *frame accuracy*: frames whose decision is the gesture under way, or none where there is none;
- *top-1*: the class of the mean of the last eight logits at each gesture's end;
- *delay*: from a gesture's first frame to the first at which its label has been decided;
- *false alarms*: events that are no gesture's, a minute. An event is right when its label is right
  and its time overlaps the gesture or begins at most half a second after it, one event a gesture.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from core.data.transforms import normalise
from core.decision import Decider, Event, Rule
from core.evaluation.events import LATE, Gesture, count_right
from core.model import VideoClassifier

DECISION_FRAMES = 8  # logits averaged for a decision


def stream_logits(
    model: VideoClassifier, frames: Tensor | Iterable[Tensor], chunk: int = 64
) -> Tensor:
    """Per-frame logits of one recording by ``step``: (T, classes).

    ``frames`` are uint8 (T, 3, S, S), or such parts of a recording that is too long for the memory.
    """
    config = model.config
    device = next(model.parameters()).device
    state = model.initial_state()
    out = [torch.zeros(0, config.num_classes)]
    with torch.inference_mode():
        for part in frames.split(chunk) if isinstance(frames, Tensor) else frames:
            for x in normalise(part, config.mean, config.std).to(device).split(1):
                logits, state = model.step(x, state)
                out.append(logits.float().cpu())
    return torch.cat(out)


def gesture_decisions(logits: Tensor, ends: Iterable[int]) -> Tensor:
    """Class at each gesture's end: the mean of the last eight frames up to frame ``end``."""
    found = [logits[max(0, end + 1 - DECISION_FRAMES) : end + 1].mean(0).argmax() for end in ends]
    return torch.stack(found) if found else torch.zeros(0, dtype=torch.long)


def decide(logits: Tensor, rule: Rule) -> tuple[list[str | None], list[Event]]:
    """From logits (T, K): the open event's label at each frame, and the events.

    Events are in numbers of frames; one that is open at the end counts.
    """
    decider = Decider(rule)
    answers = [decider.update(t, row) for t, row in enumerate(logits.tolist())]
    ended = [*(answer.ended for answer in answers), decider.reset()]
    return [answer.current for answer in answers], [event for event in ended if event]


@dataclass
class StreamScore:
    """Sums over recordings; ``report`` makes figures of them."""

    rate: float  # frames a second
    frames: int = 0
    right_frames: int = 0
    gestures: int = 0
    right_ends: int = 0
    events: int = 0
    right_events: int = 0
    recordings: int = 0
    delays: list[float] = field(default_factory=list)

    def add(
        self, logits: Tensor, rule: Rule, starts: Tensor, ends: Tensor, classes: Tensor
    ) -> None:
        """Count a recording: logits (T, K), first and last frame and class of each gesture (G,).

        A gesture that begins after the last frame counts as missed, one that ends there as cut.
        """
        current, events = decide(logits, rule)
        made = sorted(zip(*(v.tolist() for v in (starts, ends, classes)), strict=True))
        gestures = [Gesture(rule.labels[i], first, last) for first, last, i in made]
        gestures = [g for g in gestures if g.label not in rule.none_labels]
        self.gestures += len(gestures)
        end = len(current) - 1
        gestures = [Gesture(g.label, g.start, min(g.end, end)) for g in gestures if g.start <= end]
        said, truth = (np.array(v, dtype=object) for v in (current, [None] * len(current)))
        for g in gestures:
            truth[g.start : g.end + 1] = g.label
            shown = said[g.start : g.end + 1 + round(LATE * self.rate)] == g.label
            # Before it began, the label may still be that of the gesture before.
            fresh = np.flatnonzero(shown & ~(shown[0] & (np.cumsum(~shown) == 0)))
            if len(fresh):
                self.delays.append(int(fresh[0]) / self.rate)
        self.right_frames += int((said == truth).sum())
        decided = gesture_decisions(logits, [g.end for g in gestures])  # type: ignore[misc]  # numbers of frames here
        self.right_ends += sum(
            rule.labels[d] == g.label for d, g in zip(decided, gestures, strict=True)
        )
        self.right_events += count_right(events, gestures, LATE * self.rate)
        self.frames += len(current)
        self.events += len(events)
        self.recordings += 1

    def report(self) -> dict:
        """JSON-ready; what cannot be said for want of gestures or frames is ``None``."""
        minutes = self.frames / self.rate / 60
        false = self.events - self.right_events
        delays = np.array(self.delays)
        return {
            "top1": _percent(self.right_ends, self.gestures),
            "gestures": self.gestures,
            "streams": self.recordings,
            "minutes": round(minutes, 3),
            "frame_accuracy": _percent(self.right_frames, self.frames),
            "events": self.events,
            "right_events": self.right_events,
            "recognised": _percent(self.right_events, self.gestures),
            "delay_median": round(float(np.median(delays)), 3) if len(delays) else None,
            "delay_p90": round(float(np.percentile(delays, 90)), 3) if len(delays) else None,
            "false_alarms_a_minute": round(false / minutes, 3) if minutes else None,
        }


def _percent(part: int, whole: int) -> float | None:
    return round(100.0 * part / whole, 2) if whole else None
