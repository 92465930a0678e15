"""Rasteriser: tapered capsules with a depth buffer and shading, in torch.

Each capsule is drawn on a small square patch around it rather than on the whole image, which is
what makes a frame affordable on a CPU; patches of one size are drawn in one batch, whatever frame
they belong to, and meet in the depth buffer by scatter. Works on any device.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

FOCAL = 1.0  # focal length in image widths: a field of view of 53 degrees
NEAR = 0.08  # metres; nothing is drawn closer
PATCHES = (12, 20, 32, 48, 72)  # pixels; larger capsules are drawn on the whole image
FAR = 1e4


@dataclass
class Capsules:
    """Capsules of F images, K each, in float32.

    ``ends`` (F, K, 2, 3) in metres in the camera's frame, ``radii`` (F, K, 2) in metres, ``colour``
    (F, K, 3) linear RGB before shading.
    """

    ends: Tensor
    radii: Tensor
    colour: Tensor


def rasterise(shapes: Capsules, light: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Draw every image's capsules: premultiplied RGB (F, 3, S, S) and coverage (F, 1, S, S).

    ``light`` (F, 3) is the direction towards the light, unit length, times its strength; what it
    does not reach keeps ``1 - strength``.
    """
    images = len(shapes.ends)
    device = shapes.ends.device
    depth = shapes.ends[..., 2].clamp(min=NEAR)  # (F, K, 2)
    scale = FOCAL * size / depth
    x = size / 2 + shapes.ends[..., 0] * scale
    y = size / 2 - shapes.ends[..., 1] * scale
    radius = shapes.radii * scale

    low_x, high_x = (x - radius).amin(-1) - 1, (x + radius).amax(-1) + 1
    low_y, high_y = (y - radius).amin(-1) - 1, (y + radius).amax(-1) + 1
    visible = (high_x > 0) & (high_y > 0) & (low_x < size) & (low_y < size)
    visible &= shapes.ends[..., 2].amax(-1) > NEAR
    low_x, low_y = low_x.clamp(0, size), low_y.clamp(0, size)
    extent = torch.maximum(high_x.clamp(max=size) - low_x, high_y.clamp(max=size) - low_y)

    pixels = images * size * size
    z_buffer = torch.full((pixels,), FAR, device=device)
    coverage = torch.zeros(pixels, device=device)
    drawn = []
    lower = 0.0
    for patch in (*[p for p in PATCHES if p < size], size):
        chosen = visible & (extent > lower) & (extent <= (patch - 1 if patch < size else FAR))
        lower = patch - 1
        image, item = chosen.nonzero(as_tuple=True)
        if len(image) == 0:
            continue
        left = low_x[image, item].floor().clamp(0, size - patch)
        top = low_y[image, item].floor().clamp(0, size - patch)
        flat, cover, z, shade = _draw(
            patch, left, top, size, image,
            x[image, item], y[image, item], radius[image, item],
            depth[image, item], shapes.radii[image, item].mean(-1), light[image],
        )  # fmt: skip
        colour = shapes.colour[image, item]
        kept = (cover > 0).nonzero(as_tuple=True)
        flat, cover, z = flat[kept], cover[kept], z[kept]
        z_buffer.scatter_reduce_(0, flat, z, "amin")
        coverage.scatter_reduce_(0, flat, cover, "amax")
        drawn.append((flat, z, shade[kept][:, None] * colour[kept[0]]))

    rgb = torch.zeros(pixels, 3, device=device)
    for flat, z, value in drawn:
        nearest = z <= z_buffer[flat]
        rgb[flat[nearest]] = value[nearest]
    rgb *= coverage[:, None]
    planes = (images, size, size, 3)
    return rgb.view(planes).permute(0, 3, 1, 2), coverage.view(images, 1, size, size)


def _draw(
    patch: int, left: Tensor, top: Tensor, size: int, image: Tensor,
    x: Tensor, y: Tensor, radius: Tensor, depth: Tensor, metres: Tensor, light: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """One batch of M capsules on P x P patches: flat pixel index, coverage, depth, shade (M, P*P).

    ``x``, ``y``, ``radius`` (pixels) and ``depth`` (metres) are (M, 2): both ends.
    """
    steps = torch.arange(patch, device=x.device, dtype=torch.float32)
    column = (left[:, None] + steps)[:, None, :]  # (M, 1, P)
    row = (top[:, None] + steps)[:, :, None]  # (M, P, 1)
    flat = (image[:, None, None] * (size * size) + row * size + column).long()

    def ends(value: Tensor) -> tuple[Tensor, Tensor]:
        return value[:, 0, None, None], (value[:, 1] - value[:, 0])[:, None, None]

    (ax, bx), (ay, by), (r0, dr), (z0, dz) = ends(x), ends(y), ends(radius), ends(depth)
    px, py = column + 0.5 - ax, row + 0.5 - ay
    along = ((px * bx + py * by) / (bx * bx + by * by + 1e-6)).clamp(0, 1)  # (M, P, P)
    cx, cy = px - along * bx, py - along * by
    r = r0 + along * dr
    distance = (cx * cx + cy * cy).sqrt()
    cover = (r - distance + 0.5).clamp(0, 1)
    rise = (1 - (distance / r) ** 2).clamp(min=0).sqrt()  # the surface's height in radii
    z = z0 + along * dz - rise * metres[:, None, None]
    lx, ly, lz = (light[:, i, None, None] for i in range(3))
    strength = light.norm(dim=-1)[:, None, None]
    lambert = (cx / r * lx - cy / r * ly - rise * lz).clamp(min=0)
    shade = 1 - strength + lambert + 0.25 * strength * rise
    flatten = (len(left), patch * patch)
    return flat.view(flatten), cover.view(flatten), z.view(flatten), shade.view(flatten)


def background_frames(canvas: Tensor, owner: Tensor, shift: Tensor, zoom: Tensor, size: int):
    """Views of canvases (C, 3, B, B): frame f looks at canvas ``owner[f]`` from where it drifted.

    ``shift`` (F, 2) in canvas half-widths, ``zoom`` (F,) the part of the canvas seen.
    Gives (F, 3, S, S).
    """
    theta = torch.zeros(len(owner), 2, 3, device=canvas.device)
    theta[:, 0, 0] = theta[:, 1, 1] = zoom
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, [len(owner), 3, size, size], align_corners=False)
    return F.grid_sample(canvas[owner], grid, padding_mode="reflection", align_corners=False)


def make_canvas(generator: torch.Generator, side: int, skin: Tensor, variation: float) -> Tensor:
    """A textured room, half of the time with a person in it: (3, side, side) linear RGB."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    canvas = (uniform(3, 1, 1) * 0.5 + 0.25).expand(3, side, side).clone()
    for cells in (2, 4, 9, 20, 40):
        noise = torch.randn(1, 3, cells, cells, generator=generator)
        noise = 0.6 * noise.mean(1, keepdim=True) + 0.4 * noise
        smooth = F.interpolate(noise, size=(side, side), mode="bicubic", align_corners=False)[0]
        canvas += smooth * (0.22 * variation * float(uniform(1)) / cells**0.3)
    for _ in range(int(torch.randint(0, int(1 + 7 * variation), (1,), generator=generator))):
        x0, y0 = (uniform(2) * side).long().tolist()
        w, h = (uniform(2) * side * 0.5 + 3).long().tolist()
        opaque = float(uniform(1)) * 0.7 + 0.3
        region = canvas[:, y0 : y0 + h, x0 : x0 + w]
        region.mul_(1 - opaque).add_((uniform(3, 1, 1) * 0.9 + 0.05) * opaque)
    if float(uniform(1)) < 0.5:
        _person(canvas, generator, skin)
    return canvas.clamp(0.01, 1.2)


def _person(canvas: Tensor, generator: torch.Generator, skin: Tensor) -> None:
    """A head with hair on shoulders, out of ellipses, drawn into the canvas."""
    side = canvas.shape[-1]
    rows = torch.arange(side)[:, None] / side
    columns = torch.arange(side)[None] / side
    x, y, r = (torch.rand(3, generator=generator) * 0.3).tolist()
    x, y, r = 0.35 + x, 0.22 + 0.4 * y, 0.09 + 0.15 * r

    def ellipse(cx: float, cy: float, rx: float, ry: float, colour: Tensor) -> None:
        d = ((columns - cx) / rx) ** 2 + ((rows - cy) / ry) ** 2
        mask = ((1.05 - d) * 10).clamp(0, 1)
        canvas.mul_(1 - mask).add_(colour.view(3, 1, 1) * mask * (1.05 - 0.35 * d.clamp(0, 1)))

    clothes, hair = torch.rand(2, 3, generator=generator) * torch.tensor([[0.8], [0.35]])
    ellipse(x, y + 2.9 * r, 2.6 * r, 1.9 * r, clothes + 0.05)
    ellipse(x, y - 0.15 * r, 1.08 * r, 1.35 * r, hair + 0.03)
    ellipse(x, y, 0.85 * r, 1.15 * r, skin)
