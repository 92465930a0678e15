"""Reports fetched from an iPhone, with a stand-in for Xcode's devicectl."""

import json
from pathlib import Path

import pytest
from clips import refusal
from latency_reports import make_report

from mobile_export.report.__main__ import main

FAKE = """#!/bin/sh
for last; do :; done
case "$2 $3 $4" in
"list devices "*) cat {answers}/devices.json > "$last" ;;
"device info apps") cat {answers}/apps.json > "$last" ;;
"device copy from")
    case "$*" in *"--domain-identifier action.mobile.app.TEAM --source Documents/reports"*) ;;
    *) echo "another call: $*" >&2; exit 1 ;; esac
    while [ "$1" != --destination ]; do shift; done
    cp -r {phone}/. "$2" 2>/dev/null || {{ echo "no such file" >&2; exit 1; }}
    echo '{{}}' > "$last" ;;
esac
"""


def device(name: str, platform: str = "iOS", pairing: str = "paired") -> dict:
    """A device as devicectl lists it."""
    return {
        "identifier": f"ID-{name}",
        "deviceProperties": {"name": name},
        "hardwareProperties": {"platform": platform},
        "connectionProperties": {"pairingState": pairing, "tunnelState": "disconnected"},
    }


@pytest.fixture
def phone(tmp_path: Path, monkeypatch):
    """A folder in the place of an iPhone's, and an xcrun that serves it."""

    def connect(devices: list[dict], apps: tuple[str, ...] = ("action.mobile.app.TEAM",)) -> Path:
        tools, folder = tmp_path / "tools", tmp_path / "phone"
        tools.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        (tools / "xcrun").write_text(FAKE.format(answers=tools, phone=folder))
        (tools / "xcrun").chmod(0o755)
        (tools / "devices.json").write_text(json.dumps({"result": {"devices": devices}}))
        listed = [{"bundleIdentifier": app} for app in apps]
        (tools / "apps.json").write_text(json.dumps({"result": {"apps": listed}}))
        monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
        return folder

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IOS_DEVICE", raising=False)
    return connect


def test_reports_of_an_iphone(phone, tmp_path: Path, capsys) -> None:
    devices = [device("Mine"), device("Watch", "watchOS"), device("Old", pairing="unpaired")]
    folder = phone(devices)
    report = make_report()
    run = report["runs"][0] | {"backend": "coreml", "compute_units": "cpuAndNeuralEngine"}
    report["runs"] = [run, run | {"paced_at": 10, "warm_load_ms": 3.5}]
    (folder / "1.json").write_text(json.dumps(report))
    assert main(["--ios"]) == 0
    printed = capsys.readouterr().out
    assert "| coreml ANE |" in printed
    assert "| coreml ANE at 10/s |" in printed
    assert (tmp_path / "reports" / "1.json").is_file()
    assert (tmp_path / "report.html").is_file()


def test_what_is_missing_is_named(phone, monkeypatch) -> None:
    folder = phone([device("Mine")])
    assert "press Benchmark" in refusal(lambda: main(["--ios"]))
    folder.rmdir()
    assert "failed (no such file)" in refusal(lambda: main(["--ios"]))
    phone([device("Mine")], apps=("other",))
    assert "run ios_demo on it from Xcode" in refusal(lambda: main(["--ios"]))
    phone([])
    assert "devicectl has none" in refusal(lambda: main(["--ios"]))
    phone([device("Mine"), device("Yours")])
    assert "Yours ID-Yours" in refusal(lambda: main(["--ios"]))
    monkeypatch.setenv("IOS_DEVICE", "Theirs")
    assert "which is Theirs now" in refusal(lambda: main(["--ios"]))


def test_no_mac(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "it comes with Xcode on a Mac" in refusal(lambda: main(["--ios"]))
    assert "folder of its own" in refusal(lambda: main(["--ios", "--adb"]))
