"""Clips of one's own gestures from a camera, in the plain-folder layout that training reads."""

import sys
import time
from collections.abc import Iterator
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


def save_clip(out: Path, label: str, frames: np.ndarray, rate: float) -> Path:
    """Write uint8 RGB frames (T, H, W, 3) as ``out/label/<time>-<n>.mp4``; returns the path.

    An odd last row or column is cut off. Raises ``BadInput`` for a label that is no folder name
    and a folder that cannot be written to.
    """
    folder = out / check_label(label)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        taken = {path.stem for path in folder.iterdir()}
        number = next(n for n in range(len(taken) + 1) if f"{stamp}-{n:03d}" not in taken)
        path = folder / f"{stamp}-{number:03d}.mp4"
        height, width = (side - side % 2 for side in frames.shape[1:3])
        write_clip(path, np.ascontiguousarray(frames[:, :height, :width]), rate)
    except OSError as error:
        raise BadInput(
            f"--out {out} cannot be written ({error.strerror}): give a folder of your own"
        ) from None
    return path


def record_from(source: str, label: str, out: Path, clips: int) -> int:
    """Record ``clips`` clips of ``label`` from a camera, each after a countdown; exit status.

    A video file in the camera's place is cut into clips instead, one after the other. Ctrl-C ends
    it; the clips until then are kept.
    """
    check_label(label)
    number = camera_number(source)
    if number is None and not Path(source).is_file():
        raise BadInput(
            f"--source {source} is no file: record from camera, camera:1, ... or a video"
        )
    frames = video_frames(Path(source)) if number is None else camera_frames(number)
    saved = 0
    try:
        # Between two clips a camera goes on: only its newest frame is of interest.
        feed = frames if number is None else iter(Newest(frames, paced=False))
        with closing(feed), tqdm(total=clips, desc=label, unit="clip", disable=None) as bar:  # type: ignore[type-var]  # generators, which close
            for _ in range(clips):
                if number is not None:
                    _count_down(feed, label)
                taken = take(feed, CLIP_SECONDS, RATE)
                if len(taken) < round(CLIP_SECONDS * RATE):
                    break
                tqdm.write(str(save_clip(out, label, np.stack(taken), RATE)))
                saved += 1
                bar.update()
    except Interrupted as stop:
        sys.stderr.write(f"error: {stop}; {saved} of {clips} clips are kept\n")
        return 2
    except KeyboardInterrupt:
        pass
    if not saved:
        raise BadInput(f"--source {source} is shorter than a clip of {CLIP_SECONDS:g} s: give more")
    print(f"{saved} clips of {label!r} in {out}; train on them: README, Your own gestures")
    return 0


def take(feed: Iterator[Frame], seconds: float, rate: float) -> list[np.ndarray]:
    """The next ``seconds`` of a feed at ``rate``; fewer frames where the feed ends before."""
    wanted, ticks = round(seconds * rate), Ticks(rate, 10**9)
    taken: list = []
    for frame in feed:
        tick = ticks.frame(frame.seconds)
        if tick.take:
            # A tick that no frame came for repeats the last one, as a resampled file would.
            taken.extend(taken[-1:] * tick.missed)
            taken.append(frame.picture())
        if len(taken) >= wanted:
            break
    return taken[:wanted]


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
