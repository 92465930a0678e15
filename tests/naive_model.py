"""A classifier whose temporal slots follow the papers' formulas, for the tests of whole models."""

import copy

import naive
from torch import Tensor, nn

from core.model import VideoClassifier


class NaiveSlot(nn.Module):
    """The formulas in the place of one temporal module, with its weights; clip form alone."""

    def __init__(self, kind: str, module: nn.Module) -> None:
        super().__init__()
        self.kind, self.causal = kind, module.causal
        self.weights = dict(module.state_dict())

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(frames * N, C, H, W) to the same shape."""
        clips = x.reshape(frames, -1, *x.shape[1:]).transpose(0, 1)  # (N, T, C, H, W)
        y = naive.excite(self.kind, clips, self.weights, self.causal)
        return y.transpose(0, 1).reshape(x.shape)


def with_formulas(model: VideoClassifier) -> VideoClassifier:
    """A copy of ``model`` with the formulas in its slots."""
    model = copy.deepcopy(model)
    for _, holder, _ in model.backbone.slots(model.config.size, model.config.size):
        holder.temporal = NaiveSlot(model.config.temporal, holder.temporal)
    return model
