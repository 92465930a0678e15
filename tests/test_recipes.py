"""Recipes: parameter groups, schedules, and runs of them on small data sets."""

from pathlib import Path

import pytest
import torch
from datasets import write_egogesture
from helpers import make_model
from small_runs import SMALL, records

from core import checkpoint
from core.data.augment import flip_map
from core.errors import BadInput
from core.evaluation.report import main as evaluate
from core.labels import LABELS
from core.training.loop import main as run
from core.training.recipes import RECIPES, learning_rate, parameter_groups, slow_early
from core.training.supervision import Trainee

# What the recipes say


def test_published_recipes() -> None:
    expected = {"egogesture": (20, (5, 10, 15)), "jester": (25, (5, 10, 15)),
                "something": (50, (30, 40, 45))}  # fmt: skip
    for name, (epochs, falls) in expected.items():
        recipe = RECIPES[name]
        assert (recipe.epochs, recipe.milestones) == (epochs, falls)
        assert (recipe.optimizer, recipe.lr, recipe.weight_decay) == ("sgd", 0.01, 5e-4)
        assert (recipe.batch, recipe.dropout, recipe.clip_norm) == (64, 0.5, 20.0)
        assert (recipe.frames, recipe.size, recipe.causal) == (8, 224, False)
        assert not recipe.augment


def test_learning_rate_falls_to_a_tenth_after_each_milestone() -> None:
    recipe = RECIPES["something"]
    rates = [learning_rate(7 * epoch + 6, 350, 0.01, recipe.falls) for epoch in range(50)]
    assert rates[:30] == [0.01] * 30
    assert rates[30:40] == pytest.approx([1e-3] * 10)
    assert rates[40:45] == pytest.approx([1e-4] * 5)
    assert rates[45:] == pytest.approx([1e-5] * 5)
    assert learning_rate(7 * 30 - 1, 350, 0.01, recipe.falls) == 0.01
    assert learning_rate(7 * 30, 350, 0.01, recipe.falls) == pytest.approx(1e-3)


def test_parameter_groups_of_the_published_recipes() -> None:
    model = make_model()
    stem = model.backbone.features[0][0]
    stem.bias = torch.nn.Parameter(torch.zeros(stem.out_channels))  # BNInception's has one
    trainee = Trainee(model, 0)
    groups = parameter_groups(trainee, RECIPES["jester"], 5e-4)
    kind = {id(p): (g["lr_mult"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(kind) == sum(len(g["params"]) for g in groups) == len(list(trainee.parameters()))
    assert kind[id(model.classifier.weight)] == (5.0, 5e-4)
    assert kind[id(model.classifier.bias)] == (10.0, 0.0)
    assert kind[id(stem.weight)] == (1.0, 5e-4)
    assert kind[id(stem.bias)] == (2.0, 0.0)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {kind[id(p)] for norm in norms for p in norm.parameters()} == {(1.0, 0.0)}
    rest = [p for p in model.parameters() if p.ndim > 1 and p is not model.classifier.weight]
    assert {kind[id(p)] for p in rest} == {(1.0, 5e-4)}


def test_early_layers_learn_slower() -> None:
    trainee = Trainee(make_model(), 0)
    trunk = [p for n, p in trainee.model.backbone.named_parameters() if "temporal" not in n]
    groups = slow_early(parameter_groups(trainee, RECIPES["synthetic"], 0.02), trunk, 0.1)
    rate = {id(p): g["lr_mult"] for g in groups for p in g["params"]}
    assert len(rate) == sum(len(g["params"]) for g in groups) == len(list(trainee.parameters()))
    rates = [rate[id(p)] for p in trunk]
    assert rates == sorted(rates)
    assert (rates[0], rates[-1]) == (pytest.approx(0.1), 1.0)
    assert {rate[id(p)] for p in trainee.parameters()} - set(rates) == set()
    new = [p for n, p in trainee.named_parameters() if "temporal" in n or "classifier" in n]
    assert new
    assert {rate[id(p)] for p in new} == {1.0}
    decays = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    assert all(decays[id(p)] == (0.02 if p.ndim > 1 else 0.0) for p in trainee.parameters())


# Runs of them


def test_jester_recipe_trains_and_is_evaluated(jester: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    argv = ["--data", str(jester), "--out", str(out), "--epochs", "2", *SMALL]
    assert run(argv) == 0
    found = records(out)
    assert [r["step"] for r in found] == [3, 6]
    assert [r["lr"] for r in found] == pytest.approx([1e-4, 1e-5])  # falls at 1.2, 2.4 and 3.6
    assert found[0]["loss_frame"] == 0
    assert found[0]["loss_clip"] > 2
    loaded = checkpoint.load(out / "best.safetensors")
    assert not loaded.config.causal
    assert loaded.labels == list(LABELS)
    assert loaded.info["settings"]["sampling"] == "segments"
    argv = ["--data", str(jester), "--checkpoint", str(out / "last.safetensors"), "--workers", "0"]
    assert evaluate(argv) == 0


def test_sampling_and_loss_of_a_causal_model(tmp_path: Path) -> None:
    root = write_egogesture(tmp_path / "ego")
    out = tmp_path / "run"
    argv = ["--data", str(root), "--out", str(out), "--causal", "--steps", "1", *SMALL]
    assert run(argv) == 0
    (found,) = records(out)
    assert found["loss_frame"] > 0
    settings = checkpoint.load(out / "best.safetensors").info["settings"]
    assert settings["sampling"] == "windows"
    assert (settings["lr"], settings["batch"]) == (0.01, 4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precisions(jester: Path, tmp_path: Path, precision: str) -> None:
    out = tmp_path / "run"
    argv = ["--data", str(jester), "--steps", "2", *SMALL, "--precision", precision]
    run([*argv, "--out", str(out), "--stop", "1"])
    run([*argv, "--out", str(out)])
    assert records(out)[-1]["step"] == 2
    scaler = torch.load(out / "state.pt", weights_only=True)["scaler"]
    assert bool(scaler) == (precision == "fp16")


def test_recipes_need_their_data(tmp_path: Path) -> None:
    for options, said in (
        (["--recipe", "jester"], "--recipe jester is of a data set: .* --data DIR"),
        (["--sampling", "segments"], "--sampling is of clips in a folder"),
        (["--max-broken", "101"], "101 is not a number from 0 to 100"),
        (["--steps", "1", "--epochs", "1"], "--epochs"),
    ):
        with pytest.raises(BadInput, match=said):
            run([*options, "--out", str(tmp_path / "run")])
    assert not list(tmp_path.iterdir())


def test_batches_that_cannot_be_cut(jester: Path, tmp_path: Path) -> None:
    argv = ["--data", str(jester), "--out", str(tmp_path / "run"), *SMALL, "--accumulate", "3"]
    with pytest.raises(BadInput, match="4 clips a step of 12 cannot be cut into 3"):
        run(argv)
    with pytest.raises(BadInput, match="0 clips a step of 12 cannot be cut into 13"):
        run([*argv[:-1], "13"])


# Mirroring


def test_flip_maps(tmp_path: Path) -> None:
    file = tmp_path / "flip.json"
    labels = ["down", "left", "right"]
    file.write_text('{"left": "right"}')
    assert flip_map(file, labels).tolist() == [0, 2, 1]
    file.write_text('{"left": "right", "right": "left"}')
    assert flip_map(file, labels).tolist() == [0, 2, 1]
    file.write_text("{}")
    assert flip_map(file, labels).tolist() == [0, 1, 2]
    for text, said in (
        ("[1]", "no JSON map|not a JSON map"),
        ("{", "not a JSON map"),
        ('{"left": "up"}', "no such class"),
        ('{"left": "right", "right": "down"}', "two mirror images"),
    ):
        file.write_text(text)
        with pytest.raises(BadInput, match=said):
            flip_map(file, labels)


def test_nothing_is_mirrored_without_a_map(jester: Path, tmp_path: Path, monkeypatch) -> None:
    from core.training import trainer

    calls = []

    def mirror(*parts):
        calls.append(parts[4].tolist())
        return parts[:4]

    monkeypatch.setattr(trainer, "mirror", mirror)
    argv = ["--data", str(jester), "--steps", "1", *SMALL]
    run([*argv, "--out", str(tmp_path / "a")])
    run([*argv, "--recipe", "synthetic", "--out", str(tmp_path / "b")])
    assert not calls
    (tmp_path / "flip.json").write_text('{"Swiping Left": "Swiping Right"}')
    run([*argv, "--out", str(tmp_path / "c"), "--flip", str(tmp_path / "flip.json")])
    (swapped,) = calls
    assert LABELS[swapped[LABELS.index("Swiping Left")]] == "Swiping Right"
