"""Operations of ML Programs (Core ML's MIL) on torch tensors, as the interpreter calls them.

``OPS`` maps an operation's name to a function whose keywords are MIL's parameter names. Numbers are
float32 tensors whatever the program declares: the caller rounds a result to half precision where
the declared type is fp16, and quantized integers are exact in float32. Strings, booleans and int32
parameters arrive as Python values.

Only the operations that this project's programs hold are here; the error for any other one names
it. Source of the semantics: the operation reference and the value inference of coremltools 9.0,
``coremltools/converters/mil/mil/ops/defs``.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import BadInput

# Results that are among the inputs' values, or rounded already: nothing to round to half.
EXACT = {
    "clip", "concat", "max_pool", "pad", "quantize", "relu", "reshape", "slice_by_index",
    "transpose",
}  # fmt: skip
_RANGES = {"int8": (-128, 127), "uint8": (0, 255)}


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    """2-D convolution, ``pad`` being top, bottom, left, right."""
    if weight.ndim != 4 or pad_type not in ("valid", "custom"):
        raise BadInput(
            f"conv of rank {weight.ndim} with pad_type {pad_type!r} is not implemented: the "
            "interpreter takes 2-D convolutions with valid or custom padding"
        )
    top, bottom, left, right = pad if pad_type == "custom" else (0, 0, 0, 0)
    if (top, left) != (bottom, right):
        x = F.pad(x, (left, right, top, bottom))
        top = left = 0
    return F.conv2d(x, weight, bias, strides, (top, left), dilations, groups)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``."""
    return F.linear(x, weight, bias)


def clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Into [alpha, beta]."""
    return x.clamp(alpha.item(), beta.item())


def max_pool(
    x: Tensor,
    kernel_sizes: list[int],
    strides: list[int],
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    ceil_mode: bool = False,
) -> Tensor:
    """Largest of each window, ``pad`` being top, bottom, left, right of no value at all.

    ``ceil_mode`` is torch's, and allowed with equal padding on both sides alone.
    """
    top, bottom, left, right = pad if pad_type == "custom" else (0, 0, 0, 0)
    even = (top, left) == (bottom, right)
    if x.ndim != 4 or pad_type not in ("valid", "custom") or (ceil_mode and not even):
        raise BadInput(
            f"max_pool of rank {x.ndim} with pad_type {pad_type!r}, pad {pad} and ceil_mode "
            f"{ceil_mode} is not implemented: the interpreter takes 2-D pooling, valid or custom"
        )
    if even:
        return F.max_pool2d(
            x, tuple(kernel_sizes), tuple(strides), (top, left), ceil_mode=ceil_mode
        )
    x = F.pad(x, (left, right, top, bottom), value=-torch.inf)
    return F.max_pool2d(x, tuple(kernel_sizes), tuple(strides))


def reduce_mean(x: Tensor, axes: list[int] | None = None, keep_dims: bool = False) -> Tensor:
    """Mean over ``axes``, all of them by default."""
    return x.mean(tuple(axes) if axes else tuple(range(x.ndim)), keepdim=keep_dims)


def concat(values: list[Tensor], axis: int, interleave: bool = False) -> Tensor:
    """Concatenate; a constant with a leading 1 is repeated to the batch that runs through."""
    if interleave:
        raise BadInput("concat with interleave is not implemented in the interpreter")
    if axis not in (0, -values[0].ndim):
        batch = max(value.shape[0] for value in values)
        values = [value.expand(batch, *value.shape[1:]) for value in values]
    return torch.cat(values, axis)


def slice_by_index(
    x: Tensor,
    begin: list[int],
    end: list[int],
    stride: list[int] | None = None,
    begin_mask: list[bool] | None = None,
    end_mask: list[bool] | None = None,
    squeeze_mask: list[bool] | None = None,
) -> Tensor:
    """``x[begin:end:stride]``; a mask makes its bound the axis' own, or drops the axis."""
    index: list[slice | int] = []
    for axis in range(x.ndim):
        if squeeze_mask and squeeze_mask[axis]:
            index.append(begin[axis])
            continue
        first = None if begin_mask and begin_mask[axis] else begin[axis]
        last = None if end_mask and end_mask[axis] else end[axis]
        index.append(slice(first, last, stride[axis] if stride else 1))
    return x[tuple(index)]


def pad(x: Tensor, pad: list[int], mode: str = "constant", constant_val: Tensor | None = None):
    """``pad`` has (before, after) for each of the last axes, in their order."""
    if mode != "constant":
        raise BadInput(f"pad with mode {mode!r} is not implemented: only 'constant' is")
    pairs = [pad[i : i + 2] for i in range(0, len(pad), 2)]
    reverse = [n for pair in reversed(pairs) for n in pair]  # torch counts from the last axis
    return F.pad(x, reverse, value=0.0 if constant_val is None else constant_val.item())


def reshape(x: Tensor, shape: list[int]) -> Tensor:
    """``shape`` may hold one -1; a 0 keeps the input's size of that axis."""
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(shape)])


def transpose(x: Tensor, perm: list[int]) -> Tensor:
    """Reorder the axes."""
    return x.permute(perm)


def cast(x: Tensor, dtype: str) -> Tensor:
    """Between floating-point types alone; the caller rounds."""
    if dtype not in ("fp16", "fp32"):
        raise BadInput(f"cast to {dtype!r} is not implemented: only fp16 and fp32 are")
    return x


def _along(value: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """A vector of quantization parameters, shaped to multiply ``x`` along ``axis``."""
    if value.ndim == 0 or axis is None:
        return value
    shape = [1] * x.ndim
    shape[axis] = -1
    return value.reshape(shape)


def quantize(
    input: Tensor,
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: int | None = None,
) -> Tensor:
    """``clip(round(input / scale) + zero_point)``, halves to even, the quotient in float32."""
    low, high = _RANGES[output_dtype]
    quotient = (input / _along(scale, input, axis)).round_()
    if zero_point is not None:
        quotient += _along(zero_point, input, axis)
    return quotient.clamp_(low, high)


def dequantize(
    input: Tensor, scale: Tensor, zero_point: Tensor | None = None, axis: int | None = None
) -> Tensor:
    """``scale * (input - zero_point)``."""
    if zero_point is not None:
        input = input - _along(zero_point, input, axis)
    return input * _along(scale, input, axis)


def constexpr_affine_dequantize(
    quantized_data: Tensor, scale: Tensor, zero_point: Tensor, axis: int
) -> Tensor:
    """A compressed weight; a constant, so it is expanded once, when the program is loaded."""
    return dequantize(quantized_data, scale, zero_point, axis)


def constexpr_blockwise_shift_scale(
    data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> Tensor:
    """The same from iOS 18 on: ``scale`` has the rank of ``data`` and divides its sides."""
    for axis, (side, steps) in enumerate(zip(data.shape, scale.shape, strict=True)):
        if side != steps:
            scale = scale.repeat_interleave(side // steps, axis)
            if offset is not None:
                offset = offset.repeat_interleave(side // steps, axis)
    return scale * (data if offset is None else data - offset)


OPS: dict[str, Callable[..., Tensor]] = {
    "add": lambda x, y: x + y,
    "cast": cast,
    "clip": clip,
    "concat": concat,
    "constexpr_affine_dequantize": constexpr_affine_dequantize,
    "constexpr_blockwise_shift_scale": constexpr_blockwise_shift_scale,
    "conv": conv,
    "dequantize": dequantize,
    "linear": linear,
    "max_pool": max_pool,
    "mul": lambda x, y: x * y,
    "pad": pad,
    "quantize": quantize,
    "reduce_mean": reduce_mean,
    "relu": lambda x: x.relu(),
    "reshape": reshape,
    "sigmoid": lambda x: x.sigmoid(),
    "slice_by_index": slice_by_index,
    "sub": lambda x, y: x - y,
    "transpose": transpose,
}
