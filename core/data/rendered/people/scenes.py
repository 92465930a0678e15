"""Time lines of people: which gesture comes when, what is before and after, and what is known.

Train, validation and test have disjoint seeds, bodies and panoramas, so that no person, room or
motion occurs in two of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from core.data.rendered.gestures import Segment
from core.data.rendered.people.gestures import POSE, gesture_track, reversed_track
from core.data.rendered.scenes import KNOWN_AFTER, KNOWN_FROM, scene_seed
from core.labels import IGNORE, LABELS, LATERAL, NO_GESTURE, OTHER, TIME_PAIRS

# Seconds of the gesture itself.
DURATIONS = {
    "Swiping": (0.32, 1.1), "Sliding": (0.32, 1.2), "Pushing": (0.4, 1.3), "Pulling": (0.4, 1.3),
    "Rolling": (1.0, 2.2), "Turning": (0.5, 1.5), "Zooming": (0.4, 1.5), "Drumming": (0.9, 2.2),
    "Shaking": (0.8, 2.0), "Stop": (0.6, 2.0), "Thumb": (0.6, 2.0),
    NO_GESTURE: (1.0, 2.5), OTHER: (1.2, 2.8),
}  # fmt: skip
HOLD = "hold"  # a hand that waits where the gesture begins or stays where it ended: no class
GESTURES = tuple(name for name in LABELS if name not in (NO_GESTURE, OTHER))
GAP = (0.2, 0.75)  # seconds of the way between two motions


@dataclass
class Scene:
    """One recording: its time line, which hand gestures, and the seed of everything else.

    Scenes with one ``person`` show the same person in the same clothes, those with one ``place``
    the same room, light and camera; both are seeds of their own.
    """

    split: str
    segments: list[Segment]
    left: bool
    seed: int
    person: int | None = None
    place: int | None = None


def _empty(split: str, seed: int, index: int) -> tuple[Scene, np.random.Generator]:
    rng = np.random.default_rng(scene_seed(split, seed, index))
    return Scene(split, [], bool(rng.random() < 0.45), int(rng.integers(2**62))), rng


def _last(scene: Scene) -> float:
    return scene.segments[-1].end if scene.segments else 0.0


def _add(
    scene: Scene, name: str, rng: np.random.Generator, seconds: float | None = None
) -> Segment:
    """Append a motion after a way to it; ``seconds`` in place of its own duration."""
    start = _last(scene) + (rng.uniform(*GAP) if scene.segments else 0.0)
    part = segment(name, start, rng, scene.left)
    if seconds is not None:
        part = replace(part, end=start + seconds)
    scene.segments.append(part)
    return part


def _held(part: Segment, start: float, end: float, s: float) -> Segment:
    """The hand stays where ``part`` is at progress ``s``."""
    return Segment(HOLD, start, end, lambda x: part.track(np.full(len(x), s)))


def clip_scene(
    split: str, seed: int, index: int, label: str, seconds: float
) -> tuple[Scene, Segment]:
    """A scene with one gesture and its segment; ``seconds`` of something else on either side.

    Around the gesture the hands rest, do something else, or hold the gesture's first or last pose,
    as people do who are about to gesture.
    """
    scene, rng = _empty(split, seed, index)
    if label in (NO_GESTURE, OTHER):
        return scene, _add(scene, label, rng, 2 * seconds + 1.0)
    around = [rng.choice([NO_GESTURE, OTHER, HOLD], p=[0.7, 0.12, 0.18]) for _ in range(2)]
    if around[0] == HOLD:
        part = segment(label, seconds, rng, scene.left)
        scene.segments += [_held(part, 0.0, seconds, 0.0), part]
    else:
        _add(scene, around[0], rng, seconds)
        part = _add(scene, label, rng)
    if around[1] == HOLD:
        stay = rng.uniform(0.2, seconds)
        scene.segments.append(_held(part, part.end, part.end + stay, 1.0))
        _add(scene, NO_GESTURE, rng, seconds)
    else:
        _add(scene, around[1], rng, seconds)
    return scene, part


def stream_scene(split: str, seed: int, index: int, gestures: int) -> tuple[Scene, float]:
    """A continuous recording: gestures with pauses and other motion between; gives its length."""
    scene, rng = _empty(split, seed, index)
    _add(scene, NO_GESTURE, rng, rng.uniform(0.5, 2.0))
    for _ in range(gestures):
        _add(scene, GESTURES[rng.integers(len(GESTURES))], rng)
        draw = rng.random()
        if draw < 0.55:
            _add(scene, NO_GESTURE, rng, rng.uniform(0.4, 3.0))
        elif draw < 0.85:
            _add(scene, OTHER, rng, rng.uniform(0.8, 3.5))
    _add(scene, NO_GESTURE, rng, 1.0)
    return scene, _last(scene)


def frame_labels(scene: Scene, times: np.ndarray, frame_rate: float) -> np.ndarray:
    """The class of each frame (n,), or ``IGNORE`` where it cannot be known yet."""
    labels = np.full(len(times), IGNORE, np.int64)
    for part in scene.segments:
        if part.label == HOLD:
            continue
        known, after = KNOWN_FROM, KNOWN_AFTER / frame_rate
        if part.label in (NO_GESTURE, OTHER):
            known, after = (0.0, 0.0) if part.label == NO_GESTURE else (0.25, 0.0)
        start = part.start + known * (part.end - part.start)
        labels[(times >= start) & (times <= part.end + after)] = LABELS.index(part.label)
    return labels


def segment(label: str, start: float, rng: np.random.Generator, left: bool) -> Segment:
    """A gesture that begins at ``start`` seconds, with its duration, pace and tremor.

    ``left`` tells that the hand is mirrored when it is placed, so that lateral motions run the
    other way round. ``label`` is one of ``core.labels.LABELS``.
    """
    name = label
    if left:  # what is seen is the mirror image: take the motion whose mirror image is asked for
        for first, second in TIME_PAIRS:
            if first in LATERAL and label in (first, second):
                name = second if label == first else first
    try:
        track = gesture_track(name, rng)
    except KeyError:
        forwards = {second: first for first, second in TIME_PAIRS}
        track = reversed_track(gesture_track(forwards[name], rng))
    low, high = next(span for kind, span in DURATIONS.items() if label.startswith(kind))
    duration = np.exp(rng.uniform(np.log(low), np.log(high)))
    pace = _pace(rng)
    tremor = rng.normal(size=POSE) * np.repeat([0.003, 0.02, 0.02, 0.003, 0.02, 0.02, 0],
                                               [3, 6, 8, 3, 6, 8, 2])  # fmt: skip
    bias = rng.normal(size=POSE) * np.repeat([0, 0.05, 0, 0.05, 0], [9, 8, 9, 8, 2])
    beat, phase = rng.uniform(0.5, 2.5), rng.uniform(0, 6.28)

    def placed(s: np.ndarray) -> np.ndarray:
        rows = track(pace(s)) + bias
        return rows + np.sin(phase + 6.28 * beat * s)[:, None] * tremor

    return Segment(label, start, start + duration, placed)


def _pace(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Progress over time: between constant and eased, quicker at the start or at the end."""
    ease, skew = rng.uniform(0.0, 1.0), rng.uniform(-0.4, 0.4)

    def progress(x: np.ndarray) -> np.ndarray:
        eased = (1 - ease) * x + ease * x * x * (3 - 2 * x)
        return eased + skew * eased * (1 - eased)

    return progress
