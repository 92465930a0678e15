"""The page: one HTML file that needs nothing else, from the merged reports."""

import base64
import hashlib
import json
import math
from html import escape
from importlib import resources
from itertools import groupby
from string import Template

from mobile_export.report import gallery
from mobile_export.report.draw import Chart, svg
from mobile_export.report.table import COLUMNS, Column, badges
from mobile_export.report.text import MISSING, megabytes, plain


def render(reports: list[dict], merged: dict, charts: list[Chart], operators: list[Chart]) -> str:
    """The whole HTML document; every text of a report is escaped."""
    rows, script = merged["rows"], _file("page.js")
    runs = [run for report in reports for run in report["runs"]]
    return Template(_file("page.html")).substitute(
        policy=_policy(script),
        css=_file("page.css"),
        js=script,
        lead=_lead(reports, rows),
        warnings=_warnings(merged["warnings"]),
        head=_head(),
        body="\n".join(_row(row) for row in rows),
        meanings="\n".join(
            f"<dt>{escape(c.title)} <small>({escape(c.group)})</small></dt>"
            f"<dd>{escape(c.meaning)}</dd>"
            for c in COLUMNS
        ),
        charts="\n".join(_figure(chart) for chart in charts),
        operators=_operators(operators, gallery.untraced(rows, runs)),
        sources=_sources(reports),
        data=embedded(merged),
    )


def embedded(data: object) -> str:
    """JSON that can stand within a script element: no ``<`` of it can end the element."""
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")


def _file(name: str) -> str:
    return resources.files("mobile_export.report").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Nothing is loaded, this one script runs; charts have their colours in style attributes."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _text(value: str) -> str:
    return escape(plain(value))


def _lead(reports: list[dict], rows: list[dict]) -> str:
    devices = {(report["device"]["model"], report["device"]["os_build"]) for report in reports}
    artifacts = {(r["artifact"]["bundle"], r["artifact"]["sha256"]) for r in reports}
    days = sorted({report["created"][:10] for report in reports})
    counts = (
        _count(len(rows), "run"), _count(len(reports), "report"), _count(len(devices), "device"),
        _count(len(artifacts), "artifact"),
    )  # fmt: skip
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"{counts[0]} in {counts[1]} of {counts[2]} and {counts[3]}, measured {when}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _warnings(sentences: list[str]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{_text(sentence)}.</li>" for sentence in sentences)
    return f'<div class="warnings" role="note"><h2>Compare with care</h2><ul>{items}</ul></div>'


def _head() -> str:
    groups = []
    for group, columns in groupby(COLUMNS, key=lambda column: column.group):
        groups.append(f'<th scope="colgroup" colspan="{len(list(columns))}">{escape(group)}</th>')
    titles = []
    for number, column in enumerate(COLUMNS):
        order = "ascending" if number == 0 else "none"
        titles.append(
            f'<th scope="col" class="{_classes(column)}" data-kind="{column.kind}" '
            f'aria-sort="{order}"><button type="button" title="{escape(column.meaning)}">'
            f"{escape(column.title)}</button></th>"
        )
    return f'<tr class="groups">{"".join(groups)}</tr>\n<tr class="titles">{"".join(titles)}</tr>'


LONG = ("report", "artifact", "backend", "input", "power", "device", "soc")  # cells that may wrap
WIDE = ("report", "device", "artifact", "power", "input", "soc")
FIXED = {"number": "fixed", "report": "named"}


def _classes(column: Column) -> str:
    names = [
        column.key if column.key in WIDE else "",
        "number" if column.kind == "number" else "",
        "long" if column.key in LONG else "",
        FIXED.get(column.key, ""),
    ]
    return " ".join(name for name in names if name)


def _row(row: dict) -> str:
    return f"<tr>{''.join(_cell(row, column) for column in COLUMNS)}</tr>"


def _cell(row: dict, column: Column) -> str:
    value, sort, classes = column.text(row), column.sort(row), _classes(column)
    shown = f"<bdi>{_text(value)}</bdi>" if value else MISSING
    if column.key == "sha256":
        shown = f"<code>{shown}</code>"
    for mark, why in badges(row, column):
        shown += f' <span class="badge">{escape(mark)}</span>'
        shown += f'<span class="why">{_text(why)}</span>' if why else ""
    key = "" if sort is None else _text(sort) if isinstance(sort, str) else repr(sort)
    tag = 'th scope="row"' if column.key == "report" else "td"
    return f'<{tag} class="{classes.strip()}" data-value="{key}">{shown}</{tag.split()[0]}>'


def _figure(chart: Chart) -> str:
    note = f'<span class="hint">{escape(chart.note)}</span>' if chart.note else ""
    return (
        f'<figure id="{chart.name}"><figcaption><strong>{escape(chart.title)}</strong>{note}'
        f"</figcaption>\n{svg(chart)}</figure>"
    )


def _operators(charts: list[Chart], without: dict[str, str]) -> str:
    parts = []
    if charts:
        figures = "\n".join(_figure(chart) for chart in charts)
        parts.append(f'<div class="charts">\n{figures}\n</div>')
    if without:
        items = "".join(f"<li>{escape(runs)}: {escape(why)}</li>" for why, runs in without.items())
        parts.append(f'<p class="hint">Not traced:</p><ul class="hint">{items}</ul>')
    return "\n".join(parts) or '<p class="hint">No run was traced.</p>'


def _delegated(artifact: dict) -> str:
    """Core ML's plan for the Neural Engine, or how many operators a delegate left."""
    share, outside = artifact["delegated_share"], artifact["operators_outside"]
    if artifact["target"] == "coreml":
        # Rounded down: 100 % are all of them.
        return MISSING if share is None else f"{math.floor(100 * share + 1e-9)} % anticipated"
    return MISSING if outside is None else f"{outside} outside"


def _sources(reports: list[dict]) -> str:
    titles = ("Report", "Measured", "Kind", "Cores", "Memory MB", "OS build", "Bundle", "Delegated",
              "Tools", "Artifact's SHA-256", "Checkpoint's SHA-256")  # fmt: skip
    heads = "".join(f'<th scope="col">{title}</th>' for title in titles)
    lines = [f'<thead><tr class="titles">{heads}</tr></thead>', "<tbody>"]
    for report in reports:
        device, artifact = report["device"], report["artifact"]
        memory = device["memory_bytes"]
        cells = (
            ("", report["created"].replace("T", " ").replace("Z", " UTC")),
            ("", device["kind"]),
            ("number", str(device["cores"])),
            ("number", megabytes(memory) if memory else MISSING),
            ("long", device["os_build"]),
            ("long bundle", artifact["bundle"]),
            ("", _delegated(artifact)),
            (
                "long tools",
                ", ".join(f"{name} {number}" for name, number in report["tools"].items()),
            ),
            ("hash", artifact["sha256"]),
            ("hash", artifact["checkpoint_sha256"]),
        )
        body = "".join(f'<td class="{kind}"><bdi>{_text(text)}</bdi></td>' for kind, text in cells)
        lines.append(
            f'<tr><th scope="row" class="long report">{_text(report["name"])}</th>{body}</tr>'
        )
    return "\n".join([*lines, "</tbody>"])
