"""Who may talk to the page's server: a browser on this machine, from the page itself.

The server listens on 127.0.0.1, but every web site that is open in the same browser can send
requests there too. One that points its own name at 127.0.0.1 (DNS rebinding) gives itself away by
the Host header, one that opens a WebSocket or posts from its own page by the Origin header. Other
users of the machine, whose programs can say what they like, do not know the token in the address.
"""

import contextlib
import os
import re
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web

from mobile_export.runtime.native.build import cache

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOKEN = "token"  # in the query of the page's address and of the stream's
TOKENS = re.compile(r"[A-Za-z0-9_-]{32}")
GUARDED = ("/", "/stream")  # the rest of the page holds nothing of anybody's
GUARDED_BELOW = "/teach/"  # but the clips and what is done with them
HTTP_PORT = 80  # which browsers leave out of Host and Origin


def own_hosts(port: int) -> frozenset[str]:
    """The Host headers of requests that were meant for this server."""
    names = ("127.0.0.1", "localhost")
    bare = names if port == HTTP_PORT else ()
    return frozenset([*(f"{name}:{port}" for name in names), *bare])


def own_token() -> str:
    """This user's token: the same at every start, so that an open page finds a new server again.

    Kept where this user alone can read; where nothing can be kept, a new one.
    """
    file = cache().parent / "live-token"
    with contextlib.suppress(OSError):
        if file.stat().st_mode & 0o077 == 0 and TOKENS.fullmatch(found := file.read_text()):
            return found
    made = secrets.token_urlsafe(24)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(made)
    return made


def make_guard(
    port: int, token: str
) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """A middleware that answers 403 to requests for another host, of another origin or user."""
    hosts = own_hosts(port)
    origins = frozenset(f"http://{host}" for host in hosts)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = request.headers.getall("Host", [])
        came = request.headers.getall("Origin", [])
        if len(asked) != 1 or asked[0].lower() not in hosts:
            raise web.HTTPForbidden(text=f"wrong Host: open http://127.0.0.1:{port}\n")
        # Browsers name the origin of every WebSocket; without one there is no telling.
        socket = "websocket" in request.headers.get("Upgrade", "").lower()
        if any(origin not in origins for origin in came) or (socket and not came):
            raise web.HTTPForbidden(text=f"wrong Origin: open http://127.0.0.1:{port}\n")
        given = request.query.get(TOKEN, "")
        guarded = request.path in GUARDED or request.path.startswith(GUARDED_BELOW)
        if guarded and not secrets.compare_digest(given.encode(), token.encode()):
            raise web.HTTPForbidden(text="no token: open the address that the server printed\n")
        return await handler(request)

    return guard


def security_headers(port: int) -> dict[str, str]:
    """Headers of every response: nothing from elsewhere, not within another page, the camera."""
    # Older browsers do not count WebSockets as 'self'.
    sockets = " ".join(f"ws://{host}" for host in sorted(own_hosts(port)))
    policy = (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' {sockets}; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=()",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
