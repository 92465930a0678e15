"""XNNPACK programs, executed by ExecuTorch's runtime and compared with the model they came from."""

import math

import pytest
import torch
from helpers import make_model, random_clip
from short_models import clips_for, eager, make_short, play, relative, short_program

from core.checkpoint import bundled_path, load
from core.errors import BadInput
from mobile_export.graph import forms
from mobile_export.graph.forms import deployed, input_ports, output_ports
from mobile_export.runtime.executorch import open_pte
from mobile_export.targets import LoweringError, delegation, xnnpack

# fp32 against eager: another order of summation through 30 layers, and batch norm folded.
FP32 = 1e-4
# int8 program against the graph that it was lowered from: both round the same values, but XNNPACK
# sums integers and torch floats, so a value on the edge between two steps falls either way.
INT8_FLIPS = 0.1
# Behind the first five layers a value is off by two of the 255 steps of its range at most.
FIRST_SLOT_FLIPS = 0.04
# int8 against fp32: 8 bits through untrained weights, 0.03 measured; a wrong scale gives 1.
INT8_TO_FP32 = 0.15
MEMORY = 31  # frames after which the past is forgotten (30 for the deepest network)


def lower(model, form, precision, tmp_path_factory):
    out = tmp_path_factory.mktemp(f"{model.config.temporal}-{form}-{precision}")
    calibration = clips_for(model) if precision == "int8" else []
    lowered = xnnpack.lower(model, form, precision, calibration, out, labels=list("abcde"))
    return deployed(model, "xnnpack"), lowered


@pytest.fixture(scope="module")
def stream_fp32():
    return short_program(precision="fp32")


@pytest.fixture(scope="module")
def stream_int8():
    return short_program()


@pytest.fixture(scope="module")
def clip_fp32():
    return short_program(precision="fp32", form="clip")


def open_program(model, lowered, form="stream"):
    return open_pte(lowered.artifact, input_ports(model, form, "xnnpack"))


def whole(lowered):
    return lowered.details["delegate_calls"] == 1 and not lowered.details["operators_outside"]


def assert_fp32_stream(model, lowered):
    assert whole(lowered)
    clip = clips_for(model, seed=1)[0]
    reference = play(lambda inputs: step(model, inputs), model, clip)
    played = play(open_program(model, lowered), model, clip)
    assert relative(played.logits, reference.logits) < FP32
    for given, expected in zip(played.state, reference.state, strict=True):
        assert relative(given, expected) < FP32


def step(model, inputs):
    logits, state = model.step(inputs[0], list(inputs[1:]))
    return [logits, *state]


def test_the_runtime_reads_inputs_where_they_are(stream_int8):
    from executorch.runtime import Runtime

    model, lowered = stream_int8
    meta = Runtime.get().load_program(lowered.artifact).load_method("forward").metadata
    planned = [meta.input_tensor_meta(i).is_memory_planned() for i in range(meta.num_inputs())]
    assert len(planned) == len(input_ports(model, "stream", "xnnpack"))
    assert not any(planned)  # those would be copied in every call


def test_fp32_stream_is_the_model(stream_fp32):
    assert_fp32_stream(*stream_fp32)


# The five that are not the default are slow together; the shift alone is the quickest of them.
@pytest.mark.parametrize(
    "temporal",
    ["shift", *(pytest.param(t, marks=pytest.mark.slow) for t in ("none", "ste", "ce", "me"))],
)
def test_fp32_stream_of_every_kind(temporal):
    assert_fp32_stream(*short_program(temporal, "fp32"))


def test_fp32_clip_is_the_model_and_the_mean_of_the_stream(clip_fp32, stream_fp32):
    model, lowered = clip_fp32
    assert whole(lowered)
    clip = clips_for(model, seed=1)[0]
    (logits,) = open_program(model, lowered, "clip")([clip])
    with torch.no_grad():
        assert relative(logits, model(clip[None])) < FP32
    stream = play(open_program(*stream_fp32), model, clip)
    assert relative(logits[0], stream.logits.mean(0)) < FP32


@pytest.mark.slow
def test_fp32_clip_of_a_bidirectional_model(tmp_path_factory):
    model, lowered = lower(make_short(causal=False), "clip", "fp32", tmp_path_factory)
    assert whole(lowered)
    clip = clips_for(model, seed=1)[0]
    with torch.no_grad():
        assert relative(open_program(model, lowered, "clip")([clip])[0], model(clip[None])) < FP32


def assert_int8_stream(model, lowered):
    assert whole(lowered)
    assert "int8" in lowered.details["recipe"]
    clip = clips_for(model, seed=1)[0]
    played = play(open_program(model, lowered), model, clip)
    reference = play(eager(lowered.converted), model, clip)
    assert relative(played.logits, reference.logits) < INT8_FLIPS
    # The first slot lies behind five layers: flips have hardly added up there.
    for given, expected in zip(played.state[:1], reference.state[:1], strict=True):
        assert relative(given, expected) < FIRST_SLOT_FLIPS
    fp32 = play(lambda inputs: step(model, inputs), model, clip)
    assert relative(played.logits, fp32.logits) < INT8_TO_FP32


def test_int8_stream_matches_its_graph(stream_int8):
    assert_int8_stream(*stream_int8)


@pytest.mark.slow
def test_int8_stream_with_a_state_of_one_channel(tmp_path_factory):
    """Such a state is in the order of its shape and channels-last at once."""
    model = make_short("shift", width=0.25)
    assert 1 in {channels for channels, *_ in model.state_shapes().values()}
    assert_int8_stream(*lower(model, "stream", "int8", tmp_path_factory))


@pytest.mark.slow
@pytest.mark.parametrize("temporal", ["none", "shift", "ste", "ce", "me"])
def test_int8_stream_of_every_kind(temporal, tmp_path_factory):
    assert_int8_stream(*lower(make_short(temporal), "stream", "int8", tmp_path_factory))


@pytest.mark.slow
@pytest.mark.parametrize("causal", [True, False])
def test_int8_clip_matches_its_graph(causal, tmp_path_factory):
    model, lowered = lower(make_short(causal=causal), "clip", "int8", tmp_path_factory)
    assert whole(lowered)
    clip = clips_for(model, seed=1)[0]
    (logits,) = open_program(model, lowered, "clip")([clip])
    with torch.no_grad():
        assert relative(logits, lowered.converted(clip)[0]) < INT8_FLIPS
        assert relative(logits, model(clip[None])) < INT8_TO_FP32


@pytest.mark.parametrize("lowered_stream", ["stream_fp32", "stream_int8"])
def test_states_come_out_in_the_order_in_which_they_go_in(lowered_stream, request):
    """As the manifest says, so that an app gives them back as they lie."""
    model, lowered = request.getfixturevalue(lowered_stream)
    inputs = input_ports(model, "stream", "xnnpack")
    outputs = output_ports(model, "stream", "xnnpack")
    given = open_program(model, lowered)([port.zeros() for port in inputs])
    assert [p.dim_order for p in inputs[1:]] == [p.dim_order for p in outputs[1:]]
    last, planes = (0, 2, 3, 1), (0, 1, 2, 3)
    few = {p.name: "shift" in p.name and p.shape[1] <= forms.PLANES_UP_TO for p in inputs[1:]}
    assert {p.dim_order for p in inputs[1:] if few[p.name]} == {planes}
    assert {p.dim_order for p in inputs[1:] if not few[p.name]} == {last}
    for port, state in zip(outputs[1:], given[1:], strict=True):
        assert state.permute(port.dim_order).is_contiguous()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "settings"),
    [
        ("fp32", {}),
        ("int8", {}),
        ("int8", {"temporal": "shift"}),
        # Of one to five channels, down to maps of few pixels.
        ("int8", {"width": 0.25}),
        ("fp32", {"width": 0.25}),
        # A slot in a branch of 32 channels.
        ("int8", {"backbone": "bn_inception", "location": 2}),
    ],
)
def test_a_shift_in_planes_is_the_shift_to_the_bit(
    precision, settings, monkeypatch, tmp_path_factory
):
    played = []
    for channels in (forms.PLANES_UP_TO, 0):
        monkeypatch.setattr(forms, "PLANES_UP_TO", channels)
        if channels:
            model, lowered = short_program(precision=precision, **settings)
        else:
            model, lowered = lower(make_short(**settings), "stream", precision, tmp_path_factory)
        assert whole(lowered)
        orders = {port.dim_order for port in input_ports(model, "stream", "xnnpack")[1:]}
        assert ((0, 1, 2, 3) in orders) == (channels > 0)
        played.append(play(open_program(model, lowered), model, clips_for(model, seed=1)[0]))
    assert torch.equal(played[0].logits, played[1].logits)
    for planes, channels_last in zip(played[0].state, played[1].state, strict=True):
        assert torch.equal(channels_last, planes)


@pytest.mark.parametrize("lowered_stream", ["stream_fp32", "stream_int8"])
def test_streams_with_different_pasts_agree_to_the_last_bit(lowered_stream, request):
    model, lowered = request.getfixturevalue(lowered_stream)
    runner = open_program(model, lowered)
    torch.manual_seed(3)
    config = model.config
    pasts = random_clip(2, config).clamp(-1, 1)
    common = random_clip(1, config, frames=MEMORY).clamp(-1, 1)[0]
    states = [play(runner, model, past).state for past in pasts]
    differ = [not torch.equal(a, b) for a, b in zip(*states, strict=True)]
    assert any(differ)
    ends = [play(runner, model, common, state) for state in states]
    assert torch.equal(ends[0].logits[-1], ends[1].logits[-1])
    assert not torch.equal(ends[0].logits[0], ends[1].logits[0])
    for a, b in zip(ends[0].state, ends[1].state, strict=True):
        assert torch.equal(a, b)


def test_outputs_belong_to_the_caller(stream_fp32):
    model, lowered = stream_fp32
    runner = open_program(model, lowered)
    clip = clips_for(model, seed=1)[0]
    first = runner([clip[:1], *model.initial_state()])
    kept = [output.clone() for output in first]
    runner([clip[1:2], *first[1:]])
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))


def _cut(content):
    return content[: len(content) // 2]


def _scratch(content):
    middle = 5000  # inside the flatbuffer, behind its header
    return content[:middle] + bytes(64) + b"\xa5" * 64 + content[middle + 128 :]


@pytest.mark.parametrize(
    "damage",
    [lambda c: b"", lambda c: b"PK" + bytes(5000), _cut, _scratch],
    ids=[
        "empty",
        "another format",
        "cut",
        "scratched",
    ],  # alike on all workers, as addresses are not
)
def test_a_damaged_program_is_refused_in_one_line(damage, stream_fp32, tmp_path):
    path = tmp_path / "model.pte"
    path.write_bytes(damage(stream_fp32[1].artifact.read_bytes()))
    with pytest.raises(BadInput, match=r"model\.pte.*export it again") as caught:
        open_pte(path, input_ports(stream_fp32[0], "stream", "xnnpack"))
    assert "\n" not in str(caught.value)


def test_a_missing_program_is_refused(tmp_path):
    with pytest.raises(BadInput, match="No such file"):
        open_pte(tmp_path / "none.pte", [])


def test_unfit_inputs_never_reach_native_code(stream_fp32):
    model, lowered = stream_fp32
    runner = open_program(model, lowered)
    frame, state = torch.zeros(1, 3, 64, 64), model.initial_state()
    nan = frame.clone()
    nan[0, 1, 2, 3] = math.nan
    for inputs, reason in (
        ([frame], "inputs"),
        ([frame[:, :, :32], *state], "shape"),
        ([frame.repeat(2, 1, 1, 1), *state], "shape"),
        ([frame.to(torch.uint8), *state], "type"),
        ([nan, *state], "NaN"),
    ):
        with pytest.raises(BadInput, match=reason) as caught:
            runner(inputs)
        assert "\n" not in str(caught.value)


def test_fp16_is_refused(tmp_path):
    with pytest.raises(LoweringError, match="fp16"):
        xnnpack.lower(make_short("shift"), "stream", "fp16", [], tmp_path, labels=list("abcde"))


def test_what_stays_outside_is_named_and_nothing_is_written(tmp_path):
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    class Outside(torch.nn.Module):
        def forward(self, x):
            return torch.cumsum(x + 1.0, 1) * 2.0

    program = torch.export.export(Outside(), (torch.zeros(1, 3),))
    with pytest.raises(LoweringError, match="cumsum"):
        delegation.lower_whole(program, XnnpackPartitioner(), tmp_path, allow_partial=False)
    assert not list(tmp_path.iterdir())
    path, details = delegation.lower_whole(program, XnnpackPartitioner(), tmp_path, True)
    assert path.is_file()
    assert any("cumsum" in name for name in details["operators_outside"])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_deployed_model_forgets_its_past_to_the_last_bit(precision, tmp_path_factory):
    """All ten slots, which hold 30 frames together, with the weights of the package."""
    model, lowered = lower(load(bundled_path()).model, "stream", precision, tmp_path_factory)
    runner = open_program(model, lowered)
    pasts, common = clips_for(model, 2), clips_for(model, 2, seed=3)
    common = torch.cat(common)[:MEMORY]
    assert len(common) == MEMORY
    ends = [play(runner, model, common, play(runner, model, past).state) for past in pasts]
    assert relative(ends[0].logits[0], ends[1].logits[0]) > FP32
    assert torch.equal(ends[0].logits[-1], ends[1].logits[-1])
    for a, b in zip(ends[0].state, ends[1].state, strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["stream", "clip"])
def test_the_whole_depth_lowers_in_one_call(form, tmp_path_factory):
    model, lowered = lower(make_model(), form, "fp32", tmp_path_factory)
    assert whole(lowered)
    clip = clips_for(model, seed=1)[0]
    if form == "stream":
        assert_fp32_stream(model, lowered)
    else:
        with torch.no_grad():
            assert (
                relative(open_program(model, lowered, "clip")([clip])[0], model(clip[None])) < FP32
            )


@pytest.mark.slow
@pytest.mark.parametrize("form", ["stream", "clip"])
def test_the_whole_depth_in_int8(form, tmp_path_factory):
    model, lowered = lower(make_model(), form, "int8", tmp_path_factory)
    assert whole(lowered)
    runner = open_program(model, lowered, form)  # loading is what a wrong slice fails at
    outputs = runner([port.zeros() for port in input_ports(model, form, "xnnpack")])
    assert all(bool(torch.isfinite(output).all()) for output in outputs)
