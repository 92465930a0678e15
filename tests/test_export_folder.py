"""Export and verification on a folder of real files, by the fake target: counts, broken clips."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import refusal
from datasets import write_jester
from fake_target import install, make_checkpoint
from helpers import make_model, make_shallow
from PIL import Image

from core import checkpoint
from core.data import records
from core.data.folder import SPLITS
from core.errors import BadInput
from core.labels import IGNORE, LABELS
from mobile_export import __main__ as export_cli
from mobile_export import exporter
from mobile_export.bundle import reader
from mobile_export.exporter import _first_readable
from mobile_export.quantization.training import Training
from mobile_export.verify import __main__ as verify

CLASSES = ["dislike", "like", "next"]
CLIPS = {"train": 2, "val": 1, "test": 7}  # of each class
IMAGES = 8  # the tiny model takes the six in the middle


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Frame folders of noise, all three splits given."""
    rng = np.random.default_rng(0)
    root = tmp_path / "clips"
    for split in SPLITS:
        for name in CLASSES:
            for number in range(CLIPS[split]):
                folder = root / split / name / f"{number:02d}"
                folder.mkdir(parents=True)
                for t, pixels in enumerate(rng.integers(0, 256, (IMAGES, 64, 64, 3), np.uint8)):
                    Image.fromarray(pixels).save(folder / f"{t}.png")
    return root


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


def damage(clip: Path) -> None:
    """Damage that only reading the whole clip finds: its first and last image are whole."""
    cut(clip / "4.png")


def export(data: Path, monkeypatch, *more: str) -> tuple[int, Path, list[str]]:
    """Status and folder of an export on ``data``, and the options that verify it."""
    make_shallow(monkeypatch)
    path = make_checkpoint(data.parent, CLASSES)
    install(monkeypatch)
    out = data.parent / "out"
    options = ["--checkpoint", str(path), "--data", str(data)]
    status = export_cli.main(
        ["--target", "xnnpack", "--quantize", "ptq", *options, "--out", str(out), *more]
    )
    return status, next(out.iterdir()), options


def check(folder: Path, options: list[str], *more: str) -> dict:
    """What the verifier, which has to pass, writes about a bundle."""
    figures = folder.parent / "figures.json"
    assert verify.main([str(folder), *options, *more, "--json", str(figures)]) == 0
    return json.loads(figures.read_text())


def test_the_golden_clip_is_one_that_can_be_read(data: Path, monkeypatch) -> None:
    damage(data / "test" / CLASSES[0] / "00")
    status, folder, _ = export(data, monkeypatch)
    assert status == 0
    pixels = reader.load(folder).golden("pixels")
    second = [Image.open(data / "test" / CLASSES[0] / "01" / f"{t}.png") for t in range(1, 7)]
    np.testing.assert_array_equal(pixels, np.stack(second).transpose(0, 3, 1, 2))
    black = torch.zeros(6, 3, 64, 64, dtype=torch.uint8)
    assert "none of the 2 held-out clips" in refusal(lambda: _first_readable([(black, IGNORE)] * 2))


def test_export_and_verify_on_a_folder(data: Path, monkeypatch) -> None:
    status, folder, options = export(data, monkeypatch)
    assert status == 0
    manifest = reader.load(folder).manifest
    assert manifest["labels"] == CLASSES
    assert manifest["accuracy"]["data"] == "folder clips, test split"
    assert manifest["accuracy"]["clips"] == 21
    assert manifest["accuracy"]["broken"] == 0
    assert manifest["accuracy"]["agreement"] == 100.0
    assert manifest["quantization"]["calibration_clips"] == 6
    report = check(folder, options)
    assert report["clips"] == 21
    for key in report.keys() & manifest["accuracy"].keys():
        assert report[key] == manifest["accuracy"][key]
    assert check(folder, options, "--clips", "5")["clips"] == 5


def jester_export(root: Path, monkeypatch, info: dict, *more: str) -> tuple[Path, list[str], list]:
    """An export on Jester by its label files, and the samplings that clips were chosen by."""
    data = write_jester(root / "jester", train=54, val=27, frames=8)
    path = root / "tiny.safetensors"
    make_shallow(monkeypatch)
    checkpoint.save(path, make_model(num_classes=len(LABELS)), list(LABELS), info)
    install(monkeypatch)
    used, choose = set(), records.choose
    monkeypatch.setattr(
        records, "choose", lambda times, kind, *rest: used.add(kind) or choose(times, kind, *rest)
    )
    options = ["--checkpoint", str(path), "--data", str(data), *more]
    out = root / "out"
    argv = ["--target", "xnnpack", "--quantize", "ptq", "--clips", "5", "--out", str(out)]
    assert export_cli.main([*argv, *options]) == 0
    return next(out.iterdir()), options, used


@pytest.mark.parametrize("given", [True, False])
def test_a_published_data_set_is_seen_as_the_model_was_trained(
    given: bool, tmp_path: Path, monkeypatch, capsys
) -> None:
    info = {} if given else {"settings": {"sampling": "segments"}}
    more = ["--dataset", "jester", "--sampling", "segments"] if given else []
    folder, options, used = jester_export(tmp_path, monkeypatch, info, *more)
    assert used == {"segments"}
    manifest = reader.load(folder).manifest
    # Its test labels were never published: the figures are not called those of a test split.
    assert manifest["accuracy"]["data"] == "jester jester, val split"
    assert manifest["accuracy"]["clips"] == 5
    assert manifest["quantization"]["calibration_clips"] == 54
    assert ("recognised by its label files" in capsys.readouterr().err) == (not given)
    used.clear()
    monkeypatch.setattr(
        "mobile_export.verify.accuracy.BATCH", 27
    )  # no worker, which would not tell
    assert check(folder, options)["clips"] == 27
    assert used == {"segments"}


def test_options_of_clips_need_clips(data: Path, monkeypatch) -> None:
    for option in (["--dataset", "jester"], ["--sampling", "segments"], ["--max-broken", "5"]):
        told = refusal(lambda more=option: export_cli.main(["--target", "xnnpack", *more]))
        assert told.startswith(f"{option[0]} is of clips in a folder")
    cut(data / "test" / CLASSES[1] / "03" / "0.png")
    strict = ["--max-broken", "0"]
    assert "--max-broken" in refusal(lambda: export(data, monkeypatch, *strict))
    status, folder, options = export(data, monkeypatch)
    assert status == 0
    assert "--max-broken" in refusal(lambda: check(folder, [*options, *strict]))


def test_broken_clips_are_counted(data: Path, monkeypatch, capsys) -> None:
    damage(data / "test" / CLASSES[0] / "04")  # the first in the shuffled order of these 20
    cut(data / "test" / CLASSES[1] / "03" / "0.png")  # cannot even be opened
    figures = data.parent / "figures.json"
    status, folder, options = export(data, monkeypatch, "--json", str(figures))
    assert status == 0
    assert "19, and 2 broken" in capsys.readouterr().out
    (exported,) = json.loads(figures.read_text())
    for found in (reader.load(folder).manifest["accuracy"], exported, check(folder, options)):
        assert (found["clips"], found["broken"]) == (19, 2)
    # Five clips, the damaged one among them, are read without a worker.
    few = check(folder, options, "--clips", "5")
    assert (few["clips"], few["broken"]) == (4, 2)


@pytest.mark.parametrize(
    ("spoils", "ways"),
    [(True, ["ptq", "qat"]), pytest.param(False, ["ptq"], marks=pytest.mark.slow)],
)
def test_int8_learns_only_where_calibration_is_not_enough(data, monkeypatch, spoils, ways) -> None:
    path, out, tried = make_checkpoint(data.parent, CLASSES), data.parent / "out", []

    def training_of(checkpoint, target, terms, step):
        tried.append(terms.quantize)
        return Training([torch.zeros(6, 3, 64, 64)], 1)

    def change(outputs: list[torch.Tensor]) -> list[torch.Tensor]:
        logits, *state = outputs
        return [logits.roll(1, -1) if spoils and tried[-1] == "ptq" else logits, *state]

    install(monkeypatch, change=change)
    monkeypatch.setattr(exporter, "training_of", training_of)
    argv = ["--target", "xnnpack", "--checkpoint", str(path), "--data", str(data)]
    assert export_cli.main([*argv, "--out", str(out)]) == 0  # auto, for a model of one's own
    assert tried == ways
    assert [p.name.endswith(".rejected") for p in out.iterdir()] == [False]
    tried.clear()
    given = export_cli.main([*argv, "--quantize", "qat", "--out", str(out)])
    assert (given, tried) == (0, ["qat"])


def test_the_bundled_checkpoint_is_exported_with_what_it_has_learned(monkeypatch) -> None:
    asked = []

    def stopped(checkpoint, target, request, step):
        asked.append(request.quantize)
        raise BadInput("that is all")

    monkeypatch.setattr(exporter, "_export", stopped)
    for quantize in (None, "ptq", "auto"):
        with pytest.raises(BadInput, match="that is all"):
            exporter.export("xnnpack", quantize=quantize)
    assert asked == ["qat", "ptq", "auto"]
