"""What else is in the picture of a person: things in hands, a desk, other people, a file's loss."""

import numpy as np
import pytest
import torch

from core.data.rendered.people import studio as studio_module
from core.data.rendered.people.arm import hand_length, rest_hand
from core.data.rendered.people.body import ACTIVE, SIDES, Bodies, Body
from core.data.rendered.people.camera import place_camera
from core.data.rendered.people.company import company
from core.data.rendered.people.film import recorded
from core.data.rendered.people.gl import Mesh
from core.data.rendered.people.scenes import clip_scene, stream_scene
from core.data.rendered.people.studio import BODIES, holds
from core.data.rendered.people.things import SURFACE, WIDE, box, desk, held
from core.labels import LABELS, NO_GESTURE, OTHER

REACH = 0.3  # metres from the palm to the far end of a bottle or of paper
TIMES = np.arange(24) / 10
COUNT = 200  # draws, of which all have to be right


@pytest.fixture(scope="module")
def bodies() -> Bodies:
    return Bodies(BODIES)


@pytest.fixture(scope="module")
def body(bodies: Bodies) -> Body:
    return bodies.draw(np.random.default_rng(0), True, "train")


def faces_outwards(mesh: Mesh) -> bool:
    a, b, c = (mesh.position[mesh.triangles[:, k]] for k in range(3))
    # The project's axes are left-handed, which turns the cross product round.
    return bool((-(np.cross(b - a, c - a)) * mesh.normal[mesh.triangles[:, 0]]).sum(1).min() > 0)


def test_a_box_is_closed_and_faces_outwards() -> None:
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn[:, 0] *= np.sign(np.linalg.det(turn))
    mesh = box(np.array([0.1, 0.2, 0.3]), turn, np.array([1.0, 2.0, 3.0]), 5, np.full(3, 0.5))
    assert faces_outwards(mesh)
    assert len(mesh.triangles) == 12
    inside = (mesh.position - [1.0, 2.0, 3.0]) @ turn
    assert np.allclose(np.abs(inside), [0.05, 0.10, 0.15])
    assert set(mesh.bone[:, 0]) == {5}


@pytest.mark.parametrize("side", SIDES)
def test_what_is_held_lies_in_the_palm(body: Body, side: str) -> None:
    _, fingers, back = rest_hand(body, side).T
    palm = body.heads[f"wrist.{side}"] + 0.42 * fingers * hand_length(body, side)
    for seed in range(30):
        mesh = held(body, side, np.random.default_rng(seed))
        assert set(mesh.bone[:, 0]) == {ACTIVE.index(f"wrist.{side}")}
        offset = mesh.position - palm
        assert np.linalg.norm(offset, axis=1).max() < REACH
        assert (offset @ back).max() < -SURFACE + 1e-6, "through the palm"


def test_hands_that_gesture_or_roll_hold_nothing() -> None:
    rng, seen = np.random.default_rng(0), set()
    for index in range(COUNT):
        label = LABELS[index % len(LABELS)]
        scene, _ = clip_scene("train", 0, index, label, 1.0)
        side, other = ("L", "R") if scene.left else ("R", "L")
        found = holds(scene, rng)
        kinds = {part.label for part in scene.segments}
        if side in found:
            assert kinds <= {NO_GESTURE, OTHER}
        if other in found:
            assert not any(kind.startswith("Rolling") for kind in kinds)
        seen.add((side in found, other in found))
    assert len(seen) == 4, "every combination occurs"
    stream, _ = stream_scene("train", 0, 1, 4)
    assert all(("L" if stream.left else "R") not in holds(stream, rng) for _ in range(20))


def test_a_desk_is_below_the_lens_and_before_the_body(body: Body) -> None:
    belly = body.heads["root"][2]
    drawn = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        camera = place_camera(body, rng)
        eye = -camera.turn.T @ camera.move
        meshes = desk(body, eye, rng)
        drawn += bool(meshes)
        if meshes:
            top = meshes[0].position[:, 1].max()
            assert top < eye[1]
            assert all(faces_outwards(mesh) for mesh in meshes)
            assert all(mesh.position[:, 2].max() < belly for mesh in meshes[:1])
            assert np.ptp(meshes[0].position[:, 0]) == pytest.approx(2 * WIDE)
            for thing in meshes[1:]:
                assert thing.position[:, 1].min() == pytest.approx(top)
    assert drawn > 25


def test_others_show_no_missing_legs_and_are_of_the_split(
    bodies: Bodies, body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits, drawn = [], []
    draw = bodies.draw

    def noted(*values, **named):
        splits.append(values[2])
        drawn.append(draw(*values, **named))
        return drawn[-1]

    monkeypatch.setattr(bodies, "draw", noted)
    first, found = len(ACTIVE) + 1, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        camera = place_camera(body, rng)
        other = company(bodies, "val", camera, TIMES, first, rng)
        if other is None:
            continue
        found += 1
        meshes, matrices = other
        assert matrices.shape == (len(TIMES), len(ACTIVE), 3, 4)
        assert all(first <= mesh.bone.min() for mesh in meshes)
        hips = matrices[:, ACTIVE.index("root")] @ np.append(drawn[-1].heads["root"], 1)
        assert camera.project(hips)[:, 1].max() < -1, "bodies end at the hips"
        assert all((mesh.field[:, :2] < 0).all() for mesh in meshes), "clothes of the first person"
    assert set(splits) == {"val"}
    assert 10 < found < 40


def test_pictures_with_everything_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DESK", "COMPANY", "HELD", "HELD_ASIDE"):
        monkeypatch.setattr(studio_module, name, 1.0)
    monkeypatch.setattr(studio_module, "NOBODY", 0.0)
    drawn = []
    studio = studio_module.studio(48)
    draw = studio.painter.draw

    def kept(*values):
        drawn.append(values)
        return draw(*values)

    monkeypatch.setattr(studio.painter, "draw", kept)
    for index in (0, 1, 2):
        scene, part = clip_scene("train", 1, index, OTHER, 1.0)
        frames, targets = studio.render(scene, part.start + TIMES[:4])
        assert frames.shape == (4, 3, 48, 48)
        assert np.isfinite(targets).all()
        mesh, matrices, *_ = drawn[-1]
        still = len(ACTIVE)
        assert mesh.bone.max() < matrices.shape[1]
        turns = matrices[:, still, :, :3]
        assert np.allclose(turns, np.eye(3)), "the desk turns"
    assert any((mesh.bone == len(ACTIVE)).any() for mesh, *_ in drawn)
    assert any((mesh.bone > len(ACTIVE)).any() for mesh, *_ in drawn)


def test_some_rooms_are_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio_module, "NOBODY", 1.0)
    layers = []
    real = studio_module.develop
    monkeypatch.setattr(
        studio_module, "develop", lambda layer, *rest: layers.append(layer) or real(layer, *rest)
    )
    for label, empty in ((NO_GESTURE, True), (OTHER, False), ("Stop Sign", False)):
        scene, part = clip_scene("train", 1, 3, label, 1.0)
        studio_module.studio(48).render(scene, part.start + TIMES[:2])
        assert (layers[-1].max() == 0) == empty


@pytest.mark.parametrize("size", [48, 47])
def test_a_recording_loses_more_the_coarser_it_is(size: int) -> None:
    clip = torch.randint(0, 256, (6, 3, 6, 6), generator=torch.Generator().manual_seed(0))
    frames = torch.nn.functional.interpolate(clip.float(), (size, size), mode="bilinear")
    frames = frames.to(torch.uint8)
    losses = []
    for crf in (18, 28, 38):
        found = recorded(frames, crf)
        assert found.shape == frames.shape
        assert torch.equal(found, recorded(frames, crf))
        losses.append(float((found.float() - frames.float()).abs().mean()))
    assert 0 < losses[0] < losses[1] < losses[2] < 40
