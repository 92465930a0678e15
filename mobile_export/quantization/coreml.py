"""W8A8 quantization of a streaming graph for Core ML: what its convolutions read, nothing else.

int8 pays where weights and maps are large. So the weights of the convolutions that give maps are
int8 and what they read is rounded to eight bits; shifts, gates, vectors, sums and products, the
pooling and the classifier stay in fp16, as in the graph for ExecuTorch. A map is rounded once,
where it is read, and not again on its way through sums and products.
"""

import torch
from executorch.backends.apple.coreml.quantizer._annotation_config import AnnotationConfig
from executorch.backends.apple.coreml.quantizer._coreml_quantizer_utils import (
    _adjust_activation_qspec,
)
from torch import fx
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
)
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from mobile_export.quantization.pt2e import Scheme

# Whole pixels (p - 127.5) / 127.5 over the step 1/127.5 are all ties, which half-precision noise
# would decide. A frame's step that is this much smaller, 1/128 here, rounds them all outwards.
FRAME_STEP = 1 - 2.0**-8

SMALLEST_SCALE = 2.0**-24  # the smallest positive half: a rounded scale must not become zero

ATEN = torch.ops.aten
CONVOLUTION = ATEN.conv2d.default
BOUNDED = (ATEN.relu.default, ATEN.relu_.default, ATEN.hardtanh.default, ATEN.hardtanh_.default)
MOVES = (
    ATEN.slice.Tensor, ATEN.cat.default, ATEN.pad.default, ATEN.constant_pad_nd.default,
    ATEN.max_pool2d.default,
)  # fmt: skip


class MapQuantizer(Quantizer):
    """Annotates the convolutions that give maps, with the specifications of CoreMLQuantizer.

    coremltools' symmetric scheme, in which ExecuTorch's CoreMLQuantizer spends all 256 levels on
    what a ReLU gives, since that is never negative. The same holds for what was only moved or
    multiplied by a gate since: a shifted map, a gated one.
    """

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        """Give every such convolution the specification of its input and of its weight."""
        config = AnnotationConfig.from_quantization_config(recipe().global_config)
        for node in model.graph.nodes:
            if node.target is not CONVOLUTION or not gives_map(node.meta["val"].shape):
                continue
            read, weight = node.args[:2]
            inputs = {read: _activation(read, config.input_activation), weight: config.weight}
            node.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(inputs, _annotated=True)
        return model

    def validate(self, model: fx.GraphModule) -> None:
        """Nothing to refuse: what is not annotated stays in floats."""


def gives_map(shape: torch.Size | list[int]) -> bool:
    """Whether a result (N, C, H, W) is a map of features; not a vector, not STE's one channel."""
    return len(shape) == 4 and shape[1] > 1 and shape[2] * shape[3] > 1


def _activation(node: fx.Node, symmetric: QuantizationSpec) -> QuantizationSpec:
    """Of what ``node`` gives: with or without levels for negative values."""
    bounded = _bounded(node)
    return symmetric if bounded is None else _adjust_activation_qspec(bounded, symmetric)


def _bounded(node: fx.Node) -> fx.Node | None:
    """The ReLU from which ``node`` has its values; None where they may be negative.

    A shift joins parts of one map with its own past, which comes in as an input.
    """
    if node.target in BOUNDED:
        return node
    if node.target is ATEN.mul.Tensor and _positive(node.args[1]):
        return _bounded(node.args[0])
    if node.target not in MOVES:
        return None
    read = [n for n in node.all_input_nodes if n.op != "placeholder"]
    found = [_bounded(n) for n in read]
    return found[0] if found and None not in found else None


def _positive(node: object) -> bool:
    """Sums of sigmoids and positive constants."""
    if not isinstance(node, fx.Node):
        return isinstance(node, int | float) and node >= 0
    if node.target is ATEN.add.Tensor:
        return all(_positive(part) for part in node.args)
    return node.target is ATEN.sigmoid.default


def recipe():
    """coremltools' configuration: symmetric, int8 weights per channel, 8-bit activations.

    The observers keep the smallest and the largest value of all calibration clips. The default is
    their moving average over single frames, which cuts off what exceeds an average frame: it
    deviated ten times as far from the float model (root mean square of the logits).
    """
    from coremltools.optimize.torch.quantization import LinearQuantizerConfig

    return LinearQuantizerConfig.from_dict(
        {
            "global_config": {
                "quantization_scheme": "symmetric",
                "activation_dtype": torch.quint8,
                "weight_dtype": torch.qint8,
                "weight_per_channel": True,
                "activation_observer": "min_max",
                "weight_observer": "min_max",
            }
        }
    )


def _round_scales(graph: fx.GraphModule) -> None:
    """Round every scale to half precision: a Core ML program in fp16 holds it so."""
    frame = next(node for node in graph.graph.nodes if node.op == "placeholder")
    for node in graph.graph.nodes:
        name = str(node.target)
        if "quantize_per_tensor" in name:
            of_frame = frame in (node.args[0], *node.args[0].args)  # to quantize, or back from it
            step = node.args[1] * (FRAME_STEP if of_frame else 1)
            scale = torch.tensor(step).half().float().item()
            node.update_arg(1, max(scale, SMALLEST_SCALE))
        elif "quantize_per_channel" in name:
            owner, _, leaf = node.args[1].target.rpartition(".")
            scales = getattr(graph.get_submodule(owner), leaf)
            scales.copy_(scales.half().float().clamp_min(SMALLEST_SCALE))
    graph.recompile()


SCHEME = Scheme("coreml", MapQuantizer, _round_scales)
