"""Windows of rendered people on disk: cached, whole, of what they say, and interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from datasets import write_pictures
from PIL import Image
from recordings import need_drawing

from core.data.rendered import window_files
from core.data.rendered.people.body import LEAST_SHARED
from core.data.rendered.scenes import POSE_TARGETS
from core.data.rendered.window import WINDOW
from core.errors import BadInput


def test_windows_of_people_are_cached_and_made_anew_for_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    need_drawing()
    settings = window_files.people_windows(2, 64, 10.0, 0, None)
    folder = window_files.render_windows(tmp_path / "windows", settings, 1)
    windows = window_files.SyntheticWindows(folder, 8)
    frames, labels, _, targets = windows[(0, 0)]
    assert frames.shape == (8, 3, 64, 64)
    assert labels.shape == (8,)
    assert targets.shape == (8, POSE_TARGETS)
    before = (folder / "frames.bin").read_bytes()
    window_files.render_windows(folder, settings, 1)  # nothing to do
    assert (folder / "frames.bin").read_bytes() == before
    monkeypatch.setattr(window_files, "PEOPLE_VERSION", window_files.PEOPLE_VERSION + 1)
    newer = window_files.people_windows(2, 64, 10.0, 0, None)
    window_files.render_windows(folder, newer, 1)
    assert "made anew" in capsys.readouterr().out
    with pytest.raises(BadInput, match="other settings"):
        window_files.render_windows(folder, window_files.people_windows(2, 64, 10.0, 1, None), 1)


def test_windows_that_are_damaged_or_not_whole_are_said_to_be(tmp_path: Path) -> None:
    need_drawing()
    settings = window_files.people_windows(2, 64, 10.0, 0, None)
    folder = window_files.render_windows(tmp_path / "windows", settings, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["windows"]
    meta = (folder / "meta.bin").read_bytes()
    done = np.frombuffer(meta, np.float32).copy().reshape(2, 4)
    frames = (folder / "frames.bin").read_bytes()
    done[1, 3] = 0
    done.tofile(folder / "meta.bin")
    with pytest.raises(BadInput, match="not rendered to its end"):
        window_files.SyntheticWindows(folder, 8)
    window_files.render_windows(folder, settings, 1)
    assert (folder / "meta.bin").read_bytes() == meta
    assert (folder / "frames.bin").read_bytes() == frames
    (folder / "frames.bin").write_bytes(frames[:-1])
    with pytest.raises(BadInput, match=r"holds damaged windows .*: remove it"):
        window_files.SyntheticWindows(folder, 8)
    (folder / "settings.json").write_text("{")
    with pytest.raises(BadInput, match=r"no readable settings\.json"):
        window_files.render_windows(folder, settings, 1)


def alive(group: int) -> bool:
    """Whether a process group has anybody in it."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_interrupted_rendering_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from core.data.rendered import window_files\n"
        "if __name__ == '__main__':\n"
        "    settings = window_files.capsule_windows(400, 32, 1.0, 10.0, 0)\n"
        "    window_files.render_windows(Path('windows'), settings, 1)\n"
    )
    (tmp_path / "render.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "render.py"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        meta = tmp_path / "windows" / "meta.bin"
        while not (meta.exists() and np.fromfile(meta, np.float32)[3::4].any()):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.wait(60)
    for _ in range(100):
        if not alive(process.pid):
            break
        time.sleep(0.1)
    assert not alive(process.pid), "workers are left"
    done = np.fromfile(meta, np.float32)[3::4]
    assert 0 < done.sum() < 400


def test_what_cannot_be_drawn_leaves_no_folder(tmp_path: Path) -> None:
    write_pictures(tmp_path / "rooms", LEAST_SHARED)
    (tmp_path / "rooms" / "bad.jpg").write_bytes(b"no picture")
    settings = window_files.people_windows(2, 64, 10.0, 0, tmp_path / "rooms")
    with pytest.raises(BadInput, match=r"bad\.jpg cannot be read|OpenGL|moderngl"):
        window_files.render_windows(tmp_path / "windows", settings, 1)
    assert not (tmp_path / "windows").exists()


def test_windows_know_the_backgrounds_that_they_were_made_with(tmp_path: Path) -> None:
    """Another picture in the folder moves others into other splits."""
    write_pictures(tmp_path / "rooms", LEAST_SHARED)
    settings = window_files.people_windows(2, 64, 10.0, 0, tmp_path / "rooms")
    assert settings == window_files.people_windows(2, 64, 10.0, 0, tmp_path / "rooms")
    folder = tmp_path / "windows"
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(settings))
    Image.new("RGB", (60, 40)).save(tmp_path / "rooms" / "another.jpg")
    (tmp_path / "rooms" / "notes.txt").write_text("no picture")
    with pytest.raises(BadInput, match=r"other settings \(pictures;"):
        window_files.render_windows(
            folder, window_files.people_windows(2, 64, 10.0, 0, tmp_path / "rooms"), 1
        )
    (tmp_path / "rooms" / "another.jpg").unlink()
    assert settings == window_files.people_windows(2, 64, 10.0, 0, tmp_path / "rooms")
    assert json.dumps(window_files.people_windows(2, 64, 10.0, 0, None)) == (
        '{"renderer": "people", "count": 2, "size": 64, "frame_rate": 10.0, "seed": 0, '
        f'"backgrounds": null, "window": {WINDOW}, "version": {window_files.PEOPLE_VERSION}}}'
    ), "those without backgrounds are not made anew"
