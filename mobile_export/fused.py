"""ACTION rewritten for ExecuTorch: the same numbers from fewer and cheaper passes over the map.

Once batch norm is folded and the size of the map is fixed, algebra allows what training does not
need (``docs/performance.md`` has the effect of each):

* the channel mean of STE and the squeeze of ME read the map once, as one 1x1 convolution with
  ``1 + r`` outputs;
* ME convolves only to pool afterwards. With zero padding ``pool(K * z)`` is the mean of ``z`` times
  what each pixel contributes to the sum (``coverage``), a constant map: a product in place of a
  depthwise convolution. And ``pool(z)`` is the squeeze of the pooled map that CE has already;
* STE convolves maps of one channel, and a kernel that works on channels leaves all lanes but one
  idle. Its rows are therefore taken as channels: a 3x3x3 convolution of one channel is a 3x1
  convolution of ``3 * W`` channels to ``W`` with banded weights, and its three frames are
  concatenated row by row instead of pixel by pixel;
* the vectors of CE and ME are one: three frames of it stand one below the other, a 3x1 convolution
  weighs them, a transposed 2x1 convolution gives the two gates below each other, and their sum
  with the constant 3 is a depthwise convolution of ones. ME's motion has no ReLU, CE's hidden
  vector has: the motion goes through it twice, once with each sign.

Source of the formulas: ACTION-Net, arXiv 2103.07372, section 3; ``core.temporal`` is the reference.
"""

import copy

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


def by_tap(ce: ChannelExcitation) -> Tensor:
    """CE's convolution over time, (to, from, tap)."""
    r = ce.squeezed
    return ce.conv.weight[:, :, 0, 0].view(r, TAPS, r).transpose(1, 2)


def last_still(motion: Tensor, frames: int) -> Tensor:
    """A bidirectional ME has no motion in the last frame, which has no successor."""
    batch = motion.shape[0] // frames
    return F.pad(motion[: motion.shape[0] - batch], (0, 0, 0, 0, 0, 0, 0, batch))


class FusedAction(TemporalModule):
    """ACTION on maps ``(C, height, width)`` of one size; made from ``Action`` without batch norm.

    State beside the shift's: "ste", the channel means of two frames as rows, ``(2 * W, H, 1)``, and
    "squeezed", the vectors of two frames, ``(3 * r, 2, 1)``. A vector is CE's squeezed map, ME's,
    and ME's filtered one, all pooled.
    """

    def __init__(self, action: Action, height: int, width: int) -> None:
        super().__init__(action.channels, action.causal)
        r, channels = action.me.squeezed, action.channels
        self.shift, self.squeezed, self.width = action.shift, r, width
        self.squeeze = nn.Conv2d(channels, 1 + r, 1)
        self.rows = nn.Conv2d(TAPS * width, width, (TAPS, 1), padding=(1, 0), bias=False)
        cover = F.pad(coverage(action.me.conv.weight.detach(), height, width), (0, 0, 0, 0, 1, 0))
        # In the order in which XNNPACK works, or it would be transposed in every frame.
        self.register_buffer("cover", cover.contiguous(memory_format=torch.channels_last))
        with torch.no_grad():
            self.squeeze.weight.copy_(torch.cat([action.ste.mean_weight, action.me.squeeze.weight]))
            self.squeeze.bias.copy_(F.pad(action.me.squeeze.bias, (1, 0)))
            self.rows.weight.copy_(banded(action.ste.conv.weight, width))
            self._make_vectors(action)

    def _make_vectors(self, action: Action) -> None:
        """The layers that work on vectors: CE's and ME's as one, with zeros where they part."""
        ce, me, r, channels = action.ce, action.me, self.squeezed, self.channels
        self.pooled = nn.Conv2d(channels + 1 + r, 3 * r, 1)
        self.window = nn.Conv2d(3 * r, 3 * r, (TAPS, 1), bias=False)
        self.expand = nn.ConvTranspose2d(3 * r, channels, (2, 1), bias=False)
        self.register_buffer("ones", torch.ones(channels, 1, 2, 1))
        self.register_buffer("three", torch.full((channels,), 3.0))
        for layer in (self.pooled, self.window, self.expand):
            layer.weight.zero_()
        of_ce, of_me, filtered = (slice(i * r, (i + 1) * r) for i in range(3))
        one = torch.eye(r)
        self.pooled.weight[of_ce, :channels] = ce.squeeze.weight
        self.pooled.weight[of_me, :channels] = me.squeeze.weight
        self.pooled.weight[filtered, channels + 1 :, 0, 0] = one  # channel 0 is STE's mean
        self.pooled.bias.copy_(F.pad(me.squeeze.bias, (r, r)))
        self.window.weight[of_ce, of_ce, :, 0] = by_tap(ce)
        # The newest frame, filtered, minus the one before it.
        for motion, sign in ((of_me, 1.0), (filtered, -1.0)):
            self.window.weight[motion, filtered, 2, 0] = sign * one
            self.window.weight[motion, of_me, 1, 0] = -sign * one
            self.expand.weight[motion, :, 1, 0] = sign * me.expand.weight[:, :, 0, 0].T
        self.expand.weight[of_ce, :, 0, 0] = ce.expand.weight[:, :, 0, 0].T

    def forward(self, x: Tensor, frames: int) -> Tensor:
        s = self.shift(x, frames)
        mean, vector = self._squeezed(s)
        ahead = 0 if self.causal else 1  # frames that the window looks into the future
        taps = [by - ahead for by in (2, 1, 0)]
        rows = torch.cat([delay(mean, frames, by) for by in taps], dim=1)
        window = torch.cat([delay(vector, frames, by) for by in taps], dim=2)
        return self._excite(s, rows, self._hidden(window, frames))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        *shifted, means, vectors = state
        s, shifted = self.shift.step(x, shifted)
        mean, vector = self._squeezed(s)
        rows = torch.cat([means, mean], dim=1)
        window = torch.cat([vectors, vector], dim=2)
        y = self._excite(s, rows, self._hidden(window, 1))
        return y, [*shifted, rows[:, self.width :], window[:, :, 1:]]

    def _squeezed(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """The channel mean with its columns as channels, (rows, W, H, 1), and the vector."""
        z = self.squeeze(s)
        pooled = F.adaptive_avg_pool2d(s, 1), F.adaptive_avg_pool2d(z * self.cover, 1)
        # Sliced after it was permuted: rows of W bytes are copied then, not single ones.
        return z.permute(0, 3, 2, 1)[..., :1], self._vector(*pooled)

    def _vector(self, s: Tensor, z: Tensor) -> Tensor:
        """(rows, 3 * r, 1, 1) of the pooled map and the pooled squeeze."""
        return self.pooled(torch.cat([s, z], dim=1))

    def _hidden(self, window: Tensor, frames: int) -> Tensor | tuple[Tensor, Tensor]:
        """What the gates are expanded from; ``window`` is (rows, 3 * r, 3, 1)."""
        hidden = F.relu(self.window(window))
        if self.causal:
            return hidden
        motion = last_still(hidden[:, self.squeezed :], frames)
        return torch.cat([hidden[:, : self.squeezed], motion], dim=1)

    def _gates(self, hidden: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """The gates of CE and ME and 3, (rows, C, 1, 1)."""
        gates = torch.sigmoid(self.expand(hidden))  # (rows, C, 2, 1): CE's, ME's
        return F.conv2d(gates, self.ones, self.three, groups=self.channels)

    def _excite(self, s: Tensor, rows: Tensor, hidden: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        spatial = torch.sigmoid(self.rows(rows)).permute(0, 3, 2, 1)  # (rows, 1, H, W)
        return s * (spatial + self._gates(hidden))

    def state_shapes(self, height: int, width: int) -> dict[str, Shape]:
        shapes = self.shift.state_shapes(height, width) | {"ste": (2 * width, height, 1)}
        return shapes | {"squeezed": (3 * self.squeezed, 2, 1)}


class WideAction(FusedAction):
    """The same for many squeezed channels, where the zeros of one layer for CE and ME cost more
    than to start two: they are most of its weights, and weights are read in every frame."""

    def _make_vectors(self, action: Action) -> None:
        ce, me, r, channels = action.ce, action.me, self.squeezed, self.channels
        self.pooled = nn.Conv2d(channels, 2 * r, 1)
        self.window = nn.Conv2d(r, r, (TAPS, 1), bias=False)
        self.expand_ce, self.expand_me = ce.expand, me.expand
        self.register_buffer("three", torch.full((1, 1, 1, 1), 3.0))
        self.pooled.weight.copy_(torch.cat([ce.squeeze.weight, me.squeeze.weight]))
        self.pooled.bias.copy_(F.pad(me.squeeze.bias, (r, 0)))
        self.window.weight.copy_(by_tap(ce)[..., None])

    def _vector(self, s: Tensor, z: Tensor) -> Tensor:
        return torch.cat([self.pooled(s), z[:, 1:]], dim=1)  # channel 0 is STE's mean

    def _hidden(self, window: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        r = self.squeezed
        motion = window[:, 2 * r :, 2:] - window[:, r : 2 * r, 1:2]
        motion = motion if self.causal else last_still(motion, frames)
        return F.relu(self.window(window[:, :r])), motion

    def _gates(self, hidden: tuple[Tensor, Tensor]) -> Tensor:
        of_ce, motion = hidden
        gates = torch.sigmoid(self.expand_ce(of_ce)) + torch.sigmoid(self.expand_me(motion))
        return gates + self.three


def fused(model: VideoClassifier) -> VideoClassifier:
    """A copy of ``model``, whose batch norm has been folded, with every ``Action`` as deployed."""
    model = copy.deepcopy(model)
    for _, layer, size in model.backbone.slots(model.config.size, model.config.size):
        if isinstance(layer.temporal, Action):
            kind = WideAction if layer.temporal.me.squeezed > NARROW else FusedAction
            layer.temporal = kind(layer.temporal, *size)
    return model
