"""A training window: what every renderer makes, and how long it is."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

WINDOW = 24  # frames of a training window
STREAMS_FROM = 10_000_000  # streams lie far from the clips' indices: no scene serves both
SIDE = 2.0  # seconds of rest or other motion on either side of a gesture


@dataclass
class Window:
    """A training window: frames and what is known about each of them."""

    frames: Tensor  # uint8 (WINDOW, 3, S, S)
    labels: np.ndarray  # (WINDOW,) class or IGNORE
    poses: np.ndarray  # (WINDOW, POSE_TARGETS) float32
    clip_label: int  # the class of the window's main gesture, IGNORE when it has none
    gesture: tuple[float, float]  # its first and last frame, may lie outside the window
