"""Clips that lists beside them put into splits and classes.

```
root/train.csv, validation.csv, test.csv      id;label, or columns that a header row names
root/Train/<id>/00001.jpg ..., root/Validation/<id>.mp4
```

The lists may also lie in ``root/labels`` or ``root/annotations``, the clips together in one folder.
Nothing in here reads clips.
"""

import hashlib
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from core.data.label_files import (
    PLACES,
    SPLITS,
    ClipRow,
    entries,
    find_file,
    names_in,
    rows_of,
    split_name,
)
from core.errors import BadInput

NAMES = ("jester-v1-labels.csv", "labels.csv", "labels.txt", "classes.csv", "classes.txt")
FOLDERS = ("20bn-jester-v1", "frames", "videos", "clips", "")
# Words in a list's name beside the split's.
BESIDE = frozenset({"jester", "v", "list", "labels", "label", "annotations", "answers", "clips"})
SUFFIXES = frozenset({".csv", ".txt", ".tsv"})
IMAGES = frozenset({".jpg", ".jpeg", ".png"})
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
LEAST_TO_SPLIT = 3  # clips of a class; with fewer, all of them train
LOOKED_AT = 50  # rows of a list that are looked for before it counts as another folder's


def hashed_split(text: str) -> str:
    """A split by a hash of ``text`` alone, in parts of ``SHARES``."""
    at = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
    train, val = SHARES["train"], SHARES["train"] + SHARES["val"]
    return "train" if at < train else "val" if at < val else "test"


def split_of(clips: Iterable[str]) -> dict[str, str]:
    """A split for each clip of one class, given by their paths below the root.

    80, 10 and 10 % by hash. With one clip or two, all of them train. With more, each split gets at
    least one: what is moved for that depends on the other clips, everything else on a clip's path
    alone.
    """
    place = {clip: hashlib.sha256(clip.encode()).digest() for clip in sorted(clips)}
    if len(place) < LEAST_TO_SPLIT:
        return dict.fromkeys(place, "train")
    split = {clip: hashed_split(clip) for clip in place}
    for name in SPLITS:
        sizes = Counter(split.values())
        if not sizes[name]:
            largest = max(SPLITS, key=lambda s: sizes[s])
            split[min((c for c in split if split[c] == largest), key=place.__getitem__)] = name
    return split


def origin(split: str, there: Iterable[str]) -> tuple[str, frozenset[str]]:
    """Where a split comes from when a data set has only some: a part, and the shares of it.

    Shares are those of ``split_of``; all three are the whole part. Validation and training clips
    are shares of ``train`` where there is no ``val``, and all splits where there is ``train`` only;
    ``val`` stands in for ``test``. Raises ``KeyError`` where nothing can.
    """
    parts, whole = set(there), frozenset(SPLITS)
    if split in parts and (split != "train" or "val" in parts):
        return split, whole
    if split == "test" and "val" in parts:
        return "val", whole
    if "train" not in parts:
        raise KeyError(split)
    if split == "train":
        return "train", frozenset({"train", "test"} if "test" in parts else {"train"})
    return "train", frozenset({split})


def part_of(root: Path, split: str, there: Iterable[str]) -> tuple[str, frozenset[str]]:
    """``origin``, saying what it means where something takes a split's place.

    Raises ``BadInput`` where nothing can.
    """
    there = sorted(there)
    try:
        part, shares = origin(split, there)
    except KeyError:
        raise BadInput(
            f"data folder {root} has {' and '.join(there) or 'no list of clips'} but no {split}: "
            "add it"
        ) from None
    if part == "val" and split == "test":
        sys.stderr.write(f"note: {root} has no test clips: its validation clips stand in\n")
    elif part == "train" and split != "train":
        sys.stderr.write(
            f"note: {root} has no {split} clips: a tenth of its training clips is kept apart for "
            "them\n"
        )
    return part, shares


def find_lists(root: Path) -> dict[str, Path]:
    """The lists of a data set by split; of two of one split the one with answers."""
    found: dict[str, Path] = {}
    for place in PLACES:
        for name, is_folder in sorted(entries(root / place).items(), key=lambda e: len(e[0])):
            path = root / place / name
            if is_folder or path.suffix.lower() not in SUFFIXES:
                continue
            words = re.findall(r"[a-z]+", path.stem.lower())
            split = split_name(" ".join(word for word in words if word not in BESIDE))
            if split and (split not in found or "answers" in words):
                found[split] = path
    return found


def is_listed(root: Path) -> bool:
    """Whether a list of training clips names what lies in the folder."""
    path = find_lists(root).get("train")
    if path is None:
        return False
    shelves = Shelves(root)
    try:
        rows = rows_of(path)[:LOOKED_AT]
    except BadInput:
        return False
    found = (shelves.find(name, "train") for _, name, label in rows if label)
    return any(path is not None and _is_clip(path) for path in found)


def _is_clip(path: Path) -> bool:
    """Not a folder of clips, whose name a list of something else may hold."""
    if path.is_dir():
        there = entries(path)
        return not there or any(Path(name).suffix.lower() in IMAGES for name in there)
    return path.suffix.lower() not in SUFFIXES


def classes_of(root: Path) -> list[str]:
    """The names of a listed data set's classes, sorted: of its list of them, or of its clips'."""
    path = find_file(root, NAMES)
    if path is not None:
        return sorted(names_in(path))
    lists = find_lists(root).values()
    return sorted({label for path in lists for _, _, label in rows_of(path) if label})


def clips_of(path: Path, names: list[str], root: Path) -> list[tuple[str, int]]:
    """Ids and classes of a list; empty where a list of test clips has no classes at all.

    Raises ``BadInput`` for a row without a class, or with one that is none of ``names``.
    """
    index = {name: i for i, name in enumerate(names)}
    rows: list[ClipRow] = rows_of(path)
    if "test" in path.name.lower() and not any(label for _, _, label in rows):
        return []
    known = find_file(root, NAMES)
    where = known.name if known else "the classes of the training list"
    found = []
    for number, name, label in rows:
        if not name or label not in index:
            what = f"{label!r} is none of {where}" if label else "no clip and its class"
            raise BadInput(f"{path} line {number}: {what}: repair the line")
        found.append((name, index[label]))
    return found


class Shelves:
    """The folders in which the clips of lists may lie, each read once.

    A split's own folder comes first, and that of another split never: ids may be counted anew.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._found: dict[str, dict[str, Path]] = {}
        there = entries(root)
        for place in (*(name for name, is_folder in there.items() if is_folder), ""):
            split = split_name(place)
            if split is None and place not in FOLDERS:
                continue
            found = self._found.setdefault(split or place, {})
            for name in entries(root / place):
                found[name] = root / place / name
                found.setdefault(Path(name).stem, root / place / name)

    def find(self, name: str, split: str) -> Path | None:
        """The video or folder of a clip by its id, file name or path; ``None`` without one."""
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        if "/" in name and inside and (self.root / name).exists():
            return self.root / name
        short = name.rsplit("/", 1)[-1]
        for place in (split, *FOLDERS):
            found = self._found.get(place, {})
            path = found.get(short) or found.get(Path(short).stem)
            if path is not None:
                return path
        return None


def located(
    root: Path, clips: list[tuple[str, int]], part: str, shares: frozenset[str]
) -> tuple[list[tuple[Path, int]], list[str]]:
    """Where the clips of a part's shares lie, with their classes, and names that are missing."""
    shelves = Shelves(root)
    found, missing = [], []
    for name, label in shares_of(clips, shares):
        path = shelves.find(name, part)
        if path is None:
            missing.append(name)
        else:
            found.append((path, label))
    return found, missing


def shares_of(found: list[tuple[str, int]], shares: frozenset[str]) -> list[tuple[str, int]]:
    """The clips of these shares, class by class."""
    if shares == frozenset(SPLITS):
        return found
    classes: dict[int, list[str]] = defaultdict(list)
    for name, label in found:
        classes[label].append(name)
    where = {label: split_of(names) for label, names in classes.items()}
    return [(name, label) for name, label in found if where[label][name] in shares]
