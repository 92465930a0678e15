"""ACTION rewritten for ExecuTorch: the same numbers from fewer and cheaper passes over the map.

Once batch norm is folded and the size of the map is fixed, algebra allows what training does not
need. Rewrites have numbers, R1 to R14, that stand at their lines; ``docs/performance.md`` has the
effect of each:

* R1, R11: the channel mean of STE and the squeezes of CE and ME read the map once, as one 1x1
  convolution: CE squeezes and pools, and both are linear;
* R2: ME convolves only to pool afterwards. With zero padding ``pool(K * z)`` is the mean of ``z``
  times what each pixel contributes to the sum (``coverage``), a constant map: a product in place of
  a depthwise convolution. So all that CE and ME remember of a frame is one mean of that product;
* R3, R12: STE convolves maps of one channel, and a kernel that works on channels leaves all lanes
  but one idle. Its columns are therefore taken as channels: a 3x3x3 convolution of one channel is
  a 3x3 convolution over frames and rows, of ``W`` channels to ``W``, with banded weights. A frame
  is one block of memory, so that to add one and to drop one are copies of blocks;
* R6: the vectors of CE and ME are one: three frames of it stand one below the other, a 3x1
  convolution weighs them, a transposed 2x1 convolution gives the two gates below each other, and
  their sum with the constant 3 is a depthwise convolution of ones. ME's motion has no ReLU, CE's
  hidden vector has: the motion goes through it twice, once with each sign.

Source of the formulas: ACTION-Net, arXiv 2103.07372, section 3; ``core.temporal`` is the reference.
"""

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.model import VideoClassifier
from core.temporal import Action, ChannelExcitation, Shape, State, TemporalModule, delay

TAPS = 3  # frames of STE and CE
NARROW = 16  # squeezed channels up to which CE and ME share their layers


def coverage(kernel: Tensor, height: int, width: int) -> Tensor:
    """Weights of a map in the sum of its depthwise convolution: ``(1, r, height, width)``.

    ``kernel`` is ``(r, 1, 3, 3)``, applied with one zero of padding: the sum over all pixels of
    ``K * z`` is the sum of ``z * coverage(K)``. Inside the map that is the kernel's sum; at an edge
    the taps are missing that would look at it from outside.
    """
    ones = torch.ones(1, kernel.shape[0], height, width, dtype=kernel.dtype)
    return F.conv_transpose2d(ones, kernel, padding=1, groups=kernel.shape[0])


def banded(kernel: Tensor, width: int) -> Tensor:
    """The weight ``(W, W, 3, 3)``, over frames and rows, that convolves columns as ``kernel`` maps.

    ``kernel`` is ``(1, 3, 3, 3)``; a tap to the left or right is a diagonal beside the main one.
    """
    taps = kernel[0].permute(2, 0, 1)  # (column, frame, row)
    weight = kernel.new_zeros(width, width, TAPS, TAPS)  # (to column, from column, frame, row)
    for tap, of_column in zip((-1, 0, 1), taps, strict=True):
        for column in range(max(0, -tap), min(width, width - tap)):
            weight[column, column + tap] = of_column
    return weight


def by_tap(ce: ChannelExcitation) -> Tensor:
    """CE's convolution over time, (to, from, tap)."""
    r = ce.squeezed
    return ce.conv.weight[:, :, 0, 0].view(r, TAPS, r).transpose(1, 2)


def last_still(motion: Tensor, frames: int) -> Tensor:
    """A bidirectional ME has no motion in the last frame, which has no successor."""
    batch = motion.shape[0] // frames
    return F.pad(motion[: motion.shape[0] - batch], (0, 0, 0, 0, 0, 0, 0, batch))


def window_of(kept: Tensor, frames: int, causal: bool, dim: int) -> Tensor:
    """What was kept of the three frames that a kernel over time sees, oldest first, along ``dim``.

    ``kept`` is stacked time-major; a bidirectional kernel looks one frame into the future.
    """
    ahead = 0 if causal else 1
    return torch.cat([delay(kept, frames, by - ahead) for by in (2, 1, 0)], dim)


class FusedAction(TemporalModule):
    """ACTION on maps ``(C, height, width)`` of one size; made from ``Action`` without batch norm.

    State beside the shift's: "ste", the channel means of two frames with their columns as channels,
    ``(W, 2, H)``, and "squeezed", the vectors of two frames, ``(1 + 3 * r, 2, 1)``. A vector is
    nothing, which stands where STE's mean does, CE's squeezed map, ME's, and ME's filtered one, all
    pooled.
    """

    def __init__(self, action: Action, height: int, width: int) -> None:
        super().__init__(action.channels, action.causal)
        self.shift, self.squeezed = action.shift, action.me.squeezed
        filtered = coverage(action.me.conv.weight.detach(), height, width)  # R2
        weight, bias, cover = self._squeezes(action, filtered)
        self.squeeze = nn.Conv2d(self.channels, len(weight), 1)  # R1
        self.rows = nn.Conv2d(width, width, (TAPS, TAPS), padding=(0, 1), bias=False)  # R3
        # In int8 all outputs share one range, in which small ones would be lost: they are scaled to
        # equal sizes, which is undone where they are read.
        size = torch.cat([weight.flatten(1), bias[:, None]], dim=1).norm(dim=1)
        size = torch.where(size > 0, size, 1.0)
        # R8: in the order in which XNNPACK works, or it would be transposed in every frame.
        cover = (cover * size.view(-1, 1, 1)).contiguous(memory_format=torch.channels_last)
        self.register_buffer("cover", cover)
        with torch.no_grad():
            self.squeeze.weight.copy_(weight / size.view(-1, 1, 1, 1))
            self.squeeze.bias.copy_(bias / size)
            self.rows.weight.copy_(banded(action.ste.conv.weight, width) * size[0])
            self._make_vectors(action)

    def _squeezes(self, action: Action, filtered: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weight and bias of all 1x1 convolutions of the map, and the weights of their pooling.

        STE's mean comes first, which is not pooled. ``filtered`` (1, r, H, W) pools ME's filter.
        """
        ce, me = action.ce.squeeze.weight.detach(), action.me.squeeze.weight.detach()
        bias, plain = action.me.squeeze.bias.detach(), torch.ones_like(filtered)
        return (
            torch.cat([action.ste.mean_weight, ce, me, me]),  # R11: CE's among them
            torch.cat([F.pad(bias, (1 + self.squeezed, 0)), bias]),
            F.pad(torch.cat([plain, plain, filtered], dim=1), (0, 0, 0, 0, 1, 0)),
        )

    def _make_vectors(self, action: Action) -> None:
        """R6: the layers that work on vectors, CE's and ME's as one, with zeros where they part."""
        ce, me, r, channels = action.ce, action.me, self.squeezed, self.channels
        self.window = nn.Conv2d(1 + 3 * r, 3 * r, (TAPS, 1), bias=False)
        self.expand = nn.ConvTranspose2d(3 * r, channels, (2, 1), bias=False)
        self.register_buffer("ones", torch.ones(channels, 1, 2, 1))
        self.register_buffer("three", torch.full((channels,), 3.0))
        for layer in (self.window, self.expand):
            layer.weight.zero_()
        of_ce, of_me, filtered = (slice(i * r, (i + 1) * r) for i in range(3))
        weight, one = self.window.weight[:, 1:, :, 0], torch.eye(r)
        weight[of_ce, of_ce] = by_tap(ce)
        # The newest frame, filtered, minus the one before it.
        for motion, sign in ((of_me, 1.0), (filtered, -1.0)):
            weight[motion, filtered, 2] = sign * one
            weight[motion, of_me, 1] = -sign * one
            self.expand.weight[motion, :, 1, 0] = sign * me.expand.weight[:, :, 0, 0].T
        self.expand.weight[of_ce, :, 0, 0] = ce.expand.weight[:, :, 0, 0].T

    def forward(self, x: Tensor, frames: int) -> Tensor:
        s = self.shift(x, frames)
        mean, vector = self._squeezed(s)
        means, window = (window_of(kept, frames, self.causal, dim=2) for kept in (mean, vector))
        return self._excite(s, means, self._hidden(window, frames))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        *shifted, means, vectors = state
        s, shifted = self.shift.step(x, shifted)
        mean, vector = self._squeezed(s)
        means = torch.cat([means, mean], dim=2)  # R12: (1, W, 3, H), a frame is a block
        window = torch.cat([vectors, vector], dim=2)
        y = self._excite(s, means, self._hidden(window, 1))
        return y, [*shifted, means[:, :, 1:], window[:, :, 1:]]

    def _squeezed(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """The channel mean with its columns as channels, (rows, W, 1, H), and the vector."""
        z = self.squeeze(s)
        # R4: sliced after it was permuted: one block is copied then, not single bytes.
        mean = z.permute(0, 3, 1, 2)[:, :, :1]
        return mean, self._vector(s, F.adaptive_avg_pool2d(z * self.cover, 1))

    def _vector(self, s: Tensor, pooled: Tensor) -> Tensor:
        """What CE and ME remember of a frame, (rows, n, 1, 1)."""
        return pooled

    def _hidden(self, window: Tensor, frames: int) -> Tensor | tuple[Tensor, Tensor]:
        """What the gates are expanded from; ``window`` is (rows, n, 3, 1)."""
        hidden = F.relu(self.window(window))
        if self.causal:
            return hidden
        motion = last_still(hidden[:, self.squeezed :], frames)
        return torch.cat([hidden[:, : self.squeezed], motion], dim=1)

    def _gates(self, hidden: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """The gates of CE and ME and 3, (rows, C, 1, 1)."""
        gates = torch.sigmoid(self.expand(hidden))  # (rows, C, 2, 1): CE's, ME's
        return F.conv2d(gates, self.ones, self.three, groups=self.channels)

    def _excite(self, s: Tensor, means: Tensor, hidden: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        # (rows, W, 3, H) to (rows, W, 1, H) to (rows, 1, H, W)
        spatial = torch.sigmoid(self.rows(means)).permute(0, 2, 3, 1)
        return s * (spatial + self._gates(hidden))  # R5: one product, not three

    def state_shapes(self, height: int, width: int) -> dict[str, Shape]:
        shapes = self.shift.state_shapes(height, width) | {"ste": (width, 2, height)}
        return shapes | {"squeezed": (1 + 3 * self.squeezed, 2, 1)}


class WideAction(FusedAction):
    """The same for many squeezed channels, where CE squeezes what has been pooled, and the zeros of
    one layer for CE and ME cost more than to start two: weights are read in every frame.

    A vector is CE's squeezed map, ME's and ME's filtered one, all pooled, ``3 * r``.
    """

    def _squeezes(self, action: Action, filtered: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        me = action.me.squeeze
        return (
            torch.cat([action.ste.mean_weight, me.weight.detach()]),
            F.pad(me.bias.detach(), (1, 0)),
            F.pad(filtered, (0, 0, 0, 0, 1, 0)),
        )

    def _make_vectors(self, action: Action) -> None:
        ce, me, r, channels = action.ce, action.me, self.squeezed, self.channels
        self.pooled = nn.Conv2d(channels, 2 * r, 1)
        self.window = nn.Conv2d(r, r, (TAPS, 1), bias=False)
        self.expand_ce, self.expand_me = ce.expand, me.expand
        self.register_buffer("three", torch.full((1, 1, 1, 1), 3.0))
        self.pooled.weight.copy_(torch.cat([ce.squeeze.weight, me.squeeze.weight]))
        self.pooled.bias.copy_(F.pad(me.squeeze.bias, (r, 0)))
        self.window.weight.copy_(by_tap(ce)[..., None])

    def _vector(self, s: Tensor, pooled: Tensor) -> Tensor:
        return torch.cat([self.pooled(F.adaptive_avg_pool2d(s, 1)), pooled[:, 1:]], dim=1)

    def _hidden(self, window: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        r = self.squeezed
        motion = window[:, 2 * r :, 2:] - window[:, r : 2 * r, 1:2]
        motion = motion if self.causal else last_still(motion, frames)
        return F.relu(self.window(window[:, :r])), motion

    def _gates(self, hidden: tuple[Tensor, Tensor]) -> Tensor:  # type: ignore[override]  # what _hidden gives here
        of_ce, motion = hidden
        gates = torch.sigmoid(self.expand_ce(of_ce)) + torch.sigmoid(self.expand_me(motion))
        return gates + self.three

    def state_shapes(self, height: int, width: int) -> dict[str, Shape]:
        shapes = super().state_shapes(height, width)
        return shapes | {"squeezed": (3 * self.squeezed, 2, 1)}


def fused(model: VideoClassifier) -> VideoClassifier:
    """A copy of ``model``, whose batch norm has been folded, with every ``Action`` as deployed."""

    def made(action: Action, height: int, width: int) -> FusedAction:
        kind = WideAction if action.me.squeezed > NARROW else FusedAction
        return kind(action, height, width)

    return with_actions(model, made)


def with_actions(
    model: VideoClassifier, make: Callable[[Action, int, int], TemporalModule]
) -> VideoClassifier:
    """A copy of ``model`` with ``make(action, height, width)`` in the place of every ``Action``."""
    model = copy.deepcopy(model)
    for _, layer, size in model.backbone.slots(model.config.size, model.config.size):
        if isinstance(layer.temporal, Action):
            layer.temporal = make(layer.temporal, *size)
    return model
