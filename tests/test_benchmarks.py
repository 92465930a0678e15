"""What the benchmarks share, and that each of them refuses in one line before any long work."""

import json
import os
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import backbones
import combinations
import injected
import live_gif
import peers
import peers_process
import pytest
import teach
import timed
import torch
import unrolled
import versions
from helpers import make_model
from PIL import Image

from core import checkpoint
from core.errors import GATE_FAILED, BadInput
from core.model import BACKBONES, CONFIGS
from mobile_export.graph import forms

REFUSED = [
    (backbones, ["--rounds", "0"], r"0 is not a whole number of at least 1"),
    (backbones, ["--work", "FILE"], r"--work .* cannot be a folder"),
    (backbones, ["--json", "NONE/x.json"], r"--json .* cannot be written"),
    (combinations, ["--clips", "none"], r"none is not a whole number"),
    (combinations, ["--out", "FILE"], r"--out .* cannot be a folder"),
    (combinations, ["--json", "NONE/x.json"], r"--json .* cannot be written"),
    (combinations, ["--checkpoint", "NONE"], r"--checkpoint .* is no file"),
    (combinations, ["--only", "vulkan-clip-int8"], r"invalid choice"),
    (live_gif, [], r"BUNDLE"),
    (live_gif, ["bundle", "--out", "NONE/x.gif"], r"--out .* cannot be written"),
    (teach, ["--clips", "3"], r"3 is not a whole number from 4 to 100"),
    (teach, ["--clips", "101"], r"101 is not a whole number from 4 to 100"),
    (teach, ["--json", "NONE/x.json"], r"--json .* cannot be written"),
    (unrolled, ["--frames", "0"], r"0 is not a whole number of at least 1"),
    (unrolled, ["--json", "NONE/x.json"], r"--json .* cannot be written"),
]


@pytest.fixture
def nothing_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*words: object, **_: object) -> None:
        raise AssertionError(f"started {words}")

    monkeypatch.setattr(subprocess, "Popen", started)


@pytest.mark.usefixtures("nothing_started")
@pytest.mark.parametrize(("benchmark", "words", "match"), REFUSED)
def test_a_command_line_is_refused_at_once(
    benchmark: types.ModuleType, words: list[str], match: str, tmp_path: Path
) -> None:
    (tmp_path / "FILE").write_text("")
    known = {"FILE", "NONE", "NONE/x.json", "NONE/x.gif"}
    argv = [str(tmp_path / word) if word in known else word for word in words]
    with pytest.raises(BadInput, match=match) as refused:
        benchmark.main(argv)
    assert "\n" not in str(refused.value)


def test_a_folder_of_artifacts_is_named_by_what_made_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sources in (peers.SOURCES, backbones.SOURCES):
        assert all(any(versions.ROOT.glob(pattern)) for pattern in sources), sources
        assert "core/shift.py" in sources
    assert {"torchao", "onnx", "onnxscript"} <= set(peers.MADE_BY)
    monkeypatch.setattr(versions, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("1")
    before = versions.digest(["*.py"], ["torch"])
    assert versions.digest(["*.py"], ["torch"]) == before
    assert versions.digest(["*.py"], ["torch", "no-such-package"]) != before
    (tmp_path / "a.py").write_text("2")
    assert versions.digest(["*.py"], ["torch"]) != before


def test_an_interrupted_process_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=1)"
    command = [sys.executable, "-c", f"{code}; time.sleep(60)"]
    monkeypatch.setattr(os, "wait4", interrupted)
    monkeypatch.setattr(peers_process, "PATIENCE", 0.1)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        with pytest.raises(KeyboardInterrupt):
            peers_process.waited(process)
        assert process.returncode == -signal.SIGKILL  # it would not listen


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_what_gcc_refuses_is_one_line(tmp_path: Path) -> None:
    source = tmp_path / "lacking.c"
    source.write_text('#include "nowhere.h"\n')
    with pytest.raises(BadInput, match=r"gcc cannot compile lacking\.c \(.*nowhere\.h") as refused:
        injected.library(source, tmp_path)
    assert "\n" not in str(refused.value)


@pytest.fixture
def five_ms_a_letter(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The native runner, which takes as long as a program's folder is named; what it was asked."""
    asked = []

    def run(command: list[str], _: dict) -> peers_process.Done:
        asked.append(command)
        runner, program, verb, _, calls, *_ = command
        assert (runner, verb) == ("runner", "bench")
        return peers_process.Done({"ms": [5.0 * len(Path(program).parent.name)] * int(calls)}, 1)

    monkeypatch.setattr(timed.peers_process, "run", run)
    return asked


def test_programs_take_turns(five_ms_a_letter: list[list[str]]) -> None:
    def process(name: str) -> timed.Process:
        return peers_process.bench(["runner"], f"{name}/model.pte", 3, 2, 1, pause=7), {}

    assert timed.interleaved(["a", "bb"], 2, process) == {"a": [5.0] * 4, "bb": [10.0] * 4}
    first, *others = (command[1][0] for command in five_ms_a_letter)
    assert [first, *others] == ["a", "b", "b", "a"]
    words = ["bench", "3", "2", "--threads", "1", "--pause", "7"]
    assert all(command[2:] == words for command in five_ms_a_letter)


def test_every_backbone_is_measured_beside_the_first(
    tmp_path: Path, five_ms_a_letter: list[list[str]]
) -> None:
    assert len(backbones.MODELS) == 2 * len(BACKBONES)
    assert set(backbones.MODELS) <= CONFIGS.keys()
    files = {}
    for name in ("tsm_mobilenet_v2", "tsm_resnet50"):
        files[name, "int8"] = tmp_path / f"{name}-int8" / "model.pte"
        files[name, "int8"].parent.mkdir()
        files[name, "int8"].write_bytes(bytes(10_000))
    first, other = backbones.measure(["runner"], files, [1], rounds=2, calls=3)
    assert (first["of_mobilenet_v2"], first["calls"], first["MB"]) == (1.0, 6, 0.01)
    lengths = [len(path.parent.name) for path in files.values()]
    assert first["median_ms"] == 5.0 * lengths[0]
    assert other["of_mobilenet_v2"] == round(lengths[1] / lengths[0], 2)


@pytest.mark.usefixtures("nothing_started")
def test_backbones_are_not_lowered_without_a_runner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert backbones.parse([]).work == Path("artifacts/backbones")

    def missing() -> None:
        raise BadInput("the native runner needs packages that are missing")

    monkeypatch.setattr(backbones, "host_command", missing)
    with pytest.raises(BadInput, match="needs packages that are missing"):
        backbones.main(["--work", str(tmp_path)])
    assert not any(tmp_path.iterdir())


def test_constants_are_weights_and_maps_and_equal_ones_count_once() -> None:
    model = forms.deployed(make_model(), "vulkan")
    tensors = [*model.parameters(), *model.buffers()]
    bytes_of = [x.detach().numpy().tobytes() for x in tensors]
    assert any(name.endswith("cover") for name, _ in model.named_buffers())
    assert unrolled.constant_bytes(model) == sum(map(len, set(bytes_of)))
    twin = torch.nn.ModuleList([torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)])
    twin[1].load_state_dict(twin[0].state_dict())
    assert unrolled.constant_bytes(twin) == 4 * (3 * 2 + 2)


def test_a_model_whose_bundle_failed_is_judged_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = {
        "stages": {}, "decision": {},
        "judged": {"accuracy": 80.0, "interval": [60.0, 90.0], "clips": 20},
    }  # fmt: skip

    def taught(command: list[str]) -> subprocess.CompletedProcess:
        work = Path(command[3]) / teach.WORK
        work.mkdir(parents=True)
        (work / "report.json").write_text(json.dumps(report))
        checkpoint.save(work / "model.safetensors", make_model(), list("abcde"))
        return subprocess.CompletedProcess(command, GATE_FAILED)

    monkeypatch.setattr(teach, "record", lambda *_: None)
    monkeypatch.setattr(teach, "judged", lambda *_: {"same_person": {}, "others": {}})
    monkeypatch.setattr(teach.subprocess, "run", taught)
    file = tmp_path / "teach.json"
    assert teach.main(["--target", "xnnpack", "--json", str(file)]) == GATE_FAILED
    found = json.loads(file.read_text())
    assert found["status"] == GATE_FAILED
    assert found["by_session"] == report["judged"]
    assert "others" in found


class Browser:
    """Playwright's module, of which nothing is asked but ``Error``."""

    class Error(Exception):
        """What it raises, with a log of calls behind the first line."""


def test_a_page_that_is_late_or_empty_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object) -> None:
        raise Browser.Error("Timeout 120000ms exceeded.\nCall log:\n  - waiting")

    monkeypatch.setattr(live_gif, "screencast", late)
    with pytest.raises(BadInput, match=r"\(Timeout 120000ms exceeded\.\)") as refused:
        live_gif.recorded(Browser, "http://x", tmp_path, 1.0, "chromium")
    assert "\n" not in str(refused.value)
    monkeypatch.setattr(live_gif, "screencast", lambda *_: [])
    with pytest.raises(BadInput, match="drew no picture"):
        live_gif.recorded(Browser, "http://x", tmp_path, 1.0, "chromium")


def test_a_bundle_that_is_not_served_is_known_before_a_film_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rendered(_: Path) -> None:
        raise AssertionError("rendered")

    monkeypatch.setattr(live_gif, "film", rendered)
    monkeypatch.setattr(live_gif, "driver", lambda: Browser)
    monkeypatch.setattr(live_gif.shutil, "which", lambda _: None)
    with pytest.raises(BadInput, match="chromium is not installed"):
        live_gif.main([str(tmp_path / "none")])
    monkeypatch.setattr(live_gif.shutil, "which", lambda name: name)
    with pytest.raises(BadInput, match="is not served"):
        live_gif.main([str(tmp_path / "none")])


def test_the_picture_moves_in_its_own_time(tmp_path: Path) -> None:
    pictures = [(t, Image.new("RGB", live_gif.SHOWN, c)) for t, c in ((0.0, "red"), (0.5, "blue"))]
    live_gif.write_gif(pictures, tmp_path / "x.gif")
    with Image.open(tmp_path / "x.gif") as made:
        assert (made.n_frames, made.info["duration"]) == (2, 500)
