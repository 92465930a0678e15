"""Fine-tuning with a frozen trunk: what its first parts make of every clip is computed once.

A causal model's map of a frame depends on that frame and those before it alone, so the maps at a
border between two parts are all that training the rest needs. A step then costs what the rest costs
(compare "feature extraction" in Donahue et al., DeCAF, ICML 2014).
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from core.model import VideoClassifier

SHRINK = 0.3  # of the covariance towards its diagonal, for class means of few clips


class Rest(nn.Module):
    """The parts of a model from ``border`` on, with pooling and classifier; shares its weights."""

    def __init__(self, model: VideoClassifier, border: int) -> None:
        super().__init__()
        self.model, self.border = model, border

    def features(self, maps: Tensor, frames: int) -> Tensor:
        """Maps at the border, time-major (T * N, C, h, w), to pooled features (T * N, D)."""
        x = maps
        for part in self.model.backbone.parts()[self.border :]:
            x = part(x, lambda temporal, y: temporal(y, frames))
        return x.mean((2, 3))

    def forward(self, maps: Tensor, frames: int) -> Tensor:
        """Logits (T, N, classes)."""
        return self.model.classifier(self.features(maps, frames)).unflatten(0, (frames, -1))

    def learned(self) -> list[nn.Parameter]:
        """The parameters that training may change."""
        frozen = {id(p) for p in frozen_parameters(self.model, self.border)}
        return [p for p in self.model.parameters() if id(p) not in frozen]


def frozen_parameters(model: VideoClassifier, border: int) -> list[nn.Parameter]:
    """The parameters of the parts before ``border``: those that a gradient of the rest misses."""
    probe = copy.deepcopy(model)
    for parameter in probe.parameters():
        parameter.grad = None
    size = probe.config.size
    maps = maps_of(probe, torch.zeros(1, 2, 3, size, size), border)
    rest = Rest(probe, border)
    rest.train(False)
    rest(maps.transpose(0, 1).flatten(0, 1).float(), 2).sum().backward()
    pairs = zip(model.parameters(), probe.parameters(), strict=True)
    return [mine for mine, other in pairs if other.grad is None]


@torch.inference_mode()
def _maps(model: VideoClassifier, clips: Tensor, border: int) -> Tensor:
    n, frames = clips.shape[:2]
    x = clips.transpose(0, 1).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    for part in model.backbone.parts()[:border]:
        x = part(x, lambda temporal, y: temporal(y, frames))
    return x.unflatten(0, (frames, n)).transpose(0, 1)


def maps_of(model: VideoClassifier, clips: Tensor, border: int) -> Tensor:
    """Maps (N, T, C, h, w) in half precision that leave part ``border - 1``; none at 0.

    ``clips`` (N, T, 3, S, S) are normalised. The model is in evaluation mode meanwhile: frozen
    batch norm has the statistics that it came with.
    """
    was = model.training
    model.eval()
    try:
        return _maps(model, clips, border).half().clone()
    finally:
        model.train(was)


def class_means(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Weight (classes, D) and bias of a linear classifier by the classes' mean features.

    Linear discriminant analysis with a shrunk covariance within the classes (Ledoit and Wolf,
    Journal of Multivariate Analysis 88, 2004, with a fixed share): a start from which few clips
    need few steps. Every class needs a clip.
    """
    means = torch.stack([features[labels == k].mean(0) for k in range(classes)])
    inner = features - means[labels]
    spread = inner.var(0) + 1e-6
    if len(features) >= features.shape[1]:
        cov = inner.T @ inner / len(features)
        cov = (1 - SHRINK) * cov + SHRINK * torch.diag(spread)
        weight = torch.linalg.solve(cov, means.T).T
    else:
        weight = means / spread
    return weight, -0.5 * (weight * means).sum(1)


Progress = Callable[[int, float], None]
