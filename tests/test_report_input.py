"""Files and outputs that the report cannot use are refused in one line, and nothing is written."""

from pathlib import Path

import pytest
from latency_reports import make_report, save

from core.errors import BadInput
from mobile_export.report.__main__ import main


def refused(argv: list[str], folder: Path, said: str) -> None:
    """``main(argv)`` raises a one-line ``BadInput`` and changes nothing below ``folder``."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(BadInput, match=said) as error:
        main(argv)
    assert "\n" not in str(error.value)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", r"is not JSON \(Expecting value"),
        ("[1, 2", r"is not JSON \("),
        ('{"schema": NaN}', "holds NaN, which is no number of JSON"),
        ('{"schema": 1e999}', "holds 1e999"),
        ('{"schema": 1e19}', "holds 1e19"),
        ('{"schema": ' + "9" * 400 + "}", "holds 99999999999999999999, "),
        ("[" * 100_000, "is not JSON"),
        (b"\xff\xfe", "is not JSON .*utf-8"),
        ('["\\ud800"]', "is not JSON .*surrogates"),
        ("[]", r"is not a latency report \(\$: \[\] is not of type 'object'\)"),
        ("{}", r"is not a latency report \(\$: 'schema' is a required property\)"),
        ('{"schema": 2}', "schema 2: this version reads 1; update action-mobile"),
        ('{"schema": true}', r"is not a latency report \(\$"),
    ],
)
def test_content_that_is_no_report(content: str | bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused([str(file), "--html", str(tmp_path / "x.html")], tmp_path, f"bad.json .*{said}")


def change(report: dict, place: str, value: object) -> dict:
    """The report with one value at a path of keys and numbers replaced."""
    *way, last = [int(key) if key.isdigit() else key for key in place.split(".")]
    part = report
    for key in way:
        part = part[key]
    part[last] = value
    return report


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("artifact.sha256", "abc", r"\$.artifact.sha256: 'abc' does not match"),
        ("artifact.target", "tflite", r"\$.artifact.target: 'tflite' is not one of"),
        ("runs", [], r"\$.runs: \[\] should be non-empty"),
        ("runs.0.threads", 0, r"\$.runs\[0\].threads: 0 is less than"),
        ("runs.0.end_to_end_ms.3", -1, r"\$.runs\[0\].end_to_end_ms\[3\]: -1 is less than"),
        ("runs.0.end_to_end_ms", [1.0], r"\$.runs\[0\].end_to_end_ms: 1 calls where .* counts 400"),
        ("runs.0.stages.execute.p90", 0, r"\$.runs\[0\].stages.execute: .* not in rising order"),
        ("name", "", r"\$.name: '' should be non-empty"),
    ],
)
def test_report_that_breaks_the_schema(
    place: str, value: object, said: str, tmp_path: Path
) -> None:
    file = save(change(make_report(), place, value), tmp_path / "a.json")
    refused([file, "--html", str(tmp_path / "x.html")], tmp_path, f"not a latency report .{said}")


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    a = save(make_report("same"), tmp_path / "a.json")
    b = save(make_report("same"), tmp_path / "b.json")
    out = ["--html", str(tmp_path / "x.html")]
    refused(out, tmp_path, "no report: give files")
    refused([str(tmp_path / "no.json"), *out], tmp_path, r"no.json cannot be read \(No such file")
    refused([str(tmp_path), *out], tmp_path, r"cannot be read \(Is a directory\)")
    refused([f"={a}", *out], tmp_path, f"={a} has an empty name: give NAME={a}")
    refused([a, b, *out], tmp_path, f"{a} and {b} are both named same: .*NAME={b}")
    refused([f"x={a}", f"x={b}", *out], tmp_path, f"{a} and {b} are both named x")
    refused([a, "x" * 300, *out], tmp_path, "cannot be read .File name too long")


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    a = save(make_report(), tmp_path / "a.json")
    page_file = str(tmp_path / "x.html")
    refused(
        [a, "--html", str(tmp_path / "no" / "x.html")], tmp_path, "--html .* folder that exists"
    )
    refused([a, "--html", str(tmp_path)], tmp_path, "--html .* cannot be written")
    json_file = ["--html", page_file, "--json", str(tmp_path / "no" / "x.json")]
    refused([a, *json_file], tmp_path, "--json .* give a file in a folder that exists")
    refused([a, "--html", page_file, "--png", a], tmp_path, "--png .* cannot be a folder")
    refused([a, "--html", a], tmp_path, "--html .* is one of the reports")
    refused([f"x={a}", "--html", page_file, "--json", a], tmp_path, "--json .* one of the reports")
    refused([a, "--html", page_file, "--json", page_file], tmp_path, "--json .* the page as well")
