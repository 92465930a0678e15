"""The teaching part of the page over HTTP; every address below ``/teach/`` asks for the token."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from core.errors import BadInput, one_line
from mobile_export.live.server.lesson import Lesson

MOST_IMPORT = 64 * 2**20  # bytes of a video that is dropped on the page

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_lesson(app: web.Application, lesson: Lesson, use: Callable[[str], Awaitable[dict]]) -> None:
    """The addresses of a lesson. ``use`` puts another bundle before the camera, by its name."""

    def told(work: Callable[[web.Request], Awaitable[Any]]) -> Handler:
        """A handler that gives JSON, or 400 with the reason in one line."""

        @functools.wraps(work)
        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                return web.json_response(await work(request))
            except (BadInput, OSError) as error:
                return web.json_response({"reason": _reason(error)}, status=400)

        return handler

    async def state(_request: web.Request) -> dict:
        return await asyncio.to_thread(lesson.state)

    async def delete(request: web.Request) -> dict:
        await asyncio.to_thread(lesson.delete, request.query.get("clip", ""))
        return await asyncio.to_thread(lesson.state)

    async def train(request: web.Request) -> dict:
        lesson.train(request.query.get("target", ""))
        return await asyncio.to_thread(lesson.state)

    async def cancel(_request: web.Request) -> dict:
        lesson.cancel()
        return await asyncio.to_thread(lesson.state)

    async def take_in(request: web.Request) -> dict:
        body = bytearray()
        async for chunk in request.content.iter_chunked(2**16):
            body += chunk
            if len(body) > MOST_IMPORT:
                raise BadInput(f"a video of more than {MOST_IMPORT >> 20} MiB: cut it first")
        query = request.query
        clips = await asyncio.to_thread(
            lesson.take_in, query.get("label", ""), query.get("name", ""), bytes(body)
        )
        return {"clips": clips}

    async def choose(request: web.Request) -> dict:
        return await use(request.query.get("which", ""))

    async def given(work: Callable[..., Any], *values: str) -> Any:
        """What ``work`` gives, or 404 or 400 with the reason in one line."""
        try:
            return await asyncio.to_thread(work, *values)
        except BadInput as error:
            raise web.HTTPNotFound(text=one_line(error)) from None
        except OSError as error:
            raise web.HTTPBadRequest(text=_reason(error)) from None

    async def thumb(request: web.Request) -> web.StreamResponse:
        body = await given(lesson.thumb, request.query.get("clip", ""))
        return web.Response(body=body, content_type="image/jpeg")

    async def take(_request: web.Request) -> web.StreamResponse:
        name, body = await given(lesson.archive)
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(body=body, content_type="application/zip", headers=disposition)

    async def end(_app: web.Application) -> None:
        await lesson.end()

    app.router.add_get("/teach/state", told(state))
    app.router.add_get("/teach/thumb", thumb)
    app.router.add_get("/teach/take", take)
    for name, work in (
        ("delete", delete), ("train", train), ("cancel", cancel), ("import", take_in),
        ("use", choose),
    ):  # fmt: skip
        app.router.add_post(f"/teach/{name}", told(work))
    app.on_shutdown.append(end)


def _reason(error: BadInput | OSError) -> str:
    """One line for a person, who can see to a file that cannot be read or removed."""
    if isinstance(error, BadInput):
        return one_line(error)
    why = str(error.strerror or error or type(error).__name__).splitlines()[0]
    what = f"{error.filename} cannot be used ({why})" if error.filename else why
    return f"{what}: see to it, and try again"
