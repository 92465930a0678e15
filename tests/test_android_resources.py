"""The Android demo's manifest and resources, linked by the tool that Gradle uses."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[1] / "android_demo"
SCRIPT = "check/link_resources.sh"
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")

needs_aapt2 = pytest.mark.skipif(
    shutil.which("aapt2") is None or not FRAMEWORK.exists(),
    reason="needs aapt2 and Android's resources: Debian's packages aapt and android-framework-res",
)


def link(demo: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run the check of a copy of the demo."""
    return subprocess.run(
        ["bash", demo / SCRIPT],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The demo without what builds left in it."""
    shutil.copytree(DEMO, tmp_path / "demo", ignore=shutil.ignore_patterns("target", "build", ".*"))
    return tmp_path / "demo"


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


@needs_aapt2
def test_manifest_and_resources_link():
    done = link(DEMO)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("linked ")


@needs_aapt2
@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("AndroidManifest.xml", "@style/AppTheme", "@style/NoTheme", "NoTheme"),
        # The backup rules of Android 12: Android 10, the oldest that the app runs on, has none.
        (
            "AndroidManifest.xml",
            'android:allowBackup="false"',
            'android:dataExtractionRules="@string/share"',
            "dataExtractionRules",
        ),
        (
            "AndroidManifest.xml",
            'android:name="android.hardware.camera"',
            'android:name="x"',
            "camera",
        ),
        ("res/layout/panel.xml", "@string/share", "@string/shared", "shared"),
        ("res/values/strings.xml", 'name="no_camera"', 'name="none"', "no_camera"),
        ("kotlin/action/mobile/app/Screen.kt", "R.id.share", "R.id.shared", "R.id.shared"),
    ],
)
def test_what_does_not_fit_is_named(copy, file, old, new, said):
    change(copy / "app/src/main" / file, old, new)
    done = link(copy)
    assert done.returncode == 1
    assert said in done.stderr


def test_missing_tool_is_one_line(tmp_path):
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = link(DEMO, PATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("error: no aapt2: install ")
    assert done.stderr.count("\n") == 1
