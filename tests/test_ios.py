"""The iOS demo, as far as a machine without Apple's SDK can check it.

The recogniser is built and tested by Swift itself, the app is compiled against stand-ins of Apple's
modules (ios_demo/check/). This file runs both, holds what Swift wrote to the schemas, and lets the
Swift recogniser drive a Core ML package that this project's interpreter executes.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import android_vectors
import mil_server
import numpy as np
import pytest
import torch
from pbxproj import XcodeProject
from recordings import draw, stream

from mobile_export.bundle.reader import Bundle, validate
from mobile_export.bundle.runner import open_runner
from mobile_export.latency import document
from mobile_export.live.recognizer import Recognizer

DEMO = Path(__file__).parents[1] / "ios_demo"
NO_SWIFT = 4  # check/swift.sh's exit status
MINUTES = 9  # for building and testing the package, on a machine that does other things as well
FPS = 30
HEIGHT, SIDE = 128, 16  # rows of the upright picture, columns beside the square
TURN = 90  # degrees clockwise from the sensor's picture to the upright one
OLDEST = (17, 0)  # IPHONEOS_DEPLOYMENT_TARGET


def run(
    script: str, *arguments: str, demo: Path = DEMO, scratch: Path | None = None
) -> subprocess.CompletedProcess:
    """A script of ios_demo/check; no root of Debian is made for it."""
    environment = {**os.environ, "SWIFT_GET": "no"}
    if scratch:
        environment["SWIFT_SCRATCH"] = str(scratch)
    return subprocess.run(
        ["bash", demo / "check" / script, *arguments],
        capture_output=True,
        text=True,
        timeout=60 * MINUTES,
        env=environment,
    )


@pytest.fixture(scope="module")
def swift() -> None:
    """Skips where there is no Swift."""
    done = run("swift.sh", "swift", "--version")
    if done.returncode == NO_SWIFT:
        pytest.skip(f"the iOS demo is not built: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def modules(swift: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stand-ins are compiled once for several copies of the app."""
    return tmp_path_factory.mktemp("modules")


@pytest.fixture(scope="module")
def tested(swift: None) -> str:
    """The report that the package's own tests wrote."""
    done = run("check.sh", "package")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    passed = re.search(r"Test run with (\d+) tests passed", done.stdout + done.stderr)
    assert passed, done.stdout[-2000:]
    assert int(passed[1]) >= 45
    print(passed[0])
    where = run("swift.sh", "sh", "-c", "cat $SCRATCH/report.json")
    assert where.returncode == 0, where.stderr
    return where.stdout


def test_the_recogniser_builds_and_its_report_follows_the_schema(tested: str) -> None:
    report = json.loads(tested)
    document.validate(report, "report.json")
    assert [r["paced_at"] for r in report["runs"]] == [None, 10]


def test_the_app_compiles_against_the_stand_ins(modules: Path) -> None:
    done = run("check.sh", "app", scratch=modules)
    assert done.returncode == 0, done.stderr[-6000:]


def test_swift_is_formatted(swift: None) -> None:
    done = run("check.sh", "format")
    assert done.returncode == 0, done.stderr[-3000:]


def write_recording(folder: Path) -> tuple[list[np.ndarray], list[float]]:
    """A rendered recording of four gestures as an iPhone's sensor gives it: frames in NV12.

    Gives the upright RGB pictures that these frames hold, and their time stamps in seconds.
    """
    scene, length = stream()
    frames = draw(scene, np.arange(0, length, 1 / FPS), HEIGHT)  # uint8 (T, 3, H, H)
    frames = torch.nn.functional.pad(frames, (SIDE, SIDE)).permute(0, 2, 3, 1).numpy()
    pictures = []
    with (folder / "recording.nv12").open("wb") as file:
        for frame in frames:
            sensor = np.ascontiguousarray(np.rot90(frame, TURN // 90))  # counterclockwise
            height, width = sensor.shape[:2]
            data = android_vectors.to_yuv(sensor)  # Y, U, V
            chroma = data[height * width :].reshape(2, -1).T  # pairs of U and V
            file.write(data[: height * width].tobytes() + chroma.tobytes())
            rgb = android_vectors.to_rgb(data, width, height)
            pictures.append(np.ascontiguousarray(np.rot90(rgb, -TURN // 90)))
    times = [i / FPS for i in range(len(frames))]
    facts = {"width": width, "height": height, "rotation": TURN, "times": times}
    (folder / "recording.json").write_text(json.dumps(facts), encoding="utf-8")
    return pictures, times


def test_swift_sees_what_python_sees(tested: str, main_job: Bundle, tmp_path: Path) -> None:
    pictures, times = write_recording(tmp_path)
    shutil.copytree(main_job.path, tmp_path / "bundle")
    recognizer = Recognizer(main_job, open_runner(main_job))
    events, ticks = [], 0
    for time, picture in zip(times, pictures, strict=True):
        moment = recognizer.frame(time, lambda p=picture: p)
        ticks += moment is not None
        events += moment.ended if moment else ()
    events += recognizer.forget()
    assert len(events) >= 3  # else equal events tell nothing

    command = ["bash", DEMO / "check" / "swift.sh", "sh", "-c"]
    command.append('"$SCRATCH/recognizer/debug/Replay" "$FIXTURES" --report')
    environment = {**os.environ, "FIXTURES": str(tmp_path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment,
    ) as replay:  # fmt: skip
        calls = mil_server.serve(main_job, replay.stdout, replay.stdin)
        said = replay.stderr.read().decode()
    assert replay.returncode == 0, said
    seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    print(f"{calls} calls, golden clip {seen['golden']:.2e} of {seen['tolerance']:.2e}")
    assert seen["golden"] <= seen["tolerance"]
    assert seen["taken"] == ticks
    assert [e["label"] for e in seen["events"]] == [e.label for e in events]
    tick = 1 / main_job.manifest["input"]["frame_rate"] + 1e-6
    for wanted, event in zip(events, seen["events"], strict=True):
        assert abs(wanted.start - event["start"]) <= tick
        assert abs(wanted.end - event["end"]) <= tick
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    document.validate(report, "report.json")
    assert report["artifact"] == document.artifact(main_job)


def test_the_manifest_that_swift_is_tested_with_follows_the_schema() -> None:
    path = DEMO / "Recognizer" / "Tests" / "Fixtures" / "manifest.json"
    validate(json.loads(path.read_text(encoding="utf-8")), path)


def test_the_project_file_is_whole() -> None:
    path = DEMO / "ActionMobile.xcodeproj" / "project.pbxproj"
    project = XcodeProject.load(str(path))
    names = set(project.objects.get_keys())
    used = re.findall(r"\b[0-9A-F]{24}\b", path.read_text(encoding="utf-8"))
    assert set(used) == names  # every object that is named exists
    assert all(used.count(name) >= 2 for name in names)  # and none is left over
    get = project.objects.get_objects_in_section
    (group,) = get("PBXFileSystemSynchronizedRootGroup")
    (package,) = get("XCLocalSwiftPackageReference")
    folders = [f for f in get("PBXFileReference") if f["lastKnownFileType"] == "folder"]
    for name in (group["path"], package["relativePath"], *(f["path"] for f in folders)):
        assert (DEMO / name).is_dir(), name
    # A reference to a folder: Xcode does not compile the packages in it, which the app reads whole.
    assert [f["path"] for f in folders] == ["Bundles"]
    settings = [c.buildSettings for c in get("XCBuildConfiguration")]
    apps = [s for s in settings if "SWIFT_VERSION" in s]
    assert len(apps) == 2
    for app in apps:
        assert app["SWIFT_VERSION"] == "6.0"
        assert app["IPHONEOS_DEPLOYMENT_TARGET"] == f"{OLDEST[0]}.{OLDEST[1]}"
        assert app["INFOPLIST_KEY_NSCameraUsageDescription"]


def test_every_word_is_in_the_catalogue_and_every_entry_is_used() -> None:
    text = (DEMO / "App" / "Localizable.xcstrings").read_text(encoding="utf-8")
    entries = json.loads(text)["strings"]
    source = "\n".join(f.read_text(encoding="utf-8") for f in (DEMO / "App").glob("*.swift"))
    keys = r'(?:String\(localized: |\bText\(|\bButton\()"([^"]+)"'
    assert set(re.findall(keys, source)) == set(entries)
    for key, entry in entries.items():
        value = entry["localizations"]["en"]["stringUnit"]["value"]
        places = {int(n) for n in re.findall(r"%(\d)\$", value)}
        assert places == set(range(1, len(places) + 1)), key
        call = re.search(rf'format\(\s*String\(localized: "{key}"\),([^;]*?)\)(?:\n|$)', source)
        assert bool(places) == bool(call), key


def test_both_demos_say_the_same() -> None:
    """Words of the same name are the same, but for what the systems do differently."""
    android = (DEMO.parent / "android_demo/app/src/main/res/values/strings.xml").read_text()
    strings = dict(re.findall(r'<string name="(\w+)">(.*?)</string>', android))
    text = (DEMO / "App" / "Localizable.xcstrings").read_text(encoding="utf-8")
    mine = {
        key: entry["localizations"]["en"]["stringUnit"]["value"]
        for key, entry in json.loads(text)["strings"].items()
    }
    own = {"camera_in_use", "model", "measured", "choose_model"}
    for key in (set(strings) & set(mine)) - own:
        swift = mine[key].replace("$lld", "$d").replace("$@", "$s")
        assert swift == strings[key].replace("\\'", "'"), key


def declarations() -> list[tuple[str, str, tuple[int, int]]]:
    """Module, line and first iOS of every declaration of the stand-ins that stands for Apple's."""
    found = []
    for file in sorted((DEMO / "check" / "Stubs").glob("*.swift")):
        for line in file.read_text(encoding="utf-8").splitlines():
            since = re.search(r"// iOS (\d+)\.(\d+)", line)
            if since:
                found.append((file.stem, line, (int(since[1]), int(since[2]))))
    return found


def test_every_stand_in_says_since_when() -> None:
    for file in (DEMO / "check" / "Stubs").glob("*.swift"):
        for line in file.read_text(encoding="utf-8").splitlines():
            types = re.match(r"public (?:final )?(?:class|enum|typealias|func|let) (\w+)", line)
            if types and not types[1].startswith("_"):
                assert "// iOS " in line, f"{file.name}: {line}"


def test_the_app_uses_nothing_newer_than_its_oldest_system() -> None:
    """Availability is not checked by stand-ins, so what is newer stands behind ``#available``."""
    newer: dict[str, tuple[int, int]] = {}
    for _, line, since in declarations():
        name = re.search(r"(?:class|struct|enum|func|var|let|typealias) (\w+)", line)
        if since > OLDEST and name:
            newer[name[1]] = max(since, newer.get(name[1], since))
    assert "MLComputePlan" in newer
    # Words that other declarations have as well say nothing.
    distinct = {n: s for n, s in newer.items() if n not in {"load", "Program", "Pipeline"}}
    used = set()
    for file in (DEMO / "App").glob("*.swift"):
        text = re.sub(r"//.*", "", file.read_text(encoding="utf-8"))
        for name, since in distinct.items():
            for match in re.finditer(rf"\b{name}\b", text):
                used.add(name)
                guard = f"#available(iOS {since[0]}.{since[1]}, *)"
                before = text[: match.start()].rpartition("\nfunc ")[2]
                assert guard in before, f"{file.name}: {name} needs {guard}"
    assert "MLComputePlan" in used


BREAKS = [
    ("CoreMLProgram.swift", "MLFeatureValue(pixelBuffer: made)", "MLFeatureValue(pixels: made)"),
    ("LiveModel.swift", "await pipeline.measure(request)", "pipeline.measure(request)"),
    ("Words.swift", "        case .hot: String(localized: \"camera_hot\")\n", ""),
    # A class that is not Sendable, out of its actor.
    ("Pipeline.swift", "case ready  // frames can come", "case ready(MLModel)"),
    ("CameraController.swift", "CameraFrame: @unchecked Sendable", "CameraFrame: Sendable"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new"), BREAKS)
def test_what_is_wrong_in_the_app_does_not_compile(
    modules: Path, tmp_path: Path, file: str, old: str, new: str
) -> None:
    demo = tmp_path / "ios_demo"
    shutil.copytree(DEMO, demo, ignore=shutil.ignore_patterns("Bundles", ".build"))
    path = demo / "App" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    done = run("check.sh", "app", demo=demo, scratch=modules)
    assert done.returncode == 1, done.stderr
    assert f"{file}:" in done.stderr
    assert "error: " in done.stderr
