"""Recordings of rendered people that the model in the package understands.

Which scenes these are was looked up once: a model is not right about all of them.
"""

import numpy as np
import pytest
from torch import Tensor

from core.data.rendered.people.scenes import Scene, clip_scene, stream_scene
from core.data.rendered.people.studio import studio
from core.errors import BadInput

STREAM = 10_000_021  # number of a test scene: four gestures
SWIPE = 13  # the same: one swipe to the left


def draw(scene: Scene, times: np.ndarray, size: int) -> Tensor:
    """Pictures of a scene, uint8 (T, 3, size, size); skips where people cannot be drawn."""
    need_drawing()
    return studio(size).render(scene, times)[0]


def need_drawing() -> None:
    """Skip where people cannot be drawn."""
    try:
        studio(32)
    except BadInput as error:
        pytest.skip(str(error))


def stream() -> tuple[Scene, float]:
    """Four gestures with rest between, and how long they last in seconds."""
    return stream_scene("test", 0, STREAM, gestures=4)


def swipe() -> tuple[Scene, float]:
    """Rest, one swipe to the left, rest, and how long they last in seconds."""
    scene, _ = clip_scene("test", 0, SWIPE, "Swiping Left", 1.5)
    return scene, scene.segments[-1].end
