"""Accuracy of a checkpoint and of its artifact on the same clips, and what lies between them.

Clip accuracy: state reset at the start of every clip, mean of the logits over its frames.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from core.data.clips import Clips, loader
from core.data.transforms import normalise
from core.errors import BadInput
from core.labels import IGNORE
from core.model import VideoClassifier
from mobile_export.console import progress
from mobile_export.runtime import Runner
from mobile_export.runtime.inference import check_pixels, relative_deviation, run_form
from mobile_export.verify.gate import gate_interval

# Clips taken together, side by side where the runner takes any batch. A Core ML int8 stream of 112
# pixels took the interpreter 7.7 ms a frame of one core with 8, 12 with 4 and 21 with 32, whose
# maps no longer fit the caches.
BATCH = 8
Enough = Callable[[int, int, int], bool]  # of lost, won and all clips: stop looking?
Z95 = 1.959963984540054  # two-sided 95 % point of the normal distribution


@dataclass(frozen=True)
class Comparison:
    """A checkpoint and its artifact on the same clips; accuracies in per cent.

    ``clips`` were compared, ``broken`` more could not be read and do not count. ``drop`` is
    checkpoint minus artifact in percentage points; ``drop_interval`` its 95 % interval where the
    number of clips was set beforehand, ``gate_interval`` the wider one that holds whatever ended
    the looking. ``deviation`` is the largest difference of a logit over the largest logit of the
    checkpoint.
    """

    clips: int
    broken: int
    checkpoint_top1: float
    artifact_top1: float
    drop: float
    drop_interval: tuple[float, float]
    gate_interval: tuple[float, float]
    only_checkpoint_right: int
    only_artifact_right: int
    agreement: float
    deviation: float

    @property
    def intervals(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Both of the drop."""
        return self.drop_interval, self.gate_interval

    def to_dict(self) -> dict:
        """JSON-ready."""
        values = asdict(self)
        return values | {k: list(values[k]) for k in ("drop_interval", "gate_interval")}


def drop_interval(only_checkpoint: int, only_artifact: int, clips: int) -> tuple[float, float]:
    """95 % interval, in points, of the drop in accuracy of two classifiers on the same clips.

    Only the clips that one of the two gets right count. With b right by the checkpoint alone, c by
    the artifact alone and n clips, p = (b + 1) / (n + 2), q = (c + 1) / (n + 2):
    ``p - q +- z * sqrt((p + q - (p - q)^2) / (n + 2))``, cut at +-100. This is the adjusted Wald
    interval for paired proportions (Bonett and Price, J. Educational and Behavioral Statistics
    37(4), 2012), which keeps a width when b = c = 0, where the plain one claims certainty.
    """
    p, q = (only_checkpoint + 1) / (clips + 2), (only_artifact + 1) / (clips + 2)
    half = Z95 * math.sqrt((p + q - (p - q) ** 2) / (clips + 2))
    return 100 * max(-1.0, p - q - half), 100 * min(1.0, p - q + half)


def compare(reference: Tensor, artifact: Tensor, truth: Tensor, broken: int = 0) -> Comparison:
    """From logits (clips, frames, classes) of both sides and labels (clips,).

    ``broken`` clips beside these could not be read. A value that is not finite makes the deviation
    infinite and its clip wrong.
    """
    clips = len(truth)
    right, kept = _right(reference, artifact, truth)
    same = reference.mean(1).argmax(1) == artifact.mean(1).argmax(1)
    finite = artifact.isfinite().flatten(1).all(1)
    lost, won = int((right & ~kept).sum()), int((~right & kept).sum())
    deviation = math.inf
    if bool(finite.all()):
        deviation = relative_deviation(artifact, reference)
    return Comparison(
        clips=clips,
        broken=broken,
        checkpoint_top1=100 * float(right.double().mean()),
        artifact_top1=100 * float(kept.double().mean()),
        drop=100 * (lost - won) / clips,
        drop_interval=drop_interval(lost, won, clips),
        gate_interval=gate_interval(lost, won, clips),
        only_checkpoint_right=lost,
        only_artifact_right=won,
        agreement=100 * float((same & finite).double().mean()),
        deviation=deviation,
    )


def _right(reference: Tensor, artifact: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Clips (N,) that each side gets right; the artifact none with a value that is not finite."""
    finite = artifact.isfinite().flatten(1).all(1)
    ours, theirs = (logits.mean(1).argmax(1) == truth for logits in (reference, artifact))
    return ours, theirs & finite


def eager_logits(model: VideoClassifier, form: str, clips: Tensor) -> Tensor:
    """The reference for ``run_form``: the checkpoint's own logits on the whole clips.

    Raises ``BadInput`` when they are not finite: such a checkpoint cannot be exported.
    """
    with torch.inference_mode():
        # One clip a pass: its maps stay in the cache. Eight a pass took 1.3 times as long, on one
        # core at 112 pixels.
        run = model.frame_logits if form == "stream" else model
        logits = torch.cat([run(clip) for clip in clips.split(1)])
    if not bool(logits.isfinite().all()):
        raise BadInput(
            "the checkpoint gives logits that are not finite on held-out clips, so its weights are "
            "damaged: train it again or give another one"
        )
    return logits if form == "stream" else logits[:, None]


@dataclass
class Measurement:
    """What is measured: the checkpoint's model and the runner of its artifact."""

    model: VideoClassifier
    runner: Runner
    form: str
    state_shapes: list[list[int]]

    def __post_init__(self) -> None:
        # Channels-last took 0.7 of the time on one core. In a copy: an export of the model itself
        # would carry its strides into the program.
        self.model = copy.deepcopy(self.model).to(memory_format=torch.channels_last)

    def logits(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 clips (N, T, 3, S, S) -> logits of checkpoint and artifact."""
        config = self.model.config
        clips = normalise(check_pixels(pixels, config.size), config.mean, config.std)
        eager = eager_logits(self.model, self.form, clips)
        with torch.inference_mode():
            return eager, run_form(self.runner, self.form, clips, self.state_shapes, config)

    def run(self, dataset: Clips, unopened: int = 0, enough: Enough | None = None) -> Comparison:
        """Compare on the clips of ``dataset`` that can be read, with a bar on a terminal.

        After each batch ``enough`` is asked, with the clips that the checkpoint alone got right,
        those that the artifact alone did, and all so far. ``unopened`` clips were broken from the
        start and are not in ``dataset``. Raises ``BadInput`` when none can be read.
        """
        eager, artifact, truth = [], [], []
        broken, lost, won, clips = unopened, 0, 0, 0
        with progress(len(dataset), "clip") as bar:
            # One worker renders or decodes ahead; a batch or less is not worth a process.
            workers = 1 if len(dataset) > BATCH else 0
            for pixels, labels in loader(dataset, workers, batch_size=BATCH):
                bar.update(len(labels))
                read = labels != IGNORE
                broken += int((~read).sum())
                if not read.any():
                    continue
                ours, theirs = self.logits(pixels[read])
                eager.append(ours)
                artifact.append(theirs)
                truth.append(labels[read])
                right, kept = _right(ours, theirs, truth[-1])
                lost += int((right & ~kept).sum())
                won += int((~right & kept).sum())
                clips += len(right)
                if enough and enough(lost, won, clips):
                    break
        if not truth:
            raise BadInput(f"none of the {len(dataset)} held-out clips can be read: repair them")
        return compare(torch.cat(eager), torch.cat(artifact), torch.cat(truth), broken)
