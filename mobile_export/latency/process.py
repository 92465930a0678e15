"""The parent of the processes that measure: one request each, one answer, one line of an error."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

import mobile_export
from core.errors import BadInput

WORKER = [sys.executable, "-m", "mobile_export.latency.worker"]
REASON = 200  # characters of what a process said last
# Log lines of ExecuTorch, "[threadpool.cpp:66] ...", and torch, "W1125 09:38:31 ...", and whatever
# is indented, as a traceback's frames are.
NO_REASON = re.compile(r"\[|\s|[IW]\d{4} ")


def ask(request: dict, label: str) -> dict:
    """Start a worker, show how far it is, and return its answer.

    ``label`` says in words what it does. Raises ``BadInput`` with the worker's own reason, or with
    how the process ended when it gave none. Nothing is left running, whatever happens.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(
            WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            encoding="utf-8", env=environment(),
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError), process.stdin:
                json.dump(request, process.stdin)
            last = listen(process.stdout, label)
            process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        if "answer" in last:
            return last["answer"]
        if "error" in last:
            raise BadInput(last["error"])
        errors.seek(0)
        raise BadInput(death(label, process.returncode, errors.read()))


def environment() -> dict[str, str]:
    """This process's, in which the worker finds the same package that runs here."""
    root = str(Path(mobile_export.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def listen(lines: Iterable[str], label: str) -> dict:
    """Show the worker's progress until it ends; its last message, empty when there was none."""
    message: dict = {}
    bar, unit = None, ""
    try:
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:  # half a line: the worker was killed while it wrote
                message = {}
                continue
            if "done" not in message:
                continue
            if message["unit"] != unit:  # the counted calls, then the seconds of a long run
                if bar is not None:
                    bar.close()
                unit = message["unit"]
                bar = tqdm(
                    total=message["of"], desc=label, leave=False, disable=None,
                    bar_format=f"{{desc}}: {{percentage:3.0f}}% |{{bar}}| {{n:.0f}} {unit}",
                )  # fmt: skip
            assert bar is not None, "a unit comes with the first message"
            bar.update(message["done"] - bar.n)
    finally:
        if bar is not None:
            bar.close()
    return message


def death(label: str, status: int, errors: str) -> str:
    """The line for a process that ended without an answer."""
    how = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
    said = [line for line in errors.splitlines() if line and not NO_REASON.match(line)]
    reason = f" ({said[-1][:REASON]})" if said else ""
    return (
        f"the process for {label} {how}{reason}: check that there is memory enough, repeat the "
        "proof with python -m mobile_export.verify, or export the bundle again"
    )
