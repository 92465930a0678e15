"""The loss of JPEG and of H.264 on pictures, as a camera, a call or a file has it."""

from fractions import Fraction

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_DCT_SIDE = 8


def compress(images: Tensor, quality: Tensor) -> Tensor:
    """Blockwise 8x8 DCT quantization, JPEG's (ITU-T T.81, Annex K.1 luminance table).

    ``images`` (F, 3, S, S) in 0..1, ``quality`` (F,) 1 to 100 with libjpeg's scaling. Sides that
    are not multiples of 8 are padded by repetition.
    """
    size = images.shape[-1]
    pad = -size % _DCT_SIDE
    x = F.pad(images, (0, pad, 0, pad), mode="replicate") if pad else images
    n = x.shape[-1] // _DCT_SIDE
    to_ycc = torch.tensor(
        [[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]],
        device=x.device,
    )
    ycc = torch.einsum("ij,fjhw->fihw", to_ycc, x * 255) - 128 * to_ycc.new_tensor([1, 0, 0]).view(
        3, 1, 1
    )
    k = torch.arange(8, device=x.device, dtype=torch.float32)
    dct = torch.cos((2 * k + 1) * k[:, None] * torch.pi / 16) / 2
    dct[0] /= 2**0.5
    blocks = ycc.reshape(-1, 3, n, 8, n, 8).permute(0, 1, 2, 4, 3, 5)  # (F, 3, n, n, 8, 8)
    table = torch.tensor(_LUMINANCE, device=x.device, dtype=torch.float32)
    factor = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1, 1, 1, 1)
    steps = ((table * factor + 50) / 100).clamp(1, 255).floor()
    # Chroma is quantized more coarsely, as its table is.
    steps = steps * steps.new_tensor([1.0, 1.7, 1.7]).view(1, 3, 1, 1, 1, 1)
    quantized = (dct @ blocks @ dct.T / steps).round() * steps
    ycc = (dct.T @ quantized @ dct).permute(0, 1, 2, 4, 3, 5).reshape(x.shape)
    ycc = ycc + 128 * to_ycc.new_tensor([1, 0, 0]).view(3, 1, 1)
    rgb = torch.einsum("ij,fjhw->fihw", torch.linalg.inv(to_ycc), ycc) / 255
    return rgb[..., :size, :size].clamp(0, 1)


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


_LUMINANCE = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]
