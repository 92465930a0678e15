"""The Android demo's recogniser, built and tested by Maven, against Python's answers.

The Kotlin code is tested by JUnit in android_demo/. This file prepares what those tests need of
this side: a recording as a camera gives it, the events that ``mobile_export.live`` sees in it,
tensors with their logits, and the native runner, which Kotlin talks to over its standard streams.
"""

import gzip
import json
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import android_vectors
import numpy as np
import pytest
import torch

from core.errors import BadInput
from mobile_export.bundle.reader import Bundle, validate
from mobile_export.bundle.runner import open_runner
from mobile_export.latency import document
from mobile_export.live.recognizer import Recognizer
from mobile_export.runtime.native import build

DEMO = Path(__file__).parents[1] / "android_demo"
RESOURCES = DEMO / "recognizer" / "src" / "test" / "resources"
FPS = 30
HEIGHT, SIDE = 128, 16  # rows of the upright picture, columns beside the square
TURN = 90  # degrees clockwise from the sensor's picture to the upright one, as in most phones
TENSORS = 40  # frames whose input tensors go to Kotlin as they are
NOT_BUILT = "the Android demo is not built"
MINUTES = 8  # for Maven's first run, which downloads; later ones take one
# What Maven says when its repository cannot be reached. A version that does not exist is a failure.
UNREACHABLE = (
    "Could not transfer artifact",
    "in offline mode",
    "UnknownHost",
    "Connection refused",
)


@pytest.fixture(scope="module")
def mvn() -> str:
    """Maven's path; skips where it or a JDK is missing."""
    found = shutil.which("mvn")
    if found is None:
        pytest.skip(f"{NOT_BUILT}: mvn is missing (apt-get install maven)")
    if shutil.which("javac") is None:
        pytest.skip(f"{NOT_BUILT}: a JDK is missing (apt-get install openjdk-17-jdk)")
    return found


@pytest.fixture
def fixtures(mvn: str, default_bundle: Bundle, rendered_recording, tmp_path: Path) -> Path:
    """The folder that -Dfixtures names."""
    try:
        command = build.host_command()
    except BadInput as error:
        pytest.skip(f"the Android demo's end-to-end test needs the native runner: {error}")
    pictures, times = write_recording(tmp_path / "recording.i420", rendered_recording[0])
    recognizer = Recognizer(default_bundle, open_runner(default_bundle))
    calls = []
    inner = recognizer.stream._call

    def remember(inputs: list) -> list:
        outputs = inner(inputs)
        calls.append((inputs[0].clone(), outputs[0].clone()))
        return outputs

    recognizer.stream._call = remember
    events = []
    for nanoseconds, picture in zip(times, pictures, strict=True):
        moment = recognizer.frame(nanoseconds / 1e9, lambda p=picture: p)
        events += moment.ended if moment else ()
    events += recognizer.forget()
    assert len(events) >= 3  # else equal events tell nothing
    order = default_bundle.inputs[0].dim_order
    tensors = torch.cat([x.permute(order).contiguous() for x, _ in calls[:TENSORS]])
    (tmp_path / "tensors.f32").write_bytes(tensors.numpy().astype("<f4").tobytes())
    logits = torch.cat([y for _, y in calls[:TENSORS]])
    (tmp_path / "logits.f32").write_bytes(logits.numpy().astype("<f4").tobytes())
    content = {
        "bundle": str(default_bundle.path),
        "runner": command,
        "width": HEIGHT,  # the sensor's picture lies on its side
        "height": HEIGHT + 2 * SIDE,
        "rotation": TURN,
        "times": times,
        "ticks": len(calls),
        "tensors": len(tensors),
        "events": [{"label": e.label, "start": e.start, "end": e.end} for e in events],
    }
    (tmp_path / "fixtures.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def write_recording(path: Path, frames: np.ndarray) -> tuple[list[np.ndarray], list[int]]:
    """A rendered recording (T, 3, H, H) as the sensor's frames in I420, one after the other.

    Gives the upright RGB pictures that these frames hold, and their time stamps in nanoseconds.
    """
    assert frames.shape[2] == HEIGHT
    frames = np.pad(frames, ((0, 0), (0, 0), (0, 0), (SIDE, SIDE))).transpose(0, 2, 3, 1)
    pictures = []
    with path.open("wb") as file:
        for frame in frames:
            sensor = np.rot90(frame, TURN // 90)  # counterclockwise: turned back it is upright
            data = android_vectors.to_yuv(sensor)
            file.write(data.tobytes())
            rgb = android_vectors.to_rgb(data, sensor.shape[1], sensor.shape[0])
            pictures.append(np.ascontiguousarray(np.rot90(rgb, -TURN // 90)))
    return pictures, [round(i * 1e9 / FPS) for i in range(len(frames))]


def run_maven(command: list[str]) -> str:
    """What Maven printed. Skips where it cannot reach its repository, fails where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 * MINUTES)
    printed = done.stdout + done.stderr
    if done.returncode != 0:
        reason = next(
            (line for line in printed.splitlines() if any(u in line for u in UNREACHABLE)), ""
        )
        if reason:
            pytest.skip(f"{NOT_BUILT}: Maven's repository is out of reach ({reason})")
        pytest.fail("mvn verify failed:\n" + printed[-6000:])
    return printed


def test_kotlin_sees_what_python_sees(mvn: str, fixtures: Path, default_bundle: Bundle) -> None:
    command = [mvn, "-q", "-B", "-f", str(DEMO), "verify", f"-Dfixtures={fixtures}"]
    print(run_maven(command))
    reports = DEMO / "recognizer" / "target" / "surefire-reports"
    (report,) = reports.glob("TEST-*.EndToEndTest.xml")
    counts = ElementTree.parse(report).getroot().attrib
    assert int(counts["tests"]) >= 3
    assert counts["skipped"] == counts["failures"] == counts["errors"] == "0"
    # The report that the Kotlin benchmark wrote of this model, by this side's reading.
    written = json.loads((fixtures / "report.json").read_text(encoding="utf-8"))
    document.validate(written, "report.json")
    assert written["artifact"] == document.artifact(default_bundle)


def test_the_pictures_that_kotlin_is_held_to_are_those_of_python() -> None:
    """The committed file against today's pre-processing; 1 of 255 between processors."""
    data = np.frombuffer(gzip.decompress((RESOURCES / android_vectors.DATA).read_bytes()), np.uint8)
    rows = json.loads((RESOURCES / android_vectors.INDEX).read_text(encoding="utf-8"))["cases"]
    assert len(rows) == len(android_vectors.CASES)
    for row, case in zip(rows, android_vectors.CASES, strict=True):
        wanted = android_vectors.expected(case, data[row["picture"] : row["expected"]]).ravel()
        held = data[row["expected"] : row["expected"] + wanted.size]
        assert np.abs(wanted.astype(int) - held.astype(int)).max() <= 1, case


def test_the_manifest_that_kotlin_is_tested_with_follows_the_schema() -> None:
    path = RESOURCES / "manifest.json"
    validate(json.loads(path.read_text(encoding="utf-8")), path)
