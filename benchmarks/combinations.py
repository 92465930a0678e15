"""Export and check every supported combination of one checkpoint; print the README's table.

    python benchmarks/combinations.py --clips 500 --out artifacts --json combinations.json

Each combination runs in a process of its own, so that peak memory is its own. XNNPACK int8 is
checked on 2,700 clips, all others on ``--clips``.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mobile_export.combinations import supported

MANY_CLIPS = 2700  # of XNNPACK int8, whose program runs fast enough


def run(target: str, form: str, precision: str, args: argparse.Namespace) -> dict:
    """One export with its check, as a row."""
    clips = args.clips if (target, precision) != ("xnnpack", "int8") else args.many
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [
            sys.executable, "-m", "mobile_export", "--target", target, "--form", form,
            "--precision", precision, "--clips", str(clips), "--out", str(args.out),
            "--json", file.name,
        ]  # fmt: skip
        if args.checkpoint:
            command += ["--checkpoint", str(args.checkpoint)]
        began = time.monotonic()
        status = subprocess.run(command, check=False).returncode
        seconds = time.monotonic() - began
        text = Path(file.name).read_text()
    row = {"target": target, "form": form, "precision": precision, "status": status}
    row |= {"seconds": round(seconds), "results": json.loads(text) if text else []}
    # The largest of all children so far: an upper bound for this one.
    row["peak_gib_so_far"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return row


def table(rows: list[dict]) -> str:
    """Markdown."""
    lines = [
        "| target | form | precision | MB | clips | checkpoint | artifact | drop (95 %) | agree | "
        "deviation | executed |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | --- |",
    ]
    for row in rows:
        name = f"| {row['target']} | {row['form']} | {row['precision']} "
        if not row["results"]:
            lines.append(name + f"| exit status {row['status']} " + "| " * 7 + "|")
            continue
        found = row["results"][0]
        low, high = found["drop_interval"]
        size = artifact_bytes(Path(found["path"])) / 1e6
        lines.append(
            name + f"| {size:.2f} | {found['clips']} | {found['checkpoint_top1']:.2f} "
            f"| {found['artifact_top1']:.2f} | {found['drop']:+.2f} ({low:+.2f} to "
            f"{high:+.2f}) | {found['agreement']:.2f} | {found['deviation']:.1e} "
            f"| {'proxy' if row['target'] == 'vulkan' else 'yes'} |"
        )
    return "\n".join(lines)


def artifact_bytes(bundle: Path) -> int:
    """Size of the program or package alone."""
    return sum(f.stat().st_size for f in bundle.glob("model.*/**/*") if f.is_file()) + sum(
        f.stat().st_size for f in bundle.glob("model.*") if f.is_file()
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="default: the bundled one")
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--many", type=int, default=MANY_CLIPS, help="clips of XNNPACK int8")
    parser.add_argument("--out", type=Path, default=Path("artifacts"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = [run(*combination, args) for combination in supported()]
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
