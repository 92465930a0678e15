"""Does a bundle still compute what its checkpoint computes?

    python -m mobile_export.verify artifacts/mobilenet_v2-action-stream-xnnpack-int8
    python -m mobile_export.verify BUNDLE --clips 2700 --json report.json    # extra 'render'
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

Clips are looked at until they show whether more than --max-drop is lost: passed when the whole 95 %
interval of the drop is within it, failed when the whole interval is above, not shown in between,
when there are no more clips or a minute is over. --clips N looks at N.

Exit status: 0 when all is well, or the drop was not shown and --strict not given; 2 for input that
cannot be used, a changed file among it; 3 when the drop is shown to be larger than --max-drop, the
golden clip is not reproduced, the logits are further from the checkpoint's than the precision
explains (fp32: 1e-4 of the largest), or an emulated core answers a clip otherwise.
"""

import argparse
from pathlib import Path

from core.errors import GATE_FAILED, run_main
from core.files import write_json
from core.options import Parser, add_data_options, percent, whole
from mobile_export.clips import drawn
from mobile_export.console import Steps, check_json_path
from mobile_export.verify.check import MAX_DROP

ARM_CLIPS = 400  # on emulated cores when nothing else is asked for


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m mobile_export.verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("bundle", type=Path, metavar="BUNDLE", help="folder of an export")
    add("--clips", type=whole(1), help="held-out clips (default: until the drop is shown)")
    add_data_options(parser)
    add("--checkpoint", type=Path, metavar="FILE", help="when it is not the bundled one")
    add("--max-drop", type=percent, default=MAX_DROP, metavar="POINTS", help="default %(default)s")
    add("--strict", action="store_true", help="a drop that is not shown is a failure too")
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
    from mobile_export.verify.verifier import gather, verify

    source, cores = given_source(args, {}), []
    if args.arm64:
        from mobile_export.verify import arm64

        found = gather(args.bundle, args.checkpoint, source, args.clips)
        few = drawn(found.clips, None, args.clips or ARM_CLIPS)  # in the order that they have
        step("arm64", f"emulated {' and '.join(arm64.CORES)} on {len(few)} {found.which}")
        cores = arm64.check_cores(found.bundle, few)
    report = verify(
        args.bundle, checkpoint=args.checkpoint, data=source, clips=args.clips,
        max_drop=args.max_drop, strict=args.strict, runner=args.runner, reporter=step,
    )  # fmt: skip
    for core in cores:
        report.failures.extend(core.failures(found.bundle.manifest["precision"]))
    failures = "; ".join(report.failures)
    step("done", f"FAILED: {failures}" if failures else "nothing failed")
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
