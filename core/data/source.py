"""What a command line says about data, and which data set a folder holds.

Nothing in here reads clips: training on rendered gestures needs neither PyAV nor Pillow.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from core.data.labels import entries
from core.data.sampling import KINDS
from core.errors import BadInput
from core.options import percent

PUBLISHED = ("jester", "something", "egogesture")
DATASETS = (*PUBLISHED, "folder")
# The label files that a data set is known by; EgoGesture has folders of subjects.
MARKS = {
    "jester": ("jester-v1-labels.csv",),
    "something": ("labels.json", "something-something-v2-labels.json"),
}
MAX_BROKEN = 0.1  # of all clips: one in a thousand is life, one in ten is a failed download


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
        name: any((place / mark).is_file() for place in places for mark in marks)
        for name, marks in MARKS.items()
    }
    subjects = (name.lower().startswith("subject") for name in entries(root / "labels"))
    marks["egogesture"] = any(subjects)
    found = [name for name, there in marks.items() if there]
    if len(found) > 1:
        raise BadInput(f"{root} looks like {' and '.join(found)}: say which with --dataset")
    return found[0] if found else "folder"


def trained_sampling(info: dict) -> str | None:
    """The sampling that a checkpoint's model was trained with, where its info tells."""
    settings = info.get("settings")
    return settings.get("sampling") if isinstance(settings, dict) else None
