"""What training adds to a classifier: auxiliary layers, thrown away afterwards, and the losses.

Rendered windows know more than their class. A linear layer on the pooled features predicts the
hand's pose and its change since the last frame; 1x1 convolutions on two inner maps say in which
cell each keypoint of the hand lies (cross-entropy over the cells, as Mask R-CNN's keypoint head, He
et al., ICCV 2017, section 5). The keypoints are what makes a network without ImageNet weights find
the hand at all in the time that a CPU has: without them 400 steps left the pose loss where a
constant puts it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.rendered.scenes import POSE_VALUES
from core.labels import IGNORE
from core.model import VideoClassifier

POSE_WEIGHT, MOTION_SCALE = 1.0, 3.0  # weight of the pose loss; a frame's change is small
KEYPOINT_WEIGHT = 0.3  # of each map's keypoint loss, which starts at the log of its cells


class Trainee(nn.Module):
    """The model and its auxiliary layers, seen as one module by the optimiser.

    ``targets`` is the number of pose targets of the data, 0 for none. ``frozen`` are modules that
    stay in evaluation mode: batch norms that keep their statistics.
    """

    def __init__(
        self, model: VideoClassifier, targets: int, frozen: Sequence[nn.Module] = ()
    ) -> None:
        super().__init__()
        self.model = model
        self.frozen = list(frozen)  # of the model's own, so no submodules here
        self.pose = self.points = None
        self.maps: list[Tensor] = []
        if targets:
            self.pose = nn.Linear(model.classifier.in_features, 2 * POSE_VALUES)
            layers = model.backbone.inner_maps()
            keypoints = (targets - POSE_VALUES) // 2
            self.points = nn.ModuleList(nn.Conv2d(width, keypoints, 1) for _, width in layers)
            for layer, _ in layers:
                layer.register_forward_hook(lambda _m, _i, output: self.maps.append(output))

    def train(self, mode: bool = True) -> "Trainee":
        """Training or evaluation mode of all but what is frozen."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def forward(
        self, x: Tensor, frames: int, kept: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """(T * N, 3, H, W) -> logits (T, N, classes), pose (T, N, 2, P), keypoint maps.

        A keypoint map is (T * N, keypoints, h, w), one logit a cell. ``kept`` is dropout's factor
        (T * N, D) on the features that the classifier sees.
        """
        self.maps.clear()
        features = self.model.folded_features(x, frames)
        seen = features if kept is None else features * kept
        logits = self.model.classifier(seen).unflatten(0, (frames, -1)).float()
        if self.pose is None:
            return logits, None, []
        pose = self.pose(features).unflatten(0, (frames, -1)).unflatten(-1, (2, -1)).float()
        assert self.points is not None, "made with the pose"
        maps = [head(inner).float() for head, inner in zip(self.points, self.maps, strict=True)]
        return logits, pose, maps


def losses(
    logits: Tensor,
    pose: Tensor | None,
    maps: list[Tensor],
    labels: Tensor,
    clip_labels: Tensor,
    targets: Tensor | None,
    smoothing: float = 0.0,
) -> dict[str, Tensor]:
    """The parts of the loss: ``frame``, ``clip`` and, with targets, ``pose`` and ``points``.

    Logits (T, N, K), labels (N, T) and clip_labels (N,) with ``IGNORE``, targets (N, T, P). A loss
    with no labelled element in the batch is zero. ``smoothing`` is that of the labels.
    """
    t, n, classes = logits.shape
    found = {
        "frame": _cross_entropy(logits.reshape(t * n, classes), labels.T.reshape(-1), smoothing),
        "clip": _cross_entropy(logits.mean(0), clip_labels, smoothing),
    }
    if pose is None or targets is None:
        return found
    targets = targets.transpose(0, 1)  # (T, N, P)
    values = targets[..., :POSE_VALUES]
    error = F.smooth_l1_loss(pose[:, :, 0], values, beta=0.2)
    if t > 1:
        change = (values[1:] - values[:-1]) * MOTION_SCALE
        error = error + F.smooth_l1_loss(pose[1:, :, 1], change, beta=0.2)
    found["pose"] = POSE_WEIGHT * error
    points = targets[..., POSE_VALUES:].reshape(t * n, -1, 2)
    points_loss = (_keypoint_loss(cells, points) for cells in maps)
    found["points"] = KEYPOINT_WEIGHT * sum(points_loss, torch.zeros((), device=points.device))
    return found


def _cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    if not (labels != IGNORE).any():
        return logits.sum() * 0
    return F.cross_entropy(logits, labels, ignore_index=IGNORE, label_smoothing=smoothing)


def _keypoint_loss(cells: Tensor, points: Tensor) -> Tensor:
    """Logits (rows, K, h, w) against points (rows, K, 2) in -1..1; points outside are ignored."""
    h, w = cells.shape[-2:]
    column = ((points[..., 0] + 1) / 2 * w).floor().long()
    row = ((1 - points[..., 1]) / 2 * h).floor().long()
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    cell = torch.where(inside, row * w + column, IGNORE)
    return _cross_entropy(cells.flatten(2).flatten(0, 1), cell.flatten())
