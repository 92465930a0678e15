"""One-line errors: what a user did wrong, why it cannot work, and the way out."""

import signal
import sys
from collections.abc import Callable

BAD_INPUT = 2  # exit status: a value, file or combination that cannot be used
GATE_FAILED = 3  # exit status: the artifact lost more accuracy than was allowed


class BadInput(ValueError):
    """Unusable input; its message is one line with the value, the reason and the way out."""


def one_line(error: BadInput) -> str:
    """Its message: the last line where a DataLoader's worker has wrapped it in a traceback."""
    line = (str(error).strip().splitlines() or [""])[-1]
    return line.removeprefix(f"{BadInput.__module__}.{BadInput.__qualname__}: ")


def run_main(main: Callable[[], int]) -> None:
    """Run a command line's main: ``BadInput`` becomes one line on stderr and exit status 2.

    A request to terminate unwinds like an interrupt, so that nothing half-written stays behind.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        sys.exit(main())
    except BadInput as error:
        sys.stderr.write(f"error: {one_line(error)}\n")  # in one piece: workers write there too
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        sys.exit(130)
