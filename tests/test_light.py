"""A program that only runs a model does not import what exports one."""

import subprocess
import sys
from pathlib import Path

RUNS = """
import sys
from pathlib import Path
from mobile_export.runtime.executorch import open_pte
from mobile_export.runtime.light import runtime
assert runtime() is runtime()
there = [n for n in ("executorch.exir", "torch._inductor", "sympy.core") if n in sys.modules]
assert not there, there
import executorch.exir
assert executorch.exir.to_edge and executorch.exir._warnings
assert sys.modules["executorch.runtime"] is runtime()
"""


def test_running_leaves_the_exporter_out_and_it_can_be_had_afterwards():
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", RUNS], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
