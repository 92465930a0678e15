"""The whole job of teaching: clips in, a judged model out, and what goes wrong between."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import make_model
from short_models import tame
from taught import COLOURS, DAYS, film, write_base, write_clips

from core import checkpoint
from core.data.find import every_clip, find_clips
from core.data.source import Source
from core.data.video import write_clip
from core.decision import Rule
from core.errors import BadInput
from core.labels import LABELS
from core.training.frozen import LEAST_STEPS
from mobile_export.clips import held_out, held_out_or, trained_part
from mobile_export.teach import extend, progress
from mobile_export.teach import features as features_module
from mobile_export.teach import job as job_module
from mobile_export.teach.__main__ import main
from mobile_export.teach.folder import Clip

HASTE = ["--minutes", "0.001"]  # class means and one step: what a random trunk can be given


@pytest.fixture(scope="module")
def taught(once) -> Path:
    """A folder on which a job has run, and its base beside it."""

    def make(folder: Path) -> None:
        write_clips(folder / "clips")
        write_base(folder / "base.safetensors")
        assert (
            main([str(folder / "clips"), "--from", str(folder / "base.safetensors"), *HASTE]) == 0
        )

    return once("taught", make)


def copied(taught: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    shutil.copytree(taught, tmp_path / "t")
    clips = tmp_path / "t" / "clips"
    return clips, [str(clips), "--from", str(tmp_path / "t" / "base.safetensors"), *HASTE]


def test_a_folder_of_clips_becomes_a_judged_model(taught):
    work = taught / "clips" / ".teach"
    report = json.loads((work / "report.json").read_text())
    assert report["classes"] == dict.fromkeys(sorted(COLOURS), 6)
    assert (report["judged"]["by"], report["judged"]["clips"]) == ("session", 18)
    assert np.sum(report["judged"]["confusion"]) == 18
    low, high = report["judged"]["interval"]
    assert low <= report["judged"]["accuracy"] <= high
    model = checkpoint.load(work / "model.safetensors")
    assert model.labels == sorted(COLOURS)
    assert model.info["decision"] == report["decision"]
    assert Rule.of(model.labels, model.info).threshold == report["decision"]["threshold"]
    told = progress.read(work)
    assert (told["state"], told["part"]) == ("done", 1.0)
    base = checkpoint.load(taught / "base.safetensors").model.state_dict()
    trunk = "backbone.features.3.conv.0.0.weight"
    assert torch.equal(model.model.state_dict()[trunk], base[trunk])


def test_a_job_goes_on_where_it_was(taught, tmp_path, monkeypatch, capsys):
    clips, argv = copied(taught, tmp_path)
    (job,) = (clips / ".teach").glob("job-*")
    model = (job / "model.safetensors").read_bytes()
    before = {p.name: p.stat().st_mtime_ns for p in job.glob("fold-*")}
    (job / "model.safetensors").unlink()  # killed during the last training
    (clips / ".teach" / "model.safetensors").unlink()

    def never(*_args: object) -> None:
        raise AssertionError("a clip was looked at again")

    monkeypatch.setattr(features_module, "maps_of", never)
    assert main(argv) == 0
    assert {p.name: p.stat().st_mtime_ns for p in job.glob("fold-*")} == before
    assert (clips / ".teach" / "model.safetensors").read_bytes() == model
    monkeypatch.undo()
    write_clip(clips / "red" / f"{DAYS[1]}-009.mp4", film("red", 77), 10.0)
    maps = len(list((clips / ".teach" / "maps").iterdir()))
    assert main(argv) == 0
    assert len(list((clips / ".teach" / "maps").iterdir())) == maps + 1
    assert "red 7" in capsys.readouterr().out


def test_clips_that_cannot_be_read_or_show_nothing_are_named(taught, tmp_path, capsys):
    clips, argv = copied(taught, tmp_path)
    (clips / "red" / "broken.mp4").write_bytes(b"no video")
    write_clip(clips / "red" / f"{DAYS[0]}-008.mp4", np.full((12, 48, 48, 3), 7, np.uint8), 10.0)
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "red/broken.mp4 cannot be read" in out
    assert f"red/{DAYS[0]}-008.mp4: its pictures are of one colour: is the lens covered" in out


def test_a_clip_that_goes_away_is_left_out(taught, tmp_path, monkeypatch, capsys):
    clips, argv = copied(taught, tmp_path)
    (clips / "red" / "nothing.mp4").symlink_to(tmp_path / "gone.mp4")
    first, read = clips / "red" / f"{DAYS[0]}-000.mp4", job_module.read_folder

    def deleted_on_the_page(root: Path) -> list[Clip]:
        found = read(root)
        first.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(job_module, "read_folder", deleted_on_the_page)
    assert main(argv) == 0
    out = capsys.readouterr().out
    for name in ("nothing.mp4", first.name):
        assert f"red/{name} cannot be read (No such file or directory): left out" in out


def test_the_bundle_is_made_from_the_jobs_clips_alone(taught, tmp_path, monkeypatch):
    """Not from what is recorded or deleted meanwhile, nor from clips that were left out."""
    clips, argv = copied(taught, tmp_path)
    (clips / "wave").mkdir()  # a gesture without clips yet
    (clips / "red" / "broken.mp4").write_bytes(b"no video")
    shutil.copy(clips / "red" / f"{DAYS[0]}-000.mp4", clips / "red" / "again.mp4")
    seen: dict[str, list[Path]] = {}

    def export(_target: str, *, data: Source, **_rest: object) -> SimpleNamespace:
        write_clip(clips / "red" / "new.mp4", film("red", 77), 10.0)
        (clips / "green" / f"{DAYS[0]}-000.mp4").unlink()
        seen.update(every_clip(data.folder))
        assert data.folder.name == clips.name  # which the manifest names
        for split in ("train", "test"):
            assert find_clips(data.folder, split, sorted(COLOURS)).clips
        return SimpleNamespace(path=tmp_path)

    monkeypatch.setattr(job_module, "export", export)
    assert main([*argv, "--target", "xnnpack", "--out", str(tmp_path / "out")]) == 0
    names = [f"{day}-{n:03d}.mp4" for day in DAYS[:2] for n in range(3)]
    assert {label: [p.name for p in paths] for label, paths in seen.items()} == {
        "No gesture": names, "green": names, "red": names,
    }  # fmt: skip
    assert all(p.read_bytes() for paths in seen.values() for p in paths)


def test_an_export_tells_the_clips_it_was_trained_on_from_others(taught, tmp_path):
    model = checkpoint.load(taught / "clips" / ".teach" / "model.safetensors")

    def part(folder: Path) -> str:
        return trained_part(held_out(Source(folder), model, None), model)

    assert part(taught / "clips") == ", which it was trained on"
    other = tmp_path / "other"
    write_clips(other / "train")
    write_clips(other / "test", days=3)
    assert part(other) == ", some of which it was trained on"
    (other / "test" / "red" / ".DS_Store").write_bytes(b"left by a system")
    older = replace(model, info={"taught": {"steps": 1}})
    assert trained_part(held_out(Source(other), older, None), older).startswith(", which it may")
    for clip in other.rglob(f"{DAYS[0]}*"):
        clip.rename(clip.with_name(f"x{clip.name}"))
    for clip in other.rglob(f"{DAYS[1]}*"):
        clip.unlink()
    assert part(other) == ""
    assert held_out_or("") == "held-out clips"
    assert held_out_or(", which it was trained on") == "clips, which it was trained on"


def test_more_minutes_train_again_and_too_few_are_said(taught, tmp_path, capsys):
    clips, argv = copied(taught, tmp_path)
    report = json.loads((clips / ".teach" / "report.json").read_text())
    assert "0.001 minutes ended training after 1 steps: give more" in report["advice"]
    (job,) = (clips / ".teach").glob("job-*")
    argv[argv.index("--minutes") + 1] = "5"
    assert main(argv) == 0
    (other,) = (clips / ".teach").glob("job-*")
    assert other != job
    assert "ended training" not in capsys.readouterr().out
    steps = checkpoint.load(clips / ".teach" / "model.safetensors").info["taught"]["steps"]
    assert steps >= LEAST_STEPS


def test_slow_clips_leave_time_to_train(tmp_path):
    terms = job_module.Terms(tmp_path, None, tmp_path, minutes=1.0)
    job = job_module._Job(terms, tmp_path, progress.Progress(), lambda *_: None)
    job.began -= 600  # looking at the clips took ten minutes
    first = job._budget(5)
    assert first is not None
    assert 0 < first - time.monotonic() <= 60 * job_module.TRAIN_SHARE / 5


def test_a_full_disk_and_a_second_job_lose_nothing(taught, tmp_path, monkeypatch):
    clips, argv = copied(taught, tmp_path)
    work = clips / ".teach"
    with progress.alone(work), pytest.raises(BadInput, match="trained on by another process"):
        main(argv)
    model = (work / "model.safetensors").read_bytes()
    write_clip(clips / "red" / f"{DAYS[1]}-009.mp4", film("red", 77), 10.0)

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features_module, "replace_file", full)
    with pytest.raises(BadInput, match="is full: make room; the same command goes on"):
        main(argv)
    assert (work / "model.safetensors").read_bytes() == model
    assert progress.read(work)["state"] == "failed"
    assert not progress.is_running(work)


def test_a_job_that_was_killed_is_said_to_be_stopped(tmp_path):
    progress.Progress(tmp_path / "progress.json", part=0.4).write()
    told = progress.read(tmp_path)
    assert (told["state"], told["part"]) == ("stopped", 0.4)
    with progress.alone(tmp_path):
        assert progress.read(tmp_path)["state"] == "running"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["nowhere"], "does not exist"),
        (["nowhere", "--minutes", "0"], "not a number above 0"),
        (["nowhere", "--target", "xnnpack", "--precision", "w8a16"], "w8a16"),
    ],
)
def test_options_that_cannot_be_used(argv, words):
    with pytest.raises(BadInput, match=words):
        main(argv)


def test_known_gestures_are_kept_and_their_loss_is_measured(tmp_path, monkeypatch, capsys):
    """With rendered clips of the old ones, at a size of a few pixels."""
    monkeypatch.setattr(extend, "REPLAYED", 1)
    monkeypatch.setattr(extend, "MEASURED", 1)
    clips = write_clips(tmp_path / "clips", clips=2)
    model = make_model(size=32, frames=8, num_classes=len(LABELS))
    tame(model)
    checkpoint.save(tmp_path / "base.safetensors", model, list(LABELS))
    argv = [str(clips), "--from", str(tmp_path / "base.safetensors"), "--extend", *HASTE]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "of 27 rendered clips of the known gestures" in out
    report = json.loads((clips / ".teach" / "report.json").read_text())
    known = report["known"]
    assert known["clips"] == 27
    assert (
        round(27 * known["after"] / 100)
        == round(27 * known["before"] / 100) - known["lost"] + (known["won"])
    )
    made = checkpoint.load(clips / ".teach" / "model.safetensors")
    assert made.labels == [*LABELS, "green", "red"]  # no gesture is the one that it knew
    assert report["judged"]["clips"] == 12
    assert set(report["judged"]["labels"]) >= set(COLOURS)
    old = model.classifier.weight
    step = (made.model.classifier.weight[: len(LABELS)] - old).abs().max()
    assert step < 0.1 * old.abs().max()  # one step from where it was
    with pytest.raises(BadInput, match="of its own"):
        main([str(clips), "--from", str(write_base(tmp_path / "b.safetensors")), "--extend"])
