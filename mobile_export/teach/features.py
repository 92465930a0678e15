"""What the frozen part of a trunk makes of every clip, computed once and kept on the disk.

Each clip has its variants: as it is, and with other speeds, crops and colours, none of which turns
a direction round. What they are varies with the clip alone, so that a second run finds them again.
"""

import errno
import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.checkpoint import Checkpoint
from core.data.augment import augment
from core.data.sampling import window
from core.data.transforms import normalise
from core.data.video import Unreadable, frame_files, read_clip, read_image
from core.errors import BadInput
from core.files import replace_file
from core.training.frozen import maps_of
from mobile_export.graph.fold import folded
from mobile_export.teach.folder import Clip, clip_key

VARIANTS = 3  # of each clip, the recorded one included
SPEED = (0.8, 1.25)
LONGEST = 4.0  # seconds that are taken of a clip, from its middle
FLAT = 3.0  # grey levels of spread within a picture: less is a covered lens or a dark room
STILL = 0.15  # grey levels of change from frame to frame: less is a picture and no video
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
FOLDER = "maps"


@dataclass(frozen=True)
class Found:
    """Maps (V, T, C, h, w) of a clip, what looks wrong with it, and its ``clip_key``."""

    maps: Tensor
    doubt: str = ""
    key: str = ""


def read_frames(path: Path, rate: float, size: int, least: int) -> Tensor:
    """The middle of a clip, at most ``LONGEST``: uint8 (T, 3, S, S) with T of at least ``least``.

    Raises ``Unreadable``.
    """
    if path.is_dir():
        files = frame_files(path)
        if not files:
            raise Unreadable("no frame images in it (.jpg, .jpeg, .png)")
        wanted = _middle(len(files), rate, least)
        return torch.stack([read_image(files[int(i)], size) for i in wanted])
    frames = read_clip(path, rate, size)
    return frames[torch.from_numpy(_middle(len(frames), rate, least))]


def _middle(count: int, rate: float, least: int) -> np.ndarray:
    return window(count, max(least, min(count, round(LONGEST * rate))))


def doubt_of(frames: Tensor) -> str:
    """What looks wrong with frames (T, 3, S, S) whoever made them; empty where nothing does."""
    values = frames.float().mean(1)
    if float(values.flatten(1).std(1).max()) < FLAT:
        return "its pictures are of one colour: is the lens covered, or is it dark?"
    if float((values[1:] - values[:-1]).abs().mean()) < STILL and len(values) > 1:
        return "nothing moves in it: it is a picture and no clip"
    return ""


def variants(frames: Tensor, seed: int, number: int = VARIANTS) -> Tensor:
    """Frames (T, 3, S, S) as float pixels (V, T, 3, S, S): as they are, and varied."""
    generator = torch.Generator().manual_seed(seed)
    size, count = frames.shape[-1], len(frames)
    rows = [frames.float()]
    for _ in range(number - 1):
        low, high = SPEED
        speed = low + (high - low) * torch.rand((), generator=generator)
        middle = (count - 1) / 2
        at = ((torch.arange(count) - middle) * speed + middle).round().long().clamp(0, count - 1)
        rows.append(augment(frames[at][None], size, generator)[0][0])
    return torch.stack(rows)


class Cache:
    """Maps of clips by what they depend on, in files that are whole or not there."""

    def __init__(self, folder: Path, base: Checkpoint, border: int) -> None:
        self.folder, self.base, self.border = folder, base, border
        config = base.config
        # Batch norm is half of the time that the frozen part takes.
        self.model = folded(base.model).to(memory_format=torch.channels_last)
        self.terms = f"{base.sha256} {border} {config.size} {config.frame_rate} {VARIANTS} 1"
        self.used: set[str] = set()

    def get(self, key: str, frames: Callable[[], Tensor], number: int | None = None) -> Found:
        """The maps that belong to ``key``; ``frames`` gives the clip where they are not known.

        ``number`` is that of the variants, ``VARIANTS`` where it is None.

        Raises ``BadInput`` when the disk is full.
        """
        name = hashlib.sha256(f"{self.terms} {key}".encode()).hexdigest()[:24] + ".npz"
        self.used.add(name)
        path = self.folder / name
        kept = _load(path)
        if kept is not None:
            return kept
        pixels = frames()
        config = self.base.config
        rows = variants(pixels, int(name[:8], 16), number or VARIANTS).split(1)
        maps = torch.cat(
            [maps_of(self.model, normalise(row, config.mean, config.std), self.border)
             for row in rows]
        )  # fmt: skip
        found = Found(maps, doubt_of(pixels))
        content = io.BytesIO()
        np.savez(content, maps=maps.numpy(), doubt=np.array(found.doubt))
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            replace_file(path, content.getvalue())
        except OSError as error:
            raise no_room(self.folder, error) from None
        return found

    def prune(self) -> None:
        """Remove what this job had no use for: maps of clips that are gone, or of another model."""
        for path in self.folder.glob("*.npz"):
            if path.name not in self.used:
                path.unlink(missing_ok=True)


def no_room(folder: Path, error: OSError) -> BadInput:
    """A file that could not be written, in one line."""
    if error.errno in NO_ROOM:
        return BadInput(
            f"the disk of {folder} is full: make room; the same command goes on from there"
        )
    return BadInput(f"{folder} cannot be written ({error.strerror}): give clips in another folder")


def _load(path: Path) -> Found | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return Found(torch.from_numpy(file["maps"]), str(file["doubt"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def clip_maps(
    cache: Cache, root: Path, clips: Sequence[Clip], told: Callable[[int, int], None]
) -> tuple[list[Clip], list[Found], list[tuple[Clip, str]]]:
    """The clips that can be read, their maps, and those that cannot with the reason."""
    config = cache.base.config
    read, found, broken = [], [], []
    for number, clip in enumerate(clips):
        try:
            key = clip_key(root, clip)
            maps = cache.get(
                key,
                lambda clip=clip: read_frames(  # type: ignore[misc]  # bound to this clip
                    clip.path, config.frame_rate, config.size, config.frames
                ),
            )
        except Unreadable as error:
            broken.append((clip, str(error)))
        else:
            read.append(clip)
            found.append(replace(maps, key=key))
        told(number + 1, len(clips))
    return read, found, broken
