"""The streaming protocol: a long recording of many gestures, and what is decided at every frame.

The decision rule is that of the live path (mean of the last logits, *none*, threshold, agreement,
release), written here for whole arrays; a test holds both to the same vectors. From the decisions:

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

from core.data.gestures import NO_GESTURE, OTHER
from core.data.transforms import normalise
from core.model import VideoClassifier

DECISION_FRAMES = 8  # logits averaged for a decision
LATE = 0.5  # seconds after a gesture's end within which its event may begin
NONE = -1  # the decision that there is no gesture


@dataclass(frozen=True)
class Rule:
    """The numbers of the decision rule."""

    window: int = DECISION_FRAMES
    threshold: float = 0.8  # least probability of an answer
    agree: int = 4  # frames in a row that a new answer needs
    release: int = 3  # frames in a row without its label that end an event


@dataclass(frozen=True)
class Event:
    """A decided gesture: the first and last frame that its label won."""

    label: int
    first: int
    last: int


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


def winners(logits: Tensor, labels: list[str], rule: Rule) -> np.ndarray:
    """Each frame's own answer (T,): a class that means a gesture, or ``NONE``."""
    gestures = [i for i, name in enumerate(labels) if name not in (NO_GESTURE, OTHER)]
    found = np.full(len(logits), NONE)
    if not gestures:
        return found
    for t in range(len(logits)):
        chances = logits[max(0, t + 1 - rule.window) : t + 1].double().mean(0).softmax(-1)
        best = gestures[int(chances[gestures].argmax())]
        if chances[best] >= rule.threshold:
            found[t] = best
    return found


def decide(won: np.ndarray, rule: Rule) -> tuple[np.ndarray, list[Event]]:
    """The open event's label at each frame (T,), ``NONE`` where none is, and the events."""
    current, events = np.full(len(won), NONE), []
    since = streak = without = 0
    open_label = NONE
    first = last = 0
    for t, winner in enumerate(won):
        if t == 0 or winner != won[t - 1]:
            since, streak = t, 0
        streak += 1
        if open_label != NONE:
            if winner == open_label:
                last, without = t, 0
            else:
                without += 1
                if without >= rule.release:
                    events.append(Event(open_label, first, last))
                    open_label = NONE
        if open_label == NONE and winner != NONE and streak >= rule.agree:
            open_label, first, last, without = int(winner), since, t, 0
        current[t] = open_label
    if open_label != NONE:
        events.append(Event(open_label, first, last))
    return current, events


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
        self, logits: Tensor, labels: list[str], rule: Rule,
        starts: Tensor, ends: Tensor, classes: Tensor,
    ) -> None:  # fmt: skip
        """Count a recording: logits (T, K), first and last frame and class of each gesture (G,)."""
        current, events = decide(winners(logits, labels, rule), rule)
        gestures = sorted(zip(*(v.tolist() for v in (starts, ends, classes)), strict=True))
        truth = np.full(len(current), NONE)
        silent = {i for i, name in enumerate(labels) if name in (NO_GESTURE, OTHER)}
        gestures = [g for g in gestures if g[2] not in silent]
        for first, last, label in gestures:
            truth[first : last + 1] = label
            shown = current[first : last + 1 + round(LATE * self.rate)] == label
            # Before it began, the label may still be that of the gesture before.
            fresh = np.flatnonzero(shown & ~(shown[0] & (np.cumsum(~shown) == 0)))
            if len(fresh):
                self.delays.append(int(fresh[0]) / self.rate)
        self.right_frames += int((current == truth).sum())
        decided = gesture_decisions(logits, [last for _, last, _ in gestures])
        self.right_ends += sum(int(d) == g[2] for d, g in zip(decided, gestures, strict=True))
        self.right_events += _matched(events, gestures, LATE * self.rate)
        self.frames += len(current)
        self.gestures += len(gestures)
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


def _matched(events: list[Event], gestures: list[tuple[int, int, int]], late: float) -> int:
    """How many events are right, in the order of time."""
    left, right = list(gestures), 0
    for event in events:
        found = next(
            (g for g in left
             if g[2] == event.label and event.first <= g[1] + late and event.last >= g[0]),
            None,
        )  # fmt: skip
        if found:
            left.remove(found)
            right += 1
    return right


def _percent(part: int, whole: int) -> float | None:
    return round(100.0 * part / whole, 2) if whole else None
