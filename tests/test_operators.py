"""The sums and the table of benchmarks/operators.py, and one real profile."""

import shutil
import subprocess
import sys
from pathlib import Path

import operators
import pytest
import torch
from short_models import short_program
from torch import Tensor, nn

from mobile_export.graph.forms import PLANES_ORDER, input_ports
from mobile_export.targets.delegation import lower_whole

ROOT = Path(__file__).parents[1]
LINES = [
    "Add (ND)\t1400 9000 1500 ",
    "Convolution (NHWC, QC8) IGEMM\t2000 2000 2000 ",
    "Add (ND)\t500 400 600 ",
]


def test_operators_are_summed_by_kind_and_shown_side_by_side():
    found = operators.by_kind(LINES)
    assert found == {"Add (ND)": (2.0, 2), "Convolution (NHWC, QC8) IGEMM": (2.0, 1)}
    lines = operators.table({"a": found, "b": {"Add (ND)": (1.0, 1)}}).splitlines()
    assert lines[-1] == "| all | 4.0 (3) | 1.0 (1) |"
    assert "| Convolution (NHWC, QC8) IGEMM | 2.0 (1) | 0.0 (0) |" in lines


needs_compilers = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("gcc") or not shutil.which("g++"),
    reason="needs Linux, gcc and g++",
)


@pytest.mark.slow
@needs_compilers
def test_a_program_is_profiled(tmp_path):
    model, lowered = short_program("shift")
    command = [sys.executable, str(ROOT / "benchmarks" / "operators.py"), "--calls", "3"]
    done = subprocess.run([*command, str(lowered.artifact)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "DWConv" in done.stdout
    # Maps are channels-last: transposed to be shifted in planes, and not for their convolutions.
    (transposes,) = (line for line in done.stdout.splitlines() if "Transpose (ND, X8)" in line)
    states = input_ports(model, "stream", "xnnpack")[1:]
    in_planes = [state for state in states if state.dim_order == PLANES_ORDER]
    # The map there and back, and the states, where one of the two axes has one value.
    assert transposes.endswith(f" ({5 * len(in_planes)}) |")
    done = subprocess.run([*command, str(tmp_path / "none.pte")], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


class Parted(nn.Module):
    """Two convolutions, and what XNNPACK does not take between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.flip(self.first(x), (3,)))


@pytest.mark.slow
@needs_compilers
def test_a_program_of_two_delegates_is_refused(tmp_path):
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    program = torch.export.export(Parted().eval(), (torch.zeros(1, 3, 16, 16),))
    path, details = lower_whole(program, XnnpackPartitioner(), tmp_path, allow_partial=True)
    assert details["delegate_calls"] == 2
    command = [sys.executable, str(ROOT / "benchmarks" / "operators.py"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "more than one XNNPACK delegate" in done.stderr
