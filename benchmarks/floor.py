"""ACTION without memory: what the passes over its maps alone cost a streaming frame.

    python benchmarks/floor.py --out floor
    python benchmarks/kernels.py tsm/model.pte floor/model.pte action/model.pte

A slot of this program shifts, squeezes the map, takes this frame's channel mean as the gate of
places and expands this frame's pooled squeezes to the gate of channels. There is no other frame in
it, no convolution over time or over neighbours and no motion. What is left are the passes over the
map as ACTION makes them: what this takes above TSM stays, whatever is done about the rest. The
trunk is the bundled one, the expansion random; the answers mean nothing.
"""

import argparse
from pathlib import Path

import peers_models
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import run_main
from core.model import VideoClassifier
from core.options import Parser, check_folder
from core.temporal import Action, Shape, State
from mobile_export.graph.fold import folded
from mobile_export.graph.fused import FusedAction
from mobile_export.targets import xnnpack

SIZE, FRAMES = 224, 8


class Memoryless(FusedAction):
    """Squeeze, pool, expand, gate; stream form alone."""

    def __init__(self, action: Action, height: int, width: int) -> None:
        super().__init__(action, height, width)
        self.expand_pooled = nn.Conv2d(self.squeeze.out_channels, self.channels, 1)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        s, state = self.shift.step(x, state)
        z = self.squeeze(s)
        mean = z.permute(0, 3, 1, 2)[:, :, :1].permute(0, 2, 3, 1)  # (N, 1, H, W)
        pooled = self.expand_pooled(F.adaptive_avg_pool2d(z, 1))
        return s * (torch.sigmoid(mean) + torch.sigmoid(pooled)), state

    def state_shapes(self, height: int, width: int) -> dict[str, Shape]:
        return self.shift.state_shapes(height, width)


def without_memory(model: VideoClassifier) -> VideoClassifier:
    """A copy of an ACTION model with memory for the shift alone."""
    model = folded(model)
    torch.manual_seed(0)
    for _, layer, size in model.backbone.slots(model.config.size, model.config.size):
        layer.temporal = Memoryless(layer.temporal, *size)
    return model


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for model.pte")
    args = parser.parse_args(argv)
    check_folder("--out", args.out)
    loaded = peers_models.built("action", SIZE, FRAMES)
    clips = peers_models.random_clips(loaded.model)
    model = without_memory(loaded.model)
    lowered = xnnpack.lower(model, "stream", "int8", clips, args.out, labels=loaded.labels)
    print(f"{lowered.artifact}: {lowered.details['bytes'] / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    run_main(main)
