"""The classifier as a whole: stream against clip form, memory, size, names and configuration."""

import itertools

import pytest
import torch
from helpers import make_model, random_clip
from torch import Tensor, nn

from core.backbones.mobilenet_v2 import InvertedResidual, round_channels
from core.model import BACKBONES, CONFIGS, NETWORKS, ModelConfig, VideoClassifier
from core.temporal import TEMPORAL

# float32 through 50 layers with other batch sizes, relative to the largest logit.
STREAM_TOLERANCE = 1e-4
MEMORY = 30  # frames: ten slots, at most three frames each
KINDS = list(TEMPORAL)
TEMPORAL_KINDS = [kind for kind in KINDS if kind != "none"]

# Millions of parameters for 27, 83 and 174 classes, as counted on the authors' code. Its ACTION
# learns the shift, three taps a channel and slot, which here is fixed.
CLASSES = (27, 83, 174)
TSN_MILLIONS = (2.258, 2.330, 2.447)
ACTION_LEARNED_TAPS_MILLIONS = (2.284, 2.355, 2.472)
LEARNED_TAPS = 2_376
ACTION_FIXED_MILLIONS_27 = 2.281
GMAC_OF_8_FRAMES = {"none": 2.396, "shift": 2.396, "action": 2.404}

# MobileNet V2, Table 2: expansion, channels, repeats, stride.
TABLE_2 = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


def run_stream(model: VideoClassifier, clip: Tensor) -> Tensor:
    """(N, T, 3, H, W) frame by frame -> (N, T, classes)."""
    state = model.initial_state(clip.shape[0])
    logits = []
    for frame in clip.unbind(1):
        out, state = model.step(frame, state)
        logits.append(out)
    return torch.stack(logits, dim=1)


def full_size(temporal: str, classes: int = 27) -> VideoClassifier:
    return VideoClassifier(ModelConfig(temporal=temporal, num_classes=classes)).eval()


def count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_stream_equals_clip_form_frame_by_frame(kind: str) -> None:
    model = make_model(temporal=kind)
    clip = random_clip(2, model.config, frames=7)
    expected = model.frame_logits(clip)
    assert expected.shape == (2, 7, model.config.num_classes)
    worst = (run_stream(model, clip) - expected).abs().max()
    assert worst < STREAM_TOLERANCE * expected.abs().max()
    # Frames must matter for the comparison to mean something.
    assert expected.std(1).min() > 1e-2


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_forward_is_the_mean_of_the_frames(kind: str, causal: bool) -> None:
    model = make_model(temporal=kind, causal=causal)
    clip = random_clip(2, model.config)
    assert torch.equal(model(clip), model.frame_logits(clip).mean(1))


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_memory_is_finite(kind: str) -> None:
    """Other pasts, then equal frames: the same logits to the last bit once the past has left."""
    model = make_model(temporal=kind)
    same = random_clip(1, model.config, frames=MEMORY + 1)
    logits = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        past = random_clip(1, model.config, frames=4)
        logits.append(run_stream(model, torch.cat([past, same], dim=1))[:, 4:])
    one, other = logits
    assert torch.equal(one[:, MEMORY], other[:, MEMORY])
    if kind != "none":
        assert not torch.equal(one[:, 0], other[:, 0])


@pytest.mark.parametrize("kind", TEMPORAL_KINDS)
@torch.no_grad()
def test_bidirectional_model_refuses_to_stream(kind: str) -> None:
    model = make_model(temporal=kind, causal=False)
    frame = random_clip(1, model.config)[:, 0]
    for call in (model.initial_state, model.state_shapes, lambda: model.step(frame, [])):
        with pytest.raises(ValueError, match="bidirectional"):
            call()


@torch.no_grad()
def test_bidirectional_differs_from_causal() -> None:
    causal, both = make_model(causal=True), make_model(causal=False)
    both.load_state_dict(causal.state_dict())  # one state_dict serves both
    clip = random_clip(1, causal.config)
    assert not torch.allclose(causal(clip), both(clip), atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_gets_a_gradient(kind: str) -> None:
    # Seed 4: none of CE's squeezed units, of which a narrow slot has one, starts dead.
    model = make_model(seed=4, temporal=kind).train()
    clip = random_clip(4, model.config)
    nn.functional.cross_entropy(model(clip), torch.arange(4)).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("index", range(3))
def test_parameter_counts(index: int) -> None:
    classes = CLASSES[index]
    for kind in ("none", "shift"):
        millions = count_parameters(full_size(kind, classes)) / 1e6
        assert round(millions, 3) == TSN_MILLIONS[index]
    action = count_parameters(full_size("action", classes))
    assert round((action + LEARNED_TAPS) / 1e6, 3) == ACTION_LEARNED_TAPS_MILLIONS[index]
    if classes == 27:
        assert round(action / 1e6, 3) == ACTION_FIXED_MILLIONS_27


def test_learned_taps_are_three_a_channel_of_each_slot() -> None:
    slots = slots_of(full_size("action"))
    assert 3 * sum(slot.temporal.channels for slot in slots) == LEARNED_TAPS


@pytest.mark.parametrize("kind", list(GMAC_OF_8_FRAMES))
@torch.no_grad()
def test_multiply_adds_of_a_clip(kind: str) -> None:
    model = full_size(kind)
    total = 0

    def count(module: nn.Module, _: tuple, output: Tensor) -> None:
        nonlocal total
        per_output = module.weight[0].numel()  # inputs of one output value
        total += output.numel() * per_output

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    model(torch.zeros(1, 8, 3, 224, 224))
    assert round(total / 1e9, 3) == GMAC_OF_8_FRAMES[kind]


def slots_of(model: VideoClassifier) -> list[InvertedResidual]:
    blocks = [m for m in model.modules() if isinstance(m, InvertedResidual)]
    return [block for block in blocks if block.temporal is not None]


@pytest.mark.parametrize("kind", TEMPORAL_KINDS)
def test_slots_are_ten_with_expansion_and_skip(kind: str) -> None:
    model = make_model(temporal=kind)
    slots = slots_of(model)
    assert len(slots) == 10
    assert all(slot.skip for slot in slots)
    # The repeats of every stage after the first stage: 1 + 2 + 3 + 2 + 2.
    names = [name for name, m in model.named_modules() if name.endswith(".temporal")]
    indices = [int(name.split(".")[2]) for name in names]
    assert indices == [3, 5, 6, 8, 9, 10, 12, 13, 15, 16]


def test_state_of_the_deployed_model() -> None:
    model = full_size("action")
    state = model.initial_state()
    assert len(state) == 40
    assert sum(tensor.numel() for tensor in state) == 38_759
    assert all(tensor.ndim == 4 and not tensor.any() for tensor in state)


def test_state_of_the_shift_is_that_of_tsm_online() -> None:
    shapes = list(full_size("shift").state_shapes().values())
    assert len(shapes) == 10
    assert shapes[0] == (3, 56, 56)
    assert shapes[-1] == (20, 7, 7)


@pytest.mark.parametrize("size", [64, 70, 97])
@torch.no_grad()
def test_state_shapes_of_odd_sizes(size: int) -> None:
    """Halving rounds up, as a stride-2 convolution with padding 1 does."""
    model = make_model(size=size)
    clip = random_clip(1, model.config, frames=3)
    expected = model.frame_logits(clip)
    worst = (run_stream(model, clip) - expected).abs().max()
    assert worst < STREAM_TOLERANCE * expected.abs().max()


def torchvision_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's mobilenet_v2 features, by rule from the paper's table."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv_norm(conv: str, norm: str, out: int, inputs: int, kernel: int) -> None:
        shapes[f"{conv}.weight"] = (out, inputs, kernel, kernel)
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{name}"] = (out,)
        shapes[f"{norm}.num_batches_tracked"] = ()

    conv_norm("features.0.0", "features.0.1", 32, 3, 3)
    channels, index = 32, 1
    for expansion, outputs, repeats, _ in TABLE_2:
        for _ in range(repeats):
            hidden, at = channels * expansion, itertools.count()
            conv = f"features.{index}.conv"
            if expansion != 1:
                i = next(at)
                conv_norm(f"{conv}.{i}.0", f"{conv}.{i}.1", hidden, channels, 1)
            i = next(at)
            conv_norm(f"{conv}.{i}.0", f"{conv}.{i}.1", hidden, 1, 3)
            conv_norm(f"{conv}.{next(at)}", f"{conv}.{next(at)}", outputs, hidden, 1)
            channels, index = outputs, index + 1
    conv_norm("features.18.0", "features.18.1", 1280, channels, 1)
    return shapes


def test_names_and_shapes_are_torchvisions() -> None:
    backbone = full_size("none").backbone
    got = {name: tuple(tensor.shape) for name, tensor in backbone.state_dict().items()}
    assert got == torchvision_shapes()


@pytest.mark.parametrize("kind", TEMPORAL_KINDS)
def test_slots_only_add_names(kind: str) -> None:
    names = set(full_size(kind).backbone.state_dict())
    extra = names - set(torchvision_shapes())
    assert names - extra == set(torchvision_shapes())
    assert all(".temporal." in name for name in extra)


def test_channels_round_to_eight_and_never_far_down() -> None:
    assert [round_channels(c) for c in (1, 8, 12, 16, 24 * 0.25, 32 * 0.35)] == [
        8,
        8,
        16,
        16,
        8,
        16,
    ]
    assert all(round_channels(c) >= 0.9 * c for c in range(1, 400))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"backbone": "resnet9000"}, "resnet9000"),
        ({"temporal": "lstm"}, "lstm"),
        ({"num_classes": 0}, "num_classes"),
        ({"num_classes": "27"}, "num_classes"),
        ({"num_classes": True}, "num_classes"),
        ({"size": 31}, "size"),
        ({"size": 112.5}, "size"),
        ({"frames": 0}, "frames"),
        ({"width": 0.0}, "width"),
        ({"width": float("nan")}, "width"),
        ({"width": "wide"}, "width"),
        ({"frame_rate": -10.0}, "frame_rate"),
        ({"frame_rate": float("inf")}, "frame_rate"),
        ({"mean": (0.5, 0.5)}, "mean"),
        ({"mean": 0.5}, "mean"),
        ({"mean": (0.5, 0.5, float("nan"))}, "mean"),
        ({"std": (0.5, 0.0, 0.5)}, "std"),
        ({"std": (0.5, -0.5, 0.5)}, "std"),
    ],
)
def test_config_refuses_what_no_model_can_be_built_from(settings: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        ModelConfig(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_name_builds_its_model_with_what_is_set_beside_it(name: str) -> None:
    config = ModelConfig.from_name(name, causal=False, num_classes=5)
    assert (config.name, config.causal, config.num_classes) == (name, False, 5)
    assert {key: getattr(config, key) for key in CONFIGS[name]} == CONFIGS[name]


def test_names_are_of_every_backbone_and_temporal_module() -> None:
    assert len(CONFIGS) == len(BACKBONES) * len(TEMPORAL)
    assert list(NETWORKS) == list(TEMPORAL)
    with pytest.raises(ValueError, match=r"'tsm_alexnet' is unknown: .* tsm_resnet50"):
        ModelConfig.from_name("tsm_alexnet")


def test_config_round_trip_and_unknown_settings() -> None:
    config = ModelConfig(temporal="shift", mean=[0.1, 0.2, 0.3], size=112)  # JSON gives lists
    assert ModelConfig.from_dict(config.to_dict()) == config
    assert hash(config) == hash(ModelConfig.from_dict(config.to_dict()))
    with pytest.raises(ValueError, match="dropout"):
        ModelConfig.from_dict({"dropout": 0.5})
