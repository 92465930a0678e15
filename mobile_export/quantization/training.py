"""What the int8 of an export rests on: calibration clips, perhaps training."""

import contextlib
import functools
import hashlib
import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from core.checkpoint import Checkpoint
from core.classes import ClassMap
from core.data.fingerprint import fingerprint
from core.data.source import Source
from core.data.transforms import normalise
from core.errors import BadInput
from core.options import check_choice, check_folder, check_number, check_whole
from mobile_export.clips import rendered_name, training_clips
from mobile_export.combinations import FORMS
from mobile_export.console import Reporter, quiet

if TYPE_CHECKING:
    from mobile_export.quantization.pt2e import Learned, Scheme

CALIBRATION_CLIPS = 64  # more than two a class of the bundled model, 16 frames each
QUANTIZE = ("auto", "qat", "ptq")  # auto is the exporter's: ptq, then qat where that fails


@dataclass(frozen=True)
class Terms:
    """What decides how a graph is quantized: its form, the way to int8, and the clips for it.

    Raises ``BadInput`` for a value that there is not.
    """

    form: str = "stream"
    quantize: str = "qat"
    qat_steps: int | None = None
    qat_rate: float | None = None
    data: Source | None = None  # None: rendered clips
    classes: ClassMap | None = None  # what the clips' and perhaps the model's become

    def __post_init__(self) -> None:
        check_choice("form", self.form, FORMS)
        check_choice("quantize", self.quantize, QUANTIZE)
        check_whole("qat_steps", self.qat_steps, 1)
        check_number("qat_rate", self.qat_rate, zero=False)
        if self.quantize == "ptq" and (self.qat_steps or self.qat_rate):
            raise BadInput("qat_steps and qat_rate are for quantize='qat': leave them out")


@dataclass(frozen=True)
class Training:
    """What the ranges and weights of an int8 artifact come from.

    ``learned`` gives the state of a prepared stream graph, ``steps`` is what it took to learn it.
    """

    calibration: list[Tensor] = field(default_factory=list)
    calibration_clips: int = 0
    learned: "Learned | None" = None
    steps: int = 0

    def to_dict(self) -> dict:
        """What the manifest says about it."""
        return {"calibration_clips": self.calibration_clips, "training_steps": self.steps}


def training_of(checkpoint: Checkpoint, target: str, terms: Terms, step: Reporter) -> Training:
    """Calibration clips, and what quantization-aware training learned or has to learn first.

    The bundled checkpoint's is in the package, unless training on other terms is asked for; a
    model of one's own is trained here, and what it learned is kept under ``runs/qat``. A
    bidirectional model, which has no stream form to train, is calibrated only. So is one whose std
    differs by colour for Core ML, which folds it into weights that training does not know.
    """
    if terms.quantize == "ptq" or not can_train(checkpoint, target):
        if terms.quantize == "qat" and _folds(checkpoint, target):
            step("quantize", "without training: Core ML folds a std that differs by colour")
        calibration = _calibration(checkpoint, terms, step)
        return Training(calibration, len(calibration))
    with quiet():  # what this imports has remarks to make
        from mobile_export.quantization import learned

    family = learned.FAMILY[target]
    scheme = scheme_of(target)
    own = terms.data is not None or terms.qat_steps or terms.qat_rate
    path = None if own else learned.bundled(checkpoint.sha256, family)
    calibration = []
    if path is None or terms.form == "clip":
        calibration = _calibration(checkpoint, terms, step)
    if path is None:
        path = _trained(checkpoint, scheme, terms, calibration, step)
    settings = learned.settings_of(path)
    assert settings is not None, "it was found by its settings"
    step("quantize", f"with what {settings.steps} steps of quantization-aware training learned")
    clips = len(calibration) or settings.calibration_clips
    return Training(calibration, clips, functools.partial(learned.load, path), settings.steps)


def can_train(checkpoint: Checkpoint, target: str) -> bool:
    """Whether there is quantization-aware training for a model on ``target``."""
    return checkpoint.config.can_stream and not _folds(checkpoint, target)


def _folds(checkpoint: Checkpoint, target: str) -> bool:
    return target == "coreml" and len(set(checkpoint.config.std)) > 1


def scheme_of(target: str) -> "Scheme":
    """How ``target`` quantizes."""
    with quiet():
        if target == "coreml":
            from mobile_export.quantization.coreml import SCHEME

            return SCHEME
        from mobile_export.quantization import executorch

        return {"xnnpack": executorch.XNNPACK, "vulkan": executorch.VULKAN}[target]


def calibration_clips(
    checkpoint: Checkpoint, data: Source | None, classes: ClassMap | None = None
) -> list[Tensor]:
    """Normalised training clips that every exporter of this checkpoint calibrates on.

    ``classes`` are those that the model was trained with.
    """
    config = checkpoint.config
    clips = training_clips(data, checkpoint, CALIBRATION_CLIPS, classes)
    count = min(len(clips), CALIBRATION_CLIPS)
    return [normalise(clips[i][0], config.mean, config.std) for i in range(count)]


def _calibration(checkpoint: Checkpoint, terms: Terms, step: Reporter) -> list[Tensor]:
    clips = calibration_clips(checkpoint, terms.data, _trained_with(terms, checkpoint))
    step("quantize", f"calibrating on {len(clips)} training clips")
    return clips


def _trained(
    checkpoint: Checkpoint,
    scheme: "Scheme",
    terms: Terms,
    calibration: list[Tensor],
    step: Reporter,
) -> Path:
    """The file that this training wrote, now or before."""
    from mobile_export.quantization import learned, qat

    family = learned.FAMILY[scheme.target]
    graph = str(_prepared(checkpoint, scheme).graph)
    settings = qat.Settings(
        checkpoint=checkpoint.sha256,
        family=family,
        data=_named(terms, checkpoint),
        calibration_clips=len(calibration),
        steps=terms.qat_steps or qat.STEPS,
        rate=terms.qat_rate or qat.RATE,
        clips=_listing(terms, checkpoint),
        graph=hashlib.sha256(graph.encode()).hexdigest()[:16],
    )
    key = hashlib.sha256(json.dumps(asdict(settings)).encode()).hexdigest()[:12]
    path = learned.RUNS / f"{family}-{key}.safetensors"
    if learned.settings_of(path) == settings:
        return path
    for what in learned.changed(settings):
        step("train", f"anew: what was learned before was of {what}")
    check_folder("run this in another folder:", learned.RUNS)
    step("train", f"{settings.steps} steps of quantization-aware training, kept in {path}")
    # Of rendered clips those in the package, over and over: nobody needs OpenGL for it.
    count = None if terms.data is None else settings.steps * qat.BATCH
    own = _trained_with(terms, checkpoint)
    clips = training_clips(terms.data, checkpoint, count, own)
    saved = path.with_suffix(".state")
    state = qat.learn(checkpoint, scheme, settings, calibration, clips, saved)
    with quiet():
        learned.save(path, state, _prepared(checkpoint, scheme), settings)
    saved.unlink(missing_ok=True)
    return path


def _trained_with(terms: Terms, checkpoint: Checkpoint) -> ClassMap | None:
    """The map where the model has its classes already: its clips are to have them too."""
    classes = terms.classes
    return classes if classes is not None and classes.is_of(checkpoint.labels) else None


def _named(terms: Terms, checkpoint: Checkpoint) -> str:
    """The clips that training saw, in words: what it learned from others is not taken for it."""
    source = terms.data
    if source is None:
        return rendered_name(checkpoint)
    seen = [text for text in (source.dataset, source.sampling) if text]
    return " ".join([str(source.folder.resolve()), *seen])


def _listing(terms: Terms, checkpoint: Checkpoint) -> str:
    if terms.data is None:
        return ""
    with contextlib.redirect_stderr(io.StringIO()):  # calibration has said what there is to say
        own = _trained_with(terms, checkpoint)
        clips = training_clips(terms.data, checkpoint, CALIBRATION_CLIPS, own)
    return fingerprint(clips)


def _prepared(checkpoint: Checkpoint, scheme: "Scheme"):
    from mobile_export.graph import forms
    from mobile_export.quantization.pt2e import prepare

    return prepare(forms.deployed(checkpoint.model, scheme.target), "stream", scheme)
