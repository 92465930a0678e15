"""XNNPACK through ExecuTorch: stream and clip form, fp32 and int8, on every phone's CPU."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from core.model import VideoClassifier
from mobile_export.graph import forms
from mobile_export.quantization.executorch import XNNPACK
from mobile_export.quantization.pt2e import Learned, quantize
from mobile_export.targets import Lowered, LoweringError
from mobile_export.targets.delegation import lower_whole
from mobile_export.targets.quick import quick_provenance
from mobile_export.targets.xnnpack_order import arrange

PRECISIONS = ("int8", "fp32")
RECIPE = (
    "PT2E: weights int8 symmetric per channel, activations int8 affine per tensor, min-max over "
    "clips; vectors, sum and product of the gates, classifier, input and outputs in fp32"
)


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
    model, head = forms.apart(forms.deployed(model, "xnnpack"))
    recipe = "none: weights and activations in fp32"
    with quick_provenance():
        if precision == "int8":
            converted = quantize(model, form, XNNPACK, calibration, learned)
            recipe = RECIPE
        else:
            converted = forms.exported(model, form, "xnnpack")
        arrange(converted, forms.input_ports(model, form, "xnnpack")[1:])
        graph = forms.headed(converted, head)
        program = torch.export.export(graph, forms.example_inputs(model, form, "xnnpack"))
    artifact, details = lower_whole(program, XnnpackPartitioner(), out, allow_partial)
    return Lowered(artifact, graph, {"backend": "XNNPACK", "recipe": recipe, **details})
