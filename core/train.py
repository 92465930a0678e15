"""Train a video classifier on synthetic gestures or on a folder of clips.

    python -m core.train --temporal action --out runs/action
    python -m core.train --data DIR --from CHECKPOINT --out runs/mine

The loss of a causal model is per frame, on the frames from which the gesture can be known, plus the
loss of the clip's mean logits; synthetic windows add what ``supervision`` describes. No weights can
be downloaded, so single pictures come first (``--frames 1``: small, close crops around the hand),
in the place of ImageNet, and clips start from there (``--from``).

Everything is a function of ``--seed`` and the step number, so a run that was killed and is started
again with the same command goes on where its last saved state was, with the same batches.
"""

import argparse
import json
import math
import os
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from core import checkpoint
from core.data import open_clips, open_windows
from core.data.scenes import IGNORE
from core.errors import BadInput, run_main
from core.evaluate import pass_size
from core.model import BACKBONES, LEAST_SIZE, SHIFTS, ModelConfig, VideoClassifier
from core.options import MOST_SEED, Parser, check_folder, number, positive, whole
from core.strided import replace_strided_depthwise
from core.supervision import Trainee
from core.temporal import TEMPORAL, realigned
from core.trainer import Run, train_step, validate

SIZE = 112  # pixels: the smallest that shows fingers, and what a CPU can train
STATE, BEST, LOG = "state.pt", "best.safetensors", "log.jsonl"
SAVE_SECONDS = 120.0
KNOWN_PART = 0.5  # of a folder's clip: frames after this part carry its label
# (from this part of the run on, size relative to the final one): small pictures first
PROGRESSIVE = ((0.0, 0.72), (0.75, 1.0))
CLOSE_SIZE = 0.58  # of single pictures, which are close crops: the hand is as large in them


def parameter_groups(trainee: Trainee, decay: float) -> list[dict]:
    """Weights decay; biases and batch norms do not."""
    decayed = [p for p in trainee.parameters() if p.ndim > 1]
    rest = [p for p in trainee.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 5 % of the steps, then a cosine to a hundredth of the peak."""
    warm = max(1, steps // 20)
    if step < warm:
        return peak * (step + 1) / warm
    x = (step - warm) / max(1, steps - warm)
    return peak * (0.01 + 0.99 * (1 + math.cos(math.pi * x)) / 2)


def size_at(step: int, steps: int, size: int, single: bool = False) -> int:
    """Picture size of a step, a multiple of 16; the same for every step of single pictures."""
    grown = [part for start, part in PROGRESSIVE if step >= start * steps][-1]
    part = CLOSE_SIZE if single else grown
    return min(size, max(32, round(part * size / 16) * 16))


class _Keys:
    """Batch sampler: keys (index, seed) of every step from ``first`` on, from the seed alone."""

    def __init__(self, count: int, batch: int, first: int, steps: int, seed: int) -> None:
        self.count, self.batch, self.first, self.steps, self.seed = count, batch, first, steps, seed

    def __iter__(self):
        for step in range(self.first, self.steps):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            # Without replacement inside an epoch: a permutation of the epoch, cut into batches.
            per_epoch = max(1, self.count // self.batch)
            epoch, place = divmod(step, per_epoch)
            order = torch.randperm(
                self.count, generator=torch.Generator().manual_seed(self.seed * 7919 + epoch)
            )
            chosen = order[place * self.batch : (place + 1) * self.batch].tolist()
            seeds = torch.randint(2**31, (len(chosen),), generator=generator).tolist()
            yield list(zip(chosen, seeds, strict=True))

    def __len__(self) -> int:
        return self.steps - self.first


class _FolderWindows:
    """A folder's clips in the form of the synthetic windows: labels on the clip's later frames."""

    def __init__(self, clips) -> None:
        self.clips, self.labels = clips, clips.labels

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, int, Tensor]:
        frames, label = self.clips[key]
        labels = torch.full((len(frames),), IGNORE)
        labels[int(KNOWN_PART * len(frames)) :] = label
        return frames, labels, label, torch.zeros(len(frames), 0)


def start_from(model: VideoClassifier, path: Path, labels: list[str]) -> list[str]:
    """Copy what fits from another checkpoint; gives the names of the tensors that did not.

    The classifier is copied where both have the same labels, everything else where name and shape
    are the same. Between a bidirectional and a causal model the temporal taps keep their frames.
    """
    loaded = checkpoint.load(path)
    other, own = loaded.model.state_dict(), model.state_dict()
    if loaded.config.causal != model.config.causal:
        other = realigned(model, other)
    if loaded.labels != labels:
        other = {k: v for k, v in other.items() if not k.startswith("classifier.")}
    fits = {k: v for k, v in other.items() if k in own and own[k].shape == v.shape}
    model.load_state_dict(fits, strict=False)
    return sorted(set(own) - set(fits))


def model_config(args: argparse.Namespace) -> ModelConfig:
    """What the command line leaves open comes from ``--from``, and without it is the default."""
    base = checkpoint.load(args.start).config if args.start else ModelConfig(size=SIZE)
    names = ("backbone", "temporal", "width", "size", "frames", "location", "shift")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.causal or args.bidirectional:
        given["causal"] = args.causal
    try:
        return replace(base, **given)
    except ValueError as error:
        raise BadInput(f"no such model: {error}") from None


def start_run(args: argparse.Namespace, config: ModelConfig, labels: list[str], poses: int) -> Run:
    """A new run, or the one that ``--out`` holds; ``poses`` is the number of pose targets."""
    device = torch.device("cuda" if torch.cuda.is_available() and not args.cpu else "cpu")
    model = VideoClassifier(config)
    if args.start:
        fresh = start_from(model, args.start, labels)
        print(f"started from {args.start}; {len(fresh)} tensors are new: {_families(fresh)}")
    trainee = Trainee(model, poses).to(device, memory_format=torch.channels_last)
    if device.type == "cpu":
        replace_strided_depthwise(trainee)
    average = VideoClassifier(config).to(device, memory_format=torch.channels_last)
    average.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(parameter_groups(trainee, args.weight_decay), lr=args.lr)
    settings = {k: v for k, v in vars(args).items() if k not in ("out", "cpu", "workers", "stop")}
    settings = json.loads(json.dumps(settings, default=str))
    run = Run(trainee, average, optimizer, labels, settings)
    if (args.out / STATE).exists():
        run.restore(args.out / STATE)
        print(f"resumed {args.out} at step {run.step} of {args.steps}")
    # Without a state as well: a run that starts over in its folder starts its log over.
    trim_log(args.out / LOG, run.step)
    return run


def trim_log(path: Path, step: int) -> None:
    """Drop the records past ``step``, of validations after the last saved state, and half a line.

    Only the last line can be half-written. Raises ``BadInput`` when an earlier one is no record.
    """
    text = path.read_text(errors="replace") if path.exists() else ""
    lines = text.splitlines()
    kept = ""
    for place, line in enumerate(lines, 1):
        try:
            kept += line + "\n" if json.loads(line)["step"] <= step else ""
        except (KeyError, TypeError, ValueError):  # not JSON, or not a record
            if place < len(lines):
                raise BadInput(
                    f"{path} is damaged in line {place}: remove it, and the run goes on without "
                    "its records, or give another --out"
                ) from None
    if kept != text:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(kept)
        os.replace(temporary, path)


def train(args: argparse.Namespace) -> Path:
    """Run the training that ``args`` describes; gives the path of the best checkpoint."""
    torch.manual_seed(args.seed)
    check_folder("--out", args.out)
    config = model_config(args)
    windows = open_windows(args.data, config, args.clips, args.difficulty, args.seed, args.workers)
    if args.data:
        windows = _FolderWindows(windows)
    config = replace(config, num_classes=len(windows.labels))
    held_out = open_clips(
        args.data, "val", config, args.val_clips, labels=windows.labels,
        difficulty=args.difficulty, replace=False,
    )  # fmt: skip
    run = start_run(args, config, windows.labels, poses=windows[(0, 0)][3].shape[-1])
    keys = _Keys(len(windows), min(args.batch, len(windows)), run.step, args.steps, args.seed)
    loader = DataLoader(windows, batch_sampler=keys, num_workers=args.workers)
    checks = DataLoader(held_out, batch_size=pass_size(run.device), num_workers=args.workers)
    checks = list(checks)  # rendered or decoded once
    args.out.mkdir(parents=True, exist_ok=True)  # not before everything is known to be usable
    bar = tqdm(
        loader, initial=run.step, total=args.steps, desc=args.out.name, unit="step", mininterval=5
    )
    single = config.frames == 1
    saved = time.monotonic()
    began = saved - run.seconds
    for batch in bar:
        size = size_at(run.step, args.steps, config.size, single)
        rate = learning_rate(run.step, args.steps, args.lr)
        generator = torch.Generator().manual_seed(args.seed * 15_485_863 + run.step)
        train_step(run, batch, size, rate, not args.fp32, generator)
        if run.step % 20 == 0:
            bar.set_postfix({k: f"{v:.3f}" for k, v in run.smoothed.items()}, refresh=False)
        at_end = run.step in (args.steps, args.stop)
        if run.step % args.every == 0 or at_end:
            # Single pictures are shown close in training, but whole here, at the final size.
            size = config.size if single else size
            _check(run, args.out, validate(run.average, checks, size), size, rate, began)
        if at_end or time.monotonic() - saved > SAVE_SECONDS:
            run.seconds = time.monotonic() - began
            run.save(args.out / STATE)
            saved = time.monotonic()
        if at_end:
            break
    print(f"best validation accuracy {run.best:.2f} %: {args.out / BEST}")
    return args.out / BEST


def _check(run: Run, out: Path, accuracy: float, size: int, rate: float, began: float) -> None:
    """Log a validation, and keep the average when it is the best at this size."""
    record = {
        "step": run.step, "accuracy": round(accuracy, 3), "lr": rate, "size": size,
        "seconds": round(time.monotonic() - began, 1),
        **{f"loss_{k}": round(v, 4) for k, v in run.smoothed.items()},
    }  # fmt: skip
    with (out / LOG).open("a") as log:
        log.write(json.dumps(record) + "\n")
    tqdm.write(json.dumps(record))
    if accuracy >= run.best or size != run.best_size:
        run.best, run.best_size = accuracy, size
        info = {"settings": run.settings, "step": run.step, "validation_top1": accuracy}
        checkpoint.save(out / BEST, run.average, run.labels, info)


def _families(names: list[str]) -> str:
    """Where tensors belong; a temporal module sits inside the backbone."""

    def family(name: str) -> str:
        return "temporal" if ".temporal." in name else name.split(".")[0]

    return ", ".join(sorted({family(name) for name in names})) or "none"


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; see ``--help``."""
    parser = Parser(
        prog="python -m core.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for state, log and best checkpoint")
    add("--data", type=Path, help="folder of clips, one sub-folder a class; default: synthetic")
    add("--from", dest="start", type=Path, help="checkpoint to start from; what fits is copied")
    add("--backbone", choices=sorted(BACKBONES), help="default: mobilenet_v2, or that of --from")
    add("--temporal", choices=list(TEMPORAL), help="none is TSN, shift is TSM; default: action")
    direction = parser.add_mutually_exclusive_group()
    direction.add_argument(
        "--causal", action="store_true", help="the past alone; default, or --from's"
    )
    direction.add_argument(
        "--bidirectional", action="store_true", help="see the future too; cannot be streamed"
    )
    add("--location", type=whole(1), help="of the temporal module in its block, default 1")
    add("--shift", choices=SHIFTS, help="learned: train its taps; default: fixed, or --from's")
    add("--width", type=positive, help="channel multiplier of the backbone, default 1")
    add("--size", type=whole(LEAST_SIZE), help=f"picture side in pixels, default {SIZE}")
    add(
        "--frames",
        type=whole(1),
        help="frames of a window, default 16; 1 trains on single pictures",
    )
    add("--clips", type=whole(1), default=12000, help="synthetic windows to render and train on")
    add("--difficulty", default="default", help="of the synthetic clips: easy, default, hard")
    add("--steps", type=whole(1), default=3000)
    add("--batch", type=whole(1), default=16, help="clips a step")
    add("--lr", type=positive, default=2e-3, help="peak learning rate of AdamW")
    add("--weight-decay", type=number, default=0.02)
    add("--seed", type=whole(0, MOST_SEED), default=0)
    add("--every", type=whole(1), default=250, help="steps between validations")
    add("--val-clips", type=whole(1), default=270, help="held-out clips of a validation")
    workers = max(1, (os.cpu_count() or 2) // 2)
    add("--workers", type=whole(0), default=workers, help="loader processes")
    add("--stop", type=whole(1), help="stop after this step, to be resumed later")
    add("--fp32", action="store_true", help="no bfloat16 autocast")
    add("--cpu", action="store_true", help="do not use a GPU")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    train(parse(argv))
    return 0


if __name__ == "__main__":
    run_main(main)
