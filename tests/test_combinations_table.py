"""The benchmark behind docs/targets.md: what it says of failed exports, and what it measures."""

import subprocess
import sys
from pathlib import Path

import combinations as benchmark
import pytest

from core.errors import GATE_FAILED

ROOT = Path(__file__).parents[1]
FILE = ROOT / "benchmarks" / "combinations.py"

LARGE = 200 * 2**20  # bytes


def row(status: int, path: Path, precision: str = "int8", **figures: object) -> dict:
    found = {
        "path": str(path), "clips": 5, "checkpoint_top1": 90.0, "artifact_top1": 80.0, "drop": 10.0,
        "drop_interval": [5.0, 15.0], "agreement": 85.0, "deviation": 0.05, "verdict": "passed",
        "interpreted": True,
    }  # fmt: skip
    results = [] if figures.pop("missing", False) else [found | figures]
    return {
        "target": "vulkan", "form": "stream", "precision": precision, "status": status,
        "seconds": 12, "peak_gib": 1.5, "results": results,
    }  # fmt: skip


def test_table_tells_passed_from_failed(tmp_path: Path) -> None:
    (tmp_path / "model.pte").write_bytes(bytes(2_500_000))
    text = benchmark.table(
        [
            row(0, tmp_path),
            row(GATE_FAILED, tmp_path, deviation=None),
            row(0, tmp_path, "fp16", verdict="not shown", interpreted=False),
            row(2, tmp_path, missing=True),
        ]
    )
    head, marks, passed, failed, fp16, refused = text.splitlines()
    assert len({line.count("|") for line in text.splitlines()}) == 1
    assert head.endswith("| executed | seconds | peak GiB |")
    assert marks.count("---:") == len(benchmark.NUMBERS)
    assert "| passed | 2.50 | 5 | 90.00 | 80.00 | +10.00 (+5.00 to +15.00) | 85.00 |" in passed
    assert passed.endswith("| 5.0e-02 | interpreter | 12 | 1.50 |")
    assert "| failed gate |" in failed
    assert "| not finite |" in failed
    assert "| fp16 | not shown |" in fp16
    assert "| runtime |" in fp16
    assert "| exit status 2 |" in refused


def test_each_process_has_its_own_peak() -> None:
    # In a small process of its own, as the benchmark is: see ``measured``.
    code = f"""
import sys
sys.path.insert(0, {str(FILE.parent)!r})
from combinations import measured
for size in ({LARGE}, 0):
    fill = f"x = bytearray({{size}}); x[::4096] = b'1' * len(x[::4096])"
    print(*measured([sys.executable, "-c", fill]))
print(*measured([sys.executable, "-c", "raise SystemExit(3)"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    large, small, failed = (line.split() for line in done.stdout.splitlines())
    assert (large[0], small[0], failed[0]) == ("0", "0", str(GATE_FAILED))
    assert float(large[1]) > 0
    assert int(large[2]) - int(small[2]) == pytest.approx(LARGE, rel=0.2)


def test_every_precision_has_its_bound() -> None:
    assert set(benchmark.MAX_DROP) == {precision for _, _, precision in benchmark.supported()}


def test_a_failed_combination_fails_the_run(monkeypatch, tmp_path: Path, capsys) -> None:
    found = {"fp32": 0}
    monkeypatch.setattr(benchmark, "supported", lambda: [("vulkan", "stream", p) for p in found])
    monkeypatch.setattr(benchmark, "run", lambda _, __, p, ___: row(found[p], tmp_path, p))
    assert benchmark.main([]) == 0
    found["int8"] = GATE_FAILED
    assert benchmark.main([]) == GATE_FAILED
    assert "failed gate" in capsys.readouterr().out
