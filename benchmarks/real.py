"""What a model makes of real clips of people: clips by class, and recordings without any gesture.

    python benchmarks/real.py DIR --checkpoint A.safetensors [--checkpoint B.safetensors ...]

``DIR`` has a sub-folder a class, of videos as a phone or webcam made them; not every class has to
be there. Clips of a gesture are judged by the mean of the logits (top-1, top-5, probability of the
right class) and through the live path (frames at the model's rate, state, decision rule); clips of
classes that mean nothing, of any length, by their false events. With several checkpoints, what two
of them say of the same clips is compared, since a difference of a few clips says little by itself.
"""

import argparse
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from core import checkpoint
from core.data.rate import MAX_SECONDS, Unreadable
from core.data.streams import video_parts
from core.data.video import VIDEO_SUFFIXES, hidden
from core.decision import Rule
from core.errors import BadInput, run_main
from core.evaluation.intervals import wilson
from core.evaluation.streaming import decide, stream_logits
from core.files import write_json
from core.model import VideoClassifier
from core.options import Parser, check_file


@dataclass
class Clip:
    """One real clip and what a model said of it."""

    file: str
    label: str
    gesture: bool
    rank: int  # of the right class, 0 for the best
    right_probability: float
    said: str
    events: list[str]


def judge(loaded: checkpoint.Checkpoint, files: list[tuple[str, Path]]) -> list[Clip]:
    """What a model says of every file. Raises ``BadInput`` for one that cannot be read."""
    rule = Rule.of(loaded.labels, loaded.info)
    found = []
    for label, path in tqdm(files, desc=loaded.path.stem, unit="clip"):
        gesture = label not in rule.none_labels
        logits = clip_logits(loaded.model, path, MAX_SECONDS if gesture else math.inf)
        chances = logits.mean(0).softmax(0)
        right = loaded.labels.index(label)
        order = chances.argsort(descending=True).tolist()
        found.append(
            Clip(
                f"{path.parent.name}/{path.name}", label, gesture,
                order.index(right), round(float(chances[right]), 4), loaded.labels[order[0]],
                [event.label for event in decide(logits, rule)[1]],
            )
        )  # fmt: skip
    return found


def clip_logits(model: VideoClassifier, path: Path, most: float) -> Tensor:
    """Logits (T, K) of a file's frames, of which few are in memory at a time.

    Raises ``BadInput`` for a file that is broken or lasts more than ``most`` seconds.
    """
    try:
        logits = stream_logits(model, video_parts(path, model.config, most))
        if not len(logits):
            raise Unreadable("no video frame in it")
    except Unreadable as error:
        raise BadInput(f"{path} cannot be read ({error}): repair it or take it out") from None
    return logits


def opened(path: Path) -> checkpoint.Checkpoint:
    """A checkpoint that can stream, which the live path needs. Raises ``BadInput``."""
    loaded = checkpoint.load(path)
    if not loaded.config.can_stream:
        raise BadInput(f"{path}: {loaded.config.why_no_stream}")
    return loaded


def summary(clips: list[Clip]) -> dict:
    """Figures of one model."""
    shown = [clip for clip in clips if clip.gesture]
    nothing = [clip for clip in clips if not clip.gesture]
    top1, top5 = (sum(clip.rank < k for clip in shown) for k in (1, 5))
    live = sum(clip.events == [clip.label] for clip in shown)
    return {
        "gestures": len(shown),
        "top1": top1,
        "top1_interval": [round(v, 1) for v in wilson(top1, len(shown))],
        "top5": top5,
        "right_probability": round(sum(c.right_probability for c in shown) / max(1, len(shown)), 4),
        "live_right": live,
        "without_gesture": len(nothing),
        "false_events": sum(len(clip.events) for clip in nothing),
        "clips_with_false_events": sum(bool(clip.events) for clip in nothing),
    }


def agreement(first: list[Clip], second: list[Clip]) -> dict:
    """Two models on the same clips with a gesture: who is right where the other is not."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a.gesture]
    return {
        "same_answer": sum(a.said == b.said for a, b in pairs),
        "only_first_right": sum(a.rank == 0 != b.rank for a, b in pairs),
        "only_second_right": sum(b.rank == 0 != a.rank for a, b in pairs),
        "better_rank_first": sum(a.rank < b.rank for a, b in pairs),
        "better_rank_second": sum(b.rank < a.rank for a, b in pairs),
    }


def find(root: Path, labels: list[str]) -> list[tuple[str, Path]]:
    """(label, file) of every video of a class of the model."""
    folders = (
        [path for path in sorted(root.iterdir()) if path.is_dir() and not hidden(path)]
        if root.is_dir()
        else []
    )
    unknown = [folder.name for folder in folders if folder.name not in labels]
    files = [
        (folder.name, file)
        for folder in folders
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in VIDEO_SUFFIXES and not hidden(file)
    ]
    if unknown or not files:
        reason = f"has a sub-folder {unknown[0]!r}" if unknown else "holds no videos by class"
        raise BadInput(
            f"{root} {reason}: give a folder of the model's classes, such as {labels[0]}"
        )
    return files


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="sub-folders by class, of videos")
    parser.add_argument("--checkpoint", type=Path, action="append", help="default: the bundled one")
    parser.add_argument("--json", type=Path, help="write every clip's answers into this file")
    args = parser.parse_args(argv)
    check_file("--json", args.json)
    told: dict[str, dict] = {}
    answers: dict[str, list[Clip]] = {}
    paths = args.checkpoint or [checkpoint.bundled_path()]
    models = [(path, opened(path)) for path in paths]  # all of them before the first is judged
    for path, loaded in models:
        answers[str(path)] = judge(loaded, find(args.folder, loaded.labels))
        told[str(path)] = summary(answers[str(path)])
        print(json.dumps({"checkpoint": str(path), **told[str(path)]}))
    names = list(answers)
    pairs = {
        f"{a} / {b}": agreement(answers[a], answers[b])
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    }
    for name, found in pairs.items():
        print(json.dumps({"pair": name, **found}))
    if args.json:
        clips = {name: [asdict(clip) for clip in found] for name, found in answers.items()}
        report = {"models": told, "pairs": pairs, "clips": clips}
        write_json("--json", args.json, report)
    return 0


if __name__ == "__main__":
    run_main(main)
