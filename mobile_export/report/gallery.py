"""Which charts a page has: those of all runs, and one of operators for each run that has them."""

from mobile_export.report import charts, scatter
from mobile_export.report.draw import Chart
from mobile_export.report.text import label_parts, milliseconds, plain


def make_charts(rows: list[dict], runs: list[dict]) -> list[Chart]:
    """Charts of all runs; one that nothing is known for is left out."""
    found = []
    known = [row for row in rows if row["top1"] is not None]
    if known:
        found.append(
            Chart(
                "accuracy",
                "Accuracy against latency",
                "Runs of one artifact are joined. Upright line, once for each: the checkpoint's "
                "top-1 less the 95 % interval of the drop. Hollow: by an interpreter.",
                lambda colours: scatter.accuracy(known, colours),
            )
        )
    found += [
        Chart(
            "throughput",
            "Throughput against the frame budget",
            "Dot: decisions a second at the mean time, tick: at the p99. Right of a dashed line "
            "a decision fits into that time a frame. Fed at a pace: the tick alone.",
            lambda colours: charts.throughput(rows, colours),
        ),
        Chart(
            "latency",
            "Latency distributions",
            "Each hill is as high as the others; lines at p50, p90 and p99. Figures: p50 / p99.",
            lambda colours: charts.distributions(rows, runs, colours),
        ),
        Chart(
            "stages",
            "Stages",
            "Means, since medians do not add up. 'Rest' is what end to end has beside the three.",
            lambda colours: charts.stages(rows, runs, colours),
        ),
    ]
    if any(run["sustained"] for run in runs):
        found.append(
            Chart(
                "sustained",
                "Latency over time",
                "A long run without a pause. Line: p50 of an interval, dashes: p99 (cut at "
                f"{charts.TAIL:g} times the highest p50). Each strip begins at 0 ms. Figures: p50 "
                "of the first and of the last whole interval.",
                lambda colours: charts.sustained(rows, runs, colours),
            )
        )
    return found


def make_operator_charts(rows: list[dict], runs: list[dict]) -> list[Chart]:
    """One chart for each run that was traced."""
    return [_operators(row, run, rows) for row, run in zip(rows, runs, strict=True)
            if run["operators"]]  # fmt: skip


def untraced(rows: list[dict], runs: list[dict]) -> dict[str, str]:
    """Reason -> numbers of the runs that have no operators for it."""
    found: dict[str, list[str]] = {}
    for row, run in zip(rows, runs, strict=True):
        if not run["operators"] and run["operators_note"]:
            found.setdefault(plain(run["operators_note"]), []).append(f"#{row['number']}")
    return {why: ", ".join(numbers) for why, numbers in found.items()}


def row_label(row: dict) -> str:
    """Number, report and what ran."""
    return " \N{MIDDLE DOT} ".join(label_parts(row))


def _operators(row: dict, run: dict, rows: list[dict]) -> Chart:
    more = len(run["operators"]) - charts.MOST_OPERATORS
    notes = [plain(run["operators_note"])] if run["operators_note"] else []
    if more > 0:
        rest = sorted((entry["ms"] for entry in run["operators"]), reverse=True)
        left = sum(rest[charts.MOST_OPERATORS :])
        notes.insert(0, f"{more} more take {milliseconds(left)} together.")
    return Chart(
        f"operators-{row['number']}",
        f"Operators of {row_label(row)}",
        " ".join(notes),
        lambda colours: charts.operators(row, run, rows, colours),
    )
