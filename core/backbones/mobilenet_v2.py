"""MobileNet V2 with a slot for a temporal module in ten of its inverted residuals.

Source: Sandler et al., CVPR 2018, arXiv 1801.04381, Table 2. The slots are those of TSM and
ACTION-Net (supplement, Table 3): every inverted residual with expansion > 1 and a skip connection,
before its expansion 1x1 and inside the residual branch.

State-dict names of the plain network are torchvision's (``features.0.0.weight`` ...), so that its
weights load as they are; a slot adds ``features.<i>.temporal.*``.
"""

from collections.abc import Callable

from torch import Tensor, nn

from core.temporal import Shape, State, TemporalModule

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

MakeTemporal = Callable[[int], TemporalModule]


def round_channels(channels: float, divisor: int = 8) -> int:
    """Nearest multiple of 8, never more than 10 % below: the rounding of the paper's code."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def conv_norm_act(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1):
    """Convolution, batch norm, ReLU6."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Expansion 1x1, depthwise 3x3, linear projection 1x1, with the temporal slot in front."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, expansion: int, make: MakeTemporal
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
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
        self.temporal = make(inputs) if self.skip and expansion != 1 else None

    def forward(self, x: Tensor, frames: int) -> Tensor:
        inner = x if self.temporal is None else self.temporal(x, frames)
        y = self.conv(inner)
        return x + y if self.skip else y

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        inner, new = (x, []) if self.temporal is None else self.temporal.step(x, state)
        y = self.conv(inner)
        return (x + y if self.skip else y), new


class MobileNetV2(nn.Module):
    """The trunk: frames ``(rows, 3, H, W)`` to features ``(rows, 1280, H / 32, W / 32)``."""

    def __init__(self, make: MakeTemporal, width: float = 1.0) -> None:
        super().__init__()
        channels = round_channels(STEM_CHANNELS * width)
        layers: list[nn.Module] = [conv_norm_act(3, channels, 3, 2)]
        for expansion, outputs, repeats, stride in STAGES:
            outputs = round_channels(outputs * width)
            for i in range(repeats):
                first = stride if i == 0 else 1
                layers.append(InvertedResidual(channels, outputs, first, expansion, make))
                channels = outputs
        self.out_channels = round_channels(HEAD_CHANNELS * max(1.0, width))
        layers.append(conv_norm_act(channels, self.out_channels, 1, 1))
        self.features = nn.Sequential(*layers)
        self._init_weights()

    def _init_weights(self) -> None:
        # torchvision's initialisation of this network; batch norm keeps torch's ones and zeros.
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor, frames: int) -> Tensor:
        for layer in self.features:
            x = layer(x, frames) if isinstance(layer, InvertedResidual) else layer(x)
        return x

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        new: State = []
        used = 0
        for layer in self.features:
            if not isinstance(layer, InvertedResidual):
                x = layer(x)
                continue
            held = 0 if layer.temporal is None else len(layer.temporal.state_shapes(1, 1))
            x, kept = layer.step(x, state[used : used + held])
            used += held
            new += kept
        return x, new

    def inner_maps(self) -> list[tuple[nn.Module, int]]:
        """The layers whose outputs auxiliary losses read (strides 8 and 16) and their channels."""
        layers = [self.features[6], self.features[13]]
        return [(layer, layer.conv[-1].num_features) for layer in layers]

    def slots(self, height: int, width: int) -> list[tuple[int, InvertedResidual, tuple[int, int]]]:
        """Feature index, layer and map size (H, W) of every temporal slot for a picture's size."""
        found = []
        for index, layer in enumerate(self.features):
            if isinstance(layer, InvertedResidual) and layer.temporal is not None:
                found.append((index, layer, (height, width)))
            if _stride(layer) == 2:
                height, width = (height + 1) // 2, (width + 1) // 2
        return found

    def state_shapes(self, height: int, width: int) -> dict[str, Shape]:
        """Names (``<feature index>.<path>``) and (C, H, W) shapes of the stream's state."""
        return {
            f"{index}.{name}": shape
            for index, layer, size in self.slots(height, width)
            for name, shape in layer.temporal.state_shapes(*size).items()
        }


def _stride(layer: nn.Module) -> int:
    return 2 if any(m.stride == (2, 2) for m in layer.modules() if isinstance(m, nn.Conv2d)) else 1
