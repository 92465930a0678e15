"""Temporal modules of TSM and ACTION-Net, written once from export-friendly primitives.

Every module maps a feature map to one of the same shape and has two forms that read one
``state_dict``:

* clip form, ``module(x, frames)``: ``x`` is ``(frames * N, C, H, W)``, stacked time-major (row
  ``t * N + n``), so that a shift by one frame is a slice by ``N`` rows of the batch axis and no
  tensor has more than four dimensions;
* stream form, ``module.step(x, state)``: one frame ``(N, C, H, W)`` and the explicit state of the
  frames before it, for causal modules alone. ``state_shapes(H, W)`` lists that state.

Missing frames are zeros in both forms. Only slices, concatenations, pads, 2-D convolutions, global
pooling and broadcast products are used, because those are what the mobile delegates take whole:
a channel mean is a 1x1 convolution with the constant weight 1/C, a 3x3x3 convolution over
``(T, H, W)`` of one channel is a 3x3 convolution over the stacked neighbour frames, and the three
gated paths are one product ``s * (3 + g_ste + g_ce + g_me)``. The formulas as the paper writes them
are in ``tests/naive.py``, where they serve as the reference.

Sources: TSM, Lin et al., ICCV 2019, arXiv 1811.08383, section 4; ACTION-Net, Wang et al., CVPR
2021, arXiv 2103.07372, section 3.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core import training_form
from core.shift import (
    SHIFT_DIVISOR,
    LearnedShift,
    Shape,
    State,
    TemporalModule,
    TemporalShift,
    delay,
    make_shift,
)

__all__ = [
    "SHIFT_DIVISOR", "TEMPORAL", "Action", "ChannelExcitation", "MotionExcitation", "Shape",
    "SpatioTemporalExcitation", "State", "TemporalModule", "TemporalShift", "delay",
    "difference", "realigned",
]  # fmt: skip

SQUEEZE_DIVISOR = 16  # r = C // 16 channels in the squeezed paths (ACTION-Net, section 3)


def difference(filtered: Tensor, pooled: Tensor, frames: int, causal: bool) -> Tensor:
    """ME's motion from pool(K*z) and pool(z), time-major stacks ``(frames * N, r, 1, 1)``.

    Causal: the filtered frame minus the one before it; else the filtered next frame minus this one.
    """
    if causal:
        return filtered - delay(pooled, frames, 1)
    batch = filtered.shape[0] // frames
    # The last frame has no successor: its whole difference is zero, not -z.
    motion = filtered[batch:] - pooled[: filtered.shape[0] - batch]
    return F.pad(motion, (0, 0, 0, 0, 0, 0, 0, batch))


class _Excitation(TemporalModule):
    """A path that gates the shifted map: ``s * gate + s``, s being the shifted input.

    Subclasses give the gate, in clip form ``gate(s, frames)`` and in stream form
    ``gate_step(s, state)``; both already went through the sigmoid.
    """

    def __init__(self, channels: int, causal: bool, learned: bool = False) -> None:
        super().__init__(channels, causal)
        self.shift = make_shift(channels, causal, learned)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        s = self.shift(x, frames)
        return s * (self.gate(s, frames) + 1.0)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        held = len(self.shift.state_shapes(1, 1))
        s, shifted = self.shift.step(x, state[:held])
        gate, kept = self.gate_step(s, state[held:])
        return s * (gate + 1.0), shifted + kept

    def state_shapes(self, height: int, width: int) -> dict[str, Shape]:
        return self.shift.state_shapes(height, width) | self.gate_shapes(height, width)

    def gate(self, s: Tensor, frames: int) -> Tensor:
        raise NotImplementedError

    def gate_step(self, s: Tensor, state: State) -> tuple[Tensor, State]:
        raise NotImplementedError

    def gate_shapes(self, height: int, width: int) -> dict[str, Shape]:
        raise NotImplementedError

    def _neighbours(self, x: Tensor, frames: int) -> Tensor:
        """Stack the three taps of a temporal kernel along the channels: (T*N, 3*C, H, W)."""
        if self.causal:
            taps = [delay(x, frames, 2), delay(x, frames, 1), x]
        else:
            taps = [delay(x, frames, 1), x, delay(x, frames, -1)]
        return torch.cat(taps, dim=1)


class SpatioTemporalExcitation(_Excitation):
    """STE (ACTION-Net, section 3.1): one H x W gate a frame from the channel mean.

    The one-channel 3x3x3 convolution over (T, H, W) is a 3x3 convolution over the channel means of
    three frames. Its weight ``(1, 3, 3, 3)`` has the temporal tap where Conv3d has its depth.
    """

    def __init__(self, channels: int, causal: bool, learned: bool = False) -> None:
        super().__init__(channels, causal, learned)
        # A constant 1x1 convolution: XNNPACK has no mean over channels.
        mean = torch.full((1, channels, 1, 1), 1.0 / channels)
        self.register_buffer("mean_weight", mean, persistent=False)
        self.conv = nn.Conv2d(3, 1, 3, padding=1, bias=False)

    def _squeeze(self, s: Tensor) -> Tensor:
        return F.conv2d(s, self.mean_weight)  # (rows, 1, H, W)

    def gate(self, s: Tensor, frames: int) -> Tensor:
        return self.gate_of(self._squeeze(s), frames)

    def gate_of(self, mean: Tensor, frames: int) -> Tensor:
        """From the channel means (T*N, 1, H, W)."""
        return torch.sigmoid(self.conv(self._neighbours(mean, frames)))

    def gate_step(self, s: Tensor, state: State) -> tuple[Tensor, State]:
        (past,) = state  # (N, 2, H, W): means of frames t-2 and t-1
        window = torch.cat([past, self._squeeze(s)], dim=1)  # (N, 3, H, W)
        return torch.sigmoid(self.conv(window)), [window[:, 1:]]

    def gate_shapes(self, height: int, width: int) -> dict[str, Shape]:
        return {"ste": (2, height, width)}


class ChannelExcitation(_Excitation):
    """CE (ACTION-Net, section 3.2): one gate a channel and frame from squeezed channel vectors.

    The temporal convolution, kernel 3, r to r channels, is a 1x1 convolution over the stacked
    vectors of three frames: weight ``(r, 3 * r, 1, 1)``, oldest tap first.
    """

    def __init__(self, channels: int, causal: bool, learned: bool = False) -> None:
        super().__init__(channels, causal, learned)
        self.squeezed = max(1, channels // SQUEEZE_DIVISOR)
        self.squeeze = nn.Conv2d(channels, self.squeezed, 1, bias=False)
        self.conv = nn.Conv2d(3 * self.squeezed, self.squeezed, 1, bias=False)
        self.expand = nn.Conv2d(self.squeezed, channels, 1, bias=False)

    def _vector(self, s: Tensor) -> Tensor:
        return self.squeeze(F.adaptive_avg_pool2d(s, 1))  # (rows, r, 1, 1)

    def logits(self, vectors: Tensor, frames: int) -> Tensor:
        hidden = F.relu(self.conv(self._neighbours(vectors, frames)))
        return self.expand(hidden)  # (T*N, C, 1, 1)

    def logits_step(self, s: Tensor, state: State) -> tuple[Tensor, State]:
        (past,) = state  # (N, 2r, 1, 1): vectors of frames t-2 and t-1
        window = torch.cat([past, self._vector(s)], dim=1)  # (N, 3r, 1, 1)
        return self.expand(F.relu(self.conv(window))), [window[:, self.squeezed :]]

    def gate(self, s: Tensor, frames: int) -> Tensor:
        return self.gate_of(self._vector(s), frames)

    def gate_of(self, vectors: Tensor, frames: int) -> Tensor:
        """From the squeezed vectors (T*N, r, 1, 1)."""
        return torch.sigmoid(self.logits(vectors, frames))

    def gate_step(self, s: Tensor, state: State) -> tuple[Tensor, State]:
        logits, kept = self.logits_step(s, state)
        return torch.sigmoid(logits), kept

    def gate_shapes(self, height: int, width: int) -> dict[str, Shape]:
        return {"ce": (2 * self.squeezed, 1, 1)}


class MotionExcitation(_Excitation):
    """ME (ACTION-Net, section 3.3): one gate a channel and frame from feature differences.

    With z the squeezed map and K a depthwise 3x3 convolution: bidirectional
    ``m[t] = K*z[t+1] - z[t]`` with zeros for the last frame, causal ``m[t] = K*z[t] - z[t-1]`` with
    ``z[-1] = 0``. Pooling is linear, so only the pooled vectors of neighbour frames meet.
    """

    def __init__(self, channels: int, causal: bool, learned: bool = False) -> None:
        super().__init__(channels, causal, learned)
        self.squeezed = max(1, channels // SQUEEZE_DIVISOR)
        self.squeeze = nn.Conv2d(channels, self.squeezed, 1, bias=False)
        self.norm = nn.BatchNorm2d(self.squeezed)
        self.conv = nn.Conv2d(
            self.squeezed, self.squeezed, 3, padding=1, groups=self.squeezed, bias=False
        )
        self.expand = nn.Conv2d(self.squeezed, channels, 1, bias=False)

    def _pooled(self, squeezed: Tensor) -> tuple[Tensor, Tensor]:
        """pool(K*z) and pool(z), both (rows, r, 1, 1)."""
        z = self.norm(squeezed)
        return F.adaptive_avg_pool2d(self.conv(z), 1), F.adaptive_avg_pool2d(z, 1)

    def gate(self, s: Tensor, frames: int) -> Tensor:
        return self.gate_of(self.squeeze(s), frames)

    def gate_of(self, squeezed: Tensor, frames: int) -> Tensor:
        """From the squeezed maps (T*N, r, H, W)."""
        filtered, pooled = self._pooled(squeezed)
        return torch.sigmoid(self.expand(difference(filtered, pooled, frames, self.causal)))

    def gate_step(self, s: Tensor, state: State) -> tuple[Tensor, State]:
        (past,) = state  # (N, r, 1, 1): pool(z) of frame t-1
        filtered, pooled = self._pooled(self.squeeze(s))
        return torch.sigmoid(self.expand(filtered - past)), [pooled]

    def gate_shapes(self, height: int, width: int) -> dict[str, Shape]:
        return {"me": (self.squeezed, 1, 1)}


class Action(TemporalModule):
    """ACTION (section 3.4): STE, CE and ME in parallel on the shifted map, summed.

    The sum of the three paths ``s * gate + s`` is one product, ``s * (3 + g_ste + g_ce + g_me)``.
    """

    def __init__(self, channels: int, causal: bool, learned: bool = False) -> None:
        super().__init__(channels, causal)
        self.shift = make_shift(channels, causal, learned)
        self.ste = SpatioTemporalExcitation(channels, causal)
        self.ce = ChannelExcitation(channels, causal)
        self.me = MotionExcitation(channels, causal)

    @staticmethod
    def _excite(s: Tensor, ste: Tensor, ce: Tensor, me: Tensor) -> Tensor:
        # The two channel gates and the constant meet on (rows, C, 1, 1) before the map is touched.
        # A float constant: ExecuTorch leaves the cast of an integer one outside the delegate.
        return s * (ste + (ce + me + 3.0))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        s = self.shift(x, frames)
        if training_form.applies(self, s):
            return self._trained(s, frames)
        gates = (path.gate(s, frames) for path in (self.ste, self.ce, self.me))
        return self._excite(s, *gates)

    def _trained(self, s: Tensor, frames: int) -> Tensor:
        """The same with one pass over ``s`` for the three squeezes, which are all linear.

        CE's comes before its pooling, which is linear as well.
        """
        squeezed = (self.me.squeeze.weight, self.ce.squeeze.weight, self.ste.mean_weight)
        maps = F.conv2d(s, torch.cat(squeezed)).split([len(weight) for weight in squeezed], dim=1)
        motion, vectors, mean = maps
        ste = self.ste.gate_of(mean, frames)
        ce = self.ce.gate_of(F.adaptive_avg_pool2d(vectors, 1), frames)
        me = self.me.gate_of(motion, frames)
        return training_form.gated(s, ste, ce + me + 3.0)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        held = len(self.shift.state_shapes(1, 1))
        s, kept = self.shift.step(x, state[:held])
        gates = []
        for path, past in zip((self.ste, self.ce, self.me), state[held:], strict=True):
            gate, new = path.gate_step(s, [past])
            gates.append(gate)
            kept = kept + new
        return self._excite(s, *gates), kept

    def state_shapes(self, height: int, width: int) -> dict[str, Shape]:
        shapes = self.shift.state_shapes(height, width)
        for path in (self.ste, self.ce, self.me):
            shapes |= path.gate_shapes(height, width)
        return shapes


TEMPORAL: dict[str, Callable[..., TemporalModule]] = {
    "none": lambda channels, causal, learned=False: TemporalModule(channels, causal),  # TSN
    "shift": make_shift,  # TSM
    "ste": SpatioTemporalExcitation,
    "ce": ChannelExcitation,
    "me": MotionExcitation,
    "action": Action,
}


def realigned(module: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a model that is causal where ``module`` is not, or not where it is, made to fit.

    STE, CE and a learned shift weigh frames (t-1, t, t+1), causal ones (t-2, t-1, t). The tap of a
    frame that both forms see stays that frame's, the other form's is dropped and the new one starts
    at zero.
    """
    moved = dict(tensors)
    for name, part in module.named_modules():
        prefix = f"{name}.".removeprefix(".")
        if isinstance(part, LearnedShift):
            keys = [f"{prefix}taps.{i}" for i in range(len(part.taps))]
            if all(k in tensors and tensors[k].shape == part.taps[0].shape for k in keys):
                taps = _moved_taps([tensors[key] for key in keys], part.causal)
                moved.update(zip(keys, taps, strict=True))
        elif isinstance(part, SpatioTemporalExcitation | ChannelExcitation):
            key = f"{prefix}conv.weight"
            if key in tensors and tensors[key].shape == part.conv.weight.shape:
                taps = _moved_taps(list(tensors[key].chunk(3, dim=1)), part.causal)
                moved[key] = torch.cat(taps, dim=1)
    return moved


def _moved_taps(taps: list[Tensor], causal: bool) -> list[Tensor]:
    """Three taps, oldest first, as the ``causal`` or the other form has them."""
    first, middle, last = taps
    new = torch.zeros_like(first)
    return [new, first, middle] if causal else [middle, last, new]
