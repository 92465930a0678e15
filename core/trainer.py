"""One training run: its state, one step of it, and how it is saved and resumed."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.augment import augment, mirror, mirror_map
from core.data.scenes import IGNORE
from core.errors import BadInput
from core.model import ModelConfig, VideoClassifier
from core.supervision import Trainee, losses

CLIP_NORM = 5.0
EMA_DECAY = 0.998
STATEFUL = ("trainee", "average", "optimizer")
PLAIN = ("settings", "labels", "step", "best", "best_size", "smoothed", "seconds")
NEEDED = {*STATEFUL, "settings", "step"}  # states of old may lack the others


@dataclass
class Run:
    """What ``state.pt`` holds: the trainee, the moving average that is kept, and where they are.

    ``best`` is the best validation accuracy at ``best_size`` pixels; other sizes do not compare.
    """

    trainee: Trainee
    average: VideoClassifier
    optimizer: torch.optim.Optimizer
    labels: list[str]
    settings: dict
    step: int = 0
    best: float = -1.0
    best_size: int = 0
    smoothed: dict[str, float] = field(default_factory=dict)  # parts of the loss, for the log
    seconds: float = 0.0  # trained for, up to the last save

    @property
    def config(self) -> ModelConfig:
        return self.trainee.model.config

    @property
    def device(self) -> torch.device:
        return next(self.trainee.parameters()).device

    def save(self, path: Path) -> None:
        """Write under a temporary name, then rename."""
        temporary = path.with_suffix(".tmp")
        state = {name: getattr(self, name).state_dict() for name in STATEFUL}
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
        names = saved.keys() | self.settings.keys()
        differ = sorted(k for k in names if saved.get(k, False) != self.settings.get(k, False))
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
        except (RuntimeError, ValueError) as error:  # torch: other names or shapes
            reason = " ".join(str(error).split())[:120]
            raise BadInput(
                f"{path.parent} holds a run of another model ({reason}): give another --out"
            ) from None
        except (AttributeError, KeyError, TypeError):  # no state dicts at all
            raise damaged(path) from None
        for name in PLAIN:
            setattr(self, name, state.get(name, getattr(self, name)))


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


def train_step(
    run: Run,
    batch: tuple[Tensor, Tensor, Tensor, Tensor],
    size: int,
    rate: float,
    bf16: bool,
    generator: torch.Generator,
) -> None:
    """Augment, forward, backward, update, average; ``run.step`` moves on by one.

    ``batch`` is frames uint8 (N, T, 3, H, W), labels (N, T), clip labels (N,) and pose targets
    (N, T, P), with P = 0 for none. Raises ``BadInput`` when the loss is not finite, before anything
    is updated.
    """
    frames, labels, clip_labels, poses = (part.to(run.device) for part in batch)
    poses = poses if poses.shape[-1] else None
    swapped = mirror_map(run.labels)
    if swapped is not None:
        frames, labels, clip_labels, poses = mirror(
            frames, labels, clip_labels, poses, swapped, generator
        )
    pixels, poses = augment(frames, size, generator, poses, close=frames.shape[1] == 1)
    x = normalised(pixels, run.config).transpose(0, 1).flatten(0, 1)  # time-major
    x = x.contiguous(memory_format=torch.channels_last)
    run.trainee.train()
    with torch.autocast(run.device.type, torch.bfloat16, enabled=bf16):
        outputs = run.trainee(x, frames.shape[1])
    parts = losses(*outputs, labels, clip_labels, poses)
    loss = sum(parts.values())
    if not torch.isfinite(loss):
        raise BadInput(
            f"the loss is {loss.item()} at step {run.step}: lower --lr; the last good state is kept"
        )
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(run.trainee.parameters(), CLIP_NORM)
    run.optimizer.step()
    update_average(run.average, run.trainee.model, run.step)
    run.step += 1
    for name, part in parts.items():
        value = part.item()
        run.smoothed[name] = 0.95 * run.smoothed.get(name, value) + 0.05 * value


def normalised(pixels: Tensor, config: ModelConfig) -> Tensor:
    """Float pixels 0..255 (N, T, 3, H, W) to the network's scale."""
    mean, std = (
        torch.tensor(value, device=pixels.device).view(3, 1, 1)
        for value in (config.mean, config.std)
    )
    return (pixels / 255 - mean) / std


@torch.no_grad()
def update_average(average: VideoClassifier, model: VideoClassifier, step: int) -> None:
    """Exponential moving average of weights and batch-norm statistics, short at the start."""
    decay = min(EMA_DECAY, (1 + step) / (10 + step))
    for a, b in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if a.is_floating_point():
            a.lerp_(b, 1 - decay)
        else:
            a.copy_(b)


@torch.inference_mode()
def validate(model: VideoClassifier, batches: list[tuple[Tensor, Tensor]], size: int) -> float:
    """Top-1 in percent of the mean logits over held-out clips, shown at ``size`` pixels."""
    model.eval()
    device = next(model.parameters()).device
    right = total = 0
    for frames, labels in batches:
        pixels = frames.to(device).float()
        if pixels.shape[-1] != size:
            pixels = F.interpolate(
                pixels.flatten(0, 1), (size, size), mode="bilinear", antialias=True
            ).unflatten(0, frames.shape[:2])
        logits = model(normalised(pixels, model.config))
        right += int((logits.argmax(-1).cpu() == labels).sum())
        total += int((labels != IGNORE).sum())  # IGNORE: a clip that could not be read
    return 100.0 * right / max(1, total)
