"""What quantization-aware training learned: in a file, or in the package.

The state of a prepared stream graph: its weights, held as the int8 that they round to, what stays
in floats, and every range. XNNPACK and Vulkan run one graph and share it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor
from torch.fx import GraphModule

from core.errors import BadInput
from core.files import write_bytes
from mobile_export.quantization.pt2e import weight_quantizers
from mobile_export.quantization.qat import Settings

FAMILY = {"xnnpack": "executorch", "vulkan": "executorch", "coreml": "coreml"}
SETTINGS = "settings"  # key in the file's header
RUNS = Path("runs") / "qat"  # where training on this machine keeps its own


def save(
    path: Path, state: Mapping[str, Tensor], prepared: GraphModule, settings: Settings
) -> None:
    """Write ``state`` of ``prepared`` with the settings that it was learned with."""
    tensors = {key: value.contiguous() for key, value in state.items()}
    for name, quantizer in _weights(prepared).items():
        rounds = prepared.get_submodule(quantizer)
        steps = (state[name] / _of_channels(state[f"{quantizer}.scale"], state[name])).round()
        tensors[name] = steps.clamp(rounds.quant_min, rounds.quant_max).to(torch.int8)
    header = {SETTINGS: json.dumps(asdict(settings))}
    write_bytes(path, serialise(tensors, metadata=header))


def load(path: Path, prepared: GraphModule) -> dict[str, Tensor]:
    """The state that ``save`` wrote, for a graph prepared alike. Raises ``BadInput``."""
    try:
        state = load_file(path)
        for name, quantizer in _weights(prepared).items():
            values = state[name].float()
            state[name] = values * _of_channels(state[f"{quantizer}.scale"], values)
        own = prepared.state_dict()
        # A range has no shape of its own before it has seen anything.
        unlike = [
            key for key in dict(prepared.named_parameters()) if state[key].shape != own[key].shape
        ]
        if state.keys() != own.keys() or unlike:
            raise ValueError("it belongs to another graph")
    except (OSError, SafetensorError, ValueError, LookupError, RuntimeError) as error:
        line = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise BadInput(f"{path} cannot be used ({line}): remove it and train again") from None
    return state


def settings_of(path: Path) -> Settings | None:
    """The settings in a file's header; None for a file that is missing or is none of these."""
    try:
        with safe_open(path, "pt") as file:
            return Settings(**json.loads(file.metadata()[SETTINGS]))
    except (OSError, SafetensorError, ValueError, LookupError, TypeError):
        return None


def bundled(checkpoint: str, family: str) -> Path | None:
    """The file in the package that was learned from the checkpoint with this SHA-256."""
    folder = resources.files(__package__) / "learned_weights"
    path = Path(str(folder / f"{family}.safetensors"))
    settings = settings_of(path)
    return path if settings is not None and settings.checkpoint == checkpoint else None


def find(checkpoint: str, family: str, steps: int) -> list[Path]:
    """What was learned from this checkpoint in so many steps, on whatever clips: in the package, or
    trained here.
    """
    own = sorted(RUNS.glob(f"{family}-*.safetensors")) if RUNS.is_dir() else []
    found = []
    for path in (bundled(checkpoint, family), *own):
        settings = settings_of(path) if path else None
        if path and settings and (settings.checkpoint, settings.steps) == (checkpoint, steps):
            found.append(path)
    return found


def changed(settings: Settings) -> list[str]:
    """What makes files of this machine, else of these settings, another's: clips or a graph."""
    found = set()
    for path in RUNS.glob(f"{settings.family}-*.safetensors") if RUNS.is_dir() else ():
        other = settings_of(path)
        if other is None or replace(other, clips="", graph="") != replace(
            settings, clips="", graph=""
        ):
            continue
        found |= {"other clips"} if other.clips != settings.clips else set()
        found |= {"another graph"} if other.graph != settings.graph else set()
    return sorted(found)


def _weights(prepared: GraphModule) -> dict[str, str]:
    """Weights that round to int8, with the names of their fake quantizers."""
    names = {id(module): name for name, module in prepared.named_modules()}
    held = prepared.state_dict()
    found = weight_quantizers(prepared).items()
    return {name: names[id(module)] for name, module in found if name in held}


def _of_channels(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (weight.dim() - 1))
