"""What of a picture the model sees: turned back from a mirror, a region in place of the middle."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import BadInput

LEAST_SIDE = 16  # pixels of a region
LINE = (255, 220, 60)


@dataclass(frozen=True)
class Region:
    """A mirror switch and a region x, y, w, h in parts of the picture, None for all of it.

    The model takes the largest square in the middle of the region.
    """

    mirror: bool = False
    box: tuple[float, float, float, float] | None = None

    def upright(self, pixels: np.ndarray) -> np.ndarray:
        """The whole picture (H, W, 3) with left and right as in the world."""
        return np.ascontiguousarray(pixels[:, ::-1]) if self.mirror else pixels

    def corners(self, height: int, width: int) -> tuple[int, int, int, int]:
        """First column and row, last ones plus 1, of the region in a picture of this size.

        Raises ``BadInput`` for a region of fewer than ``LEAST_SIDE`` pixels.
        """
        x, y, w, h = self.box or (0.0, 0.0, 1.0, 1.0)
        left, top = round(x * width), round(y * height)
        right, bottom = round((x + w) * width), round((y + h) * height)
        if self.box and min(right - left, bottom - top) < LEAST_SIDE:
            raise BadInput(
                f"the region is {right - left} x {bottom - top} of {width} x {height} pixels: give "
                f"{LEAST_SIDE} or more to a side"
            )
        return left, top, right, bottom

    def seen(self, pixels: np.ndarray) -> np.ndarray:
        """What the model is given of a source's picture."""
        pixels = self.upright(pixels)
        if self.box is None:
            return pixels
        left, top, right, bottom = self.corners(*pixels.shape[:2])
        return np.ascontiguousarray(pixels[top:bottom, left:right])

    def square(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The square in the middle of the region: what the model sees of an upright picture."""
        left, top, right, bottom = self.corners(height, width)
        side = min(right - left, bottom - top)
        first, above = left + (right - left - side) // 2, top + (bottom - top - side) // 2
        return first, above, first + side, above + side


def parse_region(text: str) -> tuple[float, float, float, float]:
    """``x,y,w,h`` in parts of the picture, from its upper left corner. Raises ``BadInput``."""
    try:
        x, y, w, h = (float(part) for part in text.split(","))
    except ValueError:
        raise BadInput(
            f"--roi {text!r} is not x,y,w,h: four numbers, parts of the picture"
        ) from None
    return check_box((x, y, w, h), f"--roi {text!r}")


def check_box(box: Sequence[float], what: str) -> tuple[float, float, float, float]:
    """Four parts of a picture that lie in it. Raises ``BadInput``, which ``what`` begins."""
    x, y, w, h = box
    inside = 0 <= x < 1 and 0 <= y < 1 and w > 0 and h > 0 and x + w <= 1.0001 and y + h <= 1.0001
    if not inside:
        raise BadInput(f"{what} leaves the picture: give parts of it, such as 0,0,0.5,1")
    return x, y, w, h
