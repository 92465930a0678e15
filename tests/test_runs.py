"""Runs of training: several processes, killed ones, and what goes wrong."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers import make_model
from small_runs import SMALL, TINY, records

from core import checkpoint
from core.errors import BadInput
from core.labels import IGNORE
from core.training import failures, loop
from core.training.loop import main as run

ROOT = Path(__file__).parents[1]
# Gradients summed in another order, in float32, after three steps at a learning rate of 0.01.
SAME_WEIGHTS = 1e-5


def command(*argv: str) -> list[str]:
    return [sys.executable, "-m", *argv]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
def test_two_processes_compute_what_one_does(jester: Path, tmp_path: Path) -> None:
    """On the same batches, cut in the same two parts; dropout included."""
    argv = ["--data", str(jester), "--steps", "3", "--every", "1", *SMALL]
    run([*argv, "--out", str(tmp_path / "one"), "--accumulate", "2"])
    two = command("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    two += ["core.train", *argv, "--out", str(tmp_path / "two")]
    done = subprocess.run(two, env=environment(), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    losses = [[r["loss_clip"] for r in records(tmp_path / name)] for name in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)  # as many digits as are logged
    states = [torch.load(tmp_path / n / "state.pt", weights_only=True) for n in ("one", "two")]
    weights = [state["trainee"] for state in states]
    for name, value in weights[0].items():
        if "running" not in name and "num_batches" not in name:  # each process has its own
            assert (value - weights[1][name]).abs().max() < SAME_WEIGHTS, name


@pytest.mark.slow
def test_a_machine_that_does_not_see_the_shared_folder_is_told(
    jester: Path, tmp_path: Path
) -> None:
    """Each process has a folder of its own, and only the first one's holds a run."""
    argv = ["--data", str(jester), "--steps", "3", "--every", "1", *SMALL]
    run([*argv, "--out", str(tmp_path / "of-0"), "--stop", "2"])
    program = tmp_path / "program.py"
    program.write_text(
        "import os\nimport core.training.loop as t\nfrom core.errors import run_main\n"
        f"out = {str(tmp_path)!r} + '/of-' + os.environ['RANK']\n"
        f"run_main(lambda: t.main({argv!r} + ['--out', out]))\n"
    )
    two = command("torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program))
    done = subprocess.run(two, env=environment(), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(said) == 2
    for line in said:
        assert "holds a run at step 2 for some processes and at 0 for others" in line
        assert "give a folder that all machines share" in line


def test_parts_of_a_step_are_its_whole() -> None:
    from core.training.batches import Keys
    from core.training.distributed import World

    whole = list(Keys(20, 8, 3, 6, seed=5))
    parts = [list(Keys(20, 8, 3, 6, 5, 4, World(rank, 2))) for rank in range(2)]
    for step, keys in enumerate(whole):
        (a, c), (b, d) = (part[2 * step : 2 * step + 2] for part in parts)
        assert a + b + c + d == keys


def test_balance_draws_every_class_alike() -> None:
    from core.training.batches import Keys, alike

    classes = [0] * 57 + [1] * 3
    steps = list(Keys(60, 6, 0, 400, seed=1, weights=alike(classes)))
    drawn = [classes[index] for keys in steps for index, _ in keys]
    # Binomial, five standard deviations of 2,400 draws at one half.
    assert sum(drawn) == pytest.approx(1200, abs=123)
    again = list(Keys(60, 6, 0, 400, seed=1, weights=alike(classes)))
    assert steps == again
    plain = [index for keys in Keys(60, 6, 0, 10, seed=1) for index, _ in keys]
    assert sorted(plain) == list(range(60))


def test_uneven_classes_are_told(capsys) -> None:
    from core.training.batches import tell_uneven

    tell_uneven([0, 0, 1, 1, 1], ["a", "b"])
    assert not capsys.readouterr().err
    tell_uneven([0] * 60 + [1] * 3, ["a", "b"])
    assert "'a' has 60 training clips and 'b' 3" in capsys.readouterr().err


def test_validation_gives_the_mean_over_classes_too() -> None:
    from core.training.trainer import validate

    model = make_model(size=32, frames=2, num_classes=4)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([0.0, 3.0, 0.0, 0.0]))  # always the second
    labels = torch.tensor([1] * 6 + [2, 3, IGNORE])
    frames = torch.zeros(len(labels), 2, 3, 32, 32, dtype=torch.uint8)
    assert validate(model, [(frames, labels)], 32) == pytest.approx((75.0, 100 / 3))


@pytest.mark.slow
def test_killed_in_mid_epoch_equals_never_killed(jester: Path, tmp_path: Path) -> None:
    """SIGKILL after a saved state, with momentum, dropout, random frames and crops."""
    argv = ["--data", str(jester), "--steps", "8", "--every", "1", *SMALL]
    run([*argv, "--out", str(tmp_path / "whole")])
    out = tmp_path / "killed"
    program = f"""
import time
import core.training.loop as t
step = t.train_step
t.SAVE_SECONDS = 0.0
t.train_step = lambda *parts: (time.sleep(0.2), step(*parts))  # time for the signal to arrive
t.main({[*argv, "--out", str(out)]!r})
"""
    process = subprocess.Popen([sys.executable, "-c", program], env=environment(), cwd=tmp_path)
    log, patience = out / "log.jsonl", time.monotonic() + 120
    # An epoch has three steps: after the second or fourth record the run is inside one.
    while not (log.exists() and len(log.read_text().splitlines()) >= 2):
        assert process.poll() is None
        assert time.monotonic() < patience
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = torch.load(out / "state.pt", weights_only=True)
    assert 0 < state["step"] < 8
    run([*argv, "--out", str(out)])
    states = [torch.load(tmp_path / n / "state.pt", weights_only=True) for n in ("whole", "killed")]
    for name, value in states[0]["trainee"].items():
        assert torch.equal(value, states[1]["trainee"][name]), name
    kept = ("step", "accuracy", "lr", "loss_clip")
    logs = [[[r[k] for k in kept] for r in records(tmp_path / n)] for n in ("whole", "killed")]
    assert logs[0] == logs[1]


def fail_at(monkeypatch, step: int, action) -> None:
    real = loop.train_step

    def stepping(run, *rest):
        if run.step == step:
            action(run)
        real(run, *rest)

    monkeypatch.setattr(loop, "train_step", stepping)


def diverge(run) -> None:
    run.trainee.model.classifier.weight.data.fill_(float("nan"))


def overflow(run) -> None:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def no_memory(run) -> None:
    raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 2 bytes")


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (diverge, r"the loss is nan at step 2: start from .*--from .*last\.safetensors"),
        (overflow, r"out of memory on cpu at step 2: .*--accumulate 2.* from step 0"),
        (no_memory, "out of memory on cpu at step 2"),
    ],
)
def test_failures_leave_a_usable_checkpoint(
    jester: Path, tmp_path: Path, monkeypatch, action, said: str
) -> None:
    out = tmp_path / "run"
    argv = ["--data", str(jester), "--steps", "3", "--out", str(out), *SMALL]
    with monkeypatch.context() as patch:
        fail_at(patch, 2, action)
        with pytest.raises(BadInput, match=said) as caught:
            run(argv)
    assert "\n" not in str(caught.value)
    loaded = checkpoint.load(out / failures.LAST)  # refuses NaN
    assert loaded.info["step"] == 2
    assert run([*argv, "--accumulate", "2"]) == 0
    assert records(out)[-1]["step"] == 3


@pytest.mark.slow
def test_a_dead_worker_is_told(jester: Path, tmp_path: Path) -> None:
    """In a process of its own: torch raises by a signal, wherever that finds the program."""
    out = tmp_path / "run"
    argv = ["--data", str(jester), "--steps", "200", "--every", "200", *SMALL, "--workers", "1"]
    program = f"""
import multiprocessing, os, signal
import core.training.loop as t
from core.errors import run_main
step = t.train_step
def stepping(run, *rest):
    if run.step == 2:
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    step(run, *rest)
t.train_step = stepping
run_main(lambda: t.main({[*argv, "--val-clips", "1", "--out", str(out)]!r}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr[-2000:]
    last = done.stderr.strip().splitlines()[-1]
    assert re.search(r"error: a loader process died at step .* --workers", last)
    assert "Traceback" not in done.stderr
    assert checkpoint.load(out / failures.LAST)


def test_compiled_model_is_saved_under_its_own_names(
    jester: Path, tmp_path: Path, monkeypatch
) -> None:
    compiled = []

    def compile_(module):
        compiled.append(module)
        return torch.nn.ModuleDict({"_orig_mod": module})["_orig_mod"]

    monkeypatch.setattr(torch, "compile", compile_)
    out = tmp_path / "run"
    run(["--data", str(jester), "--steps", "1", "--out", str(out), *SMALL, "--compile"])
    assert len(compiled) == 1
    assert checkpoint.load(out / "best.safetensors")


@pytest.mark.slow
def test_old_states_without_the_new_options_still_resume(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "run"
    run([*TINY, "--out", str(out), "--stop", "2"])
    state = torch.load(out / "state.pt", weights_only=True)
    new = ("recipe", "dataset", "sampling", "max_broken", "epochs", "flip", "precision", "scaler")
    for name in new:
        state["settings"].pop(name, None)
    del state["scaler"]
    torch.save(state, out / "state.pt")
    assert run([*TINY, "--out", str(out)]) == 0
