"""The interpreter of ML Programs: every operation against coremltools' own value inference
(convolution and largest value, which have none, against loops written out), and whole packages
built with coremltools' program builder."""

import logging
import shutil

import numpy as np
import pytest
import torch

from core.errors import BadInput
from mobile_export.runtime.mil import MilProgram, load_spec
from mobile_export.runtime.mil_ops import OPS

logging.getLogger("coremltools").setLevel(logging.ERROR)
import coremltools as ct  # noqa: E402
from coremltools.converters.mil.mil import Builder as mb  # noqa: E402

TOLERANCE = 1e-6  # both sides compute in float32; sums may be taken in another order
HALF_STEP = 2**-11  # relative spacing of half precision

rng = np.random.default_rng(0)


def numbers(*shape):
    return rng.standard_normal(shape).astype(np.float32)


X, Y = numbers(2, 4, 5, 6), numbers(1, 4, 1, 1)
BYTES = rng.integers(-128, 128, (4, 3, 2, 2)).astype(np.int8)
SCALES = (rng.random(4) / 50 + 0.01).astype(np.float32)
ZEROS = np.array([0, 3, -7, 120], np.int8)

CASES = [
    ("add", {"x": X, "y": Y}),
    ("sub", {"x": X, "y": Y}),
    ("mul", {"x": X, "y": Y}),
    ("sigmoid", {"x": X}),
    ("relu", {"x": X}),
    ("clip", {"x": X * 4, "alpha": np.float32(0), "beta": np.float32(6)}),
    ("reduce_mean", {"x": X, "axes": [-2, -1], "keep_dims": True}),
    ("reduce_mean", {"x": X, "axes": [1], "keep_dims": False}),
    ("linear", {"x": numbers(3, 8), "weight": numbers(5, 8), "bias": numbers(5)}),
    ("concat", {"values": [X, X[:, :1]], "axis": 1, "interleave": False}),
    ("reshape", {"x": X, "shape": [2, -1]}),
    ("pad", {"x": X, "pad": [1, 0, 0, 0, 0, 2, 3, 0], "constant_val": np.float32(0.5)}),
    ("pad", {"x": X, "pad": [1, 2, 0, 3]}),  # of the last axes alone
    ("transpose", {"x": X, "perm": [3, 1, 0, 2]}),
    ("cast", {"x": X, "dtype": "fp32"}),
    ("slice_by_index", {"x": X, "begin": [0, 1, 0, 2], "end": [2, 3, 5, 6]}),
    (
        "slice_by_index",
        {
            "x": X,
            "begin": [0, 1, -3, 0],
            "end": [1, 4, -1, 0],
            "stride": [1, 2, 1, 1],
            "end_mask": [False, False, False, True],
            "squeeze_mask": [True, False, False, False],
        },
    ),
    ("quantize", {"input": X, "scale": np.float32(1 / 32), "output_dtype": "int8"}),
    (
        "quantize",
        {
            "input": np.arange(-4, 5, dtype=np.float32) / 2,  # ties: halves go to even
            "scale": np.float32(1),
            "zero_point": np.uint8(128),
            "output_dtype": "uint8",
        },
    ),
    (
        "quantize",
        {
            "input": numbers(4, 3, 2, 2) * 3,
            "scale": SCALES,
            "zero_point": ZEROS,
            "axis": 0,
            "output_dtype": "int8",
        },
    ),
    ("dequantize", {"input": BYTES, "scale": np.float32(0.02)}),
    ("dequantize", {"input": BYTES, "scale": SCALES, "zero_point": ZEROS, "axis": 0}),
    (
        "constexpr_affine_dequantize",
        {
            "quantized_data": BYTES,
            "scale": SCALES,
            "zero_point": ZEROS,
            "axis": np.int32(0),
        },
    ),
]


def ours(value):
    """What the interpreter hands to an operation: tensors for numbers, Python values else."""
    if isinstance(value, (np.floating, np.ndarray, np.int8, np.uint8)):
        return torch.from_numpy(np.array(value, np.float32))
    if isinstance(value, list) and isinstance(value[0], np.ndarray):
        return [ours(v) for v in value]
    return int(value) if isinstance(value, np.integer) else value


def theirs(name, given):
    """The value that coremltools itself infers for an operation on constants."""
    found = []

    @mb.program(input_specs=[], opset_version=ct.target.iOS17)
    def program():
        constants = {
            k: np.array(v, np.int32) if isinstance(v, list) and type(v[0]) is int else v
            for k, v in given.items()
        }
        result = getattr(mb, name)(**constants)
        operation = result.op
        value = result.val
        found.append(operation.materialized_val_inference() if value is None else value)
        return result

    return found[0]


@pytest.mark.parametrize(
    ("name", "given"), CASES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(CASES)]
)
def test_operation_equals_value_inference(name, given):
    expected = theirs(name, given)
    assert expected is not None
    result = OPS[name](**{key: ours(value) for key, value in given.items()})
    assert tuple(result.shape) == expected.shape
    np.testing.assert_allclose(result, expected.astype(np.float32), TOLERANCE, TOLERANCE)


def test_reshape_keeps_an_axis_of_size_zero():
    assert OPS["reshape"](x=torch.zeros(3, 4, 5), shape=[0, -1]).shape == (3, 20)


def naive_conv(x, weight, bias, stride, pad, groups):
    """Sums written out; pad is top, bottom, left, right."""
    x = np.pad(x, ((0, 0), (0, 0), pad[:2], pad[2:]))
    outputs, per_group, height, width = weight.shape
    rows = (x.shape[2] - height) // stride + 1
    columns = (x.shape[3] - width) // stride + 1
    y = np.zeros((x.shape[0], outputs, rows, columns))
    for o in range(outputs):
        first = o // (outputs // groups) * per_group
        for r in range(rows):
            for c in range(columns):
                patch = x[:, first : first + per_group, r * stride :, c * stride :]
                patch = patch[:, :, :height, :width]
                y[:, o, r, c] = (patch * weight[o]).sum((1, 2, 3)) + bias[o]
    return y


@pytest.mark.parametrize(
    ("pad", "ceil_mode"),
    [([0, 0, 0, 0], False), ([0, 0, 0, 0], True), ([1, 1, 1, 1], False), ([0, 1, 0, 2], False)],
)
def test_max_pool_equals_loops(pad, ceil_mode):
    x = X - 9  # below zero: what is padded must not win
    top, bottom, left, right = pad
    result = OPS["max_pool"](
        x=ours(x), kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=pad,
        ceil_mode=ceil_mode,
    )  # fmt: skip
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-np.inf)
    rows, columns = (
        1 + (-(-(n - 3) // 2) if ceil_mode else (n - 3) // 2) for n in padded.shape[2:]
    )
    assert result.shape == (2, 4, rows, columns)
    for i in range(rows):
        for j in range(columns):
            window = padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            assert np.array_equal(result[:, :, i, j], window.max((2, 3)))


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("pad", [[1, 1, 1, 1], [0, 1, 0, 1]])
def test_conv_equals_sums(groups, pad):
    weight, bias = numbers(8, 4 // groups, 3, 3), numbers(8)
    result = OPS["conv"](
        x=ours(X),
        weight=ours(weight),
        bias=ours(bias),
        strides=[2, 2],
        pad_type="custom",
        pad=pad,
        dilations=[1, 1],
        groups=groups,
    )
    expected = naive_conv(X, weight, bias, 2, pad, groups)
    np.testing.assert_allclose(result, expected, atol=1e-5)  # sums of 36 products in float32


# --- whole packages -----------------------------------------------------------------------------

WEIGHT, STATE = numbers(4, 3, 3, 3), (1, 1, 4, 4)


def save(tmp_path, program, precision):
    package = ct.convert(
        program,
        minimum_deployment_target=ct.target.iOS17,
        compute_precision=precision,
        skip_model_load=True,
    )
    path = tmp_path / "model.mlpackage"
    package.save(str(path))
    return path


def build(tmp_path, precision=ct.precision.FLOAT32):
    """A small stream: convolution, shift with a state, pooling, classifier."""

    @mb.program(
        input_specs=[mb.TensorSpec((1, 3, 4, 4)), mb.TensorSpec(STATE)],
        opset_version=ct.target.iOS17,
    )
    def program(frame, past):
        y = mb.conv(x=frame, weight=WEIGHT, pad_type="custom", pad=[1, 1, 1, 1])
        kept = mb.slice_by_index(x=y, begin=[0, 1, 0, 0], end=[1, 4, 4, 4])
        new = mb.slice_by_index(x=y, begin=[0, 0, 0, 0], end=[1, 1, 4, 4], name="new")
        ramp = mb.const(val=np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 1, 4, 4))
        y = mb.concat(values=[past, kept, ramp], axis=1)
        y = mb.reduce_mean(x=y, axes=[2, 3], keep_dims=True)
        return mb.reshape(x=y, shape=[1, 5], name="logits"), new

    return save(tmp_path, program, precision)


def inputs_for(program, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        port.name: torch.randn(batch, *port.shape[1:], generator=generator)
        for port in program.inputs
    }


def test_program_equals_torch(tmp_path):
    program = MilProgram(build(tmp_path))
    assert [(p.name, p.shape) for p in program.inputs] == [
        ("frame", (1, 3, 4, 4)),
        ("past", STATE),
    ]
    assert {p.name: p.shape for p in program.outputs} == {"logits": (1, 5), "new": STATE}
    inputs = inputs_for(program)
    y = torch.conv2d(inputs["frame"], torch.from_numpy(WEIGHT), padding=1)
    ramp = torch.linspace(0, 1, 16).view(1, 1, 4, 4)
    joined = torch.cat([inputs["past"], y[:, 1:], ramp], 1)
    result = program(inputs)
    torch.testing.assert_close(result["logits"], joined.mean((2, 3)))
    torch.testing.assert_close(result["new"], y[:, :1])


def test_batch_equals_loop_of_singles(tmp_path):
    program = MilProgram(build(tmp_path))
    assert program.batchable
    inputs = inputs_for(program, batch=3)
    together = program(inputs)
    for i in range(3):
        alone = program({name: value[i : i + 1] for name, value in inputs.items()})
        for name, value in alone.items():
            torch.testing.assert_close(together[name][i : i + 1], value)


def test_a_split_gives_its_parts_in_order(tmp_path):
    @mb.program(input_specs=[mb.TensorSpec((1, 6, 2, 3))], opset_version=ct.target.iOS17)
    def program(x):
        a, b, c = mb.split(x=x, split_sizes=[1, 2, 3], axis=1)
        return mb.add(x=a, y=b, name="sum"), mb.relu(x=c, name="rest")

    model = MilProgram(save(tmp_path, program, ct.precision.FLOAT32))
    x = torch.from_numpy(numbers(4, 6, 2, 3))  # of any batch
    found = model({model.inputs[0].name: x})
    assert torch.equal(found["sum"], x[:, :1] + x[:, 1:3])
    assert torch.equal(found["rest"], x[:, 3:].relu())


def test_half_precision_program_rounds(tmp_path):
    whole = MilProgram(build(tmp_path / "a"))
    half = MilProgram(build(tmp_path / "b", ct.precision.FLOAT16))
    inputs = inputs_for(whole)
    result, expected = half(inputs)["new"], whole(inputs)["new"]
    assert torch.equal(result, result.half().float())
    assert not torch.equal(result, expected)
    # Rounded weights, inputs and results: a few steps of the largest product.
    torch.testing.assert_close(result, expected, rtol=0, atol=8 * HALF_STEP * float(expected.max()))


def test_operation_along_the_leading_axis_forbids_batches(tmp_path):
    @mb.program(input_specs=[mb.TensorSpec((1, 3, 4))], opset_version=ct.target.iOS17)
    def program(x):
        return mb.transpose(x=x, perm=[1, 0, 2])

    loaded = MilProgram(save(tmp_path, program, ct.precision.FLOAT32))
    assert not loaded.batchable
    with pytest.raises(BadInput, match=r"shape \(2, 3, 4\)"):
        loaded({loaded.inputs[0].name: torch.zeros(2, 3, 4)})


def test_unknown_operation_is_named(tmp_path):
    @mb.program(input_specs=[mb.TensorSpec((1, 3))], opset_version=ct.target.iOS17)
    def program(x):
        return mb.erf(x=x)

    with pytest.raises(BadInput, match="operation erf") as error:
        MilProgram(save(tmp_path, program, ct.precision.FLOAT32))
    assert "\n" not in str(error.value)


def test_wrong_inputs_are_refused(tmp_path):
    program = MilProgram(build(tmp_path))
    inputs = inputs_for(program)
    with pytest.raises(BadInput, match="past is missing"):
        program({"frame": inputs["frame"]})
    with pytest.raises(BadInput, match="input frame has shape"):
        program(inputs | {"frame": torch.zeros(1, 3, 5, 4)})
    with pytest.raises(BadInput, match="different batch sizes"):
        program(inputs | {"frame": torch.zeros(2, 3, 4, 4)})


def test_damaged_packages_are_refused(tmp_path):
    path = build(tmp_path)
    weights = path / "Data/com.apple.CoreML/weights/weight.bin"
    whole = weights.read_bytes()
    for damaged in (whole[: len(whole) - 40], whole[:70], b"", b"\0" * len(whole)):
        weights.write_bytes(damaged)
        with pytest.raises(BadInput, match="truncated or damaged"):
            MilProgram(path)
    model = path / "Data/com.apple.CoreML/model.mlmodel"
    model.write_bytes(model.read_bytes()[:200])
    with pytest.raises(BadInput, match="cannot be read"):
        MilProgram(path)
    model.unlink()
    with pytest.raises(BadInput):
        load_spec(path)
    shutil.rmtree(path)
    with pytest.raises(BadInput, match=r"not an \.mlpackage"):
        MilProgram(path)
