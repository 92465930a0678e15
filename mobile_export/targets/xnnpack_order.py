"""The order in which XNNPACK's states and shifts lie in memory: rewrites that change no value.

XNNPACK works channels-last. A graph, quantized or not, is rewritten for what the ``dim_order`` of
its states says: channels-last, or plane by plane.
"""

from collections.abc import Sequence

import torch
from torch.fx import GraphModule, Node

from mobile_export.graph.forms import CHANNELS_LAST_ORDER, Port
from mobile_export.quantization.executorch import DEQUANTIZE, QUANTIZE

ATEN = torch.ops.aten
TO_PLANES = [1, 0, 2, 3]  # (1, C, H, W) to (C, 1, H, W): channels-last, a plane after the other


def arrange(converted: GraphModule, states: Sequence[Port]) -> None:
    """Let the graph take and give its ``states``, in its own order, as their ports say."""
    (output,) = (node for node in converted.graph.nodes if node.op == "output")
    inputs = [node for node in converted.graph.nodes if node.op == "placeholder"]
    # Beside the frame and the logits.
    for past, future, port in zip(inputs[1:], output.args[0][1:], states, strict=True):
        if port.dim_order == CHANNELS_LAST_ORDER:
            _give_channels_last(future, port, output)
        else:
            _shift_planes(past, future, port)
    converted.graph.eliminate_dead_code()
    converted.recompile()


def _give_channels_last(state: Node, port: Port, output: Node) -> None:
    """R10: let the graph give a state as it takes it.

    Nothing moves: XNNPACK holds maps channels-last, and would transpose them to give them in the
    order of their shape. Its lowering drops the copy that asks for this, but behind a rounding only
    where the copy is rounded again, which changes no value. A map of one channel or one pixel is in
    both orders, and a copy of it would confuse the lowering.
    """
    _, channels, *pixels = port.shape
    if channels == 1 or max(pixels) == 1:
        return
    with output.graph.inserting_before(output):
        copy = _moved(state, ATEN._to_copy.default, memory_format=torch.channels_last)
    output.replace_input_with(state, copy)


def _shift_planes(past: Node, future: Node, port: Port) -> None:
    """R13: shift the map between two states plane by plane.

    Channels-last, a shift copies a few bytes at every pixel, and does so three times: the map is
    cut, joined with the past, and cut for the future. Of a transposed map it copies blocks, and to
    transpose a map of few channels there and back takes less than one of those copies.

    The graph is as ``TemporalShift.step`` writes it, all rounded alike: a map's last channels
    behind the past, and its first ones, which are the future.
    """
    joined = _joined(past)
    past, cut = joined.args[0]
    last, first = _unrounded(cut), _unrounded(future)
    if _rounded(last.args[0]) is not _rounded(first.args[0]):
        raise AssertionError(f"{joined.name} and the state {port.name} come from different maps")
    graph = joined.graph
    with graph.inserting_before(joined):
        planes = _moved(last.args[0], ATEN.permute.default, TO_PLANES)
        parts = [
            _moved(past, ATEN.permute.default, TO_PLANES),
            _moved(planes, ATEN.slice.Tensor, 0, *last.args[2:]),
        ]
        joined_planes = _rounded_as(past, graph.call_function(ATEN.cat.default, (parts, 0)))
        shifted = graph.call_function(ATEN.permute.default, (joined_planes, TO_PLANES))
    joined.replace_all_uses_with(shifted, propagate_meta=True)
    with graph.inserting_before(first):
        first_planes = _moved(planes, ATEN.slice.Tensor, 0, *first.args[2:])
        # A permutation, but the lowering would make two transposes of one.
        given = graph.call_function(ATEN.reshape.default, (first_planes, list(port.shape)))
    first.replace_all_uses_with(given, propagate_meta=True)


def _joined(past: Node) -> Node:
    """The concatenation that reads a state, rounded or not."""
    node, on_the_way = past, (QUANTIZE, DEQUANTIZE, ATEN.cat.default)
    while node.target is not ATEN.cat.default:
        (node,) = (user for user in node.users if user.target in on_the_way)
    return node


def _moved(value: Node, target: object, *args: object, **kwargs: object) -> Node:
    """``value`` moved by ``target``, and rounded as before, which changes nothing."""
    if value.target is DEQUANTIZE:  # the lowering wants one of these for every reader
        value = value.graph.call_function(DEQUANTIZE, value.args)
    return _rounded_as(value, value.graph.call_function(target, (value, *args), kwargs))


def _rounded_as(value: Node, made: Node) -> Node:
    if value.target is not DEQUANTIZE:
        return made
    rounded = made.graph.call_function(QUANTIZE, (made, *value.args[1:]))
    return made.graph.call_function(DEQUANTIZE, (rounded, *value.args[1:]))


def _rounded(value: Node) -> Node:
    """The int8 node that ``value`` is read from, or ``value`` itself."""
    return value.args[0] if value.target is DEQUANTIZE else value


def _unrounded(value: Node) -> Node:
    """What was rounded to ``value``, or ``value`` itself."""
    return value.args[0].args[0] if value.target is DEQUANTIZE else value
