"""The deployed forms of ACTION against the one that is trained."""

import pytest
import torch
from helpers import make_model
from naive import excite
from test_temporal import gap, make_clip, make_module, run_clip, run_stream

from core.model import BACKBONES, ModelConfig, VideoClassifier
from core.temporal import Action, TemporalModule
from mobile_export.graph.fold import folded
from mobile_export.graph.fused import FusedAction, WideAction, banded, coverage, fused
from mobile_export.graph.squeezed import SqueezedAction, squeezed

# Both sides in float64: what remains is the order of summation.
TOLERANCE = 1e-12
# float32 through all layers of a small model, relative to the largest logit, where folding batch
# norm alone gave 1.2e-5.
FLOAT32_TOLERANCE = 3e-5
# Columns as channels, and zeros where CE and ME share layers: 1.03 to 1.045 of all weights.
MOST_GROWTH = 1.06
SIZES = [(5, 7), (1, 1), (8, 8), (1, 6), (7, 1)]


KINDS = [FusedAction, WideAction, SqueezedAction]
WAYS = {fused: FusedAction, squeezed: SqueezedAction}


def make_fused(
    kind: type[TemporalModule], channels: int, causal: bool, size: tuple[int, int]
) -> tuple[Action, TemporalModule]:
    """A float64 ``Action`` and its deployed form, which differ in batch norm alone at first."""
    action = make_module("action", channels, causal)
    plain = make_module("action", channels, causal)
    me = plain.me
    scale = me.norm.weight / (me.norm.running_var + me.norm.eps).sqrt()
    squeeze = torch.nn.Conv2d(channels, me.squeezed, 1).double()
    with torch.no_grad():
        squeeze.weight.copy_(me.squeeze.weight * scale.view(-1, 1, 1, 1))
        squeeze.bias.copy_(me.norm.bias - me.norm.running_mean * scale)
    me.squeeze, me.norm = squeeze, torch.nn.Identity()
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return action, kind(plain, *size)
    finally:
        torch.set_default_dtype(default)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("batch", "frames", "channels"), [(1, 1, 24), (2, 3, 7), (3, 6, 64)])
@torch.no_grad()
def test_clip_form_is_the_papers_formula(kind, causal, size, batch, frames, channels) -> None:
    action, deployed = make_fused(kind, channels, causal, size)
    x = make_clip(batch, frames, channels, size)
    expected = excite("action", x, action.state_dict(), causal)
    assert gap(run_clip(deployed, x), expected) < TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@torch.no_grad()
def test_stream_form_equals_clip_form(kind, size) -> None:
    _, deployed = make_fused(kind, 48, True, size)
    x = make_clip(2, 6, 48, size)
    assert gap(run_stream(deployed, x), run_clip(deployed, x)) < TOLERANCE


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_coverage_weighs_pixels_as_the_convolution_does(size) -> None:
    torch.manual_seed(0)
    kernel, z = torch.randn(3, 1, 3, 3).double(), torch.randn(2, 3, *size).double()
    expected = torch.nn.functional.conv2d(z, kernel, padding=1, groups=3).sum((2, 3))
    assert gap((z * coverage(kernel, *size)).sum((2, 3)), expected) < TOLERANCE


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_banded_columns_convolve_as_the_kernel_does_maps(size) -> None:
    torch.manual_seed(0)
    kernel, maps = torch.randn(1, 3, 3, 3).double(), torch.randn(2, 3, *size).double()
    expected = torch.nn.functional.conv2d(maps, kernel, padding=1)
    rows = maps.permute(0, 3, 1, 2)  # (2, W, 3, H)
    got = torch.nn.functional.conv2d(rows, banded(kernel, size[1]), padding=(0, 1))
    assert gap(got.permute(0, 2, 3, 1), expected) < TOLERANCE


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("way", WAYS, ids=["fused", "squeezed"])
@torch.no_grad()
def test_a_whole_model_answers_as_before(causal, way) -> None:
    model = make_model(causal=causal)
    deployed = way(folded(model))
    assert any(isinstance(m, WAYS[way]) for m in deployed.modules())
    assert not any(isinstance(m, Action) for m in deployed.modules())
    clip = torch.randn(2, 6, 3, 64, 64)
    expected = model.frame_logits(clip)
    assert gap(deployed.frame_logits(clip), expected) < FLOAT32_TOLERANCE * expected.abs().max()


@pytest.mark.parametrize("way", WAYS, ids=["fused", "squeezed"])
@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_a_deployed_model_has_hardly_more_weights_than_the_trained(backbone, way) -> None:
    model = folded(VideoClassifier(ModelConfig(backbone=backbone, temporal="action", size=224)))
    before = sum(p.numel() for p in model.parameters())
    assert sum(p.numel() for p in way(model).parameters()) < MOST_GROWTH * before
