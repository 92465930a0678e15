"""How little time a model could take: its arithmetic and traffic, and what the machine can do.

The bound of ``peers.py`` is the larger of two times: multiply-adds at the rate that XNNPACK reaches
on large matrix products, and bytes at the rate of a copy in memory. Both rates are medians of
probes between the contenders, taken under the same load.
"""

from pathlib import Path

import peers_models
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from core.model import VideoClassifier
from mobile_export.graph import forms
from mobile_export.targets.delegation import lower_whole

# Enough arithmetic a value that neither memory nor the ends, where int8 meets floats, count.
CHANNELS, PIXELS, LAYERS = 512, 28, 8
BYTES = {"fp32": 4, "int8": 1}


def count(model: VideoClassifier, form: str, precision: str) -> dict[str, int]:
    """``macs``, the multiply-adds of convolutions and linear layers in one call, and
    ``moved_bytes``: its weights, its input and every result of those layers once, and the state,
    in floats, in and out.
    """
    found = {"macs": 0, "weights": 0, "maps": 0}

    def add(module: nn.Module, _: object, output: Tensor) -> None:
        found["macs"] += output.numel() * module.weight[0].numel()  # one weight row an output value
        found["weights"] += module.weight.numel()
        found["maps"] += output.numel()

    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    inputs = peers_models.inputs_of(model, form)
    try:
        with torch.inference_mode():
            forms.graph_of(model, form)(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    state = sum(x.numel() for x in inputs[1:])
    values = found["weights"] + found["maps"] + inputs[0].numel()
    return {"macs": found["macs"], "moved_bytes": values * BYTES[precision] + 2 * 4 * state}


def lower_products(precision: str, out: Path) -> dict:
    """Write ``out/model.pte``, 1x1 convolutions one after another, and count its ``macs``."""
    torch.manual_seed(0)
    inputs = (torch.randn(1, CHANNELS, PIXELS, PIXELS),)
    module: nn.Module = nn.Sequential(*(nn.Conv2d(CHANNELS, CHANNELS, 1) for _ in range(LAYERS)))
    module.eval()
    if precision == "int8":
        quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(True))
        prepared = prepare_pt2e(torch.export.export(module, inputs).module(), quantizer)
        prepared(*inputs)
        module = convert_pt2e(prepared)
    path, _ = lower_whole(torch.export.export(module, inputs), XnnpackPartitioner(), out, False)
    return {"file": path.name, "macs": LAYERS * CHANNELS**2 * PIXELS**2}
