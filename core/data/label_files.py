"""What the readers of label files share."""

import os
import sys
from pathlib import Path

from core.errors import BadInput


def label_folder(root: Path, *names: str) -> Path:
    """``root`` or ``root/labels``, whichever holds a file of one of these names.

    Raises ``BadInput`` when neither does.
    """
    for folder in (root, root / "labels"):
        if any((folder / name).is_file() for name in names):
            return folder
    raise BadInput(f"{root} has no {names[0]}, here or in 'labels': give the data set's folder")


def text_of(path: Path) -> str:
    """A label file's text; raises ``BadInput`` when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"label file {path} cannot be read ({error.strerror}): add it") from None
    except UnicodeDecodeError:
        raise BadInput(f"label file {path} is not text in UTF-8: copy it again") from None


def lines_of(path: Path) -> list[str]:
    """The lines of a list without blanks around them and without empty ones.

    A byte-order mark and any ends of lines are no part of a name. Raises as ``text_of``.
    """
    return [line.strip() for line in text_of(path).splitlines() if line.strip()]


def entries(folder: Path) -> dict[str, bool]:
    """Names in a folder and whether each is a folder; one pass instead of a look at every clip."""
    try:
        with os.scandir(folder) as found:
            return {entry.name: entry.is_dir() for entry in found}
    except OSError:
        return {}


def in_order(root: Path, names: list[str], labels: list[str] | None) -> list[str]:
    """The class names in the order of a model's labels, which must be the same names."""
    if labels is None:
        return names
    unknown, missing = sorted(set(names) - set(labels)), sorted(set(labels) - set(names))
    if unknown or missing:
        which = f"unknown class {unknown[0]!r}" if unknown else f"no class {missing[0]!r}"
        raise BadInput(
            f"data set {root} has {which} ({len(unknown)} unknown, {len(missing)} missing): its "
            f"classes must be the model's {len(labels)} labels"
        )
    return list(labels)


def stand_in(root: Path) -> str:
    """The split in the place of a test split whose labels were never published; says so."""
    print(f"note: {root} has no test labels: its validation clips stand in", file=sys.stderr)
    return "val"
