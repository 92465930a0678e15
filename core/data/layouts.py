"""Which data set a folder holds, and its clips by the view that a split is seen in.

``Source`` is what a command line says about data; everything else opens clips through it.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from core.data import egogesture, jester, something
from core.data.crops import test_view, training_view, validation_view
from core.data.folder import find_clips
from core.data.labels import entries
from core.data.records import MAX_BROKEN, Listing, Record, RecordClips
from core.data.sampling import KINDS, default_kind
from core.errors import BadInput
from core.model import ModelConfig
from core.options import percent

READERS = {"jester": jester.find, "something": something.find, "egogesture": egogesture.find}
DATASETS = (*READERS, "folder")
# How a picture is resized before the crop: in training, and in validation and test.
FITS = {
    "jester": ("short", "short"),
    "something": ("none", "short"),
    "egogesture": ("square", "square"),
    "folder": ("short", "short"),
}


@dataclass(frozen=True)
class Source:
    """Where clips come from and how they are seen; ``None`` leaves a choice to the layout."""

    data: Path | None = None  # None: synthetic gestures
    dataset: str | None = None
    sampling: str | None = None
    max_broken: float = MAX_BROKEN

    @property
    def kind(self) -> str:
        """The data set's name, found out where it was not given."""
        return self.dataset or detect(self.data)

    @property
    def is_plain(self) -> bool:
        """Whether this is a folder of one's own clips, seen as a stream sees them."""
        return self.kind == "folder" and self.sampling in (None, "windows")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``Source``."""
    add = parser.add_argument
    add("--data", type=Path, help="folder of clips; default: synthetic gestures")
    add(
        "--dataset", choices=DATASETS,
        help="layout of --data; default: recognised from its label files",
    )  # fmt: skip
    add(
        "--sampling", choices=KINDS,
        help="one frame of each of equal segments, or frames in a row; default: segments for a "
        "bidirectional model on a data set, else windows",
    )  # fmt: skip
    add(
        "--max-broken", type=percent, metavar="PERCENT",
        help=f"clips that may be missing or broken, default {100 * MAX_BROKEN:g}",
    )  # fmt: skip


def source_of(args: argparse.Namespace) -> Source:
    """What the options say. Raises ``BadInput`` for options of data without ``--data``."""
    if args.data is None:
        given = [
            name
            for name in ("dataset", "sampling", "max_broken")
            if getattr(args, name) is not None
        ]
        if given:
            option = "--" + given[0].replace("_", "-")
            raise BadInput(f"{option} is of clips in a folder: give their folder with --data DIR")
        return Source()
    broken = MAX_BROKEN if args.max_broken is None else args.max_broken / 100
    return Source(args.data, args.dataset, args.sampling, broken)


def detect(root: Path) -> str:
    """The data set whose label files a folder has; ``folder`` without any.

    Raises ``BadInput`` when it has those of two.
    """
    places = (root, root / "labels")
    marks = {
        "jester": any((place / jester.MARK).is_file() for place in places),
        "something": any((p / mark).is_file() for p in places for mark in something.MARKS),
        "egogesture": any(name.lower().startswith("subject") for name in entries(root / "labels")),
    }
    found = [name for name, there in marks.items() if there]
    if len(found) > 1:
        raise BadInput(f"{root} looks like {' and '.join(found)}: say which with --dataset")
    return found[0] if found else "folder"


def listing(source: Source, split: str, labels: list[str] | None, frame_rate: float) -> Listing:
    """The clips of a split by the layout's label files. Raises ``BadInput`` as the readers do."""
    kind = source.kind
    if kind != "folder":
        if not source.data.is_dir():
            raise BadInput(f"data folder {source.data} does not exist: give the folder of {kind}")
        return READERS[kind](source.data, split, labels)
    names, clips = find_clips(source.data, split, labels)
    records = [Record(p, label, frame_rate if p.is_dir() else 0.0) for p, label in clips]
    return Listing(names, records, split)


def open_records(
    source: Source,
    split: str,
    config: ModelConfig,
    *,
    labels: list[str] | None = None,
    seed: int = 0,
    train: bool = False,
    replace: bool = True,
    views: tuple[int, int] = (1, 1),
) -> RecordClips:
    """Clips of a data set in the view of its published protocol, at the size of ``config``.

    ``views`` are the clips and crops of a test. Says on stderr what was found.
    """
    kind = source.kind
    fit = FITS[kind][0 if train else 1]
    clips, crops = views
    if train:
        view = training_view(fit, config.size)
    elif views == (1, 1):
        view = validation_view(fit, config.size)
    else:
        view = test_view(fit, config.size, crops)
    found = listing(source, split, labels, config.frame_rate)
    sampling = source.sampling or default_kind(config.causal)
    told = "" if source.dataset else " (recognised by its label files)"
    sys.stderr.write(
        f"{source.data}: {kind}{told}, {found.split}: {len(found.records)} clips of "
        f"{len(found.labels)} classes, {sampling} of {config.frames} frames\n"
    )
    data = RecordClips(
        found, view, sampling=sampling, frames=config.frames, frame_rate=config.frame_rate,
        clips=clips, seed=seed, train=train, replace=replace, max_broken=source.max_broken,
    )  # fmt: skip
    if not len(data):
        raise BadInput(f"{source.data} has no {split} clips: give the whole data set")
    return data
