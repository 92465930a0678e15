"""What only the order of time tells apart: a trained TSN guesses, the bundled model knows."""

import json
from pathlib import Path

import pytest

from core import checkpoint
from core.data.gestures import TIME_PAIRS
from core.evaluate import main as evaluate
from core.train import main as train

CLIPS_A_PAIR = 1000
# Points around 50: three standard deviations of 1,000 guesses are 4.7. A difference between the
# single frames of two classes, which is what this looks for, lifts a trained TSN far above it.
GUESSING = 5.0
STATIC = 90.0  # per cent of the classes that one frame shows: proof that the TSN did learn
TOLD_APART = 90.0  # per cent of a pair's clips by a model that sees time


def report(path: Path, folder: Path, *more: str) -> dict:
    """What ``core.evaluate`` writes about a checkpoint."""
    file = folder / "report.json"
    evaluate(["--checkpoint", str(path), *more, "--json", str(file)])
    return json.loads(file.read_text())


@pytest.mark.slow
def test_trained_tsn_guesses_between_the_classes_of_a_pair(tmp_path, monkeypatch):
    """A TSN that starts from the bundled backbone, so that minutes of training are enough."""
    monkeypatch.chdir(tmp_path)
    argv = ["--temporal", "none", "--from", str(checkpoint.bundled_path()), "--clips", "2000"]
    argv += ["--steps", "500", "--batch", "12", "--lr", "0.001", "--every", "500"]
    train([*argv, "--out", str(tmp_path / "tsn")])
    path = tmp_path / "tsn" / "best.safetensors"
    found = report(path, tmp_path, "--clips", "1080", "--pairs", str(CLIPS_A_PAIR))
    assert found["static_top1"] > STATIC
    assert len(found["pairs"]) == len(TIME_PAIRS)
    for pair, accuracy in found["pairs"].items():
        assert abs(accuracy - 50) <= GUESSING, pair


@pytest.mark.slow
def test_bundled_model_tells_every_pair_apart(tmp_path):
    found = report(checkpoint.bundled_path(), tmp_path, "--clips", "27", "--pairs", "200")
    for pair, accuracy in found["pairs"].items():
        assert accuracy > TOLD_APART, pair
