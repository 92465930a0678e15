"""The server of a lesson: videos that come at once or are long, jobs that end, files in the way."""

import asyncio
import json
import signal
import sys
import weakref
from pathlib import Path
from threading import Barrier, Event

import numpy as np
import pytest
from clips import levels, numbers, refusal
from serving import RED, SOON, Client, closed, picture, show, until, use
from taught import RATE, film, write_clips
from test_serve_clips import moving, record
from test_teach_page import ask

from core.data import decode, video
from core.data.rate import MAX_SECONDS
from core.data.video import at_rate_pixels, read_clip, write_clip
from mobile_export.live import record as record_module
from mobile_export.live.__main__ import main as live
from mobile_export.live.server import videos
from mobile_export.live.server.lesson import LOG, Lesson
from mobile_export.live.server.stream import TAKEN_OVER
from mobile_export.teach import progress
from mobile_export.teach.progress import Progress

SLOW = 0.5  # frames a second of a film that is long and small


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "clips"


def filmed(path: Path, frames: np.ndarray, frame_rate: float = RATE) -> bytes:
    """The bytes of a video, which is removed again."""
    write_clip(path, frames, frame_rate)
    content = path.read_bytes()
    path.unlink()
    return content


@pytest.fixture
def held(monkeypatch) -> list[int]:
    """How many pictures were in memory at the same time: at each that came."""
    alive: list[weakref.ref] = []
    counts: list[int] = []
    real = decode.upright

    def counted(shown):
        pixels = real(shown)
        alive.append(weakref.ref(pixels))
        counts.append(sum(ref() is not None for ref in alive))
        return pixels

    for module in (video, videos):
        monkeypatch.setattr(module, "upright", counted)
    return counts


def test_videos_that_are_dropped_at_once_stay_apart(root, tmp_path, monkeypatch):
    """Each is read when the other one lies there too."""
    bodies = {label: filmed(tmp_path / "v.mp4", film(label, 3)) for label in ("red", "green")}
    together, real = Barrier(2), decode._stamped

    def stamped(path: Path):
        together.wait(SOON)
        return real(path)

    async def scenario(client: Client) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(decode, "_stamped", stamped)
            replies = await asyncio.gather(
                *(
                    ask(client, "POST", "import", body, label=label, name="clip.mp4")
                    for label, body in bodies.items()
                )
            )
        assert replies == 2 * [(200, {"clips": 1})]

    use(scenario, root, Lesson(root))
    for label, body in bodies.items():
        assert (root / label / "clip.mp4").read_bytes() == body
    assert not list((root / ".teach").iterdir())


def test_videos_of_one_name_that_are_dropped_at_once_are_both_kept(root, tmp_path):
    body = filmed(tmp_path / "v.mp4", film("red", 3))

    async def scenario(client: Client) -> None:
        give = [ask(client, "POST", "import", body, label="red", name="a.mp4") for _ in range(4)]
        assert await asyncio.gather(*give) == 4 * [(200, {"clips": 1})]

    use(scenario, root, Lesson(root))
    assert len(list((root / "red").iterdir())) == 4


def test_a_long_video_is_cut_with_one_clip_in_memory(root, tmp_path, held):
    length = round(RATE * record_module.CLIP_SECONDS)
    grey = levels(40, 32, 32)[:36]
    body = filmed(tmp_path / "v.mp4", np.concatenate(4 * [grey]))
    made = Lesson(root).take_in("No gesture", "v.mp4", body)
    assert made == 4 * 36 // length
    assert max(held) <= 2 * length
    paths = sorted((root / "No gesture").iterdir())
    found = [n for path in paths for n in numbers(read_clip(path, RATE, 32))]
    assert found == (4 * list(range(36)))[: made * length]


def test_a_gestures_video_is_read_and_not_kept_in_memory(root, tmp_path, held):
    body = filmed(tmp_path / "v.mp4", film("red", 5, 100))
    assert Lesson(root).take_in("red", "v.mp4", body) == 1
    assert held == []
    path = root / "red" / "v.mp4"
    assert path.stat().st_mode & 0o777 == (root / "red").stat().st_mode & 0o666


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 17, 100, 999])
def test_a_clips_picture_is_of_its_middle(frames):
    found = videos.middle(iter(range(frames)))
    assert abs(found - frames // 2) <= frames / 8
    assert videos.middle([]) is None


def test_a_clips_picture_takes_one_in_memory(root, held):
    write_clips(root, clips=1, days=1)
    write_clip(root / "red" / "long.mp4", levels(40), RATE)
    lesson = Lesson(root)
    assert lesson.thumb("red/long.mp4").startswith(b"\xff\xd8")
    assert held == [1]
    (root / "red" / "long.mp4").write_bytes(b"no video")
    assert lesson.thumb("red/long.mp4").startswith(b"\xff\xd8")


@pytest.mark.parametrize("label", ["red", "No gesture"])
def test_a_video_that_training_would_leave_out_is_refused(label, root, tmp_path):
    most = MAX_SECONDS if label == "red" else videos.MOST_SECONDS
    long = film("red", 1, round(most * SLOW) + 2)
    body = filmed(tmp_path / "v.mp4", long, SLOW)
    expected = f"v.mp4 cannot be read (longer than {most:g} s: cut it into one gesture a file)"
    assert refusal(lambda: Lesson(root).take_in(label, "v.mp4", body)) == expected
    body = filmed(tmp_path / "v.mp4", long[:-2], SLOW)
    assert Lesson(root).take_in(label, "v.mp4", body) >= 1
    (first, *_) = (root / label).iterdir()
    assert next(at_rate_pixels(first, RATE)) is not None


def test_a_folder_of_splits_is_no_lesson(root):
    write_clips(root / "train", clips=1, days=1)
    line = refusal(lambda: live(["no-bundle", "--serve", "--teach", str(root)]))
    assert f"--teach {root} is a folder of splits (train)" in line


def job(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def ends(code: int) -> str:
    how = f"os.kill(os.getpid(), {-code})" if code < 0 else f"sys.exit({code})"
    return f"import os, sys; {how}"


def trained(lesson: Lesson) -> Lesson:
    """After a job that has ended."""
    lesson.train("xnnpack")
    lesson.process.wait(SOON)
    return lesson


@pytest.mark.parametrize("code", [-signal.SIGTERM, 128 + signal.SIGTERM, 2, 3])
def test_a_job_of_the_command_line_after_one_of_the_page_is_shown(code, root):
    lesson = trained(Lesson(root, program=job(ends(code))))
    with progress.alone(lesson.work):
        other = Progress(lesson.work / progress.FILE)
        other.tell("features", 0.5, "looking at clips")
        assert lesson._progress()["words"] == "looking at clips"
        assert lesson._progress()["state"] == "running"
        other.end("done", "done")
    assert lesson._progress()["state"] == "done"


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [
        (ends(1), "failed", "it ended before it began: see {log}"),
        ("import sys; sys.exit('error: no room\\nmore')", "failed", "no room"),
        (ends(-signal.SIGTERM), "stopped", "stopped"),
    ],
)
def test_a_job_that_ends_before_its_first_word_is_not_the_one_before(code, state, words, root):
    lesson = Lesson(root, program=job(code))
    lesson.work.mkdir(parents=True)
    Progress(lesson.work / progress.FILE).end("done", "done")
    told = trained(lesson)._progress()
    expected = (state, words.format(log=lesson.work / LOG), 0.0)
    assert (told["state"], told["words"], told["part"]) == expected


@pytest.mark.parametrize(
    ("last", "code", "state", "words"),
    [
        ('p.end("done", "well")', 0, "done", "well"),
        ('p.end("failed", "two classes")', 2, "failed", "two classes"),
        ('p.end("stopped", "goes on")', 143, "stopped", "goes on"),
        ("p.write()", -signal.SIGTERM, "stopped", "it was stopped"),
        ("p.write()", -signal.SIGKILL, "stopped", "it was stopped"),
        ('p.write(); sys.stderr.write("error: killed\\n")', 3, "failed", "killed"),
    ],
)
def test_the_pages_own_job_has_the_last_word(last, code, state, words, root, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    told = "import sys; from pathlib import Path; from mobile_export.teach import progress\n"
    told += 'p = progress.Progress(Path(sys.argv[1]) / ".teach" / progress.FILE)\n'
    lesson = Lesson(root, program=job(f"{told}{last}\n{ends(code)}"))
    lesson.work.mkdir(parents=True)
    Progress(lesson.work / progress.FILE).end("done", "the one before")
    found = trained(lesson)._progress()
    assert found["state"] == state
    assert words in found["words"]


def test_what_the_system_refuses_is_told_in_one_line(root, monkeypatch, capfd):
    write_clips(root, clips=1, days=1, labels=("red", "green"))
    (root / "red" / "gone.mp4").symlink_to(root / "nowhere.mp4")
    (name,) = (str(p.relative_to(root)) for p in (root / "green").iterdir())

    def unlink(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    async def scenario(client: Client) -> None:
        status, text = await ask(client, "GET", "thumb", clip="red/gone.mp4")
        assert status == 400
        assert b"red/gone.mp4 cannot be used (No such file" in text
        assert b"\n" not in text
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", unlink)
            status, reply = await ask(client, "POST", "delete", clip=name)
        assert status == 400
        assert f"{root / name} cannot be used (Permission denied)" in reply["reason"]

    use(scenario, root, Lesson(root))
    assert (root / name).exists()
    assert "Traceback" not in capfd.readouterr().err


def test_a_wrong_answer_does_not_end_a_recording(root):
    """Its reply would be taken for that of the clip under way."""

    async def scenario(client: Client) -> None:
        tab = await client.connect()
        await show(tab, 100, picture(RED))
        assert (await record(tab, "like"))["type"] == "ready"
        await tab.send_json({"type": "clip"})
        frames = moving(2.4)
        for message in frames[:30]:
            await tab.send_bytes(message)
        await tab.send_json({"type": "wrong", "label": "red"})
        refused = await until(tab, "refused")
        assert refused["of"] == "wrong"
        assert "being recorded" in refused["reason"]
        for message in frames[30:]:
            await tab.send_bytes(message)
        saved = await until(tab, "saved")
        assert saved["counts"] == {"like": 1}
        assert "of" not in saved
        await tab.send_json({"type": "stop"})
        await tab.send_json({"type": "wrong", "label": "red"})
        saved = await until(tab, "saved")
        assert (saved["of"], saved["counts"]) == ("wrong", {"like": 1, "red": 1})

    use(scenario, root, Lesson(root))


def test_another_bundle_lets_the_page_in_again_while_a_clip_is_saved(root, monkeypatch):
    begun, go_on, real = Event(), Event(), record_module.write_clip

    def slowly(*given) -> None:
        begun.set()
        assert go_on.wait(SOON)
        real(*given)

    monkeypatch.setattr(record_module, "write_clip", slowly)

    async def scenario(client: Client) -> None:
        tab = await client.connect()
        await record(tab, "like")
        await tab.send_json({"type": "clip"})
        for message in moving(2.4):
            await tab.send_bytes(message)
        assert await asyncio.to_thread(begun.wait, SOON)
        try:
            used = asyncio.create_task(ask(client, "POST", "use", which="given"))
            assert (await closed(tab))[0] != TAKEN_OVER
            assert (await used)[0] == 200
            tab = await client.connect("?retry")
            first = await tab.receive(timeout=SOON)
            assert first.data != TAKEN_OVER
            assert json.loads(first.data)["type"] == "hello"
        finally:
            go_on.set()

    use(scenario, root, Lesson(root))
    assert len(list((root / "like").iterdir())) == 1
