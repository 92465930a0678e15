"""Evaluate a checkpoint: clips, continuous streams, and the pairs that only time tells apart.

    python -m core.evaluate --clips 2700
    python -m core.evaluate --checkpoint runs/tsn/best.safetensors --pairs 1000 --json tsn.json
    python -m core.evaluate --checkpoint MODEL --data JESTER --views 10x3 --confusion jester.png
    python -m core.evaluate --stream video.mp4 --truth gestures.csv
    python -m core.evaluate --classes map.json

Clip accuracy: state reset, mean of the logits over the clip's frames; with several views of a clip
(--views clips x crops) the mean of their probabilities. Streams: continuous recordings, state never
reset; see ``streaming`` for what is measured. Pair accuracy: which of the two classes of a pair has
the larger mean logit. --classes regroups the classes of the clips, and those of a model that was
not trained with them: a merged class has the sum of the probabilities.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from core import checkpoint
from core.checkpoint import Checkpoint
from core.classes import ClassMap, add_classes_option
from core.data import open_clips, rendered_clips, rendered_streams
from core.data.clips import Clips, loader
from core.data.relabelled import new_labels
from core.data.source import Source, as_trained, source_of
from core.data.transforms import normalise
from core.decision import Rule
from core.errors import BadInput
from core.evaluation import confusion
from core.evaluation.streaming import StreamScore, stream_logits
from core.files import write_json
from core.labels import IGNORE, LABELS, STATIC_LABELS, TIME_PAIRS
from core.model import VideoClassifier
from core.options import Parser, add_data_options, add_rendered_options, check_file, views, whole
from core.regroup import regrouped

LONGEST = 60.0  # seconds: no gesture lasts so long, but one in milliseconds does
UNEVEN = 3.0  # times the smallest class that the largest has, to be told


def pass_size(device: torch.device) -> int:
    """Clips to evaluate together.

    One on a CPU, whose caches hold its maps: 16 frames of 112 pixels ran at 251 frames/s of one
    core alone, at 169 with 4 clips a pass and at 100 with 16.
    """
    return 16 if device.type == "cuda" else 1


def clip_logits(model: VideoClassifier, clips: Clips, workers: int, name: str):
    """Mean logits over each clip's frames and the clips' labels: (n, classes), (n,).

    For clips of several views (V, T, 3, S, S) the logarithm of the views' mean probabilities. A
    label is ``IGNORE`` where the clip could not be read.
    """
    found, wanted = [], []
    config = model.config
    device = next(model.parameters()).device
    at_once = pass_size(device)
    batches = loader(clips, workers, batch_size=max(1, at_once // getattr(clips, "views", 1)))
    with torch.inference_mode(), tqdm(total=len(clips), desc=name, unit="clip") as bar:
        for frames, labels in batches:
            parts = frames.flatten(0, -5).split(at_once)  # views in front are as clips
            logits = torch.cat(
                [model(normalise(p, config.mean, config.std).to(device)).float() for p in parts]
            ).cpu()
            if frames.ndim == 6:
                logits = logits.unflatten(0, frames.shape[:2]).softmax(-1).mean(1).log()
            found.append(logits)
            wanted.append(labels)
            bar.update(len(labels))
    return torch.cat(found), torch.cat(wanted)


def stream_report(
    loaded: Checkpoint, args: argparse.Namespace, source: Source, classes: ClassMap | None
) -> dict:
    """The streaming protocol over rendered, EgoGesture's or one's own recordings.

    Gestures of a class that ``classes`` drops are none that could be found.
    """
    own = _annotated_labels(loaded, args, source, classes)
    score, rule = StreamScore(loaded.config.frame_rate), Rule.of(loaded.labels, loaded.info)
    recordings: Any
    if args.stream:
        from core.data.streams import file_stream

        recordings = [file_stream(args.stream, args.truth, loaded.config, own)]
    elif source.data is None:
        recordings = rendered_streams(
            args.split, loaded.config, args.streams, capsules=args.capsules,
            backgrounds=args.backgrounds,
        )  # fmt: skip
    else:
        from core.data.streams import EgoGestureStreams

        recordings = EgoGestureStreams(source.data, args.split, args.streams, loaded.config, own)
    if not args.stream:
        recordings = loader(recordings, args.workers, batch_size=None)
    for frames, starts, ends, labels in tqdm(recordings, desc="streams", unit="stream"):
        logits = stream_logits(loaded.model, frames)
        if args.stream:
            _check_times(args.truth, starts, ends, len(logits), loaded.config.frame_rate)
        if classes is not None:
            labels = new_labels(classes, own)[labels]
            counts = labels != IGNORE
            starts, ends, labels = starts[counts], ends[counts], labels[counts]
        score.add(logits, rule, starts, ends, labels)
    return score.report()


def _annotated_labels(
    loaded: Checkpoint, args: argparse.Namespace, source: Source, classes: ClassMap | None
) -> list[str]:
    """What the classes of a recording's gestures are numbers of."""
    if classes is None:
        return loaded.labels
    if args.stream:  # annotated with the names that the map has, where the model tells no more
        return list(classes.known or classes.named)
    if source.data is None:
        return list(LABELS)
    from core.data.egogesture import class_names

    return class_names(source.data, list(classes.known) if classes.known else None)


def _check_times(truth: Path, starts: Tensor, ends: Tensor, frames: int, rate: float) -> None:
    """Tell gestures after a recording's end, and refuse times that must be milliseconds."""
    late = int((starts >= frames).sum())
    if not len(starts):
        return
    length = float((ends - starts).double().median()) / rate
    if length > LONGEST and ends.max() / 1000 <= frames + rate:
        raise BadInput(
            f"--truth {truth}: gestures of {length:g} s, to {ends.max() / rate:g} s of a recording "
            f"of {frames / rate:.1f} s, look like milliseconds: give seconds"
        )
    if late:
        sys.stderr.write(
            f"warning: --truth {truth}: {late} of {len(starts)} gestures begin after the end of "
            f"the recording at {frames / rate:.1f} s and count as missed\n"
        )


def by_class(logits: Tensor, labels: Tensor, names: list[str]) -> dict[str, float]:
    """Top-1 of every class in percent."""
    right = logits.argmax(-1) == labels
    return {
        name: round(100.0 * right[labels == i].float().mean().item(), 2)
        for i, name in enumerate(names)
        if (labels == i).any()
    }


def balance(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Top-1 as the mean over the classes that there are, and the largest one's part of the clips.

    Both in percent: a model that always answers the largest class has the second as its top-1.
    """
    right = (logits.argmax(-1) == labels).double()
    sizes = labels.bincount()
    sums = torch.zeros(len(sizes), dtype=torch.float64).index_add_(0, labels, right)
    there = sizes > 0
    mean = (sums[there] / sizes[there]).mean()
    return round(100.0 * mean.item(), 2), round(100.0 * sizes.max().item() / len(labels), 2)


def tell_majority(labels: Tensor, names: list[str], majority: float) -> None:
    """Warn where most clips are of one class, whose accuracy then looks like that of all."""
    sizes = labels.bincount()
    classes = int((sizes > 0).sum())
    if classes > 1 and majority > 50.0 and int(sizes.max()) >= UNEVEN * int(sizes[sizes > 0].min()):
        sys.stderr.write(
            f"warning: {majority:g} % of the clips are {names[int(sizes.argmax())]!r}, which top1 "
            "mostly tells: read balanced, the mean over the classes\n"
        )


def pair_accuracy(model: VideoClassifier, args: argparse.Namespace) -> dict[str, float]:
    """For each pair that the order of time tells apart: accuracy in percent between the two.

    Of capsules each is one motion run both ways, so that a guess is 50. People hold their hand in
    ways that are likelier for one class (``people.gestures``): the pose alone tells up to 59 % of
    swipes across, 67 % of those up and down, and 81 and 76 % of pushing and pulling a hand and two
    fingers.
    """
    results = {}
    for number, pair in enumerate(TIME_PAIRS):
        clips = rendered_clips(
            args.split, model.config, args.pairs, capsules=args.capsules, seed=1 + number,
            backgrounds=args.backgrounds, only=pair,
        )  # fmt: skip
        logits, labels = clip_logits(model, clips, args.workers, " / ".join(pair))
        first, second = (LABELS.index(name) for name in pair)
        says_first = logits[:, first] > logits[:, second]
        right = (says_first == (labels == first)).float().mean().item()
        results[" / ".join(pair)] = round(100.0 * right, 2)
    return results


def evaluate(loaded: Checkpoint, args: argparse.Namespace) -> dict:
    """Everything the command line asks for, as one JSON-ready report.

    Raises ``BadInput`` for what the clips or the model cannot give, before anything is run.
    """
    source = _source(loaded, args)
    loaded, classes = regrouped(loaded, args.classes)
    if classes is not None and classes.known:
        sys.stderr.write(f"{classes.where}: {classes.told()}\n")
    model = loaded.model
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Channels-last doubles the frames a second of one core.
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs leave this form out
    head: dict[str, Any] = {
        "checkpoint_sha256": loaded.sha256, "config": loaded.config.to_dict(),
    }  # fmt: skip
    if classes is not None:
        head["classes"] = dict(classes.groups)
    if args.stream:
        return head | {"stream": stream_report(loaded, args, source, classes)}
    clips = open_clips(
        source if args.data else None, args.split, loaded.config, args.clips, labels=loaded.labels,
        capsules=args.capsules, replace=False, views=args.views,
        backgrounds=args.backgrounds, classes=classes,
    )  # fmt: skip
    broken = len(getattr(clips, "broken", ()))  # now: without workers the list grows while reading
    logits, labels = clip_logits(model, clips, args.workers, "clips")
    read = labels != IGNORE
    if not read.any():
        raise BadInput(f"none of the {len(labels)} clips can be read: repair them or ask for more")
    broken += int((~read).sum())
    logits, labels = logits[read], labels[read]
    top = logits.topk(min(5, logits.shape[1]), -1).indices == labels[:, None]
    matrix = confusion.count(logits.argmax(-1), labels, len(loaded.labels))
    balanced, majority = balance(logits, labels)
    tell_majority(labels, loaded.labels, majority)
    report = head | {
        "split": getattr(clips, "split", args.split),
        "capsules": None if args.data else args.capsules,
        "views": "x".join(map(str, args.views)),
        "clips": len(labels),
        "broken": broken,
        "top1": round(100.0 * top[:, 0].float().mean().item(), 2),
        "balanced": balanced,
        "majority": majority,
        "top5": round(100.0 * top.any(-1).float().mean().item(), 2),
        "by_class": by_class(logits, labels, loaded.labels),
        "most_confused": confusion.worst(matrix, loaded.labels),
    }
    if args.confusion:
        confusion.draw(args.confusion, matrix, loaded.labels)
    if args.streams:
        report["stream"] = stream_report(loaded, args, source, classes)
    if args.data or classes is not None:
        return report
    static = top[:, 0][torch.tensor([LABELS[i] in STATIC_LABELS for i in labels])]
    # A few clips may have none of these classes, and JSON has no NaN.
    report["static_top1"] = round(100.0 * static.float().mean().item(), 2) if len(static) else None
    if args.pairs:
        report["clips_a_pair"] = args.pairs
        report["pairs"] = pair_accuracy(model, args)
    return report


def _source(loaded: Checkpoint, args: argparse.Namespace) -> Source:
    """Where the clips come from. Refuses what they or the model cannot give."""
    source = source_of(args)
    plain = bool(args.data) and source.kind != "egogesture"
    if (args.data and args.pairs) or (plain and args.streams):
        raise BadInput(
            "--streams and --pairs are of the rendered gestures, --streams of EgoGesture too: "
            "leave them or --data out"
        )
    if args.pairs and args.classes:
        raise BadInput("--pairs are of the rendered gestures as they are: leave --classes out")
    if (args.streams or args.stream) and not loaded.config.can_stream:
        raise BadInput(f"{loaded.config.why_no_stream}, or leave out --streams")
    if bool(args.stream) != bool(args.truth):
        raise BadInput("--stream VIDEO and --truth CSV belong together: give both or neither")
    if args.stream and (args.confusion or args.streams or args.pairs):
        raise BadInput("--confusion, --streams and --pairs are not of --stream: leave them out")
    if args.views != (1, 1) and not args.data:
        raise BadInput("--views are of clips in a folder: give their folder with --data DIR")
    return as_trained(source, loaded.info)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; see ``--help``."""
    parser = Parser(
        prog="python -m core.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--checkpoint", type=Path, default=checkpoint.bundled_path(), help="default: the bundled")
    add_data_options(parser)
    add_classes_option(parser, "regroup the classes: a subset of them, merged or renamed")
    add("--split", choices=("train", "val", "test"), default="test")
    add(
        "--clips",
        type=whole(1),
        help="number of clips; default: the folder's, of the rendered ones those in the package",
    )
    add(
        "--views", type=views, default=(1, 1), metavar="CLIPSxCROPS",
        help="of each clip, as 10x3 in the papers' tests; default 1x1, the centre",
    )  # fmt: skip
    add(
        "--streams", type=whole(0), default=0,
        help="continuous recordings: rendered ones of 10 gestures each, or EgoGesture's",
    )  # fmt: skip
    add("--stream", type=Path, metavar="VIDEO", help="one's own recording, of any length, alone")
    add("--truth", type=Path, metavar="CSV", help="its gestures: label,start,end in seconds")
    add("--pairs", type=whole(0), default=0, help="clips for each pair that only time tells apart")
    add_rendered_options(parser)
    add("--workers", type=whole(0), default=max(1, (os.cpu_count() or 2) // 2))
    add("--confusion", type=Path, metavar="PNG", help="draw the confusion matrix")
    add("--json", type=Path, help="write the report here too")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    args = parse(argv)
    check_file("--json", args.json)
    check_file("--confusion", args.confusion)
    report = evaluate(checkpoint.load(args.checkpoint), args)
    text = json.dumps(report, indent=2)
    print(text)
    if args.json:
        write_json("--json", args.json, report)
    return 0
