"""EgoGesture (Zhang et al., IEEE Transactions on Multimedia 2018) as it is distributed.

```
root/images/SubjectNN/SceneN/Color/rgbN/000001.jpg ...         30 frames a second
root/labels-final-revised1/subjectNN/SceneN/GroupN.csv         class (1 to 83), first, last frame
```

The folder of frames may have any name or be ``root`` itself, that of labels any that begins with
``labels``; ``Color`` may have the group's number, as where depth lies beside it. Recordings are
long and hold many gestures; group N belongs to the images of rgbN. Some label files are named
``group1.csv``, some rows are empty. The split is by subject, as the data set's authors made it.
Classes are named by their numbers, or by the 83 lines of ``root/classes.txt``.
"""

import re
from pathlib import Path

from core.data.label_files import entries, in_order, lines_of, text_of
from core.data.records import Listing, Record, frame_path
from core.errors import BadInput

FRAME_RATE = 30.0
CLASSES = 83
SUBJECTS: dict[str, tuple[int, ...]] = {
    "val": (1, 7, 12, 13, 24, 29, 33, 34, 35, 37),
    "test": (2, 9, 11, 14, 18, 19, 28, 31, 41, 47),
}
SUBJECTS["train"] = tuple(sorted(set(range(1, 51)) - {*SUBJECTS["val"], *SUBJECTS["test"]}))

Row = tuple[int, int, int]  # class from 0, first and last frame


def find(root: Path, split: str, labels: list[str] | None = None) -> Listing:
    """The gestures of a split's subjects.

    Rows that make no sense and recordings that are not there are among the missing. Raises
    ``BadInput`` when there is no label file of the split at all.
    """
    names = class_names(root, labels)
    place = {name: i for i, name in enumerate(names)}
    own = class_names(root, None)
    records, missing = [], []
    for path, folder in recordings(root, split):
        rows, bad = read_rows(path)
        missing += bad
        for label, first, last in rows:
            record = Record(folder, place[own[label]], FRAME_RATE, first, last)
            absent = [n for n in (first, last) if not frame_path(folder, n).is_file()]
            if absent:
                missing.append((str(frame_path(folder, absent[0])), f"of {path}"))
            else:
                records.append(record)
    return Listing(names, records, split, missing)


def class_names(root: Path, labels: list[str] | None) -> list[str]:
    """The 83 names, in the order of ``labels`` where given."""
    file = root / "classes.txt"
    names = [str(i) for i in range(1, CLASSES + 1)]
    if file.is_file():
        names = lines_of(file)
        if len(set(names)) != CLASSES:
            raise BadInput(f"{file} has {len(set(names))} names: give {CLASSES}, one a line")
    return in_order(root, names, labels)


def recordings(root: Path, split: str) -> list[tuple[Path, Path]]:
    """Label files of a split's subjects and the frame folders that belong to them.

    Raises ``BadInput`` when there is none.
    """
    found = []
    labels, images = folders_of(root)
    for subject, number in _numbered(labels, "subject"):
        if number not in SUBJECTS[split]:
            continue
        for scene, scene_number in _numbered(labels / subject, "scene"):
            for group, n in _numbered(labels / subject / scene, "group", ".csv"):
                frames = _child(_child(images, "subject", number), "scene", scene_number)
                folder = _child(_colour(frames, n), "rgb", n)
                found.append((labels / subject / scene / group, folder))
    if not found:
        wanted = ", ".join(f"{n:02d}" for n in SUBJECTS[split])
        raise BadInput(
            f"{labels} has no label files of the {split} subjects ({wanted}): give the folder "
            "with the frames and the labels of EgoGesture"
        )
    return found


def folders_of(root: Path) -> tuple[Path, Path]:
    """The folder of label files and that of frames: those with folders of subjects in them."""
    subjects = [
        name
        for name, is_folder in sorted(entries(root).items())
        if is_folder and _numbered(root / name, "subject")
    ]
    labels = [name for name in subjects if name.lower().startswith("labels")]
    images = [name for name in subjects if name not in labels]
    images.sort(key=lambda name: name != "frames")
    own = bool(_numbered(root, "subject"))
    return (
        root / (labels[-1] if labels else "labels"),  # the last one: it is the revised one
        root / (images[0] if images else "" if own else "frames"),
    )


def read_rows(path: Path) -> tuple[list[Row], list[tuple[str, str]]]:
    """The gestures of a label file, and the rows that make no sense with the reason."""
    rows, bad = [], []
    for number, line in enumerate(text_of(path).splitlines(), 1):
        cells = [cell.strip() for cell in line.split(",")]
        if not any(cells):
            continue
        try:
            values = [float(cell) for cell in cells[:3]]
            label, first, last = (int(value) for value in values)
            whole = values == [label, first, last] and 1 <= label <= CLASSES and 1 <= first <= last
        except (OverflowError, ValueError):
            whole = False
        if whole:
            rows.append((label - 1, first, last))
        else:
            reason = f"{line.strip()!r} is not class (1 to {CLASSES}), first and last frame"
            bad.append((f"{path} line {number}", reason))
    return rows, bad


def _numbered(folder: Path, word: str, suffix: str = "") -> list[tuple[str, int]]:
    """Names like ``Subject01`` in a folder, in any case, with their numbers, by number."""
    pattern = re.compile(rf"{word}0*(\d+){re.escape(suffix)}", re.IGNORECASE)
    found = [(name, pattern.fullmatch(name)) for name in entries(folder)]
    return sorted(((name, int(m[1])) for name, m in found if m), key=lambda pair: pair[1])


def _child(folder: Path, word: str, number: int) -> Path:
    """The sub-folder of that word and number, however it is written."""
    name = next((name for name, n in _numbered(folder, word) if n == number), None)
    return folder / (name or f"{word if word == 'rgb' else word.capitalize()}{number}")


def _colour(scene: Path, group: int) -> Path:
    """The folder of a scene's pictures in colour: one for all groups, or one for each."""
    plain = next((name for name in entries(scene) if name.lower() == "color"), None)
    return scene / plain if plain else _child(scene, "color", group)
