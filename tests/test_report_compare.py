"""What the report says where figures do not mean the same, and how runs are told apart."""

from pathlib import Path

import pytest
from latency_reports import make_report, make_run, save, sustained
from matplotlib.artist import Artist
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from mobile_export.report import charts, draw, gallery, page, scatter
from mobile_export.report.__main__ import main
from mobile_export.report.merge import merge
from mobile_export.report.table import COLUMNS, badges, heat_rank
from mobile_export.report.text import UNITS, label_parts

WIDEST = "0.12 + 2.3 + 0.01 ms"  # what a chart writes beside the name of a run


def core_ml() -> dict:
    """A report of an iPhone: three sorts of units, one of them at a camera's pace as well."""
    units = [make_run(2.0 + n, n, backend="coreml", threads=None, compute_units=name)
             for n, name in enumerate(UNITS)]  # fmt: skip
    return make_report(
        "iPhone", [*units, units[0] | {"paced_at": 10}], device={"kind": "ios"},
        artifact={"bundle": "coreml-int8", "target": "coreml", "sha256": "12" * 32,
                  "delegated_share": 0.996, "operators_outside": None},
    )  # fmt: skip


def test_runs_of_a_backend_share_its_colour_and_do_not_look_alike() -> None:
    report = core_ml()
    rows = merge([report, make_report()])["rows"]
    assert [row["backend"] for row in rows] == ["coreml"] * 4 + ["xnnpack"]
    colours = draw.light_colours()
    drawn = [draw.row_colour(row, rows, colours) for row in rows]
    assert drawn == [colours["third"]] * 4 + [colours["first"]]
    whats = [label_parts(row)[1] for row in rows]
    assert whats == ["coreml ANE", "coreml GPU", "coreml CPU", "coreml ANE at 10/s",
                     "xnnpack \N{MULTIPLICATION SIGN}1"]  # fmt: skip
    markers = [marker for _, marker in scatter._kinds(rows).values()]
    assert len(set(markers)) == 5
    assert {"o", "^"} <= set(markers)  # those of XNNPACK and Core ML


def test_what_ran_is_not_shortened() -> None:
    rows = merge([core_ml()])["rows"]
    for row in rows:
        axes = draw.blank(40, draw.light_colours())
        draw.row_text(axes, row, 20, WIDEST, draw.light_colours())
        assert axes.texts[0].get_text().endswith(label_parts(row)[1])


def test_a_pace_is_no_throughput() -> None:
    report = core_ml()
    rows = merge([report])["rows"]
    assert [row["decisions_a_second"] is None for row in rows] == [False, False, False, True]
    figure = charts.throughput(rows, draw.light_colours())
    assert [text.get_text() for text in figure.axes[0].texts].count("paced") == 1
    charts.throughput(rows[3:], draw.light_colours())  # also where there is no other


def test_platforms_are_compared_with_care(tmp_path: Path, capsys) -> None:
    host = make_report("laptop", device={"kind": "host"})
    found = merge([host, make_report(), core_ml()])["warnings"]
    assert any("RGB on a host (laptop) and with YUV 4:2:0 on a phone (Pixel 8, iPhone)" in sentence
               for sentence in found)  # fmt: skip
    assert any("Peak memory" in s and "footprint, as iOS counts it" in s for s in found)
    phones = merge([make_report(), core_ml()])["warnings"]
    assert [sentence.split()[0] for sentence in phones] == ["Peak"]
    assert merge([host])["warnings"] == merge([core_ml()])["warnings"] == []
    files = [save(host, tmp_path / "a.json"), save(make_report(), tmp_path / "b.json")]
    assert main([*files, "--html", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().err.count("warning: ") == 2


@pytest.mark.parametrize(
    ("before", "after", "marked"),
    [("none", "light", True), ("light", "none", False), ("unknown", "severe", False),
     ("light", "unknown", False), ("unknown", "unknown", False)],
)  # fmt: skip
def test_a_word_that_is_not_known_is_no_heat(before: str, after: str, marked: bool) -> None:
    states = [{"status": word, "celsius": 40.0} for word in (before, after)]
    conditions = dict(zip(("thermal_before", "thermal_after"), states, strict=True))
    run = make_run(conditions=conditions | {"power_mode": None, "battery": None})
    (row,) = merge([make_report(runs=[run])])["rows"]
    (column,) = [column for column in COLUMNS if column.key == "thermal_after"]
    assert bool(badges(row, column)) == marked
    for state in states:
        assert (heat_rank(state) is None) == (state["status"] == "unknown")


def test_a_plan_is_not_called_a_measurement(tmp_path: Path) -> None:
    cells = [page._delegated(report["artifact"]) for report in (
        make_report(), make_report(artifact={"operators_outside": 3}), core_ml(),
        make_report(artifact={"operators_outside": None}),
    )]  # fmt: skip
    assert cells == ["0 outside", "3 outside", "99 % anticipated", "\N{EN DASH}"]


def test_the_last_interval_is_a_whole_one() -> None:
    whole = sustained(5.0, 1.4)
    end = whole["points"][-1]
    cut = whole["points"] + [end | {"at_s": end["at_s"] + 0.2, "calls": 1, "p50_ms": 50.0}]
    assert charts._change(cut) == charts._change(whole["points"])
    assert charts._change(cut).endswith("(+40 %)")
    assert charts._change(cut[:1]) == "5.00 ms"  # nothing to compare it with


def test_the_title_of_a_picture_is_not_covered(monkeypatch) -> None:
    reports = [core_ml(), make_report()]
    rows = merge(reports)["rows"]
    boxes: dict[str, list[Bbox]] = {}

    def record(kind: type[Artist], key) -> None:
        """Keep where each artist of a kind is when the picture is drawn."""
        plain_draw = kind.draw

        def drawn(self, renderer, *more, **named):
            plain_draw(self, renderer, *more, **named)
            boxes.setdefault(key(self), []).append(self.get_window_extent(renderer))

        monkeypatch.setattr(kind, "draw", drawn)

    record(Legend, lambda _: "legend")
    record(Text, Text.get_text)
    runs = [run for report in reports for run in report["runs"]]
    for chart in gallery.make_charts(rows, runs):
        boxes.clear()
        draw.png(chart)
        if chart.name in ("accuracy", "stages"):
            # Of the last time that each is drawn: matplotlib measures a figure by drawing it.
            assert not boxes["legend"][-1].overlaps(boxes[chart.title][-1])
