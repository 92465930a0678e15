"""Instructions that a call of a program takes on a phone's cores, counted under emulation.

    python benchmarks/instructions.py tsm/model.pte action/model.pte --json instructions.json

The native runner, compiled for 64-bit Arm, runs each program on one thread of an emulated core, and
a plugin of QEMU (``instructions.c``, compiled at each call) counts. A count is no time: it knows
nothing of caches, and one instruction may take longer than another. But it is of the kernels that a
phone runs, which differ from this machine's, and comes out the same whatever else a machine does.
Needs Linux, gcc and Debian's g++-aarch64-linux-gnu, qemu-user-static and qemu-user.
"""

import shutil
import tempfile
from pathlib import Path

import injected
from peers_process import bench

from core.errors import BadInput, run_main
from core.files import write_json
from core.markdown import markdown
from core.options import Parser, check_file, whole
from mobile_export.runtime.native.build import CORES, arm64_command

SOURCE = Path(__file__).with_suffix(".c")
EMULATOR = "qemu-aarch64"  # linked dynamically: the static one loads no plugin
Counts = dict[str, dict[str, int]]  # by program and core


def emulator() -> str:
    """The emulator that takes plugins. Raises ``BadInput`` where it is missing."""
    found = shutil.which(EMULATOR)
    if found is None:
        raise BadInput(f"{EMULATOR} is missing: apt-get install qemu-user")
    return found


def a_call(program: Path, core: str, plugin: Path, calls: int) -> int:
    """Instructions of one call: those of ``calls`` more than another number of them, shared out.

    Raises ``BadInput`` for a program that does not run.
    """
    few, many = (_all(program, core, plugin, count) for count in (1, 1 + calls))
    return (many - few) // calls


def _all(program: Path, core: str, plugin: Path, calls: int) -> int:
    _, *rest = arm64_command(core)
    runner = [emulator(), *rest[:-1], "-plugin", str(plugin), rest[-1]]
    command = bench(runner, program, warmup=0, calls=calls, threads=1)
    counted, reason = injected.report(command, "INSTRUCTIONS_OUT", {})
    if not counted:
        last = reason or "nothing was counted"
        raise BadInput(
            f"{program} does not run on {core} ({last}): give an XNNPACK "
            "program; QEMU up to 8.2 takes the plugin"
        )
    return int(counted)


def table(counts: Counts) -> str:
    """Millions of instructions a call, and their ratio to the first program's, as Markdown."""
    cores = list(next(iter(counts.values())))
    first = next(iter(counts.values()))
    rows = (
        [name, *(f"{found[c] / 1e6:.2f} ({found[c] / first[c]:.3f})" for c in cores)]
        for name, found in counts.items()
    )
    return markdown(["million instructions a call", *cores], rows, cores)


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=Path, nargs="+", metavar="MODEL.pte")
    parser.add_argument("--calls", type=whole(1), default=3, help="counted (default %(default)s)")
    parser.add_argument("--json", type=Path, help="counts by program and core")
    args = parser.parse_args(argv)
    check_file("--json", args.json)
    emulator()
    with tempfile.TemporaryDirectory() as folder:
        plugin = injected.library(SOURCE, Path(folder))
        counts = {
            str(p): {core: a_call(p, core, plugin, args.calls) for core in CORES}
            for p in args.programs
        }
    print(table(counts))
    if args.json:
        write_json("--json", args.json, counts)
    return 0


if __name__ == "__main__":
    run_main(main)
