"""The published data sets in their layouts: label files, splits, frames, what is missing."""

import json
from pathlib import Path

import pytest
import torch
from clips import numbers, refusal
from datasets import (
    TEMPLATES,
    write_egogesture,
    write_images,
    write_jester,
    write_jester_kaggle,
    write_jester_today,
    write_something,
)
from torch.utils.data import DataLoader

from core.checkpoint.__main__ import _labels as labels_of
from core.data import open_clips, records
from core.data.__main__ import main as look
from core.data.egogesture import SUBJECTS
from core.data.folder import FolderClips
from core.data.label_files import lines_of
from core.data.layouts import open_records
from core.data.source import Source, detect
from core.data.video import write_clip
from core.labels import IGNORE, LABELS
from core.model import ModelConfig

CONFIG = ModelConfig(causal=False, size=32, frames=4, num_classes=27)


def opened(root: Path, split: str = "train", **settings):
    return open_records(Source(root, **settings.pop("source", {})), split, CONFIG, **settings)


def test_jester(tmp_path: Path) -> None:
    root = write_jester(tmp_path)
    assert detect(root) == "jester"
    data = opened(root, "val")
    assert data.labels == list(LABELS)
    assert [LABELS[r.label] for r in data.records] == [LABELS[i % 27] for i in (100, 101, 102)]
    frames, label = data[0]
    assert frames.shape == (4, 3, 32, 32)
    assert label == 100 % 27
    assert numbers(frames) == [1, 4, 7, 10]  # centres of four segments of three frames
    assert len(opened(root)) == 6


def test_jester_keeps_the_order_of_a_models_labels(tmp_path: Path) -> None:
    order = list(reversed(LABELS))
    data = opened(write_jester(tmp_path), labels=order)
    assert data.labels == order
    assert order[data.records[0].label] == LABELS[0]
    assert "1 missing" in refusal(lambda: opened(tmp_path, labels=[*LABELS[:26], "x"]))


def test_test_labels_that_are_not_there(tmp_path: Path, capsys) -> None:
    data = opened(write_jester(tmp_path), "test")
    assert (data.split, len(data)) == ("val", 3)
    assert "no test labels" in capsys.readouterr().err
    (tmp_path / "jester-v1-test.csv").write_text(f"1;{LABELS[5]}\n")
    data = opened(tmp_path, "test")
    assert (data.split, [r.label for r in data.records]) == ("test", [5])


def test_jester_as_it_is_distributed_today(tmp_path: Path, capsys) -> None:
    root = write_jester_today(tmp_path)
    assert detect(root) == "jester"
    assert [len(opened(root, split)) for split in ("train", "val")] == [6, 3]
    capsys.readouterr()
    data = opened(root, "test")
    assert (data.split, [r.label for r in data.records]) == ("test", [5, 6])
    assert "test-answers.csv" in capsys.readouterr().err


def test_kaggles_copy_of_jester(tmp_path: Path) -> None:
    root = write_jester_kaggle(tmp_path)
    (root / "Test" / "1").mkdir()  # another split's folder is not looked into
    assert detect(root) == "jester"
    for split, ids in (("train", "1 2 3"), ("val", "101 102 103"), ("test", "201 202 203")):
        data = opened(root, split)
        assert [r.path.name for r in data.records] == ids.split()
        assert [data.labels[r.label] for r in data.records] == [
            LABELS[(int(i) - 1) % 27] for i in ids.split()
        ]
        assert all(r.path.parent.name.lower().startswith(split) for r in data.records)


@pytest.mark.parametrize(
    ("rows", "classes"),
    [
        ("a1;wave\nb1;circle\n", "wave circle"),
        ("\ufeffid;label\r\na1;wave\r\nb1;circle\r\n", "wave circle"),
        ("Video ID,frames,Class Name\na1,12,wave\nb1,12,circle\n", "wave circle"),
        ("a1;wave;0\nb1;circle;1\n", "wave circle"),  # as Kaggle's five gestures
        ("a1\twave\nb1\tcircle\n", "wave circle"),
        ("train/a1,1\ntrain/b1,0\n", "1 0"),
        ("clip1;wave\nclip2;circle\n", "wave circle"),  # a clip's name is no header
    ],
)
def test_lists_beside_folders_of_splits(tmp_path: Path, rows: str, classes: str) -> None:
    ids = ["clip1", "clip2"] if "clip1" in rows else ["a1", "b1"]
    for part in ("train", "val"):
        for name in ids:
            write_images(tmp_path / part / name, 2, 5)
        (tmp_path / f"{part}.csv").write_text(rows.replace("train/", f"{part}/"))
    assert detect(tmp_path) == "folder"
    for split in ("train", "val"):
        data = FolderClips(tmp_path, split, frames=2, size=16, frame_rate=10.0)
        assert {p.name: data.labels[i] for p, i in data.clips} == dict(
            zip(ids, classes.split(), strict=True)
        )
        assert {p.parent.name for p, _ in data.clips} == {split}


def test_a_list_of_classes_is_no_list_of_clips(tmp_path: Path) -> None:
    for label in ("wave", "circle"):
        write_images(tmp_path / "train" / label / "1", 1, 5)
    (tmp_path / "train.csv").write_text("class,clips\nwave,1\ncircle,1\n")
    data = FolderClips(tmp_path, "train", frames=1, size=16, frame_rate=10.0)
    assert data.labels == ["circle", "wave"]


def test_a_listed_set_without_validation_keeps_some_apart(tmp_path: Path) -> None:
    names = [f"{label}{i}" for label in "ab" for i in range(10)]
    for name in names:
        write_images(tmp_path / "train" / name, 1, 5)
    (tmp_path / "train.csv").write_text("".join(f"{name};{name[0]}\n" for name in names))
    parts = {
        split: {p.name for p, _ in FolderClips(
            tmp_path, split, frames=1, size=16, frame_rate=10.0).clips}
        for split in ("train", "val", "test")
    }  # fmt: skip
    assert set().union(*parts.values()) == set(names)
    assert sum(len(part) for part in parts.values()) == len(names)
    (tmp_path / "train" / "a0").rename(tmp_path / "elsewhere")
    (tmp_path / "train" / "a1").rename(tmp_path / "nowhere")
    (tmp_path / "train.csv").write_text("a0;a\na1;a\na2;a\nb0;b\n")
    (tmp_path / "val.csv").write_text("b1;b\n")
    (tmp_path / "val").mkdir()
    (tmp_path / "train" / "b1").rename(tmp_path / "val" / "b1")
    assert "2 of 4" in refusal(
        lambda: FolderClips(tmp_path, "train", frames=1, size=16, frame_rate=10.0)
    )


@pytest.mark.parametrize("extracted", [True, False])
def test_something(tmp_path: Path, extracted: bool) -> None:
    root = write_something(tmp_path, extracted)
    assert detect(root) == "something"
    data = opened(root, "val")
    assert data.labels == list(TEMPLATES)
    assert [r.label for r in data.records] == [0, 1, 0, 1]
    assert numbers(data[1][0]) == [1, 4, 7, 10]
    assert opened(root, "test").split == "val"
    (root / "test-answers.csv").write_text("50;Dropping something\n51;Dropping [something]\n")
    data = opened(root, "test")
    assert (data.split, [r.label for r in data.records]) == ("test", [1, 1])


def test_a_film_that_is_too_large_to_keep_gives_the_same_frames(
    tmp_path: Path, monkeypatch
) -> None:
    data = opened(write_something(tmp_path, extracted=False))
    kept = data[0][0]
    monkeypatch.setattr(records, "MOST_KEPT", 0)
    assert torch.equal(data[0][0], kept)


def test_something_with_long_names_below_labels(tmp_path: Path) -> None:
    write_something(tmp_path, extracted=True)
    (tmp_path / "labels").mkdir()
    for name in ("labels", "train", "validation"):
        long = tmp_path / "labels" / f"something-something-v2-{name}.json"
        (tmp_path / f"{name}.json").rename(long)
    (tmp_path / "20bn-something-something-v2").rename(tmp_path / "frames")
    assert detect(tmp_path) == "something"
    assert len(opened(tmp_path)) == 4


def test_egogesture(tmp_path: Path) -> None:
    root = write_egogesture(tmp_path)
    assert detect(root) == "egogesture"
    for split, subjects in (("train", (3, 4)), ("val", (1, 7)), ("test", (2, 9))):
        data = opened(root, split)
        assert [r.label for r in data.records] == [subjects[0] - 1, 82, subjects[1] - 1, 82]
    assert len(data.labels) == 83
    # Segments of three of frames 2 to 13, and of 16 to 27; the frames count from 1.
    assert numbers(data[0][0]) == [2, 5, 8, 11]
    assert numbers(data[1][0]) == [16, 19, 22, 25]
    (root / "classes.txt").write_text("\n".join(f"gesture {i}" for i in range(83)))
    assert opened(root).labels[2] == "gesture 2"


@pytest.mark.parametrize("images", ["frames", "images_320-240", ""])
def test_egogesture_as_it_is_distributed(tmp_path: Path, images: str) -> None:
    write_egogesture(tmp_path)
    for scene in (tmp_path / "frames").glob("Subject*/Scene1"):
        (scene / "Color1").rename(scene / "Color")
    (tmp_path / "labels").rename(tmp_path / "labels-final-revised1")
    for subject in list((tmp_path / "frames").iterdir()):
        place = tmp_path / images / subject.name
        place.parent.mkdir(exist_ok=True)
        subject.rename(place)
    assert detect(tmp_path) == "egogesture"
    assert len(opened(tmp_path, "val")) == 4


def test_egogesture_subjects_are_fifty_apart() -> None:
    every = [n for subjects in SUBJECTS.values() for n in subjects]
    assert sorted(every) == list(range(1, 51))
    assert [len(SUBJECTS[s]) for s in ("train", "val", "test")] == [30, 10, 10]


def test_egogesture_rows_that_make_no_sense_are_told(tmp_path: Path, capsys) -> None:
    root = write_egogesture(tmp_path)
    file = root / "labels" / "Subject01" / "Scene1" / "Group1.csv"
    file.write_text("1,2,13\n84,1,5\n3,9,5\n4,x,5\n5,1,99\n6,1,\n")
    source = {"max_broken": 1.0}
    data = opened(root, "val", source=source)
    assert [r.label for r in data.records] == [0, 6, 82]
    told = capsys.readouterr().err
    for line in (2, 3, 4, 6):
        assert f"{file} line {line}" in told
    assert "000099.jpg" in told
    assert "5 of 8 val clips" in refusal(lambda: opened(root, "val"))


# Windows and test views


def test_windows_at_the_models_rate(tmp_path: Path) -> None:
    root = write_egogesture(tmp_path)
    data = opened(root, "val", source={"sampling": "windows"})
    # Frames 2 to 13 at 30 a second last 0.4 s: four at 10 a second, every third.
    assert numbers(data[0][0]) == [1, 4, 7, 10]


def test_ten_clips_of_three_crops(tmp_path: Path) -> None:
    root = write_jester(tmp_path)
    data = opened(root, "val", views=(10, 3))
    frames, _ = data[0]
    assert frames.shape == (30, 4, 3, 37, 37)  # 256 / 224 of 32 pixels
    clips = [numbers(view) for view in frames[::3]]
    assert clips == sorted(clips)
    assert clips[0] == [0, 3, 6, 9]
    assert clips[-1] == [2, 5, 8, 11]
    assert torch.equal(frames, data[0][0])
    squeezed = opened(write_egogesture(tmp_path / "ego"), "test", views=(10, 3))
    assert squeezed[0][0].shape == (10, 4, 3, 32, 32)


# Broken and missing files


def test_missing_clips_are_named_and_limited(tmp_path: Path, capsys) -> None:
    root = write_jester(tmp_path, train=30)
    gone = root / "20bn-jester-v1" / "7"
    gone.rename(root / "elsewhere")
    assert len(opened(root)) == 29
    assert f"{gone} is missing" in capsys.readouterr().err
    message = refusal(lambda: opened(root, source={"max_broken": 0.0}))
    assert "1 of 30 train clips" in message
    assert str(gone) in message
    assert "skipped" not in capsys.readouterr().err  # the one line is enough


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_clips_are_replaced_or_left_out(tmp_path: Path, workers: int, capfd) -> None:
    root = write_something(tmp_path, extracted=True)
    image = root / "20bn-something-something-v2" / "1" / "000002.jpg"
    for file in image.parent.iterdir():
        file.write_bytes(b"nothing")
    for replace, expected in ((True, 1), (False, IGNORE)):
        data = opened(root, replace=replace)
        for _ in range(2):
            batches = list(DataLoader(data, batch_size=2, num_workers=workers))
            assert batches[0][1].tolist() == [expected, 0]
        assert capfd.readouterr().err.count(f"{image.parent} cannot be read") == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_broken_in_all_workers_together(tmp_path: Path, workers: int) -> None:
    root = write_something(tmp_path, extracted=False, count=8)
    for i in range(1, 4):
        (root / "20bn-something-something-v2" / f"{i}.webm").write_bytes(b"nothing")
    data = opened(root)
    with pytest.raises(ValueError, match="of 8 train clips are missing or broken"):
        list(DataLoader(data, batch_size=1, num_workers=workers))


def test_more_workers_give_the_same_clips(tmp_path: Path) -> None:
    data = opened(write_something(tmp_path, extracted=True, count=8), train=True, seed=3)
    keys = [[(i, 7 * i) for i in part] for part in ((0, 1, 2), (3, 4, 5), (6, 7))]
    runs = [list(DataLoader(data, batch_sampler=keys, num_workers=n)) for n in (0, 1, 2)]
    for other in runs[1:]:
        for (frames, labels), (same, same_labels) in zip(runs[0], other, strict=True):
            assert torch.equal(frames, same)
            assert torch.equal(labels, same_labels)
    assert not torch.equal(data[0, 1][0], data[0, 2][0])


# Unusable folders


def test_layouts_that_are_not_clear(tmp_path: Path) -> None:
    write_jester(tmp_path)
    (tmp_path / "labels.json").write_text("{}")
    assert "jester and something" in refusal(lambda: opened(tmp_path))
    assert len(opened(tmp_path, source={"dataset": "jester"})) == 6
    message = refusal(lambda: opened(tmp_path, source={"dataset": "egogesture"}))
    assert "no label files of the train subjects" in message
    assert "does not exist" in refusal(
        lambda: opened(tmp_path / "no", source={"dataset": "jester"})
    )
    (tmp_path / "jester-v1-labels.csv").unlink()
    assert opened(tmp_path, source={"dataset": "jester"}).labels == list(LABELS)
    for split in ("train", "validation"):
        (tmp_path / f"jester-v1-{split}.csv").unlink()
    message = refusal(lambda: opened(tmp_path, source={"dataset": "jester"}))
    assert "neither jester-v1-labels.csv nor labels.csv" in message


def test_damaged_label_files(tmp_path: Path) -> None:
    root = write_jester(tmp_path / "j")
    file = root / "jester-v1-train.csv"
    for text in ("1;Waving\n", "1\n", "1;Thumb Up;x\n"):
        file.write_text(text)
        assert f"{file} line 1" in refusal(lambda: opened(root))
    file.unlink()
    assert "has val but no train" in refusal(lambda: opened(root))
    root = write_something(tmp_path / "s", extracted=True)
    for name, content, said in (
        ("train.json", "[", "is not JSON"),
        ("train.json", "{}", "is not a list"),
        ("train.json", json.dumps([{"id": 1, "template": "Waving"}]), "entry 0"),
        ("labels.json", json.dumps({"a": "0", "b": "2"}), "numbers from 0"),
    ):
        (root / name).write_text(content)
        assert said in refusal(lambda: opened(root))


def test_a_plain_folder_stays_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(4):
            write_clip(tmp_path / name / f"{i}.mp4", torch.zeros(6, 3, 32, 32).byte(), 10.0)
    assert detect(tmp_path) == "folder"
    assert isinstance(open_clips(tmp_path, "val", CONFIG), FolderClips)
    with_views = open_clips(tmp_path, "val", CONFIG, views=(2, 3))
    assert with_views[0][0].shape == (6, 4, 3, 37, 37)


def test_a_look_at_a_data_set_prints_its_rate(tmp_path: Path, capsys) -> None:
    root = write_jester(tmp_path)
    argv = ["--data", str(root), "--size", "32", "--frames", "4", "--workers", "0", "1"]
    assert look(argv) == 0
    out = capsys.readouterr().out
    assert "jester, 27 classes" in out
    assert "train: 6 clips" in out
    assert out.count("clips/s") == 2
    assert "--data" in refusal(lambda: look([]))


def test_one_reader_of_lists(tmp_path: Path) -> None:
    """A byte-order mark, CRLF and blanks at the ends of lines are no part of a class's name."""
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeffswipe \r\n wave\t\r\n\r\nnone\n".encode())
    assert lines_of(path) == ["swipe", "wave", "none"]
    config = ModelConfig(num_classes=3)
    assert labels_of(path, config, "TSM resnet50") == ["swipe", "wave", "none"]
