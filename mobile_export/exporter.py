"""One export from a checkpoint to a verified bundle: quantize, lower, execute, verify, write.

``export`` is the API's function, which the command line calls too.
"""

import copy
import importlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from core.checkpoint import Checkpoint, bundled_path, load
from core.classes import ClassMap, class_map
from core.data.clips import Clips
from core.data.source import Source, as_trained, source_at
from core.decision import idle_labels, told_idle
from core.errors import BadInput
from core.files import file_sha256
from core.labels import IGNORE
from core.options import check_choice, check_number, check_path, check_whole
from core.regroup import regrouped
from mobile_export import combinations
from mobile_export.bundle.manifest import bundle_name, make_manifest, write_manifest
from mobile_export.bundle.reader import MANIFEST, Bundle
from mobile_export.bundle.runner import open_runner
from mobile_export.bundle.staging import publish, reject, staging
from mobile_export.clips import (
    count_unopened,
    drawn,
    held_out,
    held_out_or,
    rendered_name,
    trained_part,
)
from mobile_export.console import Reporter, quiet, reporting
from mobile_export.quantization.training import Terms, Training, can_train, training_of
from mobile_export.runtime import Runner
from mobile_export.targets import Lowered, LoweringError
from mobile_export.verify import check
from mobile_export.verify.golden import golden_of


@dataclass(frozen=True)
class Request(Terms):
    """What is asked for, whatever the target. Raises ``BadInput`` for a value that there is not."""

    precision: str = "int8"
    out: Path = Path("artifacts")
    max_drop: float = check.MAX_DROP
    clips: int | None = None  # None: until the drop is shown, or time is over
    strict: bool = False
    allow_partial: bool = False
    deployment_target: str | None = None  # of Core ML; None: the oldest

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("precision", self.precision, combinations.PRECISIONS)
        check_number("max_drop", self.max_drop, most=100, none=False)
        check_whole("clips", self.clips, 1)
        if self.precision != "int8" and (self.qat_steps or self.qat_rate):
            raise BadInput(
                f"qat_steps and qat_rate are for int8, not for {self.precision}: leave them out"
            )


@dataclass(frozen=True)
class Result:
    """An export: the bundle's folder, and the figures of its check."""

    path: Path
    report: check.Report

    def to_dict(self) -> dict:
        """JSON-ready."""
        return self.report.to_dict() | {"path": str(self.path)}


class GateFailed(RuntimeError):
    """The artifact failed its check; ``result`` has the figures and where it was kept."""

    def __init__(self, result: Result) -> None:
        super().__init__(f"{result.path}: {'; '.join(result.report.failures)}")
        self.result = result


def export(
    target: str,
    *,
    checkpoint: Checkpoint | str | os.PathLike | None = None,
    form: str = "stream",
    precision: str = "int8",
    quantize: str | None = None,
    qat_steps: int | None = None,
    qat_rate: float | None = None,
    data: Source | str | os.PathLike | None = None,
    out: str | os.PathLike = "artifacts",
    max_drop: float = check.MAX_DROP,
    clips: int | None = None,
    strict: bool = False,
    allow_partial: bool = False,
    classes: ClassMap | Mapping | Sequence | str | os.PathLike | None = None,
    deployment_target: str | None = None,
    reporter: Reporter | None = None,
) -> Result:
    """Export a model for ``target`` (coreml, xnnpack or vulkan) as a verified bundle in ``out``.

    ``checkpoint`` is a file, a loaded one, or None for the one in the package. ``form`` is stream
    (a frame at a time) or clip, ``precision`` int8, fp16 or fp32; int8 is trained (``quantize``
    qat, ``qat_steps`` of 4 clips at Adam's ``qat_rate``), calibrated only (ptq), or calibrated and
    trained where the check finds too large a drop (auto). None is qat for the checkpoint in the
    package, whose training comes with it, and auto for any other. ``data`` is a
    folder of clips to calibrate and check on, None for rendered ones. ``max_drop`` is the top-1
    accuracy, in percentage points, that may be lost on the held-out ``clips``: None for as many as
    show whether it is, for a minute at most. ``report.verdict`` is then passed, failed or not
    shown; ``strict`` makes a failure of the last too. ``allow_partial`` accepts operators outside
    the delegate. ``classes``, a JSON file's path or its content, makes the model's classes others
    without training anew, see ``core.classes``; the bundle's labels are the new ones.
    ``deployment_target`` is the oldest system that loads a Core ML package: iOS17 (the default),
    iOS18 or iOS26.

    Nothing is printed; ``reporter(step, text)`` is told of every step, and
    ``mobile_export.console.Steps()`` prints them. Raises ``BadInput`` for what cannot be used and
    ``LoweringError`` where the target does not take the model, and then nothing is left behind;
    ``GateFailed`` for an artifact that failed its check, which is kept as ``<name>.rejected``.
    """
    check_choice("target", target, combinations.TARGETS)
    source = source_at(data)
    request = Request(
        form=form,
        precision=precision,
        quantize="auto" if quantize is None else quantize,
        qat_steps=qat_steps,
        qat_rate=qat_rate,
        data=source,
        out=check_path("out", out),
        max_drop=max_drop,
        clips=clips,
        strict=strict,
        allow_partial=allow_partial,
        classes=class_map(classes),
        deployment_target=deployment_target,
    )
    refused = combinations.refusal(target, form, precision, deployment_target)
    if refused:
        raise BadInput(refused)
    with reporting(reporter) as step:
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = load(bundled_path() if checkpoint is None else checkpoint)
        if form == "stream" and checkpoint.config.why_no_stream:
            raise BadInput(f"{checkpoint.config.why_no_stream}, or use the clip form")
        if quantize is None and checkpoint.sha256 == file_sha256(bundled_path()):
            request = replace(request, quantize="qat")
        if source is not None:
            request = replace(request, data=as_trained(source, checkpoint.info))
        result = _export(checkpoint, target, request, step)
    if result.report.failures:
        raise GateFailed(result)
    return result


def _export(trained: Checkpoint, target: str, request: Request, step: Reporter) -> Result:
    """Make one bundle under ``request.out``; one that failed lies under ``<name>.rejected``.

    With ``auto`` one that is calibrated alone, and a second that learned only where the first fails
    or seems to lose more than is allowed.
    """
    if request.quantize == "auto":
        # Who says how to train wants it trained.
        learns = request.qat_steps is not None or request.qat_rate is not None
        if request.precision == "int8" and can_train(trained, target) and not learns:
            made = _made(trained, target, replace(request, quantize="ptq"), step, first=True)
            if made is not None:
                return made
        request = replace(request, quantize="qat")
    made = _made(trained, target, request, step)
    assert made is not None, "kept whatever came of it"
    return made


def _made(
    trained: Checkpoint, target: str, request: Request, step: Reporter, first: bool = False
) -> Result | None:
    """One bundle; None for a ``first`` one after which another way has to be tried."""
    checkpoint, classes = regrouped(trained, request.classes)
    if classes is not None and classes.known:
        step("classes", classes.told())
    config, form, precision = checkpoint.config, request.form, request.precision
    name = bundle_name(config, form, target, precision, classes is not None)
    step("classes", told_idle(idle_labels(checkpoint.labels, checkpoint.info)))
    with staging(request.out, name) as folder:
        # Data that does not fit is found before the minutes of lowering.
        count = request.clips if request.data is None else None
        held = held_out(request.data, checkpoint, count, classes)
        unopened = count_unopened(held)
        pixels = _first_readable(held)
        training = Training()
        if precision == "int8":
            # Of the model as it was trained: what was learned for it serves other classes too.
            training = training_of(trained, target, request, step)
        step("lower", f"{config.backbone} {config.temporal}, {form}, {precision}, to {target}")
        lowered = _lower(checkpoint, target, request, training, folder)
        combination = (target, form, precision)
        manifest = make_manifest(checkpoint, lowered, combination, training.to_dict(), classes)
        bundle = Bundle(folder, manifest)
        runner = _started(bundle)
        size = manifest["artifact"]["bytes"] / 1e6
        step("execute", f"{lowered.artifact.name}, {size:.2f} MB, by {runner.name}")
        manifest["execution"] = {"runner": runner.name, "interpreted": runner.interpreted}
        manifest["golden"], failures = golden_of(bundle, runner, lowered.converted, pixels)
        clips = drawn(held, request.data, request.clips)
        at_most = "at most " if request.clips is None else ""
        part = trained_part(held, checkpoint)
        which = held_out_or(part)
        step("verify", f"checkpoint and artifact on {at_most}{len(clips)} {which}")
        report = check.check(
            bundle, checkpoint, runner, clips, request.max_drop, unopened,
            until_shown=request.clips is None, strict=request.strict, which=which,
        )  # fmt: skip
        step("accuracy", report.shown)
        report.failures.extend(failures)
        if first and (report.failures or report.comparison.drop > request.max_drop):
            step("quantize", "calibration alone is not enough: training under rounding as well")
            return None
        source = request.data
        seen = f"{source.kind} {source.folder.name}" if source else rendered_name(checkpoint)
        seen += f", {getattr(held, 'split', 'test')} split{part}"
        manifest["accuracy"] = _accuracy(report, seen)
        write_manifest(folder, manifest)
        final = request.out / name
        if report.failures:
            final, previous = reject(folder, final)
            step("write", f"REJECTED: {'; '.join(report.failures)}. Kept as {final}")
            if previous:
                step("write", f"the older bundle of that name is now {previous}")
        else:
            if _is_of_another(final, checkpoint):
                step("write", f"in the place of another model's bundle of that name: {final}")
            publish(folder, final)
            step("write", str(final))
    return Result(final, report)


def _is_of_another(final: Path, checkpoint: Checkpoint) -> bool:
    """Whether a bundle's name is that of one of another checkpoint: it does not say everything."""
    try:
        older = json.loads((final / MANIFEST).read_text(encoding="utf-8"))
        return older["checkpoint"]["sha256"] != checkpoint.sha256
    except (OSError, ValueError, LookupError, TypeError):
        return False  # there is none, or it says nothing


def _lower(
    checkpoint: Checkpoint, target: str, request: Request, training: Training, folder: Path
) -> Lowered:
    own = {}
    if request.deployment_target is not None:
        own["deployment_target"] = request.deployment_target
    with quiet():
        module = importlib.import_module(f"mobile_export.targets.{target}")
        return module.lower(
            copy.deepcopy(checkpoint.model),  # lowering may fold what the reference still needs
            request.form,
            request.precision,
            training.calibration,
            folder,
            labels=checkpoint.labels,
            learned=training.learned,
            allow_partial=request.allow_partial,
            **own,
        )


def _started(bundle: Bundle) -> Runner:
    """The runner of a new artifact after a first call, which is where some programs fail.

    Raises ``LoweringError``: the file was written a moment ago, so it is the lowering that is bad.
    """
    with quiet():
        try:
            runner = open_runner(bundle)
            runner(bundle.zeros())
        except (RuntimeError, ValueError, LookupError, TypeError, OSError) as error:
            cause = error.__cause__ or error  # the runtime's own words, if there are any
            line = (str(cause) or type(cause).__name__).splitlines()[0]
            raise LoweringError(
                f"the artifact was written but does not load or run ({line}); use another target "
                "or precision"
            ) from None
    return runner


def _first_readable(clips: Clips) -> Tensor:
    """Frames of the first clip that is no black stand-in for one that cannot be read."""
    for index in range(len(clips)):
        pixels, label = clips[index]
        if label != IGNORE:
            return pixels
    raise BadInput(f"none of the {len(clips)} held-out clips can be read: repair them")


def _accuracy(report: check.Report, data: str) -> dict:
    figures = report.to_dict()
    kept = {key: figures[key] for key in report.comparison.to_dict()}
    gate = {key: figures[key] for key in ("max_drop", "verdict")}
    rejected = {"failures": report.failures} if report.failures else {}
    return {"data": data} | kept | gate | rejected
