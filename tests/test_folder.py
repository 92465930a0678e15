"""One's own clips: layouts, time, space, splits, and files that cannot be read."""

import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from core.data.folder import SPLITS, FolderClips, split_of, window
from core.data.transforms import normalise, resize_crop
from core.data.video import MAX_SECONDS, Unreadable, at_rate, read_clip, write_clip
from core.errors import BadInput

SIZE = 32
RATE = 10.0
# Lossy 4:2:0 video of flat colours: a few steps of 255, more on the edges, which are not read here.
COLOUR_TOLERANCE = 12
# Resizing bytes rounds after each of its two passes.
RESIZE_TOLERANCE = 1.0
# The same numbers multiplied in another order, in float32.
FLOAT_TOLERANCE = 1e-6


def levels(count: int, width: int = 48, height: int = 32) -> np.ndarray:
    """(T, H, W, 3): frame t is grey of level 8 + 6 t, so that a frame tells its number."""
    grey = 8 + 6 * np.arange(count, dtype=np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (count, height, width, 3)).copy()


def numbers(clip: torch.Tensor) -> list[int]:
    """Frame numbers of a clip made of ``levels``."""
    return [round((frame.float().mean().item() - 8) / 6) for frame in clip]


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


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(BadInput) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Time


def test_video_keeps_order_and_colours(tmp_path: Path) -> None:
    colours = torch.tensor([[200, 30, 40], [30, 180, 60], [40, 50, 210], [230, 230, 230]])
    frames = colours.to(torch.uint8)[:, :, None, None].expand(4, 3, SIZE, SIZE)
    write_clip(tmp_path / "c.mp4", frames, RATE)
    read = read_clip(tmp_path / "c.mp4", RATE, SIZE)
    assert read.shape == frames.shape
    assert read.dtype == torch.uint8
    assert (read.float() - frames.float()).abs().amax() < COLOUR_TOLERANCE
    assert [p.name for p in tmp_path.iterdir()] == ["c.mp4"]


def test_both_axis_orders_write_the_same(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 18, 3), dtype=np.uint8)
    write_clip(tmp_path / "a.mp4", frames, RATE)
    write_clip(tmp_path / "b.mp4", torch.from_numpy(frames).permute(0, 3, 1, 2), RATE)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 16, 16, 3), np.float32),
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((2, 15, 16, 3), np.uint8),
        np.zeros((0, 16, 16, 3), np.uint8),
        torch.zeros(2, 1, 16, 16, dtype=torch.uint8),
    ],
)
def test_unwritable_frames(tmp_path: Path, frames: np.ndarray) -> None:
    assert str(tmp_path) in refusal(lambda: write_clip(tmp_path / "c.mp4", frames, RATE))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (25.0, [0, 2, 5, 7, 10, 12, 15, 17]),  # 20 frames, 0.8 s; ties go to the earlier frame
        (10.0, list(range(20))),
        (5.0, [i for i in range(20) for _ in range(2)]),
        (30.0, [0, 3, 6, 9, 12, 15, 18]),
    ],
)
def test_resampling_by_time_stamps(tmp_path: Path, source: float, expected: list[int]) -> None:
    write_clip(tmp_path / "c.mp4", levels(20), source)
    assert numbers(read_clip(tmp_path / "c.mp4", RATE, SIZE)) == expected


def test_variable_frame_rate_and_bad_stamps() -> None:
    times = [3.0, 3.04, 3.31, 3.31, 3.2, 3.52]  # "d" and "e" do not advance
    # Ticks at 3.0, 3.1 ... 3.7; "f" lasts 0.21 s, the median gap, until 3.73.
    assert "".join(at_rate(zip(times, "abcdef", strict=True), RATE)) == "abccc" + "fff"


def test_one_frame_and_none() -> None:
    assert list(at_rate([(5.0, "a")], RATE)) == ["a"]
    assert list(at_rate([], RATE)) == []


def test_a_film_is_no_clip() -> None:
    film = ((float(t), t) for t in range(10_000))
    with pytest.raises(Unreadable, match=f"longer than {MAX_SECONDS:g} s"):
        list(at_rate(film, RATE))


@pytest.mark.parametrize(
    ("count", "frames", "expected"),
    [
        (10, 4, [3, 4, 5, 6]),
        (5, 4, [0, 1, 2, 3]),
        (4, 4, [0, 1, 2, 3]),
        (2, 4, [0, 0, 1, 1]),
        (1, 4, [0, 0, 0, 0]),
        (3, 6, [0, 0, 1, 2, 2, 2]),
    ],
)
def test_centre_window_and_padding(count: int, frames: int, expected: list[int]) -> None:
    assert window(count, frames).tolist() == expected


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


# Space


@pytest.mark.parametrize(("width", "height"), [(64, 48), (48, 64), (50, 33), (32, 32), (7, 40)])
def test_centre_crop_of_any_shape(width: int, height: int) -> None:
    pixels = np.zeros((2, height, width, 3), np.uint8)
    pixels[:, :, :, 0] = np.linspace(0, 255, width).astype(np.uint8)
    pixels[:, :, :, 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    clip = resize_crop(pixels, SIZE)
    assert clip.shape == (2, 3, SIZE, SIZE)
    assert clip.dtype == torch.uint8
    assert torch.equal(resize_crop(pixels[0], SIZE), clip[0])
    # The middle stays the middle, and the longer side loses both ends alike.
    for channel, side in ((0, width), (1, height)):
        line = clip[0, channel].float().mean(0 if channel == 0 else 1)
        kept = min(width, height) / side
        assert line.mean() == pytest.approx(127.5, abs=1.5)
        assert line[-1] - line[0] == pytest.approx(255 * kept, abs=255 * kept / SIZE + 8)


def test_shrinking_is_antialiased() -> None:
    """One-pixel stripes become grey, not stripes of another width."""
    pixels = np.zeros((256, 256, 3), np.uint8)
    pixels[:, ::2] = 255
    small = resize_crop(pixels, SIZE)
    assert (small.float() - 127.5).abs().max() < 8


def test_bytes_resize_as_floats_do() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 60, 60, 3), dtype=np.uint8)
    floats = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    expected = torch.nn.functional.interpolate(
        floats, size=(SIZE, SIZE), mode="bilinear", antialias=True
    )
    assert (resize_crop(pixels, SIZE).float() - expected).abs().max() <= RESIZE_TOLERANCE


def test_the_right_size_passes_unchanged_and_is_a_copy() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    pixels.flags.writeable = False  # as some decoders hand it over
    assert np.array_equal(resize_crop(pixels, SIZE).permute(1, 2, 0).numpy(), pixels)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        torch.zeros(8, 8, 3, dtype=torch.uint8),
    ],
)
def test_frames_that_cannot_be_resized(pixels: np.ndarray) -> None:
    refusal(lambda: resize_crop(pixels, SIZE))


def test_normalise() -> None:
    frames = torch.randint(0, 256, (2, 5, 3, 8, 9), dtype=torch.uint8)
    mean, std = (0.5, 0.4, 0.3), (0.5, 0.25, 0.2)
    expected = frames.float() / 255
    expected = (expected - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    assert (normalise(frames, mean, std) - expected).abs().max() < 10 * FLOAT_TOLERANCE
    assert torch.equal(normalise(frames.float(), mean, std), normalise(frames, mean, std))


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (torch.zeros(3, 8, 8, dtype=torch.int64), "int64"),
        (np.zeros((3, 8, 8), np.uint8), "uint8"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), "shape"),
        (torch.zeros(8, 8, dtype=torch.uint8), "shape"),
        (torch.zeros(3, 0, 8, dtype=torch.uint8), "shape"),
        (torch.full((3, 8, 8), float("nan")), "NaN"),
        (torch.full((3, 8, 8), float("inf")), "inf"),
        (torch.full((3, 8, 8), -1.0), "-1"),
        (torch.full((3, 8, 8), 256.0), "256"),
    ],
)
def test_normalise_refuses(frames: torch.Tensor, reason: str) -> None:
    assert reason in refusal(lambda: normalise(frames, [0.5] * 3, [0.5] * 3))


def turn_clockwise(path: Path) -> None:
    """Give an mp4 file the display matrix that phones write for portrait video."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of fields
    matrix = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
    content[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(content)


def test_rotation_of_phone_videos(tmp_path: Path) -> None:
    frames = np.zeros((3, 32, 64, 3), np.uint8)
    frames[:, :16] = (220, 40, 40)  # the upper half is red
    write_clip(tmp_path / "c.mp4", frames, RATE)
    turn_clockwise(tmp_path / "c.mp4")
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert next(container.decode(video=0)).rotation != 0
    red = read_clip(tmp_path / "c.mp4", RATE, SIZE)[0, 0].float()
    assert red[:, : SIZE // 2 - 4].mean() < 40
    assert red[:, SIZE // 2 + 4 :].mean() > 180  # turned clockwise, up is right


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
    assert "no test" in refusal(lambda: clips(tmp_path, "test"))
    assert "unknown" in refusal(lambda: clips(tmp_path, "dev"))


def test_splits_and_classes_side_by_side(tmp_path: Path) -> None:
    make_root(tmp_path, {"train": 3, "swipe": 3})
    assert "'swipe'" in refusal(lambda: clips(tmp_path))


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
    assert "no class 'c'" in refusal(lambda: clips(tmp_path, labels=["a", "b", "c"]))


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
    """Move the class folders of ``root`` into ``root/all/train``."""
    target = root / "all" / "train"
    target.mkdir(parents=True)
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
