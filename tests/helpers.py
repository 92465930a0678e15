"""Models and clips that several tests share."""

import pytest
import torch

from core.backbones import mobilenet_v2
from core.model import ModelConfig, VideoClassifier

TINY = {"width": 0.25, "size": 64, "num_classes": 5, "frames": 6}
# MobileNet V2 with two temporal slots (32 and 96 channels) instead of ten, and every kind of layer
# still there: lowering and copying take their time by the node.
STAGES = ((1, 16, 1, 1), (6, 32, 2, 2), (6, 96, 2, 2))
HEAD_CHANNELS = 128


def make_shallow(patch: pytest.MonkeyPatch) -> None:
    """MobileNet V2 is shallow as long as ``patch`` lasts, for what is made and loaded then."""
    patch.setattr(mobilenet_v2, "STAGES", STAGES)
    patch.setattr(mobilenet_v2, "HEAD_CHANNELS", HEAD_CHANNELS)


def make_model(seed: int = 0, **settings: object) -> VideoClassifier:
    """A small model in evaluation mode whose batch norms have seen data.

    Fresh running statistics (mean 0, variance 1) would shrink the signal to nothing on its way
    through 50 layers and make every parity test pass; two training-mode passes fill them.
    """
    torch.manual_seed(seed)
    config = ModelConfig(**(TINY | settings))
    model = VideoClassifier(config).train()
    torch.nn.init.normal_(model.classifier.weight, std=0.3)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # cumulative average
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias, std=0.3)
    with torch.no_grad():
        for _ in range(2):
            model(random_clip(2, config))
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()


def random_clip(batch: int, config: ModelConfig, frames: int | None = None) -> torch.Tensor:
    """(batch, T, 3, H, W) of unit noise, as a normalised clip would be scaled."""
    return torch.randn(batch, frames or config.frames, 3, config.size, config.size)
