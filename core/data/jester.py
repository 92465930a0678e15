"""Jester V1 (Materzynska et al., ICCV Workshops 2019) as it is distributed.

```
root/20bn-jester-v1/<video id>/00001.jpg ...    12 frames a second
root/jester-v1-labels.csv                       one class a line
root/jester-v1-train.csv, jester-v1-validation.csv    id;label
```

The label files may also lie in ``root/labels``. Classes are in alphabetical order, as the 27
gestures are everywhere else in this package. The labels of the test clips were never published:
where ``jester-v1-test.csv`` has none, the validation clips stand in for them, which is said.
"""

from pathlib import Path

from core.data.label_files import entries, in_order, label_folder, lines_of, stand_in, text_of
from core.data.records import Listing, Record
from core.data.source import MARKS
from core.errors import BadInput

FRAME_RATE = 12.0
(MARK,) = MARKS["jester"]
FRAMES = "20bn-jester-v1"
FILES = {
    "train": "jester-v1-train.csv",
    "val": "jester-v1-validation.csv",
    "test": "jester-v1-test.csv",
}


def find(root: Path, split: str, labels: list[str] | None = None) -> Listing:
    """The clips of a split; ``labels`` sets the order of the classes.

    Raises ``BadInput`` when a label file is missing or has a line that is no clip of a class.
    """
    base = label_folder(root, MARK)
    names = sorted(lines_of(base / MARK))
    names = in_order(root, names, labels)
    clips = _rows(base / FILES[split], names, split == "test")
    if split == "test" and not clips:
        split = stand_in(root)
        clips = _rows(base / FILES[split], names)
    folder = root / FRAMES
    there = entries(folder)
    records, missing = [], []
    for name, label in clips:
        if name in there:
            records.append(Record(folder / name, label, FRAME_RATE))
        else:
            missing.append((str(folder / name), "no such folder"))
    return Listing(names, records, split, missing)


def _rows(path: Path, names: list[str], optional: bool = False) -> list[tuple[str, int]]:
    """Video ids and classes of a list; empty where an optional one is absent or has no labels."""
    if optional and not path.is_file():
        return []
    index = {name: i for i, name in enumerate(names)}
    found = []
    for number, line in enumerate(text_of(path).splitlines(), 1):
        cells = [cell.strip() for cell in line.split(";")]
        if optional and len(cells) == 1:
            return []
        if not line.strip():
            continue
        if len(cells) != 2 or cells[1] not in index:
            raise BadInput(
                f"{path} line {number}: {line.strip()!r} is not 'id;label' with a label of {MARK}: "
                "repair the line"
            )
        found.append((cells[0], index[cells[1]]))
    return found
