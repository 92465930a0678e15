"""Where an int8 graph loses accuracy: the tool finds a place that was broken on purpose."""

import copy
import json
import math
import shutil
from pathlib import Path

import pytest
from fake_target import make_checkpoint, use_noise_clips
from short_models import clips_for, eager, make_short, play, relative

from core.errors import BadInput
from mobile_export import __main__ as export_cli
from mobile_export.diagnose import __main__ as diagnose
from mobile_export.diagnose import divergence, noise
from mobile_export.graph import forms
from mobile_export.quantization import executorch
from mobile_export.quantization.pt2e import calibrate, convert, load_learned, prepare
from mobile_export.runtime.native import build

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")

BROKEN = 8  # times a range: three bits fewer
# A state of the program against the graph's in torch, where a sum may round to the other side;
# values in the order of another shape are wrong by 1.3.
FLIPS = 0.2


@pytest.fixture(scope="module")
def prepared():
    model = forms.deployed(make_short(), "xnnpack")
    exact = prepare(model, "stream", executorch.XNNPACK)
    calibrate(exact, model, "stream", clips_for(model), executorch.XNNPACK)
    state = {key: value.clone() for key, value in exact.state_dict().items()}
    return model, prepare(model, "stream", executorch.XNNPACK), state


def measured(prepared, change=None):
    model, exact, state = prepared
    rounded = prepare(model, "stream", executorch.XNNPACK)
    state = {key: value.clone() for key, value in state.items()}
    if change:
        change(state)
    load_learned(rounded, state)
    return noise.measure(exact, rounded, model, clips_for(model, 2, seed=5))


@pytest.fixture(scope="module")
def sane(prepared):
    """What is measured where nothing is broken."""
    return measured(prepared)


def test_every_rounded_value_is_there_with_a_sane_ratio(sane):
    found = sane
    assert [n.own_db for n in found] == sorted(n.own_db for n in found)
    assert {"conv2d", "mul"} <= {n.operator for n in found}
    # Eight bits over the range of a noisy map: 20 to 60 dB; what has gathered is more noise.
    assert all(15 < n.own_db < 70 for n in found)
    assert sum(n.reached_db <= n.own_db + 1 for n in found) > 0.9 * len(found)
    assert noise.table(found).count("\n") == 1 + min(len(found), noise.SHOWN)


def test_a_value_with_a_range_too_wide_is_the_one_that_loses(prepared, sane):
    before = {n.name: n for n in sane}
    # The product with the gates: its quantizer is its own, that of a shift is shared.
    victim = [n for n in before.values() if n.operator == "mul"][-1].name

    def widen(state):
        state[f"{victim}.scale"].mul_(BROKEN)

    after = {n.name: n for n in measured(prepared, widen)}
    lost = {name: n.own_db - after[name].own_db for name, n in before.items()}
    assert lost.pop(victim) == pytest.approx(20 * math.log10(BROKEN), abs=2)
    assert all(abs(db) < 1e-3 for db in lost.values())


def test_ratios():
    assert noise.decibels(100.0, 1.0) == pytest.approx(20.0)
    assert noise.decibels(1.0, 0.0) == math.inf
    assert noise.decibels(0.0, 1.0) == -math.inf


@pytest.mark.slow
@needs_compiler
def test_the_first_value_that_differs_is_named(prepared, tmp_path, capsys):
    model, _, state = prepared
    layer, graphs, programs = "backbone.features.3.conv.1.0", [], []
    for number in range(2):
        rounded = prepare(model, "stream", executorch.XNNPACK)
        changed = {key: value.clone() for key, value in state.items()}
        changed[f"model.{layer}.weight"].mul_(1 - 2 * number)
        load_learned(rounded, changed)
        layers = noise.layers_of(rounded)
        folder = tmp_path / str(number)
        graphs.append(convert(rounded, executorch.XNNPACK))
        traced = divergence.Traced(copy.deepcopy(graphs[-1]), model, folder)
        programs.append(traced)
    clip = clips_for(model)[0][:2]
    traced, other = programs
    assert executorch.QUANTIZE in {node.target for node in traced.nodes}
    # What they are compared on is the stream itself, state by state.
    with traced.opened(build.host_command(), "one") as one:
        played = play(lambda inputs: one(inputs)[: 1 + traced.states], model, clip)
    expected = play(eager(graphs[0]), model, clip)
    for got, state in zip(played.state, expected.state, strict=True):
        assert relative(got, state) < FLIPS
    with (
        traced.opened(build.host_command(), "one") as one,
        other.opened(build.host_command(), "another") as another,
    ):
        assert divergence.first_difference(traced, layers, one, one, clip) is None
        found = divergence.first_difference(traced, layers, one, another, clip)
    assert (found.core, found.frame, found.quantized) == ("another", 0, True)
    assert found.layer.startswith(layer.rpartition(".")[0])
    assert 0 < found.differing <= found.elements
    assert 0 < found.values_after < found.values


@pytest.mark.slow
@needs_compiler
def test_equal_machines_have_no_first_difference(prepared, tmp_path, capsys):
    model, _, state = prepared
    rounded = prepare(model, "stream", executorch.XNNPACK)
    load_learned(rounded, state)
    commands = dict.fromkeys(("this machine", "core a", "core b"), build.host_command())
    clips, file = [clip[:1] for clip in clips_for(model, 2)], tmp_path / "found.json"
    assert diagnose._arm64(commands, rounded, model, clips, file) == 0
    assert json.loads(file.read_text()) == [None] * 4
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| core a"] * 2 + ["| core b"] * 2
    assert all("equal to the bit" in line for line in lines[2:])


@pytest.mark.slow
def test_a_bundle_is_diagnosed(tmp_path: Path, monkeypatch, capsys):
    path = make_checkpoint(tmp_path)
    use_noise_clips(monkeypatch, path)
    out, options = tmp_path / "out", ["--checkpoint", str(path)]
    argv = ["--target", "xnnpack", *options, "--out", str(out), "--max-drop", "100"]
    assert export_cli.main([*argv, "--quantize", "ptq"]) == 0
    (folder,) = out.iterdir()
    files = {name: tmp_path / f"noise.{name}" for name in ("png", "json")}
    argv = [str(folder), *options, "--clips", "1"]
    argv += [f"--{name}={file}" for name, file in files.items()]
    assert diagnose.main(argv) == 0
    assert "| own dB |" in capsys.readouterr().out
    assert len(json.loads(files["json"].read_text())) > 50
    assert files["png"].read_bytes().startswith(b"\x89PNG")
    assert export_cli.main([*options, "--target=xnnpack", "--precision=fp32", f"--out={out}"]) == 0
    with pytest.raises(BadInput, match="leave --png out"):
        diagnose.main([str(folder), *options, "--arm64", "--png", str(files["png"])])
    floating = out / folder.name.replace("int8", "fp32")
    with pytest.raises(BadInput, match="is not an int8 bundle"):
        diagnose.main([str(floating), *options])
