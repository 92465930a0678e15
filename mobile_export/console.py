"""What the export commands print: one line a step, one line an error, nothing of third parties."""

import argparse
import contextlib
import io
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from core.errors import BadInput
from mobile_export.errors import LoweringError


class Steps:
    """Prints a line a step, with the seconds since the start in front."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def __call__(self, step: str, text: str) -> None:
        print(f"{time.perf_counter() - self.start:7.1f} s  {step:<9} {text}", flush=True)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back warnings, log lines below errors and prints of the libraries called inside.

    What they printed is shown after all when the block fails with anything but an error of one
    line, ``BadInput`` or ``LoweringError``.
    """
    held = io.StringIO()
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(held),
            contextlib.redirect_stderr(held),
        ):
            warnings.simplefilter("ignore")
            yield
    except (BadInput, LoweringError):
        raise
    except Exception:
        sys.stderr.write(held.getvalue())
        raise
    finally:
        logging.disable(before)


def points(text: str) -> float:
    """An argparse type: percentage points, 0 to 100."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:  # false for NaN as well
        raise argparse.ArgumentTypeError(f"{text} is not a number of points from 0 to 100")
    return value


def check_json_path(path: Path | None) -> None:
    """Refuse, before any work, a report that could not be written at the end.

    Opening it is the only question that every file system answers truly; nothing is changed.
    """
    if path is None:
        return
    try:
        new = not path.exists() and not path.is_symlink()
        if new or not path.is_fifo():  # closing a pipe would tell its reader that this was all
            path.open("a").close()
        if new:
            path.unlink()
    except OSError as error:
        raise BadInput(
            f"--json {path} cannot be written ({error.strerror}): give a file in a folder that "
            "exists"
        ) from None
