"""Live sources of other kinds and in other views: network cameras, mirrors, regions."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from test_live import tiny  # noqa: F401  # a fixture

from core.data.video import write_clip
from core.errors import BadInput
from mobile_export.live import network
from mobile_export.live.__main__ import main
from mobile_export.live.annotate import draw_answer
from mobile_export.live.network import network_frames, shown
from mobile_export.live.region import Region, parse_region
from mobile_export.live.session import open_source
from mobile_export.live.sources import Frame, Interrupted

GREY = 6  # levels that JPEG and H.264 may move a grey
LEVELS = (40, 200)  # left and right half of a picture
AGAIN = (0.05, 0.05)  # seconds before another attempt


def halves(height: int = 48, width: int = 64) -> np.ndarray:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2], picture[:, width // 2 :] = LEVELS
    return picture


def write_lossless(path: Path, frames: np.ndarray) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.options = "yuv420p", {"qp": "0"}
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def jpeg(pixels: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=95)
    return data.getvalue()


class Camera(BaseHTTPRequestHandler):
    """MJPEG as network cameras send it: ten pictures, then the connection breaks off."""

    def do_GET(self) -> None:
        self.server.asked += 1  # type: ignore[attr-defined]
        if self.path != "/video" or self.server.asked in self.server.away:  # type: ignore[attr-defined]
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        picture = jpeg(halves())
        for _ in range(10):
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            self.wfile.write(head.encode() + picture + b"\r\n")
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def camera() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        server.asked, server.away = 0, set()
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def address(server: ThreadingHTTPServer, path: str = "/video", user: str = "") -> str:
    return f"http://{user}127.0.0.1:{server.server_port}{path}"


def test_a_network_camera_that_breaks_off_is_opened_again(
    camera: ThreadingHTTPServer, capsys: pytest.CaptureFixture
) -> None:
    camera.away = {2, 4, 5, 6}  # away for a moment, then for good
    seen: list[Frame] = []
    frames = network_frames(address(camera, user="me:secret@"), AGAIN)
    with pytest.raises(Interrupted, match="stays away"):
        seen.extend(frames)
    for picture in (frame.picture() for frame in seen):
        assert abs(int(picture[24, 8, 0]) - LEVELS[0]) < GREY
        assert abs(int(picture[24, 56, 0]) - LEVELS[1]) < GREY
    times = [frame.seconds for frame in seen]
    assert len(seen) >= 18  # a demuxer may lose the last picture of a connection that breaks off
    assert times == sorted(times)
    said = capsys.readouterr().err
    assert "is back" in said
    assert "next try in" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ftp://127.0.0.1/x", "of another kind"),
        ("http://127.0.0.1:9/x", "cannot be opened"),
        ("rtsp://127.0.0.1:9/x", "cannot be opened"),
    ],
)
def test_an_address_without_a_camera_is_one_line(name: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as error:
        next(network_frames(name, AGAIN))
    assert "\n" not in str(error.value)


def test_a_playlist_does_not_lead_to_other_files(
    camera: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret.mp4"
    write_clip(secret, np.stack([halves()] * 10), 10.0)

    def playlist(self: Camera) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.apple.mpegurl")
        self.end_headers()
        self.wfile.write(f"#EXTM3U\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode())

    monkeypatch.setattr(Camera, "do_GET", playlist)
    with pytest.raises(BadInput, match="cannot be opened"):
        next(network_frames(address(camera, "/list.m3u8"), AGAIN))


def test_a_video_that_has_an_end_is_no_camera(
    camera: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "film.mkv", np.stack([halves()] * 30), 10.0)
    film = (tmp_path / "film.mkv").read_bytes()

    def give(self: Camera) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(film)))
        self.end_headers()
        self.wfile.write(film)

    monkeypatch.setattr(Camera, "do_GET", give)
    with pytest.raises(BadInput, match=r"is a video of 3\.0 s, no camera: download it") as error:
        next(network_frames(address(camera, user="me:secret@"), AGAIN))
    assert "secret" not in str(error.value)


def test_a_password_is_not_shown() -> None:
    assert shown("rtsp://me:pass@host/a") == "rtsp://me:***@host/a"
    assert shown("rtsp://host/a") == "rtsp://host/a"


def test_an_address_is_a_live_source(
    camera: ThreadingHTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    tiny: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(network, "PAUSES", ())
    monkeypatch.setattr(network.network_frames, "__defaults__", ((),))
    events = tmp_path / "events.json"
    source = address(camera, user="me:secret@")
    assert main([str(tiny), "--source", source, "--events", str(events)]) == 2  # it stays away
    found = json.loads(events.read_text())
    assert found["source"] == shown(source)
    assert "secret" not in events.read_text()
    assert found["ticks"] >= 1
    assert "stays away" in found["reason"]
    assert open_source(address(camera), None, None, False).frames is not None  # type: ignore[arg-type]


# Mirrors and regions


def test_a_region_is_what_the_model_sees() -> None:
    picture = np.arange(40 * 60 * 3, dtype=np.int64).reshape(40, 60, 3).astype(np.uint8)
    assert np.array_equal(Region().seen(picture), picture)
    assert np.array_equal(Region(mirror=True).seen(picture), picture[:, ::-1])
    left = Region(box=(0.0, 0.0, 0.5, 1.0))
    assert np.array_equal(left.seen(picture), picture[:, :30])
    # Mirrored first: the region is of the picture as it is in the world.
    both = Region(True, (0.0, 0.0, 0.5, 1.0))
    assert np.array_equal(both.seen(picture), picture[:, ::-1][:, :30])
    assert Region().square(40, 60) == (10, 0, 50, 40)
    assert left.square(40, 60) == (0, 5, 30, 35)


@pytest.mark.parametrize(
    "text", ["", "1", "0,0,1", "0,0,2,1", "0.5,0,0.6,1", "-0.1,0,1,1", "a,b,c,d", "0,0,0,1"]
)
def test_regions_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="--roi"):
        parse_region(text)


def test_a_region_too_small_for_a_source_is_refused() -> None:
    with pytest.raises(BadInput, match=r"region is 6 x 48 of 64 x 48 pixels"):
        Region(box=(0.0, 0.0, 0.1, 1.0)).seen(halves())


def test_a_mirrored_video_gives_what_the_unmirrored_one_gives(
    tiny: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (40, 6, 8, 1), dtype=np.uint8)
    frames = small.repeat(8, 1).repeat(8, 2).repeat(3, 3)  # grey: chroma would lie asymmetrically
    reports = []
    for name, pixels, options in (
        ("plain", frames, []), ("selfie", frames[:, :, ::-1], ["--mirror"]),
    ):  # fmt: skip
        write_lossless(tmp_path / f"{name}.mp4", np.ascontiguousarray(pixels))
        events, out = tmp_path / f"{name}.json", tmp_path / f"{name}-out.mp4"
        argv = [str(tiny), "--source", str(tmp_path / f"{name}.mp4"), "--events", str(events)]
        assert main([*argv, "--out", str(out), *options]) == 0
        reports.append(json.loads(events.read_text()))
    ours, theirs = ([(e["label"], e["start"]) for e in r["events"]] for r in reports)
    assert ours == theirs
    with (
        av.open(str(tmp_path / "plain-out.mp4")) as a,
        av.open(str(tmp_path / "selfie-out.mp4")) as b,
    ):
        first, second = (next(c.decode(video=0)).to_ndarray(format="rgb24") for c in (a, b))
    assert np.abs(first.astype(int) - second).mean() < GREY


def test_the_picture_says_what_the_model_sees_and_which_side_is_left() -> None:
    black = np.zeros((120, 160, 3), np.uint8)
    plain = draw_answer(black, None, ())
    drawn = draw_answer(black, None, (), Region(box=(0.0, 0.0, 0.5, 1.0)))
    changed = np.argwhere((plain != drawn).any(-1))
    assert (changed[:, 1] >= 80).any(), "left is at the right edge of a picture that is no mirror"
    assert {20, 99} <= set(changed[changed[:, 1] == 40][:, 0]), "the square's upper and lower edge"


@pytest.mark.parametrize("options", [["--mirror"], ["--roi", "0,0,0.5,1"]])
def test_recordings_have_no_view(tmp_path: Path, options: list[str]) -> None:
    with pytest.raises(BadInput, match=f"{options[0]} is for --source and --serve"):
        main(["--record", "wave", "--out", str(tmp_path), *options])
