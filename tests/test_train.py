"""Training and evaluation by their command lines, on windows and clips small enough for a test."""

import json
import math
import shlex
import sys
from dataclasses import replace

import pytest
import torch
from helpers import make_model
from small_runs import TINY, write_own_clips

from benchmarks.model_card import command
from core import checkpoint
from core.data.augment import augment, mirror, mirror_map
from core.data.rendered import synthetic
from core.data.rendered.hand import KEYPOINTS
from core.data.rendered.scenes import POSE_TARGETS, POSE_VALUES
from core.errors import BadInput
from core.evaluation.report import main as evaluate
from core.labels import IGNORE, LABELS
from core.model import VideoClassifier
from core.training import trainer
from core.training.loop import (
    _families,
    learning_rate,
    model_config,
    parse,
    size_at,
    start_from,
    train,
)
from core.training.loop import main as run
from core.training.strided import replace_strided_depthwise
from core.training.supervision import losses

ROUNDING = 1e-5  # float32 sums in another order, relative to values of order 1


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Rendered windows go below the working directory."""
    monkeypatch.chdir(tmp_path)


def test_trains_on_synthetic_gestures_and_evaluates(tmp_path):
    out = tmp_path / "run"
    assert run([*TINY, "--out", str(out)]) == 0
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records] == [2, 4]
    assert all(math.isfinite(r["loss_frame"]) and math.isfinite(r["loss_pose"]) for r in records)
    loaded = checkpoint.load(out / "best.safetensors")
    assert loaded.labels == list(LABELS)
    assert loaded.config.size == 32
    report = tmp_path / "report.json"
    argv = ["--checkpoint", str(out / "best.safetensors"), "--clips", "27", "--streams", "1"]
    argv.append("--capsules")
    assert evaluate([*argv, "--pairs", "2", "--workers", "0", "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert found["clips"] == 27
    assert set(found["by_class"]) == set(LABELS)
    assert found["stream"]["gestures"] == synthetic.SyntheticStreams.GESTURES
    assert len(found["pairs"]) == 10


def test_models_of_two_sizes_train_on_the_same_windows(tmp_path):
    for size in ("32", "48"):
        argv = [*TINY, "--out", str(tmp_path / size), "--size", size, "--window-size", "48"]
        assert run([*argv, "--stop", "1"]) == 0
    (folder,) = (tmp_path / "runs" / "windows").iterdir()
    assert json.loads((folder / "settings.json").read_text())["size"] == 48


@pytest.mark.parametrize(
    "options",
    [
        ["--size", "8"], ["--frames", "0"], ["--clips", "0"], ["--batch", "0"], ["--every", "0"],
        ["--steps", "0"], ["--seed", "-1"], ["--lr", "0"], ["--width", "nan"],
        ["--causal", "--bidirectional"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_options_that_no_run_can_have_leave_nothing(tmp_path, options):
    with pytest.raises(BadInput, match=options[0]):
        run([*TINY, "--out", str(tmp_path / "run"), *options])
    assert not list(tmp_path.iterdir())


def test_refused_before_anything_is_rendered_or_made(tmp_path):
    with pytest.raises(BadInput, match="25 frames: rendered windows have 24"):
        run([*TINY, "--out", str(tmp_path / "run"), "--frames", "25"])
    with pytest.raises(BadInput, match="does not exist"):
        run([*TINY, "--out", str(tmp_path / "run"), "--from", str(tmp_path / "no.safetensors")])
    assert not list(tmp_path.iterdir())
    with pytest.raises(BadInput, match="--window-size 32 is less than the model's 64"):
        run([*TINY, "--out", str(tmp_path / "run"), "--size", "64", "--window-size", "32"])
    assert not list(tmp_path.iterdir())
    file = tmp_path / "file"
    file.write_text("kept")
    with pytest.raises(BadInput, match="is a file"):
        run([*TINY, "--out", str(file)])
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def scalars(folder):
    """Name -> [(step, value)] of what TensorBoard would draw."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = events.EventAccumulator(str(folder))
    read.Reload()
    return {
        name: [(e.step, e.value) for e in read.Scalars(name)] for name in read.Tags()["scalars"]
    }


def test_curves_for_tensorboard_are_the_log_and_go_on_with_a_resumed_run(tmp_path):
    out, curves = tmp_path / "run", tmp_path / "curves"
    argv = [*TINY, "--out", str(out), "--tensorboard", str(curves)]
    assert run([*argv, "--stop", "2"]) == 0
    assert [step for step, _ in scalars(curves)["accuracy"]] == [2]
    assert run(argv) == 0
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    found = scalars(curves)
    assert {"accuracy", "lr", "loss/frame", "loss/pose", "clips_per_second"} <= set(found)
    for name in ("accuracy", "loss/frame"):
        logged = [(r["step"], r[name.replace("/", "_")]) for r in records]
        assert found[name] == [(step, pytest.approx(value)) for step, value in logged]


def test_curves_without_the_extra_are_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(BadInput, match=r"--tensorboard needs .*action-mobile\[curves\]"):
        run([*TINY, "--out", str(tmp_path / "run"), "--tensorboard", str(tmp_path / "curves")])
    assert not list(tmp_path.iterdir())


@pytest.fixture
def own_clips(tmp_path):
    return write_own_clips(tmp_path / "own")


def test_fine_tunes_to_other_labels_from_a_folder(tmp_path, own_clips):
    start, out = tmp_path / "start.safetensors", tmp_path / "mine"
    model = make_model(width=0.25, size=32, frames=4, num_classes=27)
    checkpoint.save(start, model, list(LABELS))
    argv = [*TINY, "--data", str(own_clips), "--from", str(start), "--out", str(out)]
    path = train(parse(argv))
    loaded = checkpoint.load(path)
    assert loaded.labels == ["dislike", "like", "next"]
    assert loaded.config.num_classes == 3
    stem = "backbone.features.0.0.weight"
    drift = (loaded.model.state_dict()[stem] - model.state_dict()[stem]).abs().max()
    assert drift < 0.1, "the trunk did not start from the checkpoint"
    assert evaluate(["--checkpoint", str(path), "--data", str(own_clips), "--workers", "0"]) == 0


def test_starting_copies_what_fits(tmp_path):
    labels = ["a", "b", "c", "d", "e"]
    path = tmp_path / "start.safetensors"
    other = make_model(causal=False)
    checkpoint.save(path, other, labels)
    model = VideoClassifier(replace(other.config, causal=True))
    assert start_from(model, path, labels) == []
    key = "backbone.features.3.temporal.ste.conv.weight"
    (old, new), zero = (m.state_dict()[key] for m in (other, model)), torch.zeros(1, 1, 3, 3)
    assert torch.equal(new, torch.cat([zero, old[:, :2]], 1))  # taps of t-1 and t keep their frames
    renamed = start_from(model, path, [*labels[:4], "x"])
    assert renamed == ["classifier.bias", "classifier.weight"]
    wide = VideoClassifier(replace(other.config, width=0.5))
    assert _families(start_from(wide, path, labels)) == "backbone, temporal"


def test_frozen_parts_stay_as_they_were_and_the_rest_learns(tmp_path, own_clips):
    start, border = tmp_path / "start.safetensors", 7
    model = make_model(width=0.25, size=32, frames=4, num_classes=27)
    checkpoint.save(start, model, list(LABELS))
    argv = [*TINY, "--data", str(own_clips), "--from", str(start), "--freeze", str(border)]
    after = checkpoint.load(train(parse([*argv, "--out", str(tmp_path / "mine")]))).model
    before, learned = model.state_dict(), set()
    for name, value in after.backbone.state_dict(prefix="backbone.").items():
        if int(name.split(".")[2]) < border:
            torch.testing.assert_close(value, before[name], rtol=ROUNDING, atol=ROUNDING)
        elif not torch.allclose(value.float(), before[name].float(), rtol=ROUNDING, atol=ROUNDING):
            learned.add(name)
    assert "backbone.features.7.conv.0.0.weight" in learned
    assert any(name.startswith("backbone.features.8.temporal.") for name in learned)
    assert "backbone.features.17.conv.3.running_mean" in learned


def test_what_a_start_does_not_have_is_not_frozen(tmp_path, own_clips):
    start = tmp_path / "start.safetensors"
    plain = make_model(width=0.25, size=32, frames=4, num_classes=27, temporal="none")
    checkpoint.save(start, plain, list(LABELS))
    argv = [*TINY, "--data", str(own_clips), "--from", str(start), "--temporal", "action"]
    with pytest.raises(BadInput, match=r"--freeze 7 would keep \d+ tensors .*features.3.temporal"):
        train(parse([*argv, "--freeze", "7", "--out", str(tmp_path / "mine")]))
    train(parse([*argv, "--freeze", "3", "--out", str(tmp_path / "mine")]))


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--freeze", "19"], "the trunk has 19 parts: give 1 to 18"), (["--freeze", "2"], "--from")],
)
def test_freezing_that_cannot_be_is_refused_before_anything_is_made(tmp_path, options, said):
    start = tmp_path / "start.safetensors"
    checkpoint.save(start, make_model(), ["a", "b", "c", "d", "e"])
    given = ["--from", str(start)] if said != "--from" else []
    with pytest.raises(BadInput, match=said):
        run([*TINY, *given, *options, "--out", str(tmp_path / "run")])
    assert [p.name for p in tmp_path.iterdir()] == ["start.safetensors"]


@pytest.mark.parametrize(("kind", "there", "chosen"), [
    ("cpu", True, "bf16"), ("cpu", False, "fp32"), ("cpu", None, "fp32"), ("cuda", False, "bf16"),
])  # fmt: skip
def test_bf16_is_the_default_where_it_is_not_emulated(monkeypatch, kind, there, chosen):
    check = None if there is None else lambda: there
    monkeypatch.setattr(trainer.torch.ops.mkldnn, trainer.CPU_BF16, check, raising=False)
    assert trainer.fast_precision(torch.device(kind)) == chosen


def test_causal_undoes_what_a_checkpoint_says(tmp_path):
    path = tmp_path / "start.safetensors"
    checkpoint.save(path, make_model(causal=False), ["a", "b", "c", "d", "e"])
    for option, causal in ((["--causal"], True), (["--bidirectional"], False), ([], False)):
        args = parse(["--out", "x", "--from", str(path), *option])
        assert model_config(args).causal == causal


def test_image_weights_leave_time_to_the_recipe(tmp_path):
    path = tmp_path / "start.safetensors"
    model = make_model(temporal="none", causal=True, mean=(0.4, 0.5, 0.6), size=64, frames=8)
    images = {"imported": {"kind": "torchvision mobilenet_v2", "images": True}}
    for info, expected in ((images, ("action", False, 8, 224)), ({}, ("none", True, 8, 64))):
        checkpoint.save(path, model, ["a", "b", "c", "d", "e"], info)
        args = parse(["--out", "x", "--recipe", "jester", "--from", str(path)])
        config = model_config(args)
        assert (config.temporal, config.causal, config.frames, config.size) == expected
        assert (config.width, config.mean) == (0.25, (0.4, 0.5, 0.6))


def test_model_card_prints_the_command_of_a_run():
    argv = ["--from", "a b.safetensors", "--causal", "--weight-decay", "0.1", "--seed", "3"]
    args = parse([*argv, "--out", "runs/mine"])
    settings = json.loads(json.dumps(vars(args), default=str))
    assert parse(shlex.split(command(settings, "mine"))[3:]) == args


def test_losses_ignore_what_cannot_be_known():
    logits = torch.randn(4, 2, 5, requires_grad=True)
    nothing = torch.full((2, 4), IGNORE)
    found = losses(logits, None, [], nothing, torch.tensor([IGNORE, IGNORE]), None)
    assert sum(value.item() for value in found.values()) == 0
    one = nothing.clone()
    one[1, 2] = 3
    losses(logits, None, [], one, torch.tensor([IGNORE, IGNORE]), None)["frame"].backward()
    touched = logits.grad.abs().sum(-1) > 0
    assert touched.nonzero().tolist() == [[2, 1]]


def test_pose_loss_sees_the_change_between_frames():
    targets = torch.zeros(1, 3, POSE_TARGETS)
    targets[0, 2] = 1.0
    pose = torch.zeros(3, 1, 2, POSE_VALUES)
    pose[:, 0, 0] = targets[0, :, :POSE_VALUES]
    arguments = (
        torch.zeros(3, 1, 5), pose, [], torch.full((1, 3), IGNORE), torch.tensor([IGNORE])
    )  # fmt: skip
    wrong = losses(*arguments, targets)["pose"]
    pose[2, 0, 1] = 3.0  # MOTION_SCALE times the change
    assert losses(*arguments, targets)["pose"] < 1e-6 < wrong


def test_mirroring_swaps_lateral_classes_alone():
    swapped = mirror_map(list(LABELS))
    names = {LABELS[i]: LABELS[j] for i, j in enumerate(swapped.tolist()) if i != j}
    assert names["Swiping Left"] == "Swiping Right"
    assert names["Turning Hand Clockwise"] == "Turning Hand Counterclockwise"
    assert len(names) == 6
    assert mirror_map(["a", "b"]) is None


def test_mirrored_pictures_take_labels_and_poses_along():
    frames = torch.randint(0, 255, (8, 2, 3, 4, 4), dtype=torch.uint8)
    labels = torch.full((8, 2), LABELS.index("Swiping Left"))
    labels[:, 0] = IGNORE
    poses = torch.ones(8, 2, POSE_TARGETS)
    generator = torch.Generator().manual_seed(0)
    out = mirror(frames, labels, labels[:, 1], poses, mirror_map(list(LABELS)), generator)
    turned = out[2] == LABELS.index("Swiping Right")
    assert 0 < int(turned.sum()) < 8
    assert torch.equal(out[0][turned], frames[turned].flip(-1))
    assert torch.equal(out[0][~turned], frames[~turned])
    assert (out[1][:, 0] == IGNORE).all()
    assert (out[3][turned][..., 0] == -1).all()
    assert (out[3][~turned] == 1).all()


@pytest.mark.parametrize("close", [False, True])
def test_augmented_crop_moves_the_pose_with_the_picture(close):
    """A bright dot and its pose target stay together through crop and scale."""
    frames = torch.zeros(6, 1, 3, 64, 64, dtype=torch.uint8)
    frames[..., 30:34, 36:40] = 255
    poses = torch.zeros(6, 1, POSE_TARGETS)
    poses[..., 0], poses[..., 1] = 2 * 38 / 64 - 1, 1 - 2 * 32 / 64
    poses[..., POSE_VALUES:] = poses[..., :2].repeat(1, 1, len(KEYPOINTS))
    pixels, moved = augment(frames, 64, torch.Generator().manual_seed(1), poses, close)
    assert torch.allclose(moved[..., POSE_VALUES:], moved[..., :2].repeat(1, 1, len(KEYPOINTS)))
    for clip, target in zip(pixels[:, 0].mean(1), moved[:, 0], strict=True):
        bright = (clip > clip.amax() * 0.8).nonzero().float().mean(0) + 0.5
        x, y = (float(target[0]) + 1) * 32, (1 - float(target[1])) * 32
        assert abs(float(bright[1]) - x) < 1.0  # a pixel
        assert abs(float(bright[0]) - y) < 1.0


def test_schedule_rises_falls_and_grows():
    rates = [learning_rate(step, 100, 1.0) for step in range(100)]
    assert max(rates) == pytest.approx(1.0)
    assert rates[0] < rates[4] > rates[50] > rates[99] > 0
    sizes = [size_at(step, 100, 112) for step in range(100)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 80
    assert sizes[-1] == 112
    assert {size_at(step, 100, 112, full=True) for step in range(100)} == {112}


def test_strided_depthwise_at_stride_one_computes_the_same():
    model = make_model()
    x = torch.randn(6, 3, 64, 64)
    with torch.no_grad():
        expected = model.folded_logits(x, 6)
        replace_strided_depthwise(model)
        got = model.folded_logits(x, 6)
    assert (got - expected).abs().max() < ROUNDING * expected.abs().max().clamp(min=1)


def test_keypoint_loss_is_least_in_the_right_cell():
    targets = torch.full((1, 1, POSE_TARGETS), 5.0)  # all outside but the first
    targets[0, 0, POSE_VALUES : POSE_VALUES + 2] = torch.tensor([-0.9, 0.3])  # left, row 1 of 4
    found = []
    for cell in range(16):
        maps = torch.zeros(1, len(KEYPOINTS), 4, 4)
        maps[0, 0].view(-1)[cell] = 5.0
        arguments = (torch.full((1, 1), IGNORE), torch.tensor([IGNORE]), targets)
        pose = torch.zeros(1, 1, 2, POSE_VALUES)
        found.append(float(losses(torch.zeros(1, 1, 5), pose, [maps], *arguments)["points"]))
    assert found.index(min(found)) == 4
