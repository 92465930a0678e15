"""How tests are dealt out to workers, and what tests of several files share.

A file stays on one worker, since its fixtures are dear, and so do files that share what is made in
a process (lowered programs). The longest come first, so that no worker is left alone at the end.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from datasets import write_jester
from filelock import FileLock
from helpers import make_shallow
from xdist.scheduler import LoadScopeScheduling

# Files whose tests share programs, of ``short_models.short_program`` and ``short_vulkan``.
PROGRAMS = (
    "test_xnnpack", "test_native", "test_instructions", "test_operators", "test_kernels",
    "test_latency", "test_runner",
)  # fmt: skip
VULKAN = ("test_vulkan", "test_vulkan_interpreter")
GROUPS = dict.fromkeys(PROGRAMS, "programs") | dict.fromkeys(VULKAN, "vulkan")
# By the processor seconds of a run on two busy cores: what takes longest is first, and what waits
# for a bundle not while the other worker makes it, as test_accuracy_drop does. Swift may still be
# on its way when the first tests run. All others follow by their names.
FIRST = (
    "test_accuracy_drop", "test_coreml", "programs", "test_android", "test_ios", "vulkan",
    "test_api", "test_family_export", "test_serve", "test_diagnose", "test_export_folder",
    "test_gate", "test_export",
)  # fmt: skip


def group_of(file: str) -> str:
    """The group of a test file, given without its suffix, that stays on one worker."""
    return GROUPS.get(file, file)


class ByGroup(LoadScopeScheduling):
    """Gives a worker one group after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(Path(nodeid.partition("::")[0]).stem)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByGroup:
    return ByGroup(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """One thread of torch for each worker and what it starts, which take over this environment."""
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(group_of(item.path.stem), len(FIRST)))  # stable


@pytest.fixture
def shallow(monkeypatch) -> None:
    """MobileNet V2 has three blocks: for tests of what surrounds a model."""
    make_shallow(monkeypatch)


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """``once(name, make)`` is a folder that ``make(folder)`` fills in one worker and all read."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # of all workers

    def shared(name: str, make: Callable[[Path], object]) -> Path:
        folder, half = root / "shared" / name, root / "shared" / f"{name}.half"
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                shutil.rmtree(half, ignore_errors=True)  # of a worker that failed
                half.mkdir()
                make(half)
                half.rename(folder)
        return folder

    return shared


@pytest.fixture(scope="module")
def jester(tmp_path_factory) -> Path:
    """A small data set in Jester's layout."""
    return write_jester(tmp_path_factory.mktemp("jester"), train=12, val=3, frames=6)


@pytest.fixture(scope="session")
def default_bundle(once):
    """The default int8 stream bundle for XNNPACK; the exporter's own gate is tested elsewhere."""
    from mobile_export import __main__ as export_cli
    from mobile_export.bundle.reader import load

    def make(folder: Path) -> None:
        argv = ["--target", "xnnpack", "--out", str(folder), "--clips", "27", "--max-drop", "100"]
        assert export_cli.main(argv) == 0

    (folder,) = once("bundle", make).iterdir()
    return load(folder)


@pytest.fixture(scope="session")
def main_job(once):
    """The bundle that the README's main job leaves: the very command, in a folder of its own."""
    from mobile_export.bundle.reader import load

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "mobile_export", "--target", "coreml"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        (folder / "printed.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
        assert done.returncode == 0, done.stderr

    (folder,) = (once("main-job", make) / "artifacts").iterdir()
    return load(folder)


@pytest.fixture(scope="session")
def rendered_recording(once) -> tuple[np.ndarray, list]:
    """Four gestures at 30 frames a second, uint8 (T, 3, 128, 128), and their segments."""
    from recordings import draw, stream

    scene, length = stream()

    def make(folder: Path) -> None:
        np.save(folder / "frames.npy", draw(scene, np.arange(0, length, 1 / 30), 128).numpy())

    return np.load(once("recording", make) / "frames.npy"), scene.segments


@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable]:
    """``chromium(*flags)`` starts Debian's browser; its driver serves all pages of a file.

    It ends with the file: while Playwright runs, ``asyncio.run`` refuses to in this process.
    """
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium")
    with driver.sync_playwright() as started:
        yield lambda *flags: started.chromium.launch(
            executable_path=path, args=["--no-sandbox", *flags]
        )
