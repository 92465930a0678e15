"""Keys and layouts of other programs in this project's.

Each function translates one key of a backbone's state dict, without ``base_model.``, into the name
under ``backbone.``; None where it is no key of that backbone. ``action`` lays out the tensors of
one ACTION module.
"""

import re

import torch
from torch import Tensor

SHIFT_TAPS = "shift.taps."
_CONV = r"(weight|bias|running_mean|running_var|num_batches_tracked)"

# MobileNet V2 with a flat list of layers a block, in torchvision's nested one.
_FLAT = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"}
_FLAT_FIRST = {"0": "0.0", "1": "0.1", "3": "1", "4": "2"}  # the block without expansion

# ACTION-Net's BNInception names a module by the block whose output it takes.
BEHIND = {
    "2": "3a", "3a": "3b", "3b": "3c", "3c": "4a", "4a": "4b", "4b": "4c", "4c": "4d", "4d": "4e",
    "4e": "5a", "5a": "5b",
}  # fmt: skip
_STEM = {"conv1_7x7_s2": "stem.0", "conv2_3x3_reduce": "stem.2", "conv2_3x3": "stem.3"}
_UNITS = {
    "1x1": "1x1.layers.0",
    "3x3_reduce": "3x3.layers.0",
    "3x3": "3x3.layers.1",
    "double_3x3_reduce": "double_3x3.layers.0",
    "double_3x3_1": "double_3x3.layers.1",
    "double_3x3_2": "double_3x3.layers.2",
    "pool_proj": "pool.layers.1",
}


def resnet50(key: str) -> str | None:
    """torchvision's names, but for ``conv1.net`` where a slot wraps a convolution."""
    if re.fullmatch(rf"(conv1|bn1|layer\d\.\d+\.(conv\d|bn\d|downsample\.\d))\.{_CONV}", key):
        return key
    if match := re.fullmatch(r"(layer\d\.\d+\.conv1)\.net\.weight", key):
        return f"{match[1]}.weight"
    if match := re.fullmatch(r"(layer\d\.\d+)\.conv1\.(action_.+)", key):
        return f"{match[1]}.temporal.{match[2]}"
    return None


def mobilenet_v2(key: str) -> str | None:
    """A flat list of layers a block, with ``conv.0.net`` where a slot wraps a convolution."""
    if re.fullmatch(rf"features\.\d+\.\d\.{_CONV}", key):
        return key  # stem and head
    if match := re.fullmatch(r"features\.(\d+)\.conv\.0\.(action_.+)", key):
        return f"features.{match[1]}.temporal.{match[2]}"
    if match := re.fullmatch(rf"features\.(\d+)\.conv\.(\d)\.(?:net\.)?{_CONV}", key):
        layer = (_FLAT_FIRST if match[1] == "1" else _FLAT).get(match[2])
        return layer and f"features.{match[1]}.conv.{layer}.{match[3]}"
    return None


def torchvision_mobilenet_v2(key: str) -> str | None:
    """torchvision's names, which are this project's."""
    block = r"(?:conv\.\d\.\d|conv\.\d|\d)"
    return key if re.fullmatch(rf"features\.\d+\.{block}\.{_CONV}", key) else None


def bn_inception(key: str) -> str | None:
    """A layer a name, ``inception_3a_double_3x3_1_bn``; modules ``shift_3a``.

    ``shift_3a.net`` is the convolution behind it once more: see ``duplicate``.
    """
    if match := re.fullmatch(r"shift_(\w+)\.(action_.+)", key):
        block = BEHIND.get(match[1])
        return block and f"blocks.{block}.temporal.{match[2]}"
    match = re.fullmatch(rf"(?:inception_(\d\w)_)?(\w+?)(_bn)?\.{_CONV}", key)
    if match is None:
        return None
    block, layer, norm, leaf = match.groups()
    part = "norm" if norm else "conv"
    if block is None:
        return f"{_STEM[layer]}.{part}.{leaf}" if layer in _STEM else None
    return f"blocks.{block}.branches.{_UNITS[layer]}.{part}.{leaf}" if layer in _UNITS else None


def duplicate(key: str) -> str | None:
    """The key whose tensor ``key`` holds a second time, in ACTION-Net's BNInception."""
    match = re.fullmatch(r"shift_(\w+)\.net\.(weight|bias)", key)
    if match is None or match[1] not in BEHIND:
        return None
    block = BEHIND[match[1]]
    first = "3x3_reduce" if block in ("3c", "4e") else "1x1"
    return f"inception_{block}_{first}.{match[2]}"


TRANSLATE = {
    "resnet50": resnet50,
    "mobilenet_v2": mobilenet_v2,
    "torchvision mobilenet_v2": torchvision_mobilenet_v2,
    "bn_inception": bn_inception,
}


def action(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """One tensor of an ACTION module by its name there, as this project's modules hold it.

    Kernels over time become taps, oldest first, as they are: both weigh frames t-1, t and t+1.
    Gives nothing for a name or a rank that is not of ACTION's.
    """
    module, _, leaf = name.partition(".")
    if module == "action_shift" and leaf == "weight" and tensor.ndim == 3:  # (C, 1, 3)
        taps = tensor[:, 0].unbind(1)
        return {f"{SHIFT_TAPS}{i}": tap.reshape(-1, 1, 1, 1) for i, tap in enumerate(taps)}
    if module == "action_p1_conv1" and leaf == "weight" and tensor.ndim == 5:  # (1, 1, 3, 3, 3)
        return {"ste.conv.weight": tensor[0]}
    if module == "action_p2_conv1" and leaf == "weight" and tensor.ndim == 3:  # (r, r, 3)
        return {"ce.conv.weight": torch.cat(tensor.unbind(2), dim=1)[:, :, None, None]}
    plain = {
        "action_p2_squeeze": "ce.squeeze", "action_p2_expand": "ce.expand",
        "action_p3_squeeze": "me.squeeze", "action_p3_bn1": "me.norm",
        "action_p3_conv1": "me.conv", "action_p3_expand": "me.expand",
    }  # fmt: skip
    return {f"{plain[module]}.{leaf}": tensor} if module in plain else {}
