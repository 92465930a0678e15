"""The two graphs that are exported: a model's stream form and clip form, with flat inputs.

Both take and give tensors of at most four dimensions and static shapes. Names, shapes and memory
order of every input and output are listed once here, for the lowering, the manifest and the
verifier alike.

A target runs a model of its own (``deployed``): the checkpoint's with its batch norms folded and
its average poolings convolved, ACTION in the form of ``graph.fused`` for ExecuTorch and of
``graph.squeezed`` for Core ML. XNNPACK works channels-last.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule

from core.model import VideoClassifier
from core.options import check_choice
from core.regroup import Merge, Regrouped
from mobile_export.combinations import FORMS
from mobile_export.graph.fold import folded
from mobile_export.graph.fused import fused
from mobile_export.graph.pools import without_average_pools
from mobile_export.graph.squeezed import squeezed

FUSED = ("xnnpack", "vulkan")
CHANNELS_LAST = ("xnnpack",)  # R7, R10: targets whose maps are in that memory order
CHANNELS_LAST_ORDER, PLANES_ORDER = (0, 2, 3, 1), (0, 1, 2, 3)
# R13: a shift's state of up to so many channels lies in planes for XNNPACK: to transpose its map,
# which has eight times as many, there and back takes less than to copy at every pixel.
PLANES_UP_TO = 4


@dataclass(frozen=True)
class Port:
    """One input or output of an exported graph; ``shape`` includes the leading axis.

    ``dim_order`` lists the axes of ``shape`` from the outermost in memory to the innermost.
    """

    name: str
    shape: tuple[int, ...]
    dim_order: tuple[int, ...]

    def zeros(self) -> Tensor:
        """A tensor of this shape whose strides follow ``dim_order``."""
        return self.ordered(torch.zeros(self.shape))

    def ordered(self, values: Tensor) -> Tensor:
        """``values`` with strides that follow ``dim_order``; copied where they do not."""
        inverse = sorted(range(len(self.shape)), key=self.dim_order.__getitem__)
        return values.permute(self.dim_order).contiguous().permute(inverse)


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
    """The module to export, in evaluation mode; ``BadInput`` for a form that there is not."""
    check_choice("form", form, FORMS)
    return (StreamForm if form == "stream" else ClipForm)(model).eval()


class Headed(nn.Module):
    """A form whose logits are regrouped; everything else passes through."""

    def __init__(self, graph: nn.Module, head: Merge) -> None:
        super().__init__()
        self.form, self.head = graph, head  # an exported module has a ``graph`` of its own

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """One tick or clip."""
        logits, *rest = self.form(*inputs)
        return self.head(logits), *rest


def apart(model: VideoClassifier) -> tuple[VideoClassifier, Merge | None]:
    """The model that was trained, and what regroups its classes: that is added to its graph.

    A quantizer sees the first alone: what was learned for it fits, and the second is exact.
    """
    return (model.base, model.head) if isinstance(model, Regrouped) else (model, None)


def headed(graph: nn.Module, head: Merge | None) -> nn.Module:
    """The graph of a form with ``apart``'s second part behind it."""
    return graph if head is None else Headed(graph, head)


def deployed(model: VideoClassifier, target: str) -> VideoClassifier:
    """A copy of ``model`` as ``target`` runs it; its ports and state are those of the artifact."""
    if isinstance(model, Regrouped):
        return model.over(lambda base: deployed(base, target))
    model = without_average_pools(folded(model))
    return fused(model) if target in FUSED else squeezed(model)


def input_ports(model: VideoClassifier, form: str, target: str) -> list[Port]:
    """Inputs of a deployed model in the order in which its graph takes them."""
    config = model.config
    image, order = (3, config.size, config.size), _map_order(target)
    if form == "clip":
        return [Port("clip", (config.frames, *image), order)]
    return [Port("frame", (1, *image), order), *_state_ports(model, "in", target)]


def output_ports(model: VideoClassifier, form: str, target: str) -> list[Port]:
    """Outputs of a deployed model in the order in which its graph gives them."""
    logits = Port("logits", (1, model.config.num_classes), (0, 1))
    return [logits] if form == "clip" else [logits, *_state_ports(model, "out", target)]


def _map_order(target: str) -> tuple[int, ...]:
    return CHANNELS_LAST_ORDER if target in CHANNELS_LAST else PLANES_ORDER


def _state_order(key: str, channels: int, target: str) -> tuple[int, ...]:
    few = key.endswith(".shift") and channels <= PLANES_UP_TO
    return PLANES_ORDER if few else _map_order(target)


def _state_ports(model: VideoClassifier, direction: str, target: str) -> list[Port]:
    return [
        Port(
            f"state_{key.replace('.', '_')}_{direction}",
            (1, *shape),
            _state_order(key, shape[0], target),
        )
        for key, shape in model.state_shapes().items()
    ]


def exported(model: VideoClassifier, form: str, target: str, batch: int = 1) -> GraphModule:
    """The graph of a deployed model as PyTorch's exporter traces it, ready to be quantized.

    A stream graph takes ``batch`` streams side by side, which serves training: deployed is one.
    For ExecuTorch global average pooling is a mean over rows and columns: an adaptive pooling of
    channels-last maps decomposes to a copy that no delegate takes.
    """
    inputs = example_inputs(model, form, target)
    if batch > 1:
        inputs = tuple(torch.cat([x] * batch) for x in inputs)
    made = torch.export.export(graph_of(model, form), inputs).module()
    for node in made.graph.nodes if target in FUSED else ():
        if node.target is torch.ops.aten.adaptive_avg_pool2d.default:
            node.target, node.args = torch.ops.aten.mean.dim, (node.args[0], [2, 3], True)
    made.recompile()
    return made


def example_inputs(model: VideoClassifier, form: str, target: str) -> tuple[Tensor, ...]:
    """Zeros as the inputs of a deployed model."""
    return tuple(port.zeros() for port in input_ports(model, form, target))
