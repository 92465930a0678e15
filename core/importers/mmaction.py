"""mmaction2's TSM and TSN (github.com/open-mmlab/mmaction2) by the names of TSM's own code.

Its ``ConvModule`` has a convolution ``conv`` and a batch norm ``bn``; a shift wraps the convolution
of ResNet's first layer of a block, and the whole module in MobileNet V2 (``resnet_tsm.py``,
``mobilenet_v2_tsm.py`` of ``mmaction/models/backbones``). The shift itself is TSM's: the first part
of the channels comes from the next frame, the second from the one before.
"""

import re

from torch import Tensor

HEAD = "cls_head.fc_cls."
MARK = "backbone.conv1.conv.weight"
REPEATS = (1, 2, 3, 4, 3, 3, 1)  # blocks of MobileNet V2's layers
_LEAF = r"(weight|bias|running_mean|running_var|num_batches_tracked)"


def is_mmaction(tensors: dict[str, Tensor]) -> bool:
    """Whether a state dict has mmaction2's names."""
    return MARK in tensors and f"{HEAD}weight" in tensors


def as_tsm(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors by the names of TSM's code; a key without one stays as it is."""
    name = _mobilenet_v2 if "backbone.conv2.conv.weight" in tensors else _resnet
    found = {}
    for key, tensor in tensors.items():
        if key.startswith(HEAD):
            found[f"new_fc.{key.removeprefix(HEAD)}"] = tensor
            continue
        translated = name(key.removeprefix("backbone."))
        found[f"base_model.{translated}" if translated else key] = tensor
    return found


def _resnet(key: str) -> str | None:
    if match := re.fullmatch(rf"(layer\d\.\d+\.)?conv(\d)\.(conv|bn)\.(net\.)?{_LEAF}", key):
        block, number, part, wrap, leaf = match.groups()
        layer = f"conv{number}.{wrap or ''}" if part == "conv" else f"bn{number}."
        return f"{block or ''}{layer}{leaf}"
    if match := re.fullmatch(rf"(layer\d\.\d+\.downsample)\.(conv|bn)\.{_LEAF}", key):
        return f"{match[1]}.{0 if match[2] == 'conv' else 1}.{match[3]}"
    return None


def _mobilenet_v2(key: str) -> str | None:
    if match := re.fullmatch(rf"conv([12])\.(conv|bn)\.{_LEAF}", key):
        return (
            f"features.{0 if match[1] == '1' else 18}.{0 if match[2] == 'conv' else 1}.{match[3]}"
        )
    pattern = rf"layer([1-7])\.(\d)\.conv\.(\d)\.(net\.)?(conv|bn)\.(net\.)?{_LEAF}"
    match = re.fullmatch(pattern, key)
    if match is None:
        return None
    layer, block, place, outside, part, inside, leaf = match.groups()
    index = 1 + sum(REPEATS[: int(layer) - 1]) + int(block)
    number = 3 * int(place) + (part == "bn")
    wrap = "net." if part == "conv" and (outside or inside) else ""
    return f"features.{index}.conv.{number}.{wrap}{leaf}"
