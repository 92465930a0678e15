"""Arms: from where a hand is and how it is turned to shoulder, elbow and forearm.

Two-bone inverse kinematics with the elbow's swivel chosen for a comfortable wrist; the turn of the
hand about the forearm is spread along the forearm, as radius and ulna do it.
"""

from dataclasses import dataclass

import numpy as np

from core.data.rendered.hand import PALM_CENTRE
from core.data.rendered.people.body import Body

SWIVELS = np.radians(np.linspace(-30, 120, 26))  # 0: elbow straight down; positive: outwards
COMFORT, SPREAD = np.radians(25.0), np.radians(45.0)
WRIST_LIMIT = np.radians(72.0)  # between forearm and hand


@dataclass
class Arm:
    """Rotations (T, 3, 3) by bone, and where shoulder, elbow and wrist are."""

    turns: dict[str, np.ndarray]
    hand: np.ndarray  # (T, 3, 3) the hand's frame: columns to thumb side, fingers, back
    elbow: np.ndarray
    wrist: np.ndarray


def unit(vector: np.ndarray) -> np.ndarray:
    """Unit vectors along the last axis."""
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True).clip(1e-9)


def frame(along: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Orthonormal frames (..., 3, 3) with columns ``along``, ``side`` made orthogonal, normal."""
    along = unit(along)
    side = unit(side - (side * along).sum(-1, keepdims=True) * along)
    return np.stack([along, side, np.cross(along, side)], -1)


def between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotations that turn unit vectors ``start`` into ``end``."""
    axis = np.cross(start, end)
    cosine = (start * end).sum(-1)[..., None, None]
    cross = cross_matrix(axis)
    return np.eye(3) + cross + cross @ cross / np.maximum(1 + cosine, 1e-3)


def cross_matrix(axis: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) of the cross product with ``axis``."""
    zero = np.zeros_like(axis[..., 0])
    x, y, z = (axis[..., k] for k in range(3))
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def about(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) by ``angle`` (T,) about unit vectors ``axis`` (T, 3)."""
    cross = cross_matrix(np.broadcast_to(axis, (len(angle), 3)))
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + sine * cross + (1 - cosine) * cross @ cross


def rest_hand(body: Body, side: str) -> np.ndarray:
    """The hand's frame at rest, columns: thumb side (its opposite for a left hand), fingers, back.

    With the palm towards the camera and the fingers up it is the identity for either hand.
    """
    heads = body.heads
    fingers = unit(heads[f"finger3-1.{side}"] - heads[f"wrist.{side}"])
    across = heads[f"finger2-1.{side}"] - heads[f"finger5-1.{side}"]
    across = across if side == "R" else -across
    across = unit(across - (across @ fingers) * fingers)
    return np.stack([across, fingers, np.cross(across, fingers)], -1)


def hand_length(body: Body, side: str) -> float:
    """Wrist to the tip of the middle finger."""
    joints = [body.heads[f"wrist.{side}"]]
    joints += [body.heads[f"finger3-{k}.{side}"] for k in (1, 2, 3)]
    joints.append(body.tails[f"finger3-3.{side}"])
    return float(np.linalg.norm(np.diff(joints, axis=0), axis=1).sum())


def solve(
    body: Body, side: str, shoulder: np.ndarray, trunk: np.ndarray,
    palm: np.ndarray, hand: np.ndarray,
) -> Arm:  # fmt: skip
    """Arms whose palms are at ``palm`` (T, 3), turned to ``hand`` (T, 3, 3).

    ``shoulder`` (T, 3) is where the upper arm begins, ``trunk`` (T, 3, 3) how the trunk is turned.
    Targets out of reach are brought within it, impossible wrists bent less.
    """
    heads = body.heads
    bones = [heads[f"{name}.{side}"] for name in ("upperarm01", "lowerarm01", "wrist")]
    upper, fore = np.diff(bones, axis=0)
    long_upper, long_fore = np.linalg.norm(upper), np.linalg.norm(fore)
    outwards = np.array([-1.0, 0.0, 0.0]) if side == "R" else np.array([1.0, 0.0, 0.0])

    wrist = palm - hand[:, :, 1] * PALM_CENTRE * hand_length(body, side)
    reach = wrist - shoulder
    distance = np.linalg.norm(reach, axis=1, keepdims=True)
    whole = long_upper + long_fore
    kept = np.clip(distance, 0.30 * whole, 0.99 * whole)
    kept = np.where(distance > 0.9 * whole, 0.9 * whole + 0.09 * whole * np.tanh(
        (distance - 0.9 * whole) / (0.09 * whole)), kept)  # fmt: skip
    ahead = unit(reach)
    wrist = shoulder + ahead * kept

    part = (long_upper**2 - long_fore**2 + kept**2) / (2 * kept)
    radius = np.sqrt(np.maximum(long_upper**2 - part**2, 1e-6))
    down = np.array([0.0, -1.0, 0.15])
    first = unit(down - (ahead @ down)[:, None] * ahead)
    second = np.cross(ahead, first)
    second *= np.sign((second @ outwards)[:, None] + 1e-9)
    swivel = _swivel(shoulder, wrist, ahead, part, radius, first, second, hand, trunk, side)
    middle = shoulder + ahead * part
    elbow = middle + radius * (np.cos(swivel) * first + np.sin(swivel) * second)

    new_upper, new_fore = unit(elbow - shoulder), unit(wrist - elbow)
    normal0 = np.cross(upper, fore)
    normal = np.cross(new_upper, new_fore)
    turn_upper = frame(new_upper, normal) @ frame(upper, normal0).T
    turn_fore = frame(new_fore, normal) @ frame(fore, normal0).T
    easy = between(np.broadcast_to(unit(trunk @ upper), new_upper.shape), new_upper) @ trunk

    hand = _limit(hand, new_fore)
    turn_hand = hand @ rest_hand(body, side).T
    # How the hand is turned about the forearm: what is left when its bend is taken away.
    bend = between(new_fore, unit(turn_hand @ unit(fore)))
    twist = np.swapaxes(bend, 1, 2) @ turn_hand @ np.swapaxes(turn_fore, 1, 2)
    sine = 0.5 * np.einsum(
        "ti,ti->t", new_fore,
        np.stack([twist[:, 2, 1] - twist[:, 1, 2], twist[:, 0, 2] - twist[:, 2, 0],
                  twist[:, 1, 0] - twist[:, 0, 1]], -1),
    )  # fmt: skip
    angle = np.unwrap(np.arctan2(sine, (np.trace(twist, axis1=1, axis2=2) - 1) / 2))
    angle -= 2 * np.pi * np.round(np.median(angle) / (2 * np.pi))
    return Arm(
        {
            f"upperarm01.{side}": easy,
            f"upperarm02.{side}": turn_upper,
            f"lowerarm01.{side}": about(new_fore, 0.3 * angle) @ turn_fore,
            f"lowerarm02.{side}": about(new_fore, 0.75 * angle) @ turn_fore,
            f"wrist.{side}": turn_hand,
        },
        hand, elbow, wrist,
    )  # fmt: skip


def _swivel(
    shoulder: np.ndarray, wrist: np.ndarray, ahead: np.ndarray, part: np.ndarray,
    radius: np.ndarray, first: np.ndarray, second: np.ndarray, hand: np.ndarray,
    trunk: np.ndarray, side: str,
) -> np.ndarray:  # fmt: skip
    """The elbow's angle on its circle (T, 1): a soft choice of the most comfortable, smoothed."""
    angles = SWIVELS[:, None, None]
    elbow = shoulder + ahead * part + radius * (np.cos(angles) * first + np.sin(angles) * second)
    fore = unit(wrist - elbow)  # (A, T, 3)
    bend = np.arccos(np.clip((fore * hand[:, :, 1]).sum(-1), -1, 1))
    aside = np.arcsin(np.clip((fore * hand[:, :, 0]).sum(-1), -1, 1))
    inside = (elbow - shoulder) @ np.array([1.0, 0, 0]) * (1 if side == "R" else -1)
    cost = (bend / np.radians(50)) ** 2 + (aside / np.radians(30)) ** 2
    cost += ((SWIVELS[:, None] - COMFORT) / SPREAD) ** 2
    cost += (np.maximum(inside - 0.03, 0) / 0.05) ** 2
    weight = np.exp(-3 * (cost - cost.min(0)))
    chosen = (weight * SWIVELS[:, None]).sum(0) / weight.sum(0)
    return smooth(chosen, 7)[:, None]


def smooth(values: np.ndarray, width: int) -> np.ndarray:
    """A moving average with a Hann window, ends repeated."""
    window = np.hanning(width + 2)[1:-1]
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, window / window.sum(), "valid")


def _limit(hand: np.ndarray, fore: np.ndarray) -> np.ndarray:
    """Hands bent against the forearm by no more than a wrist can."""
    angle = np.arccos(np.clip((fore * hand[:, :, 1]).sum(-1), -1, 1))
    excess = np.maximum(angle - WRIST_LIMIT, 0)
    axis = unit(np.cross(hand[:, :, 1], fore))
    return about(axis, excess) @ hand
