"""The benchmark of training: both sides compute the same, and its figures are those it measured."""

import copy
import json
from pathlib import Path

import pytest
import torch
import training
import training_published as published
from helpers import TINY, make_model, random_clip

from core.errors import BadInput
from core.model import ModelConfig

TOLERANCE = 1e-8  # float64 through all layers, relative to the largest value


@pytest.mark.parametrize("shift", ["fixed", "learned"])
@pytest.mark.parametrize("layout", list(training.FORMATS))
@pytest.mark.parametrize("train", [True, False])
def test_the_published_module_computes_what_core_computes(
    shift: str, layout: str, train: bool
) -> None:
    model = make_model(shift=shift, causal=False, width=0.5).double().train(train)
    for name, parameter in model.named_parameters():
        if "taps" in name:
            torch.nn.init.normal_(parameter, 0.3, 0.3)
    twin = published.use_published(copy.deepcopy(model), training.FORMATS[layout]).train(train)
    clip = random_clip(2, model.config).double()
    with torch.set_grad_enabled(train):
        ours, theirs = model(clip), twin(clip)
    assert (ours - theirs).abs().max() < TOLERANCE * ours.abs().max()
    if not train:
        return
    for logits in (ours, theirs):
        logits.logsumexp(-1).sum().backward()
    stem, other = (m.backbone for m in (model, twin))
    ours, theirs = stem.features[0][0].weight.grad, other.trunk.features[0][0].weight.grad
    assert (ours - theirs).abs().max() < TOLERANCE * ours.abs().max()


def test_both_sides_take_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []  # memory, as core.train keeps it on a CPU
    monkeypatch.setattr(training, "keep_freed", lambda: kept.append(True))
    config = ModelConfig(**(TINY | {"causal": False}))
    runs = training.sides(config, "fp32", torch.device("cpu"))
    found = training.measure(runs, config, 2, rounds=2, warmup=1)
    assert {name: len(seconds) for name, seconds in found.items()} == dict.fromkeys(runs, 2)
    assert list(runs) == ["core", "published channels_last", "published contiguous"]
    core, *others = (run.smoothed["clip"] for run in runs.values())
    assert others == pytest.approx([core] * 2, rel=1e-3)
    assert {run.step for run in runs.values()} == {3}
    assert kept


def test_core_is_held_to_the_faster_of_the_published_forms() -> None:
    found = {"core": [1.0, 9.0, 2.0], "published a": [3.0] * 3, "published b": [2.5] * 3}
    one = training.row(ModelConfig(), "bf16", 4, found)
    assert one["clips_per_second"] == {"core": 2.0, "published a": 1.333, "published b": 1.6}
    assert (one["faster_published"], one["ratio"]) == ("published b", 1.25)


def test_figures_are_written_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "t.json"
    argv = ["--backbone", "mobilenet_v2", "--shift", "fixed", "--size", "32", "--frames", "2"]
    argv += ["--batch", "2", "--rounds", "1", "--warmup", "1", "--cpu", "--json", str(out)]
    assert training.main(argv) == 0
    (one,) = json.loads(out.read_text())
    assert (one["backbone"], one["shift"], one["size"], one["batch"]) == (
        "mobilenet_v2", "fixed", 32, 2,
    )  # fmt: skip
    told = capsys.readouterr().out
    assert f"{one['ratio']:.2f}" in told
    assert "core / published >= 1.2" in told
    assert training.main(argv[:-2]) == 0
    assert "| mobilenet_v2 | fixed |" in capsys.readouterr().out
    with pytest.raises(BadInput, match="--json"):
        training.main([*argv[:-1], str(tmp_path / "no" / "t.json")])
