"""Checkpoints: safetensors with the model's config, labels and history in the header.

``python -m core.checkpoint import`` (``__main__``) reads those of other programs.

Nothing is unpickled. A file is written under a temporary name and renamed, so that a stopped run
leaves either the old checkpoint or the new one.
"""

import json
import os
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise

from core.errors import BadInput
from core.files import file_sha256, replace_file, write_whole
from core.model import ModelConfig, VideoClassifier
from core.options import check_path

FORMAT = "action-mobile-1"
BUNDLED = "action_mobilenet_v2.safetensors"


@dataclass
class Checkpoint:
    """A model in evaluation mode with what belongs to it.

    ``info`` is free JSON about how it was trained (accuracy, steps, command).
    """

    model: VideoClassifier
    labels: list[str]
    info: dict = field(default_factory=dict)
    path: Path | None = None
    sha256: str = ""

    @property
    def config(self) -> ModelConfig:
        return self.model.config


def bundled_path() -> Path:
    """The checkpoint inside the package: causal ACTION MobileNet V2 on rendered people."""
    return Path(str(resources.files("core") / "weights" / BUNDLED))


def save(path: Path, model: VideoClassifier, labels: list[str], info: dict | None = None) -> None:
    """Write model, labels and info to ``path`` atomically.

    Raises ``BadInput`` when the labels are not one name of its own for each class, and ``OSError``.
    """
    replace_file(path, _content(path, model, labels, info))


def write(
    option: str, path: Path, model: VideoClassifier, labels: list[str], info: dict | None = None
) -> None:
    """``save`` for the option of a command: ``BadInput`` also where the file cannot be written."""
    write_whole(option, path, _content(path, model, labels, info))


def _content(path: Path, model: VideoClassifier, labels: list[str], info: dict | None) -> bytes:
    _check_labels(labels, model.config, path)
    header = {
        "format": FORMAT,
        "config": json.dumps(model.config.to_dict()),
        "labels": json.dumps(labels),
        "info": json.dumps(info or {}),
    }
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    return _sorted_header(serialise(tensors, metadata=header))


def _sorted_header(data: bytes) -> bytes:
    """The same file with its header's names in order: safetensors writes them as they come.

    A checkpoint is named by its hash, so the same model has to give the same bytes.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the tensors stay aligned
    return len(header).to_bytes(8, "little") + header + data[start:]


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint on the CPU, in evaluation mode.

    Raises ``BadInput`` when the file is missing, truncated, not safetensors (a pickle is never
    opened), of another program, does not hold the tensors of the architecture that it names, or
    holds NaN or infinity.
    """
    path = check_path("checkpoint", path)
    try:
        if not path.is_file():
            reason = "is a folder" if path.is_dir() else "does not exist"
            raise BadInput(f"checkpoint {path} {reason}: give a .safetensors file of core.train")
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no dict
    except (SafetensorError, OSError) as error:
        if isinstance(error, OSError) and error.strerror:  # a name too long, no permission
            raise BadInput(f"checkpoint {path} cannot be read ({error.strerror})") from None
        reason = str(error).splitlines()[0]
        raise BadInput(
            f"checkpoint {path} is not a whole safetensors file ({reason}): copy it again, or "
            "write it with core.train; pickled checkpoints are not opened"
        ) from None
    if header.get("format") != FORMAT:
        raise BadInput(
            f"checkpoint {path} has format {header.get('format')!r}, not {FORMAT!r}: "
            "give one written by core.train"
        )
    try:
        config = ModelConfig.from_dict(json.loads(header["config"]))
        labels = json.loads(header["labels"])
        info = json.loads(header.get("info", "{}"))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"checkpoint {path} has a bad header ({error}): write it again") from None
    _check_labels(labels, config, path)
    model = VideoClassifier(config)
    _load_tensors(model, tensors, path)
    return Checkpoint(model.eval(), labels, info, path, file_sha256(path))


def _load_tensors(model: VideoClassifier, tensors: dict[str, torch.Tensor], path: Path) -> None:
    expected = model.state_dict()
    missing = sorted(set(expected) - set(tensors))
    extra = sorted(set(tensors) - set(expected))
    shapes = [k for k in expected if k in tensors and tensors[k].shape != expected[k].shape]
    wrong = (missing or extra or shapes)[:1]
    if wrong:
        raise BadInput(
            f"checkpoint {path} does not fit its own architecture ({len(missing)} tensors missing, "
            f"{len(extra)} unexpected, {len(shapes)} of another shape, first {wrong[0]}): it is of "
            "another model"
        )
    broken = [k for k, v in tensors.items() if not bool(v.float().isfinite().all())]
    if broken:
        raise BadInput(
            f"checkpoint {path} holds NaN or infinity in {len(broken)} tensors, first {broken[0]}: "
            "its training diverged or it is damaged; train it again or give another one"
        )
    model.load_state_dict(tensors)


def _check_labels(labels: list[str], config: ModelConfig, path: Path) -> None:
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise BadInput(f"{path}: its labels are not a list of names: give one name a class")
    if len(labels) != config.num_classes:
        raise BadInput(
            f"{path}: {len(labels)} labels for a classifier of {config.num_classes} classes: "
            "give one label a class"
        )
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise BadInput(f"{path}: label {twice[0]!r} stands for two classes: give each its own name")
