"""What all charts share: size, colours, text that fits, and the way to SVG and PNG.

A chart is drawn in pixels, ``WIDTH`` wide, once in colours that stand for variables of the page's
style sheet (SVG) and once in that sheet's light colours (PNG).
"""

import functools
import html
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from matplotlib.transforms import blended_transform_factory

from mobile_export.report.text import label_parts

WIDTH = 340  # pixels: at 1:1 on a phone
SIDE = 8  # margin to the left and right of an axes
BELOW = 40  # room for tick labels and the axis' title
TITLE, TEXT, SMALL = 14, 12, 11  # font sizes in pixels
SCALE = 2  # pixels of a PNG to one of the chart
LEAST = 1e-3  # what a logarithmic axis takes for anything smaller, 0 included
KNOWN = {"xnnpack": 0, "vulkan": 1, "coreml": 2}
SERIES = ("first", "second", "third", "fourth")
MARKERS = ("o", "s", "^", "D")

Colours = dict[str, str]  # name of a CSS variable, without its dashes -> colour


@dataclass(frozen=True)
class Chart:
    """A figure with its words; ``draw`` makes it in the given colours."""

    name: str  # unique on a page; the PNG's file name and the prefix of the SVG's ids
    title: str
    note: str
    draw: Callable[[Colours], Figure]


def svg(chart: Chart) -> str:
    """The chart as an SVG element for a page, with the page's CSS variables as colours.

    Its ids begin with the chart's name, and equal charts give equal text.
    """
    sentinels = _sentinels()
    with _settings(chart.name):
        file = io.BytesIO()
        chart.draw(sentinels).savefig(
            file, format="svg", dpi=72, transparent=True, metadata={"Date": None}
        )
    text = file.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.S)
    # Within tags alone: text between them comes from reports.
    text = re.sub(r"<[^>]*>", lambda tag: _page_tag(tag[0], chart.name, sentinels), text)
    box = re.findall(r'viewBox="[^"]*"', text)[0]
    label = f"{html.escape(chart.title)}"
    start = f'<svg role="img" aria-label="{label}" {box}><title>{label}</title>'
    return re.sub(r"\n\s*", "\n", start + text[text.index(">") + 1 :].strip())


def png(chart: Chart) -> bytes:
    """The chart as a PNG in the light colours, with its title."""
    with _settings(chart.name):
        figure = chart.draw(light_colours())
        figure.set_facecolor(light_colours()["card"])
        figure.text(
            SIDE / WIDTH, 1 + 10 / figure.bbox.height, fit(chart.title, WIDTH - 2 * SIDE, TITLE),
            color=light_colours()["ink"], fontsize=TITLE,
        )  # fmt: skip
        file = io.BytesIO()
        figure.savefig(
            file, format="png", dpi=72 * SCALE, bbox_inches="tight", pad_inches=SIDE / 72,
            metadata={"Software": None},
        )  # fmt: skip
    return file.getvalue()


@functools.cache
def light_colours() -> Colours:
    """The palette: the variables of the style sheet's first block."""
    css = resources.files("mobile_export.report").joinpath("page.css").read_text(encoding="utf-8")
    block = css[css.index(":root {") : css.index("}")]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def _sentinels() -> Colours:
    return {name: f"#f1e2{number:02x}" for number, name in enumerate(light_colours())}


def _page_tag(tag: str, prefix: str, sentinels: Colours) -> str:
    """One tag of matplotlib's SVG as the page needs it."""
    if tag.startswith("<g "):
        tag = re.sub(r' id="[^"]*"', "", tag)
    tag = re.sub(r' id="', f' id="{prefix}-', tag)
    tag = tag.replace("url(#", f"url(#{prefix}-").replace('xlink:href="#', f'href="#{prefix}-')
    tag = re.sub(r' transform="rotate\(-0[^"]*"', "", tag)
    tag = re.sub(r" font-family: [^;\"]*;", "", tag)
    for name, colour in sentinels.items():
        tag = tag.replace(f'fill="{colour}"', f'style="fill: var(--{name})"')
        tag = tag.replace(colour, f"var(--{name})")
    return tag


@contextmanager
def _settings(salt: str) -> Iterator[None]:
    """matplotlib's own defaults and ours, whatever the user has configured."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        # Names in other scripts are drawn by the browser's fonts; those of a PNG may lack them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": salt,
                "text.parse_math": False,  # a name with two dollar signs is no formula
                "font.size": TEXT,
                "hatch.linewidth": 1.2,
            }
        )
        yield


def blank(height: float, colours: Colours, top: float = 0, left: float = SIDE) -> Axes:
    """An empty axes with a title's room below it and ``height`` pixels, in a figure of its own.

    Its y axis counts pixels from the top downwards.
    """
    total = top + height + BELOW
    figure = Figure(figsize=(WIDTH / 72, total / 72), dpi=72)
    FigureCanvasAgg(figure)  # measures text
    box = (left / WIDTH, BELOW / total, (WIDTH - left - SIDE) / WIDTH, height / total)
    axes = figure.add_axes(box)
    axes.set_ylim(height, 0)
    axes.set_facecolor("none")
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(colours["line"])
    axes.tick_params(length=3, color=colours["line"], labelcolor=colours["muted"], labelsize=SMALL)
    axes.set_yticks([])
    return axes


def legend(
    axes: Axes, handles: Sequence[Artist], columns: int, colours: Colours, **gaps: float
) -> None:
    """A legend in the figure's upper left corner, at the ``top`` that ``blank`` left free.

    It stands in ``figure.bbox`` by itself, and that of a PNG is larger: it has the title above.
    """
    axes.figure.legend(
        handles=handles, ncols=columns, loc="upper left", frameon=False, fontsize=SMALL,
        labelcolor=colours["ink"], bbox_to_anchor=(0, 1), bbox_transform=axes.figure.transFigure,
        **gaps,
    )  # fmt: skip


def value_axis(
    axes: Axes, values: Sequence[float], title: str, colours: Colours, log: bool | None = None
) -> bool:
    """Scale the x axis to the values, by logarithm where they span more than a factor of eight.

    Returns whether it is logarithmic.
    """
    low, high = max(min(values), LEAST), max(*values, LEAST)
    log = high / low > 8 if log is None else log
    if log:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.15, high * 1.15)
        steps = (1, 2, 5) if math.log10(high / low) < 2.5 else (1,)
        axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=8))
        axes.xaxis.set_minor_locator(LogLocator(subs=()))
    else:
        room = max((high - low) * 0.06, high * 0.01)
        axes.set_xlim(max(low - room, 0), high + room)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel(title, fontsize=SMALL, color=colours["muted"], labelpad=3)
    axes.grid(axis="x", color=colours["track"], linewidth=1)
    axes.set_axisbelow(True)
    return log


def row_text(axes: Axes, row: dict, y: float, value: str, colours: Colours) -> None:
    """Label of a row, shortened where it has to be, and a value at the right, above ``y``."""
    name, what = label_parts(row)
    heading(axes, y, name, f" \N{MIDDLE DOT} {what}", value, colours)


def heading(axes: Axes, y: float, name: str, kept: str, value: str, colours: Colours) -> None:
    """Text at the left, ``name`` of it shortened to fit, and a value at the right, above ``y``."""
    across = blended_transform_factory(axes.transAxes, axes.transData)
    room = WIDTH - 2 * SIDE - text_width(value, SMALL) - 10
    fitted = fit(name, max(room - text_width(kept, TEXT), 36), TEXT)
    text = fit(fitted + kept, room, TEXT)
    axes.text(0, y, text, color=colours["ink"], fontsize=TEXT, transform=across, clip_on=False)
    axes.text(
        1, y, value, color=colours["muted"], fontsize=SMALL, ha="right", transform=across,
        clip_on=False,
    )  # fmt: skip


def fit(text: str, room: float, size: float) -> str:
    """The text, or as much of its two ends as fits into ``room`` pixels, with an ellipsis."""
    if text_width(text, size) <= room:
        return text
    for kept in range(min(len(text) - 1, int(room)), 1, -1):
        tail = kept // 3
        shorter = f"{text[: kept - tail].rstrip()}…{text[len(text) - tail :].lstrip()}"
        if text_width(shorter, size) <= room:
            return shorter
    return "…"


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float) -> float:
    """Pixels that a text takes in matplotlib's font, which is wider than a phone's."""
    return (
        _canvas()
        .get_renderer()
        .get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0]
    )


@functools.cache
def _canvas() -> FigureCanvasAgg:
    return FigureCanvasAgg(Figure(figsize=(1, 1), dpi=72))


def series(backend: str, backends: Sequence[str]) -> int:
    """Number of a backend's colour and marker: known ones keep theirs, others share the last."""
    others = sorted({b for b in backends if b.lower() not in KNOWN})
    free = [n for n in range(len(SERIES)) if n not in {KNOWN.get(b.lower()) for b in backends}]
    if backend.lower() in KNOWN:
        return KNOWN[backend.lower()]
    return free[min(others.index(backend), len(free) - 1)]


def row_colour(row: dict, rows: Sequence[dict], colours: Colours) -> str:
    """The colour of a row's backend."""
    return colours[SERIES[series(row["backend"], [r["backend"] for r in rows])]]
