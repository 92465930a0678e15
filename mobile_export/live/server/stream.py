"""One browser tab's stream: frames in, answers out, over a WebSocket.

The page sends a frame when the one before it has been acknowledged by ``next``, which comes as soon
as it lies in the slot. The slot holds the newest frame; one that nobody took is dropped and
counted, so that a slow model sees late frames and never a queue. The model runs in one thread of
its own, and answers come when there are any.
"""

import asyncio
import contextlib
import json
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from aiohttp import WSCloseCode, WSMsgType, web

from core.checkpoint import bundled_path
from core.errors import BadInput, one_line
from core.files import file_sha256
from mobile_export.bundle.reader import Bundle
from mobile_export.live.recognizer import Moment, Recognizer
from mobile_export.live.record import CLIP_SECONDS, COUNTDOWN, check_label
from mobile_export.live.region import Region, check_box
from mobile_export.live.server.clips import SECONDS, Clip, Spoiled, count_clips, require_room
from mobile_export.live.server.frames import Refusal, decode, parse
from mobile_export.live.server.lesson import Lesson
from mobile_export.live.ticks import SLOW
from mobile_export.runtime import Runner

SLACK = 0.3  # seconds more, so that the pictures of the last tick are there
LOOK_BACK = 2.4  # seconds of the stream that a clip is made of when its answer was wrong
MOST_TEXT = 2000  # characters of a command
MOST_REASON = 123  # bytes of a close frame's reason
TAKEN_OVER = 4001  # close code: another tab has the stream now


@dataclass
class Desk:
    """What all connections share. ``worker`` has one thread: a runner is not for several.

    ``bundle`` and ``runner`` are what runs now; with a lesson they may be changed for the bundle
    that was taught, and ``given`` is the pair that the server was started with.
    """

    bundle: Bundle
    runner: Runner
    worker: Executor
    out: Path | None
    token: str  # that the address has to hold
    # What of a picture the model sees until a page says otherwise.
    region: Region = field(default_factory=Region)
    lesson: Lesson | None = None

    def __post_init__(self) -> None:
        self.given = self.bundle, self.runner


def greeting(desk: Desk) -> dict:
    """What the page has to know, JSON-ready; the first message of a connection."""
    manifest, runner = desk.bundle.manifest, desk.runner
    return {
        "type": "hello",
        "bundle": manifest["name"],
        "labels": manifest["labels"],
        "none_labels": manifest["decision"]["none_labels"],
        "threshold": manifest["decision"]["threshold"],
        "rate": manifest["input"]["frame_rate"],
        "least_rate": SLOW * manifest["input"]["frame_rate"],
        "runner": runner.name,
        "timed": not runner.interpreted,
        "taught": None if desk.lesson is None else desk.bundle is not desk.given[0],
        "view": {"mirror": desk.region.mirror, "box": desk.region.box},
        "rendered": manifest["checkpoint"]["sha256"] == file_sha256(bundled_path()),
        "record": None if desk.out is None else {
            "folder": str(desk.out), "counts": count_clips(desk.out), "seconds": CLIP_SECONDS,
            "least": SECONDS[0], "most": SECONDS[1], "countdown": COUNTDOWN,
        },
    }  # fmt: skip


class Stream:
    """A connection from its greeting to its end; every one starts from a forgotten state."""

    def __init__(self, desk: Desk, socket: web.WebSocketResponse) -> None:
        self._desk, self._socket = desk, socket
        self._slot: tuple[float, bytes] | None = None
        self._filled = asyncio.Event()
        self._dropped = self._missed = 0
        self._rate = desk.bundle.manifest["input"]["frame_rate"]
        self._recording: tuple[str, float] | None = None  # label and seconds of a clip
        self._clip: Clip | None = None
        self._saving: set[asyncio.Task] = set()
        self._region = desk.region
        self._recent: deque[tuple[float, bytes]] = deque()  # kept for a lesson alone
        self._forget()

    async def run(self) -> None:
        """Serve it until either side closes; a fault of the other side closes it with a reason."""
        await self._send(greeting(self._desk))
        model = asyncio.create_task(self._guarded(self._recognise))
        try:
            await self._guarded(self._listen)
        finally:
            model.cancel()
            await asyncio.gather(model, *self._saving, return_exceptions=True)

    async def _guarded(self, work: Callable) -> None:
        try:
            await work()
        except Refusal as refusal:
            await self._close(refusal.code, refusal.reason)
        except BadInput as error:
            await self._close(WSCloseCode.INTERNAL_ERROR, one_line(error))
        except Exception:
            traceback.print_exc(file=sys.stderr)
            await self._close(WSCloseCode.INTERNAL_ERROR, "an error in the server, see its output")

    async def _close(self, code: int, reason: str) -> None:
        await self._send({"type": "error", "reason": reason})  # a close frame's is cut
        cut = reason.encode()[:MOST_REASON].decode(errors="ignore").encode()
        await self._socket.close(code=code, message=cut)

    async def _send(self, message: dict) -> None:
        with contextlib.suppress(ConnectionError):  # it has gone: the reader sees that too
            await self._socket.send_str(json.dumps(message))

    async def _listen(self) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.BINARY:
                await self._take(*parse(message.data))
            elif message.type is WSMsgType.TEXT:
                await self._command(message.data)

    async def _take(self, seconds: float, jpeg: bytes) -> None:
        """Put a frame into the slot, and into the clip that is being recorded."""
        self._dropped += self._slot is not None
        self._slot = seconds, jpeg
        self._filled.set()
        if self._clip and self._clip.add(seconds, jpeg):
            clip, self._clip = self._clip, None
            self._beside(lambda: self._save(clip))
        if self._desk.lesson is not None:
            self._recent.append((seconds, jpeg))
            while seconds - self._recent[0][0] > LOOK_BACK + SLACK:
                self._recent.popleft()
        await self._send({"type": "next"})

    def _beside(self, work: Callable) -> None:
        """Save something while frames go on to be taken."""
        task = asyncio.create_task(self._guarded(work))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    async def _recognise(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._filled.wait()
            self._filled.clear()
            assert self._slot is not None, "filled"
            (seconds, jpeg), self._slot = self._slot, None
            moment, decode_ms = await loop.run_in_executor(
                self._desk.worker, _recognise, self._recognizer, seconds, jpeg, self._region
            )
            if moment is not None:
                self._missed += moment.missed
                await self._send(self._answer(moment, decode_ms))

    def _answer(self, moment: Moment, decode_ms: float) -> dict:
        answer = moment.answer
        return {
            "type": "answer",
            "seconds": moment.seconds,
            "winner": answer.winner,
            "current": answer.current,
            "confidence": round(answer.confidence, 4),
            "started": answer.started,
            "ended": [asdict(event) for event in moment.ended],
            "probabilities": [round(p, 4) for p in answer.probabilities],
            "reset": moment.reset,
            "missed": self._missed,
            "dropped": self._dropped,
            "ms": {
                "decode": round(decode_ms, 3),
                "preprocess": round(moment.preprocess_ms, 3),
                "execute": round(moment.execute_ms, 3),
                "postprocess": round(moment.postprocess_ms, 3),
            },
        }

    def _forget(self) -> None:
        """From here on as at the start; a frame that is in the model's thread is answered yet."""
        self._recognizer = Recognizer(self._desk.bundle, self._desk.runner)

    async def _command(self, text: str) -> None:
        """Raises ``Refusal`` for what no page of ours sends."""
        match _object(text):
            case {"type": "forget"}:
                self._forget()
            case {"type": "view", "mirror": bool() as mirror, "box": None | [_, _, _, _] as box}:
                self._look(mirror, box)
            case {"type": "record", "label": str(label), "seconds": int() | float() as seconds}:
                await self._record(label, seconds)
            case {"type": "clip"} if self._recording:
                self._clip = Clip(*self._recording, self._region.seen)
            case {"type": "wrong", "label": str(label)} if self._desk.lesson is not None:
                await self._wrong(label)
            case {"type": "stop"}:
                self._recording = self._clip = None
            case _:
                raise Refusal(WSCloseCode.INVALID_TEXT, "a message that the server does not know")

    def _look(self, mirror: bool, box: list | None) -> None:
        """See another part of the picture from here on, or the other side of it."""
        found = None
        if box is not None:
            if not all(isinstance(part, int | float) for part in box):
                raise Refusal(WSCloseCode.INVALID_TEXT, "a region that is no four numbers")
            found = check_box(box, "a region")
        self._region = Region(mirror, found)
        self._forget()

    async def _record(self, label: str, seconds: float) -> None:
        """Get ready for clips of a label, or say why not."""
        try:
            if self._desk.out is None:
                raise BadInput("no folder for clips: start the server with --out DIR")
            require_room(self._desk.out)
            if not SECONDS[0] <= seconds <= SECONDS[1]:
                raise BadInput(f"clips of {seconds:g} s: give {SECONDS[0]:g} to {SECONDS[1]:g}")
            self._recording = check_label(label), seconds
        except BadInput as error:
            await self._send({"type": "refused", "reason": one_line(error)})
            return
        await self._send({"type": "ready"})

    async def _wrong(self, label: str) -> None:
        """Keep the latest seconds as a clip of what they really were.

        Every reply says what it is of: the page's recorder waits for others of the same types.
        """
        frames = list(self._recent)
        try:
            if self._recording:
                raise BadInput("clips are being recorded: wait for them, or stop that first")
            if not frames or frames[-1][0] - frames[0][0] < LOOK_BACK:
                raise BadInput(f"the camera has to run for {LOOK_BACK:g} s first")
            clip = Clip(check_label(label), LOOK_BACK, self._region.seen)
        except BadInput as error:
            await self._send({"type": "refused", "reason": one_line(error), "of": "wrong"})
            return
        for seconds, jpeg in frames:
            if frames[-1][0] - seconds <= LOOK_BACK + 0.5 * SLACK:
                clip.add(seconds, jpeg)

        async def save() -> None:
            await self._send(await self._kept(clip) | {"of": "wrong"})

        self._beside(save)

    async def _save(self, clip: Clip) -> None:
        """Write a clip that was recorded beside the stream, which goes on meanwhile."""
        reply = await self._kept(clip)
        if reply["type"] == "refused":
            self._recording = None
        await self._send(reply)

    async def _kept(self, clip: Clip) -> dict:
        """Write a clip; the reply to the page."""
        out = self._desk.out
        assert out is not None, "without a folder nothing is recorded"
        try:
            require_room(out)
            path = await asyncio.to_thread(clip.save, out, self._rate)
        except Spoiled as error:
            return {"type": "spoiled", "reason": str(error)}
        except BadInput as error:
            return {"type": "refused", "reason": one_line(error)}
        return {"type": "saved", "file": path.name, "counts": count_clips(out)}


def _recognise(
    recognizer: Recognizer, seconds: float, jpeg: bytes, region: Region
) -> tuple[Moment | None, float]:
    """Offer a frame to the model, in its thread; the milliseconds that decoding it took beside."""
    spent = 0.0

    def picture():
        nonlocal spent
        began = time.perf_counter()
        pixels = region.seen(decode(jpeg))
        spent = 1e3 * (time.perf_counter() - began)
        return pixels

    return recognizer.frame(seconds, picture), spent


def _object(text: str) -> object:
    """JSON of a command; None for what is none."""
    if len(text) > MOST_TEXT:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
