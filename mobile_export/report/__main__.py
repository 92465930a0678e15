"""Merge latency reports of devices and artifacts into one page with a table and charts.

    python -m mobile_export.report pixel.json iphone.json laptop.json
    python -m mobile_export.report "before=old/pixel.json" "after=new/pixel.json" --html both.html
    python -m mobile_export.report *.json --json rows.json --png charts
    python -m mobile_export.report --adb
    python -m mobile_export.report --ios

The reports are those of python -m mobile_export.latency and of the Android and iOS apps. A report
is called by the name in it; NAME=FILE gives it another one, since no two may have the same. The
page needs no network and no other file. What must not be compared without a thought, as artifacts
that share a name and differ in their hash, is said in the page and on stderr.

Exit status: 0, or 2 for a file that cannot be used.
"""

import argparse
import json
import sys
from pathlib import Path

from core.errors import BadInput, run_main
from core.files import write_whole
from core.options import Parser, check_file, check_folder
from mobile_export.report import ios
from mobile_export.report.adb import pull
from mobile_export.report.read import read_all, split_argument

PAGE = Path("report.html")


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m mobile_export.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("reports", nargs="*", metavar="FILE", help="a report, or NAME=FILE to give it a name")
    add(
        "--adb", nargs="?", type=Path, const=Path("reports"), metavar="DIR",
        help="those of the Android phone on the cable as well, copied into DIR (default reports)",
    )  # fmt: skip
    add(
        "--ios", nargs="?", type=Path, const=Path("reports"), metavar="DIR",
        help="those of the iPhone that this Mac is paired with, copied into DIR (default reports)",
    )  # fmt: skip
    add("--html", type=Path, default=PAGE, metavar="FILE", help="default %(default)s")
    add("--json", type=Path, metavar="FILE", help="write the rows of the table as JSON")
    add("--png", type=Path, metavar="DIR", help="write the charts as pictures too")
    return parser


def check_outputs(args: argparse.Namespace) -> None:
    """Raise ``BadInput``, before any work, for an output that cannot be written or is an input."""
    check_file("--html", args.html)
    check_file("--json", args.json)
    if args.png is not None:
        check_folder("--png", args.png)
    inputs = {split_argument(argument)[1].resolve() for argument in args.reports}
    for option, path in (("--html", args.html), ("--json", args.json)):
        if path is not None and path.resolve() in inputs:
            raise BadInput(f"{option} {path} is one of the reports: give another file")
    if args.json is not None and args.json.resolve() == args.html.resolve():
        raise BadInput(f"--json {args.json} is the page as well: give another file")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if not args.reports and args.adb is None and args.ios is None:
        parser.error("no report: give files, or --adb or --ios with a phone on the cable")
    if args.adb is not None and args.adb == args.ios:
        parser.error(f"--adb and --ios both copy into {args.ios}: give each a folder of its own")
    check_outputs(args)
    pulled = pull(args.adb) if args.adb else []
    pulled += ios.copy(args.ios) if args.ios else []
    reports = read_all([*map(split_argument, args.reports), *pulled])
    # Only now, matplotlib: a file that cannot be used is refused at once.
    from mobile_export.report import gallery
    from mobile_export.report.draw import png
    from mobile_export.report.merge import merge
    from mobile_export.report.page import render
    from mobile_export.report.table import markdown

    merged = merge(reports)
    rows, runs = merged["rows"], [run for report in reports for run in report["runs"]]
    charts = gallery.make_charts(rows, runs)
    operators = gallery.make_operator_charts(rows, runs)
    page = render(reports, merged, charts, operators)
    pictures = {c.name: png(c) for c in charts + operators} if args.png is not None else {}
    for sentence in merged["warnings"]:
        print(f"warning: {sentence}", file=sys.stderr)
    print(markdown(rows))
    print()
    write_whole("--html", args.html, page.encode())
    print(args.html)
    if args.json is not None:
        write_whole("--json", args.json, (json.dumps(merged, indent=2) + "\n").encode())
        print(args.json)
    if args.png is not None:
        _write_pictures(args.png, pictures)
        print(args.png)
    return 0


def _write_pictures(folder: Path, pictures: dict[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--png {folder} cannot be made ({error.strerror})") from None
    for name, picture in pictures.items():
        write_whole("--png", folder / f"{name}.png", picture)


if __name__ == "__main__":
    run_main(main)
