"""Gestures that the bundled model has never seen, as somebody would record them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from core.data.rendered.capsules.camera import render
from core.data.rendered.gestures import FIST, HORNS, POINT, TWO, Segment, pose, rest_pose
from core.data.rendered.scenes import make_scene, scene_seed
from core.data.video import write_clip
from core.labels import NO_GESTURE

FPS = 30
VARIATION = 1.0


def _circle(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """A pointing finger draws a circle."""
    radius, start = rng.uniform(0.05, 0.09), rng.uniform(0, 2 * np.pi)
    turns = rng.choice([-1, 1]) * rng.uniform(1.0, 1.5)
    base = pose(POINT, (0, 0, 0), (rng.uniform(-15, 15), rng.uniform(-20, 5), 0))

    def track(s: np.ndarray) -> np.ndarray:
        poses = np.repeat(base[None], len(s), 0)
        poses[:, 0] += radius * np.cos(start + 2 * np.pi * turns * s)
        poses[:, 1] += radius * np.sin(start + 2 * np.pi * turns * s)
        return poses

    return track


def _knock(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """A fist knocks on a door."""
    beats, depth = rng.uniform(2.0, 3.0), np.radians(rng.uniform(25, 40))
    base = pose(FIST, (0, 0, 0), (rng.uniform(-15, 15), rng.uniform(-10, 10), rng.uniform(-15, 15)))

    def track(s: np.ndarray) -> np.ndarray:
        poses = np.repeat(base[None], len(s), 0)
        wave = np.sin(2 * np.pi * beats * s)
        poses[:, 4] += depth * wave
        poses[:, 2] -= 0.04 * wave
        return poses

    return track


def _snip(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Two fingers open and close like scissors."""
    beats = rng.uniform(2.0, 3.0)
    base = pose(TWO, (0, 0, 0), (rng.uniform(-15, 15), rng.uniform(-15, 15), rng.uniform(60, 100)))

    def track(s: np.ndarray) -> np.ndarray:
        poses = np.repeat(base[None], len(s), 0)
        poses[:, 10] = 0.5 + 0.5 * np.sin(2 * np.pi * beats * s)
        return poses

    return track


def _horns(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """A sign that is held up."""
    held = pose(HORNS, (0, 0, 0), tuple(rng.uniform(-15, 15, 3)))
    return lambda s: np.repeat(held[None], len(s), 0)


def _wag(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """A raised finger says no."""
    beats, angle = rng.uniform(2.0, 3.0), np.radians(rng.uniform(18, 30))
    base = pose(POINT, (0, 0, 0), (rng.uniform(-15, 15), rng.uniform(-15, 5), 0))

    def track(s: np.ndarray) -> np.ndarray:
        poses = np.repeat(base[None], len(s), 0)
        poses[:, 5] += angle * np.sin(2 * np.pi * beats * s)
        return poses

    return track


def _rest(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    held = rest_pose(rng)
    return lambda s: np.repeat(held[None], len(s), 0)


GESTURES = {
    "circle": _circle,
    "knock": _knock,
    "scissors": _snip,
    "horns": _horns,
    NO_GESTURE: _rest,
    "wag": _wag,  # behind the others: a scene's number is its gesture's place
}


def film(label: str, split: str, index: int, size: int, seconds: float) -> Tensor:
    """A person makes one gesture between two rests: uint8 (T, 3, S, S) at ``FPS``."""
    number = 20_000_000 + 1000 * list(GESTURES).index(label) + index
    scene = make_scene(split, 7, number, VARIATION)
    rng = np.random.default_rng(scene_seed(split, 7, number).spawn(1)[0])
    length = rng.uniform(0.9, 1.3)
    start = (seconds - length) / 2 + rng.uniform(-0.15, 0.15)
    parts = [(NO_GESTURE, 0.0, start - 0.35), (label, start, start + length)]
    parts.append((NO_GESTURE, start + length + 0.35, seconds))
    for name, first, last in parts:
        track = GESTURES[name](rng)
        scene.segments.append(Segment(name, first, last, _placed(track, scene)))
    return render(scene, np.arange(0, seconds, 1 / FPS), size, VARIATION)


def _placed(track: Callable, scene: object) -> Callable[[np.ndarray], np.ndarray]:
    home, left = np.array(scene.home), scene.shape.left

    def placed(s: np.ndarray) -> np.ndarray:
        poses = track(s)
        poses[:, :3] += home
        if left:  # the hand is mirrored about its own centre when it is built
            poses[:, 0] = 2 * home[0] - poses[:, 0]
        return poses

    return placed


def write_session(path: Path, label: str, split: str, clips: range, size: int, seconds: float):
    """One video of many clips on end, as a camera would record them in turn."""
    films = [film(label, split, i, size, seconds).numpy() for i in clips]
    write_clip(path, np.concatenate(films), FPS)
