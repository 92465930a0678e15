"""The bundle: one folder per export with the artifact, its manifest and a golden clip.

``docs/bundle.md`` describes it for whoever reads it on a device, ``manifest.schema.json`` pins it.
``staging`` builds one and gives it its name.
"""

import contextlib
import json
import math
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from core.checkpoint import Checkpoint, file_sha256
from core.decision import NONE_LABELS, NUMBERS
from core.errors import BadInput
from core.model import ModelConfig
from mobile_export.graph import Port, deployed, input_ports, output_ports
from mobile_export.schemas import violation
from mobile_export.targets import Lowered

SCHEMA = 2
MANIFEST = "manifest.json"
# The rule for live video; every implementation of it reads these numbers from the manifest.
DECISION = NUMBERS | {"reset_after_missed": 5}
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

    @property
    def inputs(self) -> list[Port]:
        """What the artifact takes, in order: the frame or clip, then the state."""
        first, states = self.manifest["input"], self.manifest["state"]
        return [_port(first, "name"), *(_port(state, "input") for state in states)]

    @property
    def outputs(self) -> list[Port]:
        """What the artifact gives, in order: the logits, then the next state."""
        return [_port(output, "name") for output in self.manifest["outputs"]]

    def zeros(self) -> list[torch.Tensor]:
        """Inputs of the graph's shapes; the state is as before the first frame."""
        return [port.zeros() for port in self.inputs]

    def golden(self, part: str) -> np.ndarray:
        """``inputs``, ``pixels`` or ``logits`` of the golden clip.

        Frames are (T, 3, S, S), in whatever order the file holds them.
        """
        entry = self.manifest["golden"]["files"][part]
        kind = "<f4" if entry["dtype"] == "float32" else "u1"
        values = np.fromfile(self.path / entry["file"], dtype=kind)
        values = values.astype(values.dtype.newbyteorder("=")).reshape(entry["shape"])
        if part == "inputs":
            values = values.transpose(np.argsort(self.inputs[0].dim_order))
        return np.ascontiguousarray(values)


def _port(entry: dict, name: str) -> Port:
    return Port(entry[name], tuple(entry["shape"]), tuple(entry["dim_order"]))


def bundle_name(config: ModelConfig, form: str, target: str, precision: str) -> str:
    """Folder name of an export; what is not the default of a model is part of it."""
    model = f"{config.backbone}-{config.temporal}"
    model += f"-location{config.location}" if config.location > 1 else ""
    model += "-learned" if config.shift == "learned" else ""
    return f"{model}-{form}-{target}-{precision}"


def make_manifest(
    checkpoint: Checkpoint,
    lowered: Lowered,
    combination: tuple[str, str, str],
    training: dict | None = None,
) -> dict:
    """All that is known once the artifact is written, before anything is executed.

    ``combination`` is (target, form, precision), ``training`` what int8 rests on.
    The caller adds ``golden``, ``execution`` and ``accuracy``.
    """
    target, form, precision = combination
    config = checkpoint.config
    details = dict(lowered.details)
    quantization = None
    if precision == "int8":
        method = details.pop("recipe", "post-training")
        quantization = {"method": method} | (training or {})
    return {
        "schema": SCHEMA,
        "name": bundle_name(config, form, target, precision),
        "target": target,
        "form": form,
        "precision": precision,
        "artifact": file_entry(lowered.artifact),
        "proxy": None,
        "checkpoint": {
            "file": checkpoint.path.name if checkpoint.path else "",
            "sha256": checkpoint.sha256,
        },
        **_interface(checkpoint, target, form, details),
        "quantization": quantization,
        "lowering": details,
        "decision": DECISION
        | {"none_labels": [name for name in NONE_LABELS if name in checkpoint.labels]},
        "tools": tool_versions(),
    }


def _interface(checkpoint: Checkpoint, target: str, form: str, details: dict) -> dict:
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


def require_same(bundle: Bundle, checkpoint: Checkpoint) -> None:
    """Raise ``BadInput`` where the manifest says something else than its checkpoint does.

    The hashes do not cover the manifest, and a device follows it: with reversed labels or another
    normalisation a right artifact gives wrong answers.
    """
    manifest = bundle.manifest
    target, form = manifest["target"], manifest["form"]
    expected = _interface(checkpoint, target, form, manifest["lowering"])
    for key, value in expected.items():
        where = _difference(manifest[key], value, key)
        if where:
            raise BadInput(
                f"{bundle.path / MANIFEST} was changed after the export: {where} is not what the "
                "checkpoint says; copy the bundle again or export again"
            )


def _difference(found: object, expected: object, where: str) -> str | None:
    """The first place where two pieces of JSON differ; None when they are equal."""
    if isinstance(found, dict) and isinstance(expected, dict) and found.keys() == expected.keys():
        pairs = [(found[key], expected[key], f"{where}.{key}") for key in expected]
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        both = zip(found, expected, strict=True)
        pairs = [(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(both)]
    else:
        return None if type(found) is type(expected) and found == expected else where
    return next((place for pair in pairs if (place := _difference(*pair))), None)


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

    ``inputs`` are in the memory order of the artifact's input, so that a device copies the bytes.
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
    broken = violation(manifest, "manifest.schema.json")
    if broken is not None:
        raise BadInput(f"{where} is not a valid manifest ({broken})")


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
    try:
        return _load(path)
    except OSError as error:
        raise BadInput(
            f"bundle {path} cannot be read ({error.strerror}): give the folder of an export"
        ) from None


def _load(path: Path) -> Bundle:
    file = path / MANIFEST
    if not file.is_file():
        raise BadInput(f"{path} holds no {MANIFEST}: give the folder of an export")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
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
    _check_sense(manifest, file)
    return Bundle(path, manifest)


def _no_number(name: str) -> None:
    raise ValueError(f"it holds {name}, which is no number of JSON")


def _check_sense(manifest: dict, file: Path) -> None:
    """What the schema cannot say: a model that exists, orders of axes, golden files' shapes."""
    try:
        config = ModelConfig.from_dict(manifest["model"])
    except (TypeError, ValueError) as error:
        raise BadInput(f"{file} is not a valid manifest ($.model: {error})") from None
    first = manifest["input"]
    for entry in (first, *manifest["outputs"], *manifest["state"]):
        if sorted(entry["dim_order"]) != list(range(len(entry["shape"]))):
            raise BadInput(
                f"{file} is not a valid manifest (dim_order {entry['dim_order']} does not order "
                f"the axes of {entry['shape']})"
            )
    golden, form = manifest["golden"], manifest["form"]
    frames = golden["frames"]
    rows = 1 if form == "clip" else frames
    picture = [frames, 3, config.size, config.size]
    wanted = {
        "inputs": ("float32", [picture[axis] for axis in first["dim_order"]]),
        "pixels": ("uint8", picture),
        "logits": ("float32", [rows, config.num_classes]),
    }
    for part, (dtype, shape) in wanted.items():
        entry = golden["files"][part]
        held = (file.parent / entry["file"]).stat().st_size
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if (entry["dtype"], entry["shape"], held) != (dtype, shape, size):
            raise BadInput(
                f"{file} is not a valid manifest ($.golden.files.{part}: {shape} of {dtype} is "
                "what the model has)"
            )
