"""benchmarks/model_card.py: the card and its picture are whole, or as they were."""

import errno
import json
import os
from pathlib import Path

import model_card
import pytest
from helpers import make_model

from core import checkpoint
from core.errors import BadInput

LABELS = ["up", "down", "left", "right", "none"]


def write_run(folder: Path) -> Path:
    """What training and evaluation leave behind."""
    folder.mkdir()
    info = {"settings": {"start": None}}
    checkpoint.save(folder / "best.safetensors", make_model(), LABELS, info)
    lines = [{"step": s, "accuracy": s, "loss_frame": 1.0, "loss_clip": 1.0} for s in (10, 20)]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    found = {
        "clips": 5, "top1": 60.0, "top5": 100.0, "static_top1": None,
        "by_class": dict.fromkeys(LABELS, 60.0),
    }  # fmt: skip
    (folder / "test.json").write_text(json.dumps(found))
    return folder


def test_the_card_is_whole_or_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    monkeypatch.setattr(model_card, "DOCS", docs)
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
