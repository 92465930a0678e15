"""``verify --runner``: a program of the user's executes the artifact."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from clips import refusal
from fake_target import install, make_checkpoint, use_noise_clips
from short_models import clips_for, play, short_program

from core.errors import GATE_FAILED
from mobile_export import __main__ as export_cli
from mobile_export import verify as api_verify
from mobile_export.bundle.runner import opened
from mobile_export.graph.forms import input_ports, output_ports
from mobile_export.runtime.executorch import open_pte
from mobile_export.runtime.native import build
from mobile_export.verify import __main__ as verify

ROOT = Path(__file__).parents[1]
# What a runner has to do, and no more: the fake target's artifact is a checkpoint.
SERVES = f"""#!{sys.executable}
import json, sys
from pathlib import Path
import numpy as np
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
artifact, word = Path(sys.argv[1]), sys.argv[2]
assert word == "serve" and len(sys.argv) == 3, sys.argv
manifest = json.loads((artifact.parent / "manifest.json").read_text())
shapes = [manifest["input"]["shape"], *(state["shape"] for state in manifest["state"])]
orders = [manifest["input"]["dim_order"], *(s["dim_order"] for s in manifest["state"])]
outputs = [manifest["outputs"][0]["dim_order"], *orders[1:]]
"""
COMPUTES = """
import pytest, torch
from helpers import make_shallow
make_shallow(pytest.MonkeyPatch())
from core import checkpoint
from mobile_export.graph.forms import deployed, graph_of
graph = graph_of(deployed(checkpoint.load(artifact).model, "xnnpack"), "stream")
def answer(inputs):
    with torch.inference_mode():
        return [x.numpy() for x in graph(*map(torch.from_numpy, inputs))]
"""
ZEROS = """
def answer(inputs):
    return [np.zeros(manifest["outputs"][0]["shape"], "<f4"), *inputs[1:]]
"""
LOOP = """
while True:
    inputs = []
    for shape, order in zip(shapes, orders):
        size = 4 * int(np.prod(shape))
        data = sys.stdin.buffer.read(size)
        if not data:
            sys.exit(0)
        memory = np.frombuffer(data, "<f4").reshape([shape[axis] for axis in order])
        inputs.append(memory.transpose(np.argsort(order)).copy())
    for values, order in zip(answer(inputs), outputs):
        memory = np.ascontiguousarray(values.transpose(order), "<f4")
        sys.stdout.buffer.write(memory.tobytes())
    sys.stdout.flush()
"""
FAILS = """
sys.exit("error: no Vulkan device here")
"""


def script(folder: Path, text: str) -> Path:
    path = folder / "runner"
    path.write_text(SERVES + text)
    path.chmod(0o755)
    return path


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch, shallow) -> tuple[Path, list[str]]:
    checkpoint = make_checkpoint(tmp_path)
    use_noise_clips(monkeypatch, checkpoint)
    install(monkeypatch)
    options = ["--checkpoint", str(checkpoint)]
    out = ["--out", str(tmp_path / "out")]
    assert export_cli.main(["--target", "xnnpack", "--precision", "fp32", *options, *out]) == 0
    return next((tmp_path / "out").iterdir()), options


def test_a_program_that_serves_is_what_is_measured(bundle, tmp_path: Path, capsys) -> None:
    folder, options = bundle
    program = script(tmp_path, COMPUTES + LOOP)
    figures = tmp_path / "report.json"
    argv = [str(folder), *options, "--runner", str(program), "--json", str(figures)]
    assert verify.main(argv) == 0
    report = json.loads(figures.read_text())
    assert report["runner"] == "runner, the runner that was given"
    assert report["agreement"] == 100.0
    assert "the runner that was given" in capsys.readouterr().out


def test_a_program_that_miscomputes_fails_the_golden_clip(bundle, tmp_path: Path) -> None:
    folder, options = bundle
    program = script(tmp_path, ZEROS + LOOP)
    argv = [str(folder), *options, "--max-drop", "100", "--runner", str(program)]
    assert verify.main(argv) == GATE_FAILED
    report = api_verify(folder, checkpoint=options[1], max_drop=100, runner=program)
    assert any("golden clip" in failure for failure in report.failures)


def test_what_cannot_serve_is_refused_in_one_line(bundle, tmp_path: Path) -> None:
    folder, options = bundle

    def line(program: Path) -> str:
        return refusal(lambda: verify.main([str(folder), *options, "--runner", str(program)]))

    assert "is no program that can be started" in line(tmp_path / "nowhere")
    assert "is no program that can be started" in line(folder / "manifest.json")
    assert "stopped (error: no Vulkan device here)" in line(script(tmp_path, FAILS))
    odd = tmp_path / "odd"
    odd.write_bytes(b"\x7fno program")
    odd.chmod(0o755)
    assert "cannot be started" in line(odd)
    coreml = SimpleNamespace(manifest={"target": "coreml"}, path=folder)
    assert "is for Core ML" in refusal(lambda: opened(coreml, odd).__enter__())


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_native_runner_is_one() -> None:
    model, lowered = short_program(temporal="shift", precision="fp32")
    ports = input_ports(model, "stream", "xnnpack"), output_ports(model, "stream", "xnnpack")
    held = SimpleNamespace(
        manifest={"target": "xnnpack"}, path=lowered.artifact.parent, artifact=lowered.artifact,
        inputs=ports[0], outputs=ports[1],
    )  # fmt: skip
    clip = clips_for(model, seed=1)[0]
    with opened(held, Path(build.host_command()[0])) as runner:
        got = play(runner, model, clip)
    assert torch.equal(got.logits, play(open_pte(lowered.artifact, ports[0]), model, clip).logits)
