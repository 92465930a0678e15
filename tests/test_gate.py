"""The verdict on the drop: the errors of the sequential rule, simulated, and what a user sees."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_target import install, make_checkpoint, use_noise_clips
from torch import nn
from torch.utils.data import TensorDataset

from core.data.clips import Clips
from core.errors import GATE_FAILED, BadInput
from mobile_export import GateFailed, export
from mobile_export import __main__ as export_cli
from mobile_export import verify as api_verify
from mobile_export.bundle import reader
from mobile_export.clips import drawn
from mobile_export.verify import __main__ as verify
from mobile_export.verify import accuracy, check, gate
from mobile_export.verify.accuracy import BATCH, Measurement

FRAMES = 6  # of a tiny model's clip
MAX_DROP = 1.0  # points, the default
CHECKS = 2000  # simulated; a share of 0.025 strays by 0.01 (three sigmas)
MOST_CLIPS = 2700  # about as many as the clips that a check draws
SLACK = 0.01


def share_of_verdicts(drop: float, differing: float, seed: int = 0) -> dict[str, float]:
    """Verdicts of checks that look after every batch, as shares; true drop and share in points.

    ``differing`` are the clips that one side alone gets right; the wrong ones of either side.
    """
    lost, won = (differing + drop) / 200, (differing - drop) / 200
    rng = np.random.default_rng(seed)
    shape = (CHECKS, MOST_CLIPS // BATCH)
    rest = [lost, won, 1 - lost - won]
    counts = rng.multinomial(BATCH, rest, size=shape).cumsum(1)
    clips = np.broadcast_to(np.arange(1, shape[1] + 1) * BATCH, shape)
    looked = clips[0] >= check.FEWEST_CLIPS
    counts, clips = counts[:, looked], clips[:, looked]
    # Most checks come by the same counts: the money of each is reckoned once.
    key = (clips * (MOST_CLIPS + 1) + counts[..., 0]) * (MOST_CLIPS + 1) + counts[..., 1]
    seen, where = np.unique(key, return_inverse=True)
    (n, b), c = np.divmod(seen // (MOST_CLIPS + 1), MOST_CLIPS + 1), seen % (MOST_CLIPS + 1)
    enough, bound = -np.log(gate.ERROR), MAX_DROP / 100
    passed, failed = (
        _first((gate.log_money(*way, n, mean) >= enough)[where].reshape(key.shape))
        for way, mean in (((b, c), bound), ((c, b), -bound))
    )
    return {
        "passed": float((passed < failed).mean()),
        "failed": float((failed < passed).mean()),
        "not shown": float((failed == passed).mean()),
    }


def _first(shown: np.ndarray) -> np.ndarray:
    """(checks, looks) -> the first look that shows it, or one behind the last."""
    return np.where(shown.any(1), shown.argmax(1), shown.shape[1])


@pytest.mark.parametrize("differing", [1.5, 3.0, 8.0])
@pytest.mark.parametrize("drop", [0.0, 0.5, 1.0, 1.5])
def test_wrong_verdicts_are_one_in_forty_at_most(drop: float, differing: float) -> None:
    found = share_of_verdicts(drop, differing)
    print(f"true drop {drop} points, {differing} % differ: {found}")
    if drop <= MAX_DROP:
        assert found["failed"] <= gate.ERROR + SLACK
    if drop >= MAX_DROP:  # at the bound itself neither may be said too often
        assert found["passed"] <= gate.ERROR + SLACK


def test_clear_cases_are_decided() -> None:
    assert share_of_verdicts(0.0, 0.2)["passed"] > 0.95
    assert share_of_verdicts(5.0, 6.0)["failed"] > 0.95


@pytest.mark.parametrize(("lost", "won", "clips"), [(0, 0, 400), (7, 2, 300), (40, 0, 60)])
def test_the_interval_is_what_the_money_does_not_rule_out(lost: int, won: int, clips: int) -> None:
    low, high = gate.gate_interval(lost, won, clips)
    assert -100 <= low < 100 * (lost - won) / clips < high <= 100
    for drop, inside in ((high - 0.001, True), (high + 0.001, False)):
        money = gate.log_money(lost, won, clips, drop / 100)
        assert bool(money < -np.log(gate.ERROR)) == inside
    assert gate.gate_interval(won, lost, clips) == pytest.approx((-high, -low))


def test_the_interval_is_wider_than_one_for_a_number_set_beforehand() -> None:
    low, high = gate.gate_interval(4, 2, 500)
    fixed = accuracy.drop_interval(4, 2, 500)
    assert low < fixed[0] < fixed[1] < high


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((-1.0, 1.0), "passed"),  # at most the bound
        ((-1.0, 1.001), "not shown"),
        ((1.0, 3.0), "not shown"),  # not above it
        ((1.001, 3.0), "failed"),
        ((-100.0, 100.0), "not shown"),
    ],
)
def test_the_interval_decides(interval: tuple[float, float], said: str) -> None:
    assert gate.verdict(interval, MAX_DROP) == said
    assert gate.in_words(interval, MAX_DROP, 9).startswith(said)


def test_a_hundred_points_may_always_be_lost() -> None:
    assert gate.verdict(gate.gate_interval(20, 0, 20), 100.0) == "passed"


class Sides(Measurement):
    """Logits of both sides that the pixels themselves tell: no model is run."""

    def __init__(self) -> None:
        pass

    def logits(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        right = nn.functional.one_hot(torch.zeros(len(pixels), dtype=torch.long), 2).float()
        wrong = right.flip(1)
        return right[:, None], torch.where(pixels[:, None] > 0, wrong, right)[:, None]


@pytest.mark.parametrize(("lost_every", "said"), [(0, "passed"), (2, "failed"), (60, "not shown")])
def test_clips_are_added_until_the_answer_is_clear(lost_every: int, said: str) -> None:
    count = 1200
    lost = torch.arange(count) % lost_every == 0 if lost_every else torch.zeros(count)
    clips = TensorDataset(lost.int(), torch.zeros(count, dtype=torch.long))
    found = Sides().run(clips, 0, check._shown_or_late(MAX_DROP))
    assert gate.verdict(found.gate_interval, MAX_DROP) == said
    assert (found.clips == count) == (said == "not shown")
    if said != "not shown":  # and not clear one batch before
        before = found.clips - BATCH
        again = Sides().run(torch.utils.data.Subset(clips, range(before)))
        undecided = gate.verdict(again.gate_interval, MAX_DROP) == "not shown"
        assert undecided or before < check.FEWEST_CLIPS


def test_time_that_is_over_ends_the_looking_whatever_was_seen(monkeypatch) -> None:
    monkeypatch.setattr(check, "SECONDS", 0.0)
    clips = TensorDataset(torch.zeros(400).int(), torch.zeros(400, dtype=torch.long))
    found = Sides().run(clips, 0, check._shown_or_late(MAX_DROP))
    assert check.FEWEST_CLIPS <= found.clips < check.FEWEST_CLIPS + BATCH


class Numbered(Clips):
    """Fifty clips that are their numbers."""

    labels = ("wave",)

    def __len__(self) -> int:
        return 50

    def __getitem__(self, index: int) -> int:
        return range(50)[index]


def test_clips_of_a_folder_are_looked_at_in_one_shuffled_order(tmp_path: Path) -> None:
    clips = Numbered()
    order = list(drawn(clips, object(), None))
    assert sorted(order) == list(range(50)) != order
    assert list(drawn(clips, object(), 7)) == order[:7]
    assert list(drawn(clips, None, 7)) == list(range(7))
    assert drawn(clips, object(), 7).labels == clips.labels


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch, shallow) -> Path:
    path = make_checkpoint(tmp_path)
    use_noise_clips(monkeypatch, path)
    install(monkeypatch)
    return path


def exported(tiny: Path, *more: str) -> tuple[int, reader.Bundle]:
    """Status and bundle of an export that answers as its checkpoint does, on six clips."""
    out = tiny.parent / "out"
    options = ["--checkpoint", str(tiny), "--precision", "fp32", "--out", str(out)]
    status = export_cli.main(["--target", "xnnpack", *options, *more])
    return status, reader.load(next(out.iterdir()))


def test_six_clips_show_nothing_and_that_is_said(tiny: Path, capsys) -> None:
    status, bundle = exported(tiny)
    assert status == 0
    found = bundle.manifest["accuracy"]
    assert found["verdict"] == "not shown"
    assert found["gate_interval"] == list(gate.gate_interval(0, 0, 6))
    shown = "not shown: after 6 clips it may still lose more than 1 point (95 %: -"
    assert shown in capsys.readouterr().out
    figures = tiny.parent / "figures.json"
    argv = [str(bundle.path), "--checkpoint", str(tiny), "--json", str(figures)]
    assert verify.main(argv) == 0
    assert json.loads(figures.read_text())["verdict"] == "not shown"
    assert "not shown: after 6 clips" in capsys.readouterr().out
    assert verify.main([*argv, "--strict"]) == GATE_FAILED


def test_strict_refuses_what_is_not_shown(tiny: Path, capsys) -> None:
    status, bundle = exported(tiny, "--strict")
    assert status == GATE_FAILED
    assert bundle.path.name.endswith(".rejected")
    assert bundle.manifest["accuracy"]["verdict"] == "not shown"
    assert "6 clips do not show that it loses at most 1 point (95 %" in capsys.readouterr().out


def test_strict_in_the_api(tiny: Path) -> None:
    options = {"checkpoint": tiny, "precision": "fp32", "out": tiny.parent / "out"}
    result = export("xnnpack", **options)
    assert (result.report.verdict, result.report.failures) == ("not shown", [])
    (failure,) = api_verify(result.path, checkpoint=tiny, strict=True).failures
    assert "6 clips do not show" in failure
    with pytest.raises(GateFailed, match="6 clips do not show") as refused:
        export("xnnpack", strict=True, **options)
    assert refused.value.result.path.name.endswith(".rejected")


def test_a_loss_that_is_shown_is_a_failed_gate(tiny: Path, monkeypatch, capsys) -> None:
    """Of 40 clips the artifact answers every second one otherwise; the logits stay close."""
    answers = 0

    def every_second(outputs: list[torch.Tensor]) -> list[torch.Tensor]:
        nonlocal answers
        clip = answers // FRAMES
        answers += 1
        if clip % 2 == 0:
            return outputs
        return [outputs[0].roll(1, -1), *outputs[1:]]

    use_noise_clips(monkeypatch, tiny, count=40)
    status, bundle = exported(tiny)
    assert (status, bundle.manifest["accuracy"]["verdict"]) == (0, "not shown")
    install(monkeypatch, change=every_second)
    figures = tiny.parent / "figures.json"
    argv = [str(bundle.path), "--checkpoint", str(tiny), "--json", str(figures)]
    assert verify.main(argv) == GATE_FAILED
    report = json.loads(figures.read_text())
    assert report["verdict"] == "failed"
    assert report["clips"] < 40  # clear before the end
    failure = report["failures"][0]
    assert failure.startswith(f"it loses {report['drop']:.2f} points on 32 clips (95 %: +")
    assert failure.endswith("), more than the 1 point allowed")
    printed = capsys.readouterr().out
    assert "failed: 32 clips show that it loses more than 1 point" in printed
    assert f"FAILED: {failure}" in printed


def test_a_passed_gate_is_a_passed_gate_when_strict(tiny: Path, capsys) -> None:
    status, bundle = exported(tiny, "--strict", "--max-drop", "100")
    assert (status, bundle.manifest["accuracy"]["verdict"]) == (0, "passed")
    assert "passed: 6 clips show that it loses at most 100 points" in capsys.readouterr().out


def test_a_bundle_from_before_the_verdict_is_still_read(tiny: Path) -> None:
    _, bundle = exported(tiny)
    file = bundle.path / "manifest.json"
    manifest = json.loads(file.read_text())
    verdict = manifest["accuracy"].pop("verdict")
    file.write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match="gate_interval"):  # half of it is damage
        reader.load(bundle.path)
    interval = manifest["accuracy"].pop("gate_interval")
    file.write_text(json.dumps(manifest))
    assert reader.load(bundle.path).manifest["accuracy"]["clips"] == 6
    assert verify.main([str(bundle.path), "--checkpoint", str(tiny)]) == 0
    manifest["accuracy"] |= {"verdict": "fine", "gate_interval": interval}
    file.write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match="verdict"):
        reader.load(bundle.path)
    assert verdict == "not shown"
