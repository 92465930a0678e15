"""What a person wears: clothes as regions of the body, glasses and headphones as small meshes."""

import numpy as np

from core.data.rendered.people.arm import unit
from core.data.rendered.people.body import ACTIVE, SIDES, Body
from core.data.rendered.people.gl import Mesh


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def palette(rng: np.random.Generator) -> np.ndarray:
    """Three colours: clothes are often dark or neutral."""
    colours = np.exp(rng.uniform(np.log(0.012), np.log(0.75), (3, 1))) * np.exp(
        0.5 * rng.normal(size=(3, 3)) * rng.choice([0.1, 0.5, 1.4], (3, 1))
    )
    return np.clip(colours, 0.004, 0.85)


def clothes(body: Body, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Signed distance into the clothes (V,) in metres, and their thickness."""
    x, y, z = body.canon.T
    heads = body.canon_heads
    sleeve = rng.choice(["none", "short", "half", "long"], p=[0.1, 0.42, 0.08, 0.40])
    end = {"none": rng.uniform(-0.02, 0.01), "short": rng.uniform(0.09, 0.18),
           "half": rng.uniform(0.22, 0.34), "long": rng.uniform(0.42, 0.52)}[sleeve]  # fmt: skip
    arm = np.full(len(x), 0.3)
    for side in SIDES:
        shoulder, elbow, wrist = (
            heads[f"{n}.{side}"] for n in ("upperarm01", "lowerarm01", "wrist")
        )
        share = (body.weights * np.isin(body.indices, arm_bones(side))).sum(1)
        upper, fore = elbow - shoulder, wrist - elbow
        first = (body.canon - shoulder) @ unit(upper)
        second = np.linalg.norm(upper) + (body.canon - elbow) @ unit(fore)
        along = np.where(
            second > np.linalg.norm(upper), second, np.minimum(first, np.linalg.norm(upper))
        )
        arm = np.where(share > 0.15, end - along, arm)
    line = rng.uniform(0.672, 0.708)
    vee = rng.uniform(0, 0.12) if rng.random() < 0.35 else 0.0
    neck = line + 0.55 * (z + 0.02) - y - vee * np.maximum(0, 1 - np.abs(x) / 0.07) * (z < -0.02)
    neck += 0.7 * np.maximum(np.abs(x) - 0.065, 0)
    if sleeve == "none":
        neck = np.minimum(neck, 0.03 + 0.3 * (0.66 - y) + 0.02 * (np.abs(np.abs(x) - 0.11) < 0.03))
    return np.minimum(arm, neck), rng.uniform(0.004, 0.012 if sleeve != "long" else 0.02)


def arm_bones(side: str) -> list[int]:
    """Numbers of the bones of one arm and hand in ``ACTIVE``."""
    kinds = ("upperarm", "lowerarm", "wrist", "finger")
    return [i for i, n in enumerate(ACTIVE) if n.endswith(side) and n.startswith(kinds)]


def glasses(body: Body, rng: np.random.Generator) -> Mesh:
    """Two rims, a bridge and temples, as thin tubes."""
    u = rng.uniform
    eyes = [body.heads[f"eye.{side}"] for side in SIDES]
    front = min(body.vertices[body.masks["eye"] > 0][:, 2]) - u(0.008, 0.014)
    wide, tall, square = u(0.022, 0.028), u(0.016, 0.024), u(2, 4)
    angle = np.linspace(0, 2 * np.pi, 17)
    paths = []
    for eye in eyes:
        c, s = np.cos(angle), np.sin(angle)
        norm = (np.abs(c) ** square + np.abs(s) ** square) ** (-1 / square)
        x0 = eye[0] * 1.04
        bow = 0.006 * ((np.abs(x0 + wide * c * norm) - abs(x0)) / wide)
        paths.append(
            np.stack([x0 + wide * c * norm, eye[1] - 0.003 + tall * s * norm, front + bow], -1)
        )
        edge = x0 + np.sign(x0) * wide
        paths.append(
            np.array(
                [
                    [edge, eye[1] + 0.004, front + 0.006],
                    [np.sign(x0) * 0.078, eye[1] + 0.004, front + 0.09],
                ]
            )
        )
    inner = [e[0] * 1.04 - np.sign(e[0]) * wide for e in eyes]
    paths.append(np.array([[inner[0], eyes[0][1], front], [inner[1], eyes[1][1], front]]))
    colour = np.full(3, 0.01) if rng.random() < 0.7 else rng.uniform(0.02, 0.5, 3)
    return tubes([(path, u(0.0012, 0.0026)) for path in paths], "head", colour)


def headphones(body: Body, rng: np.random.Generator) -> Mesh:
    """A band over the head and a cup on each ear."""
    u = rng.uniform
    middle = body.heads["head"] + [0, 0.035, 0.015]
    angle = np.linspace(-0.1, np.pi + 0.1, 20)
    band = middle + np.stack(
        [0.092 * np.cos(angle), 0.155 * np.sin(angle), np.zeros_like(angle)], -1
    )
    radius = u(0.028, 0.042)
    paths: list[tuple] = [(band, u(0.006, 0.012))]
    for sign in (-1, 1):
        ends = [[sign * x, 0, 0] for x in (0.070, 0.072, 0.098, 0.100)]
        widths = np.array([0.6, 1.0, 1.0, 0.5]) * radius
        paths.append((middle + np.array(ends), widths))
    return tubes(paths, "head", np.exp(u(-4.5, -0.4)) * np.exp(0.2 * rng.normal(size=3)))


def tubes(paths: list, bone: str, colour: np.ndarray, sides: int = 6) -> Mesh:
    """Tubes along ``(path (P, 3), radius)``, the radius one number or one a point."""
    positions, normal, triangles, start = [], [], [], 0
    turn = np.arange(sides) / sides * 2 * np.pi
    for path, radius in paths:
        along = unit(np.gradient(path, axis=0))
        side = unit(np.cross(along, [0.3, 0.2, 1.0]))
        other = np.cross(along, side)
        out = np.cos(turn)[:, None, None] * side + np.sin(turn)[:, None, None] * other
        radius = np.broadcast_to(radius, len(path))[None, :, None]
        positions.append((path + out * radius).transpose(1, 0, 2).reshape(-1, 3))
        normal.append(out.transpose(1, 0, 2).reshape(-1, 3))
        for step in range(len(path) - 1):
            a = start + sides * step + np.arange(sides)
            b = start + sides * step + (np.arange(sides) + 1) % sides
            triangles += [np.stack([a, b, a + sides], 1), np.stack([b, b + sides, a + sides], 1)]
        start += sides * len(path)
    position = np.concatenate(positions)
    count = len(position)
    bones, weights = np.zeros((count, 4)), np.tile([1.0, 0, 0, 0], (count, 1))
    bones[:, 0] = ACTIVE.index(bone)
    return Mesh(
        position, np.concatenate(normal), bones, weights, np.tile(colour, (count, 1)), position,
        np.tile([-0.1, -0.1, 1.0], (count, 1)), np.concatenate(triangles),
    )  # fmt: skip
