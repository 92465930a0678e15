"""The decision rule's threshold and agreement, chosen on one's own held-out clips.

The clips of a session are played one after the other, as held-out models answered them, gestures
and what is none in turn. A clip of a gesture is a gesture from its first frame to its last.
"""

import math
from collections import defaultdict
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from core.decision import Rule, idle_labels
from core.evaluation.events import LATE, Gesture, count_right
from core.evaluation.streaming import decide
from mobile_export.teach.crossval import Judgement

RATE = 1.0  # false events a minute that are aimed at
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
AGREES = (2, 3, 4, 5, 6)

Stream = tuple[Tensor, list[Gesture]]  # logits (T, K), gestures in frames


def streams_of(judgement: Judgement, idle: frozenset[str]) -> list[Stream]:
    """One stream a session: a clip of each class in turn, so that none follows itself."""
    sessions: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number in sorted(judgement.logits):
        clip = judgement.clips[number]
        sessions[clip.session][clip.label].append(number)
    found = []
    for classes in sessions.values():
        # Each class spread evenly over the session.
        order = sorted(
            ((place + 0.5) / len(numbers), label, number)
            for label, numbers in classes.items()
            for place, number in enumerate(numbers)
        )
        rows, gestures, at = [], [], 0
        for _, label, number in order:
            logits = judgement.logits[number]
            if label not in idle:
                gestures.append(Gesture(label, at, at + len(logits) - 1))
            rows.append(logits)
            at += len(logits)
        found.append((torch.cat(rows), gestures))
    return found


def choose(judgement: Judgement, info: dict, frame_rate: float, rate: float = RATE) -> dict:
    """The numbers of a rule and what they gave, JSON-ready, as a manifest's ``decision`` has them.

    Of the rules with at most ``rate`` false events a minute the one that recognises most gestures;
    where none has, the one with the fewest false events. Ties go to the fewer false events, then to
    the quicker rule.
    """
    idle = frozenset(idle_labels(judgement.labels, info))
    streams = streams_of(judgement, idle)
    frames = sum(len(logits) for logits, _ in streams)
    minutes = frames / frame_rate / 60
    made = sum(len(gestures) for _, gestures in streams)
    base = Rule.of(judgement.labels, info)
    tried = []
    for threshold in THRESHOLDS:
        for agree in AGREES:
            rule = replace(base, threshold=threshold, agree=agree)
            events = right = 0
            for logits, gestures in streams:
                _, found = decide(logits, rule)
                events += len(found)
                right += count_right(found, gestures, LATE * frame_rate)
            false = events - right
            kept = false / minutes <= rate
            order = (kept, right if kept else -false, -false if kept else right, -agree, -threshold)
            tried.append((order, threshold, agree, right, false))
    _, threshold, agree, right, false = max(tried)
    return {
        "threshold": threshold,
        "agree": agree,
        "chosen": chosen(minutes, made, right, false, rate, judgement.to_dict()["by"]),
    }


def chosen(
    minutes: float, gestures: int, right: int, false: int, wanted: float, by: str
) -> dict[str, Any]:
    """What a manifest says about the recordings that a rule was chosen on.

    ``right`` of the ``gestures`` have an event of their own, ``false`` events are none's;
    ``wanted`` is the rate of those, a minute, that the rule was chosen for, ``by`` what was held
    out together.
    """
    return {
        "minutes": round(minutes, 2),
        "gestures": gestures,
        "recognised": right,
        "false_events": false,
        "false_a_minute": round(false / minutes, 3),
        "false_a_minute_at_most": round(_upper(false) / minutes, 3),
        "wanted_a_minute": wanted,
        "by": by,
    }


def _upper(count: int) -> float:
    """The largest mean of a Poisson count that still gives ``count`` or fewer in 5 of 100 cases."""
    low, high = float(count), count + 5 * math.sqrt(count + 1) + 5
    for _ in range(60):
        middle = (low + high) / 2
        term = total = math.exp(-middle)
        for k in range(1, count + 1):
            term *= middle / k
            total += term
        low, high = (middle, high) if total > 0.05 else (low, middle)
    return high
