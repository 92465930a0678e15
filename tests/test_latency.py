"""Latency as a user measures it: from a bundle to a report that the schema allows."""

import contextlib
import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from clips import levels, refusal
from short_models import clips_for, make_short, short_program

from core.checkpoint import Checkpoint
from core.data.video import write_clip
from core.errors import BadInput
from core.files import file_sha256
from mobile_export.bundle import schemas
from mobile_export.bundle.golden import write_golden
from mobile_export.bundle.manifest import file_entry, make_manifest, write_manifest
from mobile_export.bundle.reader import Bundle
from mobile_export.latency import document, process
from mobile_export.latency.__main__ import default_threads, main, tell_crowded
from mobile_export.report import read
from mobile_export.targets import Lowered

LABELS = ["Doing other things", "No gesture", "Swiping Left", "Swiping Right", "Thumb Up"]
WARMUP, ITERATIONS = 2, 12
QUICK = ["--warmup", str(WARMUP), "--iterations", str(ITERATIONS)]
ROUNDING = 5e-4  # four figures of a tenth of a microsecond each
ACCURACY = {
    "data": "none", "clips": 7, "broken": 0, "checkpoint_top1": 90.0, "artifact_top1": 88.5,
    "drop": 1.5, "drop_interval": [-1.0, 4.0], "only_checkpoint_right": 2,
    "only_artifact_right": 1, "agreement": 95.0, "deviation": 0.0, "max_drop": 2.0,
}  # fmt: skip


def make_bundle(folder: Path, form: str) -> Bundle:
    """A bundle of a shallow model in fp32; its logits are not compared here."""
    model = make_short("shift")  # the fewest operators to lower that have a state
    _, made = short_program("shift", "fp32", form)
    artifact = Path(shutil.copy(made.artifact, folder))
    lowered = Lowered(artifact, made.converted, made.details)
    checkpoint = Checkpoint(model, LABELS, sha256="c" * 64)
    manifest = make_manifest(checkpoint, lowered, ("xnnpack", form, "fp32"))
    frames = clips_for(model, 1)[0]  # (T, 3, S, S)
    logits = np.zeros((1 if form == "clip" else len(frames), len(LABELS)), np.float32)
    arrays = {
        "inputs": frames.permute(0, 2, 3, 1).numpy(),
        "pixels": ((frames + 1) * 127).byte().numpy(),
        "logits": logits,
    }
    manifest["golden"] = {
        "frames": len(frames),
        "computed_by": "nobody",
        "tolerance": 1e-4,
        "measured_deviation": 0.0,
        "files": write_golden(folder, arrays),
    }
    manifest["execution"] = {"runner": "nobody", "interpreted": False}
    manifest["accuracy"] = ACCURACY
    return write_manifest(folder, manifest)


@pytest.fixture(scope="module")
def stream(tmp_path_factory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("stream"), "stream")


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("video") / "wave.mp4"
    write_clip(path, levels(20, width=96, height=64), 10.0)
    return path


def measured(*argv: object) -> str:
    """What the command prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main([str(value) for value in argv]) == 0
    return printed.getvalue()


@pytest.fixture(scope="module")
def report_and_text(stream, tmp_path_factory) -> tuple[dict, str]:
    file = tmp_path_factory.mktemp("report") / "latency.json"
    argv = [stream.path, *QUICK, "--threads", "1,2", "--seconds", "0.2", "--json", file]
    text = measured(*argv)
    assert [p.name for p in file.parent.iterdir()] == [file.name]  # no temporary file is left
    return json.loads(file.read_text()), text


def test_a_report_follows_the_schema_and_tells_what_it_is_of(stream, report_and_text) -> None:
    report, _ = report_and_text
    document.validate(report, "the report")
    found, manifest = report["artifact"], stream.manifest
    assert found["sha256"] == file_sha256(stream.artifact)
    assert found["bytes"] == stream.artifact.stat().st_size
    assert found["checkpoint_sha256"] == manifest["checkpoint"]["sha256"]
    assert (found["form"], found["frames_a_call"]) == ("stream", 1)
    assert (found["delegate_calls"], found["operators_outside"]) == (1, 0)
    assert found["delegated_share"] == 1.0
    accuracy = dict(report["accuracy"])
    assert accuracy.pop("interpreted") == manifest["execution"]["interpreted"]
    assert accuracy == {key: manifest["accuracy"][key] for key in accuracy}
    assert report["name"] == f"{report['device']['model']}, {manifest['name']}"
    golden = "golden clip, enlarged to 640x480"
    assert report["input"] == {"source": golden, "width": 640, "height": 480, "frames": 6}
    assert report["tools"]["executorch"]


def test_every_call_is_counted_and_stages_add_up(report_and_text) -> None:
    report, _ = report_and_text
    assert [run["threads"] for run in report["runs"]] == [1, 2]
    for run in report["runs"]:
        assert (run["backend"], run["fallback"], run["warmup"]) == ("xnnpack", None, WARMUP)
        stages = run["stages"]
        assert {stage["count"] for stage in stages.values()} == {ITERATIONS}
        parts = (stages[name]["mean"] for name in ("preprocess", "execute", "postprocess"))
        assert sum(parts) == pytest.approx(stages["end_to_end"]["mean"], abs=ROUNDING)
        times = run["end_to_end_ms"]
        assert len(times) == ITERATIONS
        assert np.mean(times) == pytest.approx(stages["end_to_end"]["mean"], abs=ROUNDING)
        assert min(times) == stages["end_to_end"]["min"]
        assert min(stages[name]["min"] for name in stages) > 0
        assert run["cold_load_ms"] > 0
        assert run["first_inference_ms"] > 0
        assert run["sustained"]["seconds"] >= 0.2
        assert run["sustained"]["calls"] == sum(p["calls"] for p in run["sustained"]["points"])


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read on Linux alone")
def test_memory_grows_by_what_the_artifact_takes(report_and_text) -> None:
    for run in report_and_text[0]["runs"]:
        memory = run["memory"]
        assert 0 < memory["before_bytes"] < memory["steady_bytes"] <= memory["peak_bytes"]


def test_operators_are_traced_apart(report_and_text) -> None:
    for run in report_and_text[0]["runs"]:
        operators = run["operators"]
        times = [operator["ms"] for operator in operators]
        assert times == sorted(times, reverse=True)
        assert times[0] > 0
        assert any("Convolution" in operator["name"] for operator in operators)
        assert not any("#" in operator["name"] for operator in operators)
        assert (
            f"Sum {sum(times):.3f} ms of {sum(o['calls'] for o in operators)} operators"
            in (run["operators_note"])
        )


def test_tables_show_the_same_figures(report_and_text) -> None:
    report, text = report_and_text
    for run, title in zip(report["runs"], ("1 thread", "2 threads"), strict=True):
        assert f"| xnnpack, {title}, ms | min | mean | p50 | p90 | p99 | std |" in text
        assert f"| {run['stages']['execute']['p50']:.3f} |" in text
    assert "Top-1 88.50 %, its checkpoint 90.00 %" in text
    assert "on 7 clips of none" in text


@pytest.mark.slow
def test_a_clip_goes_in_at_once(video, tmp_path) -> None:
    folder, file = tmp_path / "clip", tmp_path / "report.json"
    folder.mkdir()
    clip = make_bundle(folder, "clip")
    measured(
        clip.path, *QUICK, "--threads", "1", "--source", video, "--name", " my  phone ",
        "--json", file,
    )  # fmt: skip
    report = json.loads(file.read_text())
    document.validate(report, "the report")
    assert report["name"] == "my phone"
    assert report["artifact"]["frames_a_call"] == 6
    # 20 frames are three clips of six.
    expected = {"source": "wave.mp4", "width": 96, "height": 64, "frames": 18}
    assert report["input"] == expected
    (run,) = report["runs"]
    assert run["sustained"] is None
    assert run["stages"]["execute"]["count"] == ITERATIONS
    assert run["operators"]


def test_the_schema_in_the_docs_is_the_one_that_is_installed() -> None:
    root = Path(schemas.__file__).parent
    documented = root.parents[1] / "docs" / "latency.schema.json"
    assert documented.resolve() == (root / "latency.schema.json").resolve()


def test_the_schemas_version_is_the_same_everywhere() -> None:
    file = Path(schemas.__file__).parent / "latency.schema.json"
    version = json.loads(file.read_text())["properties"]["schema"]["const"]
    assert document.SCHEMA == read.SCHEMA == version


def test_more_threads_than_processors_are_told(monkeypatch, capsys) -> None:
    monkeypatch.setattr("mobile_export.latency.device.physical_cores", lambda: 2)
    tell_crowded([1, 2])
    assert not capsys.readouterr().err
    tell_crowded([1, 64])
    assert "64 threads on 2 processors take turns" in capsys.readouterr().err


def test_one_thread_is_always_measured() -> None:
    assert default_threads()[0] == 1
    assert max(default_threads()) <= 4


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["--iterations", "0"], "--iterations: 0 is not a whole number from 1"),
        (["--warmup", "-1"], "--warmup: -1 is not a whole number"),
        (["--threads", "0"], "--threads: 0 is not a list of whole numbers from 1 to 64"),
        (["--threads", "two"], "two is not a list"),
        (["--threads", "1,,2"], "1,,2 is not a list"),
        (["--threads", "1000"], "1000 is not a list"),
        (["--seconds", "0"], "--seconds: 0 is not a number above 0"),
        (["--seconds", "nan"], "nan is not a number"),
        (["--name", " "], "an empty name"),
        (["--source", "none.mp4"], "--source none.mp4 is not a file"),
        (["--json", "none/report.json"], "--json none/report.json cannot be written"),
        ([], "holds no manifest.json: give the folder of an export"),
    ],
)
def test_bad_options_are_refused_before_any_work(argv, reason, tmp_path) -> None:
    assert reason in refusal(lambda: main([str(tmp_path), *argv]))


def test_what_does_not_run_here_is_sent_to_where_it_does(stream, tmp_path) -> None:
    for target, place in (("coreml", "the iOS app"), ("vulkan", "the Android app")):
        copy = changed(stream, tmp_path / target, target=target)
        line = refusal(lambda copy=copy: main([str(copy)]))
        assert place in line
        assert "--target xnnpack" in line


def changed(made: Bundle, folder: Path, **entries: object) -> Path:
    """A copy of a bundle with other entries in its manifest."""
    shutil.copytree(made.path, folder)
    write_manifest(folder, made.manifest | entries)
    return folder


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_a_video_that_cannot_be_read_is_named(content, stream, tmp_path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    line = refusal(lambda: main([str(stream.path), "--source", str(path)]))
    assert line.startswith(f"--source {path} cannot be read (")


def test_a_worker_gives_its_reason(stream, tmp_path) -> None:
    folder = changed(stream, tmp_path / "copy")
    program = folder / "model.pte"
    program.write_bytes(b"no program")
    entry = file_entry(program)
    write_manifest(folder, stream.manifest | {"artifact": entry})
    line = refusal(lambda: main([str(folder), *QUICK, "--threads", "1"]))
    assert "model.pte: no ExecuTorch program" in line


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9: "),
        ("raise KeyError('odd')", "ended with status 1 (KeyError: 'odd'): "),
    ],
)
def test_a_worker_that_dies_is_one_line(code, reason, stream, monkeypatch) -> None:
    monkeypatch.setattr(process, "WORKER", [sys.executable, "-c", code])
    line = refusal(lambda: main([str(stream.path), *QUICK, "--threads", "2"]))
    assert line.startswith(f"the process for 2 threads {reason}")


def test_times_are_kept_when_tracing_fails(stream, report_and_text, monkeypatch, tmp_path) -> None:
    report, _ = report_and_text
    run = {key: report["runs"][0][key] for key in report["runs"][0]}
    for key in ("backend", "fallback", "threads", "warmup", "operators", "operators_note"):
        del run[key]

    def ask(request: dict, _label: str) -> dict:
        if request["job"] == "trace":
            raise BadInput("this build has no tracing")
        return run

    monkeypatch.setattr(process, "ask", ask)
    file = tmp_path / "report.json"
    measured(stream.path, "--threads", "1", "--json", file)
    (found,) = json.loads(file.read_text())["runs"]
    assert found["operators"] is None
    assert found["operators_note"] == "Not traced: this build has no tracing"
    assert found["stages"] == run["stages"]

    def refuse(*_: object) -> None:
        raise BadInput("--json cannot be written")

    # What took minutes is printed, whatever becomes of the file.
    monkeypatch.setattr(document, "write", refuse)
    with contextlib.redirect_stdout(io.StringIO()) as printed, pytest.raises(BadInput):
        main([str(stream.path), "--threads", "1", "--json", str(file)])
    assert "| xnnpack, 1 thread, ms |" in printed.getvalue()


def test_chatter_on_stdout_does_not_reach_the_answer(monkeypatch) -> None:
    code = (
        "import os; from mobile_export.latency.worker import claim_stdout; c = claim_stdout(); "
        "print('of Python', flush=True); os.write(1, b'of native code'); "
        "print('{\"answer\": 7}', file=c, flush=True)"
    )
    monkeypatch.setattr(process, "WORKER", [sys.executable, "-c", code])
    assert process.ask({}, "nothing") == 7


def test_a_report_is_written_whole_or_not_at_all(report_and_text, tmp_path) -> None:
    report, _ = report_and_text
    file = tmp_path / "report.json"
    file.write_text("older")
    line = refusal(lambda: document.write(report | {"schema": 2}, file))
    assert "is not a valid latency report ($.schema: " in line
    assert file.read_text() == "older"
    link = tmp_path / "link.json"
    link.symlink_to(file)
    document.write(report, link)
    assert json.loads(file.read_text()) == report
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link.json", "report.json"]
    assert "cannot be written" in refusal(lambda: document.write(report, tmp_path / "no" / "r"))
