"""Which clips a plain folder holds: its classes, splits, persons and lists, as ``folder`` tells."""

import os
import sys
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from core.data.label_files import SPLITS, in_order, split_name
from core.data.listed import (
    LEAST_TO_SPLIT,
    classes_of,
    clips_of,
    find_lists,
    is_listed,
    located,
    part_of,
    split_of,
)
from core.data.source import MAX_BROKEN, most_broken
from core.data.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, hidden
from core.errors import BadInput

Clip = tuple[Path, int]  # file or frame folder, index of its class


@dataclass
class Found:
    """The clips of a folder's split: ``split`` is the one that was read.

    ``missing`` are clips that a list names and that are not there, with the reason.
    """

    labels: list[str]
    clips: list[Clip]  # in the order of their paths, or of the list
    split: str
    missing: list[tuple[Path, str]] = field(default_factory=list)


def find_clips(
    root: Path, split: str, labels: list[str] | None, max_broken: float = MAX_BROKEN
) -> Found:
    """The clips of one split.

    Raises ``BadInput`` as ``FolderClips`` does, where more than ``max_broken`` are missing too.
    """
    _require_folder(root)
    if is_listed(root):
        return _listed(root, split, labels, max_broken)
    top = _folders(root)
    parts = _parts_of(root, top)
    part, shares = part_of(root, split, parts) if parts else (split, frozenset({split}))
    classes: dict[str, dict[str, list[Path]]] = defaultdict(dict)  # part -> class -> clips
    for name, folder in (parts or {split: root}).items():
        classes[name] = _classes_in(folder)
    names = _labels(root, sorted(set().union(*classes.values())), labels)
    if len(shares) < len(SPLITS):
        where = _split(root, parts.get(part, root), classes[part])
        for label, clips in classes[part].items():
            classes[part][label] = [clip for clip in clips if where[clip] in shares]
    found = [(p, i) for i, label in enumerate(names) for p in classes[part].get(label, [])]
    split = _told(split, part)
    _require_clips(root, split, names, found, set().union(*classes.values()))
    return Found(names, found, split)


def every_clip(root: Path) -> dict[str, list[Path]]:
    """The clips of a plain folder by class, in the order of their paths, whatever their split.

    A class may be without clips. Raises ``BadInput`` where the root is no folder of classes.
    """
    _require_folder(root)
    if is_listed(root):
        raise BadInput(f"data folder {root} has lists of clips: give a folder of class folders")
    top = _folders(root)
    found: dict[str, list[Path]] = defaultdict(list)
    for folder in (_parts_of(root, top) or {"": root}).values():
        for label, clips in _classes_in(folder).items():
            found[label] += clips
    return {label: found[label] for label in sorted(found)}


def _require_folder(root: Path) -> None:
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise BadInput(f"data folder {root} {what}: give a folder with one sub-folder a class")


def _classes_in(folder: Path) -> dict[str, list[Path]]:
    """The clips of each class folder. Raises ``BadInput`` where one is a clip itself."""
    classes = {}
    for label, path in _folders(folder).items():
        _require_no_clip(path)
        classes[label] = _clips_in(path)
    return classes


def _listed(root: Path, split: str, labels: list[str] | None, max_broken: float) -> Found:
    """The clips that lists name. Raises ``BadInput`` where many of them are not there."""
    own, files = classes_of(root), find_lists(root)
    names = _labels(root, own, labels)
    lists = {part: clips_of(path, names, root) for part, path in files.items()}
    part, shares = part_of(root, split, [name for name, clips in lists.items() if clips])
    found, missing = located(root, lists[part], part, shares)
    total = len(found) + len(missing)
    if len(missing) > most_broken(max_broken, total):
        raise BadInput(
            f"{root}: {len(missing)} of {total} clips of its {part} list are not there, first "
            f"{missing[0]}: add them, or allow more with --max-broken PERCENT"
        )
    split = _told(split, part)
    _require_clips(root, split, names, found, set(own))
    reason = f"{files[part].name} names it"
    return Found(names, found, split, [(root / name, reason) for name in missing])


def _told(split: str, part: str) -> str:
    return part if (split, part) == ("test", "val") else split


def _split(root: Path, top: Path, classes: dict[str, list[Path]]) -> dict[Path, str]:
    """A split for every clip: a person's clips in one where classes have folders of persons.

    With fewer than three such folders, or where a class would be left without training clips, each
    clip by itself.
    """
    group = {}
    for clip in (clip for clips in classes.values() for clip in clips):
        _, *folders, _ = clip.relative_to(top).parts  # the class, folders in it, the clip
        if folders:
            group[clip] = folders[0]
    alone: dict[Path, str] = {}
    for clips in classes.values():
        where = split_of([_key(root, clip) for clip in clips])
        alone |= {clip: where[_key(root, clip)] for clip in clips}
    names = sorted(set(group.values()))
    if not names:
        return alone
    of_group = split_of(names)
    together = {clip: of_group[group[clip]] if clip in group else at for clip, at in alone.items()}
    able = len(names) >= LEAST_TO_SPLIT and all(
        any(together[clip] == "train" for clip in clips) for clips in classes.values() if clips
    )
    what = "each is kept in one split" if able else "too few to be kept apart in splits"
    sys.stderr.write(
        f"note: {root} has clips in folders within its classes ({len(names)}, as {names[0]}): "
        f"{what}\n"
    )
    return together if able else alone


def _parts_of(root: Path, top: dict[str, Path]) -> dict[str, Path]:
    """Folders of splits by split, empty where the folders are classes. Raises ``BadInput``."""
    parts: dict[str, Path] = {}
    for name, folder in top.items():
        split = split_name(name)
        if split in parts:
            raise BadInput(
                f"data folder {root} has {parts[split].name!r} and {name!r}, which both say "
                f"{split}: put their clips into one"
            )
        if split:
            parts[split] = folder
    others = [name for name, folder in top.items() if folder not in parts.values()]
    if parts and others:
        one = next(iter(parts.values())).name
        raise BadInput(
            f"data folder {root} has {one!r} beside {others[0]!r}: give either splits or classes"
        )
    return parts


def _require_no_clip(folder: Path) -> None:
    """Refuse a class folder that is a clip itself: its number would be trained as a class."""
    image = next((p for p in folder.iterdir() if _is_image(p)), None)
    if image is not None:
        raise BadInput(
            f"{folder} holds frame images itself ({image.name}), so that it is a clip and no "
            "class: put it into the folder of its class, as CLASS/CLIP/00001.jpg"
        )


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden(path)


def _labels(root: Path, names: list[str], wanted: list[str] | None) -> list[str]:
    if (wanted is None and len(names) < 2) or not names:
        what = f"only the class {names[0]!r}" if names else "no sub-folder"
        raise BadInput(f"data folder {root} has {what}: give at least two, one a class")
    if wanted is not None:
        wanted = [unicodedata.normalize("NFC", name) for name in wanted]
    return in_order(root, names, wanted, "data folder")


def _require_clips(
    root: Path, split: str, labels: list[str], found: list[Clip], own: set[str]
) -> None:
    present = {label for _, label in found}
    empty = [name for i, name in enumerate(labels) if name in own and i not in present]
    if not found or (empty and split == "train"):
        which = f"class {empty[0]!r} of {root}" if found else f"data folder {root}"
        raise BadInput(
            f"{which} has no {split} clips: put videos ({', '.join(sorted(VIDEO_SUFFIXES))}) or "
            f"folders of frame images into the class folders, {LEAST_TO_SPLIT} or more a class"
        )
    if empty:
        names = ", ".join(empty[:5]) + (" ..." if len(empty) > 5 else "")
        print(f"warning: {len(empty)} classes without {split} clips: {names}", file=sys.stderr)


def _folders(path: Path) -> dict[str, Path]:
    """Visible sub-folders by name; composed letters, which macOS writes apart, are one letter."""
    folders: dict[str, Path] = {}
    for folder in sorted(p for p in path.iterdir() if p.is_dir() and not hidden(p)):
        name = unicodedata.normalize("NFC", folder.name)
        if name in folders:
            raise BadInput(f"{path} has two folders that read {name!r}: put them into one")
        folders[name] = folder
    return folders


def _clips_in(folder: Path) -> list[Path]:
    """Videos and frame folders of a class, also those in folders of its own, as one a person."""
    clips, others = [], []
    for path in sorted(p for p in folder.iterdir() if not hidden(p)):
        if path.is_dir():
            clips += _clips_in(path) if _is_group(path) else [path]
        elif path.suffix.lower() in VIDEO_SUFFIXES:
            clips.append(path)
        else:
            others.append(path)
    if others:
        print(
            f"warning: {len(others)} files of {folder} are no videos and are left out, first "
            f"{others[0].name}",
            file=sys.stderr,
        )
    return clips


def _is_group(folder: Path) -> bool:
    """Whether a folder holds clips rather than the frame images of one."""
    deeper = False
    with os.scandir(folder) as found:
        for entry in found:
            path = Path(entry.path)
            if hidden(path):
                continue
            if entry.is_dir():
                deeper = True
            elif path.suffix.lower() in VIDEO_SUFFIXES:
                return True
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                return False
    return deeper


def _key(root: Path, clip: Path) -> str:
    return unicodedata.normalize("NFC", clip.relative_to(root).as_posix())
