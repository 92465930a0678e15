"""Checkpoints as other programs write them, and the commands that read them."""

from pathlib import Path

import authors
import pytest
import torch
from torch import Tensor

from core import checkpoint
from core.checkpoint import __main__ as command
from core.errors import BadInput

TOLERANCE = 1e-4  # float32 through all layers, relative to the largest logit
BASE = "base_model."
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FEATURES = {"resnet50": 2048, "mobilenet_v2": 1280, "bn_inception": 1024}
SHAPES = {
    "resnet50": authors.resnet_shapes,
    "mobilenet_v2": authors.mobilenet_shapes,
    "bn_inception": authors.inception_shapes,
}


def made(
    backbone: str, kind: str, classifier: str, classes: int = 27, prefix: str = BASE
) -> dict[str, Tensor]:
    """A state dict without the prefix of DataParallel."""
    shapes = SHAPES[backbone](kind, prefix)
    shapes[f"{classifier}.weight"] = (classes, FEATURES[backbone])
    shapes[f"{classifier}.bias"] = (classes,)
    return authors.random_weights(shapes)


def written(path: Path, weights: dict[str, Tensor], parallel: bool) -> Path:
    """As those programs' training scripts save it."""
    names = {f"module.{k}" if parallel else k: v for k, v in weights.items()}
    extra = {"epoch": 19, "arch": "resnet50", "best_prec1": torch.tensor(94.2), "optimizer": {}}
    torch.save({"state_dict": names} | extra, path)
    return path


def run(*argv: object) -> None:
    assert command.main([str(part) for part in argv]) == 0


def refusal(*argv: object) -> str:
    with pytest.raises(BadInput) as caught:
        command.main([str(part) for part in argv])
    assert "\n" not in str(caught.value)
    return str(caught.value)


@torch.no_grad()
def assert_computes(loaded: checkpoint.Checkpoint, pixels: Tensor, expected: Tensor) -> None:
    """``pixels`` (T, 3, H, W) are RGB from 0 to 255."""
    config = loaded.config
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (config.mean, config.std))
    got = loaded.model(((pixels / 255 - mean) / std)[None])[0]
    assert (got - expected).abs().max() < TOLERANCE * expected.abs().max()


def pictures(frames: int = 3) -> Tensor:
    return torch.rand(frames, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255


def imagenet(pixels: Tensor) -> Tensor:
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in IMAGENET)
    return (pixels / 255 - mean) / std


def in_mmaction(weights: dict[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """TSM's tensors by mmaction2's names, as its ConvModule and TemporalShift nest them."""
    found = {}
    for key, value in weights.items():
        name = key.removeprefix(BASE)
        if name.startswith("new_fc"):
            found[name.replace("new_fc", "cls_head.fc_cls")] = value
            continue
        *at, leaf = name.split(".")
        if backbone == "resnet50":
            wrap = "net." if at[-1] == "net" else ""
            at = at[:-1] if wrap else at
            last = at.pop()
            if at and at[-1] == "downsample":
                last = "conv" if last == "0" else "bn"
            elif last.startswith("bn"):
                last = f"conv{last[2:]}.bn"
            else:
                last = f"{last}.conv"
            found[".".join(["backbone", *at, last, wrap + leaf])] = value
            continue
        index = int(at[1])
        if index in (0, 18):
            part = "conv" if at[2] == "0" else "bn"
            found[f"backbone.conv{1 if index == 0 else 2}.{part}.{leaf}"] = value
            continue
        layer, block = next(
            (n, index - 1 - sum(r for *_, r, _ in authors.MOBILENET[: n - 1]))
            for n in range(1, 8)
            if index - 1 < sum(r for *_, r, _ in authors.MOBILENET[:n])
        )
        place, norm = divmod(int(at[3]), 3)
        shifted = f"{key.partition('.conv.')[0]}.conv.0.net.weight" in weights and place == 0
        module = f"conv.{place}" + (".net" if shifted else "")
        part = "bn" if norm else "conv"
        found[f"backbone.layer{layer}.{block}.{module}.{part}.{leaf}"] = value
    return found
