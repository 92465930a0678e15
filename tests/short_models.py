"""Shallow models, and what else the tests of the ExecuTorch targets share."""

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from helpers import make_model, make_shallow, random_clip
from torch import Tensor, nn

from core.backbones import bn_inception, mobilenet_v2, resnet
from core.errors import BadInput
from core.model import VideoClassifier
from mobile_export.graph import forms
from mobile_export.runtime.native import build
from mobile_export.targets import Lowered, vulkan, xnnpack

SLOTS = 2
# What ``make_shallow`` does to MobileNet V2, of the other backbones: two bottlenecks with and
# without a stride, two inception blocks with both kinds of pooling.
RESNET_STAGES = ((64, 1, 1), (128, 1, 2))
INCEPTION_BLOCKS = ("3c", "3a")
RESIDUAL = 0.3  # of a trained network's order; unscaled random blocks amplify a rounding tenfold


def make_short(temporal: str = "action", **settings: object) -> VideoClassifier:
    """A shallow model of full width at 64 pixels whose residual branches are tame."""
    with pytest.MonkeyPatch.context() as patch:
        make_shallow(patch)
        patch.setattr(resnet, "STAGES", RESNET_STAGES)
        blocks = {name: bn_inception.BLOCKS[name] for name in INCEPTION_BLOCKS}
        patch.setattr(bn_inception, "BLOCKS", blocks)
        model = make_model(temporal=temporal, **({"width": 1.0} | settings))
    tame(model)
    return model


def tame(model: VideoClassifier) -> None:
    """Scale down the last batch norm of every residual branch."""
    for layer in model.modules():
        last = None
        if isinstance(layer, mobilenet_v2.InvertedResidual) and layer.skip:
            last = layer.conv[-1]
        elif isinstance(layer, resnet.Bottleneck):
            last = layer.bn3
        if last is not None:
            last.weight.data *= RESIDUAL
            last.bias.data *= RESIDUAL


def clips_for(model: VideoClassifier, count: int = 4, seed: int = 7) -> list[Tensor]:
    torch.manual_seed(seed)
    return list(random_clip(count, model.config).clamp(-1, 1))


def short_program(
    temporal: str = "action", precision: str = "int8", form: str = "stream", **settings: object
) -> tuple[VideoClassifier, Lowered]:
    """A deployed model and its XNNPACK program, made once for the tests that only read them."""
    return _short_program(temporal, precision, form, tuple(sorted(settings.items())))


@functools.cache  # which takes a name and the same place in order for two
def _short_program(
    temporal: str, precision: str, form: str, settings: tuple
) -> tuple[VideoClassifier, Lowered]:
    model = make_short(temporal, **dict(settings))
    folder = tempfile.TemporaryDirectory(prefix="program-")
    clips = clips_for(model) if precision == "int8" else []
    lowered = xnnpack.lower(model, form, precision, clips, Path(folder.name), labels=list("abcde"))
    lowered.folder = folder  # removed with the cache
    return forms.deployed(model, "xnnpack"), lowered


@functools.cache
def short_vulkan(temporal: str, precision: str) -> tuple[VideoClassifier, Lowered]:
    """A deployed model and its Vulkan program in stream form, made once as well."""
    model = make_short(temporal)
    folder = tempfile.TemporaryDirectory(prefix="program-")
    clips = clips_for(model) if precision == "int8" else []
    lowered = vulkan.lower(
        model, "stream", precision, clips, Path(folder.name), labels=list("abcde")
    )
    lowered.folder = folder
    return forms.deployed(model, "vulkan"), lowered


@dataclass
class Played:
    """Logits (T, classes) and last states of one stream."""

    logits: Tensor
    state: list[Tensor]


def play(graph: object, model: VideoClassifier, clip: Tensor, state: list | None = None) -> Played:
    """Run a stream graph or runner over a clip (T, 3, S, S) with its state carried."""
    state = model.initial_state() if state is None else state
    logits = []
    with torch.no_grad():
        for frame in clip:
            answer, *state = graph([frame[None], *state])
            logits.append(answer)
    return Played(torch.cat(logits), state)


def eager(module: nn.Module):
    """The same calling convention for a graph module."""
    return lambda inputs: module(*inputs)


def relative(a: Tensor, b: Tensor) -> float:
    """Largest difference in parts of the largest value of ``b``."""
    return float((a - b).abs().max() / b.abs().max())


def arm_command(core: str) -> list[str]:
    """Skips where executorch's wheel for Arm is not cached and cannot be had: tests run offline."""
    try:
        return build.arm64_command(core)
    except BadInput as error:
        if "cannot be downloaded" in str(error):
            pytest.skip(str(error))
        raise
