"""The table of benchmarks/kernels.py, and one real run of it."""

import json
import platform
import shutil
from pathlib import Path

import kernels
import pytest
from short_models import short_program

from core.errors import BadInput


def row(name: str, threads: int, program: str, ms: float, ratio: float) -> dict:
    return {
        "kernels": name, "threads": threads, "program": program, "median_ms": ms,
        "of_first": ratio,
    }  # fmt: skip


def test_programs_stand_side_by_side():
    rows = [row("all", 1, "a", 2.0, 1.0), row("all", 1, "b", 2.5, 1.25)]
    lines = kernels.table([*rows, row("all", 2, "a", 1.0, 1.0), row("all", 2, "b", 1.5, 1.5)])
    assert lines.splitlines() == [
        "| kernels | threads | a | b |",
        "| --- | ---: | ---: | ---: |",
        "| all | 1 | 2.000 (1.000) | 2.500 (1.250) |",
        "| all | 2 | 1.000 (1.000) | 1.500 (1.500) |",
    ]


def test_elsewhere_it_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(BadInput, match=r"arm64 has no AVX2: run it on Linux on x86-64"):
        kernels.measure([Path("model.pte")], [1], 1, 1)


@pytest.mark.slow
@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64")
    or not shutil.which("gcc")
    or not shutil.which("g++"),
    reason="needs Linux on x86-64, gcc and g++",
)
def test_a_program_runs_by_all_kernels(tmp_path, capsys):
    _, lowered = short_program()
    file = tmp_path / "kernels.json"
    words = ["--rounds", "2", "--calls", "3", "--threads", "1", "--json", str(file)]
    assert kernels.main([str(lowered.artifact), *words]) == 0
    rows = json.loads(file.read_text())
    assert [found["kernels"] for found in rows] == ["all", "without VNNI", "AVX2 alone"]
    printed = capsys.readouterr().out
    for found in rows:
        assert (found["calls"], found["of_first"]) == (6, 1.0)
        assert f"| {found['kernels']} | 1 | {found['median_ms']:.3f} (1.000) |" in printed
    with pytest.raises(BadInput, match=r"none\.pte"):
        kernels.main([str(tmp_path / "none.pte"), *words])
