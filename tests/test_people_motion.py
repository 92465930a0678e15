"""How people gesture: each class goes the way of its name, by either hand, held by an arm."""

import numpy as np
import pytest

from core.data.rendered.gestures import evaluate
from core.data.rendered.people.arm import WRIST_LIMIT, unit
from core.data.rendered.people.body import Bodies, share_of
from core.data.rendered.people.camera import CLOSEST_HAND, place_camera, place_hand
from core.data.rendered.people.gestures import FINGERS, ONE, PLACE, POSE, SHAPE, THUMB_SIDE
from core.data.rendered.people.motion import perform
from core.data.rendered.people.scenes import (
    HOLD,
    clip_scene,
    frame_labels,
    segment,
    stream_scene,
)
from core.data.rendered.people.studio import BODIES
from core.labels import IGNORE, LABELS, NO_GESTURE, OTHER

SEEDS = range(12)
HANDS = ("right", "left")
# Where the hand goes from the gesture's first to its last tenth: axis of the picture (x to the
# right, y up, z away from the camera) and sign. A swipe to one's own left goes to the right.
WAYS = {
    "Swiping Left": (0, 1), "Swiping Right": (0, -1), "Swiping Down": (1, -1),
    "Swiping Up": (1, 1), "Sliding Two Fingers Left": (0, 1), "Sliding Two Fingers Right": (0, -1),
    "Sliding Two Fingers Down": (1, -1), "Sliding Two Fingers Up": (1, 1),
    "Pushing Hand Away": (2, -1), "Pushing Two Fingers Away": (2, -1),
    "Pulling Hand In": (2, 1), "Pulling Two Fingers In": (2, 1),
}  # fmt: skip
LEAST_WAY = 0.04  # metres: a small gesture of the wrist
TREMOR = 0.05  # of a finger's flexion, whose tremor and bias are about 0.05
JOINT_SLACK = np.radians(1.0)  # the hand is turned back to the limit in single steps


def rows(label: str, hand: str, seed: int, count: int = 41) -> np.ndarray:
    """What the hands do over the gesture, as the picture shows it: (count, POSE)."""
    left = hand == "left"
    part = segment(label, 0.0, np.random.default_rng(seed), left)
    found = part.track(np.linspace(0, 1, count))
    assert found.shape == (count, POSE)
    if left:
        found = found.copy()
        for which in (0, ONE):
            for vector in (PLACE, FINGERS, THUMB_SIDE):
                found[:, which + vector.start] *= -1
    return found


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("label", WAYS)
def test_strokes_go_where_their_name_says(label: str, hand: str) -> None:
    axis, sign = WAYS[label]
    for seed in SEEDS:
        place = rows(label, hand, seed)[:, PLACE]
        way = place[-4:].mean(0) - place[:4].mean(0)
        assert sign * way[axis] > LEAST_WAY, (seed, way)
        assert abs(way[axis]) >= np.abs(way).max() - 1e-9, "another direction is longer"


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize(("label", "sign"), [("Zooming In", -1), ("Zooming Out", 1)])
@pytest.mark.parametrize("kind", ["With Full Hand", "With Two Fingers"])
def test_zooming_in_opens_the_fingers(label: str, sign: int, kind: str, hand: str) -> None:
    for seed in SEEDS:
        index = rows(f"{label} {kind}", hand, seed)[:, SHAPE.start]
        assert sign * (index[-4:].mean() - index[:4].mean()) > TREMOR


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize(("label", "sign"), [("Forward", 1), ("Backward", -1)])
def test_rolling_forward_goes_away_from_the_person_at_the_top(
    label: str, sign: int, hand: str
) -> None:
    for seed in SEEDS:
        place = rows(f"Rolling Hand {label}", hand, seed)[:, PLACE]
        y, z = (place - (place.max(0) + place.min(0)) / 2)[:, 1:].T
        # Signed area swept in the plane of up and towards the camera.
        swept = (y[:-1] * -z[1:] - y[1:] * -z[:-1]).sum()
        assert sign * swept > 0


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize(("label", "sign"), [("Clockwise", -1), ("Counterclockwise", 1)])
def test_turning_is_named_as_the_picture_shows_it(label: str, sign: int, hand: str) -> None:
    for seed in SEEDS:
        found = rows(f"Turning Hand {label}", hand, seed)
        thumb, fingers = unit(found[:, THUMB_SIDE]), unit(found[:, FINGERS])
        # Turned about the fingers, which point up or to the camera: z points away from it, so a
        # turn that is counterclockwise in the picture is positive about it.
        turn = np.cross(thumb[:-1], thumb[1:]).sum(0) @ -fingers.mean(0)
        assert sign * turn > 0


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize(("label", "sign"), [("Thumb Up", 1), ("Thumb Down", -1)])
def test_thumbs(label: str, sign: int, hand: str) -> None:
    for seed in SEEDS:
        assert (sign * unit(rows(label, hand, seed)[:, THUMB_SIDE])[:, 1] > 0.5).all()


@pytest.mark.parametrize("label", LABELS)
def test_every_class_moves_smoothly_and_for_a_plausible_time(label: str) -> None:
    for seed in SEEDS:
        part = segment(label, 1.0, np.random.default_rng(seed), bool(seed % 2))
        assert part.label == label
        assert 0.3 < part.end - part.start < 3.0
        found = part.track(np.linspace(0, 1, 201))
        speed = np.linalg.norm(np.diff(found[:, PLACE], axis=0), axis=1) * 200
        assert speed.max() / (part.end - part.start) < 8.0, "metres a second that no hand reaches"


def test_time_lines_name_what_can_be_known() -> None:
    for index in range(40):
        scene, part = clip_scene("val", 0, index, "Swiping Left", 2.0)
        times = np.arange(0, scene.segments[-1].end, 0.1)
        labels = frame_labels(scene, times, 10.0)
        middle = np.abs(times - (part.start + 0.8 * (part.end - part.start))).argmin()
        assert labels[middle] == LABELS.index("Swiping Left")
        for held in (p for p in scene.segments if p.label == HOLD):
            inside = (times > max(held.start, part.end + 0.31)) | (times < part.start)
            inside &= (times >= held.start) & (times <= held.end)
            assert (labels[inside] == IGNORE).all(), "a hand that waits is no class"


def test_streams_have_their_gestures_in_order() -> None:
    scene, length = stream_scene("test", 0, 3, 10)
    gestures = [p for p in scene.segments if p.label not in (NO_GESTURE, OTHER)]
    assert len(gestures) == 10
    ends = [p.end for p in scene.segments]
    assert ends == sorted(ends)
    assert ends[-1] == length


def test_splits_share_no_body_and_no_motion() -> None:
    bodies = list(range(64))
    parts = [set(share_of(bodies, split)) for split in ("train", "val", "test")]
    assert set.union(*parts) == set(bodies)
    assert sum(map(len, parts)) == len(bodies)
    seeds = {
        clip_scene(s, 0, i, "Stop Sign", 1.0)[0].seed for s in ("train", "val") for i in range(9)
    }
    assert len(seeds) == 18


@pytest.fixture(scope="module")
def bodies() -> Bodies:
    return Bodies(BODIES)


@pytest.mark.parametrize("label", LABELS)
def test_an_arm_can_hold_every_gesture(label: str, bodies: Bodies) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        body = bodies.draw(rng, bool(seed % 2), "train")
        scene, part = clip_scene("train", 0, 100 + seed, label, 1.0)
        camera = place_camera(body, rng)
        side = "L" if scene.left else "R"
        home = place_hand(body, side, camera, rng)
        times = np.linspace(part.start, part.end, 15)
        motion = perform(body, scene, times, home, rng)
        assert np.isfinite(motion.matrices).all()
        turn = motion.matrices[..., :3]
        assert np.abs(turn @ np.swapaxes(turn, -1, -2) - np.eye(3)).max() < 1e-6
        # The wrist bends no further than a wrist can.
        names = list(bodies.parents)
        fore = unit(body.heads[f"wrist.{side}"] - body.heads[f"lowerarm01.{side}"])
        along = motion.matrices[:, names.index(f"lowerarm02.{side}"), :, :3] @ fore
        bend = np.arccos(np.clip((along * motion.hand[:, :, 1]).sum(-1), -1, 1))
        assert bend.max() < WRIST_LIMIT + JOINT_SLACK
        depth = (motion.palm @ camera.turn.T + camera.move)[:, 2]
        assert depth.min() > CLOSEST_HAND / 3, "the hand is inside the lens"
        lengths = np.linalg.norm(motion.joints[:, 0] - motion.joints[:, 6], axis=-1)
        assert lengths.max() < 0.15, "an index finger of more than its length"


def test_rows_of_a_time_line_are_continuous() -> None:
    scene, length = stream_scene("train", 0, 1, 6)
    found = evaluate(scene.segments, np.arange(0, length, 0.002))
    jumps = np.abs(np.diff(found[:, PLACE], axis=0)).max()
    assert jumps < 0.05, "metres in two milliseconds"
