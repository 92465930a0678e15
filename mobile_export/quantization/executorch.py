"""The int8 quantizer for XNNPACK and Vulkan: what is quantized, how, and what stays in fp32.

int8 weights per output channel, int8 activations per tensor, and only where it pays. The vectors of
CE and ME have 1 to 10 channels, where eight bits cost accuracy and floats cost nothing: inside the
gates only what reads the map itself is quantized, and STE's window. The product of the map with the
sum of its gates is one of floats: to round the sum and multiply in int8 takes longer than to take
the map to floats and to round the product.

Source: torchao's PT2E quantization and ExecuTorch's XNNPACKQuantizer, in the pinned versions.
"""

from itertools import pairwise
from typing import ClassVar

import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import FakeQuantize, MinMaxObserver, PerChannelMinMaxObserver
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationConfig,
    QuantizationSpec,
    SharedQuantizationSpec,
)
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from mobile_export.quantization.pt2e import Scheme

ATEN = torch.ops.aten
MOVES = (
    ATEN.slice.Tensor,
    ATEN.permute.default,
    ATEN.pad.default,
    ATEN.constant_pad_nd.default,
)
POOLING = ATEN.mean.dim
LARGEST = ATEN.max_pool2d.default
CLAMPS = (ATEN.hardtanh.default, ATEN.hardtanh_.default, ATEN.relu.default, ATEN.relu_.default)
QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default
DEQUANTIZE = torch.ops.quantized_decomposed.dequantize_per_tensor.default
SMALLEST_STEP = 2**-12  # XNNPACKQuantizer's


class DelegateQuantizer(XNNPACKQuantizer):
    """XNNPACK's quantizer with what it does not annotate, and without what should stay in fp32."""

    # Matching the patterns with batch norm takes seconds, and there is none left.
    SUPPORTED_PATTERNS: ClassVar = [
        pattern
        for pattern in XNNPACKQuantizer.SUPPORTED_PATTERNS
        if "bn" not in pattern.name and "transpose" not in pattern.name
    ]

    def __init__(self) -> None:
        super().__init__()
        self.set_global(_int8())

    def annotate(self, model: GraphModule) -> GraphModule:
        """Annotate own cases first: ExecuTorch's annotators leave an annotated node alone."""
        squeezed = _squeezed_nodes(model)
        for node in model.graph.nodes:
            if node in squeezed or _leads_to_classifier(node):
                _set(node)
        for node in model.graph.nodes:
            _annotate_clamped_convolution(node, self.global_config)
            _annotate_pooling(node, self.global_config)
        # The shift moves values without changing them: slice, pad and concatenation all share the
        # parameters of the map that they read. XNNPACK's static slice takes nothing else.
        for node in model.graph.nodes:
            if node.target is ATEN.cat.default and not _annotated(node):
                _annotate_shift(node, self.global_config)
        return super().annotate(model)


def _int8() -> QuantizationConfig:
    """XNNPACK's static int8 recipe, per channel, with min-max instead of histogram observers.

    The maps inside the blocks are bounded by ReLU6, and sharing an observer between a map and its
    slices is exact for a union of ranges alone. Everything is a fake quantizer, which observes
    during calibration and rounds during quantization-aware training.
    """
    base = get_symmetric_quantization_config(is_per_channel=True)
    activation = QuantizationSpec(
        dtype=torch.int8,
        quant_min=-128,
        quant_max=127,
        qscheme=torch.per_tensor_affine,
        observer_or_fake_quant_ctr=FakeQuantize.with_args(
            observer=MinMaxObserver, eps=SMALLEST_STEP
        ),
    )
    weight = QuantizationSpec(
        dtype=torch.int8,
        quant_min=-127,
        quant_max=127,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
        observer_or_fake_quant_ctr=FakeQuantize.with_args(
            observer=PerChannelMinMaxObserver, eps=SMALLEST_STEP
        ),
    )
    return QuantizationConfig(activation, activation, weight, base.bias)


def _set(node: Node, inputs: dict | None = None, output: object = None) -> None:
    node.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(
        input_qspec_map=inputs or {}, output_qspec=output, _annotated=True
    )


def _annotated(node: Node) -> bool:
    return Q_ANNOTATION_KEY in node.meta and node.meta[Q_ANNOTATION_KEY]._annotated


def _squeezed_nodes(model: GraphModule) -> set[Node]:
    """What the gates compute from the map that they gate, and its product with them.

    Found by the flow of data, which stream and clip form have in common: everything from which the
    second factor of a product with a sigmoid is computed, back to the first factor, without the
    convolutions and poolings that read the map itself.
    """
    squeezed: set[Node] = set()
    for product in model.graph.nodes:
        if product.target is not ATEN.mul.Tensor:
            continue
        gated, gate = product.args
        seen: set[Node] = set()
        waiting = [gate]
        while waiting:
            node = waiting.pop()
            if node is not gated and node not in seen and node.op == "call_function":
                seen.add(node)
                waiting += node.all_input_nodes
        if any(node.target is ATEN.sigmoid.default for node in seen):
            # R9: the product itself stays in floats; what reads it is rounded.
            squeezed |= {product, *(node for node in seen if not _reads(node, gated))}
    return squeezed - _spatial(squeezed)


def _spatial(squeezed: set[Node]) -> set[Node]:
    """Convolutions of maps, STE's or a plain ME's, and what leads to them."""
    waiting = [n for n in squeezed if n.target is ATEN.conv2d.default and _convolves_maps(n)]
    found: set[Node] = set()
    while waiting:
        node = waiting.pop()
        if node in squeezed and node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found


def _convolves_maps(conv: Node) -> bool:
    """A kernel along two axes; vectors of several frames are convolved along one."""
    return min(conv.args[1].meta["val"].shape[2:]) > 1


def _reads(node: Node, gated: Node) -> bool:
    return node.target in (ATEN.conv2d.default, POOLING) and node.args[0] is gated


def _leads_to_classifier(node: Node) -> bool:
    moves = (POOLING, ATEN.permute.default, ATEN.flatten.using_ints)
    while node.target in moves and len(node.users) == 1:
        node = next(iter(node.users))
    return node.target is ATEN.linear.default


def _annotate_clamped_convolution(node: Node, config: QuantizationConfig) -> None:
    """Convolution and ReLU6 as one: observe what is left after the clamp, not before.

    XNNPACK's own annotator knows ReLU alone, and would spend the eight bits on values that the
    clamp throws away.
    """
    if node.target not in CLAMPS or _annotated(node):
        return
    conv = node.args[0]
    if conv.target is not ATEN.conv2d.default or len(conv.users) > 1 or _annotated(conv):
        return
    _set(conv, {conv.args[0]: config.input_activation, conv.args[1]: config.weight})
    _set(node, output=config.output_activation)


def _annotate_pooling(node: Node, config: QuantizationConfig) -> None:
    """A mean spans less than its map and gets parameters of its own; a maximum keeps the map's."""
    if node.target is POOLING and not _annotated(node):
        _set(node, {node.args[0]: config.input_activation}, config.output_activation)
    elif node.target is LARGEST and not _annotated(node):
        # The largest of some values is one of them.
        read = node.args[0]
        _set(node, {read: config.input_activation}, SharedQuantizationSpec((read, node)))


def _annotate_shift(cat: Node, config: QuantizationConfig) -> None:
    """Give a shift or window (slices, pads, one concatenation) the parameters of its map.

    One of the concatenated tensors is a slice of the map; the others are slices too, padded in the
    clip form, or the state of the stream form.
    """
    chains = [_chain(part) for part in cat.args[0]]
    source = next((chain[-1] for chain in chains if chain[-1].op != "placeholder"), None)
    if source is None:
        return
    if _annotated(source) and source.meta[Q_ANNOTATION_KEY].output_qspec is None:
        # A gated map that ends a branch: a product of floats, rounded where it is moved.
        _set(source, output=config.output_activation)
    shared = SharedQuantizationSpec(source)
    for chain in chains:
        for node, read in pairwise(chain):
            _set(node, {read: shared}, shared)
    _set(cat, dict.fromkeys(cat.args[0], shared), shared)


def _chain(node: Node) -> list[Node]:
    """From a concatenated tensor back through what moves values to what that reads."""
    chain = [node]
    while chain[-1].target in MOVES:
        chain.append(chain[-1].args[0])
    return chain


def drop_clamps(converted: GraphModule) -> None:
    """Remove a clamp whose result is quantized to a range inside the clamp: the rounding saturates.

    Exact, and without it Vulkan does not fuse convolution, ReLU6 and rounding into one operator.
    """
    for node in list(converted.graph.nodes):
        if node.target not in CLAMPS or not node.users:
            continue
        low, high = (0.0, float("inf"))
        if "hardtanh" in str(node.target):
            given = node.args[1:3]
            low, high = (*given, *(-1.0, 1.0)[len(given) :])
        if all(_range_inside(user, low, high) for user in node.users):
            node.replace_all_uses_with(node.args[0])
            converted.graph.erase_node(node)
    converted.recompile()


def _range_inside(user: Node, low: float, high: float) -> bool:
    if user.target is not QUANTIZE:
        return False
    scale, zero, least, most = user.args[1:5]
    slack = scale * 1e-3  # the top of the range is 255 * scale, itself rounded
    return (least - zero) * scale >= low - slack and (most - zero) * scale <= high + slack


XNNPACK = Scheme("xnnpack", DelegateQuantizer, drop_clamps)
VULKAN = Scheme("vulkan", DelegateQuantizer, drop_clamps)
