"""Rendered people: drawn as they are posed, the same every time, refused in one line."""

import builtins
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset

from core.data.clips import loader
from core.data.rendered import window_files
from core.data.rendered.people import gl, light
from core.data.rendered.people.body import ACTIVE, LEAST_SHARED, Bodies, share_of, skin
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


def test_windows_of_people_are_cached_and_made_anew_for_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    studio()
    settings = window_files.people_windows(2, 64, 10.0, 0, None)
    folder = window_files.render_windows(tmp_path / "windows", settings, 1)
    windows = window_files.SyntheticWindows(folder, 8)
    frames, labels, _, targets = windows[(0, 0)]
    assert frames.shape == (8, 3, 64, 64)
    assert labels.shape == (8,)
    assert targets.shape == (8, POSE_TARGETS)
    before = (folder / "frames.bin").read_bytes()
    window_files.render_windows(folder, settings, 1)  # nothing to do
    assert (folder / "frames.bin").read_bytes() == before
    monkeypatch.setattr(window_files, "PEOPLE_VERSION", window_files.PEOPLE_VERSION + 1)
    newer = window_files.people_windows(2, 64, 10.0, 0, None)
    window_files.render_windows(folder, newer, 1)
    assert "made anew" in capsys.readouterr().out
    with pytest.raises(BadInput, match="other settings"):
        window_files.render_windows(folder, window_files.people_windows(2, 64, 10.0, 1, None), 1)


def test_windows_that_are_damaged_or_not_whole_are_said_to_be(tmp_path: Path) -> None:
    studio()
    settings = window_files.people_windows(2, 64, 10.0, 0, None)
    folder = window_files.render_windows(tmp_path / "windows", settings, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["windows"]
    meta = (folder / "meta.bin").read_bytes()
    done = np.frombuffer(meta, np.float32).copy().reshape(2, 4)
    frames = (folder / "frames.bin").read_bytes()
    done[1, 3] = 0
    done.tofile(folder / "meta.bin")
    with pytest.raises(BadInput, match="not rendered to its end"):
        window_files.SyntheticWindows(folder, 8)
    window_files.render_windows(folder, settings, 1)
    assert (folder / "meta.bin").read_bytes() == meta
    assert (folder / "frames.bin").read_bytes() == frames
    (folder / "frames.bin").write_bytes(frames[:-1])
    with pytest.raises(BadInput, match=r"holds damaged windows .*: remove it"):
        window_files.SyntheticWindows(folder, 8)
    (folder / "settings.json").write_text("{")
    with pytest.raises(BadInput, match=r"no readable settings\.json"):
        window_files.render_windows(folder, settings, 1)


def alive(group: int) -> bool:
    """Whether a process group has anybody in it."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_interrupted_rendering_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from core.data.rendered import window_files\n"
        "if __name__ == '__main__':\n"
        "    settings = window_files.capsule_windows(400, 32, 1.0, 10.0, 0)\n"
        "    window_files.render_windows(Path('windows'), settings, 1)\n"
    )
    (tmp_path / "render.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "render.py"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        meta = tmp_path / "windows" / "meta.bin"
        while not (meta.exists() and np.fromfile(meta, np.float32)[3::4].any()):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.wait(60)
    for _ in range(100):
        if not alive(process.pid):
            break
        time.sleep(0.1)
    assert not alive(process.pid), "workers are left"
    done = np.fromfile(meta, np.float32)[3::4]
    assert 0 < done.sum() < 400


def test_what_cannot_be_drawn_leaves_no_folder(tmp_path: Path) -> None:
    write_pictures(tmp_path / "rooms", LEAST_SHARED)
    (tmp_path / "rooms" / "bad.jpg").write_bytes(b"no picture")
    settings = window_files.people_windows(2, 64, 10.0, 0, tmp_path / "rooms")
    with pytest.raises(BadInput, match=r"bad\.jpg cannot be read|OpenGL|moderngl"):
        window_files.render_windows(tmp_path / "windows", settings, 1)
    assert not (tmp_path / "windows").exists()


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


def test_backgrounds_are_panoramas_and_photographs(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no \.exr panoramas and no \.jpg"):
        light.read_backgrounds(tmp_path)
    with pytest.raises(BadInput, match="holds no"):
        light.read_backgrounds(tmp_path / "missing")
    write_pictures(tmp_path, 5)
    photograph = light.read_backgrounds(tmp_path)[0]
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radiance = photograph.turned(rng).radiance(directions)
    assert radiance.shape == (50, 3)
    assert (radiance >= 0).all()
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(BadInput, match=r"bad\.jpg cannot be read"):
        light.read_backgrounds(tmp_path)


def test_photographs_keep_their_shape_and_stand_upright(tmp_path: Path) -> None:
    """A square on a photograph of any shape is seen as wide as high."""
    grid = np.linspace(-0.9, 0.9, 181)
    ahead = np.stack(np.broadcast_arrays(grid, grid[:, None], -1.0), -1)
    directions = ahead / np.linalg.norm(ahead, axis=-1, keepdims=True)
    for shape in ((400, 600), (600, 400)):
        picture = np.zeros((*shape, 3), np.float32)
        picture[
            shape[0] // 2 - 60 : shape[0] // 2 + 60, shape[1] // 2 - 60 : shape[1] // 2 + 60
        ] = 1
        seen = light.Photograph(picture).radiance(directions)[..., 0] > 0.5
        high, wide = seen.any(1).sum(), seen.any(0).sum()
        assert wide > 30
        assert abs(int(high) - int(wide)) <= 2
    turned = Image.new("RGB", (60, 40))
    exif = turned.getexif()
    exif[0x0112] = 6  # orientation: the camera was held upright
    turned.save(tmp_path / "upright.jpg", exif=exif)
    assert light.read_photograph(tmp_path / "upright.jpg").shape == (60, 40, 3)


@pytest.mark.parametrize("kind", ["half", "float"])
def test_panoramas_of_half_and_whole_floats_are_read(tmp_path: Path, kind: str) -> None:
    import av

    levels = (1.5, 0.25, 0.75)  # green, blue, red
    frame = av.VideoFrame(64, 32, "gbrpf32le")
    for plane, level in zip(frame.planes, levels, strict=True):
        plane.update(np.full(plane.buffer_size // 4, level, "<f4").tobytes())
    encoder = av.CodecContext.create("exr", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 32, "gbrpf32le"
    encoder.time_base, encoder.options = Fraction(1, 10), {"format": kind}
    (packet,) = [*encoder.encode(frame), *encoder.encode(None)]
    (tmp_path / "room.exr").write_bytes(bytes(packet))
    assert np.allclose(light.read_exr(tmp_path / "room.exr"), (0.75, 1.5, 0.25), atol=2e-3)


def write_pictures(folder: Path, count: int) -> None:
    """Photographs of random colours."""
    folder.mkdir(exist_ok=True)
    colours = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    for number in range(count):
        Image.fromarray(colours).save(folder / f"room-{number}.png")


def test_backgrounds_have_to_be_enough_for_every_split(tmp_path: Path) -> None:
    write_pictures(tmp_path, LEAST_SHARED - 1)
    with pytest.raises(BadInput, match=rf"holds 4, .* at least {LEAST_SHARED}"):
        light.read_backgrounds(tmp_path)
    write_pictures(tmp_path, LEAST_SHARED)
    found = light.read_backgrounds(tmp_path)
    assert all(share_of(found, split) for split in ("train", "val", "test"))


def test_windows_know_the_backgrounds_that_they_were_made_with(tmp_path: Path) -> None:
    """Another picture in the folder moves others into other splits."""
    write_pictures(tmp_path / "rooms", LEAST_SHARED)
    settings = window_files.people_windows(2, 64, 10.0, 0, tmp_path / "rooms")
    assert settings == window_files.people_windows(2, 64, 10.0, 0, tmp_path / "rooms")
    folder = tmp_path / "windows"
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(settings))
    Image.new("RGB", (60, 40)).save(tmp_path / "rooms" / "another.jpg")
    (tmp_path / "rooms" / "notes.txt").write_text("no picture")
    with pytest.raises(BadInput, match=r"other settings \(pictures;"):
        window_files.render_windows(
            folder, window_files.people_windows(2, 64, 10.0, 0, tmp_path / "rooms"), 1
        )
    (tmp_path / "rooms" / "another.jpg").unlink()
    assert settings == window_files.people_windows(2, 64, 10.0, 0, tmp_path / "rooms")
    assert json.dumps(window_files.people_windows(2, 64, 10.0, 0, None)) == (
        '{"renderer": "people", "count": 2, "size": 64, "frame_rate": 10.0, "seed": 0, '
        f'"backgrounds": null, "window": {WINDOW}, "version": {window_files.PEOPLE_VERSION}}}'
    ), "those without backgrounds are not made anew"


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
