"""The teaching part of the page: its protocol, and the whole way in a browser.

The engine behind it has tests of its own (test_teach.py).
"""

import json
import re
import shutil
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from serving import RED, TOKEN, Client, picture, show, until, use
from taught import DAYS, RATE, film, write_base, write_clips
from test_serve import PATIENCE, browsing, needs_browser, open_page, serving, wait_for_text

from core.data.folder import FolderClips
from core.data.video import write_clip
from mobile_export.live.server import lesson as lesson_module
from mobile_export.live.server.lesson import Lesson

SECONDS = 2.4


async def ask(client: Client, method: str, path: str, body: bytes | None = None, **query: str):
    """Status and JSON of an address of the lesson."""
    given = {"token": TOKEN} | query
    url = f"{client.url}/teach/{path}"
    async with client.session.request(method, url, params=given, data=body) as reply:
        kind = reply.content_type
        return reply.status, await (reply.json() if kind == "application/json" else reply.read())


@pytest.fixture
def root(tmp_path) -> Path:
    return write_clips(tmp_path / "clips", clips=2, days=1)


def test_the_state_lists_clips_and_pictures_of_them(root):
    async def scenario(client: Client) -> None:
        status, state = await ask(client, "GET", "state")
        assert status == 200
        counts = {c["label"]: (len(c["clips"]), c["idle"]) for c in state["classes"]}
        assert counts == {"No gesture": (2, True), "green": (2, False), "red": (2, False)}
        assert state["progress"] is state["report"] is state["bundle"] is None
        status, jpeg = await ask(client, "GET", "thumb", clip=f"red/{DAYS[0]}-000.mp4")
        (root / "thumb.jpg").write_bytes(jpeg)
        with Image.open(root / "thumb.jpg") as shown:
            assert max(shown.size) <= lesson_module.THUMB
            assert np.asarray(shown)[..., 0].max() > 150
        for path in ("state", "thumb", "take"):
            assert (await ask(client, "GET", path, token="other"))[0] == 403
        assert (await ask(client, "POST", "train", token="other", target="xnnpack"))[0] == 403

    use(scenario, root, Lesson(root))


def test_clips_are_deleted_and_nothing_else_is(root):
    (root.parent / "secret.mp4").write_bytes(b"mine")

    async def scenario(client: Client) -> None:
        for name in (f"red/{DAYS[0]}-000.mp4", f"red/{DAYS[0]}-001.mp4"):
            assert (await ask(client, "POST", "delete", clip=name))[0] == 200
        for name in ("../secret.mp4", "red", "", f"green/../red/{DAYS[0]}-000.mp4"):
            status, reply = await ask(client, "POST", "delete", clip=name)
            assert (status, "is no clip" in reply["reason"]) == (400, True)

    use(scenario, root, Lesson(root))
    assert sorted(p.name for p in root.iterdir()) == ["No gesture", "green"]
    assert (root.parent / "secret.mp4").exists()


def test_videos_are_brought_in_and_long_rest_is_cut(root, monkeypatch):
    monkeypatch.setattr(lesson_module, "MOST_IMPORT", 2**20)
    write_clip(root / "one.mp4", film("red", 5, 20), RATE)
    write_clip(root / "long.mp4", film("No gesture", 6, 100), RATE)
    one, long = ((root / f"{name}.mp4").read_bytes() for name in ("one", "long"))
    for name in ("one", "long"):
        (root / f"{name}.mp4").unlink()

    async def scenario(client: Client) -> None:
        give = {"method": "POST", "path": "import"}
        for _ in range(2):
            made = await ask(client, **give, body=one, label="blue", name="my clip.MP4")
            assert made == (200, {"clips": 1})
        assert await ask(client, **give, body=long, label="No gesture", name="rest.mp4") == (
            200, {"clips": 4},
        )  # fmt: skip
        refused = [
            (dict(body=b"text", label="blue", name="a.mp4"), "a.mp4 cannot be read"),
            (dict(body=one, label="blue", name="a.txt"), "is no video"),
            (dict(body=one, label="../blue", name="a.mp4"), "folder names cannot have"),
            (dict(body=bytes(2**20 + 1), label="blue", name="a.mp4"), "more than 1 MiB"),
        ]
        for given, words in refused:
            status, reply = await ask(client, **give, **given)
            assert status == 400
            assert words in reply["reason"]

    use(scenario, root, Lesson(root))
    assert sorted(p.name for p in (root / "blue").iterdir()) == ["my_clip-2.mp4", "my_clip.mp4"]
    assert len(list((root / "No gesture").iterdir())) == 2 + 4
    assert not list((root / ".teach").iterdir())
    assert FolderClips(root, "train", frames=8, size=32, frame_rate=RATE).check() == []


def test_a_wrong_answer_becomes_a_clip_of_what_it_was(tmp_path):
    async def scenario(client: Client) -> None:
        tab = await client.connect()
        assert (await until(tab, "hello"))["taught"] is False
        await tab.send_str(json.dumps({"type": "wrong", "label": "red"}))
        assert "has to run for" in (await until(tab, "refused"))["reason"]
        await show(tab, 100, picture(RED))
        await tab.send_str(json.dumps({"type": "wrong", "label": "train"}))
        assert "name of a split" in (await until(tab, "refused"))["reason"]
        await tab.send_str(json.dumps({"type": "wrong", "label": "red"}))
        assert (await until(tab, "saved"))["counts"] == {"red": 1}

    use(scenario, tmp_path / "clips", Lesson(tmp_path / "clips"))
    (made,) = (tmp_path / "clips" / "red").iterdir()
    from core.data.video import read_clip

    frames = read_clip(made, RATE, 32)
    assert len(frames) == round(SECONDS * RATE)
    assert frames[:, 0].float().mean() > 150 > frames[:, 1].float().mean()


def test_a_job_that_cannot_be_is_explained_and_another_begins(tmp_path):
    """A class with one clip is refused by the job itself; its words reach the page."""
    root = write_clips(tmp_path / "clips", clips=1, days=1)

    async def scenario(client: Client) -> None:
        import asyncio

        status, reply = await ask(client, "POST", "train", target="toaster")
        assert (status, "target 'toaster' is unknown" in reply["reason"]) == (400, True)
        status, state = await ask(client, "POST", "train", target="xnnpack")
        assert (status, state["progress"]["state"]) == (200, "running")
        status, reply = await ask(client, "POST", "train", target="xnnpack")
        assert (status, "being trained already" in reply["reason"]) == (400, True)
        while state["progress"]["state"] == "running":
            await asyncio.sleep(0.2)
            state = (await ask(client, "GET", "state"))[1]
        assert state["progress"]["state"] == "failed"
        assert "has one clip: record at least 3" in state["progress"]["words"]
        status, _ = await ask(client, "GET", "take")
        assert status == 404
        status, reply = await ask(client, "POST", "use", which="taught")
        assert (status, "train first" in reply["reason"]) == (400, True)

    use(scenario, root, Lesson(root), patience=PATIENCE / 1000)
