"""Fingers: the pose vector's flexion, spread and thumb to rotations of finger bones.

The project's hand says where every phalanx points in the hand's frame; each bone is turned from
where it points at rest to there. Nothing is calibrated by hand, so both renderers agree.
"""

import numpy as np

from core.data.rendered.hand import FLEXION, _finger, _thumb
from core.data.rendered.people.arm import between, frame, rest_hand, unit
from core.data.rendered.people.body import Body

TIPS = {1: "tail", 2: "head", 3: "head"}


def finger_turns(
    body: Body, side: str, poses: np.ndarray, hand: np.ndarray
) -> dict[str, np.ndarray]:
    """Rotations (T, 3, 3) of the 15 finger bones; ``hand`` (T, 3, 3) as in ``arm.solve``."""
    rest = rest_hand(body, side)
    poses = poses.copy()  # fingers of flesh stop each other: a fist needs a little more bend
    poses[:, FLEXION] += 0.1 * np.clip((poses[:, FLEXION] - 0.7) / 0.3, 0, 1)
    flip = np.array([1.0, 1.0, 1.0]) if side == "R" else np.array([-1.0, 1.0, 1.0])
    turns: dict[str, np.ndarray] = {}
    for finger in range(4):
        chain = _finger(poses, finger, 1.0)
        along = unit(chain[:, :, 1] - chain[:, :, 0])  # (T, 3, 3) joint by axis, right hand
        # The hinge: across the finger, level with the palm, towards the thumb.
        flat = unit(along[:, :1] * [1, 1, 0] + [0, 1e-6, 0])
        hinge = np.stack([flat[..., 1], -flat[..., 0], np.zeros_like(flat[..., 0])], -1)
        for joint in range(3):
            bone = f"finger{finger + 2}-{joint + 1}.{side}"
            target = frame(along[:, joint] * flip, hinge[:, 0] * flip)
            turns[bone] = hand @ target @ _rest_frame(body, bone, rest, flip).T
    chain = _thumb(poses, 1.0)
    along = unit(chain[:, :, 1] - chain[:, :, 0]) * flip
    whole = hand @ rest.T  # the hand's own turn from rest
    for joint in range(3):
        bone = f"finger1-{joint + 1}.{side}"
        rest_along = unit(body.tails[bone] - body.heads[bone])
        wanted = np.einsum("tij,tj->ti", hand, along[:, joint])
        whole = between(np.einsum("tij,j->ti", whole, rest_along), wanted) @ whole
        turns[bone] = whole
    return turns


def _rest_frame(body: Body, bone: str, rest: np.ndarray, flip: np.ndarray) -> np.ndarray:
    """Frame of a finger bone at rest in the world: along it, and its hinge."""
    return frame(body.tails[bone] - body.heads[bone], rest[:, 0] * flip[0])
