"""Videos that are dropped on the page, and small pictures of clips.

A minute of a phone's film is gigabytes of pixels: no more of it than a clip is in memory at a time.
"""

import io
import os
import re
import tempfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from core.data.decode import decoded, upright
from core.data.rate import MAX_SECONDS, Unreadable, at_rate
from core.data.video import VIDEO_SUFFIXES, at_rate_pixels
from core.decision import idle_labels
from core.errors import BadInput
from mobile_export.live.record import (
    CLIP_SECONDS,
    RATE,
    SAVING,
    check_label,
    class_folder,
    save_clip,
    spoils,
)
from mobile_export.live.server.clips import require_room

MOST_SECONDS = 300.0  # of a video of no gesture; training reads one of a gesture up to MAX_SECONDS
LONG = 2 * CLIP_SECONDS  # a video of no gesture that is longer is cut into clips
THUMB = 96  # pixels
THUMB_RATE = 5.0  # frames a second that the middle is looked for in
FEW = 16  # of those frames are kept at a time; an even number

T = TypeVar("T")


def take_in(root: Path, work: Path, label: str, name: str, body: bytes) -> int:
    """Add a video of ``label`` to the clips in ``root``; gives the number of clips that it made.

    One of a class without gestures is cut into clips. ``work`` is a folder of the same disk for
    what is half done. Raises ``BadInput`` for what is no video, or too long.
    """
    check_label(label)
    require_room(root)
    suffix = Path(name).suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        raise BadInput(f"{name} is no video: drop one of {', '.join(sorted(VIDEO_SUFFIXES))}")
    idle = bool(idle_labels([label]))
    try:
        work.mkdir(parents=True, exist_ok=True)
        # A folder of its own: several videos are taken in at once.
        with tempfile.TemporaryDirectory(prefix="import-", dir=work) as folder:
            temporary = Path(folder) / f"video{suffix}"
            temporary.write_bytes(body)
            # Read to its end before the first clip of it is kept: it may be too long, or cut off.
            ticks = at_rate(decoded(temporary), RATE, MOST_SECONDS if idle else MAX_SECONDS)
            count = sum(1 for _ in ticks)
            if not count:
                raise Unreadable("no video frame in it")
            if idle and count > RATE * LONG:
                return _cut(temporary, count, root, label)
            _keep(temporary, root, label, Path(name).stem)
            return 1
    except Unreadable as error:
        raise BadInput(f"{name} cannot be read ({error})") from None
    except OSError as error:
        raise BadInput(f"{root} cannot be written ({error.strerror})") from None


def _keep(video: Path, root: Path, label: str, stem: str) -> None:
    """Move a video to its class, under a name that is free."""
    stem = re.sub(r"[^\w.-]+", "_", stem)[:60].lstrip(".") or "clip"
    with SAVING:
        final = class_folder(root, label) / f"{stem}{video.suffix}"
        final.parent.mkdir(parents=True, exist_ok=True)
        number = 1
        while final.exists():
            number += 1
            final = final.with_name(f"{stem}-{number}{video.suffix}")
        os.replace(video, final)


def _cut(video: Path, count: int, root: Path, label: str) -> int:
    """Clips of ``label`` from a video of ``count`` frames, one after the other."""
    length = round(RATE * CLIP_SECONDS)
    frames = at_rate_pixels(video, RATE, MOST_SECONDS)
    saved = 0
    for _ in range(count // length):
        require_room(root)
        saved += _save(root, label, list(islice(frames, length)))
    return saved


def _save(root: Path, label: str, taken: list[np.ndarray]) -> bool:
    """Whether they made a clip: pictures of two sizes make none."""
    if spoils(taken, 0.0):
        return False
    save_clip(root, label, np.stack(taken), RATE)
    return True


def thumb(path: Path) -> bytes:
    """A JPEG of a clip's middle; grey for what cannot be read."""
    try:
        if path.is_dir():
            raise Unreadable("a folder of pictures")
        found = middle(at_rate(decoded(path), THUMB_RATE))
        if found is None:
            raise Unreadable("no video frame in it")
        picture = Image.fromarray(upright(found))
    except Unreadable:
        picture = Image.new("RGB", (4, 3), (60, 60, 60))
    picture.thumbnail((THUMB, THUMB))
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=80)
    return content.getvalue()


def middle(frames: Iterable[T]) -> T | None:
    """One from about the middle, an eighth of the whole beside it at most; None of no frames.

    Nobody knows their number before the end, so that a few are kept, ever farther apart.
    """
    kept: list[T] = []
    every = 1
    for number, frame in enumerate(frames):
        if number % every == 0:
            kept.append(frame)
        if len(kept) == FEW:
            kept, every = kept[::2], 2 * every
    return kept[len(kept) // 2] if kept else None
