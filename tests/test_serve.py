"""The page as a person uses it: in a browser, whose camera shows a rendered person.

The server is the command line's, started as a process. Its protocol is tested in
test_serve_protocol.py, which needs no browser.
"""

import io
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recordings import draw, swipe

from core.data.folder import FolderClips
from core.data.video import at_rate_pixels

needs_browser = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="needs Debian's chromium"
)
GESTURE = "Swiping Left"
CAMERA = 30.0  # frames a second, as Chromium plays a file of JPEGs
SIDE, WIDTH = 240, 320
BARS = (200, 20)  # grey levels left and right of what the model sees: a mirror would swap them
GREY = 30  # levels that cameras and browsers disagree about: some take 16 for black
PAUSE, TICKS = 4, 10  # seconds that a page is hidden; the default bundle's frames a second
FAKE_CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
PATIENCE = 60_000  # milliseconds; a loaded machine starts a browser slowly


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """Rest, one swipe of somebody who is in no training clip, rest; Chromium repeats it."""
    scene, length = swipe()
    square = draw(scene, np.arange(0, length, 1 / CAMERA), SIDE).permute(0, 2, 3, 1).numpy()
    bar = (WIDTH - SIDE) // 2
    wide = np.zeros((len(square), SIDE, WIDTH, 3), np.uint8)
    wide[:, :, :bar], wide[:, :, bar:-bar], wide[:, :, -bar:] = BARS[0], square, BARS[1]
    jpegs = io.BytesIO()
    for picture in wide:
        Image.fromarray(picture).save(jpegs, "JPEG", quality=92)
    path = tmp_path_factory.mktemp("film") / "swipe.mjpeg"
    path.write_bytes(jpegs.getvalue())
    return path


class Address(str):
    """Of a server, with the token that its page is opened with."""

    token: str

    def __new__(cls, url: str, token: str) -> "Address":
        made = super().__new__(cls, url)
        made.token = token
        return made


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """The server's process and its address; Ctrl-C has to end it in order."""
    argv = [sys.executable, "-m", "mobile_export.live", str(folder), "--serve", *options]
    with serving_by(argv) as started:
        yield started


@contextmanager
def serving_by(argv: list[str]) -> Iterator[tuple[str, subprocess.Popen]]:
    """The same of a program that serves the page."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A test run in the background ignores Ctrl-C, and its children would too.
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(argv, **pipes, **heed) as process:
        try:
            line = process.stdout.readline()
            found = re.search(r"(http://127\.0\.0\.1:\d+)/\?token=(\S+)", line)
            assert found, line + process.stderr.read()
            assert "Ctrl-C" in process.stdout.readline()
            yield Address(*found.groups()), process
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 0
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def address(default_bundle) -> Iterator[str]:
    """Of a server that most tests share: one after the other, a browser each."""
    with serving(default_bundle.path, "--port", "0") as (address, _):
        yield address


@pytest.fixture(scope="module")
def filming(chromium, film: Path) -> Iterator:
    """A browser with a camera that shows the film and may be used."""
    with closing(chromium(*FAKE_CAMERA, f"--use-file-for-fake-video-capture={film}")) as browser:
        yield browser


@contextmanager
def browsing(browser):
    """What one person sees of a browser: pages that wait long and share nothing with others."""
    with closing(browser.new_context()) as context:
        context.set_default_timeout(PATIENCE)
        yield context


def open_page(context, address: Address):
    """The page, and what goes wrong in it: errors of scripts and requests to anywhere else."""
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("request", lambda r: None if r.url.startswith(address) else wrong.append(r.url))
    page.on(
        "websocket",
        lambda w: wrong.append(w.url) if not w.url.startswith(socket(address)) else None,
    )
    page.goto(f"{address}/?token={address.token}")
    return page, wrong


def socket(address: str) -> str:
    return address.replace("http", "ws") + "/stream"


def wait_for_text(page, selector: str, text: str) -> None:
    page.locator(selector, has_text=re.compile(text)).first.wait_for(state="visible")


def test_a_port_in_use_is_refused_in_one_line(default_bundle, address):
    port = address.rsplit(":", 1)[1]
    argv = [sys.executable, "-m", "mobile_export.live", str(default_bundle.path), "--serve"]
    second = subprocess.run([*argv, "--port", port], capture_output=True, text=True)
    assert second.returncode == 2
    expected = f"error: port {port} is in use: give another with --port, or 0 for any\n"
    assert second.stderr == expected


def test_a_request_to_terminate_ends_it(default_bundle):
    with serving(default_bundle.path, "--port", "0") as (_, process):
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM


@needs_browser
def test_the_gesture_that_is_made_appears(default_bundle, address, filming):
    with browsing(filming) as b:
        page, wrong = open_page(b, address)
        wait_for_text(page, "#gesture", GESTURE)
        wait_for_text(page, "#events li:not(.open)", GESTURE)  # it ended, and the film goes on
        page.locator("#events li:nth-child(2)").wait_for()
        assert set(page.locator("#events strong").all_inner_texts()) == {GESTURE}
        least = 100 * default_bundle.manifest["decision"]["threshold"]
        assert float(re.search(r"(\d+) %", page.inner_text("#events li:last-child"))[1]) >= least
        wait_for_text(page, "#model-rate", r"\d of 10/s")
        assert page.locator("#stages td", has_text=re.compile(r"^\d+(\.\d+)? ms$")).count() == 12
        assert page.inner_text("#bundle") == default_bundle.manifest["name"]
        assert page.locator("#rendered").is_visible()
        assert page.locator("#interpreted").is_hidden()
        assert page.locator("#cameras").is_hidden()
        assert page.locator("#record").is_hidden()
        assert "--out my_clips" in page.inner_text("#no-folder")
        assert wrong == []


@needs_browser
def test_clips_are_recorded_from_the_page(default_bundle, filming, tmp_path):
    out = tmp_path / "mine"
    options = ("--port", "0", "--out", str(out))
    with serving(default_bundle.path, *options) as (address, _), browsing(filming) as b:
        page, wrong = open_page(b, address)
        wait_for_text(page, "#link", "live")
        page.locator("#message").wait_for(state="hidden")  # without a picture nothing is recorded
        page.fill("#label", "train")
        page.fill("#seconds", "0.8")
        page.click("#start")
        wait_for_text(page, "#record-state.problem", "is the name of a split")
        for label in ("circle", "No gesture"):
            page.fill("#label", label)
            page.fill("#clips", "2")
            assert page.inner_text("#start") == "Record 2 clips"
            page.keyboard.press("Enter")
            for left in "321":
                wait_for_text(page, "#countdown", left)
            wait_for_text(page, "#recording.on", f"{label}: clip 1 of 2")
            wait_for_text(page, "#record-state", f'2 clips of "{label}" recorded')
        wait_for_text(page, "#counts", r"No gesture\s*2 clips\s*circle\s*2 clips")
        page.click("#start")
        page.locator("#countdown").wait_for()
        page.keyboard.press("Escape")
        wait_for_text(page, "#record-state", "^Stopped$")
        assert wrong == []
    found = sorted(out.rglob("*.mp4"))
    assert [path.parent.name for path in found] == 2 * ["No gesture"] + 2 * ["circle"]
    clips = FolderClips(out, "train", frames=8, size=112, frame_rate=10.0)
    assert clips.check() == []
    assert len(clips) == 4
    for path in found:
        frames = np.stack(list(at_rate_pixels(path, 10.0)))
        assert frames.shape == (8, SIDE, WIDTH, 3)
        # As the camera sees it, not as the page shows it.
        assert abs(frames[:, :, 4].mean() - BARS[0]) < GREY
        assert abs(frames[:, :, -5].mean() - BARS[1]) < GREY


@needs_browser
def test_a_refused_camera_is_explained(address, chromium):
    flags = ["--use-fake-device-for-media-stream", "--deny-permission-prompts"]
    with closing(chromium(*flags)) as browser, browsing(browser) as context:
        page, wrong = open_page(context, address)
        wait_for_text(page, "#message-title", "The camera is blocked")
        assert "allow the camera" in page.inner_text("#message-text")
        assert page.locator("#message-button").is_enabled()
        assert wrong == []


@needs_browser
def test_a_machine_without_a_camera_is_told_so(address, chromium):
    flag = "--use-fake-ui-for-media-stream"
    with closing(chromium(flag)) as browser, browsing(browser) as context:
        page, wrong = open_page(context, address)
        wait_for_text(page, "#message-title", "No camera found")
        assert wrong == []


@needs_browser
def test_a_camera_that_is_in_use_or_lost_comes_back(address, filming):
    with browsing(filming) as b:
        b.add_init_script("""
            const real = MediaDevices.prototype.getUserMedia;
            let busy = true;
            MediaDevices.prototype.getUserMedia = function (wanted) {
              if (!busy) return real.call(this, wanted);
              busy = false;
              return Promise.reject(new DOMException("busy", "NotReadableError"));
            };""")
        page, wrong = open_page(b, address)
        wait_for_text(page, "#message-title", "The camera is in use")
        page.click("#message-button")
        wait_for_text(page, "#gesture", GESTURE)
        page.evaluate("video.srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))")
        wait_for_text(page, "#message-title", "The camera is gone")
        page.click("#message-button")
        page.locator("#message").wait_for(state="hidden")
        wait_for_text(page, "#events li.open", GESTURE)
        assert wrong == []


@needs_browser
def test_one_of_several_cameras_can_be_chosen(address, chromium):
    flags = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream=device-count=2"]
    with closing(chromium(*flags)) as browser, browsing(browser) as context:
        page, wrong = open_page(context, address)
        page.locator("#cameras").wait_for()
        assert page.locator("#camera option").count() == 2
        before = page.input_value("#camera")
        page.select_option("#camera", index=1)
        page.wait_for_function(
            "old => video.srcObject?.getVideoTracks()[0].getSettings().deviceId !== old"
            " && video.videoWidth > 0",
            arg=before,
        )
        wait_for_text(page, "#model-rate", r"^[1-9].* of 10/s")
        assert wrong == []


@needs_browser
def test_the_newest_tab_has_the_stream_and_can_give_it_back(address, filming):
    with browsing(filming) as b:
        first, wrong = open_page(b, address)
        wait_for_text(first, "#link", "live")
        second, _ = open_page(b, address)
        wait_for_text(second, "#link", "live")
        wait_for_text(first, "#message-title", "Open in another tab")
        assert first.evaluate("video.srcObject") is None
        first.bring_to_front()  # browsers give no frames to tabs that nobody sees
        first.click("#message-button")
        wait_for_text(second, "#message-title", "Open in another tab")
        wait_for_text(first, "#gesture", GESTURE)
        assert wrong == []


@pytest.mark.slow
@needs_browser
def test_a_server_that_was_stopped_is_found_again(default_bundle, filming):
    with browsing(filming) as context:
        with serving(default_bundle.path, "--port", "0") as (address, _):
            page, _ = open_page(context, address)  # the browser logs each attempt that fails
            wait_for_text(page, "#gesture", GESTURE)
        wait_for_text(page, "#message-title", "The server does not answer")
        assert page.inner_text("#link") == "no server"
        with serving(default_bundle.path, "--port", address.rsplit(":", 1)[1]):
            wait_for_text(page, "#link", "live")
            wait_for_text(page, "#events li.open", GESTURE)


@pytest.mark.slow
@needs_browser
def test_a_slow_camera_is_told(chromium, address, tmp_path):
    """Two pictures at five a second, where the model takes ten."""
    slow = tmp_path / "slow.y4m"
    picture = b"FRAME\n" + bytes([90]) * (WIDTH * SIDE * 3 // 2)
    slow.write_bytes(f"YUV4MPEG2 W{WIDTH} H{SIDE} F5:1 Ip A0:0\n".encode() + 2 * picture)
    with (
        closing(chromium(*FAKE_CAMERA, f"--use-file-for-fake-video-capture={slow}")) as browser,
        browsing(browser) as context,
    ):
        page, _ = open_page(context, address)
        wait_for_text(page, "#slow", r"gives [2-7]\.\d frames a second and the model needs 10")


@pytest.mark.slow
@needs_browser
def test_a_hidden_page_pauses(address, filming):
    hide = """hidden => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    with browsing(filming) as b:
        page, wrong = open_page(b, address)
        wait_for_text(page, "#gesture", GESTURE)
        before = int(page.inner_text("#missed"))  # a loaded machine misses some by itself
        page.evaluate(hide, True)
        wait_for_text(page, "#message-title", "Paused")
        wait_for_text(page, "#model-rate", r"^0\.0 of")
        page.wait_for_timeout(1000 * PAUSE)
        page.evaluate(hide, False)
        page.locator("#message").wait_for(state="hidden")
        wait_for_text(page, "#gesture", GESTURE)
        # A pause is not a fault: counted as one, it alone would be PAUSE seconds of ticks.
        assert int(page.inner_text("#missed")) - before < PAUSE * TICKS / 2
        assert wrong == []
