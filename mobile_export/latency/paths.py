"""The calls that are timed: pictures in, a decision out, one after the other without end.

A stream's are those of ``mobile_export.live.Recognizer``, so that the figures are of the live path.
What lies in each stage:

- pre-processing: resize, crop and normalise a picture that is decoded already;
- execution: the runner's ``execute``: the input brought into the program's memory order, the call
  through ExecuTorch's Python bindings, the outputs copied for the next call. No check of inputs;
- post-processing: logits to numbers of Python, checked to be finite, and the decision rule; for a
  clip, whose logits are a mean already, the softmax of them and the best label.
"""

import functools
import itertools
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from core.data.transforms import normalise, resize_crop
from core.decision import softmax
from core.errors import BadInput
from mobile_export.bundle.reader import Bundle
from mobile_export.latency.pictures import frames_a_call
from mobile_export.live.recognizer import Recognizer
from mobile_export.runtime.executorch import Executorch


class Cost(NamedTuple):
    """Milliseconds of one call by stage."""

    preprocess: float
    execute: float
    postprocess: float

    @property
    def end_to_end(self) -> float:
        """The stages follow each other without a gap."""
        return self.preprocess + self.execute + self.postprocess


def calls(bundle: Bundle, runner: Executorch, pixels: np.ndarray) -> Iterator[Cost]:
    """Each ``next`` is one call on the next of ``pixels`` (n, H, W, 3), or the next clip of them.

    Raises ``BadInput`` for a program that fails or gives logits that are not finite.
    """
    take = stream_calls if bundle.manifest["form"] == "stream" else clip_calls
    return take(bundle, runner, pixels)


def stream_calls(bundle: Bundle, runner: Executorch, pixels: np.ndarray) -> Iterator[Cost]:
    """One stream, a frame at every tick of the model's rate, its state carried on for ever."""
    recognizer = Recognizer(bundle, runner)
    rate = bundle.manifest["input"]["frame_rate"]
    for tick in itertools.count():
        picture = functools.partial(pixels.__getitem__, tick % len(pixels))
        moment = recognizer.frame(tick / rate, picture)
        assert moment is not None, "a frame at its tick is taken"
        yield Cost(moment.preprocess_ms, moment.execute_ms, moment.postprocess_ms)


def clip_calls(bundle: Bundle, runner: Executorch, pixels: np.ndarray) -> Iterator[Cost]:
    """A clip at once, again and again."""
    config, labels = bundle.config, bundle.manifest["labels"]
    for clip in itertools.cycle(in_clips(pixels, frames_a_call(bundle))):
        with torch.inference_mode():
            began = time.perf_counter()
            x = normalise(resize_crop(clip, config.size), config.mean, config.std)  # (T, 3, S, S)
            ready = time.perf_counter()
            logits = runner.execute([x])[0]  # (1, classes)
            called = time.perf_counter()
            if not bool(logits.isfinite().all()):
                raise BadInput(
                    f"{runner.name} gives logits that are not finite: export the bundle again"
                )
            chances = softmax(logits[0].tolist())
            _decision = labels[max(range(len(labels)), key=chances.__getitem__)]
            done = time.perf_counter()
        yield Cost(1e3 * (ready - began), 1e3 * (called - ready), 1e3 * (done - called))


def in_clips(pixels: np.ndarray, frames: int) -> np.ndarray:
    """(n, H, W, 3) as clips (n / frames, frames, H, W, 3); fewer than one clip are repeated."""
    picture = pixels.shape[1:]
    if len(pixels) < frames:
        pixels = np.resize(pixels, (frames, *picture))
    return pixels.reshape(-1, frames, *picture)
