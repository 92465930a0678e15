"""Inference: what a frame has to be, and how clips and streams go through a runner."""

from collections.abc import Sequence

import torch
from torch import Tensor

from core.errors import BadInput
from core.model import ModelConfig
from mobile_export.runtime import Runner

RANGE_SLACK = 1e-3  # rounding of the normalisation, far below one pixel step (1 / 255 / std)


def check_pixels(pixels: Tensor, size: int) -> Tensor:
    """Pass frames (..., 3, size, size) of uint8 through; ``BadInput`` for any others."""
    if not isinstance(pixels, Tensor) or pixels.dtype != torch.uint8:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        raise BadInput(f"a frame has type {kind}: give uint8 RGB pixels from 0 to 255")
    if pixels.dim() < 3 or tuple(pixels.shape[-3:]) != (3, size, size):
        raise BadInput(
            f"a frame has shape {tuple(pixels.shape)}: this model takes (3, {size}, {size}), "
            f"the short side resized to {size} and the centre cropped"
        )
    return pixels


def check_input(frames: Tensor, size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Pass normalised frames (..., 3, size, size) through; ``BadInput`` for any others."""
    if not isinstance(frames, Tensor) or frames.dtype != torch.float32:
        kind = getattr(frames, "dtype", type(frames).__name__)
        raise BadInput(f"a normalised frame has type {kind}: give float32")
    if frames.dim() < 3 or tuple(frames.shape[-3:]) != (3, size, size):
        raise BadInput(
            f"a normalised frame has shape {tuple(frames.shape)}: this model takes "
            f"(3, {size}, {size})"
        )
    if not bool(frames.isfinite().all()):
        raise BadInput("a normalised frame holds NaN or infinity: check how it was made")
    low = min((0 - m) / s for m, s in zip(mean, std, strict=True))
    high = max((1 - m) / s for m, s in zip(mean, std, strict=True))
    least, most = float(frames.min()), float(frames.max())
    if least < low - RANGE_SLACK or most > high + RANGE_SLACK:
        raise BadInput(
            f"a normalised frame reaches from {least:.3g} to {most:.3g}, outside {low:.3g} to "
            f"{high:.3g}: give (pixel / 255 - mean) / std"
        )
    return frames


def run_stream(runner: Runner, clips: Tensor, state_shapes: Sequence[Sequence[int]]) -> Tensor:
    """Normalised clips (N, T, 3, S, S) frame by frame, state reset: (N, T, classes).

    ``state_shapes`` includes the leading axis of 1. A runner without a fixed batch takes all N
    clips in lock-step. From the frame on where a clip's outputs are not finite its logits are NaN:
    that is the artifact's fault and a matter of the gate, while its input is refused by runners.
    """
    groups = [clips] if runner.batch is None else clips.split(1)
    results = []
    for group in groups:
        state = [torch.zeros(len(group), *shape[1:]) for shape in state_shapes]
        finite = torch.ones(len(group), dtype=torch.bool)
        logits = []
        for frame in group.unbind(1):
            outputs = runner([frame.contiguous(), *state])
            finite &= torch.stack([o.isfinite().flatten(1).all(1) for o in outputs]).all(0)
            logits.append(_where(finite, outputs[0].float(), torch.nan))
            state = list(outputs[1:])
            if not bool(finite.all()):
                state = [_where(finite, tensor, 0.0) for tensor in state]
        results.append(torch.stack(logits, 1))
    return torch.cat(results)


def _where(finite: Tensor, values: Tensor, other: float) -> Tensor:
    """``values`` in the rows where ``finite``, and ``other`` in the rest."""
    return values.where(finite.view(-1, *[1] * (values.dim() - 1)), other)


def run_clips(runner: Runner, clips: Tensor) -> Tensor:
    """Normalised clips (N, T, 3, S, S) through a clip-form runner: (N, 1, classes)."""
    return torch.stack([runner([clip.contiguous()])[0].float() for clip in clips])


def run_form(
    runner: Runner,
    form: str,
    clips: Tensor,
    state_shapes: Sequence[Sequence[int]],
    config: ModelConfig,
) -> Tensor:
    """Either form: (N, T, classes) for a stream, (N, 1, classes) for clips.

    Raises ``BadInput`` for frames that ``config`` does not take, whatever the runner checks itself.
    """
    check_input(clips, config.size, config.mean, config.std)
    if form == "stream":
        return run_stream(runner, clips, state_shapes)
    return run_clips(runner, clips)


def relative_deviation(got: Tensor, expected: Tensor) -> float:
    """max |got - expected| over max |expected|."""
    scale = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
    return float((got - expected).abs().max() / scale)
