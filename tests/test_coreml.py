"""Core ML packages of small models, executed by the reference interpreter."""

import functools
import json
import tempfile
from pathlib import Path

import pytest
import torch
from helpers import make_model
from short_models import make_short
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from core.errors import BadInput
from core.temporal import TEMPORAL
from mobile_export.graph.forms import deployed, exported, graph_of, input_ports, output_ports
from mobile_export.quantization.coreml import SCHEME, MapQuantizer
from mobile_export.quantization.pt2e import quantize
from mobile_export.runtime.coreml import open_coreml
from mobile_export.runtime.mil import load_spec
from mobile_export.targets import LoweringError, coreml

# Shares of the largest logit of a model with random weights, which magnifies a perturbation.
FP32_TOLERANCE = 1e-4  # float32 sums in another order
FP16_TOLERANCE = 5e-2  # every result rounded to 11 bits, through 50 layers and 6 frames
# An int8 program in float32 does the very operations of the converted graph. In half precision
# rounding moves values across quantization steps, and a random net magnifies that; judge the
# agreement of a trained one by its accuracy.
INT8_EXACT_SHARE = 0.99  # of the first slot's values; the rest crossed a step by float32 noise
FRAME_STEP_SHARE = 1e-2  # the frame's step is 1/256 smaller, then rounded to half
INT8_CORRELATION = 0.97  # of the half-precision package with the converted graph

LABELS = ["left", "right", "up", "down", "none"]
FRAMES = 6


def pixel_clips(batch, config, frames=FRAMES, seed=0):
    """Normalised clips (batch, T, 3, S, S) of whole pixel values, smooth in space like a picture:
    coarse noise, enlarged."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(batch * frames, 3, 8, 8, generator=generator)
    noise = torch.nn.functional.interpolate(noise, config.size, mode="bilinear")
    pixels = (noise * 255).round() / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (config.mean, config.std))
    return ((pixels - mean) / std).view(batch, frames, 3, config.size, config.size)


@functools.cache
def lowered(form, precision, temporal="action", causal=True, norm=()):
    """Lower a shallow model once for all tests; ``norm`` are settings of its pixels."""
    model = make_short(temporal, causal=causal, **dict(norm))
    folder = tempfile.TemporaryDirectory(prefix="coreml-")
    clips = list(pixel_clips(4, model.config, seed=1))
    result = coreml.lower(model, form, precision, clips, Path(folder.name), labels=LABELS)
    result.folder = folder  # removed with the cache
    return model, result


def runner_of(model, artifact, form="stream"):
    config = model.config
    ports = input_ports(model, form, "coreml"), output_ports(model, form, "coreml")
    return open_coreml(artifact, *ports, config.mean, config.std)


def stream(step, model, clips):
    """Logits (N, T, classes) of clips streamed from zeros, the state carried along."""
    state, logits = model.initial_state(len(clips)), []
    with torch.no_grad():
        for t in range(clips.shape[1]):
            out, *state = step(clips[:, t], state)
            logits.append(out)
    return torch.stack(logits, 1)


def stream_singly(graph, model, clips):
    """The same by a graph of batch 1."""
    each = [stream(lambda f, s: graph(f, *s), model, clip[None]) for clip in clips]
    return torch.cat(each)


def close(result, expected, share):
    torch.testing.assert_close(result, expected, rtol=0, atol=share * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("target", "precision", "share"),
    [
        pytest.param("iOS26", "int8", INT8_CORRELATION, marks=pytest.mark.slow),
        ("iOS18", "w8a16", FP16_TOLERANCE),
    ],
)
def test_packages_for_newer_systems_compute_the_same(target, precision, share, tmp_path):
    model = make_short("none")
    clips = list(pixel_clips(2, model.config, seed=1))
    made = coreml.lower(
        model, "stream", precision, clips, tmp_path, labels=LABELS, deployment_target=target
    )
    assert made.details["deployment_target"] == target
    assert not made.details["violations"]
    assert "constexpr_blockwise_shift_scale" in made.details["operators"]
    older = {"iOS17": 8, "iOS18": 9, "iOS26": 10}  # Core ML's versions of a specification
    assert load_spec(made.artifact).specificationVersion == older[target]
    clip = pixel_clips(1, model.config)
    runner = runner_of(model, made.artifact)
    result = stream(lambda f, s: runner([f, *s]), model, clip)
    expected = stream_singly(made.converted, model, clip)
    if precision == "int8":
        pair = torch.stack([result.flatten(), expected.flatten()])
        assert torch.corrcoef(pair)[0, 1] > share
    else:
        close(result, expected, share)


@pytest.mark.parametrize(("precision", "share"), [("fp32", FP32_TOLERANCE)])
def test_stream_package_equals_eager(precision, share):
    model, made = lowered("stream", precision)
    clips = pixel_clips(3, model.config)
    runner = runner_of(model, made.artifact)
    result = stream(lambda f, s: runner([f, *s]), model, clips)
    close(result, model.frame_logits(clips).detach(), share)
    close(stream_singly(made.converted, model, clips), result, share)


SLOW_KINDS = ("ste", "ce", "me")  # parts of action, which holds all their operations


@pytest.mark.parametrize(
    "temporal",
    [pytest.param(k, marks=[pytest.mark.slow] if k in SLOW_KINDS else []) for k in TEMPORAL],
)
def test_half_precision_stream_of_every_kind(temporal):
    model, made = lowered("stream", "fp16", temporal)
    clips = pixel_clips(3, model.config)
    runner = runner_of(model, made.artifact)
    assert runner.batch is None
    assert "not Core ML" in runner.name
    result = stream(lambda f, s: runner([f, *s]), model, clips)
    close(result, model.frame_logits(clips).detach(), FP16_TOLERANCE)


def test_batched_stream_equals_loop_of_singles():
    model, made = lowered("stream", "fp16")
    clips = pixel_clips(3, model.config)
    runner = runner_of(model, made.artifact)
    together = stream(lambda f, s: runner([f, *s]), model, clips)
    alone = [stream(lambda f, s: runner([f, *s]), model, c[None]) for c in clips]
    # Not bit for bit: sums of a batch are taken in another order, and then rounded to half.
    close(together, torch.cat(alone), FP16_TOLERANCE)


@pytest.mark.parametrize("causal", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_clip_package_equals_eager(causal):
    model, made = lowered("clip", "fp16", "action", causal)
    clips = pixel_clips(2, model.config)
    runner = runner_of(model, made.artifact, "clip")
    assert runner.batch == model.config.frames
    result = torch.cat([runner([clip])[0] for clip in clips])
    close(result, model(clips).detach(), FP16_TOLERANCE)


@pytest.mark.parametrize("form", ["stream", "clip"])
def test_weights_alone_in_int8(form):
    """The larger weights are int8 and lie where the converted graph has them."""
    model, made = lowered(form, "w8a16")
    count = made.details["operators"]
    assert "quantize" not in count
    assert "dequantize" not in count
    graph = coreml.weights_in_int8(graph_of(deployed(model, "coreml"), form))
    kinds = torch.nn.Conv2d | torch.nn.Linear
    large = [
        m.weight
        for m in graph.modules()
        if isinstance(m, kinds) and m.weight.numel() > coreml.FEWEST_WEIGHTS
    ]
    assert count["constexpr_affine_dequantize"] == len(large) > 0
    for weight in large:  # on 127 steps either way, channel by channel
        step = weight.detach().flatten(1).abs().amax(1, keepdim=True) / 127
        steps = weight.detach().flatten(1) / step
        torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)
    clips = pixel_clips(2, model.config)
    runner = runner_of(model, made.artifact, form)
    if form == "stream":
        result = stream(lambda f, s: runner([f, *s]), model, clips)
        expected = stream_singly(made.converted, model, clips)
    else:
        result = torch.cat([runner([clip])[0] for clip in clips])
        expected = torch.cat([made.converted(clip)[0] for clip in clips]).detach()
    close(result, expected, FP16_TOLERANCE)


def correlation(a, b):
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def test_int8_stream_follows_the_converted_graph():
    model, made = lowered("stream", "int8")
    clips = pixel_clips(4, model.config)
    runner = runner_of(model, made.artifact)
    result = stream(lambda f, s: runner([f, *s]), model, clips)
    expected = stream_singly(made.converted, model, clips)
    assert correlation(result, expected) > INT8_CORRELATION
    assert correlation(expected, model.frame_logits(clips).detach()) > 0.9  # and that the model
    assert "PT2E" in made.details["recipe"]


@pytest.mark.slow
def test_int8_in_float32_equals_the_converted_graph(tmp_path):
    """The interpreter's quantization is the converted graph's, apart from half precision."""
    model, made = lowered("stream", "int8")
    package = coreml._convert(made.converted, model, "stream", "fp32", "iOS17")
    package.save(str(tmp_path / "model.mlpackage"))
    runner = runner_of(model, tmp_path / "model.mlpackage")
    frames = pixel_clips(8, model.config, frames=1)[:, 0]
    result = runner([frames, *model.initial_state(8)])
    with torch.no_grad():
        each = [made.converted(f[None], *model.initial_state()) for f in frames]
    expected = [torch.cat(outputs) for outputs in zip(*each, strict=True)]
    # Names of the outputs: logits, then the first slot's shift and channel means.
    for got, wanted in list(zip(result, expected, strict=True))[1:3]:
        near = (got - wanted).abs() <= FP32_TOLERANCE * wanted.abs().max()
        assert near.float().mean() >= INT8_EXACT_SHARE
    assert correlation(result[0], expected[0]) > INT8_CORRELATION


def test_int8_scales_are_halves():
    _, made = lowered("stream", "int8")
    scales = [
        node.args[1]
        for node in made.converted.graph.nodes
        if "quantize_per_tensor" in str(node.target)
    ]
    assert scales
    assert torch.tensor(scales).equal(torch.tensor(scales).half().float())


def test_int8_ranges_hold_the_largest_calibration_value():
    """One bright frame among dim ones: an average of the frames would cut it off."""
    model = make_model(temporal="none")
    clip = torch.full((FRAMES, 3, 64, 64), 0.1)
    clip[2] = 1.0  # neither the first nor the last
    converted = quantize(deployed(model, "coreml"), "stream", SCHEME, [clip])
    nodes = converted.graph.nodes
    frame = next(n for n in nodes if n.op == "placeholder")
    rounding = next(n for n in frame.users if "quantize_per_tensor" in str(n.target))
    _, scale, zero, low, high, _ = rounding.args
    assert (low, high, zero) == (0, 255, 128)  # symmetric: 127.5 steps to each side
    assert scale * 127.5 == pytest.approx(1.0, rel=FRAME_STEP_SHARE)


def test_int8_rounds_what_convolutions_of_maps_read_and_nothing_else():
    """Once a map, where it is read; gates, sums, products and the classifier are floats."""
    _, made = lowered("stream", "int8")
    nodes = made.converted.graph.nodes
    back = [n for n in nodes if "dequantize_per" in str(n.target)]
    assert {user.target for n in back for user in n.users} == {torch.ops.aten.conv2d.default}
    maps = [n for n in nodes if n.target is torch.ops.aten.conv2d.default and n.args[0] in back]
    assert all(n.args[1] in back for n in maps)  # the weight too
    rounded = [n for n in nodes if "quantize_per_tensor" in str(n.target) and n not in back]
    assert len(rounded) == len(maps)  # in a chain every map is read by one of them
    count = made.details["operators"]
    assert count["quantize"] == count["dequantize"] == len(maps)
    assert count["conv"] - len(maps) == 5 - 1 + 5 - 1  # a slot's five, less its squeeze


@pytest.mark.parametrize(("backbone", "shifted"), [("mobilenet_v2", False), ("resnet50", True)])
def test_int8_keeps_no_level_for_values_that_cannot_be(backbone, shifted):
    """What a ReLU gave is never below zero, nor what a shift and a gate made of that.

    ResNet's blocks begin behind a ReLU, MobileNet's behind a sum.
    """
    model = deployed(make_short(backbone=backbone), "coreml")
    graph = MapQuantizer().annotate(exported(model, "stream", "coreml"))
    never_below = {}
    for node in graph.graph.nodes:
        note = node.meta.get(Q_ANNOTATION_KEY)
        if note is not None:
            kind = node.args[0].name.rstrip("_0123456789")
            affine = note.input_qspec_map[node.args[0]].qscheme is torch.per_tensor_affine
            assert never_below.setdefault(kind, affine) == affine
    relu = "relu" if shifted else "hardtanh"
    assert never_below["frame"] is False
    assert never_below[relu] is True
    assert never_below["cat"] is never_below["mul"] is shifted


def test_image_scaling_with_unequal_channels():
    norm = {"mean": (0.48, 0.45, 0.4), "std": (0.2, 0.25, 0.3)}
    model, made = lowered("stream", "fp32", "shift", True, tuple(norm.items()))
    clips = pixel_clips(2, model.config)
    expected = model.frame_logits(clips).detach()
    runner = runner_of(model, made.artifact)
    close(stream(lambda f, s: runner([f, *s]), model, clips), expected, FP32_TOLERANCE)
    close(stream_singly(made.converted, model, clips), expected, FP32_TOLERANCE)


def test_interface_labels_and_metadata():
    model, made = lowered("stream", "fp16")
    spec = load_spec(made.artifact)
    described = spec.description
    inputs, outputs = (
        input_ports(model, "stream", "coreml"),
        output_ports(model, "stream", "coreml"),
    )
    assert [i.name for i in described.input] == [p.name for p in inputs]
    assert [o.name for o in described.output] == [p.name for p in outputs]
    frame = described.input[0].type.imageType
    assert (frame.width, frame.height) == (model.config.size, model.config.size)
    for port, value in zip(inputs[1:], described.input[1:], strict=True):
        assert tuple(value.type.multiArrayType.shape) == port.shape
    meta = described.metadata
    assert meta.author
    assert meta.license
    assert "action" in meta.shortDescription
    assert json.loads(meta.userDefined["labels"]) == LABELS
    assert json.loads(meta.userDefined["config"]) == json.loads(json.dumps(model.config.to_dict()))
    assert float(meta.userDefined["frame_rate"]) == model.config.frame_rate
    assert (meta.userDefined["form"], meta.userDefined["precision"]) == ("stream", "fp16")
    assert made.details["max_rank"] <= 4
    assert made.details["deployment_target"] == "iOS17"
    modules = deployed(model, "coreml").modules()
    convolutions = sum(isinstance(m, torch.nn.Conv2d) for m in modules)
    assert made.details["operators"]["conv"] >= convolutions > 10


def test_folder_holds_the_package_alone():
    _, made = lowered("stream", "fp16")
    assert [p.name for p in made.artifact.parent.iterdir()] == ["model.mlpackage"]
    assert sorted(p.name for p in made.artifact.iterdir()) == ["Data", "Manifest.json"]


def test_impossible_requests(tmp_path):
    model = make_short()
    with pytest.raises(BadInput, match="no int8 clip export"):
        coreml.lower(model, "clip", "int8", [], tmp_path, labels=LABELS)
    with pytest.raises(BadInput, match="no calibration clips"):
        coreml.lower(model, "stream", "int8", [], tmp_path, labels=LABELS)
    assert list(tmp_path.iterdir()) == []


def test_violations_name_the_operation():
    import coremltools as ct
    from coremltools.converters.mil.mil import Builder as mb

    @mb.program(input_specs=[mb.TensorSpec((1, 3, 8, 8))], opset_version=ct.target.iOS17)
    def program(x):
        x = mb.conv(x=x, weight=torch.randn(4, 3, 3, 3).numpy(), name="stem")
        return mb.relu(x=mb.expand_dims(x=x, axes=[0], name="five"), name="act")

    whole = ct.precision.FLOAT32
    package = ct.convert(
        program,
        minimum_deployment_target=ct.target.iOS17,
        compute_precision=whole,
        skip_model_load=True,
    )
    found = coreml.violations(package.get_spec(), "fp16")
    assert "expand_dims five has rank 5, more than 4" in found
    assert "conv stem computes in fp32" in found
    assert "conv stem has a weight that is not int8" in coreml.violations(
        package.get_spec(), "int8"
    )


def test_a_breach_stops_the_export(tmp_path, monkeypatch):
    monkeypatch.setattr(coreml, "MAX_RANK", 3)
    model = make_short(temporal="none")
    with pytest.raises(LoweringError, match="has rank 4, more than 3"):
        coreml.lower(model, "stream", "fp16", [], tmp_path, labels=LABELS)
    assert list(tmp_path.iterdir()) == []
    made = coreml.lower(model, "stream", "fp16", [], tmp_path, labels=LABELS, allow_partial=True)
    assert made.details["violations"]
