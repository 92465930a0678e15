"""A bundle run as a stream: a picture in, logits or events out, the state kept in between."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from core.classes import ClassMap, class_map
from core.data.transforms import normalise, resize_crop
from core.decision import Answer, Decider, Event, Rule
from core.errors import BadInput
from core.model import ModelConfig
from mobile_export.bundle.reader import Bundle, load
from mobile_export.bundle.regrouped import with_classes
from mobile_export.bundle.runner import open_runner
from mobile_export.console import quiet
from mobile_export.runtime import Runner


def preprocess(pixels: np.ndarray, config: ModelConfig) -> Tensor:
    """A camera's picture, uint8 RGB (H, W, 3), as the model takes it: float32 (1, 3, S, S).

    Short side resized, centre cropped, normalised, as the manifest's ``input`` says. Raises
    ``BadInput`` for another type or shape.
    """
    return normalise(resize_crop(pixels, config.size), config.mean, config.std)[None]


class Stream:
    """Frames of one camera or video, in their order, through a bundle in stream form.

    The model expects ``frame_rate`` frames a second: give every third of a video of 30.
    ``live.recognizer`` picks a camera's frames by their time stamps. Raises ``BadInput`` for a
    bundle in clip form.
    """

    def __init__(self, bundle: Bundle, runner: Runner) -> None:
        manifest = bundle.manifest
        if manifest["form"] != "stream":
            raise BadInput(
                f"{bundle.path} is in {manifest['form']} form: a stream takes one frame at a time; "
                "export with --form stream"
            )
        self.config, self.runner, self._head = bundle.config, runner, bundle.head
        self.labels = tuple(manifest["labels"])
        self.frame_rate: float = manifest["input"]["frame_rate"]
        self.decider = Decider(Rule.from_manifest(manifest))
        self.frames = 0  # taken since the start or the last reset
        self.answer: Answer | None = None  # to the latest frame that was decided on
        # Inputs that are known to be right need no check in every frame, where the runner has one.
        self._call = getattr(runner, "execute", runner)
        self._zeros = bundle.zeros()[1:]
        self._state: Sequence[Tensor] = self._zeros

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Logits (classes,), float32, of a frame: uint8 RGB (H, W, 3) of any size.

        Raises ``BadInput`` for a frame of another type or shape, and for a program that fails or
        gives logits that are not finite.
        """
        return np.array(self._logits(frame), np.float32)

    def decide(self, frame: np.ndarray) -> tuple[Event, ...]:
        """Gestures that end with this frame, by the manifest's rule; most often none.

        Times are in seconds since the first frame at ``frame_rate``. ``answer`` tells
        probabilities, and the gesture that goes on. Raises as a call does.
        """
        seconds = self.frames / self.frame_rate
        self.answer = self.decider.update(seconds, self._logits(frame))
        return (self.answer.ended,) if self.answer.ended else ()

    def _logits(self, frame: np.ndarray) -> list[float]:
        with torch.inference_mode():
            return self.numbers(self.step(preprocess(frame, self.config)))

    def step(self, frame: Tensor) -> Tensor:
        """Logits (1, classes) of a frame (1, 3, S, S) that ``preprocess`` made."""
        logits, *self._state = self._call([frame, *self._state])
        self.frames += 1
        return logits if self._head is None else self._head(logits)

    def numbers(self, logits: Tensor) -> list[float]:
        """The logits of ``step``; ``BadInput`` where they are not finite."""
        if not bool(logits.isfinite().all()):
            raise BadInput(
                f"{self.runner.name} gives logits that are not finite: export the bundle again"
            )
        values: list[float] = logits[0].tolist()
        return values

    def reset(self) -> tuple[Event, ...]:
        """Back to before the first frame; the gesture that was still going on, if there was one."""
        self.frames, self._state, self.answer = 0, self._zeros, None
        ended = self.decider.reset()
        return (ended,) if ended else ()


class RunnableBundle(Bundle):
    """A bundle that this machine can run."""

    def open(self) -> Stream:
        """A stream at its start. Raises ``BadInput`` for the clip form and a damaged artifact."""
        with quiet():  # what the runtimes print when they are imported
            return Stream(self, open_runner(self))


def load_bundle(
    path: str | os.PathLike[str],
    classes: ClassMap | Mapping | Sequence | str | os.PathLike | None = None,
) -> RunnableBundle:
    """The bundle in a folder that ``export`` wrote, every file checked against its hash.

    ``classes``, a JSON file's path or its content, makes its labels others: ``core.classes``.
    Raises ``BadInput`` when the folder, its manifest or a file is missing, damaged or changed.
    """
    wanted, bundle = class_map(classes), load(path)
    return with_classes(RunnableBundle(bundle.path, bundle.manifest), wanted)
