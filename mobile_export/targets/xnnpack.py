"""XNNPACK through ExecuTorch: stream and clip form, fp32 and int8, on every phone's CPU."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from core.model import VideoClassifier
from mobile_export import graph
from mobile_export.graph import Port
from mobile_export.quantize import Learned, Scheme, quantize
from mobile_export.quantizer import DEQUANTIZE, QUANTIZE, DelegateQuantizer, drop_clamps
from mobile_export.targets import Lowered, LoweringError
from mobile_export.targets.delegation import lower_whole, quick_provenance

PRECISIONS = ("int8", "fp32")
RECIPE = (
    "PT2E: weights int8 symmetric per channel, activations int8 affine per tensor, min-max over "
    "clips; vectors, sum and product of the gates, classifier, input and outputs in fp32"
)
SCHEME = Scheme("xnnpack", DelegateQuantizer, drop_clamps)


def lower(
    model: VideoClassifier,
    form: str,
    precision: str,
    calibration: Sequence[Tensor],
    out: Path,
    *,
    labels: Sequence[str],
    learned: Learned | None = None,
    allow_partial: bool = False,
) -> Lowered:
    """Write ``out/model.pte``; see ``mobile_export.targets`` for the arguments.

    ``labels`` are not part of an ExecuTorch program: they travel in the bundle's manifest.
    Raises ``LoweringError`` for a precision or graph that XNNPACK does not take whole.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    if precision not in PRECISIONS:
        raise LoweringError(
            f"precision {precision} is not offered for xnnpack: choose {' or '.join(PRECISIONS)}"
        )
    model = graph.deployed(model, "xnnpack")
    recipe = "none: weights and activations in fp32"
    with quick_provenance():
        if precision == "int8":
            converted = quantize(model, form, SCHEME, calibration, learned)
            recipe = RECIPE
        else:
            converted = graph.exported(model, form, "xnnpack")
        give_channels_last(converted, graph.output_ports(model, form, "xnnpack"))
        program = torch.export.export(converted, graph.example_inputs(model, form, "xnnpack"))
    artifact, details = lower_whole(program, XnnpackPartitioner(), out, allow_partial)
    return Lowered(artifact, converted, {"backend": "XNNPACK", "recipe": recipe, **details})


def give_channels_last(converted: GraphModule, outputs: Sequence[Port]) -> None:
    """Let the graph give its states in the order in which it takes them.

    Nothing moves: XNNPACK holds maps channels-last, and would transpose them to give them in the
    order of their shape. Its lowering drops the copy that asks for this, but behind a rounding only
    where the copy is rounded again, which changes no value. ``outputs`` are the graph's; a map of
    one channel or one pixel is in both orders, and a copy of it would confuse the lowering.
    """
    (output,) = (node for node in converted.graph.nodes if node.op == "output")
    for state, port in list(zip(output.args[0], outputs, strict=True))[1:]:  # beside the logits
        _, channels, *pixels = port.shape
        if channels == 1 or max(pixels) == 1:
            continue
        with converted.graph.inserting_before(output):
            copy = converted.graph.call_function(
                torch.ops.aten._to_copy.default, (state,), {"memory_format": torch.channels_last}
            )
            given = _rounded_as(state, copy)
        output.replace_input_with(state, given)
    converted.recompile()


def _rounded_as(value: Node, copy: Node) -> Node:
    """``copy`` of ``value``, with the rounding that ``value`` has, if any."""
    if value.target is not DEQUANTIZE:
        return copy
    rounded = copy.graph.call_function(QUANTIZE, (copy, *value.args[1:]))
    return copy.graph.call_function(DEQUANTIZE, (rounded, *value.args[1:]))
