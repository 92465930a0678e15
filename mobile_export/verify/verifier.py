"""The proof of a bundle repeated: what it takes, and the API's function that does it."""

import os
from dataclasses import dataclass
from pathlib import Path

from core.checkpoint import Checkpoint
from core.classes import class_map
from core.data.clips import Clips
from core.data.source import Source, as_trained, source_at
from core.options import check_number, check_path, check_whole
from mobile_export.bundle.origin import find_checkpoint, require_same
from mobile_export.bundle.reader import Bundle, load
from mobile_export.bundle.runner import opened
from mobile_export.clips import count_unopened, drawn, held_out, held_out_or, trained_part
from mobile_export.console import Reporter, reporting
from mobile_export.verify.check import MAX_DROP, Report, check


@dataclass(frozen=True)
class Evidence:
    """A bundle, the checkpoint that it was made from, and the clips to compare them on."""

    bundle: Bundle
    checkpoint: Checkpoint
    clips: Clips  # in the order in which they are looked at
    unopened: int  # clips that were broken from the start, beside these
    which: str  # what the clips are: held out, or those that it was trained on


def gather(path: Path, checkpoint: Path | None, data: Source | None, clips: int | None) -> Evidence:
    """Everything that a verification needs; raises ``BadInput`` for what does not fit together."""
    bundle = load(path)
    origin = find_checkpoint(bundle, checkpoint)
    require_same(bundle, origin)
    if data is not None:
        data = as_trained(data, origin.info)
    count = clips if data is None else None
    classes = class_map(bundle.manifest.get("classes"))
    labels = bundle.manifest["labels"]
    held = held_out(data, origin, count, classes, labels)
    if data is None:
        held[0]  # what cannot be drawn is said here, in one line, not by a worker
    which = held_out_or(trained_part(held, origin))
    return Evidence(bundle, origin, drawn(held, data, clips), count_unopened(held), which)


def verify(
    bundle: str | os.PathLike[str],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    data: Source | str | os.PathLike[str] | None = None,
    clips: int | None = None,
    max_drop: float = MAX_DROP,
    strict: bool = False,
    runner: str | os.PathLike[str] | None = None,
    reporter: Reporter | None = None,
) -> Report:
    """Replay the golden clip of a bundle and compare it with its checkpoint on held-out clips.

    ``checkpoint`` is the file that the bundle was made from when it is not the one in the package,
    ``data`` a folder of clips, None for rendered ones.
    ``max_drop`` is the top-1 accuracy, in percentage points, that may be lost. ``clips`` are looked
    at until they show whether it is, for a minute at most, or as many as are given. ``runner`` is
    a program of the user's that executes an ExecuTorch artifact, see docs/bundle.md.

    The report's ``verdict`` is passed, failed or not shown; its ``failures`` are empty when all is
    well, and with ``strict`` have what was not shown too. Raises ``BadInput`` for what cannot be
    used, a file that was changed after the export among it. Prints nothing; see ``export``.
    """
    check_number("max_drop", max_drop, most=100, none=False)
    check_whole("clips", clips, 1)
    folder = check_path("bundle", bundle)
    origin = None if checkpoint is None else check_path("checkpoint", checkpoint)
    program = None if runner is None else check_path("runner", runner)
    source = source_at(data)
    with reporting(reporter) as step:
        found = gather(folder, origin, source, clips)
        at_most = "at most " if clips is None else ""
        number = f"{at_most}{len(found.clips)}"
        with opened(found.bundle, program) as run:
            step("verify", f"golden clip and {number} {found.which}, {run.name}")
            report = check(
                found.bundle, found.checkpoint, run, found.clips, max_drop, found.unopened,
                until_shown=clips is None, strict=strict, which=found.which,
            )  # fmt: skip
        step("accuracy", report.shown)
        return report
