"""Which clips a data set holds, in a few letters: what was learned from others is not theirs."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from torch.utils.data import Dataset

from core.data.clips import Clips

MOST_LISTED = 5000  # clips of which every frame image is looked at; of more, their folders alone


def fingerprint(clips: Clips) -> str:
    """A digest of clips by name, class, size and time of change; "" for rendered ones.

    A clip that was recorded again, added, removed or put into another class changes it.
    """
    whole = _listed(clips)
    if whole is None:
        return ""
    digest = hashlib.sha256()
    deep = len(whole) <= MOST_LISTED
    for clip in whole:
        path, label = clip if isinstance(clip, tuple) else (clip.path, clip.label)
        stretch = "" if isinstance(clip, tuple) else f"{clip.first} {clip.last} {clip.span}"
        digest.update(f"{path}\0{label}\0{stretch}\0".encode(errors="surrogateescape"))
        for line in _stats(path, deep):
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def marks(clips: Clips) -> list[str]:
    """A mark of every clip, whatever folder it lies in; none of rendered ones."""
    listed = _listed(clips) or []
    return [mark(clip[0] if isinstance(clip, tuple) else clip.path) for clip in listed]


def mark(clip: Path) -> str:
    """A digest of a clip's name and size: not its name, which may be a person's."""
    from core.data.video import hidden  # loads PyAV, which rendered clips do without

    try:
        files = list(clip.iterdir()) if clip.is_dir() else [clip]
        size = sum(file.stat().st_size for file in files if not hidden(file))
    except OSError:  # it is told where it is read
        size = -1
    named = f"{clip.name} {size}".encode(errors="surrogateescape")
    return hashlib.sha256(named).hexdigest()[:16]


def _listed(clips: Clips) -> list | None:
    """The list that a part of clips, or windows of them, were taken from."""
    whole: object = clips
    while not isinstance(whole, list):
        held = (getattr(whole, name, None) for name in ("dataset", "records", "clips"))
        whole = next((part for part in held if isinstance(part, list | Dataset)), None)
        if whole is None:
            return None
    return whole


def _stats(path: Path, deep: bool) -> Iterator[str]:
    try:
        found = path.stat()
        yield f"{0 if path.is_dir() else found.st_size} {found.st_mtime_ns}\0"
        if deep and path.is_dir():
            with os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda e: e.name):
                    at = entry.stat()
                    yield f"{entry.name} {at.st_size} {at.st_mtime_ns}\0"
    except OSError:  # it is told where it is read
        yield "missing\0"
