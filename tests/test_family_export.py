"""ResNet-50 and BNInception on every target: short ones in the default suite, all else is slow."""

import pytest
import torch
from helpers import make_model
from short_models import clips_for, eager, make_short, play, relative, tame
from test_coreml import FP16_TOLERANCE, close, pixel_clips, runner_of, stream
from test_xnnpack import FP32, INT8_FLIPS, INT8_TO_FP32, lower, open_program, whole

from core.backbones.bn_inception import AveragePool
from core.errors import BadInput
from core.model import BACKBONES, CONFIGS, ModelConfig, VideoClassifier
from core.temporal import TEMPORAL, Action
from mobile_export.graph import forms
from mobile_export.graph.fold import folded
from mobile_export.graph.fused import FusedAction, WideAction, fused
from mobile_export.graph.pools import without_average_pools
from mobile_export.runtime.vulkan import open_vulkan
from mobile_export.targets import coreml, vulkan

NEW = ["resnet50", "bn_inception"]
NAMED = [f"{network}_{backbone}" for backbone in BACKBONES for network in ("tsm", "action")]
NEW_NAMED = [name for name in NAMED if CONFIGS[name]["backbone"] in NEW]
FULL = {"width": 1.0, "size": 224, "num_classes": 27, "frames": 8}
PLACES = [(b, place) for b in BACKBONES for place in range(1, BACKBONES[b].LOCATIONS + 1)]
# float64 through all layers: what remains is the order of summation.
FUSED_TOLERANCE = 1e-10
# Eight bits through the whole depth of a random network, in step with its graph and the model.
INT8_CORRELATION = 0.9
LABELS = [str(number) for number in range(27)]

slow = pytest.mark.slow


def deployed_in_float64(model):
    """As ExecuTorch runs it, its constants as precise as its weights."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return fused(without_average_pools(folded(model)))
    finally:
        torch.set_default_dtype(default)


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize(("backbone", "location"), PLACES)
@torch.no_grad()
def test_the_fused_graph_is_the_model(backbone, location, causal):
    model = make_model(backbone=backbone, location=location, causal=causal).double()
    deployed = deployed_in_float64(model)
    assert any(isinstance(m, FusedAction) for m in deployed.modules())
    assert not any(isinstance(m, Action | AveragePool) for m in deployed.modules())
    clip = torch.randn(2, 4, 3, 64, 64).double()
    expected = model.frame_logits(clip)
    close(deployed.frame_logits(clip), expected, FUSED_TOLERANCE)
    if causal:
        state = deployed.initial_state(2)
        for t in range(3):
            logits, state = deployed.step(clip[:, t], state)
        close(logits, expected[:, 2], FUSED_TOLERANCE)


@torch.no_grad()
def test_average_pooling_as_a_convolution_is_exact():
    model = make_model(backbone="bn_inception", temporal="none").double()
    x = torch.randn(2, 3, 64, 64).double()
    close(deployed_in_float64(model).backbone(x, 1), model.backbone(x, 1), FUSED_TOLERANCE)


@torch.no_grad()
def assert_program(model, form, precision, tmp_path_factory, tolerance):
    """One delegate call, executed; in fp32 equal to the model, in int8 to its graph and nearly so
    to the model."""
    deployed, lowered = lower(model, form, precision, tmp_path_factory)
    assert whole(lowered)
    runner, clip = open_program(deployed, lowered, form), clips_for(model, seed=1)[0]
    if form == "clip":
        (logits,) = runner([clip])
        (converted,), expected = lowered.converted(clip), model(clip[None])
    else:
        logits = play(runner, deployed, clip).logits
        converted = play(eager(lowered.converted), deployed, clip).logits
        expected = model.frame_logits(clip[None])[0]
    if tolerance is None:
        for other in (converted, expected):
            pair = torch.stack([logits.flatten(), other.flatten()])
            assert torch.corrcoef(pair)[0, 1] > INT8_CORRELATION
        return
    if precision == "int8":
        assert relative(logits, converted) < INT8_FLIPS
    assert relative(logits, expected) < tolerance


def assert_package(model, form, precision, folder):
    """Rank at most four, executed by the interpreter, equal to the model in half precision."""
    labels = LABELS[: model.config.num_classes]
    made = coreml.lower(model, form, precision, [], folder, labels=labels)
    assert made.details["max_rank"] <= 4
    assert not made.details["violations"]
    clips = pixel_clips(1, model.config)
    runner, expected = runner_of(model, made.artifact, form), model.frame_logits(clips).detach()
    if form == "stream":
        close(stream(lambda f, s: runner([f, *s]), model, clips), expected, FP16_TOLERANCE)
        return
    clips = pixel_clips(1, model.config, frames=model.config.frames)
    close(runner([clips[0]])[0], model(clips).detach(), FP16_TOLERANCE)


# The others are slow: lowering takes its time by the node.
@pytest.mark.parametrize("name", [pytest.param("action_resnet50", marks=slow), "tsm_bn_inception"])
def test_short_streams_of_xnnpack(name, tmp_path_factory):
    model = make_short(**CONFIGS[name], width=0.5)
    assert_program(model, "stream", "fp32", tmp_path_factory, FP32)


@slow
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", FP32), ("int8", INT8_TO_FP32)])
def test_short_streams_with_wide_vectors(precision, tolerance, tmp_path_factory, monkeypatch):
    monkeypatch.setattr("mobile_export.graph.fused.NARROW", 0)
    model = make_short("action")
    deployed = forms.deployed(model, "xnnpack")
    assert any(isinstance(m, WideAction) for m in deployed.modules())
    assert_program(model, "stream", precision, tmp_path_factory, tolerance)


@slow
@pytest.mark.parametrize("backbone", ["resnet50", "bn_inception"])
def test_short_int8_streams_of_xnnpack(backbone, tmp_path_factory):
    model = make_short("shift", backbone=backbone, width=0.5)
    assert_program(model, "stream", "int8", tmp_path_factory, INT8_TO_FP32)


def test_a_shift_of_whole_blocks_on_xnnpack(tmp_path_factory):
    model = make_short("shift", backbone="resnet50", width=0.5, location=0)
    assert_program(model, "stream", "int8", tmp_path_factory, INT8_TO_FP32)


@pytest.mark.parametrize("backbone", NEW)
def test_short_streams_of_coreml(backbone, tmp_path):
    assert_package(make_short(backbone=backbone, width=0.5), "stream", "fp16", tmp_path)


def test_a_learned_shift_is_exported_as_a_clip_and_its_stream_refused(tmp_path_factory):
    model = make_short("shift", causal=False, shift="learned")
    assert_program(model, "clip", "fp32", tmp_path_factory, FP32)
    causal = make_short("shift", shift="learned")
    with pytest.raises((BadInput, ValueError), match="weighs three frames"):
        lower(causal, "stream", "fp32", tmp_path_factory)


@pytest.mark.parametrize("name", NEW_NAMED)
def test_nothing_in_them_is_what_vulkan_miscomputes(name):
    model = VideoClassifier(ModelConfig.from_name(name, size=64)).eval()
    model = forms.deployed(model, "vulkan")
    inputs = forms.example_inputs(model, "stream", "vulkan")
    vulkan.check_structure(torch.export.export(forms.graph_of(model, "stream"), inputs).graph)


@slow
@pytest.mark.parametrize("form", ["stream", "clip"])
@pytest.mark.parametrize("name", NAMED)
def test_full_size_on_xnnpack(name, form, tmp_path_factory):
    model = make_model(**CONFIGS[name], **FULL)
    assert_program(model, form, "fp32", tmp_path_factory, FP32)


@slow
@pytest.mark.parametrize("form", ["stream", "clip"])
@pytest.mark.parametrize("name", NAMED)
def test_full_size_on_coreml(name, form, tmp_path):
    model = make_model(**CONFIGS[name], **FULL)
    assert_package(model, form, "fp16", tmp_path)


@slow
@pytest.mark.parametrize("form", ["stream", "clip"])
@pytest.mark.parametrize("name", NEW_NAMED)
def test_full_size_in_int8_on_xnnpack(name, form, tmp_path_factory):
    model = make_model(**CONFIGS[name], **FULL)
    tame(model)
    assert_program(model, form, "int8", tmp_path_factory, None)


@slow
@pytest.mark.parametrize("form", ["stream", "clip"])
@pytest.mark.parametrize("temporal", TEMPORAL)
@pytest.mark.parametrize("backbone", NEW)
def test_every_kind_on_xnnpack_and_coreml(backbone, temporal, form, tmp_path_factory, tmp_path):
    causal = form == "stream"
    model = make_short(temporal, backbone=backbone, width=0.5, causal=causal)
    assert_program(model, form, "fp32", tmp_path_factory, FP32)
    assert_package(model, form, "fp16", tmp_path)


@slow
@pytest.mark.parametrize(("backbone", "location"), PLACES)
def test_every_location_on_xnnpack_and_coreml(backbone, location, tmp_path_factory, tmp_path):
    model = make_short(backbone=backbone, width=0.5, location=location)
    assert_program(model, "stream", "fp32", tmp_path_factory, FP32)
    assert_package(model, "stream", "fp16", tmp_path)


def computed(model, lowered):
    """The program by the reference interpreter."""
    ports = (
        forms.input_ports(model, "stream", "vulkan"),
        forms.output_ports(model, "stream", "vulkan"),
    )
    return open_vulkan(lowered.artifact, *ports)


@slow
@pytest.mark.parametrize("temporal", TEMPORAL)
@pytest.mark.parametrize("backbone", NEW)
def test_every_kind_on_vulkan(backbone, temporal, tmp_path):
    model = make_short(temporal, backbone=backbone, width=0.5)
    lowered = vulkan.lower(model, "stream", "fp32", [], tmp_path, labels=list("abcde"))
    assert whole(lowered)
    deployed, clip = forms.deployed(model, "vulkan"), clips_for(model, seed=1)[0]
    played = play(computed(deployed, lowered), deployed, clip).logits
    assert relative(played, model.frame_logits(clip[None])[0].detach()) < FP32


@slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("name", ["tsm_mobilenet_v2", "action_mobilenet_v2"])
def test_full_size_on_vulkan(name, precision, tmp_path):
    """One delegate call, computed by the interpreter: its own graph and, nearly so, the model."""
    model = make_model(**CONFIGS[name], **FULL)
    tame(model)
    clips = clips_for(model, 2) if precision == "int8" else []
    lowered = vulkan.lower(model, "stream", precision, clips, tmp_path, labels=LABELS)
    assert whole(lowered)
    deployed, clip = forms.deployed(model, "vulkan"), clips_for(model, seed=1)[0]
    logits = play(computed(deployed, lowered), deployed, clip).logits
    expected = model.frame_logits(clip[None])[0].detach()
    if precision == "int8":
        graph = play(eager(lowered.converted), deployed, clip).logits
        for other in (graph, expected):
            pair = torch.stack([logits.flatten(), other.flatten()])
            assert torch.corrcoef(pair)[0, 1] > INT8_CORRELATION
        return
    assert relative(logits, expected) < (FP32 if precision == "fp32" else FP16_TOLERANCE)


@slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_wide_vectors_on_vulkan(precision, tmp_path, monkeypatch):
    monkeypatch.setattr("mobile_export.graph.fused.NARROW", 0)
    model = make_short("action")
    clips = clips_for(model, seed=1) if precision == "int8" else []
    lowered = vulkan.lower(model, "stream", precision, clips, tmp_path, labels=LABELS[:5])
    assert whole(lowered)
    deployed, clip = forms.deployed(model, "vulkan"), clips_for(model, seed=1)[0]
    assert any(isinstance(m, WideAction) for m in deployed.modules())
    played = play(computed(deployed, lowered), deployed, clip).logits
    tolerance = FP32 if precision == "fp32" else INT8_TO_FP32
    assert relative(played, model.frame_logits(clip[None])[0].detach()) < tolerance
