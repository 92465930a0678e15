"""Checkpoints of mmaction2: TSM by other names."""

from pathlib import Path

import pytest
import torch
from imported import in_mmaction, made, refusal, run, written

from core import checkpoint


@pytest.mark.parametrize("kind", ["shift", "none"])
@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet_v2"])
def test_mmaction2_is_imported_as_the_same_model_of_tsm(
    tmp_path: Path, backbone: str, kind: str, capsys: pytest.CaptureFixture
) -> None:
    weights = made(backbone, kind, "new_fc")
    theirs = written(tmp_path / "tsm.pth", weights, parallel=False)
    ours = written(tmp_path / "mmaction.pth", in_mmaction(weights, backbone), parallel=False)
    models = []
    for path in (theirs, ours):
        run("import", path, "--out", tmp_path / "out.safetensors")
        models.append(checkpoint.load(tmp_path / "out.safetensors"))
    first, second = models
    assert second.config == first.config
    assert second.config.temporal == kind
    other = second.model.state_dict()
    assert all(torch.equal(value, other[key]) for key, value in first.model.state_dict().items())
    name = "TSN" if kind == "none" else "TSM"
    assert f"mmaction2 {name} {backbone}" in capsys.readouterr().out


def test_mmaction2s_names_are_those_of_its_modules() -> None:
    """Spelled out as its code nests them, so that the test's own translation is not the judge."""
    resnet = in_mmaction(made("resnet50", "shift", "new_fc"), "resnet50")
    assert {
        "backbone.conv1.conv.weight", "backbone.conv1.bn.running_var",
        "backbone.layer1.0.conv1.conv.net.weight", "backbone.layer1.0.conv1.bn.weight",
        "backbone.layer4.2.conv3.conv.weight", "backbone.layer2.0.downsample.conv.weight",
        "backbone.layer2.0.downsample.bn.bias", "cls_head.fc_cls.weight",
    } <= set(resnet)  # fmt: skip
    mobilenet = in_mmaction(made("mobilenet_v2", "shift", "new_fc"), "mobilenet_v2")
    assert {
        "backbone.conv1.conv.weight", "backbone.layer1.0.conv.1.conv.weight",
        "backbone.layer2.0.conv.0.conv.weight", "backbone.layer2.1.conv.0.net.conv.weight",
        "backbone.layer2.1.conv.0.net.bn.weight", "backbone.layer7.0.conv.2.bn.running_mean",
        "backbone.conv2.conv.weight", "backbone.conv2.bn.weight",
    } <= set(mobilenet)  # fmt: skip


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("backbone.layer3.22.conv1.conv.net.weight", "is a ResNet-101"),
        ("backbone.layer2.0.non_local_block.g.conv.weight", "has non-local blocks"),
    ],
)
def test_models_of_mmaction2_that_are_not_here_are_named(
    tmp_path: Path, key: str, said: str
) -> None:
    weights = in_mmaction(made("resnet50", "shift", "new_fc"), "resnet50")
    path = written(tmp_path / "other.pth", weights | {key: torch.zeros(1)}, parallel=False)
    assert said in refusal("import", path, "--out", tmp_path / "out.safetensors")
