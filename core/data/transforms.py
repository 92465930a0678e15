"""From camera and file pixels to what the network eats: one path for training, export and live.

``resize_crop`` works on bytes and keeps bytes, so that clips can be stored and counted as they are;
``normalise`` makes floats of them at the last moment.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import BadInput


def resize_crop(pixels: np.ndarray, size: int) -> Tensor:
    """Short side resized to ``size``, then the centre ``size`` x ``size``.

    ``pixels`` is uint8 RGB, one frame ``(H, W, 3)`` or a clip ``(T, H, W, 3)``; the result is uint8
    ``(3, size, size)`` or ``(T, 3, size, size)``. Bilinear with antialiasing: without it a shrunk
    camera picture loses thin fingers between the sampled pixels.

    Raises ``BadInput`` on another dtype or shape.
    """
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        raise BadInput(f"a frame of type {kind} cannot be resized: give a uint8 numpy array")
    if pixels.ndim not in (3, 4) or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise BadInput(
            f"a frame of shape {pixels.shape} cannot be resized: give (H, W, 3) or (T, H, W, 3)"
        )
    clip = pixels if pixels.ndim == 4 else pixels[None]
    # A writable copy only where torch asks for one; the permuted view is channels-last in memory,
    # for which torch has a resize of bytes that is some seven times faster than that of floats.
    clip = clip if clip.flags.writeable and clip.flags.c_contiguous else clip.copy()
    x = torch.from_numpy(clip).permute(0, 3, 1, 2)  # (T, 3, H, W)
    height, width = x.shape[2:]
    short = min(height, width)
    # What the crop takes off is even, so that the centre stays the centre to the pixel.
    target = [size + 2 * round((side * size / short - size) / 2) for side in (height, width)]
    if target != [height, width]:
        x = F.interpolate(x, size=target, mode="bilinear", antialias=True)
    top, left = ((side - size) // 2 for side in target)
    x = x[:, :, top : top + size, left : left + size].contiguous(
        memory_format=torch.contiguous_format
    )
    return x if pixels.ndim == 4 else x[0]


def normalise(frames: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """``(pixel / 255 - mean) / std``: ``(..., 3, H, W)`` in 0..255 to float32 of the same shape.

    Takes uint8, or float32 in 0..255 without NaN.

    Raises ``BadInput`` on another dtype, shape or range.
    """
    if not isinstance(frames, Tensor) or frames.dtype not in (torch.uint8, torch.float32):
        kind = getattr(frames, "dtype", type(frames).__name__)
        raise BadInput(f"frames of type {kind}: give a uint8 or float32 tensor of values 0 to 255")
    shape = tuple(frames.shape)
    if frames.ndim < 3 or shape[-3] != 3 or 0 in shape:
        raise BadInput(f"frames of shape {shape}: give (..., 3, height, width), RGB")
    if frames.is_floating_point():
        low, high = frames.aminmax()  # NaN if any value is
        if not (low >= 0 and high <= 255):
            what = "NaN" if low.isnan() else f"values from {low.item():g} to {high.item():g}"
            raise BadInput(f"frames with {what}: pixels must lie in 0 to 255")
    # One scale and one bias a channel, as an exported graph or a Core ML image input has them.
    scale = torch.tensor([1 / (255 * s) for s in std], device=frames.device)[:, None, None]
    shift = torch.tensor([m / s for m, s in zip(mean, std, strict=True)], device=frames.device)
    return frames.float() * scale - shift[:, None, None]  # (..., 3, H, W)
