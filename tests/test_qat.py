"""Quantization-aware training: what is trained is deployed, and nothing is lost on the way."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from fake_target import make_checkpoint, use_noise_clips
from safetensors.torch import save_file
from short_models import clips_for, eager, make_short, play, relative
from torch.utils.data import Dataset

from core.checkpoint import Checkpoint
from core.errors import BadInput
from core.model import VideoClassifier
from mobile_export import __main__ as export_cli
from mobile_export import exporter
from mobile_export.graph import forms
from mobile_export.quantization import coreml, executorch, learned, qat, training
from mobile_export.quantization.pt2e import (
    Scheme,
    convert,
    load_learned,
    prepare,
    quantize,
    weight_quantizers,
)

# Two batch sizes sum in another order; a value beside the edge of two steps may fall either way.
BATCHES_APART = 0.02
SCHEMES = [
    pytest.param(executorch.XNNPACK, id="executorch"),
    pytest.param(coreml.SCHEME, id="coreml", marks=pytest.mark.slow),
]
# Of the largest logit. Mostly equal to the bit; where a value lies on the edge between two steps,
# it falls either way: 4e-4 was seen with one thread.
ONE_FLIP = 5e-3


class Clips(Dataset):
    """Random pixels."""

    def __init__(self, model: VideoClassifier, count: int) -> None:
        generator = torch.Generator().manual_seed(3)
        shape = (count, 3, 3, model.config.size, model.config.size)
        self.pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.pixels[index], 0


def train(scheme: Scheme, saved: Path, steps: int, rate: float = 1e-3) -> dict[str, torch.Tensor]:
    model = make_short()
    checkpoint = Checkpoint(model=model, labels=list("abcde"), path=None, sha256="0" * 64)
    settings = qat.Settings("0" * 64, "executorch", "none", 2, steps, rate)
    return qat.learn(checkpoint, scheme, settings, clips_for(model, 2), Clips(model, 8), saved)


@pytest.fixture(scope="module", params=SCHEMES)
def trained(request, tmp_path_factory):
    saved = tmp_path_factory.mktemp("qat") / "run.state"
    return request.param, train(request.param, saved, 3)


def prepared_for(scheme: Scheme, state, batch: int):
    model = forms.deployed(make_short(), scheme.target)
    prepared = prepare(model, "stream", scheme, batch)
    load_learned(prepared, state)
    return model, prepared


@pytest.fixture(scope="module")
def alone(trained):
    """The model and its prepared graph of one stream, with what was learned; only read."""
    return prepared_for(*trained, 1)


def test_weights_learn_and_ranges_stay(trained):
    scheme, state = trained
    model = forms.deployed(make_short(), scheme.target)
    before = {f"model.{key}": value for key, value in model.state_dict().items()}
    changed = [key for key in before if key in state and not torch.equal(before[key], state[key])]
    weights = weight_quantizers(prepare(model, "stream", scheme))
    assert {name for name in weights if name in state} <= set(changed)


def test_what_was_trained_in_a_batch_computes_the_same_alone(trained, alone):
    model, together = prepared_for(*trained, qat.BATCH)
    _, single = alone
    clips = torch.stack(clips_for(model, qat.BATCH, seed=5))
    streams, logits = model.initial_state(qat.BATCH), []
    with torch.no_grad():
        for frame in clips.unbind(1):
            answer, *streams = together(frame, *streams)
            logits.append(answer)
        singly = torch.stack([play(eager(single), model, clip).logits for clip in clips], 1)
    assert relative(torch.stack(logits), singly) < BATCHES_APART


def test_the_converted_graph_is_the_trained_one(trained, alone):
    scheme, state = trained
    model, prepared = alone
    clip = clips_for(model, seed=5)[0]
    with torch.no_grad():
        expected = play(eager(prepared), model, clip).logits
        fresh = forms.deployed(make_short(), scheme.target)  # a prepared graph shares weights
        converted = quantize(fresh, "stream", scheme, [], lambda _: state)
        got = play(eager(converted), model, clip).logits
    # Core ML's scales are rounded to half precision on conversion.
    assert relative(got, expected) < (0.2 if scheme.target == "coreml" else BATCHES_APART)


def test_a_file_holds_all_that_was_learned(trained, alone, tmp_path):
    scheme, state = trained
    path = tmp_path / "learned.safetensors"
    settings = qat.Settings("0" * 64, "executorch", "none", 2, 3, 1e-3)
    model, prepared = alone
    learned.save(path, state, prepared, settings)
    assert learned.settings_of(path) == settings
    held = learned.load(path, prepare(model, "stream", scheme))
    clip = clips_for(model, seed=5)[0]
    with torch.no_grad():
        graphs = prepared, prepared_for(scheme, held, 1)[1]
        a, b = (play(eager(graph), model, clip).logits for graph in graphs)
    assert float((a - b).abs().max() / a.abs().max()) < ONE_FLIP
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="train again") as error:
        learned.load(path, prepare(model, "stream", scheme))
    assert "\n" not in str(error.value)
    assert learned.settings_of(tmp_path / "none.safetensors") is None


def test_the_clip_form_takes_the_learned_weights_with_their_ranges(trained):
    scheme, state = trained
    if scheme.target == "coreml":
        pytest.skip("Core ML has no int8 clip form")
    _, stream = prepared_for(scheme, state, 1)
    fresh = forms.deployed(make_short(), scheme.target)  # a prepared graph shares weights
    converted = quantize(fresh, "clip", scheme, clips_for(fresh), lambda _: state)
    stream = convert(stream, scheme)
    held = [
        sorted(m.sum().item() for m in g.state_dict().values() if m.dtype == torch.int8)
        for g in (converted, stream)
    ]
    assert held[0]
    assert held[0] == held[1]


def test_an_interrupted_run_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(qat, "KEEP_EVERY", 2)
    whole = train(executorch.XNNPACK, tmp_path / "whole.state", 4)
    step, calls = qat._step, []

    def stop(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(qat, "_step", stop)
    with pytest.raises(KeyboardInterrupt):
        train(executorch.XNNPACK, tmp_path / "cut.state", 4)
    resumed = train(executorch.XNNPACK, tmp_path / "cut.state", 4)
    assert len(calls) == 4 + 2  # two of the four steps were kept
    assert all(torch.equal(resumed[key], value) for key, value in whole.items())


def test_a_saved_state_of_other_settings_is_not_taken(tmp_path):
    train(executorch.XNNPACK, tmp_path / "run.state", 1)
    (tmp_path / "bad.state").write_bytes(b"PK" + bytes(100))
    with pytest.raises(BadInput, match=r"bad\.state is damaged .* remove it") as error:
        train(executorch.XNNPACK, tmp_path / "bad.state", 1)
    assert "\n" not in str(error.value)


def test_other_clips_or_another_graph_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(learned, "RUNS", tmp_path)
    settings = qat.Settings("sha", "executorch", "data", 4, clips="a", graph="g")
    assert learned.changed(settings) == []
    header = {learned.SETTINGS: json.dumps(asdict(settings))}
    save_file({"x": torch.zeros(1)}, tmp_path / "executorch-1.safetensors", header)
    assert learned.changed(replace(settings, clips="b")) == ["other clips"]
    assert learned.changed(replace(settings, graph="h", clips="b")) == [
        "another graph", "other clips",
    ]  # fmt: skip
    assert learned.changed(replace(settings, steps=7, clips="b")) == []


def test_training_that_diverges_ends_in_one_line(tmp_path):
    with pytest.raises(BadInput, match=r"loss is nan at step .* lower --qat-lr"):
        # Weights that are rounded stay in their range: it takes so much to overflow what does not.
        train(executorch.XNNPACK, tmp_path / "run.state", 9, rate=1e37)


@pytest.mark.parametrize("std", [(0.2, 0.25, 0.3), (0.5, 0.5, 0.5)], ids=str)
def test_a_std_that_core_ml_folds_is_not_trained_for(std, monkeypatch):
    checkpoint = Checkpoint(make_short(std=std), ["a"] * 5)
    monkeypatch.setattr(training, "_calibration", lambda *_: clips_for(checkpoint.model))
    monkeypatch.setattr(training, "_trained", lambda *_: pytest.fail("it trains"))
    said = []
    if len(set(std)) > 1:
        made = training.training_of(
            checkpoint, "coreml", exporter.Request(), lambda *w: said.append(w)
        )
        assert (made.learned, made.steps, made.calibration_clips) == (None, 0, 4)
        assert "differs by colour" in said[0][1]
    else:
        with pytest.raises(pytest.fail.Exception, match="it trains"):
            training.training_of(checkpoint, "coreml", exporter.Request(), print)


@pytest.mark.slow
def test_the_exporter_trains_once_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = make_checkpoint(tmp_path)
    use_noise_clips(monkeypatch, path)
    argv = ["--target", "xnnpack", "--checkpoint", str(path), "--qat-steps", "2"]
    argv += ["--max-drop", "100"]
    for trains in (True, False):
        export_cli.main(argv)
        out = capsys.readouterr().out
        assert ("2 steps of quantization-aware training, kept in" in out) is trains
    (folder,) = (tmp_path / "artifacts").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["quantization"]["training_steps"] == 2
    assert [p.suffix for p in (tmp_path / "runs" / "qat").iterdir()] == [".safetensors"]
