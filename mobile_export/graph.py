"""The two graphs that are exported: a model's stream form and clip form, with flat inputs.

Both take and give tensors of at most four dimensions and static shapes. Names and shapes of every
input and output are listed once here, for the lowering, the manifest and the verifier alike.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.model import VideoClassifier


@dataclass(frozen=True)
class Port:
    """One input or output of an exported graph; ``shape`` includes the leading axis."""

    name: str
    shape: tuple[int, ...]


class StreamForm(nn.Module):
    """``frame (1, 3, S, S), *state -> logits (1, classes), *next state``."""

    def __init__(self, model: VideoClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        logits, new = self.model.step(frame, list(state))
        return logits, *new


class ClipForm(nn.Module):
    """``clip (T, 3, S, S) -> logits (1, classes)``, the mean over the clip's frames.

    The classifier is linear, so the features are averaged over time and space at once and
    classified once: a pooling over (2, 3) of a permuted 4-D tensor, which XNNPACK takes.
    """

    def __init__(self, model: VideoClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip: Tensor) -> tuple[Tensor]:
        """One clip."""
        features = self.model.backbone(clip, clip.shape[0])  # (T, C, h, w)
        pooled = F.adaptive_avg_pool2d(features, 1).permute(3, 1, 0, 2)  # (1, C, T, 1)
        pooled = F.adaptive_avg_pool2d(pooled, 1).flatten(1)  # (1, C)
        return (self.model.classifier(pooled),)


def graph_of(model: VideoClassifier, form: str) -> nn.Module:
    """The module to export, in evaluation mode."""
    return (StreamForm if form == "stream" else ClipForm)(model).eval()


def input_ports(model: VideoClassifier, form: str) -> list[Port]:
    """Inputs in the order in which the graph takes them."""
    config = model.config
    image = (3, config.size, config.size)
    if form == "clip":
        return [Port("clip", (config.frames, *image))]
    return [Port("frame", (1, *image)), *_state_ports(model, "in")]


def output_ports(model: VideoClassifier, form: str) -> list[Port]:
    """Outputs in the order in which the graph gives them."""
    logits = Port("logits", (1, model.config.num_classes))
    return [logits] if form == "clip" else [logits, *_state_ports(model, "out")]


def _state_ports(model: VideoClassifier, direction: str) -> list[Port]:
    return [
        Port(f"{name.replace('.', '_')}_{direction}", (1, *shape))
        for name, shape in ((f"state_{key}", s) for key, s in model.state_shapes().items())
    ]


def example_inputs(model: VideoClassifier, form: str) -> tuple[Tensor, ...]:
    """Zeros in the shapes of the inputs."""
    return tuple(torch.zeros(port.shape) for port in input_ports(model, form))
