"""The process that measures: ``python -m mobile_export.latency.worker``, started by ``process``.

Takes a request as JSON on stdin and writes messages as lines of JSON to stdout: ``done``, ``of``
and ``unit`` while it works, ``answer`` or ``error`` at the end. What libraries print, native code
among them, goes to stderr.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import TextIO

from core.errors import BadInput, one_line


def main() -> None:
    """Entry point."""
    channel = claim_stdout()

    def send(**message: object) -> None:
        print(json.dumps(message), file=channel, flush=True)

    request = json.load(sys.stdin)
    try:
        send(answer=work(request, lambda done, of, unit: send(done=done, of=of, unit=unit)))
    except BadInput as error:
        send(error=one_line(error))


def work(request: dict, tell: Callable[[float, float, str], None]) -> dict:
    """Do what the request's ``job`` says."""
    if request["job"] == "trace":
        from mobile_export.latency.trace import trace

        return trace(request)
    from mobile_export.latency.measure import measure

    return measure(request, tell)


def claim_stdout() -> TextIO:
    """Stdout as it was; from now on everything else that writes there writes to stderr."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


if __name__ == "__main__":
    main()
