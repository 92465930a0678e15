"""The page's server with a model of a few lines, and a client that sends as the page does."""

import asyncio
import io
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import torch
from PIL import Image

from core.model import ModelConfig
from mobile_export.bundle.manifest import DECISION
from mobile_export.bundle.reader import Bundle
from mobile_export.live.server.lesson import Lesson
from mobile_export.live.server.serve import listen, running
from mobile_export.live.server.stream import Desk

LABELS = ["Red", "Green", "No gesture"]  # the brightest colour of a picture wins
CONFIG = ModelConfig(width=0.25, size=32, num_classes=len(LABELS))
RATE = CONFIG.frame_rate
CAMERA = 30.0  # frames a second
SIZE = (64, 48)
RED, GREEN, BLUE = (220, 30, 30), (30, 220, 30), (30, 30, 220)
TOKEN = "t" * 32
SOON = 20.0  # seconds; a test that waits longer for a message has failed


class Colours:
    """A model of one number of state, which counts its frames."""

    name, interpreted, batch = "fake runtime", False, 1

    def __init__(self) -> None:
        self.states: list[float] = []  # that the calls were given
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.error: Exception | None = None

    def __call__(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        frame, state = inputs
        self.states.append(state.item())
        self.entered.set()
        assert self.go_on.wait(SOON)
        if self.error:
            raise self.error
        return [20 * frame.mean((2, 3)), state + 1]


def make_bundle() -> Bundle:
    """As much of a manifest as the live path reads."""
    image = {"name": "frame", "shape": [1, 3, CONFIG.size, CONFIG.size], "dim_order": [0, 2, 3, 1]}
    state = {"input": "count", "output": "count_out", "shape": [1, 1], "dim_order": [0, 1]}
    manifest = {
        "name": "colours",
        "form": "stream",
        "model": CONFIG.to_dict(),
        "labels": LABELS,
        "input": image | {"frame_rate": RATE},
        "state": [state],
        "decision": DECISION | {"none_labels": ["No gesture"]},
        "checkpoint": {"sha256": "c" * 64},
    }
    return Bundle(Path("nowhere"), manifest)


class Client:
    """What the tests do with a server on its port; closed with its session."""

    def __init__(self, session: aiohttp.ClientSession, port: int, model: Colours) -> None:
        self.session, self.port, self.model = session, port, model
        self.url = f"http://127.0.0.1:{port}"

    async def connect(self, query: str = "", **headers: str) -> aiohttp.ClientWebSocketResponse:
        given = {"Origin": self.url} | headers
        path = f"/stream?token={TOKEN}{query.replace('?', '&')}"
        return await self.session.ws_connect(self.url + path, headers=given)


@asynccontextmanager
async def serving(out: Path | None = None, lesson: Lesson | None = None):
    """A running server with a model of colours."""
    model = Colours()
    with listen(0) as listening, ThreadPoolExecutor(1) as worker:
        desk = Desk(make_bundle(), model, worker, out, TOKEN, lesson=lesson)
        async with (
            running(desk, listening) as port,
            aiohttp.ClientSession() as session,
        ):
            yield Client(session, port, model)


def use(
    scenario, out: Path | None = None, lesson: Lesson | None = None, patience: float = 2 * SOON
) -> None:
    """Run ``scenario(client)`` against a server."""

    async def main() -> None:
        async with asyncio.timeout(patience), serving(out, lesson) as client:
            await scenario(client)

    asyncio.run(main())


def picture(colour: tuple[int, int, int] = RED, size: tuple[int, int] = SIZE, kind="JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def frame(seconds: float, jpeg: bytes | None = None) -> bytes:
    return struct.pack("<d", seconds) + (picture() if jpeg is None else jpeg)


async def until(tab: aiohttp.ClientWebSocketResponse, kind: str) -> dict:
    """The next message of a type; those of other types are passed over."""
    while True:
        message = await tab.receive_json(timeout=SOON)
        if message["type"] == kind:
            return message


async def show(tab, count: int, jpeg: bytes | None = None, start: float = 0.0) -> list[dict]:
    """Send frames as the page does, each after the ``next`` of the one before; gives the answers.

    Every third frame is due for a tick and waits for its answer, so that none is dropped.
    """
    replies = []
    for index in range(count):
        await tab.send_bytes(frame(start + index / CAMERA, jpeg))
        missing = {"next", "answer"} if index % 3 == 0 else {"next"}
        while missing:
            message = await tab.receive_json(timeout=SOON)
            missing.discard(message["type"])
            replies += [message] if message["type"] == "answer" else []
    return replies


async def closed(tab: aiohttp.ClientWebSocketResponse) -> tuple[int, str, str]:
    """Close code, the reason in the close frame, and the one that was told before it."""
    told = ""
    while True:
        message = await tab.receive(timeout=SOON)
        if message.type is aiohttp.WSMsgType.CLOSE:
            return message.data, message.extra, told
        if message.type is aiohttp.WSMsgType.TEXT and "reason" in message.json():
            told = message.json()["reason"]
        assert message.type is aiohttp.WSMsgType.TEXT, message
