"""Values of command-line options, refused in one line before any work is done for them.

The functions for ``type=`` raise argparse's own error, which ``Parser`` turns into ``BadInput``;
those for paths raise ``BadInput`` themselves.
"""

import argparse
import math
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NoReturn

from core.errors import BadInput

DATASETS = ("jester", "something", "egogesture", "folder", "list")
SAMPLINGS = ("segments", "windows")  # see core.data.sampling
MAX_BROKEN = 0.1  # of all clips: one in a thousand is life, one in ten is a failed download
MOST_SEED = 2**31 - 1  # seeds are multiplied by primes and must stay below torch's 2**64


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ``BadInput``: one line, no usage dump."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message.replace(chr(10), ' ')}; see {self.prog} --help")


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """An argparse type: a whole number from ``least`` to ``most``."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < least or (most is not None and value > most):
            wanted = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text} is not a whole number {wanted}")
        return value

    return convert


def number(text: str) -> float:
    """An argparse type: a finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):  # false for NaN as well
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 0")
    return value


def positive(text: str) -> float:
    """An argparse type: a finite number above 0."""
    value = number(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def percent(text: str) -> float:
    """An argparse type: a number from 0 to 100, of per cent or of percentage points."""
    value = number(text)
    if value > 100:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 100")
    return value


def check_choice(name: str, value: object, known: Collection[str]) -> None:
    """Refuse, in a call, a value that is none of ``known``."""
    if not isinstance(value, str) or value not in known:
        raise BadInput(f"{name} {value!r} is unknown: give {' or '.join(known)}")


def check_whole(name: str, value: object, least: int) -> None:
    """Refuse, in a call, what is neither ``None`` nor a whole number of at least ``least``."""
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= least
    if value is not None and not fits:
        raise BadInput(f"{name} {value!r} is refused: give a whole number of at least {least}")


def check_number(
    name: str, value: object, most: float = math.inf, zero: bool = True, none: bool = True
) -> None:
    """Refuse, in a call, what is no finite number from 0 to ``most``; ``none`` lets None pass."""
    if value is None and none:
        return
    fits = isinstance(value, int | float) and 0 <= value <= most and value < math.inf
    if not (fits and (zero or value)):
        wanted = "from 0" if zero else "above 0"
        wanted += "" if math.isinf(most) else f" to {most:g}"
        raise BadInput(f"{name} {value!r} is refused: give a number {wanted}")


def check_path(name: str, value: object) -> Path:
    """A path as it was given to a call, refused when it is none."""
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        if isinstance(text, str) and text and "\0" not in text:
            return Path(text)
    raise BadInput(f"{name} {value!r} is no path: give one")


def views(text: str) -> tuple[int, int]:
    """An argparse type: clips and crops of a test, as in 10x3."""
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text} is not CLIPSxCROPS as in 10x3")
    return int(parts[0]), int(parts[1])


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """The options of clips in a folder, which ``core.data.source.source_of`` reads."""
    add = parser.add_argument
    add(
        "--data", type=Path, metavar="DIR",
        help="folder of clips, or a list of them (.csv, .txt); default: rendered gestures",
    )  # fmt: skip
    add(
        "--root", type=Path, metavar="DIR",
        help="where the paths of a list begin; default: where the list lies",
    )  # fmt: skip
    add(
        "--dataset", choices=DATASETS,
        help="layout of --data; default: recognised from its label files",
    )  # fmt: skip
    add(
        "--sampling", choices=SAMPLINGS,
        help="one frame of each of equal segments, or frames in a row; default: as the model was "
        "trained, else segments for a bidirectional model on a data set, else windows",
    )  # fmt: skip
    add(
        "--max-broken", type=percent, metavar="PERCENT",
        help=f"clips that may be missing or broken, default {100 * MAX_BROKEN:g}",
    )  # fmt: skip


def add_rendered_options(parser: argparse.ArgumentParser) -> None:
    """Which rendered clips: people, or hands of capsules, which need no OpenGL."""
    add = parser.add_argument
    add(
        "--capsules", nargs="?", const="default", choices=("easy", "default", "hard"),
        help="render hands of capsules instead of people, to try things out: no OpenGL is needed; "
        "people need the extra 'render' and EGL",
    )  # fmt: skip
    add(
        "--backgrounds", type=Path, metavar="DIR",
        help="panoramas (.exr) and photographs (.jpg, .png) to put behind rendered people",
    )  # fmt: skip


def check_file(option: str, path: Path | None) -> None:
    """Refuse an output file that could not be written at the end; ``None`` is no file."""
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise BadInput(f"{option} {path} cannot be written: give a file in a folder that exists")


def check_folder(option: str, path: Path) -> None:
    """Refuse an output folder that is a file, lies below one or cannot be written to."""
    there = existing(path)
    if not there.is_dir():
        raise BadInput(f"{option} {path} cannot be a folder, {there} is a file: give another path")
    if not os.access(there, os.W_OK):
        raise BadInput(f"{option} {path} is not writable: give a folder of your own")


def existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    return next(p for p in (path, *path.absolute().parents) if p.exists())
