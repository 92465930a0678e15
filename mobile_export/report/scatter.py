"""Accuracy against latency, the one chart where runs share a plane."""

import itertools
from typing import cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mobile_export.report.draw import (
    LEAST,
    MARKERS,
    SIDE,
    SMALL,
    WIDTH,
    Colours,
    blank,
    fit,
    legend,
    row_colour,
    series,
    text_width,
    value_axis,
)
from mobile_export.report.text import plain, what_ran

HEIGHT = 290  # and more for each run beyond ten, so that the numbers find a place
LEFT = 46  # room for the percentages
LINE = 18  # of the legend, which has three columns, or two where their text is long
KEY = 34  # pixels of a column that its marker and the gaps take
SPARE = ("v", "P", "<", "X", ">", "p")  # markers that no backend has
# Where a point's number may stand, in pixels from the point: near places first.
AROUND = ((0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8), (1, 0), (-1, 0), (0, 1), (0, -1))
PLACES = [(reach * x, reach * y) for reach in (15, 24, 34, 46) for x, y in AROUND]

Box = tuple[float, float, float, float]  # left, bottom, right, top; pixels from below


def accuracy(rows: list[dict], colours: Colours) -> Figure:
    """Top-1 over end-to-end p50, and what the interval of the drop leaves of the checkpoint's.

    A hollow marker is a reference interpreter's. ``rows`` are those with an accuracy; points
    carry their number. A colour is a backend's; a marker is that of all which ran in one way.
    """
    kinds = _kinds(rows)
    widest = max(text_width(kind, SMALL) for kind in kinds)
    columns = 3 if widest <= WIDTH / 3 - KEY else 2
    height = HEIGHT + min(8 * max(len(rows) - 10, 0), HEIGHT)
    axes = blank(height, colours, top=LINE * -(-len(kinds) // columns) + 6, left=LEFT)
    x = [max(row["p50_ms"], LEAST) for row in rows]
    value_axis(axes, x, "end to end p50, ms", colours)
    spans = [_interval(row) for row in rows]
    tops = [row["top1"] for row in rows]
    _percent_axis(axes, tops + [end for span in spans for end in span], colours)
    joined = _join(axes, rows, x, spans, colours)
    for row, at in zip(rows, x, strict=True):
        colour = row_colour(row, rows, colours)
        axes.plot(
            at, row["top1"], kinds[plain(what_ran(row))][1], color=colour,
            markersize=8, markeredgewidth=1.6, clip_on=False,
            markerfacecolor=colours["card"] if row["accuracy_interpreted"] else colour,
        )  # fmt: skip
    _numbers(axes, rows, x, joined, colours)
    handles = [
        Line2D(
            [], [], linestyle="", marker=marker, color=row_colour(row, rows, colours), markersize=8,
            label=fit(kind, WIDTH / columns - KEY, SMALL),
        )
        for kind, (row, marker) in kinds.items()
    ]  # fmt: skip
    gaps = {"borderaxespad": 0.1, "handletextpad": 0.2, "labelspacing": 0.3}
    legend(axes, handles, columns, colours, **gaps)
    return cast(Figure, axes.figure)


def _kinds(rows: list[dict]) -> dict[str, tuple[dict, str]]:
    """What ran -> one of its rows and its marker: the usual one of its colour, or a spare one where
    another that ran in that colour has it.
    """
    found: dict[str, tuple[dict, str]] = {}
    backends, spare = [row["backend"] for row in rows], itertools.cycle(SPARE)
    taken = set()
    for row in sorted(rows, key=what_ran):
        kind, number = plain(what_ran(row)), series(row["backend"], backends)
        if kind not in found:
            found[kind] = (row, next(spare) if number in taken else MARKERS[number])
            taken.add(number)
    return found


def _join(
    axes: Axes, rows: list[dict], x: list[float], spans: list[tuple], colours: Colours
) -> list[tuple]:
    """A line through the runs of one artifact, whose accuracy is one, with its interval once.

    Returns the intervals drawn: (x, low, high), at the fastest run of each artifact.
    """
    groups: dict[tuple, list] = {}
    for row, at, span in zip(rows, x, spans, strict=True):
        key = (row["bundle"], row["sha256"], row["top1"], *span)
        groups.setdefault(key, []).append((at, row))
    drawn = []
    for (*_, top1, low, high), members in groups.items():
        at, row = min(members, key=lambda member: member[0])
        colour = row_colour(row, rows, colours)
        last = max(member[0] for member in members)
        axes.plot((at, last), (top1, top1), color=colours["muted"], linewidth=1, alpha=0.6)
        axes.plot((at, at), (low, high), color=colour, linewidth=1.4, alpha=0.6)
        axes.plot((at, at), (low, high), "_", color=colour, markersize=6, alpha=0.6)
        drawn.append((at, low, high))
    return drawn


def _interval(row: dict) -> tuple[float, float]:
    """The artifact's top-1 as the interval of its drop leaves it, within 0 to 100 %."""
    ends = [min(max(row["checkpoint_top1"] - drop, 0), 100) for drop in row["drop_interval"]]
    return min(ends), max(ends)


def _percent_axis(axes: Axes, values: list[float], colours: Colours) -> None:
    room = max(0.12 * (max(values) - min(values)), 0.5)
    axes.set_ylim(min(values) - room, max(values) + room)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %" if 0 <= value <= 100 else "")
    axes.tick_params(axis="y", length=0, labelsize=SMALL, labelcolor=colours["muted"])
    axes.grid(axis="y", color=colours["track"], linewidth=1)


def _numbers(
    axes: Axes, rows: list[dict], x: list[float], intervals: list[tuple], colours: Colours
) -> None:
    """Write each run's number beside its point, where it covers no point, line or other number."""
    to_pixels = axes.transData.transform
    points = [to_pixels((at, row["top1"])) for row, at in zip(rows, x, strict=True)]
    taken: list[Box] = [(a - 6, b - 6, a + 6, b + 6) for a, b in points]
    for at, low, high in intervals:
        (left, bottom), (_, top) = to_pixels((at, low)), to_pixels((at, high))
        taken.append((left - 2, bottom, left + 2, top))
    for row, place_x, (at, up) in zip(rows, x, points, strict=True):
        text = str(row["number"])
        half = text_width(text, SMALL) / 2 + 1
        boxes = [(at + dx - half, up + dy - 6, at + dx + half, up + dy + 6) for dx, dy in PLACES]
        free = [
            n
            for n, box in enumerate(boxes)
            if box[0] > LEFT and box[2] < WIDTH - SIDE and not any(_overlap(box, t) for t in taken)
        ]
        place = free[0] if free else 0
        taken.append(boxes[place])
        far = place >= len(AROUND)  # then a line leads to the point
        axes.annotate(
            text, (place_x, row["top1"]), PLACES[place], textcoords="offset points",
            ha="center", va="center", fontsize=SMALL, color=colours["ink"], annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colours["muted"], "lw": 0.7} if far else None,
        )  # fmt: skip


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
