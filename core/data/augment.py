"""Batch augmentation: crop, scale, mirror and colour, one draw a clip, on any device."""

import torch
import torch.nn.functional as F
from torch import Tensor

from core.data.gestures import LABELS, LATERAL, TIME_PAIRS

CROP = (0.78, 1.0)  # side of the crop, as a part of the picture's
GAIN, OFFSET = 0.2, 0.08  # of exposure and black level, a channel each
MIRROR_POSE = (0, 3, 4)  # pose targets that change sign: x, and the x row of the rotation


def mirror_map(labels: list[str]) -> Tensor | None:
    """What each class becomes in a mirror, or None where that is not known.

    Known for the 27 Jester classes alone: mirroring swaps left and right and the sense of a turn.
    """
    if list(labels) != list(LABELS):
        return None
    swapped = list(range(len(labels)))
    for pair in TIME_PAIRS:
        if pair[0] in LATERAL:
            a, b = (labels.index(name) for name in pair)
            swapped[a], swapped[b] = b, a
    return torch.tensor(swapped)


def augment(
    frames: Tensor,
    size: int,
    generator: torch.Generator,
    poses: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Crop and jitter a batch: uint8 (N, T, 3, H, W) to float pixels 0..255 (N, T, 3, size, size).

    Pose targets (N, T, 17) follow the crop. Raises nothing; draws come from ``generator`` alone.
    """
    n, _, _, height, width = frames.shape
    draws = torch.rand(n, 3, generator=generator)
    colour = torch.rand(n, 2, 3, generator=generator).to(frames.device) * 2 - 1
    out = []
    poses = None if poses is None else poses.clone()
    for i in range(n):
        part = float(CROP[0] + (CROP[1] - CROP[0]) * draws[i, 0])
        h, w = int(part * height), int(part * width)
        top, left = int(draws[i, 1] * (height - h + 1)), int(draws[i, 2] * (width - w + 1))
        crop = frames[i, :, :, top : top + h, left : left + w].float()
        out.append(
            F.interpolate(crop, (size, size), mode="bilinear", antialias=h > size + 8)
            if (h, w) != (size, size)
            else crop
        )
        if poses is not None:
            middle = (2 * (left + w / 2) / width - 1, 1 - 2 * (top + h / 2) / height)
            poses[i, :, 0] = (poses[i, :, 0] - middle[0]) / part
            poses[i, :, 1] = (poses[i, :, 1] - middle[1]) / part
            poses[i, :, 2] += 2 * torch.log(torch.tensor(part))
    x = torch.stack(out)
    gain = 1 + GAIN * colour[:, 0].mean(-1, keepdim=True) + 0.3 * GAIN * colour[:, 0]
    offset = 255 * OFFSET * colour[:, 1]
    x = x * gain[:, None, :, None, None] + offset[:, None, :, None, None]
    return x.clamp_(0, 255), poses


def mirror(
    frames: Tensor, labels: Tensor, clip_labels: Tensor, poses: Tensor | None,
    swapped: Tensor, generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:  # fmt: skip
    """Mirror half of the clips left to right, with their labels and pose targets."""
    chosen = (torch.rand(len(frames), generator=generator) < 0.5).to(frames.device)
    swapped = swapped.to(labels.device)

    def relabel(value: Tensor) -> Tensor:
        return torch.where(value >= 0, swapped[value.clamp(min=0)], value)

    frames, labels, clip_labels = frames.clone(), labels.clone(), clip_labels.clone()
    frames[chosen] = frames[chosen].flip(-1)
    labels[chosen] = relabel(labels[chosen])
    clip_labels[chosen] = relabel(clip_labels[chosen])
    if poses is not None:
        poses = poses.clone()
        sign = torch.ones(poses.shape[-1], device=poses.device)
        sign[list(MIRROR_POSE)] = -1
        poses[chosen] = poses[chosen] * sign
    return frames, labels, clip_labels, poses
