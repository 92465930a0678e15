"""Remake the supplement's comparisons on rendered gestures: train every model alike, test, compare.

    python benchmarks/results.py --out runs/results --json results.json --plot results.png
    python benchmarks/results.py --out runs/results --only causal --only locations

TSN, TSM, STE, CE, ME and ACTION on MobileNet V2, seeing both directions of time and the past alone,
and ACTION at locations 1 to 4. All start from the trunk of the model in the package, with temporal
modules that have learned nothing, and have the same steps, clips, batches and seed, then the same
test clips. A row that is there is not run again and one that was killed goes on, so the work can be
spread over days; other options, or another model in the package, need another folder. The exit
status is that of the first command that failed.
"""

import argparse
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from core import checkpoint
from core.errors import BadInput, run_main
from core.evaluation.intervals import wilson
from core.files import file_sha256, write_figure, write_json
from core.markdown import markdown
from core.model import NETWORKS, VideoClassifier
from core.options import Parser, check_file, check_folder, whole

TRUNK, TEST = "trunk.safetensors", "test.json"
DONE = "done.json"  # beside a row's test: the commands that made it
GROUPS = ("bidirectional", "causal", "locations")


@dataclass(frozen=True)
class Row:
    """A model of the comparison; ``group`` is the table that it stands in."""

    group: str
    temporal: str
    location: int = 1

    @property
    def name(self) -> str:
        """Of the run's folder. TSN sees no other frame: it stands in two tables."""
        if self.temporal == "none":
            return "none"
        where = "" if self.location == 1 else f"_loc{self.location}"
        return f"{'causal' if self.group == 'causal' else 'bidirectional'}_{self.temporal}{where}"

    @property
    def options(self) -> list[str]:
        """Of ``core.train``, beside what all rows share."""
        causal = self.group == "causal" or self.temporal == "none"
        direction = "--causal" if causal else "--bidirectional"
        place = [] if self.location == 1 else ["--location", str(self.location)]
        return ["--temporal", self.temporal, direction, *place]


def rows(groups: list[str]) -> list[Row]:
    """The models of the tables that are asked for, in the order of the supplement's figures."""
    found = [Row(group, name) for group in groups if group != "locations" for name in NETWORKS]
    if "locations" in groups:
        found += [Row("locations", "action", location) for location in (1, 2, 3, 4)]
    return found


def shared(args: argparse.Namespace) -> list[str]:
    """The options of ``core.train`` that every row has."""
    return [
        "--capsules", "--size", str(args.size), "--clips", str(args.windows),
        "--steps", str(args.steps), "--lr", "0.001", "--every", str(max(1, args.steps // 4)),
        "--val-clips", "135",
    ]  # fmt: skip


def commands(row: Row, args: argparse.Namespace) -> list[list[str]]:
    """Training and testing of one row, without the interpreter."""
    run, start = args.out / row.name, args.out / TRUNK
    best = str(run / "best.safetensors")
    return [
        ["core.train", "--from", str(start), *row.options, *shared(args), "--out", str(run)],
        ["core.evaluate", "--checkpoint", best, "--capsules", "--clips", str(args.test_clips),
         "--pairs", str(args.pairs), "--json", str(run / TEST)],
    ]  # fmt: skip


def asked(row: Row, args: argparse.Namespace) -> list[str]:
    """The commands of a row, wherever its folder lies."""
    anywhere = argparse.Namespace(**vars(args) | {"out": Path("OUT")})
    return [shlex.join(command) for command in commands(row, anywhere)]


def finished(row: Row, args: argparse.Namespace) -> bool:
    """Whether a row is there. Raises ``BadInput`` for one that other options made."""
    done = args.out / row.name / DONE
    if not done.is_file():
        return False
    if json.loads(done.read_text()) != asked(row, args):
        raise BadInput(f"--out {args.out} has {row.name} by other options: give another folder")
    return True


def check_trunk(path: Path) -> None:
    """Refuse, with ``BadInput``, a trunk of another model than the package's."""
    if checkpoint.load(path).info.get("of") != file_sha256(checkpoint.bundled_path()):
        raise BadInput(f"{path} is not of the package's model: give another folder with --out")


def write_trunk(path: Path) -> None:
    """The package's model without its temporal modules: a TSN that has seen the gestures move."""
    bundled = checkpoint.load(checkpoint.bundled_path())
    model = VideoClassifier(replace(bundled.config, temporal="none"))
    own, trained = model.state_dict(), bundled.model.state_dict()
    model.load_state_dict({name: trained[name] for name in own})
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(path, model, bundled.labels, {"of": bundled.sha256})


def run(command: list[str]) -> None:
    """One command of the project in a process of its own; its failure is ours."""
    print("python -m", shlex.join(command), file=sys.stderr, flush=True)
    status = subprocess.run([sys.executable, "-m", *command]).returncode
    if status:
        sys.exit(status)


def measured(row: Row, args: argparse.Namespace) -> dict:
    """A finished row's figures and commands."""
    test = json.loads((args.out / row.name / TEST).read_text())
    clips, top1 = test["clips"], test["top1"]
    interval = wilson(round(top1 / 100 * clips), clips)
    pairs = test["pairs"]
    return {
        "group": row.group, "temporal": row.temporal, "location": row.location, "clips": clips,
        "top1": top1, "top1_interval": [round(value, 2) for value in interval],
        "top5": test["top5"], "static_top1": test["static_top1"],
        "pairs": round(sum(pairs.values()) / len(pairs), 2), "clips_a_pair": test["clips_a_pair"],
        "commands": ["python -m " + shlex.join(command) for command in commands(row, args)],
    }  # fmt: skip


def label(row: dict) -> str:
    """What a row is called in table and picture."""
    name = NETWORKS[row["temporal"]].upper()
    return f"{name}, location {row['location']}" if row["group"] == "locations" else name


def table(found: list[dict], group: str) -> str:
    """Markdown of one comparison."""
    numbers = ("top-1, % (95 %)", "top-5, %", "static classes, %", "pairs of time, %")
    rows = []
    for row in found:
        if row["group"] != group:
            continue
        low, high = row["top1_interval"]
        top1 = f"{row['top1']:.1f} ({low:.1f} to {high:.1f})"
        more = [row[key] for key in ("top5", "static_top1", "pairs")]
        # Of a few clips none may be of a static class.
        rows.append([label(row), top1, *("-" if v is None else f"{v:.1f}" for v in more)])
    return markdown(("model", *numbers), rows, numbers)


def plot(found: list[dict], path: Path) -> None:
    """Top-1 with its interval, a panel a comparison."""
    from matplotlib.figure import Figure

    groups = [group for group in GROUPS if any(row["group"] == group for row in found)]
    figure = Figure(figsize=(4 * len(groups), 2.6), layout="constrained")
    for axes, group in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups, strict=True):
        shown = [row for row in found if row["group"] == group][::-1]
        for place, row in enumerate(shown):
            axes.plot(row["top1_interval"], [place, place], color="tab:blue", linewidth=2)
            axes.plot(row["top1"], place, "o", color="tab:blue")
        axes.set_yticks(range(len(shown)), [label(row) for row in shown])
        axes.set(title=group, xlabel="top-1, %")
        axes.grid(axis="x", alpha=0.3)
    write_figure("--plot", path, figure, dpi=90)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; see ``--help``."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for a run's folder each")
    add("--only", action="append", choices=GROUPS, help="one table; may be given again")
    add("--size", type=whole(32), default=80)
    add("--windows", type=whole(1), default=4000, help="synthetic windows to train on")
    add("--steps", type=whole(1), default=400, help="of every row")
    add("--test-clips", type=whole(1), default=1080)
    add("--pairs", type=whole(1), default=40, help="test clips of each pair")
    add("--json", type=Path, help="write the figures here too")
    add("--plot", type=Path, help="draw them here")
    args = parser.parse_args(argv)
    check_folder("--out", args.out)  # before the hours of training, not behind them
    check_file("--json", args.json)
    check_file("--plot", args.plot)
    return args


def main(argv: list[str] | None = None) -> int:
    """Run what is missing, then print the tables."""
    args = parse(argv)
    groups = args.only or list(GROUPS)
    wanted = rows(groups)
    missing = [row for row in wanted if not finished(row, args)]
    if (args.out / TRUNK).is_file():
        check_trunk(args.out / TRUNK)
    else:
        write_trunk(args.out / TRUNK)
    for row in missing:
        if finished(row, args):  # a row may stand in two tables
            continue
        for command in commands(row, args):
            run(command)
        write_json("--out", args.out / row.name / DONE, asked(row, args))
    found = [measured(row, args) for row in wanted]
    for group in groups:
        print(f"{group}\n\n{table(found, group)}\n")
    if args.json:
        write_json("--json", args.json, found)
    if args.plot:
        plot(found, args.plot)
    return 0


if __name__ == "__main__":
    run_main(main)
