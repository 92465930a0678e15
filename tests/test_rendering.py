"""The pictures of the renderer: that they show the hand, and what varies in them."""

import numpy as np
import pytest
import torch

from core.data.rendered.capsules import camera
from core.data.rendered.capsules.camera import render
from core.data.rendered.gestures import segment
from core.data.rendered.hand import capsules
from core.data.rendered.scenes import DIFFICULTY, clip_scene, make_scene
from core.data.rendered.synthetic import SyntheticClips, training_window
from core.labels import LABELS, NO_GESTURE, STATIC_LABELS

SMALL = {"frames": 6, "size": 48, "frame_rate": 10.0}
CHANGED = 8  # levels of 255 by which a pixel has to differ to count
LEAST_HAND = 0.02  # part of the picture that a gesturing hand covers in every frame
LEAST_MOTION = 0.25  # pixels that a hand changes in 0.3 s, relative to those that it covers
# Motion of a pose, in metres, radians or flexion: twice five standard deviations of the tremor.
TREMOR = 0.2
# Part of the values that a GPU may draw otherwise: its sums have another order, and where two
# capsules are equally near, or a DCT coefficient lies on a rounding step, another side wins.
DEVICE_PIXELS = 0.02


def changed(a, b):
    """Where two clips differ: (T, S, S)."""
    return (a.int() - b.int()).abs().amax(1) > CHANGED


def hand_away(poses, shape):
    """``capsules`` of a hand and arm far above the picture."""
    ends, radii = capsules(poses, shape)
    return ends + np.array([0.0, 99.0, 0.0]), radii


def hand_held(poses, shape):
    """``capsules`` of a hand that stays where it is in the middle of the clip."""
    return capsules(np.repeat(poses[len(poses) // 2][None], len(poses), 0), shape)


@pytest.mark.parametrize("label", LABELS)
def test_every_class_renders_a_moving_or_still_hand(label, monkeypatch):
    """The same scene without the hand, and with one that does not move, looks otherwise."""
    clips, index = SyntheticClips("val", 27, **SMALL), LABELS.index(label)
    frames, found = clips[index]
    assert found == index
    monkeypatch.setattr(camera, "capsules", hand_away)
    hand = changed(frames, clips[index][0])  # (T, S, S)
    if label == NO_GESTURE:  # often below the picture
        return
    assert hand.float().mean((1, 2)).min() > LEAST_HAND, "there is no hand in some frame"
    if label not in STATIC_LABELS:
        monkeypatch.setattr(camera, "capsules", hand_held)
        moved = changed(frames, clips[index][0])
        place = hand | hand[len(hand) // 2]  # of the moving hand and of the held one
        motion = (moved & place).sum((1, 2)) / hand.sum((1, 2))
        assert motion.max() > LEAST_MOTION, "the hand does not move"


@pytest.mark.parametrize("label", LABELS)
def test_poses_move_where_the_class_does(label):
    moved = []
    for seed in range(9):
        part = segment(label, 0.0, np.random.default_rng(seed), False, 1.0, (0.0, 0.0, 0.5))
        moved.append(np.ptp(part.track(np.linspace(0, 1, 21)), axis=0).max())
    if label in STATIC_LABELS:
        assert max(moved) < TREMOR
    else:
        assert np.median(moved) > TREMOR  # other motion is slight at times


def test_difficulty_scales_the_variation():
    """Hands' lengths spread more the harder the clips are."""
    spread = [
        np.std([make_scene("test", 0, i, DIFFICULTY[name]).shape.length for i in range(200)])
        for name in ("easy", "default", "hard")
    ]
    assert spread[0] < 0.7 * spread[1] < 0.7 * spread[2]


def test_easy_and_hard_clips_are_whole_pictures_of_their_own(monkeypatch):
    """Finite before they are rounded to bytes, where they could not be anything else."""
    compressed, compress = [], camera.compress
    monkeypatch.setattr(
        camera, "compress", lambda x, quality: compressed.append(x) or compress(x, quality)
    )
    shown = {}
    for name in ("easy", "default", "hard"):
        clips = SyntheticClips("test", 5, difficulty=name, **SMALL)
        shown[name] = torch.stack([clips[i][0] for i in range(5)])
        assert torch.equal(shown[name][2], clips[2][0]), "another picture the second time"
        assert shown[name].float().std((1, 2, 3, 4)).min() > 5, "a picture is flat"
        assert len(shown[name].flatten(1).unique(dim=0)) == 5
        window = training_window(0, 3, 48, DIFFICULTY[name], 10.0)
        assert np.isfinite(window.poses).all()
        assert window.frames.float().std() > 5
    for a, b in (("easy", "default"), ("default", "hard"), ("easy", "hard")):
        assert all(changed(x, y).any() for x, y in zip(shown[a], shown[b], strict=True))
    assert len(compressed) > 5
    assert all(x.isfinite().all() for x in compressed)


def test_rendering_is_the_same_in_a_batch_of_times_and_alone():
    scene, middle = clip_scene("val", 0, 3, "Swiping Up", 0.0, NO_GESTURE, 2.0)
    scene.noise = 0.0  # the noise field is cut anew for each call
    times = middle + np.arange(3) / 10
    together = render(scene, times, 48, 0.0)
    alone = torch.cat([render(scene, times[i : i + 1], 48, 0.0) for i in range(3)])
    assert (together.int() - alone.int()).abs().max() <= 1  # rounding to bytes


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
        ),
    ],
)
def test_rendering_on_a_device_is_that_of_the_cpu(device):
    scene, middle = clip_scene("val", 0, 3, "Swiping Up", 1.0, NO_GESTURE, 2.0)
    times = middle + np.arange(3) / 10
    expected, got = render(scene, times, 48, 1.0), render(scene, times, 48, 1.0, device=device)
    assert got.device.type == device
    assert got.dtype == torch.uint8
    differ = (expected.int() - got.cpu().int()).abs() > 1  # rounding to bytes
    assert differ.float().mean() <= (0 if device == "cpu" else DEVICE_PIXELS)
