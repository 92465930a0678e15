"""Vulkan programs: delegated whole, nothing in them that the delegate miscomputes.

What they compute is in test_vulkan_interpreter.py; here the graph that they were made from is.
"""

import pytest
import torch
from short_models import clips_for, eager, make_short, play, relative, short_vulkan
from torch import nn

from core.model import ModelConfig, VideoClassifier
from core.temporal import TEMPORAL
from mobile_export.graph import forms
from mobile_export.targets import LoweringError, vulkan

FP32 = 1e-4  # the graph is the model with its batch norms folded
# int8 against fp32: 8 bits through untrained weights, 0.03 measured; a wrong scale gives 1.
INT8_TO_FP32 = 0.15


def int8_convolutions(converted):
    found = [n for n in converted.graph.nodes if n.target is torch.ops.aten.conv2d.default]
    return sum("dequantize" in str(getattr(n.args[1], "target", "")) for n in found)


@pytest.mark.parametrize(
    ("precision", "temporal", "tolerance"),
    [
        ("int8", "action", INT8_TO_FP32),
        ("fp16", "shift", FP32),  # the delegate halves what the graph has in fp32
        pytest.param("fp16", "action", FP32, marks=pytest.mark.slow),
        pytest.param("fp32", "action", FP32, marks=pytest.mark.slow),
        pytest.param("fp32", "me", FP32, marks=pytest.mark.slow),
    ],
)
def test_stream_is_one_delegate_call(precision, temporal, tolerance):
    model, lowered = short_vulkan(temporal, precision)
    assert lowered.details["delegate_calls"] == 1
    assert not lowered.details["operators_outside"]
    assert "never on a GPU" in lowered.details["executed"]
    assert lowered.artifact.stat().st_size == lowered.details["bytes"]
    content = lowered.artifact.read_bytes()
    assert b"VK" in content[: 1 << 17]
    # Unfused, an int8 convolution would run in fp32 between two roundings.
    assert content.count(b"et_vk.q8ta_conv2d") == int8_convolutions(lowered.converted)
    clip = clips_for(model, seed=1)[0]
    played = play(eager(lowered.converted), model, clip)
    reference = play(eager(forms.graph_of(model, "stream")), model, clip)
    assert relative(played.logits, reference.logits) < tolerance


@pytest.mark.parametrize("temporal", TEMPORAL)
def test_the_models_hold_nothing_that_vulkan_miscomputes(temporal):
    """In full depth and width: ME's depthwise has 1 to 10 channels, STE goes from 3 to 1."""
    model = VideoClassifier(ModelConfig(temporal=temporal, size=64)).eval()
    model = forms.deployed(model, "vulkan")
    inputs = forms.example_inputs(model, "stream", "vulkan")
    vulkan.check_structure(torch.export.export(forms.graph_of(model, "stream"), inputs).graph)


def _convolution(inputs, outputs, kernel, groups):
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups)


class _Mean(nn.Module):
    def forward(self, x):
        return x.mean(0, keepdim=True)


class _Pool(nn.Module):
    def forward(self, x):
        return nn.functional.avg_pool2d(x, 2)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (_convolution(8, 8, 3, 4), "4 groups of 2 to 2"),
        (_convolution(16, 16, 1, 4), "kernel 1x1"),
        (_convolution(8, 16, 3, 8), "multiplier"),
        (_Mean(), "batch axis"),
        (_Pool(), "stride"),
        (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(8 * 64)).eval(), "batch_norm"),
    ],
)
def test_what_vulkan_miscomputes_is_refused_by_name(module, reason):
    channels = module.in_channels if isinstance(module, nn.Conv2d) else 8
    program = torch.export.export(module, (torch.zeros(2, channels, 8, 8),))
    with pytest.raises(LoweringError, match=reason) as caught:
        vulkan.check_structure(program.graph)
    assert str(caught.value).startswith("aten.")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "module",
    [_convolution(8, 8, 3, 8), _convolution(1, 1, 3, 1), _convolution(16, 16, 3, 4)],
    ids=["depthwise", "one channel", "whole texels"],
)
def test_what_vulkan_computes_right_is_let_through(module):
    x = torch.zeros(1, module.in_channels, 8, 8)
    vulkan.check_structure(torch.export.export(module, (x,)).graph)


@pytest.mark.parametrize(
    ("form", "precision", "reason"), [("clip", "fp32", "clip"), ("stream", "int4", "int4")]
)
def test_what_is_not_offered_is_refused(form, precision, reason, tmp_path):
    with pytest.raises(LoweringError, match=reason):
        vulkan.lower(make_short("shift"), form, precision, [], tmp_path, labels=list("abcde"))
    assert not list(tmp_path.iterdir())
