"""What cannot be used is refused with one line and exit status 2, and nothing is left behind."""

import errno
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fake_target import LABELS, install, make_checkpoint, use_noise_clips
from helpers import make_model
from safetensors.torch import save_file

from core import checkpoint
from core.errors import BAD_INPUT, BadInput, run_main
from mobile_export import __main__ as export_cli
from mobile_export.console import check_json_path
from mobile_export.verify import __main__ as verify

ROOT = Path(__file__).parents[1]
LONG = "x" * 300  # no file system takes such a name


def tree(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def refused(main, argv: list[str], folder: Path, said: str) -> None:
    """``main(argv)`` raises a one-line ``BadInput`` and changes nothing below ``folder``."""
    before = tree(folder)
    with pytest.raises(BadInput, match=said) as error:
        main(argv)
    assert "\n" not in str(error.value)
    assert tree(folder) == before


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch, shallow) -> Path:
    path = make_checkpoint(tmp_path)
    install(monkeypatch)
    use_noise_clips(monkeypatch, path)
    return path


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "--target is missing"),
        (["--target", "tflite"], "tflite"),
        (["--target", "coreml", "--form", "window"], "window"),
        (["--target", "coreml", "--precision", "int4"], "int4"),
        (["--target", "xnnpack", "--precision", "fp16"], "xnnpack stream fp16 is refused because"),
        (["--target", "vulkan", "--form", "clip"], "batch 1"),
        (["--target", "coreml", "--form", "clip"], "coreml clip int8 is refused because"),
        (["--target", "xnnpack", "--deployment-target", "iOS18"], "is of Core ML, and xnnpack has"),
        (["--target", "coreml", "--deployment-target", "iOS16"], "invalid choice: 'iOS16'"),
        (["--target", "coreml", "--clips", "0"], "0 is not a whole number of at least 1"),
        (["--target", "coreml", "--clips", "many"], "many"),
        (["--target", "coreml", "--max-drop", "nan"], "nan is not a number of at least 0"),
        (["--target", "coreml", "--max-drop", "-1"], "-1 is not a number of at least 0"),
        (["--target", "coreml", "--json", "/no/such/folder/x.json"], "--json"),
        (["--target", "coreml", "--quantize", "awq"], "awq"),
        (["--target", "coreml", "--qat-steps", "0"], "0 is not a whole number of at least 1"),
        (["--target", "coreml", "--qat-lr", "inf"], "inf is not a"),
        (["--target", "coreml", "--quantize", "ptq", "--qat-lr", "1"], "are for --quantize qat"),
        (["--target", "coreml", "--unknown"], "--unknown"),
    ],
)
def test_command_line(argv: list[str], said: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(export_cli.main, argv, tmp_path, said)


def test_status_and_line_of_a_real_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mobile_export", "--target", "vulkan", "--form", "clip"]
    command += ["--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: vulkan clip int8 is refused")
    assert done.stderr.count("\n") == 1
    assert tree(tmp_path) == []


def test_a_full_disk_is_one_line_wherever_it_shows(capsys) -> None:
    def full() -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "runs/qat/x")

    with pytest.raises(SystemExit) as ended:
        run_main(full)
    assert ended.value.code == BAD_INPUT
    line = "error: runs/qat/x: No space left on device: make room, or give a place that can be "
    assert capsys.readouterr().err == line + "written\n"

    def other() -> int:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        run_main(other)


def test_damaged_checkpoint_in_a_real_process(tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(make_checkpoint(tmp_path).read_bytes()[:1000])
    command = [sys.executable, "-m", "mobile_export", "--target", "xnnpack"]
    command += ["--checkpoint", str(path), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: checkpoint ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


class Bomb:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["missing", "folder", "truncated", "pickle", "other", "labels"])
def test_checkpoint(kind: str, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "given.safetensors"
    said = "is not a whole safetensors file"
    if kind == "missing":
        said = "does not exist"
    elif kind == "folder":
        said = "is a folder"
        path.mkdir()
    elif kind == "truncated":
        path.write_bytes(tiny.read_bytes()[:-100])
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    elif kind in ("other", "labels"):
        config = make_model().config.to_dict()
        tensors = make_model(temporal="shift" if kind == "other" else "action").state_dict()
        labels = LABELS if kind == "other" else LABELS[:-1]
        header = {"format": checkpoint.FORMAT, "config": json.dumps(config)}
        save_file(tensors, path, metadata=header | {"labels": json.dumps(labels)})
        said = "architecture" if kind == "other" else "4 labels for a classifier of 5"
    argv = ["--target", "xnnpack", "--checkpoint", str(path), "--out", str(tmp_path / "out")]
    refused(export_cli.main, argv, tmp_path, said)


def test_bidirectional_checkpoint_has_no_stream(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path, causal=False)
    argv = ["--target", "xnnpack", "--checkpoint", str(path), "--out", str(tmp_path / "out")]
    refused(export_cli.main, argv, tmp_path, "bidirectional action model cannot stream")


def test_checkpoint_with_nan(tiny: Path, tmp_path: Path) -> None:
    model = make_model()
    torch.nn.init.constant_(model.classifier.bias, torch.nan)
    checkpoint.save(tmp_path / "nan.safetensors", model, LABELS)
    argv = ["--target", "xnnpack", "--checkpoint", str(tmp_path / "nan.safetensors")]
    said = r"holds NaN or infinity in 1 tensors, first classifier\.bias"
    refused(export_cli.main, [*argv, "--out", str(tmp_path / "out")], tmp_path, said)


def test_checkpoint_whose_logits_overflow(tiny: Path, tmp_path: Path) -> None:
    model = make_model()
    torch.nn.init.constant_(model.classifier.weight, 3e38)
    checkpoint.save(tmp_path / "huge.safetensors", model, LABELS)
    argv = ["--target", "xnnpack", "--checkpoint", str(tmp_path / "huge.safetensors")]
    argv += ["--precision", "fp32", "--out", str(tmp_path / "out")]
    refused(export_cli.main, argv, tmp_path, "not finite")


def test_output_folder(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    below = tmp_path / "file" / "below"
    # Root may write into any folder, but not below /proc, nor under a name of 300 characters.
    for out in (tmp_path / "file", below, Path("/proc/none/out"), tmp_path / LONG):
        argv = ["--target", "xnnpack", "--checkpoint", str(tiny), "--out", str(out)]
        refused(export_cli.main, argv, tmp_path, "--out .* cannot be written")


@pytest.mark.parametrize("main", [export_cli.main, verify.main])
@pytest.mark.parametrize("json", ["/proc/none.json", LONG, "folder", "file/below.json"])
def test_json_that_cannot_be_written(main, json: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    argv = ["--target", "coreml"] if main is export_cli.main else [str(tmp_path)]
    refused(main, [*argv, "--json", str(tmp_path / json)], tmp_path, "--json .* cannot be written")


def test_json_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    check_json_path(tmp_path / "new.json")
    (tmp_path / "old.json").write_text("kept")
    check_json_path(tmp_path / "old.json")
    assert tree(tmp_path) == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "kept"


def test_names_that_are_too_long(tiny: Path, tmp_path: Path) -> None:
    argv = ["--target", "xnnpack", "--quantize", "ptq", "--out", str(tmp_path / "out")]
    argv.append("--checkpoint")
    refused(export_cli.main, [*argv, str(tmp_path / LONG)], tmp_path, "cannot be read")
    argv += [str(tiny), "--data", str(tmp_path / LONG)]
    refused(export_cli.main, argv, tmp_path, "neither a folder nor a list")
    refused(verify.main, [str(tmp_path / LONG)], tmp_path, "cannot be read")
    out = tmp_path / "out"
    assert export_cli.main([*argv[:-2]]) == 0
    (made,) = out.iterdir()
    argv = [str(made), "--checkpoint", str(tmp_path / LONG)]
    refused(verify.main, argv, tmp_path, "cannot be read")


def test_operator_outside_the_delegate(tiny: Path, tmp_path: Path, monkeypatch) -> None:
    install(monkeypatch, refuse="aten.conv3d.default\nstays outside the delegate")
    argv = ["--target", "xnnpack", "--checkpoint", str(tiny), "--out", str(tmp_path / "out")]
    argv += ["--quantize", "ptq"]
    refused(export_cli.main, argv, tmp_path, r"cannot be lowered: aten\.conv3d\.default stays")


def data_folder(root: Path, labels: list[str], clips: int) -> Path:
    from core.data.folder import write_clip

    for number, label in enumerate(labels):
        (root / label).mkdir(parents=True)
        for clip in range(clips):
            frames = torch.full((6, 3, 64, 64), 20 * number + clip, dtype=torch.uint8)
            write_clip(root / label / f"{clip}.mp4", frames, 10.0)
    return root


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "neither a folder nor a list"),
        ("file", "neither a folder nor a list"),
        ("no classes", "has no sub-folder"),
        ("empty classes", "has no test clips"),
        ("other classes", "unknown class 'left'"),
    ],
)
def test_data_folder(kind: str, said: str, tmp_path: Path, monkeypatch) -> None:
    tiny = make_checkpoint(tmp_path)
    install(monkeypatch)
    data = tmp_path / "data"
    if kind == "file":
        data.write_text("no folder")
    elif kind == "no classes":
        data.mkdir()
    elif kind == "empty classes":
        data_folder(data, LABELS, 0)
    elif kind == "other classes":
        data_folder(data, ["left", "right"], 3)
    argv = ["--target", "xnnpack", "--checkpoint", str(tiny), "--data", str(data)]
    refused(export_cli.main, [*argv, "--out", str(tmp_path / "out")], tmp_path, said)


def test_own_labels_need_own_data(tmp_path: Path, monkeypatch) -> None:
    tiny = make_checkpoint(tmp_path)
    install(monkeypatch)
    argv = ["--target", "xnnpack", "--checkpoint", str(tiny), "--out", str(tmp_path / "out")]
    refused(export_cli.main, argv, tmp_path, "--data DIR")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("no bundle", "holds no manifest.json"),
        ("no manifest", "holds no manifest.json"),
        ("no json", "is not JSON"),
        ("no schema", "is not a valid manifest .*is a required property"),
    ],
)
def test_bundle(kind: str, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    if kind != "no bundle":
        folder.mkdir()
    if kind == "no json":
        (folder / "manifest.json").write_text("{")
    if kind == "no schema":
        (folder / "manifest.json").write_text('{"schema": 1}')
    refused(verify.main, [str(folder)], tmp_path, said)


@pytest.mark.parametrize("options", [["--clips", "0"], ["--max-drop", "nan"], []])
def test_verify_command_line(options: list[str], tmp_path: Path) -> None:
    argv = [*options, str(tmp_path)] if options else []
    refused(verify.main, argv, tmp_path, "see python -m mobile_export.verify --help")


def test_clips_of_another_size(tiny: Path, tmp_path: Path, monkeypatch) -> None:
    import core.data
    from core.data import open_clips

    def wrong(*args, **kwargs):
        clips = open_clips(*args, **kwargs)
        clips.pixels = clips.pixels[..., :-1]
        return clips

    monkeypatch.setattr(core.data, "open_clips", wrong)
    argv = ["--target", "xnnpack", "--checkpoint", str(tiny), "--precision", "fp32"]
    argv += ["--out", str(tmp_path / "out")]
    refused(export_cli.main, argv, tmp_path, r"shape \(.*\): this model takes")
