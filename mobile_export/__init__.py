"""Quantize, lower, verify and bundle a gesture recogniser for phones.

    from mobile_export import export, load_bundle, verify

The functions and their errors are imported when they are asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.data.source import Source
    from core.decision import Event
    from core.errors import BadInput
    from mobile_export.bundle.stream import RunnableBundle, Stream, load_bundle
    from mobile_export.console import Steps
    from mobile_export.errors import LoweringError
    from mobile_export.exporter import GateFailed, Result, export
    from mobile_export.verify.check import Report
    from mobile_export.verify.verifier import verify

__all__ = [
    "BadInput",
    "Event",
    "GateFailed",
    "LoweringError",
    "Report",
    "Result",
    "RunnableBundle",
    "Source",
    "Steps",
    "Stream",
    "export",
    "load_bundle",
    "verify",
]

_HOME = {
    "BadInput": "core.errors",
    "Event": "core.decision",
    "GateFailed": "mobile_export.exporter",
    "LoweringError": "mobile_export.errors",
    "Report": "mobile_export.verify.check",
    "Result": "mobile_export.exporter",
    "RunnableBundle": "mobile_export.bundle.stream",
    "Source": "core.data.source",
    "Steps": "mobile_export.console",
    "Stream": "mobile_export.bundle.stream",
    "export": "mobile_export.exporter",
    "load_bundle": "mobile_export.bundle.stream",
}


def __getattr__(name: str) -> object:
    if name == "verify":  # its package can be called
        return import_module("mobile_export.verify")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
