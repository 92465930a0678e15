"""What the rows of ``peers.py`` say: the bound of each, the table, the bars and the chart.

A row is a JSON object; ``median_ms`` is null, and ``reason`` says why, for what did not run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from peers_contenders import FORMS, MODELS, RUNTIMES

from core.files import write_figure
from core.markdown import markdown

Row = dict[str, object]

COLUMNS = (
    "form", "threads", "runtime", "precision", "model", "median ms", "least", "90 %", "/TSM",
    "/TSN", "/bound", "load ms", "first ms", "peak MiB", "file MB", "state KiB",
)  # fmt: skip
WORDS = 5  # of the columns; numbers follow
PRECISIONS = ("int8", "fp32")


@dataclass(frozen=True)
class Side:
    """One side of a bar's ratio."""

    model: str
    form: str
    precision: str
    runtime: str


@dataclass(frozen=True)
class Bar:
    """A ratio of medians on one number of threads and what it is held to.

    ``ratio`` and ``passed`` are None when a side has no figure.
    """

    text: str
    threads: int
    ratio: float | None
    passed: bool | None


def _et(model: str, form: str, precision: str) -> Side:
    return Side(model, form, precision, "executorch")


def _ort(model: str, form: str, precision: str) -> Side:
    return Side(model, form, precision, "onnxruntime")


# text, over, under, relation, limit
BARS = (
    ("ACTION / TSM, int8 stream", _et("action", "stream", "int8"), _et("tsm", "stream", "int8"),
     "<=", 1.08),
    ("ACTION / TSN, int8 stream", _et("action", "stream", "int8"), _et("tsn", "stream", "int8"),
     "<=", 1.25),
    ("ACTION / TSM, fp32 clip", _et("action", "clip", "fp32"), _et("tsm", "clip", "fp32"),
     "<=", 1.05),
    ("fp32 clip / int8 stream, ACTION", _et("action", "clip", "fp32"),
     _et("action", "stream", "int8"), ">=", 12.0),
    ("ONNX Runtime / ExecuTorch, ACTION stream fp32", _ort("action", "stream", "fp32"),
     _et("action", "stream", "fp32"), ">", 1.0),
    ("ONNX Runtime / ExecuTorch, ACTION stream int8", _ort("action", "stream", "int8"),
     _et("action", "stream", "int8"), ">", 1.0),
)  # fmt: skip
RELATIONS = {
    "<=": lambda ratio, limit: ratio <= limit,
    ">=": lambda ratio, limit: ratio >= limit,
    ">": lambda ratio, limit: ratio > limit,
}


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Every bar for every number of threads among the rows."""
    found = []
    for threads in sorted({row["threads"] for row in rows}):
        for text, over, under, relation, limit in BARS:
            above, below = _median(rows, over, threads), _median(rows, under, threads)
            ratio = above / below if above and below else None
            passed = None if ratio is None else RELATIONS[relation](ratio, limit)
            found.append(Bar(f"{text} {relation} {limit:g}", threads, ratio, passed))
    return found


def bar_lines(found: Sequence[Bar]) -> list[str]:
    """A line a bar: threads, pass or fail, the ratio."""
    words = {True: "pass", False: "FAIL", None: "not measured"}
    return [
        f"{words[bar.passed]}: {bar.text}, threads {bar.threads}"
        + ("" if bar.ratio is None else f": {bar.ratio:.3f}")
        for bar in found
    ]


def _median(rows: Sequence[Row], side: Side, threads: int) -> float | None:
    wanted = {**vars(side), "threads": threads}
    return next(
        (row["median_ms"] for row in rows if all(row[k] == v for k, v in wanted.items())), None
    )


def bounded(row: Row, product_ms: float | None, product_macs: int, bytes_a_ms: float) -> Row:
    """``row`` with the least time that its arithmetic and its traffic could take.

    ``product_ms`` is the median of the probe of ``product_macs`` multiply-adds in the row's
    precision and threads; ``bytes_a_ms`` what a copy reads and writes.
    """
    if row["median_ms"] is None or not product_ms or not bytes_a_ms:
        return row
    arithmetic = row["macs"] * product_ms / product_macs
    traffic = row["moved_bytes"] / bytes_a_ms
    bound = max(arithmetic, traffic)
    return row | {
        "gmacs_per_s": product_macs / product_ms / 1e6,
        "gbytes_per_s": bytes_a_ms / 1e6,
        "arithmetic_ms": arithmetic,
        "traffic_ms": traffic,
        "bound_ms": bound,
        "of_bound": row["median_ms"] / bound,
    }


def bound_lines(rows: Sequence[Row]) -> list[str]:
    """What the machine can do, and how far each ExecuTorch program is from that."""
    speeds, models = {}, []
    for row in ordered([row for row in rows if "bound_ms" in row]):
        kind = f"{row['precision']}, threads {row['threads']}"
        speeds[kind] = (
            f"{kind}: {row['gmacs_per_s']:.0f} G multiply-adds/s in large products, "
            f"{row['gbytes_per_s']:.1f} GB/s in a copy"
        )
        larger = "arithmetic" if row["arithmetic_ms"] >= row["traffic_ms"] else "traffic"
        models.append(
            f"{row['model']} {row['form']} {kind}: {row['macs'] / 1e6:.0f} M multiply-adds, "
            f"at least {row['bound_ms']:.3f} ms ({larger}), "
            f"measured {row['of_bound']:.2f} times that"
        )
    return [*speeds.values(), *models]


def ordered(rows: Sequence[Row]) -> list[Row]:
    """By form, threads, runtime, precision and model."""
    return sorted(
        rows,
        key=lambda row: (
            FORMS.index(row["form"]),
            row["threads"],
            RUNTIMES.index(row["runtime"]),
            PRECISIONS.index(row["precision"]),
            MODELS.index(row["model"]),
        ),
    )


def table(rows: Sequence[Row]) -> str:
    """Markdown; what did not run is listed below with its reason."""
    listed = ordered(rows)
    text = [markdown(COLUMNS, (_cells(row, rows) for row in listed), COLUMNS[WORDS:])]
    failed = [row for row in listed if row["median_ms"] is None]
    reasons = {(row["model"], row["form"], row["precision"], row["runtime"], row["reason"]): None
               for row in failed}  # fmt: skip
    if reasons:
        text += ["", "Did not run:", ""]
        text += [f"- {' '.join(names)}: {reason}" for *names, reason in reasons]
    return "\n".join(text)


def _cells(row: Row, rows: Sequence[Row]) -> list[str]:
    words = [row["form"], str(row["threads"]), row["runtime"], row["precision"], row["model"]]
    if row["median_ms"] is None:
        return words + ["-"] * (len(COLUMNS) - WORDS)
    ratios = []
    for model in ("tsm", "tsn"):
        side = Side(model, row["form"], row["precision"], row["runtime"])
        other = _median(rows, side, row["threads"])
        ratios.append(f"{row['median_ms'] / other:.3f}" if other else "-")
    return [
        *words,
        *(f"{row[key]:.3f}" for key in ("median_ms", "min_ms", "p90_ms")),
        *ratios,
        f"{row['of_bound']:.2f}" if "of_bound" in row else "-",
        f"{row['load_ms']:.1f}",
        f"{row['first_ms']:.1f}",
        f"{row['peak_rss_mib']:.0f}",
        f"{row['artifact_bytes'] / 1e6:.2f}",
        f"{row['state_bytes'] / 1024:.0f}",
    ]


def plot(rows: Sequence[Row], path: Path) -> None:
    """Points of the medians by runtime and precision: a column a form, a row a thread count.

    The axis is logarithmic: eager PyTorch and an int8 program are far apart.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = ordered([row for row in rows if row["median_ms"] is not None])
    counts = sorted({row["threads"] for row in rows}) or [1]
    figure, axes = pyplot.subplots(
        len(counts), len(FORMS), figsize=(12, 4 * len(counts)), layout="constrained", squeeze=False
    )
    for line, threads in zip(axes, counts, strict=True):
        for axis, form in zip(line, FORMS, strict=True):
            chosen = [row for row in rows if (row["form"], row["threads"]) == (form, threads)]
            _chart(axis, chosen)
            axis.set(title=f"{form}, threads {threads}", xlabel="median ms (logarithmic)")
    pyplot.close(figure)
    write_figure("--plot", path, figure, dpi=110)


def _chart(axis: object, rows: list[Row]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    groups = list(dict.fromkeys((row["runtime"], row["precision"]) for row in rows))
    looks = zip(MODELS, ("C7", "C0", "C1"), "os^", strict=True)
    for index, (model, colour, marker) in enumerate(looks):
        mine = [row for row in rows if row["model"] == model]
        places = [groups.index((row["runtime"], row["precision"])) for row in mine]
        # Points: a bar on a logarithmic axis would begin anywhere.
        axis.plot(
            [row["median_ms"] for row in mine],
            [place + 0.22 * (index - 1) for place in places],
            marker,
            color=colour,
            label=model.upper(),
        )
    axis.set_yticks(range(len(groups)), [" ".join(group) for group in groups])
    axis.invert_yaxis()
    if rows:
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.legend(fontsize=8)
    axis.grid(axis="x", alpha=0.3)
