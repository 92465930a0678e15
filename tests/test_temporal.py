"""The temporal modules against the papers' formulas, and the stream form against the clip form."""

import naive
import pytest
import torch
from torch import Tensor

from core.temporal import TEMPORAL, TemporalModule, delay, realigned

# Both sides in float64: what remains is the order of summation.
CLIP_TOLERANCE = 1e-12
# The step form pools and convolves the same float64 numbers in other batch sizes.
STEP_TOLERANCE = 1e-12
# The same in float32, as it runs; outputs are of order 10.
FLOAT32_TOLERANCE = 2e-5
# Gradients sum over all frames and pixels, values up to about 1e3.
GRADIENT_TOLERANCE = 1e-9

KINDS = list(TEMPORAL)
GATED = [kind for kind in KINDS if kind not in ("none", "shift")]
SIZES = [(5, 7), (1, 1), (8, 8), (1, 6)]


def make_module(kind: str, channels: int, causal: bool, seed: int = 0) -> TemporalModule:
    """A float64 module with random weights and random batch-norm statistics."""
    torch.manual_seed(seed)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # constants such as 1/C are float64 from the start
    try:
        module = TEMPORAL[kind](channels, causal)
    finally:
        torch.set_default_dtype(default)
    for norm in (m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.2, 3.0)
    return module.eval()


def make_clip(
    batch: int, frames: int, channels: int, size: tuple[int, int], seed: int = 1
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, frames, channels, *size)
    # An offset, so that a zero frame is far from a usual one.
    return torch.randn(shape, generator=generator, dtype=torch.float64) + 0.5


def run_clip(module: TemporalModule, x: Tensor) -> Tensor:
    """(N, T, C, H, W) through the time-major clip form."""
    n, t = x.shape[:2]
    folded = x.transpose(0, 1).reshape(t * n, *x.shape[2:])
    return module(folded, t).reshape(t, n, *x.shape[2:]).transpose(0, 1)


def run_stream(module: TemporalModule, x: Tensor) -> Tensor:
    """(N, T, C, H, W) frame by frame from a state of zeros."""
    shapes = module.state_shapes(*x.shape[3:]).values()
    state = [torch.zeros(x.shape[0], *shape, dtype=x.dtype) for shape in shapes]
    outputs = []
    for frame in x.unbind(1):
        y, new = module.step(frame, state)
        assert [s.shape for s in new] == [s.shape for s in state]
        outputs.append(y)
        state = new
    return torch.stack(outputs, dim=1)


def reference(module: TemporalModule, kind: str, x: Tensor, train: bool = False) -> Tensor:
    weights = module.state_dict(keep_vars=True)
    return naive.excite(kind, x, weights, module.causal, train)


def gap(a: Tensor, b: Tensor) -> float:
    return (a - b).abs().max().item()


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("batch", "frames", "channels"),
    [(1, 1, 24), (1, 2, 32), (2, 3, 24), (3, 8, 32), (2, 5, 7), (2, 4, 64)],
)
@torch.no_grad()
def test_clip_form_is_the_papers_formula(
    kind: str, causal: bool, size: tuple[int, int], batch: int, frames: int, channels: int
) -> None:
    module = make_module(kind, channels, causal)
    x = make_clip(batch, frames, channels, size)
    assert gap(run_clip(module, x), reference(module, kind, x)) < CLIP_TOLERANCE


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("kind", ["me", "action"])
@torch.no_grad()
def test_batch_norm_in_training_mode(kind: str, causal: bool) -> None:
    module = make_module(kind, 32, causal).train()
    x = make_clip(2, 4, 32, (5, 7))
    expected = reference(module, kind, x, train=True)
    assert gap(run_clip(module, x), expected) < CLIP_TOLERANCE
    # The statistics of the batch are not those of the running average: the test can fail.
    assert gap(reference(module, kind, x), expected) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("batch", "frames", "channels", "size"),
    [
        (1, 1, 24, (5, 7)),
        (1, 2, 32, (1, 1)),
        (3, 7, 24, (5, 7)),
        (2, 4, 7, (3, 2)),
        (2, 4, 64, (4, 4)),
    ],
)
@torch.no_grad()
def test_stream_form_equals_clip_form(
    kind: str, batch: int, frames: int, channels: int, size: tuple[int, int]
) -> None:
    module = make_module(kind, channels, causal=True)
    x = make_clip(batch, frames, channels, size)
    assert gap(run_stream(module, x), run_clip(module, x)) < STEP_TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_float32_as_deployed(kind: str) -> None:
    module = make_module(kind, 32, causal=True)
    x = make_clip(2, 6, 32, (7, 7))
    expected = reference(module, kind, x)
    module, x = module.float(), x.float()
    assert gap(run_clip(module, x), expected) < FLOAT32_TOLERANCE
    assert gap(run_stream(module, x), expected) < FLOAT32_TOLERANCE


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("kind", GATED)
def test_gradients_reach_every_parameter_and_are_the_formulas(kind: str, causal: bool) -> None:
    module = make_module(kind, 48, causal, seed=3).train()
    x = make_clip(8, 5, 48, (5, 6))
    x += torch.randn(8, 5, 48, 1, 1, dtype=x.dtype)  # both signs before CE's ReLU: no dead unit
    weigh = torch.randn(x.shape, dtype=x.dtype)
    parameters = dict(module.named_parameters())
    got = torch.autograd.grad((run_clip(module, x) * weigh).sum(), list(parameters.values()))
    loss = (reference(module, kind, x, train=True) * weigh).sum()
    expected = torch.autograd.grad(loss, list(parameters.values()))
    for name, ours, theirs in zip(parameters, got, expected, strict=True):
        assert ours.abs().min() > 0, f"{name} has entries without a gradient"
        assert gap(ours, theirs) < GRADIENT_TOLERANCE, name


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "none"])
@torch.no_grad()
def test_causal_output_ignores_the_future(kind: str) -> None:
    module = make_module(kind, 32, causal=True)
    x = make_clip(1, 5, 32, (5, 5))
    changed = x.clone()
    changed[:, 3:] += 1
    before, after = run_clip(module, x), run_clip(module, changed)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3:], after[:, 3:])


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@torch.no_grad()
def test_clips_of_a_batch_do_not_mix(causal: bool) -> None:
    module = make_module("action", 32, causal)
    x = make_clip(3, 4, 32, (5, 5))
    together = run_clip(module, x)
    alone = torch.cat([run_clip(module, clip[None]) for clip in x])
    assert gap(together, alone) < CLIP_TOLERANCE


@pytest.mark.parametrize("kind", ["ste", "ce", "action"])
@pytest.mark.parametrize("causal", [True, False], ids=["to causal", "to bidirectional"])
@torch.no_grad()
def test_realigned_taps_keep_their_frames(kind: str, causal: bool) -> None:
    """Where the tap that the other form lacks is zero, the gates are the same."""
    old, new = make_module(kind, 32, not causal), make_module(kind, 32, causal, seed=1)
    s = make_clip(1, 5, 32, (5, 5))[0]
    for path in [old.ste, old.ce] if kind == "action" else [old]:
        lost = path.conv.weight.chunk(3, dim=1)[2 if causal else 0]
        lost.zero_()
    new.load_state_dict(realigned(new, old.state_dict()))
    for name in ("ste", "ce") if kind == "action" else ("",):
        gates = [m.get_submodule(name).gate(s, 5) for m in (old, new)]
        assert gap(*gates) < CLIP_TOLERANCE


@torch.no_grad()
def test_realigning_leaves_other_tensors_alone() -> None:
    for kind in ("me", "shift", "none"):
        weights = make_module(kind, 32, causal=False).state_dict()
        for other in KINDS:
            same = realigned(make_module(other, 32, causal=True), weights)
            assert all(torch.equal(same[name], value) for name, value in weights.items())


@pytest.mark.parametrize("by", [-9, -3, -1, 0, 1, 2, 3, 9])
def test_delay_moves_frames_and_fills_with_zeros(by: int) -> None:
    frames, batch = 3, 2
    x = torch.arange(1.0, 1 + frames * batch).reshape(frames * batch, 1, 1, 1)
    expected = torch.zeros(frames, batch)
    for t in range(frames):
        if 0 <= t - by < frames:
            expected[t] = x.reshape(frames, batch)[t - by]
    assert torch.equal(delay(x, frames, by).reshape(frames, batch), expected)


def test_state_names_and_shapes_of_action() -> None:
    shapes = TEMPORAL["action"](32, True).state_shapes(5, 7)
    assert shapes == {"shift": (4, 5, 7), "ste": (2, 5, 7), "ce": (4, 1, 1), "me": (2, 1, 1)}
