"""Jester V1 (Materzynska et al., ICCV Workshops 2019) as it is distributed.

```
root/20bn-jester-v1/<video id>/00001.jpg ...    12 frames a second
root/labels/labels.csv                          one class a line
root/labels/train.csv, validation.csv           id;label
root/labels/test.csv, test-answers.csv          id, and id;label
```

So Qualcomm distributes it; the files of 20BN's own package are called ``jester-v1-labels.csv``,
``jester-v1-train.csv`` and so on and lie in ``root``. Kaggle's copy has ``Train/<video id>/``,
``Validation/`` and ``Test/`` with ``Train.csv`` and so on, whose header rows name the columns.
Classes are in alphabetical order, as the 27 gestures are everywhere else in this package. Where no
file has the labels of the test clips, the validation clips stand in for them, which is said.
"""

import sys
from pathlib import Path

from core.data.label_files import find_file, in_order, stand_in
from core.data.listed import (
    NAMES,
    classes_of,
    clips_of,
    find_lists,
    located,
    part_of,
)
from core.data.records import Listing, Record
from core.data.source import MARKS
from core.errors import BadInput
from core.labels import LABELS

FRAME_RATE = 12.0
(MARK,) = MARKS["jester"]
FRAMES = "20bn-jester-v1"


def find(root: Path, split: str, labels: list[str] | None = None) -> Listing:
    """The clips of a split; ``labels`` sets the order of the classes.

    Raises ``BadInput`` when a label file is missing or has a line that is no clip of a class.
    """
    names = classes_of(root)
    if names and set(names) <= set(LABELS) and find_file(root, NAMES) is None:
        names = list(LABELS)  # lists may hold clips of some
    names = in_order(root, names, labels)
    if not names:
        raise BadInput(
            f"{root} has neither {MARK} nor labels.csv, here or in 'labels': give the data set's "
            "folder"
        )
    lists = find_lists(root)
    clips = {part: clips_of(path, names, root) for part, path in lists.items()}
    if split == "test":
        if clips.get("test"):
            sys.stderr.write(f"note: test labels of {lists['test']}\n")
        else:
            split = stand_in(root)
    part, shares = part_of(root, split, [name for name, found in clips.items() if found])
    found, missing = located(root, clips[part], part, shares)
    records = [Record(path, label, FRAME_RATE if path.is_dir() else 0.0) for path, label in found]
    lost = [(str(root / FRAMES / name), "no such folder") for name in missing]
    return Listing(names, records, split, lost)
