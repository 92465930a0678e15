"""The temporal taps of a checkpoint, changed: made causal, or snapped to the pure shift."""

import torch
from torch import Tensor

from core.checkpoint import Checkpoint
from core.data import open_clips
from core.data.gestures import LABELS
from core.data.transforms import normalise
from core.errors import BadInput
from core.importers.convert import with_fixed_shift
from core.model import ModelConfig, VideoClassifier
from core.shift import LearnedShift, pure_taps
from core.temporal import realigned


def causal_model(checkpoint: Checkpoint) -> VideoClassifier:
    """A causal model with the weights of a bidirectional one, to be fine-tuned.

    The tap of frame t-1 stays that frame's, that of t too; t+1 is dropped and t-2 starts at zero. A
    fixed shift has no weights: the channels that saw the next frame see the last one, and those
    that saw the last one see the present, until training has moved them. Raises ``BadInput`` for a
    model that is causal already or looks at one frame alone.
    """
    config = checkpoint.config
    if config.causal or config.temporal == "none":
        reason = "is causal already" if config.causal else "looks at single frames"
        raise BadInput(f"{checkpoint.path} {reason}: there is nothing to turn")
    model = VideoClassifier(ModelConfig.from_dict(config.to_dict() | {"causal": True}))
    model.load_state_dict(realigned(model, checkpoint.model.state_dict()))
    return model.eval()


def snapped_model(checkpoint: Checkpoint) -> VideoClassifier:
    """The model with the pure shift in the place of its learned taps.

    Raises ``BadInput`` for a model without learned taps.
    """
    if checkpoint.config.shift != "learned":
        raise BadInput(f"{checkpoint.path} has a fixed shift: there are no taps to snap")
    return with_fixed_shift(checkpoint.model)


def tap_distance(model: VideoClassifier) -> float:
    """How far the tap that is farthest from the pure shift lies from it."""
    shifts = [module for module in model.modules() if isinstance(module, LearnedShift)]
    return max(float((m.matrix() - pure_taps(m.channels, m.causal)).abs().max()) for m in shifts)


def cost(checkpoint: Checkpoint, changed: VideoClassifier, clips: int) -> dict:
    """What a change costs on held-out synthetic clips, as JSON-ready figures.

    ``top1_before`` and ``top1_after`` in % are null for a model of other classes than the synthetic
    ones. ``agreement`` is the share of equal answers in %, ``deviation`` the largest difference of
    a logit over the largest logit.
    """
    known = list(checkpoint.labels) == list(LABELS)
    data = open_clips(None, "test", checkpoint.config, clips)
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
