"""Does a bundle still compute what its checkpoint computes?

    python -m mobile_export.verify artifacts/mobilenet_v2-action-stream-xnnpack-int8
    python -m mobile_export.verify BUNDLE --clips 2700 --json report.json
    python -m mobile_export.verify BUNDLE --data my_clips --checkpoint my_model.safetensors
    python -m mobile_export.verify BUNDLE --arm64 --clips 20
    python -m mobile_export.verify BUNDLE --runner ./vulkan_runner

Checks every file against the manifest's hashes, replays the golden clip, and measures the top-1
accuracy of checkpoint and artifact on the same held-out clips. Where the target's runtime does not
exist on this machine (Vulkan; Core ML off a Mac) a reference interpreter computes the artifact, and
the report says so. --runner has a program of yours execute it, on a device or a software driver:
docs/bundle.md has the protocol.
--arm64 also executes an XNNPACK program by the kernels that a phone has, on emulated Arm cores, and
compares it with this machine; it compiles a small runner once, for which it names what is missing.

Exit status: 0 when all is well; 2 for input that cannot be used, a changed file among it; 3 when
the drop is larger than --max-drop, the golden clip is not reproduced, or the logits are further
from the checkpoint's than the precision explains (fp32: 1e-4 of the largest).
"""

import argparse
from pathlib import Path

from core.errors import GATE_FAILED, run_main
from core.files import write_json
from core.options import Parser, add_data_options, percent, whole
from mobile_export.console import Steps, check_json_path
from mobile_export.verify.check import CLIPS, DIFFICULTIES, MAX_DROP, check


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
    add("--max-drop", type=percent, default=MAX_DROP, metavar="POINTS", help="default %(default)s")
    add(
        "--arm64", action="store_true",
        help="also run an XNNPACK bundle through Arm's kernels, on emulated cores",
    )  # fmt: skip
    add("--runner", type=Path, metavar="PROGRAM", help="an ExecuTorch runner of yours executes it")
    add("--json", type=Path, metavar="FILE", help="write the figures")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = make_parser().parse_args(argv)
    check_json_path(args.json)
    step = Steps()
    step("load", f"{args.bundle}, its hashes and its checkpoint")
    from core.data.source import given_source
    from mobile_export.bundle.runner import opened
    from mobile_export.verify.verifier import gather

    source = given_source(args, {})
    found = gather(args.bundle, args.checkpoint, source, args.clips, args.difficulty)
    bundle, checkpoint, dataset = found.bundle, found.checkpoint, found.clips
    cores = []
    if args.arm64:
        from mobile_export.verify import arm64

        step("arm64", f"{len(dataset)} held-out clips on emulated {' and '.join(arm64.CORES)}")
        cores = arm64.check_cores(bundle, dataset)
    with opened(bundle, args.runner) as runner:
        step("verify", f"golden clip and {len(dataset)} held-out clips, {runner.name}")
        report = check(bundle, checkpoint, runner, dataset, args.max_drop, found.unopened)
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
