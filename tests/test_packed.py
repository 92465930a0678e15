"""The clips in the package: the renderer's own, small, and cut and shrunk to what a model sees."""

import sys

import pytest
import torch
from fake_target import make_checkpoint
from helpers import make_model
from recordings import need_drawing

from core.checkpoint import load
from core.data import open_clips, packed
from core.data.packed import COUNTS, FOLDER, FRAMES, RATE, SIZE, PackedClips
from core.data.rendered.people.clips import PeopleClips
from core.errors import BadInput
from core.labels import LABELS
from core.model import ModelConfig
from mobile_export.clips import held_out

MOST_BYTES = 8_000_000  # of the wheel, for all of them
# H.264 at the packed quality leaves 35 dB and more of a clip; another driver's drawing differs from
# this one's by less. Another clip of the same class is below 20.
LEAST_DECIBEL = 30.0
UNSEEN = 72  # pixels at which no other test draws: a process keeps what it has opened


def decibel(a: torch.Tensor, b: torch.Tensor) -> float:
    """Peak signal-to-noise ratio of two uint8 clips."""
    return float(10 * torch.log10(255**2 / (a.double() - b.double()).square().mean()))


def test_they_are_small_and_of_every_class():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= MOST_BYTES
    for split, count in COUNTS.items():
        clips = PackedClips(split)
        assert len(clips) == count
        assert len(clips.labels) == len(LABELS)
        frames, label = clips[28]
        assert (frames.shape, frames.dtype) == ((FRAMES, 3, SIZE, SIZE), torch.uint8)
        assert label == 1
        with pytest.raises(IndexError):
            clips[count]


@pytest.mark.parametrize(("split", "index"), [("test", 0), ("test", 535), ("train", 63)])
def test_they_are_what_the_renderer_draws(split: str, index: int):
    need_drawing()
    drawn = PeopleClips(split, index + 1, frames=FRAMES, size=SIZE, frame_rate=RATE)
    frames, label = drawn[index]
    kept, same = PackedClips(split)[index]
    assert label == same
    assert decibel(frames, kept) > LEAST_DECIBEL
    other, _ = PackedClips(split)[(index + 27) % 100]
    assert decibel(frames, other) < LEAST_DECIBEL


def test_a_smaller_view_is_the_middle_and_shrunk():
    whole, small = PackedClips("test")[3][0], PackedClips("test", frames=6, size=56)[3][0]
    assert small.shape == (6, 3, 56, 56)
    middle = whole[5:11].float()
    shrunk = torch.nn.functional.avg_pool2d(middle, 2)
    assert decibel(small, shrunk) > LEAST_DECIBEL


def test_a_choice_of_classes_leaves_out_the_others():
    chosen = PackedClips("train", only=("Thumb Up", "Stop Sign"))
    assert {LABELS[chosen[i][1]] for i in range(len(chosen))} == {"Thumb Up", "Stop Sign"}
    assert len(chosen) == 2 * COUNTS["train"] // len(LABELS)


def test_an_export_takes_them_as_long_as_they_last():
    config = make_model(num_classes=27).config
    assert isinstance(open_clips(None, "test", config), PackedClips)
    some = open_clips(None, "test", config, 54)
    assert len(some) == 54
    assert torch.equal(some[53][0], open_clips(None, "test", config)[53][0])
    for clips in (
        open_clips(None, "test", config, COUNTS["test"] + 1),
        open_clips(None, "test", ModelConfig(size=160)),
        open_clips(None, "test", ModelConfig(frame_rate=12.0)),
        open_clips(None, "val", config),
        open_clips(None, "test", config, seed=1),
    ):
        assert isinstance(clips, PeopleClips)


def test_more_of_them_without_the_renderer_are_refused_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "moderngl", None)
    clips = open_clips(None, "test", ModelConfig(size=UNSEEN), COUNTS["test"] + 1)
    with pytest.raises(BadInput, match=r"action-mobile\[render\]") as caught:
        clips[0]
    assert "\n" not in str(caught.value)


def test_a_check_on_more_than_they_are_says_so_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "moderngl", None)
    checkpoint = load(make_checkpoint(tmp_path, list(LABELS), size=UNSEEN))
    assert len(held_out(None, checkpoint, None)) == COUNTS["test"]
    more = held_out(None, checkpoint, COUNTS["test"] + 1)
    with pytest.raises(BadInput, match="pip install"):
        more[0]


def test_they_are_drawn_by_their_command(tmp_path, monkeypatch):
    need_drawing()
    monkeypatch.setattr(packed, "FOLDER", tmp_path / "clips")
    monkeypatch.setattr(packed, "COUNTS", {"train": 2})
    packed.main([])
    assert len(PackedClips("train")) == 2
    assert PackedClips("train")[1][0].shape == (FRAMES, 3, SIZE, SIZE)
