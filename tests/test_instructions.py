"""The table of benchmarks/instructions.py, and one real count."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import instructions
import pytest
from short_models import arm_command, short_program

from mobile_export.runtime.native.build import CORES

ROOT = Path(__file__).parents[1]
TOOLS = ("gcc", "aarch64-linux-gnu-g++", "qemu-aarch64-static", "qemu-aarch64")


def test_counts_are_shown_beside_the_first_programs():
    lines = instructions.table({"a": {"x": 2_000_000}, "b": {"x": 2_500_000}}).splitlines()
    assert lines[0] == "| million instructions a call | x |"
    assert lines[-1] == "| b | 2.50 (1.250) |"


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or not all(map(shutil.which, TOOLS)),
    reason="needs Debian's cross compiler and emulator",
)
def test_a_programs_instructions_are_counted(tmp_path):
    arm_command(CORES[0])
    programs = [str(short_program(temporal)[1].artifact) for temporal in ("none", "shift")]
    command = [sys.executable, str(ROOT / "benchmarks" / "instructions.py"), "--calls", "2"]
    file = tmp_path / "counts.json"
    done = subprocess.run([*command, *programs, "--json", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts = json.loads(file.read_text())
    assert list(counts) == programs
    for core in CORES:
        still, shifted = (counts[name][core] for name in programs)
        assert 0 < still < shifted  # the shift takes some
    bad = [*command, str(tmp_path / "none.pte")]
    done = subprocess.run(bad, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
