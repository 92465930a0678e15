"""Batch augmentation: crop, scale, mirror and colour, one draw a clip, on any device."""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from core.data.rendered.scenes import POSE_TARGETS, POSE_VALUES
from core.errors import BadInput
from core.labels import LABELS, LATERAL, TIME_PAIRS

CROP = (0.78, 1.0)  # side of the crop, as a part of the picture's
CLOSE = (0.55, 0.95)  # the same for single pictures, around the hand
GAIN, OFFSET = 0.2, 0.08  # of exposure and black level, a channel each
# Pose targets that change sign in a mirror: x, the x row of the rotation, x of the keypoints.
MIRROR_POSE = (0, 3, 4, *range(POSE_VALUES, POSE_TARGETS, 2))


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


def flip_map(path: Path, labels: list[str]) -> Tensor:
    """What each class becomes in a mirror, from a JSON file of pairs of names.

    ``{"Swiping Left": "Swiping Right"}`` swaps both; classes that are not named stay. Raises
    ``BadInput`` when the file is no such map of these classes.
    """
    try:
        pairs = json.loads(path.read_text())
        named = list(pairs.items())
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(
            f"--flip {path} is not a JSON map of classes ({error}): give one like "
            '{"Swiping Left": "Swiping Right"}'
        ) from None
    swapped = list(range(len(labels)))
    for pair in named:
        unknown = [name for name in pair if name not in labels]
        if unknown:
            raise BadInput(f"--flip {path} names {unknown[0]!r}: the data has no such class")
        a, b = (labels.index(name) for name in pair)
        if swapped[a] not in (a, b) or swapped[b] not in (a, b):
            raise BadInput(f"--flip {path} gives {pair[0]!r} or {pair[1]!r} two mirror images")
        swapped[a], swapped[b] = b, a
    return torch.tensor(swapped)


def augment(
    frames: Tensor,
    size: int,
    generator: torch.Generator,
    poses: Tensor | None = None,
    close: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Crop and jitter a batch: uint8 (N, T, 3, H, W) to float pixels 0..255 (N, T, 3, size, size).

    Pose targets (N, T, P) follow the crop. ``close`` takes tighter crops around the hand, where the
    pose targets tell where it is. Draws come from ``generator`` alone.
    """
    n, _, _, height, width = frames.shape
    draws = torch.rand(n, 3, generator=generator)
    colour = torch.rand(n, 2, 3, generator=generator).to(frames.device) * 2 - 1
    low, high = CLOSE if close else CROP
    out = []
    poses = None if poses is None else poses.clone()
    for i in range(n):
        part = float(low + (high - low) * draws[i, 0])
        h, w = int(part * height), int(part * width)
        top, left = int(draws[i, 1] * (height - h + 1)), int(draws[i, 2] * (width - w + 1))
        if close and poses is not None:
            top = _around(-float(poses[i, 0, 1]), float(draws[i, 1]), h, height)
            left = _around(float(poses[i, 0, 0]), float(draws[i, 2]), w, width)
        crop = frames[i, :, :, top : top + h, left : left + w].float()
        out.append(
            F.interpolate(crop, (size, size), mode="bilinear", antialias=h > size + 8)
            if (h, w) != (size, size)
            else crop
        )
        if poses is not None:
            middle = (2 * (left + w / 2) / width - 1, 1 - 2 * (top + h / 2) / height)
            for axis in (0, 1):
                poses[i, :, axis] = (poses[i, :, axis] - middle[axis]) / part
                points = poses[i, :, POSE_VALUES + axis :: 2]
                points.sub_(middle[axis]).div_(part)
            poses[i, :, 2] += 2 * torch.log(torch.tensor(part))
    x = torch.stack(out)
    gain = 1 + GAIN * colour[:, 0].mean(-1, keepdim=True) + 0.3 * GAIN * colour[:, 0]
    offset = 255 * OFFSET * colour[:, 1]
    x = x * gain[:, None, :, None, None] + offset[:, None, :, None, None]
    return x.clamp_(0, 255), poses


def _around(place: float, draw: float, side: int, whole: int) -> int:
    """First pixel of a crop that has ``place`` (-1 to 1) somewhere in its middle half."""
    first = (place + 1) / 2 * whole - side * (0.25 + 0.5 * draw)
    return min(max(0, int(first)), whole - side)


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
