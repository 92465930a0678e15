"""From linear light to the bytes of a webcam: exposure, tone, colour, blur, noise, compression."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.data import h264
from core.data.rendered.compress import compress

LEVELS = (0.01, 0.98)  # quantiles that become black and white
RECORDED, CRF = 0.5, (18, 38)  # of the scenes come from an H.264 file, of this quality
CHUNK = 2  # frames worked on at once: they stay in the processor's cache


def develop(
    layer: np.ndarray, background: np.ndarray, shift: np.ndarray, times: np.ndarray,
    rng: np.random.Generator, device: str = "cpu",
) -> Tensor:  # fmt: skip
    """The person (T, S, S, 4), premultiplied, before a background (B, B, 3), B > S: bytes.

    ``shift`` (T, 2) moves the background by pixels. Gives uint8 (T, 3, S, S).
    """
    u = rng.uniform
    person = torch.as_tensor(layer, device=device).permute(0, 3, 1, 2).float()
    count, _, size, _ = person.shape
    behind = torch.as_tensor(background, device=device).permute(2, 0, 1)[None]
    whole = behind.shape[-1]
    theta = torch.zeros(count, 2, 3, device=device)
    theta[:, 0, 0] = theta[:, 1, 1] = size / whole
    theta[:, :, 2] = torch.as_tensor(shift * [-2.0, 2.0] / whole)
    if rng.random() < 0.5:
        behind = _blurred(behind, u(0.3, 3.0))
    image = torch.empty(count, 3, size, size, device=device)
    for part in torch.arange(count).split(CHUNK):
        chosen = slice(int(part[0]), int(part[-1]) + 1)
        grid = F.affine_grid(theta[chosen], [len(part), 3, size, size], align_corners=False)
        view = F.grid_sample(
            behind.expand(len(part), -1, -1, -1), grid, align_corners=False, padding_mode="border"
        )
        torch.addcmul(person[chosen, :3], view, 1 - person[chosen, 3:], out=image[chosen])
    if rng.random() < 0.15:  # a camera in poor light repeats pictures
        repeated = rng.random(count) < u(0.05, 0.4)
        image = image[np.maximum.accumulate(np.where(repeated, 0, np.arange(count)))]

    # Automatic exposure follows the picture with a delay; some cameras hardly follow.
    most = 4 * float(image[:, :, ::3, ::3].median()) + 0.5  # a ninth tells the median
    grey = torch.stack([one.clamp(max=most).mean() for one in image]).cpu().numpy()
    # Cameras measure the middle or a face more than the window behind it.
    cover = person[:, 3:].mean((1, 2, 3)).clamp(min=0.02)
    met = (person[:, :3].clamp(max=most).mean((1, 2, 3)) / cover).cpu().numpy()
    grey = np.maximum(grey + u(0, 0.9) * (met - grey), 1e-3)
    level = np.empty(count)
    follow = 1 - np.exp(-(times[1] - times[0] if count > 1 else 0.1) / u(0.2, 1.5))
    state = grey[0]
    for index, value in enumerate(grey):
        state += follow * (value - state)
        level[index] = state
    target = np.exp(u(np.log(0.12), np.log(0.6)))
    adapt = u(0.2, 1.0)
    gain = target / (level**adapt * grey.mean() ** (1 - adapt))
    seen = image.mean((2, 3)).mean(0).cpu().numpy()
    balance = (seen.mean() / seen) ** u(0.3, 1.0)  # the camera's guess at the light's colour
    tint = balance * np.exp(rng.normal(size=3) * u(0, 0.12)) * _warmth(u(-1, 1) ** 3)
    gain = torch.as_tensor(gain[:, None] * tint, dtype=torch.float32, device=device)
    axis = torch.linspace(-1, 1, size, device=device) ** 2
    corners = 1 - u(0, 0.15) * (axis[:, None] + axis[None])
    glare = u(0, 1) ** 4 * 0.15
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    strength = u(0, 1) ** 2 * 0.03 / (0.5 + 3 * target)
    grain = u(0.3, 0.7) if strength > 0.003 else 0.0
    softness = u(0, 0.9)
    hardness, colourful, gamma = u(0, 1), u(0.75, 1.3), u(1.8, 2.5)
    contrast, scale, offset = u(0.1, 1.0), u(0.9, 1.05), u(-0.06, 0.04)
    quality = u(25, 100)

    result = torch.empty(count, 3, size, size, dtype=torch.uint8, device=device)
    for start in range(0, count, CHUNK):
        x = image[start : start + CHUNK] * gain[start : start + CHUNK, :, None, None]
        x *= corners
        if glare > 0.01:
            x += glare * x.mean((2, 3), keepdim=True)
        if grain:
            noise = torch.randn(x.shape, generator=generator).to(device)
            noise = _softened(noise.add_(noise.mean(1, keepdim=True)), grain)
            x += noise.mul_((x.clamp(min=0).mul_(0.5).add_(0.05)).sqrt_()).mul_(strength)
        if softness > 0.3:
            x = _softened(x, softness)
        hard = x.clamp(0, 1)
        x = x.clamp_(min=0).mul_(-1.6).exp_().neg_().add_(1).lerp_(hard, hardness)
        plain = x.mean(1, keepdim=True)
        x = x.mul_(colourful).add_(plain, alpha=1 - colourful).clamp_(1e-4, 1)
        x = x.log_().mul_(1 / gamma).exp_()
        smooth = x.mul(-2).add_(3).mul_(x).mul_(x)
        x = x.lerp_(smooth, contrast).mul_(scale).add_(offset).clamp_(0, 1)
        if quality < 85:
            x = compress(x, torch.full((len(x),), quality, device=device))
        result[start : start + CHUNK] = x.mul_(255).round_()
    if rng.random() < 0.7:
        result = _levelled(result, u(0.3, 1.0))
    if rng.random() < RECORDED:
        result = recorded(result.cpu(), int(rng.integers(*CRF))).to(device)
    return result


def recorded(frames: Tensor, crf: int) -> Tensor:
    """What x264 leaves of uint8 frames (T, 3, S, S), as in files and calls."""
    data = h264.encode(frames, crf, preset="superfast", tune="zerolatency")
    return h264.decode(data, frames.shape[-1])


def _levelled(frames: Tensor, part: float) -> Tensor:
    """Bytes stretched by ``part`` of the way to what a screen can show, as most cameras do."""
    grey = frames[:: max(1, len(frames) // 4), :, ::2, ::2].float().mean(1).flatten()
    low, high = torch.quantile(grey, grey.new_tensor(LEVELS)).tolist()
    low, high = part * max(low - 10, 0), 255 - part * max(242 - high, 0)
    table = (torch.arange(256, device=frames.device) - low) * (255 / max(high - low, 60))
    return table.round().clamp(0, 255).to(torch.uint8)[frames.long()]


def _warmth(amount: float) -> np.ndarray:
    """Gains of red, green and blue of a white balance that is off: warm at 1, cold at -1."""
    return np.exp(np.array([0.35, 0.0, -0.45]) * amount)


def _blurred(image: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur of all channels."""
    reach = max(1, int(2 * sigma + 0.5))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=image.device) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    channels = image.shape[1]
    padded = F.pad(image, (reach,) * 4, mode="replicate")
    padded = F.conv2d(padded, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(padded, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)


def _softened(image: Tensor, sigma: float) -> Tensor:
    """As ``_blurred`` for small ``sigma``: sums of shifted pictures, which cost less there."""
    reach = max(1, int(2 * sigma + 0.5))
    weights = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    weights = weights / (weights[0] + 2 * weights[1:].sum())
    height, width = image.shape[-2:]
    padded = F.pad(image, (reach,) * 4, mode="replicate")
    rows = padded.narrow(-1, reach, width) * float(weights[0])
    for step in range(1, reach + 1):
        for start in (reach - step, reach + step):
            rows.add_(padded.narrow(-1, start, width), alpha=float(weights[step]))
    result = rows.narrow(-2, reach, height) * float(weights[0])
    for step in range(1, reach + 1):
        for start in (reach - step, reach + step):
            result.add_(rows.narrow(-2, start, height), alpha=float(weights[step]))
    return result
