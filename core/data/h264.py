"""H.264 in memory: a clip's frames to bytes and back, without a container.

One thread each: see ``decode.THREADS``.
"""

import re
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# x264's settings in words, 700 bytes in front of every clip: a NAL unit of type 6 (ITU-T H.264,
# table 7-1), to the start code of the next one.
WORDS = re.compile(rb"\x00\x00\x01\x06.*?(?=\x00\x00\x01)", re.DOTALL)


def encode(frames: Tensor, crf: int, **options: str) -> bytes:
    """Uint8 frames (T, 3, S, S) by x264 at the constant rate factor ``crf``: Annex B.

    ``options`` are x264's, such as ``preset``. An odd side grows by a row and a column.
    """
    pad = frames.shape[-1] % 2
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width = encoder.height = frames.shape[-1] + pad
    encoder.pix_fmt, encoder.time_base, encoder.thread_count = "yuv420p", Fraction(1, 10), 1
    encoder.options = {"crf": str(crf)} | options
    pixels = F.pad(frames.float(), (0, pad, 0, pad), mode="replicate").to(torch.uint8)
    packets = []
    for number, picture in enumerate(pixels.permute(0, 2, 3, 1).contiguous().numpy()):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return WORDS.sub(b"", b"".join(bytes(packet) for packet in packets))


def decode(data: bytes, size: int) -> Tensor:
    """What ``encode`` made of frames of ``size`` pixels: uint8 (T, 3, size, size).

    Raises ``av.FFmpegError`` or ``ValueError`` for bytes that are no such stream.
    """
    found = np.stack(list(_pictures(data)))
    return torch.from_numpy(found).permute(0, 3, 1, 2)[..., :size, :size].contiguous()


def _pictures(data: bytes) -> Iterator[np.ndarray]:
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    for packet in [*decoder.parse(data), *decoder.parse(b""), None]:
        for frame in decoder.decode(packet):
            yield frame.to_ndarray(format="rgb24")
