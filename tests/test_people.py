"""Rendered people: drawn as they are posed, the same every time, refused in one line."""

import builtins
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from core.data.clips import loader
from core.data.rendered.people import gl
from core.data.rendered.people.body import ACTIVE, Bodies, skin
from core.data.rendered.people.camera import place_camera
from core.data.rendered.people.clips import PeopleClips
from core.data.rendered.people.film import develop
from core.data.rendered.people.look import dress
from core.data.rendered.people.scenes import Scene, clip_scene
from core.data.rendered.people.studio import BODIES, Studio
from core.data.rendered.scenes import POSE_TARGETS, POSE_VALUES
from core.data.rendered.synthetic import main
from core.data.rendered.window import WINDOW
from core.data.video import read_clip
from core.errors import BadInput
from core.labels import LABELS

SIZE = 96
EDGE = 2.5  # pixels by which a drawn silhouette may differ from the vertices: antialiasing, hair
NEAR = 0.75  # part of the fingertips in the picture that must lie on skin that is not background


def studio() -> Studio:
    """One for the whole module, or a skip that says what is missing."""
    if not _STUDIO:
        try:
            _STUDIO.append(Studio(SIZE))
        except BadInput as error:
            pytest.skip(str(error))
    return _STUDIO[0]


_STUDIO: list[Studio] = []


def test_commands_write_videos_and_a_sheet_of_people(tmp_path: Path) -> None:
    studio()
    folder = tmp_path / "clips"
    chosen = ["--class", "Thumb Up=like", "--class", "No gesture"]
    assert main(["--write", str(folder), "--count", "2", "--size", "96", *chosen]) == 0
    assert read_clip(folder / "like" / "00000.mp4", 10.0, 96).shape == (WINDOW, 3, 96, 96)
    assert (folder / "No gesture" / "00001.mp4").exists()
    with pytest.raises(BadInput, match="--backgrounds"):
        main(["--write", str(tmp_path / "more"), "--backgrounds", str(tmp_path)])


def test_triton_can_be_imported_after_drawing() -> None:
    """Torch does so when it exports or trains in several processes."""
    pytest.importorskip("triton")
    studio()
    code = "from core.data.rendered.people.gl import Painter; Painter(32); import triton"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_clip_is_pictures_and_what_is_known_of_them() -> None:
    scene, part = clip_scene("val", 0, 5, "Swiping Left", 1.0)
    times = np.linspace(part.start, part.end, 6)
    frames, targets = studio().render(scene, times)
    assert frames.shape == (6, 3, SIZE, SIZE)
    assert frames.dtype == torch.uint8
    assert targets.shape == (6, POSE_TARGETS)
    assert np.isfinite(targets).all()
    again, same = studio().render(scene, times)
    assert torch.equal(frames, again)
    assert np.array_equal(targets, same)
    assert frames.float().std() > 5, "a picture of nothing"
    assert (frames[0] != frames[-1]).float().mean() > 0.02, "nothing moves"


def test_two_studios_of_a_process_do_not_draw_into_each_other() -> None:
    scene, part = clip_scene("val", 0, 6, "Stop Sign", 1.0)
    times = np.array([part.start, part.end])
    alone, _ = studio().render(scene, times)
    Studio(64).render(scene, times)
    beside, _ = studio().render(scene, times)
    assert torch.equal(alone, beside)


def test_people_rooms_and_light_differ_from_scene_to_scene() -> None:
    means = []
    for index in range(8):
        scene, part = clip_scene("train", 0, index, "Stop Sign", 1.0)
        frames, _ = studio().render(scene, np.array([part.start, part.end]))
        means.append(frames.float().mean((0, 2, 3)))
    assert torch.stack(means).std(0).min() > 8


def test_the_shader_puts_vertices_where_linear_blend_skinning_does() -> None:
    """The silhouette drawn against the same vertices skinned in numpy and projected."""
    rng = np.random.default_rng(1)
    body = Bodies(BODIES).draw(rng, False, "val")
    meshes, uniforms = dress(body, rng, False)
    mesh = gl.joined(meshes[:1])
    camera = place_camera(body, rng)
    matrices = np.tile(np.eye(3, 4), (1, len(ACTIVE), 1, 1))
    matrices[0, :, 0, 3] = 0.05
    uniforms |= {
        "sun": np.eye(3), "middle": np.zeros(3), "dark": 0.0, "turn": camera.turn.T,
        "move": camera.move, "focal": np.full(2, 2 * camera.focal), "sh": np.ones((9, 3)) * 0.1,
        "key": np.array([0.0, 1.0, 0.0]), "key_colour": np.ones(3), "glow": np.zeros(3),
        "eye": -camera.turn.T @ camera.move,
    }  # fmt: skip
    layer = studio().painter.draw(mesh, matrices, np.zeros_like(matrices), uniforms)[0]
    drawn = np.argwhere(layer[..., 3] > 0.5)
    used = np.unique(mesh.triangles)
    seen = camera.project(skin(matrices, body, mesh.position)[0][used])
    seen = seen[(np.abs(seen) < 1).all(1)]
    pixels = np.stack([(1 - seen[:, 1]) / 2 * SIZE, (seen[:, 0] + 1) / 2 * SIZE], 1)
    for low_or_high in ("min", "max"):
        ours, theirs = (getattr(a, low_or_high)(0) for a in (drawn, pixels))
        assert np.abs(ours - theirs).max() < EDGE


def test_keypoints_lie_on_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    found, drawn = [], []
    draw = studio().painter.draw

    def kept(*values: object) -> np.ndarray:
        drawn.append(draw(*values))
        return drawn[-1]

    monkeypatch.setattr(studio().painter, "draw", kept)
    for index in range(6):
        scene, part = clip_scene("train", 0, 40 + index, "Stop Sign", 1.0)
        times = np.array([(part.start + part.end) / 2])
        _, targets = studio().render(scene, times)
        cover = drawn[-1][0, ..., 3]
        points = targets[0, POSE_VALUES:].reshape(-1, 2)[:6]
        inside = points[(np.abs(points) < 0.9).all(1)]
        column = ((inside[:, 0] + 1) / 2 * SIZE).astype(int)
        row = ((1 - inside[:, 1]) / 2 * SIZE).astype(int)
        found += [
            cover[r - 1 : r + 2, c - 1 : c + 2].max() for r, c in zip(row, column, strict=True)
        ]
    assert np.mean(np.array(found) > 0.5) > NEAR


def test_movement_is_smeared_and_rest_is_not() -> None:
    """A hand that moves covers more pixels in part than the same hand at rest."""
    rng = np.random.default_rng(2)
    body = Bodies(BODIES).draw(rng, True, "val")
    meshes, uniforms = dress(body, rng, True)
    camera = place_camera(body, rng)
    uniforms |= {
        "sun": np.eye(3), "middle": np.zeros(3), "dark": 0.0, "turn": camera.turn.T,
        "move": camera.move, "focal": np.full(2, 2 * camera.focal), "sh": np.ones((9, 3)) * 0.1,
        "key": np.array([0.0, 1.0, 0.0]), "key_colour": np.ones(3), "glow": np.zeros(3),
        "eye": -camera.turn.T @ camera.move,
    }  # fmt: skip
    matrices = np.tile(np.eye(3, 4), (1, len(ACTIVE), 1, 1))
    moved = np.zeros_like(matrices)
    moved[..., 0, 3] = 0.06  # metres to the right during the exposure
    still, smeared = (
        studio().painter.draw(gl.joined(meshes), matrices, way, uniforms)[0, ..., 3]
        for way in (np.zeros_like(matrices), moved)
    )

    def partly(cover: np.ndarray) -> int:
        return int(((cover > 0.1) & (cover < 0.9)).sum())

    assert partly(smeared) > 2 * partly(still)
    assert abs(smeared.sum() / still.sum() - 1) < 0.1, "a smear keeps what it covers"


def test_the_camera_gives_bytes_of_any_exposure() -> None:
    layer = np.zeros((3, SIZE, SIZE, 4), np.float32)
    layer[:, 20:60, 20:60] = [0.4, 0.3, 0.2, 1.0]
    background = np.full((SIZE + 12, SIZE + 12, 3), 0.2, np.float32)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shift = np.zeros((3, 2))
        frames = develop(layer, background, shift, np.array([0.0, 0.1, 0.2]), rng)
        assert frames.shape == (3, 3, SIZE, SIZE)
        assert 5 < frames.float().mean() < 250


def test_without_the_extra_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: object, **named: object) -> object:
        if name == "moderngl":
            raise ModuleNotFoundError(name)
        return real(name, *rest, **named)

    monkeypatch.delitem(sys.modules, "moderngl", raising=False)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(BadInput, match=r"pip install .*\[render\]"):
        gl.Painter(SIZE)


def test_without_a_driver_one_line_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    moderngl = pytest.importorskip("moderngl")

    def fails(**_: object) -> None:
        raise RuntimeError("libEGL.so.1: cannot open shared object file")

    monkeypatch.setattr(moderngl, "create_context", fails)
    with pytest.raises(BadInput, match="libegl1"):
        gl.Painter(SIZE)


def test_a_loader_draws_after_its_parent_has_drawn() -> None:
    clips = PeopleClips("val", 4, frames=2, size=SIZE, frame_rate=10.0)
    here = [clips[i][0] for i in range(4)]
    found = [frames for frames, _ in loader(Subset(clips, range(4)), 1, batch_size=2)]
    assert torch.equal(torch.cat(found), torch.stack(here))


def test_every_class_can_be_drawn() -> None:
    for index, label in enumerate(LABELS):
        scene, part = clip_scene("test", 1, index, label, 1.0)
        frames, targets = studio().render(scene, np.array([part.start, part.end]))
        assert frames.shape == (2, 3, SIZE, SIZE)
        assert np.isfinite(targets).all()


def test_one_person_in_one_place_looks_the_same_in_scenes_that_differ() -> None:
    first, second = (clip_scene("val", 0, index, "Stop Sign", 1.0)[0] for index in (0, 1))
    still = np.array([0.0])  # before the gesture, hands at rest

    def drawn(scene: Scene, **same: int) -> torch.Tensor:
        return studio().render(replace(scene, **same), still)[0].float()

    def apart(**same: int) -> float:
        return float((drawn(first, **same) - drawn(second, **same)).abs().mean())

    assert apart(person=3, place=4) < apart(person=3) / 2
    assert apart(person=3, place=4) < apart(place=4)
    assert (drawn(first, person=3, place=4) - drawn(first, person=3, place=5)).abs().mean() > 10
