"""MobileNet V2 with a slot for a temporal module in ten of its inverted residuals.

Source: Sandler et al., CVPR 2018, arXiv 1801.04381, Table 2. The slots are those of TSM and
ACTION-Net (supplement, Table 3): every inverted residual with expansion > 1 and a skip connection,
inside the residual branch. Location 1 is before its expansion 1x1; 2, 3 and 4, our reading of the
supplement's Table 1, whose figure we have not seen, are before the depthwise convolution, before
the projection, and after the projection and before the addition.

State-dict names of the plain network are torchvision's (``features.0.0.weight`` ...), so that its
weights load as they are; a slot adds ``features.<i>.temporal.*``.
"""

from collections.abc import Iterator

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

# expansion, output channels, repeats, stride of the first (MobileNet V2, Table 2)
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
PLACES = (0, 1, 2, 4)  # of locations 1 to 4 among the layers of a residual branch


def conv_norm_act(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1):
    """Convolution, batch norm, ReLU6."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Expansion 1x1, depthwise 3x3, linear projection 1x1, with a temporal slot among them."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        expansion: int,
        make: MakeTemporal,
        location: int,
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.stride = stride
        self.skip = stride == 1 and inputs == outputs
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(conv_norm_act(inputs, hidden, 1, 1))
        layers += [
            conv_norm_act(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)
        self.place = PLACES[location - 1]
        widths = (inputs, hidden, hidden, outputs)
        self.temporal = make(widths[location - 1]) if self.skip and expansion != 1 else None

    def forward(self, x: Tensor, excite: Excite) -> Tensor:
        y = x
        for place, layer in enumerate(self.conv):
            if self.temporal is not None and place == self.place:
                y = excite(self.temporal, y)
            y = layer(y)
        if self.temporal is not None and self.place == len(self.conv):
            y = excite(self.temporal, y)
        return x + y if self.skip else y


class MobileNetV2(Trunk):
    """The trunk: frames ``(rows, 3, H, W)`` to features ``(rows, 1280, H / 32, W / 32)``."""

    LOCATIONS = 4

    def __init__(self, make: MakeTemporal, width: float = 1.0, location: int = 1) -> None:
        super().__init__()
        channels = round_channels(STEM_CHANNELS * width)
        layers: list[nn.Module] = [conv_norm_act(3, channels, 3, 2)]
        for expansion, outputs, repeats, stride in STAGES:
            outputs = round_channels(outputs * width)
            for i in range(repeats):
                first = stride if i == 0 else 1
                layers.append(InvertedResidual(channels, outputs, first, expansion, make, location))
                channels = outputs
        self.out_channels = round_channels(HEAD_CHANNELS * max(1.0, width))
        layers.append(conv_norm_act(channels, self.out_channels, 1, 1))
        self.features = nn.Sequential(*layers)
        initialise(self)

    def parts(self) -> list[Part]:
        return [f if isinstance(f, InvertedResidual) else plain(f) for f in self.features]

    def slots(self, height: int, width: int) -> Iterator[tuple[str, InvertedResidual, Size]]:
        size = halved((height, width))  # behind the stem
        for index, layer in enumerate(self.features):
            if isinstance(layer, InvertedResidual):
                if layer.temporal is not None:  # its stride is 1
                    yield str(index), layer, size
                size = halved(size) if layer.stride == 2 else size

    def inner_maps(self) -> list[tuple[nn.Module, int]]:
        layers = [self.features[6], self.features[13]]
        return [(layer, layer.conv[-1].num_features) for layer in layers]
