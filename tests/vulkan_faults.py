"""Vulkan programs with something changed in them, for tests of who notices."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from mobile_export.runtime.vulkan_file import read_vulkan

Change = Callable[[object, list[bytes]], None]


def rewritten(artifact: Path, out: Path, change: Change = lambda graph, constants: None) -> Path:
    """The program with ``change(graph, constants)`` made; its constants lie in the payload now."""
    from executorch.backends.vulkan.serialization.vulkan_graph_serialize import (
        serialize_vulkan_graph,
    )
    from executorch.exir._serialize._program import (
        PTEFile,
        deserialize_pte_binary,
        serialize_pte_binary,
    )

    file = read_vulkan(artifact)
    graph, constants = file.graph, list(file.constants)
    change(graph, constants)
    graph.constants = []
    tensors = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in constants]
    program = deserialize_pte_binary(artifact.read_bytes()).program
    place = program.execution_plan[0].delegates[0].processed.index
    program.backend_delegate_data[place].data = serialize_vulkan_graph(graph, tensors, [])
    out.write_bytes(bytes(serialize_pte_binary(PTEFile(program))))
    return out


def calls(graph, name: str) -> list:
    """Calls of an operator, in order."""
    return [call for call in graph.chain if call.name == name]


def wrong_scale(graph, constants) -> None:
    """The first int8 convolution says that its output's step is twice as large."""
    call = calls(graph, "et_vk.q8ta_conv2d.default")[0]
    number = graph.values[call.args[6]].value
    graph.values.append(type(graph.values[0])(type(number)(2 * number.double_val)))
    call.args[6] = len(graph.values) - 1


def transposed_weight(graph, constants) -> None:
    """The bytes of an int8 weight are column by column."""
    held = graph.values[calls(graph, "et_vk.q8ta_conv2d_pw.default")[0].args[3]].value
    weight = np.frombuffer(constants[held.constant_id], np.int8).reshape(held.dims)
    constants[held.constant_id] = weight.T.tobytes()


def transposed_classifier(graph, constants) -> None:
    """The same of the classifier, in whatever the program holds floats."""
    held = graph.values[calls(graph, "aten.linear.default")[0].args[1]].value
    kind = {"FLOAT16": np.float16, "FLOAT32": np.float32}[held.datatype.name]
    weight = np.frombuffer(constants[held.constant_id], kind).reshape(held.dims)
    constants[held.constant_id] = weight.T.tobytes()


def swapped_parts(graph, constants) -> None:
    """A shift puts the frame's channels in front and the state behind."""
    call = calls(graph, "aten.cat.default")[0]
    graph.values[call.args[0]].value.items.reverse()


def swapped_scales(graph, constants) -> None:
    """The steps of the two summands of a residual connection change places."""
    call = calls(graph, "et_vk.q8ta_add.default")[0]
    call.args[2:6] = [*call.args[4:6], *call.args[2:4]]


def wrong_sums(graph, constants) -> None:
    """The sums of an int8 weight are zeros."""
    held = graph.values[calls(graph, "et_vk.q8ta_conv2d_pw.default")[0].args[4]].value
    constants[held.constant_id] = bytes(len(constants[held.constant_id]))
