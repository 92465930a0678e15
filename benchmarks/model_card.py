"""Write docs/model_card.md from what training and evaluation left behind.

    python -m core.evaluate --checkpoint runs/action/best.safetensors --streams 60 --pairs 1000 \
        --json runs/action/test.json
    python benchmarks/model_card.py --model ACTION=runs/action --model TSM=runs/tsm \
        --machine "2 cores of an x86-64 server, no GPU"

Every run folder needs ``log.jsonl``, ``best.safetensors`` and ``test.json``. The first model named
is the bundled one. ``--status`` and ``--history`` are given once for each item of their list.
"""

import json
import shlex
from pathlib import Path

import matplotlib

from core import checkpoint
from core.errors import run_main
from core.files import write_figure, write_whole
from core.markdown import markdown
from core.options import Parser
from core.training.loop import parse

matplotlib.use("Agg")
DOCS = Path(__file__).parent.parent / "docs"
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


def read(run: Path) -> dict:
    """Log, evaluation and checkpoint of one run."""
    loaded = checkpoint.load(run / "best.safetensors")
    test = json.loads((run / "test.json").read_text())
    return {"log": history(run), "test": test, "loaded": loaded, "name": run.name}


def history(run: Path) -> list[dict]:
    """The log of a run on clips after those of the runs that it continues, steps counted on."""
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    before = Path(checkpoint.load(run / "best.safetensors").info["settings"]["start"] or "").parent
    start = before / "best.safetensors"
    if not start.is_file() or checkpoint.load(start).config.frames == 1:
        return log
    earlier = history(before)
    return earlier + [r | {"step": r["step"] + earlier[-1]["step"]} for r in log]


def curves(models: dict[str, dict], path: Path) -> None:
    """Validation accuracy and losses over the steps."""
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    for name, found in models.items():
        steps = [r["step"] for r in found["log"]]
        left.plot(steps, [r["accuracy"] for r in found["log"]], marker=".", label=name)
        right.plot(steps, [r["loss_frame"] for r in found["log"]], label=f"{name}, frames")
        right.plot(steps, [r["loss_clip"] for r in found["log"]], ":", label=f"{name}, clips")
    left.set(xlabel="step", ylabel="validation top-1, %")
    right.set(xlabel="step", ylabel="training loss")
    left.legend()
    right.legend(fontsize=7)
    pyplot.close(figure)
    write_figure("the picture", path, figure, dpi=80)


def command(settings: dict, name: str) -> str:
    """The training command of a run folder: every setting that is not the default."""
    flags = {"start": "--from"}
    words = ["python", "-m", "core.train"]
    for key, default in vars(parse(["--out", name])).items():
        value = settings.get(key, default)
        if key == "out" or value == default:
            continue
        words.append(flags.get(key, "--" + key.replace("_", "-")))
        words += [] if value is True else [str(value)]
    return shlex.join([*words, "--out", f"runs/{name}"])


def pretraining(settings: dict) -> list[str]:
    """The commands of the runs that a run goes back to, the first one first."""
    start = Path(settings["start"] or "")
    if not (start.parent / "log.jsonl").is_file():  # nothing, or a checkpoint without its run
        return []
    before = checkpoint.load(start).info["settings"]
    return [*pretraining(before), command(before, start.parent.name)]


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


def card(models: dict[str, dict], about: list[str], earlier: list[str]) -> str:
    """The model card in Markdown; ``earlier`` are commands whose run folders are gone."""
    first = next(iter(models))
    names = list(models)
    top = [models[n]["test"] for n in names]
    settings = {n: models[n]["loaded"].info["settings"] for n in names}
    commands = [c for n in names for c in pretraining(settings[n])]
    commands += [command(settings[n], models[n]["name"]) for n in names]
    commands = list(dict.fromkeys([*earlier, *commands]))  # models share the run on single pictures
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
            ["static classes, top-1, %", *(_percent(t["static_top1"]) for t in top)],
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
            "## Pairs that only the order of time tells apart",
            "",
            "Accuracy in % between the two classes of a pair; 50 is a guess.",
            "",
            markdown(("pair", *names), rows, names),
        ]
    rows = [[label, *(f"{t['by_class'][label]:.1f}" for t in top)] for label in top[0]["by_class"]]
    lines += ["", "## Clip top-1 by class, %", "", markdown(("class", *names), rows, names)]
    return "\n".join(lines) + "\n"


def _streams(test: dict) -> str:
    if "stream" not in test:
        return "-"
    return f"{test['stream']['top1']:.2f} ({test['stream']['gestures']})"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = Parser(prog="python benchmarks/model_card.py", description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", required=True, metavar="NAME=RUN")
    parser.add_argument("--machine", required=True, help="what it was trained on, in words")
    for name, text in (("status", "the state of the checkpoint"), ("history", "how it came about")):
        parser.add_argument(f"--{name}", action="append", default=[], help=f"an item on {text}")
    parser.add_argument("--earlier", type=Path, help="file of commands whose run folders are gone")
    args = parser.parse_args(argv)
    models = {name: read(Path(run)) for name, run in (m.split("=", 1) for m in args.model)}
    curves(models, DOCS / "curves.png")
    earlier = args.earlier.read_text().splitlines() if args.earlier else []
    config = next(iter(models.values()))["loaded"].config
    history = [*args.history, f"Machine: {args.machine}."]
    top = about(config.size, config.frame_rate, args.status, history)
    write_whole("the card", DOCS / "model_card.md", card(models, top, earlier).encode())
    return 0


if __name__ == "__main__":
    run_main(main)
