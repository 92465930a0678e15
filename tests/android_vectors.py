"""Makes the pictures that the Android pre-processing is held to: YUV in, Python's answer out.

    python tests/android_vectors.py

``android_demo/recognizer/src/test/resources/pictures.json`` lists the cases, ``pictures.bin.gz``
holds their bytes: the picture as I420 (all of Y, then U, then V, rows without padding) and the
expected colours, uint8 (3, size, size). The test in Kotlin lays the planes out as cameras do.
"""

import gzip
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from core.data.rendered.capsules.camera import render
from core.data.rendered.scenes import stream_scene
from core.data.transforms import resize_crop

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "android_demo" / "recognizer" / "src" / "test" / "resources"
INDEX, DATA = "pictures.json", "pictures.bin.gz"


@dataclass(frozen=True)
class Case:
    """A picture of a camera; ``crop`` is left, top, right, bottom."""

    name: str
    width: int
    height: int
    size: int
    rotation: int = 0
    mirrored: bool = False
    crop: tuple[int, int, int, int] | None = None


CASES = (
    Case("noise", 64, 48, 32),
    *(Case("noise", 49, 65, 32, turn) for turn in (0, 90, 180, 270)),
    *(Case("noise", 66, 43, 24, turn, mirrored=True) for turn in (0, 90, 180, 270)),
    Case("noise", 37, 23, 32, 90),  # enlarged
    Case("noise", 32, 32, 32),  # as it is
    Case("noise", 33, 33, 32, 180),
    Case("noise", 200, 30, 16),
    Case("noise", 31, 160, 16, 270),
    Case("noise", 1, 1, 8),
    Case("noise", 2, 3, 8, 90),
    Case("noise", 64, 48, 24, 90, crop=(3, 5, 60, 44)),
    Case("noise", 65, 49, 24, crop=(1, 1, 64, 49)),
    Case("gradient", 160, 120, 112, 90),
    Case("gradient", 121, 213, 56, 180),
    Case("gradient", 90, 160, 112, 270, mirrored=True),
    Case("hand", 128, 96, 112),
    Case("hand", 320, 240, 112, 270, mirrored=True),
)


def picture(case: Case, seed: int) -> np.ndarray:
    """The case's I420 bytes, flat."""
    if case.name == "noise":
        count = sum(rows * columns for rows, columns in planes(case.width, case.height))
        return np.random.default_rng(seed).integers(0, 256, count, np.uint8)
    return to_yuv(gradient(case) if case.name == "gradient" else hand(case))


def gradient(case: Case) -> np.ndarray:
    """Colours that run to their limits, with edges: RGB (H, W, 3)."""
    y, x = np.mgrid[0 : case.height, 0 : case.width].astype(np.float64)
    red, green = 255 * x / case.width, 255 * y / case.height
    blue = 255 * ((x // 9 + y // 7) % 2)
    return np.rint(np.stack([red, green, blue], -1)).astype(np.uint8)


def hand(case: Case) -> np.ndarray:
    """A frame of a rendered recording, enlarged to the case's size: RGB (H, W, 3)."""
    scene, _ = stream_scene("test", 0, 10_000_003, 1.0, gestures=1)
    small = render(scene, np.array([2.0]), 128, 1.0)  # uint8 (1, 3, 128, 128)
    size = (case.height, case.width)
    large = torch.nn.functional.interpolate(small.float(), size=size, mode="bilinear")
    return large[0].permute(1, 2, 0).round().byte().numpy()


def planes(width: int, height: int) -> list[tuple[int, int]]:
    """Rows and columns of Y, U and V."""
    half = ((height + 1) // 2, (width + 1) // 2)
    return [(height, width), half, half]


def to_yuv(pixels: np.ndarray) -> np.ndarray:
    """RGB (H, W, 3) to I420, flat: JFIF's BT.601, chroma from the upper left pixel of a square."""
    r, g, b = np.moveaxis(pixels.astype(np.float64), -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    u = (128 - 0.168736 * r - 0.331264 * g + 0.5 * b)[::2, ::2]
    v = (128 + 0.5 * r - 0.418688 * g - 0.081312 * b)[::2, ::2]
    return np.concatenate([np.rint(p).clip(0, 255).astype(np.uint8).ravel() for p in (y, u, v)])


def to_rgb(data: np.ndarray, width: int, height: int) -> np.ndarray:
    """I420, flat, to RGB (H, W, 3): JFIF's BT.601, a square's pixels sharing its chroma."""
    parts, start = [], 0
    for rows, columns in planes(width, height):
        parts.append(data[start : start + rows * columns].reshape(rows, columns).astype(np.float64))
        start += rows * columns
    y = parts[0]
    u, v = (p.repeat(2, 0).repeat(2, 1)[:height, :width] - 128 for p in parts[1:])
    rgb = np.stack([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u], -1)
    return np.rint(rgb).clip(0, 255).astype(np.uint8)


def expected(case: Case, data: np.ndarray) -> np.ndarray:
    """What the model is to see: uint8 (3, size, size), before the normalisation."""
    pixels = to_rgb(data, case.width, case.height)
    if case.crop:
        left, top, right, bottom = case.crop
        pixels = pixels[top:bottom, left:right]
    pixels = np.rot90(pixels, -case.rotation // 90)  # numpy turns counterclockwise
    pixels = pixels[:, ::-1] if case.mirrored else pixels
    return resize_crop(np.ascontiguousarray(pixels), case.size).numpy()


def main() -> None:
    """Write both files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows, parts, start = [], [], 0
    for seed, case in enumerate(CASES):
        data = picture(case, seed)
        wanted = expected(case, data).ravel()
        rows.append(asdict(case) | {"picture": start, "expected": start + data.size})
        parts += [data, wanted]
        start += data.size + wanted.size
    lines = ",\n ".join(json.dumps(row) for row in rows)
    (FOLDER / INDEX).write_text(f'{{"cases": [\n {lines}\n]}}\n', encoding="utf-8")
    (FOLDER / DATA).write_bytes(gzip.compress(np.concatenate(parts).tobytes(), mtime=0))


if __name__ == "__main__":
    main()
