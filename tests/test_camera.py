"""Cameras: frames that come, stay away or have another size, and clips recorded from them."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from clips import refusal

from core.data.video import write_clip
from mobile_export.live import record, sources
from mobile_export.live.sources import Frame, Interrupted, camera_frames

PICTURE = (48, 64)  # rows, columns


def test_no_camera() -> None:
    pytest.importorskip("cv2")
    assert "camera 99 cannot be opened" in refusal(lambda: next(camera_frames(99)))


def test_frames_of_a_camera(tmp_path: Path, monkeypatch) -> None:
    """OpenCV opens a file as it opens a camera: colours come out in RGB, times from zero."""
    cv2 = pytest.importorskip("cv2")
    red = np.zeros((10, *PICTURE, 3), np.uint8)
    red[..., 0] = 200
    write_clip(tmp_path / "red.mp4", red, 10)
    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda _number: real(str(tmp_path / "red.mp4")))
    frames = []
    with pytest.raises(Interrupted, match="no more frames"):
        frames.extend(camera_frames(0))
    assert len(frames) == 10
    assert frames[0].seconds == 0.0
    assert frames[0].picture()[..., 0].mean() > 150 > 50 > frames[0].picture()[..., 2].mean()


class Camera:
    """As much of ``cv2.VideoCapture`` as is used: ``reads`` gives what each read gives, for ever
    the last one."""

    def __init__(self, reads: list) -> None:
        self.reads = reads

    def isOpened(self) -> bool:  # OpenCV's name
        return True

    def set(self, *_: object) -> bool:
        return False

    def release(self) -> None:
        pass

    def read(self) -> tuple:
        found = self.reads[0]
        self.reads = self.reads[1:] or self.reads
        return found


GOOD, EMPTY, NONE = (True, np.full((4, 6, 3), 9, np.uint8)), (False, None), (True, None)
GREY, BGRA = (True, np.full((4, 6), 9, np.uint8)), (True, np.full((4, 6, 4), 9, np.uint8))


def film(monkeypatch, reads: list) -> Iterator[Frame]:
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setattr(cv2, "VideoCapture", lambda _number: Camera(reads))
    monkeypatch.setattr(sources, "PATIENCE", 0.1)
    return camera_frames(0)


@pytest.mark.parametrize(
    "reads",
    [
        [EMPTY, EMPTY, GOOD, GOOD], [GOOD, EMPTY, GOOD], [GOOD, NONE, GOOD], [GREY, GOOD],
        [BGRA, GOOD], [(True, np.zeros((0, 0, 3), np.uint8)), GOOD, GOOD],
    ],
)  # fmt: skip
def test_a_camera_may_give_nothing_for_a_while(monkeypatch, reads: list) -> None:
    frames = list(itertools.islice(film(monkeypatch, reads), 2))
    for frame in frames:
        assert (frame.picture() == np.full((4, 6, 3), 9, np.uint8)).all()
    assert [frame.seconds for frame in frames] == sorted(frame.seconds for frame in frames)


def test_a_camera_that_gives_nothing_for_long(monkeypatch) -> None:
    assert "gives no frame in" in refusal(lambda: next(film(monkeypatch, [EMPTY])))
    with pytest.raises(Interrupted, match="no more frames"):
        list(film(monkeypatch, [GOOD, NONE]))


def record_with(monkeypatch, out: Path, frames: list[Frame]) -> int:
    monkeypatch.setattr(record, "camera_frames", lambda _number: (frame for frame in frames))
    monkeypatch.setattr(record, "Newest", lambda feed, paced: feed)
    monkeypatch.setattr(record, "_count_down", lambda *_: None)
    return record.record_from("camera", "wave", out, 1)


def shot(seconds: float, side: int = 16) -> Frame:
    return Frame(seconds, lambda: np.zeros((side, side, 3), np.uint8))


def test_a_clip_with_a_hole_is_made_again(tmp_path: Path, monkeypatch, capsys) -> None:
    """As on the page: a camera that stood still, or a picture of another size."""
    length = record.CLIP_SECONDS
    count = round(length * 30)
    holed = [shot(i / 30 + (0.5 if i > 9 else 0)) for i in range(count - 14)]
    whole = [shot(20 + i / 30) for i in range(3 * count)]
    assert record_with(monkeypatch, tmp_path, [*holed, *whole]) == 0
    assert len(list((tmp_path / "wave").iterdir())) == 1
    told = capsys.readouterr().out
    assert "stood still for 0.5 s" in told
    pictures = [shot(0, side).picture() for side in (16, 20)]
    assert "size" in record.spoils(pictures, 0.0)


def test_ctrl_c_before_the_first_clip(tmp_path: Path, monkeypatch, capsys) -> None:
    def stopped():
        yield shot(0.0)
        raise KeyboardInterrupt

    assert record_with(monkeypatch, tmp_path, stopped()) == 0
    assert "stopped before the first clip" in capsys.readouterr().out
