"""Another person in the picture: beside the one who gestures, or passing behind."""

from dataclasses import replace

import numpy as np

from core.data.rendered.people.arm import about
from core.data.rendered.people.body import Bodies, Body
from core.data.rendered.people.camera import Camera
from core.data.rendered.people.gl import Mesh
from core.data.rendered.people.look import dress
from core.data.rendered.people.motion import perform
from core.data.rendered.people.scenes import Scene, segment
from core.labels import NO_GESTURE, OTHER

UP = np.array([0.0, 1.0, 0.0])
CUT = -1.05  # where in the picture hips have to be, as there are no legs below them
NEAREST = 0.4  # metres from the lens
TRIES = 6


def company(
    bodies: Bodies, split: str, camera: Camera, times: np.ndarray, first: int,
    rng: np.random.Generator,
) -> tuple[list[Mesh], np.ndarray] | None:  # fmt: skip
    """Meshes, whose bones count from ``first``, and bone matrices (T, bones, 3, 4) of a person.

    None where no place was found from which the missing legs would not be seen. Clothes and hair
    have plain colours: the shader's uniforms are the other person's.
    """
    woman = bool(rng.random() < 0.5)
    body = bodies.draw(rng, woman, split, size=rng.uniform(0.94, 1.06))
    passing = rng.random() < 0.45
    where = _place(body, camera, passing, rng)
    if where is None:
        return None
    meshes, uniforms = dress(body, rng, woman)
    label = NO_GESTURE if rng.random() < 0.6 else OTHER
    part = segment(label, times[0] - 1.0, rng, False)
    scene = Scene(split, [replace(part, end=times[-1] + 1.0)], bool(rng.random() < 0.5), 0)
    motion = perform(body, scene, times, body.heads["head"] + [0, -0.3, -0.35], rng)
    yaw = rng.choice([-90, 90]) + rng.normal() * 15 if passing else rng.normal() * 25
    turn = about(UP, np.radians([yaw]))[0]
    pivot = body.heads["root"] * [1, 0, 1]
    shift = np.tile(where + pivot - turn @ pivot, (len(times), 1))
    if passing:
        speed = np.sign(rng.normal()) * rng.uniform(0.3, 1.2)
        since = times - rng.uniform(times[0], times[-1])
        shift[:, 0] += speed * since
        shift[:, 1] += 0.02 * np.abs(np.sin(np.pi * rng.uniform(1.5, 2.2) * times))
    matrices = np.einsum("ij,tbjk->tbik", turn, motion.matrices)
    matrices[..., 3] += shift[:, None]
    return [_plain(mesh, uniforms, first) for mesh in meshes], matrices


def _place(
    body: Body, camera: Camera, passing: bool, rng: np.random.Generator
) -> np.ndarray | None:
    """How far from the other person (3,), where only what is above the hips is seen."""
    u = rng.uniform
    hips = body.heads["root"]
    for _ in range(TRIES):
        if passing:
            where = np.array([u(-0.3, 0.3), u(-0.1, 0.1), u(0.35, 1.6)])
        else:
            where = np.array([rng.choice([-1, 1]) * u(0.42, 0.75), u(-0.08, 0.05), u(-0.12, 0.35)])
        depth = (camera.turn @ (hips + where) + camera.move)[2]
        if depth > NEAREST and camera.project(hips + where)[1] < CUT:
            return where
    return None


def _plain(mesh: Mesh, uniforms: dict, first: int) -> Mesh:
    """Clothes and hair as colours of the vertices, bones counted from ``first``."""
    colour = np.where(mesh.field[:, :1] > 0, uniforms["cloth"][0], mesh.colour)
    colour = np.where(mesh.field[:, 1:2] > 0, uniforms["hair"], colour)
    field = np.concatenate([np.full((len(colour), 2), -0.1), mesh.field[:, 2:]], 1)
    return replace(mesh, colour=colour, field=field, bone=mesh.bone + first)
