"""Checkpoints: what is written comes back, and what is not a checkpoint is refused in one line."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import make_model, random_clip
from safetensors import safe_open
from safetensors.torch import save_file

from core import checkpoint
from core.errors import BadInput
from core.files import file_sha256
from core.model import VideoClassifier

LABELS = ["up", "down", "left", "right", "none"]


@pytest.fixture(scope="module")
def model() -> VideoClassifier:
    return make_model()


@pytest.fixture
def saved(model: VideoClassifier, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, model, LABELS, {"top1": 91.5, "command": "core.train"})
    return path


def refusal(path: Path) -> str:
    """The message with which a file is refused: one line that names the path."""
    with pytest.raises(BadInput) as caught:
        checkpoint.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def rewrite(path: Path, change: Callable[[dict, dict], None]) -> None:
    """Write the file again after ``change(tensors, header)``."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    change(tensors, header)
    save_file(tensors, path, metadata=header)


def change_config(path: Path, **settings: object) -> None:
    def change(_: dict, header: dict) -> None:
        header["config"] = json.dumps(json.loads(header["config"]) | settings)

    rewrite(path, change)


@torch.no_grad()
def test_round_trip(model: VideoClassifier, saved: Path) -> None:
    loaded = checkpoint.load(saved)
    assert loaded.config == model.config
    assert loaded.labels == LABELS
    assert loaded.info == {"top1": 91.5, "command": "core.train"}
    assert loaded.path == saved
    assert loaded.sha256 == file_sha256(saved)
    assert not loaded.model.training
    clip = random_clip(1, model.config, frames=3)
    assert torch.equal(loaded.model(clip), model(clip))


def test_unicode_labels(model: VideoClassifier, tmp_path: Path) -> None:
    labels = ["пауза", "手", "wischen → links", "naïve", "👍"]
    path = tmp_path / "modèle.safetensors"
    checkpoint.save(path, model, labels)
    assert checkpoint.load(path).labels == labels


def test_the_same_model_gives_the_same_bytes(model: VideoClassifier, tmp_path: Path) -> None:
    # Without care the header's order changes from one save to the next.
    written = set()
    for number in range(8):
        checkpoint.save(tmp_path / f"{number}.safetensors", model, LABELS, {"top1": 90.0})
        written.add(file_sha256(tmp_path / f"{number}.safetensors"))
    assert len(written) == 1


def test_writing_leaves_no_temporary_file(saved: Path) -> None:
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_stopped_write_keeps_the_old_checkpoint(
    model: VideoClassifier, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def stop(descriptor: int) -> None:
        os.ftruncate(descriptor, 100)
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(saved, model, LABELS)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize("count", [0, 4, 6])
def test_saving_a_wrong_number_of_labels(
    model: VideoClassifier, tmp_path: Path, count: int
) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(BadInput, match=f"{count} labels .* 5 classes") as caught:
        checkpoint.save(path, model, ["x"] * count)
    assert str(path) in str(caught.value)
    assert not path.exists()


def test_missing(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.safetensors")


def test_folder(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.parametrize("part", [0.0, 0.0001, 0.01, 0.5, 0.999])
def test_truncated_or_empty(saved: Path, part: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * part)])
    assert "not a whole safetensors file" in refusal(saved)


@pytest.mark.parametrize("content", [b"hello\n", b"{}" * 40, b"\0" * 64, b"\xff" * 4096])
def test_other_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    refusal(path)


class Payload:
    """Unpickling this touches a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("writer", ["pickle", "torch", "torch-legacy"])
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_pickle_with_code_is_never_executed(tmp_path: Path, writer: str, name: str) -> None:
    target = tmp_path / "executed"
    path = tmp_path / name
    content = {"state_dict": {}, "code": Payload(target)}
    if writer == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=writer == "torch")
    assert "pickled checkpoints are not opened" in refusal(path)
    assert not target.exists()
    if writer == "pickle":  # the trap is a real one
        pickle.loads(path.read_bytes())
        assert target.exists()


@pytest.mark.parametrize(
    "settings",
    [{"temporal": "shift"}, {"width": 0.5}, {"num_classes": 6}],
    ids=["other temporal", "other width", "other classes"],
)
def test_tensors_of_another_architecture(saved: Path, settings: dict) -> None:
    change_config(saved, **settings)
    if "num_classes" in settings:
        rewrite(saved, lambda _, header: header.update(labels=json.dumps([*LABELS, "more"])))
    assert "does not fit" in refusal(saved)


def test_one_tensor_missing_or_too_many(saved: Path) -> None:
    rewrite(saved, lambda tensors, _: tensors.pop("classifier.bias"))
    assert "1 tensors missing, 0 unexpected" in refusal(saved)
    extra = {"classifier.bias": torch.zeros(5), "classifier.more": torch.zeros(5)}
    rewrite(saved, lambda tensors, _: tensors.update(extra))
    assert "0 tensors missing, 1 unexpected" in refusal(saved)


def test_wrong_number_of_labels(saved: Path) -> None:
    rewrite(saved, lambda _, header: header.update(labels=json.dumps(LABELS[:4])))
    assert "4 labels" in refusal(saved)


@pytest.mark.parametrize("labels", ["[1, 2, 3, 4, 5]", '"abcde"', '["a", "a", "b", "c", "d"]'])
def test_labels_that_are_none(saved: Path, labels: str) -> None:
    rewrite(saved, lambda _, header: header.update(labels=labels))
    assert "labels" in refusal(saved)


def test_unknown_setting_names_it(saved: Path) -> None:
    change_config(saved, dropout=0.5)
    assert "dropout" in refusal(saved)


@pytest.mark.parametrize("config", ["", "[]", "null", "[[1]]", '{"width": "wide"}', '{"size": 0}'])
def test_bad_config(saved: Path, config: str) -> None:
    rewrite(saved, lambda _, header: header.update(config=config))
    refusal(saved)


@pytest.mark.parametrize("missing", ["config", "labels"])
def test_header_without_an_entry(saved: Path, missing: str) -> None:
    rewrite(saved, lambda _, header: header.pop(missing))
    assert missing in refusal(saved)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_tensors_that_are_not_finite(saved: Path, value: float) -> None:
    def change(tensors: dict, _: dict) -> None:
        tensors["classifier.bias"][2] = value

    rewrite(saved, change)
    assert "NaN or infinity in 1 tensors, first classifier.bias" in refusal(saved)


def test_name_that_is_too_long(tmp_path: Path) -> None:
    assert "File name too long" in refusal(tmp_path / ("x" * 300))


def test_unknown_format(saved: Path) -> None:
    rewrite(saved, lambda _, header: header.update(format="action-mobile-99"))
    assert "action-mobile-99" in refusal(saved)


def test_safetensors_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    assert "format None" in refusal(path)


def test_hash_of_a_folder_knows_names_and_contents(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder / "inner").mkdir(parents=True)
        (tmp_path / folder / "inner" / "one").write_bytes(b"1")
    one, other = tmp_path / "a", tmp_path / "b"
    assert file_sha256(one) == file_sha256(other)
    (other / "inner" / "one").rename(other / "inner" / "two")
    assert file_sha256(one) != file_sha256(other)


def test_what_a_system_leaves_in_a_folder_does_not_count(tmp_path):
    (tmp_path / "Data").mkdir()
    (tmp_path / "Data" / "weight.bin").write_bytes(b"w")
    before = file_sha256(tmp_path)
    for name in (".DS_Store", "._weight.bin"):
        (tmp_path / "Data" / name).write_bytes(b"Bud1")
    assert file_sha256(tmp_path) == before
    (tmp_path / "Data" / ".hidden").write_bytes(b"")
    assert file_sha256(tmp_path) != before
