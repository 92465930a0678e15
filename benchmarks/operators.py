"""Where a frame's time goes inside XNNPACK: microseconds and number of operators by kind.

    python benchmarks/operators.py tsm/model.pte action/model.pte --json operators.json

Runs each program by the native runner, with XNNPACK's own profiling switched on by a
preloaded library (``operators.c``, compiled at each call). Medians of nanoseconds: most operators
of a gate take less than one microsecond. Tens of them are the reading of the clock, and what
XNNPACK does before it runs them (every shape is checked in every call) is not in them: compare
kinds, and take whole calls from ``peers.py``. Needs Linux, gcc and g++.
"""

import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

import injected
from peers_process import bench

from core.errors import BadInput, run_main
from core.files import write_json
from core.markdown import markdown
from core.options import Parser, check_file, whole
from mobile_export.runtime.native.build import host_command

SOURCE = Path(__file__).with_suffix(".c")
UNCOUNTED = 50  # calls before any is counted: WARMUP in operators.c
Kinds = dict[str, tuple[float, int]]


def profile(program: Path, calls: int, threads: int, library: Path) -> Kinds:
    """Microseconds a call and count of each kind of operator. Raises ``BadInput``."""
    command = bench(host_command(), program, UNCOUNTED, calls, threads)
    written, reason = injected.report(command, "OPERATORS_OUT", {"LD_PRELOAD": str(library)})
    if not written:
        last = reason or "it calls no XNNPACK delegate"
        raise BadInput(f"{program} cannot be profiled ({last}): give a program with one delegate")
    return by_kind(written.splitlines())


def by_kind(lines: list[str]) -> Kinds:
    """From lines of a name, a tab and the nanoseconds of every call; costliest kind first."""
    found: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for line in lines:
        name, _, times = line.partition("\t")
        micro, count = found[name]
        found[name] = (micro + statistics.median(map(int, times.split())) / 1e3, count + 1)
    return dict(sorted(found.items(), key=lambda kind: -kind[1][0]))


def table(profiles: dict[str, Kinds]) -> str:
    """Kinds of operator down, programs across, as Markdown."""
    kinds = sorted(
        {kind for found in profiles.values() for kind in found},
        key=lambda kind: -max(found.get(kind, (0.0, 0))[0] for found in profiles.values()),
    )
    rows = []
    for kind in kinds:
        cells = (found.get(kind, (0.0, 0)) for found in profiles.values())
        rows.append([kind, *(f"{t:.1f} ({n})" for t, n in cells)])
    sums = (
        (sum(t for t, _ in found.values()), sum(n for _, n in found.values()))
        for found in profiles.values()
    )
    rows.append(["all", *(f"{t:.1f} ({n})" for t, n in sums)])
    return markdown(["us (operators)", *profiles], rows, profiles)


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=Path, nargs="+", metavar="MODEL.pte")
    parser.add_argument("--calls", type=whole(1), default=300, help="counted (default %(default)s)")
    parser.add_argument("--threads", type=whole(1), default=1, help="default %(default)s")
    parser.add_argument("--json", type=Path, help="kinds by program")
    args = parser.parse_args(argv)
    check_file("--json", args.json)
    with tempfile.TemporaryDirectory() as folder:
        library = injected.library(SOURCE, Path(folder))
        profiles = {str(p): profile(p, args.calls, args.threads, library) for p in args.programs}
    print(table(profiles))
    if args.json:
        write_json("--json", args.json, profiles)
    return 0


if __name__ == "__main__":
    run_main(main)
