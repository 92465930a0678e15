"""Reports that the iOS app left on an iPhone, fetched with Xcode's devicectl."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from core.errors import BadInput
from mobile_export.report.read import Named, kept

APP = "action.mobile.app"  # Xcode appends the team, so that every developer's app has its own name
REMOTE = "Documents/reports"
PATIENCE = 120.0  # seconds; the first connection after a restart takes its time


def copy(folder: Path) -> list[Named]:
    """Copy the iPhone's reports into ``folder``; the name and file of each, see ``read.kept``.

    Raises ``BadInput``: no Mac, no Xcode, not exactly one iPhone, no app or no reports on it, or a
    folder that cannot be written.
    """
    xcrun = shutil.which("xcrun")
    if xcrun is None:
        raise BadInput(
            "--ios: xcrun is not here; it comes with Xcode on a Mac. Elsewhere share the report "
            "from the app and give its file"
        )
    phone = _phone(xcrun)
    app = _app(xcrun, phone)
    inside = ["--domain-type", "appDataContainer", "--domain-identifier", app]
    device = ["devicectl", "device", "copy", "from", "--device", phone]
    with tempfile.TemporaryDirectory() as pulled:
        places = ["--source", REMOTE, "--destination", pulled]
        _devicectl([xcrun, *device, *inside, *places])
        found = kept(Path(pulled), folder, "--ios")
    if not found:
        raise BadInput(
            f"--ios: {REMOTE} of {app} holds no report: press Benchmark in the app first"
        )
    return found


def _phone(xcrun: str) -> str:
    """The identifier of the one iPhone or iPad that is paired; IOS_DEVICE chooses among several."""
    devices = _devicectl([xcrun, "devicectl", "list", "devices"]).get("devices", [])
    ready = {
        device["identifier"]: device.get("deviceProperties", {}).get("name", "?")
        for device in devices
        if device.get("hardwareProperties", {}).get("platform") == "iOS"
        and device.get("connectionProperties", {}).get("pairingState") == "paired"
        and device.get("connectionProperties", {}).get("tunnelState") != "unavailable"
    }
    chosen = os.environ.get("IOS_DEVICE")
    if chosen:
        ready = {i: name for i, name in ready.items() if chosen in (i, name)}
    if len(ready) != 1:
        names = "; ".join(f"{name} {identifier}" for identifier, name in ready.items()) or "none"
        raise BadInput(
            f"--ios: one iPhone is needed, devicectl has {names}: connect one, unlock it and trust "
            "this Mac, or choose one with IOS_DEVICE"
            + (f", which is {chosen} now" if chosen else "")
        )
    return next(iter(ready))


def _app(xcrun: str, phone: str) -> str:
    """The app's identifier on this iPhone."""
    listed = _devicectl([xcrun, "devicectl", "device", "info", "apps", "--device", phone])
    names = [app.get("bundleIdentifier", "") for app in listed.get("apps", [])]
    found = sorted(name for name in names if name == APP or name.startswith(f"{APP}."))
    if not found:
        raise BadInput(f"--ios: {APP} is not on this iPhone: run ios_demo on it from Xcode first")
    return found[0]


def _devicectl(command: list[str]) -> dict:
    """``result`` of what the command writes as JSON; what it prints is made for people alone."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answer.json"
        try:
            done = subprocess.run(
                [*command, "--json-output", str(file)],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            raise BadInput(
                f"--ios: the iPhone did not answer for {PATIENCE:g} s: unlock it"
            ) from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            what = " ".join(command[1:4])
            raise BadInput(f"--ios: {what} failed ({said[-1]}): run it yourself")
        try:
            return json.loads(file.read_text(encoding="utf-8")).get("result", {})
        except (OSError, ValueError):
            raise BadInput("--ios: devicectl wrote no JSON: Xcode 15 or later is needed") from None
