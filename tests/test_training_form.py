"""What a module computes while it trains is what its plain form computes, gradients included."""

import copy

import pytest
import torch
from helpers import make_model
from torch import Tensor, nn

from core import training_form
from core.temporal import TEMPORAL

CHANNELS, CLIPS, SIDE = 32, 2, 5
TOLERANCE = 1e-10  # float64
KINDS = [("shift", False), ("shift", True), ("action", False), ("action", True), ("ste", True)]


def module_of(kind: str, causal: bool, learned: bool) -> nn.Module:
    torch.manual_seed(0)
    module = TEMPORAL[kind](CHANNELS, causal, learned).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module.train()


def trained(module: nn.Module, x: Tensor, frames: int) -> tuple[Tensor, list[Tensor]]:
    """Output, and gradients of a random weighting of it by input and parameters."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = module(x, frames)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    (y * weights).sum().backward()
    return y, [x.grad, *(p.grad for p in module.parameters())]


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("frames", [1, 2, 4])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("kind", "learned"), KINDS)
def test_values_and_gradients_are_those_of_the_plain_form(
    kind: str, learned: bool, causal: bool, frames: int, layout: torch.memory_format,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    module = module_of(kind, causal, learned)
    plain = copy.deepcopy(module)
    x = torch.randn(frames * CLIPS, CHANNELS, SIDE, SIDE, dtype=torch.float64)
    x = x.contiguous(memory_format=layout)
    y, gradients = trained(module, x, frames)
    assert y.is_contiguous(memory_format=layout)  # a change of format costs more than the module
    monkeypatch.setattr(training_form, "applies", lambda *_: False)
    expected, wanted = trained(plain, x, frames)
    assert (y - expected).abs().max() < TOLERANCE
    for got, want in zip(gradients, wanted, strict=True):
        assert (got - want).abs().max() < TOLERANCE * max(1.0, float(want.abs().max()))
    for name, buffer in module.named_buffers():  # statistics of batch norm
        assert torch.allclose(buffer, plain.get_buffer(name), atol=TOLERANCE), name


@pytest.mark.parametrize("learned", [False, True])
def test_it_runs_in_training_alone(learned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    for name in ("shifted", "filtered", "gated"):
        real = getattr(training_form, name)
        monkeypatch.setattr(training_form, name, lambda *a, r=real, n=name: used.append(n) or r(*a))
    module = module_of("action", False, learned)
    x = torch.randn(4, CHANNELS, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    module(x, 2)
    assert used == ["filtered" if learned else "shifted", "gated"]
    used.clear()
    with torch.no_grad():
        module(x, 2)
    module.eval()(x, 2)
    torch.export.export(module.train(), (x, 2))
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    compiled(x, 2).sum().backward()
    assert x.grad is not None
    assert used == []


@pytest.mark.parametrize("shift", ["fixed", "learned"])
def test_a_whole_model_trains_in_bfloat16(shift: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its gradients lie as near to those in float32 as the plain form's."""
    model = make_model(shift=shift, causal=False).train()
    clip = torch.randn(2, 4, 3, 64, 64)

    def gradients(precise: bool) -> Tensor:
        twin = copy.deepcopy(model)
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            loss = twin(clip).float().logsumexp(-1).sum()
        loss.backward()
        assert all(p.grad is not None and p.grad.dtype == p.dtype for p in twin.parameters())
        return torch.cat([p.grad.flatten() for p in twin.parameters()])

    ours = gradients(precise=False)
    monkeypatch.setattr(training_form, "applies", lambda *_: False)
    exact, plain = gradients(precise=True), gradients(precise=False)
    assert (ours - exact).norm() < 1.3 * (plain - exact).norm()
