"""Training on a CPU keeps freed memory: large tensors come from the heap, not from new pages."""

import platform
import subprocess
import sys

import pytest

# Memory that was mapped for one tensor lies far from the heap: /proc/self/maps tells which.
PROGRAM = """
import torch
from core.training.memory import keep_freed
told = keep_freed()
large = torch.zeros(40_000_000)
lines = open("/proc/self/maps").read().splitlines()
heap = next(line for line in lines if line.endswith("[heap]")).split("-")
first, last = int(heap[0], 16), int(heap[1].split()[0], 16)
print(told, first <= large.data_ptr() < last)
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc",
    reason="glibc's setting",
)
def test_large_tensors_come_from_the_heap():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True"], done.stderr
