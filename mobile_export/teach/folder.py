"""What was recorded: clips by class and by session, and what is wrong with them in one line.

A session is what was recorded in one sitting: clips of one sitting resemble each other far more
than those of another day, so that a model is judged on sessions that it has not seen. Folders
within a class are sessions, or persons (``wave/anna/clip1.mp4``); without them the time in a
recording's name tells (``20260131-181500-003.mp4``, as the recorder writes it).
"""

import hashlib
import os
import re
import shutil
import unicodedata
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from core.data.find import every_clip
from core.data.listed import LEAST_TO_SPLIT
from core.data.rate import Unreadable
from core.errors import BadInput
from core.files import file_sha256

WORK = ".teach"  # hidden folder in the clips' own: features, progress, the latest model
PAUSE = timedelta(minutes=30)  # longer ones part sessions
ONE = "one session"  # of clips that nothing tells apart
STAMP = re.compile(r"(\d{8}-\d{6})-\d+")


@dataclass(frozen=True)
class Clip:
    """A recorded clip: a video or a folder of frame images."""

    path: Path
    label: str
    session: str


def read_folder(root: Path) -> list[Clip]:
    """Every clip of a folder, class by class; clips of one content in one class are taken once.

    Raises ``BadInput``: no folder of classes, fewer than two classes with clips, a class with fewer
    than three, or one content in two classes.
    """
    classes = {label: clips for label, clips in every_clip(root).items() if clips}
    if len(classes) < 2:
        what = f"only the class {next(iter(classes))!r}" if classes else "no clips yet"
        raise BadInput(f"{root} has {what}: record at least two, a gesture and 'No gesture'")
    found = _once(root, [Clip(p, label, "") for label, paths in classes.items() for p in paths])
    for label, number in Counter(clip.label for clip in found).items():
        if number < LEAST_TO_SPLIT:
            count = "one clip" if number == 1 else f"{number} clips"
            raise BadInput(
                f"{root}: class {label!r} has {count}: record at least {LEAST_TO_SPLIT}, better "
                "twenty, or delete its folder"
            )
    sessions = _sessions(root, found)
    return [Clip(c.path, c.label, sessions[c.path]) for c in found]


def _sessions(root: Path, clips: list[Clip]) -> dict[Path, str]:
    """The session of every clip by its path."""
    named, stamped, rest = {}, {}, []
    for clip in clips:
        inside = _inside(root, clip)
        moment = _moment(clip.path.stem)
        if len(inside) > 1:
            named[clip.path] = inside[0]
        elif moment:
            stamped[clip.path] = moment
        else:
            rest.append(clip.path)
    began = last = None
    for path, moment in sorted(stamped.items(), key=lambda item: item[1]):
        if last is None or moment - last > PAUSE:
            began = moment
        last = moment
        named[path] = f"{began:%Y-%m-%d %H:%M}"
    return named | dict.fromkeys(rest, ONE)


def _moment(name: str) -> datetime | None:
    """The time in a recording's name; other names may have as many digits."""
    match = STAMP.fullmatch(name)
    try:
        return datetime.strptime(match[1], "%Y%m%d-%H%M%S") if match else None
    except ValueError:
        return None


def _inside(root: Path, clip: Clip) -> tuple[str, ...]:
    """The parts of a clip's path below its class folder."""
    parts = clip.path.relative_to(root).parts
    names = [unicodedata.normalize("NFC", part) for part in parts]
    return parts[names.index(clip.label) + 1 :]


def _once(root: Path, clips: list[Clip]) -> list[Clip]:
    """Clips without repeats; refuses one that stands in two classes."""
    seen: dict[str, Clip] = {}
    size = {clip.path: _size(clip.path) for clip in clips}
    sizes = Counter(size.values())
    kept = []
    for clip in clips:
        if sizes[size[clip.path]] == 1 or size[clip.path] is None:  # of no other's content
            kept.append(clip)
            continue
        first = seen.setdefault(file_sha256(clip.path), clip)
        if first is clip:
            kept.append(clip)
        elif first.label != clip.label:
            names = " and ".join(str(c.path.relative_to(root)) for c in (first, clip))
            raise BadInput(
                f"{root}: {names} are the same clip in two classes: delete it from the wrong one"
            )
    return kept


def _size(path: Path) -> int | None:
    """Bytes; None for what is gone, or a link to nothing."""
    try:
        if path.is_dir():
            return sum(p.stat().st_size for p in path.iterdir() if p.is_file())
        return path.stat().st_size
    except OSError:
        return None


def clip_key(root: Path, clip: Clip) -> str:
    """A digest of a clip's place, size and time of change: another recording has another.

    Raises ``Unreadable`` for a clip that is gone.
    """
    digest = hashlib.sha256(str(clip.path.relative_to(root)).encode(errors="surrogateescape"))
    try:
        files = sorted(clip.path.iterdir()) if clip.path.is_dir() else [clip.path]
        found = [(file.name, file.stat()) for file in files]
    except OSError as error:  # deleted meanwhile, or a link to nothing
        raise Unreadable(error.strerror) from None
    for name, stat in found:
        digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns}".encode(errors="replace"))
    return digest.hexdigest()[:16]


def set_aside(root: Path, clips: list[Clip], folder: Path) -> Path:
    """The clips in a folder of the root's name inside ``folder``, which is given back.

    They are further names of the same files, so that what is recorded or deleted in the root does
    not change them. Raises ``BadInput`` for a clip that is gone already.
    """
    place = folder / root.resolve().name
    shutil.rmtree(place, ignore_errors=True)
    for clip in clips:
        to = place / clip.path.relative_to(root)
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            if clip.path.is_dir():
                shutil.copytree(clip.path, to, copy_function=_name_again)
            else:
                _name_again(clip.path, to)
        except FileNotFoundError:
            raise BadInput(f"{clip.path} was deleted meanwhile: train again") from None
    return place


def _name_again(source: str | Path, to: str | Path) -> None:
    try:
        os.link(Path(source).resolve(), to)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without them
        shutil.copyfile(source, to)
