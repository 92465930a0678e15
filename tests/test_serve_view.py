"""What the model sees is chosen on the page: its parts, a drawn square, and a mirrored camera."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

from serving import TOKEN, Colours, make_bundle
from test_serve import FAKE_CAMERA, Address, browsing, needs_browser, open_page, wait_for_text

from mobile_export.live.region import Region
from mobile_export.live.server.serve import listen, running
from mobile_export.live.server.stream import Desk

SOON = 500  # milliseconds in which the driver hears of what a page sent
NEAR = 0.03  # parts of the frame: whole pixels, and the border of a square


@contextmanager
def colours(region: Region) -> Iterator[Address]:
    """A server with a model of a few lines, in a thread: Playwright has this one."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    ends: list[asyncio.Event] = []
    with listen(0) as listening, ThreadPoolExecutor(1) as worker:
        port = listening.getsockname()[1]
        desk = Desk(make_bundle(), Colours(), worker, None, TOKEN, region)

        async def main() -> None:
            async with running(desk, listening):
                ends.append(asyncio.Event())
                ready.set()
                await ends[0].wait()

        thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
        thread.start()
        assert ready.wait(60)
        try:
            yield Address(f"http://127.0.0.1:{port}", TOKEN)
        finally:
            loop.call_soon_threadsafe(ends[0].set)
            thread.join()
            loop.close()


def square(page) -> list[float]:
    """Left, top, width and height of the square, in parts of the frame."""
    return page.evaluate(
        """() => {
          const [a, b] = ["frame", "seen"].map((id) =>
            document.getElementById(id).getBoundingClientRect());
          return [(b.left - a.left) / a.width, (b.top - a.top) / a.height,
            b.width / a.width, b.height / a.height];
        }"""
    )


def near(found: list[float], wanted: list[float]) -> bool:
    return all(abs(a - b) < NEAR for a, b in zip(found, wanted, strict=True))


@needs_browser
def test_a_part_of_the_picture_is_chosen_drawn_and_mirrored(chromium):
    with (
        colours(Region(mirror=True)) as address,
        closing(chromium(*FAKE_CAMERA)) as browser,
        browsing(browser) as context,
    ):
        page, wrong = open_page(context, address)
        sent: list[dict] = []

        def listen_to(socket) -> None:
            socket.on(
                "framesent", lambda text: isinstance(text, str) and sent.append(json.loads(text))
            )

        page.on("websocket", listen_to)
        page.reload()
        wait_for_text(page, "#link", "live")
        page.locator("#message").wait_for(state="hidden")
        assert page.is_checked("#mirrored"), "what the server was started with"
        page.locator("video.as-it-is").wait_for()
        assert near(square(page), [0.125, 0, 0.75, 1])  # the middle of 640 x 480
        page.uncheck("#mirrored")
        page.wait_for_timeout(SOON)
        assert sent[-1] == {"type": "view", "mirror": False, "box": None}
        page.select_option("#part", "left")
        page.wait_for_timeout(SOON)
        assert sent[-1] == {"type": "view", "mirror": False, "box": [0.5, 0, 0.5, 1]}
        assert near(square(page), [0, 1 / 6, 0.5, 2 / 3]), "one's own left is on the left here"
        assert "your left" in page.inner_text(".side")
        page.evaluate("document.getElementById('frame').scrollIntoView({block: 'start'})")
        frame = page.locator("#frame").bounding_box()

        def at(x: float, y: float) -> tuple[float, float]:
            return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]

        page.mouse.move(*at(0.2, 0.3))
        page.mouse.down()
        page.mouse.move(*at(0.5, 0.5))
        page.mouse.move(*at(0.5, 0.7))
        page.mouse.up()
        page.wait_for_function("document.getElementById('part').value === 'drawn'")
        page.wait_for_timeout(SOON)
        assert near(sent[-1]["box"], [0.5, 0.3, 0.3, 0.4])
        assert near(square(page), [0.2, 0.3, 0.3, 0.4])
        page.mouse.click(*at(0.9, 0.9))
        page.wait_for_timeout(SOON)
        assert near(sent[-1]["box"], [0.5, 0.3, 0.3, 0.4]), "a click draws nothing"
        page.select_option("#part", "middle")
        page.wait_for_timeout(SOON)
        assert sent[-1]["box"] is None
        wait_for_text(page, "#model-rate", r"\d of 10/s")
        assert wrong == []
