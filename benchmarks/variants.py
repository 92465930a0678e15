"""What carries over to real people: trainings that differ in one thing, judged on the same clips.

    python benchmarks/variants.py REAL_CLIPS --start FORMER.safetensors --backgrounds hdri \
        --out runs/variants --json variants.json

Every variant has the same steps, seed and batches of rendered windows as the first one, from which
it differs in what its name says; ``--only`` trains the first and those that it names. Each is
judged on the package's test clips and on real ones (``benchmarks/real.py``), and compared with the
first clip by clip. A run that was stopped goes on with the same command; what is trained and judged
is not again. Prints the table of docs/real.md.
"""

import argparse
import json
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from real import Clip, agreement, find, judge, summary

from core import checkpoint
from core.data import open_clips
from core.errors import BadInput, run_main
from core.evaluation.intervals import wilson
from core.evaluation.report import clip_logits
from core.files import file_sha256, write_json
from core.labels import LABELS
from core.markdown import markdown
from core.options import Parser, check_file, check_folder, whole

Real = list[tuple[str, Path]]  # class and file of every real clip
Options = dict[str, str | None]  # of core.train; None for one that is left out, "" for a flag


def variants(args: argparse.Namespace) -> dict[str, Options]:
    """The options of every variant by its name; the first is what the others differ from."""
    base: Options = {
        "--from": str(args.start), "--temporal": "action", "--lr": "0.002", "--early-rate": "0.5",
        "--size": "112", "--window-size": "128", "--clips": str(args.windows),
        "--backgrounds": str(args.backgrounds), "--steps": str(args.steps), "--frames": "16",
        "--every": str(args.steps), "--val-clips": "54", "--seed": str(args.seed),
    }  # fmt: skip
    differ: dict[str, Options] = {
        "ACTION": {},
        "capsules": {"--capsules": "", "--backgrounds": None},
        "made-up rooms alone": {"--backgrounds": None},
        "TSM": {"--temporal": "shift"},
        "TSN": {"--temporal": "none"},
        "an eighth of the windows": {"--clips": str(args.windows // 8)},
        "early layers nearly frozen": {"--early-rate": "0.05"},
        "all layers alike": {"--early-rate": None},
        "half the rate": {"--lr": "0.001"},
        "twice the rate": {"--lr": "0.004"},
        "pictures of 80 pixels": {"--size": "80"},
        "112 pixels in every step": {"--full-size": ""},
    }
    if args.other_start:
        differ["another start"] = {"--from": str(args.other_start)}
    unknown = set(args.only or ()) - set(differ)
    if unknown:
        raise BadInput(f"--only {min(unknown)}: no such variant: one of {', '.join(differ)}")
    first, *others = differ
    wanted = [first, *(name for name in others if args.only is None or name in args.only)]
    return {name: base | differ[name] for name in wanted}


def trained(name: str, options: Options, out: Path, processes: int) -> Path:
    """The last weights of a variant, trained unless they are there."""
    folder = out / name.replace(" ", "-").replace("'", "")
    done = folder / "best.safetensors"
    words = ["--out", str(folder)]
    for key, value in options.items():
        if value is not None:
            words += [key, value] if value else [key]
    state, start = folder / "done.json", options.get("--from")
    asked = options | {"--from": file_sha256(Path(start)) if start else None}
    if state.is_file() and json.loads(state.read_text()) != asked:
        raise BadInput(f"--out {out} has {name!r} trained by other options: give another folder")
    if not state.is_file():
        launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
        command = [*launch, "-m", "core.train", *words]
        print(shlex.join(command[1:]), file=sys.stderr, flush=True)
        if subprocess.run(command).returncode:
            raise BadInput(f"variant {name!r} could not be trained: see above")
        write_json("--out", state, asked)
    return done


def rendered(loaded: checkpoint.Checkpoint) -> list[bool]:
    """Whether a model is right about each of the package's test clips."""
    clips = open_clips(None, "test", loaded.config)
    logits, labels = clip_logits(loaded.model, clips, 1, "rendered")
    return (logits.argmax(-1) == labels).tolist()


def judged(path: Path, real: Real) -> tuple[list[bool], list[Clip]]:
    """What a variant says of the test clips and of real ones; kept beside its weights."""
    kept, loaded = path.with_name("judged.json"), checkpoint.load(path)
    of = [loaded.sha256, *([label, str(file), file.stat().st_size] for label, file in real)]
    if kept.is_file():
        found = json.loads(kept.read_text())
        if found["of"] == of:
            return found["right"], [Clip(**clip) for clip in found["real"]]
    right, said = rendered(loaded), judge(loaded, real)
    answers = {"of": of, "right": right, "real": [asdict(clip) for clip in said]}
    write_json(str(kept), kept, answers)
    return right, said


def row(name: str, right: list[bool], real: dict, first: list[bool], pair: dict | None) -> list:
    """A line of the table."""

    def share(part: int, whole: int) -> str:
        low, high = wilson(part, whole)
        return f"({low:.0f} to {high:.0f})"

    count = len(right)
    better = sum(a and not b for a, b in zip(right, first, strict=True))
    worse = sum(b and not a for a, b in zip(right, first, strict=True))
    return [
        name, f"{100 * sum(right) / count:.1f} {share(sum(right), count)}",
        f"{better} / {worse}" if pair else "-",
        f"{real['top1']} {share(real['top1'], real['gestures'])}", str(real["top5"]),
        f"{real['right_probability']:.3f}",
        f"{pair['better_rank_second']} / {pair['better_rank_first']}" if pair else "-",
        str(real["false_events"]),
    ]  # fmt: skip


def head(gestures: int) -> list[str]:
    """The columns, over so many real clips with a gesture."""
    return [
        "variant", "rendered, % (95 %)", "clips won / lost", f"real, of {gestures} (95 %)", "top-5",
        "probability of the right class", "real clips ranked better / worse", "false events",
    ]  # fmt: skip


def table(args: argparse.Namespace) -> tuple[str, dict]:
    """The table in Markdown, and every figure."""
    files = find(args.folder, LABELS)
    for start in (args.start, args.other_start):
        if start:
            checkpoint.load(start)  # what cannot be used is said before the hours of training
    rows, figures = [], {}
    first: list[bool] = []
    answers: list[Clip] = []
    for name, options in variants(args).items():
        right, said = judged(trained(name, options, args.out, args.processes), files)
        pair = agreement(answers, said) if answers else None
        first, answers = first or right, answers or said
        real = summary(said)
        rows.append(row(name, right, real, first, pair))
        figures[name] = {"options": options, "rendered": sum(right), "clips": len(right)}
        figures[name] |= {"real": real, "pair": pair}
        print(json.dumps({name: figures[name]["real"] | {"rendered": sum(right)}}), flush=True)
    columns = head(real["gestures"])
    return markdown(columns, rows, columns[1:]), figures


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = Parser(
        prog="python benchmarks/variants.py", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="real clips, sub-folders by class")
    add("--start", type=Path, required=True, help="checkpoint that all start from")
    add("--other-start", type=Path, help="one more start, such as MoveNet's")
    add("--backgrounds", type=Path, required=True, help="panoramas and photographs")
    add("--only", nargs="+", metavar="VARIANT", help="compare the first with these (default: all)")
    add("--windows", type=whole(8), default=8000)
    add("--steps", type=whole(1), default=300)
    add("--seed", type=whole(0), default=0, help="of the windows and of their batches")
    processes = torch.cuda.device_count() or 2
    add("--processes", type=whole(1), default=processes, help="default: GPUs, or 2 without any")
    add("--out", type=Path, required=True)
    add("--json", type=Path)
    args = parser.parse_args(argv)
    check_folder("--out", args.out)
    check_file("--json", args.json)
    text, figures = table(args)
    print(text)
    if args.json:
        write_json("--json", args.json, figures)
    return 0


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_main(main)
