"""Scenes and time lines: what is recorded, by whom, where, and which gesture comes when.

A *scene* draws everything that stays for one recording from one seed (the hand, the sleeve, the
room, the light, the camera); a time line of gestures says how the hand moves in it. Train,
validation and test have disjoint seeds, so no hand, room or motion occurs in two of them.
"""

from dataclasses import dataclass

import numpy as np

from core.data.rendered.gestures import Segment, evaluate, segment
from core.data.rendered.hand import (
    CAPSULES,
    KEYPOINTS,
    ROTATION,
    SLEEVE,
    HandShape,
    capsules,
    rotation_matrices,
)
from core.errors import BadInput
from core.labels import IGNORE, LABELS, NO_GESTURE, OTHER

# How much of everything varies. 1 is "default"; easy and hard scale the variation.
DIFFICULTY = {"easy": 0.5, "default": 1.0, "hard": 1.6}
SPLITS = ("train", "val", "test")
KNOWN_FROM = 0.55  # part of a gesture after which it counts as known
KNOWN_AFTER = 3  # frames after its end during which it still counts
DISTRACTORS = 3
POSE_VALUES = 17  # of the hand's pose: see pose_targets
POSE_TARGETS = POSE_VALUES + 2 * len(KEYPOINTS)


def variation_of(difficulty: str) -> float:
    """How much of everything varies. Raises ``BadInput`` for a difficulty that there is not."""
    if difficulty not in DIFFICULTY:
        known = ", ".join(DIFFICULTY)
        raise BadInput(f"capsules of difficulty {difficulty!r} are unknown: choose one of {known}")
    return DIFFICULTY[difficulty]


@dataclass
class Scene:
    """What stays the same through one recording."""

    shape: HandShape
    home: tuple[float, float, float]  # where gestures are performed, metres
    segments: list[Segment]
    colours: np.ndarray  # (CAPSULES + DISTRACTORS, 3)
    light: np.ndarray  # (3,) direction times strength
    distractors: np.ndarray  # (DISTRACTORS, 8): x, y, z, radius, and motion
    drift: np.ndarray  # (3, 3): amplitude, frequency, phase of the camera's x, y, zoom
    gain: np.ndarray  # (3,) exposure times white balance
    gamma: float
    noise: float
    quality: float
    defocus: float
    shutter: float  # seconds that a frame is exposed
    flicker: np.ndarray
    seed: int


def scene_seed(split: str, seed: int, index: int) -> np.random.SeedSequence:
    """Every (split, seed, index) has a stream of its own; splits never meet."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is unknown: choose one of {', '.join(SPLITS)}")
    return np.random.SeedSequence([SPLITS.index(split), seed, index])


def make_scene(split: str, seed: int, index: int, variation: float) -> Scene:
    """Draw one scene; its ``segments`` are empty."""
    rng = np.random.default_rng(scene_seed(split, seed, index))
    v = variation

    def u(low: float, high: float) -> float:
        middle, half = (low + high) / 2, (high - low) / 2
        return float(middle + rng.uniform(-1, 1) * half * v)

    shape = HandShape(
        length=u(0.165, 0.195),
        thickness=u(0.88, 1.12),
        finger_length=u(0.92, 1.08),
        left=bool(rng.random() < 0.5),
        elbow=(u(-0.5, 0.3), u(0.0, 0.5)),
    )
    tone = rng.random()  # light to dark along a line through measured skin colours
    skin = np.array([0.95, 0.72, 0.58]) * (1 - tone) + np.array([0.32, 0.19, 0.13]) * tone
    skin = np.clip(skin * (1 + 0.06 * v * rng.normal(size=3)), 0.05, 1)
    colours = np.tile(skin, (CAPSULES + DISTRACTORS, 1))
    colours *= 1 + 0.04 * rng.normal(size=(len(colours), 1))
    colours[SLEEVE] = rng.uniform(0.03, 0.9, 3) if rng.random() < 0.75 else skin
    colours[CAPSULES:] = rng.uniform(0.05, 0.9, (DISTRACTORS, 3))
    direction = np.array([rng.uniform(-1, 1), rng.uniform(-0.2, 1), rng.uniform(-1, -0.3)])
    present = rng.random(DISTRACTORS) < 0.35 * v
    distractors = np.column_stack(
        [
            rng.uniform(-0.5, 0.5, DISTRACTORS),
            rng.uniform(-0.4, 0.4, DISTRACTORS),
            rng.uniform(0.75, 1.3, DISTRACTORS),
            np.where(present, rng.uniform(0.02, 0.10, DISTRACTORS), 0.0),
            rng.uniform(0, 0.25 * v, DISTRACTORS),
            rng.uniform(0, 2 * np.pi, DISTRACTORS),
            rng.uniform(0.1, 0.6, DISTRACTORS),
            rng.uniform(0, 2 * np.pi, DISTRACTORS),
        ]
    )
    return Scene(
        shape=shape,
        home=(u(-0.07, 0.07), u(-0.05, 0.05), u(0.34, 0.54)),
        segments=[],
        colours=colours,
        light=direction / np.linalg.norm(direction) * u(0.35, 0.65),
        distractors=distractors,
        drift=np.column_stack(
            [
                rng.uniform(0, 1, 3) ** 2 * [0.08, 0.08, 0.03] * v,
                rng.uniform(0.1, 0.8, 3),
                rng.uniform(0, 2 * np.pi, 3),
            ]
        ),
        gain=u(0.75, 1.25) * (1 + 0.08 * v * rng.normal(size=3)),
        gamma=u(0.75, 1.3),
        noise=float(rng.uniform(0.0, 0.035) * v),
        quality=float(rng.uniform(35, 95)),
        defocus=float(rng.random() < 0.3 * v),
        shutter=float(rng.uniform(0.004, 0.033)),
        flicker=np.array([rng.uniform(0, 0.04) * v, rng.uniform(0.2, 4), rng.uniform(0, 6.28)]),
        seed=int(rng.integers(2**62)),
    )


def clip_scene(
    split: str, seed: int, index: int, label: str, variation: float, before: str, seconds: float
) -> tuple[Scene, float]:
    """A scene with one gesture, rest or other motion around it; gives the gesture's middle too.

    ``before`` is what the hand does on both sides of the gesture: ``No gesture`` (rest) or
    ``Doing other things``. Both sides last ``seconds``.
    """
    scene = make_scene(split, seed, index, variation)
    rng = np.random.default_rng(scene_seed(split, seed, index).spawn(1)[0])

    def add(name: str, gap: bool) -> None:
        last = scene.segments[-1].end if scene.segments else 0.0
        # The way to and from a gesture takes as long on either side, in law.
        start = last + (rng.uniform(0.25, 0.6) if gap else 0.0)
        scene.segments.append(segment(name, start, rng, scene.shape.left, variation, scene.home))

    def fill(name: str, gap: bool) -> None:
        add(name, gap)
        first = scene.segments[-1]
        scene.segments[-1] = Segment(name, first.start, first.start + seconds, first.track)

    if label in (NO_GESTURE, OTHER):
        fill(label, False)
        one = scene.segments[0]
        scene.segments[0] = Segment(label, 0.0, 2 * seconds + 1.0, one.track)
        return scene, seconds + 0.5
    fill(before, False)
    add(label, True)
    fill(before, True)
    gesture = scene.segments[1]
    return scene, (gesture.start + gesture.end) / 2


def stream_scene(
    split: str, seed: int, index: int, variation: float, gestures: int
) -> tuple[Scene, float]:
    """A continuous recording: gestures with pauses and other motion between; gives its length.

    Each gesture is followed by rest (half of the time), other motion (a quarter) or the next
    gesture after a short way.
    """
    scene = make_scene(split, seed, index, variation)
    rng = np.random.default_rng(scene_seed(split, seed, index).spawn(1)[0])
    names = [name for name in LABELS if name not in (NO_GESTURE, OTHER)]
    clock = 0.0

    def add(name: str, gap: float, duration: float | None = None) -> None:
        nonlocal clock
        part = segment(name, clock + gap, rng, scene.shape.left, variation, scene.home)
        if duration is not None:
            part = Segment(name, part.start, part.start + duration, part.track)
        scene.segments.append(part)
        clock = part.end

    add(NO_GESTURE, 0.0, rng.uniform(0.5, 2.0))
    for _ in range(gestures):
        add(names[rng.integers(len(names))], rng.uniform(0.25, 0.6))
        draw = rng.random()
        if draw < 0.5:
            add(NO_GESTURE, rng.uniform(0.25, 0.6), rng.uniform(0.4, 2.5))
        elif draw < 0.75:
            add(OTHER, rng.uniform(0.25, 0.6), rng.uniform(0.8, 2.5))
    add(NO_GESTURE, rng.uniform(0.25, 0.6), 1.0)
    return scene, clock


def frame_labels(scene: Scene, times: np.ndarray, frame_rate: float) -> np.ndarray:
    """The class of each frame (n,), or ``IGNORE`` where it cannot be known yet."""
    labels = np.full(len(times), IGNORE, np.int64)
    for part in scene.segments:
        known, after = KNOWN_FROM, KNOWN_AFTER / frame_rate
        if part.label in (NO_GESTURE, OTHER):
            known, after = (0.0, 0.0) if part.label == NO_GESTURE else (0.25, 0.0)
        start = part.start + known * (part.end - part.start)
        labels[(times >= start) & (times <= part.end + after)] = LABELS.index(part.label)
    return labels


def pose_targets(scene: Scene, times: np.ndarray) -> np.ndarray:
    """What the hand does, for auxiliary supervision: (n, 39) of order 1.

    Image position (2), log depth, the first two columns of the rotation (6), finger flexion (4),
    spread, thumb (3); then x and y of the keypoints. Image positions run from -1 to 1, x to the
    right and y up. The mirror image of a left hand is described, as it is seen.
    """
    poses = evaluate(scene.segments, times)
    depth = np.maximum(poses[:, 2], 0.1)
    rotation = rotation_matrices(poses[:, ROTATION])[:, :, :2].reshape(-1, 6)
    if scene.shape.left:
        rotation = rotation * np.array([-1, -1, 1, 1, 1, 1])
    where = np.clip(poses[:, :2] / depth[:, None] * 2, -1.5, 1.5)
    ends, _ = capsules(poses, scene.shape)
    joints = np.stack([ends[:, capsule, end] for capsule, end in KEYPOINTS], axis=1)  # (n, K, 3)
    seen = 2 * joints[..., :2] / np.maximum(joints[..., 2:], 0.1)
    return np.concatenate(
        [
            where,
            2 * np.log(depth / 0.5)[:, None],
            rotation,
            poses[:, 6:],
            seen.reshape(len(poses), -1),
        ],
        axis=1,
    )
