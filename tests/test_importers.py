"""Checkpoints of other programs: what is imported computes what the program's own tensors say."""

import argparse
import re
from pathlib import Path

import authors
import pytest
import torch
from imported import (
    BASE,
    IMAGENET,
    TOLERANCE,
    assert_computes,
    imagenet,
    in_mmaction,
    made,
    pictures,
    refusal,
    run,
    written,
)
from test_checkpoint import Payload
from torch import Tensor

from core import checkpoint
from core.errors import BadInput
from core.importers.convert import imported
from core.labels import LABELS
from core.shift import pure_taps

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
        ("tsm_shift_2.pth", {}, [], 8, "nothing in the file confirms"),
        ("nightshift3.pth", {}, [], 8, "nothing in the file confirms"),
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


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ({}, ["--frames", "20000"], "20000 is not a whole number from 1 to 10000"),
        ({}, ["--fold", "1000"], "a shift of 1/1000 of the channels leaves layers without any"),
        ({"args": {"shift_div": 1}}, [], "fold 1 must be a whole number of at least 2"),
        ({"args": {"shift_div": 0}}, ["--labels", "two.txt"], "has 2 lines for the 27 classes"),
        ({"state_dict": {0: torch.zeros(1)}}, [], "holds no state dict (0 names no tensor)"),
    ],
)
def test_files_and_options_that_make_no_model(content, options, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.txt").write_text("left\nright\n")
    torch.save({"state_dict": made("mobilenet_v2", "shift", "new_fc")} | content, "x.pth")
    assert words in refusal("import", "x.pth", "--out", "m.safetensors", *options)
    assert not Path("m.safetensors").exists()


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
