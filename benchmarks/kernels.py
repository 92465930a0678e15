"""What programs take by XNNPACK's kernels for lesser processors, side by side.

    python benchmarks/kernels.py tsm/model.pte action/model.pte --json kernels.json

XNNPACK picks its kernels by what the processor can do, and the faster those for int8 products are,
the more of a frame is everything else. Here the native runner runs with all that there are, with
instruction sets for such products (VNNI) hidden from XNNPACK, and with AVX-512 hidden as well, by a
preloaded library (``kernels.c``, compiled at each call). Medians of calls from one interleaved run,
and their ratio to the first program's. Needs Linux on x86-64 with AVX2, gcc and g++.
"""

import itertools
import platform
import statistics
import tempfile
from importlib.util import find_spec
from pathlib import Path

import injected
import peers_process
import timed

from core.errors import BadInput, run_main
from core.files import write_json
from core.markdown import markdown
from core.options import Parser, check_file, whole
from mobile_export.runtime.native.build import host_command

SOURCE = Path(__file__).with_suffix(".c")
HIDDEN = {"all": "", "without VNNI": "vnni", "AVX2 alone": "avx512"}
WARMUP = 20  # calls of a visit before any is counted
COLUMNS = ("kernels", "threads")


def preloaded(folder: Path) -> Path:
    """The compiled library. Raises ``BadInput`` where there is nothing to hide or no compiler."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise BadInput(f"{platform.machine()} has no AVX2: run it on Linux on x86-64")
    torch = Path(find_spec("torch").origin).parent  # which brings cpuinfo's header
    return injected.library(SOURCE, folder, f"-I{torch / 'include'}")


def measure(programs: list[Path], threads: list[int], rounds: int, calls: int) -> list[dict]:
    """Rows of the table. Raises ``BadInput`` for a program that does not run."""
    triples = list(itertools.product(HIDDEN, threads, programs))
    with tempfile.TemporaryDirectory() as folder:
        library, runner = str(preloaded(Path(folder))), host_command()

        def process(triple: tuple[str, int, Path]) -> timed.Process:
            kernels, count, program = triple
            environment = {"LD_PRELOAD": library, "HIDE": HIDDEN[kernels]}
            return peers_process.bench(runner, program, WARMUP, calls, count), environment

        found = timed.interleaved(triples, rounds, process)
    return [
        {
            "kernels": kernels, "threads": count, "program": str(program), "calls": len(times),
            "median_ms": round(statistics.median(times), 4),
            "of_first": round(
                statistics.median(times) / statistics.median(found[kernels, count, programs[0]]), 3
            ),
        }
        for (kernels, count, program), times in found.items()
    ]  # fmt: skip


def table(rows: list[dict]) -> str:
    """Milliseconds and ratios, a program a column, as Markdown."""
    programs = list(dict.fromkeys(row["program"] for row in rows))
    cells = {
        (r["kernels"], r["threads"], r["program"]): f"{r['median_ms']:.3f} ({r['of_first']:.3f})"
        for r in rows
    }
    lines = (
        [kernels, count, *(cells[kernels, count, program] for program in programs)]
        for kernels, count in dict.fromkeys((row["kernels"], row["threads"]) for row in rows)
    )
    return markdown([*COLUMNS, *programs], lines, [COLUMNS[1], *programs])


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=Path, nargs="+", metavar="MODEL.pte")
    parser.add_argument("--rounds", type=whole(1), default=5, help="default %(default)s")
    parser.add_argument("--calls", type=whole(1), default=100, help="counted a visit")
    parser.add_argument("--threads", type=whole(1), nargs="+", default=[1, 2], help="default 1 2")
    parser.add_argument("--json", type=Path, help="rows, one a program, kernels and threads")
    args = parser.parse_args(argv)
    check_file("--json", args.json)
    rows = measure(args.programs, args.threads, args.rounds, args.calls)
    print(table(rows))
    if args.json:
        write_json("--json", args.json, rows)
    return 0


if __name__ == "__main__":
    run_main(main)
