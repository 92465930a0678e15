"""Named ways to train: the published ones of ACTION-Net's code, and our own for rendered gestures.

``jester``, ``egogesture`` and ``something`` are the recipe of the authors' code: SGD with momentum,
steps of the learning rate, and learning rates and weight decay by the kind of a parameter, which
goes back to TSN (Wang et al., ECCV 2016). ``synthetic`` is what the model in the package was
trained with, and what fine-tunes it.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from core.training.supervision import Trainee

MOMENTUM = 0.9
# Learning rate times this, and whether it decays, by the kind of a parameter.
KINDS = {
    "weight": (1.0, True),
    "bias": (2.0, False),  # of convolutions: the first one's, and all of BNInception's
    "norm": (1.0, False),
    "classifier weight": (5.0, True),
    "classifier bias": (10.0, False),
}
# (from this part of the run on, size relative to the final one): small pictures first
PROGRESSIVE = ((0.0, 0.72), (0.75, 1.0))
RATES = 10  # different learning rates from a trunk's first layer to its last
CLOSE_SIZE = 0.58  # of single pictures, which are close crops: the hand is as large in them


@dataclass(frozen=True)
class Recipe:
    """A run's settings that the command line may change, and those that it may not.

    ``milestones`` are the epochs after which the learning rate falls to a tenth; without any it
    warms up and follows a cosine. A recipe has ``epochs`` or ``steps``.
    """

    optimizer: str  # adamw, sgd
    lr: float
    weight_decay: float
    batch: int  # clips of a step, on all processes together
    epochs: int | None = None
    milestones: tuple[int, ...] = ()
    steps: int | None = None
    every: int | None = None  # steps between validations; None: an epoch
    clip_norm: float = 20.0
    dropout: float = 0.5  # of the pooled features
    smoothing: float = 0.0  # of the labels
    average: float = 0.0  # decay of the moving average that is kept; 0 keeps the weights themselves
    augment: bool = False  # batch augmentation, progressive sizes
    size: int = 224
    frames: int = 8
    causal: bool = False

    @property
    def falls(self) -> tuple[float, ...]:
        """The milestones as parts of the run."""
        assert self.epochs or not self.milestones, "milestones are of a recipe in epochs"
        return tuple(epoch / (self.epochs or 1) for epoch in self.milestones)


def _published(epochs: int, milestones: tuple[int, ...]) -> Recipe:
    return Recipe("sgd", 0.01, 5e-4, 64, epochs=epochs, milestones=milestones)


RECIPES = {
    "jester": _published(25, (5, 10, 15)),
    "egogesture": _published(20, (5, 10, 15)),
    "something": _published(50, (30, 40, 45)),
    # 112 pixels: the smallest that shows fingers, and what a CPU can train.
    "synthetic": Recipe(
        "adamw", 2e-3, 0.02, 16, steps=3000, every=250, clip_norm=5.0, dropout=0.0, smoothing=0.05,
        average=0.998, augment=True, size=112, frames=16, causal=True,
    ),
}  # fmt: skip


def parameter_groups(trainee: Trainee, recipe: Recipe, decay: float) -> list[dict]:
    """Parameters by their kind, each group with its ``lr_mult`` and ``weight_decay``.

    For AdamW weights decay; biases and batch norms do not, and all learn at one rate.
    """
    if recipe.optimizer == "adamw":
        decayed = [p for p in trainee.parameters() if p.ndim > 1]
        rest = [p for p in trainee.parameters() if p.ndim <= 1]
        return [{"params": decayed, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
    found: dict[str, list[nn.Parameter]] = {kind: [] for kind in KINDS}
    seen: set[int] = set()
    for module in trainee.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            found[_kind(trainee, module, name)].append(parameter)
    return [
        {"params": found[kind], "lr_mult": rate, "weight_decay": decay if decays else 0.0}
        for kind, (rate, decays) in KINDS.items()
        if found[kind]
    ]


def _kind(trainee: Trainee, module: nn.Module, name: str) -> str:
    if module is trainee.model.classifier:
        return f"classifier {name}"
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        return "norm"
    return "bias" if name == "bias" else "weight"


def slow_early(groups: list[dict], trunk: list[nn.Parameter], early: float) -> list[dict]:
    """Groups whose first parameters of ``trunk`` learn at ``early`` of the rate, the last at all.

    Between them the rate grows by equal factors: what early layers have seen is worth most on
    other pictures (discriminative fine-tuning, Howard and Ruder, ACL 2018, section 3.2).
    """
    last = max(1, len(trunk) - 1)
    rates = {
        id(parameter): early ** (1 - round(index / last * (RATES - 1)) / (RATES - 1))
        for index, parameter in enumerate(trunk)
    }
    found = []
    for group in groups:
        parts: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            parts.setdefault(rates.get(id(parameter), 1.0), []).append(parameter)
        found += [
            group | {"params": part, "lr_mult": group.get("lr_mult", 1.0) * rate}
            for rate, part in parts.items()
        ]
    return found


def make_optimizer(
    trainee: Trainee, recipe: Recipe, lr: float, decay: float,
    trunk: list[nn.Parameter] | None = None, early: float = 1.0,
) -> torch.optim.Optimizer:  # fmt: skip
    """The recipe's optimiser over its parameter groups; ``trunk``, ``early``: ``slow_early``."""
    groups = parameter_groups(trainee, recipe, decay)
    if trunk and early != 1:
        groups = slow_early(groups, trunk, early)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=lr)
    return torch.optim.SGD(groups, lr=lr, momentum=MOMENTUM)


def learning_rate(step: int, steps: int, peak: float, falls: tuple[float, ...] = ()) -> float:
    """A tenth of the rate after each of ``falls``, which are parts of the run.

    Without them: linear warm-up over 5 % of the steps, then a cosine to a hundredth of the peak.
    """
    if falls:
        return peak * 0.1 ** sum(step >= round(part * steps) for part in falls)
    warm = max(1, steps // 20)
    if step < warm:
        return peak * (step + 1) / warm
    x = (step - warm) / max(1, steps - warm)
    return peak * (0.01 + 0.99 * (1 + math.cos(math.pi * x)) / 2)


def size_at(step: int, steps: int, size: int, single: bool = False, full: bool = False) -> int:
    """Picture size of a step, a multiple of 16; the same for every step of single pictures.

    ``full`` shows clips at ``size`` in every step.
    """
    if full and not single:
        return size
    grown = [part for start, part in PROGRESSIVE if step >= start * steps][-1]
    part = CLOSE_SIZE if single else grown
    return min(size, max(32, round(part * size / 16) * 16))
