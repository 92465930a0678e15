"""A Vulkan program as it lies in ``model.pte``: the delegate's graph, its constants, its ports.

The file is an ExecuTorch program whose plan calls the delegate once. The delegate's payload is a
header, a flatbuffer of schema ``backends/vulkan/serialization/schema.fbs`` and perhaps constants
behind it; most constants lie in the program's named data. All of it is data: executorch's own
serialization modules read it, as ``VulkanBackend.cpp`` (``compileModel``, ``GraphBuilder``,
``execute``) of pytorch/executorch does on a device.
"""

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import BadInput
from mobile_export.runtime.executorch import FLOAT, read_program, unusable

BACKEND = "VulkanBackend"
NAMED = 2**64 - 1  # the offset of a constant that lies in the program's named data
# What executorch's readers raise for bytes that are no program.
_DAMAGED = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OSError,
    RuntimeError,
    struct.error,
    subprocess.SubprocessError,
)


@dataclass(frozen=True)
class VulkanFile:
    """What a program's one delegate call computes.

    ``inputs`` are ids of ``graph.values`` in the order of the program's inputs, ``outputs`` alike;
    ``constants`` are the bytes of ``graph.constants``.
    """

    graph: Any  # executorch's VkGraph
    constants: list[bytes]
    inputs: list[int]
    outputs: list[int]


def read_vulkan(artifact: Path) -> VulkanFile:
    """Read a program. Raises ``BadInput`` for a damaged one, and for one that does more than call
    the Vulkan delegate once on floats.
    """
    data = read_program(artifact)
    try:
        return _read(data)
    except _DAMAGED as error:
        if isinstance(error, BadInput):
            raise BadInput(unusable(artifact, str(error))) from None
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise BadInput(unusable(artifact, reason)) from None


def _read(data: bytes) -> VulkanFile:
    from executorch.backends.vulkan.serialization import vulkan_graph_serialize as serialize
    from executorch.exir._serialize._program import deserialize_pte_binary

    file = deserialize_pte_binary(data)
    program = file.program
    plan = program.execution_plan[0]
    call = _only_call(plan)
    delegate = plan.delegates[call.delegate_index]
    if delegate.id != BACKEND:
        raise BadInput(f"its delegate is {delegate.id}, not {BACKEND}")
    payload = program.backend_delegate_data[delegate.processed.index].data
    size = serialize.VulkanDelegateHeader.EXPECTED_LENGTH
    header = serialize.VulkanDelegateHeader.from_bytes(payload[:size])
    if not header.is_valid() or header.bytes_offset + header.bytes_size > len(payload):
        raise BadInput("the header of its delegate does not fit what follows")
    graph = serialize.flatbuffer_to_vk_graph(serialize.extract_vk_flatbuffer(payload))
    behind = payload[header.bytes_offset : header.bytes_offset + header.bytes_size]
    constants = [_constant(entry, behind, file.named_data) for entry in graph.constants]
    inputs, outputs = _ports(plan, call, graph)
    return VulkanFile(graph, constants, inputs, outputs)


def _only_call(plan: Any) -> Any:
    (chain,) = plan.chains
    calls = [instruction.instr_args for instruction in chain.instructions]
    kernels = [call for call in calls if hasattr(call, "op_index")]
    if kernels:
        operator = plan.operators[kernels[0].op_index]
        raise BadInput(
            f"operator {operator.name}.{operator.overload} lies outside the delegate, and only the "
            "delegate is computed here"
        )
    if len(calls) != 1 or not hasattr(calls[0], "delegate_index"):
        raise BadInput(f"it has {len(calls)} instructions instead of one delegate call")
    return calls[0]


def _constant(entry: Any, behind: bytes, named: Any) -> bytes:
    if entry.named_key and entry.offset == NAMED:
        if named is None or entry.named_key not in named.pte_data:
            raise BadInput(f"its constant {entry.named_key[:12]} is missing")
        data = named.buffers[named.pte_data[entry.named_key].buffer_index]
    else:
        data = behind[entry.offset :]
    if len(data) < entry.length:
        raise BadInput(f"a constant of {entry.length} bytes is cut off")
    return bytes(data[: entry.length])


def _ports(plan: Any, call: Any, graph: Any) -> tuple[list[int], list[int]]:
    """Ids of the graph in the program's order: a delegate call lists its inputs, then outputs."""
    ids = [*graph.input_ids, *graph.output_ids]
    if len(call.args) != len(ids):
        raise BadInput(f"the delegate has {len(ids)} ports and is called with {len(call.args)}")
    of_value = dict(zip(call.args, ids, strict=True))
    for value, number in of_value.items():
        tensor, held = plan.values[value].val, graph.values[number].value
        # The delegate copies memory as it is: another order of axes would be misread.
        plain = list(tensor.dim_order) == list(range(len(tensor.sizes)))
        if not plain or tensor.scalar_type != FLOAT or list(tensor.sizes) != list(held.dims):
            raise BadInput(f"a port of shape {list(tensor.sizes)} is no plain tensor of floats")
    if not {*plan.inputs, *plan.outputs} <= of_value.keys():
        raise BadInput("the delegate does not take and give what the program does")
    return [of_value[v] for v in plan.inputs], [of_value[v] for v in plan.outputs]
