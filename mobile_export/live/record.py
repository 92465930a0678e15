"""Clips of one's own gestures from a camera, in the plain-folder layout that training reads."""

import sys
import threading
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from tqdm import tqdm

from core.data.label_files import split_name
from core.data.video import write_clip
from core.errors import BadInput
from mobile_export.live.sources import (
    Frame,
    Interrupted,
    Newest,
    camera_frames,
    camera_number,
    video_frames,
)
from mobile_export.live.ticks import Ticks

CLIP_SECONDS = 2.4  # 24 frames at 10 a second: a gesture of a second with what is around it
COUNTDOWN = 3  # seconds before each clip
RATE = 10.0  # frames a second, as the bundled model was trained
LONGEST_LABEL = 80  # characters; file systems take 255 bytes

# Between two frames of a clip. Cameras slow down to 5 frames a second in the dark; what is longer
# would be a gesture with a hole in it.
LONGEST_GAP = 0.35
MOST_SPOILED = 3  # clips in a row after which a camera is given up

# Held from the choice of a clip's name until the clip lies there: of several that a page saves at
# once, two would take the same name.
SAVING = threading.Lock()


def check_label(label: str) -> str:
    """A label that can be the name of a folder; raises ``BadInput`` for another."""
    reason = None
    if not label.strip() or label != label.strip():
        reason = "is empty or has blanks at its ends"
    elif len(label) > LONGEST_LABEL:
        reason = f"has more than {LONGEST_LABEL} characters"
    elif label.startswith((".", "__")):
        reason = "begins as hidden folders do"
    elif any(sign in '/\\:*?"<>|' or not sign.isprintable() for sign in label):
        reason = "holds a character that folder names cannot have"
    elif split_name(label):
        reason = "is the name of a split"
    if reason:
        raise BadInput(f"label {label!r} {reason}: give a name such as 'thumb up'")
    return label


def class_folder(out: Path, label: str) -> Path:
    """The folder of a class: the one that is there, though its letters may be composed otherwise.

    macOS writes an accent as a sign of its own, and a second folder would be the same class twice.
    """
    name = unicodedata.normalize("NFC", label)
    there = sorted(path for path in out.iterdir() if path.is_dir()) if out.is_dir() else []
    same = (path for path in there if unicodedata.normalize("NFC", path.name) == name)
    return next(same, out / label)


def save_clip(out: Path, label: str, frames: np.ndarray, rate: float) -> Path:
    """Write uint8 RGB frames (T, H, W, 3) as ``out/label/<time>-<n>.mp4``; returns the path.

    An odd last row or column is cut off. Raises ``BadInput`` for a label that is no folder name
    and a folder that cannot be written to.
    """
    check_label(label)
    height, width = (side - side % 2 for side in frames.shape[1:3])
    pixels = np.ascontiguousarray(frames[:, :height, :width])
    try:
        with SAVING:
            folder = class_folder(out, label)
            folder.mkdir(parents=True, exist_ok=True)
            stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
            taken = {path.stem for path in folder.iterdir()}
            number = next(n for n in range(len(taken) + 1) if f"{stamp}-{n:03d}" not in taken)
            path = folder / f"{stamp}-{number:03d}.mp4"
            write_clip(path, pixels, rate)
    except OSError as error:
        raise BadInput(
            f"--out {out} cannot be written ({error.strerror}): give a folder of your own"
        ) from None
    return path


def record_from(source: str, label: str, out: Path, clips: int) -> int:
    """Record ``clips`` clips of ``label`` from a camera, each after a countdown; exit status.

    A video file in the camera's place is cut into clips instead, one after the other. Ctrl-C ends
    it; the clips until then are kept. A clip in which the camera stood still or changed the size of
    its picture is made again, as on the page.
    """
    check_label(label)
    number = camera_number(source)
    if number is None and not Path(source).is_file():
        raise BadInput(
            f"--source {source} is no file: record from camera, camera:1, ... or a video"
        )
    frames = video_frames(Path(source)) if number is None else camera_frames(number)
    saved = spoiled = 0
    stopped = False
    try:
        # Between two clips a camera goes on: only its newest frame is of interest.
        feed = frames if number is None else iter(Newest(frames, paced=False))
        with closing(feed), tqdm(total=clips, desc=label, unit="clip", disable=None) as bar:  # type: ignore[type-var]  # generators, which close
            while saved < clips:
                if number is not None:
                    _count_down(feed, label)
                taken, gap = take(feed, CLIP_SECONDS, RATE)
                if len(taken) < round(CLIP_SECONDS * RATE):
                    break
                reason = spoils(taken, gap if number is not None else 0.0)
                if reason:
                    spoiled += 1
                    tqdm.write(f"{reason}: not kept")
                    if spoiled == MOST_SPOILED and number is not None:
                        raise Interrupted(f"{spoiled} clips in a row were spoiled ({reason})")
                    continue
                tqdm.write(str(save_clip(out, label, np.stack(taken), RATE)))
                saved, spoiled = saved + 1, 0
                bar.update()
    except Interrupted as stop:
        sys.stderr.write(f"error: {stop}; {saved} of {clips} clips are kept\n")
        return 2
    except KeyboardInterrupt:
        stopped = True
    if not saved and stopped:
        print("stopped before the first clip: nothing is kept")
        return 0
    if not saved:
        raise BadInput(f"--source {source} is shorter than a clip of {CLIP_SECONDS:g} s: give more")
    print(f"{saved} clips of {label!r} in {out}; train on them: README, Your own gestures")
    return 0


def spoils(taken: Sequence[np.ndarray], gap: float) -> str | None:
    """Why frames make no clip, ``gap`` being the longest time between two; None where they do."""
    if gap > LONGEST_GAP:
        return f"the camera stood still for {gap:.1f} s of this clip"
    if len({pixels.shape for pixels in taken}) > 1:
        return "the size of the picture changed during this clip"
    return None


def take(feed: Iterator[Frame], seconds: float, rate: float) -> tuple[list[np.ndarray], float]:
    """The next ``seconds`` of a feed at ``rate``, and the longest time between two of its frames.

    Fewer frames where the feed ends before.
    """
    wanted, ticks = round(seconds * rate), Ticks(rate, 10**9)
    taken: list = []
    latest, gap = None, 0.0
    for frame in feed:
        gap = gap if latest is None else max(gap, frame.seconds - latest)
        latest = frame.seconds
        tick = ticks.frame(frame.seconds)
        if tick.take:
            # A tick that no frame came for repeats the last one, as a resampled file would.
            taken.extend(taken[-1:] * tick.missed)
            taken.append(frame.picture())
        if len(taken) >= wanted:
            break
    return taken[:wanted], gap


def _count_down(feed: Iterator[Frame], label: str) -> None:
    """Show the seconds that are left while the camera's frames pass by."""
    end, shown = time.monotonic() + COUNTDOWN, COUNTDOWN + 1
    for _ in feed:
        left = end - time.monotonic()
        if left <= 0:
            break
        if int(left) + 1 < shown:
            shown = int(left) + 1
            tqdm.write(f"{label} in {shown} ...")
    tqdm.write("now")
