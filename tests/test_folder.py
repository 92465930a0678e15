"""One's own clips: layouts, splits, random windows, and files that cannot be read."""

import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import levels, numbers, refusal
from helpers import make_model
from PIL import Image
from torch.utils.data import DataLoader

from core import checkpoint
from core.data.folder import SPLITS, FolderClips
from core.data.listed import split_of
from core.data.video import write_clip
from core.evaluation.report import main as evaluate
from core.labels import IGNORE

RATE = 10.0


def write_frames(folder: Path, frames: np.ndarray, suffix: str = ".png") -> None:
    folder.mkdir(parents=True)
    for t, pixels in enumerate(frames):
        Image.fromarray(pixels).save(folder / f"{t + 1}{suffix}")  # 1, 2, ... 10: not in text order


def make_root(root: Path, classes: dict[str, int], frames: int = 4) -> Path:
    """Classes of small frame folders."""
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            write_frames(root / name / f"clip{i}", levels(frames, 16, 16))
    return root


def clips(root: Path, split: str = "train", **settings: object) -> FolderClips:
    return FolderClips(root, split, **({"frames": 4, "size": 16, "frame_rate": RATE} | settings))


def test_training_windows_are_random_and_whole(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_frames(tmp_path / name / "clip", levels(12, 16, 16))
    torch.manual_seed(0)
    data = clips(tmp_path, train=True)
    drawn = [numbers(data[0][0]) for _ in range(40)]
    assert all(n == list(range(n[0], n[0] + 4)) for n in drawn)
    assert {n[0] for n in drawn} == set(range(9))
    again = clips(tmp_path, train=True)
    torch.manual_seed(0)
    assert [numbers(again[0][0]) for _ in range(40)] == drawn
    # By (index, draw) torch's state does not matter, and that of the draws does.
    assert numbers(data[0, 7][0]) == numbers(again[0, 7][0])
    assert len({numbers(data[0, draw][0])[0] for draw in range(40)}) > 5
    assert numbers(clips(tmp_path)[0][0]) == [4, 5, 6, 7]


# Layouts


def test_folders_of_classes(tmp_path: Path) -> None:
    for name in ("swipe", "none"):
        write_frames(tmp_path / name / "frames", levels(6, 40, 30), ".jpg")
        write_clip(tmp_path / name / "video.MP4", levels(6), RATE)
        (tmp_path / name / ".DS_Store").write_bytes(b"")
    data = clips(tmp_path, frames=6)
    assert data.labels == ["none", "swipe"]
    seen = list(data)
    assert [label for _, label in seen] == [0, 0, 1, 1]
    for frames, _ in seen:
        assert frames.shape == (6, 3, 16, 16)
        assert frames.dtype == torch.uint8
        assert numbers(frames) == list(range(6))


def test_folders_of_splits(tmp_path: Path) -> None:
    make_root(tmp_path / "train", {"a": 3, "b": 2, "c": 1})
    make_root(tmp_path / "val", {"a": 1, "b": 1})
    assert len(clips(tmp_path, "train")) == 6
    val = clips(tmp_path, "val")
    assert val.labels == ["a", "b", "c"]
    assert [label for _, label in val] == [0, 1]
    test = clips(tmp_path, "test")  # validation stands in
    assert (test.split, test.clips) == ("val", val.clips)
    assert "unknown" in refusal(lambda: clips(tmp_path, "dev"))


def test_training_and_test_folders_alone(tmp_path: Path, capsys) -> None:
    make_root(tmp_path / "train", {"a": 10, "b": 10}, frames=1)
    make_root(tmp_path / "test", {"a": 2, "b": 2}, frames=1)
    train, val, test = (clips(tmp_path, split) for split in SPLITS)
    assert "kept apart" in capsys.readouterr().err
    assert {label for _, label in val.clips} == {0, 1}
    assert not set(train.clips) & set(val.clips)
    assert len(train) + len(val) == 20
    assert {path.parents[1].name for path, _ in train.clips + val.clips} == {"train"}
    assert {path.parents[1].name for path, _ in test.clips} == {"test"}


def test_a_training_folder_alone_gives_all_splits(tmp_path: Path) -> None:
    make_root(tmp_path / "train", {"a": 9, "b": 9}, frames=1)
    found = [set(clips(tmp_path, split).clips) for split in SPLITS]
    assert sum(map(len, found)) == len(set().union(*found)) == 18


def test_folders_of_persons_stay_together(tmp_path: Path, capsys) -> None:
    for label in ("a", "b"):
        make_root(tmp_path / label, dict.fromkeys(("anna", "ben", "cleo", "dora"), 3), 1)
    found = {split: {p.parent.name for p, _ in clips(tmp_path, split).clips} for split in SPLITS}
    assert sum(map(len, found.values())) == 4
    assert all(found.values())
    assert "anna" in capsys.readouterr().err
    assert {numbers(frames)[0] for frames, _ in clips(tmp_path, frames=1)} == {0}


def test_too_few_persons_are_split_clip_by_clip(tmp_path: Path) -> None:
    for label in ("a", "b"):
        make_root(tmp_path / label, {"anna": 4, "ben": 4}, 1)
    assert all(len(clips(tmp_path, split)) >= 2 for split in SPLITS)


def test_some_of_a_models_classes(tmp_path: Path, capsys) -> None:
    make_root(tmp_path, {"b": 4, "d": 4}, frames=1)
    data = clips(tmp_path, labels=["d", "c", "b", "a"])
    assert data.labels == ["d", "c", "b", "a"]
    assert {(p.parent.name, i) for p, i in data.clips} == {("d", 0), ("b", 2)}
    assert "2 of the model's 4 classes" in capsys.readouterr().err
    assert "unknown class 'd'" in refusal(lambda: clips(tmp_path, labels=["a", "b"]))


def test_splits_and_classes_side_by_side(tmp_path: Path) -> None:
    make_root(tmp_path, {"train": 3, "swipe": 3})
    assert "'swipe'" in refusal(lambda: clips(tmp_path))


@pytest.mark.parametrize(
    "names",
    [
        ("Train", "Validation", "Test"), ("training", "valid", "testing"), ("TRAIN", "dev", "test"),
        ("train_set", "val_set", "test_set"),
    ],
)  # fmt: skip
def test_splits_in_any_spelling(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name, count in zip(names, (3, 2, 1), strict=True):
        make_root(tmp_path / name, {"a": count, "b": count}, frames=1)
    for split, count in zip(SPLITS, (3, 2, 1), strict=True):
        data = clips(tmp_path, split)
        assert (data.labels, len(data)) == (["a", "b"], 2 * count)


def test_two_folders_of_one_split(tmp_path: Path) -> None:
    make_root(tmp_path, {"Train": 1, "training": 1})
    assert "both say train" in refusal(lambda: clips(tmp_path))


def test_clips_by_number_are_no_classes(tmp_path: Path) -> None:
    """Kaggle's copy of Jester: splits of clips, and lists beside them."""
    for split in ("Train", "Validation", "Test"):
        for number in range(3):
            write_frames(tmp_path / split / str(number), levels(2, 16, 16))
    assert "a clip and no class" in refusal(lambda: clips(tmp_path))


def test_only_a_dot_and_macosx_hide_a_folder(tmp_path: Path) -> None:
    make_root(tmp_path, {"__none__": 1, "_wave": 1, ".git": 1, "__MACOSX": 1})
    assert clips(tmp_path).labels == ["__none__", "_wave"]


@pytest.mark.parametrize("count", [3, 4, 10, 400])
def test_split_has_every_part(count: int) -> None:
    names = [f"a/{i}.mp4" for i in range(count)]
    split = split_of(names)
    assert set(split.values()) == set(SPLITS)
    assert split == split_of(names[::-1])
    if count == 400:
        # Binomial, four standard deviations of 400 draws at 0.8.
        assert sum(s == "train" for s in split.values()) == pytest.approx(320, abs=32)


def test_split_is_stable_when_clips_are_added() -> None:
    before = split_of([f"a/{i}" for i in range(200)])
    after = split_of([f"a/{i}" for i in range(300)])
    assert before.items() <= after.items()


@pytest.mark.parametrize("count", [1, 2])
def test_a_clip_or_two_train(count: int) -> None:
    assert set(split_of([f"a/{i}" for i in range(count)]).values()) == {"train"}


def test_splits_part_the_clips(tmp_path: Path) -> None:
    make_root(tmp_path, {"a": 12, "b": 3}, frames=1)
    parts = [{path for path, _ in clips(tmp_path, split).clips} for split in SPLITS]
    assert all(parts)
    assert len(set.union(*parts)) == sum(len(part) for part in parts) == 15


def test_given_labels_set_the_order(tmp_path: Path) -> None:
    make_root(tmp_path, {"a": 1, "b": 1})
    data = clips(tmp_path, labels=["b", "a"])
    assert data.labels == ["b", "a"]
    assert [(path.parent.name, label) for path, label in data.clips] == [("b", 0), ("a", 1)]
    assert "unknown class 'b'" in refusal(lambda: clips(tmp_path, labels=["a", "c"]))


def test_unicode_names_composed_or_not(tmp_path: Path) -> None:
    apart = unicodedata.normalize("NFD", "Größe über")
    make_root(tmp_path, {apart: 1, "手 👍": 1})
    data = clips(tmp_path, labels=["手 👍", "Größe über"])
    assert [label for _, label in data] == [0, 1]
    make_root(tmp_path, {unicodedata.normalize("NFC", apart): 1})
    assert "two folders" in refusal(lambda: clips(tmp_path))


def test_files_of_other_kinds_are_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    make_root(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / "notes.txt").write_text("x")
    assert len(clips(tmp_path)) == 2
    assert "notes.txt" in capsys.readouterr().err


# Unusable roots


def test_unusable_roots(tmp_path: Path) -> None:
    missing, empty, file = tmp_path / "none", tmp_path / "empty", tmp_path / "file"
    empty.mkdir()
    file.write_text("x")
    one = make_root(tmp_path / "one", {"a": 2})
    hollow = tmp_path / "hollow"
    for name in ("a", "b"):
        (hollow / name).mkdir(parents=True)
    half = make_root(tmp_path / "half", {"a": 2})
    (half / "b").mkdir()
    reasons = {
        missing: "does not exist",
        empty: "no sub-folder",
        file: "is a file",
        one: "only the class 'a'",
        hollow: "no train clips",
        half: "class 'b'",
    }
    for root, reason in reasons.items():
        message = refusal(lambda root=root: clips(root))
        assert reason in message
        assert str(root) in message


def test_split_without_any_clip(tmp_path: Path) -> None:
    make_root(tmp_path, {"a": 2, "b": 2})
    assert "no val clips" in refusal(lambda: clips(tmp_path, "val"))


# Broken files


def break_video(path: Path, how: str) -> None:
    write_clip(path, levels(30, 64, 64), RATE)
    content = path.read_bytes()
    kept = {"empty": b"", "cut": content[: len(content) // 2], "text": b"not a video\n" * 50}
    path.write_bytes(kept[how])


@pytest.mark.parametrize("how", ["empty", "cut", "text"])
def test_broken_video_is_named_and_replaced(
    tmp_path: Path, how: str, capsys: pytest.CaptureFixture
) -> None:
    root = one_split(make_root(tmp_path, {"a": 2, "b": 2}))
    bad = root / "train" / "a" / "bad.mp4"
    break_video(bad, how)
    data = clips(root)
    index = [path for path, _ in data.clips].index(bad)
    for _ in range(2):  # known after the first time
        frames, label = data[index]
        assert label == 0
        assert numbers(frames) == [0, 1, 2, 3]
    assert [path for path, _ in data.broken] == [bad]
    assert data.broken[0][1]
    assert capsys.readouterr().err.count(str(bad)) == 1


def one_split(root: Path) -> Path:
    """Move the class folders of ``root`` into ``root/all/train``, beside an empty ``val``."""
    target = root / "all" / "train"
    target.mkdir(parents=True)
    (root / "all" / "val").mkdir()
    for name in ("a", "b"):
        (root / name).rename(target / name)
    return root / "all"


def test_damaged_and_empty_frame_folders(tmp_path: Path) -> None:
    root = one_split(make_root(tmp_path, {"a": 8, "b": 12}))
    image = root / "train" / "a" / "clip0" / "2.png"
    image.write_bytes(image.read_bytes()[:40])
    (root / "train" / "b" / "clip0" / "x").mkdir(parents=True)
    for file in (root / "train" / "b" / "clip0").glob("*.png"):
        file.unlink()
    data = clips(root)
    assert [label for _, label in data] == [0] * 8 + [1] * 12
    assert ["2.png" in reason for _, reason in data.broken] == [True, False]
    assert "no frame images" in data.broken[1][1]


def test_evaluation_leaves_broken_clips_out(tmp_path: Path, capsys) -> None:
    """Neither one found at once nor one damaged further on is replaced by another clip."""
    root = make_root(tmp_path / "own" / "test", {"a": 3, "b": 16}, frames=6).parent
    late = root / "test" / "b" / "clip1" / "3.png"
    late.write_bytes(late.read_bytes()[:40])
    assert clips(root, "test", frames=6, replace=False)[4][1] == IGNORE
    (root / "test" / "b" / "bad.mp4").write_bytes(b"")
    path, report = tmp_path / "model.safetensors", tmp_path / "report.json"
    checkpoint.save(path, make_model(size=32, frames=6, num_classes=2), ["a", "b"])
    argv = ["--data", str(root), "--checkpoint", str(path), "--json", str(report)]
    for workers in ("0", "2"):
        assert evaluate([*argv, "--workers", workers]) == 0
        found = json.loads(report.read_text())
        assert (found["clips"], found["broken"]) == (18, 2)
    assert "1 of 20 test clips" in capsys.readouterr().err


def test_check_finds_and_drops_before_training(tmp_path: Path) -> None:
    root = one_split(make_root(tmp_path, {"a": 10, "b": 10}))
    bad = root / "train" / "b" / "bad.webm"
    bad.write_bytes(b"")
    data = clips(root)
    assert len(data) == 21
    assert data.check() == data.broken
    assert [path for path, _ in data.broken] == [bad]
    assert len(data) == 20
    assert [label for _, label in data] == [0] * 10 + [1] * 10


def test_too_many_broken_clips(tmp_path: Path) -> None:
    root = one_split(make_root(tmp_path, {"a": 9, "b": 9}))
    for i in range(3):  # 3 of 21; two of them would still pass
        (root / "train" / "a" / f"bad{i}.mp4").write_bytes(b"")
    for call in (lambda: clips(root).check(), lambda: list(clips(root))):
        message = refusal(call)
        assert "3 of 21" in message
        assert str(root / "train" / "a" / "bad0.mp4") in message


def test_class_without_a_readable_clip(tmp_path: Path) -> None:
    root = one_split(make_root(tmp_path, {"a": 30, "b": 1}))
    only = root / "train" / "b" / "clip0"
    for file in only.iterdir():
        file.write_bytes(b"")
    message = refusal(lambda: clips(root)[30])
    assert "class 'b'" in message
    assert str(only) in message
    (root / "train" / "b" / "anna").mkdir()
    only.rename(root / "train" / "b" / "anna" / "clip0")
    assert "class 'b'" in refusal(lambda: clips(root)[30])


def test_too_many_broken_in_a_worker_is_one_line(tmp_path: Path) -> None:
    """A DataLoader wraps a worker's error into a traceback; the command line unwraps it."""
    root = one_split(make_root(tmp_path, {"a": 2, "b": 2}))
    for i in range(3):
        (root / "train" / "a" / f"bad{i}.mp4").write_bytes(b"")
    program = f"""
from torch.utils.data import DataLoader
from core.data.folder import FolderClips
from core.errors import run_main
def main():
    data = FolderClips({str(root)!r}, "train", frames=4, size=16, frame_rate=10.0)
    return len(list(DataLoader(data, batch_size=2, num_workers=1)))
run_main(main)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    (error,) = [line for line in lines if not line.startswith("warning: ")]
    assert re.match(r"error: .*2 of 7 train clips cannot be read", error)


def test_loader_with_workers(tmp_path: Path) -> None:
    root = one_split(make_root(tmp_path, {"a": 3, "b": 3}))
    loader = DataLoader(clips(root), batch_size=3, num_workers=2)
    batches = [(frames.shape, labels.tolist()) for frames, labels in loader]
    assert batches == [((3, 4, 3, 16, 16), [0] * 3), ((3, 4, 3, 16, 16), [1] * 3)]
