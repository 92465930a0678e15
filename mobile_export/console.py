"""What is printed: one line a step, one line an error, nothing of third parties.

A function of the API prints nothing unless it is given a ``Reporter``; the commands give ``Steps``.
"""

import contextlib
import io
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

from tqdm import tqdm

from core.errors import BadInput
from mobile_export.errors import LoweringError

Reporter = Callable[[str, str], None]  # is told a step's name and what it does, in words

_BARS: ContextVar[bool] = ContextVar("bars", default=True)


class Steps:
    """Prints a line a step, with the seconds since the start in front."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def __call__(self, step: str, text: str) -> None:
        print(f"{time.perf_counter() - self.start:7.1f} s  {step:<9} {text}", flush=True)


def silent(step: str, text: str) -> None:
    """A reporter that says nothing."""


@contextlib.contextmanager
def reporting(reporter: Reporter | None) -> Iterator[Reporter]:
    """The reporter to tell of steps inside; without one there are no progress bars either."""
    token = _BARS.set(reporter is not None)
    try:
        yield reporter or silent
    finally:
        _BARS.reset(token)


def progress(total: float, unit: str, **more: object) -> tqdm:
    """A bar on a terminal that goes when it is done; none elsewhere and without a reporter."""
    hidden = None if _BARS.get() else True  # None: shown on a terminal alone
    return tqdm(total=total, unit=unit, leave=False, disable=hidden, **more)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back warnings, log lines below errors and prints of the libraries called inside.

    What they printed becomes a note of the error when the block fails with anything but an error
    of one line, ``BadInput`` or ``LoweringError``: a traceback shows it.
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
    except Exception as error:
        if held.getvalue():
            error.add_note(held.getvalue())
        raise
    finally:
        logging.disable(before)


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
