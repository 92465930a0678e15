"""What a change of a model costs: the same held-out clips before and after."""

import torch
from torch import Tensor

from core.checkpoint import Checkpoint
from core.data import open_clips
from core.data.clips import Chosen, Clips
from core.data.packed import COUNTS, FRAMES, RATE, PackedClips
from core.data.source import trained_capsules
from core.data.transforms import normalise
from core.labels import LABELS
from core.model import VideoClassifier


def _clips(checkpoint: Checkpoint, count: int) -> Clips:
    """Those of the package, at the model's size, where they suffice: no renderer is needed."""
    config, capsules = checkpoint.config, trained_capsules(checkpoint.info)
    own = capsules is not None or config.frame_rate != RATE or config.frames > FRAMES
    if own or count > COUNTS["test"]:
        return open_clips(None, "test", config, count, capsules=capsules)
    packed = PackedClips("test", frames=config.frames, size=config.size)
    return Chosen(packed, range(count))


def cost(checkpoint: Checkpoint, changed: VideoClassifier, clips: int) -> dict:
    """What a change costs on held-out rendered clips, as JSON-ready figures.

    ``top1_before`` and ``top1_after`` in % are null for a model of other classes than the rendered
    ones. ``agreement`` is the share of equal answers in %, ``deviation`` the largest difference of
    a logit over the largest logit.
    """
    known = list(checkpoint.labels) == list(LABELS)
    data = _clips(checkpoint, clips)
    before, after, wanted = [], [], []
    with torch.inference_mode():
        for index in range(len(data)):
            frames, label = data[index]
            x = normalise(frames[None], checkpoint.config.mean, checkpoint.config.std)
            before.append(checkpoint.model(x))
            after.append(changed(x))
            wanted.append(label)
    old, new, labels = torch.cat(before), torch.cat(after), torch.tensor(wanted)

    def percent(right: Tensor) -> float:
        return round(100.0 * right.float().mean().item(), 2)

    return {
        "clips": len(labels),
        "top1_before": percent(old.argmax(-1) == labels) if known else None,
        "top1_after": percent(new.argmax(-1) == labels) if known else None,
        "agreement": percent(old.argmax(-1) == new.argmax(-1)),
        "deviation": float((new - old).abs().max() / old.abs().max()),
    }
