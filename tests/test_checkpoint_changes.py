"""A checkpoint made causal, and its taps snapped: what stays and what it costs."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from helpers import make_model, random_clip
from imported import TOLERANCE, refusal, run
from test_checkpoint import LABELS as FIVE

from core import checkpoint
from core.checkpoint import taps
from core.data.source import trained_capsules, trained_sampling
from core.decision import Rule, idle_labels
from core.evaluation import change
from core.shift import LearnedShift


def saved(path: Path, **settings: object) -> Path:
    checkpoint.save(path, make_model(**settings), FIVE, {"validation_top1": 90.0})
    return path


@pytest.mark.parametrize("shift", ["fixed", "learned"])
@torch.no_grad()
def test_to_causal_keeps_the_frames_of_the_taps(shift: str, tmp_path: Path) -> None:
    path, out = saved(tmp_path / "a.safetensors", causal=False, shift=shift), tmp_path / "b.st"
    run("to-causal", path, "--out", out)
    before, after = checkpoint.load(path), checkpoint.load(out)
    assert after.config.causal
    assert "validation_top1" not in after.info  # it was another model's
    key = "backbone.features.3.temporal.ste.conv.weight"
    old, new = before.model.state_dict()[key], after.model.state_dict()[key]
    assert torch.equal(new[:, 1:], old[:, :2])  # t-1 and t
    assert not new[:, 0].any()  # t-2
    if shift == "learned":
        taps_of = [
            next(m for m in c.model.modules() if isinstance(m, LearnedShift)).matrix()
            for c in (before, after)
        ]
        assert torch.equal(taps_of[1][1:], taps_of[0][:2])
        assert not taps_of[1][0].any()
    else:
        after.model.step(random_clip(1, after.config)[:, 0], after.model.initial_state())
    assert "nothing to turn" in refusal("to-causal", out, "--out", tmp_path / "c.st")


@torch.no_grad()
def test_snapping_taps_tells_what_it_costs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path, out = saved(tmp_path / "a.st", shift="learned", frames=4), tmp_path / "b.st"
    run("snap-taps", path, "--out", out, "--clips", 2)
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["largest_tap_error"] == 0
    assert (report["clips"], report["agreement"], report["top1_before"]) == (2, 100.0, None)
    assert report["deviation"] < TOLERANCE
    snapped = checkpoint.load(out)
    assert snapped.config.can_stream
    assert snapped.info["cost"] == report
    loaded = checkpoint.load(path)
    for module in loaded.model.modules():
        if isinstance(module, LearnedShift):
            module.taps[1].add_(0.25)
    assert taps.tap_distance(loaded.model) == pytest.approx(0.25)
    assert change.cost(loaded, snapped.model, 1)["deviation"] > TOLERANCE
    assert "no taps to snap" in refusal("snap-taps", out, "--out", tmp_path / "c.st")


@pytest.mark.parametrize("command", ["to-causal", "snap-taps"])
def test_a_changed_model_is_one_that_was_trained_so(command: str, tmp_path: Path) -> None:
    """Its sampling, its labels of no gesture and its rule stay; what was measured before does not.

    What the rule gave on recordings is measured too.
    """
    path, out = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    settings = {"sampling": "segments", "capsules": "hard", "none": ["left"]}
    numbers = {"threshold": 0.6, "agree": 2, "window": 5}
    chosen = {"chosen": {"gestures": 10}}
    info = {"settings": settings, "decision": numbers | chosen, "step": 7, "validation_top1": 90.0}
    learned = command == "snap-taps"
    model = make_model(causal=learned, shift="learned" if learned else "fixed")
    checkpoint.save(path, model, FIVE, info)
    run(command, path, "--out", out, *(["--clips", 0] if learned else []))
    after = checkpoint.load(out)
    assert trained_sampling(after.info) == "segments"
    assert trained_capsules(after.info) == "hard"
    assert set(idle_labels(after.labels, after.info)) == {"none", "left"}
    assert Rule.of(after.labels, after.info) == Rule.of(FIVE, info)
    assert after.info["decision"] == numbers
    assert "step" not in after.info
    assert after.info["before"] == {"step": 7, "validation_top1": 90.0, "decision": chosen}


@pytest.mark.parametrize("command", ["to-causal", "snap-taps"])
def test_a_full_disk_is_one_line(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = command == "snap-taps"
    settings = {"causal": learned, "shift": "learned" if learned else "fixed"}
    path, out = saved(tmp_path / "a.safetensors", **settings), tmp_path / "b.safetensors"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    more = ["--clips", 0] if learned else []
    assert "cannot be written (No space left" in refusal(command, path, "--out", out, *more)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
