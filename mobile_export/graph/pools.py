"""BNInception's average pooling as the delegates take it, on a copy of the model.

XNNPACK has no average pooling that counts the zeros outside the map (``count_include_pad``). The
mean of 3x3 pixels is a depthwise convolution with the constant 1/9: exact, and one that every
target and quantizer knows.
"""

import copy

from torch import nn

from core.backbones.bn_inception import AveragePool
from core.model import VideoClassifier


def as_convolution(pool: AveragePool) -> nn.Conv2d:
    """The depthwise convolution that computes what ``pool`` does."""
    channels, kernel = pool.channels, pool.kernel_size
    conv = nn.Conv2d(
        channels, channels, kernel, pool.stride, pool.padding, groups=channels, bias=False
    )
    nn.init.constant_(conv.weight, 1 / kernel**2)
    return conv.requires_grad_(False)


def without_average_pools(model: VideoClassifier) -> VideoClassifier:
    """A copy of ``model`` that computes the same with a convolution for each average pooling."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, AveragePool):
                setattr(module, name, as_convolution(child).eval())
    return model
