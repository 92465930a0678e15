"""The models that ``peers.py`` compares: one trained trunk with three temporal modules.

Values do not matter for time, as long as they are ordinary: weights as they are initialised let the
signal fade over fifty layers into numbers so small that processors slow down.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from core import checkpoint
from core.checkpoint import Checkpoint
from core.model import CONFIGS, VideoClassifier

# The papers' formulas are a reference of the tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import naive

CALIBRATION_CLIPS = 2


def built(name: str, size: int, frames: int) -> Checkpoint:
    """A model at ``size`` pixels and ``frames`` frames with the bundled weights that it has."""
    bundled = checkpoint.load(checkpoint.bundled_path())
    named = CONFIGS[f"{name}_{bundled.config.backbone}"]
    config = replace(bundled.config, **named, causal=True, size=size, frames=frames)
    model = VideoClassifier(config).eval()
    own = model.state_dict()
    model.load_state_dict({k: v for k, v in bundled.model.state_dict().items() if k in own})
    return Checkpoint(model, bundled.labels)


def random_clips(model: VideoClassifier) -> list[Tensor]:
    """Clips of noise for calibration, each (T, 3, S, S) within -1 and 1."""
    noise = torch.Generator().manual_seed(0)
    shape = (model.config.frames, 3, model.config.size, model.config.size)
    return [torch.rand(shape, generator=noise) * 2 - 1 for _ in range(CALIBRATION_CLIPS)]


class Naive(nn.Module):
    """A temporal module that computes the papers' formulas as they are written, in 5-D."""

    def __init__(self, kind: str, module: nn.Module) -> None:
        super().__init__()
        self.kind = kind
        self.causal = module.causal
        self.weights = dict(module.state_dict())

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(frames * N, C, H, W) to the same shape."""
        clips = x.reshape(frames, -1, *x.shape[1:]).transpose(0, 1)  # (N, T, C, H, W)
        y = naive.excite(self.kind, clips, self.weights, self.causal)
        return y.transpose(0, 1).reshape(x.shape)


def use_formulas(model: VideoClassifier) -> VideoClassifier:
    """``model`` with the papers' formulas in its temporal slots, in place; clip form alone."""
    config = model.config
    for _, layer, _ in model.backbone.slots(config.size, config.size):
        layer.temporal = Naive(config.temporal, layer.temporal)
    return model


def inputs_of(model: VideoClassifier, form: str) -> list[Tensor]:
    """Zeros as the inputs of ``forms.graph_of``: frame and state, or the clip."""
    config = model.config
    if form == "clip":
        return [torch.zeros(config.frames, 3, config.size, config.size)]
    return [torch.zeros(1, 3, config.size, config.size), *model.initial_state()]
