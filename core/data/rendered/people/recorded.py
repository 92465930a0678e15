"""What H.264 leaves of pictures, as files and calls have it; apart, as it needs PyAV."""

from fractions import Fraction

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def recorded(frames: Tensor, crf: int) -> Tensor:
    """What H.264 (x264, constant rate factor ``crf``) leaves of uint8 frames (T, 3, S, S)."""
    size = frames.shape[-1]
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width = encoder.height = size + size % 2
    encoder.pix_fmt, encoder.time_base, encoder.thread_count = "yuv420p", Fraction(1, 10), 1
    encoder.options = {"crf": str(crf), "preset": "superfast", "tune": "zerolatency"}
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    pad = size % 2
    pixels = F.pad(frames.float(), (0, pad, 0, pad), mode="replicate").to(torch.uint8)
    found: list[np.ndarray] = []

    def decode(packets: list) -> None:
        for packet in packets:
            for frame in decoder.decode(packet):
                found.append(frame.to_ndarray(format="rgb24"))

    for number, picture in enumerate(pixels.permute(0, 2, 3, 1).contiguous().numpy()):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = number
        decode(encoder.encode(frame))
    decode(encoder.encode(None))
    decode([None])
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)[..., :size, :size].contiguous()
