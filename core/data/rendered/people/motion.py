"""How the whole person moves while the hands perform: trunk, head, breathing and both arms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.data.rendered.gestures import RELAXED, evaluate
from core.data.rendered.hand import PALM_CENTRE
from core.data.rendered.people.arm import about, hand_length, solve
from core.data.rendered.people.body import Body, bone_matrices, bone_places
from core.data.rendered.people.everyday import (
    CHIN,
    GRIP,
    REST_CHANCE,
    RESTS,
    blend,
    errands,
    frames,
    mirrored,
    towards,
)
from core.data.rendered.people.fingers import finger_turns
from core.data.rendered.people.gestures import BOTH, DOWN, FINGERS, ONE, PLACE, SHAPE, THUMB_SIDE
from core.data.rendered.people.scenes import Scene
from core.data.rendered.people.wear import smoothstep
from core.labels import OTHER

X, Y, Z = np.eye(3)
# The joints after the fingertips in ``core.data.rendered.hand.KEYPOINTS``.
KNUCKLES = ("finger1-1", "finger2-1", "finger5-1", "wrist", "finger2-2", "finger3-2")
RAMP = 0.35  # seconds from what the time line says to an errand
CLEAR = 0.15  # metres that a gesturing palm keeps from the middle of the neck, towards the camera
RELAXED_HAND = np.array([*RELAXED[0], *RELAXED[1:]])
GRIP_HAND = np.array([*GRIP[0], *GRIP[1:]])


@dataclass
class Motion:
    """Bone matrices (T, bones, 3, 4); of the gesturing hand: palm (T, 3), frame (T, 3, 3), joints.

    ``joints`` (T, 11, 3) are those of ``core.data.rendered.hand.KEYPOINTS``, in that order;
    ``shape`` (T, 8) are its fingers.
    """

    matrices: np.ndarray
    palm: np.ndarray
    hand: np.ndarray
    joints: np.ndarray
    shape: np.ndarray


def _waves(rng: np.random.Generator, times: np.ndarray, size: float, slow: float) -> np.ndarray:
    """Smooth wandering about a random middle, of about ``size``."""
    middle = rng.normal() * size
    beat, phase = rng.uniform(0.4, 1.6, 2) * slow, rng.uniform(0, 6.28, 2)
    sway = np.sin(2 * np.pi * beat * times[:, None] + phase) @ rng.normal(size=2)
    return middle + 0.25 * size * sway


def perform(
    body: Body, scene: Scene, times: np.ndarray, home: np.ndarray, rng: np.random.Generator,
    holding: Sequence[str] = (),
) -> Motion:  # fmt: skip
    """The body at ``times`` while the hands do what the time line says around ``home`` (3,).

    Hands of the sides in ``holding`` keep the grip on what they hold.
    """
    rows = evaluate(scene.segments, times)
    side, other = ("L", "R") if scene.left else ("R", "L")
    busy = _during(scene, times, OTHER)
    restless = rng.uniform(0.3, 1.5) * (1 + busy.max() * rng.uniform(0, 3))
    turns, root = _trunk(times, restless, rng)
    trunk = turns["spine01"]
    rotation, place = bone_places(body, turns, root)
    rest = rng.choice(len(RESTS), size=2, p=REST_CHANCE)
    if rng.random() < 0.7:
        rest[1] = rest[0]

    both = np.clip(rows[:, BOTH], 0, 1)
    chest = place["neck01"] + np.array([0.0, rng.uniform(-0.26, -0.10), rng.uniform(-0.40, -0.26)])
    palms, hands, shapes = [], [], []
    for which, one in enumerate((side, other)):
        mirror = np.array([1.0 if one == "R" else -1.0, 1.0, 1.0])
        part = rows[:, which * ONE : (which + 1) * ONE]
        anchor = home + (chest - home) * both[:, None] if which == 0 else chest
        palm = anchor + part[:, PLACE] * mirror
        front = place["neck01"][:, 2] - CLEAR
        palm[:, 2] = np.where(np.abs(palm[:, 0]) < 0.2, np.minimum(palm[:, 2], front), palm[:, 2])
        hand = frames(part[:, FINGERS], part[:, THUMB_SIDE])
        offset, fingers, thumb = RESTS[rest[which]]
        down = rows[:, DOWN] if which == 0 else 1 - both
        low = place[f"upperarm01.{one}"] + (np.array(offset) + rng.normal(size=3) * 0.03) * mirror
        lying = np.tile(frames(np.array(fingers), np.array(thumb)), (len(times), 1, 1))
        shape = part[:, SHAPE] + (RELAXED_HAND - part[:, SHAPE]) * down[:, None]
        palm, hand = blend(palm, hand, low, lying, np.clip(down, 0, 1))
        palms.append(palm)
        hands.append(mirrored(hand) if one == "L" else hand)
        shapes.append(shape)

    run = (rng.random() < 0.6, rng.random() < 0.5)
    for which, one in enumerate((side, other)):
        if run[which]:
            palm, hand, shape = errands(rng, times, one, place["head"], rotation["head"])
            palms[which], hands[which] = blend(palms[which], hands[which], palm, hand, busy)
            shapes[which] = shapes[which] + (shape - shapes[which]) * busy[:, None]
    if rng.random() < 0.05 and not both.any():  # the chin rests on the other hand
        stop = np.full(len(times), CHIN)
        palms[1], hands[1], shapes[1] = towards(stop, other, place["head"], rotation["head"])

    for which, one in enumerate((side, other)):
        if one in holding:
            shapes[which] = np.tile(GRIP_HAND, (len(times), 1))
    held = {}
    for palm, hand, shape, one in zip(palms, hands, shapes, (side, other), strict=True):
        shoulder = place[f"upperarm01.{one}"]
        arm = solve(body, one, shoulder, trunk, palm, hand)
        poses = np.concatenate([np.zeros((len(times), 6)), shape], 1)
        turns |= arm.turns | finger_turns(body, one, poses, arm.hand)
        held[one] = arm.hand
    rotation, place = bone_places(body, turns, root)
    tips = [f"finger{k}-3.{side}" for k in (2, 3, 4, 5, 1)]
    joints = [place[b] + rotation[b] @ (body.tails[b] - body.heads[b]) for b in tips]
    joints += [place[f"{b}.{side}"] for b in KNUCKLES]
    matrices = bone_matrices(body, rotation, place)
    palm = place[f"wrist.{side}"] + held[side][:, :, 1] * PALM_CENTRE * hand_length(body, side)
    return Motion(matrices, palm, held[side], np.stack(joints, 1), shapes[0])


def _trunk(
    times: np.ndarray, restless: float, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rotations of trunk, neck and head, and where the hips move."""

    def turned(size: float) -> np.ndarray:
        waves = [_waves(rng, times, restless * np.radians(size) * k, 0.3) for k in (1, 0.7, 0.5)]
        return about(Y, waves[0]) @ about(X, waves[1]) @ about(Z, waves[2])

    breath = np.sin(2 * np.pi * rng.uniform(0.2, 0.35) * times + rng.uniform(0, 6))
    lean = turned(4)
    trunk = about(X, np.radians(0.6) * breath) @ lean
    nod = trunk @ turned(7)
    look = rng.random()
    if look < 0.12:  # looks around, or nods
        quick = np.radians(rng.uniform(8, 35)) * np.sin(
            2 * np.pi * rng.uniform(0.2, 1.6) * times + rng.uniform(0, 6)
        )
        nod = nod @ about(Y if look < 0.07 else X, quick * (1.0 if look < 0.07 else 0.5))
    turns = {"root": lean, "spine03": trunk, "spine01": trunk, "neck01": nod}
    turns["head"] = nod @ turned(4)
    root = np.stack([_waves(rng, times, 0.01 * restless, 0.3) for _ in range(3)], -1)
    return turns, root


def _during(scene: Scene, times: np.ndarray, label: str) -> np.ndarray:
    """Whether the time line is in a segment of ``label`` (T,): 0 to 1, with ramps around it."""
    share = np.zeros(len(times))
    for part in scene.segments:
        if part.label == label:
            rise = smoothstep(part.start - RAMP, part.start, times)
            share = np.maximum(share, rise * smoothstep(part.end + RAMP, part.end, times))
    return share
