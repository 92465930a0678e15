"""Export a trained gesture recogniser for a phone, with the proof that it still computes the same.

Every export is a folder (a bundle) named <backbone>-<temporal>-<form>-<target>-<precision> with
the artifact (model.pte or model.mlpackage), manifest.json, which says how to feed it and how
accurate it is, and golden/, a clip with the logits that a device has to reproduce.
The artifact is executed before it is called done, and its accuracy is measured beside the
checkpoint's on the same held-out clips.
"""

import argparse
import sys
from pathlib import Path

from core.classes import add_classes_option
from core.errors import BAD_INPUT, GATE_FAILED, BadInput, one_line, run_main
from core.files import write_json
from core.options import Parser, add_data_options, percent, positive, whole
from mobile_export import combinations
from mobile_export.bundle.demo_app import demo_app, put
from mobile_export.console import Steps, check_json_path
from mobile_export.errors import LoweringError
from mobile_export.verify.check import MAX_DROP

EXAMPLES = """
examples:
  python -m mobile_export --target coreml
      the bundled model, one frame at a time, int8, into artifacts/
  python -m mobile_export --target xnnpack --precision fp32 --out build
      an ExecuTorch program in floating point, within rounding of the checkpoint
  python -m mobile_export --target all --precision fp16
      every target that can do this form and precision; the others are named with the reason
  python -m mobile_export --target xnnpack --checkpoint mine.safetensors --data my_clips
      a model of your own, calibrated and checked on your own clips: one sub-folder a class, or
      Jester, Something-Something V2 or EgoGesture as they are distributed
  python -m mobile_export --target xnnpack --classes map.json
      other classes without training anew; map.json is ["Thumb Up", "No gesture"] for these alone,
      or {"left": ["Swiping Left", "Sliding Two Fingers Left"], "none": "*"} to merge and rename
  python -m mobile_export --target xnnpack --into android_demo
      and where the Android app looks for it
  python -m mobile_export --target coreml --into ios_demo
      three bundles, int8, w8a16 and fp16, where the iOS app looks for them: it takes the fastest
  python -m mobile_export --list
      what each target can do

exit status:
  0  exported and verified; the clips may not have shown how much accuracy is lost ("not shown":
     the manifest and the printed lines say so; --strict makes a failure of it)
  2  something given cannot be used, or a target does not take the model; one line says what, why
     and the way out; nothing is written for that target (with all, others may have been)
  3  the artifact failed its check: it is kept as <name>.rejected with its manifest, and an older
     bundle of that name is moved to <name>.previous (with all: any of them, whatever else failed)

Afterwards: python -m mobile_export.verify artifacts/<name> --clips 540
"""


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m mobile_export",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--target", choices=(*combinations.TARGETS, "all"), help="what the phone runs")
    add(
        "--form",
        choices=combinations.FORMS,
        default="stream",
        help="stream: one frame and the state in, logits and the next state out; clip: all frames "
        "at once (default %(default)s)",
    )
    add(
        "--precision",
        choices=combinations.PRECISIONS,
        help="w8a16: weights in int8, activations in fp16 (default int8; with --into ios_demo "
        "int8, w8a16 and fp16)",
    )
    add(
        "--quantize",
        choices=("auto", "qat", "ptq"),
        help="how int8 is made: qat fine-tunes the quantized graph to give the checkpoint's logits "
        "(the bundled checkpoint's comes with the package; for your own it takes minutes and is "
        "kept in runs/qat), ptq calibrates on training clips alone, auto does ptq, and qat where "
        "the check finds too large a drop (default: auto, for the bundled checkpoint qat)",
    )
    add("--qat-steps", type=whole(1), metavar="N", help="steps of training, 4 clips each")
    add("--qat-lr", type=positive, metavar="RATE", help="its learning rate (Adam)")
    add("--checkpoint", type=Path, metavar="FILE", help="a .safetensors file (default: bundled)")
    add_data_options(parser)
    add_classes_option(
        parser, "classes of the artifact, without training anew: a subset of the model's, merged "
        "or renamed",
    )  # fmt: skip
    add(
        "--deployment-target", choices=combinations.DEPLOYMENT_TARGETS,
        help="oldest system that loads a Core ML package "
        f"(default {combinations.DEPLOYMENT_TARGETS[0]})",
    )  # fmt: skip
    add("--out", type=Path, default=Path("artifacts"), metavar="DIR", help="default %(default)s")
    add(
        "--into",
        type=Path,
        metavar="APP",
        help="put the bundle into a demo app as well: android_demo or ios_demo",
    )
    add(
        "--max-drop",
        type=percent,
        default=MAX_DROP,
        metavar="POINTS",
        help="top-1 accuracy that may be lost, in percentage points (default %(default)s)",
    )
    add(
        "--clips",
        type=whole(1),
        metavar="N",
        help="held-out clips of the check (default: until they show whether more than --max-drop "
        "is lost, for a minute at most)",
    )
    add("--strict", action="store_true", help="what the clips do not show is a failure too")
    add("--allow-partial", action="store_true", help="accept operators outside the delegate")
    add("--json", type=Path, metavar="FILE", help="write the figures of the check")
    add("--list", action="store_true", help="print what each target can do, and stop")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.list:
        print(combinations.table())
        return 0
    if args.quantize == "ptq" and (args.qat_steps or args.qat_lr):
        parser.error("--qat-steps and --qat-lr are for --quantize qat")
    if args.target is None:
        parser.error("--target is missing: give coreml, xnnpack, vulkan or all")
    precisions = [args.precision or combinations.PRECISIONS[0]]
    trains = bool(args.qat_steps or args.qat_lr)
    if trains and precisions != ["int8"]:
        parser.error(f"--qat-steps and --qat-lr are for int8, not for {args.precision}")
    targets = _targets(args, precisions[0])
    check_json_path(args.json)
    folder = None
    if args.into:
        app = demo_app(args.into, targets)
        folder = args.into / app.bundles
        if not args.precision and args.form == "stream":
            precisions = list(app.precisions)
    step = Steps()
    step("load", str(args.checkpoint or "the bundled checkpoint"))
    # Heavy imports come after everything that can be refused without them.
    from core.checkpoint import bundled_path, load
    from core.data.source import given_source
    from core.regroup import regrouped
    from mobile_export.bundle.manifest import bundle_name
    from mobile_export.bundle.staging import check_names
    from mobile_export.exporter import GateFailed, export

    checkpoint = load(args.checkpoint or bundled_path())
    config = regrouped(checkpoint, args.classes)[0].config
    if args.form == "stream" and checkpoint.config.why_no_stream:
        raise BadInput(f"{checkpoint.config.why_no_stream}, or use --form clip")
    options = {
        "checkpoint": checkpoint,
        "form": args.form,
        "quantize": args.quantize,
        "data": given_source(args, checkpoint.info),
        "out": args.out,
        "max_drop": args.max_drop,
        "clips": args.clips,
        "strict": args.strict,
        "allow_partial": args.allow_partial,
        "classes": args.classes,
        "deployment_target": args.deployment_target,
        "reporter": step,
    }
    wanted = [
        (
            target,
            precision,
            bundle_name(config, args.form, target, precision, args.classes is not None),
        )
        for target in targets
        for precision in precisions
    ]
    for _, _, name in wanted:
        check_names(args.out, name)
    status, results, told = 0, [], set()
    for target, precision, name in wanted:
        learning = {"qat_steps": args.qat_steps, "qat_rate": args.qat_lr}
        try:
            result = export(
                target, precision=precision, **options, **learning if precision == "int8" else {}
            )
        except GateFailed as failed:
            result, status = failed.result, GATE_FAILED
        except (BadInput, LoweringError) as error:
            line = _line(error, f"{target} {args.form} {precision}")
            if len(wanted) == 1:
                raise BadInput(line) from None
            if line not in told:  # what is wrong with the clips is wrong for every target
                sys.stderr.write(f"error: {line}\n")  # the other targets are still wanted
            told.add(line)
            status = max(status, BAD_INPUT)
            continue
        print(result.report.table())
        results.append(result.to_dict())
        if folder is None:
            continue
        if result.report.failures:
            if (folder / name).exists():
                step("into", f"{folder / name} is still the older bundle")
            continue
        try:
            step("into", str(put(result.path, folder)))
        except BadInput as error:
            if len(wanted) == 1:
                raise
            sys.stderr.write(f"error: {one_line(error)}\n")  # the report is still wanted
            status = max(status, BAD_INPUT)
    if args.json:
        write_json("--json", args.json, results)
    return status


def _targets(args: argparse.Namespace, precision: str) -> list[str]:
    target, form, oldest = args.target, args.form, args.deployment_target
    if target != "all":
        refused = combinations.refusal(target, form, precision, oldest)
        if refused:
            raise BadInput(refused)
        return [target]
    able = []
    for name in combinations.TARGETS:
        refused = combinations.refusal(name, form, precision, oldest)
        if refused:
            print(f"skipped: {refused}")
        else:
            able.append(name)
    if not able:
        raise BadInput(f"no target can do {form} {precision}: see python -m mobile_export --list")
    return able


def _line(error: BadInput | LoweringError, combination: str) -> str:
    if isinstance(error, BadInput):
        return one_line(error)
    return f"{combination} cannot be lowered: {' '.join(str(error).split())}"


if __name__ == "__main__":
    run_main(main)
