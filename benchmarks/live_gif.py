"""Record the README's moving picture: the live page while its camera shows rendered gestures.

    python benchmarks/live_gif.py artifacts/mobilenet_v2-action-stream-xnnpack-int8

Starts ``python -m mobile_export.live BUNDLE --serve``, opens its page in Debian's chromium, whose
camera plays test recordings of one rendered person, and writes what the page shows as
docs/live.gif, in its own time. Needs ``pip install ".[dev]"`` and chromium. The scene is one
that the model understands (``SCENE``); what the page answers is what it answers.
"""

import argparse
import base64
import io
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.rendered.people.scenes import clip_scene
from core.data.rendered.people.studio import studio
from core.errors import BadInput, run_main
from core.files import write_bytes

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


def recorded(
    address: str, movie: Path, seconds: float, chromium: str
) -> list[tuple[float, Image.Image]]:
    """What the page shows during one run of the film, with the time of each picture in seconds."""
    from playwright.sync_api import sync_playwright

    flags = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={movie}",
    ]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport=VIEW)
        page.goto(address)
        page.wait_for_selector("#events li", state="attached", timeout=120_000)
        # The browser's own recording: a screenshot each would slow down what it shows.
        caster, cast = page.context.new_cdp_session(page), []

        def keep(event: dict) -> None:
            cast.append((event["metadata"]["timestamp"], event["data"]))
            caster.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

        caster.on("Page.screencastFrame", keep)
        caster.send("Page.startScreencast", {"format": "jpeg", "quality": 95, "everyNthFrame": 4})
        page.wait_for_timeout(1000 * seconds)
        browser.close()
    pictures: list[tuple[float, Image.Image]] = []
    for stamp, data in cast:
        if not pictures or stamp - pictures[-1][0] >= EVERY:
            jpeg = Image.open(io.BytesIO(base64.b64decode(data)))
            pictures.append((stamp, jpeg.convert("RGB")))
    print(f"{len(pictures)} of {len(cast)} pictures in {seconds:.1f} s", flush=True)
    return pictures


def write_gif(pictures: Sequence[tuple[float, Image.Image]], path: Path) -> None:
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
    write_bytes(path, file.getvalue())
    print(f"{path}: {len(file.getvalue()) / 1e6:.2f} MB")


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--out", type=Path, default=DOCS / "live.gif")
    args = parser.parse_args(argv)
    chromium = shutil.which("chromium")
    if chromium is None:
        raise BadInput("chromium is not installed: apt-get install chromium")
    serve = [sys.executable, "-m", "mobile_export.live", str(args.bundle), "--serve", "--port", "0"]
    with tempfile.TemporaryDirectory() as work:
        movie = Path(work) / "gestures.mjpeg"
        seconds = film(movie)
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
            try:
                address = re.search(r"http://\S+", server.stdout.readline())
                if address is None:
                    raise BadInput(f"bundle {args.bundle} is not served: see the line above")
                pictures = recorded(address[0], movie, seconds, chromium)
            finally:
                server.send_signal(signal.SIGINT)
    write_gif(pictures, args.out)


if __name__ == "__main__":
    run_main(main)
