"""The figures of a latency report, each against another way to get them."""

import itertools
import json

import numpy as np
import pytest

from core.errors import BadInput
from mobile_export.latency import device, measure, paths, process, table, trace
from mobile_export.latency.stats import nearest_rank, summary

ROUNDING = 1e-4  # milliseconds are written with four decimals


@pytest.mark.parametrize("count", [1, 2, 3, 10, 99, 100, 101, 1000])
def test_a_summary_is_what_numpy_says(count: int) -> None:
    values = np.random.default_rng(count).gamma(2.0, 3.0, count)
    found = summary(values.tolist())
    assert found.pop("count") == count
    expected = {
        "min": values.min(),
        "mean": values.mean(),
        "std": values.std(),
        **{f"p{p}": np.percentile(values, p, method="inverted_cdf") for p in (50, 90, 99)},
    }
    assert found == pytest.approx(expected, abs=ROUNDING)


def test_a_percentile_is_one_of_the_values() -> None:
    values = sorted(np.random.default_rng(0).random(37).tolist())
    for percent in range(1, 101):
        expected = np.percentile(values, percent, method="inverted_cdf")
        assert nearest_rank(values, percent) == expected
    assert nearest_rank([1.0, 2.0], 50) == 1.0  # nothing between the two


def test_no_times_are_no_summary() -> None:
    with pytest.raises(ValueError, match="no times"):
        summary([])


def test_a_long_run_has_a_point_a_second() -> None:
    steps = [0.3] * 7 + [2.5] + [0.3] * 20  # one call takes longer than an interval
    clock = itertools.accumulate([0.0, *steps])
    calls = (paths.Cost(0.0, 1e3 * step, 0.0) for step in steps)
    told = []
    found = measure.sustain(calls, 6.0, lambda *done: told.append(done), lambda: next(clock))
    assert [point["calls"] for point in found["points"]] == [4, 4, 4, 1]
    assert [point["at_s"] for point in found["points"]] == [1.2, 4.6, 5.8, 6.1]
    assert [point["p50_ms"] for point in found["points"]] == [300.0, 300.0, 300.0, 300.0]
    assert [point["p99_ms"] for point in found["points"]] == [300.0, 2500.0, 300.0, 300.0]
    assert found["calls"] == sum(point["calls"] for point in found["points"]) == 13
    assert found["seconds"] == 6.1
    assert told[-1] == (6.0, 6.0, "s")


@pytest.mark.parametrize(
    ("mean_ms", "said"),
    [
        (165.0, "6.0 frames a second, 0.60 times the model's 10"),
        (100.0, "10.0 frames a second, 1.00 times the model's 10"),
        (100.01, "9.9 frames a second, 0.99 times the model's 10"),
        (0.0, "too fast to tell"),
    ],
)
def test_a_speed_is_never_rounded_up(mean_ms: float, said: str) -> None:
    assert table.throughput({"frames_a_call": 1, "frame_rate": 10.0}, mean_ms) == said


def points(*entries: tuple[float, int, float]) -> list[dict]:
    return [dict(zip(("at_s", "calls", "p50_ms"), entry, strict=True)) for entry in entries]


def test_the_last_second_of_a_long_run_is_a_whole_one() -> None:
    cut = {"seconds": 2.1, "calls": 21, "points": points((1, 10, 5.0), (2, 10, 6.0), (2.1, 1, 9.0))}
    ((label, text),) = table.sustained_rows(cut)
    assert label == "2 s without pause"
    assert text == "21 calls, p50 5.000 ms in the first second, 6.000 ms in the last whole one"
    # A device that has become four times as slow has few calls in a whole second.
    slow = points((1, 100, 10.0), (2, 25, 40.0))
    assert table.last_whole(slow) is slow[-1]
    alone = {"seconds": 0.2, "calls": 4, "points": points((0.2, 4, 50.0))}
    assert table.sustained_rows(alone)[0][1] == "4 calls, p50 50.000 ms in the first second"


def test_progress_is_shown_and_the_last_message_is_the_answer() -> None:
    progress = [(1, 3, "calls"), (3, 3, "calls"), (1.5, 4.0, "s"), (4.0, 4.0, "s")]
    lines = [json.dumps({"done": d, "of": of, "unit": unit}) for d, of, unit in progress]
    assert process.listen([*lines, '{"answer": 7}'], "two threads") == {"answer": 7}
    assert process.listen([], "nothing") == {}


def test_logs_are_no_reason_for_a_death() -> None:
    log = "W1125 09:38:31.9 torch/utils: odd\n[threadpool.cpp:66] Resetting\n"
    assert "ended by signal 11: " in process.death("one thread", -11, log)
    trace = 'Traceback:\n  File "x", line 1\nMemoryError: none left\n' + log
    assert "ended with status 1 (MemoryError: none left): " in process.death("it", 1, trace)


def call(scale: int) -> list[trace.Span]:
    return [
        ("Convolution (NHWC, QC8) DWConv #1", 3000 * scale),
        ("Convolution (NHWC, QC8) DWConv #2", 4000 * scale),
        ("Add (ND) #1", 0),
        ("DELEGATE_CALL", 9000 * scale),
        ("native_call_cumsum.out", 20_000 * scale),
        ("OPERATOR_CALL", 21_000 * scale),
        ("Method::execute", 50_000 * scale),
    ]


def test_operators_are_summed_by_kind_and_medians_over_calls() -> None:
    found = trace.figures([call(1), call(100), call(2)])
    assert found["operators"] == [
        {"name": "cumsum.out", "calls": 1, "ms": 0.04},
        {"name": "Convolution (NHWC, QC8) DWConv", "calls": 2, "ms": 0.014},
        {"name": "Add (ND)", "calls": 1, "ms": 0.0},
    ]
    assert (found["delegated"], found["call_ms"]) == (3, 0.1)
    note = trace.note(found, 0.08)
    assert note.startswith("Sum 0.054 ms of 4 operators.")
    assert "up to 0.003 ms more" in note
    with pytest.raises(BadInput, match="no operators"):
        trace.figures([[("Method::execute", 5)]])


def test_pictures_become_whole_clips() -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1) * np.ones((1, 2, 2, 3), np.uint8)
    frames = [clip[:, 0, 0, 0].tolist() for clip in paths.in_clips(pixels, 3)]
    assert frames == [[0, 1, 2], [3, 4, 5]]
    (clip,) = paths.in_clips(pixels, 8)
    assert clip[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    assert (clip[:, 1, 1, 2] == clip[:, 0, 0, 0]).all()


def put(root, **files: str) -> None:
    for name, text in files.items():
        file = root / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_what_the_system_tells_is_read(tmp_path) -> None:
    sys = "sys__class__"
    put(
        tmp_path,
        **{
            f"{sys}thermal__thermal_zone0__temp": "41500\n",
            f"{sys}thermal__thermal_zone1__temp": "-274000\n",
            f"{sys}thermal__thermal_zone2__temp": "none\n",
            "sys__devices__system__cpu__cpu0__cpufreq__scaling_governor": "schedutil\n",
            "sys__devices__system__cpu__cpu1__cpufreq__scaling_governor": "schedutil\n",
            f"{sys}power_supply__A__type": "Battery\n",
            f"{sys}power_supply__A__scope": "Device\n",
            f"{sys}power_supply__B__type": "Battery\n",
            f"{sys}power_supply__B__capacity": "73\n",
            f"{sys}power_supply__B__status": "Discharging\n",
            "proc__self__status": "Name:\tx\nVmHWM:\t  300 kB\nVmRSS:\t  200 kB\n",
        },
    )
    assert device.thermal(tmp_path) == {"status": "unknown", "celsius": 41.5}
    assert device.power_mode(tmp_path) == "schedutil"
    assert device.battery(tmp_path) == {"level": 0.73, "charging": False}
    assert device.memory(tmp_path) == (200 * 1024, 300 * 1024)


def test_what_the_system_does_not_tell_is_unknown(tmp_path) -> None:
    assert device.thermal(tmp_path) == {"status": "unknown", "celsius": None}
    assert device.power_mode(tmp_path) is None
    assert device.battery(tmp_path) is None
    facts = device.facts(tmp_path)
    assert facts["model"]
    assert facts["cores"] >= device.physical_cores() >= 1


def test_a_board_without_a_name_has_none(tmp_path) -> None:
    folder = "sys__devices__virtual__dmi__id__"
    put(tmp_path, **{f"{folder}product_name": "System Product Name", f"{folder}sys_vendor": "A"})
    assert "System Product" not in device.facts(tmp_path)["model"]
    put(
        tmp_path, **{f"{folder}product_name": "Laptop 7\n", "proc__cpuinfo": "model name\t: Fast\n"}
    )
    if device.sys.platform != "darwin":
        facts = device.facts(tmp_path)
        assert (facts["model"], facts["soc"]) == ("A Laptop 7", "Fast")
