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


def saved(path: Path, **settings: object) -> Path:
    """A small model without training."""
    torch.manual_seed(0)
    config = ModelConfig(size=32, width=0.25, num_classes=len(LABELS), **settings)
    checkpoint.save(path, VideoClassifier(config).eval(), list(LABELS))
    return path


def test_a_clip_that_cannot_be_judged_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real, "MAX_SECONDS", 6.0)  # of 120, which are as many steps of the model
    model = ["--checkpoint", str(saved(tmp_path / "model.safetensors"))]
    root = tmp_path / "clips"
    for label in ("Thumb Up", "No gesture"):
        (root / label).mkdir(parents=True)
    bad = root / "Thumb Up" / "bad.mp4"
    bad.write_bytes(b"no video")
    with pytest.raises(BadInput, match=r"Thumb Up/bad\.mp4 cannot be read"):
        real.main([str(root), *model])
    write_clip(bad, torch.zeros(20, 3, 32, 32, dtype=torch.uint8), 2.0)  # ten seconds
    with pytest.raises(BadInput, match=r"Thumb Up/bad\.mp4 cannot be read \(longer than 6 s"):
        real.main([str(root), *model])
    bad.rename(root / "No gesture" / "long.mp4")
    report = tmp_path / "real.json"
    assert real.main([str(root), *model, "--json", str(report)]) == 0
    (told,) = json.loads(report.read_text())["models"].values()
    assert (told["gestures"], told["without_gesture"]) == (0, 1)


def test_a_model_that_cannot_stream_is_refused_before_any_is_judged(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    both = [saved(tmp_path / f"{i}.safetensors", causal=bool(i)) for i in (1, 0)]
    argv = [word for path in both for word in ("--checkpoint", str(path))]
    with pytest.raises(BadInput, match=r"0\.safetensors: a bidirectional action model cannot"):
        real.main([str(folder), *argv])
    assert not capsys.readouterr().out
