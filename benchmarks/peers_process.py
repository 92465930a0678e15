"""Processes of benchmarks: started, limited in time, waited for, with their peak memory."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import BadInput

LIMIT = 3600.0  # seconds, of preparing or visiting one contender: a hang would stop all others
PATIENCE = 5.0  # seconds that an interrupted process has to tidy up
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes; getrusage(2) of either system
REASON = 300  # characters


class Failed(BadInput):
    """A contender that cannot be made or run, with the reason in one line."""


@dataclass(frozen=True)
class Done:
    """``answer`` is the last line that a process printed, as JSON, or None; ``peak`` is bytes."""

    answer: object
    peak: int


def run(command: list[str], environment: dict[str, str]) -> Done:
    """Run a command to its end; raises ``Failed`` when that is not success."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdout=output, stderr=errors, env={**os.environ, **environment}
        )
        timer = threading.Timer(LIMIT, process.kill)
        timer.start()
        try:
            peak = waited(process)
        finally:
            timer.cancel()
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise Failed(reason(process.returncode, errors.read()))
        lines = output.read().strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else None
    except ValueError:
        raise Failed(f"no JSON in its last line ({lines[-1][:80]})") from None
    return Done(answer, peak)


def waited(process: subprocess.Popen) -> int:
    """Wait for a process; its peak memory in bytes, or its largest worker's where that is more.

    Interrupted, it leaves nothing running. Linux counts the memory of whoever starts a process as
    the process's own: nothing heavy is imported before, so that those are the few MiB of an
    interpreter.
    """
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        stop(process)
        raise
    process.returncode = os.waitstatus_to_exitcode(status)  # it has been waited for
    return usage.ru_maxrss * RSS_UNIT


def stop(process: subprocess.Popen) -> None:
    """End a process: asked first, so that it leaves nothing half-written."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    process.kill()
    process.wait()


def bench(
    runner: Sequence[str], program: Path | str, warmup: int, calls: int, threads: int,
    pause: int = 0,
) -> list[str]:  # fmt: skip
    """The command by which the native runner times a program, with ``pause`` ms before each call.

    After a first call and ``warmup`` more, ``calls`` are counted.
    """
    counts = [str(warmup), str(calls), "--threads", str(threads), "--pause", str(pause)]
    return [*runner, str(program), "bench", *counts]


def reason(status: int, errors: str) -> str:
    """Why a process failed, in one line: what it said last, after ExecuTorch's first complaint."""
    lines = [line.strip() for line in errors.strip().splitlines() if line.strip()]
    last = lines[-1].removeprefix("error: ") if lines else f"exit status {status}"
    if status < 0:
        last = f"ended by signal {-status}" + (f" after: {last}" if lines else "")
    checks = [line.split("] ", 1)[-1] for line in lines if line.startswith("E 00:")]
    text = f"{checks[0]} ({last})" if checks else last
    return text if len(text) <= REASON else text[: REASON - 3] + "..."
