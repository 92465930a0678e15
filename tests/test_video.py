"""Reading clips: their time, their space, their pixels."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from clips import levels, numbers, refusal

from core.data.folder import window
from core.data.transforms import normalise, resize_crop
from core.data.video import MAX_SECONDS, Unreadable, at_rate, read_clip, write_clip

SIZE = 32
RATE = 10.0
# Lossy 4:2:0 video of flat colours: a few steps of 255, more on the edges, which are not read here.
COLOUR_TOLERANCE = 12
# Resizing bytes rounds after each of its two passes.
RESIZE_TOLERANCE = 1.0
# The same numbers multiplied in another order, in float32.
FLOAT_TOLERANCE = 1e-6


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


def test_video_cut_off_behind_its_header(tmp_path: Path) -> None:
    """With the index in front, as downloads have it, half a file still decodes without an error."""
    path = tmp_path / "c.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (60, 64, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for picture in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    assert len(read_clip(path, RATE, SIZE)) == 60
    content = path.read_bytes()
    path.write_bytes(content[: int(0.3 * len(content))])
    with pytest.raises(Unreadable, match=r"cut off: \d+ of its 60 frames"):
        read_clip(path, RATE, SIZE)


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
