"""Latency at batch 1 of whatever could run these models, side by side in one interleaved run.

    python benchmarks/peers.py --json peers.json --plot peers.png

TSN, TSM and ACTION on MobileNet V2, causal, as stream and as clip, by ExecuTorch's XNNPACK (this
project's artifacts), ONNX Runtime, ``torch.compile``, eager PyTorch and the papers' formulas as
they are written. Each round visits every contender once, each visit in a process of its own, and
begins elsewhere in the list: the noise of a shared machine hits all alike. A row has the median,
least and 90th percentile of all calls, and ratios are of medians.

A call is what an app does for a frame or a clip, state carried from call to call. With ``--pause``
calls come one by one as a camera's frames do, and processor and threads rest in between. ExecuTorch
is timed by the native runner, the others in Python, which adds some microseconds. ``load_ms``
leaves out the start of the process and imports, and ``peak_rss_mib`` has them in;
``torch.compile`` compiles before the first round (``compile_s``), so that its visits find a filled
cache. What does not run is listed with its reason, and the others go on.

Needs ``pip install ".[bench]"`` and, for ExecuTorch, g++ on Linux.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import peers_process
import peers_report
import versions
from peers_contenders import COPIED, NATIVE, PACKAGES, Contender, copy, plan, products, visits
from peers_process import Failed

from core.errors import run_main
from core.files import write_json
from core.options import Parser, check_file, check_folder, whole

HERE = Path(__file__).parent
# What an artifact is made by: with any of it changed, --work holds another one.
SOURCES = (
    *versions.LOWERING, "core/weights/*", "tests/naive.py", "benchmarks/peers_limits.py",
    "benchmarks/peers_models.py", "benchmarks/peers_onnx.py", "benchmarks/peers_prepare.py",
)  # fmt: skip
MADE_BY = (*versions.LOWERED_BY, "onnxruntime", "onnx", "onnxscript")
WARMUP = 3  # calls after the first, before any is counted
RUNNER = "import json; from mobile_export.runtime.native import build; "
RUNNER += "print(json.dumps(build.host_command()))"


class Bench:
    """The artifacts of a run, where they are, and how each contender is started."""

    def __init__(self, args: argparse.Namespace, work: Path) -> None:
        self.args = args
        digest = versions.digest(SOURCES, MADE_BY)
        self.work = work / f"{args.size}px-{args.frames}f-{digest}"
        self.environment = {"TORCHINDUCTOR_CACHE_DIR": str(self.work / "inductor")}
        self.runner: list[str] | None = None

    def keep(self, rows: list[dict]) -> None:
        """Write the JSON."""
        args = self.args
        same = {"size": args.size, "frames": args.frames, "pause_ms": args.pause}
        write_json("--json", args.json, [row | same for row in rows])

    def prepare(self, contender: Contender) -> dict:
        """Its ``meta.json``, made unless there; raises ``Failed``."""
        if contender.runtime == "numpy":
            return {"file": "-"}
        folder = self.work / contender.artifact_name
        if not (folder / "meta.json").is_file():
            peers_process.run(
                [
                    sys.executable, str(HERE / "peers_prepare.py"), contender.model,
                    contender.form, contender.precision, contender.runtime, str(folder),
                    str(self.args.size), str(self.args.frames),
                ],
                self.environment,
            )  # fmt: skip
        meta = json.loads((folder / "meta.json").read_text())
        meta |= {"file": str(folder / meta["file"])}
        meta |= {"artifact_bytes": Path(meta["file"]).stat().st_size}
        if contender.runtime in NATIVE and self.runner is None:
            self.runner = peers_process.run([sys.executable, "-c", RUNNER], {}).answer
        if contender.runtime == "compile":
            meta |= {"compile_s": self._compile(contender, meta["file"])}
        return meta

    def _compile(self, contender: Contender, file: str) -> float:
        """Fill Inductor's cache; the seconds of the first call when it was filled."""
        kept = Path(file).with_name(f"compiled-{contender.threads}.json")
        if not kept.is_file():
            command = self._command(contender, file, 0, 1)
            found = peers_process.run(command, self.environment).answer
            write_json("--work", kept, {"seconds": found["first_ms"] / 1e3})
        return json.loads(kept.read_text())["seconds"]

    def visit(self, contender: Contender, meta: dict) -> dict:
        """One process of the contender: what it printed, and its peak memory in bytes."""
        command = self._command(contender, meta["file"], WARMUP, self.args.iterations)
        done = peers_process.run(command, self.environment)
        return done.answer | {"peak": done.peak}

    def _command(self, contender: Contender, file: str, warmup: int, iterations: int) -> list[str]:
        threads, pause = contender.threads, self.args.pause
        if contender.runtime in NATIVE:
            return peers_process.bench(self.runner, file, warmup, iterations, threads, pause)
        worker = [sys.executable, str(HERE / "peers_worker.py")]
        numbers = map(str, (threads, warmup, iterations, pause))
        return [*worker, contender.runtime, contender.form, file, *numbers]


def row(contender: Contender, meta: dict, samples: list[dict]) -> dict:
    """The figures of all visits of one contender."""
    calls = sorted(ms for sample in samples for ms in sample["ms"])
    kept = {key: value for key, value in meta.items() if key != "file"}
    return contender.key | {
        "median_ms": statistics.median(calls),
        "min_ms": calls[0],
        "p90_ms": calls[(9 * len(calls) - 1) // 10],
        "iterations": len(calls),
        "round_medians_ms": [statistics.median(sample["ms"]) for sample in samples],
        "load_ms": statistics.median(sample["load_ms"] for sample in samples),
        "first_ms": statistics.median(sample["first_ms"] for sample in samples),
        "peak_rss_mib": max(sample["peak"] for sample in samples) / 2**20,
        **kept,
    }


def failed(contender: Contender, reason: str) -> dict:
    """The row of what did not run."""
    return contender.key | {"median_ms": None, "reason": reason}


def collect(metas: dict, samples: dict, reasons: dict) -> list[dict]:
    """Rows of the contenders so far, those of ExecuTorch with their bounds; probes have none."""
    found = {
        c: failed(c, reasons[c]) if c in reasons else row(c, metas[c], seen)
        for c, seen in samples.items()
        if c in reasons or seen
    }
    rows = []
    for contender, one in found.items():
        if contender.is_probe:
            continue
        if contender.runtime == "executorch":
            product = found.get(products(contender.precision, contender.threads), {})
            moved = found.get(copy(contender.threads), {}).get("median_ms")
            bytes_a_ms = 2 * COPIED / moved if moved else 0.0  # read and written
            one = peers_report.bounded(
                one, product.get("median_ms"), product.get("macs", 0), bytes_a_ms
            )
        rows.append(one | {"runtime_version": versions.version(PACKAGES[contender.runtime])})
    return rows


def measure(bench: Bench, contenders: list[Contender]) -> list[dict]:
    """Prepare all, visit all in rounds; the rows are written after each."""
    metas, samples, reasons = {}, {c: [] for c in contenders}, {}

    def attempt(contender: Contender, call: Callable[[], dict]) -> dict | None:
        try:
            return call()
        except (Failed, OSError, KeyError, ValueError) as error:
            reasons[contender] = str(error) or type(error).__name__
            say(f"{contender.name} does not run: {reasons[contender]}")
            return None

    for contender in contenders:
        began = time.monotonic()
        meta = attempt(contender, lambda c=contender: bench.prepare(c))
        if meta is not None:
            metas[contender] = meta
            say(f"prepared {contender.name} in {time.monotonic() - began:.0f} s")
    turns = 0
    for turn, contender in visits(contenders, bench.args.rounds):
        if turn > turns:
            turns = turn
            bench.keep(collect(metas, samples, reasons))
            say(f"{turns} of {bench.args.rounds} rounds")
        if contender in reasons:
            continue
        sample = attempt(contender, lambda c=contender: bench.visit(c, metas[c]))
        if sample is not None:
            samples[contender].append(sample)
    rows = collect(metas, samples, reasons)
    bench.keep(rows)
    return rows


def say(line: str) -> None:
    """A line of progress."""
    print(line, file=sys.stderr, flush=True)


def counts(text: str) -> list[int]:
    """An argparse type: numbers of threads, ``1,2``."""
    return sorted({whole(1)(part) for part in text.split(",")})


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status, 0 whether or not the bars are met."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="rows, one a contender")
    parser.add_argument("--plot", type=Path, help="a chart, PNG")
    parser.add_argument("--size", type=whole(32), default=224, help="pixels")
    parser.add_argument("--frames", type=whole(1), default=8, help="of a clip")
    parser.add_argument("--threads", type=counts, default=[1, 2], metavar="N,N")
    parser.add_argument("--rounds", type=whole(1), default=5)
    parser.add_argument("--iterations", type=whole(1), default=20, help="calls counted a visit")
    parser.add_argument(
        "--pause", type=whole(0), default=0, metavar="MS",
        help="before each counted call, as 33 between a camera's frames (default none)",
    )  # fmt: skip
    parser.add_argument("--only", help="regular expression: executorch, action-stream, 1t$, ...")
    parser.add_argument("--work", type=Path, help="folder that keeps the artifacts for later runs")
    args = parser.parse_args(argv)
    for option in ("json", "plot"):
        check_file(f"--{option}", getattr(args, option))
    contenders = plan(args.threads, args.only)
    if args.work:
        check_folder("--work", args.work)

    with tempfile.TemporaryDirectory() as temporary:
        rows = measure(Bench(args, args.work or Path(temporary)), contenders)
    print(peers_report.table(rows), "", *peers_report.bound_lines(rows), "", sep="\n")
    print(*peers_report.bar_lines(peers_report.bars(rows)), sep="\n")
    if args.plot:
        peers_report.plot(rows, args.plot)
    return 0


if __name__ == "__main__":
    run_main(main)
