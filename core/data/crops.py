"""Which part of a picture a model sees, in the views of the papers' protocols.

Training: the multi-scale crop of TSN (Wang et al., ECCV 2016, section 3.2). Validation: the centre.
Test: one or three crops along the long side. No view mirrors.

A picture is never resized twice: a crop is chosen in the pixels of the picture as it would be after
the first resize, and cut out of the original in one antialiased, bilinear pass.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

Size = tuple[int, int]  # width, height in pixels
Box = tuple[int, int, int, int]  # left, top, right, bottom

SCALES = (1.0, 0.875, 0.75, 0.66)
MOST_DISTORTION = 1  # steps in SCALES between width and height
SNAP = 3  # pixels: a crop that is nearly as large as the network's input takes exactly its size
# Fixed places of a crop, in quarters of the room that it has to the right and below: the corners,
# the middles of the sides, the centre, and the four points between centre and corners.
PLACES = (
    (0, 0), (4, 0), (0, 4), (4, 4), (2, 2), (0, 2), (4, 2), (2, 4), (2, 0),
    (1, 1), (3, 1), (1, 3), (3, 3),
)  # fmt: skip
MARGIN = 256 / 224  # short side of a picture before its centre is taken, over the input's
FITS = ("short", "square", "none")


@dataclass(frozen=True)
class View:
    """How a picture becomes one crop or more of ``size`` pixels.

    ``fit`` is the resize before cropping: the short side or both sides to ``side`` pixels, or none.
    ``crops`` is the number of crops along the long side; 0 stands for one random multi-scale crop.
    """

    size: int
    fit: str
    side: int
    crops: int = 1

    def fitted(self, picture: Size) -> Size:
        """Size of a picture after the first resize."""
        if self.fit == "square":
            return self.side, self.side
        if self.fit == "none":
            return picture
        short = min(picture)
        height, width = (max(self.side, round(side * self.side / short)) for side in picture)
        return height, width

    def boxes(self, fitted: Size, random: np.random.Generator | None = None) -> list[Box]:
        """The crops of a picture of this size, as pixels of it."""
        if self.crops == 0:
            assert random is not None, "training crops are drawn"
            return [multi_scale(fitted, self.size, random)]
        width, height = fitted
        side = min(self.size, width, height)
        places = [0.5] if self.crops == 1 else np.linspace(0, 1, self.crops)
        corners = [
            (int((width - side) * (p if width >= height else 0.5)),
             int((height - side) * (p if height > width else 0.5)))
            for p in places
        ]  # fmt: skip
        return [(left, top, left + side, top + side) for left, top in corners]


def training_view(fit: str, size: int) -> View:
    """A random multi-scale crop; short side 256 before it (at 224 pixels), both 224 or neither."""
    return View(size, fit, size if fit == "square" else round(MARGIN * size), crops=0)


def validation_view(fit: str, size: int) -> View:
    """The centre 224 of a short side of 256, or the whole picture squeezed to 224 x 224."""
    return View(size, fit, size if fit == "square" else round(MARGIN * size))


def test_view(fit: str, size: int, crops: int) -> View:
    """Crops as large as the short side (256 for a model of 224), spread along the long side."""
    if fit == "square":
        return View(size, fit, size)
    side = round(MARGIN * size)
    return View(side, fit, side, crops)


def multi_scale(picture: Size, size: int, random: np.random.Generator) -> Box:
    """A random crop: width and height from ``SCALES`` of the short side, at one of ``PLACES``."""
    sides = [int(min(picture) * scale) for scale in SCALES]
    sides = [size if abs(side - size) < SNAP and size <= min(picture) else side for side in sides]
    pairs = [
        (w, h)
        for i, w in enumerate(sides)
        for j, h in enumerate(sides)
        if abs(i - j) <= MOST_DISTORTION
    ]
    width, height = pairs[random.integers(len(pairs))]
    across, down = PLACES[random.integers(len(PLACES))]
    left = (picture[0] - width) // 4 * across
    top = (picture[1] - height) // 4 * down
    return left, top, left + width, top + height


def cut(picture: Image.Image, fitted: Size, box: Box, size: int) -> np.ndarray:
    """The crop ``box`` of the picture as if resized to ``fitted``: uint8 (size, size, 3), RGB."""
    across, down = picture.width / fitted[0], picture.height / fitted[1]
    source = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    # Rounding may leave the picture by a hair, which Pillow refuses.
    source = (*source[:2], min(source[2], picture.width), min(source[3], picture.height))
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box=source))
