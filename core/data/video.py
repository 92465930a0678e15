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

from core.data.rate import MAX_SECONDS, Unreadable, at_rate
from core.data.transforms import resize_crop
from core.errors import BadInput

VIDEO_SUFFIXES = frozenset({".mp4", ".webm", ".avi", ".mov", ".mkv", ".m4v"})
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
LEAST_WHOLE = 0.5  # a file with fewer of its announced frames than this was cut off


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


def upright(frame: av.VideoFrame) -> np.ndarray:
    """RGB pixels ``(H, W, 3)``, uint8, turned as the display matrix of phone videos says."""
    pixels = frame.to_ndarray(format="rgb24")
    # Degrees counterclockwise, as numpy turns.
    return np.ascontiguousarray(np.rot90(pixels, k=round(frame.rotation / 90) % 4))


def decoded(path: Path) -> Iterator[tuple[float, av.VideoFrame]]:
    """Frames of a video file as they are, with their times in seconds.

    Raises ``Unreadable``, after the frames that could be decoded where the file was cut off.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Unreadable("no video stream in it")
            stream = container.streams.video[0]
            count = 0
            for frame in container.decode(stream):
                # A raw stream has no time stamps: its nominal rate is all there is.
                steady = count / float(stream.average_rate or 25)
                yield (steady if frame.time is None else frame.time), frame
                count += 1
            if count < LEAST_WHOLE * stream.frames:
                raise Unreadable(f"cut off: {count} of its {stream.frames} frames")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise Unreadable(_one_line(error)) from None


def frame_files(folder: Path) -> list[Path]:
    """The images of a frame folder in the order of the last number in their names."""
    images = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not hidden(p)]

    def order(path: Path) -> tuple[int, str]:
        numbers = re.findall(r"\d+", path.stem)
        return int(numbers[-1]) if numbers else -1, path.name

    return sorted(images, key=order)


def read_image(path: Path, size: int) -> Tensor:
    """One frame image: uint8 ``(3, size, size)``, RGB, upright. Raises ``Unreadable``."""
    return resize_crop(np.array(open_image(path)), size)


def open_image(path: Path) -> Image.Image:
    """One frame image, RGB, upright, in its own size. Raises ``Unreadable``."""
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    # Pillow raises SyntaxError on a broken PNG, and its bomb error is none of the others.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unreadable(f"{path.name}: {_one_line(error)}") from None


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
            raise Unreadable(f"{file.name}: {_one_line(error)}") from None


def hidden(path: Path) -> bool:
    """What operating systems leave in folders: ``.DS_Store``, ``._clip.mp4``, ``__MACOSX``."""
    return path.name.startswith((".", "__"))


def _one_line(error: BaseException) -> str:
    text = str(getattr(error, "strerror", None) or error).splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


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
