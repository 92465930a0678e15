"""The recognised gesture drawn on the video: label, confidence, and a bar of it."""

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from core.data.video import add_h264
from core.decision import Answer
from mobile_export.live.region import LINE, Region

CLOCK = 90_000  # ticks a second of the file's time stamps, as MPEG counts
INK, PAPER, DIM = (255, 255, 255), (0, 0, 0), (130, 130, 130)


def draw_answer(
    pixels: np.ndarray, answer: Answer | None, labels: Sequence[str], region: Region | None = None
) -> np.ndarray:
    """A copy of RGB pixels (H, W, 3) with what was answered last in a strip along the bottom.

    ``labels`` are those of the answer's probabilities, in their order. With a region the square
    that the model sees is drawn, and which side the person's left is.
    """
    image = Image.fromarray(pixels)
    width, height = image.size
    strip = max(14, height // 12)
    font = ImageFont.load_default(size=0.6 * strip)
    draw = ImageDraw.Draw(image, "RGBA")
    draw.rectangle((0, height - strip, width, height), fill=(*PAPER, 170))
    if region is not None:
        left, top, right, bottom = region.square(height, width)
        draw.rectangle((left, top, right - 1, bottom - 1), outline=LINE, width=max(1, strip // 12))
        draw.text((width - 0.3 * strip, 0.5 * strip), "left >", LINE, font, anchor="rm")
    label = answer.current if answer else None
    share = answer.shown(labels) if answer and (answer.current or answer.winner) else 0.0
    text = f"{label}  {100 * share:.0f} %" if label else "no gesture"
    draw.text((0.3 * strip, height - 0.5 * strip), text, INK if label else DIM, font, anchor="lm")
    draw.rectangle((0, height - max(2, strip // 10), share * width, height), fill=INK)
    return np.asarray(image)


class VideoWriter:
    """An mp4 file that grows frame by frame and gets its name when it is whole.

    A ``with`` block that ends by an exception leaves nothing behind.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}")
        self._rate = Fraction(rate).limit_denominator(1001)
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._last = -1

    def write(self, seconds: float, pixels: np.ndarray) -> None:
        """Append uint8 RGB (H, W, 3); an odd last row or column is cut off.

        A picture of another size than the first is fitted into that size, with black beside it.
        """
        height, width = (side - side % 2 for side in pixels.shape[:2])
        if self._container is None:
            self._container = av.open(str(self._temporary), "w", format="mp4")
            self._stream = add_h264(self._container, self._rate, width, height)
            self._stream.codec_context.time_base = Fraction(1, CLOCK)
        assert self._stream is not None, "opened with the container"
        wanted = self._stream.width, self._stream.height
        cut = np.ascontiguousarray(pixels[:height, :width])
        if (width, height) != wanted:
            cut = np.asarray(ImageOps.pad(Image.fromarray(cut), wanted))
        frame = av.VideoFrame.from_ndarray(cut, format="rgb24")
        self._last = max(self._last + 1, round(seconds * CLOCK))
        frame.pts, frame.time_base = self._last, Fraction(1, CLOCK)
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if self._container is not None:
                if kind is None and self._stream is not None:
                    self._container.mux(self._stream.encode())
                self._container.close()
            if kind is None and self._container is not None:
                os.replace(self._temporary, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)
