"""Clips by a list of one's own: a path, a label and what else is known, one clip a row.

```
path,label,start,end,group,split          a header row names the columns, in any order
ann/wave-01.mp4,wave,0.5,2.1,ann,train
frames/17,swipe left,,,ben,val            a folder of frame images

clips/wave-01.mp4 0                       without one: path and label, blanks or commas between
clips/wave-02.mp4 48 0                    (or path, number of frames and label, as TSN has it)
```

Paths are relative to the list or to ``--root``. ``start`` and ``end`` are seconds of a longer
recording. A column ``rate`` has the frames a second of folders of images; without it they are taken
to be at the model's. Without splits, clips are split by a hash of their group, or of their path.
"""

import csv
import io
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from core.data.label_files import CLASSES, IDS, in_order, split_name, text_of
from core.data.listed import hashed_split
from core.data.records import Listing, Record, exact
from core.errors import BadInput
from core.files import write_whole

COLUMNS = ("path", "label", "start", "end", "group", "split", "rate")
NUMBERS = {"start": "seconds", "end": "seconds", "rate": "frames a second"}
NAMES = dict.fromkeys(IDS, "path") | dict.fromkeys(CLASSES, "label")
NAMES |= {"start": "start", "begin": "start", "starttime": "start", "end": "end", "stop": "end"}
NAMES |= {"endtime": "end", "group": "group", "subject": "group", "person": "group"}
NAMES |= {"signer": "group", "session": "group", "split": "split", "subset": "split"}
NAMES |= {"rate": "rate", "framerate": "rate", "fps": "rate"}


@dataclass(frozen=True)
class Row:
    """One row of a list; ``line`` is where it stands."""

    line: int
    path: str
    label: str
    start: float | None = None
    end: float | None = None
    group: str | None = None
    split: str | None = None
    rate: float | None = None


def rows(path: Path) -> list[Row]:
    """The rows of a list. Raises ``BadInput`` for one that is no clip, with its line."""
    lines = [(n, s) for n, s in enumerate(text_of(path).splitlines(), 1) if s.strip()]
    if not lines:
        raise BadInput(f"{path} is empty: give a path and a label in each line")
    head = lines[0][1]
    mark = next((sign for sign in ("\t", ";", ",") if sign in head), None)
    cells = [_cells(text, mark) for _, text in lines]
    names = [NAMES.get(re.sub(r"[\W_]", "", cell.lower())) for cell in cells[0]]
    if "path" in names and "label" in names:
        return [
            _row(path, number, dict(zip((n or "" for n in names), row, strict=False)))
            for (number, _), row in zip(lines[1:], cells[1:], strict=True)
        ]
    return [
        _row(path, number, dict(zip(COLUMNS, row, strict=False)))
        for (number, _), row in zip(lines, cells, strict=True)
    ]


def _cells(text: str, mark: str | None) -> list[str]:
    if mark is not None:
        return [cell.strip() for cell in next(csv.reader(io.StringIO(text), delimiter=mark))]
    # Blanks: a label may have some, and seconds may follow it.
    path, *rest = text.split()
    times: list[str] = []
    while len(rest) > 1 and len(times) < 2 and _is_number(rest[-1]):
        times.insert(0, rest.pop())
    if len(times) == 1 and rest[0].isdecimal():  # path, number of frames, label: TSN's lists
        return [path, times[0]]
    return [path, " ".join(rest), *times]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _row(path: Path, line: int, found: dict[str, str]) -> Row:
    if not found.get("path") or not found.get("label"):
        raise BadInput(f"{path} line {line}: no path and label: repair the line")
    start, end, rate = (_number(path, line, name, found.get(name, "")) for name in NUMBERS)
    if end is not None and end <= (start or 0.0):
        raise BadInput(f"{path} line {line}: it ends at {end:g} s and starts at {start or 0:g} s")
    split = found.get("split") or None
    known = split_name(split) if split else None
    if split and known is None:
        raise BadInput(f"{path} line {line}: split {split!r} is none of train, val, test")
    group = found.get("group") or None
    return Row(line, found["path"], found["label"], start, end, group, known, rate)


def _number(path: Path, line: int, name: str, text: str) -> float | None:
    if not text:
        return None
    value = float(text) if _is_number(text) else -1.0
    if value < 0 or (name == "rate" and value == 0):
        raise BadInput(f"{path} line {line}: {name} {text!r} is no number of {NUMBERS[name]}")
    return value


def splits_of(found: list[Row], path: Path) -> list[str]:
    """The split of every row. Raises ``BadInput`` where only some rows have one."""
    given = [row for row in found if row.split]
    if given and len(given) < len(found):
        row = next(row for row in found if not row.split)
        raise BadInput(
            f"{path} line {row.line}: no split, and other lines have one: give it to all"
        )
    if given:
        return [row.split or "" for row in found]
    return [hashed_split(row.group or row.path) for row in found]


def find(
    path: Path, root: Path, split: str, labels: list[str] | None, frame_rate: float
) -> Listing:
    """The clips of a split; ``labels`` sets the order of the classes.

    Raises ``BadInput`` for a list that cannot be read or has no clip of the split.
    """
    found = rows(path)
    named = {row.label for row in found}
    if labels and not named <= set(labels) and _are_numbers(named, len(labels)):
        found = [replace(row, label=labels[int(row.label)]) for row in found]
    names = in_order(path, _sorted({row.label for row in found}), labels, "list")
    if len(names) < 2:
        raise BadInput(f"{path} has only the class {names[0]!r}: give at least two")
    index = {name: i for i, name in enumerate(names)}
    records, missing = [], []
    for row, where in zip(found, splits_of(found, path), strict=True):
        if where != split:
            continue
        clip = root / row.path
        if not clip.exists():
            missing.append((str(clip), "no such file"))
            continue
        rate = (row.rate or frame_rate) if clip.is_dir() else 0.0
        records.append(Record(clip, index[row.label], rate, span=_span(row)))
    if not records and not missing:
        raise BadInput(f"{path} has no {split} clips: add rows whose split is {split}")
    return Listing(names, records, split, missing)


def _are_numbers(names: Iterable[str], count: int) -> bool:
    """Whether classes are given by number, as TSN's and mmaction2's lists have them."""
    return all(name.isdecimal() and int(name) < count for name in names)


def _span(row: Row) -> tuple[float, float] | None:
    if row.start is None and row.end is None:
        return None
    return row.start or 0.0, math.inf if row.end is None else row.end


def _sorted(names: Iterable[str]) -> list[str]:
    known = list(names)
    if all(name.isdecimal() for name in known):
        return sorted(known, key=int)
    return sorted(known)


def write(path: Path, listings: Iterable[Listing]) -> int:
    """Write what was found as a list, with paths relative to it where they lie below; the number.

    Raises ``BadInput`` when the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    count, base = 0, path.resolve().parent
    for listing in listings:
        for record in listing.records:
            clip = record.path.resolve()
            place = clip.relative_to(base) if clip.is_relative_to(base) else clip
            start, end = record.seconds
            name = listing.labels[record.label]
            rate = exact(record.rate) if record.rate else ""  # a video has its own
            table.writerow([place.as_posix(), name, start, end, "", listing.split, rate])
            count += 1
    write_whole("--write-list", path, text.getvalue().encode())
    return count
