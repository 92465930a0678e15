"""benchmarks/rule.py: what a rule makes of recordings, and which one is taken."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
import rule
import torch
from recordings import need_drawing

from core import checkpoint
from core.decision import Rule
from core.errors import BadInput
from core.labels import LABELS
from core.model import ModelConfig, VideoClassifier

RATE = 10.0


def recording() -> rule.Recording:
    """Twenty seconds with one swipe of a second, of which a model is sure for 0.8 s."""
    logits = torch.zeros(200, len(LABELS))
    logits[:, LABELS.index("No gesture")] = 9.0
    logits[100:108, LABELS.index("Swiping Left")] = 40.0
    starts, ends, classes = (torch.tensor([v]) for v in (98, 108, LABELS.index("Swiping Left")))
    return logits, starts, ends, classes


def test_a_rule_is_scored_by_events() -> None:
    base = Rule.of(LABELS)
    found = rule.tried([recording(), recording()], replace(base, threshold=0.5, agree=2), RATE)
    assert (found.recognised, found.gestures, found.false_events) == (2, 2, 0)
    assert found.f1 == 1.0
    assert abs(found.minutes - 40 / 60) < 1e-9
    slow = rule.tried([recording()], replace(base, threshold=0.5, agree=50), RATE)
    assert (slow.recognised, slow.f1) == (0, 0.0)
    assert found.chosen()["false_a_minute_at_most"] > 0  # forty seconds show little


def test_the_best_is_among_the_quiet_ones() -> None:
    loud = rule.Tried(0.2, 2, 8, 0.9, 9, 10, 20, 10.0)
    quiet = rule.Tried(0.6, 4, 8, 0.7, 6, 10, 5, 10.0)
    dull = rule.Tried(0.9, 8, 8, 0.1, 1, 10, 0, 10.0)
    assert rule.best([loud, quiet, dull]) is quiet
    assert rule.best([loud, replace(quiet, false_events=15)]).false_events == 15


def test_the_checkpoint_gets_its_rule(tmp_path) -> None:
    need_drawing()
    torch.manual_seed(0)
    model = VideoClassifier(ModelConfig(size=32, width=0.25, num_classes=len(LABELS))).eval()
    path, out = tmp_path / "model.safetensors", tmp_path / "ruled.safetensors"
    checkpoint.save(path, model, list(LABELS), {"step": 7})
    assert rule.main(["--checkpoint", str(path), "--streams", "1", "--out", str(out)]) == 0
    info = checkpoint.load(out).info
    assert info["step"] == 7
    assert info["decision"]["threshold"] in rule.THRESHOLDS
    assert Rule.of(list(LABELS), info).window == info["decision"]["window"]
    assert info["decision"]["chosen"]["gestures"] == 10


def saved(path: Path, labels: list[str]) -> Path:
    """A small model without training."""
    torch.manual_seed(0)
    config = ModelConfig(size=32, width=0.25, num_classes=len(labels))
    checkpoint.save(path, VideoClassifier(config).eval(), labels)
    return path


@pytest.mark.parametrize("labels", [["wave", "none"], list(reversed(LABELS))], ids=len)
def test_a_model_of_other_classes_is_refused_before_anything_is_drawn(
    labels: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule, "PeopleStreams", None)
    path = saved(tmp_path / "model.safetensors", labels)
    with pytest.raises(BadInput, match=r"model\.safetensors has .* classes .*of Jester in their"):
        rule.main(["--checkpoint", str(path)])


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path, out = saved(tmp_path / "model.safetensors", list(LABELS)), tmp_path / "out.safetensors"
    frames = torch.zeros(20, 3, 32, 32, dtype=torch.uint8)
    item = (frames, *(torch.tensor([v]) for v in (4, 9, 16)))
    monkeypatch.setattr(rule, "PeopleStreams", lambda *_, **__: [item])
    monkeypatch.setattr(rule, "loader", lambda streams, *_, **__: streams)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(BadInput, match=r"--out .* cannot be written \(No space left"):
        rule.main(["--checkpoint", str(path), "--streams", "1", "--out", str(out)])
    assert not out.exists()
