"""The charts with a line of text and a drawing for every run; their height grows with the runs."""

from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.transforms import blended_transform_factory

from mobile_export.bundle.sustained import last_whole
from mobile_export.report.draw import (
    LEAST,
    SMALL,
    WIDTH,
    Colours,
    blank,
    heading,
    legend,
    row_colour,
    row_text,
    text_width,
    value_axis,
)
from mobile_export.report.merge import ratio
from mobile_export.report.text import brief, figures, milliseconds, plain

LINE = 16  # pixels of a row's line of text
BINS = 150  # of a distribution, over the width of the axis
MOST_OPERATORS = 15
TAIL = 2.5  # where p99 is cut, in the highest p50: a single stall would flatten the curve else
BUDGETS = {30.0: "33 ms", 60.0: "16 ms"}  # decisions a second -> time for one
PARTS = (
    # stage, its name in the legend, colour, hatch
    ("preprocess", "pre", "before", "///"),
    ("execute", "execute", "middle", ""),
    ("postprocess", "post", "after", "\\\\\\"),
)


def distributions(rows: list[dict], runs: list[dict], colours: Colours) -> Figure:
    """A ridge of every run's calls over one axis, with lines at p50, p90 and p99."""
    ridge, height = 22, 48
    axes = blank(len(rows) * height, colours)
    values = [np.maximum(run["end_to_end_ms"], LEAST) for run in runs]
    log = value_axis(
        axes, [float(v) for part in values for v in (part.min(), part.max())],
        "end to end, ms", colours,
    )  # fmt: skip
    edges = (np.geomspace if log else np.linspace)(*axes.get_xlim(), BINS + 1)
    for number, (row, calls) in enumerate(zip(rows, values, strict=True)):
        top = number * height
        base = top + LINE + ridge + 2
        counts, _ = np.histogram(calls, edges)
        curve = base - ridge * counts / max(counts.max(), 1)
        colour = row_colour(row, rows, colours)
        axes.stairs(curve, edges, baseline=base, fill=True, color=colour, alpha=0.45, lw=0)
        axes.plot(axes.get_xlim(), (base, base), color=colours["line"], linewidth=1)
        axes.plot((calls.min(), calls.max()), (base, base), color=colour, linewidth=2)
        for key, weight, reach in (("p50_ms", 2.2, 1), ("p90_ms", 1.2, 0.6), ("p99_ms", 1.2, 0.6)):
            at = max(row[key], LEAST)
            axes.plot((at, at), (base, base - ridge * reach), color=colours["ink"], lw=weight)
        text = f"{figures(row['p50_ms'])} / {milliseconds(row['p99_ms'])}"
        row_text(axes, row, top + LINE - 4, text, colours)
    return cast(Figure, axes.figure)


def throughput(rows: list[dict], colours: Colours) -> Figure:
    """Decisions a second over a logarithmic axis, with lines where a frame's time is used up."""
    height = 34
    axes = blank(len(rows) * height, colours, top=36)
    lines = dict(BUDGETS)
    for rate in sorted({row["frame_rate"] for row in rows}):
        if rate > LEAST and all(abs(rate / other - 1) > 0.1 for other in BUDGETS):
            lines[rate] = f"{1000 / rate:.0f} ms"
    rates = [row["decisions_a_second"] for row in rows]
    tails = [ratio(1000, row["p99_ms"]) for row in rows]
    known = [rate for rate in (*rates, *tails) if rate is not None]
    value_axis(axes, [*known, *lines], "decisions a second", colours, log=True)
    _budget_lines(axes, lines, len(rows), colours)
    left = axes.get_xlim()[0]
    for number, (row, rate, tail) in enumerate(zip(rows, rates, tails, strict=True)):
        top = number * height
        y = top + LINE + 7
        text = "too fast to tell" if rate is None else f"{figures(rate)} /s"
        if row["paced_at"] is not None:
            text = "paced"
        row_text(axes, row, top + LINE - 4, text, colours)
        colour = row_colour(row, rows, colours)
        if rate is not None:
            axes.plot((left, rate), (y, y), color=colour, linewidth=3, alpha=0.35)
            axes.plot(rate, y, "o", color=colour, markersize=8)
        if tail is not None:
            axes.plot((tail, tail), (y - 5, y + 5), color=colours["ink"], linewidth=1.6)
    return cast(Figure, axes.figure)


def _budget_lines(axes: Axes, lines: dict[float, str], rows: int, colours: Colours) -> None:
    """Dashed lines, broken where a row has text; their names above, on two levels to stay apart."""
    height = axes.get_ylim()[0]
    above = blended_transform_factory(axes.figure.transFigure, axes.transAxes)
    tops = np.arange(rows) * height / rows
    for level, (rate, text) in enumerate(sorted(lines.items())):
        axes.vlines(
            [rate] * rows, tops + LINE, tops + height / rows, color=colours["muted"], zorder=1,
            linewidth=1.2, linestyle=(0, (3, 2)),
        )  # fmt: skip
        half = text_width(text, SMALL) / 2 + 1
        middle = axes.transData.transform((rate, 0))[0]
        axes.text(
            min(max(middle, half), WIDTH - half) / WIDTH, 1 + (6 + 13 * (level % 2)) / height, text,
            color=colours["muted"], fontsize=SMALL, ha="center", transform=above, clip_on=False,
        )  # fmt: skip


def stages(rows: list[dict], runs: list[dict], colours: Colours) -> Figure:
    """Stacked means of the three stages, and of what end to end has beside them."""
    height = 36
    axes = blank(len(rows) * height, colours, top=26)
    means = [[run["stages"][part[0]]["mean"] for part in PARTS] for run in runs]
    totals = [run["stages"]["end_to_end"]["mean"] for run in runs]
    rests = [max(total - sum(part), 0) for total, part in zip(totals, means, strict=True)]
    shown = [sum(part) + rest for part, rest in zip(means, rests, strict=True)]
    value_axis(axes, [0, *shown], "mean, ms", colours, log=False)
    axes.set_xlim(left=0)
    parts = [*PARTS]
    if any(rest > 0.01 * total for rest, total in zip(rests, shown, strict=True)):
        parts.append(("rest", "rest", "rest", "..."))
    for number, (row, mean, rest) in enumerate(zip(rows, means, rests, strict=True)):
        top = number * height
        text = " + ".join(brief(value) for value in mean)
        row_text(axes, row, top + LINE - 4, f"{text} ms", colours)
        start = 0.0
        for (_, _, colour, hatch), width in zip(parts, (*mean, rest), strict=False):
            axes.barh(
                top + LINE + 8, width, height=13, left=start, color=colours[colour], hatch=hatch,
                edgecolor=colours["card"], linewidth=0,
            )  # fmt: skip
            start += width
    _legend(axes, parts, colours)
    return cast(Figure, axes.figure)


def _legend(axes: Axes, parts: list[tuple], colours: Colours) -> None:
    handles = [
        Patch(facecolor=colours[colour], edgecolor=colours["card"], hatch=hatch, lw=0, label=name)
        for _, name, colour, hatch in parts
    ]
    gaps = {"borderaxespad": 0.2, "handlelength": 1.6, "columnspacing": 1.4}
    legend(axes, handles, len(parts), colours, **gaps)


def sustained(rows: list[dict], runs: list[dict], colours: Colours) -> Figure:
    """A strip a run: p50 of each interval over time and dashes for p99, from 0 upwards."""
    strip, height = 38, 62
    pairs = [(row, run["sustained"]) for row, run in zip(rows, runs, strict=True)]
    pairs = [(row, part) for row, part in pairs if part]
    axes = blank(len(pairs) * height, colours)
    ends = [point["at_s"] for _, part in pairs for point in part["points"]]
    value_axis(axes, [0, *ends], "seconds since the start", colours, log=False)
    axes.set_xlim(0, max(*ends, 1) * 1.02)
    for number, (row, part) in enumerate(pairs):
        top = number * height
        base = top + LINE + strip + 2
        times = [point["at_s"] for point in part["points"]]
        middle = np.array([point["p50_ms"] for point in part["points"]])
        tail = np.array([point["p99_ms"] for point in part["points"]])
        full = max(min(tail.max(), TAIL * middle.max()), LEAST)
        colour = row_colour(row, rows, colours)
        y, high = (base - strip * np.minimum(v / full, 1) for v in (middle, tail))
        axes.fill_between(times, y, base, color=colour, alpha=0.15, linewidth=0)
        dot = "o" if len(times) == 1 else ""
        axes.plot(times, high, color=colours["muted"], lw=1.2, linestyle=(0, (3, 2)), marker=dot)
        axes.plot(times, y, color=colour, linewidth=2, marker=dot)
        axes.axhline(base, color=colours["line"], linewidth=1)
        row_text(axes, row, top + LINE - 4, _change(part["points"]), colours)
    return cast(Figure, axes.figure)


def _change(points: list[dict]) -> str:
    """From the first interval's p50 to that of the last whole one."""
    end = last_whole(points)
    first, last = points[0]["p50_ms"], end["p50_ms"]
    if first <= 0 or end is points[0]:
        return milliseconds(last)
    arrow = "\N{RIGHTWARDS ARROW}"
    return f"{figures(first)} {arrow} {milliseconds(last)} ({100 * (last / first - 1):+.0f} %)"


def operators(row: dict, run: dict, rows: list[dict], colours: Colours) -> Figure:
    """The operators of one run that take the most time, the slowest on top."""
    height = 32
    slowest = sorted(run["operators"], key=lambda entry: -entry["ms"])[:MOST_OPERATORS]
    whole = sum(entry["ms"] for entry in run["operators"])
    longest = max(slowest[0]["ms"], LEAST)
    axes = blank(len(slowest) * height, colours)
    value_axis(axes, [0, longest], "ms of one inference", colours, log=False)
    axes.set_xlim(0, longest * 1.5)  # room for the figures beside the longest bar
    for number, entry in enumerate(slowest):
        y = number * height + LINE + 5
        times = f"  \N{MULTIPLICATION SIGN}{entry['calls']}"
        heading(axes, y - 9, plain(entry["name"]), times, "", colours)
        axes.barh(y, entry["ms"], height=9, color=row_colour(row, rows, colours), linewidth=0)
        share = f", {100 * entry['ms'] / whole:.0f} %" if whole > 0 else ""
        axes.annotate(
            f"{milliseconds(entry['ms'])}{share}", (entry["ms"], y), (5, 0), va="center_baseline",
            textcoords="offset points", fontsize=SMALL, color=colours["muted"],
        )  # fmt: skip
    return cast(Figure, axes.figure)
