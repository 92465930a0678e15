"""A faster way through strided depthwise convolutions for training on the CPU.

oneDNN's backward pass of a depthwise convolution with stride 2 took 20 to 50 times as long as with
stride 1 (96 channels, 32 x 32, bfloat16, channels-last, one core: 183 ms against 10 ms for the same
work at stride 1). Convolving at stride 1 and keeping every second value computes the same numbers.
"""

import torch.nn.functional as F
from torch import Tensor, nn


def replace_strided_depthwise(model: nn.Module) -> None:
    """Let every depthwise convolution with stride 2 run at stride 1 and be subsampled, in place.

    Parameters, their names and the result stay the same. For training alone: exported graphs need
    the strided operator.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1 and module.stride == (2, 2):
            module.forward = _subsampled(module)  # type: ignore[method-assign]  # of this one module


def _subsampled(conv: nn.Conv2d):
    def forward(x: Tensor) -> Tensor:
        full = F.conv2d(x, conv.weight, conv.bias, 1, conv.padding, conv.dilation, conv.groups)
        # Every second value: half the time of a slice, whose gradient fills two maps of zeros.
        return F.max_pool2d(full, kernel_size=1, stride=2)

    return forward
