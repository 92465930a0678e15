"""Checkpoints of other programs: what is imported computes what the program's own tensors say."""

import argparse
import json
import re
from pathlib import Path

import authors
import pytest
import torch
from helpers import make_model, random_clip
from test_checkpoint import LABELS as FIVE
from test_checkpoint import Payload
from torch import Tensor

from core import checkpoint
from core.checkpoint import __main__ as command
from core.checkpoint import taps
from core.errors import BadInput
from core.evaluation import change
from core.importers.convert import imported
from core.labels import LABELS
from core.shift import LearnedShift, pure_taps

TOLERANCE = 1e-4  # float32 through all layers, relative to the largest logit
BASE = "base_model."
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FEATURES = {"resnet50": 2048, "mobilenet_v2": 1280, "bn_inception": 1024}
SHAPES = {
    "resnet50": authors.resnet_shapes,
    "mobilenet_v2": authors.mobilenet_shapes,
    "bn_inception": authors.inception_shapes,
}


def made(
    backbone: str, kind: str, classifier: str, classes: int = 27, prefix: str = BASE
) -> dict[str, Tensor]:
    """A state dict without the prefix of DataParallel."""
    shapes = SHAPES[backbone](kind, prefix)
    shapes[f"{classifier}.weight"] = (classes, FEATURES[backbone])
    shapes[f"{classifier}.bias"] = (classes,)
    return authors.random_weights(shapes)


def written(path: Path, weights: dict[str, Tensor], parallel: bool) -> Path:
    """As those programs' training scripts save it."""
    names = {f"module.{k}" if parallel else k: v for k, v in weights.items()}
    extra = {"epoch": 19, "arch": "resnet50", "best_prec1": torch.tensor(94.2), "optimizer": {}}
    torch.save({"state_dict": names} | extra, path)
    return path


def run(*argv: object) -> None:
    assert command.main([str(part) for part in argv]) == 0


def refusal(*argv: object) -> str:
    with pytest.raises(BadInput) as caught:
        command.main([str(part) for part in argv])
    assert "\n" not in str(caught.value)
    return str(caught.value)


@torch.no_grad()
def assert_computes(loaded: checkpoint.Checkpoint, pixels: Tensor, expected: Tensor) -> None:
    """``pixels`` (T, 3, H, W) are RGB from 0 to 255."""
    config = loaded.config
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (config.mean, config.std))
    got = loaded.model(((pixels / 255 - mean) / std)[None])[0]
    assert (got - expected).abs().max() < TOLERANCE * expected.abs().max()


def pictures(frames: int = 3) -> Tensor:
    return torch.rand(frames, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255


def imagenet(pixels: Tensor) -> Tensor:
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in IMAGENET)
    return (pixels / 255 - mean) / std


ACTION = [
    ("resnet50", "new_fc", True, 83),
    ("mobilenet_v2", f"{BASE}classifier", False, 27),
    ("bn_inception", "new_fc", True, 174),
    ("bn_inception", f"{BASE}fc", False, 27),
]


@pytest.mark.parametrize(("backbone", "classifier", "parallel", "classes"), ACTION)
@torch.no_grad()
def test_action_net(
    backbone: str, classifier: str, parallel: bool, classes: int, tmp_path: Path
) -> None:
    weights = made(backbone, "action", classifier, classes)
    whole = authors.with_duplicates(weights, BASE) if backbone == "bn_inception" else weights
    path, out = tmp_path / "model.pth.tar", tmp_path / "model.safetensors"
    run("import", written(path, whole, parallel), "--out", out)
    loaded = checkpoint.load(out)
    config = loaded.config
    assert (config.backbone, config.temporal, config.shift) == (backbone, "action", "learned")
    assert (config.causal, config.num_classes, config.frames) == (False, classes, 8)
    assert loaded.info["imported"]["kind"] == f"ACTION-Net {backbone}"
    x, pixels = None, pictures()

    def slot(x: Tensor, at: str) -> Tensor:
        return authors.action(x, weights, at)

    if backbone == "resnet50":
        x = authors.resnet(imagenet(pixels), weights, slot, ".net", BASE)
    elif backbone == "mobilenet_v2":
        x = authors.mobilenet(imagenet(pixels), weights, slot, BASE)
    else:  # BGR from 0 to 255, normalised by statistics of RGB from 0 to 1
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in IMAGENET)
        x = authors.inception((pixels.flip(1) - mean) / std, weights, slot, BASE)
    assert_computes(loaded, pixels, authors.answer(x, weights, classifier))


@pytest.mark.parametrize("kind", ["shift", "none"])
@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet_v2"])
@torch.no_grad()
def test_tsm(backbone: str, kind: str, tmp_path: Path) -> None:
    weights = made(backbone, kind, "new_fc")
    out = tmp_path / "model.safetensors"
    run("import", written(tmp_path / "ckpt.best.pth.tar", weights, True), "--out", out)
    loaded = checkpoint.load(out)
    config = loaded.config
    assert (config.backbone, config.temporal, config.shift) == (backbone, kind, "fixed")
    assert not config.causal

    def slot(x: Tensor, at: str) -> Tensor:
        return authors.shift(x, causal=False) if kind == "shift" else x

    pixels, wrap = pictures(), ".net" if kind == "shift" else ""
    if backbone == "resnet50":
        x = authors.resnet(imagenet(pixels), weights, slot, wrap, BASE)
    else:
        x = authors.mobilenet(imagenet(pixels), weights, slot, BASE)
    assert_computes(loaded, pixels, authors.answer(x, weights, "new_fc"))


@pytest.mark.parametrize(
    ("name", "arguments", "option", "div", "said"),
    [
        ("TSM_x_RGB_resnet50_shift4_blockres_avg_segment8_e45.pth", {}, [], 4, "its name"),
        ("x.pth", {"args": {"shift_div": 4}}, [], 4, "its arguments"),
        ("x.pth", {"args": argparse.Namespace(shift_div=4, lr=0.1)}, [], 4, "its arguments"),
        ("x.pth", {"shift_div": 16}, [], 16, "its arguments"),
        ("TSM_shift8_blockres.pth", {"args": {"shift_div": 4}}, ["--fold", "4"], 4, "--fold"),
        ("x.pth", {}, [], 8, "nothing in the file confirms"),
    ],
)
@torch.no_grad()
def test_tsm_of_another_fold(
    name: str, arguments: dict, option: list[str], div: int, said: str, tmp_path: Path, capsys
) -> None:
    weights = made("mobilenet_v2", "shift", "new_fc")
    out = tmp_path / "model.safetensors"
    torch.save({"state_dict": weights} | arguments, tmp_path / name)
    run("import", tmp_path / name, "--out", out, *option)
    told = capsys.readouterr().out
    assert f"1/{div} of the channels" in told
    assert said in told
    loaded = checkpoint.load(out)
    assert loaded.config.fold == div
    pixels = pictures()
    x = authors.mobilenet(
        imagenet(pixels), weights, lambda x, _: authors.shift(x, causal=False, div=div), BASE
    )
    assert_computes(loaded, pixels, authors.answer(x, weights, "new_fc"))


def test_a_torchscript_program_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(path)
    message = refusal("import", path, "--out", tmp_path / "m.safetensors")
    assert "is a TorchScript program" in message
    assert "weights_only" not in message


def test_folds_that_disagree_and_shifts_that_are_not_ours(tmp_path: Path) -> None:
    weights = made("resnet50", "shift", "new_fc")
    out = tmp_path / "model.safetensors"
    both = tmp_path / "TSM_shift8_blockres.pth"
    torch.save({"state_dict": weights, "args": {"shift_div": 4}}, both)
    assert "1/4 and 1/8" in refusal("import", both, "--out", out)
    path = tmp_path / "x.pth"
    torch.save({k.replace("layer2.0.", "layer2.0.nl."): v for k, v in weights.items()}, path)
    assert "non-local" in refusal("import", path, "--out", out)
    torch.save({"state_dict": weights, "args": {"shift_place": "block"}}, path)
    assert "says that whole blocks are shifted" in refusal("import", path, "--out", out)
    torch.save(made("mobilenet_v2", "action", "new_fc"), path)
    assert "--fold is of a shift" in refusal("import", path, "--out", out, "--fold", "4")
    assert not out.exists()


def in_whole_blocks(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As TSM names them with ``--shift_place block``: the shift wraps the whole bottleneck."""
    plain = {key.replace(".conv1.net.", ".conv1."): value for key, value in weights.items()}
    return {re.sub(r"(layer\d\.\d+)\.", r"\1.net.", key): value for key, value in plain.items()}


@pytest.mark.parametrize("program", ["TSM", "mmaction2 TSM"])
@torch.no_grad()
def test_tsm_that_shifts_whole_blocks(program: str, tmp_path: Path, capsys) -> None:
    weights = made("resnet50", "shift", "new_fc")
    theirs = in_whole_blocks(weights)
    assert f"{BASE}layer1.0.net.downsample.0.weight" in theirs
    if program != "TSM":
        theirs = in_mmaction(weights, "resnet50")
        theirs = {key.replace(".conv1.conv.net.", ".conv1.conv."): v for key, v in theirs.items()}
        theirs = {re.sub(r"(layer\d\.\d+)\.", r"\1.net.", key): v for key, v in theirs.items()}
        assert "backbone.layer1.0.net.conv1.conv.weight" in theirs
    path = written(tmp_path / "TSM_x_shift8_block_avg.pth", theirs, False)
    out = tmp_path / "model.safetensors"
    run("import", path, "--out", out)
    assert program in capsys.readouterr().out
    loaded = checkpoint.load(out)
    assert (loaded.config.temporal, loaded.config.location) == ("shift", 0)
    pixels = pictures()

    def slot(x: Tensor, at: str) -> Tensor:
        return authors.shift(x, causal=False)

    x = authors.resnet(imagenet(pixels), weights, slot, ".net", BASE, whole=True)
    assert_computes(loaded, pixels, authors.answer(x, weights, "new_fc"))


@torch.no_grad()
def test_the_online_variant_of_tsm_streams(tmp_path: Path) -> None:
    weights = made("mobilenet_v2", "online", "classifier", prefix="")
    path, out = tmp_path / "mobilenetv2_jester_online.pth.tar", tmp_path / "model.safetensors"
    torch.save(weights, path, _use_new_zipfile_serialization=False)  # as old as that file
    run("import", path, "--out", out)
    loaded = checkpoint.load(out)
    assert loaded.labels == list(LABELS)
    assert (loaded.config.temporal, loaded.config.causal) == ("shift", True)
    pixels = pictures(4)
    x = imagenet(pixels)
    features = authors.mobilenet(x, weights, lambda x, _: authors.shift(x, causal=True))
    assert_computes(loaded, pixels, authors.answer(features, weights, "classifier"))
    state = loaded.model.initial_state(size=64)
    for frame in x:
        logits, state = loaded.model.step(frame[None], state)
    last = authors.answer(features[-1:], weights, "classifier")
    assert (logits[0] - last).abs().max() < TOLERANCE * last.abs().max()


@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet_v2", "flat mobilenet_v2"])
@torch.no_grad()
def test_weights_for_images(backbone: str, tmp_path: Path) -> None:
    if backbone == "resnet50":
        weights = made(backbone, "none", "fc", 1000, "")
        weights = {k: v for k, v in weights.items() if "num_batches" not in k}  # the first release
        x = authors.resnet(imagenet(pictures()), weights, lambda x, _: x, "")
        classifier = "fc"
    else:
        nested = backbone == "mobilenet_v2"
        classifier = "classifier.1" if nested else "classifier"
        shapes = authors.mobilenet_shapes("none", nested=nested)
        shapes |= {f"{classifier}.weight": (1000, 1280), f"{classifier}.bias": (1000,)}
        weights = authors.random_weights(shapes)
        x = authors.mobilenet(imagenet(pictures()), weights, lambda x, _: x, nested=nested)
    path, out = tmp_path / "weights.pth", tmp_path / "model.safetensors"
    torch.save(weights, path)
    run("import", path, "--out", out)
    loaded = checkpoint.load(out)
    assert loaded.config.temporal == "none"
    assert loaded.config.backbone in backbone
    assert loaded.labels[999] == "class 999"
    assert_computes(loaded, pictures(), authors.answer(x, weights, classifier))


def test_untaught_taps_become_the_fixed_shift() -> None:
    weights = made("mobilenet_v2", "action", "new_fc")
    for key in [k for k in weights if "action_shift" in k]:
        weights[key] = pure_taps(len(weights[key]), causal=False).T[:, None].contiguous()
    assert imported(weights)[0].config.shift == "fixed"
    key = next(k for k in weights if "action_shift" in k)
    weights[key][0, 0, 1] += 1e-3
    assert imported(weights)[0].config.shift == "learned"


def test_labels_from_a_file(tmp_path: Path) -> None:
    weights = made("mobilenet_v2", "shift", "new_fc", 3)
    path, out = written(tmp_path / "x.pth.tar", weights, False), tmp_path / "model.safetensors"
    (tmp_path / "labels.txt").write_text("up\ndown\n\nstop\n")
    run("import", path, "--out", out, "--labels", tmp_path / "labels.txt", "--frames", 16)
    loaded = checkpoint.load(out)
    assert (loaded.labels, loaded.config.frames) == (["up", "down", "stop"], 16)


def test_what_is_not_whole_is_listed() -> None:
    weights = made("mobilenet_v2", "action", "new_fc")
    gone, more = f"{BASE}features.5.conv.0.action_p2_conv1.weight", f"{BASE}features.3.nl.weight"
    del weights[gone]
    weights[more] = torch.zeros(1)
    short = f"{BASE}features.2.conv.0.weight"
    weights[short] = weights[short][:8]
    with pytest.raises(BadInput) as caught:
        imported(weights)
    told = str(caught.value)
    assert "1 missing: backbone.features.5.temporal.ce.conv.weight" in told
    assert f"1 unexpected: {more}" in told
    assert "1 of another shape: backbone.features.2.conv.0.0.weight (8, 16, 1, 1)" in told
    assert "\n" not in told


def test_a_tensor_that_is_there_twice_has_to_be_the_same() -> None:
    weights = authors.with_duplicates(made("bn_inception", "action", "new_fc"), BASE)
    key = f"{BASE}shift_3b.net.weight"
    weights[key] = weights[key] + 1
    with pytest.raises(BadInput, match=r"shift_3b\.net\.weight and .*inception_3c_3x3_reduce"):
        imported(weights)


def test_a_shift_that_leaves_no_trace_has_to_be_named() -> None:
    weights = made("bn_inception", "shift", "new_fc")
    with pytest.raises(BadInput, match="--temporal"):
        imported(weights)
    model, kind = imported(weights, "shift")
    assert (model.config.temporal, kind.bgr255) == ("shift", True)
    assert model.config.mean == pytest.approx((128 / 255, 117 / 255, 104 / 255))
    with pytest.raises(BadInput, match="leave it out"):
        imported(made("mobilenet_v2", "shift", "new_fc"), "none")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"epoch": 3}, "no state dict"),
        ([1, 2], "no state dict"),
        ({"state_dict": {"encoder.weight": torch.zeros(2)}}, "of no model that can be imported"),
        ({"state_dict": {}}, "no state dict"),
    ],
)
def test_other_files_are_refused(content: object, reason: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pth")
    assert reason in refusal("import", tmp_path / "x.pth", "--out", tmp_path / "y.safetensors")
    assert not (tmp_path / "y.safetensors").exists()


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "y.safetensors"
    torch.save({"a": torch.zeros(1000)}, tmp_path / "x.pth")
    for content in (b"", b"hello", (tmp_path / "x.pth").read_bytes()[:900]):
        (tmp_path / "x.pth").write_bytes(content)
        refusal("import", tmp_path / "x.pth", "--out", out)
    assert "does not exist" in refusal("import", tmp_path / "none.pth", "--out", out)
    assert "--out" in refusal("import", tmp_path / "x.pth", "--out", tmp_path)


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    torch.save({"state_dict": {}, "code": Payload(target)}, tmp_path / "x.pth")
    told = refusal("import", tmp_path / "x.pth", "--out", tmp_path / "y.safetensors")
    assert "code in it is not run" in told
    assert not target.exists()


def saved(path: Path, **settings: object) -> Path:
    checkpoint.save(path, make_model(**settings), FIVE, {"validation_top1": 90.0})
    return path


@pytest.mark.parametrize("shift", ["fixed", "learned"])
@torch.no_grad()
def test_to_causal_keeps_the_frames_of_the_taps(shift: str, tmp_path: Path) -> None:
    path, out = saved(tmp_path / "a.safetensors", causal=False, shift=shift), tmp_path / "b.st"
    run("to-causal", path, "--out", out)
    before, after = checkpoint.load(path), checkpoint.load(out)
    assert after.config.causal
    assert "validation_top1" not in after.info  # it was another model's
    key = "backbone.features.3.temporal.ste.conv.weight"
    old, new = before.model.state_dict()[key], after.model.state_dict()[key]
    assert torch.equal(new[:, 1:], old[:, :2])  # t-1 and t
    assert not new[:, 0].any()  # t-2
    if shift == "learned":
        taps_of = [
            next(m for m in c.model.modules() if isinstance(m, LearnedShift)).matrix()
            for c in (before, after)
        ]
        assert torch.equal(taps_of[1][1:], taps_of[0][:2])
        assert not taps_of[1][0].any()
    else:
        after.model.step(random_clip(1, after.config)[:, 0], after.model.initial_state())
    assert "nothing to turn" in refusal("to-causal", out, "--out", tmp_path / "c.st")


@torch.no_grad()
def test_snapping_taps_tells_what_it_costs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path, out = saved(tmp_path / "a.st", shift="learned", frames=4), tmp_path / "b.st"
    run("snap-taps", path, "--out", out, "--clips", 2)
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["largest_tap_error"] == 0
    assert (report["clips"], report["agreement"], report["top1_before"]) == (2, 100.0, None)
    assert report["deviation"] < TOLERANCE
    snapped = checkpoint.load(out)
    assert snapped.config.can_stream
    assert snapped.info["cost"] == report
    loaded = checkpoint.load(path)
    for module in loaded.model.modules():
        if isinstance(module, LearnedShift):
            module.taps[1].add_(0.25)
    assert taps.tap_distance(loaded.model) == pytest.approx(0.25)
    assert change.cost(loaded, snapped.model, 1)["deviation"] > TOLERANCE
    assert "no taps to snap" in refusal("snap-taps", out, "--out", tmp_path / "c.st")


# mmaction2


def in_mmaction(weights: dict[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """TSM's tensors by mmaction2's names, as its ConvModule and TemporalShift nest them."""
    found = {}
    for key, value in weights.items():
        name = key.removeprefix(BASE)
        if name.startswith("new_fc"):
            found[name.replace("new_fc", "cls_head.fc_cls")] = value
            continue
        *at, leaf = name.split(".")
        if backbone == "resnet50":
            wrap = "net." if at[-1] == "net" else ""
            at = at[:-1] if wrap else at
            last = at.pop()
            if at and at[-1] == "downsample":
                last = "conv" if last == "0" else "bn"
            elif last.startswith("bn"):
                last = f"conv{last[2:]}.bn"
            else:
                last = f"{last}.conv"
            found[".".join(["backbone", *at, last, wrap + leaf])] = value
            continue
        index = int(at[1])
        if index in (0, 18):
            part = "conv" if at[2] == "0" else "bn"
            found[f"backbone.conv{1 if index == 0 else 2}.{part}.{leaf}"] = value
            continue
        layer, block = next(
            (n, index - 1 - sum(r for *_, r, _ in authors.MOBILENET[: n - 1]))
            for n in range(1, 8)
            if index - 1 < sum(r for *_, r, _ in authors.MOBILENET[:n])
        )
        place, norm = divmod(int(at[3]), 3)
        shifted = f"{key.partition('.conv.')[0]}.conv.0.net.weight" in weights and place == 0
        module = f"conv.{place}" + (".net" if shifted else "")
        part = "bn" if norm else "conv"
        found[f"backbone.layer{layer}.{block}.{module}.{part}.{leaf}"] = value
    return found


@pytest.mark.parametrize("kind", ["shift", "none"])
@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet_v2"])
def test_mmaction2_is_imported_as_the_same_model_of_tsm(
    tmp_path: Path, backbone: str, kind: str, capsys: pytest.CaptureFixture
) -> None:
    weights = made(backbone, kind, "new_fc")
    theirs = written(tmp_path / "tsm.pth", weights, parallel=False)
    ours = written(tmp_path / "mmaction.pth", in_mmaction(weights, backbone), parallel=False)
    models = []
    for path in (theirs, ours):
        run("import", path, "--out", tmp_path / "out.safetensors")
        models.append(checkpoint.load(tmp_path / "out.safetensors"))
    first, second = models
    assert second.config == first.config
    assert second.config.temporal == kind
    other = second.model.state_dict()
    assert all(torch.equal(value, other[key]) for key, value in first.model.state_dict().items())
    assert f"mmaction2 TSM {backbone}" in capsys.readouterr().out


def test_mmaction2s_names_are_those_of_its_modules() -> None:
    """Spelled out as its code nests them, so that the test's own translation is not the judge."""
    resnet = in_mmaction(made("resnet50", "shift", "new_fc"), "resnet50")
    assert {
        "backbone.conv1.conv.weight", "backbone.conv1.bn.running_var",
        "backbone.layer1.0.conv1.conv.net.weight", "backbone.layer1.0.conv1.bn.weight",
        "backbone.layer4.2.conv3.conv.weight", "backbone.layer2.0.downsample.conv.weight",
        "backbone.layer2.0.downsample.bn.bias", "cls_head.fc_cls.weight",
    } <= set(resnet)  # fmt: skip
    mobilenet = in_mmaction(made("mobilenet_v2", "shift", "new_fc"), "mobilenet_v2")
    assert {
        "backbone.conv1.conv.weight", "backbone.layer1.0.conv.1.conv.weight",
        "backbone.layer2.0.conv.0.conv.weight", "backbone.layer2.1.conv.0.net.conv.weight",
        "backbone.layer2.1.conv.0.net.bn.weight", "backbone.layer7.0.conv.2.bn.running_mean",
        "backbone.conv2.conv.weight", "backbone.conv2.bn.weight",
    } <= set(mobilenet)  # fmt: skip


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("backbone.layer3.22.conv1.conv.net.weight", "is a ResNet-101"),
        ("backbone.layer2.0.non_local_block.g.conv.weight", "has non-local blocks"),
    ],
)
def test_models_of_mmaction2_that_are_not_here_are_named(
    tmp_path: Path, key: str, said: str
) -> None:
    weights = in_mmaction(made("resnet50", "shift", "new_fc"), "resnet50")
    path = written(tmp_path / "other.pth", weights | {key: torch.zeros(1)}, parallel=False)
    assert said in refusal("import", path, "--out", tmp_path / "out.safetensors")
