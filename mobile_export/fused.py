"""ACTION rewritten for ExecuTorch: the same numbers from fewer and cheaper passes over the map.

Once batch norm is folded and the size of the map is fixed, algebra allows what training does not
need (``docs/performance.md`` has the effect of each):

* the channel mean of STE and the squeeze of ME read the map once, as one 1x1 convolution with
  ``1 + r`` outputs;
* ME convolves only to pool afterwards. With zero padding ``pool(K * z)`` is the mean of ``z`` times
  what each pixel contributes to the sum (``coverage``), a constant map: a product in place of a
  depthwise convolution;
* STE convolves maps of one channel, and a kernel that works on channels leaves all lanes but one
  idle. Its rows are therefore taken as channels: a 3x3x3 convolution of one channel is a 3x1
  convolution of ``3 * W`` channels to ``W`` with banded weights, and its three frames are
  concatenated row by row instead of pixel by pixel.

Source of the formulas: ACTION-Net, arXiv 2103.07372, section 3; ``core.temporal`` is the reference.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.model import VideoClassifier
from core.temporal import Action, Shape, State, TemporalModule, delay, difference

TAPS = 3  # frames of STE and CE


def coverage(kernel: Tensor, height: int, width: int) -> Tensor:
    """Weights of a map in the sum of its depthwise convolution: ``(1, r, height, width)``.

    ``kernel`` is ``(r, 1, 3, 3)``, applied with one zero of padding: the sum over all pixels of
    ``K * z`` is the sum of ``z * coverage(K)``. Inside the map that is the kernel's sum; at an edge
    the taps are missing that would look at it from outside.
    """
    ones = torch.ones(1, kernel.shape[0], height, width, dtype=kernel.dtype)
    return F.conv_transpose2d(ones, kernel, padding=1, groups=kernel.shape[0])


def banded(kernel: Tensor, width: int) -> Tensor:
    """The weight ``(W, 3 * W, 3, 1)`` that convolves rows as ``kernel`` ``(1, 3, 3, 3)`` does maps.

    The three frames of ``kernel``'s second axis are blocks of ``W`` input channels, a tap to the
    left or right is a diagonal beside the main one.
    """
    taps = kernel[0].permute(2, 0, 1)  # (column, frame, row)
    weight = kernel.new_zeros(width, TAPS, width, TAPS)  # (to column, frame, from column, row)
    for tap, of_column in zip((-1, 0, 1), taps, strict=True):
        for column in range(max(0, -tap), min(width, width - tap)):
            weight[column, :, column + tap] = of_column
    return weight.reshape(width, TAPS * width, TAPS, 1)


class FusedAction(TemporalModule):
    """ACTION on maps ``(C, height, width)`` of one size; made from ``Action`` without batch norm.

    The state is that of ``Action`` but for two shapes: "ste" holds rows, ``(2 * W, H, 1)``, and
    "me" the mean of the map beside the means of the squeezed one, ``(1 + r, 1, 1)``.
    """

    def __init__(self, action: Action, height: int, width: int) -> None:
        super().__init__(action.channels, action.causal)
        self.shift, self.ce = action.shift, action.ce
        ste, me = action.ste, action.me
        self.squeezed, self.width = me.squeezed, width
        self.squeeze = nn.Conv2d(self.channels, 1 + me.squeezed, 1)
        self.rows = nn.Conv2d(TAPS * width, width, (TAPS, 1), padding=(1, 0), bias=False)
        self.expand = nn.Conv2d(1 + me.squeezed, self.channels, 1, bias=False)
        with torch.no_grad():
            self.squeeze.weight.copy_(torch.cat([ste.mean_weight, me.squeeze.weight]))
            self.squeeze.bias.copy_(F.pad(me.squeeze.bias, (1, 0)))
            self.rows.weight.copy_(banded(ste.conv.weight, width))
            # Channel 0 is the mean: ME does not see it.
            self.expand.weight.copy_(F.pad(me.expand.weight, (0, 0, 0, 0, 1, 0)))
            cover = F.pad(coverage(me.conv.weight, height, width), (0, 0, 0, 0, 1, 0))
        # In the order in which XNNPACK works, or it would be transposed in every frame.
        self.register_buffer("cover", cover.contiguous(memory_format=torch.channels_last))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        s = self.shift(x, frames)
        z = self.squeeze(s)
        mean = self._rows(z)
        ahead = 0 if self.causal else 1  # frames that the window looks into the future
        window = [delay(mean, frames, by - ahead) for by in (2, 1, 0)]
        motion = difference(*self._pooled(z), frames, self.causal)
        return self._excite(s, torch.cat(window, dim=1), self.ce.logits(s, frames), motion)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        held = len(self.shift.state_shapes(1, 1))
        s, shifted = self.shift.step(x, state[:held])
        ste, ce, me = state[held:]
        z = self.squeeze(s)
        window = torch.cat([ste, self._rows(z)], dim=1)  # (N, 3 W, H, 1)
        logits, vectors = self.ce.logits_step(s, [ce])
        filtered, pooled = self._pooled(z)
        y = self._excite(s, window, logits, filtered - me)
        return y, [*shifted, window[:, self.width :], *vectors, pooled]

    def _rows(self, z: Tensor) -> Tensor:
        """The channel mean with its columns as channels: (rows, W, H, 1)."""
        return z[:, :1].permute(0, 3, 2, 1)

    def _pooled(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """pool(K*z) and pool(z), both (rows, 1 + r, 1, 1)."""
        return F.adaptive_avg_pool2d(z * self.cover, 1), F.adaptive_avg_pool2d(z, 1)

    def _excite(self, s: Tensor, window: Tensor, ce: Tensor, motion: Tensor) -> Tensor:
        spatial = torch.sigmoid(self.rows(window)).permute(0, 3, 2, 1)  # (rows, 1, H, W)
        channel = torch.sigmoid(ce) + torch.sigmoid(self.expand(motion)) + 3.0
        return s * (spatial + channel)

    def state_shapes(self, height: int, width: int) -> dict[str, Shape]:
        shapes = self.shift.state_shapes(height, width) | {"ste": (2 * width, height, 1)}
        return shapes | self.ce.gate_shapes(height, width) | {"me": (1 + self.squeezed, 1, 1)}


def fused(model: VideoClassifier) -> VideoClassifier:
    """A copy of ``model``, whose batch norm has been folded, with every ``Action`` as deployed."""
    model = copy.deepcopy(model)
    for _, layer, size in model.backbone.slots(model.config.size, model.config.size):
        if isinstance(layer.temporal, Action):
            layer.temporal = FusedAction(layer.temporal, *size)
    return model
