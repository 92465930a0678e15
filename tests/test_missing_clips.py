"""Clips that a plain folder's lists name and that are not there: named, counted, not too many."""

from pathlib import Path

from clips import refusal
from datasets import write_images

from core.data import open_clips
from core.data.folder import FolderClips
from core.data.layouts import open_records
from core.data.source import Source
from core.model import ModelConfig

CONFIG = ModelConfig(causal=False, size=32, frames=4, num_classes=27)


def test_clips_that_a_plain_folders_list_names_may_be_missing(tmp_path: Path, capsys) -> None:
    names = [f"{label}{i}" for label in "ab" for i in range(4)]
    for name in names[1:]:
        write_images(tmp_path / "val" / name, 6, 5)
        write_images(tmp_path / "train" / name, 6, 5)
    gone = ("a0", "a1", "b1")
    for part in ("train", "val"):
        (tmp_path / f"{part}.csv").write_text("".join(f"{name};{name[0]}\n" for name in names))
    for name in gone[1:]:
        (tmp_path / "val" / name).rename(tmp_path / f"elsewhere-{name}")
    one = FolderClips(tmp_path, "train", frames=4, size=16, frame_rate=10.0)
    assert [path.name for path, _ in one.broken] == ["a0"], "a single one stops nothing"
    assert f"{tmp_path / 'a0'} is missing" in capsys.readouterr().err
    assert "3 of 8" in refusal(lambda: open_clips(tmp_path, "val", CONFIG))
    assert "skipped" not in capsys.readouterr().err
    source = Source(tmp_path, max_broken=0.5)
    data = open_clips(source, "val", CONFIG)
    assert len(data) == 5
    assert [(path.name, reason) for path, reason in data.broken] == [
        (name, "val.csv names it") for name in gone
    ]
    told = capsys.readouterr().err
    assert all(f"{tmp_path / name} is missing" in told for name in gone)
    assert "3 of 8 val clips" in told
    assert [label for _, label in (data[i] for i in range(5))] == [0, 0, 1, 1, 1]
    listed = open_records(source, "val", CONFIG)
    assert [Path(place).name for place, _ in listed.broken] == list(gone)
    for name in ("a2", "b2"):  # two more that are broken: five of eight
        for image in (tmp_path / "val" / name).iterdir():
            image.write_bytes(b"nothing")
    assert "5 of 8" in refusal(lambda: open_clips(source, "val", CONFIG))
    nothing = Source(tmp_path, max_broken=0.0)
    assert "1 of 8" in refusal(lambda: open_clips(nothing, "train", CONFIG))
