"""The renderer: what a user asks of it first, then what its classes have to satisfy."""

import errno
import os
import shutil

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from core.data import open_clips
from core.data.rendered.gestures import evaluate, gesture_track, segment
from core.data.rendered.hand import CAPSULES, POSE_SIZE, HandShape, capsules
from core.data.rendered.scenes import KNOWN_FROM, clip_scene, frame_labels, make_scene, stream_scene
from core.data.rendered.synthetic import (
    WINDOW,
    SyntheticClips,
    SyntheticStreams,
    draw_sheet,
    main,
    training_window,
)
from core.data.rendered.window_files import capsule_windows, render_windows
from core.errors import BadInput
from core.labels import IGNORE, LABELS, LATERAL, NO_GESTURE, OTHER, TIME_PAIRS
from core.model import ModelConfig

SMALL = {"frames": 6, "size": 48, "frame_rate": 10.0}
# Smallest p of the two-sample test over all pose values of a pair (Bonferroni over 10 pairs x 14
# values x 1 test leaves a false alarm at one run in a hundred; the draws are seeded, so it is one
# verdict, not a lottery).
LEAST_P = 1e-2 / (10 * POSE_SIZE)
CLIPS_A_CLASS = 250
# Twice 2.5 standard deviations (0.02) of the hand's tremor, in metres, radians or flexion.
TREMOR = 0.1


def test_sheet_and_folder_are_written(tmp_path):
    sheet, folder = tmp_path / "sheet.png", tmp_path / "clips"
    names = ["--class", "Thumb Up=like", "--class", "Swiping Left"]
    argv = ["--write", str(folder), "--count", "4", "--size", "48", *names]
    assert main(argv) == 0
    assert (
        sorted(p.parent.name for p in folder.rglob("*.mp4")) == ["Swiping Left"] * 2 + ["like"] * 2
    )
    with pytest.raises(BadInput, match="holds clips already"):
        main(argv)
    assert main(["--sheet", str(sheet)]) == 0
    assert sheet.stat().st_size > 100_000


def test_unknown_class_is_refused(tmp_path):
    with pytest.raises(BadInput, match="Waving"):
        main(["--write", str(tmp_path), "--class", "Waving"])


@pytest.mark.parametrize(
    "options",
    [["--size", "512"], ["--size", "8"], ["--seed", "-1"], ["--count", "0"], ["--count", "x"]],
    ids=" ".join,
)
def test_numbers_that_cannot_be_drawn_are_refused(tmp_path, options):
    with pytest.raises(BadInput, match=f"{options[1]} is not a whole number"):
        main(["--write", str(tmp_path / "clips"), *options])
    assert not list(tmp_path.iterdir())


def test_outputs_that_cannot_be_written_are_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("kept")
    for path in (file, file / "below"):
        with pytest.raises(BadInput, match="is a file"):
            main(["--write", str(path)])
    with pytest.raises(BadInput, match="folder that exists"):
        main(["--sheet", str(tmp_path / "missing" / "sheet.png")])
    assert file.read_text() == "kept"


def test_a_sheet_is_a_png_of_any_name_or_not_there(tmp_path, monkeypatch):
    clips = [(torch.zeros(16, 3, 8, 8, dtype=torch.uint8), 0)] * len(LABELS)
    sheet = tmp_path / "sheet.txt"
    draw_sheet(sheet, clips)
    before = sheet.read_bytes()
    assert before.startswith(b"\x89PNG")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(BadInput, match=r"--sheet .* cannot be written \(No space left"):
        draw_sheet(sheet, clips)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


def test_pictures_larger_than_the_noise_are_refused(tmp_path):
    with pytest.raises(BadInput, match="512"):
        SyntheticClips("test", 1, frames=6, size=512, frame_rate=10.0)
    with pytest.raises(BadInput, match="512"):
        SyntheticStreams(1, ModelConfig(size=512), "default", split="test")
    with pytest.raises(BadInput, match="512"):
        render_windows(tmp_path / "windows", capsule_windows(1, 512, 1.0, 10.0, 0), 1)
    assert not list(tmp_path.iterdir())


def test_windows_that_the_disk_cannot_hold_are_refused(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(BadInput, match=r"12000 windows .* need 10\.9 GB .* 1\.0 GB are free"):
        render_windows(tmp_path / "windows", capsule_windows(12000, 112, 1.0, 10.0, 0), 1)
    assert not list(tmp_path.iterdir())


def test_clips_are_deterministic_and_differ_between_indices_and_splits():
    def clip(split, index, seed=0):
        return SyntheticClips(split, 60, seed=seed, **SMALL)[index][0]

    assert torch.equal(clip("test", 3), clip("test", 3))
    assert clip("test", 3).dtype == torch.uint8
    assert clip("test", 3).shape == (6, 3, 48, 48)
    for other in (clip("test", 30), clip("val", 3), clip("train", 3), clip("test", 3, seed=1)):
        assert not torch.equal(clip("test", 3), other)


def test_splits_share_no_scene():
    lengths = {
        split: {make_scene(split, 0, i, 1.0).shape.length for i in range(200)}
        for split in ("train", "val", "test")
    }
    assert all(len(found) == 200 for found in lengths.values())
    assert not lengths["train"] & lengths["val"]
    assert not lengths["train"] & lengths["test"]
    assert not lengths["val"] & lengths["test"]


def test_labels_are_balanced_and_in_jesters_order():
    clips = SyntheticClips("test", 54, **SMALL)
    assert clips.labels == sorted(LABELS)
    labels = [LABELS.index(clips.only[i % 27]) for i in range(54)]
    assert sorted(labels) == sorted(2 * list(range(27)))


@pytest.mark.parametrize("pair", TIME_PAIRS, ids=lambda p: p[0])
def test_second_class_of_a_pair_is_the_first_backwards(pair):
    """With one set of draws, progress s of one class is progress 1 - s of the other."""
    moments = np.linspace(0, 1, 21)
    tracks = []
    for label in pair:
        part = segment(label, 0.0, np.random.default_rng(5), False, 0.0, (0.0, 0.0, 0.5))
        tracks.append(part.track(moments))
    # Without variation the pace is symmetric in time; the tremor is a function of progress.
    forwards, backwards = tracks
    mirrored = backwards[::-1]
    still = np.abs(forwards - forwards[:1]).max()
    assert still > 2 * TREMOR, "the gesture does not move"
    assert np.abs(forwards - mirrored).max() < TREMOR, "more than tremor between the two"


@pytest.mark.parametrize("pair", TIME_PAIRS, ids=lambda p: p[0])
def test_pairs_draw_from_one_distribution_of_single_frames(pair):
    """Every pose value of every frame of a clip has one distribution in both classes."""
    samples = []
    for number, label in enumerate(pair):
        poses = []
        for i in range(CLIPS_A_CLASS):
            scene, middle = clip_scene("test", 77 + number, i, label, 1.0, NO_GESTURE, 2.0)
            # One frame a clip: frames of one clip are not independent draws.
            rng = np.random.default_rng([number, i])
            poses.append(evaluate(scene.segments, middle + rng.uniform(-0.75, 0.75, 1))[0])
        samples.append(np.array(poses))
    for value in range(POSE_SIZE):
        assert ks_2samp(samples[0][:, value], samples[1][:, value]).pvalue > LEAST_P


def test_swipe_to_ones_left_moves_to_the_images_right_for_both_hands():
    for left in (False, True):
        part = segment("Swiping Left", 0.0, np.random.default_rng(0), left, 1.0, (0.0, 0.0, 0.5))
        x = part.track(np.array([0.0, 1.0]))[:, 0]
        # The picture of a left hand is mirrored about its own centre, its place is not.
        assert x[1] > x[0] + 0.1


def test_clockwise_is_as_the_image_shows_it_for_both_hands():
    for left in (False, True):
        rng = np.random.default_rng(0)
        part = segment("Turning Hand Clockwise", 0.0, rng, left, 1.0, (0.0, 0.0, 0.5))
        shape = HandShape(0.18, 1.0, 1.0, left, (0.0, 0.3))
        ends, _ = capsules(part.track(np.linspace(0, 1, 9)), shape)
        x, y, _ = (ends[:, 7, 0] - ends[:, 19, 0]).T  # wrist to knuckle: x to the right, y up
        angle = np.unwrap(np.arctan2(y, x))
        assert (np.diff(angle) < 0).all()


def test_left_hand_is_the_mirror_image():
    poses = gesture_track("Zooming In With Full Hand", np.random.default_rng(0), 1.0)(
        np.linspace(0, 1, 3)
    )
    right, left = (
        capsules(poses, HandShape(0.18, 1.0, 1.0, side, (0.0, 0.3)))[0] for side in (False, True)
    )
    assert right.shape == (3, CAPSULES, 2, 3)
    np.testing.assert_allclose(right * [-1, 1, 1], left, atol=1e-12)


def test_fingers_keep_their_length_in_every_pose():
    rng = np.random.default_rng(0)
    poses = rng.uniform(0, 1, (50, POSE_SIZE))
    ends, _ = capsules(poses, HandShape(0.18, 1.0, 1.0, False, (0.0, 0.3)))
    lengths = np.linalg.norm(ends[:, 4:19, 1] - ends[:, 4:19, 0], axis=-1)
    np.testing.assert_allclose(lengths, lengths[:1].repeat(50, 0), rtol=1e-9)


def test_frame_labels_start_where_the_gesture_can_be_known():
    scene, middle = clip_scene("val", 0, 0, "Thumb Up", 1.0, NO_GESTURE, 2.0)
    part = scene.segments[1]
    times = np.linspace(part.start - 1.5, part.end + 1.5, 400)
    labels = frame_labels(scene, times, 10.0)
    thumb = times[labels == LABELS.index("Thumb Up")]
    assert thumb.min() == pytest.approx(part.start + KNOWN_FROM * (part.end - part.start), abs=0.02)
    assert thumb.max() == pytest.approx(part.end + 0.3, abs=0.02)
    assert labels[0] == LABELS.index(NO_GESTURE)
    assert (labels[(times > part.start) & (times < part.start + 0.1)] == IGNORE).all()
    assert part.start < middle < part.end


def test_streams_hold_ten_gestures_with_their_times():
    config = ModelConfig(size=32)
    frames, starts, ends, labels = SyntheticStreams(1, config, "default", split="test")[0]
    assert len(starts) == len(ends) == len(labels) == SyntheticStreams.GESTURES
    assert (starts < ends).all()
    assert (ends[:-1] < starts[1:]).all()
    assert starts[0] > 0
    assert ends[-1] < len(frames)
    scene, _ = stream_scene("test", 0, 10_000_000, 1.0, SyntheticStreams.GESTURES)
    times = np.arange(len(frames)) / config.frame_rate
    gestures = [p for p in scene.segments if p.label not in (NO_GESTURE, OTHER)]
    for part, start, end in zip(gestures, starts, ends, strict=True):
        inside = np.flatnonzero((times >= part.start) & (times <= part.end))
        assert [inside[0], inside[-1]] == [start, end]
    none = {LABELS.index(NO_GESTURE), LABELS.index(OTHER)}
    assert not none & set(labels.tolist())


def test_stream_time_line_does_not_overlap():
    scene, length = stream_scene("test", 0, 4, 1.0, 30)
    for before, after in zip(scene.segments, scene.segments[1:], strict=False):
        assert before.end < after.start
    assert scene.segments[-1].end == pytest.approx(length)


def test_hand_moves_smoothly_through_a_stream():
    """No jump between segments: 5 ms apart, no joint moves more than 5 cm (10 m/s)."""
    scene, length = stream_scene("test", 0, 9, 1.0, 20)
    ends, _ = capsules(evaluate(scene.segments, np.arange(0, length, 0.005)), scene.shape)
    step = np.linalg.norm(np.diff(ends[:, :19], axis=0), axis=-1)
    assert step.max() < 0.05


def test_training_windows_know_labels_and_poses():
    window = training_window(0, LABELS.index("Stop Sign"), 48, 1.0, 10.0)
    assert window.frames.shape == (WINDOW, 3, 48, 48)
    assert window.labels.shape == (WINDOW,)
    assert np.isfinite(window.poses).all()
    assert np.abs(window.poses).max() < 10


def test_mirrored_classes_are_the_lateral_pairs():
    pairs = {pair[0] for pair in TIME_PAIRS}
    assert set(LATERAL) < pairs


def test_unknown_difficulty_and_foreign_labels_are_refused():
    with pytest.raises(BadInput, match="brutal"):
        SyntheticClips("test", 1, difficulty="brutal", **SMALL)
    with pytest.raises(BadInput, match="--data"):
        open_clips(None, "test", ModelConfig(num_classes=2), labels=["a", "b"])
    with pytest.raises(BadInput, match="at least one"):
        open_clips(None, "test", ModelConfig(), 0)
