"""A reference interpreter for Vulkan programs: computes a ``model.pte`` where there is no GPU.

``vulkan_file`` reads the program, ``interpreter`` runs it operator by operator on torch and says
what that shows and what not. What a program states is taken at its word: weights in the layout in
which they are stored, scales, arguments by their place, half precision wherever a tensor is
declared so, and which tensors share memory, which no two may that are needed at the same time.
"""

import inspect
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.errors import BadInput
from mobile_export.graph.forms import Port
from mobile_export.runtime.executorch import check_inputs, unusable
from mobile_export.runtime.interpreter import Dialect, Program, Step, Value
from mobile_export.runtime.vulkan_file import read_vulkan
from mobile_export.runtime.vulkan_ops import EXACT, OPS
from mobile_export.runtime.vulkan_q8 import UNPACK, unpacked

NUMPY = {"FLOAT16": "<f2", "FLOAT32": "<f4", "INT8": "i1", "INT32": "<i4"}
# What a parameter may be in the graph; torch's types that the delegate ignores are null there. A
# number is written once whatever its type, so 0 may stand as 0.0.
_NUMBER = ("Int", "Double")
KINDS = {
    Tensor: ("VkTensor",),
    Tensor | None: ("VkTensor", "Null"),
    list[Tensor]: ("ValueList",),
    Sequence[int]: ("IntList",),
    Sequence[int] | None: ("IntList", "Null"),
    int: _NUMBER,
    int | None: (*_NUMBER, "Null"),
    float: _NUMBER,
    float | None: (*_NUMBER, "Null"),
    bool: ("Bool",),
    str: ("String",),
    None: ("Null",),
}
WHOLE = (int, int | None)
PARAMETERS = {
    kind: {name: p.annotation for name, p in inspect.signature(function).parameters.items()}
    for kind, function in OPS.items()
}


class VulkanProgram(Program):
    """The graph of a program's one delegate call, see ``Program``; names of values are their ids.

    Raises ``BadInput`` for a program that is damaged, that holds an operator which is not
    implemented, or one whose arguments are not what it takes.
    """

    def __init__(self, artifact: Path) -> None:
        super().__init__(DIALECT)
        file = read_vulkan(artifact)
        self._values = [entry.value for entry in file.graph.values]
        self._bytes = file.constants
        try:
            for number in file.inputs:
                self._take(self._tensor(number))
            for call in file.graph.chain:
                self._decode(call)
            _check_memory(file.graph)
            self._close([str(number) for number in file.outputs])
        except BadInput as error:
            raise BadInput(f"{artifact}: {error}") from None
        except (
            LookupError,
            TypeError,
            ValueError,
            RuntimeError,
            AttributeError,
            OverflowError,
        ) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise BadInput(unusable(artifact, reason)) from None

    def _tensor(self, number: int) -> Value:
        held = self._values[number]
        return Value(str(number), tuple(held.dims), held.datatype.name)

    def _decode(self, call: Any) -> None:
        if call.name not in OPS:
            raise BadInput(
                f"operator {call.name} is not implemented in the reference interpreter: run this "
                "program on a device"
            )
        parameters = PARAMETERS[call.name]
        *arguments, result = call.args
        if len(arguments) != len(parameters):
            raise BadInput(
                f"operator {call.name} has {len(arguments)} arguments instead of {len(parameters)}"
            )
        if type(self._values[result]).__name__ == "ValueList":
            result = self._values[result].items[0]  # what comes beside it is not computed
        step = Step(call.name, {}, {}, self._tensor(result))
        for number, (name, annotation) in zip(arguments, parameters.items(), strict=True):
            self._bind(step, name, annotation, number)
        if call.name in UNPACK:
            channels = self._ports[str(step.names["x"])].shape[1]
            step.known = unpacked(call.name, step.known, channels)
        self._add(step)

    def _bind(self, step: Step, name: str, annotation: Any, number: int) -> None:
        held = self._values[number]
        kind = type(held).__name__
        if kind not in KINDS[annotation]:
            raise BadInput(f"operator {step.kind} has {kind} as its {name}")
        if kind == "VkTensor":
            known = self._known(number)
            if known is None:
                step.names[name] = str(number)
            else:
                step.known[name] = known
        elif kind == "ValueList":
            for item in held.items:
                self._known(item)
            step.names[name] = [str(item) for item in held.items]
        elif kind in ("Int", "Double"):
            value = held.int_val if kind == "Int" else held.double_val
            if annotation in WHOLE and value != int(value):
                raise BadInput(f"operator {step.kind} has {value} as its {name}")
            step.known[name] = int(value) if annotation in WHOLE else value
        else:
            step.known[name] = _plain(held)

    def _known(self, number: int) -> Tensor | None:
        """The value of a constant, floats whatever its type; None for what is computed."""
        name = str(number)
        held = self._values[number]
        if held.constant_id >= 0 and name not in self._constants:
            kind, shape = np.dtype(NUMPY[held.datatype.name]), list(held.dims)
            data = self._bytes[held.constant_id]
            if len(data) != math.prod(shape) * kind.itemsize:
                raise BadInput(f"constant {number} has {len(data)} bytes for the shape {shape}")
            array = np.frombuffer(data, kind).reshape(shape)
            self._constants[name] = torch.from_numpy(array.astype(np.float32))
        found = self._constants.get(name)
        if found is None and name not in self._ports:
            raise BadInput(f"value {number} is used before it is computed")
        return found  # type: ignore[return-value]  # constants here are tensors


def _plain(held: Any) -> object:
    """The Python value of a literal that is no number."""
    for field in ("bool_val", "string_val", "items"):
        if hasattr(held, field):
            return getattr(held, field)
    return None


def _check_memory(graph: Any) -> None:
    """Raise ``BadInput`` when two tensors in one memory object are needed at the same time."""
    made: dict[int, int] = dict.fromkeys(graph.input_ids, -1)
    last: dict[int, int] = {}
    for index, call in enumerate(graph.chain):
        numbers = [n for number in call.args for n in _within(graph, number)]
        for number in numbers:
            if hasattr(graph.values[number].value, "dims"):
                made.setdefault(number, index)
                last[number] = index
    last |= dict.fromkeys(graph.output_ids, len(graph.chain))
    sharing: dict[int, list[int]] = {}
    for number in sorted(made, key=made.__getitem__):
        memory = graph.values[number].value.mem_obj_id
        if memory >= 0:
            sharing.setdefault(memory, []).append(number)
    for numbers in sharing.values():
        needed = -2
        for number in numbers:
            if made[number] <= needed:
                raise BadInput(f"value {number} is written over one that is still needed")
            needed = max(needed, last.get(number, made[number]))


def _within(graph: Any, number: int) -> list[int]:
    held = graph.values[number].value
    return list(held.items) if type(held).__name__ == "ValueList" else [number]


def _keeps_batch(step: Step, ports: Mapping[str, Value]) -> bool:
    """Whether a step maps each entry of a leading axis of 1 to itself."""
    known, output = step.known, step.output
    if output.shape[:1] != (1,) or any(ports[n].shape[:1] != (1,) for n in step.reads()):
        return False
    before = ports[step.reads()[0]].shape
    rank = len(output.shape)
    match step.kind.split(".")[1]:
        case "cat" | "slice_copy" | "unsqueeze_copy":
            return known["dim"] not in (0, -rank)
        case "constant_pad_nd":
            return len(known["pad"]) < 2 * rank or not any(known["pad"][-2:])
        case "linear":
            return rank > 1
        case "mean" | "squeeze_copy":
            return 0 not in (axis % len(before) for axis in known["dim"])
        case "permute_copy":
            return known["dims"][0] == 0
        case "add" | "mul" | "sub":
            return all(len(ports[n].shape) == rank for n in step.reads())
    return True


def _free_leading_axis(step: Step) -> None:
    """The one literal that names the leading 1 is made to follow the batch that comes in."""
    if step.kind == "aten.view_copy.default":
        step.known["size"] = [-1, *step.output.shape[1:]]


DIALECT = Dialect(OPS, EXACT, _keeps_batch, _free_leading_axis)


class VulkanRunner:
    """See ``runtime.Runner``."""

    name = "reference interpreter of Vulkan graphs (our reading of the program), not a GPU"
    interpreted = True

    def __init__(self, artifact: Path, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
        self.program = VulkanProgram(artifact)
        for ports, values in ((inputs, self.program.inputs), (outputs, self.program.outputs)):
            if [port.shape for port in ports] != [value.shape for value in values]:
                raise BadInput(unusable(artifact, "its ports have other shapes than the bundle's"))
        self._shapes = [port.shape for port in inputs]
        self.batch = None if self.program.batchable else 1

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """One call, of several streams side by side where the program lets them be."""
        batch = len(inputs[0]) if inputs and self.batch is None else 1
        check_inputs(inputs, [(batch, *shape[1:]) for shape in self._shapes])
        named = {v.name: x for v, x in zip(self.program.inputs, inputs, strict=True)}
        results = self.program(named)
        return [results[value.name] for value in self.program.outputs]


def open_vulkan(artifact: Path, inputs: Sequence[Port], outputs: Sequence[Port]) -> VulkanRunner:
    """Load a program; ``inputs`` and ``outputs`` are the bundle's ports. Raises ``BadInput``."""
    return VulkanRunner(artifact, inputs, outputs)
