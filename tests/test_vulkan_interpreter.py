"""The reference interpreter of Vulkan programs: what it computes, notices and refuses."""

import math
from pathlib import Path

import pytest
import torch
import vulkan_faults as faults
from clips import refusal
from short_models import clips_for, eager, make_short, play, relative, short_vulkan

from core.errors import BadInput
from mobile_export.graph.forms import input_ports, output_ports
from mobile_export.runtime import vulkan_q8
from mobile_export.runtime.vulkan import PARAMETERS, VulkanProgram, open_vulkan
from mobile_export.runtime.vulkan_ops import OPS
from mobile_export.verify.golden import MARGIN, TOLERANCE

ROUNDING = 1e-5  # another order of sums
FP32 = 1e-4
FP16 = 2e-2  # ten bits of mantissa, as TOLERANCE has it
# int8 against its own graph: 8 bits through untrained weights, single values fall on the other
# side of a rounding step; a wrong scale gives 1.
INT8 = 0.15


def tensor(values, *shape):
    return torch.tensor(values, dtype=torch.float32).reshape(shape or (-1,))


def run(kind: str, *arguments):
    """An int8 convolution on weights as the program stores them."""
    known = dict(zip(PARAMETERS[kind], arguments, strict=True))
    x = known.pop("x")
    return OPS[kind](x, **vulkan_q8.unpacked(kind, known, x.shape[1]))


def convolved(kind, x, weights, sums, scales, bias, kernel, padding, groups, act="none", zero=0):
    return run(
        kind, x, 0.5, zero, weights, sums, scales, 0.25, -10, bias, kernel, [1, 1], padding,
        [1, 1], groups, act,
    )  # fmt: skip


def texel(*values):
    return tensor([*values, *[0] * (4 - len(values))])


def test_int8_convolution_by_hand():
    """Two channels, a kernel of two pixels, and the zero point 2 outside.

    The channels of a pixel lie together: taps (1, 2) and (3, 4). Less the zero point the pixels
    are (8, -7) and (18, 5), so the sums are 3 * 8 - 4 * 7 = -4, 8 - 14 + 54 + 20 = 68 and
    18 + 10 = 28. Times 0.5 * 0.25, and 1 more, they are 0.5, 9.5 and 4.5; steps are 0.25, from -10.
    """
    x = tensor([10, 20, -5, 7], 1, 2, 1, 2)
    kind, weights = "et_vk.q8ta_conv2d.default", tensor([1, 2, 3, 4], 1, 4)
    rest = [1, 2], [0, 1], 1
    got = convolved(kind, x, weights, texel(10), texel(0.25), texel(1), *rest, zero=2)
    assert got.flatten().tolist() == [-8, 28, 8]
    # A sum of 11 instead of 10 takes the zero point away once more: 66 becomes 9.25, and so on.
    got = convolved(kind, x, weights, texel(11), texel(0.25), texel(1), *rest, zero=2)
    assert got.flatten().tolist() == [-9, 27, 7]
    got = convolved(kind, -x, weights, texel(10), texel(0.25), None, *rest, "relu", zero=2)
    assert got.flatten().tolist() == [-10, -10, -10]  # -24, -108 and -40


def test_pointwise_and_depthwise_by_hand():
    kind, x = "et_vk.q8ta_conv2d_pw.default", tensor([1, 2, 3], 1, 3, 1, 1)
    weights = tensor([1, 1, 1, 9, 1, 0, -1, 9], 2, 4)  # the last column fills up the texel
    got = convolved(
        kind, x, weights, texel(3, 0), texel(0.5, 0.5), None, [1, 1], [0, 0], 1
    )  # 6 and -2, times 0.25, in steps of 0.25
    assert got.flatten().tolist() == [-4, -12]
    kind, x = "et_vk.q8ta_conv2d_dw.default", tensor([1, 2, 3, 4, 5, 6, 7, 8], 1, 4, 1, 2)
    weights = tensor([1, 2, 3, 4, 5, 6, 7, 8], 1, 2, 4)  # a pixel's four channels together
    sums = texel(6, 8, 10, 12)
    got = convolved(kind, x, weights, sums, texel(*[0.5] * 4), None, [1, 2], [0, 0], 4)
    assert got.flatten().tolist() == [11 - 10, 30 - 10, 57 - 10, 92 - 10]


def test_rounding_and_sum_by_hand():
    x = tensor([0.26, -100.0, 100.0, 0.25, 0.35])
    got = OPS["quantized_decomposed.quantize_per_tensor.default"](x, 0.1, 3, -128, 127, None)
    assert got[:3].tolist() == [6, -128, 127]
    assert x[0] == 0.26  # the input is still there
    back = OPS["quantized_decomposed.dequantize_per_tensor.default"]
    assert back(tensor([6.0]), 0.5, 3, -128, 127, None).tolist() == [1.5]
    add = OPS["et_vk.q8ta_add.default"]
    parts = tensor([10.0]), tensor([4.0]), 0.5, 0, 0.25, 2, 0.5, 1  # 5 + 0.5 in steps of 0.5
    assert add(*parts, 1).tolist() == [12]
    with pytest.raises(BadInput, match="alpha 2"):
        add(*parts, 2)


WEIGHT = torch.linspace(-1, 1, 2 * 3 * 3 * 3).reshape(2, 3, 3, 3)
MAP = torch.linspace(-2, 3, 3 * 5 * 4).reshape(1, 3, 5, 4)
CONVOLUTION = MAP, WEIGHT, tensor([0.5, -1.0]), [2, 1], [1, 0], [1, 1], False, [0, 0], 1
CASES = {
    "aten.add.Tensor": [(MAP, MAP[:, :1], 1), (MAP, MAP, 3)],
    "aten.cat.default": [([MAP, -MAP], 1), ([MAP, -MAP], 2)],
    "aten.clone.default": [(MAP,)],
    "aten.constant_pad_nd.default": [(MAP, [1, 0, 0, 2], 0.5)],
    "aten.convolution.default": [
        CONVOLUTION,
        (MAP, WEIGHT[:, 0].reshape(3, 1, 3, 2), None, [1, 1], [1, 1], [1, 1], False, [0, 0], 3),
        (MAP[:, :2], WEIGHT[:, :, :2, :1], None, [1, 1], [0, 0], [1, 1], True, [0, 0], 1),
    ],
    "aten.hardtanh.default": [(MAP, 0.0, 1.5)],
    "aten.linear.default": [(MAP, WEIGHT[0, 0, :, :1].expand(3, 4), None)],
    "aten.max_pool2d_with_indices.default": [(MAP, [3, 2], [2, 2], [1, 1], [1, 1], True)],
    "aten.mean.dim": [(MAP, [2, 3], True), (MAP, [-1], False)],
    "aten.mul.Tensor": [(MAP, MAP[..., :1])],
    "aten.permute_copy.default": [(MAP, [0, 3, 1, 2])],
    "aten.relu.default": [(MAP,)],
    "aten.sigmoid.default": [(MAP,)],
    "aten.slice_copy.Tensor": [(MAP, 1, 1, 9223372036854775807, 1), (MAP, 2, None, -1, 2)],
    "aten.squeeze_copy.dims": [(MAP[:, :1], [1])],
    "aten.sub.Tensor": [(MAP, MAP[:, :1])],
    "aten.unsqueeze_copy.default": [(MAP, 2)],
    "aten.view_copy.default": [(MAP, [1, 60])],
    "et_vk.conv_with_clamp.default": [
        (*CONVOLUTION, 0, math.inf), (*CONVOLUTION, -0.5, 0.5),
    ],
    "et_vk.prepack.default": [(MAP,)],
    "et_vk.q8ta_add.default": [
        (MAP.to(torch.int8), (-MAP).to(torch.int8), 0.5, 1, 0.25, -2, 0.125, 3, 1.0),
    ],
    "quantized_decomposed.dequantize_per_tensor.default": [
        (MAP.round().to(torch.int8), 0.3, 1, -128, 127, torch.int8),
    ],
    "quantized_decomposed.quantize_per_tensor.default": [(MAP, 0.3, 1, -128, 127, torch.int8)],
}  # fmt: skip


def operator(kind: str):
    import executorch.backends.vulkan.custom_ops_lib  # noqa: F401
    import torch.ao.quantization.fx._decomposed

    library, name, overload = kind.split(".")
    return getattr(getattr(getattr(torch.ops, library), name), overload)


def called(function, arguments):
    """With arguments in the schema's order, in which a graph lists them all."""
    schema = function._schema.arguments[: len(arguments)]
    pairs = list(zip(schema, arguments, strict=True))
    named = {a.name: value for a, value in pairs if a.kwarg_only}
    return function(*(value for a, value in pairs if not a.kwarg_only), **named)


@pytest.mark.parametrize("kind", sorted(CASES))
def test_operators_compute_what_torch_does(kind):
    for arguments in CASES[kind]:
        expected = called(operator(kind), arguments)
        expected = expected[0] if isinstance(expected, tuple) else expected
        given = [a.float() if isinstance(a, torch.Tensor) else a for a in arguments]
        torch.testing.assert_close(OPS[kind](*given), expected.float(), rtol=1e-5, atol=1e-5)


def test_the_largest_double_is_no_bound():
    """A ReLU's upper bound as the delegate's passes write it, which is infinite in float32."""
    clamped = OPS["et_vk.conv_with_clamp.default"](*CONVOLUTION, 0, 1.7976931348623157e308)
    assert torch.equal(clamped, OPS["aten.convolution.default"](*CONVOLUTION).relu())


def test_every_operator_has_a_case():
    assert {*CASES, *vulkan_q8.UNPACK} == set(OPS)


def test_depthwise_and_pointwise_are_executorchs_own_in_python():
    """Its reference of the general kernel reads (IC, h, w); the shader reads the other order."""
    generator = torch.Generator().manual_seed(3)

    def whole(*shape):
        return torch.randint(-127, 128, shape, generator=generator).float()

    x = whole(1, 8, 6, 5)
    for kind, weights, kernel, groups in (
        ("et_vk.q8ta_conv2d_pw.default", whole(4, 8), [1, 1], 1),
        ("et_vk.q8ta_conv2d_dw.default", whole(3, 3, 8), [3, 3], 8),
    ):
        outputs = 8 if groups > 1 else 4
        sums = weights.sum((0, 1) if groups > 1 else 1)
        rest = [1, 1], [kernel[0] // 2] * 2, [1, 1], groups, "relu"
        parts = sums, torch.full((outputs,), 1e-2), 0.5, -7, torch.ones(outputs), kernel, *rest
        expected = operator(kind)(x.to(torch.int8), 0.1, 0, weights.to(torch.int8), *parts)
        got = run(kind, x, 0.1, 0, weights, *parts)
        assert float((got - expected.float()).abs().max()) <= 1  # halves, after other sums
        assert float((got != expected).float().mean()) < 0.02


TYPES = {
    torch.Tensor: {"Tensor"},
    torch.Tensor | None: {"Optional[Tensor]"},
    list[torch.Tensor]: {"List[Tensor]"},
    int: {"int"},
    int | None: {"Optional[int]"},
    float: {"float", "number"},
    float | None: {"Optional[number]", "Optional[float]"},
    bool: {"bool"},
    str: {"str"},
    None: {"int", "Optional[int]"},  # torch's own types, which the delegate gets as nothing
}


@pytest.mark.parametrize("kind", sorted(OPS))
def test_arguments_are_those_of_the_schema_and_the_registry(kind):
    """Names, order and types of every argument, and that the partitioner knows the operator."""
    from executorch.backends.vulkan.op_registry import vulkan_supported_ops

    arguments = operator(kind)._schema.arguments
    assert [a.name for a in arguments] == list(PARAMETERS[kind])
    for argument, annotation in zip(arguments, PARAMETERS[kind].values(), strict=True):
        found = str(argument.type)
        lists = {"List[int]", "Optional[List[int]]"}
        assert found in TYPES.get(annotation, lists), (argument.name, annotation)
    known = {getattr(key, "__name__", str(key)) for key in vulkan_supported_ops}
    assert kind in known or kind == "et_vk.prepack.default"  # which the delegate itself puts in


@pytest.mark.parametrize(
    ("precision", "temporal", "tolerance"),
    [
        ("int8", "action", INT8),
        ("fp16", "shift", FP16),
        pytest.param("fp32", "action", FP32, marks=pytest.mark.slow),
        pytest.param("fp16", "action", FP16, marks=pytest.mark.slow),
        pytest.param("int8", "shift", INT8, marks=pytest.mark.slow),
    ],
)
def test_a_stream_is_its_graph(precision, temporal, tolerance):
    model, lowered = short_vulkan(temporal, precision)
    runner = opened(model, lowered.artifact)
    assert runner.interpreted
    assert runner.batch is None
    clip = clips_for(model, seed=1)[0]
    got, graph = play(runner, model, clip), play(eager(lowered.converted), model, clip)
    assert relative(got.logits, graph.logits) < tolerance
    if precision == "fp16":  # and it is not computed in fp32
        assert relative(got.logits, graph.logits) > ROUNDING
        assert all(torch.equal(s, s.half().float()) for s in got.state)
    # Streams side by side are what each is alone.
    clips = torch.stack(clips_for(model, seed=1)[:2])
    state = [torch.cat([s] * 2) for s in model.initial_state()]
    both = runner([clips[:, 0], *state])[0]
    assert relative(both[:1], got.logits[:1]) < tolerance


def opened(model, artifact: Path):
    ports = input_ports(model, "stream", "vulkan"), output_ports(model, "stream", "vulkan")
    return open_vulkan(artifact, *ports)


@pytest.mark.parametrize(
    ("precision", "temporal", "change"),
    [
        ("int8", "action", faults.wrong_scale),
        ("int8", "action", faults.transposed_weight),
        ("int8", "action", faults.swapped_parts),
        ("int8", "action", faults.wrong_sums),
        ("fp16", "shift", faults.transposed_classifier),
        ("fp16", "shift", faults.swapped_parts),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_planted_fault_is_found_by_the_golden_clip(precision, temporal, change, tmp_path):
    model, lowered = short_vulkan(temporal, precision)
    clip = clips_for(model, seed=1)[0]
    golden = play(opened(model, lowered.artifact), model, clip).logits
    graph = play(eager(lowered.converted), model, clip).logits
    tolerance = max(TOLERANCE[precision], MARGIN * relative(graph, golden))  # as the exporter does
    same = faults.rewritten(lowered.artifact, tmp_path / "same.pte")
    assert relative(play(opened(model, same), model, clip).logits, golden) < ROUNDING
    changed = faults.rewritten(lowered.artifact, tmp_path / "changed.pte", change)
    off = relative(play(opened(model, changed), model, clip).logits, golden)
    assert off > tolerance, (off, tolerance)


def _unknown(graph, constants):
    graph.chain[-1].name = "aten.gelu.default"


def _dropped(graph, constants):
    faults.calls(graph, "aten.cat.default")[0].args.pop(0)


def _wrong_kind(graph, constants):
    call = faults.calls(graph, "aten.convolution.default")[0]
    call.args[8], call.args[3] = call.args[3], call.args[8]


def _shared(graph, constants):
    first, second = graph.chain[-2].args[-1], graph.chain[-1].args[-1]
    for number in (first, second):
        graph.values[number].value.mem_obj_id = 0


def _short_constant(graph, constants):
    constants[0] = constants[0][:-4]


def _early(graph, constants):
    graph.chain.reverse()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_unknown, "operator aten.gelu.default is not implemented"),
        (_dropped, "aten.cat.default has 1 arguments instead of 2"),
        (_wrong_kind, "aten.convolution.default has Int as its stride"),
        (_shared, "is written over one that is still needed"),
        (_short_constant, "bytes for the shape"),
        (_early, "is used before it is computed"),
    ],
)
def test_what_cannot_be_computed_is_refused_in_one_line(change, reason, tmp_path):
    _, lowered = short_vulkan("shift", "fp16")
    changed = faults.rewritten(lowered.artifact, tmp_path / "model.pte", change)
    line = refusal(lambda: VulkanProgram(changed))
    assert reason in line
    assert str(changed) in line


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_damaged_program_is_refused_in_one_line(share, tmp_path):
    _, lowered = short_vulkan("shift", "fp16")
    data = lowered.artifact.read_bytes()
    cut = tmp_path / "model.pte"
    cut.write_bytes(data[: math.floor(share * len(data))])
    assert "export it again" in refusal(lambda: VulkanProgram(cut))
    assert "give the path of a .pte" in refusal(lambda: VulkanProgram(tmp_path / "none.pte"))


def test_inputs_and_ports_of_another_model_are_refused():
    model, lowered = short_vulkan("shift", "fp16")
    runner = opened(model, lowered.artifact)
    assert "1 inputs" in refusal(lambda: runner([torch.zeros(1, 3, 64, 64)]))
    other = make_short("shift", size=32)
    line = refusal(lambda: opened(other, lowered.artifact))
    assert "other shapes than the bundle's" in line
