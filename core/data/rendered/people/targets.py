"""What the hand does, for auxiliary supervision: as ``rendered.scenes.pose_targets``."""

import numpy as np

from core.data.rendered.people.motion import Motion


def pose_targets(camera, motion: Motion, left: bool) -> np.ndarray:
    """Targets (T, 39) of order 1 for every pose of ``motion``.

    Image position (2), log of the depth over the focal length, the first two columns of the
    hand's rotation as the camera sees it (6), fingers (8), then x and y of the joints.
    """
    depth = np.maximum((motion.palm @ camera.turn.T + camera.move)[:, 2], 0.1) / camera.focal
    rotation = (camera.turn @ motion.hand)[:, :, :2].reshape(-1, 6)
    if left:  # as the project has it: the frame of a left hand with its thumb side out
        rotation = rotation * np.array([-1, 1, -1, 1, -1, 1])
    joints = np.clip(camera.project(motion.joints), -1.5, 1.5)
    return np.concatenate(
        [
            np.clip(camera.project(motion.palm), -1.5, 1.5),
            2 * np.log(depth / 0.5)[:, None],
            rotation,
            motion.shape,
            joints.reshape(len(joints), -1),
        ],
        axis=1,
    ).astype(np.float32)
