"""What the readers of label files share."""

import csv
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from core.errors import BadInput

PLACES = ("", "labels", "annotations")  # below a data set's folder
SPLITS = ("train", "val", "test")
# What splits are called; other words may stand beside these.
SPELLINGS = {"train": "train", "training": "train", "trn": "train"}
SPELLINGS |= {"val": "val", "valid": "val", "validation": "val", "validate": "val", "dev": "val"}
SPELLINGS |= {"test": "test", "testing": "test", "tst": "test"}
BESIDE = frozenset({"set", "data", "dataset", "split", "clips", "videos", "frames", "images"})
# What the columns of a list are called in its header row, without case and signs between words.
IDS = ("id", "videoid", "video", "videoname", "clip", "clipid", "file", "filename", "path", "name")
CLASSES = ("label", "class", "template", "gesture", "labelname", "classname", "action", "category")

ClipRow = tuple[int, str, str | None]  # line, a clip's id and its class, None where it has none


def split_name(folder: str) -> str | None:
    """The split that a folder's name says, in any case and usual spelling; ``None`` for others."""
    words = re.findall(r"[a-z]+", folder.lower())
    known = {SPELLINGS[word] for word in words if word in SPELLINGS}
    only = all(word in SPELLINGS or word in BESIDE for word in words)
    return known.pop() if only and len(known) == 1 else None


def find_file(root: Path, names: Sequence[str], places: Sequence[str] = PLACES) -> Path | None:
    """The first of these files, in any case, in ``root`` or a folder below it for labels."""
    for place in places:
        there = {
            name.lower(): name for name, is_folder in entries(root / place).items() if not is_folder
        }
        for name in names:
            if name.lower() in there:
                return root / place / there[name.lower()]
    return None


def label_folder(root: Path, *names: str) -> Path:
    """``root`` or a folder for labels in it, whichever holds a file of one of these names.

    Raises ``BadInput`` when none does.
    """
    for place in PLACES:
        if any((root / place / name).is_file() for name in names):
            return root / place
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


def rows_of(path: Path) -> list[ClipRow]:
    """The rows of a list of clips, ``id;label``, with ``,`` or tabs as well.

    A header row says which columns are meant. Without one the first cell is the clip and its class
    the next one, where that is not a number beside a name. Raises as ``text_of``.
    """
    lines = [(n, s.strip()) for n, s in enumerate(text_of(path).splitlines(), 1) if s.strip()]
    if not lines:
        return []
    mark = next((sign for sign in ";\t," if sign in lines[0][1]), ";")
    # Only cells between commas are quoted: templates have quotation marks of their own.
    apart = [next(csv.reader([s])) if mark == "," else s.split(mark) for _, s in lines]
    cells = [[cell.strip() for cell in row] for row in apart]
    head = [re.sub(r"[\W_]", "", cell.lower()) for cell in cells[0]]
    at = next((head.index(name) for name in IDS if name in head), None)
    kind = next((head.index(name) for name in CLASSES if name in head), None)
    first = 0 if at is None or (len(head) > 1 and kind is None and cells[0][1].isdecimal()) else 1
    found: list[ClipRow] = []
    for (number, _), row in zip(lines[first:], cells[first:], strict=True):
        if first:
            label = row[kind] if kind is not None and kind < len(row) else None
            found.append((number, row[at] if at is not None and at < len(row) else "", label))
            continue
        rest = [cell for cell in row[1:] if cell]
        named = [cell for cell in rest if not cell.isdecimal()] or rest[:1]
        found.append((number, row[0], "; ".join(named) or None))
    return found


def names_in(path: Path) -> list[str]:
    """The class names of a list, one a line, with or without a number and a header row.

    Raises ``BadInput`` for a name twice.
    """
    lines = lines_of(path)
    if lines and re.sub(r"[^a-z]", "", lines[0].lower()).removesuffix("s") in ("label", "class"):
        lines = lines[1:]
    numbered = [re.fullmatch(r"\d+\s*[;,\t]\s*(.+)|(.+?)\s*[;,\t]\s*\d+", line) for line in lines]
    names = [(m[1] or m[2]) if m else line for m, line in zip(numbered, lines, strict=True)]
    names = names if all(numbered) else lines
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise BadInput(f"{path} has the class {twice!r} twice: leave one")
    return names


def entries(folder: Path) -> dict[str, bool]:
    """Names in a folder and whether each is a folder; one pass instead of a look at every clip."""
    try:
        with os.scandir(folder) as found:
            return {entry.name: entry.is_dir() for entry in found}
    except OSError:
        return {}


def in_order(
    root: Path, names: list[str], labels: list[str] | None, what: str = "data set"
) -> list[str]:
    """The class names in the order of a model's labels, of which they may be a part; says so."""
    if labels is None:
        return names
    unknown, missing = sorted(set(names) - set(labels)), sorted(set(labels) - set(names))
    if unknown:
        raise BadInput(
            f"{what} {root} has unknown class {unknown[0]!r} ({len(unknown)} unknown, "
            f"{len(missing)} missing): its classes must be among the model's {len(labels)} labels"
        )
    if missing:
        sys.stderr.write(
            f"note: {what} {root} has {len(names)} of the model's {len(labels)} classes, not "
            f"{', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}: figures are over "
            "those that it has\n"
        )
    return list(labels)


def stand_in(root: Path) -> str:
    """The split in the place of a test split that has no labels; says so."""
    print(f"note: {root} has no test labels: its validation clips stand in", file=sys.stderr)
    return "val"
