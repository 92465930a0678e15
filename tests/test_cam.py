"""Class-activation maps: what they are by definition, and the picture of them."""

from pathlib import Path

import pytest
import torch
from clips import levels, refusal
from helpers import make_model, random_clip
from PIL import Image

from core import checkpoint
from core.data.video import write_clip
from core.evaluation.cam import class_maps, main, shown
from core.labels import LABELS

ROUNDING = 1e-4  # float32 sums over the map in another order, relative


@pytest.mark.parametrize("temporal", ["none", "shift", "action"])
@pytest.mark.parametrize("causal", [True, False])
def test_mean_of_a_map_and_the_bias_are_the_logit(temporal: str, causal: bool) -> None:
    model = make_model(temporal=temporal, causal=causal)
    clip = random_clip(1, model.config)
    with torch.no_grad():
        logits = model.frame_logits(clip)[0]
    for target in range(5):
        maps, whole = class_maps(model, clip[0], target)
        assert maps.shape == (model.config.frames, 2, 2)
        found = maps.mean((1, 2)) + model.classifier.bias[target].detach()
        scale = logits.abs().max()
        assert (found - logits[:, target]).abs().max() < ROUNDING * scale
        assert (whole - logits.mean(0)).abs().max() < ROUNDING * scale
    assert not model.backbone._forward_hooks


def test_shown_maps_have_one_scale_for_the_clip() -> None:
    maps = torch.tensor([[[0.0, -4.0], [0.0, 0.0]], [[8.0, 2.0], [-1.0, 0.0]]])
    found = shown(maps, 64)
    assert found.shape == (2, 64, 64)
    assert float(found[1, 0, 0]) == float(found[1].max()) == 1.0
    assert float(found[0, 0, -1]) == float(found.min()) == 0.0
    assert float(found[0].max()) == pytest.approx(4 / 12)
    assert torch.allclose(shown(maps + 3, 64), found)
    assert float(shown(torch.ones(1, 2, 2), 8).max()) == 0.0


def test_maps_follow_what_the_classifier_looks_at() -> None:
    """A network whose features are the picture's own grey finds the bright corner."""

    class Grey(torch.nn.Module):
        def forward(self, x, frames):
            return torch.nn.functional.avg_pool2d(x.mean(1, keepdim=True), 16)

    class Tiny(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone, self.classifier = Grey(), torch.nn.Linear(1, 2)
            torch.nn.init.constant_(self.classifier.weight, 1.0)

        def forward(self, clip):
            features = self.backbone(clip[0], clip.shape[1]).mean((2, 3))
            return self.classifier(features).mean(0, keepdim=True)

    clip = torch.zeros(3, 3, 64, 64)
    for t in range(3):
        clip[t, :, :16, 16 * t : 16 * t + 16] = 1.0
    maps, _ = class_maps(Tiny(), clip, 0)
    assert [int(m.argmax()) for m in maps] == [0, 1, 2]


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    argv = []
    for name, settings in (
        ("tsn", {"temporal": "none", "causal": False}),
        ("me", {"temporal": "me", "frames": 3, "causal": False}),
        ("action", {"temporal": "action", "size": 48}),
    ):
        path = tmp_path / f"{name}.safetensors"
        model = make_model(**({"size": 32, "frames": 4, "num_classes": 27} | settings))
        checkpoint.save(path, model, list(LABELS))
        argv += ["--checkpoint", str(path)]
    return argv


def test_picture_of_a_rendered_class(tmp_path: Path, models: list[str], capsys) -> None:
    out = tmp_path / "cam.png"
    argv = [*models, "--class", "Rolling Hand Forward", "--clip", "1", "--out", str(out)]
    assert main(argv) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said[:3]] == ["TSN", "ME, bidirectional", "ACTION"]
    assert all(line.endswith("maps of Rolling Hand Forward") for line in said[:3])
    with Image.open(out) as image:
        assert image.format == "PNG"
        assert image.height > 500  # four rows


def test_picture_of_a_video(tmp_path: Path, models: list[str], capsys) -> None:
    video, out = tmp_path / "v.mp4", tmp_path / "cam.png"
    write_clip(video, levels(20), 10.0)
    argv = [*models, "--video", str(video), "--out", str(out)]
    assert main([*argv, "--frames", "6"]) == 0
    assert main([*argv, "--target", "Thumb Up"]) == 0
    assert "maps of Thumb Up" in capsys.readouterr().out
    assert "does not know 'Waving'" in refusal(lambda: main([*argv, "--target", "Waving"]))
    video.write_bytes(b"nothing")
    assert f"--video {video} cannot be read" in refusal(lambda: main(argv))
    assert "required" in refusal(lambda: main(models))
