"""benchmarks/real.py: clips by class, false events of clips without a gesture, pairs of models."""

import json
from pathlib import Path

import pytest
import real
import torch

from core import checkpoint
from core.data.packed import PackedClips
from core.data.video import write_clip
from core.errors import BadInput
from core.labels import LABELS
from core.model import ModelConfig, VideoClassifier

# Clips of the package, by their number in the class, that its model is sure and right about.
CLIPS = (("Swiping Left", 1), ("Swiping Left", 18), ("Thumb Up", 9), ("No gesture", 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("real")
    for index, (label, number) in enumerate(CLIPS):
        clips = PackedClips("test", only=(label,))
        (root / label).mkdir(exist_ok=True)
        write_clip(root / label / f"{index}.mp4", clips[number][0], 10.0)
    return root


def test_clips_are_judged_by_class_and_through_the_live_path(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = ModelConfig(size=64, width=0.25, num_classes=len(LABELS))
    other = tmp_path / "untrained.safetensors"
    checkpoint.save(other, VideoClassifier(config).eval(), list(LABELS))
    bundled = checkpoint.bundled_path()
    report = tmp_path / "real.json"
    argv = [str(folder), "--checkpoint", str(bundled), "--checkpoint", str(other)]
    assert real.main([*argv, "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    told = found["models"][str(bundled)]
    assert told["gestures"] == 3
    assert told["without_gesture"] == 1
    assert told["top1"] == 3
    assert told["live_right"] == 3
    assert told["false_events"] == 0
    low, high = told["top1_interval"]
    assert low < 100 * told["top1"] / 3 <= high
    (pair,) = found["pairs"].values()
    assert pair["only_first_right"] + pair["only_second_right"] <= 3
    assert {clip["label"] for clip in found["clips"][str(bundled)]} == dict(CLIPS).keys()


def test_a_folder_of_other_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no videos by class"):
        real.main([str(tmp_path)])
    (tmp_path / "waving").mkdir()
    with pytest.raises(BadInput, match="has a sub-folder 'waving'"):
        real.main([str(tmp_path)])
