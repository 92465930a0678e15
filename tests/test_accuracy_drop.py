"""What int8 costs the bundled model on rendered clips, and that a broken recipe does not pass.

Hard clips, where the checkpoint is right about seven times in ten: on easier ones nothing that
rounding does would show.
"""

import functools

import pytest
import torch
from torch.fx import GraphModule

from core.checkpoint import Checkpoint, bundled_path, load
from core.data.transforms import normalise
from mobile_export import graph, learned, quantize, verify
from mobile_export.accuracy import Comparison, compare, eager_logits
from mobile_export.feed import run_form
from mobile_export.targets import coreml_int8, xnnpack

CLIPS = 216  # eight a class
CALIBRATION = 16
# Per cent of equal answers. What is bundled gave 98.5 or more on 10,000 clips; of 216 clips as many
# as 2.5 points fewer may agree by chance (two standard deviations).
AGREEMENT = 96.0
DROP = 1.5  # points lost: seldom more than half of the clips with another answer were right before


@functools.cache
def material() -> tuple[Checkpoint, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The bundled checkpoint, its logits on clips, the clips and their labels."""
    checkpoint = load(bundled_path())
    config = checkpoint.config
    data = verify.held_out(None, config, checkpoint.labels, CLIPS, "hard")
    pixels, truth = zip(*(data[i] for i in range(CLIPS)), strict=True)
    clips = normalise(torch.stack(pixels), config.mean, config.std)
    expected = torch.cat([eager_logits(checkpoint.model, "stream", c) for c in clips.split(8)])
    return checkpoint, expected, clips, torch.tensor(truth)


class _Graph:
    """A converted graph as a runner of one stream."""

    name, proxy, batch = "converted graph", True, 1

    def __init__(self, module: GraphModule) -> None:
        self.module = module

    def __call__(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        return list(self.module(*inputs))


def measured(scheme: quantize.Scheme, change=None) -> Comparison:
    """Checkpoint against the graph that the exporter lowers; ``change`` breaks what was learned."""
    checkpoint, expected, clips, truth = material()
    model = graph.deployed(checkpoint.model, scheme.target)
    path = learned.bundled(checkpoint.sha256, learned.FAMILY[scheme.target])
    assert path, "nothing was learned for the bundled checkpoint"
    state = learned.load(path, quantize.prepare(model, "stream", scheme))
    if change:
        change(state)
    converted = quantize.quantize(model, "stream", scheme, [], state)
    shapes = [(1, *shape) for shape in model.state_shapes().values()]
    with torch.inference_mode():
        got = run_form(_Graph(converted), "stream", clips, shapes, checkpoint.config)
    return compare(expected, got, truth)


def passes(found: Comparison) -> bool:
    return found.agreement >= AGREEMENT and found.drop <= DROP


@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param(xnnpack.SCHEME, id="executorch"),
        pytest.param(coreml_int8.SCHEME, id="coreml", marks=pytest.mark.slow),
    ],
)
def test_the_bundled_recipe_keeps_the_answers(scheme):
    found = measured(scheme)
    assert passes(found), found


def coarse_weights(state: dict[str, torch.Tensor]) -> None:
    """Four bits in place of eight, in every convolution."""
    for key, value in state.items():
        if key.startswith("model.backbone") and value.dim() == 4:
            most = value.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
            value.copy_((value / most * 7).round() / 7 * most)


def narrow_ranges(state: dict[str, torch.Tensor]) -> None:
    """Observers that saw half of what there is."""
    for key, value in state.items():
        if key.endswith(("min_val", "max_val")) and value.dim() == 0:
            value.mul_(0.5)


@pytest.mark.parametrize("change", [coarse_weights, narrow_ranges])
def test_a_broken_recipe_fails(change):
    found = measured(xnnpack.SCHEME, change)
    assert not passes(found), found
