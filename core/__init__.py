"""Models that recognise gestures in clips and streams, and their training.

    from core import load
    model = load()  # the one in the package; load("mine.safetensors") for another
    logits, state = model.step(frame, model.initial_state())

``core.checkpoint.load`` gives the labels and the history beside the model.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from core.model import VideoClassifier


def load(path: "str | os.PathLike[str] | None" = None) -> "VideoClassifier":
    """The model of a checkpoint's file, or the one in the package, in evaluation mode on the CPU.

    Raises ``core.errors.BadInput`` for a file that cannot be used.
    """
    from core import checkpoint  # torch is imported when a model is wanted

    return checkpoint.load(checkpoint.bundled_path() if path is None else path).model
