"""What executes a bundle on this machine: its target's runner, or a program that the user gives."""

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from core.errors import BadInput
from mobile_export.console import quiet

if TYPE_CHECKING:
    from mobile_export.bundle.reader import Bundle
    from mobile_export.runtime import Runner


def open_runner(bundle: "Bundle") -> "Runner":
    """What executes this bundle on this machine."""
    manifest = bundle.manifest
    if manifest["target"] == "xnnpack":
        return _runtime("executorch").open_pte(bundle.artifact, bundle.inputs)
    if manifest["target"] == "vulkan":
        return _runtime("vulkan").open_vulkan(bundle.artifact, bundle.inputs, bundle.outputs)
    config = bundle.config
    opened = _runtime("coreml").open_coreml
    return opened(bundle.artifact, bundle.inputs, bundle.outputs, config.mean, config.std)


@contextlib.contextmanager
def opened(bundle: "Bundle", program: Path | None = None) -> Iterator["Runner"]:
    """The bundle's runner; with ``program`` the user's own, which docs/bundle.md describes.

    That is started as ``PROGRAM MODEL.pte serve`` and ended afterwards. Raises ``BadInput`` for one
    that cannot be started, and for a bundle that is no ExecuTorch program.
    """
    if program is None:
        with quiet():
            runner = open_runner(bundle)
        yield runner
        return
    if bundle.manifest["target"] == "coreml":
        raise BadInput(
            f"--runner takes ExecuTorch programs and {bundle.path} is for Core ML: leave it out"
        )
    if not (program.is_file() and os.access(program, os.X_OK)):
        raise BadInput(f"--runner {program} is no program that can be started: give its file")
    from mobile_export.runtime.native.process import Native

    name = f"{program.name}, the runner that was given"
    command = [str(program.resolve())]
    with Native(command, bundle.artifact, bundle.inputs, bundle.outputs, name, ()) as served:
        yield served


def _runtime(name: str) -> ModuleType:
    return importlib.import_module(f"mobile_export.runtime.{name}")
