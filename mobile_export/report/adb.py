"""Reports that the Android app left on a phone, fetched with Android's debug bridge."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from core.errors import BadInput
from mobile_export.report.read import Named, kept

REMOTE = "/sdcard/Android/data/action.mobile.app/files/reports"
PATIENCE = 60.0  # seconds; a phone that asks whether to trust this computer does not answer


def pull(folder: Path) -> list[Named]:
    """Copy the phone's reports into ``folder``; the name and file of each, see ``read.kept``.

    Raises ``BadInput``: no adb, not exactly one phone, no reports on it, or a folder that cannot be
    written.
    """
    adb = shutil.which("adb")
    if adb is None:
        raise BadInput("--adb: adb is not installed; it comes with Android's platform tools")
    lines = _run([adb, "devices"]).splitlines()[1:]
    ready = [line.split()[0] for line in lines if line.strip().endswith("device")]
    chosen = os.environ.get("ANDROID_SERIAL")  # which adb itself heeds when it pulls
    if chosen:
        ready = [serial for serial in ready if serial == chosen]
    if len(ready) != 1:
        states = "; ".join(" ".join(line.split()) for line in lines if line.strip()) or "none"
        raise BadInput(
            f"--adb: one phone is needed, adb has {states}: connect one, unlock it and allow USB "
            "debugging, or choose one with ANDROID_SERIAL"
            + (f", which is {chosen} now" if chosen else "")
        )
    with tempfile.TemporaryDirectory() as pulled:
        _run([adb, "pull", f"{REMOTE}/.", pulled])
        found = kept(Path(pulled), folder, "--adb")
    if not found:
        raise BadInput(f"--adb: {REMOTE} holds no report: press Benchmark in the app first")
    return found


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise BadInput(f"--adb: the phone did not answer for {PATIENCE:g} s: unlock it") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise BadInput(f"--adb: {' '.join(command[1:3])} failed ({said[-1]}): run it yourself")
    return done.stdout
