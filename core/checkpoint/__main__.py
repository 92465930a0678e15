"""Checkpoints of other programs, and the temporal taps of a checkpoint.

    python -m core.checkpoint import FILE --out MODEL.safetensors
    python -m core.checkpoint import --pretrained resnet50 --out MODEL.safetensors
    python -m core.checkpoint to-causal FILE --out MODEL.safetensors
    python -m core.checkpoint snap-taps FILE --out MODEL.safetensors

``import`` reads checkpoints of ACTION-Net and TSM (ResNet-50, MobileNet V2, BNInception, and TSM's
online MobileNet V2), mmaction2's TSM (ResNet-50, MobileNet V2), torchvision's image weights of
ResNet-50 and MobileNet V2, which ``--pretrained`` downloads, and the trunk of MoveNet Lightning, a
MobileNet V2 that was trained on pictures of people, as an ``.npz`` with TensorFlow's names.
``to-causal`` turns a bidirectional model into one that can stream once it has been fine-tuned.
``snap-taps`` puts the pure shift in the place of a learned one and says what that costs.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core import checkpoint
from core.checkpoint import Checkpoint
from core.data.label_files import lines_of
from core.data.packed import PackedClips
from core.data.transforms import normalise
from core.errors import BadInput, run_main
from core.files import file_sha256
from core.importers import movenet
from core.importers.convert import FRAMES, imported
from core.importers.download import URLS, pretrained
from core.importers.fold import fold_of, refuse_other_shifts
from core.importers.read import state_dict
from core.model import MOST, ModelConfig
from core.options import Parser, whole
from core.shift import SHIFT_DIVISOR

COST_CLIPS = 270  # ten a class
# What stays true of a changed model: how it was trained, what means no gesture, when it decides.
KEPT = ("settings", "decision", "imported")
SETTLED_CLIPS, SETTLED_SIZE = 54, 160  # two clips a class; about MoveNet's 192 pixels


def run_import(args: argparse.Namespace) -> None:
    """``import``: recognise, translate, save."""
    file = pretrained(args.pretrained) if args.pretrained else args.file
    tensors, arguments = state_dict(file)
    refuse_other_shifts(file, list(tensors), arguments)
    fold, why = fold_of(file, arguments, args.fold)
    try:
        model, kind = imported(tensors, args.temporal, args.frames, fold)
    except BadInput as error:
        raise BadInput(f"{file}: {error}") from None
    config = model.config
    if args.fold is not None and config.temporal != "shift":
        raise BadInput(f"--fold is of a shift without weights, and {kind.name} has none: leave it")
    if kind.name == movenet.NAME:
        movenet.settle(model, _pictures(config))
    labels = _labels(args.labels, config, kind.name)
    sha256 = file_sha256(file)
    info = {"imported": {"kind": kind.name, "sha256": sha256, "images": kind.images}}
    checkpoint.write("--out", args.out, model, labels, info)
    print(f"{file} is {kind.name}: {_told(config)}")
    if config.temporal == "shift":
        print(f"its shift moves 1/{config.fold} of the channels each way, {why}")
    if args.labels is None and labels[0] == _placeholder(0) and len(labels) > 1:
        print(f"its {len(labels)} classes have no names: give them with --labels FILE")
    if kind.name.startswith("ACTION-Net") and config.shift == "fixed":
        print("its taps are those of the pure shift, which needs none")
    print(args.out)


def run_to_causal(args: argparse.Namespace) -> None:
    """``to-causal``."""
    from core.checkpoint.taps import causal_model

    loaded = checkpoint.load(args.file)
    _save(args.out, loaded, causal_model(loaded), {"to_causal": loaded.sha256})
    print("fine-tune it: python -m core.train --from " + str(args.out))


def run_snap_taps(args: argparse.Namespace) -> None:
    """``snap-taps``, with what it costs."""
    from core.checkpoint.taps import snapped_model, tap_distance
    from core.evaluation.change import cost

    loaded = checkpoint.load(args.file)
    snapped = snapped_model(loaded)
    report = {"largest_tap_error": tap_distance(loaded.model)}
    if args.clips:
        report |= cost(loaded, snapped, args.clips)
    _save(args.out, loaded, snapped, {"snapped_taps": loaded.sha256, "cost": report})
    print(json.dumps(report))


def _pictures(config: ModelConfig) -> Tensor:
    """Pictures of people (N, 3, H, W), normalised, to take batch norm's statistics of."""
    clips = PackedClips("train", frames=4, size=SETTLED_SIZE)
    frames = torch.cat([clips[index][0] for index in range(SETTLED_CLIPS)])
    return normalise(frames, config.mean, config.std)


def _save(out: Path, loaded: Checkpoint, model, more: dict) -> None:
    checkpoint.write("--out", out, model, loaded.labels, more | _passed_on(loaded.info))
    print(f"{out}: {_told(model.config)}")


def _passed_on(info: dict) -> dict:
    """The info of a changed model: what was measured before it, accuracy and all, was another's."""
    kept = {name: info[name] for name in KEPT if name in info}
    before = {name: value for name, value in info.items() if name not in KEPT}
    decision = info.get("decision")
    if isinstance(decision, dict) and "chosen" in decision:  # what the rule gave on recordings
        kept["decision"] = {k: v for k, v in decision.items() if k != "chosen"}
        before["decision"] = {"chosen": decision["chosen"]}
    if clips := info.get("taught", {}).get("clips"):  # it has seen them all the same
        kept["taught"] = {"clips": clips}
    return kept | {"before": before}


def _told(config: ModelConfig) -> str:
    direction = "causal" if config.causal else "bidirectional"
    return (
        f"{config.backbone}, {config.temporal}, {direction}, {config.shift} shift, "
        f"{config.num_classes} classes"
    )


def _placeholder(index: int) -> str:
    return f"class {index}"


def _labels(path: Path | None, config: ModelConfig, kind: str) -> list[str]:
    """One name a class: a file's lines, the Jester gestures of TSM's demo, or numbers."""
    if path is not None:
        names = lines_of(path)
        if len(names) != config.num_classes:
            raise BadInput(
                f"--labels {path} has {len(names)} lines for the {config.num_classes} classes of "
                "the file: give one line a class"
            )
        return names
    from core.labels import LABELS

    if kind.startswith("TSM online") and config.num_classes == len(LABELS):
        return list(LABELS)  # in the order of its demo
    return [_placeholder(index) for index in range(config.num_classes)]


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; see ``--help``."""
    parser = Parser(
        prog="python -m core.checkpoint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, text in (
        ("import", run_import, "a checkpoint of another program"),
        ("to-causal", run_to_causal, "a bidirectional checkpoint"),
        ("snap-taps", run_snap_taps, "a checkpoint with a learned shift"),
    ):
        command = commands.add_parser(name, help=f"from {text}")
        optional: dict[str, Any] = {"nargs": "?"} if name == "import" else {}
        command.add_argument("file", type=Path, help=text, **optional)
        command.add_argument("--out", type=Path, required=True, help="the .safetensors to write")
        command.set_defaults(run=run)
        if name == "import":
            command.add_argument(
                "--pretrained", choices=list(URLS),
                help="instead of a file: torchvision's ImageNet weights, downloaded",
            )  # fmt: skip
            command.add_argument("--labels", type=Path, help="names of the classes, one a line")
            command.add_argument(
                "--frames",
                type=whole(1, MOST["frames"]),
                default=FRAMES,
                help=f"of a clip, default {FRAMES}",
            )
            command.add_argument(
                "--fold", type=whole(2), metavar="N",
                help="its shift moves 1/N of the channels (TSM's --shift_div); default: as its "
                f"name or its arguments say, else {SHIFT_DIVISOR}",
            )  # fmt: skip
            command.add_argument(
                "--temporal", choices=("none", "shift"), help="where the keys cannot tell"
            )
        elif name == "snap-taps":
            command.add_argument(
                "--clips", type=whole(0), default=COST_CLIPS,
                help=f"held-out clips to measure the cost on, default {COST_CLIPS}",
            )  # fmt: skip
    args = parser.parse_args(argv)
    if args.command == "import" and (args.file is None) == (args.pretrained is None):
        raise BadInput("give a file to import or --pretrained NAME: one of the two")
    return args


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    args = parse(argv)
    if not args.out.parent.is_dir() or args.out.is_dir():
        raise BadInput(f"--out {args.out} is no file in a folder that exists: give another path")
    args.run(args)
    return 0


if __name__ == "__main__":
    run_main(main)
