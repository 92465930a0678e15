"""One source from its first frame to its last: recognise, draw, and say what was seen."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from core.data.transforms import resize_crop
from core.decision import Answer, Event
from core.errors import BadInput
from core.evaluation.events import Gesture
from core.model import ModelConfig
from mobile_export.bundle.reader import Bundle
from mobile_export.live.annotate import VideoWriter, draw_answer
from mobile_export.live.history import History
from mobile_export.live.network import is_address, network_frames
from mobile_export.live.recognizer import Recognizer
from mobile_export.live.region import Region
from mobile_export.live.score import score
from mobile_export.live.sources import (
    SYNTHETIC,
    Frame,
    Interrupted,
    Newest,
    camera_frames,
    camera_number,
    rendered_frames,
    video_frames,
)
from mobile_export.live.ticks import SLOW

EVENTS_SCHEMA = 1
RATE = 30.0  # of the annotated video: what the encoder plans for; time stamps are the source's
THUMBNAIL = 112  # pixels
SETTLED = 5.0  # seconds of a source after which its rate is known
WHOLE = Region()
BAR = "{desc}: {n:.1f} s [{elapsed}{postfix}]"


@dataclass
class Source:
    """Frames, and what is known about them besides."""

    frames: Iterable[Frame]
    truth: list[Gesture] | None = None  # of rendered recordings, filled while they play

    @property
    def dropped(self) -> int:
        """Frames that came while the reader was busy; none of a source that waits."""
        return getattr(self.frames, "dropped", 0)


@dataclass
class Result:
    """What came of a source; ``reason`` says why it broke off, None when it did not."""

    recognizer: Recognizer
    history: History
    source: Source
    frames: int = 0
    seconds: float = 0.0
    reason: str | None = None
    told_slow: bool = False
    answer: Answer | None = None  # the latest

    def report(self, bundle: Bundle, name: str, wall: float) -> dict:
        """Events and figures, JSON-ready; ``wall`` is the seconds that the run took."""
        scored = None
        if self.source.truth is not None:
            found = score(self.history.events, self.source.truth, self.seconds / 60)
            scored = {k: round(v, 4) for k, v in found.to_dict().items()}
        manifest = bundle.manifest
        return {
            "schema": EVENTS_SCHEMA,
            "bundle": manifest["name"],
            "artifact_sha256": manifest["artifact"]["sha256"],
            "executed_by": self.recognizer.runner.name,
            "interpreted": self.recognizer.runner.interpreted,
            "source": name,
            "complete": self.reason is None,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
            "wall_seconds": round(wall, 3),
            "frames": self.frames,
            "ticks": self.recognizer.taken,
            "missed_ticks": self.recognizer.missed,
            "resets": self.recognizer.resets,
            "dropped_frames": self.source.dropped,
            "latency": self.history.latency(),
            "events": self.history.event_rows(),
            "score": scored,
        }

    def tell_slow(self) -> None:
        """Warn, once, of a source that is slower than the model needs; silent while it is short."""
        needed = self.recognizer.ticks.rate
        came = self.frames + self.source.dropped
        if self.told_slow or self.seconds <= 0 or came < 2:
            return
        rate = (came - 1) / self.seconds
        if rate < SLOW * needed:
            self.told_slow = True
            tqdm.write(
                f"warning: the source gives {rate:.1f} frames a second and the model needs "
                f"{needed:g}: gestures are missed; give more light, or a faster camera or video",
                file=sys.stderr,
            )

    def summary(self, report: dict) -> str:
        """The figures in a few lines."""
        speed = self.seconds / report["wall_seconds"] if report["wall_seconds"] else 0.0
        lines = [
            f"{report['frames']} frames, {self.seconds:.1f} s of source in "
            f"{report['wall_seconds']:.1f} s ({speed:.1f} times real time)",
            f"{report['ticks']} ticks, {report['missed_ticks']} missed, "
            f"{report['dropped_frames']} frames dropped, {report['resets']} resets",
        ]
        if report["latency"]:
            parts = [f"{k} {v['p50_ms']:.2f}" for k, v in report["latency"].items()]
            lines.append("median ms: " + ", ".join(parts))
        runner = self.recognizer.runner
        if runner.interpreted:
            lines.append(f"executed by {runner.name}: its times mean nothing")
        if report["score"]:
            s = report["score"]
            lines.append(
                f"{s['gestures']} gestures, {s['events']} events, {s['right']} right: event F1 "
                f"{s['f1']:.3f}, {s['false_a_minute']:.2f} false a minute"
            )
        return "\n".join(lines)


def open_source(name: str, config: ModelConfig, seconds: float | None, realtime: bool) -> Source:
    """A source by what was given on the command line. Raises ``BadInput``."""
    if name == SYNTHETIC:
        if seconds is None:
            raise BadInput("the synthetic source has no end: give --seconds")
        truth: list[Gesture] = []
        frames = rendered_frames(config, seconds, truth)
        return Source(Newest(frames, paced=True) if realtime else frames, truth)
    number = camera_number(name)
    if number is not None:
        return Source(Newest(camera_frames(number), paced=False))
    if is_address(name):
        return Source(Newest(network_frames(name), paced=False, patience=None))
    path = Path(name)
    if not path.is_file():
        raise BadInput(
            f"--source {name} is no file: give a video, camera, camera:1, ..., rtsp://... or "
            "synthetic"
        )
    frames = video_frames(path)
    return Source(Newest(frames, paced=True) if realtime else frames)


def run(
    recognizer: Recognizer,
    source: Source,
    out: Path | None,
    timeline: Path | None,
    seconds: float | None,
    region: Region = WHOLE,
) -> Result:
    """Recognise every frame of ``source``, up to ``seconds`` of it; Ctrl-C ends it in order.

    Events are printed as they end. ``out`` gets the annotated video, ``timeline`` the picture.
    Raises ``BadInput`` when not even a first frame can be had.
    """
    result = Result(recognizer, History(timeline is not None), source)
    labels = recognizer.decider.rule.labels
    with ExitStack() as stack:
        writer = stack.enter_context(VideoWriter(out, RATE)) if out else None
        bar = stack.enter_context(
            tqdm(total=seconds, unit="s", desc="live", leave=False, disable=None, bar_format=BAR)
        )
        try:
            for frame in _until(source.frames, seconds):
                answer = _one(result, frame, bar, region)
                if writer:
                    picture = region.upright(frame.picture())
                    writer.write(frame.seconds, draw_answer(picture, answer, labels, region))
        except Interrupted as stop:
            result.reason = str(stop)
        except KeyboardInterrupt:
            pass  # the way to end a camera
    result.tell_slow()
    for event in recognizer.forget():
        result.history.events.append(event)
        _say(event)
    if timeline and result.history.ticks:
        _draw(recognizer, result.history, timeline)
    return result


def _until(frames: Iterable[Frame], seconds: float | None) -> Iterator[Frame]:
    for frame in frames:
        if seconds is not None and frame.seconds >= seconds:
            return
        yield frame


def _one(result: Result, frame: Frame, bar: tqdm, region: Region) -> Answer | None:
    """Offer one frame to the model; the answer that stands after it."""
    result.frames += 1
    bar.update(frame.seconds - result.seconds)
    result.seconds = frame.seconds
    if frame.seconds >= SETTLED:
        result.tell_slow()
    moment = result.recognizer.frame(frame.seconds, lambda: region.seen(frame.picture()))
    if moment is None:
        return result.answer
    result.answer = moment.answer
    result.history.add(moment)
    if result.history.wants_picture:
        small = resize_crop(region.seen(frame.picture()), THUMBNAIL).permute(1, 2, 0).numpy()
        result.history.add_picture(frame.seconds, small)
    for event in moment.ended:
        _say(event)
    bar.set_postfix_str(moment.answer.current or "-", refresh=False)
    return moment.answer


def _say(event: Event) -> None:
    tqdm.write(
        f"{event.start:8.1f} s to {event.end:8.1f} s  {event.label}  {100 * event.confidence:.0f} %"
    )
    sys.stdout.flush()  # whoever reads a pipe wants the event now as well


def _draw(recognizer: Recognizer, history: History, path: Path) -> None:
    from core.evaluation.timeline import PICTURES, Span, plot

    times, chances, pictures = history.timeline()
    picked = np.linspace(0, len(pictures) - 1, min(PICTURES, len(pictures))).astype(int)
    rule = recognizer.decider.rule
    grey = [name for name in rule.labels if name in rule.none_labels]
    spans = [Span(e.label, e.start, e.end) for e in history.events]
    strip = [pictures[i][1] for i in picked]
    plot("--timeline", path, times, chances, rule.labels, grey, strip, spans)
