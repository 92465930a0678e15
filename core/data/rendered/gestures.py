"""The 27 gestures as motions of a hand, and time lines of gestures and what lies between them.

A *track* maps progress s in [0, 1] to poses. Classes that differ only in the order of time share
one track: the second of a pair runs it backwards. Everything else that is drawn for a clip
(durations, pace, poses of rest, the cut) has a distribution that does not change when time is
reversed, so both classes of a pair draw from one distribution of single frames, exactly.

Directions are those of the person who gestures, and the image is not mirrored: a swipe to one's
own left moves to the image's right. Turning is the exception: clockwise is as the image shows it,
which is counterclockwise to the person. Zooming in opens the fingers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.data.rendered.hand import POSE_SIZE
from core.labels import LATERAL, NO_GESTURE, OTHER, TIME_PAIRS

# How much longer than the others these last: people go round more than once.
LONGER = {OTHER: 1.5, "Rolling Hand Forward": 1.5}

Track = Callable[[np.ndarray], np.ndarray]  # s (n,) -> poses (n, P); P = 14 for capsules

#         index..little      spread abd  flex  opp
OPEN = ((0.0, 0.0, 0.0, 0.0), 0.9, 0.9, 0.0, 0.0)
FLAT = ((0.05, 0.05, 0.05, 0.05), 0.0, 0.15, 0.1, 0.0)
FIST = ((1.0, 1.0, 1.0, 1.0), 0.0, 0.2, 0.9, 0.0)
TWO = ((0.0, 0.0, 1.0, 1.0), 0.35, 0.1, 0.9, 0.0)
THUMB = ((1.0, 1.0, 1.0, 1.0), 0.0, 1.0, 0.0, 0.0)
RELAXED = ((0.3, 0.35, 0.4, 0.45), 0.3, 0.5, 0.2, 0.0)
CLAW = ((0.35, 0.35, 0.35, 0.35), 0.9, 0.8, 0.1, 0.2)
POINT = ((0.0, 1.0, 1.0, 1.0), 0.0, 0.2, 0.8, 0.0)
FOUR = ((0.0, 0.0, 0.0, 0.0), 0.5, 0.1, 1.0, 0.0)
HORNS = ((0.0, 1.0, 1.0, 0.0), 0.5, 0.3, 0.7, 0.0)
OTHER_SHAPES = (FIST, RELAXED, POINT, FOUR, HORNS)


def pose(shape: tuple, position: tuple = (0, 0, 0), degrees: tuple = (0, 0, 0)) -> np.ndarray:
    """A pose vector from a finger shape, a position in metres and yaw, pitch, roll in degrees."""
    flexion, *rest = shape
    return np.array([*position, *np.radians(degrees), *flexion, *rest])


def _line(start: np.ndarray, end: np.ndarray) -> Track:
    return lambda s: start + (end - start) * s[:, None]


def gesture_track(label: str, rng: np.random.Generator, variation: float) -> Track:
    """The motion of a class for a right hand, in its forward direction, around the origin.

    ``variation`` scales how much repetitions differ; 0 is the textbook gesture. Raises ``KeyError``
    for a label that is not one of ``LABELS``.
    """
    v = variation

    def u(low: float, high: float) -> float:
        """Uniform, drawn in towards the middle as the variation falls."""
        middle, half = (low + high) / 2, (high - low) / 2
        return float(middle + rng.uniform(-1, 1) * half * v)

    size = u(0.7, 1.3)
    if label == "Swiping Left":
        yaw, reach = u(40, 75), 0.16 * size
        return _line(
            pose(FLAT, (-reach, 0, 0), (yaw - 15, 0, u(20, 40))),
            pose(FLAT, (reach, 0, 0), (yaw + 15, 0, -u(20, 40))),
        )
    if label == "Swiping Down":
        pitch, reach, yaw = -u(45, 75), 0.13 * size, u(-20, 20)
        return _line(
            pose(FLAT, (0, reach, 0), (yaw, pitch + 25, u(-15, 15))),
            pose(FLAT, (0, -reach, 0), (yaw, pitch - 15, u(-15, 15))),
        )
    if label == "Sliding Two Fingers Left":
        reach = 0.10 * size
        return _line(
            pose(TWO, (-reach, 0, 0), (u(0, 20), u(-15, 5), u(5, 20))),
            pose(TWO, (reach, 0, 0), (u(0, 20), u(-15, 5), -u(5, 20))),
        )
    if label == "Sliding Two Fingers Down":
        reach, roll = 0.10 * size, u(-15, 15)
        return _line(
            pose(TWO, (0, reach, 0), (u(-10, 10), u(0, 15), roll)),
            pose(TWO, (0, -reach, 0), (u(-10, 10), -u(10, 30), roll)),
        )
    if label == "Pushing Hand Away":
        reach, shape = 0.13 * size, ((0.05, 0.05, 0.1, 0.1), 0.6, 0.6, 0.1, 0.0)
        pitch = u(5, 25)
        return _line(
            pose(shape, (0, -0.02, reach), (u(-10, 10), pitch, u(-10, 10))),
            pose(shape, (0, 0.02, -reach), (u(-10, 10), pitch - 10, u(-10, 10))),
        )
    if label == "Pushing Two Fingers Away":
        reach, pitch = 0.12 * size, -u(15, 40)
        return _line(
            pose(TWO, (0, -0.01, reach), (u(-10, 10), pitch, u(-10, 10))),
            pose(TWO, (0, 0.01, -reach), (u(-10, 10), pitch, u(-10, 10))),
        )
    if label == "Rolling Hand Forward":
        # A wide circle, run slowly enough that ten frames a second show which way it goes round:
        # two turns a second at most, before the pace is eased.
        radius, turns, start = 0.08 * size, u(1.3, 2.0), rng.uniform(0, 2 * np.pi)
        base = pose(((0.55, 0.6, 0.6, 0.6), 0.1, 0.3, 0.4, 0.0), (0, 0, 0), (160, 0, u(-100, -70)))

        def circle(s: np.ndarray) -> np.ndarray:
            phase = start + 2 * np.pi * turns * s
            poses = np.repeat(base[None], len(s), 0)
            poses[:, 1] += radius * np.cos(phase)
            poses[:, 2] -= 1.4 * radius * np.sin(phase)
            poses[:, 4] += 0.6 * np.sin(phase)
            poses[:, 3] += 0.4 * np.sin(phase)
            return poses

        return circle
    if label == "Turning Hand Clockwise":
        sweep, tilt = u(45, 75), u(-15, 15)
        return _line(
            pose(CLAW, (0, 0, 0), (u(-10, 10), u(-30, -5), sweep + tilt)),
            pose(CLAW, (0, 0, 0), (u(-10, 10), u(-30, -5), -sweep + tilt)),
        )
    if label == "Zooming In With Full Hand":
        closed = ((0.62, 0.62, 0.62, 0.62), 0.1, 0.3, 0.1, 0.9)
        angles = (u(-15, 25), u(-15, 15), u(-15, 15))
        return _line(pose(closed, degrees=angles), pose(OPEN, degrees=angles))
    if label == "Zooming In With Two Fingers":
        closed = ((0.50, 1.0, 1.0, 1.0), 0.0, 0.2, 0.0, 1.0)
        opened = ((0.02, 1.0, 1.0, 1.0), 0.0, 1.0, 0.0, 0.0)
        angles = (u(-15, 25), u(-15, 15), u(-20, 20))
        return _line(pose(closed, degrees=angles), pose(opened, degrees=angles))
    if label == "Drumming Fingers":
        base = pose(RELAXED, (0, 0, 0), (u(-20, 20), -u(45, 70), u(-15, 15)))
        beats, lag, start = u(2.5, 5.0), rng.choice([-1, 1]) * u(0.8, 1.4), rng.uniform(0, 6.28)
        depth = u(0.2, 0.35)

        def drum(s: np.ndarray) -> np.ndarray:
            poses = np.repeat(base[None], len(s), 0)
            phase = start + 2 * np.pi * beats * s[:, None] + lag * np.arange(4)
            poses[:, 6:10] = 0.3 + depth * np.sin(phase)
            return poses

        return drum
    if label == "Shaking Hand":
        base = pose(OPEN, (0, 0, 0), (u(-15, 15), u(-10, 10), u(-10, 10)))
        beats, start, swing = u(1.8, 3.2), rng.uniform(0, 6.28), np.radians(u(18, 32))

        def shake(s: np.ndarray) -> np.ndarray:
            poses = np.repeat(base[None], len(s), 0)
            wave = np.sin(start + 2 * np.pi * beats * s)
            poses[:, 5] += swing * wave
            poses[:, 0] -= 0.05 * size * wave
            return poses

        return shake
    if label == "Stop Sign":
        held = pose(FLAT, (0, 0, -0.03), (u(-12, 12), u(-8, 12), u(-12, 12)))
        return _line(held, held)
    if label in ("Thumb Up", "Thumb Down"):
        roll = u(45, 75) if label == "Thumb Up" else u(-135, -105)
        held = pose(THUMB, (0, 0, 0), (u(-35, 10), u(-15, 15), roll))
        return _line(held, held)
    if label == OTHER:
        return _wander(rng, OTHER_SHAPES[rng.integers(len(OTHER_SHAPES))], 0.10, 35.0)
    if label == NO_GESTURE:
        return _line(*[rest_pose(rng)] * 2)
    raise KeyError(f"{label!r} has no track of its own")


def rest_pose(rng: np.random.Generator) -> np.ndarray:
    """Where a hand is between gestures: mostly below the picture, else low and relaxed."""
    if rng.random() < 0.6:
        return pose(RELAXED, (rng.uniform(-0.15, 0.15), -0.62, 0.0), (0, -20, 0))
    low = (rng.uniform(-0.12, 0.12), rng.uniform(-0.32, -0.24), rng.uniform(0.0, 0.1))
    return pose(RELAXED, low, (rng.uniform(-40, 40), rng.uniform(-60, -20), rng.uniform(-40, 40)))


def _wander(rng: np.random.Generator, shape: tuple, metres: float, degrees: float) -> Track:
    """Smooth motion without a goal: three sines an axis with random phases."""
    base = pose(shape, tuple(rng.uniform(-0.05, 0.05, 3)), tuple(rng.uniform(-40, 40, 3)))
    scale = np.zeros(POSE_SIZE)
    scale[:3], scale[3:6] = metres, np.radians(degrees)
    scale[6:10] = 0.12
    weight = rng.normal(size=(3, POSE_SIZE)) * scale * rng.uniform(0.0, 1.0) / np.sqrt(3)
    turns = rng.uniform(0.2, 1.0, (3, POSE_SIZE))
    phase = rng.uniform(0, 2 * np.pi, (3, POSE_SIZE))

    def track(s: np.ndarray) -> np.ndarray:
        angle = 2 * np.pi * turns * s[:, None, None] + phase
        return base + (np.sin(angle) * weight).sum(1)

    return track


def _pace(rng: np.random.Generator, variation: float) -> Callable[[np.ndarray], np.ndarray]:
    """Progress over time: between constant and eased at both ends, the same law reversed."""
    ease = rng.uniform(0.2, 0.9)
    skew = rng.uniform(-0.25, 0.25) * variation

    def progress(x: np.ndarray) -> np.ndarray:
        eased = (1 - ease) * x + ease * x * x * (3 - 2 * x)
        return eased + skew * eased * (1 - eased)

    return progress


@dataclass(frozen=True)
class Segment:
    """One stretch of a time line: a label, start and end in seconds, and its motion."""

    label: str
    start: float
    end: float
    track: Track


def segment(
    label: str, start: float, rng: np.random.Generator, left: bool, variation: float, home: tuple
) -> Segment:
    """A gesture that begins at ``start`` seconds; ``home`` is where the hand performs it."""
    forwards, backwards = label, False
    for first, second in TIME_PAIRS:
        if label == second:
            forwards, backwards = first, True
    backwards ^= left and forwards in LATERAL
    track = gesture_track(forwards, rng, variation)
    middle, half = 1.1, 0.4 * variation  # 0.7 to 1.5 s at full variation
    duration = rng.uniform(middle - half, middle + half)
    duration *= LONGER.get(forwards, 1.0)
    pace = _pace(rng, variation)
    offset = np.zeros(POSE_SIZE)
    offset[:3] = home
    tremor = rng.normal(size=POSE_SIZE) * np.repeat([0.003, 0.02, 0.02], [3, 3, 8])
    beat, phase = rng.uniform(0.5, 2.5), rng.uniform(0, 6.28)
    bias = rng.normal(size=POSE_SIZE) * np.repeat([0.0, 0.08, 0.05], [3, 3, 8]) * variation

    def placed(s: np.ndarray) -> np.ndarray:
        s = pace(s)
        poses = track(1 - s if backwards else s) + offset + bias
        poses += np.sin(phase + 6.28 * beat * s)[:, None] * tremor
        if left:
            # The hand is mirrored when it is built, about its own centre: place it mirrored too.
            poses[:, 0] = 2 * home[0] - poses[:, 0]
        return poses

    return Segment(label, start, start + duration, placed)


def evaluate(segments: list[Segment], times: np.ndarray) -> np.ndarray:
    """Poses (n, P) at ``times`` in seconds; between two segments the hand travels smoothly."""
    poses = np.empty((len(times), segments[0].track(np.zeros(1)).shape[-1]))
    done = np.zeros(len(times), bool)
    for index, part in enumerate(segments):
        last = index == len(segments) - 1
        inside = ~done & ((times <= part.end) | last)
        if inside.any():
            s = (times[inside] - part.start) / (part.end - part.start)
            poses[inside] = part.track(np.clip(s, 0, 1))
            done |= inside
        if last:
            break
        following = segments[index + 1]
        between = ~done & (times < following.start)
        if between.any():
            gap = max(following.start - part.end, 1e-6)
            x = ((times[between] - part.end) / gap)[:, None]
            x = x**3 * (10 - 15 * x + 6 * x * x)  # minimum jerk (Flash and Hogan 1985)
            a, b = part.track(np.ones(1)), following.track(np.zeros(1))
            poses[between] = a + (b - a) * x
            done |= between
    return poses
