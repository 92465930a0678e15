"""How long does a bundle's artifact take on this machine?

    python -m mobile_export.latency artifacts/mobilenet_v2-action-stream-xnnpack-int8
    python -m mobile_export.latency BUNDLE --threads 1,2 --seconds 60 --json laptop.json
    python -m mobile_export.latency BUNDLE --source gesture.mp4

Measures loading, the first inference, and then the stages of the live path: pre-processing of a
camera's picture, execution by ExecuTorch's runtime, post-processing to a decision. Every number of
threads has a process of its own, and the operators are traced in another one still, because tracing
takes time. Percentiles are nearest ranks: times that were measured. --json writes what
docs/latency.schema.json describes, as the apps do.

XNNPACK bundles run here; Core ML's and Vulkan's are measured by the apps on a device. Exit status:
0, or 2 for input that cannot be used.
"""

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput, one_line, run_main
from core.options import Parser, positive, whole
from mobile_export.console import Steps, check_json_path
from mobile_export.latency import device

if TYPE_CHECKING:
    from mobile_export.bundle.reader import Bundle

WARMUP, ITERATIONS = 30, 300
MOST_CALLS = 100_000  # all of them are in the report
MOST_THREADS = 64
DEFAULT_CORES = 4  # a phone has no more fast ones
ELSEWHERE = {
    "coreml": "Core ML is part of Apple's systems alone; measure it in the iOS app",
    "vulkan": "ExecuTorch's runtime has Vulkan on Android alone; measure it in the Android app",
}


def thread_counts(text: str) -> list[int]:
    """An argparse type: numbers of threads between commas, each of them once."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1 or max(counts) > MOST_THREADS:
        raise argparse.ArgumentTypeError(
            f"{text} is not a list of whole numbers from 1 to {MOST_THREADS}, such as 1,2"
        )
    return list(dict.fromkeys(counts))


def default_threads() -> list[int]:
    """One, and as many as there are physical cores up to ``DEFAULT_CORES``."""
    return sorted({1, min(DEFAULT_CORES, device.physical_cores())})


def tell_crowded(threads: list[int]) -> None:
    """Warn of more threads than this process has cores, which take turns."""
    cores = device.physical_cores()
    if max(threads) > cores:
        sys.stderr.write(
            f"warning: {max(threads)} threads on {cores} processor{'s' if cores > 1 else ''} take "
            "turns: their times are not those of as many cores\n"
        )


def report_name(text: str) -> str:
    """An argparse type: a name of one line."""
    name = " ".join(text.split())
    if not name:
        raise argparse.ArgumentTypeError("an empty name tells nothing")
    return name


def check_source(path: Path | None) -> None:
    """Refuse a video that is not there before anything is measured."""
    if path is not None and not path.is_file():
        raise BadInput(f"--source {path} is not a file: give a video file")


def check_target(bundle: "Bundle") -> None:
    """Refuse an artifact that no runtime executes here as it does on a device."""
    target = bundle.manifest["target"]
    if target in ELSEWHERE:
        raise BadInput(
            f"{bundle.path} is for {target}: {ELSEWHERE[target]}; what can be measured here is a "
            "bundle of python -m mobile_export --target xnnpack"
        )


def run_of(request: dict, step: Steps) -> dict:
    """One number of threads, measured and then traced; a schema's run."""
    from mobile_export.latency import process, trace
    from mobile_export.latency.table import threads_text

    label = threads_text(request["threads"])
    long = f", then {request['seconds']:g} s without pause" if request["seconds"] else ""
    step("measure", f"{label}: {request['iterations']} calls{long}")
    run = process.ask(request | {"job": "measure"}, label)
    step("trace", f"{label}: operators")
    operators = None
    try:
        found = process.ask(request | {"job": "trace"}, f"the trace on {label}")
        operators = found["operators"]
        note = trace.note(found, run["stages"]["execute"]["p50"])
    except BadInput as error:  # the times are there all the same
        note = f"Not traced: {one_line(error)}"
    return {
        "backend": "xnnpack",
        "fallback": None,
        "threads": request["threads"],
        "warmup": request["warmup"],
        **run,
        "operators": operators,
        "operators_note": note,
    }


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m mobile_export.latency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("bundle", type=Path, metavar="BUNDLE", help="folder of an export for XNNPACK")
    add(
        "--threads", type=thread_counts, metavar="N,...",
        help=f"a run for each (default 1 and the physical cores, at most {DEFAULT_CORES})",
    )  # fmt: skip
    add(
        "--warmup", type=whole(0, MOST_CALLS), default=WARMUP, metavar="N",
        help="calls that are not counted, after the first (default %(default)s)",
    )  # fmt: skip
    add(
        "--iterations", type=whole(1, MOST_CALLS), default=ITERATIONS, metavar="N",
        help="calls that are counted (default %(default)s)",
    )  # fmt: skip
    add("--seconds", type=positive, metavar="S", help="a run without pause after them, for heat")
    add("--source", type=Path, metavar="VIDEO", help="frames of a file, not the golden clip's")
    add("--name", type=report_name, help="of the report (default: this machine's, the bundle's)")
    add("--json", type=Path, metavar="FILE", help="write the report")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = make_parser().parse_args(argv)
    check_json_path(args.json)
    check_source(args.source)
    step = Steps()
    step("load", f"{args.bundle} and its hashes")
    from mobile_export.bundle.reader import load

    bundle = load(args.bundle)
    bundle.warn()
    check_target(bundle)
    import numpy as np

    from mobile_export.latency import document, pictures
    from mobile_export.latency.table import report_text

    chosen = pictures.choose(bundle, args.source)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    machine = device.facts()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pictures.npy")
        np.save(file, chosen.pixels)
        request = {
            "bundle": str(bundle.path),
            "pictures": str(file),
            "warmup": args.warmup,
            "iterations": args.iterations,
            "seconds": args.seconds,
        }
        threads = args.threads or default_threads()
        tell_crowded(threads)
        runs = [run_of(request | {"threads": count}, step) for count in threads]
    name = args.name or f"{machine['model']}, {bundle.manifest['name']}"
    report = document.make(bundle, machine, chosen, runs, name, created)
    print(report_text(report))  # first: a disk that is full takes no minutes of measuring with it
    document.validate(report, "what was measured")
    if args.json:
        document.write(report, args.json)
        step("write", str(args.json))
    return 0


if __name__ == "__main__":
    run_main(main)
