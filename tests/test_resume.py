"""A run that was killed goes on as if it had not been; a folder that cannot go on says why."""

import errno
import json
import shutil

import pytest
import torch
from small_runs import TINY, write_own_clips

from core.data.fingerprint import fingerprint
from core.data.folder import FolderClips
from core.errors import BadInput
from core.training import trainer
from core.training.loop import main as run
from core.training.loop import trim_log
from core.training.trainer import Run


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The command of a run on a folder of clips, without ``--out``, and its folder at step 2."""
    root = tmp_path_factory.mktemp("stopped")
    argv = [*TINY, "--data", str(write_own_clips(root / "own"))]
    run([*argv, "--out", str(root / "run"), "--stop", "2"])
    return argv, root / "run"


@pytest.fixture
def resume(stopped, tmp_path):
    """A copy of the stopped run to damage, as its folder and the call that goes on with it."""
    argv, folder = stopped
    out = tmp_path / "run"
    shutil.copytree(folder, out)
    return out, lambda *more: run([*argv, *more, "--out", str(out)])


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def steps(folder):
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]


def refused(out, go_on, said):
    """Going on raises a one-line ``BadInput`` and leaves the folder as it is."""
    before = contents(out)
    with pytest.raises(BadInput, match=said) as caught:
        go_on()
    assert "\n" not in str(caught.value)
    assert contents(out) == before


def test_killed_and_resumed_equals_never_killed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # rendered windows go below it
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run([*TINY, "--out", str(whole)])
    run([*TINY, "--out", str(parts), "--stop", "2"])
    with (parts / "log.jsonl").open("a") as file:
        file.write('{"step": 3}\n{"step": 4, "accu')  # killed before the state was saved
    run([*TINY, "--out", str(parts)])
    logs = [[json.loads(r) for r in (p / "log.jsonl").open()] for p in (whole, parts)]
    seconds = [[r.pop("seconds") for r in records] for records in logs]
    for record in (r for records in logs for r in records):
        assert record.pop("clips_per_second") > 0
        assert 0 <= record.pop("waited") <= 1
    assert logs[0] == logs[1]
    assert seconds[1] == sorted(seconds[1]), "time does not run on"
    states = [torch.load(p / "state.pt", weights_only=True) for p in (whole, parts)]
    assert states[0]["step"] == states[1]["step"] == 4
    assert states[0]["smoothed"] == states[1]["smoothed"]
    assert states[1]["seconds"] > 0
    for name in ("trainee", "average"):
        for key, value in states[0][name].items():
            assert torch.equal(value, states[1][name][key]), key


def test_resuming_with_other_settings_is_refused(resume):
    out, go_on = resume
    refused(out, lambda: go_on("--lr", "0.5"), "other settings")


def test_resuming_with_a_renamed_class_is_refused(resume, tmp_path, stopped):
    out, _ = resume
    own = stopped[1].parent / "own"
    (own / "like").rename(own / "love")
    try:
        refused(out, resume[1], r"other classes \(like, love\)")
    finally:
        (own / "love").rename(own / "like")


def test_resuming_on_other_clips_is_told(stopped, resume, tmp_path, capsys):
    argv, _ = stopped
    out, go_on = resume
    own = tmp_path / "own"
    shutil.copytree(argv[argv.index("--data") + 1], own)  # as they are, with their times
    clip = next(own.rglob("*.mp4"))
    view = {"frames": 4, "size": 32, "frame_rate": 10.0}
    before = [fingerprint(FolderClips(own, split, **view)) for split in ("train", "val", "test")]
    clip.write_bytes(clip.read_bytes() + b"\0")
    after = [fingerprint(FolderClips(own, split, **view)) for split in ("train", "val", "test")]
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    state = torch.load(out / "state.pt", weights_only=True)
    assert "-" in state["listing"]
    torch.save(state | {"listing": "x"}, out / "state.pt")
    go_on()
    assert "the clips are not those" in capsys.readouterr().err
    go_on()
    assert "not those" not in capsys.readouterr().err


def test_stopping_twice_at_the_same_step_stays_there(resume, capsys):
    out, go_on = resume
    before = steps(out)
    go_on("--stop", "2")
    assert steps(out) == before == [2]
    assert "leave --stop 2 out" in capsys.readouterr().out
    go_on()
    assert steps(out) == [2, 4]


def test_a_full_disk_is_one_line(resume, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    _, go_on = resume
    monkeypatch.setattr(Run, "save", full)
    monkeypatch.setattr("core.checkpoint.save", full)
    with pytest.raises(BadInput, match=r"make room on the disk; .* goes on from step 2") as caught:
        go_on()
    assert "\n" not in str(caught.value)


def test_fp16_that_never_steps_ends(tmp_path, stopped, monkeypatch):
    """A finite loss whose gradient is none: the scale falls, and no step is made."""

    def endless(run, *_):
        weights = next(run.trainee.parameters())
        return {"clip": (0 * weights.square().sum()).sqrt()}

    argv = [a for a in stopped[0] if a != "--fp32"]
    argv[argv.index("--steps") + 1] = "9"
    monkeypatch.setattr(trainer, "_chunk_losses", endless)
    monkeypatch.setattr(trainer, "MOST_SKIPPED", 3)
    with pytest.raises(BadInput, match="fp16 overflows in 3 steps in a row"):
        run([*argv, "--precision", "fp16", "--out", str(tmp_path / "run")])


def test_state_of_before_its_labels_were_kept_still_resumes(resume):
    out, go_on = resume
    state = torch.load(out / "state.pt", weights_only=True)
    for name in ("labels", "smoothed", "seconds"):
        del state[name]
    del state["settings"]["causal"]
    torch.save(state, out / "state.pt")
    assert go_on() == 0
    state["trainee"]["model.classifier.bias"] = torch.zeros(4)
    torch.save(state, out / "state.pt")
    refused(out, go_on, "another model")


def test_terminated_while_saving_leaves_the_old_state(resume, monkeypatch):
    out, go_on = resume
    before = (out / "state.pt").read_bytes()

    def terminated(_state, path):
        path.write_bytes(b"half")
        raise SystemExit(143)

    monkeypatch.setattr(torch, "save", terminated)
    with pytest.raises(SystemExit):
        go_on()
    assert (out / "state.pt").read_bytes() == before
    assert not list(out.glob("*.tmp"))


@pytest.mark.parametrize("part", [0.0, 0.001, 0.5, 0.999])
def test_truncated_state_is_refused(resume, part):
    out, go_on = resume
    data = (out / "state.pt").read_bytes()
    (out / "state.pt").write_bytes(data[: int(part * len(data))])
    refused(out, go_on, r"state\.pt is damaged .*: remove it to start over, or give another --out")


@pytest.mark.parametrize(
    "foreign",
    [
        {"a": 1},
        torch.zeros(2),
        {"settings": 0, "step": 0, "trainee": {}, "average": {}, "optimizer": {}},
        "trainee",
        "optimizer",
    ],
    ids=["dictionary", "tensor", "names alone", "trainee", "optimizer"],
)
def test_foreign_state_is_refused(resume, foreign):
    out, go_on = resume
    if isinstance(foreign, str):  # a state in which this part is something else
        foreign = torch.load(out / "state.pt", weights_only=True) | {foreign: [1, 2]}
    torch.save(foreign, out / "state.pt")
    refused(out, go_on, r"state\.pt is damaged or not a state of core\.train: remove it")


def test_text_in_the_place_of_a_state_is_refused(resume):
    out, go_on = resume
    (out / "state.pt").write_text("not a state\n")
    refused(out, go_on, r"state\.pt is damaged or not a state")


def test_starting_over_without_the_damaged_state_starts_the_log_over(resume):
    out, go_on = resume
    (out / "state.pt").unlink()
    assert go_on() == 0
    assert steps(out) == [2, 4]


def test_half_written_last_line_is_dropped(resume):
    out, go_on = resume
    with (out / "log.jsonl").open("a") as log:
        log.write('{"step": 4, "accu')
    assert go_on() == 0
    assert steps(out) == [2, 4]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ('{"step": 2}\n{"step": 4}\n', '{"step": 2}\n'),
        ('{"step": 2}\n{"ste', '{"step": 2}\n'),
        ('{"step": 2}\n\0\0\0', '{"step": 2}\n'),  # after a loss of power
        ('{"step": 2}\n{"other": 1}\n', '{"step": 2}\n'),
        ('{"step": 1}\n{"step": 2}', '{"step": 1}\n{"step": 2}\n'),  # the next gets its own line
        ('{"ste', ""),
    ],
)
def test_log_is_cut_to_whole_records_up_to_the_step(tmp_path, text, kept):
    log = tmp_path / "log.jsonl"
    log.write_text(text)
    trim_log(log, 2)
    assert log.read_text() == kept
    assert [p.name for p in tmp_path.iterdir()] == ["log.jsonl"]


@pytest.mark.parametrize("line", [b'{"step": 1, "accu', b"", b"[]", b'{"step": "two"}', b"\xff"])
def test_damage_in_an_earlier_line_of_the_log_is_refused(resume, line):
    out, go_on = resume
    log = out / "log.jsonl"
    log.write_bytes(line + b"\n" + log.read_bytes())
    refused(out, go_on, r"log\.jsonl is damaged in line 1: remove it, .* or give another --out")
