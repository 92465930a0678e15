"""The runner in C++, for this machine and for emulated Arm cores, beside the Python runtime."""

import shutil
import signal
import subprocess
import zipfile
from pathlib import Path

import pytest
import torch
from short_models import arm_command, clips_for, make_short, play, relative, short_program

from core.errors import BadInput
from mobile_export.graph.forms import deployed, input_ports, output_ports
from mobile_export.runtime.executorch import open_pte
from mobile_export.runtime.native import build, process
from mobile_export.runtime.native.process import Native
from mobile_export.verify import arm64

EMULATOR = ("aarch64-linux-gnu-g++", "qemu-aarch64-static")
# Sums of floats (gates, classifier) in another order; what is int8 is the same to the bit.
ROUNDING = 1e-4

needs_emulator = pytest.mark.skipif(
    any(shutil.which(name) is None for name in EMULATOR),
    reason="needs g++-aarch64-linux-gnu and qemu-user-static",
)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@pytest.fixture(scope="module", params=["fp32", "int8"])
def stream(request):
    model, lowered = short_program(precision=request.param)
    return model, lowered.artifact


def native(command: list[str], model, artifact) -> Native:
    ports = input_ports(model, "stream", "xnnpack"), output_ports(model, "stream", "xnnpack")
    return Native(command, artifact, *ports, "native")


@needs_compiler
def test_host_runner_is_the_python_runtime_to_the_bit(stream):
    model, artifact = stream
    clip = clips_for(model, seed=1)[0]
    expected = play(open_pte(artifact, input_ports(model, "stream", "xnnpack")), model, clip)
    with native(build.host_command(), model, artifact) as runner:
        got = play(runner, model, clip)
        with pytest.raises(BadInput, match=r"1 inputs: the program takes"):
            runner([clip[:1]])
    assert torch.equal(got.logits, expected.logits)
    assert all(torch.equal(a, b) for a, b in zip(got.state, expected.state, strict=True))


@needs_emulator
@pytest.mark.parametrize("core", arm64.CORES)
def test_arm_kernels_agree_with_this_machine(stream, core):
    model, artifact = stream
    clip = clips_for(model, seed=1)[0][:4]
    expected = play(open_pte(artifact, input_ports(model, "stream", "xnnpack")), model, clip)
    with native(arm_command(core), model, artifact) as runner:
        got = play(runner, model, clip)
    assert relative(got.logits, expected.logits) < ROUNDING
    for a, b in zip(got.state, expected.state, strict=True):
        assert relative(a, b) < ROUNDING


@needs_compiler
def test_a_file_that_is_no_program_ends_in_one_line(tmp_path):
    model = deployed(make_short(), "xnnpack")
    broken = tmp_path / "model.pte"
    broken.write_bytes(b"not a program at all")
    inputs = [port.zeros() for port in input_ports(model, "stream", "xnnpack")]
    with (
        native(build.host_command(), model, broken) as runner,
        pytest.raises(BadInput, match=r"native runner stopped .*loading.* failed") as error,
    ):
        runner(inputs)
    assert "\n" not in str(error.value)


@needs_emulator
def test_a_wheel_that_cannot_be_had_is_named_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(BadInput, match=r"wheel of executorch==.* cannot be downloaded") as error:
        build.arm64_command(arm64.CORES[0])
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*.whl"))


def test_a_wheel_that_another_process_unpacked_meanwhile_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    other = build.cache() / "aarch64" / "executorch" / "lib" / "theirs"

    def download(command, **_):
        folder = Path(command[command.index("--dest") + 1])
        assert "--require-hashes" in command
        listed = Path(command[command.index("--requirement") + 1]).read_text()
        assert listed.count("--hash=sha256:") == 3
        with zipfile.ZipFile(folder / "executorch.whl", "w") as wheel:
            wheel.writestr("executorch/lib/ours", "")
        other.parent.mkdir(parents=True)
        other.touch()
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(build.subprocess, "run", download)
    assert build._arm64_package() == other.parents[1]
    assert [p.name for p in other.parent.iterdir()] == ["theirs"]
    assert [p.name for p in build.cache().iterdir()] == ["aarch64"]


def test_a_runner_that_does_not_end_is_killed(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "PATIENCE", 0.2)
    program = tmp_path / "hung.sh"
    program.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n")
    program.chmod(0o755)
    with Native([str(program)], tmp_path, [], [], "hung", ()) as runner:
        pass
    assert runner._process.returncode == -signal.SIGKILL


def test_a_core_that_gives_no_numbers_fails_whatever_the_precision():
    report = arm64.CoreReport("a core", 2, 0, 2, float("nan"))
    assert report.failures("int8") == ["a core gives logits that are not finite"]
    assert report.to_dict()["deviation"] is None
    assert arm64.CoreReport("a core", 2, 0, 2, 1e-2).failures("int8") == []


@needs_compiler
def test_the_benchmark_times_every_call(stream):
    _, artifact = stream
    command = [*build.host_command(), str(artifact), "bench", "1", "3", "--threads", "1"]
    for pause in ([], ["--pause", "2"]):
        done = subprocess.run([*command, *pause], capture_output=True, text=True, check=True)
        assert done.stdout.count(",") == 4  # load_ms, first_ms and three calls
    for wrong in ([*command[:-4], "x", "3"], [*command, "--pause", "-1"]):
        done = subprocess.run(wrong, capture_output=True, text=True)
        assert done.returncode == 2
        assert "is not a count" in done.stderr


def test_missing_packages_are_named_in_one_line(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BadInput, match=r"apt-get install g\+\+-aarch64-linux-gnu qemu-user-static"):
        build.arm64_command(arm64.CORES[0])
    with pytest.raises(BadInput, match=r"apt-get install g\+\+$"):
        build.host_command()
