"""What holds for every backbone: both forms, the formulas in every slot, names, refusals."""

import pytest
import torch
import torch.nn.functional as F
from helpers import make_model, random_clip
from naive_model import with_formulas
from test_model import STREAM_TOLERANCE, run_stream
from torch import Tensor, nn

from core.backbones.bn_inception import AveragePool, HalvingPool
from core.model import BACKBONES, ModelConfig, VideoClassifier
from core.shift import pure_taps
from core.temporal import TEMPORAL
from core.training.supervision import Trainee

# float32 through all layers, the formulas summing in another order.
FORMULA_TOLERANCE = 1e-4
SLOTS = {"mobilenet_v2": 10, "resnet50": 16, "bn_inception": 10}
LEARNED_TAPS = {"mobilenet_v2": 2_376, "resnet50": 39_360, "bn_inception": 17_376}
FEATURES = {"mobilenet_v2": 1280, "resnet50": 2048, "bn_inception": 1024}
NEW = [name for name in BACKBONES if name != "mobilenet_v2"]  # that one has tests of its own
PLACES = [(b, place) for b in BACKBONES for place in range(2, BACKBONES[b].LOCATIONS + 1)]
# ResNet-50, Table 1: channels of the 3x3, bottlenecks.
RESNET_STAGES = [(64, 3), (128, 4), (256, 6), (512, 3)]


def assert_stream_is_clip(model: VideoClassifier, frames: int = 5) -> None:
    clip = random_clip(2, model.config, frames=frames)
    expected = model.frame_logits(clip)
    worst = (run_stream(model, clip) - expected).abs().max()
    assert worst < STREAM_TOLERANCE * expected.abs().max()
    assert expected.std(1).min() > 1e-3  # frames matter


def assert_clip_is_formula(model: VideoClassifier, frames: int = 5) -> None:
    clip = random_clip(2, model.config, frames=frames)
    expected = with_formulas(model).frame_logits(clip)
    worst = (model.frame_logits(clip) - expected).abs().max()
    assert worst < FORMULA_TOLERANCE * expected.abs().max()


@pytest.mark.parametrize("kind", list(TEMPORAL))
@pytest.mark.parametrize("backbone", NEW)
@torch.no_grad()
def test_stream_equals_clip_form(backbone: str, kind: str) -> None:
    assert_stream_is_clip(make_model(backbone=backbone, temporal=kind))


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("kind", [kind for kind in TEMPORAL if kind != "none"])
@pytest.mark.parametrize("backbone", NEW)
@torch.no_grad()
def test_clip_form_is_the_formulas(backbone: str, kind: str, causal: bool) -> None:
    assert_clip_is_formula(make_model(backbone=backbone, temporal=kind, causal=causal))


@pytest.mark.parametrize(("backbone", "location"), PLACES)
@torch.no_grad()
def test_other_locations(backbone: str, location: int) -> None:
    model = make_model(backbone=backbone, location=location)
    assert_stream_is_clip(model)
    assert_clip_is_formula(model)


@torch.no_grad()
def test_a_shift_of_whole_blocks_streams() -> None:
    model = make_model(backbone="resnet50", temporal="shift", location=0)
    assert_stream_is_clip(model)
    inside = make_model(backbone="resnet50", temporal="shift")
    clip = random_clip(1, model.config)
    assert not torch.allclose(model(clip), inside(clip)), "the skip connection is shifted too"
    assert model.state_shapes() == inside.state_shapes()


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("backbone", BACKBONES)
@torch.no_grad()
def test_a_learned_shift_starts_as_the_fixed_one_and_follows_its_taps(
    backbone: str, causal: bool
) -> None:
    learned = make_model(backbone=backbone, causal=causal, shift="learned")
    fixed = VideoClassifier(ModelConfig(**(learned.config.to_dict() | {"shift": "fixed"}))).eval()
    taps = {k: v for k, v in learned.state_dict().items() if ".taps." in k}
    assert sum(v.numel() for v in taps.values()) == 3 * sum(
        holder.temporal.channels for _, holder, _ in learned.backbone.slots(64, 64)
    )
    fixed.load_state_dict({k: v for k, v in learned.state_dict().items() if k not in taps})
    clip = random_clip(1, learned.config)
    torch.testing.assert_close(learned(clip), fixed(clip))
    for tap in taps.values():
        tap += torch.randn_like(tap) * 0.2  # in place: the model's own
    assert not torch.allclose(learned(clip), fixed(clip), atol=1e-3)
    assert_clip_is_formula(learned)


def test_taps_of_the_shift_are_those_of_the_papers() -> None:
    assert pure_taps(16, causal=False)[:, ::2].tolist() == [  # t-1, t, t+1
        [0, 1, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 1, 1, 1],
        [1, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert pure_taps(16, causal=True)[:, ::2].tolist() == [  # t-2, t-1, t
        [0, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 1, 1, 1, 1],
    ]


@pytest.mark.parametrize("kind", [kind for kind in TEMPORAL if kind != "none"])
def test_a_learned_shift_refuses_to_stream_with_the_reason(kind: str) -> None:
    model = make_model(temporal=kind, shift="learned")
    with pytest.raises(ValueError, match=r"weighs three frames.*snap-taps"):
        model.initial_state()
    assert not model.config.can_stream


@pytest.mark.parametrize("frames", [1, 2, 3, 11])
@pytest.mark.parametrize("backbone", BACKBONES)
@torch.no_grad()
def test_any_number_of_segments(backbone: str, frames: int) -> None:
    assert_clip_is_formula(make_model(backbone=backbone, causal=False), frames)


@pytest.mark.parametrize("size", [33, 70, 97])
@pytest.mark.parametrize(("backbone", "location"), [*((b, 1) for b in NEW), *PLACES])
@torch.no_grad()
def test_state_shapes_of_odd_sizes(backbone: str, location: int, size: int) -> None:
    assert_stream_is_clip(make_model(backbone=backbone, location=location, size=size), frames=3)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_slots_taps_and_features_at_full_size(backbone: str) -> None:
    with torch.device("meta"):
        model = VideoClassifier(ModelConfig(backbone=backbone, shift="learned"))
    slots = list(model.backbone.slots(224, 224))
    assert len(slots) == SLOTS[backbone]
    assert 3 * sum(holder.temporal.channels for _, holder, _ in slots) == LEARNED_TAPS[backbone]
    assert model.backbone.out_channels == FEATURES[backbone]
    assert slots[-1][2] == (7, 7) if backbone != "resnet50" else slots[0][2] == (56, 56)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_auxiliary_losses_find_maps_of_strides_8_and_16(backbone: str) -> None:
    model = make_model(backbone=backbone).train()
    trainee = Trainee(model, targets=2 * 3 + 100)
    logits, pose, maps = trainee(random_clip(2, model.config)[:, 0], 1)
    assert [m.shape[-1] for m in maps] == [8, 4]
    (logits.sum() + pose.sum() + sum(m.sum() for m in maps)).backward()


@pytest.mark.parametrize("backbone", NEW)
def test_every_parameter_gets_a_gradient(backbone: str) -> None:
    model = make_model(seed=4, backbone=backbone, shift="learned", causal=False).train()
    clip = random_clip(8, model.config)
    nn.functional.cross_entropy(model(clip), torch.arange(8) % 5).backward()
    none = [name for name, p in model.named_parameters() if p.grad is None]
    assert none == []
    # A convolution's bias in front of a batch norm moves nothing.
    still = [n for n, p in model.named_parameters() if not p.grad.any() and "conv.bias" not in n]
    # A squeezed unit of CE, of which a narrow slot has one or two, may be dead from the start.
    assert all(".ce." in name for name in still)


def resnet_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's resnet50 without its classifier, by rule from the paper."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv_norm(conv: str, norm: str, out: int, inputs: int, kernel: int) -> None:
        shapes[f"{conv}.weight"] = (out, inputs, kernel, kernel)
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{name}"] = (out,)
        shapes[f"{norm}.num_batches_tracked"] = ()

    conv_norm("conv1", "bn1", 64, 3, 7)
    channels = 64
    for stage, (planes, blocks) in enumerate(RESNET_STAGES, 1):
        for i in range(blocks):
            at = f"layer{stage}.{i}"
            conv_norm(f"{at}.conv1", f"{at}.bn1", planes, channels, 1)
            conv_norm(f"{at}.conv2", f"{at}.bn2", planes, planes, 3)
            conv_norm(f"{at}.conv3", f"{at}.bn3", 4 * planes, planes, 1)
            if i == 0:
                conv_norm(f"{at}.downsample.0", f"{at}.downsample.1", 4 * planes, channels, 1)
            channels = 4 * planes
    return shapes


def test_names_and_shapes_of_resnet_are_torchvisions() -> None:
    with torch.device("meta"):
        backbone = VideoClassifier(ModelConfig(backbone="resnet50", temporal="shift")).backbone
    assert {k: tuple(v.shape) for k, v in backbone.state_dict().items()} == resnet_shapes()


def plain_resnet(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """ResNet-50's features by the paper's table, from a state dict with torchvision's names."""

    def layer(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        weight = weights[f"{conv}.weight"]
        x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2)
        parts = (weights[f"{norm}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts)

    x = F.max_pool2d(layer(x, "conv1", "bn1", 2).relu(), 3, 2, 1)
    for stage, (_, blocks) in enumerate(RESNET_STAGES, 1):
        for i in range(blocks):
            at, stride = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            y = layer(x, f"{at}.conv1", f"{at}.bn1").relu()
            y = layer(y, f"{at}.conv2", f"{at}.bn2", stride).relu()
            y = layer(y, f"{at}.conv3", f"{at}.bn3")
            x = layer(x, f"{at}.downsample.0", f"{at}.downsample.1", stride) if i == 0 else x
            x = (x + y).relu()
    return x


@torch.no_grad()
def test_resnet_is_the_papers() -> None:
    model = make_model(backbone="resnet50", temporal="none")
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model.backbone(x, 1), plain_resnet(x, model.backbone.state_dict()))


def test_pools_of_bn_inception() -> None:
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(HalvingPool()(x), F.max_pool2d(x, 3, 2, ceil_mode=True))
    odd = x[:, :, :7, :7]
    assert (
        HalvingPool()(odd).shape[2:] == F.conv2d(odd, torch.ones(4, 4, 3, 3), None, 2, 1).shape[2:]
    )
    ninth = torch.full((4, 1, 3, 3), 1 / 9)
    torch.testing.assert_close(AveragePool(4)(x), F.conv2d(x, ninth, None, 1, 1, 1, 4))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"location": 0}, "location 0 must be 1 to 4"),
        ({"location": 5}, "location 5 must be 1 to 4"),
        ({"location": 0, "backbone": "resnet50"}, "location 0 must be 1 to 4"),
        (
            {"location": 5, "backbone": "resnet50", "temporal": "shift"},
            "location 5 must be 0 to 4 in resnet50",
        ),
        ({"location": True}, "location True"),
        ({"location": 3, "backbone": "bn_inception"}, "location 3 must be 1 to 2 in bn_inception"),
        ({"shift": "soft"}, "shift 'soft' is unknown"),
        ({"shift": ["fixed"]}, "shift"),
        ({"shift": "learned", "temporal": "none"}, "no taps to learn"),
    ],
)
def test_config_refuses_what_does_not_exist(settings: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        ModelConfig(**settings)
    assert "\n" not in str(caught.value)


def test_a_config_of_before_still_reads() -> None:
    old = {k: v for k, v in ModelConfig().to_dict().items() if k not in ("location", "shift")}
    assert ModelConfig.from_dict(old) == ModelConfig(location=1, shift="fixed")
