"""ResNet-50 with a slot for a temporal module in each of its 16 bottlenecks.

Source: He et al., CVPR 2016, arXiv 1512.03385, Table 1, with the stride of a stage in the 3x3
convolution, as torchvision has it. The slots are those of TSM and ACTION-Net (supplement, Table 2),
inside the residual branch. Location 1 is before the first 1x1; 2, 3 and 4, our reading of the
supplement's Table 1, whose figure we have not seen, are before the 3x3, before the last 1x1, and
after it and before the addition. Location 0 is before the whole bottleneck, so that the skip
connection takes the map that was shifted too: TSM's ``shift_place`` block.

State-dict names of the plain network are torchvision's (``layer1.0.conv1.weight`` ...), so that its
weights load as they are; a slot adds ``layer<s>.<i>.temporal.*``.
"""

from collections.abc import Iterator

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
    round_channels,
)  # fmt: skip

# channels of the 3x3, bottlenecks, stride of the first (res2 to res5)
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
STEM_CHANNELS = 64
EXPANSION = 4  # output channels of a bottleneck over those of its 3x3


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution beside a skip connection, with a temporal slot among them."""

    def __init__(
        self, inputs: int, planes: int, stride: int, make: MakeTemporal, location: int
    ) -> None:
        super().__init__()
        outputs = EXPANSION * planes
        self.stride, self.location = stride, location
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.temporal = make((inputs, inputs, planes, planes, outputs)[location])

    def forward(self, x: Tensor, excite: Excite) -> Tensor:
        def slot(location: int, y: Tensor) -> Tensor:
            return excite(self.temporal, y) if location == self.location else y

        x = slot(0, x)
        y = F.relu(self.bn1(self.conv1(slot(1, x))))
        y = F.relu(self.bn2(self.conv2(slot(2, y))))
        y = slot(4, self.bn3(self.conv3(slot(3, y))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50(Trunk):
    """The trunk: frames ``(rows, 3, H, W)`` to features ``(rows, 2048, H / 32, W / 32)``."""

    LOCATIONS = 4
    WHOLE = True

    def __init__(self, make: MakeTemporal, width: float = 1.0, location: int = 1) -> None:
        super().__init__()
        channels = round_channels(STEM_CHANNELS * width)
        self.conv1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for number, (planes, repeats, stride) in enumerate(STAGES, start=1):
            planes = round_channels(planes * width)
            stage = []
            for i in range(repeats):
                first = stride if i == 0 else 1
                stage.append(Bottleneck(channels, planes, first, make, location))
                channels = EXPANSION * planes
            self.add_module(f"layer{number}", nn.Sequential(*stage))
        self.stages = len(STAGES)
        self.out_channels = channels
        initialise(self)

    def blocks(self) -> Iterator[tuple[str, Bottleneck]]:
        """The bottlenecks in order, by the name of torchvision."""
        for number in range(1, self.stages + 1):
            for i, block in enumerate(self.get_submodule(f"layer{number}")):
                yield f"layer{number}.{i}", block

    def parts(self) -> list[Part]:
        def stem(x: Tensor, excite: Excite) -> Tensor:
            return self.maxpool(F.relu(self.bn1(self.conv1(x))))

        return [stem, *(block for _, block in self.blocks())]

    def slots(self, height: int, width: int) -> Iterator[tuple[str, Bottleneck, Size]]:
        size = halved(halved((height, width)))  # behind the stem
        for name, block in self.blocks():
            behind = halved(size) if block.stride == 2 else size
            yield name, block, size if block.location <= 2 else behind
            size = behind

    def inner_maps(self) -> list[tuple[nn.Module, int]]:
        layers = [self.layer2[-1], self.layer3[-1]]
        return [(layer, layer.bn3.num_features) for layer in layers]
