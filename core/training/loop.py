"""Train a video classifier: on rendered gestures, a folder of clips or a published data set.

    python -m core.train --temporal action --out runs/action
    python -m core.train --data DIR --from CHECKPOINT --out runs/mine
    python -m core.train --recipe jester --data 20bn-jester --from IMAGENET --out runs/jester
    torchrun --nproc-per-node 4 -m core.train --recipe something --data DIR --out runs/sth

The loss of a causal model is per frame, on the frames from which the gesture can be known, plus the
loss of the clip's mean logits, which is all that a bidirectional model has; rendered windows add
what ``supervision`` describes. Without other weights to start from (``core.checkpoint import``),
single pictures come first (``--frames 1``: small, close crops around the hand), in the place of
ImageNet, and clips start from there (``--from``).

Everything is a function of ``--seed`` and the step number, so a run that was killed and is started
again with the same command goes on where its last saved state was, with the same batches.
"""

import argparse
import contextlib
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from core import checkpoint
from core.data.fingerprint import fingerprint
from core.decision import idle_labels, told_idle
from core.errors import BadInput
from core.evaluation.report import pass_size
from core.files import replace_file
from core.model import ModelConfig, VideoClassifier
from core.options import check_folder
from core.temporal import realigned
from core.training import distributed
from core.training.batches import Keys, alike, held_out
from core.training.curves import Curves, summary_writer
from core.training.distributed import World
from core.training.failures import explained, save_last
from core.training.frozen import freeze
from core.training.memory import keep_freed
from core.training.plan import mirrored, model_config, open_data, recipe_name, settle
from core.training.plan import parse as parse_options
from core.training.recipes import RECIPES, learning_rate, make_optimizer, size_at
from core.training.strided import replace_strided_depthwise
from core.training.supervision import Trainee
from core.training.trainer import Run, fast_precision, train_step, validate

STATE, BEST, LOG = "state.pt", "best.safetensors", "log.jsonl"
SAVE_SECONDS = 120.0
# What a run may be resumed with another value of.
NOT_SETTINGS = ("out", "cpu", "workers", "stop", "accumulate", "compile", "tensorboard")


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


def _tell_idle(args: argparse.Namespace, labels: list[str], world: World) -> None:
    unknown = [name for name in args.none or () if name not in labels]
    if unknown:
        raise BadInput(
            f"--none {unknown[0]} is none of the {len(labels)} classes ({', '.join(labels[:3])}, "
            "...): give a class as it is written"
        )
    if world.leads:
        print(told_idle(idle_labels(labels, {"settings": {"none": args.none}})))


def start_run(
    args: argparse.Namespace, config: ModelConfig, labels: list[str], poses: int,
    world: World, device: torch.device, listing: str = "",
) -> Run:  # fmt: skip
    """A new run, or the one that ``--out`` holds; ``poses`` is the number of pose targets.

    ``listing`` is the ``fingerprint`` of the clips; where it is another's than at the run's begin,
    that is told.
    """
    recipe = RECIPES[recipe_name(args)]
    model = VideoClassifier(config)
    trunk, frozen = [], []
    if args.start:
        fresh = start_from(model, args.start, labels)
        trunk = [
            p for name, p in model.backbone.named_parameters(prefix="backbone") if name not in fresh
        ]
        if world.leads:
            print(f"started from {args.start}; {len(fresh)} tensors are new: {_families(fresh)}")
        if args.freeze:
            frozen = freeze(model, args.freeze, fresh)
    trainee = Trainee(model, poses, frozen).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs leave this form out
    if device.type == "cpu":
        replace_strided_depthwise(trainee)
        keep_freed()
    average = VideoClassifier(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs leave this form out
    average.load_state_dict(model.state_dict())
    settings = {k: v for k, v in vars(args).items() if k not in NOT_SETTINGS}
    run = Run(
        trainee, average,
        make_optimizer(trainee, recipe, args.lr, args.weight_decay, trunk, args.early_rate or 1.0),
        labels, json.loads(json.dumps(settings, default=str)), recipe, trainee,
        "fp32" if args.fp32 else args.precision or fast_precision(device), mirrored(args, labels),
        world, listing=listing,
    )  # fmt: skip
    if (args.out / STATE).exists():
        run.restore(args.out / STATE)
        if world.leads:
            print(f"resumed {args.out} at step {run.step} of {args.steps}")
    steps = distributed.everywhere(run.step, device)
    if len(set(steps)) > 1:
        raise BadInput(
            f"--out {args.out} holds a run at step {max(steps)} for some processes and at "
            f"{min(steps)} for others: give a folder that all machines share"
        )
    run.net = distributed.parallel(trainee, device)
    if args.compile:
        run.net = torch.compile(run.net)  # type: ignore[assignment]  # called as the module is
    # Without a state as well: a run that starts over in its folder starts its log over.
    if world.leads:
        trim_log(args.out / LOG, run.step)
        if args.tensorboard:
            run.curves = Curves(args.tensorboard, run.step)
    distributed.wait()
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
        replace_file(path, kept.encode())


def train(args: argparse.Namespace) -> Path:
    """Run the training that ``args`` describes; gives the path of the best checkpoint."""
    torch.manual_seed(args.seed)
    check_folder("--out", args.out)
    if args.tensorboard:
        check_folder("--tensorboard", args.tensorboard)
        summary_writer()
    config = model_config(args)
    recipe = RECIPES[recipe_name(args)]
    if args.freeze and not args.start:
        raise BadInput(f"--freeze {args.freeze} keeps what --from gave: give a checkpoint")
    if args.freeze:
        freeze(VideoClassifier(config), args.freeze)  # refused before windows are rendered
    world, device = distributed.start(args.cpu)
    windows, clips = open_data(args, config, recipe, world)
    settle(args, recipe, len(windows))
    _tell_idle(args, windows.labels, world)
    config = replace(config, num_classes=len(windows.labels))
    parts = world.size * args.accumulate
    batch = min(args.batch, len(windows) // parts * parts)
    weights = alike(windows.classes) if args.balance else None  # type: ignore[attr-defined]  # of a folder
    keys = Keys(len(windows), batch, 0, args.steps, args.seed, parts, world, weights)
    poses = windows[(0, 0)][3].shape[-1]
    listing = "-".join(filter(None, (fingerprint(windows), fingerprint(clips))))
    run = start_run(args, config, windows.labels, poses, world, device, listing)
    keys.first = run.step
    args.out.mkdir(parents=True, exist_ok=True)  # not before everything is known to be usable
    try:
        checks = held_out(clips, pass_size(device), args.workers, world)
        loader = DataLoader(
            windows, batch_sampler=keys, num_workers=args.workers,
            pin_memory=device.type == "cuda",
        )  # fmt: skip
        _steps(run, args, loader, keys, checks)
    except Exception as error:
        raise explained(error, run, args.out) from error
    if world.leads:
        save_last(run, args.out)
        print(f"best validation accuracy {run.best:.2f} %: {args.out / BEST}")
    distributed.stop()
    return args.out / BEST


def _steps(
    run: Run, args: argparse.Namespace, loader: DataLoader, keys: Keys, checks: Iterable
) -> None:
    """Train to the end or to ``--stop``, with validations, log and saved states."""
    config, recipe, out = run.config, run.recipe, args.out
    bar = tqdm(
        range(run.step, args.steps), initial=run.step, total=args.steps, desc=out.name, unit="step",
        mininterval=5, disable=not run.world.leads,
    )  # fmt: skip
    saved = time.monotonic()
    began = saved - run.seconds
    if not (out / STATE).exists():
        _save(run, out, run.seconds)  # so that whatever ends the run leaves one
    if args.stop and run.step >= args.stop:
        if run.world.leads:
            bar.close()
            print(f"{out} is at step {run.step}: leave --stop {args.stop} out to go on")
        return
    pace, batches = Pace(), iter(loader)
    for step in bar:
        size = size_at(step, args.steps, config.size, config.frames == 1, args.full_size)
        size = size if recipe.augment else config.size
        rate = learning_rate(step, args.steps, args.lr, recipe.falls)
        with pace.waiting():
            chunks = [(next(batches), _generator(args.seed, step, c, keys)) for c in keys.chunks]
        train_step(run, chunks, size, rate)
        pace.clips += keys.batch
        if run.step % 20 == 0:
            bar.set_postfix({k: f"{v:.3f}" for k, v in run.smoothed.items()}, refresh=False)
        at_end = run.step in (args.steps, args.stop)
        if run.step % args.every == 0 or at_end:
            # Single pictures are shown close in training, but whole here, at the final size.
            size = config.size if config.frames == 1 else size
            speed = pace.read()
            top1, balanced = validate(run.average, checks, size)
            found = {"accuracy": round(top1, 3), "balanced": round(balanced, 3)}
            # The best is the best for what is trained for.
            score = balanced if args.balance else top1
            _check(run, out, score, found, size, rate, began, speed)
            pace = Pace()
        if at_end or time.monotonic() - saved > SAVE_SECONDS:
            _save(run, out, time.monotonic() - began)
            saved = time.monotonic()
        if at_end:
            break


def _generator(seed: int, step: int, chunk: int, keys: Keys) -> torch.Generator:
    """Of all draws for one chunk of a step."""
    return torch.Generator().manual_seed((seed * 15_485_863 + step) * keys.parts + chunk)


def _save(run: Run, out: Path, seconds: float) -> None:
    run.seconds, run.saved_step = seconds, run.step
    if run.world.leads:
        run.save(out / STATE)


class Pace:
    """Clips a second since it was made, and the part of that time that went by waiting for them."""

    def __init__(self) -> None:
        self.clips, self.waited, self.began = 0, 0.0, time.monotonic()

    @contextlib.contextmanager
    def waiting(self):
        began = time.monotonic()
        yield
        self.waited += time.monotonic() - began

    def read(self) -> dict[str, float]:
        """For the log."""
        seconds = max(1e-9, time.monotonic() - self.began)
        return {
            "clips_per_second": round(self.clips / seconds, 2),
            "waited": round(self.waited / seconds, 3),
        }


def _check(
    run: Run, out: Path, score: float, found: dict[str, float], size: int, rate: float,
    began: float, speed: dict[str, float],
) -> None:  # fmt: skip
    """Log a validation, and keep the average when it is the best at this size."""
    better = score >= run.best or size != run.best_size
    if better:
        run.best, run.best_size = score, size
    if not run.world.leads:
        return
    record = {
        "step": run.step, **found, "lr": rate, "size": size,
        "seconds": round(time.monotonic() - began, 1), **speed,
        **{f"loss_{k}": round(v, 4) + 0.0 for k, v in run.smoothed.items()},
    }  # fmt: skip
    with (out / LOG).open("a") as log:
        log.write(json.dumps(record) + "\n")
    tqdm.write(json.dumps(record))
    if run.curves:
        run.curves.add(record)
    if better:
        info = {"settings": run.settings, "step": run.step, "validation_top1": found["accuracy"]}
        checkpoint.save(out / BEST, run.average, run.labels, info)


def _families(names: list[str]) -> str:
    """Where tensors belong; a temporal module sits inside the backbone."""

    def family(name: str) -> str:
        return "temporal" if ".temporal." in name else name.split(".")[0]

    return ", ".join(sorted({family(name) for name in names})) or "none"


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; see ``--help``."""
    return parse_options(argv, __doc__)


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    train(parse(argv))
    return 0
