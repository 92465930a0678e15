"""Things: what hands hold, and a desk with what stands on it.

Meshes hang on a bone as parts of the body do; ``STILL`` is a bone that never moves.
"""

import numpy as np

from core.data.rendered.hand import PALM_CENTRE
from core.data.rendered.people.arm import about, hand_length, rest_hand
from core.data.rendered.people.body import ACTIVE, Body
from core.data.rendered.people.gl import Mesh
from core.data.rendered.people.wear import tubes

STILL = len(ACTIVE)  # the bone after those of the person
SURFACE = 0.014  # metres from the middle of a hand to its palm
KINDS = ("phone", "cup", "bottle", "pen", "paper")
WIDE = 1.1  # metres of a desk to either side
ABOVE = 0.06  # metres that the lens is above a desk that is drawn


def box(size: np.ndarray, turn: np.ndarray, middle: np.ndarray, bone: int, colour) -> Mesh:
    """A box of ``size`` (3,) along the columns of ``turn`` (3, 3)."""
    corner = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    position: list[np.ndarray] = []
    normal, triangles = [], []
    for axis in range(3):
        for sign in (-1, 1):
            face = np.empty((4, 3))
            face[:, axis] = sign / 2
            face[:, [(axis + 1) % 3, (axis + 2) % 3]] = corner if sign > 0 else corner[::-1]
            start = len(position) * 4
            position.append(face)
            normal.append(np.tile(sign * np.eye(3)[axis], (4, 1)))
            # Outwards as seen by the project's left-handed axes: see ``body.vertex_normals``.
            triangles.append(start + np.array([[0, 2, 1], [0, 3, 2]]))
    points = (np.concatenate(position) * size) @ turn.T + middle
    count = len(points)
    bones, weights = np.zeros((count, 4)), np.tile([1.0, 0, 0, 0], (count, 1))
    bones[:, 0] = bone
    return Mesh(
        points, np.concatenate(normal) @ turn.T, bones, weights, np.tile(colour, (count, 1)),
        points, np.tile([-0.1, -0.1, 1.0], (count, 1)), np.concatenate(triangles),
    )  # fmt: skip


def colour_of(rng: np.random.Generator) -> np.ndarray:
    """Of a thing: any brightness, mostly greyish."""
    bright = np.exp(rng.uniform(np.log(0.01), np.log(0.8)))
    return np.clip(bright * np.exp(rng.normal(size=3) * rng.choice([0.1, 0.6])), 0.004, 0.9)


def held(body: Body, side: str, rng: np.random.Generator) -> Mesh:
    """A thing in the hand of ``side``: a phone, a cup, a bottle, a pen or paper."""
    u = rng.uniform
    across, fingers, back = rest_hand(body, side).T
    bone = ACTIVE.index(f"wrist.{side}")
    palm = body.heads[f"wrist.{side}"] + fingers * PALM_CENTRE * hand_length(body, side)
    tilt = about(back, np.radians([u(-35, 35)]))[0]
    kind, colour = KINDS[rng.integers(len(KINDS))], colour_of(rng)
    if kind in ("phone", "paper"):
        size = {"phone": (u(0.14, 0.165), u(0.066, 0.078), 0.009),
                "paper": (u(0.18, 0.30), u(0.12, 0.21), u(0.002, 0.03))}[kind]  # fmt: skip
        turn = tilt @ np.stack([across, fingers, back], 1)
        middle = palm - back * (SURFACE + size[2] / 2) + turn[:, 0] * u(-0.03, 0.06)
        return box(np.array(size), turn, middle, bone, colour)
    long, radius = {
        "cup": (u(0.08, 0.13), u(0.032, 0.042)), "bottle": (u(0.18, 0.26), u(0.028, 0.038)),
        "pen": (u(0.13, 0.16), u(0.003, 0.006)),
    }[kind]  # fmt: skip
    axis = tilt @ across
    middle = palm - back * (SURFACE + radius) + axis * u(-0.02, 0.05)
    ends = np.array([-0.5, -0.499, 0.499, 0.5])[:, None] * long * axis + middle
    widths = radius * np.array([0.01, 1.0, u(0.5, 1.0), 0.01])
    return tubes([(ends, widths)], f"wrist.{side}", colour, sides=10)


def desk(body: Body, eye: np.ndarray, rng: np.random.Generator) -> list[Mesh]:
    """A desk between person and camera with some things on it; none where it would hide all.

    ``eye`` (3,) is the lens. Palms on a keyboard lie on it, those in a lap below.
    """
    u = rng.uniform
    shoulder = body.heads["upperarm01.R"]
    top = shoulder[1] - u(0.33, 0.44)
    near = shoulder[2] - u(0.12, 0.28)
    far = max(eye[2] + 0.03, near - 1.2)
    if eye[1] < top + ABOVE or far > near - 0.1:
        return []
    thick = u(0.02, 0.05)
    middle = np.array([u(-0.2, 0.2), top - thick / 2, (near + far) / 2])
    found = [box(np.array([2 * WIDE, thick, near - far]), np.eye(3), middle, STILL, colour_of(rng))]
    for _ in range(int(rng.integers(0, 4))):
        size = np.exp(rng.uniform(np.log([0.03, 0.02, 0.03]), np.log([0.25, 0.22, 0.20])))
        side = rng.choice([-1, 1]) * u(0.22, 0.7)  # beside the hands
        place = np.array([side, top + size[1] / 2, u(max(far, near - 0.5), near - 0.05)])
        turn = about(np.array([0.0, 1.0, 0.0]), np.radians([u(0, 90)]))[0]
        found.append(box(size, turn, place, STILL, colour_of(rng)))
    return found
