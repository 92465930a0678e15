"""Bad command lines of the training core: one line and exit status 2, before any work."""

import subprocess
import sys
from pathlib import Path

import pytest

from core.data import __main__ as data
from core.data.rendered import synthetic
from core.errors import BadInput
from core.evaluation import cam, report, timeline
from core.training import loop

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "train": loop, "evaluate": report, "data.synthetic": synthetic, "timeline": timeline,
    "cam": cam, "data": data,
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_option_is_one_line_that_names_it_and_the_help(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"train": ["--out", "run"], "cam": ["--video", "clip.mp4"]}.get(name, [])
    with pytest.raises(BadInput) as caught:
        COMMANDS[name].main([*given, "--no-such-option"])
    line = str(caught.value)
    assert "--no-such-option" in line
    assert line.endswith(f"see python -m core.{name} --help")
    assert "\n" not in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "argv", "said"),
    [
        ("train", [], "--out"),
        ("train", ["--out", "run", "--temporal", "lstm"], "'lstm'"),
        ("train", ["--out", "run", "--size", "8"], "8 is not a whole number"),
        ("evaluate", ["--split", "all"], "'all'"),
        ("data.synthetic", [], "nothing to do: give --sheet FILE or --write DIR"),
        ("data.synthetic", ["--write", "clips", "--capsules", "brutal"], "'brutal'"),
        ("cam", [], "--video --class is required"),
        ("cam", ["--class", "Waving"], "'Waving'"),
        ("data", [], "--data DIR"),
        ("data", ["--data", "x", "--max-broken", "-1"], "-1 is not a number"),
        ("evaluate", ["--views", "10"], "10 is not CLIPSxCROPS"),
        ("timeline", ["--seconds", "0"], "0 is not a number above 0"),
        ("timeline", ["--stream", "first\nsecond"], "first second is not a whole number"),
    ],
)
def test_bad_option_is_one_line(name, argv, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=said) as caught:
        COMMANDS[name].main(argv)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_status_and_line_of_a_real_process(tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "core.train", "--out", str(out), "--steps", "many"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: argument --steps: many is not a whole number of at least 1; "
        "see python -m core.train --help\n"
    )
    assert not out.exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_still_shown(name, capsys):
    with pytest.raises(SystemExit) as caught:
        COMMANDS[name].main(["--help"])
    assert caught.value.code == 0
    assert f"python -m core.{name}" in capsys.readouterr().out


def test_rendered_gestures_need_no_reader_of_files():
    """On a GPU machine PyAV, Pillow and matplotlib may be missing."""
    block = "import sys; sys.modules.update(dict.fromkeys(('av', 'PIL', 'matplotlib')));"
    program = f"{block} import core.train, core.evaluate, core.cam"
    program += ", core.data.rendered.window_files"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
