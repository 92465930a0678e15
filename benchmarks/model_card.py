"""Write docs/model_card.md from what training and evaluation left behind.

    python -m core.evaluate --checkpoint runs/action/best.safetensors --streams 60 --pairs 1000 \
        --json runs/action/test.json
    python benchmarks/model_card.py --model ACTION=runs/action --model TSM=runs/tsm \
        --machine "2 cores of an x86-64 server, no GPU"

Every run folder needs ``log.jsonl``, ``best.safetensors`` and ``test.json``. The first model named
is the bundled one. ``--status`` and ``--history`` are given once for each item of their list.
"""

import argparse
import json
import math
import shlex
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from core import checkpoint
from core.errors import BadInput, run_main
from core.files import write_figure, write_whole
from core.markdown import markdown
from core.options import Parser
from core.training.loop import parse

DOCS = Path(__file__).parent.parent / "docs"
TESTED = ("clips", "top1", "top5", "by_class")  # what no test.json does without
# What is true of every model that learned from rendered people alone.
DATA = """
- Rendered people: bodies, clothes, rooms and light as docs/real.md describes them, with a camera's
  blur, noise and compression. No camera picture.
- The 27 classes of Jester, as the renderer's people make them.
- Directions are those of the person who gestures, in a picture that is not mirrored. Turning is the
  exception: "Turning Hand Clockwise" is clockwise in that picture and so counterclockwise to the
  person. Zooming in opens the fingers.
""".strip()
LIMITS = """
- Not a product. It shows that the whole way works (training, streaming, quantization, every
  backend) and gives every artifact an accuracy that can be measured offline.
- How often it is right about real people is above, under Status. Expect worse in poor light, with
  two people, with gloves, sleeves over the hand or fingers that hide each other.
- Gestures made in another way than the renderer's are not known.
- Before you ship, train on clips of the people and places that you ship to, and measure on people
  who are not in the training set.
""".strip()


# By the chances of core/data/rendered/people/gestures.py.
PAIRS = """
Accuracy in % between the two classes of a pair. Who sees how a hand is held and no movement can be
right about 59 % of Swiping Left and Right, 67 % of Swiping Down and Up, 81 % of Pushing and Pulling
a hand and 76 % of two fingers, since made-up people hold their hand otherwise for one class than
for the other; about 50 % of the rest.
""".strip()


@dataclass(frozen=True)
class Run:
    """A training: the name of its folder, its checkpoint, settings and log."""

    name: str
    loaded: checkpoint.Checkpoint
    settings: dict
    log: list[dict]


def chain(best: Path) -> list[Run]:
    """The run of a checkpoint behind those that it goes back to, the first one first.

    Raises ``BadInput`` for what core.train did not leave behind.
    """
    loaded, log = checkpoint.load(best), best.parent / "log.jsonl"
    settings = loaded.info.get("settings")
    if settings is None:
        raise BadInput(f"{best} does not say how it was trained: give the folder of a core.train")
    try:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise BadInput(f"{log} is no log of core.train ({error}): give a run's folder") from None
    start = Path(settings.get("start") or "")
    own = Run(best.parent.name, loaded, settings, lines)
    if not start.is_file() or not (start.parent / "log.jsonl").is_file():
        return [own]  # from nothing, or from a checkpoint without its run
    return [*chain(start), own]


def read(folder: Path) -> dict:
    """The runs of a model, its own the last, and its evaluation. Raises ``BadInput``."""
    runs, file = chain(folder / "best.safetensors"), folder / "test.json"
    try:
        test = json.loads(file.read_text())
        missing = [key for key in TESTED if key not in test]
    except (OSError, TypeError, ValueError) as error:
        missing = [str(error)]
    if missing:
        raise BadInput(
            f"{file} is no test of a model ({missing[0]}): write it by python -m core.evaluate "
            f"--checkpoint {folder / 'best.safetensors'} --json {file}"
        )
    return {"runs": runs, "test": test}


def on_clips(runs: list[Run]) -> list[dict]:
    """The logs behind the last run on single pictures, steps counted on."""
    before = [place for place, run in enumerate(runs[:-1]) if run.loaded.config.frames == 1]
    log: list[dict] = []
    for run in runs[before[-1] + 1 if before else 0 :]:
        done = log[-1]["step"] if log else 0
        log += [record | {"step": record["step"] + done} for record in run.log]
    return log


def curves(models: dict[str, dict]) -> Figure:
    """Validation accuracy and losses over the steps."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, found in models.items():
        log = on_clips(found["runs"])
        steps = [record["step"] for record in log]
        left.plot(steps, [record["accuracy"] for record in log], marker=".", label=name)
        for part, style in (("frame", "-"), ("clip", ":")):
            # A bidirectional model has no loss of frames.
            losses = [record.get(f"loss_{part}", math.nan) for record in log]
            right.plot(steps, losses, style, label=f"{name}, {part}s")
    left.set(xlabel="step", ylabel="validation top-1, %")
    right.set(xlabel="step", ylabel="training loss")
    left.legend()
    right.legend(fontsize=7)
    return figure


def command(settings: dict, name: str) -> str:
    """The training command of a run folder: every setting that is not the default."""
    flags = {"start": "--from"}
    words = ["python", "-m", "core.train"]
    for key, default in vars(parse(["--out", name])).items():
        value = settings.get(key, default)
        if key == "out" or value == default:
            continue
        if key == "steps" and settings.get("epochs"):  # which gave them, and excludes them
            continue
        flag = flags.get(key, "--" + key.replace("_", "-"))
        for each in value if isinstance(value, list) else [value]:
            words += [flag] if each is True else [flag, str(each)]
    return shlex.join([*words, "--out", f"runs/{name}"])


def about(size: int, frame_rate: float, status: list[str], history: list[str]) -> list[str]:
    """What the card says before its tables: status, data, limits and history as lists."""
    return [
        "## Status",
        "",
        f"- {size} x {size} pixels, {frame_rate:g} frames a second, trained on rendered people.",
        *(f"- {item}" for item in status),
        "",
        "## Data",
        "",
        DATA,
        "",
        "## Limits",
        "",
        LIMITS,
        "",
        "## History",
        "",
        *(f"- {item}" for item in history),
    ]


def card(models: dict[str, dict], about: list[str]) -> str:
    """The model card in Markdown."""
    first = next(iter(models))
    names = list(models)
    top = [models[n]["test"] for n in names]
    before = [run for n in names for run in models[n]["runs"][:-1]]
    runs = [*before, *(models[n]["runs"][-1] for n in names)]
    commands = dict.fromkeys(command(run.settings, run.name) for run in runs)  # some share a run
    lines = [
        "# Model card: causal ACTION MobileNet V2 for 27 gestures",
        "",
        f"The checkpoint in the package: {first}.",
        "",
        *about,
        "",
        "Commands:",
        "",
        "```sh",
        *commands,
        "```",
        "",
        "![Validation accuracy and losses](curves.png)",
        "",
        "## Held-out clips and streams",
        "",
        "Test split: bodies, rooms and motions that training never drew.",
        "",
        markdown(("", *names), [
            ["clips", *(t["clips"] for t in top)],
            ["clip top-1, %", *(f"{t['top1']:.2f}" for t in top)],
            ["clip top-5, %", *(f"{t['top5']:.2f}" for t in top)],
            ["static classes, top-1, %", *(_percent(t.get("static_top1")) for t in top)],
            ["continuous streams, top-1, % (gestures)", *map(_streams, top)],
        ], names),
    ]  # fmt: skip
    if any("pairs" in t for t in top):
        pairs = next(t["pairs"] for t in top if "pairs" in t)
        rows = [["clips a pair", *(t.get("clips_a_pair", "-") for t in top)]]
        rows += [
            [pair, *(f"{t['pairs'][pair]:.1f}" if "pairs" in t else "-" for t in top)]
            for pair in pairs
        ]
        lines += [
            "",
            "## Pairs that the order of time tells apart",
            "",
            PAIRS,
            "",
            markdown(("pair", *names), rows, names),
        ]
    labels = dict.fromkeys(label for t in top for label in t["by_class"])
    rows = [[label, *(_percent(t["by_class"].get(label), 1) for t in top)] for label in labels]
    lines += ["", "## Clip top-1 by class, %", "", markdown(("class", *names), rows, names)]
    return "\n".join(lines) + "\n"


def _streams(test: dict) -> str:
    if "stream" not in test:
        return "-"
    return f"{test['stream']['top1']:.2f} ({test['stream']['gestures']})"


def _percent(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _model(text: str) -> tuple[str, Path]:
    """An argparse type: a model's name and the folder of its run, ``ACTION=runs/action``."""
    name, _, run = text.partition("=")
    if not name or not run:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=RUN as in ACTION=runs/action")
    return name, Path(run)


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = Parser(prog="python benchmarks/model_card.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", action="append", type=_model, required=True, metavar="NAME=RUN",
        help="what it is called and its folder; the first one is the bundled one",
    )  # fmt: skip
    parser.add_argument("--machine", required=True, help="what it was trained on, in words")
    for name, text in (("status", "the state of the checkpoint"), ("history", "how it came about")):
        parser.add_argument(f"--{name}", action="append", default=[], help=f"an item on {text}")
    args = parser.parse_args(argv)
    models = {name: read(folder) for name, folder in args.model}
    config = next(iter(models.values()))["runs"][-1].loaded.config
    history = [*args.history, f"Machine: {args.machine}."]
    top = about(config.size, config.frame_rate, args.status, history)
    text, picture = card(models, top), curves(models)
    write_figure("the picture", DOCS / "curves.png", picture, dpi=80)
    write_whole("the card", DOCS / "model_card.md", text.encode())
    return 0


if __name__ == "__main__":
    run_main(main)
