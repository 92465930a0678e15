"""The report as ``latency.schema.json`` has it: put together, checked, written."""

import json
from pathlib import Path

from core.errors import BadInput
from core.files import write_whole
from mobile_export.bundle.manifest import tool_versions
from mobile_export.bundle.reader import Bundle
from mobile_export.bundle.schemas import violation
from mobile_export.latency.pictures import Pictures, frames_a_call

SCHEMA = 1
ACCURACY = ("data", "clips", "checkpoint_top1", "artifact_top1", "drop_interval")


def make(
    bundle: Bundle, machine: dict, pictures: Pictures, runs: list[dict], name: str, created: str
) -> dict:
    """The whole report; ``created`` is UTC, ``runs`` one entry a number of threads."""
    manifest = bundle.manifest
    return {
        "schema": SCHEMA,
        "name": name,
        "created": created,
        "device": machine,
        "artifact": artifact(bundle),
        "accuracy": {key: manifest["accuracy"][key] for key in ACCURACY}  # type: ignore[literal-required]  # keys of it
        | {"interpreted": manifest["execution"]["interpreted"]},
        "input": pictures.to_dict(),
        "runs": runs,
        "tools": tool_versions(),
    }


def artifact(bundle: Bundle) -> dict:
    """What was measured, by the manifest alone."""
    manifest, lowering = bundle.manifest, bundle.manifest["lowering"]
    calls, outside = lowering.get("delegate_calls"), lowering.get("operators_outside")
    left = None if outside is None else sum(outside.values())
    share = None
    if calls is not None and left is not None and calls + left > 0:
        share = calls / (calls + left)
    return {
        "bundle": manifest["name"],
        "sha256": manifest["artifact"]["sha256"],
        "bytes": manifest["artifact"]["bytes"],
        "checkpoint_sha256": manifest["checkpoint"]["sha256"],
        "target": manifest["target"],
        "form": manifest["form"],
        "precision": manifest["precision"],
        "backbone": manifest["model"]["backbone"],
        "temporal": manifest["model"]["temporal"],
        "size": manifest["model"]["size"],
        "frame_rate": manifest["input"]["frame_rate"],
        "frames_a_call": frames_a_call(bundle),
        "delegate_calls": calls,
        "operators_outside": left,
        "delegated_share": share,
    }


def validate(report: dict, where: str) -> None:
    """Raise ``BadInput`` when a report does not follow the schema; names the first place."""
    broken = violation(report, "latency.schema.json")
    if broken is not None:
        raise BadInput(f"{where} is not a valid latency report ({broken}): measure again")


def write(report: dict, path: Path) -> None:
    """Validate and write. Raises ``BadInput`` when it cannot be written."""
    validate(report, str(path))
    text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_whole("--json", path, text.encode())
