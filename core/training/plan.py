"""What a training command asks for: its options, recipe, model and clips."""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from core import checkpoint
from core.classes import ClassMap, add_classes_option
from core.data import open_clips, open_windows
from core.data.augment import flip_map, mirror_map
from core.data.clips import Clips
from core.data.relabelled import Relabelled
from core.data.sampling import default_kind
from core.data.source import PUBLISHED, Source, source_of
from core.decision import idle_labels
from core.errors import BadInput
from core.model import BACKBONES, LEAST_SIZE, SHIFTS, ModelConfig
from core.options import (
    MOST_SEED,
    Parser,
    add_data_options,
    add_rendered_options,
    number,
    positive,
    whole,
)
from core.shift import SHIFT_DIVISOR
from core.temporal import TEMPORAL
from core.training import distributed
from core.training.batches import LabelledWindows, epoch_steps, tell_uneven
from core.training.distributed import World
from core.training.recipes import RECIPES, Recipe
from core.training.trainer import PRECISIONS

VAL_CLIPS = 270  # of rendered gestures and of a plain folder
OF_IMAGES = ("backbone", "width", "mean", "std")  # settings that an image model gives to a video's


def model_config(args: argparse.Namespace) -> ModelConfig:
    """What the command line leaves open comes from ``--from``, and without it from the recipe.

    Image weights give their backbone and colours alone: the rest is the recipe's.
    """
    recipe = RECIPES[recipe_name(args)]
    own: dict[str, Any] = {"size": recipe.size, "frames": recipe.frames, "causal": recipe.causal}
    base = ModelConfig(**own)
    if args.start:
        start = checkpoint.load(args.start)
        kept = {name: getattr(start.config, name) for name in OF_IMAGES}
        base = replace(base, **kept) if _of_images(start.info) else start.config
    names = ("backbone", "temporal", "width", "size", "frames", "location", "shift")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.causal or args.bidirectional:
        given["causal"] = args.causal
    if given.get("temporal", base.temporal) != base.temporal or "shift" in given:
        base = replace(base, fold=SHIFT_DIVISOR)  # which is of the shift that it had
    try:
        return replace(base, **given)
    except ValueError as error:
        raise BadInput(f"no such model: {error}") from None


def _of_images(info: dict) -> bool:
    """Whether a checkpoint is an imported image model, which says nothing about time."""
    found = info.get("imported")
    return isinstance(found, dict) and bool(found.get("images"))


def recipe_name(args: argparse.Namespace) -> str:
    """The recipe that was asked for, or the one of the data set."""
    if args.recipe:
        return args.recipe
    kind = source_of(args).kind if args.data else "synthetic"
    return kind if kind in RECIPES else "synthetic"


def settle(args: argparse.Namespace, recipe: Recipe, count: int) -> None:
    """Fill in what the command line left to the recipe; ``count`` clips make an epoch."""
    for name in ("lr", "weight_decay", "batch"):
        if getattr(args, name) is None:
            setattr(args, name, getattr(recipe, name))
    epoch = epoch_steps(count, min(args.batch, count))
    if args.steps is None:
        epochs = args.epochs or recipe.epochs
        args.steps = epochs * epoch if epochs else recipe.steps
    if args.every is None:
        args.every = recipe.every or epoch


def open_data(
    args: argparse.Namespace, config: ModelConfig, recipe: Recipe, world: World
) -> tuple[Clips, Clips]:
    """Training windows and held-out clips. The first process of a machine opens them first.

    Raises ``BadInput`` as ``open_windows`` and ``open_clips`` do.
    """
    source = source_of(args)
    protocol = not recipe.augment
    if protocol and args.data:
        source = replace(source, sampling=source.sampling or default_kind(config.causal))
        args.sampling = source.sampling  # evaluation reads it from the checkpoint
    if protocol and not args.data:
        raise BadInput(
            f"--recipe {recipe_name(args)} is of a data set: give its folder with --data DIR"
        )
    if world.local:
        distributed.wait()
    windows = open_windows(
        source if args.data else None, config, args.clips, args.seed,
        args.workers, protocol, args.capsules, args.backgrounds, args.window_size, args.classes,
    )  # fmt: skip
    known = windows.map if isinstance(windows, Relabelled) else None
    if known is not None:
        _carry_over(args, known)
        if world.leads:
            print(f"{known.where}: {known.told()}")
    if args.balance and not args.data:
        raise BadInput("--balance is of clips in a folder: give their folder with --data DIR")
    if args.data:
        windows = LabelledWindows(windows, each_frame=config.causal or not protocol)
        if world.leads and not args.balance:
            tell_uneven(windows.classes, windows.labels)
    count = args.val_clips
    if count is None and not _published(source):
        count = VAL_CLIPS
    clips = open_clips(
        source if args.data else None, "val", config, count, labels=windows.labels,
        replace=False, capsules=args.capsules, backgrounds=args.backgrounds, classes=known,
    )  # fmt: skip
    if not world.local:
        distributed.wait()
    return windows, clips


def _carry_over(args: argparse.Namespace, classes: ClassMap) -> None:
    """Classes that meant no gesture mean it under their new names: as if ``--none`` said so.

    What ``--none`` says may be old or new names.
    """
    before = idle_labels(classes.known or (), {"settings": {"none": args.none}})
    args.none = [*classes.idle(before), *(n for n in args.none or () if n not in before)]


def _published(source: Source) -> bool:
    return source.data is not None and source.kind in PUBLISHED


def mirrored(args: argparse.Namespace, labels: list[str]) -> torch.Tensor | None:
    """What classes become in a mirror: as ``--flip`` says, or as is known of our own gestures."""
    if args.flip:
        return flip_map(args.flip, labels)
    if _published(source_of(args)) or not RECIPES[recipe_name(args)].augment:
        return None
    return mirror_map(labels)


def parse(argv: list[str] | None, description: str) -> argparse.Namespace:
    """The command line; see ``--help``."""
    parser = Parser(
        prog="python -m core.train",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for state, log and best checkpoint")
    add_data_options(parser)
    add(
        "--recipe", choices=list(RECIPES),
        help="optimiser, schedule, batch and view; default: that of the data set, else synthetic",
    )  # fmt: skip
    add("--from", dest="start", type=Path, help="checkpoint to start from; what fits is copied")
    add("--backbone", choices=sorted(BACKBONES), help="default: mobilenet_v2, or that of --from")
    add("--temporal", choices=list(TEMPORAL), help="none is TSN, shift is TSM; default: action")
    direction = parser.add_mutually_exclusive_group()
    direction.add_argument(
        "--causal", action="store_true", help="the past alone; default, or --from's"
    )
    direction.add_argument(
        "--bidirectional", action="store_true", help="see the future too; cannot be streamed"
    )
    add(
        "--location", type=whole(0),
        help="of the temporal module in its block, default 1; 0: TSM's shift of whole blocks",
    )  # fmt: skip
    add("--shift", choices=SHIFTS, help="learned: train its taps; default: fixed, or --from's")
    add("--width", type=positive, help="channel multiplier of the backbone, default 1")
    add("--size", type=whole(LEAST_SIZE), help="picture side in pixels, default of the recipe")
    add("--frames", type=whole(1), help="of a clip, default of the recipe; 1: single pictures")
    add("--clips", type=whole(1), default=12000, help="windows to render and train on")
    add(
        "--window-size", type=whole(LEAST_SIZE), metavar="PIXELS",
        help="side of the rendered windows, default --size; larger ones serve models "
        "of several sizes",
    )  # fmt: skip
    add(
        "--full-size", action="store_true",
        help="rendered clips at --size in every step, for a start that knows them; default: "
        "smaller ones first, at half the time a step",
    )  # fmt: skip
    add_rendered_options(parser)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=whole(1), help="default of the recipe: 3000 of windows")
    length.add_argument("--epochs", type=whole(1), help="the same in passes over the clips")
    add("--batch", type=whole(1), help="clips a step, of all processes; default 16, recipes 64")
    add("--accumulate", type=whole(1), default=1, help="cut a step's clips into so many passes")
    add("--lr", type=positive, help="peak learning rate, default of the recipe")
    add(
        "--early-rate", type=positive, metavar="PART",
        help="learning rate of the first layer that --from gave, as a part of --lr; it grows "
        "towards the last; default 1",
    )  # fmt: skip
    add(
        "--freeze", type=whole(1), metavar="PARTS",
        help="keep the first parts of the trunk (stem, blocks) as --from gave them, batch norm "
        "too: 7 of MobileNet V2's halve a step",
    )  # fmt: skip
    add("--weight-decay", type=number, help="default of the recipe")
    add("--flip", type=Path, metavar="JSON", help="mirror clips; the file swaps classes by name")
    add("--balance", action="store_true", help="draw every class of --data as often as every other")
    add_classes_option(
        parser, "a subset of the classes, merged or renamed: "
        '["Stop", "No gesture"] or {"left": ["Swiping Left", "Sliding Left"], "none": "*"}',
    )  # fmt: skip
    add(
        "--none", action="append", metavar="LABEL",
        help="a class without a gesture that its name (none, idle, ...) does not say; repeatable",
    )  # fmt: skip
    add("--seed", type=whole(0, MOST_SEED), default=0)
    add("--every", type=whole(1), help="steps between validations; default 250, recipes an epoch")
    add(
        "--val-clips", type=whole(1),
        help=f"held-out clips of a validation; default {VAL_CLIPS}, of a data set all",
    )  # fmt: skip
    workers = max(1, (os.cpu_count() or 2) // 2)
    add("--workers", type=whole(0), default=workers, help="loader processes")
    add("--stop", type=whole(1), help="stop after this step, to be resumed later")
    add(
        "--precision", choices=list(PRECISIONS),
        help="of autocast; default: bf16, on a CPU without it fp32",
    )  # fmt: skip
    add("--fp32", action="store_true", help="the same as --precision fp32")
    add(
        "--tensorboard", type=Path, metavar="DIR",
        help="write curves for TensorBoard too, beside log.jsonl; needs the extra 'curves'",
    )  # fmt: skip
    add("--compile", action="store_true", help="torch.compile the model")
    add("--cpu", action="store_true", help="do not use a GPU")
    return parser.parse_args(argv)
