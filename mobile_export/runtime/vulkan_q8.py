"""The Vulkan delegate's int8 operators on torch, with weights packed as its prepacking reads them.

Files are those of ``backends/vulkan/runtime/graph/ops`` of pytorch/executorch at cff6f4d, whose
serialization and patterns are those of the wheel of executorch 1.5.1 to the byte.

Values of eight bits are whole numbers in float32, in which products are summed exactly: no layer
here sums as many as 2**24 / 127**2. Scales become float32 before they are used (``extract_scalar``
of each operator), as does the reciprocal of the output's (``output_inv_scale``). What is left open:
GLSL's ``round`` may take halves either way (to even here), and a compiler may fuse a product with
a sum. Rounding to a step goes to -128..127 whatever range the graph names.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from core.errors import BadInput

LOW, HIGH = -128, 127
TEXEL = 4  # channels that lie together


def _quantized(x: Tensor, scale: float, zero_point: int) -> Tensor:
    """``round(x * inv_scale) + zero_point`` into eight bits; takes ``x`` over."""
    inverse = float(np.float32(1) / np.float32(scale))
    return x.mul_(inverse).round_().add_(zero_point).clamp_(LOW, HIGH)


def quantize_per_tensor(
    input: Tensor,
    scale: float,
    zero_point: int,
    quant_min: int,
    quant_max: int,
    dtype: None,
) -> Tensor:
    """``impl/QuantizeDequantize.cpp`` ``quantize_per_tensor_impl``, ``glsl/q8ta_quantize.glsl``."""
    return _quantized(input.clone(), scale, zero_point)


def dequantize_per_tensor(
    input: Tensor,
    scale: float,
    zero_point: int,
    quant_min: int,
    quant_max: int,
    dtype: None,
    out_dtype: None = None,
) -> Tensor:
    """``dequantize_per_tensor_impl`` of the same file, ``glsl/q8ta_dequantize.glsl``."""
    return (input - zero_point).mul_(float(np.float32(scale)))


def q8ta_add(
    input_a: Tensor,
    input_b: Tensor,
    input_a_scale: float,
    input_a_zero_point: int,
    input_b_scale: float,
    input_b_zero_point: int,
    output_scale: float,
    output_zero_point: int,
    alpha: float,
) -> Tensor:
    """``impl/Q8taBinary.cpp`` ``q8ta_add``, ``glsl/q8ta_binary.glsl``; a ReLU before the rounding
    is the range's own end.

    Raises ``BadInput`` for an ``alpha`` other than 1, which the shader does not apply.
    """
    if alpha != 1:
        raise BadInput(f"et_vk.q8ta_add with alpha {alpha}: the delegate's shader ignores it")
    total = dequantize_per_tensor(input_a, input_a_scale, input_a_zero_point, LOW, HIGH, None)
    total += dequantize_per_tensor(input_b, input_b_scale, input_b_zero_point, LOW, HIGH, None)
    return _quantized(total, output_scale, output_zero_point)


def q8ta_conv2d(
    x: Tensor,
    input_scale: float,
    input_zero_point: int,
    weights: Tensor,
    weight_sums: Tensor,
    weight_scales: Tensor,
    output_scale: float,
    output_zero_point: int,
    bias: Tensor | None,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    activation: str,
) -> Tensor:
    """``impl/Q8taConv2d.cpp``, ``Q8taConv2dPW.cpp``, ``Q8taConv2dDW.cpp``, ``Q8taConv2dIm2Col.cpp``
    and the shaders of their names, after ``unpacked``: ``weights`` are a kernel (OC, IC of a group,
    h, w) and the vectors have OC values.

    What lies outside the map is the zero point. ``weight_sums`` is what the stored sums take away
    too little, and nothing in a right program: the shaders take the zero point times the stored
    sum from the accumulator.
    """
    total = F.conv2d(x - input_zero_point, weights, None, stride, padding, dilation, groups)
    if weight_sums.any():
        total += (input_zero_point * weight_sums).view(-1, 1, 1)
    total *= (weight_scales * float(np.float32(input_scale))).view(-1, 1, 1)
    if bias is not None:
        total += bias.view(-1, 1, 1)
    if activation == "relu":
        total.relu_()
    return _quantized(total, output_scale, output_zero_point)


def unpacked(kind: str, known: dict, channels: int) -> dict:
    """The parameters of a convolution of ``channels`` inputs as ``q8ta_conv2d`` takes them.

    Raises ``BadInput`` for weights of a size that the shaders would misread.
    """
    if known["activation"] not in ("none", "relu"):
        raise BadInput(f"{kind} with activation {known['activation']} is not implemented")
    kernel = UNPACK[kind](known, channels)
    outputs = kernel.shape[0]
    for name in ("weight_sums", "weight_scales", "bias"):
        vector = known[name]
        if vector is not None and vector.numel() != -(-outputs // TEXEL) * TEXEL:
            raise BadInput(
                f"{kind} has {outputs} output channels and {vector.numel()} {name}: the delegate "
                "reads whole texels"
            )
    sums = kernel.sum((1, 2, 3)) - known["weight_sums"][:outputs]
    cut = {n: known[n][:outputs] for n in ("weight_scales", "bias") if known[n] is not None}
    return known | cut | {"weights": kernel, "weight_sums": sums}


def _rows(known: dict, channels: int) -> Tensor:
    """``glsl/pack_q8_conv2d_weights.glsl``, ``pack_q8_linear_weight.glsl``: a row a channel, its
    pixels row by row, the input channels of a group innermost, filled up to whole texels.
    """
    (rows, columns), weights = known["kernel_size"], known["weights"]
    inputs = channels // known["groups"]
    length = rows * columns * inputs
    if weights.shape[-1] != -(-length // TEXEL) * TEXEL:
        raise BadInput(
            f"int8 weights of shape {tuple(weights.shape)} do not hold {rows}x{columns} pixels of "
            f"{inputs} channels"
        )
    kernel = weights[:, :length].reshape(-1, rows, columns, inputs)
    return kernel.permute(0, 3, 1, 2).contiguous()


def _pointwise(known: dict, channels: int) -> Tensor:
    """As ``_rows``; ``q8ta_conv2d_pw`` reads no other geometry than this one."""
    plain = {"kernel_size": [1, 1], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]}
    odd = [f"{name} {known[name]}" for name, value in plain.items() if known[name] != value]
    if odd or known["groups"] != 1:
        raise BadInput(f"et_vk.q8ta_conv2d_pw of {', '.join(odd) or 'groups'} is no 1x1 kernel")
    return _rows(known, channels)


def _depthwise(known: dict, channels: int) -> Tensor:
    """``glsl/pack_q8_conv2d_dw_weights.glsl``: (h, w, C), the channels innermost."""
    weights = known["weights"]
    if list(weights.shape) != [*known["kernel_size"], channels] or known["groups"] != channels:
        raise BadInput(
            f"int8 weights of shape {tuple(weights.shape)} do not hold {channels} kernels of "
            f"{known['kernel_size']}"
        )
    return weights.permute(2, 0, 1).unsqueeze(1).contiguous()


UNPACK: dict[str, Callable[[dict, int], Tensor]] = {
    "et_vk.q8ta_conv2d.default": _rows,
    "et_vk.q8ta_conv2d_pw.default": _pointwise,
    "et_vk.q8ta_conv2d_dw.default": _depthwise,
}
OPS: dict[str, Callable[..., Tensor]] = {
    "et_vk.q8ta_add.default": q8ta_add,
    "quantized_decomposed.dequantize_per_tensor.default": dequantize_per_tensor,
    "quantized_decomposed.quantize_per_tensor.default": quantize_per_tensor,
    **dict.fromkeys(UNPACK, q8ta_conv2d),
}
