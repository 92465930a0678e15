"""One flat row for every run of every report, and what a reader has to be warned of."""

import math

from mobile_export.report.text import plain, short

# What peak memory is, by the kind of device.
MEMORY = {
    "host": "resident memory of a process for each run",
    "android": "resident memory of the whole app since its start",
    "ios": "footprint, as iOS counts it, of the whole app since its start",
}


def merge(reports: list[dict]) -> dict:
    """``{"rows": [...], "warnings": [...]}``, JSON-ready.

    A row is a run with everything around it; missing values are null. Numbers count from 1 in the
    order of the command line. ``differs`` marks rows whose artifact shares its bundle's name with
    another one.
    """
    hashes: dict = {}
    for report in reports:
        artifact = report["artifact"]
        hashes.setdefault(artifact["bundle"], set()).add(artifact["sha256"])
    runs = [(report, run) for report in reports for run in report["runs"]]
    rows = [
        _row(number, report, run) | {"differs": len(hashes[report["artifact"]["bundle"]]) > 1}
        for number, (report, run) in enumerate(runs, 1)
    ]
    return {"rows": rows, "warnings": _warnings(reports)}


def _row(number: int, report: dict, run: dict) -> dict:
    device, artifact, conditions = report["device"], report["artifact"], run["conditions"]
    accuracy, total = report["accuracy"] or {}, run["stages"]["end_to_end"]
    return {
        "number": number,
        "report": report["name"],
        "created": report["created"],
        "device": device["model"],
        "kind": device["kind"],
        "soc": device["soc"],
        "os": f"{device['os']} {device['os_version']}".strip(),
        "bundle": artifact["bundle"],
        "backbone": artifact["backbone"],
        "temporal": artifact["temporal"],
        "form": artifact["form"],
        "precision": artifact["precision"],
        "target": artifact["target"],
        "sha256": artifact["sha256"],
        "artifact_bytes": artifact["bytes"],
        "delegated_share": artifact["delegated_share"],
        "backend": run["backend"],
        "compute_units": run.get("compute_units"),
        "paced_at": run.get("paced_at"),
        "fallback": run["fallback"],
        "threads": run["threads"],
        "cold_load_ms": run["cold_load_ms"],
        "first_inference_ms": run["first_inference_ms"],
        "p50_ms": total["p50"],
        "p90_ms": total["p90"],
        "p99_ms": total["p99"],
        "preprocess_p50_ms": run["stages"]["preprocess"]["p50"],
        "execute_p50_ms": run["stages"]["execute"]["p50"],
        "postprocess_p50_ms": run["stages"]["postprocess"]["p50"],
        # Frames that wait for a camera's pace tell nothing of how many there could be.
        "decisions_a_second": None if run.get("paced_at") else ratio(1000, total["mean"]),
        "frame_rate": artifact["frame_rate"],
        "budget_share": ratio(total["p50"], 1000 / artifact["frame_rate"]),
        "top1": accuracy.get("artifact_top1"),
        "checkpoint_top1": accuracy.get("checkpoint_top1"),
        "drop_interval": accuracy.get("drop_interval"),
        "accuracy_interpreted": accuracy.get("interpreted"),
        "accuracy_data": accuracy.get("data"),
        "accuracy_clips": accuracy.get("clips"),
        "peak_bytes": run["memory"]["peak_bytes"],
        "thermal_before": conditions["thermal_before"],
        "thermal_after": conditions["thermal_after"],
        "power_mode": conditions["power_mode"],
        "battery": conditions["battery"],
        "input": _input(report["input"]),
    }


def ratio(over: float, under: float) -> float | None:
    """A quotient; None where it is no finite number."""
    value = over / under if under > 0 else math.inf
    return value if math.isfinite(value) else None


def _input(entry: dict) -> str:
    return f"{entry['source']}, {entry['width']} x {entry['height']}"


def _platforms(reports: list[dict]) -> list[str]:
    """Sentences about figures that are not the same thing on every platform."""
    names: dict[str, list[str]] = {}
    for report in reports:
        names.setdefault(report["device"]["kind"], []).append(report["name"])
    if len(names) == 1:
        return []
    held = {kind: ", ".join(names[kind]) for kind in names}
    found = []
    if "host" in names:
        phones = ", ".join(held[kind] for kind in names if kind != "host")
        found.append(
            f"Pre-processing begins with RGB on a host ({held['host']}) and with YUV 4:2:0 on a "
            f"phone ({phones}): the stage, and end to end with it, does not compare"
        )
    if any(run["memory"]["peak_bytes"] is not None for r in reports for run in r["runs"]):
        ways = "; ".join(f"{MEMORY[kind]} in {held[kind]}" for kind in names)
        found.append(f"Peak memory is not the same thing everywhere ({ways}): compare it with care")
    return found


def _warnings(reports: list[dict]) -> list[str]:
    """Sentences about reports that must not be compared without a thought."""
    found = []
    for bundle in dict.fromkeys(report["artifact"]["bundle"] for report in reports):
        names: dict[str, list[str]] = {}
        for report in reports:
            if report["artifact"]["bundle"] == bundle:
                names.setdefault(short(report["artifact"]["sha256"]), []).append(report["name"])
        if len(names) > 1:
            where = "; ".join(f"{sha} in {', '.join(held)}" for sha, held in names.items())
            found.append(
                f"{bundle} is {len(names)} different artifacts ({where}): their rows are marked "
                "with the hash; measure one and the same artifact to compare devices"
            )
    data = dict.fromkeys(
        f"{report['accuracy']['clips']} clips of {report['accuracy']['data']}"
        for report in reports
        if report["accuracy"]
    )
    if len(data) > 1:
        found.append(
            f"Top-1 was measured on different clips ({'; '.join(data)}): compare it with care"
        )
    inputs = dict.fromkeys(_input(report["input"]) for report in reports)
    if len(inputs) > 1:
        found.append(
            f"The reports began with different pictures ({'; '.join(inputs)}): pre-processing, "
            "and end to end with it, does not compare"
        )
    found += _platforms(reports)
    return [plain(sentence) for sentence in found]
