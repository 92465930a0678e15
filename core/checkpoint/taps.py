"""The temporal taps of a checkpoint, changed: made causal, or snapped to the pure shift."""

from core.checkpoint import Checkpoint
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
