"""Gestures that no training has seen, as rendered people would record them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from core.data.rendered.gestures import FIST, HORNS, POINT, TWO, Segment, Track
from core.data.rendered.people.gestures import (
    FLAT_AHEAD,
    PALM_OUT,
    PLACE,
    SHAPE,
    X,
    Z,
    alone,
    gesture_track,
    hand,
    turned,
    varied,
)
from core.data.rendered.people.scenes import Scene
from core.data.rendered.people.studio import studio
from core.data.rendered.scenes import scene_seed
from core.data.video import write_clip
from core.labels import NO_GESTURE

FPS = 30


def _held(rng: np.random.Generator, shape: tuple, base: tuple, degrees: float = 12) -> np.ndarray:
    return hand(shape, varied(base, rng, degrees))


def _circle(rng: np.random.Generator) -> Track:
    """A pointing finger draws a circle."""
    radius, start = rng.uniform(0.05, 0.1), rng.uniform(0, 2 * np.pi)
    turns = rng.choice([-1, 1]) * rng.uniform(1.0, 1.5)
    held = _held(rng, POINT, PALM_OUT)

    def track(s: np.ndarray) -> np.ndarray:
        rows = np.tile(held, (len(s), 1))
        phase = start + 2 * np.pi * turns * s
        rows[:, 0] += radius * np.cos(phase)
        rows[:, 1] += radius * np.sin(phase)
        return alone(rows)

    return track


def _knock(rng: np.random.Generator) -> Track:
    """A fist knocks on a door."""
    beats, depth = rng.uniform(2.0, 3.0), np.radians(rng.uniform(25, 40))
    held = _held(rng, FIST, PALM_OUT)

    def track(s: np.ndarray) -> np.ndarray:
        wave = np.sin(2 * np.pi * beats * s)
        rows = turned(np.tile(held, (len(s), 1)), X, -depth * wave)
        rows[:, PLACE] -= 0.04 * wave[:, None] * Z
        return alone(rows)

    return track


def _snip(rng: np.random.Generator) -> Track:
    """Two fingers open and close like scissors."""
    beats = rng.uniform(2.0, 3.0)
    held = _held(rng, TWO, PALM_OUT if rng.random() < 0.6 else FLAT_AHEAD)
    spread = SHAPE.start + 4  # behind the flexion of four fingers

    def track(s: np.ndarray) -> np.ndarray:
        rows = np.tile(held, (len(s), 1))
        rows[:, spread] = 0.5 + 0.5 * np.sin(2 * np.pi * beats * s)
        return alone(rows)

    return track


def _horns(rng: np.random.Generator) -> Track:
    """A sign that is held up."""
    held = _held(rng, HORNS, PALM_OUT)
    return lambda s: alone(np.tile(held, (len(s), 1)))


def _wag(rng: np.random.Generator) -> Track:
    """A raised finger says no."""
    beats, angle = rng.uniform(2.0, 3.0), np.radians(rng.uniform(18, 30))
    held = _held(rng, POINT, PALM_OUT, 8)

    def track(s: np.ndarray) -> np.ndarray:
        rows = np.tile(held, (len(s), 1))
        return alone(turned(rows, Z, angle * np.sin(2 * np.pi * beats * s)))

    return track


def _rest(rng: np.random.Generator) -> Track:
    return gesture_track(NO_GESTURE, rng)


GESTURES: dict[str, Callable[[np.random.Generator], Track]] = {
    "circle": _circle,
    "knock": _knock,
    "scissors": _snip,
    "horns": _horns,
    NO_GESTURE: _rest,
    "wag": _wag,  # behind the others: a scene's number is its gesture's place
}


def film(
    label: str, split: str, index: int, size: int, seconds: float, rate: float = FPS,
    person: int | None = None, place: int | None = None,
) -> Tensor:  # fmt: skip
    """A person makes one gesture between two rests: uint8 (T, 3, S, S), ``rate`` a second.

    ``person`` and ``place`` are those of ``Scene``; without them every clip has its own. Raises
    ``BadInput`` where people cannot be drawn.
    """
    number = 20_000_000 + 1000 * list(GESTURES).index(label) + index
    rng = np.random.default_rng(scene_seed(split, 7, number))
    length = rng.uniform(0.9, 1.3)
    start = (seconds - length) / 2 + rng.uniform(-0.15, 0.15)
    parts = [(NO_GESTURE, 0.0, start - 0.35), (label, start, start + length)]
    parts.append((NO_GESTURE, start + length + 0.35, seconds))
    segments = [Segment(name, first, last, GESTURES[name](rng)) for name, first, last in parts]
    scene = Scene(
        split, segments, bool(rng.random() < 0.45), int(rng.integers(2**62)), person, place
    )
    return studio(size).render(scene, np.arange(0, seconds, 1 / rate))[0]


def write_session(path: Path, label: str, split: str, clips: range, size: int, seconds: float):
    """One video of many clips on end, as a camera would record them in turn."""
    films = [film(label, split, i, size, seconds).numpy() for i in clips]
    write_clip(path, np.concatenate(films), FPS)
