"""benchmarks/model_card.py: the card and its picture are whole, or as they were."""

import errno
import json
import os
import shlex
from pathlib import Path

import model_card
import pytest
from helpers import make_model

from core import checkpoint
from core.errors import BadInput
from core.training.loop import parse

LABELS = ["up", "down", "left", "right", "none"]


def write_run(folder: Path, start: Path | None = None, **model: object) -> Path:
    """What training and evaluation leave behind."""
    folder.mkdir()
    best = None if start is None else str(start / "best.safetensors")
    info = {"settings": {"start": best}}
    checkpoint.save(folder / "best.safetensors", make_model(**model), LABELS, info)
    lines = [{"step": s, "accuracy": s, "loss_frame": 1.0, "loss_clip": 1.0} for s in (10, 20)]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    found = {
        "clips": 5, "top1": 60.0, "top5": 100.0, "static_top1": None,
        "by_class": dict.fromkeys(LABELS, 60.0),
    }  # fmt: skip
    (folder / "test.json").write_text(json.dumps(found))
    return folder


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    monkeypatch.setattr(model_card, "DOCS", folder)
    return folder


def test_the_card_is_whole_or_the_one_before(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["--model", f"ACTION={write_run(tmp_path / 'run')}", "--machine", "a bench"]
    assert model_card.main(argv) == 0
    before = {file.name: file.read_bytes() for file in docs.iterdir()}
    assert before.keys() == {"curves.png", "model_card.md"}
    assert b"| up | 60.0 |" in before["model_card.md"]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(BadInput, match=r"curves\.png cannot be written \(No space left"):
        model_card.main([*argv, "--status", "another one"])
    assert {file.name: file.read_bytes() for file in docs.iterdir()} == before


def test_what_is_missing_is_one_line_and_nothing_is_written(docs: Path, tmp_path: Path) -> None:
    run, machine = write_run(tmp_path / "run"), ["--machine", "a bench"]
    for model in ("run", "=run", "ACTION="):
        with pytest.raises(BadInput, match="is not NAME=RUN as in ACTION=runs/action"):
            model_card.main(["--model", model, *machine])
    other = write_run(tmp_path / "other")

    def refused(match: str) -> None:
        with pytest.raises(BadInput, match=match) as error:
            model_card.main(["--model", f"A={run}", "--model", f"B={other}", *machine])
        assert "\n" not in str(error.value)
        assert not any(docs.iterdir())

    test = (other / "test.json").read_text()
    (other / "test.json").write_text("{}")
    refused(r"test\.json is no test of a model \(clips\): write it by python -m core\.evaluate")
    (other / "test.json").unlink()
    refused(r"test\.json is no test of a model \(.*No such file")
    (other / "test.json").write_text(test)
    (other / "log.jsonl").write_text('{"step": 1')
    refused(r"log\.jsonl is no log of core\.train")
    (other / "log.jsonl").unlink()
    refused(r"log\.jsonl is no log of core\.train \(.*No such file")
    checkpoint.save(other / "best.safetensors", make_model(), LABELS)
    refused("does not say how it was trained")
    (other / "best.safetensors").unlink()
    refused("does not exist")


def test_a_run_stands_behind_those_that_it_goes_back_to(docs: Path, tmp_path: Path) -> None:
    pictures = write_run(tmp_path / "pictures", frames=1)
    first = write_run(tmp_path / "first", pictures)
    last = write_run(tmp_path / "last", first)
    runs = model_card.read(last)["runs"]
    assert [run.name for run in runs] == ["pictures", "first", "last"]
    assert [record["step"] for record in model_card.on_clips(runs)] == [10, 20, 30, 40]
    assert [record["step"] for record in model_card.on_clips(runs[:1])] == [10, 20]
    argv = ["--model", f"A={last}", "--model", f"B={first}", "--machine", "a bench"]
    assert model_card.main(argv) == 0
    lines = (docs / "model_card.md").read_text().splitlines()
    asked = [line.split("--out ")[-1] for line in lines if line.startswith("python -m core.train")]
    assert asked == ["runs/pictures", "runs/first", "runs/last"]  # each once
    (first / "best.safetensors").unlink()  # of a run that is gone nothing is known
    assert [run.name for run in model_card.read(last)["runs"]] == ["last"]


def test_the_command_of_a_run_is_one_that_core_train_takes() -> None:
    argv = ["--epochs", "3", "--none", "idle", "--none", "two words", "--balance", "--out", "x"]
    args = parse(argv)
    args.steps = 300  # as the training settled it
    settings = json.loads(json.dumps(vars(args), default=str))
    found = parse(shlex.split(model_card.command(settings, "x"))[3:])
    assert (found.epochs, found.steps) == (3, None)
    assert (found.none, found.balance) == (["idle", "two words"], True)
