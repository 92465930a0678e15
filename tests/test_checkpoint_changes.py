"""A checkpoint made causal, and its taps snapped: what stays and what it costs."""

import json
from pathlib import Path

import pytest
import torch
from helpers import make_model, random_clip
from imported import TOLERANCE, refusal, run
from test_checkpoint import LABELS as FIVE

from core import checkpoint
from core.checkpoint import taps
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
