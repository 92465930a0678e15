"""What the page sends: a time stamp and a JPEG picture in one message.

Eight bytes of a little-endian float64, seconds, then the JPEG. Nothing in here trusts the sender.
"""

import io
import math
import struct

import numpy as np
from aiohttp import WSCloseCode
from PIL import Image

HEADER = struct.Struct("<d")
MOST_BYTES = 2**20  # of a message; a noisy 640x480 picture of quality 0.9 has a third of that
MOST_SIDE = 640  # pixels; the page shrinks what is larger


class Refusal(Exception):
    """A connection that has to be closed, with WebSocket's code and a reason in one line."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def parse(message: bytes) -> tuple[float, bytes]:
    """Time stamp in seconds and JPEG bytes of a message. Raises ``Refusal``."""
    if len(message) > MOST_BYTES:
        raise Refusal(
            WSCloseCode.MESSAGE_TOO_BIG,
            f"a frame of {len(message)} bytes is too large: at most {MOST_BYTES}",
        )
    if len(message) <= HEADER.size:
        raise Refusal(
            WSCloseCode.INVALID_TEXT,
            f"a frame of {len(message)} bytes is too short: a float64 and a JPEG are expected",
        )
    (seconds,) = HEADER.unpack_from(message)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise Refusal(
            WSCloseCode.INVALID_TEXT, f"a time stamp of {seconds} s: a number from 0 is expected"
        )
    return seconds, message[HEADER.size :]


def decode(jpeg: bytes) -> np.ndarray:
    """The picture, uint8 RGB (H, W, 3). Raises ``Refusal``."""
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
            if max(image.size) > MOST_SIDE:
                raise Refusal(
                    WSCloseCode.INVALID_TEXT,
                    f"a picture of {image.width}x{image.height}: at most {MOST_SIDE} a side",
                )
            return np.array(image.convert("RGB"))
    # Pillow raises SyntaxError on some broken files, and its bomb error is none of the others.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise Refusal(
            WSCloseCode.INVALID_TEXT, "a frame that does not decode as a JPEG picture"
        ) from None
