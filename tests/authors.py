"""State dicts as ACTION-Net, TSM and torchvision write them, and what those models compute.

Names and shapes come from REFERENCE.md and from what is public about the programs; the networks
are written here from the papers' tables, on the very tensors of the dict: nothing of
``core`` takes part. Clips are ``(T, 3, H, W)``.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]
Weights = dict[str, Tensor]
Slot = Callable[[Tensor, str], Tensor]  # map, name of what the slot wraps

RESNET = [(64, 3), (128, 4), (256, 6), (512, 3)]  # channels of the 3x3, bottlenecks
MOBILENET = [  # expansion, channels, repeats, stride
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
]  # fmt: skip
INCEPTION = {  # input; 1x1; 3x3; two 3x3; behind the pooling
    "3a": (192, 64, (64, 64), (64, 96), 32), "3b": (256, 64, (64, 96), (64, 96), 64),
    "3c": (320, 0, (128, 160), (64, 96), 0), "4a": (576, 224, (64, 96), (96, 128), 128),
    "4b": (576, 192, (96, 128), (96, 128), 128), "4c": (576, 160, (128, 160), (128, 160), 128),
    "4d": (608, 96, (128, 192), (160, 192), 128), "4e": (608, 0, (128, 192), (192, 256), 0),
    "5a": (1056, 352, (192, 320), (160, 224), 128), "5b": (1024, 352, (192, 320), (192, 224), 128),
}  # fmt: skip
MODULE = dict(zip(INCEPTION, ["2", *list(INCEPTION)[:-1]], strict=True))  # by the block before


def random_weights(shapes: Shapes, seed: int = 0) -> Weights:
    """Numbers that keep a signal alive through the depth, taps near the shift, running statistics
    of a network that has seen data."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in shapes.items():
        leaf = name.rpartition(".")[2]
        noise = torch.randn(shape, generator=generator)
        if leaf == "num_batches_tracked":
            made[name] = torch.tensor(7)
        elif leaf == "running_var":
            made[name] = noise.abs() * 0.3 + 0.7
        elif len(shape) == 1:
            made[name] = noise * 0.1 + (0.7 if leaf == "weight" else 0.0)
        elif "action_shift" in name:
            made[name] = noise * 0.1
            made[name][:, 0, 1] += 1.0
        else:
            made[name] = noise * (2.0 / noise[0].numel()) ** 0.5
    return made


def action_shapes(at: str, channels: int) -> Shapes:
    """One ACTION module, ``at`` being the name of what it wraps."""
    r = channels // 16
    shapes = {
        "action_shift.weight": (channels, 1, 3),
        "action_p1_conv1.weight": (1, 1, 3, 3, 3),
        "action_p2_squeeze.weight": (r, channels, 1, 1),
        "action_p2_conv1.weight": (r, r, 3),
        "action_p2_expand.weight": (channels, r, 1, 1),
        "action_p3_squeeze.weight": (r, channels, 1, 1),
        "action_p3_conv1.weight": (r, 1, 3, 3),
        "action_p3_expand.weight": (channels, r, 1, 1),
    } | norm_shapes("action_p3_bn1", r)
    return {f"{at}.{name}": shape for name, shape in shapes.items()}


def norm_shapes(at: str, channels: int) -> Shapes:
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {f"{at}.{leaf}": (channels,) for leaf in leaves} | {f"{at}.num_batches_tracked": ()}


def action(x: Tensor, weights: Weights, at: str) -> Tensor:
    """ACTION (arXiv 2103.07372, section 3) with a learned shift, on the program's own tensors."""
    frames, channels, height, width = x.shape

    def of(name: str) -> Tensor:
        return weights[f"{at}.action_{name}.weight"]

    series = x.permute(2, 3, 1, 0).reshape(-1, channels, frames)
    series = F.conv1d(series, of("shift"), padding=1, groups=channels)
    s = series.reshape(height, width, channels, frames).permute(3, 2, 0, 1)
    volume = s.mean(1)[None, None]  # (1, 1, T, H, W)
    spatial = torch.sigmoid(F.conv3d(volume, of("p1_conv1"), padding=1))[0, 0][:, None]
    vectors = F.conv2d(s.mean((2, 3), keepdim=True), of("p2_squeeze"))[:, :, 0, 0]  # (T, r)
    hidden = F.conv1d(vectors.T[None], of("p2_conv1"), padding=1)[0].T.relu()
    channel = torch.sigmoid(F.conv2d(hidden[:, :, None, None], of("p2_expand")))
    z = norm(F.conv2d(s, of("p3_squeeze")), weights, f"{at}.action_p3_bn1")
    filtered = F.conv2d(z, of("p3_conv1"), padding=1, groups=z.shape[1])
    motion = torch.cat([filtered[1:] - z[:-1], torch.zeros_like(z[:1])])
    moving = torch.sigmoid(F.conv2d(motion.mean((2, 3), keepdim=True), of("p3_expand")))
    return (s * spatial + s) + (s * channel + s) + (s * moving + s)


def shift(x: Tensor, causal: bool, div: int = 8) -> Tensor:
    """TSM's shift of an eighth each way, or its online form: the last frame's alone."""
    y, fold = torch.zeros_like(x), x.shape[1] // div
    if causal:
        y[1:, :fold], y[:, fold:] = x[:-1, :fold], x[:, fold:]
        return y
    y[:-1, :fold] = x[1:, :fold]
    y[1:, fold : 2 * fold] = x[:-1, fold : 2 * fold]
    y[:, 2 * fold :] = x[:, 2 * fold :]
    return y


def norm(x: Tensor, weights: Weights, at: str) -> Tensor:
    leaves = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(weights[f"{at}.{leaf}"] for leaf in leaves))


def resnet_shapes(kind: str, prefix: str = "") -> Shapes:
    """``kind``: action, shift or none; the classifier is left out."""
    shapes = {f"{prefix}conv1.weight": (64, 3, 7, 7)} | norm_shapes(f"{prefix}bn1", 64)
    channels = 64
    for stage, (planes, blocks) in enumerate(RESNET, 1):
        for i in range(blocks):
            at = f"{prefix}layer{stage}.{i}"
            wrap = "" if kind == "none" else ".net"
            shapes[f"{at}.conv1{wrap}.weight"] = (planes, channels, 1, 1)
            if kind == "action":
                shapes |= action_shapes(f"{at}.conv1", channels)
            shapes[f"{at}.conv2.weight"] = (planes, planes, 3, 3)
            shapes[f"{at}.conv3.weight"] = (4 * planes, planes, 1, 1)
            for number, width in ((1, planes), (2, planes), (3, 4 * planes)):
                shapes |= norm_shapes(f"{at}.bn{number}", width)
            if i == 0:
                shapes[f"{at}.downsample.0.weight"] = (4 * planes, channels, 1, 1)
                shapes |= norm_shapes(f"{at}.downsample.1", 4 * planes)
            channels = 4 * planes
    return shapes


def resnet(
    x: Tensor, weights: Weights, slot: Slot, wrap: str, prefix: str = "", whole: bool = False
) -> Tensor:
    """Features of ResNet-50 (arXiv 1512.03385, Table 1); ``whole`` blocks have the slot before."""

    def layer(x: Tensor, conv: str, bn: str, stride: int = 1, padding: int = 0) -> Tensor:
        return norm(F.conv2d(x, weights[f"{conv}.weight"], None, stride, padding), weights, bn)

    x = layer(x, f"{prefix}conv1", f"{prefix}bn1", 2, 3).relu()
    x = F.max_pool2d(x, 3, 2, 1)
    for stage, (_, blocks) in enumerate(RESNET, 1):
        for i in range(blocks):
            at, stride = f"{prefix}layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            inner = slot(x, f"{at}.conv1")
            x = inner if whole else x
            y = layer(inner, f"{at}.conv1{wrap}", f"{at}.bn1").relu()
            y = layer(y, f"{at}.conv2", f"{at}.bn2", stride, 1).relu()
            y = layer(y, f"{at}.conv3", f"{at}.bn3")
            skip = layer(x, f"{at}.downsample.0", f"{at}.downsample.1", stride) if i == 0 else x
            x = (skip + y).relu()
    return x


def mobilenet_shapes(kind: str, prefix: str = "", nested: bool = False) -> Shapes:
    """A flat list of layers a block, or torchvision's ``nested`` one; the classifier left out."""
    shapes: Shapes = {}

    def conv_norm(conv: str, bn: str, out: int, inputs: int, kernel: int) -> None:
        shapes[f"{conv}.weight"] = (out, inputs, kernel, kernel)
        shapes.update(norm_shapes(bn, out))

    conv_norm(f"{prefix}features.0.0", f"{prefix}features.0.1", 32, 3, 3)
    channels, index = 32, 1
    for expansion, outputs, repeats, _ in MOBILENET:
        for i in range(repeats):
            hidden, at, layer = channels * expansion, f"{prefix}features.{index}.conv", 0
            if expansion > 1:
                wrap = ".net" if i > 0 and kind in ("action", "shift") else ""
                names = ("0.0", "0.1") if nested else (f"0{wrap}", "1")
                conv_norm(f"{at}.{names[0]}", f"{at}.{names[1]}", hidden, channels, 1)
                if i > 0 and kind == "action":
                    shapes.update(action_shapes(f"{at}.0", channels))
                layer = 1 if nested else 3
            names = (f"{layer}.0", f"{layer}.1") if nested else (f"{layer}", f"{layer + 1}")
            conv_norm(f"{at}.{names[0]}", f"{at}.{names[1]}", hidden, 1, 3)
            layer += 1 if nested else 3
            conv_norm(f"{at}.{layer}", f"{at}.{layer + 1}", outputs, hidden, 1)
            channels, index = outputs, index + 1
    conv_norm(f"{prefix}features.18.0", f"{prefix}features.18.1", 1280, channels, 1)
    return shapes


def mobilenet(
    x: Tensor, weights: Weights, slot: Slot, prefix: str = "", nested: bool = False
) -> Tensor:
    """Features of MobileNet V2 (arXiv 1801.04381, Table 2)."""

    def layer(x: Tensor, at: str, conv: str, bn: str, stride: int = 1) -> Tensor:
        found = [k for k in (f"{at}.{conv}.weight", f"{at}.{conv}.net.weight") if k in weights]
        weight = weights[found[0]]
        groups = x.shape[1] if weight.shape[1] == 1 else 1
        padding = weight.shape[-1] // 2
        return norm(F.conv2d(x, weight, None, stride, padding, 1, groups), weights, f"{at}.{bn}")

    x = F.relu6(layer(x, f"{prefix}features.0", "0", "1", 2))
    index = 1
    for expansion, _, repeats, stride in MOBILENET:
        for i in range(repeats):
            at, first = f"{prefix}features.{index}.conv", stride if i == 0 else 1
            y, number = x, 0
            if expansion > 1:
                if i > 0:
                    y = slot(y, f"{at}.0")
                y = F.relu6(layer(y, at, *(("0.0", "0.1") if nested else ("0", "1"))))
                number = 1 if nested else 3
            names = (f"{number}.0", f"{number}.1") if nested else (f"{number}", f"{number + 1}")
            y = F.relu6(layer(y, at, *names, first))
            number += 1 if nested else 3
            y = layer(y, at, f"{number}", f"{number + 1}")
            x = x + y if i > 0 else y
            index += 1
    return F.relu6(layer(x, f"{prefix}features.18", "0", "1"))


def inception_shapes(kind: str, prefix: str = "") -> Shapes:
    """BNInception's layers; with ACTION a convolution of each block is there twice."""
    shapes: Shapes = {}

    def unit(name: str, out: int, inputs: int, kernel: int) -> None:
        shapes[f"{prefix}{name}.weight"] = (out, inputs, kernel, kernel)
        shapes[f"{prefix}{name}.bias"] = (out,)
        shapes.update(norm_shapes(f"{prefix}{name}_bn", out))

    unit("conv1_7x7_s2", 64, 3, 7)
    unit("conv2_3x3_reduce", 64, 64, 1)
    unit("conv2_3x3", 192, 64, 3)
    for block, (inputs, one, three, double, pooled) in INCEPTION.items():
        at = f"inception_{block}_"
        if one:
            unit(f"{at}1x1", one, inputs, 1)
        unit(f"{at}3x3_reduce", three[0], inputs, 1)
        unit(f"{at}3x3", three[1], three[0], 3)
        unit(f"{at}double_3x3_reduce", double[0], inputs, 1)
        unit(f"{at}double_3x3_1", double[1], double[0], 3)
        unit(f"{at}double_3x3_2", double[1], double[1], 3)
        if pooled:
            unit(f"{at}pool_proj", pooled, inputs, 1)
        if kind == "action":
            shapes |= action_shapes(f"{prefix}shift_{MODULE[block]}", inputs)
    return shapes


def with_duplicates(weights: Weights, prefix: str = "") -> Weights:
    """ACTION-Net's BNInception registers a convolution of each block a second time."""
    made = dict(weights)
    for block, module in MODULE.items():
        layer = "1x1" if INCEPTION[block][1] else "3x3_reduce"
        for leaf in ("weight", "bias"):
            twin = weights[f"{prefix}inception_{block}_{layer}.{leaf}"]
            made[f"{prefix}shift_{module}.net.{leaf}"] = twin
    return made


def inception(x: Tensor, weights: Weights, slot: Slot, prefix: str = "") -> Tensor:
    """Features of BNInception (arXiv 1502.03167, appendix)."""

    def unit(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight, bias = (weights[f"{prefix}{name}.{leaf}"] for leaf in ("weight", "bias"))
        x = F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2)
        return norm(x, weights, f"{prefix}{name}_bn").relu()

    x = F.max_pool2d(unit(x, "conv1_7x7_s2", 2), 3, 2, ceil_mode=True)
    x = unit(unit(x, "conv2_3x3_reduce"), "conv2_3x3")
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    for block, (_, one, _, _, pooled) in INCEPTION.items():
        x = slot(x, f"{prefix}shift_{MODULE[block]}")
        at, stride = f"inception_{block}_", 1 if one else 2
        parts = [unit(x, f"{at}1x1")] if one else []
        parts.append(unit(unit(x, f"{at}3x3_reduce"), f"{at}3x3", stride))
        y = unit(unit(x, f"{at}double_3x3_reduce"), f"{at}double_3x3_1")
        parts.append(unit(y, f"{at}double_3x3_2", stride))
        if not pooled:
            parts.append(F.max_pool2d(x, 3, 2, ceil_mode=True))
        elif block == "5b":
            parts.append(unit(F.max_pool2d(x, 3, 1, 1), f"{at}pool_proj"))
        else:
            mean = F.avg_pool2d(x, 3, 1, 1, count_include_pad=True)
            parts.append(unit(mean, f"{at}pool_proj"))
        x = torch.cat(parts, 1)
    return x


def answer(features: Tensor, weights: Weights, classifier: str) -> Tensor:
    """(T, C, h, w) -> (classes,): the mean over the frames of what each says."""
    weight, bias = (weights[f"{classifier}.{leaf}"] for leaf in ("weight", "bias"))
    return F.linear(features.mean((2, 3)), weight, bias).mean(0)
