"""The golden clip of a new artifact: what a device has to reproduce, and how closely.

An artifact that is far from the graph that it was lowered from is noticed here, before any clip.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from core.data.transforms import normalise
from mobile_export.bundle.golden import write_golden
from mobile_export.bundle.reader import Bundle
from mobile_export.runtime import Runner
from mobile_export.runtime.inference import relative_deviation, run_form
from mobile_export.verify.check import PARITY

GOLDEN_FRAMES = 8  # of a stream; a clip-form artifact needs its whole clip
# What a device may deviate from the golden logits, relative to the largest of them. fp32: rounding
# and another order of sums. fp16: ten bits of mantissa over some 50 layers; packages computed with
# every result rounded to fp16 deviated by 1.4e-2 from fp32; w8a16 computes as fp16 does. int8:
# single values that fall on the other side of a rounding step; 5 % of the logits' range between two
# builds of one graph.
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "w8a16": 2e-2, "int8": 5e-2}
# Over the deviation measured on the golden clip, where that is larger: repeated draws of a
# quantized graph's answer to rounding noise differed by a factor of two to three.
MARGIN = 3.0
ROUNDING = 1e-6  # relative noise on the golden inputs, as another order of sums would make
LOOSEST = 0.5  # beyond this a golden clip could not tell a right artifact from a wrong one
# What an executed artifact may deviate on the golden clip from the graph that it was lowered from,
# relative to the graph's largest logit: several times what right ones do (fp16 1e-2, trained int8
# at most 6e-2), and less than with a scale that is wrong by two. With random weights int8 sums in
# half precision deviated by 0.34, and others by as much as the graph answers rounding: MARGIN times
# that is let pass where it is more, but never as much as logits of zero, which deviate by 1.
APART = {"fp32": PARITY["fp32"], "fp16": 0.1, "w8a16": 0.1, "int8": LOOSEST}
APART_AT_MOST = 0.75


class _Converted:
    """The graph before the delegate took it, as a runner: the artifact's parity partner."""

    name, interpreted, batch = "converted graph", False, 1

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        return list(self.module(*inputs))


def golden_of(
    bundle: Bundle, runner: Runner, converted: nn.Module, pixels: Tensor
) -> tuple[dict, list[str]]:
    """Write the golden clip of ``bundle``, derive its tolerance and say what the gate minds.

    ``pixels`` (T, 3, S, S) is the clip, of which a stream takes the middle. A deviation that is not
    finite is None.
    """
    config, manifest = bundle.config, bundle.manifest
    if manifest["form"] == "stream":
        first = max(0, (len(pixels) - GOLDEN_FRAMES) // 2)  # the gesture is in the middle
        pixels = pixels[first : first + GOLDEN_FRAMES]
    inputs = normalise(pixels, config.mean, config.std)
    graph, form = _Converted(converted), manifest["form"]
    noise = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits, same, disturbed = (
            run_form(r, form, x[None], bundle.state_shapes, config)[0]
            for r, x in (
                (runner, inputs),
                (graph, inputs),
                (graph, inputs * (1 + ROUNDING * noise)),
            )
        )
    # A quantized graph answers rounding with whole steps. Its answer to noise stands for a device
    # whose arithmetic is not at hand.
    apart, noisy = relative_deviation(logits, same), relative_deviation(disturbed, same)
    deviation = max(relative_deviation(same, logits), noisy)
    if not math.isfinite(apart + noisy):  # ``max`` may drop a NaN
        deviation = math.inf
    precision = manifest["precision"]
    bound = min(APART_AT_MOST, max(APART[precision], MARGIN * noisy))
    failures = []
    if not apart <= bound:  # true of NaN as well
        failures.append(
            f"on the golden clip it deviates by {apart:.1e} from the graph that it was lowered "
            f"from, more than {bound:.1e}"
        )
    tolerance = TOLERANCE[precision]
    if precision != "fp32" and math.isfinite(deviation):
        tolerance = min(LOOSEST, max(tolerance, MARGIN * deviation))
    in_order = inputs.permute(bundle.inputs[0].dim_order)
    arrays = {"inputs": in_order, "pixels": pixels, "logits": logits}
    files = write_golden(bundle.path, {k: np.asarray(v) for k, v in arrays.items()})
    golden = {
        "frames": len(pixels),
        "computed_by": runner.name,
        "tolerance": tolerance,
        "measured_deviation": deviation if math.isfinite(deviation) else None,
        "files": files,
    }
    return golden, failures
