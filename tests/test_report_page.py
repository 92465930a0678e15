"""The page of merged latency reports, as a browser shows it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from latency_reports import make_report, make_run, operators, save, sustained

from mobile_export.report.__main__ import main
from mobile_export.report.text import MISSING

PHONE = {"width": 360, "height": 740}  # CSS pixels, of a small phone
LEAST_TEXT = 9.0  # CSS pixels, the smallest text of a chart on it
EVIL = '<script>window.evil = true</script><img src=x onerror="window.evil = true">'

pytestmark = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="chromium is not installed: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator:
    opened = chromium()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """A page with every chart; its p50 times would sort in another order as text."""
    folder = tmp_path_factory.mktemp("page")
    runs = [
        make_run(t, n, threads=n or None, sustained=sustained(t, 1.5), operators=operators())
        for n, t in enumerate((9.0, 101.0, 9.0))
    ]
    # Collation by runs of digits would put 9.5 before 9.125.
    for run, p50 in zip(runs, (9.5, 101.25, 9.125), strict=True):
        run["stages"]["end_to_end"] |= {"min": 9.0, "p50": p50, "p90": 105.0, "p99": 110.0}
    reports = [
        make_report("Pixel 8", runs),
        make_report(EVIL, [make_run(2.0, backend=EVIL)], accuracy=None),
        make_report("one" * 40, [make_run(1.0, backend="vulkan")], artifact={"sha256": "9f" * 32}),
    ]
    files = [save(report, folder / f"{n}.json") for n, report in enumerate(reports)]
    assert main([*files, "--html", str(folder / "report.html")]) == 0
    return folder / "report.html"


@pytest.fixture
def page(browser, file: Path) -> Iterator:
    """The page in a wide window; fails when it asks for another file or a console has a word."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file.as_uri())
    yield opened
    opened.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]


def column(page, title: str) -> list[str]:
    """Texts of a column of the table of runs, from top to bottom."""
    return page.evaluate(
        """title => {
          const heads = [...document.querySelectorAll("#runs .titles th")];
          const at = heads.findIndex((head) => head.textContent === title);
          return [...document.querySelector("#runs").tBodies[0].rows].map(
            (row) => row.cells[at].textContent);
        }""",
        title,
    )


def head(page, title: str):
    return page.locator("#runs").get_by_role("columnheader", name=title, exact=True)


def test_every_chart_is_drawn(page) -> None:
    names = page.eval_on_selector_all("figure", "all => all.map((one) => one.id)")
    assert names == [
        "accuracy", "throughput", "latency", "stages", "sustained",
        "operators-1", "operators-2", "operators-3",
    ]  # fmt: skip
    for name in names:
        box = page.locator(f"#{name} svg").bounding_box()
        assert min(box["width"], box["height"]) > 150
        # What a clip path or a variable that does not resolve would hide is black or not there.
        colours = page.eval_on_selector_all(
            f"#{name} svg path, #{name} svg text",
            "all => all.map((one) => getComputedStyle(one).fill + getComputedStyle(one).stroke)",
        )
        assert len(set(colours)) >= 3
    assert page.get_by_role("img", name="Stages").count() == 1


def test_no_text_of_a_chart_is_cut_off(page) -> None:
    outside = page.eval_on_selector_all(
        "svg text",
        """all => all.filter((one) => {
          const [text, all] = [one, one.ownerSVGElement].map((e) => e.getBoundingClientRect());
          return text.left < all.left || text.right > all.right
            || text.top < all.top || text.bottom > all.bottom;
        }).map((one) => one.textContent)""",
    )
    assert outside == []


def test_click_sorts_by_number(page) -> None:
    before = column(page, "p50")
    head(page, "p50").get_by_role("button").click()
    rising = column(page, "p50")
    assert rising == sorted(before, key=float)
    assert rising != sorted(before)  # as text it would be another order
    assert head(page, "p50").get_attribute("aria-sort") == "ascending"
    assert head(page, "#").get_attribute("aria-sort") == "none"
    head(page, "p50").get_by_role("button").click()
    assert column(page, "p50") == rising[::-1]
    assert head(page, "p50").get_attribute("aria-sort") == "descending"
    head(page, "#").get_by_role("button").click()
    assert column(page, "p50") == before


def test_keyboard_sorts(page) -> None:
    # From the container of the table, which can be scrolled by keys, to the headers within.
    page.locator(".scroll").first.focus()
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert head(page, "Report").get_attribute("aria-sort") == "ascending"
    names = column(page, "Report")
    assert names == sorted(names, key=str.lower)
    page.keyboard.press("Space")
    assert head(page, "Report").get_attribute("aria-sort") == "descending"
    assert column(page, "Report") == names[::-1]


def test_missing_values_come_last_either_way(page) -> None:
    for title in ("Top-1", "Threads"):
        for _ in range(2):
            head(page, title).get_by_role("button").click()
            assert column(page, title)[-1] == MISSING


def test_text_of_reports_is_inert(page) -> None:
    assert page.evaluate("window.evil") is None
    assert page.locator("img").count() == 0
    drawn = page.eval_on_selector_all("svg text", "all => all.map((one) => one.textContent)")
    assert any("<script>" in text for text in drawn)
    assert column(page, "Report")[3] == EVIL


def test_policy_lets_no_other_script_run(browser, file: Path) -> None:
    opened = browser.new_page()
    opened.goto(file.as_uri())
    opened.evaluate(
        """() => {
          document.addEventListener("securitypolicyviolation", () => { window.stopped = true; });
          const script = document.createElement("script");
          script.textContent = "window.evil = true";
          document.body.append(script);
        }"""
    )
    opened.wait_for_function("window.stopped")
    assert opened.evaluate("window.evil") is None
    opened.close()


def test_themes_differ(browser, file: Path) -> None:
    shots, inks = [], []
    for scheme in ("light", "dark"):
        opened = browser.new_page(color_scheme=scheme)
        opened.goto(file.as_uri())
        inks.append(
            opened.eval_on_selector(
                "#stages svg text[style*=--ink]", "one => getComputedStyle(one).fill"
            )
        )
        shots.append(opened.locator("#stages").screenshot())
        opened.close()
    assert shots[0] != shots[1]
    assert inks == ["rgb(27, 35, 48)", "rgb(230, 234, 242)"]


def test_phone(browser, file: Path) -> None:
    opened = browser.new_page(viewport=PHONE, device_scale_factor=3, has_touch=True)
    opened.goto(file.as_uri())
    width = PHONE["width"]
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    assert opened.evaluate("document.body.scrollWidth") == width
    scroll = opened.locator(".scroll").first
    assert scroll.evaluate("one => one.scrollWidth") > width  # the table moves, in its container
    scroll.evaluate("one => one.scrollTo(600, 0)")
    number = opened.locator("#runs tbody td").first.bounding_box()
    assert 0 <= number["x"] < 40  # and the number of the run stays in sight
    for box in opened.eval_on_selector_all(
        "figure svg", "all => all.map((one) => one.getBoundingClientRect().toJSON())"
    ):
        assert box["left"] >= 0
        assert box["right"] <= width
    sizes = opened.eval_on_selector_all(
        "svg text",
        """all => all.map((one) => parseFloat(getComputedStyle(one).fontSize)
             * one.ownerSVGElement.getBoundingClientRect().width
             / one.ownerSVGElement.viewBox.baseVal.width)""",
    )
    assert min(sizes) >= LEAST_TEXT
    opened.close()
