"""One function that opens what executes a bundle on this machine."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from core.errors import BadInput

if TYPE_CHECKING:
    from mobile_export.bundle.reader import Bundle
    from mobile_export.runtime import Runner


def open_runner(bundle: "Bundle") -> "Runner":
    """What executes this bundle on this machine."""
    manifest = bundle.manifest
    if manifest["target"] == "xnnpack":
        return _runtime("executorch").open_pte(bundle.artifact, bundle.inputs)
    if manifest["target"] == "vulkan":
        if manifest["proxy"] is None:
            raise BadInput(f"{bundle.path} has no proxy graph to evaluate: export again")
        from mobile_export.runtime.proxy import open_proxy

        runner = open_proxy(bundle.path / manifest["proxy"]["file"], bundle.zeros())
        if manifest["precision"] == "fp16":  # the delegate rounds, the graph that it took does not
            runner.name += ", in fp32: what fp16 loses is not measured"
        return runner
    config = bundle.config
    opened = _runtime("coreml").open_coreml
    return opened(bundle.artifact, bundle.inputs, bundle.outputs, config.mean, config.std)


def _runtime(name: str) -> ModuleType:
    return importlib.import_module(f"mobile_export.runtime.{name}")
