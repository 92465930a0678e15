"""C code that is put into the native runner or its emulator, and the file that it reports to."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from core.errors import BadInput


def library(source: Path, folder: Path, *options: str) -> Path:
    """The shared library of a C source, in ``folder``.

    Raises ``BadInput`` without a compiler, and where it refuses the source.
    """
    if shutil.which("gcc") is None:
        raise BadInput(f"{source.name} has to be compiled, and gcc is missing: apt-get install gcc")
    made = folder / source.with_suffix(".so").name
    command = ["gcc", "-shared", "-fPIC", "-O2", *options, str(source), "-o", str(made), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or ["no reason"]
        raise BadInput(
            f"gcc cannot compile {source.name} ({lines[0][:200]}): install what it includes"
        )
    return made


def report(command: list[str], variable: str, environment: dict[str, str]) -> tuple[str, str]:
    """Run ``command``: what it wrote to the file that ``variable`` names, and why it wrote nothing.

    The reason is its last line on standard error, empty where there is none.
    """
    with tempfile.NamedTemporaryFile("r", suffix=".txt") as file:
        done = subprocess.run(
            command,
            env=os.environ | environment | {variable: file.name},
            capture_output=True,
            text=True,
        )
        written = file.read()
    if done.returncode == 0 and written.strip():
        return written, ""
    return "", (done.stderr.strip().splitlines() or [""])[-1]
