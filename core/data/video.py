"""Reading and writing of clips: video files through PyAV, folders of frame images through Pillow.

Reading gives small uint8 RGB frames at a steady rate, whatever the file's own rate, size and
orientation. What cannot be read raises ``Unreadable`` with the reason.
"""

import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from core.data.decode import decoded, one_line, upright
from core.data.rate import MAX_SECONDS, Unreadable, at_rate
from core.data.transforms import resize_crop
from core.errors import BadInput

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".webm", ".avi", ".mov", ".mkv", ".m4v", ".gif", ".wmv", ".3gp", ".3g2", ".mpg"}
    | {".mpeg", ".ts", ".mts", ".m2ts", ".flv", ".ogv"}
)
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


def read_clip(path: Path, rate: float, size: int) -> Tensor:
    """All frames of a video file at ``rate``: uint8 ``(T, 3, size, size)``, RGB, upright.

    Raises ``Unreadable``.
    """
    small = [resize_crop(pixels, size) for pixels in at_rate_pixels(path, rate)]
    if not small:
        raise Unreadable("no video frame in it")
    return torch.stack(small)


def at_rate_pixels(path: Path, rate: float, most: float = MAX_SECONDS) -> Iterator[np.ndarray]:
    """Upright RGB frames ``(H, W, 3)``, uint8, at ``rate``, in the file's own size."""
    for frame in at_rate(decoded(path), rate, most):
        yield upright(frame)


def frame_files(folder: Path) -> list[Path]:
    """The images of a frame folder in the order of ``in_order``. Raises ``Unreadable`` as it."""
    images = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not hidden(p)]
    return in_order(images)


def in_order(images: list[Path]) -> list[Path]:
    """Frame images by every number in their names, 2 before 10, and by the text between them.

    Raises ``Unreadable`` where the numbers of two places are each an order and not the same one,
    or where the last number gives another order than the text before it.
    """
    parts = {p: re.split(r"(\d+)", p.stem) for p in images}
    natural = sorted(
        images,
        key=lambda p: ([int(n) if n.isdecimal() else n.lower() for n in parts[p]], p.name),
    )
    numbers = {p: [int(n) for n in parts[p][1::2]] for p in images}
    places = min((len(n) for n in numbers.values()), default=0)
    if len({len(n) for n in numbers.values()}) > 1:
        places = 0
    orders = [
        (place + 1, by)
        for place in range(places)
        if len({n[place] for n in numbers.values()}) == len(images)
        for by in [[p for _, p in sorted((numbers[p][place], p) for p in images)]]
    ]
    texts = {tuple(part.lower() for part in found[::2]) for found in parts.values()}
    for place, order in orders:
        other = orders[0][1] if len(texts) == 1 else natural
        if order != other:
            at = next(i for i, p in enumerate(order) if p != other[i])
            raise Unreadable(
                f"the order of its frames is unclear: number {place} of the names puts "
                f"{order[at].name} where "
                + (f"number {orders[0][0]}" if len(texts) == 1 else "the text before it")
                + f" puts {other[at].name}: rename them with one number"
            )
    return natural


def read_image(path: Path, size: int) -> Tensor:
    """One frame image: uint8 ``(3, size, size)``, RGB, upright. Raises ``Unreadable``."""
    return resize_crop(np.array(open_image(path)), size)


def open_image(path: Path) -> Image.Image:
    """One frame image, RGB, upright, in its own size. Raises ``Unreadable``."""
    try:
        with Image.open(path) as image:
            return _eight_bits(ImageOps.exif_transpose(image)).convert("RGB")
    # Pillow raises SyntaxError on a broken PNG, and its bomb error is none of the others.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unreadable(f"{path.name}: {one_line(error)}") from None


def probe(path: Path) -> None:
    """Open a clip and decode its first frame, for a frame folder its first and last image's header.

    Raises ``Unreadable``.
    """
    if not path.is_dir():
        if next(decoded(path), None) is None:
            raise Unreadable("no video frame in it")
        return
    files = frame_files(path)
    if not files:
        raise Unreadable("no frame images in it (.jpg, .jpeg, .png)")
    for file in (files[0], files[-1]):
        try:
            with Image.open(file) as image:
                image.verify()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise Unreadable(f"{file.name}: {one_line(error)}") from None


def hidden(path: Path) -> bool:
    """What operating systems leave in folders: ``.DS_Store``, ``._clip.mp4``, ``__MACOSX``."""
    return path.name.startswith(".") or path.name == "__MACOSX"


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey picture of 16 bits scaled to 8, which Pillow's own conversion would clip to white.

    Raises ``Unreadable`` for whole or real numbers that nothing says the range of.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode not in ("I", "F"):
        return image
    pixels = np.asarray(image)
    if image.format == "PNG" or (image.mode == "I" and pixels.min() >= 0 and pixels.max() > 255):
        if pixels.min() < 0 or pixels.max() > 65535:
            raise Unreadable("its pixels are no 16-bit numbers: save it with 8 bits a colour")
        return Image.fromarray((pixels.astype(np.uint16) >> 8).astype(np.uint8))
    raise Unreadable(f"its pixels are of mode {image.mode}: save it with 8 bits a colour")


def write_clip(path: Path, frames: Tensor | np.ndarray, frame_rate: float) -> None:
    """Write uint8 RGB frames, ``(T, 3, H, W)`` or ``(T, H, W, 3)``, as an mp4 file, atomically.

    H.264 where PyAV's build has an encoder for it, MPEG-4 part 2 otherwise; lossy, 4:2:0.

    Raises ``BadInput`` on another dtype or shape, or an odd height or width, which 4:2:0 cannot be.
    """
    pixels = frames.cpu().numpy() if isinstance(frames, Tensor) else frames
    if pixels.ndim == 4 and pixels.shape[1] == 3 and pixels.shape[3] != 3:
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3 or not len(pixels):
        raise BadInput(
            f"{path}: frames of shape {tuple(frames.shape)} and type {frames.dtype} cannot be "
            "written: give uint8 (T, 3, H, W) or (T, H, W, 3)"
        )
    height, width = pixels.shape[1:3]
    if height % 2 or width % 2:
        raise BadInput(f"{path}: video of {width}x{height} pixels: both must be even for mp4")
    temporary = path.with_name(path.name + ".tmp")
    try:
        with av.open(str(temporary), "w", format="mp4") as container:
            rate = Fraction(frame_rate).limit_denominator(1001)
            stream = add_h264(container, rate, width, height)
            for picture in pixels:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)  # there only if writing failed


def add_h264(
    container: av.container.OutputContainer, rate: Fraction, width: int, height: int
) -> av.VideoStream:
    """A video stream in a file that is written: H.264, or MPEG-4 part 2 without an encoder for it.

    ``width`` and ``height`` have to be even for 4:2:0.
    """
    if "libx264" in av.codecs_available:
        stream = container.add_stream("libx264", rate=rate)
        stream.options = {"crf": "18", "preset": "veryfast"}
    else:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.options = {"qscale": "2"}
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.thread_count = 1  # the same bytes on every machine
    return stream
