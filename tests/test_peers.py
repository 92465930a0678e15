"""The side-by-side benchmark: what it says of its rows, its order of visits, and failures."""

import json
import sys
from pathlib import Path

import peers
import peers_contenders as contenders
import peers_process as process
import peers_report as report
import pytest
import torch
from helpers import make_model
from torch.utils.flop_counter import FlopCounterMode

from core.errors import BadInput


def row(model: str, form: str, precision: str, runtime: str, ms: float | None, threads=1) -> dict:
    one = contenders.Contender(model, form, precision, runtime, threads)
    if ms is None:
        return peers.failed(one, "it has no kernel")
    sample = {"load_ms": 3.0, "first_ms": 2 * ms, "ms": [ms, ms / 2, 4 * ms], "peak": 40 * 2**20}
    return peers.row(one, {"artifact_bytes": 2_500_000, "state_bytes": 2048}, [sample])


ROWS = [
    row("action", "stream", "int8", "executorch", 1.08),
    row("tsm", "stream", "int8", "executorch", 1.0),
    row("tsn", "stream", "int8", "executorch", 0.8),
    row("action", "clip", "fp32", "executorch", 13.0),
    row("tsm", "clip", "fp32", "executorch", 13.0),
    row("action", "stream", "fp32", "onnxruntime", 3.0),
    row("action", "stream", "fp32", "executorch", 3.0),
    row("action", "stream", "int8", "onnxruntime", None),
    row("tsm", "clip", "fp32", "naive", 90.0, threads=2),
]


def test_bars_hold_ratios_of_medians_to_their_limits() -> None:
    found = report.bars(ROWS)
    one, two = found[: len(report.BARS)], found[len(report.BARS) :]
    assert [bar.passed for bar in one] == [True, False, True, True, False, None]
    expected = [1.08, 1.35, 1.0, 13 / 1.08, 1.0]  # equal times are not faster
    assert [bar.ratio for bar in one[:5]] == pytest.approx(expected)
    assert {bar.threads for bar in two} == {2}
    assert all(bar.passed is None for bar in two)
    lines = report.bar_lines(one)
    assert lines[0] == "pass: ACTION / TSM, int8 stream <= 1.08, threads 1: 1.080"
    assert lines[1].startswith("FAIL: ACTION / TSN, int8 stream <= 1.25, threads 1: 1.350")
    assert lines[5].startswith("not measured: ONNX Runtime / ExecuTorch")


def test_a_row_has_the_figures_of_all_its_visits() -> None:
    one = contenders.Contender("tsm", "clip", "fp32", "eager", 2)
    visit = {"load_ms": 1.0, "first_ms": 9.0, "ms": [1.0, 2.0, 3.0, 4.0, 5.0], "peak": 2**20}
    again = visit | {"load_ms": 3.0, "ms": [6.0, 7.0, 8.0, 9.0, 100.0], "peak": 2**21}
    found = peers.row(one, {"file": "x", "artifact_bytes": 7, "state_bytes": 0}, [visit, again])
    assert found == {
        "model": "tsm", "form": "clip", "precision": "fp32", "runtime": "eager", "threads": 2,
        "median_ms": 5.5, "min_ms": 1.0, "p90_ms": 9.0, "iterations": 10,
        "round_medians_ms": [3.0, 8.0], "load_ms": 2.0, "first_ms": 9.0, "peak_rss_mib": 2.0,
        "artifact_bytes": 7, "state_bytes": 0,
    }  # fmt: skip


def test_table_is_sorted_and_names_what_did_not_run() -> None:
    lines = report.table(ROWS).splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")][2:]
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert [r[0] for r in rows] == ["| stream"] * 6 + ["| clip"] * 3
    assert [r[4] for r in rows[:3]] == ["tsn", "tsm", "action"]
    assert [r[1] for r in rows[-3:]] == ["1", "1", "2"]
    action = rows[2]
    assert action[5:10] == ["1.080", "0.540", "4.320", "1.080", "1.350"]
    assert action[11:] == ["3.0", "2.2", "40", "2.50", "2 |"]
    missing = next(r for r in rows if r[2:5] == ["onnxruntime", "int8", "action"])
    assert set(missing[5:]) == {"-", "- |"}
    assert lines[-1] == "- action stream int8 onnxruntime: it has no kernel"


def test_bound_is_the_slower_of_arithmetic_and_traffic() -> None:
    known = ROWS[0] | {"macs": 200_000_000, "moved_bytes": 8_000_000}
    # 10^9 multiply-adds in 4 ms, and 16 * 10^6 bytes a ms
    found = report.bounded(known, 4.0, 10**9, 16e6)
    assert (found["arithmetic_ms"], found["traffic_ms"]) == pytest.approx((0.8, 0.5))
    assert found["of_bound"] == pytest.approx(1.08 / 0.8)
    assert found["gmacs_per_s"] == pytest.approx(250)
    assert report.bounded(known, None, 0, 16e6) == known  # without its probe
    text = "\n".join(report.bound_lines([found]))
    assert "250 G multiply-adds/s" in text
    assert "at least 0.800 ms (arithmetic), measured 1.35 times that" in text


def test_every_round_visits_everyone_once_and_begins_elsewhere() -> None:
    every = contenders.plan([1, 2], None)
    rounds = 4
    orders = [[] for _ in range(rounds)]
    for turn, contender in contenders.visits(every, rounds):
        orders[turn].append(contender)
    assert all(sorted(o, key=str) == sorted(every, key=str) for o in orders)
    places = [order.index(every[0]) for order in orders]
    assert len(set(places)) == rounds
    assert max(places) - min(places) > len(every) // 2


def test_plan_takes_a_pattern_and_adds_the_probes() -> None:
    chosen = contenders.plan([1], "action-stream-int8-(executorch|onnx)")
    assert [c.name for c in chosen] == [
        "action-stream-int8-executorch-1t",
        "action-stream-int8-onnxruntime-1t",
        "products-probe-int8-executorch-1t",
        "copy-probe-bytes-numpy-1t",
    ]
    assert not any(c.is_probe for c in contenders.plan([2], "eager"))
    with pytest.raises(BadInput, match=r"--only 'coreml' matches none of"):
        contenders.plan([1], "coreml")
    with pytest.raises(BadInput, match=r"is no regular expression"):
        contenders.plan([1], "(")


class FakeBench:
    """Two contenders' worth of failures: one cannot be made, one stops in its second visit."""

    def __init__(self, rounds: int) -> None:
        self.args = type("Args", (), {"rounds": rounds})
        self.kept: list[list[dict]] = []
        self.visited: list[str] = []

    def prepare(self, contender: object) -> dict:
        if contender.model == "tsn":
            raise process.Failed("no such operator")
        return {"artifact_bytes": 1, "state_bytes": 0}

    def visit(self, contender: object, meta: dict) -> dict:
        self.visited.append(contender.model)
        if contender.model == "tsm" and self.visited.count("tsm") == 2:
            raise FileNotFoundError("runner is gone")
        return {"load_ms": 1.0, "first_ms": 1.0, "ms": [1.0], "peak": 2**20}

    def keep(self, rows: list[dict]) -> None:
        self.kept.append(rows)


def test_a_failing_contender_is_a_row_and_the_others_go_on() -> None:
    bench = FakeBench(rounds=3)
    rows = peers.measure(bench, contenders.plan([1], "stream-fp32-eager"))
    assert bench.kept[-1] == rows
    assert len(bench.kept) == 3
    by_model = {r["model"]: r for r in rows}
    assert (by_model["tsn"]["median_ms"], by_model["tsn"]["reason"]) == (None, "no such operator")
    assert (by_model["tsm"]["median_ms"], by_model["tsm"]["reason"]) == (None, "runner is gone")
    assert by_model["action"]["iterations"] == 3
    assert bench.visited.count("tsm") == 2
    assert "tsn" not in bench.visited


def test_a_process_gives_its_last_line_or_one_reason() -> None:
    python = [sys.executable, "-c"]
    done = process.run([*python, "import os; print('noise'); print(os.environ['X'])"], {"X": "[1]"})
    assert done.answer == [1]
    assert done.peak > 2**20
    for code, match in (
        ("raise ValueError('it cannot')", r"^ValueError: it cannot$"),
        ("import os; os.kill(os.getpid(), 9)", r"^ended by signal 9$"),
        ("raise SystemExit(4)", r"^exit status 4$"),
        ("print('words')", r"^no JSON in its last line \(words\)$"),
    ):
        with pytest.raises(process.Failed, match=match):
            process.run([*python, code], {})
    said = "E 00:00:00.1 executorch:x.cpp:3] Check failed: 5-D.\nE 00: y] more\nerror: execution"
    assert process.reason(2, said) == "Check failed: 5-D. (execution)"


def test_multiply_adds_are_those_that_torch_counts() -> None:
    import peers_limits as limits  # executorch's packages, for this test alone

    model = make_model(temporal="none", size=32, frames=2)
    for form, shape in (("stream", (1, 1, 3, 32, 32)), ("clip", (1, 2, 3, 32, 32))):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.backbone(torch.zeros(shape)[0], shape[1])
        expected = counter.get_total_flops() // 2 + model.classifier.weight.numel()
        assert limits.count(model, form, "fp32")["macs"] == expected
    bytes_moved = [limits.count(model, "stream", p)["moved_bytes"] for p in ("fp32", "int8")]
    assert bytes_moved[0] == 4 * bytes_moved[1]  # TSN has no state


def test_command_line_errors_are_one_line(tmp_path: Path) -> None:
    for words, match in (
        (["--json", str(tmp_path / "no" / "x.json")], r"--json .* cannot be written"),
        (["--json", str(tmp_path / "x.json"), "--threads", "1,none"], r"none is not a whole"),
        (["--json", str(tmp_path / "x.json"), "--only", "nothing"], r"matches none of"),
    ):
        with pytest.raises(BadInput, match=match):
            peers.main(words)


def test_the_chart_is_drawn_from_any_rows(tmp_path: Path) -> None:
    report.plot(ROWS, tmp_path / "all.png")
    report.plot([row("tsn", "clip", "fp32", "naive", None)], tmp_path / "none.png")
    report.plot(ROWS, tmp_path / "x.txt")  # after hours of a run: a PNG under any name
    assert (tmp_path / "x.txt").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "all.png").stat().st_size > (tmp_path / "none.png").stat().st_size > 0


@pytest.mark.slow
def test_from_models_to_table(tmp_path: Path, capsys) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    file = tmp_path / "peers.json"
    words = ["--size", "32", "--frames", "2", "--threads", "1", "--rounds", "2"]
    words += ["--iterations", "3", "--pause", "1"]
    words += ["--only", "tsm-stream-.*(executorch|onnxruntime|eager)"]
    work = ["--work", str(tmp_path)]
    assert peers.main(["--json", str(file), "--plot", str(tmp_path / "x.png"), *words, *work]) == 0
    rows = json.loads(file.read_text())
    assert [(r["runtime"], r["precision"]) for r in rows] == [
        ("executorch", "int8"),
        ("executorch", "fp32"),
        ("onnxruntime", "int8"),
        ("onnxruntime", "fp32"),
        ("eager", "fp32"),
    ]
    for found in rows:
        assert (found["iterations"], found["pause_ms"]) == (6, 1), found
        assert 0 < found["min_ms"] <= found["median_ms"] <= found["p90_ms"]
        assert found["peak_rss_mib"] > 5
        assert found["artifact_bytes"] > 2**20
        assert found["state_bytes"] > 0
        assert ("bound_ms" in found) == (found["runtime"] == "executorch")
    assert rows[2]["recipe"] in rows[2]["recipes_ms"]
    assert "| stream | 1 | onnxruntime | int8 | tsm |" in capsys.readouterr().out
    made = sorted(tmp_path.rglob("meta.json"))
    times = [path.stat().st_mtime_ns for path in made]
    peers.main(["--json", str(file), *words, *work])
    assert [path.stat().st_mtime_ns for path in made] == times  # nothing is exported twice
