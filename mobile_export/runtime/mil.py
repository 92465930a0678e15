"""A reference interpreter for ML Programs: runs an ``.mlpackage`` where Core ML does not exist.

It reads the model's protobuf and weight file; ``interpreter`` executes the main function operation
by operation on torch, and says what that shows and what not.

Sources: ``mlmodel/format/MIL.proto`` and ``mlmodel/src/MILBlob`` of apple/coremltools.
"""

import math
import struct
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch

from core.errors import BadInput
from mobile_export.runtime.interpreter import Dialect, Program, Step, Value
from mobile_export.runtime.mil_ops import EXACT, OPS

_WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
_SENTINEL = 0xDEADBEEF  # first word of every entry's header in the weight file
_HEADER = struct.Struct("<IIQQ")  # sentinel, data type, size in bytes, offset of the data

# Names of MIL_pb2.DataType to numpy's; int32, bool and string are parameters, the rest numbers.
_NUMPY = {
    "FLOAT16": np.float16,
    "FLOAT32": np.float32,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "BOOL": np.bool_,
}


class MilProgram(Program):
    """An ML Program in memory, see ``Program``.

    Raises ``BadInput`` for a package that is missing, truncated, not an ML Program, or that holds
    an operation that is not implemented.
    """

    def __init__(self, package: Path) -> None:
        super().__init__(DIALECT)
        function, description = _load_function(package)
        block = function.block_specializations[function.opset]
        images = {i.name for i in description.input if i.type.HasField("imageType")}
        for value in function.inputs:
            self._take(_value_of(value, value.name in images))
        blob = _Blob(package / _WEIGHTS)
        for operation in block.operations:
            self._decode(operation, blob)
        self._close(list(block.outputs))

    def _decode(self, operation, blob: "_Blob") -> None:
        if operation.type == "const":
            self._constants[operation.outputs[0].name] = blob.value(operation.attributes["val"])
            return
        if operation.type == "split":
            self._cut(operation)
            return
        if operation.type not in OPS or len(operation.outputs) != 1:
            raise BadInput(
                f"operation {operation.type} ({operation.outputs[0].name}) is not implemented in "
                "the reference interpreter: run this package on macOS"
            )
        step = Step(operation.type, {}, {}, _value_of(operation.outputs[0]))
        for key, value in operation.attributes.items():  # where constexpr operations keep theirs
            if key != "name":
                step.known[key] = blob.value(value)
        for key, argument in operation.inputs.items():
            names = [binding.name for binding in argument.arguments]
            if argument.arguments[0].WhichOneof("binding") == "value":  # of iOS 18's constants
                step.known[key] = blob.value(argument.arguments[0].value)
            elif key == "values":
                step.names[key] = names
            elif names[0] in self._constants:
                step.known[key] = self._constants[names[0]]
            else:
                step.names[key] = names[0]
        self._add(step)

    def _cut(self, operation) -> None:
        """A split gives several values: each is a slice, one behind the other."""
        read = operation.inputs["x"].arguments[0].name
        axis, first = self._constants[operation.inputs["axis"].arguments[0].name], 0
        assert isinstance(axis, int), "a parameter of type int32"
        for output in operation.outputs:
            part = _value_of(output)
            begin = [0] * len(part.shape)
            begin[axis] = first
            end = [b + side for b, side in zip(begin, part.shape, strict=True)]
            self._add(Step("slice_by_index", {"begin": begin, "end": end}, {"x": read}, part))
            first = end[axis]


class _Blob:
    """Values of the protobuf, immediate or in the weight file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        held = path.is_file() and path.stat().st_size > 0  # an empty file cannot be mapped
        self.data = np.memmap(path, np.uint8, "r") if held else np.empty(0, np.uint8)

    def value(self, value) -> object:
        """A tensor for numbers; a Python value or list for int32, bool and string."""
        from coremltools.proto import MIL_pb2

        kind = MIL_pb2.DataType.Name(value.type.tensorType.dataType)
        shape = _shape(value.type.tensorType)
        if kind == "STRING":
            return value.immediateValue.tensor.strings.values[0]
        if kind not in _NUMPY:
            raise BadInput(f"{self.path}: a constant of type {kind} is not implemented")
        array = self._array(value, np.dtype(_NUMPY[kind]), math.prod(shape)).reshape(shape)
        if kind in ("INT32", "BOOL"):
            return array.tolist()
        return torch.from_numpy(array.astype(np.float32))

    def _array(self, value, dtype: np.dtype, count: int) -> np.ndarray:
        if value.WhichOneof("value") == "immediateValue":
            tensor = value.immediateValue.tensor
            held = getattr(tensor, tensor.WhichOneof("value")).values
            return np.frombuffer(held, dtype) if isinstance(held, bytes) else np.array(held, dtype)
        place = value.blobFileValue.offset
        end = place + _HEADER.size
        header = _HEADER.unpack(self.data[place:end].tobytes()) if end <= len(self.data) else None
        if header is None or header[0] != _SENTINEL or header[3] + header[2] > len(self.data):
            raise BadInput(f"weight file {self.path} is truncated or damaged: export again")
        if header[2] != count * dtype.itemsize:
            raise BadInput(f"weight file {self.path} does not fit its program: export again")
        return self.data[header[3] : header[3] + header[2]].view(dtype)


def load_spec(package: Path):
    """The package's protobuf; ``BadInput`` when there is none or it cannot be read."""
    import coremltools as ct
    from google.protobuf.message import DecodeError

    if not (package / "Manifest.json").is_file():
        raise BadInput(f"{package} is not an .mlpackage folder: give one that the exporter wrote")
    try:
        return ct.utils.load_spec(str(package))
    except (DecodeError, OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{package} cannot be read ({reason}): export again") from None


def _load_function(package: Path):
    spec = load_spec(package)
    if spec.WhichOneof("Type") != "mlProgram" or "main" not in spec.mlProgram.functions:
        raise BadInput(f"{package} is not an ML Program with a main function: export again")
    return spec.mlProgram.functions["main"], spec.description


def _shape(tensor_type) -> tuple[int, ...]:
    return tuple(dimension.constant.size for dimension in tensor_type.dimensions)


def _value_of(value, image: bool = False) -> Value:
    from coremltools.proto import MIL_pb2

    kind = value.type.tensorType
    return Value(value.name, _shape(kind), MIL_pb2.DataType.Name(kind.dataType), image)


def _keeps_batch(step: Step, ports: Mapping[str, Value]) -> bool:
    """Whether a step maps each entry of a leading axis of 1 to itself."""
    known, output = step.known, step.output
    if output.shape[:1] != (1,):
        return False
    rank = len(output.shape)
    touched = {
        "concat": lambda: known["axis"] in (0, -rank),
        "linear": lambda: len(output.shape) < 2,
        "pad": lambda: len(known["pad"]) == 2 * rank and any(known["pad"][:2]),
        "reduce_mean": lambda: not known.get("axes") or {0, -rank} & set(known["axes"]),
        "reshape": lambda: ports[step.names["x"]].shape[:1] != (1,),  # type: ignore[index]  # x is one name
        "slice_by_index": lambda: any(known.get("squeeze_mask", [False])[:1]),
        "transpose": lambda: known["perm"][0] != 0,
    }.get(step.kind, partial(bool, False))
    return not touched()


def _free_leading_axis(step: Step) -> None:
    """Literals that name the leading 1 are made to follow the batch that comes in."""
    known = step.known
    if step.kind == "reshape":
        known["shape"] = [0, *known["shape"][1:]]
    elif step.kind == "slice_by_index":
        for key in ("begin_mask", "end_mask"):
            mask = known.get(key) or [False] * len(known["begin"])
            known[key] = [True, *mask[1:]]


DIALECT = Dialect(OPS, EXACT, _keeps_batch, _free_leading_axis)
