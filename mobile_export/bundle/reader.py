"""The bundle: one folder per export with the artifact, its manifest and a golden clip.

``docs/bundle.md`` describes it for whoever reads it on a device, ``manifest.schema.json`` pins it.
``manifest`` writes what this reads, ``staging`` gives a bundle its name.
"""

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from core.errors import BadInput
from core.files import file_sha256
from core.model import ModelConfig
from core.options import check_path
from mobile_export.bundle.schemas import violation
from mobile_export.bundle.typed import Manifest
from mobile_export.graph.forms import Port

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Bundle:
    """A folder with its validated manifest.

    ``head`` makes the logits of the manifest's labels of the artifact's where they are others.
    """

    path: Path
    manifest: Manifest
    head: torch.nn.Module | None = None

    @property
    def config(self) -> ModelConfig:
        """The model's config."""
        return ModelConfig.from_dict(self.manifest["model"])

    @property
    def artifact(self) -> Path:
        """The program or package."""
        return self.path / self.manifest["artifact"]["file"]

    def warn(self) -> None:
        """Tell whoever is about to use it that it failed the check of its export, if it did."""
        failures = self.manifest["accuracy"].get("failures")
        if failures:
            said = "; ".join(failures)
            sys.stderr.write(f"warning: {self.path} failed the check of its export: {said}\n")

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

    def golden(self, part: Literal["inputs", "pixels", "logits"]) -> np.ndarray:
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


def _port(entry: Mapping[str, Any], name: str) -> Port:
    return Port(entry[name], tuple(entry["shape"]), tuple(entry["dim_order"]))


def validate(manifest: object, where: Path) -> None:
    """Raise ``BadInput`` when the manifest does not follow the schema; names the first place."""
    broken = violation(manifest, "manifest.schema.json")
    if broken is not None:
        raise BadInput(f"{where} is not a valid manifest ({broken})")


def load(path: str | os.PathLike[str]) -> Bundle:
    """Read a bundle and check every file against its hash.

    Raises ``BadInput`` when the folder, its manifest or a file is missing, damaged or changed.
    """
    path = check_path("bundle", path)
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
        text = file.read_text(encoding="utf-8")
        manifest = json.loads(text, parse_constant=_no_number, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file} is not JSON ({error}): export again") from None
    validate(manifest, file)
    for entry in (manifest["artifact"], *manifest["golden"]["files"].values()):
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


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it holds {text[:20]}, which is more than any number of a manifest")
    return value


def _contradiction(manifest: Manifest, config: ModelConfig) -> str | None:
    """The first place where two parts of a manifest cannot both be right."""
    labels, logits = manifest["labels"], manifest["outputs"][0]["shape"][-1]
    if len(labels) != logits:
        return f"$.labels: {len(labels)} of them for {logits} logits"
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        return f"$.labels: {twice[0]!r} is there more than once"
    strange = [name for name in manifest["decision"]["none_labels"] if name not in labels]
    if strange:
        return f"$.decision.none_labels: {strange[0]!r} is none of the labels"
    sides = manifest["input"]["shape"][-2:]
    if sides != [config.size, config.size]:
        return f"$.input.shape: {sides} where the model has {config.size} pixels a side"
    if len(manifest["outputs"]) != 1 + len(manifest["state"]):
        return f"$.outputs: {len(manifest['outputs'])} for {len(manifest['state'])} states"
    return None


MOST_VALUES = 2**27  # of all inputs, outputs and states, half a gibibyte of floats


def _check_sense(manifest: Manifest, file: Path) -> None:
    """What the schema cannot say: a model that exists, orders of axes, golden files' shapes."""
    try:
        config = ModelConfig.from_dict(manifest["model"])
    except (TypeError, ValueError) as error:
        raise BadInput(f"{file} is not a valid manifest ($.model: {error})") from None
    first = manifest["input"]
    values = sum(
        math.prod(entry["shape"]) for entry in (first, *manifest["outputs"], *manifest["state"])
    )
    if values > MOST_VALUES:  # before memory is taken for them
        raise BadInput(
            f"{file} is not a valid manifest (its shapes hold {values} values, more than the "
            f"{MOST_VALUES} that a phone has memory for)"
        )
    for entry in (first, *manifest["outputs"], *manifest["state"]):
        if sorted(entry["dim_order"]) != list(range(len(entry["shape"]))):
            raise BadInput(
                f"{file} is not a valid manifest (dim_order {entry['dim_order']} does not order "
                f"the axes of {entry['shape']})"
            )
    broken = _contradiction(manifest, config)
    if broken is not None:
        raise BadInput(f"{file} is not a valid manifest ({broken})")
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
        entry = golden["files"][part]  # type: ignore[literal-required]  # the three of them
        held = (file.parent / entry["file"]).stat().st_size
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if (entry["dtype"], entry["shape"], held) != (dtype, shape, size):
            raise BadInput(
                f"{file} is not a valid manifest ($.golden.files.{part}: {shape} of {dtype} is "
                "what the model has)"
            )
