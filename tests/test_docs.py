"""What documents point to is there: links, numbers of rewrites, the example of a state."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEMOS = [ROOT / "android_demo/README.md", ROOT / "ios_demo/README.md"]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *DEMOS])


def anchors(page: Path) -> set[str]:
    """The addresses of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        to = page.parent / file if file else page
        assert to.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(to), f"{page.name}: {link}"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


def test_rewrites_have_their_number_in_the_code_and_in_the_appendix() -> None:
    rows = re.findall(r"^\| R(\d+) \|", (ROOT / "docs/performance.md").read_text(), re.MULTILINE)
    code = "\n".join(file.read_text() for file in (ROOT / "mobile_export").rglob("*.py"))
    told = set(map(int, rows))
    assert told == set(range(1, len(told) + 1))
    # The summary in the module docstring of graph/fused.py is no line of code.
    code = code.replace("R1 to R14", "")
    assert {int(number) for number in re.findall(r"\bR(\d+)\b", code)} == told


def test_the_example_of_a_state_runs() -> None:
    text = (ROOT / "docs/bundle.md").read_text()
    held = text.split("<!-- state-numpy -->")[1].split("<!-- /state-numpy -->")[0]
    exec(held.strip().removeprefix("```python").removesuffix("```"), {})
