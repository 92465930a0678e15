"""Views of the papers' protocols: which frames and which part of a picture."""

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.crops import PLACES, SCALES, View, cut, multi_scale, training_view, validation_view
from core.data.crops import test_view as view_of_test
from core.data.sampling import choose, segments

RESIZE_TOLERANCE = 2.0  # levels of 255: two resizers round differently


def test_a_frame_of_each_segment() -> None:
    random = np.random.default_rng(0)
    drawn = np.stack([segments(40, 8, random) for _ in range(300)])
    assert (drawn // 5 == np.arange(8)).all()
    assert all(set(column % 5) == set(range(5)) for column in drawn.T)
    assert segments(40, 8).tolist() == [2, 7, 12, 17, 22, 27, 32, 37]
    assert segments(3, 8).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert segments(1, 4, random).tolist() == [0, 0, 0, 0]


def test_clips_of_a_test_spread_and_stay() -> None:
    times = np.arange(40) / 10
    found = choose(times, "segments", 8, 10.0, clips=10)
    assert found.shape == (10, 8)
    assert (np.diff(found, axis=0) >= 0).all()
    assert (found // 5 == np.arange(8)).all()
    rows = choose(times, "windows", 8, 10.0, clips=5)
    assert rows[:, 0].tolist() == [0, 8, 16, 24, 32]
    assert choose(times, "windows", 8, 10.0)[0].tolist() == list(range(16, 24))
    assert choose(times, "windows", 8, 5.0)[0].tolist() == list(range(12, 28, 2))
    short = choose(times[:3], "windows", 4, 10.0, clips=2)
    assert short.tolist() == [[0, 1, 2, 2]] * 2


def test_multi_scale_crops_are_those_of_the_recipe() -> None:
    random = np.random.default_rng(0)
    boxes = {multi_scale((340, 256), 224, random) for _ in range(20_000)}
    sides = [256, 224, 192, 168]
    sizes = {(right - left, bottom - top) for left, top, right, bottom in boxes}
    assert sizes == {(w, h) for i, w in enumerate(sides) for j, h in enumerate(sides)
                     if abs(i - j) <= 1}  # fmt: skip
    for width, height in sizes:
        corners = {
            box[:2] for box in boxes if (box[2] - box[0], box[3] - box[1]) == (width, height)
        }
        x, y = (340 - width) // 4, (256 - height) // 4
        assert corners == {(x * i, y * j) for i, j in PLACES}
    assert len(set(PLACES)) == 13
    assert SCALES == (1.0, 0.875, 0.75, 0.66)


def test_crops_stay_inside_small_pictures() -> None:
    random = np.random.default_rng(1)
    for width, height in ((32, 32), (33, 200), (100, 34), (8, 5)):
        for _ in range(200):
            left, top, right, bottom = multi_scale((width, height), 32, random)
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height


@pytest.mark.parametrize(
    ("view", "picture", "fitted", "boxes"),
    [
        (validation_view("short", 224), (320, 240), (341, 256), [(58, 16, 282, 240)]),
        (validation_view("square", 224), (320, 240), (224, 224), [(0, 0, 224, 224)]),
        (view_of_test("short", 224, 3), (320, 240), (341, 256),
         [(0, 0, 256, 256), (42, 0, 298, 256), (85, 0, 341, 256)]),
        (view_of_test("short", 224, 3), (240, 320), (256, 341),
         [(0, 0, 256, 256), (0, 42, 256, 298), (0, 85, 256, 341)]),
        (view_of_test("square", 224, 3), (320, 240), (224, 224), [(0, 0, 224, 224)]),
    ],
)  # fmt: skip
def test_views_of_validation_and_test(view: View, picture, fitted, boxes) -> None:
    assert view.fitted(picture) == fitted
    assert view.boxes(fitted) == boxes


def test_views_of_training() -> None:
    assert training_view("square", 224).fitted((320, 240)) == (224, 224)
    assert training_view("none", 224).fitted((320, 240)) == (320, 240)
    assert training_view("short", 224).fitted((176, 100)) == (451, 256)


def test_one_pass_is_a_resize_and_a_crop() -> None:
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (12, 17, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize((170, 120), Image.Resampling.BICUBIC)
    view = validation_view("short", 56)
    fitted = view.fitted(picture.size)
    (box,) = view.boxes(fitted)
    got = cut(picture, fitted, box, 56)
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
    whole = torch.nn.functional.interpolate(
        pixels, size=fitted[::-1], mode="bilinear", antialias=True
    )[0].permute(1, 2, 0)
    expected = whole[box[1] : box[3], box[0] : box[2]].numpy()
    assert got.shape == (56, 56, 3)
    assert np.abs(got - expected).max() < RESIZE_TOLERANCE
