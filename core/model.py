"""The video classifier: a 2-D backbone with temporal modules, run over clips or as a stream.

Train in parallel, run as a recurrence: ``model(clip)`` takes all frames at once, ``model.step``
one frame and the state of the frames before it. For a causal model both give the same logits.
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.backbones.bn_inception import BNInception
from core.backbones.mobilenet_v2 import MobileNetV2
from core.backbones.resnet import ResNet50
from core.backbones.slots import Trunk
from core.temporal import SHIFT_DIVISOR, TEMPORAL, Shape, State, TemporalModule

BACKBONES: dict[str, type[Trunk]] = {
    "mobilenet_v2": MobileNetV2,
    "resnet50": ResNet50,
    "bn_inception": BNInception,
}
SHIFTS = ("fixed", "learned")
# What the papers call a backbone with each temporal module in its slots.
NETWORKS = {
    "none": "tsn", "shift": "tsm", "ste": "ste", "ce": "ce", "me": "me", "action": "action",
}  # fmt: skip
# Every model by its name, tsn_mobilenet_v2 to action_bn_inception, as keywords of ``ModelConfig``.
CONFIGS: dict[str, dict[str, Any]] = {
    f"{network}_{backbone}": {"backbone": backbone, "temporal": temporal}
    for backbone in BACKBONES
    for temporal, network in NETWORKS.items()
}

# Far above what anybody trains, far below what no memory holds: a file from elsewhere may say more.
MOST = {"num_classes": 100_000, "size": 4096, "frames": 10_000}
MOST_WIDTH = 16.0
LEAST_SIZE = 32  # pixels: the backbone halves a picture five times


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


@dataclass(frozen=True)
class ModelConfig:
    """Everything needed to build a model and to feed it; stored in every checkpoint.

    Raises ``ValueError`` on a value that no model can be built from.
    """

    backbone: str = "mobilenet_v2"
    temporal: str = "action"  # a key of ``NETWORKS``
    causal: bool = True
    num_classes: int = 27
    width: float = 1.0  # channel multiplier of the backbone
    size: int = 224  # input height and width in pixels
    frames: int = 16  # frames of a clip in clip form
    frame_rate: float = 10.0  # frames a second that the model was trained for
    # x = (pixel / 255 - mean) / std. Equal for the channels, so that a Core ML image input, which
    # has one scale, needs nothing folded into the stem.
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    location: int = 1  # of a temporal module in its block (ACTION-Net, supplement, Table 1)
    fold: int = SHIFT_DIVISOR  # channels over those that the fixed shift of TSM moves each way
    shift: str = "fixed"  # or learned: three trained taps a channel, as in ACTION-Net's code

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            value = getattr(self, name)
            if (
                not isinstance(value, list | tuple)
                or len(value) != 3
                or not all(map(_finite, value))
            ):
                raise ValueError(f"{name} {value!r} must be three numbers, one a colour channel")
            # JSON has lists only; equality and hashing want tuples.
            object.__setattr__(self, name, tuple(value))
        if min(self.std) <= 0:
            raise ValueError(f"std {self.std!r} must be positive: pixels are divided by it")
        choices = (("backbone", BACKBONES), ("temporal", TEMPORAL), ("shift", SHIFTS))
        for name, known in choices:
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise ValueError(f"{name} {value!r} is unknown: choose one of {', '.join(known)}")
        for name, least in (("num_classes", 1), ("size", LEAST_SIZE), ("frames", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} {value!r} must be a whole number of at least {least}")
        for name, most in MOST.items():
            if getattr(self, name) > most:
                raise ValueError(f"{name} {getattr(self, name)!r} is above {most}")
        for name in ("width", "frame_rate"):
            value = getattr(self, name)
            if not _finite(value) or value <= 0:
                raise ValueError(f"{name} {value!r} must be a positive number")
        if self.width > MOST_WIDTH:
            raise ValueError(f"width {self.width!r} is above {MOST_WIDTH:g}")
        most, location = BACKBONES[self.backbone].LOCATIONS, self.location
        least = 0 if BACKBONES[self.backbone].WHOLE and self.temporal == "shift" else 1
        whole = isinstance(location, int) and not isinstance(location, bool)
        if not whole or not least <= location <= most:
            raise ValueError(f"location {location!r} must be {least} to {most} in {self.backbone}")
        if not isinstance(self.fold, int) or isinstance(self.fold, bool) or self.fold < 2:
            raise ValueError(f"fold {self.fold!r} must be a whole number of at least 2")
        if self.fold != SHIFT_DIVISOR and (self.temporal, self.shift) != ("shift", "fixed"):
            raise ValueError(
                f"fold {self.fold} is of the fixed shift of temporal 'shift': {self.temporal!r} "
                f"with shift {self.shift!r} moves 1/{SHIFT_DIVISOR}"
            )
        if self.shift == "learned" and self.temporal == "none":
            raise ValueError(
                "shift 'learned' has no taps to learn in temporal 'none': take 'fixed'"
            )

    @property
    def name(self) -> str:
        """As ``CONFIGS`` has it, whatever the direction, the place and the kind of shift."""
        return f"{NETWORKS[self.temporal]}_{self.backbone}"

    @property
    def why_no_stream(self) -> str | None:
        """Why the model has no stream form and what to do about it; None when it has one.

        TSN needs no other frame, however it is flagged.
        """
        if self.temporal == "none":
            return None
        if self.shift == "learned":
            then = "" if self.causal else ", then turn it causal (to-causal) and fine-tune it"
            return (
                "a model with a learned shift cannot stream: every channel of a slot weighs three "
                "frames, and a stream would have to keep whole maps; snap its taps to the pure "
                f"shift (python -m core.checkpoint snap-taps){then}"
            )
        if not self.causal:
            return (
                f"a bidirectional {self.temporal} model cannot stream: it needs the next frame; "
                "train a causal one (core.train --causal)"
            )
        return None

    @property
    def can_stream(self) -> bool:
        """Whether the model has a stream form."""
        return self.why_no_stream is None

    def to_dict(self) -> dict:
        values = asdict(self)
        if self.fold == SHIFT_DIVISOR:  # as readers of before it was a setting take it
            del values["fold"]
        return values

    @classmethod
    def from_name(cls, name: str, **settings: Any) -> "ModelConfig":
        """Build one of ``CONFIGS``, ``tsm_resnet50`` for one, with other settings beside.

        Raises ``ValueError`` for a name that there is not.
        """
        if name not in CONFIGS:
            raise ValueError(f"model {name!r} is unknown: choose one of {', '.join(CONFIGS)}")
        return cls(**CONFIGS[name] | settings)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelConfig":
        """Build from parsed JSON; an unknown key is an error, not a silent default."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown model settings {', '.join(sorted(unknown))}")
        return cls(**values)


class VideoClassifier(nn.Module):
    """Backbone, global average pooling and a linear classifier for every frame.

    There is no dropout inside: it would be frozen into exported graphs.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        make: Callable[..., TemporalModule] = TEMPORAL[config.temporal]
        if config.fold != SHIFT_DIVISOR:
            make = functools.partial(make, divisor=config.fold)
        learned = config.shift == "learned"
        self.backbone = BACKBONES[config.backbone](
            lambda channels: make(channels, config.causal, learned), config.width, config.location
        )
        self.classifier = nn.Linear(self.backbone.out_channels, config.num_classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def folded_features(self, x: Tensor, frames: int) -> Tensor:
        """Pooled features of a time-major stack: (frames * N, 3, H, W) -> (frames * N, D)."""
        return _pool(self.backbone(x, frames))

    def folded_logits(self, x: Tensor, frames: int) -> Tensor:
        """Per-frame logits of a time-major stack: (frames * N, 3, H, W) -> (frames * N, classes).

        The rank-4 form that training and clip export share.
        """
        return self.classifier(self.folded_features(x, frames))

    def frame_logits(self, clip: Tensor) -> Tensor:
        """(N, T, 3, H, W) -> (N, T, classes)."""
        n, t = clip.shape[:2]
        stacked = clip.transpose(0, 1).reshape(t * n, *clip.shape[2:])  # row t * N + n
        return self.folded_logits(stacked, t).reshape(t, n, -1).transpose(0, 1)

    def forward(self, clip: Tensor) -> Tensor:
        """(N, T, 3, H, W) -> (N, classes), the mean over time of the per-frame logits."""
        return self.frame_logits(clip).mean(1)

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame (N, 3, H, W) and its state -> logits (N, classes) and the next state.

        Raises ``ValueError`` for a model without a stream form.
        """
        self._require_stream()
        features, new = self.backbone.step(frame, state)
        return self.classifier(_pool(features)), new

    def state_shapes(self, size: int | None = None) -> dict[str, Shape]:
        """Names and (C, H, W) shapes of the stream's state at ``size`` pixels, in order."""
        self._require_stream()
        size = size or self.config.size
        return self.backbone.state_shapes(size, size)

    def initial_state(self, batch: int = 1, size: int | None = None) -> State:
        """Zeros: the state before the first frame."""
        like = self.classifier.weight
        return [
            torch.zeros(batch, *shape, dtype=like.dtype, device=like.device)
            for shape in self.state_shapes(size).values()
        ]

    def _require_stream(self) -> None:
        if self.config.why_no_stream:
            raise ValueError(self.config.why_no_stream)


def _pool(features: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(features, 1).flatten(1)
