"""The Vulkan delegate's floating-point operators on torch, as the interpreter calls them.

``OPS`` maps an operator's name in the graph to a function whose parameters have the names and the
order of the operator's schema. Numbers are float32 tensors whatever the program declares: the
caller rounds a result to half precision where the declared type is that.

Only the operators that this project's programs hold are here; the error for any other one names
it. Each names where it is computed, in ``backends/vulkan/runtime/graph/ops`` of pytorch/executorch
at cff6f4d. What a shader ignores or throws at is refused here too.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import BadInput
from mobile_export.runtime import vulkan_q8

FLOAT_MAX = torch.finfo(torch.float32).max


def prepack(x: Tensor) -> Tensor:
    """``impl/Staging.cpp`` ``prepack_op``: a constant moved to where it is read."""
    return x


def clone(self: Tensor, memory_format: None = None) -> Tensor:
    """``impl/Clone.cpp`` ``clone``: another layout of the same values."""
    return self


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """``impl/Convolution.cpp`` ``add_conv2d_node``, ``Conv2dDW.cpp``, ``Conv2dPW.cpp``,
    ``Conv2dGemm.cpp``; shaders ``conv2d*.glsl`` and ``conv_transpose2d.glsl``.

    Weights are (OC, IC of a group, h, w), transposed ones (IC, OC, h, w).
    """
    if input.ndim != 4:
        raise BadInput(f"aten.convolution of rank {input.ndim} is not implemented: 2-D ones are")
    if transposed:
        if groups != 1 or max(dilation) > 1:
            raise BadInput("a transposed convolution with groups or dilation is not implemented")
        return F.conv_transpose2d(input, weight, bias, stride, padding, output_padding)
    if weight.shape[2:] == (1, 1) and weight.shape[1] > 1 and groups != 1:
        raise BadInput(f"a 1x1 convolution of {groups} groups: the delegate's shader ignores them")
    return F.conv2d(input, weight, bias, stride, padding, dilation, groups)


def conv_with_clamp(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    output_min: float | None,
    output_max: float | None,
) -> Tensor:
    """The same with the sums clamped before they are stored (``op(sum, out_min, out_max)``)."""
    total = convolution(
        input, weight, bias, stride, padding, dilation, transposed, output_padding, groups
    )
    return _clamped(total, output_min, output_max)


def _clamped(x: Tensor, low: float | None, high: float | None) -> Tensor:
    """Bounds are float32 on the device: the largest double, which stands for none, is infinite."""
    if high is not None and high > FLOAT_MAX:
        high = None
    return x if low is None and high is None else x.clamp(low, high)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``impl/Linear.cpp`` ``linear_packed_weight``; weights (outputs, inputs)."""
    return F.linear(input, weight, bias)


def add(self: Tensor, other: Tensor, alpha: float = 1) -> Tensor:
    """``impl/BinaryOp.cpp`` ``add``, ``glsl/binary_op_texture.glsl``, broadcast."""
    return self + other if alpha == 1 else self + alpha * other


def sub(self: Tensor, other: Tensor, alpha: float = 1) -> Tensor:
    """``sub`` of the same file."""
    return self - other if alpha == 1 else self - alpha * other


def mul(self: Tensor, other: Tensor) -> Tensor:
    """``mul`` of the same file."""
    return self * other


def sigmoid(self: Tensor) -> Tensor:
    """``impl/UnaryOp.cpp`` ``sigmoid``: ``1 / (1 + exp(-x))``."""
    return self.sigmoid()


def relu(self: Tensor) -> Tensor:
    """``relu`` of the same file, which clamps to zero and infinity."""
    return self.relu()


def hardtanh(self: Tensor, min_val: float = -1, max_val: float = 1) -> Tensor:
    """``hardtanh`` of the same file, which clamps."""
    return _clamped(self, min_val, max_val)


def mean(
    self: Tensor, dim: Sequence[int] | None, keepdim: bool = False, dtype: None = None
) -> Tensor:
    """``impl/Reduce.cpp`` ``mean`` over one or two axes, ``glsl/reduce*.glsl``."""
    if not dim or len(dim) > 2:
        raise BadInput(f"aten.mean.dim over axes {dim}: the delegate takes one or two")
    return self.mean(tuple(dim), keepdim)


def cat(tensors: list[Tensor], dim: int = 0) -> Tensor:
    """``impl/Concat.cpp`` ``cat_tensor``; a constant with a leading 1 is repeated to the batch."""
    if dim not in (0, -tensors[0].ndim):
        batch = max(tensor.shape[0] for tensor in tensors)
        tensors = [tensor.expand(batch, *tensor.shape[1:]) for tensor in tensors]
    return torch.cat(tensors, dim)


def slice_copy(
    self: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """``impl/Slice.cpp`` ``slice_copy``."""
    index: list[slice] = [slice(None)] * self.ndim
    index[dim] = slice(start, end, step)
    return self[tuple(index)]


def permute_copy(self: Tensor, dims: Sequence[int]) -> Tensor:
    """``impl/Permute.cpp`` ``permute``."""
    return self.permute(tuple(dims))


def view_copy(self: Tensor, size: Sequence[int]) -> Tensor:
    """``impl/View.cpp`` ``view``."""
    return self.reshape(tuple(size))


def squeeze_copy(self: Tensor, dim: Sequence[int]) -> Tensor:
    """``impl/Squeeze.cpp`` ``squeeze_copy_dims``."""
    return self.squeeze(tuple(dim))


def unsqueeze_copy(self: Tensor, dim: int) -> Tensor:
    """``impl/Unsqueeze.cpp`` ``unsqueeze``."""
    return self.unsqueeze(dim)


def constant_pad_nd(self: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """``impl/Pad.cpp`` ``constant_pad_nd``; (before, after) from the last axis on."""
    return F.pad(self, tuple(pad), value=value)


def max_pool2d_with_indices(
    self: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
) -> Tensor:
    """``impl/Pool.cpp`` ``max_pool2d``; the indices are not computed."""
    return F.max_pool2d(
        self, tuple(kernel_size), tuple(stride) or None, tuple(padding), tuple(dilation), ceil_mode
    )


OPS: dict[str, Callable[..., Tensor]] = {
    "aten.add.Tensor": add,
    "aten.cat.default": cat,
    "aten.clone.default": clone,
    "aten.constant_pad_nd.default": constant_pad_nd,
    "aten.convolution.default": convolution,
    "aten.hardtanh.default": hardtanh,
    "aten.linear.default": linear,
    "aten.max_pool2d_with_indices.default": max_pool2d_with_indices,
    "aten.mean.dim": mean,
    "aten.mul.Tensor": mul,
    "aten.permute_copy.default": permute_copy,
    "aten.relu.default": relu,
    "aten.sigmoid.default": sigmoid,
    "aten.slice_copy.Tensor": slice_copy,
    "aten.squeeze_copy.dims": squeeze_copy,
    "aten.sub.Tensor": sub,
    "aten.unsqueeze_copy.default": unsqueeze_copy,
    "aten.view_copy.default": view_copy,
    "et_vk.conv_with_clamp.default": conv_with_clamp,
    "et_vk.prepack.default": prepack,
    **vulkan_q8.OPS,
}
# Results that are among the inputs' values: nothing to round to half.
EXACT = frozenset(
    {
        "aten.cat.default",
        "aten.clone.default",
        "aten.max_pool2d_with_indices.default",
        "aten.permute_copy.default",
        "aten.relu.default",
        "aten.slice_copy.Tensor",
        "aten.squeeze_copy.dims",
        "aten.unsqueeze_copy.default",
        "aten.view_copy.default",
        "et_vk.prepack.default",
    }
)
