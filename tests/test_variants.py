"""benchmarks/variants.py: what differs, what is trained once, what the table says."""

import json
import subprocess
from pathlib import Path

import pytest
import torch
import variants

from core import checkpoint
from core.data.packed import PackedClips
from core.data.video import write_clip
from core.errors import BadInput
from core.labels import LABELS
from core.model import ModelConfig, VideoClassifier
from core.training.plan import parse

SHOWN = ("Thumb Up", "No gesture")  # classes that are rendered and real here


class Few(PackedClips):
    """Two of the package's clips, in the view of the models of these tests."""

    def __init__(self) -> None:
        super().__init__("test", size=32, frames=4, only=SHOWN)

    def __len__(self) -> int:
        return len(SHOWN)


@pytest.fixture
def argv(tmp_path: Path) -> list[str]:
    real = tmp_path / "real"
    for label in SHOWN:
        (real / label).mkdir(parents=True)
        write_clip(real / label / "1.mp4", PackedClips("test", only=(label,))[0][0], 10.0)
    former = tmp_path / "former.safetensors"
    config = ModelConfig(size=32, width=0.25, num_classes=len(LABELS))
    checkpoint.save(former, VideoClassifier(config).eval(), list(LABELS))
    return [
        str(real), "--start", str(former), "--backgrounds", "hdri",
        "--out", str(tmp_path / "runs"), "--json", str(tmp_path / "variants.json"),
    ]  # fmt: skip


@pytest.fixture
def asked(monkeypatch) -> list:
    """The options of every training that was asked for; each gives an untrained model."""
    found = []

    def train(command: list[str]) -> subprocess.CompletedProcess:
        args = parse(command[command.index("core.train") + 1 :], "")
        torch.manual_seed(len(found))
        config = ModelConfig(size=32, width=0.25, temporal=args.temporal, num_classes=len(LABELS))
        args.out.mkdir(parents=True, exist_ok=True)
        checkpoint.save(args.out / "best.safetensors", VideoClassifier(config).eval(), list(LABELS))
        found.append(args)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(variants.subprocess, "run", train)
    monkeypatch.setattr(variants, "open_clips", lambda *_: Few())
    return found


def test_each_variant_differs_from_the_first_in_what_its_name_says(
    argv, asked, capsys, monkeypatch
):
    assert variants.main(argv) == 0
    first, *others = (vars(args) | {"out": None} for args in asked)
    for options in others:
        differ = {name for name in first if options[name] != first[name]}
        assert len(differ - {"backgrounds"}) <= 1, differ
        assert differ
    assert len(asked) >= 9  # the first and the eight that were asked for
    assert {args.temporal for args in asked} == {"action", "shift", "none"}

    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(table) == 2 + len(asked)
    figures = json.loads(Path(argv[-1]).read_text())
    assert len(figures) == len(asked)
    for found in figures.values():
        assert found["clips"] == len(SHOWN)
        assert 0 <= found["rendered"] <= len(SHOWN)
        assert found["real"]["gestures"] == found["real"]["without_gesture"] == 1
    trainings = len(asked)

    def never(*_args: object) -> None:
        raise AssertionError("a variant was judged again")

    monkeypatch.setattr(variants, "judge", never)
    assert variants.main(argv) == 0
    assert len(asked) == trainings
    assert json.loads(Path(argv[-1]).read_text()) == figures
    again = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert again == table


def test_a_training_that_fails_is_told_and_tried_again(asked, monkeypatch, tmp_path):
    name, options = "twice the rate", {"--temporal": "action"}
    train = variants.subprocess.run
    failed = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(variants.subprocess, "run", lambda command: failed)
    with pytest.raises(BadInput, match="variant 'twice the rate' could not be trained"):
        variants.trained(name, options, tmp_path, 2)
    monkeypatch.setattr(variants.subprocess, "run", train)
    for _ in range(2):
        assert variants.trained(name, options, tmp_path, 2).is_file()
    assert len(asked) == 1


def test_only_some_are_compared_with_the_first(argv, asked, capsys):
    assert variants.main([*argv, "--only", "TSN", "TSM"]) == 0
    assert [args.temporal for args in asked] == ["action", "shift", "none"]
    assert list(json.loads(Path(argv[-1]).read_text())) == ["ACTION", "TSM", "TSN"]
    with pytest.raises(BadInput, match="--only TRN: no such variant: one of ACTION, capsules"):
        variants.main([*argv, "--only", "TRN"])


def test_what_is_kept_is_of_these_options_and_clips(argv, asked, capsys, tmp_path):
    argv += ["--only", "TSM"]
    assert variants.main(argv) == 0
    with pytest.raises(BadInput, match="'ACTION' trained by other options: give another folder"):
        variants.main([*argv, "--steps", "7"])
    real = tmp_path / "real" / SHOWN[0]
    (real / "2.mp4").write_bytes((real / "1.mp4").read_bytes())
    (real / "._2.mp4").write_bytes(b"left by a system")
    assert variants.main(argv) == 0
    assert len(asked) == 2
    assert "real, of 2 (95 %)" in capsys.readouterr().out
    for figures in json.loads(Path(argv[argv.index("--json") + 1]).read_text()).values():
        assert figures["real"]["gestures"] == 2


def test_clips_and_starts_are_looked_at_before_anything_is_trained(argv, asked, tmp_path):
    with pytest.raises(BadInput, match="nowhere holds no videos by class"):
        variants.main([str(tmp_path / "nowhere"), *argv[1:]])
    with pytest.raises(BadInput, match="gone"):
        variants.main([*argv, "--other-start", str(tmp_path / "gone.safetensors")])
    assert not asked
