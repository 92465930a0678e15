"""Which frames of a camera are taken: steady rates, jitter, gaps, and the vectors."""

import json
import random

import numpy as np
import pytest
from live_vectors import FOLDER, tick_rows

from mobile_export.live.ticks import EARLY, Tick, Ticks

PERIOD = 0.1


def taken(times: list[float], limit: int = 5) -> tuple[list[float], int]:
    """Times of the frames that were taken, and how many ticks were missed."""
    ticks = Ticks(1 / PERIOD, limit)
    said = [ticks.frame(t) for t in times]
    return [t for t, tick in zip(times, said, strict=True) if tick.take], sum(
        t.missed for t in said
    )


@pytest.mark.parametrize("camera", [10, 12, 15, 20, 24, 25, 29.97, 30, 50, 60, 120])
def test_a_steady_camera_gives_ten_frames_a_second(camera: float) -> None:
    times = [i / camera for i in range(int(60 * camera))]
    found, missed = taken(times)
    assert missed == 0
    assert len(found) in (600, 601)  # a fast camera's last frame is early for the tick at 60 s
    # Never further from its tick than one frame of the camera, never earlier than a quarter.
    late = np.array(found) - PERIOD * np.arange(len(found))
    assert late.min() >= -EARLY * PERIOD - 1e-9
    assert late.max() < 1 / camera


def test_a_slow_camera_misses_ticks() -> None:
    found, missed = taken([i / 5 for i in range(50)])
    assert (len(found), missed) == (50, 49)


def test_jitter_neither_skips_nor_doubles() -> None:
    """Thirty frames a second that come up to 8 ms early or late."""
    draw = random.Random(1)
    found, missed = taken([i / 30 + draw.uniform(-0.008, 0.008) for i in range(1, 3000)])
    assert missed == 0
    assert np.diff(found).min() > 0.05
    assert np.diff(found).max() < 0.15


def test_whoever_is_busy_misses_and_goes_on() -> None:
    ticks = Ticks(10.0, 5)
    assert ticks.frame(0.0) == Tick(take=True)
    assert ticks.frame(0.05) == Tick(take=False)
    assert ticks.frame(0.52) == Tick(take=True, missed=4)
    # The clock stands: the next tick is at 0.6, not a period after the late frame.
    assert ticks.frame(0.6) == Tick(take=True)
    assert ticks.frame(1.2) == Tick(take=True, missed=5, reset=True)
    # After a reset it starts with that frame.
    assert ticks.frame(1.27) == Tick(take=False)
    assert ticks.frame(1.3) == Tick(take=True)


def test_a_clock_that_jumps_back_is_another_recording() -> None:
    ticks = Ticks(10.0, 5)
    for t in (7.0, 7.1, 7.2):
        ticks.frame(t)
    assert ticks.frame(7.2) == Tick(take=False)
    assert ticks.frame(0.0) == Tick(take=True, reset=True)
    assert ticks.frame(0.1) == Tick(take=True)


def test_vectors() -> None:
    for case in json.loads((FOLDER / "ticks.json").read_text())["cases"]:
        assert tick_rows(case) == case["answers"], case["name"]


def test_after_a_pause_the_clock_starts_with_the_next_frame() -> None:
    ticks = Ticks(10.0, 5)
    for seconds in (0.0, 0.1, 0.2):
        ticks.frame(seconds)
    ticks.restart()
    assert ticks.frame(300.0) == Tick(take=True)
    assert ticks.frame(300.05) == Tick(take=False)
    assert ticks.frame(300.1) == Tick(take=True)
