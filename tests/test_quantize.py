"""What the int8 quantizer annotates, leaves alone and calibrates on, without lowering anything."""

import pytest
import torch
from short_models import SLOTS, clips_for, eager, make_short, play, relative

from core.errors import BadInput
from core.model import BACKBONES
from mobile_export.graph import forms
from mobile_export.graph.fold import folded
from mobile_export.quantization import executorch, pt2e
from mobile_export.quantization.executorch import (
    CLAMPS,
    MOVES,
    QUANTIZE,
    _range_inside,
    drop_clamps,
)
from mobile_export.quantization.pt2e import prepare, quantize

ATEN = torch.ops.aten
PLACES = [(b, place) for b in BACKBONES for place in range(1, BACKBONES[b].LOCATIONS + 1)]
# Folding a batch norm scales the weights: another rounding in each layer.
FOLDED = 1e-5
# 8 bits through untrained weights: 0.03 measured; a wrong scale gives 1.
INT8_TO_FP32 = 0.15
# Convolutions of another batch sum in another order.
SUMS = 1e-4


@pytest.fixture(scope="module")
def stream():
    model = forms.deployed(make_short(), "xnnpack")
    clips = clips_for(model)
    return model, quantize(model, "stream", executorch.XNNPACK, clips)


def nodes(module, target):
    return [node for node in module.graph.nodes if node.target is target]


def dequantized(node):
    return "dequantize" in str(getattr(node, "target", ""))


def test_folding_changes_nothing_and_leaves_the_model_alone():
    model = make_short()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    clip = clips_for(model)[0][None]
    with torch.no_grad():
        assert relative(folded(model)(clip), model(clip)) < FOLDED
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any("running_mean" in key for key in folded(model).state_dict())


def test_a_batch_norm_without_convolution_is_named():
    model = make_short("none")
    model.classifier = torch.nn.Sequential(torch.nn.BatchNorm1d(128), model.classifier)
    with pytest.raises(ValueError, match=r"classifier\.0"):
        folded(model)


def test_full_maps_are_int8_and_squeezed_paths_float(stream):
    _, converted = stream
    convolutions = nodes(converted, ATEN.conv2d.default)
    left = [node for node in convolutions if not dequantized(node.args[1])]
    # Each slot keeps those of its vectors in fp32, and the transposed one that expands them.
    assert len(left) == 2 * SLOTS
    expansions = nodes(converted, ATEN.conv_transpose2d.input)
    assert len(expansions) == SLOTS
    assert not any(dequantized(argument) for node in expansions for argument in node.args[:2])
    assert all(dequantized(node.args[0]) for node in convolutions if node not in left)
    # Two products a slot, both of floats: the weights of the pooling with the squeezed map, and the
    # map with its gate, which is rounded.
    products = nodes(converted, ATEN.mul.Tensor)
    assert len(products) == 2 * SLOTS
    assert all(sum(map(dequantized, node.args)) == 1 for node in products)
    rounded = [node for node in products if any(user.target is QUANTIZE for user in node.users)]
    assert len(rounded) == SLOTS
    assert all(dequantized(node.args[0]) for node in rounded)
    assert not dequantized(nodes(converted, ATEN.linear.default)[0].args[0])
    assert not any("batch_norm" in str(node.target) for node in converted.graph.nodes)


@pytest.mark.parametrize("form", ["stream", "clip"])
@pytest.mark.parametrize(
    ("backbone", "location", "temporal"),
    [*((b, place, "action") for b, place in PLACES), ("bn_inception", 2, "ce")],
)
def test_a_map_is_rounded_wherever_it_is_gated(backbone, location, temporal, form):
    """A gated map ends a branch here and there, and is concatenated with others."""
    made = make_short(temporal, backbone=backbone, location=location, width=0.25)
    prepared = prepare(forms.deployed(made, "xnnpack"), form, executorch.XNNPACK)
    products = nodes(prepared, ATEN.mul.Tensor)
    gated = [n for n in products if n.args[1].target is ATEN.add.Tensor]
    assert gated
    for node in gated:
        assert {user.op for user in node.users} == {"call_module"}  # fake quantizers


@pytest.mark.parametrize("form", ["stream", "clip"])
def test_a_shift_keeps_the_parameters_of_its_map(form, stream):
    """XNNPACK refuses to load a slice or pad between two scales."""
    model, converted = stream
    if form == "clip":
        converted = quantize(model, "clip", executorch.XNNPACK, clips_for(model))
    moved = []
    for target in (*MOVES, ATEN.cat.default):
        for node in nodes(converted, target):
            if any(user.target is QUANTIZE for user in node.users):
                (after,) = {user.args[1:3] for user in node.users}
                assert {source.args[1:3] for source in node.all_input_nodes} == {after}
                moved.append(node)
    # The shift: two slices and a concatenation; STE's window: a permutation, a slice and a
    # concatenation. The clip form delays once and twice by another slice and a pad, the stream form
    # hands out a slice of each that is the next state.
    assert len(moved) == {"stream": 3 + 4, "clip": 5 + 7}[form] * SLOTS


def test_clamps_are_gone_where_rounding_saturates(stream):
    _, converted = stream
    # The shallow model's CE keeps a ReLU in fp32; every ReLU6 follows an int8 convolution.
    clamps = [node for node in converted.graph.nodes if node.target in CLAMPS]
    assert all("relu" in str(node.target) for node in clamps)


class _Clamped(torch.nn.Module):
    def __init__(self, scale: float, zero: int) -> None:
        super().__init__()
        self.scale, self.zero = scale, zero

    def forward(self, x):
        clamped = torch.nn.functional.hardtanh(x, 0.0, 6.0)
        return QUANTIZE(clamped, self.scale, self.zero, -128, 127, torch.int8)


@pytest.mark.parametrize(
    ("scale", "zero", "removed"),
    [(6 / 255, -128, True), (2 / 255, -128, True), (7 / 255, -128, False), (6 / 255, -100, False)],
)
def test_a_clamp_goes_only_when_nothing_changes(scale, zero, removed):
    x = torch.linspace(-9, 9, 1001)
    module = torch.export.export(_Clamped(scale, zero), (x,)).module()
    before = module(x)
    drop_clamps(module)
    assert torch.equal(module(x), before)
    assert removed == (not [n for n in module.graph.nodes if n.target in CLAMPS])
    assert not _range_inside(next(iter(module.graph.nodes)), 0.0, 6.0)


@pytest.mark.parametrize(
    ("bounds", "scale", "zero", "removed"),
    [
        # -1 to 1 by default, at most one of them given; the rounding spans 0 to 1, or -1 to 1.
        ((), 1 / 255, -128, True),
        ((), 2 / 255, -128, False),
        ((0.0,), 1 / 255, -128, True),
        ((0.0,), 2 / 255, 0, False),
    ],
)
def test_a_clamp_with_default_bounds(bounds, scale, zero, removed):
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    clamped = graph.call_function(ATEN.hardtanh.default, (x, *bounds))
    rounded = graph.call_function(QUANTIZE, (clamped, scale, zero, -128, 127, torch.int8))
    graph.output(rounded)
    module = torch.fx.GraphModule(torch.nn.Module(), graph)
    values = torch.linspace(-3, 3, 1001)
    before = module(values)
    drop_clamps(module)
    assert torch.equal(module(values), before)
    assert removed == (not nodes(module, ATEN.hardtanh.default))


def test_calibration_follows_the_stream(stream):
    """The graph agrees with fp32 on states that only a carried stream has."""
    model, converted = stream
    clip = clips_for(model, seed=1)[0]
    quantized = play(eager(converted), model, clip)
    reference = play(eager(forms.graph_of(model, "stream")), model, clip)
    assert relative(quantized.logits, reference.logits) < INT8_TO_FP32
    for name, a, b in zip(model.state_shapes(), quantized.state, reference.state, strict=True):
        assert relative(a, b) < 2 * INT8_TO_FP32, name


def test_streams_side_by_side_have_the_ranges_of_one_after_the_other(monkeypatch):
    """Of two lengths, the last batch of each not full."""
    model = forms.deployed(make_short(), "xnnpack")
    clips = clips_for(model, 3) + [clip[:4] for clip in clips_for(model, 3, seed=8)]
    ranges = []
    for least in (2, 99):  # as it is; as if these were too few to stream side by side
        monkeypatch.setattr(pt2e, "SIDE_BY_SIDE", least)
        prepared = pt2e.prepare(model, "stream", executorch.XNNPACK)
        pt2e.calibrate(prepared, model, "stream", clips, executorch.XNNPACK)
        ranges.append({k: v for k, v in prepared.state_dict().items() if k.endswith("_val")})
    together, singly = ranges
    assert together.keys() == singly.keys()
    assert len(together) > 50
    for key, value in together.items():
        torch.testing.assert_close(value, singly[key], rtol=SUMS, atol=SUMS)


def test_unfit_calibration_clips_are_refused():
    model = forms.deployed(make_short("shift"), "xnnpack")
    fit = clips_for(model)[0]
    for form, clips, reason in (
        ("stream", [], "no calibration clips"),
        ("stream", [fit[:, :, :32]], "shape"),
        ("clip", [fit[:3]], "at least 6 frames"),
    ):
        with pytest.raises(BadInput, match=reason) as caught:
            quantize(model, form, executorch.XNNPACK, clips)
        assert "\n" not in str(caught.value)
