"""From a scene to pixels: exposure with motion blur, background, light and the camera's faults."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.data.rendered.capsules.render import (
    Capsules,
    background_frames,
    make_canvas,
    rasterise,
)
from core.data.rendered.compress import compress
from core.data.rendered.gestures import evaluate
from core.data.rendered.hand import CAPSULES, SLEEVE, capsules
from core.data.rendered.scenes import DISTRACTORS, Scene

NOISE_SIDE = 512  # pixels of the field that sensor noise is cut from
SAMPLES = 3  # moments of an exposure, where something moves
STILL = 0.8  # pixels of motion during an exposure below which one moment is enough


_NOISE: dict[torch.device, Tensor] = {}


def _noise(device: torch.device) -> Tensor:
    """A fixed field of unit normals that sensor noise is cut from, the same on every device."""
    if device not in _NOISE:
        field = torch.randn(NOISE_SIDE, NOISE_SIDE, generator=torch.Generator().manual_seed(7))
        _NOISE[device] = field.to(device)
    return _NOISE[device]


def render(
    scene: Scene, times: np.ndarray, size: int, variation: float, device: str = "cpu"
) -> Tensor:
    """Render a scene at ``times`` in seconds: uint8 (T, 3, S, S), RGB."""
    count = len(times)
    offsets = (np.arange(SAMPLES) - (SAMPLES - 1) / 2) / SAMPLES * scene.shutter
    fine = (times[:, None] + offsets).ravel()  # exposure is symmetric in time
    ends, radii = capsules(evaluate(scene.segments, fine), scene.shape)
    ends, radii = (
        ends.reshape(count, SAMPLES, CAPSULES, 2, 3),
        radii.reshape(count, SAMPLES, CAPSULES, 2),
    )
    moved = _moved(ends, size)
    still = moved < STILL
    picked_ends = np.concatenate([ends[still][:, 1], ends[~still].reshape(-1, CAPSULES, 2, 3)])
    picked_radii = np.concatenate([radii[still][:, 1], radii[~still].reshape(-1, CAPSULES, 2)])
    owner = np.concatenate([np.flatnonzero(still), np.repeat(np.flatnonzero(~still), SAMPLES)])
    weight = np.where(still, 1.0, 1.0 / SAMPLES)[owner]
    blobs = _blobs(scene, times[owner])

    def tensor(value: np.ndarray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(value), dtype=torch.float32, device=device)

    total = len(owner)
    shapes = Capsules(
        tensor(np.concatenate([picked_ends, blobs[0]], axis=1)),
        tensor(np.concatenate([picked_radii, blobs[1]], axis=1)),
        tensor(scene.colours).expand(total, -1, -1),
    )
    light = tensor(scene.light).expand(total, 3)
    rgb, cover = rasterise(shapes, light, size)
    index = torch.as_tensor(owner, device=device)
    scale = tensor(weight).view(-1, 1, 1, 1)
    over = torch.zeros(count, 4, size, size, device=device)
    over.index_add_(0, index, torch.cat([rgb, cover], 1) * scale)

    generator = torch.Generator().manual_seed(scene.seed)
    skin = torch.as_tensor(scene.colours[0], dtype=torch.float32)
    canvas = make_canvas(generator, size + 32, skin, variation).to(device)
    wave = scene.drift[:, 0] * np.sin(
        2 * np.pi * scene.drift[:, 1] * times[:, None] + scene.drift[:, 2]
    )
    image = background_frames(
        canvas[None],
        torch.zeros(count, dtype=torch.long, device=device),
        tensor(wave[:, :2]),
        tensor(0.85 + wave[:, 2]),
        size,
    )
    image = image * (1 - over[:, 3:]) + over[:, :3]
    return _camera(image, scene, times, generator)


def _camera(image: Tensor, scene: Scene, times: np.ndarray, generator: torch.Generator) -> Tensor:
    """Exposure, flicker, vignette, defocus, noise, compression: linear RGB to uint8."""
    device, size, count = image.device, image.shape[-1], len(image)
    depth, frequency, phase = scene.flicker
    flicker = 1 + depth * np.sin(2 * np.pi * frequency * times + phase)
    gain = torch.as_tensor(scene.gain * flicker[:, None], dtype=torch.float32, device=device)
    axis = torch.linspace(-1, 1, size, device=device) ** 2
    vignette = 1 - 0.12 * (axis[:, None] + axis[None])
    image = image * gain[:, :, None, None] * vignette
    if scene.defocus:
        image = F.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False)
    image = image.clamp(1e-3, 1) ** (scene.gamma / 1.4)
    if scene.noise:
        field = _noise(torch.device(device))
        corner = torch.randint(0, NOISE_SIDE - size, (count, 3, 2), generator=generator)
        cut = torch.stack(
            [
                torch.stack([field[y : y + size, x : x + size] for y, x in planes])
                for planes in corner.tolist()
            ]
        )
        image = image + scene.noise * cut
    image = image.clamp(0, 1)
    if scene.quality < 80:
        image = compress(image, torch.full((count,), scene.quality, device=device))
    return (image * 255).round().to(torch.uint8)


def _moved(ends: np.ndarray, size: int) -> np.ndarray:
    """How far, in pixels, the fastest visible joint moves during a frame's exposure: (n,)."""
    hand = ends[:, :, : SLEEVE - 1]
    screen = hand[..., :2] / np.maximum(hand[..., 2:], 0.1) * size
    return np.abs(screen[:, -1] - screen[:, 0]).max(axis=(1, 2, 3))


def _blobs(scene: Scene, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distractors that move behind the hand: ends (n, D, 2, 3) and radii (n, D, 2)."""
    x, y, z, radius, swing, phase, beat, heading = scene.distractors.T
    move = swing * np.sin(2 * np.pi * beat * times[:, None] + phase)
    centre = np.stack(
        [x + move * np.cos(heading), y + move * np.sin(heading), np.broadcast_to(z, move.shape)], -1
    )
    half = np.array([0.0, 0.04, 0.0])
    ends = np.stack([centre - half, centre + half], axis=2)
    ends[..., 1] += np.where(radius > 0, 0, 99)[None, :, None]  # absent ones leave the picture
    return ends, np.broadcast_to(
        np.stack([radius, radius], -1) + 1e-4, (len(times), DISTRACTORS, 2)
    )
