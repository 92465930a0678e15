"""What backbones with temporal slots share: how they run, as clips and as streams.

A backbone is written once, as ``run(x, excite)``, and calls ``excite(module, map)`` where a slot
holds a temporal module. The clip form excites with all frames at once, the stream form with one
frame and the state of those before it, handed out in the order in which the slots come.
"""

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from core.temporal import Shape, State, TemporalModule

MakeTemporal = Callable[[int], TemporalModule]  # from the channels of a slot's map
Excite = Callable[[TemporalModule, Tensor], Tensor]
Size = tuple[int, int]  # height, width of a map
Part = Callable[[Tensor, Excite], Tensor]


def round_channels(channels: float, divisor: int = 8) -> int:
    """Nearest multiple of 8, never more than 10 % below: the rounding of MobileNet V2's code."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def halved(size: Size) -> Size:
    """The size of a map behind a stride of 2: odd sizes are rounded up, in every backbone here."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def initialise(trunk: nn.Module) -> None:
    """torchvision's initialisation of convolutions; batch norm keeps torch's ones and zeros."""
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def plain(layer: nn.Module) -> Part:
    """A layer without slots as a part."""
    return lambda x, excite: layer(x)


class Trunk(nn.Module):
    """A backbone: frames ``(rows, 3, H, W)`` to features ``(rows, out_channels, h, w)``.

    Subclasses give ``parts``, ``slots`` and ``inner_maps``, and the class constant ``LOCATIONS``:
    the number of places in a block where its slot can be (ACTION-Net, supplement, Table 1).
    ``WHOLE`` tells that location 0, before the whole block, is one for a shift too.
    """

    LOCATIONS = 1
    WHOLE = False
    out_channels: int

    def parts(self) -> list[Part]:
        """Stem, blocks and head in order; a map that leaves one is all that the next one needs."""
        raise NotImplementedError

    def run(self, x: Tensor, excite: Excite) -> Tensor:
        """The whole network, ``excite`` being called at each slot in the order of ``slots``."""
        for part in self.parts():
            x = part(x, excite)
        return x

    def slots(self, height: int, width: int) -> Iterator[tuple[str, nn.Module, Size]]:
        """Name, holder and map size (H, W) of every slot for a picture's size.

        The module of a slot is its holder's ``temporal``.
        """
        raise NotImplementedError

    def inner_maps(self) -> list[tuple[nn.Module, int]]:
        """The layers whose outputs auxiliary losses read (strides 8 and 16) and their channels."""
        raise NotImplementedError

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Clip form: a time-major stack ``(frames * N, 3, H, W)``."""
        return self.run(x, lambda temporal, y: temporal(y, frames))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Stream form: one frame ``(N, 3, H, W)`` and its state, to features and the next state."""
        new: State = []

        def excite(temporal: TemporalModule, y: Tensor) -> Tensor:
            # A slot gives as many tensors as it takes: what is new says what has been used.
            held = len(temporal.state_shapes(1, 1))
            y, kept = temporal.step(y, state[len(new) : len(new) + held])
            new.extend(kept)
            return y

        return self.run(x, excite), new

    def state_shapes(self, height: int, width: int) -> dict[str, Shape]:
        """Names (``<slot>.<path>``) and (C, H, W) shapes of the stream's state."""
        return {
            f"{name}.{path}": shape
            for name, holder, size in self.slots(height, width)
            for path, shape in holder.temporal.state_shapes(*size).items()
        }
