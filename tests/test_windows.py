"""Training windows: which cut carries the clip label, and what is known about its frames."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from core.data.rendered.capsules.render import Capsules, rasterise
from core.data.rendered.gestures import evaluate
from core.data.rendered.hand import KEYPOINTS, KNUCKLES, PALM_CENTRE, capsules
from core.data.rendered.scenes import POSE_TARGETS, POSE_VALUES, clip_scene, pose_targets
from core.data.rendered.synthetic import training_window
from core.data.rendered.window import WINDOW
from core.data.rendered.window_files import SyntheticWindows, covered
from core.labels import IGNORE, LABELS, NO_GESTURE, OTHER

LABEL = LABELS.index("Swiping Left")
SIDE = 4  # pixels of a window on disk: the frame's number is all that it shows
BALL = 0.012  # metres: a keypoint is drawn as a ball of 2 to 4 of 96 pixels
PIXELS = 0.25  # by which the middle of that ball may miss the target


def window_on_disk(folder, start, end, label=LABEL):
    """A folder with one window whose frame t is grey of level t, has label t and pose t."""
    times = np.arange(WINDOW)
    settings = {"count": 1, "size": SIDE, "window": WINDOW}
    (folder / "settings.json").write_text(json.dumps(settings))
    arrays = {
        "frames": np.repeat(times, 3 * SIDE * SIDE).astype(np.uint8),
        "labels": times.astype(np.int64),
        "poses": np.repeat(times, POSE_TARGETS).astype(np.float32),
        "meta": np.array([label, start, end, 1], np.float32),
    }
    for name, array in arrays.items():
        array.tofile(folder / f"{name}.bin")
    return folder


def cuts(folder, frames):
    """The item of every possible first frame, over as many seeds as it takes."""
    windows = SyntheticWindows(folder, frames)
    found = {}
    for seed in range(1000):
        item = windows[(0, seed)]
        found.setdefault(int(item[0][0, 0, 0, 0]), item)
        if len(found) == WINDOW - frames + 1:
            return found
    raise AssertionError(f"only cuts from {sorted(found)}")


# Start and end of a gesture, first frame and number of frames of the cut, whether it is named so.
RULE = [
    (4, 16, 0, 24, True),  # seen whole
    (4, 16, 4, 16, True),
    (4, 16, 2, 13, True),  # its last 2 of 12 are missing
    (4, 16, 1, 13, False),  # 3 of 12
    (5, 15, 7, 16, True),  # its first 2 of 10: four fifths are just enough
    (4.9, 15, 7, 16, False),  # 2.1 of 10.1
    (4, 16, 10, 14, False),  # half of it
    (2, 8, 8, 16, False),  # its last frame
    (-8, -2, 0, 16, False),  # over before the window
    (20, 35, 0, 16, False),  # not begun
    (-4, 16, 0, 24, True),  # 16 of 20: it began before the window
    (-5, 15, 0, 24, False),  # 15 of 20
    (0, 23, 8, 8, True),  # longer than the cut, which it fills
    (6, 23, 4, 11, True),  # 8 of the 10 steps of the cut
    (7, 23, 4, 11, False),  # 7 of 10
    (-30, 60, 0, 24, True),  # rest and other motion fill every window
    (-30, 60, 8, 16, True),
    (-30, 60, 5, 1, True),
    (3, 9, 5, 1, True),  # a single picture out of the gesture
    (3, 9, 2, 1, False),  # and one before it
    (3, 9, 10, 1, False),
]


@pytest.mark.parametrize(("start", "end", "first", "frames", "shown"), RULE)
def test_clip_label_of_a_cut(tmp_path, start, end, first, frames, shown):
    assert covered(start, end, first, frames) == shown
    cut = cuts(window_on_disk(tmp_path, start, end), frames)[first]
    assert cut[2] == (LABEL if shown else IGNORE)
    assert type(cut[2]) is int


def test_window_of_a_stream_has_no_clip_label(tmp_path):
    """Several gestures, of which none is the window's own; frame labels tell them."""
    for frames in (1, 8, WINDOW):
        found = cuts(window_on_disk(tmp_path, 0.0, 0.0, IGNORE), frames)
        assert {item[2] for item in found.values()} == {IGNORE}


def test_cut_takes_labels_and_poses_of_its_frames(tmp_path):
    found = cuts(window_on_disk(tmp_path, 4, 16), 8)
    assert sorted(found) == list(range(WINDOW - 8 + 1))
    for first, (frames, labels, _, poses) in found.items():
        assert frames.shape == (8, 3, SIDE, SIDE)
        assert frames[:, 0, 0, 0].tolist() == list(range(first, first + 8))
        assert labels.tolist() == list(range(first, first + 8))
        assert poses[:, -1].tolist() == list(range(first, first + 8))


def test_cut_is_a_function_of_the_seed(tmp_path):
    windows = SyntheticWindows(window_on_disk(tmp_path, 4, 16), 8)
    firsts = [int(windows[(0, seed)][0][0, 0, 0, 0]) for seed in (3, 3, 4, 5, 6)]
    assert firsts[0] == firsts[1]
    assert len(set(firsts)) > 1


def test_a_worker_is_sent_the_folder_and_not_the_windows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    windows = SyntheticWindows(window_on_disk(Path(), 4, 16), 8)
    sent = pickle.dumps(windows)
    assert len(sent) < sum(array.nbytes for array in windows.arrays.values()) / 4
    monkeypatch.chdir("/")
    again = pickle.loads(sent)
    assert again.labels == windows.labels
    for ours, theirs in zip(again[(0, 3)], windows[(0, 3)], strict=True):
        assert torch.equal(torch.as_tensor(ours), torch.as_tensor(theirs))


@pytest.mark.parametrize("label", [NO_GESTURE, OTHER])
def test_rest_and_other_motion_fill_a_rendered_window(label):
    """All of its cuts are named so, whatever their length."""
    windows = (training_window(0, LABELS.index(label) + 27 * i, 32, 1.0, 10.0) for i in range(9))
    own = [w for w in windows if w.clip_label != IGNORE]
    assert len(own) > 3
    for window in own:
        start, end = window.gesture
        assert window.clip_label == LABELS.index(label)
        assert start <= 0
        assert end >= WINDOW - 1
        assert all(covered(start, end, first, 8) for first in range(WINDOW - 7))


def test_gesture_of_a_rendered_window_lies_where_its_frames_are_labelled():
    """Known frames begin inside the gesture and end three frames after it."""
    window = training_window(0, LABEL, 32, 1.0, 10.0)
    assert window.clip_label == LABEL
    known = np.flatnonzero(window.labels == LABEL)
    start, end = window.gesture
    assert start < known[0] < end
    assert end <= known[-1] <= end + 3


@pytest.fixture(params=["right", "left"])
def hand(request):
    """Pose targets, capsule ends in metres and length of one hand in nine poses of a gesture."""
    for index in range(99):
        scene, middle = clip_scene("val", 3, index, "Swiping Down", 1.0, NO_GESTURE, 2.0)
        if scene.shape.left == (request.param == "left"):
            break
    times = middle + np.linspace(-0.3, 0.3, 9)
    ends, _ = capsules(evaluate(scene.segments, times), scene.shape)
    return pose_targets(scene, times), ends, scene.shape.length


def test_keypoints_lie_where_the_renderer_draws_their_joints(hand):
    targets, ends, _ = hand
    points = targets[:, POSE_VALUES:].reshape(-1, 2)  # (9 x K, 2): pose by pose
    joints = np.stack([ends[:, capsule, end] for capsule, end in KEYPOINTS], 1).reshape(-1, 3)
    count, size = len(joints), 96
    balls = torch.as_tensor(joints, dtype=torch.float32).view(count, 1, 1, 3).expand(-1, -1, 2, -1)
    shapes = Capsules(balls, torch.full((count, 1, 2), BALL), torch.ones(count, 1, 3))
    _, cover = rasterise(shapes, torch.zeros(count, 3), size)
    inside = np.abs(points).max(-1) < 0.9
    assert inside.mean() > 0.8
    middles = torch.arange(size) + 0.5
    for (x, y), drawn in zip(points[inside], cover[inside, 0], strict=True):
        assert drawn.sum() > 5
        assert abs((drawn.sum(0) * middles).sum() / drawn.sum() - (1 + x) * size / 2) < PIXELS
        assert abs((drawn.sum(1) * middles).sum() / drawn.sum() - (1 - y) * size / 2) < PIXELS


def test_pose_targets_describe_the_palm_of_the_capsules(hand):
    """Its place, its depth, and where the hand's own axes point in the picture."""
    targets, ends, length = hand
    across, along = targets[:, 3:9].reshape(-1, 3, 2).transpose(2, 0, 1)  # (9, 3) each
    wrist = ends[:, 19, 0]
    palm = wrist + PALM_CENTRE * length * along
    np.testing.assert_allclose(targets[:, :2], 2 * palm[:, :2] / palm[:, 2:], atol=1e-9)
    np.testing.assert_allclose(targets[:, 2], 2 * np.log(palm[:, 2] / 0.5), atol=1e-9)
    for knuckle, (x, y) in enumerate(KNUCKLES):
        expected = wrist + length * (x * across + y * along)
        np.testing.assert_allclose(ends[:, knuckle, 1], expected, atol=1e-9)
