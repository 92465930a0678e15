"""The columns of the table: their order, what they mean, how a cell reads and how it sorts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import core.markdown
from mobile_export.report.text import MISSING, figures, megabytes, percent, plain, short, what_ran

# Severity of the words of Android and iOS; a host's "unknown" has none and sorts last, whatever the
# temperature: degrees of one machine's sensor and a word of another have no order.
HEAT = {
    "nominal": 0, "none": 0, "light": 1, "fair": 1, "moderate": 2, "serious": 3, "severe": 3,
    "critical": 4, "emergency": 5, "shutdown": 6,
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column; ``text`` and ``sort`` take a row, and give None where it has no value."""

    key: str
    group: str
    title: str
    meaning: str
    kind: Literal["text", "number", "rank"]  # a rank reads as text and sorts by a number
    text: Callable[[dict], str | None]
    sort: Callable[[dict], str | float | None]
    main: bool = False  # printed by the command as well


def _words(group: str, title: str, key: str, meaning: str, main: bool = False) -> Column:
    def value(row: dict) -> str | None:
        return row[key]

    return Column(key, group, title, meaning, "text", value, value, main)


def _number(
    group: str,
    title: str,
    key: str,
    form: Callable[[float], str],
    meaning: str,
    main: bool = False,
) -> Column:
    def text(row: dict) -> str | None:
        return None if row[key] is None else form(row[key])

    return Column(key, group, title, meaning, "number", text, lambda row: row[key], main)


def artifact_name(row: dict) -> str:
    """Backbone, temporal module, form and precision, and the target."""
    parts = (row["backbone"], row["temporal"], row["form"], row["precision"])
    return f"{'-'.join(parts)}, {row['target']}"


def heat(thermal: dict) -> str | None:
    """Thermal state in words; None where neither status nor temperature is known."""
    status, celsius = thermal["status"], thermal["celsius"]
    parts = [] if status == "unknown" else [status]
    if celsius is not None:
        parts.append(f"{celsius:.0f} \N{DEGREE SIGN}C")
    return ", ".join(parts) or None


def heat_rank(thermal: dict) -> float | None:
    """Severity with the temperature as a tie-break; None where there is no word for it."""
    rank, celsius = HEAT.get(thermal["status"]), thermal["celsius"]
    return None if rank is None else rank * 1000 + (celsius or 0)


def _heat(title: str, key: str, meaning: str) -> Column:
    return Column(
        key, "conditions", title, meaning, "rank",
        lambda row: heat(row[key]), lambda row: heat_rank(row[key]),
    )  # fmt: skip


def power(row: dict) -> str | None:
    """Power mode and battery in words; None where neither is known."""
    battery = row["battery"] or {"level": None, "charging": None}
    parts = [row["power_mode"]] if row["power_mode"] else []
    if battery["level"] is not None:
        parts.append(f"battery {100 * battery['level']:.0f} %")
    if battery["charging"] is not None:
        parts.append("charging" if battery["charging"] else "not charging")
    return ", ".join(parts) or None


def _whole(value: float) -> str:
    return f"{value:d}"


COLUMNS = (
    _number("run", "#", "number", _whole,
            "number of the run in all charts, in the order of the command line", True),
    _words("run", "Report", "report", "name of the report, unique on this page", True),
    _words("run", "Device", "device", "model, as its maker calls it"),
    Column("artifact", "run", "Artifact",
           "backbone, temporal module, form and precision; then the target it was exported for; "
           "the hash as well where others share the bundle's name",
           "text", artifact_name, artifact_name, True),
    Column("backend", "run", "Backend",
           "what executed; 'fallback' where it was not the artifact's first choice, and why. What "
           "Core ML was allowed to use beside the CPU: ANE (the Neural Engine), GPU, or the CPU "
           "alone. 'At 10/s': frames were fed at that pace, as a camera does, not call upon call",
           "text", what_ran, what_ran, True),
    _number("run", "Threads", "threads", _whole, "empty where the backend decides", True),
    _number("end to end, ms", "p50", "p50_ms", figures,
            "median of picture to decision over the counted calls", True),
    _number("end to end, ms", "p90", "p90_ms", figures, "90 % of the calls took no longer", True),
    _number("end to end, ms", "p99", "p99_ms", figures, "99 % of the calls took no longer", True),
    _number("live", "Decisions/s", "decisions_a_second", figures,
            "decisions a second without a pause: 1000 / mean end-to-end milliseconds; empty where "
            "frames were fed at a pace", True),
    _number("live", "Budget", "budget_share", percent,
            "end-to-end p50 over the time between two frames at the rate that the model was "
            "trained for (100 ms at 10 frames a second); above 100 % it cannot decide at every "
            "frame", True),
    _number("live", "Top-1", "top1", lambda value: f"{value:.2f} %",
            "accuracy of the artifact on the clips of its export's check, from its manifest; "
            "'interpreted' where a reference interpreter computed it and not the target's "
            "runtime", True),
    _number("stages, p50 in ms", "Pre", "preprocess_p50_ms", figures,
            "picture to input tensor; the picture is RGB on a host, YUV 4:2:0 in the apps"),
    _number("stages, p50 in ms", "Execute", "execute_p50_ms", figures, "one call, state included"),
    _number("stages, p50 in ms", "Post", "postprocess_p50_ms", figures, "logits to decision"),
    _number("start, ms", "Cold load", "cold_load_ms", figures,
            "opening the artifact in a process that never did"),
    _number("start, ms", "First inference", "first_inference_ms", figures,
            "the first call after loading, not counted elsewhere"),
    _number("sizes, MB", "Peak memory", "peak_bytes", megabytes,
            "most memory of the process, in 10^6 bytes. Host: resident, a process for each run; "
            "Android: resident, of the whole app since its start; iOS: the footprint that the "
            "system judges an app by, of the whole app since its start", True),
    _number("sizes, MB", "Artifact size", "artifact_bytes", megabytes, "in 10^6 bytes"),
    _heat("Heat before", "thermal_before", "thermal status and temperature before the run"),
    _heat("Heat after", "thermal_after", "the same after it; marked where the status rose"),
    Column("power", "conditions", "Power", "power mode or clock governor, and battery",
           "text", power, power),
    _words("conditions", "Input", "input", "the pictures that were measured with, and their size"),
    _words("device and artifact", "SoC", "soc", "system on a chip, or processor"),
    _words("device and artifact", "OS", "os", "operating system and version"),
    Column("sha256", "device and artifact", "SHA-256", "first digits of the artifact's hash",
           "text", lambda row: short(row["sha256"]), lambda row: row["sha256"], True),
)  # fmt: skip


def badges(row: dict, column: Column) -> list[tuple[str, str]]:
    """What a cell says beside its value: pairs of a short mark and its explanation, maybe empty."""
    if column.key == "backend" and row["fallback"] is not None:
        return [("fallback", row["fallback"])]
    if column.key == "top1" and row["accuracy_interpreted"]:
        return [("interpreted", "")]
    if column.key == "artifact" and row["differs"]:
        return [(short(row["sha256"]), "")]
    if column.key == "thermal_after":
        before, after = (HEAT.get(row[key]["status"]) for key in ("thermal_before", column.key))
        rose = before is not None and after is not None and after > before
        return [("hotter", "")] if rose else []
    return []


def markdown(rows: list[dict]) -> str:
    """The main columns as a Markdown table."""
    columns = [column for column in COLUMNS if column.main]
    right = [_heading(column) for column in columns if column.kind == "number"]
    cells = ([_cell(row, column) for column in columns] for row in rows)
    return core.markdown.markdown([_heading(column) for column in columns], cells, right)


def _heading(column: Column) -> str:
    unit = column.group.rpartition(", ")[2]
    return f"{column.title}, {unit}" if unit in ("ms", "MB") else column.title


def _cell(row: dict, column: Column) -> str:
    parts = [column.text(row) or MISSING]
    for mark, why in badges(row, column):
        parts.append(f"({mark}: {why})" if why else f"({mark})")
    return plain(" ".join(parts)).replace("|", "\\|")
