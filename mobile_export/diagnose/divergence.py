"""Where an emulated Arm core first computes something else than this machine, value by value.

The stream graph of an int8 bundle is lowered once more with every value as an output, so that two
kernels that round otherwise are found by name and not by their effect on the logits. Outputs do not
change what is computed before them.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.graph import CodeGen

from core.markdown import markdown
from core.model import VideoClassifier
from mobile_export.graph import forms
from mobile_export.graph.forms import Port
from mobile_export.quantization.executorch import DEQUANTIZE, QUANTIZE
from mobile_export.runtime.native.process import Native
from mobile_export.targets.delegation import lower_whole
from mobile_export.targets.xnnpack_order import arrange


@dataclass(frozen=True)
class Difference:
    """The first value of a clip that differs, and how much depends on it by that frame's end."""

    core: str
    frame: int
    name: str  # of the graph's node
    operator: str
    layer: str
    quantized: bool
    differing: int  # of its elements
    elements: int
    largest: float  # relative to the largest element
    values_after: int  # values of the same frame that differ as well, of ``values`` in all
    values: int

    def to_dict(self) -> dict:
        """JSON-ready."""
        return asdict(self)


class Traced:
    """A converted stream graph as a program whose outputs are its values, in order."""

    def __init__(self, converted: GraphModule, model: VideoClassifier, folder: Path) -> None:
        self.inputs = forms.input_ports(model, "stream", "xnnpack")
        arrange(converted, self.inputs[1:])  # before values become outputs: some are states too
        self.nodes = _values(converted)
        shapes = _expose(converted, self.nodes)
        inputs = forms.example_inputs(model, "stream", "xnnpack")
        program = torch.export.export(converted, inputs)
        self.artifact, _ = lower_whole(program, XnnpackPartitioner(), folder, True)
        self.states = len(self.inputs) - 1
        extra = [
            Port(n.name, s, tuple(range(len(s)))) for n, s in zip(self.nodes, shapes, strict=True)
        ]
        self.outputs = [*forms.output_ports(model, "stream", "xnnpack"), *extra]

    def opened(self, command: list[str], name: str) -> Native:
        """A process that runs it."""
        return Native(command, self.artifact, self.inputs, self.outputs, name)


def first_difference(
    traced: Traced, layers: dict[str, str], here: Native, there: Native, clip: Tensor
) -> Difference | None:
    """Play ``clip``, normalised (T, 3, S, S), on two opened programs; None when all is equal.

    ``layers`` names the layer of a node.
    """
    state = [port.zeros() for port in traced.inputs[1:]]
    for index, frame in enumerate(clip):
        # Up to the first difference both have one state.
        ours, theirs = (runner([frame[None].contiguous(), *state]) for runner in (here, there))
        first = 1 + traced.states
        pairs = list(zip(traced.nodes, ours[first:], theirs[first:], strict=True))
        apart = [(node, a, b) for node, a, b in pairs if not torch.equal(a, b)]
        if apart:
            return _described(there.name, index, apart, len(pairs), layers)
        state = ours[1:first]
    return None


def table(cores: list[str], found: list[Difference | None]) -> str:
    """One line a core and clip, as Markdown."""
    head = "core", "frame", "first value", "operator", "layer", "kind", "differ", "largest", "after"
    rows: list[tuple[object, ...]] = []
    for core, d in zip(cores, found, strict=True):
        if d is None:
            rows.append((core, "", "none: every value is equal to the bit", *[""] * 6))
            continue
        kind = "int8" if d.quantized else "fp32"
        cells = (core, d.frame, d.name, d.operator, d.layer, kind, f"{d.differing}/{d.elements}")
        rows.append((*cells, f"{d.largest:.1e}", f"{d.values_after}/{d.values}"))
    return markdown(head, rows, ("frame", "differ", "largest", "after"))


def _described(
    core: str,
    frame: int,
    apart: list[tuple[Node, Tensor, Tensor]],
    values: int,
    layers: dict[str, str],
) -> Difference:
    node, a, b = apart[0]
    quantized = node.target is QUANTIZE
    source = node.args[0] if quantized else node
    return Difference(
        core=core,
        frame=frame,
        name=source.name,
        operator=str(source.target).removeprefix("aten.").split(".")[0],
        layer=layers.get(source.name, ""),
        quantized=quantized,
        differing=int((a != b).sum()),
        elements=a.numel(),
        largest=float((a - b).abs().max() / a.abs().max().clamp_min(1e-30)),
        values_after=len(apart) - 1,
        values=values,
    )


def _values(converted: GraphModule) -> list[Node]:
    """Every rounded value, and every float that no rounding follows at once.

    What is rounded at once never exists: the delegate rounds within the operator.
    """
    found = []
    for node in converted.graph.nodes:
        if node.op != "call_function" or node.target is DEQUANTIZE or not node.users:
            continue
        value = _of(node)
        rounded = node.target is QUANTIZE
        to_round = any(user.target is QUANTIZE for user in node.users)
        if isinstance(value, Tensor) and (rounded or (value.is_floating_point() and not to_round)):
            found.append(node)
    return found


def _expose(converted: GraphModule, nodes: list[Node]) -> list[tuple[int, ...]]:
    """Add ``nodes`` to the outputs, rounded ones as floats; their shapes."""
    (output,) = (n for n in converted.graph.nodes if n.op == "output")
    exposed = []
    for node in nodes:
        if node.target is QUANTIZE:
            with converted.graph.inserting_before(output):
                node = converted.graph.call_function(DEQUANTIZE, (node, *node.args[1:]))
        exposed.append(node)
    output.args = ((*output.args[0], *exposed),)
    converted.graph.set_codegen(CodeGen())  # what it had knows the outputs of before
    converted.recompile()
    return [tuple(_of(node).shape) for node in nodes]


def _of(node: Node) -> object:
    """What the exporter knows of a node's value; a rounded one has the shape of what it rounds."""
    return (node.args[0] if node.target is QUANTIZE else node).meta.get("val")
