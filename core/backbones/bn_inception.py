"""BNInception with a slot for a temporal module in each of its ten inception blocks.

Source: Ioffe and Szegedy, ICML 2015, arXiv 1502.03167, figure 5 of the appendix, with the channels
of the Caffe model that TSN, TSM and ACTION-Net start from. Location 1 is the tensor that enters a
block, before its branches (ACTION-Net, supplement, section A). Location 2, "before the
concatenation", we read, without having seen the figure, as one module at the end of each branch.

torchvision has no such network; the names here are of this project: ``blocks.3a.branches.1x1...``.
Convolutions have a bias beside their batch norm, as in the Caffe model.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.backbones.slots import (
    Excite,
    MakeTemporal,
    Part,
    Size,
    Trunk,
    halved,
    initialise,
    plain,
    round_channels,
)  # fmt: skip

STEM_CHANNELS = (64, 64, 192)  # 7x7, 1x1, 3x3
# Channels of 1x1; 3x3 with its reduction; two 3x3 with theirs; pooling and channels behind it.
# A block without a 1x1 halves the map, and its pooled branch has no convolution.
BLOCKS = {
    "3a": (64, (64, 64), (64, 96), ("avg", 32)),
    "3b": (64, (64, 96), (64, 96), ("avg", 64)),
    "3c": (0, (128, 160), (64, 96), ("max", 0)),
    "4a": (224, (64, 96), (96, 128), ("avg", 128)),
    "4b": (192, (96, 128), (96, 128), ("avg", 128)),
    "4c": (160, (128, 160), (128, 160), ("avg", 128)),
    "4d": (96, (128, 192), (160, 192), ("avg", 128)),
    "4e": (0, (128, 192), (192, 256), ("max", 0)),
    "5a": (352, (192, 320), (160, 224), ("avg", 128)),
    "5b": (352, (192, 320), (192, 224), ("max", 128)),
}
STRIDE_8, STRIDE_16 = "3b", "4d"  # the last blocks at these strides


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class HalvingPool(nn.Module):
    """Largest of 3x3 pixels with a stride of 2.

    A map of even size is pooled as in the Caffe model: from the first pixel on, the last window
    cut off. An odd one, which no picture of 224 pixels leads to, is padded as the convolutions
    beside it are, so that the branches of a block meet in one size.
    """

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        return F.max_pool2d(x, 3, 2, (height % 2, width % 2), ceil_mode=True)


class AveragePool(nn.AvgPool2d):
    """Mean of 3x3 pixels, zeros outside the map counted in.

    It knows its channels, so that an exporter can write it as a depthwise convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(3, 1, 1)
        self.channels = channels


class Branch(nn.Module):
    """Layers one after another and the slot of location 2 behind them."""

    def __init__(self, layers: list[nn.Module], temporal: nn.Module | None) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.temporal = temporal

    def forward(self, x: Tensor, excite: Excite) -> Tensor:
        y = self.layers(x)
        return y if self.temporal is None else excite(self.temporal, y)


class InceptionBlock(nn.Module):
    """Three or four branches from one tensor, concatenated, and the slot of location 1 before."""

    def __init__(
        self, inputs: int, plan: tuple, width: float, make: MakeTemporal, location: int
    ) -> None:
        super().__init__()

        def scaled(channels: int) -> int:
            return round_channels(channels * width) if channels else 0

        one, three, double, (kind, projected) = plan
        self.stride = 1 if one else 2
        self.temporal = make(inputs) if location == 1 else None
        self.branches = nn.ModuleDict()
        self.out_channels = 0

        def branch(name: str, layers: list[nn.Module], outputs: int) -> None:
            temporal = make(outputs) if location == 2 else None
            self.branches[name] = Branch(layers, temporal)
            self.out_channels += outputs

        if one:
            branch("1x1", [Unit(inputs, scaled(one), 1)], scaled(one))
        reduced, outputs = map(scaled, three)
        layers = [Unit(inputs, reduced, 1), Unit(reduced, outputs, 3, self.stride)]
        branch("3x3", layers, outputs)
        reduced, outputs = map(scaled, double)
        layers = [Unit(inputs, reduced, 1), Unit(reduced, outputs, 3)]
        branch("double_3x3", [*layers, Unit(outputs, outputs, 3, self.stride)], outputs)
        if projected:
            pool = AveragePool(inputs) if kind == "avg" else nn.MaxPool2d(3, 1, 1)
            branch("pool", [pool, Unit(inputs, scaled(projected), 1)], scaled(projected))
        else:
            branch("pool", [HalvingPool()], inputs)

    def forward(self, x: Tensor, excite: Excite) -> Tensor:
        if self.temporal is not None:
            x = excite(self.temporal, x)
        return torch.cat([branch(x, excite) for branch in self.branches.values()], dim=1)


class BNInception(Trunk):
    """The trunk: frames ``(rows, 3, H, W)`` to features ``(rows, 1024, H / 32, W / 32)``."""

    LOCATIONS = 2

    def __init__(self, make: MakeTemporal, width: float = 1.0, location: int = 1) -> None:
        super().__init__()
        first, reduced, channels = (round_channels(c * width) for c in STEM_CHANNELS)
        self.stem = nn.Sequential(
            Unit(3, first, 7, 2), HalvingPool(),
            Unit(first, reduced, 1), Unit(reduced, channels, 3), HalvingPool(),
        )  # fmt: skip
        self.blocks = nn.ModuleDict()
        for name, plan in BLOCKS.items():
            self.blocks[name] = InceptionBlock(channels, plan, width, make, location)
            channels = self.blocks[name].out_channels
        self.out_channels = channels
        initialise(self)

    def parts(self) -> list[Part]:
        return [plain(self.stem), *self.blocks.values()]

    def slots(self, height: int, width: int) -> Iterator[tuple[str, nn.Module, Size]]:
        size = halved(halved(halved((height, width))))  # behind the stem
        for name, block in self.blocks.items():
            if block.temporal is not None:
                yield name, block, size
            size = halved(size) if block.stride == 2 else size
            for kind, branch in block.branches.items():
                if branch.temporal is not None:
                    yield f"{name}.{kind}", branch, size

    def inner_maps(self) -> list[tuple[nn.Module, int]]:
        layers = [self.blocks[STRIDE_8], self.blocks[STRIDE_16]]
        return [(layer, layer.out_channels) for layer in layers]
