"""Judged by recording session: every clip is answered by a model that saw nothing of its session.

Clips of one sitting show one person in one shirt before one wall; a model that was trained on some
of them knows the others. A class that was recorded in one sitting only cannot be judged so: its
clips are held out block by block, which the decision rule needs, and do not count.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from core.evaluation import confusion
from core.evaluation.intervals import wilson
from mobile_export.teach.folder import Clip

MOST_FOLDS = 4  # each costs a training; more sessions are put together
BLOCKS = 3  # of a class with one session
# Of Student's distribution, 95 % two-sided, by degrees of freedom from 2 on; more of them need less
# than the last.
STUDENT = (4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True)
class Fold:
    """Clips by number that are held out together; training has all others."""

    held: list[int]


@dataclass
class Judgement:
    """What held-out clips were answered: frame logits (T, K) by clip number."""

    labels: list[str]
    clips: Sequence[Clip]
    counted: Sequence[bool]  # whether a clip was held out with its whole session
    logits: dict[int, Tensor] = field(default_factory=dict)

    @property
    def by_session(self) -> bool:
        """Whether any class was judged on sessions that training had not seen."""
        return any(self.counted)

    def _judged(self) -> list[int]:
        """The numbers that the figures are over: all where there is one session."""
        return [i for i in sorted(self.logits) if self.counted[i] or not self.by_session]

    def answers(self) -> tuple[Tensor, Tensor, list[int]]:
        """Answered and true classes, and the clips' numbers."""
        numbers = self._judged()
        says = [int(self.logits[i].mean(0).argmax()) for i in numbers]
        truth = [self.labels.index(self.clips[i].label) for i in numbers]
        return torch.tensor(says, dtype=torch.long), torch.tensor(truth, dtype=torch.long), numbers

    def to_dict(self) -> dict[str, Any]:
        """Figures, JSON-ready: accuracy and its interval in per cent, and the confusion matrix."""
        says, truth, numbers = self.answers()
        right = says == truth
        parts: dict[str, list[bool]] = defaultdict(list)
        for number, good in zip(numbers, right.tolist(), strict=True):
            parts[self.clips[number].session].append(good)
        whole = confusion.count(says, truth, len(self.labels))
        own = {clip.label for clip in self.clips}
        shown = [i for i, name in enumerate(self.labels) if name in own or bool(whole[:, i].any())]
        matrix, names = whole[shown][:, shown], [self.labels[i] for i in shown]
        classes = {
            name: {"clips": int(matrix[i].sum()), "right": int(matrix[i, i])}
            for i, name in enumerate(names)
            if matrix[i].any()
        }
        count = len(numbers)
        return {
            "by": "session" if self.by_session else "block of one session",
            "clips": count,
            "sessions": len({clip.session for clip in self.clips}),
            "accuracy": round(100 * int(right.sum()) / count, 1) if count else None,
            "interval": interval(list(parts.values())) if count else None,
            "by_class": classes,
            "labels": names,
            "confusion": matrix.tolist(),
            "most_confused": confusion.worst(matrix, names)[:3],
        }


def folds_of(clips: Sequence[Clip]) -> tuple[list[Fold], list[bool]]:
    """Folds in which every class keeps training clips, and which clips are held out by session.

    Sessions of one class come into different folds where they can.
    """
    sessions: dict[str, list[int]] = defaultdict(list)
    for number, clip in enumerate(clips):
        sessions[clip.session].append(number)
    order = sorted(sessions, key=lambda name: (-len(sessions[name]), name))
    parts: list[Counter[str]] = [Counter() for _ in range(min(MOST_FOLDS, len(order)))]
    fold_of: dict[str, int] = {}
    for name in order:
        own = Counter(clips[number].label for number in sessions[name])
        like = [(sum(part[label] for label in own), part.total()) for part in parts]
        fold_of[name] = like.index(min(like))
        parts[fold_of[name]] += own
    places: dict[str, set[int]] = defaultdict(set)
    for clip in clips:
        places[clip.label].add(fold_of[clip.session])
    counted = [len(places[clip.label]) > 1 for clip in clips]
    count = len(parts) if len(parts) > 1 else BLOCKS
    held: list[list[int]] = [[] for _ in range(count)]
    total, seen = Counter(clip.label for clip in clips), Counter[str]()
    for number, clip in enumerate(clips):
        block = seen[clip.label] * count // total[clip.label]
        seen[clip.label] += 1
        held[fold_of[clip.session] if counted[number] else block].append(number)
    return [Fold(numbers) for numbers in held if numbers], counted


def interval(sessions: Sequence[Sequence[bool]]) -> list[float]:
    """95 % interval of an accuracy in per cent, from right and wrong by session.

    From the lower to the higher end of two: Wilson's over clips, as if each were a draw of its own,
    and, of three sessions or more, Student's over the sessions' accuracies, which knows that clips
    of one are alike.
    """
    flat = [good for part in sessions for good in part]
    low, high = wilson(sum(flat), len(flat))
    k = len(sessions)
    if k >= 3:
        rates = [100 * sum(part) / len(part) for part in sessions]
        middle = sum(rates) / k
        spread = math.sqrt(sum((r - middle) ** 2 for r in rates) / (k - 1))
        half = STUDENT[min(k - 3, len(STUDENT) - 1)] * spread / math.sqrt(k)
        low, high = min(low, middle - half), max(high, middle + half)
    return [round(max(0.0, low), 1), round(min(100.0, high), 1)]
