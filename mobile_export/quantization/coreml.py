"""W8A8 quantization of a streaming graph for Core ML."""

import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.quantizer import CoreMLQuantizer
from executorch.backends.apple.coreml.quantizer import _coreml_quantizer as annotators
from executorch.backends.apple.coreml.quantizer import _coreml_quantizer_utils as patterns
from torch import fx
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from mobile_export.quantization.pt2e import Scheme

# Whole pixels (p - 127.5) / 127.5 over the step 1/127.5 are all ties, which half-precision noise
# would decide. A frame's step that is this much smaller, 1/128 here, rounds them all outwards.
FRAME_STEP = 1 - 2.0**-8

SMALLEST_SCALE = 2.0**-24  # the smallest positive half: a rounded scale must not become zero

# What stands in the graphs: a convolution and its activation, then what the registry's own
# annotators take. In this order, which is CoreMLQuantizer's: longer patterns first.
ACTIVATIONS = ((F.relu, False), (F.hardtanh, True), (F.sigmoid, False))  # hardtanh: ReLU6
ANNOTATORS = ("conv", "linear", "add", "mul", "adaptive_avg_pool2d", "flatten")


class StreamQuantizer(CoreMLQuantizer):
    """ExecuTorch's CoreMLQuantizer, restricted to the patterns that this project's graphs hold.

    The original exports each of 405 patterns of convolutions, activations and operators that could
    occur before it looks for them: minutes. The annotations are equal (tested), but for two things.
    A consumer takes its input as its producer quantized it. The original, which may meet the
    consumer first, quantizes a ReLU6 twice: to 255 levels, then to 127 of twice the step, every odd
    level being a tie that rounding noise decides.
    The logits are not quantized: nothing follows that would be faster for it, and a step of eight
    bits over their whole range can decide between the best two.
    """

    def _annotate_all_patterns(self, model, quantization_config, filter_fn=None) -> None:
        config = annotators._AnnotationConfig.from_quantization_config(quantization_config)
        for activation, in_place in ACTIVATIONS:
            pattern = patterns.get_conv_pattern(2, activation, in_place)
            patterns.annotate_weighted_mod_pattern(model, pattern, config, filter_fn)
        registry = annotators._AnnotationPatternRegistry.get_annotators()
        for name in ANNOTATORS:
            registry[name](model, config, filter_fn)

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        """Annotate, let consumers share their producers' quantization, leave logits as they are."""
        super().annotate(model)
        for node in model.graph.nodes:
            annotation = node.meta.get(Q_ANNOTATION_KEY)
            if annotation and node.target is torch.ops.aten.linear.default:
                annotation.output_qspec = None
            for producer in annotation.input_qspec_map if annotation else ():
                made = producer.meta.get(Q_ANNOTATION_KEY)
                if made is not None and made.output_qspec is not None:
                    annotation.input_qspec_map[producer] = made.output_qspec
        return model


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


SCHEME = Scheme("coreml", lambda: StreamQuantizer(recipe()), _round_scales)
