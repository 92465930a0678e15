"""Accuracy of a checkpoint and its artifact: the interval, the comparison, the verifier."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from fake_target import LABELS, install, make_checkpoint, use_noise_clips
from helpers import make_model, make_shallow
from scipy import stats

from core.errors import GATE_FAILED, BadInput
from core.labels import IGNORE
from mobile_export import __main__ as export_cli
from mobile_export.graph.forms import graph_of
from mobile_export.runtime.inference import (
    check_input,
    check_pixels,
    relative_deviation,
    run_clips,
    run_form,
    run_stream,
)
from mobile_export.verify import __main__ as verify
from mobile_export.verify.accuracy import Z95, Measurement, compare, drop_interval

STREAM_PARITY = 1e-4  # stream and clip form of one model add the same floats in another order
COVERAGE_SLACK = 0.02  # 2,000 draws of a binomial at 0.95 stray by 0.01 (two sigmas)


class Eager:
    """A runner around the model itself."""

    name, interpreted = "eager", False

    def __init__(self, graph: torch.nn.Module, batch: int | None) -> None:
        self.graph, self.batch = graph, batch
        self.calls = 0

    def __call__(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        self.calls += 1
        with torch.inference_mode():
            return list(self.graph(*inputs))


def test_interval_at_hand_computed_values() -> None:
    # b = 8, c = 2, n = 98: p = 9 / 100, q = 3 / 100.
    half = Z95 * math.sqrt((0.12 - 0.06**2) / 100)
    assert drop_interval(8, 2, 98) == pytest.approx((6 - 100 * half, 6 + 100 * half))
    assert pytest.approx(stats.norm.ppf(0.975)) == Z95


def test_interval_keeps_a_width_without_discordant_clips() -> None:
    low, high = drop_interval(0, 0, 400)
    assert low == pytest.approx(-high)
    assert 0.3 < high < 1.0  # points; 400 equal answers do not prove equality
    low, high = drop_interval(3, 0, 3)
    assert -100 <= low < high == 100


def test_interval_is_antisymmetric() -> None:
    low, high = drop_interval(7, 3, 200)
    assert drop_interval(3, 7, 200) == pytest.approx((-high, -low))


@pytest.mark.parametrize(("clips", "lost", "won"), [(400, 0.03, 0.01), (60, 0.05, 0.05)])
def test_interval_covers_the_truth(clips: int, lost: float, won: float) -> None:
    shares = [lost, won, 1 - lost - won]
    draws = stats.multinomial.rvs(clips, shares, size=2000, random_state=0)
    truth = 100 * (lost - won)
    intervals = [drop_interval(int(b), int(c), clips) for b, c, _ in draws]
    covered = sum(low <= truth <= high for low, high in intervals) / len(draws)
    assert covered >= 0.95 - COVERAGE_SLACK


def logits_for(answers: list[int]) -> torch.Tensor:
    """(clips, 2 frames, 3 classes) with the given answers, as a mean over frames alone."""
    last = 2 * torch.nn.functional.one_hot(torch.tensor(answers), 3).float()
    first = torch.zeros_like(last)
    return torch.stack([first, last], 1)


def test_clips_that_cannot_be_read_do_not_count() -> None:
    model = make_model(frames=2, size=64)
    frames = torch.randint(0, 255, (5, 2, 3, 64, 64), dtype=torch.uint8)
    clips = list(zip(frames, [0, IGNORE, 1, 2, IGNORE], strict=True))
    runner = Eager(graph_of(model, "stream"), None)
    shapes = [[1, *shape] for shape in model.state_shapes().values()]
    found = Measurement(model, runner, "stream", shapes).run(clips)
    assert (found.clips, found.broken) == (3, 2)
    assert Measurement(model, runner, "stream", shapes).run(clips, unopened=1).broken == 3
    assert found.agreement == 100
    with pytest.raises(BadInput, match="none of the 2 held-out clips"):
        Measurement(model, runner, "stream", shapes).run([clips[1], clips[4]])


def test_comparison_counts_each_kind_of_clip() -> None:
    truth = torch.tensor([0, 1, 2, 0])
    result = compare(logits_for([0, 1, 2, 1]), logits_for([0, 2, 1, 0]), truth)
    assert (result.checkpoint_top1, result.artifact_top1) == (75.0, 50.0)
    assert (result.only_checkpoint_right, result.only_artifact_right) == (2, 1)
    assert result.drop == 25.0
    assert result.agreement == 25.0
    assert result.drop_interval == drop_interval(2, 1, 4)


def test_a_value_that_is_not_finite_is_a_wrong_answer() -> None:
    truth = torch.tensor([0, 1])
    broken = logits_for([0, 1])
    broken[0, 0, 0] = math.nan
    result = compare(logits_for([0, 1]), broken, truth)
    assert result.artifact_top1 == 50.0
    assert result.deviation == math.inf


def test_relative_deviation() -> None:
    assert relative_deviation(torch.tensor([1.0, -3.0]), torch.tensor([1.0, -4.0])) == 0.25
    assert relative_deviation(torch.zeros(2), torch.zeros(2)) == 0.0


@pytest.mark.parametrize("batch", [1, None])
def test_stream_resets_the_state_for_every_clip(batch: int | None) -> None:
    model = make_model()
    clips = torch.randn(3, 6, 3, 64, 64)
    shapes = [(1, *shape) for shape in model.state_shapes().values()]
    runner = Eager(graph_of(model, "stream"), batch)
    got = run_stream(runner, clips, shapes)
    with torch.inference_mode():
        expected = model.frame_logits(clips)
    assert relative_deviation(got, expected) < STREAM_PARITY
    assert runner.calls == (6 if batch is None else 18)


def test_clip_form_runs_clip_by_clip() -> None:
    model = make_model()
    clips = torch.randn(2, 6, 3, 64, 64)
    got = run_clips(Eager(graph_of(model, "clip"), 1), clips)
    with torch.inference_mode():
        expected = model(clips)[:, None]
    assert relative_deviation(got, expected) < STREAM_PARITY


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (torch.zeros(3, 32, 32, dtype=torch.uint8), "shape"),
        (torch.zeros(64, 64, 3, dtype=torch.uint8), "shape"),
        (torch.zeros(64, 64, dtype=torch.uint8), "shape"),
        (torch.zeros(3, 64, 64), "type"),
        ([[0]], "type"),
    ],
)
def test_wrong_pixels_are_refused(frame: object, said: str) -> None:
    with pytest.raises(BadInput, match=said) as error:
        check_pixels(frame, 64)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (torch.zeros(3, 32, 32), "shape"),
        (torch.zeros(3, 64, 64, dtype=torch.float64), "type"),
        (torch.full((3, 64, 64), math.nan), "NaN"),
        (torch.full((3, 64, 64), math.inf), "infinity"),
        (torch.full((3, 64, 64), 255.0), "outside -1 to 1"),
    ],
)
def test_wrong_normalised_frames_are_refused(frame: torch.Tensor, said: str) -> None:
    half = (0.5, 0.5, 0.5)
    with pytest.raises(BadInput, match=said) as error:
        check_input(frame, 64, half, half)
    assert "\n" not in str(error.value)
    assert check_input(torch.ones(2, 3, 64, 64), 64, half, half).shape == (2, 3, 64, 64)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A bundle of the fake target and its checkpoint, made once."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        make_shallow(patch)
        path = make_checkpoint(folder)
        install(patch)
        use_noise_clips(patch, path)
        argv = ["--target", "xnnpack", "--quantize", "ptq", "--checkpoint", str(path)]
        assert export_cli.main([*argv, "--out", str(folder / "out")]) == 0
    return next((folder / "out").iterdir()), path


@pytest.fixture
def exported(made, tmp_path: Path, monkeypatch, shallow) -> tuple[Path, list[str]]:
    """A copy of that bundle and the options that verify it."""
    bundle, checkpoint = made
    path = Path(shutil.copy(checkpoint, tmp_path))
    install(monkeypatch)
    use_noise_clips(monkeypatch, path)
    copy = shutil.copytree(bundle, tmp_path / "out" / bundle.name)
    return copy, ["--checkpoint", str(path)]


def test_verify_passes_and_writes_its_figures(exported, tmp_path: Path, capsys) -> None:
    folder, options = exported
    figures = tmp_path / "report.json"
    assert verify.main([str(folder), *options, "--clips", "5", "--json", str(figures)]) == 0
    report = json.loads(figures.read_text())
    assert report["clips"] == 5
    assert report["drop"] == 0.0
    assert report["agreement"] == 100.0
    assert report["golden_deviation"] == 0.0
    assert report["interpreted"] is False
    assert report["failures"] == []
    assert "| drop " in capsys.readouterr().out


def test_verify_fails_an_artifact_that_answers_otherwise(
    exported, tmp_path: Path, monkeypatch, capsys
) -> None:
    folder, options = exported
    install(monkeypatch, noise=100.0)
    figures = tmp_path / "report.json"
    assert verify.main([str(folder), *options, "--json", str(figures)]) == GATE_FAILED
    report = json.loads(figures.read_text())
    failures = " ".join(report["failures"])
    assert report["drop"] > 0
    assert "golden" in failures
    assert report["verdict"] == "not shown"  # six clips, but the logits tell enough
    # Allowing any drop does not excuse a golden clip that is not reproduced.
    assert verify.main([str(folder), *options, "--max-drop", "100"]) == GATE_FAILED


def test_verify_fails_a_changed_artifact(exported) -> None:
    folder, options = exported
    (folder / "model.pte").write_bytes(b"other")
    with pytest.raises(BadInput, match=r"model\.pte has SHA-256"):
        verify.main([str(folder), *options])


def test_verify_wants_the_checkpoint_of_the_bundle(exported, tmp_path: Path) -> None:
    folder, _ = exported
    (tmp_path / "other").mkdir()
    other = make_checkpoint(tmp_path / "other", seed=1)
    with pytest.raises(BadInput, match=r"give tiny\.safetensors") as error:
        verify.main([str(folder), "--checkpoint", str(other)])
    assert "\n" not in str(error.value)
    with pytest.raises(BadInput, match="bundled checkpoint is not"):
        verify.main([str(folder)])


def change_manifest(folder: Path, path: tuple, value: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    part = manifest
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("labels",), LABELS[::-1], r"labels\[0\]"),
        (("labels",), [*LABELS[:-1], "Thumb Down"], r"labels\[4\]"),
        (("model", "frame_rate"), 30.0, "model.frame_rate"),
        (("input", "normalisation", "mean"), [0.5, 0.5, 0.4], r"input.normalisation.mean\[2\]"),
        (("state", 0, "output"), "logits", r"state\[0\].output"),
        (("outputs", 0, "name"), "other", r"outputs\[0\].name"),
    ],
)
def test_verify_compares_the_manifest_with_the_checkpoint(
    path: tuple, value: object, named: str, exported
) -> None:
    folder, options = exported
    change_manifest(folder, path, value)
    with pytest.raises(BadInput, match=f"{named} is not what the checkpoint says") as error:
        verify.main([str(folder), *options])
    assert "\n" not in str(error.value)


def test_verify_wants_the_states_in_their_order(exported) -> None:
    folder, options = exported
    state = json.loads((folder / "manifest.json").read_text())["state"]
    change_manifest(folder, ("state",), state[::-1])
    with pytest.raises(BadInput, match=r"state\[0\]\."):
        verify.main([str(folder), *options])


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("golden", "tolerance"), math.nan, "NaN"),
        (("golden", "tolerance"), math.inf, "Infinity"),
        (("golden", "tolerance"), 1e6, "golden.tolerance"),
        (("model", "temporal"), "gru", "gru"),
        (("golden", "files", "inputs", "shape"), [8, 3, 64, 32], "golden.files.inputs"),
        (("golden", "files", "logits", "shape"), [4, 10], "golden.files.logits"),
        (("golden", "frames"), 3, "golden.files.inputs"),
    ],
)
def test_verify_refuses_a_damaged_manifest(path: tuple, value: object, said: str, exported) -> None:
    folder, options = exported
    change_manifest(folder, path, value)
    with pytest.raises(BadInput, match=said) as error:
        verify.main([str(folder), *options])
    assert "\n" not in str(error.value)


def test_frames_are_checked_whatever_the_runner() -> None:
    model = make_model()
    shapes = [(1, *shape) for shape in model.state_shapes().values()]
    runner = Eager(graph_of(model, "stream"), None)
    clips = torch.zeros(2, 6, 3, 64, 64)
    clips[1, 2, 0, 0, 0] = math.nan
    for wrong, said in ((clips, "NaN"), (torch.full_like(clips, 255.0), "outside -1 to 1")):
        with pytest.raises(BadInput, match=said):
            run_form(runner, "stream", wrong, shapes, model.config)
    assert runner.calls == 0


@pytest.mark.parametrize("batch", [1, None])
def test_a_broken_state_spoils_its_own_clip_from_there_on(batch: int | None) -> None:
    model = make_model()
    clips = torch.rand(3, 6, 3, 64, 64)
    shapes = [(1, *shape) for shape in model.state_shapes().values()]
    expected = run_stream(Eager(graph_of(model, "stream"), batch), clips, shapes)

    class Broken(Eager):
        def __call__(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
            logits, *state = super().__call__(inputs)
            # The third frame of the second clip.
            row = {1: (9, 0), None: (3, 1)}[self.batch]
            if self.calls == row[0]:
                state[-1] = state[-1].clone()
                state[-1][row[1]] = math.inf
            assert all(bool(tensor.isfinite().all()) for tensor in inputs)
            return [logits, *state]

    got = run_stream(Broken(graph_of(model, "stream"), batch), clips, shapes)
    assert got[1, 2:].isnan().all()
    got[1, 2:] = expected[1, 2:]
    torch.testing.assert_close(got, expected)
