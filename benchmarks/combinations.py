"""Export and check every supported combination of one checkpoint; print docs/targets.md's table.

    python benchmarks/combinations.py --clips 500 --out artifacts --json combinations.json

Each combination runs in a process of its own. Its peak memory is what the system counted for that
process, or for the largest of its own workers where that is more. XNNPACK int8 is checked on 2,700
clips, all others on ``--clips``; int8 and w8a16 may lose a point of top-1, fp16 and fp32 half a
point. The status is the gate's verdict: 500 clips are too few to show so little. The exit status is
3 when any combination failed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers_process import waited

from core.errors import GATE_FAILED, BadInput, run_main
from core.files import write_json
from core.markdown import markdown
from core.options import Parser, check_file, check_folder, whole
from mobile_export.combinations import supported

MANY_CLIPS = 2700  # of XNNPACK int8, whose program runs fast enough
# Points: what each precision is held to here.
MAX_DROP = {"fp32": 0.5, "fp16": 0.5, "w8a16": 1.0, "int8": 1.0}
COLUMNS = (
    "target", "form", "precision", "status", "MB", "clips", "checkpoint", "artifact",
    "drop (95 %)", "agree", "deviation", "executed", "seconds", "peak GiB",
)  # fmt: skip
NUMBERS = ("MB", "clips", "checkpoint", "artifact", "agree", "deviation", "seconds", "peak GiB")


def run(target: str, form: str, precision: str, args: argparse.Namespace) -> dict:
    """One export with its check, as a row."""
    clips = args.clips if (target, precision) != ("xnnpack", "int8") else MANY_CLIPS
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [
            sys.executable, "-m", "mobile_export", "--target", target, "--form", form,
            "--precision", precision, "--clips", str(clips), "--out", str(args.out),
            "--max-drop", str(MAX_DROP[precision]), "--json", file.name,
        ]  # fmt: skip
        if args.checkpoint:
            command += ["--checkpoint", str(args.checkpoint)]
        status, seconds, peak = measured(command)
        text = Path(file.name).read_text()
    row = {"target": target, "form": form, "precision": precision, "status": status}
    row |= {"seconds": round(seconds), "peak_gib": peak / 2**30}
    return row | {"results": json.loads(text) if text else []}


def measured(command: list[str]) -> tuple[int, float, int]:
    """Run a command: its exit status, seconds and peak memory in bytes."""
    began = time.monotonic()
    process = subprocess.Popen(command)
    peak = waited(process)
    return process.returncode, time.monotonic() - began, peak


def table(rows: list[dict]) -> str:
    """Markdown."""
    return markdown(COLUMNS, map(cells, rows), NUMBERS)


def cells(row: dict) -> list[str]:
    """One row of the table; without figures when the export gave none."""
    status = "failed gate" if row["status"] == GATE_FAILED else f"exit status {row['status']}"
    figures = [""] * 8
    if row["results"]:
        found = row["results"][0]
        if row["status"] == 0:
            status = found["verdict"]
        low, high = found["drop_interval"]
        figures = [
            f"{artifact_bytes(Path(found['path'])) / 1e6:.2f}",
            str(found["clips"]),
            f"{found['checkpoint_top1']:.2f}",
            f"{found['artifact_top1']:.2f}",
            f"{found['drop']:+.2f} ({low:+.2f} to {high:+.2f})",
            f"{found['agreement']:.2f}",
            "not finite" if found["deviation"] is None else f"{found['deviation']:.1e}",
            "interpreter" if found["interpreted"] else "runtime",
        ]
    cost = [str(row["seconds"]), f"{row['peak_gib']:.2f}"]
    return [row["target"], row["form"], row["precision"], status, *figures, *cost]


def artifact_bytes(bundle: Path) -> int:
    """Size of the program or package alone."""
    return sum(f.stat().st_size for f in bundle.glob("model.*/**/*") if f.is_file()) + sum(
        f.stat().st_size for f in bundle.glob("model.*") if f.is_file()
    )


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; see ``--help``."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="default: the bundled one")
    parser.add_argument("--clips", type=whole(1), default=500, help="of a check (default 500)")
    parser.add_argument("--out", type=Path, default=Path("artifacts"), help="folder for bundles")
    parser.add_argument("--json", type=Path, help="rows, one a combination")
    names = ["-".join(combination) for combination in supported()]
    parser.add_argument(
        "--only",
        choices=names,
        nargs="+",
        default=names,
        metavar="NAME",
        help="combinations to take, such as vulkan-stream-int8; default: all",
    )
    args = parser.parse_args(argv)
    check_folder("--out", args.out)
    check_file("--json", args.json)
    if args.checkpoint and not args.checkpoint.is_file():
        raise BadInput(f"--checkpoint {args.checkpoint} is no file: give a .safetensors file")
    return args


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = parse(argv)
    rows = []
    for name in args.only:
        rows.append(run(*name.split("-"), args))
        if args.json:  # after each: all of them take most of an hour
            write_json("--json", args.json, rows)
    print(table(rows))
    return GATE_FAILED if any(row["status"] != 0 for row in rows) else 0


if __name__ == "__main__":
    run_main(main)
