"""One's own gestures, from the camera to the phone's program: record, fine-tune, export, live."""

import json
from pathlib import Path

import pytest
from own_gestures import FPS, GESTURES, film, write_session
from recordings import need_drawing

from core import checkpoint
from core.data.folder import FolderClips
from core.data.video import write_clip
from core.evaluation.report import main as evaluate
from core.training.loop import main as train
from mobile_export import __main__ as export_cli
from mobile_export.live.__main__ import main as live
from mobile_export.live.record import CLIP_SECONDS, RATE, check_label, save_clip

CLIPS = {"train": 16, "val": 4, "test": 20}  # twenty a class are recorded, the test is extra
SIZE = 128
ACCURATE = 85.0  # per cent of 100 test clips; five classes guessed are 20


@pytest.fixture(autouse=True)
def _drawn() -> None:
    need_drawing()


def record(root: Path, clips: dict[str, int], size: int) -> None:
    """Let the recorder cut sessions of every gesture into clips."""
    for split, count in clips.items():
        for label in GESTURES:
            video = root / f"{split}-{label}.mp4"
            write_session(video, label, split, range(count), size, CLIP_SECONDS)
            argv = ["--record", label, "--source", str(video), "--clips", str(count)]
            assert live([*argv, "--out", str(root / "clips" / split)]) == 0


def test_recorded_clips_are_read_by_training(tmp_path: Path) -> None:
    record(tmp_path, {"train": 2}, 64)
    clips = FolderClips(tmp_path / "clips", "train", frames=24, size=32, frame_rate=RATE)
    assert clips.labels == sorted(GESTURES)
    assert len(clips) == 2 * len(GESTURES)
    frames, _ = clips[0]
    assert frames.shape == (24, 3, 32, 32)
    assert frames.float().std() > 5


def test_clips_of_one_moment_do_not_clash(tmp_path: Path) -> None:
    frames = film("circle", "train", 0, 65, 0.8).permute(0, 2, 3, 1).numpy()  # odd: is cut to 64
    paths = {save_clip(tmp_path, "circle", frames, RATE) for _ in range(3)}
    assert len(paths) == 3
    assert sorted(tmp_path.rglob("*.mp4")) == sorted(paths)


@pytest.mark.parametrize(
    "label",
    ["", " a", ".a", "__a", "a/b", "..", "a\nb", "train", "Validation", "x" * 81, "a:b", "a\\b"],
)
def test_labels_that_are_no_folders(label: str) -> None:
    with pytest.raises(ValueError, match="label"):
        check_label(label)


def test_a_source_that_is_too_short(tmp_path: Path) -> None:
    write_clip(tmp_path / "v.mp4", film("horns", "train", 0, 64, 0.5), FPS)
    argv = ["--record", "horns", "--source", str(tmp_path / "v.mp4"), "--out", str(tmp_path / "o")]
    with pytest.raises(ValueError, match="shorter than a clip"):
        live(argv)
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
def test_twenty_clips_a_gesture_make_a_model(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    record(tmp_path, CLIPS, SIZE)
    data, run = str(tmp_path / "clips"), tmp_path / "run"
    start = str(checkpoint.bundled_path())
    argv = ["--data", data, "--from", start, "--steps", "150", "--out", str(run), "--cpu"]
    assert train(argv) == 0
    best, figures = str(run / "best.safetensors"), tmp_path / "e.json"
    assert evaluate(["--data", data, "--checkpoint", best, "--json", str(figures)]) == 0
    assert json.loads(figures.read_text())["top1"] >= ACCURATE
    out = tmp_path / "out"
    argv = ["--target", "xnnpack", "--data", data, "--checkpoint", best, "--quantize", "ptq"]
    # A hundred clips: one that the artifact loses is the point that is allowed by default.
    assert export_cli.main([*argv, "--out", str(out), "--max-drop", "3"]) == 0
    (bundle,) = out.iterdir()
    session, events = tmp_path / "session.mp4", tmp_path / "events.json"
    write_session(session, "circle", "test", range(100, 106), SIZE, 3.0)
    assert live([str(bundle), "--source", str(session), "--events", str(events)]) == 0
    found = [event["label"] for event in json.loads(events.read_text())["events"]]
    print(figures.read_text(), found)
    assert found.count("circle") >= 4
