"""One run: load, first inference, warm-up, counted calls and a long run, with memory and heat."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from core.errors import BadInput
from mobile_export.latency import device, paths
from mobile_export.latency.paths import Cost
from mobile_export.latency.stats import nearest_rank, rounded, summary

INTERVAL = 1.0  # seconds of a long run that a point is made of
Tell = Callable[[float, float, str], None]  # so much done, of so much, in this unit


def use_threads(count: int) -> None:
    """Let ExecuTorch and torch compute on ``count`` threads.

    A program keeps the pool of threads that was there when it was loaded, and crashes when that is
    replaced: this comes first. Raises ``BadInput`` when the runtime does not follow.
    """
    import torch

    from mobile_export.runtime.light import portable_lib

    torch.set_num_threads(count)
    library = portable_lib()
    library._unsafe_reset_threadpool(count)
    found = library._threadpool_get_thread_count()
    if found != count:
        raise BadInput(f"--threads {count}: the runtime runs on {found} threads; ask for {found}")


def measure(request: dict, tell: Tell) -> dict:
    """The part of a schema's run that this process measures.

    ``request`` has ``bundle``, ``pictures`` (a file of numpy's), ``threads``, ``warmup``,
    ``iterations`` and ``seconds``. The artifact's file has been read before, to check its hash, so
    that loading does not wait for a disk. Raises ``BadInput``.
    """
    # Whatever the artifact itself does not take is imported before the clock starts.
    from mobile_export.bundle.reader import load
    from mobile_export.runtime.executorch import open_pte
    from mobile_export.runtime.light import runtime

    runtime().Runtime.get()
    use_threads(request["threads"])
    bundle = load(Path(request["bundle"]))
    pixels, inputs = np.load(request["pictures"]), bundle.inputs
    before, thermal = device.memory()[0], device.thermal()
    began = time.perf_counter()
    runner = open_pte(bundle.artifact, inputs)
    loaded = 1e3 * (time.perf_counter() - began)
    calls = paths.calls(bundle, runner, pixels)
    first = next(calls).execute
    for _ in range(request["warmup"]):
        next(calls)
    costs = counted(calls, request["iterations"], tell)
    steady, _ = device.memory()
    sustained = sustain(calls, request["seconds"], tell) if request["seconds"] else None
    return {
        "cold_load_ms": rounded(loaded),
        "first_inference_ms": rounded(first),
        "stages": {
            "preprocess": summary([cost.preprocess for cost in costs]),
            "execute": summary([cost.execute for cost in costs]),
            "postprocess": summary([cost.postprocess for cost in costs]),
            "end_to_end": summary([cost.end_to_end for cost in costs]),
        },
        "end_to_end_ms": [rounded(cost.end_to_end) for cost in costs],
        "memory": {
            "before_bytes": before,
            "steady_bytes": steady,
            "peak_bytes": device.memory()[1],
        },
        "conditions": {
            "thermal_before": thermal,
            "thermal_after": device.thermal(),
            "power_mode": device.power_mode(),
            "battery": device.battery(),
        },
        "sustained": sustained,
    }


def counted(calls: Iterator[Cost], count: int, tell: Tell) -> list[Cost]:
    """``count`` calls; says once a second, between two of them, how many are done."""
    costs, told = [], time.perf_counter()
    for done in range(1, count + 1):
        costs.append(next(calls))
        if time.perf_counter() - told >= INTERVAL:
            tell(done, count, "calls")
            told = time.perf_counter()
    return costs


def sustain(
    calls: Iterator[Cost],
    seconds: float,
    tell: Tell,
    clock: Callable[[], float] = time.perf_counter,
) -> dict:
    """A schema's ``sustained``: calls without pause for ``seconds``, a point for every second.

    A call counts in the second in which it ends; one that takes longer makes its interval longer.
    """
    points, held, total = [], [], 0
    began = closed = clock()
    while True:
        held.append(next(calls).end_to_end)
        now = clock()
        last = now - began >= seconds
        if last or now - closed >= INTERVAL:
            held.sort()
            points.append(
                {
                    "at_s": round(now - began, 3),
                    "calls": len(held),
                    "p50_ms": rounded(nearest_rank(held, 50)),
                    "p99_ms": rounded(nearest_rank(held, 99)),
                }
            )
            total, held, closed = total + len(held), [], now
            tell(min(now - began, seconds), seconds, "s")
        if last:
            return {"seconds": round(now - began, 3), "calls": total, "points": points}
