"""One's own clips: one sub-folder a class, with video files or folders of frame images in it.

```
root/swipe left/clip1.mp4            root/train/swipe left/clip1.mp4
root/swipe left/clip2/00001.jpg ...  root/val/swipe left/...
root/none/...                        root/test/...
```

Folders of splits may be spelled otherwise (Train, training, valid, validation, dev). Without them
the clips are split by a hash of their path, so that a clip stays in its split when others are
added, but for classes so small that a split would be empty. One person's clips then fall into all
three; give the three folders to keep people apart.
"""

import hashlib
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from core.data.clips import Clips
from core.data.sampling import window
from core.data.source import MAX_BROKEN
from core.data.video import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    Unreadable,
    frame_files,
    hidden,
    probe,
    read_clip,
    read_image,
    write_clip,
)
from core.errors import BadInput
from core.labels import IGNORE

__all__ = ["SPLITS", "FolderClips", "window", "write_clip"]

SPLITS = ("train", "val", "test")
# What folders of splits are called; other words may stand beside these.
SPELLINGS = {"train": "train", "training": "train", "trn": "train"}
SPELLINGS |= {"val": "val", "valid": "val", "validation": "val", "validate": "val", "dev": "val"}
SPELLINGS |= {"test": "test", "testing": "test", "tst": "test"}
BESIDE = frozenset({"set", "data", "dataset", "split", "clips", "videos", "frames", "images"})
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
LEAST_TO_SPLIT = 3  # clips of a class; with fewer, all of them train

Clip = tuple[Path, int]  # file or frame folder, index of its class


def split_of(clips: list[str]) -> dict[str, str]:
    """A split for each clip of one class, given by their paths below the root.

    80, 10 and 10 % by hash. With one clip or two, all of them train. With more, each split gets at
    least one: what is moved for that depends on the other clips, everything else on a clip's path
    alone.
    """
    place = {clip: hashlib.sha256(clip.encode()).digest() for clip in sorted(clips)}
    if len(clips) < LEAST_TO_SPLIT:
        return dict.fromkeys(place, "train")
    split = {}
    for clip, digest in place.items():
        at = int.from_bytes(digest[:8], "big") / 2**64
        split[clip] = "train" if at < SHARES["train"] else "val" if at < 0.9 else "test"
    for name in SPLITS:
        sizes = Counter(split.values())
        if not sizes[name]:
            largest = max(SPLITS, key=lambda s: sizes[s])
            split[min((c for c in split if split[c] == largest), key=place.__getitem__)] = name
    return split


class FolderClips(Clips):
    """Clips of a folder as ``(uint8 (frames, 3, size, size) RGB, class index)``.

    ``labels`` are the sorted names of the class folders, or the given ones, which must then be the
    same names. A clip is resampled to ``frame_rate`` by its time stamps (a frame folder is taken to
    be at that rate), and ``frames`` consecutive frames are taken: the centre ones, or random ones
    with ``train``. Asked for by ``(index, draw)``, the random window depends on that draw and on
    ``seed`` alone; by a plain index, on torch's own random state, which each worker and epoch has
    of its own.

    A clip that turns out to be unreadable is named on stderr, kept in ``broken`` and replaced by
    the next clip of its class, which suits training. Without ``replace`` its item is black frames
    of the class ``IGNORE``, so that no other clip counts twice in an accuracy. Workers of a
    DataLoader each have their own list: call ``check`` before they start.

    Raises ``BadInput``: root missing, a file, empty or without two classes; labels that do not
    match; a class without clips; more than ``max_broken`` of the clips unreadable.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        *,
        frames: int,
        size: int,
        frame_rate: float,
        labels: list[str] | None = None,
        seed: int = 0,
        train: bool = False,
        replace: bool = True,
        max_broken: float = MAX_BROKEN,
    ) -> None:
        if split not in SPLITS:
            raise BadInput(f"split {split!r} is unknown: choose one of {', '.join(SPLITS)}")
        self.root = Path(root)
        self.split = split
        self.frames = frames
        self.size = size
        self.frame_rate = frame_rate
        self.seed = seed
        self.train = train
        self.replace = replace
        self.max_broken = max_broken
        self.broken: list[tuple[Path, str]] = []
        self.labels, self.clips = find_clips(self.root, split, labels)
        self._total = Counter(label for _, label in self.clips)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: int | tuple[int, int]) -> tuple[Tensor, int]:
        index, draw = key if isinstance(key, tuple) else (key, int(torch.randint(2**31, ())))
        label = self.clips[index][1]
        random = np.random.default_rng((self.seed, draw, index))
        count = len(self.clips)
        for at in (i % count for i in range(index, index + count)):
            path, other = self.clips[at]
            if other != label:
                continue
            if not any(path == bad for bad, _ in self.broken):
                try:
                    return self._read(path, random), label
                except Unreadable as error:
                    self._report(path, label, str(error))
            if not self.replace:
                return torch.zeros(self.frames, 3, self.size, self.size, dtype=torch.uint8), IGNORE
        raise AssertionError("_report stops at the last clip of a class")

    def check(self) -> list[tuple[Path, str]]:
        """Open every clip, drop the unreadable ones and tell how many; returns ``broken``.

        Decodes the first frame alone: damage further on is found when the clip is read.
        """
        kept, count = [], len(self.clips)
        for path, label in tqdm(self.clips, f"checking {self.split} clips", disable=None):
            try:
                probe(path)
                kept.append((path, label))
            except Unreadable as error:
                self._report(path, label, str(error))
        self.clips = kept
        if self.broken:
            sys.stderr.write(
                f"warning: {len(self.broken)} of {count} {self.split} clips of {self.root} are "
                "broken and left out\n"
            )
        return self.broken

    def _read(self, path: Path, random: np.random.Generator) -> Tensor:
        if not path.is_dir():
            clip = read_clip(path, self.frame_rate, self.size)
            return clip[torch.from_numpy(self._window(len(clip), random))]
        files = frame_files(path)
        if not files:
            raise Unreadable("no frame images in it (.jpg, .jpeg, .png)")
        wanted = self._window(len(files), random)
        images = {int(i): read_image(files[i], self.size) for i in np.unique(wanted)}
        return torch.stack([images[int(i)] for i in wanted])

    def _window(self, count: int, random: np.random.Generator) -> np.ndarray:
        if not self.train or count <= self.frames:
            return window(count, self.frames)
        return window(count, self.frames, int(random.integers(count - self.frames + 1)))

    def _report(self, path: Path, label: int, reason: str) -> None:
        self.broken.append((path, reason))
        # In one piece, newline included: workers and the main process share stderr.
        sys.stderr.write(f"warning: {path} cannot be read ({reason}): skipped\n")
        total, count = self._total.total(), len(self.broken)
        # A single one never stops a run that allows any, or five clips could not lose one.
        if count > max(self.max_broken * total, 1 if self.max_broken else 0):
            first, why = self.broken[0]
            raise BadInput(
                f"{self.root}: {count} of {total} {self.split} clips cannot be read, first {first} "
                f"({why}): repair or remove them, or allow more with --max-broken PERCENT"
            )
        lost = [(p, why) for p, why in self.broken if p.parent == path.parent]
        if len(lost) == self._total[label]:
            first, why = lost[0]
            raise BadInput(
                f"{self.root}: no {self.split} clip of class {self.labels[label]!r} can be read, "
                f"first {first} ({why}): repair it or add clips"
            )


def find_clips(root: Path, split: str, labels: list[str] | None) -> tuple[list[str], list[Clip]]:
    """Labels and the clips of one split, in the order of their paths.

    Raises ``BadInput`` as ``FolderClips`` does.
    """
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise BadInput(f"data folder {root} {what}: give a folder with one sub-folder a class")
    top = _folders(root)
    parts = _parts_of(root, top)
    if parts and split not in parts:
        raise BadInput(
            f"data folder {root} has {' and '.join(p.name for p in parts.values())} but no "
            f"{split}: add that folder"
        )
    classes: dict[str, dict[str, list[Path]]] = defaultdict(dict)  # split -> class -> clips
    for name, folder in (parts or {split: root}).items():
        for label, path in _folders(folder).items():
            _require_no_clip(path)
            classes[name][label] = _clips_in(path)
    if not parts:
        for label, clips in classes[split].items():
            where = split_of([_key(root, clip) for clip in clips])
            classes[split][label] = [c for c in clips if where[_key(root, c)] == split]
    labels = _labels(root, sorted(set().union(*classes.values())), labels)
    found = [(p, i) for i, label in enumerate(labels) for p in classes[split].get(label, [])]
    _require_clips(root, split, labels, found)
    return labels, found


def split_name(folder: str) -> str | None:
    """The split that a folder's name says, in any case and usual spelling; ``None`` for others."""
    words = re.findall(r"[a-z]+", folder.lower())
    known = {SPELLINGS[word] for word in words if word in SPELLINGS}
    only = all(word in SPELLINGS or word in BESIDE for word in words)
    return known.pop() if only and len(known) == 1 else None


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
    if len(names) < 2:
        what = f"only the class {names[0]!r}" if names else "no sub-folder"
        raise BadInput(f"data folder {root} has {what}: give at least two, one a class")
    if wanted is None:
        return names
    wanted = [unicodedata.normalize("NFC", name) for name in wanted]
    unknown, missing = sorted(set(names) - set(wanted)), sorted(set(wanted) - set(names))
    if unknown or missing:
        which = f"unknown class {unknown[0]!r}" if unknown else f"no class {missing[0]!r}"
        raise BadInput(
            f"data folder {root} has {which} ({len(unknown)} unknown, {len(missing)} missing): its "
            f"sub-folders must be the model's {len(wanted)} labels"
        )
    return wanted


def _require_clips(root: Path, split: str, labels: list[str], found: list[Clip]) -> None:
    present = {label for _, label in found}
    empty = [name for i, name in enumerate(labels) if i not in present]
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
    entries = sorted(p for p in folder.iterdir() if not hidden(p))
    clips = [p for p in entries if p.is_dir() or p.suffix.lower() in VIDEO_SUFFIXES]
    others = [p for p in entries if p not in set(clips)]
    if others:
        print(
            f"warning: {len(others)} files of {folder} are no videos and are left out, first "
            f"{others[0].name}",
            file=sys.stderr,
        )
    return clips


def _key(root: Path, clip: Path) -> str:
    return unicodedata.normalize("NFC", clip.relative_to(root).as_posix())
