"""A page on this machine alone that shows the webcam and what the bundle recognises in it.

The page sends the camera's frames to this process and nowhere else; they are forgotten once they
are answered. The exceptions are clips that the user records on purpose, into ``--out``, and where
it teaches the latest three seconds, which become a clip when somebody says what they really were.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import torch
from aiohttp import WSCloseCode, web
from aiohttp.http_exceptions import HttpProcessingError

from core.classes import ClassMap
from core.errors import BadInput
from mobile_export.bundle.reader import Bundle, load
from mobile_export.bundle.regrouped import with_classes
from mobile_export.bundle.runner import open_runner
from mobile_export.console import quiet
from mobile_export.live.recognizer import Recognizer
from mobile_export.live.region import Region
from mobile_export.live.server.frames import MOST_BYTES
from mobile_export.live.server.guard import TOKEN, make_guard, own_token, security_headers
from mobile_export.live.server.lesson import Lesson
from mobile_export.live.server.lesson_routes import add_lesson
from mobile_export.live.server.stream import TAKEN_OVER, Desk, Stream
from mobile_export.runtime import Runner

HOST = "127.0.0.1"  # nobody else's camera belongs here, and no browser gives a camera to http
PATIENCE = 2.0  # seconds that open connections have when the server ends
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def serve(
    bundle_path: Path,
    port: int,
    out: Path | None,
    region: Region,
    classes: ClassMap | None = None,
    lesson: Lesson | None = None,
) -> int:
    """Serve the page until Ctrl-C; returns the exit status.

    ``port`` 0 takes a free one; the address is printed. Clips go to ``out``, None for no recording.
    ``region`` is what the page begins with, ``classes`` makes the bundle's others, a ``lesson`` is
    about the clips in ``out``. Raises ``BadInput`` for a bundle or a lesson's folder that cannot be
    used and a port that is taken.
    """
    if lesson is not None:
        lesson.check()
    listening = listen(port)
    try:
        bundle, runner = _opened(bundle_path, classes)
        # A frame is too small to share: threads that wait for each other cost more than they give.
        with ThreadPoolExecutor(1, "model", torch.set_num_threads, (1,)) as worker:
            desk = Desk(bundle, runner, worker, out, own_token(), region, lesson)
            asyncio.run(_serve(desk, listening))
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
    return 0


def _opened(path: Path, classes: ClassMap | None = None) -> tuple[Bundle, Runner]:
    """A bundle and its runner. Raises ``BadInput`` for one that cannot be used live."""
    with quiet():
        bundle = with_classes(load(path), classes)
        runner = open_runner(bundle)
        Recognizer(bundle, runner)  # refuses the clip form
    bundle.warn()
    return bundle, runner


def listen(port: int) -> socket.socket:
    """A socket on this machine's own address. Raises ``BadInput`` when it is not to be had."""
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "is in use"
        else:
            reason = f"cannot be opened ({error.strerror})"
        raise BadInput(f"port {port} {reason}: give another with --port, or 0 for any") from None


async def _serve(desk: Desk, listening: socket.socket) -> None:
    async with running(desk, listening) as port:
        address = f"http://{HOST}:{port}/?{TOKEN}={desk.token}"
        print(f"{desk.bundle.manifest['name']}: open {address} in a browser", flush=True)
        where = f"into {desk.out}" if desk.out else "with --out DIR only"
        print(f"clips are recorded {where}; Ctrl-C ends the server", flush=True)
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def running(desk: Desk, listening: socket.socket) -> AsyncIterator[int]:
    """The server on an open socket, for as long as the block lasts; gives its port."""
    logging.getLogger("aiohttp.server").addFilter(_not_malformed)
    port = listening.getsockname()[1]
    runner = web.AppRunner(make_app(desk, port), access_log=None, shutdown_timeout=PATIENCE)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield port
    finally:
        await runner.cleanup()


def _not_malformed(record: logging.LogRecord) -> bool:
    """A request that is not HTTP is answered 400, which is all; no traceback belongs to it."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def make_app(desk: Desk, port: int) -> web.Application:
    """The page, its files and the stream; ``port`` is the one that requests have to name."""
    app = web.Application(middlewares=[make_guard(port, desk.token)])  # type: ignore[list-item]  # aiohttp marks it, its type hides that
    headers = security_headers(port)
    current: set[web.WebSocketResponse] = set()  # the tab that has the stream
    closing: set[asyncio.Task] = set()

    async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(headers)

    async def stream(request: web.Request) -> web.WebSocketResponse:
        tab = web.WebSocketResponse(max_msg_size=4 * MOST_BYTES, compress=False)
        await tab.prepare(request)
        reason = b"another tab has the camera's stream now"
        # Frames on their way to a socket that is closed can reset it before its close code is read:
        # a tab that the stream was taken from then believes that the server is gone, and retries.
        if current and "retry" in request.query:
            await tab.close(code=TAKEN_OVER, message=reason)
            return tab
        # The tab that was opened last is the one that somebody looks at.
        for other in current:
            task = asyncio.create_task(other.close(code=TAKEN_OVER, message=reason))
            closing.add(task)
            task.add_done_callback(closing.discard)
        current.clear()
        current.add(tab)
        try:
            await Stream(desk, tab).run()
        finally:
            current.discard(tab)
        return tab

    async def end(_app: web.Application) -> None:
        for tab in list(current):
            await tab.close(code=WSCloseCode.GOING_AWAY, message=b"the server was stopped")

    async def use(which: str) -> dict:
        """Put the taught bundle or the given one before the camera; the tab connects again."""
        await _change(desk, which)
        # Taken away first: a stream that still saves a clip must not keep its own tab out.
        tabs = list(current)
        current.clear()
        for tab in tabs:
            await tab.close(code=WSCloseCode.GOING_AWAY, message=b"another bundle")
        return {"bundle": desk.bundle.manifest["name"]}

    app.on_response_prepare.append(add_headers)
    if desk.lesson is not None:
        add_lesson(app, desk.lesson, use)
    app.on_shutdown.append(end)
    app.router.add_get("/stream", stream)
    for name, (kind, body) in page_files().items():
        app.router.add_get("/" if name == "index.html" else f"/{name}", _static(kind, body))
    return app


async def _change(desk: Desk, which: str) -> None:
    """Raises ``BadInput`` where there is no such bundle."""
    assert desk.lesson is not None, "of a lesson"
    if which == "given":
        desk.bundle, desk.runner = desk.given
        return
    path = desk.lesson.bundle()
    if which != "taught" or path is None:
        raise BadInput("there is no bundle yet: train first")

    # In the thread of the model: it waits for a frame that is under way.
    found = await asyncio.get_running_loop().run_in_executor(desk.worker, _opened, path)
    desk.bundle, desk.runner = found


def page_files() -> dict[str, tuple[str, bytes]]:
    """Content type and bytes of each file of the page."""
    folder = resources.files(__package__).joinpath("page")
    files = sorted((f for f in folder.iterdir() if f.is_file()), key=lambda f: f.name)
    suffixes = {f.name: Path(f.name).suffix for f in files}
    return {
        f.name: (TYPES[suffixes[f.name]], f.read_bytes())
        for f in files
        if suffixes[f.name] in TYPES
    }


def _static(kind: str, body: bytes):
    charset = None if kind.startswith("image") else "utf-8"

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset=charset)

    return handler
