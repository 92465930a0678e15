"""The Python API: what a notebook calls, here and from a wheel in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_target import LABELS, install, make_checkpoint, use_noise_clips

import core
from core import checkpoint
from core.data import packed
from core.data.source import source_at
from core.data.video import write_clip
from core.errors import BadInput
from mobile_export import (
    GateFailed,
    Report,
    Result,
    Source,
    export,
    exporter,
    load_bundle,
    verify,
)
from mobile_export.bundle import stream
from mobile_export.exporter import Request
from mobile_export.graph.forms import graph_of
from mobile_export.quantization.training import training_of

ROOT = Path(__file__).parents[1]
NAME = "mobilenet_v2-action-stream-xnnpack-fp32"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch, shallow) -> Path:
    path = make_checkpoint(tmp_path)
    use_noise_clips(monkeypatch, path)
    return path


def exported(tiny: Path, precision: str = "fp32", **more) -> Result:
    out = tiny.parent / "out"
    return export("xnnpack", checkpoint=tiny, precision=precision, out=str(out), **more)


def picture(seed: int = 0, height: int = 90, width: int = 120) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_export_load_and_stream(tiny: Path, monkeypatch, capfd):
    install(monkeypatch)
    result = exported(tiny)
    assert result.path == tiny.parent / "out" / NAME
    assert result.report.failures == []
    assert result.report.comparison.artifact_top1 == 100.0
    live = load_bundle(result.path).open()
    assert live.labels == tuple(LABELS)
    assert live.frame_rate == 10.0
    model = core.load(tiny)
    state = model.initial_state()
    for seed in range(3):  # the state goes from frame to frame
        logits = live(picture(seed))
        with torch.inference_mode():
            expected, state = model.step(stream.preprocess(picture(seed), model.config), state)
        assert (logits.dtype, logits.shape) == (np.float32, (len(LABELS),))
        np.testing.assert_allclose(logits, expected[0].numpy(), rtol=1e-4, atol=1e-4)
    assert verify(result.path, checkpoint=tiny, clips=6).failures == []
    assert capfd.readouterr() == ("", "")


def test_a_stream_decides_by_the_manifests_rule_and_can_start_anew(tiny: Path, monkeypatch):
    gesture, rest = LABELS.index("Thumb Up"), LABELS.index("No gesture")
    script = [rest] * 8 + [gesture] * 20 + [rest] * 20
    turn = iter(script)

    def say(outputs: list[torch.Tensor]) -> list[torch.Tensor]:
        logits = torch.zeros_like(outputs[0])
        logits[0, next(turn, rest)] = 20.0
        return [logits, *outputs[1:]]

    install(monkeypatch)
    bundle = load_bundle(exported(tiny).path)
    install(monkeypatch, change=say)
    live = bundle.open()
    frame = picture()
    events = [event for _ in script for event in live.decide(frame)]
    assert [event.label for event in events] == ["Thumb Up"]
    assert 0.8 <= events[0].start < events[0].end <= 4.0  # seconds at ten frames each
    assert live.answer is not None
    assert live.answer.current is None
    turn = iter([gesture] * 10)
    for _ in range(10):
        assert live.decide(frame) == ()
    assert live.answer.current == "Thumb Up"
    assert [event.label for event in live.reset()] == ["Thumb Up"]
    assert (live.frames, live.answer) == (0, None)


def test_a_reporter_is_told_of_every_step(tiny: Path, monkeypatch, capfd):
    install(monkeypatch)
    told: list[str] = []
    result = exported(tiny, reporter=lambda step, text: told.append(step))
    assert told == ["classes", "lower", "execute", "verify", "accuracy", "write"]
    told.clear()
    verify(result.path, checkpoint=tiny, reporter=lambda step, text: told.append(step))
    assert told == ["verify", "accuracy"]
    assert capfd.readouterr() == ("", "")


def test_another_models_bundle_of_the_same_name_is_told_of(tiny: Path, monkeypatch):
    install(monkeypatch)
    told: list[str] = []
    for _ in range(2):
        exported(tiny, reporter=lambda step, text: told.append(text))
    assert not [text for text in told if "another model's" in text]
    loaded = checkpoint.load(tiny)
    checkpoint.save(tiny, loaded.model, loaded.labels, {"step": 2})
    exported(tiny, reporter=lambda step, text: told.append(text))
    (line,) = [text for text in told if "another model's" in text]
    assert line.endswith(NAME)


def test_a_failed_gate_is_an_error_that_has_the_figures(tiny: Path, monkeypatch):
    install(monkeypatch, noise=100.0)
    with pytest.raises(GateFailed, match="rejected") as failed:
        exported(tiny)
    result = failed.value.result
    assert isinstance(result.report, Report)
    assert result.report.failures
    assert result.path == tiny.parent / "out" / f"{NAME}.rejected"
    assert json.loads(json.dumps(result.to_dict()))["path"] == str(result.path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "coreML"}, "target 'coreML' is unknown: give coreml or xnnpack or vulkan"),
        ({"form": "strem"}, "form 'strem' is unknown: give stream or clip"),
        ({"precision": "int4"}, "precision 'int4' is unknown: give int8 or w8a16 or fp16 or fp32"),
        ({"precision": "fp16"}, "xnnpack stream fp16 is refused"),
        ({"quantize": "none"}, "quantize 'none' is unknown"),
        ({"quantize": "ptq", "qat_steps": 3}, "are for quantize='qat'"),
        ({"qat_steps": 0}, "qat_steps 0 is refused: give a whole number of at least 1"),
        ({"qat_rate": 0.0}, "qat_rate 0.0 is refused: give a number above 0"),
        ({"max_drop": float("nan")}, "max_drop nan is refused: give a number from 0 to 100"),
        ({"max_drop": "1"}, "max_drop '1' is refused"),
        ({"max_drop": None}, "max_drop None is refused"),
        ({"max_drop": 10**400}, "is refused: give a number from 0 to 100"),
        ({"precision": "fp32", "qat_steps": 3}, "are for int8, not for fp32: leave them out"),
        ({"clips": 2.5}, "clips 2.5 is refused"),
        ({"clips": True}, "clips True is refused"),
        ({"out": ""}, "out '' is no path"),
        ({"out": "a\0b"}, "is no path"),
        ({"out": b"bytes"}, "out b'bytes' is no path"),
        ({"checkpoint": 7}, "checkpoint 7 is no path"),
        ({"checkpoint": "missing.safetensors"}, "does not exist"),
        ({"data": "missing"}, "missing"),
        ({"data": 3}, "data 3 is no path"),
    ],
)
def test_options_are_refused_in_the_call(options: dict, said: str, tmp_path: Path):
    given = {"target": "xnnpack", "out": tmp_path / "out"} | options
    with pytest.raises(BadInput) as error:
        export(given.pop("target"), **given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_source_refuses_what_there_is_not(tmp_path: Path):
    assert Source(str(tmp_path)).folder == tmp_path  # type: ignore[arg-type]  # a text is taken
    for options, said in (
        ({"data": 3}, "data 3 is no path"),
        ({"dataset": "jestr"}, "dataset 'jestr' is unknown: give jester or"),
        ({"sampling": "random"}, "sampling 'random' is unknown"),
        ({"max_broken": None}, "max_broken None is refused"),
        ({"max_broken": 10}, "give a number from 0 to 1"),
    ):
        with pytest.raises(BadInput, match=said):
            Source(**({"data": tmp_path} | options))


def test_a_check_wants_a_bound(tmp_path: Path):
    with pytest.raises(BadInput, match="max_drop None is refused"):
        verify(tmp_path, max_drop=None)  # type: ignore[arg-type]


def test_who_says_how_to_train_gets_a_trained_model(tiny: Path, monkeypatch):
    install(monkeypatch)
    asked: list[tuple[str, int | None]] = []

    def calibrated(checkpoint, target, request, step):
        asked.append((request.quantize, request.qat_steps))
        bare = replace(request, quantize="ptq", qat_steps=None)
        return training_of(checkpoint, target, bare, step)

    monkeypatch.setattr(exporter, "training_of", calibrated)
    exported(tiny, "int8", qat_steps=7)
    exported(tiny, "int8")
    assert asked == [("qat", 7), ("ptq", None)]


def test_nothing_else_takes_a_form_that_there_is_not(tiny: Path):
    with pytest.raises(BadInput, match="form 'strem'"):
        Request(form="strem")
    with pytest.raises(BadInput, match="form 'strem'"):
        graph_of(core.load(tiny), "strem")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_drop": -1}, "max_drop -1 is refused"),
        ({"clips": 0}, "clips 0 is refused"),
        ({}, "holds no manifest.json"),
    ],
)
def test_verify_refuses_in_the_call(options: dict, said: str, tmp_path: Path):
    with pytest.raises(BadInput, match=said):
        verify(tmp_path, **options)


def test_a_bundle_in_clip_form_is_no_stream(tiny: Path, monkeypatch):
    install(monkeypatch)
    bundle = load_bundle(exported(tiny).path)
    clip = stream.RunnableBundle(bundle.path, bundle.manifest | {"form": "clip"})
    with pytest.raises(BadInput, match="is in clip form"):
        clip.open()


@pytest.mark.parametrize("frame", [picture() / 255, picture()[..., 0], "a frame"])
def test_a_frame_that_is_no_picture_is_refused(frame, tiny: Path, monkeypatch):
    install(monkeypatch)
    live = load_bundle(exported(tiny).path).open()
    with pytest.raises(BadInput, match="cannot be resized"):
        live(frame)


def test_a_folder_of_clips_is_a_source_or_its_path():
    assert source_at("clips") == Source(Path("clips")) == source_at(Source(Path("clips")))
    assert source_at(None) is source_at(Source()) is None


# Runs in a process of its own. What a notebook would see changed is written down before and after.
CLEAN = """
import sys, json, logging, os, signal, warnings
def seen():
    return {
        "root level": logging.getLogger().level,
        "handlers": len(logging.getLogger().handlers),
        "disabled": logging.root.manager.disable,
        "signals": [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM)],
        "folder": os.getcwd(),
        "streams": [id(sys.stdout), id(sys.stderr)],
    }
before = seen()
import mobile_export
assert "torch" not in sys.modules, "importing the package imports torch"
assert set(mobile_export.__all__) <= set(dir(mobile_export))
from mobile_export import export, load_bundle, verify
from core import load
import core.timeline, core.evaluation.timeline, mobile_export.report.draw
import torch, numpy as np
assert "matplotlib.pyplot" not in sys.modules
random, threads = torch.get_rng_state().clone(), torch.get_num_threads()
stream = load_bundle(sys.argv[1]).open()
logits = stream(np.zeros((48, 64, 3), np.uint8))
assert seen() == before, (before, seen())
assert torch.equal(random, torch.get_rng_state()) and threads == torch.get_num_threads()
model = load()
step, state = model.step(torch.zeros(1, 3, 224, 224), model.initial_state(size=224))
try:
    verify("nowhere")
except mobile_export.BadInput as error:
    refused = str(error)
print(json.dumps({"file": mobile_export.__file__, "logits": len(logits), "refused": refused,
                  "classes": step.shape[1], "callable": callable(verify)}))
"""


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """The interpreter of an environment that has the wheel, and beside it what is installed here.

    Built and installed without a network: the build's own requirements are those of this process.
    """
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    source = folder / "source"
    ignored = ("tests", "docs", "android_demo", "ios_demo", "artifacts", "runs", "build", ".*")
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*ignored, "__pycache__"))
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "wheel", *offline, "-w", str(folder), str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {f"core/data/packed_clips/{split}.npz" for split in packed.COUNTS}
    assert {"core/py.typed", "mobile_export/py.typed"} | shipped <= set(names)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    where = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    zipfile.ZipFile(wheel).extractall(site)
    folders = [Path(p) for p in sys.path if p and Path(p).is_dir()]
    others = [str(p) for p in folders if p not in (ROOT, ROOT / "tests")]
    (site / "others.pth").write_text("\n".join(others) + "\n")
    return python


def test_from_a_wheel_in_a_process_that_has_nothing_else_imported(
    installed: Path, tiny: Path, tmp_path: Path
):
    # A real target: Core ML's fp32 program of a small TSN takes seconds.
    path = make_checkpoint(tmp_path, temporal="none")
    made = export(
        "coreml", checkpoint=path, precision="fp32", out=tmp_path / "out", max_drop=100
    ).path
    ran = subprocess.run(
        [installed, "-I", "-c", CLEAN, made], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert ran.stderr == ""
    assert Path(found.pop("file")).is_relative_to(installed.parents[1])
    assert found == {
        "logits": len(LABELS), "classes": 27, "callable": True,
        "refused": "nowhere holds no manifest.json: give the folder of an export",
    }  # fmt: skip


def readme_example() -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    inside = text.split("<!-- python -->")[1].split("<!-- /python -->")[0]
    return inside.split("```python\n")[1].split("```")[0]


def test_the_readmes_lines_run_as_they_stand(tiny: Path, monkeypatch, tmp_path: Path, capfd):
    code = readme_example()
    assert len([line for line in code.splitlines() if line]) <= 10
    install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    tiny.rename(tmp_path / "mine.safetensors")

    def calibrated(checkpoint, target, request, step):  # training takes minutes and has tests
        return training_of(checkpoint, target, replace(request, quantize="ptq"), step)

    monkeypatch.setattr(exporter, "training_of", calibrated)
    frames = torch.from_numpy(np.stack([picture(seed) for seed in range(12)])).permute(0, 3, 1, 2)
    write_clip(tmp_path / "clip.mp4", frames, 10.0)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["stream"].frames == 12
    assert names["report"].failures == []
    assert capfd.readouterr().err == ""
