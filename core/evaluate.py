"""Evaluate a checkpoint: clips, continuous streams, and the pairs that only time tells apart.

    python -m core.evaluate --clips 2700
    python -m core.evaluate --checkpoint runs/tsn/best.safetensors --pairs 1000 --json tsn.json

Clip accuracy: state reset, mean of the logits over the clip's frames. Stream accuracy: continuous
recordings, state never reset, mean of the logits over the last eight frames at the annotated end of
each gesture. Pair accuracy: which of the two classes of a pair has the larger mean logit.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from core import checkpoint
from core.checkpoint import Checkpoint
from core.data import open_clips
from core.data.gestures import LABELS, STATIC_LABELS, TIME_PAIRS
from core.data.scenes import DIFFICULTY, IGNORE
from core.data.synthetic import SyntheticClips, SyntheticStreams
from core.data.transforms import normalise
from core.errors import BadInput, run_main
from core.files import write_json
from core.model import VideoClassifier
from core.options import Parser, check_file, whole

DECISION_FRAMES = 8  # logits averaged at the end of a gesture


def pass_size(device: torch.device) -> int:
    """Clips to evaluate together.

    One on a CPU, whose caches hold its maps: 16 frames of 112 pixels ran at 251 frames/s of one
    core alone, at 169 with 4 clips a pass and at 100 with 16.
    """
    return 16 if device.type == "cuda" else 1


def clip_logits(model: VideoClassifier, clips: Dataset, workers: int, name: str):
    """Mean logits over each clip's frames and the clips' labels: (n, classes), (n,).

    A label is ``IGNORE`` where the clip could not be read.
    """
    found, wanted = [], []
    config = model.config
    device = next(model.parameters()).device
    loader = DataLoader(clips, batch_size=pass_size(device), num_workers=workers)
    with torch.inference_mode(), tqdm(total=len(clips), desc=name, unit="clip") as bar:
        for frames, labels in loader:
            x = normalise(frames, config.mean, config.std).to(device)
            found.append(model(x).float().cpu())
            wanted.append(labels)
            bar.update(len(labels))
    return torch.cat(found), torch.cat(wanted)


def stream_logits(model: VideoClassifier, frames: Tensor, chunk: int = 64) -> Tensor:
    """Per-frame logits of one recording, uint8 (T, 3, S, S) -> (T, classes), by ``step``."""
    config = model.config
    device = next(model.parameters()).device
    state = model.initial_state()
    out = []
    with torch.inference_mode():
        for part in frames.split(chunk):
            for x in normalise(part, config.mean, config.std).to(device).split(1):
                logits, state = model.step(x, state)
                out.append(logits.float().cpu())
    return torch.cat(out)


def gesture_decisions(logits: Tensor, ends: np.ndarray) -> Tensor:
    """Class at each gesture's end: the mean of the last eight frames up to frame ``end``."""
    return torch.stack(
        [logits[max(0, end + 1 - DECISION_FRAMES) : end + 1].mean(0).argmax() for end in ends]
    )


def stream_accuracy(model: VideoClassifier, streams: SyntheticStreams, workers: int) -> dict:
    """Top-1 at the gestures' ends over continuous recordings, in percent."""
    right = total = 0
    loader = DataLoader(streams, batch_size=None, num_workers=workers)
    for frames, _, ends, labels in tqdm(loader, desc="streams", unit="stream"):
        decided = gesture_decisions(stream_logits(model, frames), ends.numpy())
        right += int((decided == labels).sum())
        total += len(labels)
    return {"top1": 100.0 * right / max(1, total), "gestures": total, "streams": len(streams)}


def by_class(logits: Tensor, labels: Tensor, names: list[str]) -> dict[str, float]:
    """Top-1 of every class in percent."""
    right = logits.argmax(-1) == labels
    return {
        name: round(100.0 * right[labels == i].float().mean().item(), 2)
        for i, name in enumerate(names)
        if (labels == i).any()
    }


def pair_accuracy(
    model: VideoClassifier, clips_a_pair: int, difficulty: str, workers: int
) -> dict[str, float]:
    """For each pair that is one motion run both ways: accuracy in percent between the two."""
    config, results = model.config, {}
    for number, pair in enumerate(TIME_PAIRS):
        clips = SyntheticClips(
            "test", clips_a_pair, frames=config.frames, size=config.size,
            frame_rate=config.frame_rate, difficulty=difficulty, seed=1 + number, only=pair,
        )  # fmt: skip
        logits, labels = clip_logits(model, clips, workers, " / ".join(pair))
        first, second = (LABELS.index(name) for name in pair)
        says_first = logits[:, first] > logits[:, second]
        right = (says_first == (labels == first)).float().mean().item()
        results[" / ".join(pair)] = round(100.0 * right, 2)
    return results


def evaluate(loaded: Checkpoint, args: argparse.Namespace) -> dict:
    """Everything the command line asks for, as one JSON-ready report.

    Raises ``BadInput`` for what the clips or the model cannot give, before anything is run.
    """
    if args.data and (args.streams or args.pairs):
        raise BadInput(
            "--streams and --pairs are of the synthetic gestures: leave them or --data out"
        )
    if args.streams and not loaded.config.can_stream:
        raise BadInput(f"{loaded.config.why_no_stream}, or leave out --streams")
    model = loaded.model
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Channels-last doubles the frames a second of one core.
    model = model.to(device, memory_format=torch.channels_last)
    clips = open_clips(
        args.data, args.split, loaded.config, args.clips, labels=loaded.labels,
        difficulty=args.difficulty, replace=False,
    )  # fmt: skip
    broken = len(getattr(clips, "broken", ()))  # now: without workers the list grows while reading
    logits, labels = clip_logits(model, clips, args.workers, "clips")
    read = labels != IGNORE
    if not read.any():
        raise BadInput(f"none of the {len(labels)} clips can be read: repair them or ask for more")
    broken += int((~read).sum())
    logits, labels = logits[read], labels[read]
    top = logits.topk(min(5, logits.shape[1]), -1).indices == labels[:, None]
    report = {
        "checkpoint_sha256": loaded.sha256,
        "config": loaded.config.to_dict(),
        "split": args.split,
        "difficulty": None if args.data else args.difficulty,
        "clips": len(labels),
        "broken": broken,
        "top1": round(100.0 * top[:, 0].float().mean().item(), 2),
        "top5": round(100.0 * top.any(-1).float().mean().item(), 2),
        "by_class": by_class(logits, labels, loaded.labels),
    }
    if args.data:
        return report
    static = top[:, 0][torch.tensor([LABELS[i] in STATIC_LABELS for i in labels])]
    # A few clips may have none of these classes, and JSON has no NaN.
    report["static_top1"] = round(100.0 * static.float().mean().item(), 2) if len(static) else None
    if args.streams:
        streams = SyntheticStreams(args.streams, loaded.config, args.difficulty, split=args.split)
        report["stream"] = stream_accuracy(model, streams, args.workers)
    if args.pairs:
        report["clips_a_pair"] = args.pairs
        report["pairs"] = pair_accuracy(model, args.pairs, args.difficulty, args.workers)
    return report


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; see ``--help``."""
    parser = Parser(
        prog="python -m core.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--checkpoint", type=Path, default=checkpoint.bundled_path(), help="default: the bundled")
    add("--data", type=Path, help="folder of clips, one sub-folder a class; default: synthetic")
    add("--split", choices=("train", "val", "test"), default="test")
    add(
        "--clips",
        type=whole(1),
        help="number of clips; default 2,700 synthetic ones or the folder's",
    )
    add("--streams", type=whole(0), default=0, help="continuous recordings of 10 gestures each")
    add("--pairs", type=whole(0), default=0, help="clips for each pair that only time tells apart")
    add("--difficulty", choices=list(DIFFICULTY), default="default")
    add("--workers", type=whole(0), default=max(1, (os.cpu_count() or 2) // 2))
    add("--json", type=Path, help="write the report here too")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    args = parse(argv)
    check_file("--json", args.json)
    report = evaluate(checkpoint.load(args.checkpoint), args)
    text = json.dumps(report, indent=2)
    print(text)
    if args.json:
        write_json("--json", args.json, report)
    return 0


if __name__ == "__main__":
    run_main(main)
