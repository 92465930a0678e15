"""ONNX Runtime as an app would use it: export, its own int8 quantization, and steps without copies.

A step is one call with bound inputs and outputs: two sets of buffers hold the state and change
places after every call, so that nothing is copied or allocated in Python. The native runner of the
ExecuTorch contenders does copy the state back, within the time that is counted.

int8 is static quantization in QDQ form with weights per channel. Which types and which nodes are
fastest depends on the processor, so every recipe of ``RECIPES`` is made of every graph that it is
given, timed on one thread, and the fastest is kept; the row in the JSON lists all of them.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime

Values = dict[str, np.ndarray]

# Activation type, weight type, reduced range (seven bits, for processors whose products of bytes
# saturate), and whether the gates' squeezed paths stay in floats, as in this project's own recipe.
RECIPES = {
    "U8S8": ("QUInt8", "QInt8", False, False),
    "U8S8, gates fp32": ("QUInt8", "QInt8", False, True),
    "U8S8 reduced range, gates fp32": ("QUInt8", "QInt8", True, True),
    "U8U8, gates fp32": ("QUInt8", "QUInt8", False, True),
    "S8S8, gates fp32": ("QInt8", "QInt8", False, True),
}
VECTORS = ([1, 1], [2, 1], [3, 1])  # height and width: of one, two and three frames or gates
TRIES, CALLS = 4, 25  # of each recipe, in turns


def session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session on the CPU with every optimisation of the graph."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def bound_call(model: onnxruntime.InferenceSession) -> Callable[[], None]:
    """A function that runs one step on a fixed noisy frame and carries the state."""
    inputs, outputs = model.get_inputs(), model.get_outputs()
    noise = np.random.default_rng(0).uniform(-1, 1, inputs[0].shape).astype(np.float32)
    frame = onnxruntime.OrtValue.ortvalue_from_numpy(noise)
    logits = _zeros(outputs[0].shape)
    sides = [[_zeros(port.shape) for port in inputs[1:]] for _ in range(2)]
    bindings = []
    for old, new in (sides, sides[::-1]):
        binding = model.io_binding()
        binding.bind_ortvalue_input(inputs[0].name, frame)
        binding.bind_ortvalue_output(outputs[0].name, logits)
        for port, value in zip(inputs[1:], old, strict=True):
            binding.bind_ortvalue_input(port.name, value)
        for port, value in zip(outputs[1:], new, strict=True):
            binding.bind_ortvalue_output(port.name, value)
        bindings.append(binding)

    def call() -> None:
        model.run_with_iobinding(bindings[0])
        bindings.reverse()

    return call


def _zeros(shape: list[int]) -> onnxruntime.OrtValue:
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))


def export(model: object, form: str, inputs: list, path: Path) -> None:
    """Write the graph of a folded ``VideoClassifier`` as ONNX; ``inputs`` are examples."""
    import torch  # not at the top: the worker that times a session has no need of it

    from mobile_export.graph import forms

    program = torch.onnx.export(
        forms.graph_of(model, form),
        tuple(inputs),
        dynamo=True,
        verbose=False,
    )
    program.save(str(path))


def quantize(sources: dict[str, Path], clips: list[np.ndarray], path: Path) -> dict:
    """Write the fastest int8 form of a stream; says which one and what it tried.

    ``sources`` are fp32 graphs of the stream by name, ``clips`` calibrate them.
    """
    made = {}
    for graph_name, source in sources.items():
        made |= _recipes(graph_name, source, clips)
    return keep_fastest(made, path)


def keep_fastest(made: dict[str, Path], path: Path) -> dict:
    """Move the fastest of some files to ``path`` and remove the others; what was found."""
    times = _race(made)
    best = min(times, key=times.__getitem__)
    made[best].replace(path)
    for file in made.values():
        file.unlink(missing_ok=True)
    return {"recipe": best, "recipes_ms": times}


def _recipes(graph_name: str, source: Path, clips: list[np.ndarray]) -> dict[str, Path]:
    """One fp32 graph quantized in every way."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = source.with_name(f"prepared-{source.name}")
    # Its symbolic shapes are for sizes that vary, these are fixed.
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    gates = _gate_nodes(onnx.shape_inference.infer_shapes(onnx.load(prepared)))
    made = {}
    for index, (name, (activation, weight, reduced, floats)) in enumerate(RECIPES.items()):
        target = source.with_name(f"recipe{index}-{source.name}")
        quantize_static(
            prepared,
            target,
            _Streams(source, clips),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType[activation],
            weight_type=QuantType[weight],
            reduce_range=reduced,
            nodes_to_exclude=gates if floats else [],
        )
        made[f"{name}, {graph_name}"] = target
    prepared.unlink()
    return made


def _gate_nodes(model: object) -> list[str]:
    """Nodes whose result is a vector, or a few below each other, and all sigmoids: the gates but
    for what reads the map that they gate. (Of 64 and 96 pixels, the last maps' rows are as short.)
    """
    known = [*model.graph.value_info, *model.graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in known}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Sigmoid" or shapes.get(node.output[0], [])[2:] in VECTORS
    ]


def _race(made: dict[str, Path]) -> dict[str, float]:
    """Median milliseconds of a step of each graph on one thread, visited in turns."""
    calls = {name: bound_call(session(path, 1)) for name, path in made.items()}
    times: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(TRIES):
        for name, call in calls.items():
            call()  # its weights are in the cache again
            for _ in range(CALLS):
                start = time.perf_counter()
                call()
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: round(statistics.median(found), 4) for name, found in times.items()}


class _Streams:
    """Calibration data (``CalibrationDataReader`` asks for ``get_next`` alone): clips as streams,
    with the states that the fp32 graph gives.
    """

    def __init__(self, source: Path, clips: list[np.ndarray]) -> None:
        self._steps = self._run(session(source, 1), clips)

    def get_next(self) -> Values | None:
        return next(self._steps, None)

    @staticmethod
    def _run(model: onnxruntime.InferenceSession, clips: list[np.ndarray]) -> Iterator[Values]:
        first, *state = model.get_inputs()
        for clip in clips:
            values = [np.zeros(port.shape, np.float32) for port in state]
            for frame in clip:
                named = zip((port.name for port in state), values, strict=True)
                feed = {first.name: frame[None], **dict(named)}
                yield feed
                values = model.run(None, feed)[1:]
