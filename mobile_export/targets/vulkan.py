"""Vulkan through ExecuTorch: the stream form on an Android GPU, in fp32, fp16 and int8.

No runtime for it exists off a device: ``runtime.vulkan`` computes the program as we read it. What
the delegate's shaders are known to miscompute is refused by the graph's structure besides
(``check_structure``).

int8 is the static PT2E graph of XNNPACK: the partitioner fuses convolution, clamp and rounding into
its int8 convolutions. fp16 halves what is stored and computed inside the delegate; inputs and
outputs stay in fp32.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.fx import Graph, Node

from core.model import VideoClassifier
from mobile_export.graph import forms
from mobile_export.quantization.executorch import VULKAN
from mobile_export.quantization.pt2e import Learned, quantize
from mobile_export.targets import Lowered, LoweringError, xnnpack
from mobile_export.targets.delegation import lower_whole
from mobile_export.targets.quick import quick_provenance

PRECISIONS = ("int8", "fp16", "fp32")
RECIPES = {
    "int8": xnnpack.RECIPE,
    "fp16": "none: the delegate holds and computes everything in fp16",
    "fp32": "none: weights and activations in fp32",
}
EXECUTED = "by a reference interpreter of the graph, never on a GPU"
PACKED = 4  # channels of a texel: a grouped convolution is right only in whole texels

ATEN = torch.ops.aten


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
    Raises ``LoweringError`` for another form or precision, for a graph that Vulkan does not take
    whole, and for one that it takes and miscomputes (``allow_partial`` does not let that pass).
    """
    if form != "stream":
        raise LoweringError(
            f"form {form} is not offered for vulkan, which convolves at batch 1 alone: use stream"
        )
    if precision not in PRECISIONS:
        raise LoweringError(
            f"precision {precision} is not offered for vulkan: choose {', '.join(PRECISIONS)}"
        )
    model, head = forms.apart(forms.deployed(model, "vulkan"))
    with quick_provenance():
        if precision == "int8":
            converted = quantize(model, form, VULKAN, calibration, learned)
        else:
            converted = forms.exported(model, form, "vulkan")
        graph = forms.headed(converted, head)
        program = torch.export.export(graph, forms.example_inputs(model, form, "vulkan"))
    check_structure(program.graph)
    options = {"force_fp16": True} if precision == "fp16" else {}
    artifact, details = lower_whole(program, partitioner(options), out, allow_partial)
    details = {"backend": "Vulkan", "recipe": RECIPES[precision], "executed": EXECUTED, **details}
    return Lowered(artifact, graph, details)


def partitioner(options: dict[str, bool]) -> object:
    """Vulkan's, with the logging as it was before its import."""
    level = logging.getLogger().level
    from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

    # Its import sets the root logger to INFO, and the partitioner then lists every operator.
    logging.getLogger().setLevel(level)
    return VulkanPartitioner(options)


def check_structure(exported: Graph) -> None:
    """Refuse what the delegate takes without an error and then miscomputes or aborts on.

    ``exported`` is the graph of an ``ExportedProgram`` before lowering. Raises ``LoweringError``
    naming the first such operator.
    """
    for node in exported.nodes:
        reason = _miscomputed(node)
        if reason:
            raise LoweringError(f"{node.target} ({node.name}): Vulkan {reason}")


def _miscomputed(node: Node) -> str | None:
    if node.target in (ATEN.conv2d.default, ATEN.conv2d.padding, ATEN.convolution.default):
        return _grouping(node)
    if node.target is ATEN.avg_pool2d.default and not _argument(node, 2, "stride"):
        return "aborts on average pooling without an explicit stride: pass stride"
    if node.target in (ATEN.mean.dim, ATEN.mean.default):
        rank = node.args[0].meta["val"].ndim
        axes = _argument(node, 1, "dim") if node.target is ATEN.mean.dim else None
        if not axes or 0 in (axis % rank for axis in axes):
            return "aborts on a mean over the batch axis: sum the rows one by one"
    if "batch_norm" in str(node.target) and node.args[0].meta["val"].ndim < 4:
        return "aborts on a batch norm of vectors: fold it into the layer before it"
    return None


def _grouping(conv: Node) -> str | None:
    groups = _argument(conv, 8 if conv.target is ATEN.convolution.default else 6, "groups") or 1
    outputs, inputs, *kernel = conv.args[1].meta["val"].shape  # inputs of one group
    outputs //= groups
    if groups == 1:
        return None  # of one channel too: a plain convolution
    if inputs == 1:
        return None if outputs == 1 else "miscomputes depthwise with a multiplier: repeat the input"
    if inputs % PACKED == 0 and outputs % PACKED == 0 and kernel == [3, 3]:
        return None
    return (
        f"miscomputes {groups} groups of {inputs} to {outputs} channels, kernel {kernel[0]}x"
        f"{kernel[1]}: use one convolution a group, or 3x3 with multiples of {PACKED}"
    )


def _argument(node: Node, position: int, name: str) -> object:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name)
