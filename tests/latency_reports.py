"""Valid latency reports for tests, as the host tool and the apps write them."""

import copy
import json
import random
from pathlib import Path

MANY = 400  # calls of a run


def stage(calls: list[float]) -> dict:
    """Statistics of milliseconds, by nearest rank."""
    ordered, count = sorted(calls), len(calls)
    mean = sum(calls) / count

    def rank(percent: int) -> float:
        return ordered[(percent * count + 99) // 100 - 1]

    return {
        "count": count, "min": ordered[0], "mean": mean, "p50": rank(50), "p90": rank(90),
        "p99": rank(99), "std": (sum((c - mean) ** 2 for c in calls) / count) ** 0.5,
    }  # fmt: skip


def make_run(milliseconds: float = 8.0, seed: int = 0, **changes: object) -> dict:
    """A run whose calls take about ``milliseconds``, with a tail to the right."""
    draw = random.Random(seed)
    execute = [milliseconds * (1 + draw.lognormvariate(-3, 1)) for _ in range(MANY)]
    before = [0.06 * milliseconds * (1 + draw.random() / 5) for _ in execute]
    after = [0.01 * milliseconds * (1 + draw.random() / 5) for _ in execute]
    total = [sum(parts) for parts in zip(before, execute, after, strict=True)]
    run = {
        "backend": "xnnpack",
        "fallback": None,
        "threads": 1,
        "warmup": 10,
        "cold_load_ms": 11 * milliseconds,
        "first_inference_ms": 3 * milliseconds,
        "stages": {
            "preprocess": stage(before),
            "execute": stage(execute),
            "postprocess": stage(after),
            "end_to_end": stage(total),
        },
        "end_to_end_ms": total,
        "memory": {
            "before_bytes": 60_000_000, "steady_bytes": 81_000_000, "peak_bytes": 84_300_000
        },
        "conditions": {
            "thermal_before": {"status": "none", "celsius": 31.0},
            "thermal_after": {"status": "none", "celsius": 33.5},
            "power_mode": "normal",
            "battery": {"level": 0.8, "charging": False},
        },
        "sustained": None,
        "operators": None,
        "operators_note": None,
    }  # fmt: skip
    return run | changes


def sustained(milliseconds: float, slower: float = 1.0, seconds: int = 120) -> dict:
    """A long run that ends ``slower`` times as slow as it began."""
    points = []
    for at in range(5, seconds + 1, 5):
        p50 = milliseconds * (1 + (slower - 1) / (1 + 2.718 ** (-(at - seconds / 2) / 8)))
        points.append({"at_s": at, "calls": int(5000 / p50), "p50_ms": p50, "p99_ms": 1.3 * p50})
    return {"seconds": seconds, "calls": sum(p["calls"] for p in points), "points": points}


def operators(count: int = 22) -> list[dict]:
    """Operators of one inference, slowest first."""
    names = ("Convolution (NHWC, QS8, QC8W) IGEMM", "Convolution (NHWC, QS8, QC8W) DWConv", "Add")
    return [
        {"name": f"{names[n % 3]} #{n}", "calls": 1 + n % 5, "ms": 2.4 / (1 + n)}
        for n in range(count)
    ]


def make_report(name: str = "Pixel 8", runs: list[dict] | None = None, **changes: object) -> dict:
    """A valid report; ``changes`` are merged into its parts: ``artifact={"sha256": ...}``."""
    report = {
        "schema": 1,
        "name": name,
        "created": "2026-03-02T10:11:12Z",
        "device": {
            "kind": "android", "model": name, "soc": "Tensor G3", "cores": 9,
            "memory_bytes": 8_000_000_000, "os": "Android", "os_version": "15",
            "os_build": "google/shiba/shiba:15/AP3A.241005.015",
        },
        "artifact": {
            "bundle": "mobilenet_v2-action-stream-xnnpack-int8", "sha256": "ab" * 32,
            "bytes": 2_790_000, "checkpoint_sha256": "cd" * 32, "target": "xnnpack",
            "form": "stream", "precision": "int8", "backbone": "mobilenet_v2",
            "temporal": "action", "size": 112, "frame_rate": 10.0, "frames_a_call": 1,
            "delegate_calls": 1, "operators_outside": 0, "delegated_share": 1.0,
        },
        "accuracy": {
            "data": "rendered people, test split", "clips": 2700, "checkpoint_top1": 98.67,
            "artifact_top1": 98.52, "drop_interval": [-0.12, 0.41], "interpreted": False,
        },
        "input": {"source": "golden clip", "width": 112, "height": 112, "frames": 8},
        "runs": copy.deepcopy(runs) if runs else [make_run()],
        "tools": {"action-mobile": "0.1.0", "executorch": "1.5.1"},
    }  # fmt: skip
    for key, value in changes.items():
        known = report[key]
        report[key] = known | value if isinstance(known, dict) and value is not None else value
    return report


def save(report: object, file: Path) -> str:
    """Write a report; returns the path as a command line has it."""
    file.write_text(json.dumps(report))
    return str(file)
