"""A short trunk for tests that lower: lowering takes its time by the node.

Two temporal slots instead of ten, every kind of layer still there: stem, a block without expansion,
strided blocks, blocks with a skip and a slot, head and classifier.
"""

import pytest
import torch
from helpers import make_model

from core.backbones import mobilenet_v2
from core.model import VideoClassifier

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 2, 2))
SLOTS = 2
MEMORY = 3 * SLOTS  # frames after which nothing is left of what a stream has seen


def short_model(temporal: str, **settings: object) -> VideoClassifier:
    """``helpers.make_model`` with five blocks; 32 pixels, 4 frames, width 1 unless told."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mobilenet_v2, "STAGES", STAGES)
        patch.setattr(mobilenet_v2, "HEAD_CHANNELS", 64)
        return make_model(
            temporal=temporal, **({"width": 1.0, "size": 32, "frames": 4} | settings)
        )


def short_clip(frames: int, seed: int = 0, size: int = 32) -> torch.Tensor:
    """Normalised frames (T, 3, S, S): blobs of colour that move, so that the gates see motion."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(frames, 3, 4, 4, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=size, mode="bilinear") * 2 - 1
