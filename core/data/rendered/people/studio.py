"""A scene to pictures: who stands there, in what light, before which camera."""

import os
from functools import cache
from pathlib import Path

import numpy as np
from torch import Tensor

from core.data.rendered.people.arm import frame
from core.data.rendered.people.body import Bodies, share_of
from core.data.rendered.people.camera import place_camera, place_hand
from core.data.rendered.people.company import company
from core.data.rendered.people.film import develop
from core.data.rendered.people.gl import Painter, joined
from core.data.rendered.people.light import Surroundings, harmonics, read_backgrounds
from core.data.rendered.people.look import dress
from core.data.rendered.people.motion import perform
from core.data.rendered.people.room import Room
from core.data.rendered.people.scenes import Scene
from core.data.rendered.people.targets import pose_targets
from core.data.rendered.people.things import STILL, desk, held
from core.labels import NO_GESTURE, OTHER

BODIES = Path(__file__).with_name("bodies.npz")
EXPOSURE = np.array([-0.5, 0.0, 0.5])  # start, middle and end, in parts of the shutter time
MARGIN = 6  # pixels of background around the picture, for a camera that shakes
MADE_ROOMS = 0.6  # of the scenes, where there are backgrounds too
DESK, COMPANY = 0.3, 0.12  # of the scenes
HELD, HELD_ASIDE = 0.35, 0.12  # things in a hand that makes no gesture, and in the other one
NOBODY = 0.08  # of the scenes without gesture and errand


class Studio:
    """Everything that is loaded once a process: bodies, backgrounds, the OpenGL context."""

    def __init__(self, size: int, backgrounds: Path | None = None) -> None:
        """Pictures of ``size`` pixels; ``backgrounds``: see ``light.read_backgrounds``.

        Raises ``BadInput`` when OpenGL is not there or the folder has no backgrounds.
        """
        self.size, self.bodies, self.painter = size, Bodies(BODIES), Painter(size)
        self.backgrounds = read_backgrounds(backgrounds) if backgrounds else []

    def surroundings(self, split: str, rng: np.random.Generator) -> Surroundings:
        """A made-up room or, where there are some, a background of the split's."""
        if rng.random() < MADE_ROOMS or not self.backgrounds:
            return Room(rng)
        mine = share_of(self.backgrounds, split)
        return mine[rng.integers(len(mine))].turned(rng)

    def render(self, scene: Scene, times: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Pictures of a scene at ``times`` in seconds, uint8 (T, 3, S, S), and pose targets."""
        rng = np.random.default_rng(scene.seed)
        who = rng if scene.person is None else np.random.default_rng(scene.person)
        where = rng if scene.place is None else np.random.default_rng(scene.place)
        size, count = self.size, len(times)
        woman = bool(who.random() < 0.45)
        body = self.bodies.draw(who, woman, scene.split, size=who.uniform(0.96, 1.06))
        meshes, uniforms = dress(body, who, woman)
        camera = place_camera(body, where)
        home = place_hand(body, "L" if scene.left else "R", camera, rng)
        around = self.surroundings(scene.split, where)
        terms, key, key_colour = harmonics(around)
        background = around.radiance(camera.rays(size, MARGIN)).astype(np.float32)

        shutter = rng.uniform(0.008, 0.055)
        fine = (times[:, None] + EXPOSURE * shutter).ravel()
        holding = holds(scene, rng)
        motion = perform(body, scene, fine, home, rng, holding)
        matrices = [motion.matrices, np.tile(np.eye(3, 4), (len(fine), 1, 1, 1))]
        meshes += [held(body, side, rng) for side in holding]
        if where.random() < DESK:
            meshes += desk(body, -camera.turn.T @ camera.move, where)
        if rng.random() < COMPANY:
            found = company(self.bodies, scene.split, camera, fine, STILL + 1, rng)
            if found:
                meshes += found[0]
                matrices.append(found[1])
        moved = np.concatenate(matrices, 1)
        shake = rng.uniform(0, 1) ** 3 * 0.012 * np.stack(
            [np.sin(2 * np.pi * rng.uniform(0.2, 2.5) * fine + rng.uniform(0, 6)) for _ in "xy"],
            -1,
        )  # fmt: skip
        depth = camera.move[2] + (camera.turn @ body.heads["head"])[2]
        moved[..., 3] += ((shake * depth) @ camera.turn[:2])[:, None]

        screen = rng.uniform(0, 1) ** 3 * 0.25 * (terms[0].mean() + 0.02)
        # A key light that is worth a shadow; through the wider lamps of a room they are softer.
        sun = np.stack([*frame(np.cross(key, [0.3, 1.0, 0.2]), key).T[[0, 2]], -key]) / 0.75
        strong = key_colour.mean() > 0.15 * max(terms[0].mean(), 1e-3)
        uniforms |= {
            "sun": sun.T, "middle": body.heads["neck01"] - [0, 0.12, 0.12],
            "dark": strong * rng.uniform(0.4, 1.0),
            "turn": camera.turn.T, "move": camera.move, "focal": np.full(2, 2 * camera.focal),
            "sh": terms, "key": key, "key_colour": key_colour,
            "eye": -camera.turn.T @ camera.move, "glow": screen * np.array([0.8, 0.95, 1.2]),
        }  # fmt: skip
        first, middle, last = moved.reshape(count, 3, *moved.shape[1:]).swapaxes(0, 1)
        layer = self.painter.draw(joined(meshes), middle, last - first, uniforms)
        if all(part.label == NO_GESTURE for part in scene.segments) and rng.random() < NOBODY:
            layer[:] = 0
        shift = shake[1::3] * camera.focal * size
        frames = develop(layer, background, shift, times, where)
        return frames, pose_targets(camera, motion, scene.left)[1::3]


def holds(scene: Scene, rng: np.random.Generator) -> list[str]:
    """The sides whose hands hold something: never the one that gestures, nor one that rolls."""
    side, other = ("L", "R") if scene.left else ("R", "L")
    quiet = all(part.label in (NO_GESTURE, OTHER) for part in scene.segments)
    rolls = any(part.label.startswith("Rolling") for part in scene.segments)
    draws = rng.random(2)
    found = [side] if quiet and draws[0] < HELD else []
    return found + ([other] if draws[1] < HELD_ASIDE and not rolls else [])


def studio(size: int, backgrounds: Path | None = None) -> Studio:
    """The studio of this process: OpenGL contexts neither travel nor survive a fork."""
    return _studio(os.getpid(), size, backgrounds)


@cache
def _studio(_process: int, size: int, backgrounds: Path | None) -> Studio:
    return Studio(size, backgrounds)
