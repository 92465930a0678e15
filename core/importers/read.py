"""A state dict from a file, without executing what is pickled in it."""

import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from core.errors import BadInput

ARGUMENTS = ("args", "arguments", "opt", "opts", "config", "cfg", "hparams", "hyper_parameters")
WRAPPER = "module."  # what DataParallel puts in front of every name


def state_dict(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Names and tensors, without the prefix of ``DataParallel``, and the program's arguments.

    The arguments are what the file has beside the tensors, flat, empty where it has none.

    The file is a ``.pth`` or ``.pth.tar`` of torch, of any age, which holds a state dict or a dict
    with one under ``state_dict``; a safetensors file; or an ``.npz`` of numpy, as weights from
    TensorFlow come. Raises ``BadInput`` for anything else.
    """
    if not path.is_file():
        reason = "is a folder" if path.is_dir() else "does not exist"
        raise BadInput(f"{path} {reason}: give a .pth, .pth.tar, .npz or .safetensors file")
    content = _load(path)
    arguments = _arguments(content)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise BadInput(f"{path} holds no state dict: save model.state_dict() and give that")
    others = [
        key for key, value in content.items()
        if not (isinstance(key, str) and isinstance(value, Tensor))
    ]  # fmt: skip
    if others:
        raise BadInput(
            f"{path} holds no state dict ({others[0]!r} names no tensor): save model.state_dict()"
        )
    wrapped = all(key.startswith(WRAPPER) for key in content)
    tensors = {key.removeprefix(WRAPPER) if wrapped else key: v for key, v in content.items()}
    return tensors, arguments


def _arguments(content: object) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if not isinstance(content, dict):
        return found
    for values in (content, *(content.get(name) for name in ARGUMENTS)):
        values = vars(values) if isinstance(values, argparse.Namespace) else values
        if isinstance(values, dict):
            found |= {k: v for k, v in values.items() if isinstance(v, str | int | float)}
    return found


def _load(path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        # Scripts of training save their arguments: a plain bag of values, without code.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise BadInput(
            f"{path} holds more than tensors, or is no file of torch.save; code in it is not run: "
            "load it where you trust it and save its state_dict() alone"
        ) from None
    except Exception as error:
        if "TorchScript" in str(error):  # torch's advice is to run the code in it
            raise BadInput(
                f"{path} is a TorchScript program, whose code is not run: save the state_dict() of "
                "the model that it was made from"
            ) from None
        # Torch's unpickler meets damaged bytes with whatever its step happens to raise.
        reason = (str(error).splitlines() or ["it ends too early"])[0]
        raise BadInput(
            f"{path} cannot be read ({type(error).__name__}: {reason}): copy it again, or give a "
            "file of torch.save"
        ) from None
