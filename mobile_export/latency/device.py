"""What this machine is and the state that it is in; what the system does not tell is None.

The functions that read files take the root that those lie under, for tests.
"""

import contextlib
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path("/")
# What makers of boards leave where a product's name should be.
NO_NAMES = ("", "none", "default string", "system product name", "to be filled by o.e.m.")
ABSOLUTE_ZERO = -273.15


def facts(root: Path = ROOT) -> dict:
    """The schema's ``device`` for a computer."""
    mac = sys.platform == "darwin"
    return {
        "kind": "host",
        "model": _model(root) or f"{'macOS' if mac else platform.system()} {platform.machine()}",
        "soc": _sysctl("machdep.cpu.brand_string") if mac else _processor(root),
        "cores": os.cpu_count() or 1,
        "memory_bytes": _memory_bytes(),
        "os": "macOS" if mac else platform.system(),
        "os_version": platform.mac_ver()[0] if mac else _distribution(),
        "os_build": platform.release(),
    }


def physical_cores(root: Path = ROOT) -> int:
    """Cores that this process may use, two hardware threads of one counted once."""
    if sys.platform == "darwin":
        return int(_sysctl("hw.physicalcpu") or os.cpu_count() or 1)
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(1)
    folder = root / "sys/devices/system/cpu"
    files = {n: folder / f"cpu{n}" / "topology" / "thread_siblings_list" for n in cpus}
    return len({_text(file) or str(n) for n, file in files.items()})


def memory(root: Path = ROOT) -> tuple[int | None, int | None]:
    """Resident bytes of this process: now, and the most since it began."""
    status = _text(root / "proc/self/status") or ""
    found = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    now, peak = (_kilobytes(found.get(key)) for key in ("VmRSS", "VmHWM"))
    if peak is None and sys.platform == "darwin":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes there
    return now, peak


def thermal(root: Path = ROOT) -> dict:
    """The schema's ``thermal``: the warmest zone. A computer's system has no word for it."""
    zones = (root / "sys/class/thermal").glob("thermal_zone*/temp")
    readings = [value / 1000 for zone in zones if (value := _number(zone)) is not None]
    readings = [value for value in readings if value > ABSOLUTE_ZERO]  # a zone that is off
    return {"status": "unknown", "celsius": max(readings, default=None)}


def power_mode(root: Path = ROOT) -> str | None:
    """The governor of the processor's clock; all of them where cores have different ones."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    return ", ".join(sorted({text for file in files if (text := _text(file))})) or None


def battery(root: Path = ROOT) -> dict | None:
    """The schema's ``battery`` of the machine's own battery, not of a mouse's."""
    for folder in sorted((root / "sys/class/power_supply").glob("*")):
        if _text(folder / "type") != "Battery" or _text(folder / "scope") == "Device":
            continue
        capacity = _number(folder / "capacity")
        level = capacity / 100 if capacity is not None and 0 <= capacity <= 100 else None
        known = {"Charging": True, "Full": True, "Discharging": False, "Not charging": False}
        return {"level": level, "charging": known.get(_text(folder / "status") or "")}
    return None


def _model(root: Path) -> str | None:
    if sys.platform == "darwin":
        return _sysctl("hw.model")
    board = _text(root / "proc/device-tree/model")  # Arm boards
    if board:
        return board
    folder = root / "sys/devices/virtual/dmi/id"
    name = _text(folder / "product_name") or ""
    if name.lower() in NO_NAMES:
        return None
    vendor = _text(folder / "sys_vendor") or ""
    return name if vendor.lower() in NO_NAMES else f"{vendor} {name}"


def _processor(root: Path) -> str | None:
    for line in (_text(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Hardware") and value.strip():
            return value.strip()
    return None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _distribution() -> str:
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    return platform.version()


def _sysctl(name: str) -> str | None:
    """A value that macOS knows by this name."""
    try:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None


def _text(file: Path) -> str | None:
    """A file of the system, without its end; some of them end in a zero byte."""
    try:
        return file.read_text(errors="replace").strip(" \t\r\n\0")
    except OSError:
        return None


def _number(file: Path) -> float | None:
    try:
        return float(_text(file) or "")
    except ValueError:
        return None


def _kilobytes(text: str | None) -> int | None:
    return int(text.split()[0]) * 1024 if text else None
