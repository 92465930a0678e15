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
    whole: object = clips
    while not isinstance(whole, list):  # a part of clips, windows of them, or their list
        held = (getattr(whole, name, None) for name in ("dataset", "records", "clips"))
        whole = next((part for part in held if isinstance(part, list | Dataset)), None)
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
