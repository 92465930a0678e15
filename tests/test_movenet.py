"""MoveNet's trunk: names, layouts, and batch norm that starts from the same function."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_importers import refusal, run
from torch import Tensor

from core import checkpoint
from core.backbones.mobilenet_v2 import STAGES
from core.checkpoint import __main__ as command
from core.importers import movenet

# The same sums in another order, behind 52 layers of float32.
ROUNDING = 2e-4


def blocks() -> list[tuple[str, int, int, int, int]]:
    """Name, input and output channels, expansion and stride of MobileNet V2's blocks (Table 2)."""
    found, channels = [], 32
    for expansion, outputs, repeats, stride in STAGES:
        for repeat in range(repeats):
            name = f"block_{len(found)}" if found else "expanded_conv"
            found.append((name, channels, outputs, expansion, stride if repeat == 0 else 1))
            channels = outputs
    return found


def trunk(seed: int = 0) -> dict[str, np.ndarray]:
    """Random folded weights under Keras' names, layout HWIO."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {}

    def add(name: str, kind: str, shape: tuple[int, ...], outputs: int) -> None:
        fan = np.prod(shape[:2]) * (1 if kind == "depthwise" else shape[2])
        weights = rng.normal(size=shape) * np.sqrt(2 / fan)
        arrays[f"{name}/{kind}_weights"] = weights.astype(np.float32)
        arrays[f"{name}/{kind}_bn_offset"] = rng.normal(size=outputs).astype(np.float32) * 0.1

    add("Conv1", "Conv2D", (3, 3, 3, 32), 32)
    for name, inputs, outputs, expansion, _ in blocks():
        hidden = inputs * expansion
        if expansion > 1:
            add(f"{name}_expand", "Conv2D", (1, 1, inputs, hidden), hidden)
        add(f"{name}_depthwise", "depthwise", (3, 3, hidden, 1), hidden)
        add(f"{name}_project", "Conv2D", (1, 1, hidden, outputs), outputs)
    add("Conv_1", "Conv2D", (1, 1, 320, 1280), 1280)
    return arrays


def computed(arrays: dict[str, np.ndarray], pixels: Tensor) -> Tensor:
    """The folded network written out by Keras' names, with this project's padding: (N, 1280)."""

    def layer(x: Tensor, name: str, kind: str, stride: int = 1) -> Tensor:
        weight = torch.from_numpy(arrays[f"{name}/{kind}_weights"])
        order = (2, 3, 0, 1) if kind == "depthwise" else (3, 2, 0, 1)
        weight = weight.permute(order)
        groups = len(weight) if kind == "depthwise" else 1
        offset = torch.from_numpy(arrays[f"{name}/{kind}_bn_offset"])
        return F.conv2d(x, weight, offset, stride, weight.shape[-1] // 2, groups=groups)

    x = F.relu6(layer(pixels, "Conv1", "Conv2D", 2))
    for name, inputs, outputs, expansion, stride in blocks():
        y = F.relu6(layer(x, f"{name}_expand", "Conv2D")) if expansion > 1 else x
        y = F.relu6(layer(y, f"{name}_depthwise", "depthwise", stride))
        y = layer(y, f"{name}_project", "Conv2D")
        x = x + y if stride == 1 and inputs == outputs else y
    return F.relu6(layer(x, "Conv_1", "Conv2D")).mean((2, 3))


def pixels(count: int = 4, size: int = 64) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_import_reads_an_npz_and_computes_what_the_folded_network_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Statistics of fewer, smaller pictures: the function is the same whatever they are of.
    monkeypatch.setattr(command, "SETTLED_CLIPS", 4)
    monkeypatch.setattr(command, "SETTLED_SIZE", 96)
    arrays = trunk()
    np.savez(tmp_path / "movenet.npz", **arrays)
    run("import", tmp_path / "movenet.npz", "--out", tmp_path / "start.safetensors")
    loaded = checkpoint.load(tmp_path / "start.safetensors")
    assert loaded.config.temporal == "none"
    assert loaded.info["imported"]["kind"] == movenet.NAME
    x = pixels()
    features = loaded.model.folded_features(x, 1)
    torch.testing.assert_close(features, computed(arrays, x), atol=ROUNDING, rtol=ROUNDING)


def test_settled_batch_norm_trains_from_the_same_function() -> None:
    tensors = {name: torch.from_numpy(array) for name, array in trunk().items()}
    model, _ = movenet.imported(tensors, 8)
    x = pixels(8)
    before = model.folded_features(x, 1)
    movenet.settle(model, x)
    settled = model.folded_features(x, 1)
    torch.testing.assert_close(settled, before, atol=ROUNDING, rtol=ROUNDING)
    # With the statistics of the same pictures training sees nearly the same: variance is biased.
    trained = model.train().folded_features(x, 1)
    assert (trained - before).abs().max() < 0.05 * before.abs().max()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: a.pop("block_3_expand/Conv2D_weights"), "1 missing: backbone.features.4.conv.0"),
        (
            lambda a: a.pop("block_3_expand/Conv2D_bn_offset"),
            "1 missing: backbone.features.4.conv.0.1.bias",
        ),
        (
            lambda a: [a.pop(name) for name in list(a) if name.endswith("bn_offset")],
            "52 missing: backbone.features.0.1.bias",
        ),
        (
            lambda a: a.update({"block_99/Conv2D_weights": np.zeros(1)}),
            "block_99/Conv2D_weights is",
        ),
        (
            lambda a: a.update({"Conv_1/Conv2D_weights": np.zeros((1, 1, 3, 4), np.float32)}),
            "1 of another shape",
        ),
        (
            lambda a: a.update({"Conv_1/Conv2D_weights": np.zeros(7, np.float32)}),
            "a kernel of 1 dimensions",
        ),
    ],
)
def test_what_is_not_whole_is_named(change, reason: str, tmp_path: Path) -> None:
    arrays = trunk()
    change(arrays)
    np.savez(tmp_path / "movenet.npz", **arrays)
    assert reason in refusal(
        "import", tmp_path / "movenet.npz", "--out", tmp_path / "start.safetensors"
    )
    assert not (tmp_path / "start.safetensors").exists()


def test_a_pickle_inside_an_npz_is_not_run(tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", **{movenet.STEM: np.array([{"a": 1}], object)})
    assert "cannot be read" in refusal(
        "import", tmp_path / "bad.npz", "--out", tmp_path / "o.safetensors"
    )
