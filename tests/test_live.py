"""Live recognition on the desk: a source in, events, an annotated video and a timeline out."""

import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from clips import refusal
from fake_target import install, make_checkpoint, use_noise_clips
from PIL import Image
from recordings import need_drawing

from core.data.rendered.people.clips import PeopleStreams
from core.data.video import write_clip
from core.decision import Event
from core.errors import BAD_INPUT, BadInput
from core.evaluation.events import Gesture
from core.model import ModelConfig
from mobile_export import __main__ as export_cli
from mobile_export.bundle.reader import Bundle, load
from mobile_export.bundle.runner import open_runner
from mobile_export.live.__main__ import main
from mobile_export.live.annotate import VideoWriter
from mobile_export.live.recognizer import Recognizer
from mobile_export.live.score import score
from mobile_export.live.sources import (
    Frame,
    Interrupted,
    Newest,
    rendered_frames,
    video_frames,
)

FPS = 30
PICTURE = (48, 64)  # rows, columns
GROWTH = 8 << 20  # bytes; ten thousand ticks that kept a state each would take 1.5 GB, a frame 1 GB
# Of the four gestures in the recording. A third lies at the edge of the rule: it is right on
# processors with AVX-512, and not where AVX2 alone adds in another order.
RIGHT = 3 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 2
LOGITS = 1e-3  # the same frames through the same program, cut by another path


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch, shallow) -> Path:
    """A bundle of a small random model that a stand-in for the runtime executes."""
    path = make_checkpoint(tmp_path)
    install(monkeypatch)
    use_noise_clips(monkeypatch, path)
    argv = ["--target", "xnnpack", "--precision", "fp32", "--checkpoint", str(path)]
    assert export_cli.main([*argv, "--out", str(tmp_path / "out"), "--max-drop", "100"]) == 0
    (folder,) = (tmp_path / "out").iterdir()
    return folder


def write_video(path: Path, seconds: float) -> Path:
    generator = np.random.default_rng(0)
    still = generator.integers(0, 255, (*PICTURE, 3), np.uint8)
    frames = np.stack([np.roll(still, i, 1) for i in range(round(seconds * FPS))])
    write_clip(path, frames, FPS)
    return path


@pytest.fixture(scope="module")
def recording(rendered_recording, tmp_path_factory) -> tuple[Path, list]:
    """A rendered recording of four gestures as a camera's file, and its time line."""
    frames, segments = rendered_recording
    path = tmp_path_factory.mktemp("recording") / "camera.mp4"
    write_clip(path, torch.nn.functional.pad(torch.from_numpy(frames), (16, 16)), FPS)
    return path, segments


def test_gestures_of_a_video_become_events(default_bundle: Bundle, recording, tmp_path) -> None:
    video, segments = recording
    out, events, timeline = (tmp_path / name for name in ("a.mp4", "e.json", "t.png"))
    argv = [str(default_bundle.path), "--source", str(video), "--out", str(out)]
    assert main([*argv, "--events", str(events), "--timeline", str(timeline)]) == 0
    report = json.loads(events.read_text())
    assert report["complete"]
    assert report["artifact_sha256"] == default_bundle.manifest["artifact"]["sha256"]
    truth = [
        Gesture(s.label, s.start, s.end)
        for s in segments
        if s.label not in default_bundle.manifest["decision"]["none_labels"]
    ]
    found = score([Event(**row) for row in report["events"]], truth, report["seconds"] / 60)
    assert found.right >= RIGHT
    with av.open(str(video)) as before, av.open(str(out)) as after:
        stamps = [[float(f.time) for f in c.decode(video=0)] for c in (before, after)]
    assert stamps[1] == pytest.approx(stamps[0], abs=1e-3)
    assert Image.open(timeline).size[0] > 800
    assert report["ticks"] == pytest.approx(10 * report["seconds"], abs=2)


def test_the_live_path_is_the_clip_path(default_bundle: Bundle) -> None:
    """Frames of the model's own size and rate give the golden logits, to the bit of the runtime."""
    recognizer = Recognizer(default_bundle, open_runner(default_bundle))
    pixels, expected = default_bundle.golden("pixels"), default_bundle.golden("logits")
    seen = []
    inner = recognizer.stream._call
    recognizer.stream._call = lambda inputs: seen.append(inner(inputs)) or seen[-1]
    for t, frame in enumerate(pixels):
        recognizer.frame(t / 10, lambda f=frame: np.ascontiguousarray(f.transpose(1, 2, 0)))
    logits = torch.cat([outputs[0] for outputs in seen]).numpy()
    assert np.abs(logits - expected).max() <= LOGITS * np.abs(expected).max()


def test_outputs_of_a_tiny_model(tiny: Path, tmp_path: Path, capsys) -> None:
    video = write_video(tmp_path / "v.mp4", 2)
    events = tmp_path / "e.json"
    assert main([str(tiny), "--source", str(video), "--events", str(events)]) == 0
    report = json.loads(events.read_text())
    assert (report["frames"], report["ticks"]) == (60, 20)
    assert report["missed_ticks"] == report["resets"] == report["dropped_frames"] == 0
    assert set(report["latency"]) == {"preprocess", "execute", "postprocess", "end_to_end"}
    printed = capsys.readouterr().out
    assert "20 ticks" in printed
    assert len(report["events"]) == printed.count(" s to ")


def test_seconds_end_a_source_early(tiny: Path, tmp_path: Path) -> None:
    video, events = write_video(tmp_path / "v.mp4", 2), tmp_path / "e.json"
    argv = [str(tiny), "--source", str(video), "--seconds", "0.5", "--events", str(events)]
    assert main(argv) == 0
    assert json.loads(events.read_text())["frames"] == 15


def test_real_time_takes_as_long_as_the_source(tiny: Path, tmp_path: Path) -> None:
    video, events = write_video(tmp_path / "v.mp4", 1.5), tmp_path / "e.json"
    assert main([str(tiny), "--source", str(video), "--realtime", "--events", str(events)]) == 0
    report = json.loads(events.read_text())
    assert report["wall_seconds"] >= 1.4
    assert report["frames"] + report["dropped_frames"] == 45


def test_rendered_gestures_are_scored(tiny: Path, tmp_path: Path) -> None:
    need_drawing()
    events = tmp_path / "e.json"
    argv = [str(tiny), "--source", "synthetic", "--seconds", "8", "--events", str(events)]
    assert main(argv) == 0
    report = json.loads(events.read_text())
    assert report["score"]["gestures"] >= 1
    assert report["ticks"] == 80


@pytest.mark.slow
def test_ten_thousand_ticks_keep_nothing(default_bundle: Bundle) -> None:
    recognizer = Recognizer(default_bundle, open_runner(default_bundle))
    still = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)

    def run(first: int, last: int) -> None:
        for i in range(first, last):
            assert recognizer.frame(i / 10, lambda: still) is not None

    run(0, 1000)
    before = resident()
    run(1000, 11_000)
    assert resident() - before < GROWTH


def resident() -> int:
    """Bytes of this process in memory."""
    fields = Path("/proc/self/statm")
    if not fields.is_file():
        pytest.skip("resident memory is read on Linux alone")
    return int(fields.read_text().split()[1]) * 4096


def test_a_slow_reader_gets_the_newest_frame() -> None:
    def camera():
        for i in range(40):
            time.sleep(0.005)
            yield Frame(i / 100, lambda: None)

    source = Newest(camera(), paced=False)
    seen = []
    for frame in source:
        seen.append(frame.seconds)
        time.sleep(0.02)
    assert seen == sorted(seen)
    assert source.dropped > 10
    assert len(seen) + source.dropped == 40
    assert seen[-1] == 0.39  # the last is never lost


def test_an_error_of_the_source_comes_through() -> None:
    def camera():
        yield Frame(0.0, lambda: None)
        raise Interrupted("unplugged")

    with pytest.raises(Interrupted, match="unplugged"):
        list(Newest(camera(), paced=False))


def test_an_error_that_nobody_thought_of_is_no_end() -> None:
    def camera():
        yield Frame(0.0, lambda: None)
        raise RuntimeError("a driver's own")

    with pytest.raises(RuntimeError, match="a driver's own"):
        list(Newest(camera(), paced=False))


def test_a_camera_may_open_slowly_and_not_pause_as_long() -> None:
    def camera():
        time.sleep(0.3)
        yield Frame(0.0, lambda: None)
        time.sleep(60)

    seen = []
    with pytest.raises(Interrupted, match=r"no frame for 0\.1 s"):
        seen.extend(Newest(camera(), paced=False, patience=0.1))
    assert len(seen) == 1


def test_events_are_scored_by_label_and_time() -> None:
    gestures = [Gesture("a", 1.0, 2.0), Gesture("b", 4.0, 5.0)]
    events = [
        Event("a", 2.4, 2.6, 0.9),  # begins within half a second after the end
        Event("a", 2.7, 2.9, 0.9),  # too late, and the gesture has its event
        Event("a", 4.2, 4.9, 0.9),  # another label
        Event("b", 3.0, 4.0, 0.9),  # overlaps its first moment
    ]
    found = score(events, gestures, 2.0)
    assert (found.right, found.events, found.gestures) == (2, 4, 2)
    assert found.f1 == pytest.approx(2 * 2 / 6)
    assert found.false_a_minute == 1.0
    twice = score([Event("a", 1.1, 1.2, 0.9), Event("a", 1.7, 1.9, 0.9)], gestures, 1.0)
    assert (twice.right, twice.false_a_minute) == (1, 1.0)
    assert score([], [], 1.0).f1 == 1.0


def test_rendered_recordings_run_on() -> None:
    need_drawing()
    truth: list[Gesture] = []
    frames = rendered_frames(ModelConfig(size=32), 60.0, truth)
    stamps = [f.seconds for f in frames]
    assert np.allclose(np.diff(stamps), 0.1)
    assert len(stamps) == 600
    assert all(a.end <= b.start for a, b in itertools.pairwise(truth))
    assert len(truth) > PeopleStreams.GESTURES  # of a second one
    assert truth[-1].end < 60.0
    cut = (truth[1].start + truth[1].end) / 2
    some: list[Gesture] = []
    list(rendered_frames(ModelConfig(size=32), cut, some))
    assert some == [truth[0], Gesture(truth[1].label, truth[1].start, cut)]


# What cannot be used.


def test_a_video_that_breaks_off_keeps_what_was_seen(tiny: Path, tmp_path: Path, capsys) -> None:
    whole = write_video(tmp_path / "v.mp4", 6)
    remuxed = tmp_path / "v.mkv"  # its frames can be read up to the cut, unlike an mp4's
    with av.open(str(whole)) as source, av.open(str(remuxed), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = bytearray(remuxed.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    remuxed.write_bytes(data)
    out, events = tmp_path / "a.mp4", tmp_path / "e.json"
    argv = [str(tiny), "--source", str(remuxed), "--out", str(out), "--events", str(events)]
    status = main(argv)
    report = json.loads(events.read_text())
    if report["complete"]:  # a decoder may take zeros for the end of the file
        assert status == 0
    else:
        assert status == BAD_INPUT
        assert "breaks off after" in capsys.readouterr().err
    assert 0 < report["frames"] < 180
    with av.open(str(out)) as written:
        assert sum(1 for _ in written.decode(video=0)) == report["frames"]


def test_a_source_that_stops_is_named(tiny: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    from mobile_export.live import session

    def frames(_number: int):
        for i in range(20):
            yield Frame(i / 10, lambda: np.zeros((*PICTURE, 3), np.uint8))
        raise Interrupted("camera 0 gives no more frames")

    monkeypatch.setattr(session, "camera_frames", frames)
    events = tmp_path / "e.json"
    assert main([str(tiny), "--source", "camera", "--events", str(events)]) == BAD_INPUT
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error == "error: camera 0 gives no more frames; what was seen until then is complete"
    assert not json.loads(events.read_text())["complete"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "is no file"), (b"", "cannot be read"), (b"no video" * 100, "cannot be read")],
)
def test_unreadable_videos(tiny: Path, tmp_path: Path, content: bytes | None, said: str) -> None:
    video, out = tmp_path / "broken.mp4", tmp_path / "a.mp4"
    if content is not None:
        video.write_bytes(content)
    argv = [str(tiny), "--source", str(video), "--out", str(out)]
    assert said in refusal(lambda: main(argv))
    assert not list(tmp_path.glob("*a.mp4*"))


def test_a_file_without_pictures(tiny: Path, tmp_path: Path) -> None:
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert "no video stream" in refusal(lambda: main([str(tiny), "--source", str(sound)]))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "no bundle"),
        (["nowhere"], "nowhere holds no manifest.json"),
        (["x", "--seconds", "0"], "0 is not a number above 0"),
        (["x", "--port", "70000"], "70000 is not a whole number from 0 to 65535"),
        (["x", "--record", "wave"], "neither a bundle"),
        (["--record", "wave"], "needs --out DIR"),
        (["x", "--out", "/no/such/folder/a.mp4"], "--out"),
        (["x", "--events", "/no/such/folder/e.json"], "--json"),
        (["x", "--serve", "--timeline", "t.png"], "--timeline is for --source alone"),
    ],
)
def test_options_that_cannot_be_used(argv: list[str], said: str) -> None:
    assert said in refusal(lambda: main(argv))


def test_a_clip_form_bundle_cannot_go_live(tiny: Path) -> None:
    bundle = load(tiny)
    manifest = bundle.manifest | {"form": "clip"}
    with pytest.raises(BadInput, match="--form stream"):
        Recognizer(Bundle(tiny, manifest), open_runner(bundle))


def test_a_slow_source_is_told(tiny: Path, tmp_path: Path, capsys) -> None:
    for fps, slow in ((10.0, False), (5.0, True), (2.5, True)):
        write_clip(tmp_path / "v.mp4", np.zeros((20, *PICTURE, 3), np.uint8), fps)
        assert main([str(tiny), "--source", str(tmp_path / "v.mp4")]) == 0
        assert (f"gives {fps:.1f} frames a second" in capsys.readouterr().err) == slow


def test_a_size_that_changes_is_fitted(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "v.mp4", 10.0) as writer:
        for i, shape in enumerate(((32, 64), (64, 32), (33, 65))):
            writer.write(i / 10, np.full((*shape, 3), 200, np.uint8))
    shown = [frame.picture() for frame in video_frames(tmp_path / "v.mp4")]
    assert {pixels.shape for pixels in shown} == {(32, 64, 3)}
    assert shown[1][:, 32].mean() > 150 > 50 > shown[1][:, 4].mean()  # upright between two bars


def test_video_frames_start_at_zero(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", 0.5)
    frames = list(video_frames(video))
    assert [f.seconds for f in frames] == pytest.approx([i / FPS for i in range(15)], abs=1e-3)
    assert frames[0].picture().shape == (*PICTURE, 3)


def test_an_interrupted_run_ends_in_order(default_bundle: Bundle, recording, tmp_path) -> None:
    """Ctrl-C, the way to end a camera: files are written, the status is 0."""
    events = tmp_path / "e.json"
    argv = [str(default_bundle.path), "--source", str(recording[0]), "--realtime"]
    command = [sys.executable, "-m", "mobile_export.live", *argv, "--events", str(events)]
    # A test run in the background ignores Ctrl-C, and its children would too.
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, **pipes, **heed)
    line = process.stdout.readline()  # the first event: the run is in full swing
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert " s to " in line
    assert "ticks" in out
    assert json.loads(events.read_text())["events"]
