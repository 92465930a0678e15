"""The decision rule of a checkpoint, chosen on recordings of rendered people.

    python benchmarks/rule.py --checkpoint MODEL.safetensors --out RULED.safetensors

Streams recordings of the validation split and tries thresholds, agreements and windows: the largest
F1 of events among the rules with at most ``MOST_FALSE`` false events a minute. ``--out`` is the
checkpoint with the rule that was chosen, which every bundle of it then has; ``--json`` has all that
were tried.
"""

import argparse
import itertools
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from real import opened
from torch import Tensor
from tqdm import tqdm

from core import checkpoint
from core.data.clips import loader
from core.data.rendered.people.clips import PeopleStreams
from core.decision import Rule
from core.errors import BadInput, run_main
from core.evaluation.streaming import StreamScore, stream_logits
from core.files import write_json
from core.labels import LABELS
from core.options import Parser, check_file, whole
from mobile_export.teach.rule import chosen

THRESHOLDS = [round(0.2 + 0.05 * step, 2) for step in range(15)]  # to 0.9
AGREE = (2, 3, 4, 5, 6, 8)  # frames in a row, of ten a second
WINDOWS = (3, 5, 8)  # frames whose logits are averaged
MOST_FALSE = 1.0  # a minute


@dataclass(frozen=True)
class Tried:
    """A rule's numbers and what it made of the recordings."""

    threshold: float
    agree: int
    window: int
    f1: float
    recognised: int  # gestures with an event of their own
    gestures: int
    false_events: int
    minutes: float

    @property
    def false_a_minute(self) -> float:
        """False events a minute."""
        return self.false_events / self.minutes

    def chosen(self) -> dict[str, Any]:
        """What a manifest says about the recordings that the rule was chosen on."""
        return chosen(
            self.minutes, self.gestures, self.recognised, self.false_events, MOST_FALSE, "recording"
        )


Recording = tuple[Tensor, Tensor, Tensor, Tensor]  # logits (T, K), starts, ends, classes (G,)


def tried(recordings: list[Recording], rule: Rule, rate: float) -> Tried:
    """Score one rule."""
    score = StreamScore(rate)
    for logits, *truth in recordings:
        score.add(logits, rule, *truth)
    right = score.right_events
    f1 = 2 * right / max(1, score.events + score.gestures)
    return Tried(
        rule.threshold, rule.agree, rule.window, round(f1, 4), right, score.gestures,
        score.events - right, score.frames / rate / 60,
    )  # fmt: skip


def best(rules: list[Tried]) -> Tried:
    """The largest F1 within the bound on false events; else the one with the fewest."""
    quiet = [found for found in rules if found.false_a_minute <= MOST_FALSE]
    if not quiet:
        return min(rules, key=lambda found: found.false_a_minute)
    return max(quiet, key=lambda found: (found.f1, -found.false_a_minute))


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = Parser(
        prog="python benchmarks/rule.py", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True)
    add("--streams", type=whole(1), default=60, help="recordings of ten gestures, default 60")
    add("--out", type=Path, help="the checkpoint with its rule")
    add("--json", type=Path)
    args = parser.parse_args(argv)
    check_file("--out", args.out)
    check_file("--json", args.json)
    loaded = opened(args.checkpoint)
    if loaded.labels != list(LABELS):  # the recordings name their gestures by number
        raise BadInput(
            f"{args.checkpoint} has {len(loaded.labels)} classes ({loaded.labels[0]} ...), and the "
            f"recordings are of the {len(LABELS)} of Jester in their order: give a model of those; "
            "for gestures of one's own mobile_export.teach chooses a rule"
        )
    streams = loader(PeopleStreams(args.streams, loaded.config, split="val"), 1, batch_size=None)
    recordings = [
        (stream_logits(loaded.model, frames), *truth)
        for frames, *truth in tqdm(streams, desc="streams", unit="stream")
    ]
    base, rate = Rule.of(loaded.labels, loaded.info), loaded.config.frame_rate
    grid = list(itertools.product(THRESHOLDS, AGREE, WINDOWS))
    rules = [
        tried(recordings, replace(base, threshold=threshold, agree=agree, window=window), rate)
        for threshold, agree, window in tqdm(grid, desc="rules", unit="rule")
    ]
    found = best(rules)
    print(json.dumps(asdict(found) | {"false_a_minute": round(found.false_a_minute, 3)}))
    if args.json:
        write_json(
            "--json", args.json, {"best": asdict(found), "tried": [asdict(r) for r in rules]}
        )
    if args.out:
        rule = {
            "threshold": found.threshold, "agree": found.agree, "window": found.window,
            "chosen": found.chosen(),
        }  # fmt: skip
        info = loaded.info | {"decision": rule}
        checkpoint.write("--out", args.out, loaded.model, loaded.labels, info)
    return 0


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_main(main)
