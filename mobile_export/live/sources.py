"""Where live frames come from: a video file, a camera, or recordings that are rendered.

A source is an iterator of ``Frame``. Pixels are made only for frames that somebody asks for.
"""

import functools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from core.data import rendered_streams
from core.data.decode import decoded, upright
from core.data.rate import Unreadable
from core.errors import BadInput
from core.evaluation.events import Gesture
from core.labels import LABELS
from core.model import ModelConfig

SYNTHETIC, CAMERA = "synthetic", "camera"  # names of sources that are no files
PATIENCE = 3.0  # seconds in which a camera may give nothing: some begin with empty reads
PAUSE = 0.02  # seconds between two of those
STALLED = 5.0  # seconds without a frame after which a camera counts as gone


@dataclass(frozen=True)
class Frame:
    """A time stamp in seconds, and what gives the pixels: uint8 RGB (H, W, 3)."""

    seconds: float
    picture: Callable[[], np.ndarray]


class Interrupted(Exception):
    """A source that stopped before its end; the message is the reason in one line."""


def video_frames(path: Path) -> Iterator[Frame]:
    """Every frame of a video file, upright, times from 0.

    Raises ``BadInput`` when nothing can be decoded, ``Interrupted`` when it breaks off later.
    """
    first = None
    seconds = 0.0
    try:
        for stamp, frame in decoded(path):
            first = stamp if first is None else first
            seconds = stamp - first
            yield Frame(seconds, functools.partial(upright, frame))
    except Unreadable as error:
        if first is None:
            raise BadInput(f"video {path} cannot be read ({error}): give another file") from None
        raise Interrupted(f"{path} breaks off after {seconds:.1f} s ({error})") from None
    if first is None:
        raise BadInput(f"video {path} has no frame: give another file")


def camera_number(name: str) -> int | None:
    """``camera`` is 0, ``camera:N`` is N; None for anything else."""
    kind, _, number = name.partition(":")
    if kind != CAMERA or (number and not number.isdecimal()):
        return None
    return int(number or 0)


def camera_frames(number: int) -> Iterator[Frame]:
    """Frames of this machine's camera ``number``, times from the first one, without end.

    A read that gives nothing is tried again for ``PATIENCE`` seconds. Raises ``BadInput`` when it
    cannot be opened or never gives a frame, ``Interrupted`` when it stops.
    """
    import cv2  # PyAV's wheels come without the systems' camera interfaces

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise BadInput(
                f"camera {number} cannot be opened: connect one, allow this program to use it, "
                "close other programs that do, or give a video file with --source"
            )
        camera.set(cv2.CAP_PROP_FRAME_WIDTH, 640)
        camera.set(cv2.CAP_PROP_FRAME_HEIGHT, 480)
        first, latest = None, time.monotonic()
        while True:
            there, pixels = camera.read()
            now = time.monotonic()
            if not there or pixels is None or not pixels.size:
                if now - latest > PATIENCE and first is None:
                    raise BadInput(
                        f"camera {number} gives no frame in {PATIENCE:g} s: close other programs "
                        "that use it, or give another, camera:N"
                    )
                if now - latest > PATIENCE:
                    raise Interrupted(f"camera {number} gives no more frames")
                time.sleep(PAUSE)
                continue
            latest = now
            first = now if first is None else first
            yield Frame(now - first, functools.partial(_rgb, pixels))
    finally:
        camera.release()


def _rgb(pixels: np.ndarray) -> np.ndarray:
    """OpenCV gives BGR, of some cameras grey or BGRA."""
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, 2::-1])


def rendered_frames(config: ModelConfig, seconds: float, truth: list[Gesture]) -> Iterator[Frame]:
    """Recordings of rendered people one after the other for ``seconds``, of the test split.

    They have the model's rate and size; each has ten gestures with rest and other motion between.
    ``truth`` is filled with the gestures of each recording before its frames come. Who is seen
    changes between recordings, the clock runs on. Raises ``BadInput`` where people cannot be drawn.
    """
    start, index = 0.0, 0
    while start < seconds:
        streams = rendered_streams("test", config, index + 1)
        frames, starts, ends, labels = streams[index]
        rate = config.frame_rate
        for first, last, label in zip(starts.tolist(), ends.tolist(), labels.tolist(), strict=True):
            if start + first / rate < seconds:  # cut off by the end, as what is seen of it is
                end = min(start + last / rate, seconds)
                truth.append(Gesture(LABELS[label], start + first / rate, end))
        for i, pixels in enumerate(frames):
            if start + i / rate >= seconds:
                return
            yield Frame(start + i / rate, functools.partial(_picture, pixels))
        start, index = start + len(frames) / rate, index + 1


class Newest:
    """Frames of a source in real time: the newest is kept, one that nobody took is dropped.

    Iterating gives each frame as it comes, or the latest when the reader was busy. ``paced`` lets a
    file's frames come at their own times; a camera's come by themselves, and none for ``patience``
    seconds after another means that it is gone: how long the first may take is the source's to say.
    ``dropped`` counts.
    """

    def __init__(
        self, frames: Iterable[Frame], paced: bool, patience: float | None = STALLED
    ) -> None:
        self.dropped = 0
        self._frames, self._paced = frames, paced
        self._patience = None if paced else patience
        self._change = threading.Condition()
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self._ended = self._stopped = False

    def __iter__(self) -> Iterator[Frame]:
        thread = threading.Thread(target=self._read, daemon=True, name="source")
        thread.start()
        patience = None
        try:
            while True:
                with self._change:
                    if not self._change.wait_for(lambda: self._frame or self._ended, patience):
                        raise Interrupted(f"no frame for {patience:g} s")
                    patience = self._patience
                    frame, self._frame = self._frame, None
                if frame is None:
                    break
                yield frame
            if self._error:
                raise self._error
        finally:
            self._stopped = True

    def _read(self) -> None:
        began = time.monotonic()
        try:
            for frame in self._frames:
                if self._stopped:
                    break
                if self._paced:
                    time.sleep(max(0.0, began + frame.seconds - time.monotonic()))
                with self._change:
                    self.dropped += self._frame is not None
                    self._frame = frame
                    self._change.notify()
        except BaseException as error:  # whatever it is, the reader's to raise
            self._error = error
        finally:
            with self._change:
                self._ended = True
                self._change.notify()


def _picture(pixels: Tensor) -> np.ndarray:
    """(3, H, W) as a camera's (H, W, 3)."""
    return pixels.permute(1, 2, 0).contiguous().numpy()
