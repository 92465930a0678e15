"""Small data sets in the exact layouts of the published ones, whose frames tell their number."""

import json
from pathlib import Path

import av
import numpy as np
from clips import levels
from PIL import Image

from core.labels import LABELS

TEMPLATES = {"Putting something on something": "0", "Dropping something": "1"}


def write_images(folder: Path, count: int, digits: int, width: int = 48, height: int = 32) -> None:
    """Frames 1 to ``count`` as JPEG; frame n is grey of level 8 + 6 (n - 1)."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(levels(count, width, height), 1):
        Image.fromarray(pixels).save(folder / f"{number:0{digits}d}.jpg", quality=95)


def write_webm(path: Path, frames: np.ndarray, rate: int) -> None:
    """VP9 in WebM, as the videos are distributed."""
    with av.open(str(path), "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "10", "cpu-used": "8"}
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_jester(root: Path, train: int = 6, val: int = 3, frames: int = 12) -> Path:
    """Jester V1: ids from 1, classes in turn."""
    root.mkdir(parents=True, exist_ok=True)
    # As distributed: not in alphabetical order.
    (root / "jester-v1-labels.csv").write_text("\n".join(reversed(LABELS)) + "\n")
    for name, ids in (("train", range(1, train + 1)), ("validation", range(101, 101 + val))):
        rows = [f"{i};{LABELS[(i - 1) % 27]}" for i in ids]
        (root / f"jester-v1-{name}.csv").write_text("\n".join(rows) + "\n")
        for i in ids:
            write_images(root / "20bn-jester-v1" / str(i), frames, 5)
    (root / "jester-v1-test.csv").write_text("901\n902\n")
    return root


def write_jester_today(root: Path) -> Path:
    """Jester as Qualcomm distributes it: short names in a folder of labels, answers of the test."""
    write_jester(root)
    (root / "labels").mkdir()
    for name in ("labels", "train", "validation", "test"):
        (root / f"jester-v1-{name}.csv").rename(root / "labels" / f"{name}.csv")
    (root / "labels" / "test-answers.csv").write_text(f"901;{LABELS[5]}\n902;{LABELS[6]}\n")
    for i in (901, 902):
        write_images(root / "20bn-jester-v1" / str(i), 12, 5)
    return root


def write_jester_kaggle(root: Path) -> Path:
    """Kaggle's copy: a folder for each split, and lists whose header rows name the columns."""
    for name, first in (("Train", 1), ("Validation", 101), ("Test", 201)):
        rows = ["video_id,label,frames,label_id,shape,format"]
        for i in range(first, first + 3):
            rows.append(f'{i},{LABELS[(i - 1) % 27]},12,{(i - 1) % 27},"(32, 48)",jpg')
            write_images(root / name / str(i), 12, 5)
        (root / f"{name}.csv").write_text("\r\n".join(rows) + "\r\n")
    return root


def write_something(root: Path, extracted: bool, count: int = 4, frames: int = 12) -> Path:
    """Something-Something V2 as videos or as extracted frames; templates with brackets."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "labels.json").write_text(json.dumps(TEMPLATES))
    written = ["Putting [something] on [something]", "Dropping [something]"]
    for name, first in (("train", 1), ("validation", 50)):
        ids = range(first, first + count)
        clips = [
            {"id": str(i), "label": "putting a cup on a table", "template": written[i % 2],
             "placeholders": ["a cup", "a table"]}
            for i in ids
        ]  # fmt: skip
        (root / f"{name}.json").write_text(json.dumps(clips))
        for i in ids:
            folder = root / "20bn-something-something-v2"
            if extracted:
                write_images(folder / str(i), frames, 6)
            else:
                folder.mkdir(exist_ok=True)
                write_webm(folder / f"{i}.webm", levels(frames), 12)
    return root


def write_egogesture(root: Path, frames: int = 30) -> Path:
    """EgoGesture: two subjects of each split with one recording of two gestures."""
    for subject in (3, 4, 1, 7, 2, 9):
        place = Path(f"Subject{subject:02d}") / "Scene1"
        write_images(root / "frames" / place / "Color1" / "rgb1", frames, 6)
        labels = root / "labels" / place
        labels.mkdir(parents=True)
        name = "group1.csv" if subject == 4 else "Group1.csv"
        (labels / name).write_text(f"{subject},2,13\n,,\n\n83,16,27\n")
    return root


def write_pictures(folder: Path, count: int) -> None:
    """Photographs of random colours."""
    folder.mkdir(exist_ok=True)
    colours = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    for number in range(count):
        Image.fromarray(colours).save(folder / f"room-{number}.png")
