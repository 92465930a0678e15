"""The manifest: what a device has to know of an artifact, from checkpoint and lowering.

``docs/bundle.md`` describes it for whoever reads it on a device, ``manifest.schema.json`` pins it.
"""

import contextlib
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from core.checkpoint import Checkpoint
from core.classes import ClassMap
from core.decision import NUMBERS, idle_labels, numbers_of
from core.files import file_sha256
from core.model import ModelConfig
from core.shift import SHIFT_DIVISOR
from mobile_export.bundle.reader import MANIFEST, Bundle, validate
from mobile_export.bundle.typed import File, Manifest
from mobile_export.graph.forms import Port, deployed, input_ports, output_ports
from mobile_export.targets import Lowered

SCHEMA = 3
# The rule for live video; every implementation of it reads these numbers from the manifest.
DECISION = NUMBERS | {"reset_after_missed": 5}
TOOLS = ("action-mobile", "torch", "executorch", "torchao", "coremltools", "numpy")


def bundle_name(
    config: ModelConfig, form: str, target: str, precision: str, regrouped: bool = False
) -> str:
    """Folder name of an export; what is not the default of a model is part of it.

    So is the number of classes where they are ``regrouped``.
    """
    model = f"{config.backbone}-{config.temporal}"
    model += f"-location{config.location}" if config.location != 1 else ""
    model += f"-fold{config.fold}" if config.fold != SHIFT_DIVISOR else ""
    model += "-learned" if config.shift == "learned" else ""
    model += f"-{config.num_classes}classes" if regrouped else ""
    return f"{model}-{form}-{target}-{precision}"


def make_manifest(
    checkpoint: Checkpoint,
    lowered: Lowered,
    combination: tuple[str, str, str],
    training: dict | None = None,
    classes: ClassMap | None = None,
) -> Any:
    """All that is known once the artifact is written, before anything is executed.

    ``combination`` is (target, form, precision), ``training`` what int8 rests on, ``classes`` what
    the clips' classes became, and the model's where it was trained with others.
    The caller adds ``golden``, ``execution`` and ``accuracy``; only then is it a ``Manifest``.
    """
    target, form, precision = combination
    config = checkpoint.config
    details = dict(lowered.details)
    quantization = None
    if precision == "int8":
        method = details.pop("recipe", "post-training")
        quantization = {"method": method} | (training or {})
    name = bundle_name(config, form, target, precision, classes is not None)
    return {
        "schema": SCHEMA,
        "name": name,
        "target": target,
        "form": form,
        "precision": precision,
        "artifact": file_entry(lowered.artifact),
        "checkpoint": {
            "file": checkpoint.path.name if checkpoint.path else "",
            "sha256": checkpoint.sha256,
        },
        **interface(checkpoint, target, form, details),
        **({} if classes is None else {"classes": {n: list(o) for n, o in classes.groups}}),
        "quantization": quantization,
        "lowering": details,
        "decision": _decision(checkpoint, classes),
        "tools": tool_versions(),
    }


def _decision(checkpoint: Checkpoint, classes: ClassMap | None) -> dict:
    """The rule, and what it gave on the recordings that it was chosen on, where it was.

    Of other ``classes`` than those of the recordings it gave nothing that anybody counted.
    """
    info = checkpoint.info
    found = info.get("decision")
    chosen = found.get("chosen") if isinstance(found, dict) and classes is None else None
    rule = DECISION | numbers_of(info) | {"none_labels": idle_labels(checkpoint.labels, info)}
    return rule | ({"chosen": chosen} if chosen else {})


def interface(checkpoint: Checkpoint, target: str, form: str, details: dict) -> dict:
    """What follows from the checkpoint, and how the artifact is fed; ``details`` of the lowering.

    In the manifest's types, so that a manifest from elsewhere can be compared.
    """
    config, model = checkpoint.config, deployed(checkpoint.model, target)
    # Core ML alone has inputs that are pictures; its lowering says so in ``details``.
    kind = "image" if str(details.get("input")).startswith("image") else "tensor"
    number = "float16" if details.get("compute_precision") == "float16" else "float32"
    first, *states_in = input_ports(model, form, target)
    outputs = output_ports(model, form, target)
    return {
        "model": json.loads(json.dumps(config.to_dict())),
        "labels": checkpoint.labels,
        "input": _input_entry(config, form, first, "uint8" if kind == "image" else number),
        "outputs": [{"name": p.name, "dtype": number} | _layout(p) for p in outputs],
        "state": [
            {
                "input": a.name,
                "output": b.name,
                "dtype": number,
            }
            | _layout(a)
            for a, b in zip(states_in, outputs[1:], strict=True)
        ],
    }


def _layout(port: Port) -> dict:
    return {"shape": list(port.shape), "dim_order": list(port.dim_order)}


def _input_entry(config: ModelConfig, form: str, port: Port, dtype: str) -> dict:
    low = min((0 - m) / s for m, s in zip(config.mean, config.std, strict=True))
    high = max((1 - m) / s for m, s in zip(config.mean, config.std, strict=True))
    image = dtype == "uint8"
    leading = "frame" if form == "clip" else "batch"
    return {
        "name": port.name,
        "kind": "image" if image else "tensor",
        "dtype": dtype,
        **_layout(port),
        "axes": f"{leading}, channel, row, column",
        "colour_order": "RGB",
        "range": [0, 255] if image else [low, high],
        "normalisation": {
            "where": "in the graph" if image else "caller",
            "formula": "(pixel / 255 - mean) / std",
            "mean": list(config.mean),
            "std": list(config.std),
        },
        "resize": {"short_side": config.size, "crop": "centre", "size": config.size},
        "frame_rate": config.frame_rate,
    }


def file_entry(path: Path) -> File:
    """Name, size and hash of a file or of a folder's files."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    size = sum(file.stat().st_size for file in files)
    return {"file": path.name, "bytes": size, "sha256": file_sha256(path)}


def tool_versions() -> dict[str, str]:
    """Versions of what took part; a package that runs from a checkout has its version there."""
    versions = {"python": platform.python_version()}
    for name in TOOLS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def write_manifest(folder: Path, manifest: Manifest) -> Bundle:
    """Validate and write ``manifest.json``."""
    validate(manifest, folder / MANIFEST)
    text = json.dumps(manifest, indent=2, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return Bundle(folder, manifest)
