"""What players do with a file before it is seen: orientation, pixel shape, time, hidden samples."""

import struct
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
from clips import levels
from PIL import Image

from core.data.clock import steady
from core.data.decode import decoded, upright
from core.data.rate import Unreadable
from core.data.video import frame_files, open_image, read_clip, write_clip
from mobile_export.live.sources import video_frames

RATE = 10.0
THREADS = Path("/proc/self/task")
ONE = 1 << 16
# Lossy 4:2:0 video of flat colours.
COLOUR_TOLERANCE = 24
RED, GREEN, BLUE, WHITE = (220, 40, 40), (40, 200, 40), (40, 40, 220), (230, 230, 230)


def corners(height: int = 32, width: int = 64) -> np.ndarray:
    """A picture with a colour in each corner: red, green above, blue, white below."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2], picture[: height // 2, width // 2 :] = RED, GREEN
    picture[height // 2 :, : width // 2], picture[height // 2 :, width // 2 :] = BLUE, WHITE
    return picture


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write the display matrix of an mp4 file's track."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of fields
    content[at : at + 36] = struct.pack(
        ">9i", a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30
    )
    path.write_bytes(content)


def shown(picture: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """Every pixel carried to (a x + c y, b x + d y), by hand."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    out = np.zeros((down.max() + 1, across.max() + 1, 3), np.uint8)
    out[down, across] = picture
    return out


@pytest.mark.parametrize(
    ("a", "b", "c", "d"),
    [
        (p, 0, 0, q) if straight else (0, p, q, 0)
        for straight, p, q in product((True, False), (1, -1), (1, -1))
    ],
)
def test_eight_orientations(tmp_path: Path, a: int, b: int, c: int, d: int) -> None:
    path = tmp_path / "c.mp4"
    write_clip(path, np.stack([corners()] * 3), RATE)
    set_matrix(path, a, b, c, d)
    expected = shown(corners(), a, b, c, d)
    offline = upright(next(decoded(path))[1])
    live = next(iter(video_frames(path))).picture()
    for found in (offline, live):
        assert found.shape == expected.shape
        for y, x in product((0.25, 0.75), repeat=2):
            at = int(y * expected.shape[0]), int(x * expected.shape[1])
            assert np.abs(found[at].astype(int) - expected[at]).max() < COLOUR_TOLERANCE


def write_with(path: Path, aspect: Fraction | None = None, transfer: int | None = None) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if transfer is not None:
            stream.codec_context.color_trc = transfer
        for picture in levels(4, 64, 64):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    for aspect, shape in ((Fraction(2), (64, 128, 3)), (Fraction(1, 2), (128, 64, 3))):
        write_with(tmp_path / "c.mp4", aspect=aspect)
        assert upright(next(decoded(tmp_path / "c.mp4"))[1]).shape == shape


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_by_name(tmp_path: Path, transfer: int, name: str) -> None:
    write_with(tmp_path / "c.mp4", transfer=transfer)
    with pytest.raises(Unreadable, match=rf"HDR \({name}\)"):
        read_clip(tmp_path / "c.mp4", RATE, 32)


def test_sixteen_bit_pictures(tmp_path: Path) -> None:
    deep = (np.arange(256, dtype=np.uint16)[None].repeat(4, 0)) * 257
    Image.fromarray(deep).save(tmp_path / "1.png")
    assert np.asarray(open_image(tmp_path / "1.png"))[0, :, 0].tolist() == list(range(256))


@pytest.mark.parametrize("codec", ["mjpeg", "libx264"])
@pytest.mark.parametrize("first", [True, False])
def test_a_cover_is_not_the_film(tmp_path: Path, codec: str, first: bool) -> None:
    path = tmp_path / "c.mkv"
    kinds = {"mjpeg": "yuvj420p", "libx264": "yuv420p"}
    with av.open(str(path), "w") as container:
        names = [codec, "libx264"] if first else ["libx264", codec]
        streams = [container.add_stream(name, rate=10) for name in names]
        cover, film = streams if first else streams[::-1]
        for stream, side, kind in ((cover, 128, kinds[codec]), (film, 64, "yuv420p")):
            stream.width = stream.height = side
            stream.pix_fmt = kind
        big = av.VideoFrame.from_ndarray(corners(128, 128), format="rgb24")
        container.mux(cover.encode(big))
        container.mux(cover.encode())
        for picture in levels(12, 64, 64):
            container.mux(film.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(film.encode())
    frames = [upright(frame) for _, frame in decoded(path)]
    assert len(frames) == 12
    assert frames[0].shape == (64, 64, 3)


@pytest.mark.skipif(not THREADS.is_dir(), reason="threads are counted as Linux lists them")
def test_a_reader_starts_no_threads(tmp_path: Path) -> None:
    """A forked loader's worker frees what it inherits, and would wait for threads it has not."""
    write_clip(tmp_path / "c.mp4", np.stack([corners(256, 256)] * 4), RATE)
    before = len(list(THREADS.iterdir()))
    for _, frame in decoded(tmp_path / "c.mp4"):
        assert frame.frame.side_data is not None  # keeps the frame in a cycle, and what it holds
        upright(frame)
        upright(replace(frame, pixel=Fraction(2)))
        assert len(list(THREADS.iterdir())) == before


# The clock


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([0.0, 0.1, 0.2, 0.3], [0.0, 0.1, 0.2, 0.3]),
        ([5.0, 5.1, 5.2, 0.0, 0.1, 0.2], [5.0, 5.1, 5.2, 5.3, 5.4, 5.5]),  # starts again
        ([0.0, 0.1, 1e6, 0.3, 0.4], [0.0, 0.1, 0.3, 0.4]),  # one wrong stamp, ahead
        ([5.0, 5.1, 0.0, 5.3], [5.0, 5.1, 5.3]),  # and behind
        ([0.0, 0.1, 0.2, 1e6], [0.0, 0.1, 0.2, 0.3]),  # the last one
        ([0.0, 0.1, 1e6, 1e6 + 0.1], [0.0, 0.1, 0.2, 0.3]),  # set anew
        ([0.0, 0.1, 5.0, 5.1], [0.0, 0.1, 5.0, 5.1]),  # a pause
    ],
)
def test_one_clock(stamps: list[float], expected: list[float]) -> None:
    frames = list(steady((stamp, i) for i, stamp in enumerate(stamps)))
    assert [seconds for seconds, _ in frames] == pytest.approx(expected)


# What hides samples


def test_a_trim_without_encoding_again_is_whole(tmp_path: Path) -> None:
    """An edit list that shows the last second of five: the index still counts all frames."""
    path = tmp_path / "c.mp4"
    write_clip(path, levels(40), RATE)
    content = bytearray(path.read_bytes())
    at = content.find(b"elst")
    assert at > 0
    # version and flags, count, then duration in the movie's scale and start in the track's
    scale = struct.unpack_from(">I", content, content.index(b"mvhd") + 4 + 12)[0]
    struct.pack_into(">I", content, at + 12, scale)
    path.write_bytes(content)
    assert len(list(decoded(path))) <= 15
    assert len(read_clip(path, RATE, 32)) >= 9


def test_playlists_lead_nowhere(tmp_path: Path) -> None:
    write_clip(tmp_path / "secret.mp4", levels(4), RATE)
    (tmp_path / "c.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    (tmp_path / "d.mp4").write_text("#EXTM3U\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n")
    for name in ("c.mp4", "d.mp4"):
        with pytest.raises(Unreadable):
            list(decoded(tmp_path / name))


# The order of frame images


@pytest.mark.parametrize(
    "pattern", ["{}_of_12", "frame{}_resized_224", "{}-224x224", "img{:05d}", "{}"]
)
def test_frames_in_natural_order(tmp_path: Path, pattern: str) -> None:
    names = [pattern.format(i) + ".png" for i in range(1, 13)]
    for name in reversed(names):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in frame_files(tmp_path)] == names


def test_two_orders_of_frames_are_an_error(tmp_path: Path) -> None:
    for i in range(1, 5):
        (tmp_path / f"{i}_{9 - i}.png").write_bytes(b"")
    with pytest.raises(Unreadable, match="number 2"):
        frame_files(tmp_path)
