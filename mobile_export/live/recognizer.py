"""The live path of one stream: a camera's frame in, the decision out, every stage timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.data.transforms import normalise, resize_crop
from core.decision import Answer, Decider, Event, Rule
from core.errors import BadInput
from core.model import ModelConfig
from mobile_export.bundle.reader import Bundle
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

    @property
    def total_ms(self) -> float:
        """From the picture to the decision."""
        return self.preprocess_ms + self.execute_ms + self.postprocess_ms


def preprocess(pixels: np.ndarray, config: ModelConfig) -> Tensor:
    """A camera's picture, uint8 RGB (H, W, 3), as the model takes it: float32 (1, 3, S, S).

    Short side resized, centre cropped, normalised, as the manifest's ``input`` says. Raises
    ``BadInput`` for another type or shape.
    """
    return normalise(resize_crop(pixels, config.size), config.mean, config.std)[None]


class Recognizer:
    """One stream through a bundle: ticks, model with its state, decision rule.

    Raises ``BadInput`` for a bundle in clip form, which cannot go frame by frame.
    """

    def __init__(self, bundle: Bundle, runner: Runner) -> None:
        manifest = bundle.manifest
        if manifest["form"] != "stream":
            raise BadInput(
                f"{bundle.path} is in {manifest['form']} form: live recognition takes one frame at "
                "a time; export with --form stream"
            )
        self.config, self.runner = bundle.config, runner
        # Inputs that are known to be right need no check in every frame, where the runner has one.
        self._call = getattr(runner, "execute", runner)
        self._zeros = bundle.zeros()[1:]
        self.decider = Decider(Rule.from_manifest(manifest))
        self.ticks = Ticks(
            manifest["input"]["frame_rate"], manifest["decision"]["reset_after_missed"]
        )
        self.taken = self.missed = self.resets = 0
        self._state = list(self._zeros)

    def frame(self, seconds: float, picture: Picture) -> Moment | None:
        """Offer a frame; None when no tick is due for it. ``picture`` gives its pixels if one is.

        Raises ``BadInput`` for a picture of another type or shape, and for a program that fails
        or gives logits that are not finite.
        """
        tick = self.ticks.frame(seconds)
        if not tick.take:
            return None
        ended = self.forget() if tick.reset else ()
        self.taken, self.missed = self.taken + 1, self.missed + tick.missed
        self.resets += tick.reset
        pixels = picture()  # decoding is the source's time
        with torch.inference_mode():
            began = time.perf_counter()
            x = preprocess(pixels, self.config)
            ready = time.perf_counter()
            logits, *self._state = self._call([x, *self._state])
            called = time.perf_counter()
            if not bool(logits.isfinite().all()):
                raise BadInput(
                    f"{self.runner.name} gives logits that are not finite: export the bundle again"
                )
            answer = self.decider.update(seconds, logits[0].tolist())
            done = time.perf_counter()
        if answer.ended:
            ended = (*ended, answer.ended)
        return Moment(
            seconds, answer, tick.missed, tick.reset, ended,
            1e3 * (ready - began), 1e3 * (called - ready), 1e3 * (done - called),
        )  # fmt: skip

    def forget(self) -> tuple[Event, ...]:
        """Back to before the first frame; the event that was open, if there was one."""
        self._state = list(self._zeros)
        event = self.decider.reset()
        return (event,) if event else ()
