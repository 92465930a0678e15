"""A bundle finds its way into a demo app, or nothing changes there."""

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from clips import refusal
from fake_target import install, make_checkpoint, use_noise_clips

from core.errors import BAD_INPUT, GATE_FAILED, BadInput
from mobile_export import __main__ as export_cli
from mobile_export import exporter
from mobile_export.bundle.demo_app import ANDROID, IOS, put
from mobile_export.bundle.reader import load


@pytest.fixture
def app(tmp_path: Path, shallow) -> Path:
    """A folder that looks like the Android demo."""
    manifest = tmp_path / "demo" / ANDROID.known_by
    manifest.parent.mkdir(parents=True)
    manifest.write_text("<manifest/>")
    return tmp_path / "demo"


def export(tmp_path: Path, app: Path, *more: str) -> int:
    checkpoint = make_checkpoint(tmp_path)
    argv = ["--target", "xnnpack", "--precision", "fp32", "--checkpoint", str(checkpoint)]
    return export_cli.main([*argv, "--out", str(tmp_path / "out"), "--into", str(app), *more])


def test_an_export_lands_in_the_app(tmp_path: Path, app: Path, monkeypatch) -> None:
    use_noise_clips(monkeypatch, make_checkpoint(tmp_path))
    install(monkeypatch)
    for _ in range(2):  # a second one takes the place of the first
        assert export(tmp_path, app) == 0
        (folder,) = (app / ANDROID.bundles).iterdir()
        assert load(folder).manifest == load(tmp_path / "out" / folder.name).manifest


def test_a_rename_that_fails_leaves_the_older_bundle(tmp_path: Path, monkeypatch) -> None:
    """The first rename moves the older one away; the second one, of the new one, fails."""
    bundle, folder = tmp_path / "b", tmp_path / "app"
    for place, text in ((bundle, "new"), (folder / "b", "old")):
        place.mkdir(parents=True)
        (place / "model.pte").write_text(text)
    rename, calls = os.rename, []

    def fails(source, target) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails)
    assert "No space left" in refusal(lambda: put(bundle, folder))
    assert [p.name for p in folder.iterdir()] == ["b"]
    assert (folder / "b" / "model.pte").read_text() == "old"
    put(bundle, folder)
    assert [p.name for p in folder.iterdir()] == ["b"]
    assert (folder / "b" / "model.pte").read_text() == "new"


def test_a_refused_bundle_does_not(tmp_path: Path, app: Path, monkeypatch) -> None:
    use_noise_clips(monkeypatch, make_checkpoint(tmp_path))
    install(monkeypatch, change=lambda outputs: [-outputs[0], *outputs[1:]])
    assert export(tmp_path, app) == GATE_FAILED
    assert not (app / ANDROID.bundles).exists()


def test_folders_and_targets_that_no_app_has(tmp_path: Path, app: Path) -> None:
    def call(target: str, into: Path) -> str:
        return refusal(lambda: export_cli.main(["--target", target, "--into", str(into)]))

    assert "is no demo app" in call("xnnpack", tmp_path)
    assert "Android does not run coreml" in call("coreml", app)
    assert "Android does not run coreml" in call("all", app)


def test_an_iphone_gets_three_to_choose_from(tmp_path: Path, monkeypatch) -> None:
    demo = tmp_path / "demo"
    (demo / IOS.known_by).parent.mkdir(parents=True)
    (demo / IOS.known_by).write_text("// !$*UTF8*$!")
    asked = []

    def export(target: str, *, precision: str, **_options) -> SimpleNamespace:
        asked.append((target, precision))
        folder = tmp_path / "out" / precision
        folder.mkdir(parents=True)
        report = SimpleNamespace(failures=[], table=lambda: "")
        return SimpleNamespace(path=folder, report=report, to_dict=dict)

    monkeypatch.setattr("mobile_export.exporter.export", export)
    argv = ["--target", "coreml", "--checkpoint", str(make_checkpoint(tmp_path))]
    argv += ["--out", str(tmp_path / "out"), "--into", str(demo)]
    assert export_cli.main(argv) == 0
    assert asked == [("coreml", "int8"), ("coreml", "w8a16"), ("coreml", "fp16")]
    assert sorted(p.name for p in (demo / IOS.bundles).iterdir()) == ["fp16", "int8", "w8a16"]
    asked.clear()
    (tmp_path / "out" / "fp16").rmdir()
    assert export_cli.main([*argv, "--precision", "fp16"]) == 0
    assert asked == [("coreml", "fp16")]
    for argument in ("xnnpack", "all"):
        argv = ["--target", argument, "--into", str(demo)]
        assert "iOS does not run" in refusal(lambda argv=argv: export_cli.main(argv))


def test_the_report_is_written_where_the_app_cannot_be(
    tmp_path: Path, app: Path, monkeypatch, capsys
) -> None:
    """Of several bundles one that cannot be copied is told, and the others and --json go on."""
    use_noise_clips(monkeypatch, make_checkpoint(tmp_path))
    install(monkeypatch)
    (app / ANDROID.bundles).parent.mkdir(parents=True)
    (app / ANDROID.bundles).write_text("no folder")
    report = tmp_path / "report.json"
    monkeypatch.setattr(export_cli, "_targets", lambda *_: ["xnnpack"] * 2)
    assert export(tmp_path, app, "--json", str(report)) == BAD_INPUT
    assert len(json.loads(report.read_text())) == 2
    assert capsys.readouterr().err.count("error: --into: ") == 2


def test_steps_of_training_are_for_int8_alone(tmp_path: Path, monkeypatch) -> None:
    """An iOS demo gets three precisions, of which one is trained."""
    known = tmp_path / "ios" / IOS.known_by
    known.parent.mkdir(parents=True)
    known.write_text("")
    asked: list[tuple[str, int | None]] = []

    def export(target: str, precision: str, **options: object) -> None:
        asked.append((precision, options.get("qat_steps")))  # type: ignore[arg-type]
        raise BadInput("not now")

    monkeypatch.setattr(exporter, "export", export)
    argv = ["--target", "coreml", "--out", str(tmp_path / "out"), "--qat-steps", "3"]
    assert export_cli.main([*argv, "--into", str(tmp_path / "ios")]) == BAD_INPUT
    assert asked == [("int8", 3), ("w8a16", None), ("fp16", None)]
    said = refusal(lambda: export_cli.main([*argv, "--precision", "fp16"]))
    assert "--qat-steps and --qat-lr are for int8, not for fp16" in said
