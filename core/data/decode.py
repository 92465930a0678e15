"""Decoding of video files: frames on one clock, and their pixels as a player shows them.

Every reader of video (folders, data sets, live, latency, CAM) reads through here, so that none of
them sees a picture turned, mirrored, squeezed or timed otherwise.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.stream import Disposition

from core.data.clock import steady
from core.data.rate import Unreadable

# Containers that hold their own frames; playlists, which name other files, are none of them.
CONTAINERS = (
    "mov,mp4,matroska,webm,avi,mpeg,mpegts,asf,gif,flv,ogg,h264,hevc,m4v,mpegvideo,mjpeg,ivf,dv,"
    "mxf,obu"
)
OPEN = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
HDR = {16: "PQ", 18: "HLG"}  # transfer functions by their number in ITU-T H.273, table 3
PICTURES = frozenset({"mjpeg", "png", "bmp", "webp", "tiff", "gif", "jpegxl"})  # codecs of covers
NOT_FILM = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
# A forked process, such as a loader's worker, inherits a converter or decoder without its threads
# and waits for them without end when it frees it. PyAV's automatic count starts some.
THREADS = 1
LEAST_WHOLE = 0.5  # a file with less of its announced frames and time than this was cut off


@dataclass(frozen=True)
class Decoded:
    """A frame as it is stored, the shape of its pixels and the display matrix of its file.

    ``pixel`` is width by height, 1 for squares; ``matrix`` is (a, b, c, d) of ``oriented``.
    """

    frame: av.VideoFrame
    pixel: Fraction = Fraction(1)
    matrix: tuple[int, int, int, int] = (1, 0, 0, 1)


def decoded(path: Path) -> Iterator[tuple[float, Decoded]]:
    """Frames of a video file with their times in seconds, which only grow.

    Raises ``Unreadable``, after the frames that could be decoded where the file was cut off.
    """
    return steady(_stamped(path))


def _stamped(path: Path) -> Iterator[tuple[float, Decoded]]:
    try:
        # An absolute path begins with no protocol.
        with av.open(os.path.abspath(path), options=OPEN) as container:
            stream = _film(container)
            stream.thread_count = THREADS
            count, first, last = 0, None, 0.0
            pixel, matrix = stream.sample_aspect_ratio or Fraction(1), None
            for frame in container.decode(stream):
                if frame.color_trc in HDR:
                    raise Unreadable(
                        f"its colours are HDR ({HDR[frame.color_trc]}), which would come out pale: "
                        "export it as SDR"
                    )
                # A raw stream has no time stamps: its nominal rate is all there is.
                regular = count / float(stream.average_rate or 25)
                last = regular if frame.time is None else frame.time
                first = last if first is None else first
                # Asked of one frame: PyAV keeps a frame in a cycle with its side data.
                matrix = _matrix(frame) if matrix is None else matrix
                yield last, Decoded(frame, pixel, matrix)
                count += 1
            if count < LEAST_WHOLE * stream.frames and not _lasts(stream, first, last):
                raise Unreadable(
                    f"cut off: {count} of its {stream.frames} frames"
                    if count
                    else f"cut off before the first of its {stream.frames} frames"
                )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise Unreadable(one_line(error)) from None


def _film(container: av.container.InputContainer) -> av.VideoStream:
    """The video stream that moves, which a cover picture may precede, marked as one or not."""
    streams = [s for s in container.streams.video if not s.disposition & NOT_FILM]
    films = [s for s in streams if getattr(s.codec_context, "name", "") not in PICTURES] or streams
    if not films:
        raise Unreadable("no video stream in it")
    best = container.streams.best("video")  # of several: by default flag, frames and bit rate
    return next((s for s in films if s is best), films[0])


def _lasts(stream: av.VideoStream, first: float | None, last: float) -> bool:
    """Whether decoded frames span the stream's time.

    The count of frames says too many where an edit list hides some (a trim without encoding again)
    or where a container has empty chunks; its time is right there, and wrong in a file cut off.
    """
    if first is None or not stream.duration or stream.time_base is None:
        return False
    return last - first >= LEAST_WHOLE * float(stream.duration * stream.time_base)


def upright(shown: Decoded) -> np.ndarray:
    """RGB pixels ``(H, W, 3)``, uint8, as a player shows them: square, turned and mirrored."""
    frame, pixel = shown.frame, shown.pixel
    if pixel > 0 and pixel != 1:  # the longer side grows: nothing is lost
        width, height = frame.width, frame.height
        wide = (round(width * pixel), height) if pixel > 1 else (width, round(height / pixel))
        pixels = frame.reformat(
            width=wide[0],
            height=wide[1],
            format="rgb24",
            interpolation="BILINEAR",
            threads=THREADS,
        ).to_ndarray()
    else:
        pixels = frame.to_ndarray(format="rgb24", threads=THREADS)
    return np.ascontiguousarray(oriented(pixels, shown.matrix))


def oriented(pixels: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """A picture under a display matrix (a, b, c, d): x' = a x + c y and y' = b x + d y.

    The matrix of ISO/IEC 14496-12, 6.2.2, with y downwards; the nearest of the eight orientations.
    """
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, across, down = pixels.swapaxes(0, 1), c, b
    else:
        across, down = a, d
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def _matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    kept: Any = frame.side_data  # a mapping that iterates over its values, as its stubs do not say
    for data in kept:
        if data.type == Type.DISPLAYMATRIX:
            values = struct.unpack("=9i", bytes(data)[:36])
            return values[0], values[1], values[3], values[4]
    return 1, 0, 0, 1


def one_line(error: BaseException) -> str:
    """The kind of an error and its reason."""
    text = str(getattr(error, "strerror", None) or error).splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
