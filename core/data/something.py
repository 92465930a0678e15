"""Something-Something V2 (Goyal et al., ICCV 2017) as it is distributed.

```
root/20bn-something-something-v2/<video id>.webm    or <video id>/000001.jpg ... at 12 a second
root/labels.json                                    {"Putting something on something": "0", ...}
root/train.json, validation.json    [{"id": "7", "template": "Putting [something] on [something]"}]
```

The videos may also lie in ``root`` itself, in ``root/videos`` or ``root/frames``, the label files
in ``root/labels``, and they may have the long names ``something-something-v2-train.json``. The test
labels are in ``test-answers.csv``, ``id;template``; without it validation stands in, which is said.
"""

import json
import sys
from pathlib import Path

from core.data.label_files import (
    entries,
    find_file,
    in_order,
    label_folder,
    rows_of,
    stand_in,
    text_of,
)
from core.data.records import Listing, Record
from core.data.source import MARKS
from core.data.video import VIDEO_SUFFIXES
from core.errors import BadInput

FRAME_RATE = 12.0  # of extracted frames
PREFIX = "something-something-v2-"
ANSWERS = ("test-answers.csv", f"{PREFIX}test-answers.csv")
FILES = {"train": "train.json", "val": "validation.json"}
PLACES = ("frames", "20bn-something-something-v2", "videos", "")  # images are read faster


def find(root: Path, split: str, labels: list[str] | None = None) -> Listing:
    """The clips of a split, classes in the order of ``labels.json`` or of ``labels``.

    Raises ``BadInput`` when a label file is missing or has an entry that is no clip of a class.
    """
    base = label_folder(root, *MARKS["something"])
    prefix = "" if (base / "labels.json").is_file() else PREFIX
    names = in_order(root, _classes(base / f"{prefix}labels.json"), labels)
    answers = find_file(root, ANSWERS) if split == "test" else None
    if answers is not None:
        sys.stderr.write(f"note: test labels of {answers}\n")
        clips = _answers(answers, names)
    else:
        split = stand_in(root) if split == "test" else split
        clips = _clips(base / (prefix + FILES[split]), names)
    there = _videos(root)
    records, missing = [], []
    for name, label in clips:
        path = there.get(name)
        if path is None:
            missing.append((str(root / PLACES[1] / f"{name}.webm"), "neither video nor frames"))
        else:
            records.append(Record(path, label, 0.0 if path.suffix else FRAME_RATE))
    return Listing(names, records, split, missing)


def class_of(template: str) -> str:
    """A template's class: the placeholders of the clip lists lose their square brackets."""
    return template.replace("[", "").replace("]", "")


def _classes(path: Path) -> list[str]:
    content = _json(path)
    try:
        numbers = {class_of(name): int(number) for name, number in content.items()}  # type: ignore[attr-defined]  # caught below
    except (AttributeError, TypeError, ValueError):
        numbers = {}
    if not numbers or sorted(numbers.values()) != list(range(len(content))):  # type: ignore[arg-type]  # it has numbers, so it is a dict
        raise BadInput(f"{path} is not a map of templates to the numbers from 0 on: copy it again")
    return sorted(numbers, key=numbers.__getitem__)


def _clips(path: Path, names: list[str]) -> list[tuple[str, int]]:
    index = {name: i for i, name in enumerate(names)}
    content = _json(path)
    if not isinstance(content, list):
        raise BadInput(f"{path} is not a list of clips: copy it again")
    found = []
    for number, clip in enumerate(content):
        try:
            found.append((str(clip["id"]), index[class_of(clip["template"])]))
        except (AttributeError, KeyError, TypeError):
            raise BadInput(
                f"{path} entry {number}: {str(clip)[:80]} has no id or no template of labels.json: "
                "repair the entry"
            ) from None
    return found


def _answers(path: Path, names: list[str]) -> list[tuple[str, int]]:
    index = {name: i for i, name in enumerate(names)}
    found = []
    for number, clip, label in rows_of(path):
        if class_of(label or "") not in index:
            raise BadInput(f"{path} line {number}: {label!r} is no template: repair the line")
        found.append((clip, index[class_of(label or "")]))
    return found


def _videos(root: Path) -> dict[str, Path]:
    """Videos and frame folders by id, of the first place that has any."""
    for place in PLACES:
        folder = root / place
        found = {}
        for name, is_folder in entries(folder).items():
            path = folder / name
            if is_folder and name.isdecimal():
                found[name] = path
            elif not is_folder and path.suffix.lower() in VIDEO_SUFFIXES:
                found.setdefault(path.stem, path)
        if found:
            return found
    return {}


def _json(path: Path) -> object:
    try:
        return json.loads(text_of(path))
    except ValueError as error:
        raise BadInput(f"{path} is not JSON ({error}): copy it again") from None
