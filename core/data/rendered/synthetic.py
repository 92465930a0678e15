"""Synthetic gestures: the embedded data set, as videos in folders and as a contact sheet.

    python -m core.data.synthetic --sheet sheet.png
    python -m core.data.synthetic --write DIR --count 270
    python -m core.data.synthetic --capsules --sheet sheet.png

Clips of people, or of hands made of capsules. Here are those of capsules: clips, training windows
and continuous streams of the 27 Jester classes; see ``scenes`` for what varies, ``gestures`` for
how the hand moves, ``hand`` and ``capsules`` for how it looks.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from core.data.clips import Clips
from core.data.rendered.capsules.camera import NOISE_SIDE, render
from core.data.rendered.scenes import (
    clip_scene,
    frame_labels,
    pose_targets,
    scene_seed,
    stream_scene,
    variation_of,
)
from core.data.rendered.window import SIDE, STREAMS_FROM, WINDOW, Window
from core.errors import BadInput
from core.files import write_figure
from core.labels import (
    IGNORE,  # fmt: skip
    LABELS,
    NO_GESTURE,
    OTHER,
)
from core.model import LEAST_SIZE, ModelConfig
from core.options import (
    MOST_SEED,
    Parser,
    add_rendered_options,
    check_file,
    check_folder,
    whole,
)

RATE, SHEET_SIZE = 10.0, 112  # frames a second of written clips, pixels of a sheet's pictures


def check_size(size: int) -> None:
    """Refuse pictures that the renderer's field of sensor noise does not cover."""
    if size >= NOISE_SIDE:
        raise BadInput(
            f"size {size}: rendered pictures are below {NOISE_SIDE} pixels: lower --size"
        )


def training_window(
    seed: int, index: int, size: int, variation: float, frame_rate: float
) -> Window:
    """Window ``index`` of the training set: random phase, lead-in by rest, motion or a gesture."""
    rng = np.random.default_rng(scene_seed("train", seed, index).spawn(2)[1])
    steps = np.arange(WINDOW) / frame_rate
    if rng.random() < 0.2:
        scene, length = stream_scene("train", seed, index, variation, gestures=4)
        times = rng.uniform(0, length - steps[-1]) + steps
        clip_label, gesture = IGNORE, (0.0, 0.0)
    else:
        label = LABELS[index % len(LABELS)]
        before = OTHER if rng.random() < 0.3 else NO_GESTURE
        scene, middle = clip_scene("train", seed, index, label, variation, before, SIDE)
        times = middle + steps - steps[-1] / 2 + rng.uniform(-0.5, 0.5)
        part = scene.segments[len(scene.segments) // 2]
        clip_label = LABELS.index(label)
        gesture = tuple((np.array([part.start, part.end]) - times[0]) * frame_rate)
    frames = render(scene, times, size, variation)
    return Window(
        frames,
        frame_labels(scene, times, frame_rate),
        pose_targets(scene, times).astype(np.float32),
        clip_label,
        gesture,
    )


class SyntheticClips(Clips):
    """Held-out clips: one gesture in the middle, beginning and end cut symmetrically.

    An item is ``(uint8 (T, 3, S, S), class index)``; class ``i % 27`` of clip ``i``, so that every
    count is balanced. Around the gesture the hand rests (70 %) or does something else. ``only``
    restricts the classes, for tests of a pair.
    """

    def __init__(
        self,
        split: str,
        count: int,
        *,
        frames: int,
        size: int,
        frame_rate: float,
        difficulty: str = "default",
        seed: int = 0,
        only: tuple[str, ...] = LABELS,
    ) -> None:
        check_size(size)
        self.labels = list(LABELS)
        self.split, self.count, self.seed, self.only = split, count, seed, only
        self.frames, self.size, self.frame_rate = frames, size, frame_rate
        self.variation = variation_of(difficulty)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        label = self.only[index % len(self.only)]
        rng = np.random.default_rng(scene_seed(self.split, self.seed, index).spawn(3)[2])
        around = OTHER if rng.random() < 0.3 else NO_GESTURE
        side = max(SIDE, self.frames / 2 / self.frame_rate)
        scene, middle = clip_scene(
            self.split, self.seed, index, label, self.variation, around, side
        )
        steps = (np.arange(self.frames) - (self.frames - 1) / 2) / self.frame_rate
        times = middle + steps + rng.uniform(-0.15, 0.15)
        frames = render(scene, times, self.size, self.variation)
        return frames, LABELS.index(label)


class SyntheticStreams(torch.utils.data.Dataset):
    """Continuous recordings of ten gestures with pauses and other motion between them.

    An item is ``(uint8 (T, 3, S, S), first frame, last frame and class of each gesture (G,))``.
    """

    GESTURES = 10

    def __init__(
        self, count: int, config: ModelConfig, difficulty: str, *, split: str, seed: int = 0
    ) -> None:
        check_size(config.size)
        self.count, self.config, self.split, self.seed = count, config, split, seed
        self.variation = variation_of(difficulty)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        scene, length = stream_scene(
            self.split, self.seed, STREAMS_FROM + index, self.variation, self.GESTURES
        )
        times = np.arange(0, length, 1 / self.config.frame_rate)
        frames = render(scene, times, self.config.size, self.variation)
        gestures = [p for p in scene.segments if p.label not in (NO_GESTURE, OTHER)]
        rate = self.config.frame_rate
        starts = torch.tensor([math.ceil(p.start * rate) for p in gestures])
        ends = torch.tensor([int(p.end * rate) for p in gestures])
        return frames, starts, ends, torch.tensor([LABELS.index(p.label) for p in gestures])


def draw_sheet(path: Path, clips: Clips) -> None:
    """A contact sheet in two columns: eight frames of one clip of every class, named above.

    ``clips`` has one clip of 16 frames a class, in order. A PNG whatever the file is called; raises
    ``BadInput`` when it cannot be written.
    """
    from matplotlib.figure import Figure

    rows = -(-len(LABELS) // 2)
    figure = Figure(figsize=(15, 1.12 * rows), layout="constrained")
    axes = figure.subplots(rows, 2)
    for axis in axes.flat:
        axis.axis("off")
    for index, label in enumerate(tqdm(LABELS, desc="sheet", unit="class")):
        axis = axes[index % rows, index // rows]
        axis.imshow(torch.cat(list(clips[index][0][::2]), dim=-1).permute(1, 2, 0).numpy())
        axis.set_title(label, loc="left", fontsize=8, pad=2)
    write_figure("--sheet", path, figure, dpi=80)


def write_folder(root: Path, clips: Clips, rename: dict[str, str]) -> None:
    """Write clips as videos in the layout of the plain-folder loader: ``root/<class>/<n>.mp4``.

    ``rename`` maps class names to other folder names.
    """
    from core.data.video import write_clip

    for index in tqdm(range(len(clips)), desc="write", unit="clip"):
        frames, label = clips[index]
        folder = root / rename.get(LABELS[label], LABELS[label])
        folder.mkdir(parents=True, exist_ok=True)
        write_clip(folder / f"{index:05d}.mp4", frames, RATE)


def _clips(args: argparse.Namespace, split: str, count: int, **shape: Any) -> Clips:
    """Clips of the renderer that the command line asks for."""
    if args.capsules is None:
        from core.data.rendered.people.clips import PeopleClips

        return PeopleClips(split, count, frame_rate=RATE, backgrounds=args.backgrounds, **shape)
    return SyntheticClips(split, count, frame_rate=RATE, difficulty=args.capsules, **shape)


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = Parser(
        prog="python -m core.data.synthetic",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--sheet", type=Path, help="draw a contact sheet of every class into this PNG")
    add(
        "--write", type=Path, help="write clips as videos, one sub-folder a class, into this folder"
    )
    add("--count", type=whole(1), default=270, help="clips to write")
    add(
        "--size", type=whole(LEAST_SIZE, NOISE_SIDE - 1), default=160,
        help="picture side of written clips",
    )  # fmt: skip
    add("--seed", type=whole(0, MOST_SEED), default=0)
    add_rendered_options(parser)
    add(
        "--class", dest="classes", action="append", default=[], metavar="NAME[=FOLDER]",
        help="write this class alone (may be repeated), under another folder name if one is given",
    )  # fmt: skip
    args = parser.parse_args(argv)
    if not args.sheet and not args.write:
        parser.error("nothing to do: give --sheet FILE or --write DIR")
    rename = dict(text.split("=", 1) if "=" in text else (text, text) for text in args.classes)
    for name in rename:
        if name not in LABELS:
            raise BadInput(f"class {name!r} is unknown: choose from {', '.join(LABELS)}")
    check_file("--sheet", args.sheet)
    if args.write:
        check_folder("--write", args.write)
        if next(args.write.glob("*/*.mp4"), None):  # these would be mixed with those
            raise BadInput(f"--write {args.write} holds clips already: remove it or give another")
    if args.sheet:
        draw_sheet(args.sheet, _clips(args, "val", len(LABELS), frames=16, size=SHEET_SIZE))
    if args.write:
        only = tuple(rename) or LABELS
        clips = _clips(
            args, "train", args.count, frames=WINDOW, size=args.size, seed=1000 + args.seed,
            only=only,
        )  # fmt: skip
        write_folder(args.write, clips, rename)
    return 0
