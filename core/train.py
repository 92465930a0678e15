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
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from core import checkpoint
from core.data.augment import augment, mirror, mirror_map
from core.data.scenes import IGNORE
from core.errors import BadInput, run_main
from core.model import BACKBONES, ModelConfig, VideoClassifier
from core.strided import replace_strided_depthwise
from core.supervision import Trainee, losses
from core.temporal import TEMPORAL

CLIP_NORM = 5.0
EMA_DECAY = 0.998
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


def size_at(step: int, steps: int, size: int) -> int:
    """Picture size of a step, a multiple of 16."""
    return _rounded([p for start, p in PROGRESSIVE if step >= start * steps][-1], size)


def _rounded(part: float, size: int) -> int:
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


def start_from(model: VideoClassifier, path: Path) -> list[str]:
    """Copy what fits from another checkpoint; gives the names of the tensors that did not.

    The classifier fits where both have the same classes, temporal modules where both have them.
    """
    other = checkpoint.load(path).model.state_dict()
    own = model.state_dict()
    fits = {k: v for k, v in other.items() if k in own and own[k].shape == v.shape}
    model.load_state_dict(fits, strict=False)
    return sorted(set(own) - set(fits))


@torch.no_grad()
def update_average(average: VideoClassifier, model: VideoClassifier, step: int) -> None:
    """Exponential moving average of weights and batch-norm statistics, short at the start."""
    decay = min(EMA_DECAY, (1 + step) / (10 + step))
    for a, b in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if a.is_floating_point():
            a.lerp_(b, 1 - decay)
        else:
            a.copy_(b)


def validate(model: VideoClassifier, loader: list, size: int, device: torch.device) -> float:
    """Top-1 in percent of the mean logits over held-out clips, at the training's present size."""
    model.eval()
    right = total = 0
    mean, std = _statistics(model.config, device)
    with torch.inference_mode():
        for frames, labels in loader:
            pixels = frames.to(device).float()
            if pixels.shape[-1] != size:
                pixels = F.interpolate(
                    pixels.flatten(0, 1), (size, size), mode="bilinear", antialias=True
                ).unflatten(0, frames.shape[:2])
            x = (pixels / 255 - mean) / std
            right += int((model(x).argmax(-1).cpu() == labels).sum())
            total += len(labels)
    return 100.0 * right / max(1, total)


def _statistics(config: ModelConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    mean, std = (
        torch.tensor(v, device=device).view(1, 1, 3, 1, 1) for v in (config.mean, config.std)
    )
    return mean, std


def save_state(path: Path, **state: object) -> None:
    """Write a resumable state under a temporary name, then rename."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def train(args: argparse.Namespace) -> Path:
    """Run the training that ``args`` describes; gives the path of the best checkpoint."""
    from core.data import open_clips, open_windows

    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() and not args.cpu else "cpu")
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    config = ModelConfig(
        backbone=args.backbone, temporal=args.temporal, causal=not args.bidirectional,
        size=args.size, frames=args.frames, width=args.width,
    )  # fmt: skip
    windows = open_windows(args.data, config, args.clips, args.difficulty, args.seed, args.workers)
    if not isinstance(windows, torch.utils.data.Dataset) or args.data:
        windows = _FolderWindows(windows)
    config = replace(config, num_classes=len(windows.labels))
    held_out = open_clips(
        args.data, "val", config, args.val_clips, labels=windows.labels, difficulty=args.difficulty
    )
    model = VideoClassifier(config)
    if args.start:
        fresh = start_from(model, Path(args.start))
        print(f"started from {args.start}; {len(fresh)} tensors are new: {_families(fresh)}")
    pose_size = windows[(0, 0)][3].shape[-1]
    trainee = Trainee(model, pose_size).to(device, memory_format=torch.channels_last)
    if device.type == "cpu":
        replace_strided_depthwise(trainee)
    average = VideoClassifier(config).to(device)
    average.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(parameter_groups(trainee, args.weight_decay), lr=args.lr)

    settings = {k: v for k, v in vars(args).items() if k not in ("out", "cpu", "workers", "stop")}
    settings = json.loads(json.dumps(settings, default=str))
    state_path, log_path, best_path = out / "state.pt", out / "log.jsonl", out / "best.safetensors"
    first, best, best_size = 0, -1.0, 0
    if state_path.exists():
        state = torch.load(state_path, map_location=device, weights_only=True)
        if state["settings"] != settings:
            raise BadInput(
                f"{out} holds a run with other settings: give another --out, or the same command"
            )
        trainee.load_state_dict(state["trainee"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first, best, best_size = state["step"], state["best"], state["best_size"]
        print(f"resumed {out} at step {first} of {args.steps}")

    keys = _Keys(len(windows), min(args.batch, len(windows)), first, args.steps, args.seed)
    loader = DataLoader(windows, batch_sampler=keys, num_workers=args.workers)
    checks = list(DataLoader(held_out, batch_size=16, num_workers=args.workers))
    swapped = mirror_map(windows.labels)
    mean, std = _statistics(config, device)
    log = log_path.open("a")
    bar = tqdm(loader, initial=first, total=args.steps, desc=out.name, unit="step", mininterval=5)
    began, saved, seen = time.monotonic(), time.monotonic(), {}
    for step, (frames, labels, clip_labels, poses) in enumerate(bar, first):
        generator = torch.Generator().manual_seed(args.seed * 15_485_863 + step)
        frames, labels, clip_labels = frames.to(device), labels.to(device), clip_labels.to(device)
        poses = poses.to(device) if pose_size else None
        if swapped is not None:
            frames, labels, clip_labels, poses = mirror(
                frames, labels, clip_labels, poses, swapped, generator
            )
        close = config.frames == 1
        size = (
            _rounded(CLOSE_SIZE, config.size) if close else size_at(step, args.steps, config.size)
        )
        pixels, poses = augment(frames, size, generator, poses, close)
        x = ((pixels / 255 - mean) / std).transpose(0, 1).flatten(0, 1)
        x = x.contiguous(memory_format=torch.channels_last)
        trainee.train()
        rate = learning_rate(step, args.steps, args.lr)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16, enabled=not args.fp32):
            outputs = trainee(x, frames.shape[1])
        parts = losses(*outputs, labels, clip_labels, poses)
        loss = sum(parts.values())
        if not torch.isfinite(loss):
            raise BadInput(
                f"the loss is {float(loss)} at step {step}: lower --lr; the last good state is in "
                f"{state_path}"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trainee.parameters(), CLIP_NORM)
        optimizer.step()
        update_average(average, model, step)

        for name, value in parts.items():
            value = value.item()
            seen[name] = 0.95 * seen.get(name, value) + 0.05 * value
        done = step + 1
        if done % 20 == 0:
            bar.set_postfix({k: f"{v:.3f}" for k, v in seen.items()}, refresh=False)
        at_end = done == args.steps or done == args.stop
        if done % args.every == 0 or at_end:
            accuracy = validate(average, checks, config.size if close else size, device)
            record = {
                "step": done, "accuracy": round(accuracy, 3), "lr": rate, "size": size,
                "seconds": round(time.monotonic() - began, 1),
                **{f"loss_{k}": round(v, 4) for k, v in seen.items()},
            }  # fmt: skip
            log.write(json.dumps(record) + "\n")
            log.flush()
            tqdm.write(json.dumps(record))
            if accuracy >= best or size != best_size:  # sizes do not compare
                best, best_size = accuracy, size
                info = {"settings": settings, "step": done, "validation_top1": accuracy}
                checkpoint.save(best_path, average, windows.labels, info)
        if at_end or time.monotonic() - saved > 120:
            save_state(
                state_path, settings=settings, step=done, best=best, best_size=best_size,
                trainee=trainee.state_dict(),
                average=average.state_dict(), optimizer=optimizer.state_dict(),
            )  # fmt: skip
            saved = time.monotonic()
        if at_end:
            break
    print(f"best validation accuracy {best:.2f} %: {best_path}")
    return best_path


def _families(names: list[str]) -> str:
    kinds = sorted({"classifier" if n.startswith("classifier") else "temporal" for n in names})
    return ", ".join(kinds) or "none"


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; see ``--help``."""
    parser = argparse.ArgumentParser(
        prog="python -m core.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for state, log and best checkpoint")
    add("--data", type=Path, help="folder of clips, one sub-folder a class; default: synthetic")
    add("--from", dest="start", type=Path, help="checkpoint to start from; what fits is copied")
    add("--backbone", choices=sorted(BACKBONES), default="mobilenet_v2")
    add("--temporal", choices=list(TEMPORAL), default="action", help="none is TSN, shift is TSM")
    add("--bidirectional", action="store_true", help="see the future too; cannot be streamed")
    add("--width", type=float, default=1.0, help="channel multiplier of the backbone")
    add("--size", type=int, default=112, help="picture side in pixels")
    add("--frames", type=int, default=16, help="frames of a window; 1 trains on single pictures")
    add("--clips", type=int, default=12000, help="synthetic windows to render and train on")
    add("--difficulty", default="default", help="of the synthetic clips: easy, default, hard")
    add("--steps", type=int, default=3000)
    add("--batch", type=int, default=16, help="clips a step")
    add("--lr", type=float, default=2e-3, help="peak learning rate of AdamW")
    add("--weight-decay", type=float, default=0.02)
    add("--seed", type=int, default=0)
    add("--every", type=int, default=250, help="steps between validations")
    add("--val-clips", type=int, default=270, help="held-out clips of a validation")
    add("--workers", type=int, default=max(1, (os.cpu_count() or 2) // 2), help="loader processes")
    add("--stop", type=int, help="stop after this step, to be resumed later")
    add("--fp32", action="store_true", help="no bfloat16 autocast")
    add("--cpu", action="store_true", help="do not use a GPU")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    train(parse(argv))
    return 0


if __name__ == "__main__":
    run_main(main)
