"""JPEG's loss on a batch of pictures, as a camera or a call has it."""

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
