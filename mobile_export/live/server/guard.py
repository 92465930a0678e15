"""Who may talk to the page's server: a browser on this machine, from the page itself.

The server listens on 127.0.0.1, but every web site that is open in the same browser can send
requests there too. One that points its own name at 127.0.0.1 (DNS rebinding) gives itself away by
the Host header, one that opens a WebSocket or posts from its own page by the Origin header.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HTTP_PORT = 80  # which browsers leave out of Host and Origin


def own_hosts(port: int) -> frozenset[str]:
    """The Host headers of requests that were meant for this server."""
    names = ("127.0.0.1", "localhost")
    bare = names if port == HTTP_PORT else ()
    return frozenset([*(f"{name}:{port}" for name in names), *bare])


def make_guard(port: int) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """A middleware that answers 403 to requests for another host or from another origin."""
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
