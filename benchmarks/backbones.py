"""ExecuTorch latency of a streaming frame on every backbone, TSM and ACTION, fp32 and int8.

    python benchmarks/backbones.py --json backbones.json

At 224 x 224, batch 1, by the native runner, all programs interleaved in one run: a row has the
median of all calls, and ``of_mobilenet_v2`` is its ratio to the same model on MobileNet V2. Weights
are random, which does not matter for time: one batch through the batch norms keeps values ordinary.
Programs are kept for later runs, until sources or packages change. Needs g++ on Linux.
"""

import argparse
import itertools
import statistics
import sys
from pathlib import Path

import peers_process
import timed
import torch
import versions

from core.errors import run_main
from core.files import write_json
from core.markdown import markdown
from core.model import BACKBONES, ModelConfig, VideoClassifier
from core.options import Parser, check_file, check_folder, whole
from mobile_export.runtime.native.build import host_command

MODELS = tuple(f"{network}_{backbone}" for backbone in BACKBONES for network in ("tsm", "action"))
PRECISIONS = ("fp32", "int8")
SIZE, FRAMES, CLASSES = 224, 8, 27
SOURCES = (*versions.LOWERING, "benchmarks/backbones.py")  # with any changed, others are kept
WARMUP = 3  # calls after the first, before any is counted
COLUMNS = ("model", "precision", "threads", "median_ms", "of_mobilenet_v2", "MB")
Program = tuple[str, str]  # model, by its name in CONFIGS, and precision


def prepare(program: Program, folder: Path) -> None:
    """Write ``folder/model.pte``."""
    from mobile_export.targets import xnnpack  # seconds, for what is mostly there

    name, precision = program
    torch.manual_seed(0)
    config = ModelConfig.from_name(name, size=SIZE, frames=FRAMES, num_classes=CLASSES)
    model = VideoClassifier(config)
    clips = torch.rand(2, FRAMES, 3, SIZE, SIZE) * 2 - 1
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of what it saw
            module.train()
    with torch.no_grad():
        model(clips)
    labels = [str(number) for number in range(CLASSES)]
    folder.mkdir(parents=True, exist_ok=True)
    xnnpack.lower(model.eval(), "stream", precision, list(clips), folder, labels=labels)


def measure(
    runner: list[str], files: dict[Program, Path], threads: list[int], rounds: int, calls: int
) -> list[dict]:
    """Every program in turn, again and again, each visit in a process of its own."""

    def process(pair: tuple[Program, int]) -> timed.Process:
        program, count = pair
        return peers_process.bench(runner, files[program], WARMUP, calls, count), {}

    found = timed.interleaved(list(itertools.product(files, threads)), rounds, process)
    rows = []
    for (program, count), times in found.items():
        name, precision = program
        base = found[(f"{name.partition('_')[0]}_mobilenet_v2", precision), count]
        rows.append(
            {
                "model": name, "precision": precision, "threads": count,
                "median_ms": round(statistics.median(times), 3), "min_ms": round(min(times), 3),
                "of_mobilenet_v2": round(statistics.median(times) / statistics.median(base), 2),
                "calls": len(times), "MB": round(files[program].stat().st_size / 1e6, 2),
            }
        )  # fmt: skip
    return rows


def table(rows: list[dict]) -> str:
    """Markdown."""
    return markdown(COLUMNS, ([row[c] for c in COLUMNS] for row in rows), COLUMNS[2:])


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; see ``--help``."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "--work", type=Path, default=Path("artifacts/backbones"),
        help="folder that keeps the programs (default %(default)s)",
    )  # fmt: skip
    add("--rounds", type=whole(1), default=6)
    add("--calls", type=whole(1), default=30, help="of a round and program")
    add("--threads", type=whole(1), nargs="+", default=[1, 2])
    add("--json", type=Path, help="write the rows here too")
    add("--prepare", nargs=2, help=argparse.SUPPRESS)  # one program, in this process
    args = parser.parse_args(argv)
    check_folder("--work", args.work)
    check_file("--json", args.json)
    return args


def main(argv: list[str] | None = None) -> int:
    """Prepare what is missing, measure everything, print the table."""
    args = parse(argv)
    if args.prepare:
        prepare(tuple(args.prepare), args.work)
        return 0
    runner = host_command()  # what is missing is said before the minutes of lowering
    work = args.work / f"{SIZE}px-{FRAMES}f-{versions.digest(SOURCES, versions.LOWERED_BY)}"
    files = {}
    for program in itertools.product(MODELS, PRECISIONS):
        folder = work / "-".join(program)
        files[program] = folder / "model.pte"
        if not files[program].is_file():
            print("preparing", folder.name, file=sys.stderr, flush=True)
            command = [sys.executable, __file__, "--work", str(folder), "--prepare", *program]
            peers_process.run(command, {})
    rows = measure(runner, files, args.threads, args.rounds, args.calls)
    print(table(rows))
    if args.json:
        write_json("--json", args.json, rows)
    return 0


if __name__ == "__main__":
    run_main(main)
