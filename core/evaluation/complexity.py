"""Every model of the family with its parameters and multiply-adds.

    python -m core.models            # a table
    python -m core.models --json     # a list of rows

``ModelConfig.from_name`` takes the names of the first column.

Multiply-adds are those of convolutions and linear layers in the form in which the papers write the
modules (a learned shift is a convolution of three taps; means, products and the fixed shift count
nothing), for 8 frames of 224x224 pixels (``macs``) and for one (``macs_frame``). Every operation is
done once a frame, whether the model sees the future or not.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from core.model import BACKBONES, CONFIGS, SHIFTS, ModelConfig, VideoClassifier
from core.options import Parser
from core.shift import LearnedShift

CLASSES = (27, 83, 174)  # Jester, EgoGesture, Something-Something V2
FRAMES = 8  # segments of a clip in the papers
COLUMNS = (
    "model", "backbone", "temporal", "location", "shift", "classes", "parameters", "macs",
    "macs_frame",
)  # fmt: skip


def configs() -> Iterator[ModelConfig]:
    """Every architecture, with the classes of the first data set."""
    for name in CONFIGS:
        config = ModelConfig.from_name(name, num_classes=CLASSES[0])
        if config.temporal == "none":
            yield config
            continue
        for location in range(1, BACKBONES[config.backbone].LOCATIONS + 1):
            for shift in SHIFTS:
                yield replace(config, location=location, shift=shift)


def multiply_adds(model: VideoClassifier, frames: int) -> int:
    """Of one clip of ``frames``, counted by running it; a model on torch's meta device will do."""
    total = 0

    def count(module: nn.Module, _: tuple, output: Tensor) -> None:
        nonlocal total
        if isinstance(module, LearnedShift):
            per_output = len(module.taps)
        else:
            per_output = module.weight[0].numel()  # inputs of one output value
        total += output.numel() * per_output

    handles = [
        module.register_forward_hook(count)
        for module in model.modules()
        if isinstance(module, nn.Conv2d | nn.Linear | LearnedShift)
    ]
    size, like = model.config.size, model.classifier.weight
    with torch.no_grad():
        # Frame logits, not the mean: every frame is classified.
        model.frame_logits(torch.zeros(1, frames, 3, size, size, device=like.device))
    for handle in handles:
        handle.remove()
    return total


def rows(chosen: Iterable[ModelConfig]) -> list[dict]:
    """A row with the keys of ``COLUMNS`` for each architecture and number of classes."""
    found = []
    for config in chosen:
        with torch.device("meta"):  # shapes alone: nothing is computed
            model = VideoClassifier(config).eval()
            macs = multiply_adds(model, FRAMES)
        parameters = sum(p.numel() for p in model.parameters())
        features = model.classifier.in_features
        for classes in CLASSES:
            more = classes - config.num_classes
            of_clip = macs + more * features * FRAMES
            values = (
                config.name, config.backbone, config.temporal, config.location, config.shift,
                classes, parameters + more * (features + 1), of_clip, of_clip // FRAMES,
            )  # fmt: skip
            found.append(dict(zip(COLUMNS, values, strict=True)))
    return found


def table(found: list[dict]) -> str:
    """The rows for reading: millions of parameters, GMAC of a clip and of a frame."""
    names = "model                location  shift    classes  parameters  GMAC a clip  a frame"
    lines = [names]
    for row in found:
        lines.append(
            f"{row['model']:<20} {row['location']:<9} {row['shift']:<8} {row['classes']:<8} "
            f"{row['parameters'] / 1e6:8.3f} M  {row['macs'] / 1e9:11.3f}  "
            f"{row['macs_frame'] / 1e9:7.3f}"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = Parser(
        prog="python -m core.models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="rows as JSON; the keys are stable")
    args = parser.parse_args(argv)
    found = rows(configs())
    print(json.dumps(found, indent=2) if args.json else table(found))
    return 0
