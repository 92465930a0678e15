"""Where the camera stands, and where before it a hand gestures."""

from dataclasses import dataclass

import numpy as np

from core.data.rendered.people.arm import about
from core.data.rendered.people.body import Body

X, Y, Z = np.eye(3)
NEAREST, FARTHEST = 0.45, 1.7  # metres from lens to head: a phone in the hand, the end of a desk
FOCAL = (0.95, 1.6)  # in picture heights: the square that a centre crop leaves of any picture
SHOWN_BELOW = 0.72  # metres below the head that may be seen: bodies end at the hips
CLOSEST_HAND = 0.2  # metres that keep a hand out of the lens


@dataclass
class Camera:
    """Pinhole camera: ``turn @ world + move``, focal length in picture heights."""

    turn: np.ndarray
    move: np.ndarray
    focal: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """Places in the picture (..., 2), -1 to 1, x to the right and y up."""
        seen = points @ self.turn.T + self.move
        return 2 * self.focal * seen[..., :2] / np.maximum(seen[..., 2:], 0.05)

    def rays(self, size: int, margin: int) -> np.ndarray:
        """Unit directions (S, S, 3) in the world of a picture with ``margin`` more on each side."""
        whole = size + 2 * margin
        axis = (np.arange(whole) + 0.5 - whole / 2) / size / self.focal
        across, up = np.meshgrid(axis, -axis)
        rays = np.stack([across, up, np.ones_like(up)], -1) @ self.turn
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def place_camera(body: Body, rng: np.random.Generator) -> Camera:
    """A webcam or a phone: the head in the upper half, from a little below or above."""
    u = rng.uniform
    distance, focal = np.exp(u(np.log(NEAREST), np.log(FARTHEST))), u(*FOCAL)
    head = body.heads["head"] + [0, 0.07, -0.05]
    roll, pitch, yaw = rng.normal() * 3, u(-18, 12), rng.normal() * 10
    turn = about(Z, np.radians([roll]))[0] @ about(X, np.radians([pitch]))[0]
    turn = turn @ about(Y, np.radians([yaw]))[0]
    up = u(-0.05, 0.7)  # of the head in the picture
    distance = min(distance, 2 * focal * SHOWN_BELOW / (1 + up))
    where = np.array([rng.normal() * 0.2, up]) / (2 * focal)
    return Camera(turn, distance * np.array([*where, 1.0]) - turn @ head, focal)


def place_hand(body: Body, side: str, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Where gestures are performed (3,): before the shoulder, mostly inside the picture."""
    u = rng.uniform
    shoulder = body.heads[f"upperarm01.{side}"]
    out = -1 if side == "R" else 1
    home = shoulder + np.array([out * u(-0.18, 0.12), u(-0.22, 0.16), -u(0.20, 0.42)])
    inside = np.array([u(0.35, 0.85), u(0.35, 0.75)])
    for _ in range(4):
        wrong = camera.project(home)
        move = np.clip(wrong, -inside, inside) - wrong
        depth = (camera.turn @ home + camera.move)[2]
        away = max(0.0, CLOSEST_HAND - depth)
        home = home + camera.turn.T @ np.array([*(move * depth / (2 * camera.focal)), away])
    return home
