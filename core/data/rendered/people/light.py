"""Light and what is behind the person: panoramas, photographs and rooms made of rectangles.

All answer one question, how bright it is in a direction; spherical harmonics of that light the
person (Ramamoorthi and Hanrahan 2001), the brightest direction becomes the key light, and the
camera's rays find the background.
"""

from copy import copy
from pathlib import Path
from typing import Protocol

import numpy as np

from core.data.rendered.people.body import LEAST_SHARED
from core.errors import BadInput

ROWS, COLUMNS = 16, 32  # directions that light is summed over
BRIGHTEST = 25.0  # radiance kept, in means: lamps are drawn as the key light instead
PANORAMA, PHOTOGRAPHS = ".exr", (".jpg", ".jpeg", ".png")
# FFmpeg's names of planes in green, blue and red, with opacity behind them or without.
FLOATS = {f"gbr{a}pf{bits}le": f"<f{bits // 8}" for a in ("", "a") for bits in (16, 32)}
WIDE = 1.1  # of half a photograph's smaller side, over the distance at which it hangs


class Surroundings(Protocol):
    """Anything that knows its radiance."""

    def radiance(self, directions: np.ndarray) -> np.ndarray:
        """Linear RGB (..., 3) seen from the person in unit ``directions`` (..., 3)."""
        ...


def background_files(folder: Path) -> list[Path]:
    """The panoramas and photographs of a folder, by name: their places decide the splits."""
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    return [file for file in there if file.suffix.lower() in (PANORAMA, *PHOTOGRAPHS)]


def read_backgrounds(folder: Path) -> list["Panorama | Photograph"]:
    """Every panorama (``.exr``) and photograph (``.jpg``, ``.png``) of a folder, by name.

    Raises ``BadInput`` when the folder holds too few for all splits, or one that cannot be read.
    """
    files = background_files(folder)
    if not files:
        raise BadInput(
            f"--backgrounds {folder} holds no .exr panoramas and no .jpg or .png photographs: give "
            "a folder with some, such as hdri/ of npm's @pmndrs/assets, or leave the option out"
        )
    if len(files) < LEAST_SHARED:
        raise BadInput(
            f"--backgrounds {folder} holds {len(files)}, and training, validation and test share "
            f"none: give at least {LEAST_SHARED}, or leave the option out"
        )
    found: list[Panorama | Photograph] = []
    for file in files:
        try:
            if file.suffix.lower() == PANORAMA:
                found.append(Panorama(read_exr(file)))
            else:
                found.append(Photograph(read_photograph(file)))
        except (OSError, ValueError, StopIteration) as error:
            raise BadInput(
                f"{file} cannot be read ({error}): take it out of --backgrounds"
            ) from None
    return found


def read_photograph(path: Path) -> np.ndarray:
    """A photograph as linear RGB (H, W, 3), the larger side at most 512 pixels."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
    except Image.DecompressionBombError as error:
        raise ValueError(error) from None
    picture.thumbnail((512, 512))
    return (np.asarray(picture, np.float32) / 255) ** 2.2


def read_exr(path: Path) -> np.ndarray:
    """An EXR of half or whole floats as float32 (H, W, 3), through PyAV."""
    import av

    try:
        with av.open(str(path)) as container:
            picture = next(container.decode(video=0))
    except av.FFmpegError as error:
        raise ValueError(error) from None
    kind = FLOATS.get(picture.format.name)
    if kind is None:
        raise ValueError(f"pixels are {picture.format.name}, not RGB in floats")
    planes = [
        np.frombuffer(bytes(plane), kind).reshape(picture.height, -1)[:, : picture.width]
        for plane in picture.planes
    ]
    green, blue, red = planes[:3]
    return _without_ringing(np.nan_to_num(np.stack([red, green, blue], -1).astype(np.float32)))


def _without_ringing(picture: np.ndarray) -> np.ndarray:
    """Panoramas were shrunk with a sharp filter: around lamps, dark rings are filled in."""
    picture = np.minimum(picture, BRIGHTEST * np.median(picture))
    shifted = [np.roll(picture, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    low, mean = np.min(shifted, 0).min(-1, keepdims=True), np.maximum(shifted, 0).mean(0)
    return np.where(low < 0, mean, picture)


class Panorama:
    """An equirectangular picture, turned by ``heading`` radians, of mean brightness one."""

    heading = 0.0

    def __init__(self, picture: np.ndarray) -> None:
        weight = np.sin((np.arange(len(picture)) + 0.5) / len(picture) * np.pi)[:, None, None]
        picture = np.minimum(picture, BRIGHTEST * np.median(picture))
        self.picture = picture / ((picture * weight).mean() / weight.mean())

    def turned(self, rng: np.random.Generator) -> "Panorama":
        """The same with another direction behind the person."""
        other = copy(self)
        other.heading = rng.uniform(0, 2 * np.pi)
        return other

    def radiance(self, directions: np.ndarray) -> np.ndarray:
        """See ``Surroundings``; bilinear."""
        height, width = self.picture.shape[:2]
        around = np.arctan2(directions[..., 0], directions[..., 2]) + self.heading
        column = (around / (2 * np.pi) + 0.5) * width - 0.5
        row = np.arccos(np.clip(directions[..., 1], -1, 1)) / np.pi * height - 0.5
        return bilinear(self.picture, np.mod(column, width), row)


class Photograph:
    """A photograph that hangs behind the person; all around, its own blurred light."""

    def __init__(self, picture: np.ndarray) -> None:
        self.picture = picture / max(float(picture.mean()), 0.02) * 0.5
        sides = np.array(picture.shape[1::-1], np.float64)
        self.square = sides.min() / sides  # the part of width and height that a square of it has
        self.centre, self.scale, self.flipped = (0.0, 0.0), 1.0, False

    def turned(self, rng: np.random.Generator) -> "Photograph":
        """Another part of it, at another size, half of the time mirrored."""
        other = copy(self)
        other.scale = rng.uniform(0.6, 1.0)
        other.centre = tuple(rng.uniform(-1, 1, 2) * (1 - other.scale * self.square))
        other.flipped = bool(rng.random() < 0.5)
        return other

    def radiance(self, directions: np.ndarray) -> np.ndarray:
        """See ``Surroundings``: bilinear ahead; behind the camera what is ahead, mirrored."""
        height, width = self.picture.shape[:2]
        ahead = np.maximum(np.abs(directions[..., 2:]), 0.2)
        place = np.clip(directions[..., :2] / ahead / WIDE, -1, 1) * self.scale * self.square
        place = place + self.centre
        across = -place[..., 0] if self.flipped else place[..., 0]
        column = (across + 1) / 2 * (width - 1)
        row = (1 - (place[..., 1] + 1) / 2) * (height - 1)
        return bilinear(self.picture, column, row)


def bilinear(picture: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Values (..., 3) of a picture (H, W, 3) at places; columns go round, rows end."""
    height, width = picture.shape[:2]
    x0, y0 = np.floor(column).astype(int), np.floor(row).astype(int)
    fx, fy = (column - x0)[..., None], (row - y0)[..., None]
    rows = [np.clip(y0 + k, 0, height - 1) for k in (0, 1)]
    columns = [(x0 + k) % width for k in (0, 1)]
    top, bottom = (picture[r, columns[0]] * (1 - fx) + picture[r, columns[1]] * fx for r in rows)
    return top * (1 - fy) + bottom * fy


def sphere() -> tuple[np.ndarray, np.ndarray]:
    """Directions (N, 3) over the sphere and the solid angle of each (N,)."""
    polar = (np.arange(ROWS) + 0.5) / ROWS * np.pi
    around = (np.arange(COLUMNS) + 0.5) / COLUMNS * 2 * np.pi
    p, a = np.meshgrid(polar, around, indexing="ij")
    directions = np.stack([np.sin(p) * np.sin(a), np.cos(p), np.sin(p) * np.cos(a)], -1)
    solid = np.sin(p) * (np.pi / ROWS) * (2 * np.pi / COLUMNS)
    return directions.reshape(-1, 3), solid.ravel()


def harmonics(surroundings: Surroundings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Irradiance over pi as the shader's nine terms (9, 3), key direction (3,) and colour (3,).

    The key light is what shines from around the brightest direction beyond the mean; it is taken
    out of the harmonics.
    """
    directions, solid = sphere()
    light = surroundings.radiance(directions)
    grey = light.mean(-1)
    brightest = directions[grey.argmax()]
    lobe = np.clip((directions @ brightest - 0.75) / 0.25, 0, 1)
    excess = np.maximum(light - 1.5 * np.average(grey, weights=solid), 0) * lobe[:, None]
    key_colour = (excess * solid[:, None]).sum(0) / np.pi
    direction = (directions * (excess.mean(-1) * solid)[:, None]).sum(0) + 1e-6 * brightest
    light = (light - excess) * solid[:, None]
    x, y, z = directions.T
    basis = np.stack([np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y])
    norm = np.array([1.0, 3, 3, 3, 15, 15, 1.25, 15, 3.75]) / (4 * np.pi)
    falloff = np.array([1.0, *[2 / 3] * 3, *[1 / 4] * 5])
    terms = (basis @ light) * (norm * falloff)[:, None]
    return terms, direction / np.linalg.norm(direction), key_colour
