"""The live path of one stream: a camera's frame in, the decision out, every stage timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from core.decision import Answer, Event
from mobile_export.bundle.reader import Bundle
from mobile_export.bundle.stream import Stream, preprocess
from mobile_export.live.ticks import Ticks
from mobile_export.runtime import Runner

Picture = Callable[[], np.ndarray]  # gives uint8 RGB (H, W, 3); called for frames that are taken


@dataclass(frozen=True)
class Moment:
    """What came of a frame that was taken; times in milliseconds."""

    seconds: float  # the frame's time stamp
    answer: Answer
    missed: int  # ticks before this one that no frame came for
    reset: bool
    ended: tuple[Event, ...]  # events that closed with this frame or with a reset before it
    preprocess_ms: float
    execute_ms: float
    postprocess_ms: float


class Recognizer:
    """One stream through a bundle: ticks, model with its state, decision rule.

    Raises ``BadInput`` for a bundle in clip form, which cannot go frame by frame.
    """

    def __init__(self, bundle: Bundle, runner: Runner) -> None:
        self.stream = Stream(bundle, runner)
        self.decider = self.stream.decider
        manifest = bundle.manifest
        self.ticks = Ticks(
            manifest["input"]["frame_rate"], manifest["decision"]["reset_after_missed"]
        )
        self.taken = self.missed = self.resets = 0

    @property
    def runner(self) -> Runner:
        """What executes the bundle."""
        return self.stream.runner

    def frame(self, seconds: float, picture: Picture) -> Moment | None:
        """Offer a frame; None when no tick is due for it. ``picture`` gives its pixels if one is.

        Raises ``BadInput`` for a picture of another type or shape, and for a program that fails
        or gives logits that are not finite.
        """
        tick = self.ticks.frame(seconds)
        if not tick.take:
            return None
        ended = self.stream.reset() if tick.reset else ()
        self.taken, self.missed = self.taken + 1, self.missed + tick.missed
        self.resets += tick.reset
        pixels = picture()  # decoding is the source's time
        with torch.inference_mode():
            began = time.perf_counter()
            x = preprocess(pixels, self.stream.config)
            ready = time.perf_counter()
            logits = self.stream.step(x)
            called = time.perf_counter()
            answer = self.decider.update(seconds, self.stream.numbers(logits))
            done = time.perf_counter()
        if answer.ended:
            ended = (*ended, answer.ended)
        return Moment(
            seconds, answer, tick.missed, tick.reset, ended,
            1e3 * (ready - began), 1e3 * (called - ready), 1e3 * (done - called),
        )  # fmt: skip

    def forget(self) -> tuple[Event, ...]:
        """Back to before the first frame; the event that was open, if there was one.

        For a stream that ends or pauses: the time until the next frame is no missed ticks.
        """
        self.ticks.restart()
        return self.stream.reset()
