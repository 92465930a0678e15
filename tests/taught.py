"""A folder of clips as somebody would record them, and a small model to start from."""

from pathlib import Path

import numpy as np
from helpers import make_model
from short_models import tame

from core import checkpoint
from core.data.video import write_clip

COLOURS = {"red": (210, 40, 40), "green": (40, 200, 60), "No gesture": (90, 90, 100)}
SIDE, FRAMES, RATE = 48, 12, 10.0
DAYS = ("20260105-101500", "20260106-183000", "20260109-090000")


def film(label: str, seed: int, frames: int = FRAMES, side: int = SIDE) -> np.ndarray:
    """A patch of the class's colour that moves before a grey room: uint8 (T, side, side, 3).

    It turns round at the edges, so that a long film shows it to the end.
    """
    rng = np.random.default_rng(seed)
    room = rng.integers(50, 120, (side, side, 1)) + rng.integers(-10, 10, (side, side, 3))
    start, speed = rng.uniform(0.1, 0.3, 2) * side, rng.uniform(0.01, 0.03, 2) * side
    pictures = []
    for t in range(frames):
        picture = room.copy()
        half = side // 2
        top, left = (half - abs((start + speed * t) % (2 * half) - half)).astype(int)
        picture[top : top + half, left : left + half] = COLOURS[label]
        pictures.append(picture)
    return np.clip(np.stack(pictures), 0, 255).astype(np.uint8)


def write_clips(root: Path, clips: int = 3, days: int = 2, labels=tuple(COLOURS)) -> Path:
    """``clips`` of every class on each day, under the names that the recorder gives."""
    for day in range(days):
        for label in labels:
            folder = root / label
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(clips):
                seed = 1000 * day + 100 * list(COLOURS).index(label) + number
                path = folder / f"{DAYS[day]}-{number:03d}.mp4"
                write_clip(path, film(label, seed), RATE)
    return root


def write_base(path: Path, **settings: object) -> Path:
    """A small causal model that has learned nothing, of the right kind for a start."""
    model = make_model(**({"size": 32, "frames": 8, "num_classes": 3} | settings))
    tame(model)  # colours come through fifty layers that have learned nothing
    checkpoint.save(path, model, ["a", "b", "c"])
    return path
