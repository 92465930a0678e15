"""Rendered people as data: training windows, held-out clips, continuous streams."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from core.data.clips import Clips
from core.data.rendered.people.scenes import HOLD, clip_scene, frame_labels, stream_scene
from core.data.rendered.people.studio import studio
from core.data.rendered.scenes import scene_seed
from core.data.rendered.window import SIDE, STREAMS_FROM, WINDOW, Window
from core.labels import IGNORE, LABELS, NO_GESTURE, OTHER
from core.model import ModelConfig

STREAM_SHARE = 0.2  # of the training windows, cut anywhere out of a recording


def training_window(
    seed: int, index: int, size: int, frame_rate: float, backgrounds: Path | None = None
) -> Window:
    """Window ``index`` of the training set: random phase, lead-in by rest, motion or a gesture."""
    rng = np.random.default_rng(scene_seed("train", seed, index).spawn(2)[1])
    steps = np.arange(WINDOW) / frame_rate
    if rng.random() < STREAM_SHARE:
        scene, length = stream_scene("train", seed, index, gestures=4)
        times = rng.uniform(0, length - steps[-1]) + steps
        clip_label, gesture = IGNORE, (0.0, 0.0)
    else:
        label = LABELS[index % len(LABELS)]
        scene, part = clip_scene("train", seed, index, label, SIDE)
        times = around(part.start, part.end, WINDOW, frame_rate) + rng.uniform(-0.5, 0.5)
        clip_label = LABELS.index(label)
        gesture = tuple((np.array([part.start, part.end]) - times[0]) * frame_rate)
    frames, targets = studio(size, backgrounds).render(scene, times)
    return Window(frames, frame_labels(scene, times, frame_rate), targets, clip_label, gesture)


def around(start: float, end: float, frames: int, frame_rate: float) -> np.ndarray:
    """Times (T,) of ``frames`` frames with the middle of a gesture in the middle."""
    return (start + end) / 2 + (np.arange(frames) - (frames - 1) / 2) / frame_rate


class PeopleClips(Clips):
    """Held-out clips of people: one gesture in the middle of each.

    An item is ``(uint8 (T, 3, S, S), class index)``; class ``i % 27`` of clip ``i``, so that every
    count is balanced. ``only`` restricts the classes.
    """

    start = "spawn"  # OpenGL has threads

    def __init__(
        self, split: str, count: int, *, frames: int, size: int, frame_rate: float,
        seed: int = 0, only: tuple[str, ...] = LABELS, backgrounds: Path | None = None,
    ) -> None:  # fmt: skip
        self.labels = list(LABELS)
        self.split, self.count, self.seed, self.only = split, count, seed, only
        self.frames, self.size, self.frame_rate = frames, size, frame_rate
        self.backgrounds = backgrounds

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        label = self.only[index % len(self.only)]
        rng = np.random.default_rng(scene_seed(self.split, self.seed, index).spawn(3)[2])
        side = max(SIDE, self.frames / 2 / self.frame_rate)
        scene, part = clip_scene(self.split, self.seed, index, label, side)
        times = around(part.start, part.end, self.frames, self.frame_rate)
        times = times + rng.uniform(-0.15, 0.15)
        frames, _ = studio(self.size, self.backgrounds).render(scene, times)
        return frames, LABELS.index(label)


class PeopleStreams(Dataset[Any]):
    """Continuous recordings of ten gestures with pauses and other motion between them.

    An item is ``(uint8 (T, 3, S, S), first frame, last frame and class of each gesture (G,))``.
    """

    GESTURES = 10
    start = "spawn"  # OpenGL has threads

    def __init__(
        self, count: int, config: ModelConfig, *, split: str, seed: int = 0,
        backgrounds: Path | None = None,
    ) -> None:  # fmt: skip
        self.count, self.config, self.split, self.seed = count, config, split, seed
        self.backgrounds = backgrounds

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        scene, length = stream_scene(self.split, self.seed, STREAMS_FROM + index, self.GESTURES)
        rate = self.config.frame_rate
        times = np.arange(0, length, 1 / rate)
        frames, _ = studio(self.config.size, self.backgrounds).render(scene, times)
        gestures = [p for p in scene.segments if p.label not in (NO_GESTURE, OTHER, HOLD)]
        starts = torch.tensor([math.ceil(p.start * rate) for p in gestures])
        ends = torch.tensor([int(p.end * rate) for p in gestures])
        return frames, starts, ends, torch.tensor([LABELS.index(p.label) for p in gestures])
