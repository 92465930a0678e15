"""The bundle: manifest and schema, hashes, golden clip, atomic writing."""

import copy
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_target import LABELS, make_checkpoint
from helpers import make_model

from core.checkpoint import load as load_checkpoint
from core.errors import BadInput
from mobile_export import combinations
from mobile_export.bundle import golden, reader, staging
from mobile_export.bundle.manifest import make_manifest, write_manifest
from mobile_export.graph.forms import deployed, example_inputs, graph_of
from mobile_export.targets import Lowered

ROOT = Path(__file__).parents[1]


def make_bundle(folder: Path, form: str = "stream") -> reader.Bundle:
    """A valid bundle around an artifact of eight bytes."""
    checkpoint = load_checkpoint(make_checkpoint(folder.parent))
    folder.mkdir()
    (folder / "model.pte").write_bytes(b"artifact")
    graph = graph_of(deployed(checkpoint.model, "xnnpack"), form)
    lowered = Lowered(folder / "model.pte", graph, {"calls": 1})
    manifest = make_manifest(checkpoint, lowered, ("xnnpack", form, "fp32"))
    arrays = {
        "inputs": np.random.default_rng(0).random((2, 64, 64, 3), dtype=np.float32),
        "pixels": np.zeros((2, 3, 64, 64), np.uint8),
        "logits": np.arange(10, dtype=np.float32).reshape(2, 5),
    }
    manifest["golden"] = {
        "frames": 2,
        "computed_by": "nobody",
        "tolerance": 1e-4,
        "measured_deviation": 0.0,
        "files": golden.write_golden(folder, arrays),
    }
    manifest["execution"] = {"runner": "nobody", "interpreted": False}
    manifest["accuracy"] = {
        "data": "none", "clips": 1, "broken": 0, "checkpoint_top1": 100.0, "artifact_top1": 100.0,
        "drop": 0.0, "drop_interval": [-1.0, 1.0], "only_checkpoint_right": 0,
        "only_artifact_right": 0, "agreement": 100.0, "deviation": 0.0, "max_drop": 2.0,
    }  # fmt: skip
    return write_manifest(folder, manifest)


@pytest.fixture
def made(tmp_path: Path) -> reader.Bundle:
    return make_bundle(tmp_path / "made")


def test_written_bundle_is_read_back(made: reader.Bundle) -> None:
    again = reader.load(made.path)
    assert again.manifest == made.manifest
    assert again.config == load_checkpoint(made.path.parent / "tiny.safetensors").config
    np.testing.assert_array_equal(again.golden("logits"), np.arange(10).reshape(2, 5))
    assert again.golden("pixels").dtype == np.uint8


def test_manifest_says_how_to_feed_the_artifact(made: reader.Bundle) -> None:
    manifest = made.manifest
    assert manifest["input"]["shape"] == [1, 3, 64, 64]
    assert manifest["input"]["dim_order"] == [0, 2, 3, 1]
    assert manifest["input"]["range"] == [-1.0, 1.0]
    assert manifest["decision"]["none_labels"] == ["No gesture", "Doing other things"]
    assert manifest["labels"] == LABELS
    model = deployed(make_model(), "xnnpack")
    assert [tuple(s["shape"][1:]) for s in manifest["state"]] == list(model.state_shapes().values())
    # A state goes back in where it came out: both lists are in the order of the graph.
    assert [s["output"] for s in manifest["state"]] == [o["name"] for o in manifest["outputs"][1:]]
    expected = example_inputs(model, "stream", "xnnpack")
    assert [z.stride() for z in made.zeros()] == [x.stride() for x in expected]
    assert [z.shape for z in made.zeros()] == [x.shape for x in expected]
    # The golden frames lie in the file as the artifact takes them, and are read as the shape says.
    stored = np.fromfile(made.path / "golden" / "inputs.f32", "<f4").reshape(2, 64, 64, 3)
    np.testing.assert_array_equal(made.golden("inputs"), stored.transpose(0, 3, 1, 2))


def test_clip_form_has_no_state(tmp_path: Path) -> None:
    manifest = make_bundle(tmp_path / "made", "clip").manifest
    assert manifest["state"] == []
    assert manifest["input"]["shape"] == [6, 3, 64, 64]


def test_golden_files_are_raw_little_endian(made: reader.Bundle) -> None:
    entry = made.manifest["golden"]["files"]["inputs"]
    raw = (made.path / entry["file"]).read_bytes()
    assert entry["bytes_a_frame"] == 3 * 64 * 64 * 4
    second = np.frombuffer(raw, "<f4", offset=entry["bytes_a_frame"]).reshape(64, 64, 3)
    second = second.transpose(2, 0, 1)  # the artifact takes channels last
    np.testing.assert_array_equal(second, made.golden("inputs")[1])


def test_schema_under_docs_is_the_packaged_one() -> None:
    root = Path(__file__).parents[1]
    packaged = root / "mobile_export" / "bundle" / "manifest.schema.json"
    assert (root / "docs" / "manifest.schema.json").read_text() == packaged.read_text()


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("schema",), 2, "schema"),
        (("target",), "tflite", "target"),
        (("artifact", "file"), "../model.pte", "artifact.file"),
        (("artifact", "sha256"), "0", "artifact.sha256"),
        (("input", "colour_order"), "BGR", "colour_order"),
        (("golden", "files", "inputs", "file"), "/etc/passwd", "inputs.file"),
        (("decision", "threshold"), 1.5, "threshold"),
        (("state", 0, "shape"), [1, 2**40, 1, 1], "more than the"),
        (("model", "width"), 1e9, "width"),
        (("model", "num_classes"), 2**40, "num_classes"),
        (("unknown",), 1, "unknown"),
        (("decision", "window"), 8.0, "decision.window: 8.0 is not of type 'integer'"),
        (("labels",), ["a", "b", "c"], "labels: 3 of them for 5 logits"),
        (("labels",), ["a", "b", "c", "d", "a"], "labels: 'a' is there more than once"),
        (("decision", "none_labels"), ["Nothing"], "none_labels: 'Nothing' is none of the labels"),
        (("input", "shape"), [1, 3, 16, 16], r"input.shape: \[16, 16\] where the model has 64"),
        (("state",), [], "outputs: "),
    ],
)
def test_manifest_off_the_schema_is_refused(
    made: reader.Bundle, path: tuple[str, ...], value: object, named: str
) -> None:
    manifest = copy.deepcopy(made.manifest)
    part = manifest
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    (made.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match=named) as error:
        reader.load(made.path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("file", ["model.pte", "golden/logits.f32"])
def test_changed_or_missing_file_is_named(made: reader.Bundle, file: str) -> None:
    (made.path / file).write_bytes(b"tampered")
    with pytest.raises(BadInput, match=rf"{file} has SHA-256 .* manifest says"):
        reader.load(made.path)
    (made.path / file).unlink()
    with pytest.raises(BadInput, match=f"{file}.* does not exist"):
        reader.load(made.path)


def test_a_number_that_is_too_large_for_one_is_refused(made: reader.Bundle) -> None:
    text = json.dumps(made.manifest | {"name": 0}).replace('"name": 0', '"name": 1e999')
    (made.path / "manifest.json").write_text(text)
    with pytest.raises(BadInput, match="1e999, which is more than any number"):
        reader.load(made.path)


def test_a_rejected_bundle_says_so_before_it_is_used(made: reader.Bundle, capsys) -> None:
    made.warn()
    assert capsys.readouterr().err == ""
    made.manifest["accuracy"]["failures"] = ["it is 3e-1 from the golden clip"]
    (made.path / "manifest.json").write_text(json.dumps(made.manifest))
    reader.load(made.path).warn()
    said = capsys.readouterr().err
    assert said.startswith("warning: ")
    assert "failed the check of its export: it is 3e-1 from the golden clip" in said


def test_staging_leaves_nothing_after_an_error(tmp_path: Path) -> None:
    def fail(folder: Path, final: Path) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        put(tmp_path / "a" / "b", "half", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_staging_leaves_nothing_when_it_is_stopped(tmp_path: Path, name: str) -> None:
    code = f"""
import os, signal
from pathlib import Path
from core.errors import run_main
from mobile_export.bundle import staging

def main():
    with staging.staging(Path({str(tmp_path / "out")!r}), "name") as folder:
        (folder / "half").write_text("written")
        os.kill(os.getpid(), signal.{name})
        return 0

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored when started in the background
run_main(main)
"""
    stopped = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert stopped.returncode == 128 + getattr(signal, name)
    assert not list(tmp_path.iterdir())


def test_staging_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RuntimeError), staging.staging(tmp_path, "name"):
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("name", ["name", "name.rejected", "name.previous"])
@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_no_bundle_is_not_replaced(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to(tmp_path / "nowhere")
    with (
        pytest.raises(BadInput, match=f"{name} exists and is not a bundle"),
        staging.staging(tmp_path, "name"),
    ):
        pass
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("out", ["/proc/none/out", "/proc", "x" * 300])
def test_a_folder_that_cannot_be_written_is_refused(out: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(BadInput, match=r"--out .* cannot be written") as error,
        staging.staging(Path(out), "name"),
    ):
        pass
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def put(out: Path, text: str, finish) -> None:
    """Stage a bundle whose manifest is ``text`` and publish or reject it."""
    with staging.staging(out, "name") as folder:
        (folder / "manifest.json").write_text(text)
        finish(folder, out / "name")


def contents(out: Path) -> dict[str, str]:
    return {p.name: (p / "manifest.json").read_text() for p in out.iterdir()}


def test_publish_replaces_an_older_bundle(tmp_path: Path) -> None:
    put(tmp_path, "one", staging.publish)
    put(tmp_path, "two", staging.publish)
    assert contents(tmp_path) == {"name": "two"}


@pytest.mark.parametrize("stopped_at", [1, 2])
@pytest.mark.parametrize("after", [False, True])
def test_publish_stopped_between_its_renames(
    stopped_at: int, after: bool, tmp_path: Path, monkeypatch
) -> None:
    """SIGTERM raises SystemExit wherever the program is."""
    put(tmp_path, "one", staging.publish)
    real, calls = os.rename, 0

    def rename(source: Path, target: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == stopped_at and not after:
            raise SystemExit
        real(source, target)
        if calls == stopped_at:
            raise SystemExit

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(SystemExit):
        put(tmp_path, "two", staging.publish)
    assert contents(tmp_path) == {"name": "two" if stopped_at == 2 and after else "one"}


def test_rejected_bundle_never_has_the_good_name(tmp_path: Path) -> None:
    put(tmp_path, "bad", staging.reject)
    assert contents(tmp_path) == {"name.rejected": "bad"}
    put(tmp_path, "good", staging.publish)
    put(tmp_path, "worse", staging.reject)
    assert contents(tmp_path) == {"name.previous": "good", "name.rejected": "worse"}


def test_bundle_folder_is_readable_by_others(tmp_path: Path) -> None:
    put(tmp_path, "one", staging.publish)
    assert os.stat(tmp_path / "name").st_mode & 0o555 == 0o555


def test_every_combination_is_allowed_or_explained() -> None:
    rows = combinations.as_data()
    assert len(rows) == len(combinations.TARGETS) * 2 * len(combinations.PRECISIONS)
    assert len(combinations.supported()) == sum(row["refused"] is None for row in rows)
    for row in rows:
        assert row["refused"] is None or ": use " in row["refused"]


def test_readme_holds_the_table_of_combinations() -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    held = text.split("<!-- combinations -->")[1].split("<!-- /combinations -->")[0]
    assert held.strip() == combinations.table()
