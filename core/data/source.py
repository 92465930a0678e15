"""What a command line says about data, and which data set a folder holds.

Nothing in here reads clips: training on rendered gestures needs neither PyAV nor Pillow.
"""

import argparse
import os
from dataclasses import dataclass, replace
from pathlib import Path

from core.data.label_files import PLACES, entries
from core.data.listed import SUFFIXES, classes_of, find_lists, is_listed
from core.errors import BadInput
from core.labels import LABELS
from core.options import (
    DATASETS,
    MAX_BROKEN,
    SAMPLINGS,
    check_choice,
    check_number,
    check_path,
)

PUBLISHED = tuple(name for name in DATASETS if name not in ("folder", "list"))
# The label files that a data set is known by; EgoGesture has folders of subjects.
MARKS = {
    "jester": ("jester-v1-labels.csv",),
    "something": ("labels.json", "something-something-v2-labels.json"),
}


def most_broken(share: float, total: int) -> float:
    """How many of ``total`` clips may be missing or broken.

    A single one never stops a run that allows any, or five clips could not lose one.
    """
    return max(share * total, 1 if share else 0)


@dataclass(frozen=True)
class Source:
    """Where clips come from and how they are seen; ``None`` leaves a choice to the layout.

    Raises ``BadInput`` for a value that there is not.
    """

    data: Path | None = None  # None: rendered gestures
    dataset: str | None = None
    sampling: str | None = None
    max_broken: float = MAX_BROKEN
    root: Path | None = None  # where the paths of a list begin

    def __post_init__(self) -> None:
        for name in ("data", "root"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, check_path(name, value))
        for name, known in (("dataset", DATASETS), ("sampling", SAMPLINGS)):
            if getattr(self, name) is not None:
                check_choice(name, getattr(self, name), known)
        check_number("max_broken", self.max_broken, most=1, none=False)

    @property
    def kind(self) -> str:
        """The data set's name, found out where it was not given."""
        return self.dataset or detect(self.folder)

    @property
    def folder(self) -> Path:
        """The folder or list; only for clips that are not rendered."""
        assert self.data is not None, "rendered gestures have no folder"
        return self.data

    @property
    def is_plain(self) -> bool:
        """Whether this is a folder of one's own clips, seen as a stream sees them."""
        return self.kind == "folder" and self.sampling in (None, "windows")


def source_of(args: argparse.Namespace) -> Source:
    """What ``add_data_options`` got. Raises ``BadInput`` for options of data without ``--data``."""
    if args.data is None:
        given = [
            name
            for name in ("dataset", "sampling", "max_broken", "root")
            if getattr(args, name) is not None
        ]
        if given:
            option = "--" + given[0].replace("_", "-")
            raise BadInput(f"{option} is of clips in a folder: give their folder with --data DIR")
        return Source()
    broken = MAX_BROKEN if args.max_broken is None else args.max_broken / 100
    source = Source(args.data, args.dataset, args.sampling, broken, args.root)
    if args.root is not None and source.kind != "list":
        raise BadInput(
            f"--root is of a list of clips, and {args.data} is a {source.kind}: leave it out"
        )
    return source


def source_at(data: "Source | str | os.PathLike[str] | None") -> Source | None:
    """What a call was given: a source, the folder of one, or ``None`` for rendered gestures."""
    if isinstance(data, Source):
        return data if data.data is not None else None
    return None if data is None else Source(check_path("data", data))


def detect(root: Path) -> str:
    """The data set whose label files a folder has; ``folder`` without any, ``list`` for a file.

    Raises ``BadInput`` when it has those of two.
    """
    if root.is_file() and root.suffix.lower() in SUFFIXES:
        return "list"
    marks = {
        name: any((root / place / mark).is_file() for place in PLACES for mark in marks)
        for name, marks in MARKS.items()
    }
    marks["jester"] = marks["jester"] or _lists_jester(root)
    folders = [name for name, is_folder in entries(root).items() if is_folder]
    marks["egogesture"] = any(
        name.lower().startswith("subject")
        for folder in folders
        if folder.lower().startswith("labels")
        for name in entries(root / folder)
    )
    found = [name for name, there in marks.items() if there]
    if len(found) > 1:
        raise BadInput(f"{root} looks like {' and '.join(found)}: say which with --dataset")
    return found[0] if found else "folder"


def _lists_jester(root: Path) -> bool:
    """Whether lists of clips by number are Jester's: by the folder of its clips or its classes."""
    if "train" not in find_lists(root):
        return False
    if (root / "20bn-jester-v1").is_dir():
        return True
    return is_listed(root) and set(classes_of(root)) <= set(LABELS)


def trained_sampling(info: dict) -> str | None:
    """The sampling that a checkpoint's model was trained with, where its info tells."""
    settings = info.get("settings")
    return settings.get("sampling") if isinstance(settings, dict) else None


def trained_capsules(info: dict) -> str | None:
    """The difficulty of the capsules that a checkpoint's model was trained on; None for others."""
    settings = info.get("settings")
    return settings.get("capsules") if isinstance(settings, dict) else None


def as_trained(source: Source, info: dict) -> Source:
    """The source, seen as the model of a checkpoint's ``info`` was trained unless it says how."""
    if source.data is None:
        return source
    return replace(source, sampling=source.sampling or trained_sampling(info))


def given_source(args: argparse.Namespace, info: dict) -> Source | None:
    """What the options say for the model of a checkpoint's ``info``; ``None`` for rendered clips.

    Raises ``BadInput`` as ``source_of`` does.
    """
    source = source_of(args)
    return None if source.data is None else as_trained(source, info)
