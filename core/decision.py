"""The decision rule: from the logits of single frames to one event per gesture.

Specified in ``docs/bundle.md``, Deciding; its numbers are the manifest's ``decision``. Nothing but
arithmetic on numbers in here, so that an app can follow it line by line.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.labels import NO_GESTURE, OTHER

NONE_LABELS = (NO_GESTURE, OTHER)  # of any model that has them
# What people call the class of clips without a gesture, without case, blanks and punctuation.
IDLE_NAMES = frozenset(
    {
        "none",
        "nothing",
        "idle",
        "background",
        "nogesture",
        "nogestures",
        "nonegesture",
        "nongesture",
    }
    | {"null", "negative", "rest", "resting", "neutral", "noaction", "nomotion", "nomovement"}
    | {"noevent", "nohand", "nohands", "doingotherthings", "other", "others", "otherthings"}
)
# Of a model that no other numbers were chosen for; the package's has its own: docs/live.md.
NUMBERS: dict[str, Any] = {"window": 8, "threshold": 0.8, "agree": 4, "release": 3}


def idle_labels(labels: Sequence[str], info: dict | None = None) -> list[str]:
    """The labels that mean no gesture, Jester's own first, in the order of ``labels``.

    Those that usual names say, and those that the training's ``--none`` says; ``info`` is that of
    the checkpoint.
    """
    settings = (info or {}).get("settings")
    more = (settings.get("none") if isinstance(settings, dict) else None) or ()
    own = [name for name in NONE_LABELS if name in labels]
    known = [name for name in labels if _bare(name) in IDLE_NAMES or name in more]
    return own + [name for name in known if name not in own]


def numbers_of(info: dict | None) -> dict[str, Any]:
    """The rule's numbers: ``NUMBERS``, or those that were chosen for a checkpoint of this ``info``.

    ``info`` has ``decision`` where numbers were chosen on recordings.
    """
    found = (info or {}).get("decision")
    found = found if isinstance(found, dict) else {}
    numbers = dict(NUMBERS)
    threshold = found.get("threshold")
    if isinstance(threshold, int | float) and 0 <= threshold <= 1:
        numbers["threshold"] = threshold
    for name in ("window", "agree"):
        count = found.get(name)
        if isinstance(count, int) and not isinstance(count, bool) and count >= 1:
            numbers[name] = count
    return numbers


def told_idle(idle: Sequence[str]) -> str:
    """In one line, which labels are taken for no gesture, or what it means that none is."""
    if not idle:
        return (
            "warning: no class means 'no gesture' by its name (none, idle, background): a live "
            "model takes rest for a gesture: add a class of rest, or name it with --none LABEL in "
            "training"
        )
    return f"taken for no gesture: {', '.join(repr(name) for name in idle)}"


def _bare(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


@dataclass(frozen=True)
class Rule:
    """The numbers of a manifest's ``decision`` and the labels of the logits."""

    labels: tuple[str, ...]
    none_labels: frozenset[str]
    window: int  # frames in the mean of the logits
    threshold: float  # least probability of an answer
    agree: int  # frames in a row that a new answer needs
    release: int  # frames in a row without its label that end an event

    @classmethod
    def of(cls, labels: Sequence[str], info: dict | None = None) -> "Rule":
        """The rule that a bundle of a checkpoint with these labels and ``info`` is given."""
        return cls(tuple(labels), frozenset(idle_labels(labels, info)), **numbers_of(info))

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "Rule":
        """The rule of a bundle."""
        rule = manifest["decision"]
        return cls(
            labels=tuple(manifest["labels"]),
            none_labels=frozenset(rule["none_labels"]),
            window=rule["window"],
            threshold=rule["threshold"],
            agree=rule["agree"],
            release=rule["release"],
        )


@dataclass(frozen=True)
class Event:
    """One gesture, from the first to the last frame that its label won, in the frames' times."""

    label: str
    start: float
    end: float
    confidence: float  # the largest probability of its label among these frames


@dataclass(frozen=True)
class Answer:
    """What one frame says.

    ``winner`` is this frame's own answer, ``current`` the label of the event that is open after it;
    ``None`` stands for *none*. ``started`` is the label of an event that opens with this frame and
    ``ended`` the event that closes with it.
    """

    winner: str | None
    confidence: float  # probability of the best label that is a gesture
    probabilities: tuple[float, ...]  # of all labels, in their order
    current: str | None
    started: str | None
    ended: Event | None

    def shown(self, labels: Sequence[str]) -> float:
        """The probability to show beside ``current``: its own, or the best one's while none is."""
        if self.current is None:
            return self.confidence
        return self.probabilities[labels.index(self.current)]


class Decider:
    """Applies a ``Rule`` frame by frame; ``reset`` forgets everything."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._gestures = [i for i, name in enumerate(rule.labels) if name not in rule.none_labels]
        self._logits: deque[list[float]] = deque(maxlen=rule.window)
        self._winner: str | None = None  # of the latest frame
        self._since, self._count, self._best = 0.0, 0, 0.0  # of the run of equal winners
        self._open: Event | None = None
        self._without = 0  # frames in a row that the open event's label has not won

    def reset(self) -> Event | None:
        """Forget logits and streaks; the event that this closes, if one was open."""
        ended, self._open = self._open, None
        self._logits.clear()
        self._winner, self._count, self._without = None, 0, 0
        return ended

    def update(self, time: float, logits: Sequence[float]) -> Answer:
        """Take the logits of the frame of ``time``: seconds, or whatever events are to be in."""
        self._logits.append([float(value) for value in logits])
        chances = softmax(
            [sum(column) / len(self._logits) for column in zip(*self._logits, strict=True)]
        )
        # The first of equal ones, as an argmax gives it. A model may know nothing but *none*.
        best = max(self._gestures, key=lambda i: chances[i], default=None)
        confidence = 0.0 if best is None else chances[best]
        winner = (
            self.rule.labels[best]
            if confidence >= self.rule.threshold and best is not None
            else None
        )
        if winner != self._winner or self._count == 0:
            self._winner, self._since, self._count, self._best = winner, time, 0, 0.0
        self._count += 1
        self._best = max(self._best, confidence)
        ended = self._follow(winner, time, confidence)
        started = self._start(time)
        current = self._open.label if self._open else None
        return Answer(winner, confidence, tuple(chances), current, started, ended)

    def _follow(self, winner: str | None, time: float, confidence: float) -> Event | None:
        """Lengthen the open event or count a frame against it; the event if this closes it."""
        event = self._open
        if event is None:
            return None
        if winner == event.label:
            best = max(event.confidence, confidence)
            self._open, self._without = Event(event.label, event.start, time, best), 0
            return None
        self._without += 1
        if self._without < self.rule.release:
            return None
        self._open = None
        return event

    def _start(self, time: float) -> str | None:
        """Open an event when none is open and the latest frames agree on a gesture."""
        if self._open or self._winner is None or self._count < self.rule.agree:
            return None
        self._open = Event(self._winner, self._since, time, self._best)
        self._without = 0
        return self._winner


def softmax(logits: Sequence[float]) -> list[float]:
    """Probabilities; the largest logit is taken off first, so that nothing overflows."""
    most = max(logits)
    powers = [math.exp(value - most) for value in logits]
    total = sum(powers)
    return [power / total for power in powers]
