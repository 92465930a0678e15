"""One training run: its state, one step of it, and how it is saved and resumed."""

import contextlib
import math
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.augment import augment, mirror
from core.errors import BadInput
from core.labels import IGNORE
from core.model import ModelConfig, VideoClassifier
from core.training.curves import Curves
from core.training.distributed import World, mean, share_buffers, total
from core.training.recipes import Recipe
from core.training.supervision import Trainee, losses

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
# oneDNN has bf16 for AVX-512 and newer ARM alone. Elsewhere it is emulated: a clip of 16 frames of
# 112 pixels (forward and backward, causal ACTION MobileNet V2, one core of an AMD EPYC with AVX2)
# took 7.1 s in bf16 and 0.4 s in fp32.
CPU_BF16 = "_is_mkldnn_bf16_supported"
MOST_SKIPPED = 30  # a scale of 65,536 halved so often is far below any that helps
STATEFUL = ("trainee", "average", "optimizer")
PLAIN = ("settings", "labels", "step", "best", "best_size", "smoothed", "seconds", "listing")
NEEDED = {*STATEFUL, "settings", "step"}  # states of old may lack the others


def fast_precision(device: torch.device) -> str:
    """The precision of autocast that the device computes fastest in: bf16, or fp32 without it."""
    if device.type != "cpu":
        return "bf16"
    check = getattr(torch.ops.mkldnn, CPU_BF16, None)
    return "bf16" if check is not None and check() else "fp32"


class Diverged(BadInput):
    """A loss or a gradient that is not a finite number."""


@dataclass
class Run:
    """What ``state.pt`` holds: the trainee, the moving average that is kept, and where they are.

    ``best`` is the best validation accuracy at ``best_size`` pixels; other sizes do not compare.
    ``net`` is what runs: the trainee itself, or wrapped for several processes or compiled.
    ``swapped`` tells what each class becomes in a mirror; ``None`` for no mirroring.
    """

    trainee: Trainee
    average: VideoClassifier
    optimizer: torch.optim.Optimizer
    labels: list[str]
    settings: dict
    recipe: Recipe
    net: nn.Module
    precision: str = "fp32"
    swapped: Tensor | None = None
    world: World = field(default_factory=World)
    curves: Curves | None = None  # of the process that leads, where they are asked for
    saved_step: int = 0  # of the state on disk
    step: int = 0
    best: float = -1.0
    best_size: int = 0
    smoothed: dict[str, float] = field(default_factory=dict)  # parts of the loss, for the log
    seconds: float = 0.0  # trained for, up to the last save
    skipped: int = 0  # steps in a row whose gradient overflowed in fp16
    listing: str = ""  # ``fingerprint`` of the clips

    def __post_init__(self) -> None:
        # Small gradients vanish in fp16 unless the loss is scaled up.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

    @property
    def config(self) -> ModelConfig:
        return self.trainee.model.config

    @property
    def device(self) -> torch.device:
        return next(self.trainee.parameters()).device

    def save(self, path: Path) -> None:
        """Write under a temporary name, then rename."""
        temporary = path.with_suffix(".tmp")
        state = {name: getattr(self, name).state_dict() for name in (*STATEFUL, "scaler")}
        try:
            torch.save(state | {name: getattr(self, name) for name in PLAIN}, temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)  # there only if writing failed

    def restore(self, path: Path) -> None:
        """Go on where a saved state is.

        Raises ``BadInput`` when the file is damaged or of a run with other settings, classes or
        model.
        """
        state = read_state(path)
        saved = state["settings"]

        # An option that is younger than the state was not given, which is False for a flag.
        def given(settings: dict, name: str) -> object:
            value = settings.get(name)
            return None if value is False else value

        names = saved.keys() | self.settings.keys()
        differ = sorted(k for k in names if given(saved, k) != given(self.settings, k))
        if differ:
            raise BadInput(
                f"{path.parent} holds a run with other settings ({', '.join(differ)}): give "
                "another --out, or the same command"
            )
        labels = state.get("labels", self.labels)
        if labels != self.labels:
            other = sorted(set(labels) ^ set(self.labels)) or labels
            raise BadInput(
                f"{path.parent} holds a run for other classes ({', '.join(other[:3])}): give "
                "another --out, or the same clips"
            )
        try:
            for name in STATEFUL:
                getattr(self, name).load_state_dict(state[name])
            if state.get("scaler"):
                self.scaler.load_state_dict(state["scaler"])
        except (RuntimeError, ValueError) as error:  # torch: other names or shapes
            reason = " ".join(str(error).split())[:120]
            raise BadInput(
                f"{path.parent} holds a run of another model ({reason}): give another --out"
            ) from None
        except (AttributeError, KeyError, TypeError):  # no state dicts at all
            raise damaged(path) from None
        listing = self.listing
        for name in PLAIN:
            setattr(self, name, state.get(name, getattr(self, name)))
        if not self.listing:  # of a state from before such clips had one
            self.listing = listing
        if listing != self.listing:
            sys.stderr.write(
                f"warning: the clips are not those that the run of {path.parent} began with: it "
                "goes on with these, and its best is chosen by them\n"
            )
            self.best, self.listing = -1.0, listing
        self.saved_step = self.step


def read_state(path: Path) -> dict:
    """What ``Run.save`` wrote, on the CPU; raises ``BadInput`` when the file is damaged or foreign.

    Half a file, an empty one and flipped bits end in a dozen kinds of errors, all of one meaning.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        whole = state.keys() >= NEEDED and isinstance(state["settings"], dict)
    except Exception:
        whole = False
    if not whole:
        raise damaged(path)
    return state


def damaged(path: Path) -> BadInput:
    """The error for a state that ``Run.save`` did not write, or not to the end."""
    return BadInput(
        f"{path} is damaged or not a state of core.train: remove it to start over, or give "
        "another --out"
    )


Chunk = tuple[tuple[Tensor, Tensor, Tensor, Tensor], torch.Generator]


def train_step(run: Run, chunks: list[Chunk], size: int, rate: float) -> None:
    """Forward and backward of every chunk, one update, average; ``run.step`` moves on by one.

    A chunk is a batch with the generator of all its draws; see ``_chunk_losses``. Raises
    ``Diverged`` in every process when the loss or the gradient of any is not finite, before the
    weights or their average are updated.
    """
    run.trainee.train()
    run.optimizer.zero_grad(set_to_none=True)
    names, sums = [], None
    for place, (batch, generator) in enumerate(chunks, 1):
        waits = place < len(chunks) and hasattr(run.net, "no_sync")
        with run.net.no_sync() if waits else contextlib.nullcontext():
            parts = _chunk_losses(run, batch, size, generator)
            names = list(parts)
            run.scaler.scale(sum(parts.values()) / len(chunks)).backward()
        values = torch.stack([part.detach() for part in parts.values()])
        sums = values if sums is None else sums + values
    sums = mean(sums / len(chunks)).tolist()
    loss = sum(sums)
    if not math.isfinite(loss):
        raise Diverged(f"the loss is {loss} at step {run.step}")
    for group in run.optimizer.param_groups:
        group["lr"] = rate * group.get("lr_mult", 1.0)
    run.scaler.unscale_(run.optimizer)
    norm = nn.utils.clip_grad_norm_(run.trainee.parameters(), run.recipe.clip_norm)
    # In fp16 a gradient overflows now and then: the scaler skips that step and scales down.
    if not run.scaler.is_enabled() and not torch.isfinite(norm):
        raise Diverged(f"the gradient is {norm.item()} at step {run.step}")
    before = run.scaler.get_scale()
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.skipped = run.skipped + 1 if run.scaler.get_scale() < before else 0
    if run.skipped >= MOST_SKIPPED:
        raise Diverged(f"fp16 overflows in {run.skipped} steps in a row at step {run.step}")
    update_average(run.average, run.trainee.model, run.step, run.recipe.average)
    run.step += 1
    for name, value in zip(names, sums, strict=True):
        run.smoothed[name] = 0.95 * run.smoothed.get(name, value) + 0.05 * value


def _chunk_losses(
    run: Run,
    batch: tuple[Tensor, Tensor, Tensor, Tensor],
    size: int,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Augment and run a batch; gives the parts of its loss.

    ``batch`` is frames uint8 (N, T, 3, H, W), labels (N, T), clip labels (N,) and pose targets
    (N, T, P), with P = 0 for none.
    """
    frames, labels, clip_labels, poses = (part.to(run.device, non_blocking=True) for part in batch)
    poses = poses if poses.shape[-1] else None
    if run.swapped is not None:
        frames, labels, clip_labels, poses = mirror(
            frames, labels, clip_labels, poses, run.swapped, generator
        )
    if run.recipe.augment:
        pixels, poses = augment(frames, size, generator, poses, close=frames.shape[1] == 1)
    else:
        pixels = frames.float()
    x = normalised(pixels, run.config).transpose(0, 1).flatten(0, 1)  # time-major
    x = x.contiguous(memory_format=torch.channels_last)
    kept = None
    if run.recipe.dropout:
        shape = (len(x), run.trainee.model.classifier.in_features)
        # From the chunk's generator: a resumed run drops what it would have dropped.
        drawn = torch.rand(shape, generator=generator) >= run.recipe.dropout
        kept = (drawn / (1 - run.recipe.dropout)).to(run.device)
    kind = PRECISIONS[run.precision]
    with torch.autocast(run.device.type, kind, enabled=kind != torch.float32):
        outputs = run.net(x, frames.shape[1], kept)
    return losses(*outputs, labels, clip_labels, poses, run.recipe.smoothing)  # type: ignore[call-arg]  # outputs are three


def normalised(pixels: Tensor, config: ModelConfig) -> Tensor:
    """Float pixels 0..255 (N, T, 3, H, W) to the network's scale."""
    mean, std = (
        torch.tensor(value, device=pixels.device).view(3, 1, 1)
        for value in (config.mean, config.std)
    )
    return (pixels / 255 - mean) / std


@torch.no_grad()
def update_average(
    average: VideoClassifier, model: VideoClassifier, step: int, most: float
) -> None:
    """Exponential moving average of weights and batch-norm statistics, short at the start.

    ``most`` is its decay; 0 keeps a plain copy.
    """
    decay = min(most, (1 + step) / (10 + step))
    for a, b in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if a.is_floating_point():
            a.lerp_(b, 1 - decay)
        else:
            a.copy_(b)


@torch.inference_mode()
def validate(
    model: VideoClassifier, batches: Iterable[tuple[Tensor, Tensor]], size: int
) -> tuple[float, float]:
    """Top-1 of the mean logits over held-out clips, shown at ``size`` pixels, and its mean over
    the classes that they have, both in percent.

    Over the clips of all processes.
    """
    model.eval()
    share_buffers(model)
    device = next(model.parameters()).device
    # (2, classes): clips of each class that were right, and all of them
    counts = torch.zeros(2, model.config.num_classes, dtype=torch.int64)
    for frames, labels in batches:
        pixels = frames.to(device).float()
        if pixels.shape[-1] != size:
            pixels = F.interpolate(
                pixels.flatten(0, 1), (size, size), mode="bilinear", antialias=True
            ).unflatten(0, frames.shape[:2])
        logits = model(normalised(pixels, model.config))
        right = logits.argmax(-1).cpu() == labels
        for row, of in ((0, right), (1, labels != IGNORE)):  # IGNORE: a clip that cannot be read
            counts[row] += labels[of].bincount(minlength=counts.shape[1])
    right, seen = total(counts.to(device)).double().cpu()
    there = seen > 0
    if not there.any():
        return 0.0, 0.0
    top1, balanced = right.sum() / seen.sum(), (right[there] / seen[there]).mean()
    return 100.0 * top1.item(), 100.0 * balanced.item()
