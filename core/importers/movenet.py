"""MoveNet's backbone: a whole MobileNet V2 that was trained on pictures of people.

MoveNet Lightning (Google, Apache-2.0) finds the joints of a person; its trunk is MobileNet V2 1.0
with batch norm folded into the convolutions, under Keras' names (``block_1_expand/Conv2D_weights``,
layout HWIO). What is above the trunk is not read. TensorFlow's SAME padding puts the zeros of a
strided convolution behind a map of even side and this project before it: that is the same network
looking at a picture moved by 31 pixels, borders apart.

Folded weights have no statistics, and training needs batch norm: ``settle`` gives every batch norm
the mean and the deviation of what comes in and the scale and shift that undo them, so that the
function stays the same and training starts from it.
"""

import re

import torch
from torch import Tensor, nn

from core.errors import BadInput
from core.importers.kinds import Kind
from core.model import ModelConfig, VideoClassifier

STEM = "Conv1/Conv2D_weights"
NAME = "MoveNet's trunk"
CENTRED = (0.5, 0.5, 0.5)  # pixel / 127.5 - 1
ROW = re.compile(
    r"(?P<block>Conv1|Conv_1|expanded_conv|block_(?P<index>\d+))(?:_(?P<part>\w+?))?"
    r"/(?P<kind>Conv2D|depthwise)_(?P<leaf>weights|bn_offset)"
)
# Where a block's convolution and its batch norm are, by its name; without an expansion one earlier.
PARTS = {"expand": ("0.0", "0.1"), "depthwise": ("1.0", "1.1"), "project": ("2", "3")}
FIRST_PARTS = {"depthwise": ("0.0", "0.1"), "project": ("1", "2")}


def is_movenet(tensors: dict[str, Tensor]) -> bool:
    """Whether the names are those of MoveNet's trunk."""
    return STEM in tensors


def imported(tensors: dict[str, Tensor], frames: int) -> tuple[VideoClassifier, Kind]:
    """The model of single pictures, in evaluation mode, and what it is; its classifier is new.

    Raises ``BadInput`` naming what is missing, unexpected or of another shape.
    """
    kind = Kind(NAME, "mobilenet_v2", "none", True, "", CENTRED, CENTRED, images=True)
    config = ModelConfig(temporal="none", num_classes=1, frames=frames, mean=CENTRED, std=CENTRED)
    model = VideoClassifier(config)
    own = model.state_dict()
    found: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        convolution, norm, leaf = _place(key)
        if leaf == "weights":
            found[f"backbone.{convolution}.weight"] = _layout(tensor, "depthwise_weights" in key)
        else:
            found[f"backbone.{norm}.bias"] = tensor
    unknown = sorted(found.keys() - own.keys())
    kernels = {k for k, v in own.items() if k.startswith("backbone.") and v.ndim == 4}
    # Each convolution's offset is the bias of its batch norm.
    norms = set(_norms(model))
    offsets = {f"{name}.bias" for name, layer in model.named_modules() if layer in norms}
    missing = sorted((kernels | offsets) - found.keys())
    wrong = [key for key in found if key in own and found[key].shape != own[key].shape]
    for keys, what in ((missing, "missing"), (unknown, "unexpected"), (wrong, "of another shape")):
        if keys:
            raise BadInput(
                f"not a whole trunk of MoveNet: {len(keys)} {what}: {', '.join(keys[:5])}"
            )
    model.load_state_dict(found, strict=False)
    for layer in _norms(model):  # mean 0 and variance 1: passes on what comes in
        nn.init.constant_(layer.weight, (1 + layer.eps) ** 0.5)
    return model.eval(), kind


def _place(key: str) -> tuple[str, str, str]:
    """Names of the convolution and of its batch norm in the trunk, and which tensor it is."""
    row = ROW.fullmatch(key)
    if row is None:
        raise BadInput(f"{key} is no name of MoveNet's trunk")
    block, leaf = row["block"], row["leaf"]
    if block in ("Conv1", "Conv_1"):
        layer = "features.0" if block == "Conv1" else "features.18"
        return f"{layer}.0", f"{layer}.1", leaf
    first = block == "expanded_conv"
    parts = FIRST_PARTS if first else PARTS
    if row["part"] not in parts:
        raise BadInput(f"{key} is no name of MoveNet's trunk")
    layer = f"features.{1 if first else int(row['index']) + 1}.conv"
    convolution, norm = parts[row["part"]]
    return f"{layer}.{convolution}", f"{layer}.{norm}", leaf


def _layout(tensor: Tensor, depthwise: bool) -> Tensor:
    """HWIO, or HWC1 of a depthwise kernel, to torch's OIHW."""
    if tensor.ndim != 4:
        raise BadInput(f"a kernel of {tensor.ndim} dimensions in MoveNet's trunk: it has four")
    return tensor.permute((2, 3, 0, 1) if depthwise else (3, 2, 0, 1)).contiguous()


def _norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


@torch.no_grad()
def settle(model: VideoClassifier, pictures: Tensor) -> None:
    """Give every batch norm the statistics of its input over ``pictures``; the function stays.

    ``pictures`` (N, 3, H, W) are normalised as the model wants them. Changes the model in place.
    """
    seen: dict[nn.BatchNorm2d, tuple[Tensor, Tensor]] = {}

    def note(norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        variance, mean = torch.var_mean(inputs[0].float(), (0, 2, 3))
        seen[norm] = (mean, variance)

    hooks = [norm.register_forward_pre_hook(note) for norm in _norms(model)]
    try:
        model.eval()(pictures[:, None])  # clips of one frame
    finally:
        for hook in hooks:
            hook.remove()
    for norm, (mean, variance) in seen.items():
        # What it did, as a scale and a shift, written with other statistics.
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - norm.running_mean * scale
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.bias.copy_(shift + mean * scale)
