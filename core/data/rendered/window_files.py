"""Training windows of rendered gestures, rendered once to disk and read from there.

Rendering costs about as much as training on the CPU, so windows are rendered by all cores into
memory-mapped files before the first step and reused in every epoch and every later run with the
same settings. The folder is complete when its ``done`` flags are all set; a run that was killed
goes on where it stopped.
"""

import hashlib
import json
import math
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from core.data.clips import Clips
from core.data.rendered.scenes import POSE_TARGETS
from core.data.rendered.synthetic import check_size, training_window
from core.data.rendered.window import WINDOW, Window
from core.errors import BadInput
from core.files import replace_file
from core.labels import IGNORE, LABELS
from core.options import existing

PEOPLE_VERSION = 2  # of how people are drawn and move: windows of another one are made anew
PHOTOGRAPHS_VERSION = 2  # of how photographs hang behind them
COVERED = 0.8  # part of a gesture, or of the window, that must be seen to carry the clip label


class SyntheticWindows(Clips):
    """Random cuts of ``frames`` frames out of rendered windows of ``WINDOW`` frames.

    An item is asked for by ``(index, seed)`` and is ``(uint8 (T, 3, S, S), frame labels (T,), clip
    label, pose targets (T, 39))``; labels are ``IGNORE`` where no class can be known.
    """

    def __init__(self, folder: Path, frames: int) -> None:
        self.frames = frames
        self.labels = list(LABELS)
        self.folder = folder.absolute()
        self.arrays = _open(folder, "r")
        self.count = len(self.arrays["meta"])
        if not self.arrays["meta"][:, 3].all():
            raise BadInput(f"{folder} is not rendered to its end: wait, or start again")

    def __getstate__(self) -> dict[str, Any]:
        """Without the arrays: a worker that is spawned would be sent all windows."""
        return {name: value for name, value in vars(self).items() if name != "arrays"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.arrays = _open(self.folder, "r")

    @property
    def classes(self) -> list[int]:
        """The class of every window's gesture, ``IGNORE`` of cuts from a recording of several."""
        return [int(label) for label in self.arrays["meta"][:, 0]]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, int, Tensor]:
        index, seed = key
        rng = np.random.default_rng([seed, index])
        first = int(rng.integers(WINDOW - self.frames + 1))
        cut = slice(first, first + self.frames)
        clip_label, start, end, _ = self.arrays["meta"][index].tolist()
        shown = covered(start, end, first, self.frames)
        return (
            torch.from_numpy(self.arrays["frames"][index, cut].copy()),
            torch.from_numpy(self.arrays["labels"][index, cut].copy()),
            int(clip_label) if shown else IGNORE,
            torch.from_numpy(self.arrays["poses"][index, cut].copy()),
        )


def covered(start: float, end: float, first: int, frames: int) -> bool:
    """Whether a cut of ``frames`` frames from ``first`` shows enough of a gesture to be named so.

    ``start`` and ``end`` are the gesture's, in frames. Most of the gesture has to be seen, or it
    has to fill most of the cut, as rest and other motion do, which last longer than any window.
    """
    seen = min(end, first + frames - 1) - max(start, first)
    return seen >= COVERED * min(end - start, frames - 1)


def capsule_windows(
    count: int, size: int, variation: float, frame_rate: float, seed: int
) -> dict[str, Any]:
    """Settings of ``render_windows`` for capsules."""
    check_size(size)
    return {
        "count": count, "size": size, "variation": variation, "frame_rate": frame_rate,
        "seed": seed, "window": WINDOW, "version": 4,
    }  # fmt: skip


def people_windows(
    count: int, size: int, frame_rate: float, seed: int, backgrounds: Path | None
) -> dict[str, Any]:
    """Settings of ``render_windows`` for people; see ``people.studio`` for ``backgrounds``.

    The backgrounds' names are among them: with another picture in the folder some would change
    their split, and validation would be on rooms of the windows.
    """
    found: dict[str, Any] = {
        "renderer": "people", "count": count, "size": size, "frame_rate": frame_rate, "seed": seed,
        "backgrounds": str(backgrounds.resolve()) if backgrounds else None, "window": WINDOW,
        "version": PEOPLE_VERSION,
    }  # fmt: skip
    if backgrounds is None:
        return found
    from core.data.rendered.people.light import PHOTOGRAPHS, background_files

    files = background_files(backgrounds)
    names = "\0".join(file.name for file in files)
    if any(file.suffix.lower() in PHOTOGRAPHS for file in files):
        names += f"\0{PHOTOGRAPHS_VERSION}"
    return found | {"pictures": hashlib.sha256(names.encode()).hexdigest()}


def render_windows(folder: Path, settings: dict[str, Any], workers: int) -> Path:
    """Render what ``settings`` ask for into ``folder`` unless it is there; gives the folder.

    Windows of another version of the renderer are made anew. Raises ``BadInput`` when the folder
    holds windows of other settings, the disk is too full or the renderer cannot draw.
    """
    described = folder / "settings.json"
    missing = list(range(settings["count"]))
    if described.exists():
        found = _settings(folder)
        if found | {"version": 0} != settings | {"version": 0}:
            other = sorted(k for k in found | settings if found.get(k) != settings.get(k))
            raise BadInput(
                f"{folder} holds windows of other settings ({', '.join(other)}; they are of "
                f"{found}): remove it"
            )
        if found != settings:
            print(f"{folder}: of another version of the renderer, made anew")
            shutil.rmtree(folder)
        else:
            missing = np.flatnonzero(_open(folder, "r")["meta"][:, 3] == 0).tolist()
    if not missing:
        return folder
    _check_space(folder, len(missing), settings)
    bar = tqdm(
        total=settings["count"], initial=settings["count"] - len(missing), desc="render",
        unit="clip",
    )  # fmt: skip
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    try:
        with bar, ProcessPoolExecutor(workers, context, _alone) as pool:
            # What cannot be drawn is said before there is a folder of nothing.
            pool.submit(_try, settings, missing[0]).result()
            if not described.exists():
                _create(folder, settings)
            jobs = [pool.submit(_render_into, folder, settings, index) for index in missing]
            try:
                for job in as_completed(jobs):
                    job.result()
                    bar.update()
            except BaseException:  # an interrupt as well: what is queued would be drawn first
                for child in set(multiprocessing.active_children()) - others:
                    child.terminate()
                raise
    except BrokenProcessPool:
        raise BadInput(
            f"a process that drew for {folder} ended, perhaps for want of memory: start again, "
            "with fewer --workers"
        ) from None
    return folder


def _window(settings: dict, index: int) -> Window:
    """Window ``index`` of what the settings describe."""
    seed, size, rate = (settings[name] for name in ("seed", "size", "frame_rate"))
    if settings.get("renderer") != "people":
        return training_window(seed, index, size, settings["variation"], rate)
    from core.data.rendered.people import clips  # loads OpenGL

    backgrounds = settings["backgrounds"]
    return clips.training_window(
        seed, index, size, rate, Path(backgrounds) if backgrounds else None
    )


def _try(settings: dict, index: int) -> None:
    _window(settings, index)


def _alone() -> None:
    """A worker with one thread, which answers no interrupt and does not outlive its parent."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which whoever started it answers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


_CACHE: dict[Path, dict[str, np.memmap]] = {}


def _render_into(folder: Path, settings: dict, index: int) -> None:
    if folder not in _CACHE:
        _CACHE[folder] = _open(folder, "r+")
    arrays = _CACHE[folder]
    window = _window(settings, index)
    arrays["frames"][index] = window.frames.numpy()
    arrays["labels"][index] = window.labels
    arrays["poses"][index] = window.poses
    # The flag comes last: a window without it is rendered again.
    arrays["meta"][index] = (window.clip_label, *window.gesture, 1)


def _layout(settings: dict) -> dict[str, tuple[type, tuple[int, ...]]]:
    n, t, s = settings["count"], settings["window"], settings["size"]
    return {
        "frames": (np.uint8, (n, t, 3, s, s)),
        "labels": (np.int64, (n, t)),
        "poses": (np.float32, (n, t, POSE_TARGETS)),
        "meta": (np.float32, (n, 4)),  # clip label, first and last frame of the gesture, done
    }


def _check_space(folder: Path, missing: int, settings: dict) -> None:
    """The files are sparse: a disk that fills up would kill the rendering with a bus error."""
    layout = _layout(settings | {"count": missing}).values()
    needed = sum(math.prod(shape) * np.dtype(kind).itemsize for kind, shape in layout)
    free = shutil.disk_usage(existing(folder)).free
    if needed > free:
        raise BadInput(
            f"{missing} windows of {settings['size']} pixels need {needed / 1e9:.1f} GB in "
            f"{folder}, where {free / 1e9:.1f} GB are free: make room, lower --clips or --size, or "
            "start from a folder on another disk"
        )


def _create(folder: Path, settings: dict) -> None:
    """Files for all windows, whole or not at all; another process may be quicker."""
    place = folder.resolve()  # of a link to another disk
    place.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".tmp", dir=place.parent))
    try:
        for name, (kind, shape) in _layout(settings).items():
            np.memmap(made / f"{name}.bin", kind, "w+", shape=shape)
        replace_file(made / "settings.json", json.dumps(settings).encode())
        made.chmod(0o755)
        made.replace(place)  # which may be there if it is empty
    except OSError as error:
        if not (place / "settings.json").exists():
            raise BadInput(f"{folder} cannot be made ({error.strerror}): remove it") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _open(folder: Path, mode: str) -> dict[str, np.memmap]:
    try:
        return {
            name: np.memmap(folder / f"{name}.bin", kind, mode, shape=shape)  # type: ignore[call-overload]  # mode is a str
            for name, (kind, shape) in _layout(_settings(folder)).items()
        }
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadInput(f"{folder} holds damaged windows ({error}): remove it") from None


def _settings(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "settings.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"{folder} has no readable settings.json ({error}): remove it") from None
