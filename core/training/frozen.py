"""Fine-tuning with a frozen trunk: what its first parts make of every clip is computed once.

A causal model's map of a frame depends on that frame and those before it alone, so the maps at a
border between two parts are all that training the rest needs. A step then costs what the rest costs
(compare "feature extraction" in Donahue et al., DeCAF, ICML 2014).
"""

import copy
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.errors import BadInput
from core.labels import IGNORE
from core.model import VideoClassifier
from core.training.batches import KNOWN_PART
from core.training.recipes import learning_rate
from core.training.supervision import losses

SHRINK = 0.3  # of the covariance towards its diagonal, for class means of few clips
START_SPREAD = 2.0  # standard deviation of the logits that class means start with
# A step of fine-tuning: windows, peak rate of AdamW, how much of every channel varies.
BATCH, RATE, DECAY, CLIP_NORM, SMOOTHING, GAIN = 12, 1e-3, 0.02, 5.0, 0.05, 0.1
LEAST_STEPS = 24  # before training may stop early
SETTLED = 0.98  # part of the latest windows that were answered right, at which it stops
MEMORY = 0.9  # of that running mean, a step


class Rest(nn.Module):
    """The parts of a model from ``border`` on, with pooling and classifier; shares its weights."""

    def __init__(self, model: VideoClassifier, border: int) -> None:
        super().__init__()
        self.model, self.border = model, border

    def features(self, maps: Tensor, frames: int) -> Tensor:
        """Maps at the border, time-major (T * N, C, h, w), to pooled features (T * N, D)."""
        x = maps
        for part in self.model.backbone.parts()[self.border :]:
            x = part(x, lambda temporal, y: temporal(y, frames))
        return x.mean((2, 3))

    def forward(self, maps: Tensor, frames: int) -> Tensor:
        """Logits (T, N, classes)."""
        return self.model.classifier(self.features(maps, frames)).unflatten(0, (frames, -1))

    def learned(self) -> list[nn.Parameter]:
        """The parameters that training may change: those that a gradient reaches from the maps."""
        probe = copy.deepcopy(self.model)
        for parameter in probe.parameters():
            parameter.requires_grad_(True).grad = None
        size = probe.config.size
        maps = maps_of(probe, torch.zeros(1, 2, 3, size, size), self.border)
        rest = Rest(probe, self.border).eval()
        rest(maps.transpose(0, 1).flatten(0, 1).float(), 2).sum().backward()
        pairs = zip(self.model.parameters(), probe.parameters(), strict=True)
        return [mine for mine, other in pairs if other.grad is not None]


def freeze(model: VideoClassifier, border: int, fresh: Collection[str] = ()) -> list[nn.Module]:
    """Keep the parts before ``border`` as they are; gives their batch norms.

    Their parameters want no gradients, so that a backward pass ends at the border. The batch norms
    keep their statistics as long as the caller holds them in evaluation mode. Raises ``BadInput``
    when the trunk has no such part or nothing would be left to learn, and when one of the ``fresh``
    parameters, which have learned nothing, would be kept.
    """
    parts = len(model.backbone.parts())
    if not 0 < border < parts:
        raise BadInput(f"--freeze {border}: the trunk has {parts} parts: give 1 to {parts - 1}")
    learned = {id(parameter) for parameter in Rest(model, border).learned()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in learned)
    kept = [name for name, p in model.named_parameters() if not p.requires_grad and name in fresh]
    if kept:
        raise BadInput(
            f"--freeze {border} would keep {len(kept)} tensors that the start does not have "
            f"({kept[0]}, ...): freeze less, or start from a checkpoint of this model"
        )
    return [
        module for module in model.modules()
        if isinstance(module, nn.BatchNorm2d) and id(module.weight) not in learned
    ]  # fmt: skip


def border_of(model: VideoClassifier) -> int:
    """The number of parts to freeze: all that know of time, where some behind them do not.

    Else, as in ResNet-50, those up to the last maps at a sixteenth of the picture's side.
    """
    parts = model.backbone.parts()
    size = model.config.size
    slots = {id(holder) for _, holder, _ in model.backbone.slots(size, size)}
    last = max(
        number for number, part in enumerate(parts)
        if isinstance(part, nn.Module) and any(id(m) in slots for m in part.modules())
    )  # fmt: skip
    if last + 1 < len(parts):
        return last + 1
    return parts.index(model.backbone.inner_maps()[-1][0]) + 1


@torch.inference_mode()
def _maps(model: VideoClassifier, clips: Tensor, border: int) -> Tensor:
    n, frames = clips.shape[:2]
    x = clips.transpose(0, 1).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    for part in model.backbone.parts()[:border]:
        x = part(x, lambda temporal, y: temporal(y, frames))
    return x.unflatten(0, (frames, n)).transpose(0, 1)


def maps_of(model: VideoClassifier, clips: Tensor, border: int) -> Tensor:
    """Maps (N, T, C, h, w) in half precision that leave part ``border - 1``.

    ``clips`` (N, T, 3, S, S) are normalised. The model is in evaluation mode meanwhile: frozen
    batch norm has the statistics that it came with.
    """
    was = model.training
    model.eval()
    try:
        return _maps(model, clips, border).half().clone(memory_format=torch.contiguous_format)
    finally:
        model.train(was)


@dataclass(frozen=True)
class Maps:
    """What is learned from: of each clip, maps (V, T, C, h, w) of its variants, and its class.

    The first variant is the clip as it was recorded. T is at least the frames of a window.
    """

    clips: Sequence[Tensor]
    classes: Sequence[int]
    idle: frozenset[int]  # classes without a gesture: every frame shows them

    def of(self, numbers: Sequence[int]) -> "Maps":
        """Some of them."""
        return Maps([self.clips[i] for i in numbers], [self.classes[i] for i in numbers], self.idle)


@torch.no_grad()
def frame_logits(rest: Rest, maps: Tensor) -> Tensor:
    """Logits (T, classes) of a clip's maps (T, C, h, w)."""
    rest.eval()
    return rest(maps.float(), len(maps))[:, 0]


def class_means(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Weight (classes, D) and bias of a linear classifier by the classes' mean features.

    Linear discriminant analysis with a shrunk covariance within the classes (Friedman, "Regularized
    discriminant analysis", JASA 84, 1989), scaled to logits of ``START_SPREAD``: a start from which
    few clips need few steps. Every class needs a row.
    """
    means = torch.stack([features[labels == k].mean(0) for k in range(classes)])
    inner = features - means[labels]
    spread = inner.var(0) + 1e-3 * inner.var() + 1e-6
    # With fewer rows than dimensions through the rows (Woodbury): cov = diag + inner' inner.
    scaled = ((1 - SHRINK) / len(inner)) ** 0.5 * inner  # (n, D)
    diagonal = SHRINK * spread
    small = torch.eye(len(inner)) + (scaled / diagonal) @ scaled.T
    flat = means / diagonal
    weight = flat - (flat @ scaled.T) @ torch.linalg.solve(small, scaled / diagonal)
    bias = -0.5 * (weight * means).sum(1)
    scale = START_SPREAD / (features @ weight.T + bias).std().clamp(min=1e-6)
    weight, bias = scale * weight, scale * bias
    return weight, bias - bias.mean()


@torch.no_grad()
def start_head(rest: Rest, maps: Maps) -> None:
    """Give the classifier the class means of the known frames; ``rest`` is as it came."""
    rest.eval()
    rows, labels = [], []
    for clip, label in zip(maps.clips, maps.classes, strict=True):
        found = rest.features(clip[0].float(), clip.shape[1])
        known = found[_first_known(len(found), label in maps.idle) :]
        # Every third frame: those beside each other say the same.
        rows.append(known[::3])
        labels += [label] * len(rows[-1])
    classes = rest.model.classifier.out_features
    weight, bias = class_means(torch.cat(rows), torch.tensor(labels), classes)
    rest.model.classifier.weight.copy_(weight)
    rest.model.classifier.bias.copy_(bias)


def _first_known(frames: int, idle: bool) -> int:
    return 0 if idle else int(KNOWN_PART * frames)


Told = Callable[[int, int], None]  # is told the step and of how many at most


def fit(
    rest: Rest, maps: Maps, *, frames: int, steps: int, seed: int, told: Told,
    lr: float = RATE, late: Callable[[], bool] = lambda: False,
) -> int:  # fmt: skip
    """Fine-tune the rest on windows of ``frames``; gives the steps that it took.

    Every class is drawn as often as every other. Training ends early when the running mean of the
    windows answered right is ``SETTLED``, or when ``late`` says so; it looks at nothing else, so
    that clips which were held out stay unseen. Batch norm keeps its statistics.
    """
    learned = rest.learned()
    for parameter in rest.model.parameters():
        parameter.requires_grad_(False)
    for parameter in learned:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in learned if p.ndim > 1], "weight_decay": DECAY},
            {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=lr,
    )
    generator = torch.Generator().manual_seed(seed)
    right = 0.0
    rest.eval()
    for step in range(steps):
        x, labels, clip_labels = _batch(maps, frames, generator)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, lr)
        logits = rest(x, frames).float()
        parts = losses(logits, None, [], labels, clip_labels, None, SMOOTHING)
        optimizer.zero_grad(set_to_none=True)
        sum(parts.values(), torch.zeros(())).backward()
        nn.utils.clip_grad_norm_(learned, CLIP_NORM)
        optimizer.step()
        share = (logits.detach().mean(0).argmax(-1) == clip_labels).float().mean().item()
        right = MEMORY * right + (1 - MEMORY) * share
        told(step + 1, steps)
        done = step + 1 >= LEAST_STEPS and right / (1 - MEMORY ** (step + 1)) >= SETTLED
        if done or late():
            return step + 1
    return steps


def _batch(maps: Maps, frames: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Windows (T * N, C, h, w), labels (N, T) of their frames and (N,) of the windows."""

    def draw(below: int) -> int:
        return int(torch.randint(below, (), generator=generator))

    of_class: dict[int, list[int]] = {}
    for number, label in enumerate(maps.classes):
        of_class.setdefault(label, []).append(number)
    names = sorted(of_class)
    order = torch.randperm(len(names), generator=generator).tolist()
    windows, labels, clip_labels = [], [], []
    for n in range(BATCH):
        label = names[order[n % len(order)]]
        clip = maps.clips[of_class[label][draw(len(of_class[label]))]]
        start = draw(clip.shape[1] - frames + 1)
        windows.append(clip[draw(len(clip)), start : start + frames])
        row = torch.full((frames,), IGNORE)
        row[_first_known(frames, label in maps.idle) :] = label
        labels.append(row)
        clip_labels.append(label)
    x = torch.stack(windows, 1).float()  # (T, N, C, h, w)
    gain = 1 + GAIN * torch.randn(1, *x.shape[1:3], 1, 1, generator=generator)
    return (x * gain).flatten(0, 1), torch.stack(labels), torch.tensor(clip_labels)
