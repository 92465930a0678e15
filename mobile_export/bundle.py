"""The bundle: one folder per export with the artifact, its manifest and a golden clip.

``docs/bundle.md`` describes it for whoever reads it on a device, ``manifest.schema.json`` pins it.
A bundle is built in a hidden sibling folder and renamed when it is whole.
"""

import contextlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

import jsonschema
import numpy as np
import torch

from core.checkpoint import Checkpoint, file_sha256
from core.errors import BadInput
from core.model import ModelConfig
from mobile_export.graph import Port, input_ports, output_ports
from mobile_export.targets import Lowered

SCHEMA = 1
MANIFEST = "manifest.json"
NONE_LABELS = ("No gesture", "Doing other things")
# The rule for live video; every implementation of it reads these numbers from the manifest.
DECISION = {"window": 8, "threshold": 0.5, "agree": 2, "release": 3, "reset_after_missed": 5}
TOOLS = ("action-mobile", "torch", "executorch", "torchao", "coremltools", "numpy")


@dataclass(frozen=True)
class Bundle:
    """A folder with its validated manifest."""

    path: Path
    manifest: dict

    @property
    def config(self) -> ModelConfig:
        """The model's config."""
        return ModelConfig.from_dict(self.manifest["model"])

    @property
    def artifact(self) -> Path:
        """The program or package."""
        return self.path / self.manifest["artifact"]["file"]

    @property
    def state_shapes(self) -> list[list[int]]:
        """Shapes of the state tensors in order, leading axis included."""
        return [state["shape"] for state in self.manifest["state"]]

    def zeros(self) -> list[torch.Tensor]:
        """Inputs of the graph's shapes; the state is as before the first frame."""
        shapes = [self.manifest["input"]["shape"], *self.state_shapes]
        return [torch.zeros(shape) for shape in shapes]

    def golden(self, part: str) -> np.ndarray:
        """``inputs``, ``pixels`` or ``logits`` of the golden clip."""
        entry = self.manifest["golden"]["files"][part]
        kind = "<f4" if entry["dtype"] == "float32" else "u1"
        values = np.fromfile(self.path / entry["file"], dtype=kind)
        return values.astype(values.dtype.newbyteorder("=")).reshape(entry["shape"])


def bundle_name(config: ModelConfig, form: str, target: str, precision: str) -> str:
    """Folder name of an export."""
    return f"{config.backbone}-{config.temporal}-{form}-{target}-{precision}"


def make_manifest(
    checkpoint: Checkpoint,
    lowered: Lowered,
    combination: tuple[str, str, str],
    calibration_clips: int = 0,
) -> dict:
    """All that is known once the artifact is written, before anything is executed.

    ``combination`` is (target, form, precision). The caller adds ``golden``, ``execution`` and
    ``accuracy``.
    """
    target, form, precision = combination
    config, model = checkpoint.config, checkpoint.model
    details = dict(lowered.details)
    # Core ML alone has inputs that are pictures; its lowering says so in ``details``.
    kind = "image" if str(details.get("input")).startswith("image") else "tensor"
    number = "float16" if details.get("compute_precision") == "float16" else "float32"
    quantization = None
    if precision == "int8":
        method = details.pop("recipe", "post-training")
        quantization = {"method": method, "calibration_clips": calibration_clips}
    first, *states_in = input_ports(model, form)
    outputs = output_ports(model, form)
    return {
        "schema": SCHEMA,
        "name": bundle_name(config, form, target, precision),
        "target": target,
        "form": form,
        "precision": precision,
        "model": json.loads(json.dumps(config.to_dict())),
        "labels": checkpoint.labels,
        "artifact": file_entry(lowered.artifact),
        "proxy": None,
        "checkpoint": {
            "file": checkpoint.path.name if checkpoint.path else "",
            "sha256": checkpoint.sha256,
        },
        "input": _input_entry(config, form, first, "uint8" if kind == "image" else number),
        "outputs": [{"name": p.name, "shape": list(p.shape), "dtype": number} for p in outputs],
        "state": [
            {
                "input": a.name,
                "output": b.name,
                "shape": list(a.shape),
                "dtype": number,
            }
            for a, b in zip(states_in, outputs[1:], strict=True)
        ],
        "quantization": quantization,
        "lowering": details,
        "decision": DECISION
        | {"none_labels": [name for name in NONE_LABELS if name in checkpoint.labels]},
        "tools": tool_versions(),
    }


def _input_entry(config: ModelConfig, form: str, port: Port, dtype: str) -> dict:
    low = min((0 - m) / s for m, s in zip(config.mean, config.std, strict=True))
    high = max((1 - m) / s for m, s in zip(config.mean, config.std, strict=True))
    image = dtype == "uint8"
    leading = "frame" if form == "clip" else "batch"
    return {
        "name": port.name,
        "kind": "image" if image else "tensor",
        "shape": list(port.shape),
        "dtype": dtype,
        "layout": f"{leading}, channel, row, column",
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


def file_entry(path: Path) -> dict:
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


def write_golden(folder: Path, arrays: dict[str, np.ndarray]) -> dict:
    """Write ``inputs``, ``pixels`` and ``logits``, each with frames first; returns their entries.

    ``logits`` of a clip-form artifact has a single row.
    """
    (folder / "golden").mkdir()
    entries = {}
    for part, array in arrays.items():
        short, kind, dtype = (
            ("u8", "u1", "uint8") if array.dtype == np.uint8 else ("f32", "<f4", "float32")
        )
        file = folder / "golden" / f"{part}.{short}"
        data = np.ascontiguousarray(array, dtype=kind)
        file.write_bytes(data.tobytes())
        entries[part] = {
            "file": f"golden/{file.name}",
            "dtype": dtype,
            "shape": list(array.shape),
            "bytes_a_frame": data[0].nbytes,
            "sha256": file_sha256(file),
        }
    return entries


def validate(manifest: dict, where: Path) -> None:
    """Raise ``BadInput`` when the manifest does not follow the schema; names the first place."""
    text = resources.files("mobile_export").joinpath("manifest.schema.json").read_text()
    validator = jsonschema.Draft202012Validator(json.loads(text))
    error = jsonschema.exceptions.best_match(validator.iter_errors(manifest))
    if error is not None:
        reason = error.message.splitlines()[0][:200]
        raise BadInput(f"{where} is not a valid manifest ({error.json_path}: {reason})")


def write_manifest(folder: Path, manifest: dict) -> Bundle:
    """Validate and write ``manifest.json``."""
    validate(manifest, folder / MANIFEST)
    text = json.dumps(manifest, indent=2, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return Bundle(folder, manifest)


def load(path: Path) -> Bundle:
    """Read a bundle and check every file against its hash.

    Raises ``BadInput`` when the folder, its manifest or a file is missing, damaged or changed.
    """
    file = path / MANIFEST
    if not file.is_file():
        raise BadInput(f"{path} holds no {MANIFEST}: give the folder of an export")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{file} is not JSON ({error}): export again") from None
    validate(manifest, file)
    entries = [manifest["artifact"], *manifest["golden"]["files"].values()]
    for entry in entries + ([manifest["proxy"]] if manifest["proxy"] else []):
        part = path / entry["file"]
        if not part.exists():
            raise BadInput(f"{part}, which the manifest names, does not exist: export again")
        found = file_sha256(part)
        if found != entry["sha256"]:
            raise BadInput(
                f"{part} has SHA-256 {found[:12]}..., the manifest says {entry['sha256'][:12]}...: "
                "it was changed after the export; copy the whole bundle or export again"
            )
    return Bundle(path, manifest)


@contextlib.contextmanager
def staging(out: Path, name: str) -> Iterator[Path]:
    """A hidden folder inside ``out`` to build a bundle in; gone afterwards, whatever happens.

    Folders that had to be created for it go too when nothing was left in them. Raises ``BadInput``
    when ``out`` cannot hold one, or when ``out / name`` is something other than a bundle.
    """
    final = out / name
    if final.exists() and not (final / MANIFEST).is_file():
        raise BadInput(f"{final} exists and is not a bundle: move it away or give another --out")
    created = [p for p in (out, *out.parents) if not p.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=out))
    except OSError as error:
        _remove_empty(created)
        raise BadInput(
            f"--out {out} cannot be written ({error.strerror}): give a folder that can"
        ) from None
    try:
        folder.chmod(0o755)  # mkdtemp makes private folders
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _remove_empty(created)


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:  # innermost first
        with contextlib.suppress(OSError):
            folder.rmdir()


def publish(folder: Path, final: Path) -> None:
    """Move a whole bundle to its name, in the place of an older one."""
    old = folder.with_name(folder.name + ".old")
    if final.exists():
        os.rename(final, old)
    try:
        os.rename(folder, final)
    except OSError:
        if old.exists():
            os.rename(old, final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def reject(folder: Path, final: Path) -> tuple[Path, Path | None]:
    """Keep a bundle that failed the gate as ``<name>.rejected``, and nothing under the good name.

    An older bundle of the good name becomes ``<name>.previous``: left in its place it would pass
    for the one that was just refused. Returns both paths.
    """
    rejected = final.with_name(final.name + ".rejected")
    publish(folder, rejected)
    if not final.exists():
        return rejected, None
    previous = final.with_name(final.name + ".previous")
    publish(final, previous)
    return rejected, previous
