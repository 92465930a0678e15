"""Temporal operations as training computes them: the same values in fewer passes over the maps.

Training is bound by memory, and what autograd makes of slices, concatenations and broadcasts passes
over whole maps many times: the gradient of each slice is a map of zeros with a part copied in, of
the other memory format where the maps are channels-last, and then they are summed. Here a shift and
its gradient are one pass each, as is the gated product. ``core.temporal`` and ``core.shift`` use
these while a module trains; exported graphs, streams and evaluation keep the plain form, and
compilers, which fuse by themselves, get it too.

Stacks are time-major, ``(frames * N, C, H, W)``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Part = tuple[int, int, int]  # first channel, channel behind the last, frames to delay them by


def applies(module: nn.Module, x: Tensor) -> bool:
    """Whether ``module`` is training on ``x`` and nothing traces it."""
    trains = module.training and x.requires_grad and torch.is_grad_enabled()
    return trains and not torch.compiler.is_compiling()


def shifted(x: Tensor, frames: int, parts: tuple[Part, ...]) -> Tensor:
    """``y[t, part] = x[t - by, part]`` with zeros for missing frames; parts cover the channels."""
    return _Shift.apply(x, frames, parts)


def filtered(x: Tensor, frames: int, taps: list[Tensor], delays: list[int]) -> Tensor:
    """Sum over taps ``(C, 1, 1, 1)`` of tap times the map delayed by its number of frames."""
    return _Filter.apply(x, frames, tuple(delays), *taps)


def gated(s: Tensor, spatial: Tensor, channel: Tensor) -> Tensor:
    """``s * (spatial + channel)`` with gates ``(rows, 1, H, W)`` and ``(rows, C, 1, 1)``."""
    return _Gate.apply(s, spatial, channel)


def _rows(x: Tensor, frames: int, by: int) -> tuple[slice, slice]:
    """Rows to be filled and where from, for a delay by ``by`` frames."""
    moved = len(x) // frames * min(abs(by), frames)
    late, early = slice(moved, None), slice(0, len(x) - moved)
    return (late, early) if by > 0 else (early, late)


def _copied(x: Tensor, frames: int, parts: tuple[Part, ...]) -> Tensor:
    y = torch.empty_like(x)
    for first, last, by in parts:
        to, from_ = _rows(x, frames, by)
        y[to, first:last].copy_(x[from_, first:last])
        if by:
            missing = slice(0, to.start) if by > 0 else slice(to.stop, None)
            y[missing, first:last].zero_()
    return y


class _Shift(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, frames: int, parts: tuple[Part, ...]) -> Tensor:
        ctx.frames, ctx.parts = frames, parts
        return _copied(x, frames, parts)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        back = tuple((first, last, -by) for first, last, by in ctx.parts)
        return _copied(grad, ctx.frames, back), None, None


class _Filter(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, frames: int, delays: tuple[int, ...], *taps: Tensor) -> Tensor:
        ctx.frames, ctx.delays = frames, delays
        ctx.save_for_backward(x, *taps)
        return _weighed(x, frames, delays, taps)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, *taps = ctx.saved_tensors
        back = tuple(-by for by in ctx.delays)
        found = []
        for tap, by in zip(taps, ctx.delays, strict=True):
            to, from_ = _rows(x, ctx.frames, by)
            product = grad[to] * x[from_]
            found.append(product.sum((0, 2, 3), dtype=tap.dtype).view_as(tap))
        return _weighed(grad, ctx.frames, back, taps), None, None, *found


def _weighed(x: Tensor, frames: int, delays: tuple[int, ...], taps: Sequence[Tensor]) -> Tensor:
    weights = [tap.view(1, -1, 1, 1).to(x.dtype) for tap in taps]
    now = delays.index(0)
    y = x * weights[now]
    for place, (weight, by) in enumerate(zip(weights, delays, strict=True)):
        if place != now:
            to, from_ = _rows(x, frames, by)
            y[to].addcmul_(x[from_], weight)
    return y


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, s: Tensor, spatial: Tensor, channel: Tensor) -> Tensor:
        ctx.save_for_backward(s, spatial, channel)
        return _gate(s, spatial, channel).mul_(s)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        s, spatial, channel = ctx.saved_tensors
        product = grad * s
        into_s = _gate(s, spatial, channel).mul_(grad)
        return into_s, product.sum(1, keepdim=True), product.sum((2, 3), keepdim=True)


def _gate(s: Tensor, spatial: Tensor, channel: Tensor) -> Tensor:
    # In the memory format of s, which the gates alone do not tell: in another one each of the
    # following operations took several times as long.
    return torch.add(spatial, channel, out=torch.empty_like(s))
