"""Record the README's moving picture: the live page while its camera shows rendered gestures.

    python benchmarks/live_gif.py artifacts/mobilenet_v2-action-stream-xnnpack-int8

Starts ``python -m mobile_export.live BUNDLE --serve``, opens its page in Debian's chromium, whose
camera plays test recordings of one rendered person, and writes what the page shows as
docs/live.gif, in its own time. Needs ``pip install ".[dev]"`` and chromium. The scene is one
that the model understands (``SCENE``); what the page answers is what it answers.
"""

import base64
import contextlib
import io
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from core.data.rendered.people.scenes import clip_scene
from core.data.rendered.people.studio import studio
from core.errors import BadInput, run_main
from core.files import write_whole
from core.options import Parser, check_file

DOCS = Path(__file__).parent.parent / "docs"
SCENE = 1  # of the test split: chosen for what the model understands of it
GESTURES = ("Swiping Left", "Thumb Up", "Zooming In With Full Hand", "Drumming Fingers")
CAMERA = 30.0  # frames a second, as chromium plays a file of JPEGs
SIDE, WIDTH = 240, 320  # of the camera's picture
REST = 0.8  # seconds before and after a gesture
MARGIN = (40, 44, 52)  # colour beside what the model sees
VIEW = {"width": 1040, "height": 590}  # of the browser: camera, answer and chart
SHOWN = (640, 363)
EVERY = 0.24  # seconds between pictures, or more when the browser is slower
COLOURS = 64
Picture = tuple[float, Image.Image]  # its time in seconds, and what it shows


@contextlib.contextmanager
def served(bundle: Path) -> Iterator[str]:
    """The address of the bundle's page, for as long as the block lasts. Raises ``BadInput``."""
    command = [sys.executable, "-m", "mobile_export.live", str(bundle), "--serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = re.search(r"http://\S+", server.stdout.readline())
            if address is None:
                raise BadInput(f"bundle {bundle} is not served: see the line above")
            yield address[0]
        finally:
            server.send_signal(signal.SIGINT)


def film(path: Path) -> float:
    """Write the camera's film, Motion JPEG, and give its length in seconds."""
    frames = []
    for index, gesture in enumerate(GESTURES):
        # One seed and index is one person and room; the rest between gestures is theirs too.
        scene, _ = clip_scene("test", 0, SCENE, gesture, REST)
        times = np.arange(0, scene.segments[-1].end, 1 / CAMERA)
        frames += list(studio(SIDE).render(scene, times)[0].permute(0, 2, 3, 1).numpy())
        print(f"rendered {index + 1} of {len(GESTURES)}: {gesture}", flush=True)
    jpegs = io.BytesIO()
    margin = (WIDTH - SIDE) // 2
    for frame in frames:
        wide = np.full((SIDE, WIDTH, 3), MARGIN, np.uint8)
        wide[:, margin:-margin] = frame
        Image.fromarray(wide).save(jpegs, "JPEG", quality=92)
    path.write_bytes(jpegs.getvalue())
    return len(frames) / CAMERA


def driver() -> ModuleType:
    """What drives the browser. Raises ``BadInput`` where it is missing."""
    try:
        from playwright import sync_api
    except ImportError:
        raise BadInput('playwright is not installed: pip install ".[dev]"') from None
    return sync_api


def recorded(
    playwright: ModuleType, address: str, movie: Path, seconds: float, chromium: str
) -> list[Picture]:
    """What the page shows during one run of the film.

    Raises ``BadInput`` where the page or the browser does not answer, or draws nothing.
    """
    try:
        cast = screencast(playwright, address, movie, seconds, chromium)
    except playwright.Error as error:  # one that comes late is one of them
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{address} is not shown by {chromium} ({reason}): try again") from None
    pictures: list[Picture] = []
    for stamp, data in cast:
        if not pictures or stamp - pictures[-1][0] >= EVERY:
            jpeg = Image.open(io.BytesIO(base64.b64decode(data)))
            pictures.append((stamp, jpeg.convert("RGB")))
    if not pictures:
        raise BadInput(f"{chromium} drew no picture of {address} in {seconds:.1f} s: try again")
    print(f"{len(pictures)} of {len(cast)} pictures in {seconds:.1f} s", flush=True)
    return pictures


def screencast(
    playwright: ModuleType, address: str, movie: Path, seconds: float, chromium: str
) -> list[tuple[float, str]]:
    """The browser's own recording: the time of each picture, and it as JPEG in base64."""
    flags = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={movie}",
    ]
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport=VIEW)
        page.goto(address)
        page.wait_for_selector("#events li", state="attached", timeout=120_000)
        # A screenshot each would slow down what it shows.
        caster, cast = page.context.new_cdp_session(page), []

        def keep(event: dict) -> None:
            cast.append((event["metadata"]["timestamp"], event["data"]))
            caster.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

        caster.on("Page.screencastFrame", keep)
        caster.send("Page.startScreencast", {"format": "jpeg", "quality": 95, "everyNthFrame": 4})
        page.wait_for_timeout(1000 * seconds)
        browser.close()
    return cast


def write_gif(pictures: Sequence[Picture], path: Path) -> None:
    """One palette for all pictures and no dithering: what stands still then costs nothing."""
    small = [picture.resize(SHOWN, Image.Resampling.LANCZOS) for _, picture in pictures]
    lasting = [1000 * (b - a) for (a, _), (b, _) in pairwise(pictures)] + [1000 * EVERY]
    sheet = np.concatenate([np.asarray(p) for p in small[:: max(1, len(small) // 8)]])
    palette = Image.fromarray(sheet).quantize(COLOURS)
    drawn = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in small]
    file = io.BytesIO()
    drawn[0].save(
        file, "GIF", save_all=True, append_images=drawn[1:], duration=lasting, loop=0, optimize=True
    )
    write_whole("--out", path, file.getvalue())
    print(f"{path}: {len(file.getvalue()) / 1e6:.2f} MB")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of an export")
    parser.add_argument("--out", type=Path, default=DOCS / "live.gif", help="default docs/live.gif")
    args = parser.parse_args(argv)
    check_file("--out", args.out)
    chromium = shutil.which("chromium")
    if chromium is None:
        raise BadInput("chromium is not installed: apt-get install chromium")
    playwright = driver()
    # The server first: a bundle that it refuses is known before the minutes of rendering.
    with tempfile.TemporaryDirectory() as work, served(args.bundle) as address:
        movie = Path(work) / "gestures.mjpeg"
        seconds = film(movie)
        pictures = recorded(playwright, address, movie, seconds, chromium)
    write_gif(pictures, args.out)
    return 0


if __name__ == "__main__":
    run_main(main)
