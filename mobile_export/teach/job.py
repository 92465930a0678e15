"""The whole job: features, judgement by session, the model of all clips, its bundle.

It is a function of the folder and its terms; what is done is kept in the folder's ``.teach``, so
that a job that was stopped, cancelled or killed goes on where it was.
"""

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import checkpoint
from core.checkpoint import Checkpoint
from core.data.fingerprint import mark
from core.data.listed import LEAST_TO_SPLIT
from core.data.source import Source
from core.decision import idle_labels
from core.errors import BadInput, one_line
from core.files import write_json
from core.training.frozen import LEAST_STEPS, Maps, border_of
from mobile_export.console import Reporter
from mobile_export.exporter import GateFailed, export
from mobile_export.teach import advice, learn, words
from mobile_export.teach.crossval import Judgement, folds_of
from mobile_export.teach.extend import Known, known_of, loss_of
from mobile_export.teach.features import (
    FOLDER,
    NO_ROOM,
    VARIANTS,
    Cache,
    Found,
    clip_maps,
    no_room,
)
from mobile_export.teach.folder import WORK, Clip, read_folder, set_aside
from mobile_export.teach.progress import Progress, alone
from mobile_export.teach.rule import RATE, choose

MODEL, REPORT = "model.safetensors", "report.json"
EXPORT_SHARE = 0.4  # of --minutes that is kept for the export
TRAIN_SHARE = 0.3  # that training has at least, however long it took to look at the clips
EXPORT_STEPS = ("classes", "quantize", "lower", "execute", "verify", "accuracy", "write")


@dataclass(frozen=True)
class Terms:
    """What is asked for."""

    root: Path
    target: str | None  # None: no bundle
    out: Path
    base: Path | None = None  # checkpoint to start from; None: the one in the package
    precision: str = "int8"
    quantize: str = "auto"
    minutes: float | None = None
    false_rate: float = RATE  # events a minute
    steps: int = learn.STEPS
    seed: int = 0
    extend: bool = False  # keep the gestures of the base


@dataclass(frozen=True)
class Outcome:
    """What came of it: the report, the model, the bundle's folder."""

    report: dict[str, Any]
    model: Path
    bundle: Path | None


def teach(terms: Terms, reporter: Reporter) -> Outcome:
    """Run the job, or what is left of it.

    Raises ``BadInput`` in one line for what cannot be used, with nothing lost, and ``GateFailed``
    for a bundle that failed its check.
    """
    work = terms.root / WORK
    if not terms.root.is_dir():
        read_folder(terms.root)  # says what is wrong with it
    try:
        with alone(work):
            progress = Progress(work / "progress.json")
            with _told(progress):
                return _Job(terms, work, progress, reporter).run()
    except OSError as error:
        if error.errno in NO_ROOM:
            raise no_room(work, error) from None
        if isinstance(error, PermissionError):
            raise BadInput(f"{work} cannot be written: give a folder of your own") from None
        raise


@contextmanager
def _told(progress: Progress) -> Iterator[None]:
    """Leave a last word in the progress file, however it ends."""
    progress.write()
    try:
        yield
    except BadInput as error:
        progress.end("failed", one_line(error))
        raise
    except GateFailed as error:
        progress.end("failed", str(error))
        raise
    except OSError as error:
        full = error.errno in NO_ROOM
        progress.end("failed", "the disk is full: make room" if full else str(error))
        raise
    except (SystemExit, KeyboardInterrupt):
        progress.end("stopped", "stopped; training again goes on from there")
        raise
    except BaseException:
        progress.end("failed", "an error in the program, see its output")
        raise
    else:
        progress.end("done", "done")


class _Job:
    """One run; each method is a stage."""

    def __init__(self, terms: Terms, work: Path, progress: Progress, step: Reporter) -> None:
        self.terms, self.work, self.progress, self.step = terms, work, progress, step
        self.began = time.monotonic()
        self.cpu = time.process_time()
        self.times: dict[str, dict[str, float]] = {}
        self.notes: list[str] = []
        self.until: float | None = None  # the end of all trainings, from the first one on

    def run(self) -> Outcome:
        terms, step = self.terms, self.step
        clips = read_folder(terms.root)
        base = checkpoint.load(terms.base or checkpoint.bundled_path())
        if base.config.why_no_stream:
            raise BadInput(f"{base.config.why_no_stream}, or start from another --from")
        step("clips", words.counts(clips))
        border = border_of(base.model)
        cache = Cache(self.work / FOLDER, base, border)
        known = self._known(base, border, cache) if terms.extend else None
        clips, found = self._features(clips, cache)
        labels = sorted({clip.label for clip in clips})
        if known is not None:
            labels = base.labels + [name for name in labels if name not in base.labels]
        idle = frozenset(labels.index(name) for name in idle_labels(labels))
        maps = Maps([f.maps for f in found], [labels.index(c.label) for c in clips], idle)
        folder = self._folder(clips, found, base, border)
        kept = set_aside(terms.root, clips, folder) if terms.target else None
        judgement = self._judge(clips, labels, maps, known, base, border, folder)
        decision = choose(judgement, {}, base.config.frame_rate, terms.false_rate)
        judged = judgement.to_dict()
        self.step("judged", words.accuracy(judged))
        self.step("rule", words.rule(decision))
        model = self._train(clips, labels, maps, known, base, border, folder, decision, judged)
        told = [*self.notes, *advice.of_clips(clips), *advice.of_judgement(judgement)]
        report: dict[str, Any] = {
            "classes": dict(Counter(c.label for c in clips)),
            "judged": judged, "decision": decision, "advice": told,
        }  # fmt: skip
        if known is not None:
            after = checkpoint.load(model).model
            report["known"] = loss_of(known, learn.copy_of(base).model, after, border)
            step("known", words.known(report["known"]))
        for line in told:
            step("advice", line)
        # Before the export, which may fail, and after it.
        report |= {"bundle": None, "stages": self.times}
        write_json("report", self.work / REPORT, report)
        bundle = self._export(model, kept)
        report["bundle"] = self.progress.bundle = str(bundle) if bundle else None
        write_json("report", self.work / REPORT, report)
        return Outcome(report, self.work / MODEL, bundle)

    def _known(self, base: Checkpoint, border: int, cache: Cache) -> Known:
        self.step("replay", f"rendered clips of the {len(base.labels)} gestures that it knows")
        idle = frozenset(base.labels.index(name) for name in idle_labels(base.labels))

        def told(done: int, of: int) -> None:
            self.progress.tell("features", 0.5 * done / of, f"rendering clip {done} of {of}")

        with self._timed("replay"):
            return known_of(base, border, cache, idle, told)

    def _features(self, clips: list[Clip], cache: Cache) -> tuple[list[Clip], list[Found]]:
        self.step("features", f"of {len(clips)} clips, {cache.border} parts of the trunk frozen")

        def told(done: int, of: int) -> None:
            self.progress.tell("features", done / of, f"looking at clip {done} of {of}")

        with self._timed("features"):
            kept, found, broken = clip_maps(cache, self.terms.root, clips, told)
        cache.prune()
        for clip, reason in broken:
            self.notes.append(f"{clip.label}/{clip.path.name} cannot be read ({reason}): left out")
        for clip, one in zip(kept, found, strict=True):
            if one.doubt:
                self.notes.append(f"{clip.label}/{clip.path.name}: {one.doubt}")
        sizes = Counter(clip.label for clip in kept)
        for clip, reason in broken:
            if sizes[clip.label] < LEAST_TO_SPLIT:
                raise BadInput(
                    f"{self.terms.root}: class {clip.label!r} has {sizes[clip.label]} clips that "
                    f"can be read ({clip.path.name}: {reason}): record more"
                )
        return kept, found

    def _folder(self, clips: list[Clip], found: list[Found], base: Checkpoint, border: int) -> Path:
        """Where this job keeps what it has done; those of other clips and terms go."""
        terms = self.terms
        digest = hashlib.sha256(
            f"3 {base.sha256} {border} {VARIANTS} {terms.steps} {terms.minutes} {terms.seed} "
            f"{terms.extend}".encode()
        )
        for clip, one in zip(clips, found, strict=True):
            digest.update(f"{one.key} {clip.label} {clip.session}".encode())
        folder = self.work / f"job-{digest.hexdigest()[:16]}"
        for old in self.work.glob("job-*"):
            if old != folder:
                shutil.rmtree(old, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        return folder

    def _budget(self, trainings: int) -> float | None:
        """The moment until which one of the trainings that are left may last."""
        if self.terms.minutes is None:
            return None
        if self.until is None:
            share = 1 - EXPORT_SHARE if self.terms.target else 1.0
            end, now = self.began + 60 * share * self.terms.minutes, time.monotonic()
            self.until = max(end, now + 60 * TRAIN_SHARE * self.terms.minutes)
        return time.monotonic() + max(0.0, self.until - time.monotonic()) / trainings

    def _judge(
        self, clips: list[Clip], labels: list[str], maps: Maps, known: Known | None,
        base: Checkpoint, border: int, folder: Path,
    ) -> Judgement:  # fmt: skip
        folds, counted = folds_of(clips)
        judgement = Judgement(labels, clips, counted)

        def after() -> None:
            self.progress.judged = judgement.to_dict()
            self.progress.write()

        self.step("judge", f"{len(folds)} parts held out in turn")
        with self._timed("judge"):
            learn.judge(
                base, border, maps, known.replayed if known else None, judgement, folds, folder,
                self.terms.seed, self.terms.steps,
                lambda part, text: self.progress.tell("judge", part, text),
                self._budget, after, known.head if known else None,
            )  # fmt: skip
        return judgement

    def _train(
        self, clips: list[Clip], labels: list[str], maps: Maps, known: Known | None,
        base: Checkpoint, border: int, folder: Path, decision: dict, judged: dict,
    ) -> Path:  # fmt: skip
        path = folder / MODEL
        if not path.is_file():
            self.step("train", "on all clips")

            def told(done: int, of: int) -> None:
                self.progress.tell("train", done / of, f"training, step {done}")

            with self._timed("train"):
                model, steps = learn.learned(
                    base, border, learn.together(maps, known.replayed if known else None),
                    len(labels), self.terms.seed, self.terms.steps, told, self._budget(1),
                    known.head if known else None,
                )  # fmt: skip
            taught = {
                "base": base.sha256, "frozen": border, "steps": steps, "judged": judged,
                "clips": sorted({mark(clip.path) for clip in clips} | _clips_of(base)),
            }  # fmt: skip
            info = {"taught": taught, "decision": decision}
            checkpoint.save(path, model, labels, info)
        else:
            made = checkpoint.load(path)
            steps = made.info["taught"]["steps"]
            if made.info["decision"] != decision:  # another rate was asked for
                checkpoint.save(path, made.model, made.labels, made.info | {"decision": decision})
        if steps < min(LEAST_STEPS, self.terms.steps):
            minutes = self.terms.minutes
            self.notes.append(f"{minutes:g} minutes ended training after {steps} steps: give more")
        final = self.work / MODEL
        if not final.is_file() or final.read_bytes() != path.read_bytes():
            shutil.copyfile(path, final.with_suffix(".new"))
            final.with_suffix(".new").replace(final)
        return final

    def _export(self, model: Path, clips: Path | None) -> Path | None:
        terms = self.terms
        if terms.target is None or clips is None:
            return None

        def told(name: str, text: str) -> None:
            at = EXPORT_STEPS.index(name) if name in EXPORT_STEPS else 1
            self.progress.tell("export", at / len(EXPORT_STEPS), f"{name}: {text}")
            self.step(name, text)

        with self._timed("export"):
            result = export(
                terms.target, checkpoint=model, precision=terms.precision, quantize=terms.quantize,
                data=Source(clips), out=terms.out, reporter=told,
            )  # fmt: skip
        return result.path

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        wall, cpu = time.monotonic(), time.process_time()
        yield
        self.times[stage] = {
            "seconds": round(time.monotonic() - wall, 2),
            "processor_seconds": round(time.process_time() - cpu, 2),
        }


def _clips_of(base: Checkpoint) -> set[str]:
    """The marks of clips that a base was taught itself."""
    return set(base.info.get("taught", {}).get("clips", ()))
