"""Clips by a list of one's own: for training, evaluation and export as a folder's are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import levels
from datasets import write_egogesture, write_images, write_jester, write_something
from helpers import make_model
from small_runs import TINY

from core import checkpoint
from core.data import clip_list, open_clips
from core.data.__main__ import main as data_main
from core.data.layouts import listing
from core.data.records import source_of
from core.data.source import Source
from core.data.video import write_clip
from core.errors import BadInput
from core.evaluation.report import main as evaluate
from core.model import ModelConfig
from core.training.loop import main as train
from mobile_export.clips import held_out

CLASSES = ("swipe left", "wave")
RATE = 10.0
CONFIG = ModelConfig(size=32, frames=4, frame_rate=RATE)
GREY = 4.0  # levels by which H.264 may move a grey


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve videos and a folder of images; frame t of any is grey of level 8 + 6 t."""
    (tmp_path / "clips").mkdir()
    for number in range(12):
        write_clip(tmp_path / "clips" / f"{number}.mp4", levels(12), RATE)
    write_images(tmp_path / "frames" / "a", 12, 5)
    return tmp_path


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def whole(root: Path) -> Path:
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    return write(root / "clips.csv", "path,label,split", *(
        f"clips/{i}.mp4,{CLASSES[i % 2]},{split}" for i, split in enumerate(splits)
    ))  # fmt: skip


def test_a_list_trains_evaluates_and_holds_out_clips(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "run"
    assert train([*TINY, "--data", str(whole(root)), "--out", str(out)]) == 0
    loaded = checkpoint.load(out / "best.safetensors")
    assert loaded.labels == list(CLASSES)
    report = tmp_path / "report.json"
    argv = ["--checkpoint", str(out / "best.safetensors"), "--data", str(root / "clips.csv")]
    assert evaluate([*argv, "--workers", "0", "--json", str(report)]) == 0
    assert json.loads(report.read_text())["clips"] == 4
    found = held_out(Source(root / "clips.csv"), loaded, None)
    assert [label for _, label in (found[i] for i in range(len(found)))] == [0, 1, 0, 1]
    assert "list, train: 6 clips of 2 classes" in capsys.readouterr().err


def test_any_layout_becomes_the_list_of_the_same_clips(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    jester = write_jester(tmp_path / "jester", train=27, val=3)
    path = tmp_path / "lists" / "clips.csv"
    path.parent.mkdir()
    assert data_main(["--data", str(jester), "--write-list", str(path)]) == 0
    assert "30 clips in" in capsys.readouterr().out
    root = ["--root", str(path.parent)]
    assert data_main(["--data", str(path), *root, "--write-list", str(tmp_path / "again.csv")]) == 0
    for split in ("train", "val"):
        theirs = listing(Source(jester), split, None, 12.0)
        ours = listing(Source(path), split, theirs.labels, 12.0)
        assert ours.labels == theirs.labels
        assert [(r.path, r.label) for r in ours.records] == [
            (r.path.resolve(), r.label) for r in theirs.records
        ]


def test_a_list_has_the_frames_and_the_rate_of_every_layout(tmp_path: Path) -> None:
    """EgoGesture's numbers of frames among them: 2/30 s rounded up would begin a frame later."""
    ego = write_egogesture(tmp_path / "ego")
    for label in (ego / "labels").rglob("*.csv"):
        label.write_text(label.read_text() + "5,3,20\n6,30,30\n")
    roots = (
        ego, write_jester(tmp_path / "jester"), write_something(tmp_path / "some", extracted=True),
        write_something(tmp_path / "videos", extracted=False),
    )  # fmt: skip
    for root in roots:
        path = tmp_path / f"{root.name}.csv"
        assert data_main(["--data", str(root), "--write-list", str(path)]) == 0
        for split in ("train", "val"):
            theirs = listing(Source(root), split, None, RATE)
            ours = listing(Source(path), split, theirs.labels, RATE)
            assert len(ours.records) == len(theirs.records) > 2
            for mine, own in zip(ours.records, theirs.records, strict=True):
                assert (mine.label, mine.rate) == (own.label, own.rate)
                found, wanted = source_of(mine), source_of(own)
                assert len(found.times) == len(wanted.times)
                assert np.allclose(np.diff(found.times), np.diff(wanted.times))
                ends = sorted({0, len(wanted.times) - 1})
                for (_, a), (_, b) in zip(found.pictures(ends), wanted.pictures(ends), strict=True):
                    assert np.array_equal(np.asarray(a), np.asarray(b))


def test_images_without_a_rate_are_at_the_models(root: Path) -> None:
    lines = ["frames/a,wave,test,12", "frames/a,no,test,", "clips/0.mp4,no,test,30"]
    path = write(root / "list.csv", "path,label,split,fps", *lines)
    found = listing(Source(path), "test", None, RATE)
    assert [record.rate for record in found.records] == [12.0, RATE, 0.0]
    (root / "plain" / "a").mkdir(parents=True)
    (root / "plain" / "b").mkdir()
    for label in "ab":
        write_images(root / "plain" / label / "1", 2, 5)
    again = root / "plain.csv"
    assert data_main(["--data", str(root / "plain"), "--write-list", str(again)]) == 0
    assert [row.rate for row in clip_list.rows(again)] == [None, None]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a.mp4,wave", "b.mp4,no"], [("a.mp4", "wave", None, None), ("b.mp4", "no", None, None)]),
        (["a.mp4 swipe left"], [("a.mp4", "swipe left", None, None)]),
        (["d/a 48 1", "d/b 50 0"], [("d/a", "1", None, None), ("d/b", "0", None, None)]),
        (["d/a 1", "d/b 0"], [("d/a", "1", None, None), ("d/b", "0", None, None)]),
        (["a.mp4 wave 0.5 2"], [("a.mp4", "wave", 0.5, 2.0)]),
        (["a.mp4;wave;;3"], [("a.mp4", "wave", None, 3.0)]),
        (["Label\tVideo\tEnd Time", "wave\ta b.mp4\t3"], [("a b.mp4", "wave", None, 3.0)]),
        (["\ufefffile name,class", '"a, b.mp4",wave'], [("a, b.mp4", "wave", None, None)]),
    ],
    ids=["commas", "blanks", "tsn", "mmaction", "seconds", "semicolons", "tabs", "quoted"],
)  # fmt: skip
def test_rows_as_people_write_them(tmp_path: Path, lines: list[str], expected: list) -> None:
    found = clip_list.rows(write(tmp_path / "list.txt", *lines))
    assert [(r.path, r.label, r.start, r.end) for r in found] == expected


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "is empty"),
        (["a.mp4"], "line 1: no path and label"),
        (["path,label", "a.mp4,"], "line 2: no path and label"),
        (["path,label,start", "a.mp4,wave,soon"], "line 2: start 'soon' is no number of seconds"),
        (["path,label,start", "a.mp4,wave,-1"], "line 2: start '-1' is no number"),
        (["path,label,start,end", "a.mp4,wave,2,1"], "line 2: it ends at 1 s and starts at 2 s"),
        (["path,label,rate", "a,wave,0"], "line 2: rate '0' is no number of frames a second"),
        (["path,label,split", "a.mp4,wave,later"], "split 'later' is none of train, val, test"),
    ],
)
def test_a_row_that_is_no_clip_is_named(tmp_path: Path, lines: list[str], said: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(BadInput, match=said):
        clip_list.rows(path)


def test_splits_are_for_all_rows_or_none(root: Path) -> None:
    path = write(root / "a.csv", "path,label,split", "clips/0.mp4,wave,train", "clips/1.mp4,no,")
    with pytest.raises(BadInput, match="line 3: no split"):
        listing(Source(path), "train", None, RATE)


def test_a_groups_clips_stay_in_one_split(tmp_path: Path) -> None:
    lines = [f"{i}.mp4,wave,person {i % 40}" for i in range(400)]
    found = clip_list.rows(write(tmp_path / "list.csv", "path,label,group", *lines))
    splits = clip_list.splits_of(found, tmp_path)
    people = {row.group: {s for r, s in zip(found, splits, strict=True) if r.group == row.group}
              for row in found}  # fmt: skip
    assert all(len(one) == 1 for one in people.values())
    assert set(splits) == {"train", "val", "test"}


@pytest.mark.parametrize("clip", ["clips/0.mp4", "frames/a"])
def test_a_span_is_the_part_of_a_recording(root: Path, clip: str) -> None:
    path = write(
        root / "list.csv", "path,label,start,end,split",
        f"{clip},wave,0.5,0.9,test", "clips/1.mp4,no,,,test",
        f"{clip},wave,5,6,test", "clips/1.mp4,no,,,test",
    )  # fmt: skip
    clips = open_clips(Source(path, max_broken=1.0), "test", CONFIG, replace=False)
    order = clips.labels.index("wave")
    frames, label = clips[0]
    assert label == order
    grey = frames.float().mean((1, 2, 3)).numpy()
    assert np.abs(grey - (8 + 6 * np.arange(5, 9))).max() < GREY
    late, label = clips[2]
    assert label < 0, "a span after the end is a broken clip"
    assert torch.equal(late, torch.zeros_like(late))


def test_classes_by_number_are_those_of_the_model(root: Path) -> None:
    path = write(root / "list.txt", *(f"clips/{i}.mp4 {i % 2}" for i in range(12)))
    found = listing(Source(path), "train", ["wave", "swipe left"], RATE)
    assert found.labels == ["wave", "swipe left"]


def test_classes_that_are_called_by_numbers_keep_their_names(root: Path) -> None:
    """A model of 1 to 83, as EgoGesture's: class 1 is its first one, whose index is 0."""
    labels = [str(number) for number in range(1, 84)]
    path = write(root / "list.csv", "path,label,split", "clips/0.mp4,1,test", "frames/a,82,test")
    found = listing(Source(path), "test", labels, RATE)
    assert [labels[record.label] for record in found.records] == ["1", "82"]
    path = write(root / "list.csv", "path,label,split", "clips/0.mp4,0,test", "frames/a,82,test")
    found = listing(Source(path), "test", labels, RATE)
    assert [record.label for record in found.records] == [0, 82], "0 is none of its names"


def test_paths_begin_at_the_root_that_is_given(root: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    path = write(tmp_path / "lists" / "a.csv", "path,label,split", "0.mp4,a,test", "1.mp4,b,test")
    found = listing(Source(path, root=root / "clips"), "test", None, RATE)
    assert [r.path.name for r in found.records] == ["0.mp4", "1.mp4"]
    missing = listing(Source(path), "test", None, RATE)
    assert len(missing.missing) == 2


def test_a_root_without_a_list_and_a_list_of_no_such_file(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = ["--out", str(tmp_path / "run")]
    with pytest.raises(BadInput, match="--root is of a list of clips"):
        train([*TINY, "--data", str(root), "--root", str(root), *out])
    path = write(root / "list.csv", "path,label", "gone/1.mp4,a", "gone/2.mp4,b")
    with pytest.raises(BadInput, match=r"missing or broken, first .*gone/"):
        train([*TINY, "--data", str(path), *out])
    model = tmp_path / "m.safetensors"
    checkpoint.save(model, make_model(width=0.25, size=32, num_classes=2), list(CLASSES))
    with pytest.raises(BadInput, match="neither a folder nor a list"):
        held_out(Source(root / "none.csv"), checkpoint.load(model), None)
