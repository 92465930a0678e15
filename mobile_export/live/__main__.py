"""Recognise gestures live on the desk, by the very artifact that a phone runs.

    python -m mobile_export.live BUNDLE --source clip.mp4 --out annotated.mp4 --events events.json
    python -m mobile_export.live BUNDLE --source camera
    python -m mobile_export.live BUNDLE --source rtsp://192.168.1.20/stream
    python -m mobile_export.live BUNDLE --source synthetic --seconds 3600    # extra 'render'
    python -m mobile_export.live BUNDLE --classes map.json --serve
    python -m mobile_export.live BUNDLE --serve

BUNDLE is a folder that python -m mobile_export wrote, in stream form. The frames go the whole way
that they go on a phone: the tick takes them at the model's rate by their time stamps, they are
resized and cropped, the program makes one step, and the decision rule of the manifest turns its
logits into one event per gesture. Every event is printed when it ends.

A file is read as fast as it goes; with --realtime its frames come at their own pace, and those that
find the model busy are dropped, as on a phone. A camera's always do; Ctrl-C ends it. The synthetic
source renders recordings of known gestures and prints how many events were right.

--serve opens a page on this machine alone that shows the webcam, the gesture, the confidences and
the latency, and that can record clips of your own gestures into the folder of --out. --record does
that without a page, from the camera. With --teach DIR the page trains on them too and runs what
came of it: docs/teach.md.

Exit status: 0; 2 for a source or a bundle that cannot be used, and for a source that breaks off:
what was recognised until then is written all the same.
"""

import argparse
import sys
import time
from pathlib import Path

from core.classes import add_classes_option
from core.errors import BAD_INPUT, BadInput, run_main
from core.files import write_json
from core.options import Parser, check_file, check_folder, positive, whole
from mobile_export.console import check_json_path, quiet
from mobile_export.live.region import Region, parse_region

SECONDS = 60.0  # of the synthetic source
PORT = 8765


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m mobile_export.live",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("bundle", type=Path, nargs="?", metavar="BUNDLE", help="folder of an export")
    add(
        "--source", metavar="VIDEO|camera[:N]|ADDRESS|synthetic", default="camera",
        help="a video file, this machine's camera number N, a network camera (rtsp:// or http://), "
        "or rendered gestures (default camera)",
    )  # fmt: skip
    add(
        "--mirror", action="store_true",
        help="the source is mirrored, as selfie videos often are: turn it back",
    )  # fmt: skip
    add(
        "--roi", metavar="x,y,w,h",
        help="a region in place of the middle, in parts of the picture: 0,0,0.5,1 is its left half",
    )  # fmt: skip
    add_classes_option(
        parser, "answer with these classes: a subset of the bundle's, merged or renamed"
    )
    add("--realtime", action="store_true", help="frames of a file come at their own pace")
    add(
        "--seconds", type=positive,
        help=f"stop after so much of the source (synthetic: {SECONDS:g}; else its end)",
    )  # fmt: skip
    add(
        "--out", type=Path, metavar="MP4|DIR",
        help="the video with the answer drawn on it; with --serve or --record the folder for clips",
    )  # fmt: skip
    add("--events", type=Path, metavar="FILE", help="write events and figures as JSON")
    add("--timeline", type=Path, metavar="PNG", help="draw the probabilities over time")
    add("--serve", action="store_true", help="show a page on http://127.0.0.1")
    add(
        "--teach", type=Path, metavar="DIR",
        help="with --serve: record clips into this folder and train on them, on the page",
    )  # fmt: skip
    add(
        "--from", dest="base", type=Path, metavar="FILE",
        help="with --teach: the checkpoint that training starts from (default: the bundled one)",
    )  # fmt: skip
    add("--port", type=whole(0, 65535), default=PORT, help="of the page (default %(default)s)")
    add("--record", metavar="LABEL", help="record clips of this gesture into --out; no bundle")
    add("--clips", type=whole(1), default=20, help="clips to record (default %(default)s)")
    return parser


def check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together, before any work. Raises ``BadInput``."""
    if args.record is not None:
        if args.classes is not None:
            raise BadInput("--classes is of a bundle, and --record takes none: leave it out")
        if args.bundle or args.serve:
            raise BadInput("--record takes neither a bundle nor --serve: leave them out")
        if args.out is None:
            raise BadInput(f"--record {args.record} needs --out DIR: give the folder of your clips")
    elif args.bundle is None:
        raise BadInput("no bundle: give the folder that python -m mobile_export wrote")
    if args.roi is not None:
        parse_region(args.roi)
    if args.teach is not None:
        if not args.serve or args.out is not None:
            raise BadInput("--teach DIR is for --serve, and is its --out: leave --out away")
        check_folder("--teach", args.teach)
    elif args.base is not None:
        raise BadInput("--from is for --teach DIR: leave it out")
    if args.record is not None or args.serve:
        if args.out is not None:
            check_folder("--out", args.out)
        unused = [o for o in ("events", "timeline") if getattr(args, o) is not None]
        if unused:
            raise BadInput(f"--{unused[0]} is for --source alone: leave it out")
        if args.record is not None and (args.mirror or args.roi):
            option = "mirror" if args.mirror else "roi"
            raise BadInput(f"--{option} is for --source and --serve: leave it out")
    else:
        check_file("--out", args.out)
    check_json_path(args.events)
    check_file("--timeline", args.timeline)


def _region(args: argparse.Namespace) -> Region:
    return Region(args.mirror, parse_region(args.roi) if args.roi else None)


def run_source(args: argparse.Namespace) -> int:
    """Recognise one source to its end; returns the exit status."""
    with quiet():
        import torch

        from mobile_export.bundle.reader import load
        from mobile_export.bundle.regrouped import with_classes
        from mobile_export.bundle.runner import open_runner
        from mobile_export.live.network import shown
        from mobile_export.live.recognizer import Recognizer
        from mobile_export.live.session import open_source, run

        # Pre-processing is too little for a second thread, which would only wait for the program's.
        torch.set_num_threads(1)
        bundle = with_classes(load(args.bundle), args.classes)
        recognizer = Recognizer(bundle, open_runner(bundle))
    bundle.warn()
    seconds = args.seconds or (SECONDS if args.source == "synthetic" else None)
    source = open_source(args.source, bundle.config, seconds, args.realtime)
    began = time.perf_counter()
    result = run(recognizer, source, args.out, args.timeline, seconds, _region(args))
    report = result.report(bundle, shown(args.source), time.perf_counter() - began)
    print(result.summary(report))
    if args.events:
        write_json("--events", args.events, report)
    if result.reason:
        sys.stderr.write(f"error: {result.reason}; what was seen until then is complete\n")
        return BAD_INPUT
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = make_parser().parse_args(argv)
    check(args)
    if args.record is not None:
        from mobile_export.live.record import record_from

        return record_from(args.source, args.record, args.out, args.clips)
    if args.serve:
        from mobile_export.live.server.lesson import Lesson
        from mobile_export.live.server.serve import serve

        lesson = None if args.teach is None else Lesson(args.teach, args.base)
        out = args.teach or args.out
        return serve(args.bundle, args.port, out, _region(args), args.classes, lesson)
    return run_source(args)


if __name__ == "__main__":
    run_main(main)
