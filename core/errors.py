"""One-line errors: what a user did wrong, why it cannot work, and the way out."""

import errno
import signal
import sys
from collections.abc import Callable

BAD_INPUT = 2  # exit status: a value, file or combination that cannot be used
GATE_FAILED = 3  # exit status: the artifact lost more accuracy than was allowed
# Of a place, wherever a program happens to write when it turns out: full, or read alone.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class BadInput(ValueError):
    """Unusable input; its message is one line with the value, the reason and the way out."""


def one_line(error: BadInput) -> str:
    """Its message: the last line where a DataLoader's worker has wrapped it in a traceback."""
    line = (str(error).strip().splitlines() or [""])[-1]
    return line.removeprefix(f"{BadInput.__module__}.{BadInput.__qualname__}: ")


def run_main(main: Callable[[], int]) -> None:
    """Run a command line's main: ``BadInput`` becomes one line on stderr and exit status 2.

    A request to terminate, or a terminal that is closed, unwinds like an interrupt, so that nothing
    half-written stays behind.
    """
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        # What is ignored stays so: that is how nohup works.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    try:
        sys.exit(main())
    except BadInput as error:
        sys.stderr.write(f"error: {one_line(error)}\n")  # in one piece: workers write there too
        sys.exit(BAD_INPUT)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(
            f"error: {where}{error.strerror}: make room, or give a place that can be written\n"
        )
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        sys.exit(130)
