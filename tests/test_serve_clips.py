"""Clips that the page's server records: what training reads, and nothing half done."""

import json
import math

import numpy as np
import pytest
import torch
from serving import CAMERA, RATE, SIZE, SOON, Client, frame, picture, show, until, use

from core.data.folder import FolderClips
from mobile_export.live.server.clips import MOST_FRAMES, count_clips


async def record(tab, label: str, seconds: float = 2.4) -> dict:
    await tab.send_str(json.dumps({"type": "record", "label": label, "seconds": seconds}))
    while (reply := await tab.receive_json(timeout=SOON))["type"] not in ("ready", "refused"):
        pass
    return reply


async def clip(tab, frames: list[bytes]) -> dict:
    await tab.send_json({"type": "clip"})
    for message in frames:
        await tab.send_bytes(message)
    while (reply := await tab.receive_json(timeout=SOON))["type"] not in (
        "saved",
        "spoiled",
        "refused",
    ):
        pass
    return reply


def moving(seconds: float, rate: float = CAMERA, size: tuple[int, int] = SIZE) -> list[bytes]:
    """Frames whose grey level tells their time: 80 a second."""
    times = np.arange(0, seconds + 1.5 / rate, 1 / rate)
    return [frame(5 + t, picture((round(20 + 80 * t),) * 3, size)) for t in times]


def test_recorded_clips_are_what_training_reads(tmp_path):
    out = tmp_path / "mine"

    async def scenario(client: Client) -> None:
        tab = await client.connect()
        assert (await until(tab, "hello"))["record"]["counts"] == {}
        for label, count in (("like", 3), ("No gesture", 2)):
            assert (await record(tab, label))["type"] == "ready"
            for number in range(count):
                reply = await clip(tab, moving(2.4, rate=[10.0, 15.0, CAMERA][number]))
                assert reply["type"] == "saved", reply
                assert (out / label / reply["file"]).is_file()
        assert reply["counts"] == {"No gesture": 2, "like": 3}
        tab = await client.connect()
        assert (await until(tab, "hello"))["record"]["counts"] == reply["counts"]

    use(scenario, out)
    assert count_clips(out) == {"No gesture": 2, "like": 3}
    clips = FolderClips(out, "train", frames=24, size=32, frame_rate=RATE)
    assert clips.labels == ["No gesture", "like"]
    assert clips.check() == []
    for index in range(len(clips)):
        levels = clips[index][0].float().mean((1, 2, 3))
        expected = 20 + 8 * torch.arange(24)
        assert (
            float((levels - expected).abs().max()) < 6
        )  # a tick is 8, half a frame at 15 a second 2.7, the codec rounds


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (moving(0.5) + moving(2.4)[60:], "stood still"),
        (moving(1.2) + moving(2.4, size=(48, 48))[37:], "size of the picture changed"),
        (MOST_FRAMES * [frame(5.0)], "do not span"),
    ],
)
def test_a_spoiled_clip_is_not_kept(frames, reason, tmp_path):
    async def scenario(client: Client) -> None:
        tab = await client.connect()
        await record(tab, "like")
        reply = await clip(tab, frames)
        assert reply["type"] == "spoiled"
        assert reason in reply["reason"]
        assert (await clip(tab, moving(2.4)))["type"] == "saved"  # the next one is

    use(scenario, tmp_path)
    assert count_clips(tmp_path) == {"like": 1}


def test_a_folder_takes_so_many_clips_and_a_full_disk_none(tmp_path, monkeypatch):
    async def scenario(client: Client) -> None:
        tab = await client.connect()
        await record(tab, "like")
        monkeypatch.setattr("mobile_export.live.server.clips.MOST_CLIPS", 1)
        assert (await clip(tab, moving(2.4)))["type"] == "saved"
        assert "holds 1 clips" in (await clip(tab, moving(2.4)))["reason"]
        monkeypatch.setattr("mobile_export.live.server.clips.MOST_CLIPS", 9)
        monkeypatch.setattr("mobile_export.live.server.clips.LEAST_FREE", 2**80)
        assert "nearly full" in (await record(tab, "like"))["reason"]

    use(scenario, tmp_path)
    assert count_clips(tmp_path) == {"like": 1}


@pytest.mark.parametrize("ending", ["stop", "another tab", "gone"])
def test_a_clip_that_is_broken_off_is_not_kept(ending, tmp_path):
    async def scenario(client: Client) -> None:
        tab = await client.connect()
        await record(tab, "like")
        await tab.send_json({"type": "clip"})
        for message in moving(1.0):
            await tab.send_bytes(message)
        if ending == "stop":
            await tab.send_json({"type": "stop"})
            for message in moving(3.0)[31:]:
                await tab.send_bytes(message)
        elif ending == "another tab":
            await client.connect()
        else:
            await tab.close()
        tab = await client.connect()
        await show(tab, 30)

    use(scenario, tmp_path)
    assert count_clips(tmp_path) == {}


@pytest.mark.parametrize(
    ("label", "seconds", "reason"),
    [
        ("a/like", 2.4, "holds a character that folder names cannot have"),
        ("", 2.4, "is empty"),
        ("train", 2.4, "is the name of a split"),
        ("like", 0.1, "clips of 0.1 s: give 0.8 to 10"),
        ("like", math.nan, "clips of nan s: give 0.8 to 10"),
    ],
)
def test_recording_is_refused_in_words(label, seconds, reason, tmp_path):
    async def scenario(client: Client) -> None:
        reply = await record(await client.connect(), label, seconds)
        assert reply["type"] == "refused"
        assert reason in reply["reason"]

    use(scenario, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_nothing_is_recorded():
    async def scenario(client: Client) -> None:
        assert "--out DIR" in (await record(await client.connect(), "like"))["reason"]

    use(scenario)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "like").write_text("a file in its place")

    async def scenario(client: Client) -> None:
        tab = await client.connect()
        await record(tab, "like")
        reply = await clip(tab, moving(2.4))
        assert reply["type"] == "refused"
        assert f"--out {tmp_path} cannot be written" in reply["reason"]
        assert (await show(tab, 3))[0]["type"] == "answer"

    use(scenario, tmp_path)
