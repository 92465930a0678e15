"""An articulated hand: a pose vector to 3-D capsules, vectorised over poses.

Coordinates are metres in the camera's frame: x to the image's right, y up, z away from the camera.
A right hand in the neutral pose shows its palm to the camera with the fingers up; its thumb is then
on the image's right. A left hand is its mirror image. Lengths are fractions of the hand's length
(wrist to middle fingertip), after the proportions of anthropometric tables (Greiner 1991, Hand
anthropometry of US Army personnel), rounded.
"""

from dataclasses import dataclass

import numpy as np

# One pose: palm position (3), yaw, pitch, roll in radians (3), flexion of index to little finger
# (4, 0 straight to 1 curled), spread of the fingers (1), thumb: abduction, flexion, opposition (3).
POSITION = slice(0, 3)
ROTATION = slice(3, 6)
FLEXION = slice(6, 10)
SPREAD, ABDUCTION, THUMB_FLEXION, OPPOSITION = 10, 11, 12, 13
POSE_SIZE = 14

KNUCKLES = np.array([[0.13, 0.50], [0.04, 0.52], [-0.05, 0.49], [-0.13, 0.44]])  # index to little
PHALANGES = np.array(
    [[0.24, 0.14, 0.10], [0.27, 0.16, 0.11], [0.25, 0.15, 0.105], [0.19, 0.11, 0.09]]
)
FAN = np.radians([14.0, 3.0, -8.0, -20.0])  # direction of a finger at full spread
BENDS = np.radians([75.0, 100.0, 60.0])  # flexion of the three joints at full curl
THUMB_ROOT = np.array([0.09, 0.12, 0.0])
THUMB_LENGTHS = np.array([0.21, 0.17, 0.13])
FOREARM_LENGTH = 2.2
PALM_CENTRE = 0.42  # where along the hand the pose's position lies

CAPSULES = 4 + 12 + 3 + 2  # palm, fingers, thumb, wrist and sleeve
# (capsule, end) of the joints that training localises: fingertips, thumb tip and root, index and
# little knuckle, wrist, and the middle joints of index and middle finger.
KEYPOINTS = (
    (6, 1),
    (9, 1),
    (12, 1),
    (15, 1),
    (18, 1),
    (16, 0),
    (4, 0),
    (13, 0),
    (19, 0),
    (4, 1),
    (7, 1),
)
SLEEVE = CAPSULES - 1  # index of the only capsule that is not skin


@dataclass(frozen=True)
class HandShape:
    """One person's hand: length in metres, thickness and finger length relative to the mean."""

    length: float
    thickness: float
    finger_length: float
    left: bool
    elbow: tuple[float, float]  # where the forearm comes from: lean to the side, lean in depth


def rotation_matrices(angles: np.ndarray) -> np.ndarray:
    """Yaw, pitch, roll (n, 3) in radians to matrices (n, 3, 3): roll after pitch after yaw."""
    yaw, pitch, roll = angles.T
    zero, one = np.zeros_like(yaw), np.ones_like(yaw)

    def matrix(*rows: list[np.ndarray]) -> np.ndarray:
        return np.stack([np.stack(row, -1) for row in rows], -2)

    about_y = matrix(
        [np.cos(yaw), zero, np.sin(yaw)], [zero, one, zero], [-np.sin(yaw), zero, np.cos(yaw)]
    )
    about_x = matrix(
        [one, zero, zero],
        [zero, np.cos(pitch), -np.sin(pitch)],
        [zero, np.sin(pitch), np.cos(pitch)],
    )
    about_z = matrix(
        [np.cos(roll), -np.sin(roll), zero], [np.sin(roll), np.cos(roll), zero], [zero, zero, one]
    )
    return about_z @ about_x @ about_y


def capsules(poses: np.ndarray, shape: HandShape) -> tuple[np.ndarray, np.ndarray]:
    """Poses (n, 14) to capsule ends (n, CAPSULES, 2, 3) in metres and radii (n, CAPSULES, 2)."""
    n = len(poses)
    ends = np.zeros((n, CAPSULES, 2, 3))
    radii = np.zeros((CAPSULES, 2))
    radii[:4] = [[0.075, 0.062], [0.075, 0.064], [0.075, 0.062], [0.07, 0.057]]
    ends[:, :4, 0, :2] = KNUCKLES * [0.55, 0.15]
    ends[:, :4, 1, :2] = KNUCKLES
    for finger in range(4):
        chain = _finger(poses, finger, shape.finger_length)
        first = 4 + 3 * finger
        ends[:, first : first + 3] = chain
        taper = np.array([0.056, 0.050, 0.045, 0.038]) * (0.85 if finger == 3 else 1.0)
        radii[first : first + 3] = np.stack([taper[:-1], taper[1:]], -1)
    ends[:, 16:19] = _thumb(poses, shape.finger_length)
    radii[16:19] = [[0.080, 0.065], [0.060, 0.054], [0.052, 0.042]]

    rotation = rotation_matrices(poses[:, ROTATION])
    ends[:, :19, :, 1] -= PALM_CENTRE
    ends = np.einsum("nij,nkej->nkei", rotation, ends)

    # The forearm leaves along the hand but is pulled towards the elbow, low and beside the body.
    wrist = rotation @ np.array([0.0, -PALM_CENTRE, 0.0])
    away = rotation @ np.array([0.0, -1.0, 0.0])
    elbow = 0.45 * away + np.array([shape.elbow[0], -1.0, shape.elbow[1]])
    elbow /= np.linalg.norm(elbow, axis=-1, keepdims=True)
    cuff = wrist + 0.35 * elbow
    ends[:, 19, 0], ends[:, 19, 1] = wrist, cuff
    ends[:, 20, 0], ends[:, 20, 1] = cuff, cuff + FOREARM_LENGTH * elbow
    radii[19], radii[20] = [0.085, 0.105], [0.15, 0.21]

    ends = ends * shape.length
    if shape.left:
        ends[..., 0] *= -1
    ends += poses[:, None, None, POSITION]
    return ends, np.broadcast_to(radii * shape.length * shape.thickness, (n, CAPSULES, 2))


def _finger(poses: np.ndarray, finger: int, scale: float) -> np.ndarray:
    """Three capsules of one finger in the hand's frame, (n, 3, 2, 3)."""
    n = len(poses)
    bend = poses[:, 6 + finger, None] * np.cumsum(BENDS)  # (n, 3): curl towards the palm, -z
    fan = poses[:, SPREAD] * FAN[finger] * (1 - 0.7 * np.clip(poses[:, 6 + finger], 0, 1))
    along = np.stack(
        [np.sin(fan)[:, None] * np.cos(bend), np.cos(fan)[:, None] * np.cos(bend), -np.sin(bend)],
        -1,
    )
    joints = np.zeros((n, 4, 3))
    joints[:, 0, :2] = KNUCKLES[finger]
    joints[:, 1:] = joints[:, :1] + np.cumsum(along * (PHALANGES[finger] * scale)[:, None], axis=1)
    return np.stack([joints[:, :-1], joints[:, 1:]], axis=2)


def _thumb(poses: np.ndarray, scale: float) -> np.ndarray:
    """Three capsules of the thumb in the hand's frame, (n, 3, 2, 3)."""

    def blend(a: np.ndarray, b: tuple[float, float, float], weight: np.ndarray) -> np.ndarray:
        return a + (np.array(b) - a) * weight[:, None]

    out = poses[:, ABDUCTION]
    base = blend(np.array([0.35, 0.90, -0.25])[None], (0.90, 0.42, -0.10), out)
    base = blend(base, (0.10, 0.86, -0.50), poses[:, OPPOSITION])
    flex = poses[:, THUMB_FLEXION]
    directions = np.stack(
        [
            blend(base, (0.05, 0.78, -0.62), 0.5 * flex),
            blend(base, (-0.75, 0.45, -0.48), flex),
            blend(base, (-0.95, 0.05, -0.30), flex),
        ],
        axis=1,
    )
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    joints = np.zeros((len(poses), 4, 3))
    joints[:, 0] = THUMB_ROOT
    joints[:, 1:] = THUMB_ROOT + np.cumsum(directions * (THUMB_LENGTHS * scale)[:, None], axis=1)
    return np.stack([joints[:, :-1], joints[:, 1:]], axis=2)
