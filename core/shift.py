"""The temporal shift, fixed and learned, and what every temporal module offers.

Source: TSM, Lin et al., ICCV 2019, arXiv 1811.08383, section 4; ACTION-Net, arXiv 2103.07372,
section 3, whose code trains the three taps of the shift.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core import training_form

SHIFT_DIVISOR = 8  # one eighth of the channels moves in each direction (TSM, section 4)
TAPS = 3  # frames that a temporal kernel weighs

State = list[Tensor]
Shape = tuple[int, int, int]  # (C, H, W) of one state tensor, without the batch axis


def delay(x: Tensor, frames: int, by: int) -> Tensor:
    """Move a time-major stack by ``by`` frames, zeros entering: ``y[t] = x[t - by]``.

    ``x`` is ``(frames * N, C, H, W)``; a negative ``by`` looks into the future.
    """
    rows = x.shape[0] // frames * min(abs(by), frames)
    if rows == 0:
        return x
    if by > 0:
        return F.pad(x[: x.shape[0] - rows], (0, 0, 0, 0, 0, 0, rows, 0))
    return F.pad(x[rows:], (0, 0, 0, 0, 0, 0, 0, rows))


class TemporalModule(nn.Module):
    """What every temporal module offers; the identity, which makes TSN, is this class itself."""

    def __init__(self, channels: int, causal: bool) -> None:
        super().__init__()
        self.channels = channels
        self.causal = causal

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Clip form: ``(frames * N, C, H, W)`` to the same shape."""
        return x

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Stream form: one frame ``(N, C, H, W)`` and its state to a frame and the next state."""
        return x, []

    def state_shapes(self, height: int, width: int) -> dict[str, Shape]:
        """Names and ``(C, H, W)`` shapes of the state, in the order in which ``step`` takes it."""
        return {}


class TemporalShift(TemporalModule):
    """Temporal shift (TSM, section 4).

    Bidirectional: the first ``C // 8`` channels take frame t+1 and the next ``C // 8`` frame t-1,
    as ACTION-Net initialises its shift. Causal: the first ``C // 8`` channels take frame t-1.
    ``divisor`` is another part of the channels than an eighth.
    """

    def __init__(self, channels: int, causal: bool, divisor: int = SHIFT_DIVISOR) -> None:
        super().__init__(channels, causal)
        self.fold = channels // divisor

    def forward(self, x: Tensor, frames: int) -> Tensor:
        fold = self.fold
        if fold == 0:
            return x
        if training_form.applies(self, x):
            return training_form.shifted(x, frames, self._parts())
        if self.causal:
            return torch.cat([delay(x[:, :fold], frames, 1), x[:, fold:]], dim=1)
        future = delay(x[:, :fold], frames, -1)
        past = delay(x[:, fold : 2 * fold], frames, 1)
        return torch.cat([future, past, x[:, 2 * fold :]], dim=1)

    def _parts(self) -> tuple[training_form.Part, ...]:
        fold, channels = self.fold, self.channels
        if self.causal:
            return (0, fold, 1), (fold, channels, 0)
        return (0, fold, -1), (fold, 2 * fold, 1), (2 * fold, channels, 0)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if self.fold == 0:
            return x, []
        (past,) = state  # (N, C // 8, H, W) of frame t-1
        return torch.cat([past, x[:, self.fold :]], dim=1), [x[:, : self.fold]]

    def state_shapes(self, height: int, width: int) -> dict[str, Shape]:
        return {"shift": (self.fold, height, width)} if self.fold else {}


class LearnedShift(TemporalModule):
    """A depthwise temporal filter of three taps, initialised to the shift and trained.

    ``taps`` are three weights ``(C, 1, 1, 1)``, each a depthwise 1x1 convolution of one frame,
    oldest first: of frames (t-1, t, t+1), causal (t-2, t-1, t). Every channel looks at other
    frames, so a stream would have to keep whole maps: there is no stream form.
    """

    def __init__(self, channels: int, causal: bool) -> None:
        super().__init__(channels, causal)
        taps = pure_taps(channels, causal).reshape(TAPS, channels, 1, 1, 1)
        self.taps = nn.ParameterList([nn.Parameter(tap) for tap in taps.clone().unbind()])

    def matrix(self) -> Tensor:
        """The taps as ``pure_taps`` has them: (3, C)."""
        return torch.stack([tap.detach().flatten() for tap in self.taps])

    def forward(self, x: Tensor, frames: int) -> Tensor:
        newest = 0 if self.causal else -1
        delays = [newest + 2, newest + 1, newest]
        if training_form.applies(self, x):
            return training_form.filtered(x, frames, list(self.taps), delays)
        y: Tensor | None = None
        for tap, by in zip(self.taps, delays, strict=True):
            seen = delay(F.conv2d(x, tap, groups=self.channels), frames, by)
            y = seen if y is None else y + seen
        assert y is not None
        return y

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        raise ValueError("a learned shift has no stream form: snap its taps to the pure shift")


def pure_taps(channels: int, causal: bool) -> Tensor:
    """The fixed shift as taps of the learned one: zeros and ones ``(3, C)``, oldest frame first."""
    fold = channels // SHIFT_DIVISOR
    taps = torch.zeros(TAPS, channels)
    if causal:  # of frames t-2, t-1, t
        taps[1, :fold] = taps[2, fold:] = 1.0
    else:  # of frames t-1, t, t+1
        taps[2, :fold] = taps[0, fold : 2 * fold] = taps[1, 2 * fold :] = 1.0
    return taps


def make_shift(
    channels: int, causal: bool, learned: bool = False, divisor: int = SHIFT_DIVISOR
) -> TemporalModule:
    """The fixed shift, or the learned one."""
    return LearnedShift(channels, causal) if learned else TemporalShift(channels, causal, divisor)
