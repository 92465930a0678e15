"""Does a bundle still compute what its checkpoint computes?

    python -m mobile_export.verify artifacts/mobilenet_v2-action-stream-xnnpack-int8
    python -m mobile_export.verify BUNDLE --clips 2700 --json report.json
    python -m mobile_export.verify BUNDLE --data my_clips --checkpoint my_model.safetensors
    python -m mobile_export.verify BUNDLE --arm64 --clips 20

Checks every file against the manifest's hashes, replays the golden clip, and measures the top-1
accuracy of checkpoint and artifact on the same held-out clips. Where no runtime exists on this
machine (Vulkan) the converted graph is evaluated instead, and the report calls that a proxy.
--arm64 also executes an XNNPACK program by the kernels that a phone has, on emulated Arm cores, and
compares it with this machine; it compiles a small runner once, for which it names what is missing.

Exit status: 0 when all is well; 2 for input that cannot be used, a changed file among it; 3 when
the drop is larger than --max-drop, the golden clip is not reproduced, or the logits are further
from the checkpoint's than the precision explains (fp32: 1e-4 of the largest).
"""

import argparse
import importlib
import math
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from core.errors import GATE_FAILED, BadInput, run_main
from core.files import write_json
from core.options import Parser, add_data_options, whole
from mobile_export.console import Steps, check_json_path, points, quiet

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from core.checkpoint import Checkpoint
    from core.data.source import Source
    from core.model import ModelConfig
    from mobile_export.accuracy import Comparison
    from mobile_export.bundle import Bundle
    from mobile_export.runtime import Runner

# What the logits may deviate from the checkpoint's, relative to the largest of them. fp32: nothing
# but rounding. The others are far above what trained models do (fp16 1e-2, int8 6e-2) and above
# random weights (5e-2 and 0.4), which magnify rounding; logits of zero, or twice as large as they
# should be, deviate by 1.
PARITY = {"fp32": 1e-4, "fp16": 0.2, "int8": 0.75}
MAX_DROP = 1.0  # points; what quantization may cost
CLIPS = 400  # held-out clips of a check when nothing else is asked for
DIFFICULTIES = ("easy", "default", "hard")


@dataclass(frozen=True)
class Report:
    """Outcome of a check; ``failures`` is empty when the artifact passes."""

    name: str
    runner: str
    proxy: bool
    comparison: "Comparison"
    golden_deviation: float
    golden_tolerance: float
    max_drop: float
    failures: list[str]

    def to_dict(self) -> dict:
        """JSON-ready; a deviation that is not finite is null."""
        values = self.comparison.to_dict() | {
            "name": self.name,
            "runner": self.runner,
            "proxy": self.proxy,
            "golden_deviation": self.golden_deviation,
            "golden_tolerance": self.golden_tolerance,
            "max_drop": self.max_drop,
            "failures": self.failures,
        }
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in values.items()
        }

    def table(self) -> str:
        """The figures as a Markdown table."""
        c = self.comparison
        low, high = c.drop_interval
        broken = f", and {c.broken} broken" if c.broken else ""
        rows = [
            ("executed by", self.runner),
            ("held-out clips", f"{c.clips}{broken}"),
            ("top-1 of the checkpoint", f"{c.checkpoint_top1:.2f} %"),
            ("top-1 of the artifact", f"{c.artifact_top1:.2f} %"),
            ("drop", f"{c.drop:+.2f} points, at most {self.max_drop:g} allowed"),
            ("95 % interval of the drop", f"{low:+.2f} to {high:+.2f} points"),
            ("same answer", f"{c.agreement:.2f} %"),
            ("deviation of the logits", f"{c.deviation:.2e} of the largest"),
            ("golden clip", f"{self.golden_deviation:.2e}, tolerance {self.golden_tolerance:.2e}"),
        ]
        width = max(len(name) for name, _ in rows)
        lines = [f"| {'':{width}} | {self.name} |", f"| {'-' * width} | --- |"]
        return "\n".join(lines + [f"| {name:{width}} | {value} |" for name, value in rows])


def open_runner(bundle: "Bundle") -> "Runner":
    """What executes this bundle on this machine."""
    manifest = bundle.manifest
    if manifest["target"] == "xnnpack":
        return _runtime("executorch").open_pte(bundle.artifact, bundle.inputs)
    if manifest["target"] == "vulkan":
        if manifest["proxy"] is None:
            raise BadInput(f"{bundle.path} has no proxy graph to evaluate: export again")
        from mobile_export.proxy import open_proxy

        runner = open_proxy(bundle.path / manifest["proxy"]["file"], bundle.zeros())
        if manifest["precision"] == "fp16":  # the delegate rounds, the graph that it took does not
            runner.name += ", in fp32: what fp16 loses is not measured"
        return runner
    config = bundle.config
    opened = _runtime("coreml").open_coreml
    return opened(bundle.artifact, bundle.inputs, bundle.outputs, config.mean, config.std)


def _runtime(name: str) -> ModuleType:
    return importlib.import_module(f"mobile_export.runtime.{name}")


def replay_golden(bundle: "Bundle", runner: "Runner") -> float:
    """Largest deviation from the golden logits over the largest of them; infinite for NaN."""
    import torch

    from mobile_export.accuracy import relative_deviation
    from mobile_export.feed import run_form

    clip, form = torch.from_numpy(bundle.golden("inputs"))[None], bundle.manifest["form"]
    with torch.inference_mode():
        got = run_form(runner, form, clip, bundle.state_shapes, bundle.config)[0]
    expected = torch.from_numpy(bundle.golden("logits"))
    if got.shape != expected.shape or not bool(got.isfinite().all()):
        return math.inf
    return relative_deviation(got, expected)


def check(
    bundle: "Bundle",
    checkpoint: "Checkpoint",
    runner: "Runner",
    dataset: "Dataset",
    max_drop: float,
    unopened: int = 0,
) -> Report:
    """Replay the golden clip and compare on every clip of ``dataset``, with a progress bar.

    ``unopened`` clips were left out of ``dataset``, see ``count_unopened``.
    """
    from mobile_export.accuracy import Measurement

    manifest = bundle.manifest
    golden = replay_golden(bundle, runner)
    tolerance = manifest["golden"]["tolerance"]
    measurement = Measurement(checkpoint.model, runner, manifest["form"], bundle.state_shapes)
    comparison = measurement.run(dataset, unopened)
    failures = []
    if comparison.drop > max_drop:
        lost = comparison.only_checkpoint_right - comparison.only_artifact_right
        failures.append(
            f"it drops {comparison.drop:.2f} points ({lost} of {comparison.clips} clips), more "
            f"than {max_drop:g}"
        )
    precision = manifest["precision"]
    if not math.isfinite(comparison.deviation):
        failures.append("it gives logits or states that are not finite")
    elif comparison.deviation > PARITY[precision]:
        failures.append(
            f"its logits deviate by {comparison.deviation:.1e} from the checkpoint's, more than "
            f"{PARITY[precision]:g} for {precision}"
        )
    if not golden <= tolerance:
        failures.append(f"its golden clip deviates by {golden:.1e}, more than {tolerance:.1e}")
    return Report(
        name=manifest["name"],
        runner=runner.name,
        proxy=runner.proxy,
        comparison=comparison,
        golden_deviation=golden,
        golden_tolerance=tolerance,
        max_drop=max_drop,
        failures=failures,
    )


def held_out(
    data: "Source | None",
    config: "ModelConfig",
    labels: list[str],
    count: int | None,
    difficulty: str = "default",
) -> "Dataset":
    """Test clips with exactly ``labels``: synthetic ones, or those of a folder or data set."""
    return _clips(data, "test", config, labels, count, difficulty)


def count_unopened(dataset: "Dataset") -> int:
    """Clips of a folder that could not be opened and were left out.

    To be asked before any clip is read: the list grows by those whose damage lies further on.
    """
    return len(getattr(dataset, "broken", ()))


def training_clips(
    data: "Source | None",
    config: "ModelConfig",
    labels: list[str],
    count: int,
    difficulty: str = "default",
) -> "Dataset":
    """Training clips, for calibration and quantization-aware training."""
    return _clips(data, "train", config, labels, count, difficulty)


def _clips(
    data: "Source | None",
    split: str,
    config: "ModelConfig",
    labels: list[str],
    count: int | None,
    difficulty: str,
) -> "Dataset":
    from core.data import open_clips

    if data is not None and not _is_folder(data.data):
        raise BadInput(
            f"--data {data.data} is not a folder: give one with a sub-folder for each class, or a "
            "data set's"
        )
    clips = open_clips(
        data, split, config, count, labels=labels, difficulty=difficulty, replace=split == "train"
    )
    source = data.data if data else "the synthetic data set"
    if list(clips.labels) != list(labels):
        raise BadInput(
            f"{source} has classes that are not the checkpoint's {len(labels)} labels "
            f"({', '.join(labels[:3])}, ...): give the folder that it was trained on"
        )
    if len(clips) == 0:
        raise BadInput(f"{source} has no {split} clips: add videos to its class folders")
    return clips


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long, a parent that may not be searched
        return False


def find_checkpoint(bundle: "Bundle", given: Path | None) -> "Checkpoint":
    """The checkpoint that a bundle was made from, known by its hash: the given or bundled one."""
    from core.checkpoint import bundled_path, file_sha256, load

    wanted = bundle.manifest["checkpoint"]
    path = given or bundled_path()
    try:
        found = file_sha256(path) if path.is_file() else None
    except OSError as error:
        raise BadInput(
            f"checkpoint {path} cannot be read ({error.strerror}): give {wanted['file']}"
        ) from None
    if found is None and given is not None:
        raise BadInput(f"checkpoint {given} does not exist: give {wanted['file']}")
    if found != wanted["sha256"]:
        which = f"{given} is not" if given else "the bundled checkpoint is not"
        raise BadInput(
            f"{which} the one that {bundle.path} was made from: give {wanted['file']} (SHA-256 "
            f"{wanted['sha256'][:12]}...) with --checkpoint"
        )
    return load(path)


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m mobile_export.verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("bundle", type=Path, metavar="BUNDLE", help="folder of an export")
    add("--clips", type=whole(1), help=f"held-out clips (default {CLIPS}; a folder's all)")
    add_data_options(parser)
    add("--checkpoint", type=Path, metavar="FILE", help="when it is not the bundled one")
    add("--difficulty", choices=DIFFICULTIES, default="default", help="of the synthetic clips")
    add("--max-drop", type=points, default=MAX_DROP, metavar="POINTS", help="default %(default)s")
    add(
        "--arm64", action="store_true",
        help="also run an XNNPACK bundle through Arm's kernels, on emulated cores",
    )  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write the figures")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = make_parser().parse_args(argv)
    check_json_path(args.json)
    step = Steps()
    step("load", f"{args.bundle}, its hashes and its checkpoint")
    from core.data.source import given_source
    from mobile_export.bundle import load, require_same

    bundle = load(args.bundle)
    checkpoint = find_checkpoint(bundle, args.checkpoint)
    require_same(bundle, checkpoint)
    count = args.clips or (None if args.data else CLIPS)
    labels = bundle.manifest["labels"]
    source = given_source(args, checkpoint.info)
    dataset = held_out(source, bundle.config, labels, count, args.difficulty)
    unopened = count_unopened(dataset)
    with quiet():
        runner = open_runner(bundle)
    cores = []
    if args.arm64:
        from mobile_export import arm64

        step("arm64", f"{len(dataset)} held-out clips on emulated {' and '.join(arm64.CORES)}")
        cores = arm64.check_cores(bundle, dataset)
    step("verify", f"golden clip and {len(dataset)} held-out clips, {runner.name}")
    report = check(bundle, checkpoint, runner, dataset, args.max_drop, unopened)
    for core in cores:
        report.failures.extend(core.failures(bundle.manifest["precision"]))
    step("done", "passed" if not report.failures else "; ".join(report.failures))
    print(report.table())
    figures = report.to_dict()
    if cores:
        print(arm64.table(cores))
        figures["arm64"] = [core.to_dict() for core in cores]
    if args.json:
        write_json("--json", args.json, figures)
    return GATE_FAILED if report.failures else 0


if __name__ == "__main__":
    run_main(main)
