"""Reports fetched from a phone, with a stand-in for adb."""

import json
from pathlib import Path

import pytest
from clips import refusal
from latency_reports import make_report

from mobile_export.report.__main__ import main

FAKE = """#!/bin/sh
if [ "$1" = devices ]; then printf 'List of devices attached\\n{devices}'; exit 0; fi
[ "$1" = pull ] || exit 0
cp {phone}/. "$3" -r 2>/dev/null || {{ echo "no such file" >&2; exit 1; }}
"""


@pytest.fixture
def phone(tmp_path: Path, monkeypatch):
    """A folder in the place of a phone's, and an adb that serves it."""

    def connect(devices: str = "abc\\tdevice\\n") -> Path:
        tools, folder = tmp_path / "tools", tmp_path / "phone"
        tools.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        (tools / "adb").write_text(FAKE.format(devices=devices, phone=folder))
        (tools / "adb").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
        return folder

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    return connect


def test_two_runs_of_one_phone_are_two_reports(phone, tmp_path: Path, capsys) -> None:
    folder = phone()
    for minute in (1, 2):
        report = make_report() | {"created": f"2026-11-25T10:0{minute}:00Z"}
        (folder / f"{minute}.json").write_text(json.dumps(report))
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "rows.json").write_text("[]")  # not of this phone, nor a report
    assert main(["--adb"]) == 0
    assert (tmp_path / "report.html").is_file()
    printed = capsys.readouterr().out
    assert "Pixel 8, 2026-11-25T10:01:00Z" in printed
    kept = [p.name for p in (tmp_path / "reports").iterdir()]
    assert sorted(kept) == ["1.json", "2.json", "rows.json"]


def test_a_report_whose_name_has_an_equals_sign(phone, capsys) -> None:
    folder = phone()
    (folder / "1.json").write_text(json.dumps(make_report() | {"name": "Pixel=8"}))
    assert main(["--adb"]) == 0
    assert "| Pixel=8 |" in capsys.readouterr().out  # without the time: no other has its name


def test_a_file_that_is_no_report_leaves_the_others(phone, tmp_path: Path, capsys) -> None:
    folder = phone()
    (folder / "a.json").write_text('{"schema": 1')
    (folder / "b.json").write_text(json.dumps(make_report()))
    (folder / "c.json").write_text('{"schema": 2}')
    assert main(["--adb"]) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("warning: --adb: a.json on the phone is not JSON (Expecting")
    assert second.startswith("warning: --adb: c.json on the phone is a report of schema 2")
    assert [p.name for p in (tmp_path / "reports").iterdir()] == ["b.json"]
    (folder / "b.json").write_text("[]")
    line = refusal(lambda: main(["--adb"]))
    assert "the phone has no report that can be used (a.json on the phone is not JSON" in line


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ("", "adb has none"),
        ("abc\\tunauthorized\\n", "abc unauthorized"),
        ("abc\\tdevice\\ndef\\tdevice\\n", "ANDROID_SERIAL"),
    ],
)
def test_not_exactly_one_phone(phone, devices: str, said: str) -> None:
    phone(devices)
    assert said in refusal(lambda: main(["--adb"]))


def test_one_of_two_phones_is_chosen(phone, tmp_path: Path, monkeypatch) -> None:
    folder = phone("abc\\tdevice\\ndef\\tdevice\\n")
    (folder / "1.json").write_text(json.dumps(make_report()))
    monkeypatch.setenv("ANDROID_SERIAL", "def")
    assert main(["--adb"]) == 0
    monkeypatch.setenv("ANDROID_SERIAL", "ghi")
    assert "which is ghi now" in refusal(lambda: main(["--adb"]))


def test_a_phone_without_reports(phone) -> None:
    folder = phone()
    assert "press Benchmark" in refusal(lambda: main(["--adb"]))
    folder.rmdir()
    assert "failed (no such file)" in refusal(lambda: main(["--adb"]))


def test_no_adb_and_nothing_at_all(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "adb is not installed" in refusal(lambda: main(["--adb"]))
    assert "no report" in refusal(lambda: main([]))
