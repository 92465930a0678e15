"""The server behind the page: whom it answers, and what it makes of frames, good and bad.

No browser is needed in here and no export. What a person sees is in test_serve.py.
"""

import asyncio
import contextlib
import io
import math
import struct

import aiohttp
import numpy as np
import pytest
from clips import refusal
from PIL import Image
from serving import (
    BLUE,
    GREEN,
    LABELS,
    RATE,
    RED,
    SIZE,
    SOON,
    TOKEN,
    Client,
    closed,
    frame,
    picture,
    show,
    until,
    use,
)

from core.errors import BadInput
from mobile_export.bundle.manifest import DECISION
from mobile_export.live.server.frames import MOST_BYTES
from mobile_export.live.server.guard import own_token
from mobile_export.live.server.lesson import Lesson
from mobile_export.live.server.serve import listen, page_files
from mobile_export.live.server.stream import MOST_TEXT, TAKEN_OVER

AGREE = DECISION["agree"]
PORT_IN_USE = "port {} is in use: give another with --port, or 0 for any"


def test_frames_at_the_cameras_rate_are_answered_at_the_models():
    async def scenario(client: Client) -> None:
        tab = await client.connect()
        hello = await until(tab, "hello")
        assert hello["labels"] == LABELS
        assert hello["rate"] == RATE
        assert hello["timed"]
        assert not hello["rendered"]
        assert hello["record"] is None
        answers = await show(tab, 30)
        answers += await show(tab, 36, picture(BLUE), 1.0)
        assert [round(a["seconds"] * RATE) for a in answers] == list(range(22))
        assert answers[0]["winner"] == "Red"
        assert answers[0]["confidence"] == answers[0]["probabilities"][0] > 0.9
        started = [a["started"] for a in answers]
        assert started == [*(AGREE - 1) * [None], "Red", *(22 - AGREE) * [None]]
        (event,) = [event for a in answers for event in a["ended"]]
        assert event["label"] == "Red"
        assert event["start"] == 0.0
        assert answers[-1]["current"] is None
        assert {k for k, v in answers[-1]["ms"].items() if v > 0} == {
            "decode", "preprocess", "execute", "postprocess",
        }  # fmt: skip
        assert answers[-1]["missed"] == 0
        assert client.model.states == [float(i) for i in range(22)]

    use(scenario)


def test_an_interpreter_is_called_one():
    async def scenario(client: Client) -> None:
        client.model.name = "reference interpreter of ML Programs (our reading of MIL), not Core ML"
        client.model.interpreted = True
        hello = await until(await client.connect(), "hello")
        assert hello["runner"] == client.model.name
        assert not hello["timed"]

    use(scenario)


def test_the_page_and_nothing_else_is_served():
    async def scenario(client: Client) -> None:
        assert set(page_files()) >= {"index.html", "page.css", "page.js", "icon.svg"}
        for name in page_files():
            path = f"/?token={TOKEN}" if name == "index.html" else f"/{name}"
            async with client.session.get(client.url + path) as response:
                assert response.status == 200
                assert await response.read()
                policy = response.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'self'")
                assert "unsafe" not in policy
                assert "frame-ancestors 'none'" in policy
                assert response.headers["Cache-Control"] == "no-store"
                assert response.headers["Permissions-Policy"].startswith("camera=(self)")
                assert response.headers["X-Content-Type-Options"] == "nosniff"
        for path in (
            "/serve.py",
            "/page/page.js",
            "/../serve.py",
            "/%2e%2e/serve.py",
            "/index.html",
        ):
            async with client.session.get(client.url + path) as response:
                assert response.status == 404
        async with client.session.post(f"{client.url}/?token={TOKEN}") as response:
            assert response.status == 405

    use(scenario)


@pytest.mark.parametrize("path", ["/", "/page.js", "/stream", "/none", "/teach/state"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},  # a name that its owner points at 127.0.0.1
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:{port}.evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": ""},
    ],
)
def test_other_web_sites_are_refused(path, headers, tmp_path):
    """Even those that have got hold of the token, without which some addresses answer nobody."""

    async def scenario(client: Client) -> None:
        url = f"{client.url}{path}?token={TOKEN}"
        given = {name: value.format(port=client.port) for name, value in headers.items()}
        async with client.session.get(url) as response:
            assert response.status != 403
        async with client.session.get(url, headers=given) as response:
            assert response.status == 403
            assert "Content-Security-Policy" in response.headers
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await client.session.ws_connect(url, headers={"Origin": client.url} | given)
        assert caught.value.status == 403

    use(scenario, tmp_path, Lesson(tmp_path))


@pytest.mark.parametrize(
    "request_",
    [
        b"no HTTP\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.0\r\n\r\n",
    ],
)
def test_what_is_not_a_browsers_request_is_refused_quietly(request_, capfd):
    async def scenario(client: Client) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(request_)
        assert (await reader.readline()).split()[1] in (b"400", b"403")
        writer.close()
        assert (await show(await client.connect(), 1))[0]["winner"] == "Red"

    use(scenario)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("query", ["", "?token=", "?token=" + "u" * 32, "?token=%C3%BC"])
def test_other_users_of_the_machine_are_refused(query):
    """Their programs can name any host and origin, and do not know the token."""

    async def scenario(client: Client) -> None:
        for path in ("/", "/stream"):
            async with client.session.get(client.url + path + query) as response:
                assert response.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await client.session.ws_connect(
                f"{client.url}/stream{query}", headers={"Origin": client.url}
            )
        assert caught.value.status == 403

    use(scenario)


def test_a_users_token_stays_and_is_nobody_elses(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = own_token()
    assert own_token() == first
    (file,) = (p for p in tmp_path.rglob("*") if p.is_file())
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)  # somebody may have read it
    assert own_token() != first


def test_a_socket_has_to_name_its_origin_and_localhost_is_this_machine_too():
    async def scenario(client: Client) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await client.session.ws_connect(f"{client.url}/stream?token={TOKEN}")
        assert caught.value.status == 403
        name = f"localhost:{client.port}"
        tab = await client.connect(Host=name, Origin=f"http://{name}")
        assert (await until(tab, "hello"))["bundle"] == "colours"

    use(scenario)


def bomb() -> bytes:
    """A small JPEG whose header announces 65,500 x 65,500 pixels."""
    jpeg = bytearray(picture())
    where = jpeg.index(b"\xff\xc0") + 5  # behind marker, length and precision
    jpeg[where : where + 4] = struct.pack(">HH", 65500, 65500)
    return bytes(jpeg)


BAD_MESSAGES = {
    "empty": (b"", 1007, "0 bytes is too short"),
    "a short header": (b"1234567", 1007, "too short"),
    "no picture": (struct.pack("<d", 1.0), 1007, "too short"),
    "NaN": (frame(math.nan), 1007, "a time stamp of nan s"),
    "infinity": (frame(math.inf), 1007, "a time stamp of inf s"),
    "negative": (frame(-0.5), 1007, "a time stamp of -0.5 s"),
    "no JPEG": (frame(1.0, b"no picture at all"), 1007, "does not decode"),
    "cut off": (frame(1.0, picture(size=(320, 240))[:700]), 1007, "does not decode"),
    "another format": (frame(1.0, picture(kind="PNG")), 1007, "does not decode"),
    "too wide": (frame(1.0, picture(size=(642, 480))), 1007, "642x480: at most 640"),
    "a bomb": (frame(1.0, bomb()), 1007, "does not decode"),
    "too large": (frame(1.0, bytes(MOST_BYTES)), 1009, "too large: at most"),
    "no command": ("hello", 1007, "does not know"),
    "a list": ("[]", 1007, "does not know"),
    "an unknown command": ('{"type": "delete"}', 1007, "does not know"),
    "a clip of nothing": ('{"type": "clip"}', 1007, "does not know"),
    "a label of another type": ('{"type":"record","label":1,"seconds":2}', 1007, "does not know"),
    "nested": ("[" * 1900, 1007, "does not know"),
    "a view to no side": ('{"type":"view","mirror":1,"box":null}', 1007, "does not know"),
    "a view of words": (
        '{"type":"view","mirror":false,"box":["a",0,1,1]}',
        1007,
        "no four numbers",
    ),
    "a view beyond": ('{"type":"view","mirror":false,"box":[0,0,2,1]}', 1011, "leaves the picture"),
    "a long command": ('"' + "x" * MOST_TEXT + '"', 1007, "does not know"),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_a_bad_message_closes_its_connection_alone(name, capfd):
    message, code, reason = BAD_MESSAGES[name]

    async def scenario(client: Client) -> None:
        tab = await client.connect()
        await (tab.send_str if isinstance(message, str) else tab.send_bytes)(message)
        found = await closed(tab)
        assert found[0] == code
        assert reason in found[1]
        assert reason in found[2]
        tab = await client.connect()
        assert (await show(tab, 1))[-1]["winner"] == "Red"

    use(scenario)
    assert capfd.readouterr().err == ""


def test_another_view_is_another_recording():
    halves = np.zeros((*SIZE[::-1], 3), np.uint8)
    halves[:, : SIZE[0] // 2], halves[:, SIZE[0] // 2 :] = RED, GREEN
    file = io.BytesIO()
    Image.fromarray(halves).save(file, "JPEG", quality=95)

    async def scenario(client: Client) -> None:
        tab = await client.connect()
        assert (await until(tab, "hello"))["view"] == {"mirror": False, "box": None}
        right = [0.5, 0, 0.5, 1]
        for mirror, box, winner in ((False, right, "Green"), (True, right, "Red")):
            await tab.send_json({"type": "view", "mirror": mirror, "box": box})
            seen = len(client.model.states)
            assert (await show(tab, 3, file.getvalue()))[-1]["winner"] == winner
            assert client.model.states[seen] == 0, "it begins anew"

    use(scenario)


def test_a_message_beyond_all_bounds_is_not_even_read():
    async def scenario(client: Client) -> None:
        tab = await client.connect()
        with contextlib.suppress(ConnectionError):  # the server hangs up in the middle of it
            await tab.send_bytes(bytes(64 * MOST_BYTES))
            await closed(tab)
        assert (await show(await client.connect(), 1))[0]["winner"] == "Red"

    use(scenario)


def test_a_slow_model_sees_the_newest_frame():
    async def scenario(client: Client) -> None:
        tab = await client.connect()
        client.model.go_on.clear()
        await tab.send_bytes(frame(0.0))
        assert await asyncio.to_thread(client.model.entered.wait, SOON)
        for index in range(1, 8):
            await tab.send_bytes(frame(index / 10))
        for _ in range(8):  # all are acknowledged while the model is busy
            await until(tab, "next")
        client.model.go_on.set()
        assert (await until(tab, "answer"))["seconds"] == 0.0
        late = await until(tab, "answer")
        assert late["seconds"] == 0.7
        assert late["dropped"] == 6
        assert late["missed"] == 6
        assert late["reset"]  # too long ago to be continued
        assert client.model.states == [0.0, 0.0]

    use(scenario)


def test_the_tab_that_came_last_has_the_stream():
    async def scenario(client: Client) -> None:
        first = await client.connect()
        assert (await show(first, 3 * AGREE))[-1]["started"] == "Red"
        second = await client.connect()
        code, reason, _ = await closed(first)
        assert code == TAKEN_OVER
        assert "another tab" in reason
        assert (await show(second, 3 * AGREE))[-1]["started"] == "Red"
        assert client.model.states == 2 * [float(i) for i in range(AGREE)]
        # A reload is a new tab in the place of one that says goodbye a moment later.
        for _ in range(5):
            third = await client.connect()
            assert (await closed(second))[0] == TAKEN_OVER
            second = third
        assert (await show(second, 1))[0]["winner"] == "Red"

    use(scenario)


def test_a_retry_takes_the_stream_from_nobody():
    async def scenario(client: Client) -> None:
        first = await client.connect("?retry")
        assert (await show(first, 1))[0]["winner"] == "Red"
        code, reason, _ = await closed(await client.connect("?retry"))
        assert code == TAKEN_OVER
        assert "another tab" in reason
        assert (await show(first, 1, start=1.0))[0]["winner"] == "Red"

    use(scenario)


def test_a_pause_forgets_the_past():
    async def scenario(client: Client) -> None:
        tab = await client.connect()
        assert (await show(tab, 3 * AGREE))[-1]["current"] == "Red"
        await tab.send_json({"type": "forget"})
        (answer,) = await show(tab, 3, start=60.0)
        assert answer["current"] is None
        assert answer["missed"] == 0
        assert not answer["reset"]
        assert client.model.states == [*map(float, range(AGREE)), 0.0]

    use(scenario)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BadInput("model.pte does not run: export it again"), "model.pte does not run"),
        (RuntimeError("a bug"), "an error in the server"),
    ],
)
def test_a_model_that_fails_ends_the_stream_and_not_the_server(error, reason, capfd):
    async def scenario(client: Client) -> None:
        tab = await client.connect()
        client.model.error = error
        await tab.send_bytes(frame(0.0))
        code, short, told = await closed(tab)
        assert code == 1011
        assert reason in short
        assert reason in told
        client.model.error = None
        assert (await show(await client.connect(), 1))[0]["winner"] == "Red"

    use(scenario)
    assert ("a bug" in capfd.readouterr().err) == isinstance(error, RuntimeError)


def test_a_port_in_use_is_named():
    with listen(0) as other:
        port = other.getsockname()[1]
        assert refusal(lambda: listen(port)) == PORT_IN_USE.format(port)
