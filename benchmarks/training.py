"""Training clips a second of ACTION as core computes it and as it was published, in one loop.

    python benchmarks/training.py

Both sides are the same network with the same numbers in core's own training step (recipe jester:
forward, backward, clipped gradients, SGD) on the same batches of one loader, in one precision. They
take turns, a step each, and the ratio is that of the medians. The published module (see
``training_published``) runs in both memory formats, channels-last as core's and contiguous as its
authors'; core is held to the faster one. A GPU is used when there is one.
"""

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm
from training_published import use_published

from core.errors import run_main
from core.files import write_json
from core.labels import IGNORE
from core.markdown import markdown
from core.model import LEAST_SIZE, SHIFTS, ModelConfig, VideoClassifier
from core.options import Parser, check_file, whole
from core.training.memory import keep_freed
from core.training.recipes import RECIPES, make_optimizer
from core.training.strided import replace_strided_depthwise
from core.training.supervision import Trainee
from core.training.trainer import PRECISIONS, Run, fast_precision, train_step

BACKBONES = ("mobilenet_v2", "resnet50")
RECIPE = replace(RECIPES["jester"], lr=1e-4)  # noise teaches nothing: a small rate stays finite
BARS = {"cuda": 1.5, "cpu": 1.2}
HELD = 16  # clips in the loader
FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


class Noise(Dataset):
    """Clips of noise in memory, as ``training.batches`` gives them: loading costs nearly nothing.

    What reading costs, ``python -m core.data`` measures.
    """

    def __init__(self, config: ModelConfig) -> None:
        shape = (HELD, config.frames, 3, config.size, config.size)
        generator = torch.Generator().manual_seed(0)
        self.pixels = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        self.classes = config.num_classes

    def __len__(self) -> int:
        return HELD

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int, Tensor]:
        frames = self.pixels[index]
        label = index % self.classes
        return frames, torch.full((len(frames),), IGNORE), label, torch.zeros(len(frames), 0)


def batches(config: ModelConfig, batch: int) -> Iterator[list[Tensor]]:
    """Batches without end."""
    loader = DataLoader(Noise(config), batch_size=batch, shuffle=True, drop_last=True)
    while True:
        yield from loader


def side(model: VideoClassifier, layout: str, precision: str, device: torch.device) -> Run:
    """A run of ``model`` as ``core.train`` puts one together."""
    trainee = Trainee(model, 0).to(device)
    for parameter in trainee.parameters():
        if parameter.ndim == 4:  # Module.to would refuse a Conv3d
            parameter.data = parameter.data.contiguous(memory_format=FORMATS[layout])
    if device.type == "cpu":
        replace_strided_depthwise(trainee)
        keep_freed()
    average = copy.deepcopy(model)
    optimizer = make_optimizer(trainee, RECIPE, RECIPE.lr, RECIPE.weight_decay)
    return Run(trainee, average, optimizer, [], {}, RECIPE, trainee, precision)


def sides(config: ModelConfig, precision: str, device: torch.device) -> dict[str, Run]:
    """Core's run and the published module's in both memory formats."""
    torch.manual_seed(0)
    model = VideoClassifier(config)
    runs = {"core": side(copy.deepcopy(model), "channels_last", precision, device)}
    for layout in FORMATS:
        published = use_published(copy.deepcopy(model), FORMATS[layout])
        runs[f"published {layout}"] = side(published, layout, precision, device)
    return runs


def timed(call: Callable[[], None], device: torch.device) -> float:
    """Seconds until all that ``call`` started has been done."""
    began = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def measure(
    runs: dict[str, Run], config: ModelConfig, batch: int, rounds: int, warmup: int
) -> dict[str, list[float]]:
    """Seconds of every counted step by side; the sides take turns, each round from another on."""
    device = next(iter(runs.values())).device
    names, found = list(runs), {name: [] for name in runs}
    source = batches(config, batch)
    bar = tqdm(range(warmup + rounds), desc=config.backbone, unit="round", disable=None)
    for turn in bar:
        chunk = next(source)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            generator = torch.Generator().manual_seed(turn)
            step = partial(train_step, runs[name], [(chunk, generator)], config.size, RECIPE.lr)
            seconds = timed(step, device)
            if turn >= warmup:
                found[name].append(seconds)
    return found


def row(config: ModelConfig, precision: str, batch: int, found: dict[str, list[float]]) -> dict:
    """Clips a second by side and how many times as fast core is as the faster published one."""
    rates = {name: batch / statistics.median(seconds) for name, seconds in found.items()}
    published = max((name for name in rates if name != "core"), key=rates.__getitem__)
    return {
        "backbone": config.backbone, "shift": config.shift, "precision": precision,
        "batch": batch, "frames": config.frames, "size": config.size,
        "steps": len(found["core"]),
        "clips_per_second": {name: round(rate, 3) for name, rate in rates.items()},
        "faster_published": published,
        "ratio": round(rates["core"] / rates[published], 3),
    }  # fmt: skip


def table(rows: list[dict]) -> str:
    """Markdown."""
    numbers = ("core clips/s", "published clips/s", "ratio")
    lines = []
    for one in rows:
        rates = one["clips_per_second"]
        found = (rates["core"], rates[one["faster_published"]], one["ratio"])
        lines.append([one["backbone"], one["shift"], *(f"{value:.2f}" for value in found)])
    return markdown(("backbone", "shift", *numbers), lines, numbers)


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status, 0 whether or not the bars are met."""
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--json", type=Path, help="rows, one a backbone and shift")
    add("--backbone", choices=BACKBONES, nargs="+", default=list(BACKBONES))
    add("--shift", choices=SHIFTS, nargs="+", default=list(SHIFTS), help="default both")
    add("--precision", choices=list(PRECISIONS), help="default: the fastest of the device")
    add("--batch", type=whole(1, HELD), help="clips a step; default 4, on a GPU 16")
    add("--frames", type=whole(2), default=8)
    add("--size", type=whole(LEAST_SIZE), default=224, help="pixels")
    add("--rounds", type=whole(1), default=9, help="counted steps of each side")
    add("--warmup", type=whole(1), default=2, help="steps that are not counted")
    add("--cpu", action="store_true", help="do not use a GPU")
    args = parser.parse_args(argv)
    check_file("--json", args.json)
    cuda = torch.cuda.is_available() and not args.cpu
    device = torch.device("cuda" if cuda else "cpu")
    name = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    args.precision = args.precision or fast_precision(device)
    batch, rows = args.batch or (16 if cuda else 4), []
    for backbone in args.backbone:
        for shift in args.shift:
            config = ModelConfig(
                backbone=backbone, shift=shift, causal=False, frames=args.frames, size=args.size
            )
            runs = sides(config, args.precision, device)
            found = measure(runs, config, batch, args.rounds, args.warmup)
            rows.append(row(config, args.precision, batch, found) | {"device": name})
            if args.json:  # after each: ResNet-50 takes its time
                write_json("--json", args.json, rows)
    print(table(rows))
    bar = BARS[device.type]
    for one in rows:
        verdict = "pass" if one["ratio"] >= bar else "FAIL"
        what = f"{one['backbone']} {one['shift']} shift"
        print(f"{verdict}: core / published >= {bar}, {what}, {name}: {one['ratio']:.2f}")
    return 0


if __name__ == "__main__":
    run_main(main)
