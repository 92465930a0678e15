"""Latency reports are merged into one page; what cannot be used is refused in one line."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest
from latency_reports import make_report, make_run, operators, save, sustained

from core.errors import BadInput
from core.files import write_whole
from mobile_export.report import draw
from mobile_export.report.__main__ import main
from mobile_export.report.merge import merge
from mobile_export.report.read import load

ROOT = Path(__file__).parents[1]
EVIL = "<script>alert(1)</script>"
TEXT_CONTRAST, SHAPE_CONTRAST = 4.5, 3.0  # WCAG 2.2, level AA
CHARTS = ("accuracy", "throughput", "latency", "stages", "sustained", "operators-1")


class Elements(HTMLParser):
    """Tags with their attributes, and the text within each kind of tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found:
            self.texts.setdefault(self.found[-1][0], []).append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


def two_devices(folder: Path) -> list[str]:
    """Arguments: a phone with two runs, one of them with everything, and another with a Core ML."""
    full = make_run(6.0, 1, sustained=sustained(6.0, 1.4), operators=operators())
    vulkan = make_run(
        9.0, 2, backend="vulkan", threads=None, operators_note="Vulkan is not traced.",
        fallback="coreml: no such backend",
    )  # fmt: skip
    phone = make_report("Pixel 8", [full, vulkan])
    other = make_report(
        "iPhone", [make_run(2.0, 3, backend="coreml", threads=None)],
        artifact={"bundle": "coreml-int8", "target": "coreml", "sha256": "12" * 32},
        accuracy={"interpreted": True},
    )  # fmt: skip
    return [save(phone, folder / "pixel.json"), save(other, folder / "iphone.json")]


def build(folder: Path, arguments: list[str], *more: str) -> str:
    """The page of these reports."""
    file = folder / "page.html"
    assert main([*arguments, "--html", str(file), *more]) == 0
    return file.read_text(encoding="utf-8")


def test_user_path(tmp_path: Path, capsys) -> None:
    rows_file, pictures = tmp_path / "rows.json", tmp_path / "pictures"
    text = build(tmp_path, two_devices(tmp_path), "--json", str(rows_file), "--png", str(pictures))
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("| # | Report | Artifact | Backend | Threads | p50, ms |")
    assert "| vulkan (fallback: coreml: no such backend) | \N{EN DASH} |" in lines[3]
    assert "98.52 % (interpreted)" in lines[4]
    assert [str(tmp_path / "page.html"), str(rows_file), str(pictures)] == lines[-3:]
    assert err == ""
    assert sorted(p.stem for p in pictures.iterdir()) == sorted(CHARTS)
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in pictures.iterdir())
    found = Elements(text)
    assert [a["id"] for a in found.all("figure")] == list(CHARTS)
    assert all(a["role"] == "img" and a["aria-label"] for a in found.all("svg"))
    assert "#2: Vulkan is not traced." in text
    assert "7 more take" in text  # of 22 operators, 15 are drawn
    # The page carries the rows that --json wrote.
    embedded = re.search(r'id="data">(.*?)</script>', text, re.S)[1]
    assert json.loads(embedded) == json.loads(rows_file.read_text())


def test_module_runs_with_the_default_page(tmp_path: Path) -> None:
    file = save(make_report(), tmp_path / "a.json")
    command = [sys.executable, "-m", "mobile_export.report"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, file], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "report.html"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "report.html"]
    done = subprocess.run(
        [*command, "no.json"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: report no.json cannot be read (No such file")


def test_rows_are_the_runs(tmp_path: Path) -> None:
    reports = [load(Path(file)) for file in two_devices(tmp_path)]
    rows = merge(reports)["rows"]
    assert [(r["number"], r["report"], r["backend"]) for r in rows] == [
        (1, "Pixel 8", "xnnpack"), (2, "Pixel 8", "vulkan"), (3, "iPhone", "coreml"),
    ]  # fmt: skip
    runs = [run for report in reports for run in report["runs"]]
    for row, run in zip(rows, runs, strict=True):
        total = run["stages"]["end_to_end"]
        assert row["p99_ms"] == total["p99"]
        assert row["decisions_a_second"] == pytest.approx(1000 / total["mean"])
        assert row["budget_share"] == pytest.approx(total["p50"] / 100)  # 10 frames a second
    assert not any(row["differs"] for row in rows)


def test_what_is_unknown_is_null_and_a_dash(tmp_path: Path) -> None:
    unknown = {"status": "unknown", "celsius": None}
    run = make_run(
        threads=None,
        memory={"before_bytes": None, "steady_bytes": None, "peak_bytes": None},
        conditions={"thermal_before": unknown, "thermal_after": unknown, "power_mode": None,
                    "battery": None},
    )  # fmt: skip
    report = make_report(runs=[run], accuracy=None, device={"soc": None, "memory_bytes": None})
    text = build(tmp_path, [save(report, tmp_path / "a.json")])
    row = merge([report])["rows"][0]
    assert [row[key] for key in ("threads", "soc", "top1", "peak_bytes", "power_mode")] == [
        None
    ] * 5
    found = Elements(text)
    assert [a["id"] for a in found.all("figure")] == ["throughput", "latency", "stages"]
    cells = [a for a in found.all("td") if a.get("data-value") == ""]
    assert len(cells) == 7  # threads, top-1, peak, heat twice, power, SoC


def test_same_name_but_another_artifact(tmp_path: Path, capsys) -> None:
    files = [
        save(make_report("one"), tmp_path / "1.json"),
        save(make_report("two", artifact={"sha256": "9f" * 32}), tmp_path / "2.json"),
        save(make_report("three", artifact={"bundle": "else", "sha256": "77" * 32},
                         accuracy={"clips": 500}), tmp_path / "3.json"),
    ]  # fmt: skip
    text = build(tmp_path, files)
    out, err = capsys.readouterr()
    name = "mobilenet_v2-action-stream-xnnpack-int8"
    assert f"warning: {name} is 2 different artifacts (abababababab in one; 9f9f9f9f9f9f in" in err
    assert "warning: Top-1 was measured on different clips" in err
    assert err.count("\n") == 2
    assert f"<li>{name} is 2 different artifacts" in text
    badges = re.findall(r'<span class="badge">(\w+)</span>', text)
    assert badges == ["abababababab", "9f9f9f9f9f9f"]
    assert out.count("xnnpack (abababababab)") == 1


def test_text_of_reports_is_inert(tmp_path: Path) -> None:
    words = f"""{EVIL}"'--> & ]]> \x1b[31m \u202e #f1e200"""
    tail = [{"name": f"$x$ {EVIL}{n}", "calls": 1, "ms": 1.0} for n in range(3)]
    run = make_run(backend=EVIL, fallback=EVIL, operators=tail, operators_note=EVIL)
    device = {"model": EVIL, "soc": EVIL, "os": EVIL, "os_build": EVIL}
    report = make_report(
        words, [run], device=device, artifact={"bundle": EVIL, "backbone": EVIL},
        input={"source": EVIL}, tools={EVIL: EVIL},
    )  # fmt: skip
    other = make_report(
        "other", artifact={"bundle": EVIL, "sha256": "12" * 32}, accuracy={"data": EVIL}
    )
    files = [save(report, tmp_path / "a.json"), save(other, tmp_path / "b.json")]
    text = build(tmp_path, files, "--png", str(tmp_path))
    found = Elements(text)
    kinds = [attributes.get("type") for attributes in found.all("script")]
    assert kinds == ["application/json", None]
    drawn = " ".join(found.texts["text"])
    assert "<script>" in drawn
    assert "$x$" in drawn  # no mathematics is made of it
    assert "\x1b" not in text
    assert "\u202e" not in text
    embedded = re.search(r'id="data">(.*?)</script>', text, re.S)[1]
    assert json.loads(embedded)["rows"][0]["report"] == words


def test_markdown_stays_a_table(tmp_path: Path, capsys) -> None:
    build(tmp_path, [save(make_report("a|b\nc"), tmp_path / "a.json")])
    table = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert len(table) == 3
    assert "a\\|b c" in table[2]


def test_ids_of_inlined_charts_do_not_clash(tmp_path: Path) -> None:
    text = build(tmp_path, two_devices(tmp_path))
    ids = [a["id"] for _, a in Elements(text).found if "id" in a]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text))
    assert used
    assert {a or b for a, b in used} <= set(ids)


def test_same_reports_same_bytes(tmp_path: Path) -> None:
    files = two_devices(tmp_path)
    pictures = [str(tmp_path / "one"), str(tmp_path / "two")]
    first, second = (build(tmp_path, files, "--png", folder) for folder in pictures)
    assert first == second
    for name in CHARTS:
        one, two = ((Path(folder) / f"{name}.png").read_bytes() for folder in pictures)
        assert one == two


def palettes() -> list[dict[str, str]]:
    """Variables of the light theme, and of the dark one."""
    css = resources.files("mobile_export.report").joinpath("page.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", css, re.S)
    return [dict(re.findall(r"--([\w-]+): (#\w{6});", block)) for block in (light, dark)]


def test_charts_use_variables_of_both_themes(tmp_path: Path) -> None:
    text = build(tmp_path, two_devices(tmp_path))
    light, dark = palettes()
    assert light.keys() == dark.keys() == draw.light_colours().keys()
    assert set(re.findall(r"var\(--([\w-]+)\)", text)) <= light.keys()
    inside = "".join(re.findall(r"<svg.*?</svg>", text, re.S))
    assert "var(--ink)" in inside
    assert not re.findall(r'(?:fill|stroke)[:=]"? ?#\w+', inside)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast(theme: int) -> None:
    colours = palettes()[theme]

    def luminance(name: str) -> float:
        parts = (int(colours[name][i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(a: str, b: str) -> float:
        low, high = sorted((luminance(a), luminance(b)))
        return (high + 0.05) / (low + 0.05)

    for text in ("ink", "muted", "accent"):
        assert min(contrast(text, "card"), contrast(text, "paper")) >= TEXT_CONTRAST
    assert min(contrast(text, "warn-paper") for text in ("warn", "ink")) >= TEXT_CONTRAST
    assert min(contrast(name, "card") for name in draw.SERIES) >= SHAPE_CONTRAST
    assert contrast("before", "middle") >= 2  # neighbours in a bar, told apart by hatches as well


@pytest.mark.parametrize("times", [0.0, 1e-9, 1e12], ids=["nothing", "tiny", "huge"])
def test_any_time_can_be_drawn(times: float, tmp_path: Path) -> None:
    odd = make_run(times, operators=[{"name": "", "calls": 1, "ms": times}])
    odd["sustained"] = {"seconds": 1, "calls": 1, "points": [
        {"at_s": 0, "calls": 1, "p50_ms": times, "p99_ms": times}]}  # fmt: skip
    odd["end_to_end_ms"] = odd["end_to_end_ms"][:1]
    odd["stages"]["end_to_end"]["count"] = 1
    files = [save(make_report("odd", [odd]), tmp_path / "a.json"),
             save(make_report("usual"), tmp_path / "b.json")]  # fmt: skip
    for chosen in (files, files[:1]):
        text = build(tmp_path, chosen)
        assert not re.search(r"\b(nan|inf|Infinity)\b", text)


def test_height_grows_with_the_runs(tmp_path: Path) -> None:
    runs = [make_run(1.1**n, n, backend=f"backend {n % 6}") for n in range(36)]
    text = build(tmp_path, [save(make_report(runs=runs), tmp_path / "a.json")])
    heights = re.findall(r'<svg[^>]*viewBox="0 0 \S+ ([\d.]+)"', text)
    accuracy, *others = [float(height) for height in heights]
    assert accuracy > 400
    assert min(others) > 36 * 30


def test_failed_write_leaves_the_old_page(tmp_path: Path, monkeypatch) -> None:
    files = two_devices(tmp_path)
    before = build(tmp_path, files[:1])

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    names = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(BadInput, match=r"--html .* cannot be written \(No space left"):
        build(tmp_path, files)
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert (tmp_path / "page.html").read_text() == before


def test_links_and_devices_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.html"
    link.symlink_to(tmp_path / "real" / "page.html")
    write_whole("--html", link, b"page")
    assert link.is_symlink()
    assert (tmp_path / "real" / "page.html").read_bytes() == b"page"
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    write_whole("--json", null, b"rows")
    assert Path("/dev/null").is_char_device()


def test_name_from_the_command_line(tmp_path: Path) -> None:
    file = save(make_report("same"), tmp_path / "a.json")
    equals = save(make_report("with = in its path"), tmp_path / "b=c.json")
    text = build(tmp_path, [file, f"new name={file}", equals, f"b={equals}"])
    rows = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])["rows"]
    assert [row["report"] for row in rows] == ["same", "new name", "with = in its path", "b"]
