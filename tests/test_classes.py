"""Which classes count: maps in files, regrouped models, clips, training, exports and live."""

import json
from pathlib import Path

import pytest
import torch
from clips import refusal
from fake_target import LABELS, install, make_checkpoint, use_noise_clips
from helpers import random_clip
from short_models import clips_for, make_short, play, relative
from small_runs import TINY, write_own_clips

from core import checkpoint, evaluate, train
from core.classes import class_map, read_classes
from core.data import open_clips, open_windows
from core.data.source import Source
from core.decision import idle_labels
from core.errors import BAD_INPUT, BadInput
from core.labels import IGNORE
from core.labels import LABELS as JESTER
from core.model import ModelConfig
from core.regroup import Merge, Regrouped, regrouped
from mobile_export import __main__ as export_cli
from mobile_export import load_bundle
from mobile_export.bundle import reader
from mobile_export.graph import forms
from mobile_export.live import __main__ as live
from mobile_export.runtime.coreml import open_coreml
from mobile_export.runtime.executorch import open_pte
from mobile_export.runtime.vulkan import open_vulkan
from mobile_export.targets import coreml, vulkan, xnnpack
from mobile_export.verify import __main__ as verify

ROUNDING = 2e-6  # of logits around 10: float32 and the polynomial
HALF = 3e-2  # of the largest logit: every result rounded to 11 bits
STEPS = 1e-6  # an int8 program against its own graph, which the same runtime rounds alike
SWIPES = {"swipe": ["Swiping Left", "Swiping Right"], "rest": ["No gesture", "*"]}


def written(folder: Path, content: object) -> Path:
    path = folder / "map.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


# The file


def test_a_list_keeps_and_an_object_renames_and_merges(tmp_path: Path) -> None:
    kept = read_classes(written(tmp_path, ["Thumb Up", "Swiping Left"])).over(LABELS)
    assert kept.labels == ["Thumb Up", "Swiping Left"]
    assert kept.numbers(LABELS) == [None, None, 1, None, 0]
    assert kept.dropped == ["Doing other things", "No gesture", "Swiping Right"]
    assert "3 are dropped" in kept.told()
    merged = read_classes(written(tmp_path, SWIPES)).over(LABELS)
    assert merged.labels == ["swipe", "rest"]
    assert merged.numbers(LABELS) == [1, 1, 0, 0, 1]
    assert merged.dropped == []
    assert merged.members()["rest"] == ["Doing other things", "No gesture", "Thumb Up"]


def test_what_meant_no_gesture_does_so_under_its_new_name() -> None:
    before = idle_labels(LABELS)
    assert class_map({"stille": "No gesture", "l": "Swiping Left"}).idle(before) == ["stille"]
    assert class_map({"rest": "*", "l": "Swiping Left"}).idle(before) == ["rest"]
    assert class_map({"mix": ["No gesture", "Thumb Up"], "l": "Swiping Left"}).idle(before) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is not JSON"),
        ("{'a': 'b'}", "is not JSON"),
        ("7", "neither a list nor an object"),
        ("[]", "leaves nothing"),
        ("{}", "leaves nothing"),
        (["Thumb Up"], "leaves only 'Thumb Up'"),
        (["Thumb up", "No gesture"], "none of the 5 classes: did you mean 'Thumb Up'?"),
        (["Wave", "No gesture"], "give one of 'Doing other things'"),
        (["Thumb Up", "Thumb Up"], "the new class 'Thumb Up' is named twice"),
        ({"a": "Thumb Up", "b": ["No gesture", "Thumb Up"]}, "'Thumb Up' is named twice"),
        ('{"a": "Thumb Up", "a": "No gesture"}', "the new class 'a' is named twice"),
        ({"a": "*", "b": "*"}, r"'\*' is named twice"),
        ({"a": [], "b": "Thumb Up"}, "'a' holds no class"),
        ({"a": 1, "b": "Thumb Up"}, "1 is no name of a class"),
        ({"": "No gesture", "b": "Thumb Up"}, "'' is no name of a class"),
        ({"*": "No gesture", "b": "Thumb Up"}, "give that class a name"),
        ({"a": list(LABELS), "b": "*"}, "'b' holds no class, all are named"),
    ],
)
def test_maps_that_make_no_sense_are_refused(content, reason, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=reason) as refused:
        read_classes(written(tmp_path, content)).over(LABELS)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path, capsys) -> None:
    for command in (evaluate.main, live.main):
        with pytest.raises(BadInput, match=r"--classes: .*none\.json cannot be read"):
            command(["--classes", str(tmp_path / "none.json")])


# Logits


@pytest.mark.parametrize("seed", range(8))
def test_a_merged_class_has_the_sum_of_the_probabilities(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    count = int(torch.randint(2, 40, (), generator=generator))
    logits = 12 * torch.randn(16, count, generator=generator)
    new = int(torch.randint(1, min(6, count) + 1, (), generator=generator))
    numbers = [*range(new), *torch.randint(-1, new, (count - new,), generator=generator).tolist()]
    head = Merge([None if n == IGNORE else n for n in numbers], new)
    held = [[i for i, n in enumerate(numbers) if n == k] for k in range(new)]
    wanted = torch.stack([logits[:, group].logsumexp(1) for group in held], 1)
    torch.testing.assert_close(head(logits), wanted, rtol=ROUNDING, atol=10 * ROUNDING)
    chances = logits.softmax(1)
    if all(n != IGNORE for n in numbers):
        sums = torch.stack([chances[:, group].sum(1) for group in held], 1)
        torch.testing.assert_close(head(logits).softmax(1), sums, rtol=1e-4, atol=ROUNDING)
    alone = [k for k, group in enumerate(held) if len(group) == 1]
    assert torch.equal(head(logits)[:, alone], logits[:, [held[k][0] for k in alone]])


def test_far_logits_stay_finite() -> None:
    head = Merge([0, 0, 1], 2)
    far = torch.tensor([[-3e4, 3e4, 0.0], [1e30, -1e30, 5.0], [-200.0, -200.0, 200.0]])
    assert head(far).isfinite().all()
    torch.testing.assert_close(head(far)[2, 0], torch.tensor(-200 + 0.6931472))


def test_a_regrouped_model_streams_as_its_base_does(tmp_path: Path) -> None:
    loaded = checkpoint.load(make_checkpoint(tmp_path))
    changed, known = regrouped(loaded, class_map(SWIPES))
    assert changed.labels == ["swipe", "rest"] == known.labels
    assert changed.config.num_classes == 2
    assert idle_labels(changed.labels, changed.info) == ["rest"]
    clip = random_clip(2, loaded.config)
    with torch.inference_mode():
        old, new = loaded.model.frame_logits(clip), changed.model.frame_logits(clip)
        torch.testing.assert_close(new[..., 0], old[..., 2:4].logsumexp(-1))
        torch.testing.assert_close(changed.model(clip)[:, 0], old.mean(1)[:, 2:4].logsumexp(1))
        state, rows = changed.model.initial_state(2), []
        for frame in clip.unbind(1):
            logits, state = changed.model.step(frame, state)
            rows.append(logits)
    torch.testing.assert_close(torch.stack(rows, 1), new, rtol=1e-4, atol=1e-4)


# Clips


def test_clips_of_other_classes_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "own"
    write_own_clips(root)
    config = ModelConfig(size=32, frames=4)
    classes = class_map({"thumb": ["like", "dislike"], "swipe": "next"})
    train_clips = open_windows(Source(root), config, 1, 0, 0, classes=classes)
    assert train_clips.labels == ["thumb", "swipe"]
    assert train_clips.map.known == ("dislike", "like", "next")
    old = open_windows(Source(root), config, 1, 0, 0)
    assert (
        [train_clips[(i, 0)][1] for i in range(len(train_clips))]
        == [{0: 0, 1: 0, 2: 1}[label] for label in old.classes]
        == train_clips.classes
    )
    kept = class_map(["next", "like"])
    some = open_clips(Source(root), "train", config, classes=kept, labels=["next", "like"])
    assert sorted(set(some.classes)) == [0, 1]
    assert len(some) == sum(label != 0 for label in old.classes)
    with pytest.raises(BadInput, match="give the --classes that it was trained with"):
        open_clips(Source(root), "train", config, classes=kept, labels=["like", "next"])
    nobody = class_map(["Wave", "Bow"])
    with pytest.raises(BadInput, match=r"keeps none of the .* train clips"):
        open_clips(Source(root), "train", config, classes=nobody)


def test_rendered_clips_are_of_the_classes_that_count() -> None:
    config = ModelConfig(size=32, frames=2)
    classes = class_map({"up": "Thumb Up", "down": "Thumb Down"}).over(JESTER)
    clips = open_clips(None, "test", config, 4, classes=classes, labels=["up", "down"])
    assert [clips[i][1] for i in range(4)] in ([0, 1, 0, 1], [1, 0, 1, 0])


# A training and its evaluation


def test_train_and_evaluate_with_a_map(tmp_path: Path, capsys) -> None:
    root, out = tmp_path / "own", tmp_path / "run"
    write_own_clips(root)
    path = written(tmp_path, {"thumb": ["like", "dislike"], "stille": "next"})
    argv = [*TINY, "--data", str(root), "--out", str(out), "--classes", str(path)]
    assert train.main([*argv, "--none", "next"]) == 0
    told = capsys.readouterr().out
    assert "3 classes become 2" in told
    assert "taken for no gesture: 'stille'" in told
    made = checkpoint.load(out / "best.safetensors")
    assert made.labels == ["thumb", "stille"]
    assert idle_labels(made.labels, made.info) == ["stille"]
    best = ["--checkpoint", str(made.path), "--data", str(root), "--workers", "0"]
    assert evaluate.main([*best, "--classes", str(path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["by_class"]) == {"thumb", "stille"}
    with pytest.raises(BadInput, match="unknown class 'dislike'"):
        evaluate.main(best)  # the clips' own classes are not the model's
    path.write_text(json.dumps({"thumb": "like", "stille": "next"}))
    with pytest.raises(BadInput, match=r"other settings \(classes"):
        train.main([*argv, "--none", "next"])
    path.write_text(json.dumps(["Like", "next"]))
    with pytest.raises(BadInput, match="did you mean 'like'"):
        train.main(["--out", str(tmp_path / "other"), *argv[:-4], *argv[-2:]])


# Exports


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch) -> Path:
    path = make_checkpoint(tmp_path)
    use_noise_clips(monkeypatch, path)
    install(monkeypatch)
    return path


def exported(tiny: Path, *more: str) -> Path:
    argv = ["--target", "xnnpack", "--precision", "fp32", "--checkpoint", str(tiny), *more]
    assert export_cli.main([*argv, "--out", str(tiny.parent / "out")]) == 0
    return max((tiny.parent / "out").iterdir(), key=lambda path: path.stat().st_mtime_ns)


def test_export_and_live_answer_alike(tiny: Path, tmp_path: Path, capsys) -> None:
    path = written(tmp_path, SWIPES)
    plain, other = exported(tiny), exported(tiny, "--classes", str(path))
    assert other.name == "mobilenet_v2-action-2classes-stream-xnnpack-fp32"
    assert "5 classes become 2" in capsys.readouterr().out
    manifest = reader.load(other).manifest
    assert manifest["labels"] == ["swipe", "rest"]
    assert manifest["classes"] == SWIPES
    assert manifest["decision"]["none_labels"] == ["rest"]
    assert manifest["outputs"][0]["shape"] == [1, 2]
    assert manifest["accuracy"]["checkpoint_top1"] == manifest["accuracy"]["artifact_top1"]
    assert verify.main([str(other), "--checkpoint", str(tiny)]) == 0
    a = load_bundle(other).open()
    b = load_bundle(plain, classes=path).open()
    assert a.labels == b.labels == ("swipe", "rest")
    pixels = torch.randint(0, 256, (6, 40, 50, 3), generator=torch.Generator().manual_seed(0))
    for picture in pixels.to(torch.uint8).numpy():
        a.decide(picture), b.decide(picture)
        assert a.answer == b.answer
    assert a.decider.rule == b.decider.rule


def test_a_manifest_whose_classes_were_changed_is_refused(tiny: Path, tmp_path: Path) -> None:
    other = exported(tiny, "--classes", str(written(tmp_path, SWIPES)))
    file = other / "manifest.json"
    for classes, reason in (
        ({"swipe": ["Swiping"], "rest": "*"}, "is not a valid manifest"),
        ({"swipe": ["Swiping"], "rest": ["*"]}, "none of the 5 classes"),
        ({"rest": ["*"], "swipe": ["Swiping Left"]}, "was changed after the export"),
    ):
        manifest = json.loads(file.read_text()) | {"classes": classes}
        file.write_text(json.dumps(manifest))
        with pytest.raises(BadInput, match=reason):
            verify.main([str(other), "--checkpoint", str(tiny)])


def test_a_map_that_does_not_fit_leaves_nothing(tiny: Path, tmp_path: Path) -> None:
    argv = ["--target", "xnnpack", "--checkpoint", str(tiny), "--out", str(tmp_path / "none")]
    with pytest.raises(BadInput, match="did you mean 'Swiping Left'"):
        export_cli.main([*argv, "--classes", str(written(tmp_path, ["swiping left", "Thumb Up"]))])
    assert not (tmp_path / "none").exists()
    assert "no.json cannot be read" in refusal(
        lambda: export_cli.main([*argv, "--classes", "no.json"])
    )


def run_live(bundle: Path, *options: str) -> int:
    return live.main([str(bundle), *options])


def test_live_refuses_what_it_cannot_do(tiny: Path, tmp_path: Path) -> None:
    path = written(tmp_path, ["Thumb Up", "Waving"])
    with pytest.raises(BadInput, match="'Waving' is none of the 5 classes"):
        run_live(exported(tiny), "--classes", str(path), "--source", "synthetic", "--seconds", "1")
    with pytest.raises(BadInput, match="--classes is of a bundle"):
        live.main(["--record", "x", "--out", str(tmp_path), "--classes", str(path)])
    assert BAD_INPUT == 2


# Every target

# XNNPACK by default is test_export_and_live_answer_alike; a precision is lowered the same way
# whatever the classes are.
CASES = [
    ("coreml", "fp16"),
    *(pytest.param(target, precision, marks=pytest.mark.slow)
      for target, precision in (
          ("xnnpack", "fp32"), ("xnnpack", "int8"), ("vulkan", "fp16"), ("vulkan", "int8"),
          ("coreml", "int8"))),
]  # fmt: skip


@pytest.mark.parametrize(("target", "precision"), CASES)
def test_every_target_regroups_by_itself(target: str, precision: str, tmp_path: Path) -> None:
    base = make_short("none" if target == "coreml" else "action")
    numbers, labels = [1, None, 0, 0, 0], ["many", "one"]
    model = Regrouped(base, Merge(numbers, 2), 2).eval()
    clips = clips_for(base) if precision == "int8" else []
    lower = {"xnnpack": xnnpack, "vulkan": vulkan, "coreml": coreml}[target].lower
    made = lower(model, "stream", precision, clips, tmp_path, labels=labels)
    ready = forms.deployed(model, target)
    ports = forms.input_ports(ready, "stream", target), forms.output_ports(ready, "stream", target)
    assert ports[1][0].shape == (1, 2)
    config = model.config
    runner = {
        "xnnpack": lambda: open_pte(made.artifact, ports[0]),
        "vulkan": lambda: open_vulkan(made.artifact, *ports),
        "coreml": lambda: open_coreml(made.artifact, *ports, config.mean, config.std),
    }[target]()
    clip = clips_for(base, 1)[0]
    if target == "coreml":  # its input is whole pixels
        clip = ((clip * 0.5 + 0.5) * 255).round() / 255 * 2 - 1
    found = play(runner, ready, clip).logits
    same = play(lambda inputs: made.converted(*inputs), ready, clip).logits
    assert relative(found, same) < (HALF if precision == "fp16" else 5e-2)
    if precision != "int8":
        with torch.inference_mode():
            assert relative(found, model.frame_logits(clip[None])[0]) < HALF
    with torch.inference_mode():
        plain = forms.apart(ready)[0].frame_logits(clip[None])[0]
    wanted = torch.stack([plain[:, 2:].logsumexp(1), plain[:, 0]], 1)
    assert relative(found, wanted) < 0.5
