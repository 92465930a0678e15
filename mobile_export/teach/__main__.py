"""Teach a recogniser gestures of your own, from a folder with a sub-folder of clips a gesture.

    python -m mobile_export.teach my_clips --target xnnpack --out artifacts/mine
    python -m mobile_export.live artifacts/mine/mobilenet_v2-action-stream-xnnpack-int8 --serve

Twenty clips of each gesture are a good start, and as many of 'No gesture': what you do between
gestures. Record them in two sessions or more, on different days or in different rooms: folders
within a gesture's, or the time in the names of recorded clips, tell sessions apart.

Most of the network stays as it is; what it makes of every clip is computed once. The model is
judged session by session, by clips that training has not seen, and says what to record next. The
decision rule is chosen on the same clips. A run that was stopped goes on with the same command.

Exit status: 0; 2 for clips or options that cannot be used; 3 where the bundle failed its check.
"""

import argparse
import sys
from pathlib import Path

from core.errors import GATE_FAILED, BadInput, run_main
from core.options import MOST_SEED, Parser, check_folder, positive, whole
from mobile_export.combinations import PRECISIONS, TARGETS, refusal
from mobile_export.console import Steps

MINUTES = 3.0


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m mobile_export.teach",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("data", type=Path, metavar="DIR", help="a sub-folder a gesture, with videos")
    add("--target", choices=TARGETS, help="what the phone runs; without one, no bundle is made")
    add("--precision", choices=PRECISIONS, default="int8", help="default %(default)s")
    add("--out", type=Path, default=Path("artifacts/mine"), metavar="DIR", help="of the bundle")
    add(
        "--from", dest="base", type=Path, metavar="FILE",
        help="checkpoint to start from (default: the one in the package)",
    )  # fmt: skip
    add(
        "--minutes", type=positive, default=MINUTES,
        help="to be ready in, as far as training decides it (default %(default)s)",
    )  # fmt: skip
    add(
        "--quantize", choices=("auto", "qat", "ptq"), default="auto",
        help="of int8: auto calibrates, and trains where the check finds too large a drop",
    )  # fmt: skip
    add(
        "--false-rate", type=positive, default=1.0, metavar="N",
        help="false events a minute that the decision rule is chosen for (default %(default)s)",
    )  # fmt: skip
    add(
        "--extend", action="store_true",
        help="keep the bundled gestures and add the new ones; rendered clips of the old ones are "
        "replayed, and what they lose is measured",
    )  # fmt: skip
    add("--seed", type=whole(0, MOST_SEED), default=0)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = make_parser().parse_args(argv)
    if args.target:
        refused = refusal(args.target, "stream", args.precision)
        if refused:
            raise BadInput(refused)
        check_folder("--out", args.out)
    step = Steps()
    step("load", str(args.base or "the bundled checkpoint"))
    from core.training.memory import keep_freed
    from mobile_export.exporter import GateFailed
    from mobile_export.teach.job import Terms, teach
    from mobile_export.teach.words import summary

    keep_freed()  # its time is features and training
    terms = Terms(
        args.data, args.target, args.out, base=args.base, precision=args.precision,
        quantize=args.quantize, minutes=args.minutes, false_rate=args.false_rate, seed=args.seed,
        extend=args.extend,
    )  # fmt: skip
    try:
        outcome = teach(terms, step)
    except GateFailed as failed:
        sys.stderr.write(f"error: {failed}\n")
        return GATE_FAILED
    print(summary(outcome.report))
    print(outcome.bundle or outcome.model)
    return 0


if __name__ == "__main__":
    run_main(main)
