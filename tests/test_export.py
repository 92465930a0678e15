"""The exporter as a user runs it: with a fake target for what all share, then with real ones."""

import json
from pathlib import Path

import pytest
import torch
from fake_target import LABELS, install, make_checkpoint, use_noise_clips

from core.errors import BAD_INPUT, GATE_FAILED, BadInput
from core.files import file_sha256
from mobile_export import __main__ as export_cli
from mobile_export import combinations
from mobile_export.bundle import reader
from mobile_export.console import quiet
from mobile_export.targets import LoweringError
from mobile_export.verify import __main__ as verify
from mobile_export.verify import check
from mobile_export.verify.golden import TOLERANCE

NAME = "mobilenet_v2-action-stream-xnnpack-int8"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch, shallow) -> Path:
    path = make_checkpoint(tmp_path)
    use_noise_clips(monkeypatch, path)
    return path


def options(tiny: Path, *more: str) -> list[str]:
    """Post-training quantization: training has tests of its own."""
    out = ["--out", str(tiny.parent / "out"), "--quantize", "ptq"]
    return ["--checkpoint", str(tiny), *out, *more]


def test_a_bundle_is_written_with_its_proof(tiny: Path, monkeypatch, capsys) -> None:
    install(monkeypatch)
    figures = tiny.parent / "figures.json"
    argv = ["--target", "xnnpack", *options(tiny), "--json", str(figures)]
    assert export_cli.main(argv) == 0
    assert [p.name for p in (tiny.parent / "out").iterdir()] == [NAME]
    made = reader.load(tiny.parent / "out" / NAME)
    manifest = made.manifest
    assert manifest["execution"] == {"runner": "fake runtime", "interpreted": False}
    assert manifest["accuracy"]["checkpoint_top1"] == 100.0
    assert manifest["accuracy"]["clips"] == 6
    assert manifest["quantization"]["calibration_clips"] == 6
    assert manifest["checkpoint"]["sha256"] == file_sha256(tiny)
    assert manifest["golden"]["tolerance"] == TOLERANCE["int8"]
    assert manifest["golden"]["computed_by"] == "fake runtime"
    # The two forms of the golden input are the same frames.
    pixels = torch.from_numpy(made.golden("pixels")).float()
    torch.testing.assert_close((pixels / 255 - 0.5) / 0.5, torch.from_numpy(made.golden("inputs")))
    (report,) = json.loads(figures.read_text())
    assert report["path"].endswith(NAME)
    out = capsys.readouterr().out
    for step in ("load", "quantize", "lower", "execute", "verify", "accuracy", "write"):
        assert f" s  {step}" in out


def test_a_failed_check_leaves_no_bundle_under_the_good_name(
    tiny: Path, monkeypatch, capsys
) -> None:
    out = tiny.parent / "out"
    install(monkeypatch)
    assert export_cli.main(["--target", "xnnpack", *options(tiny)]) == 0
    install(monkeypatch, noise=100.0)
    assert export_cli.main(["--target", "xnnpack", *options(tiny)]) == GATE_FAILED
    assert sorted(p.name for p in out.iterdir()) == [f"{NAME}.previous", f"{NAME}.rejected"]
    rejected = reader.load(out / f"{NAME}.rejected")
    assert rejected.manifest["accuracy"]["drop"] > 2.0
    text = capsys.readouterr().out
    assert "REJECTED" in text
    assert "| drop " in text


def nan_logits(outputs: list[torch.Tensor]) -> list[torch.Tensor]:
    return [outputs[0] * torch.nan, *outputs[1:]]


def infinite_state(outputs: list[torch.Tensor]) -> list[torch.Tensor]:
    return [*outputs[:-1], outputs[-1] + torch.inf]


@pytest.mark.parametrize("change", [nan_logits, infinite_state])
def test_values_that_are_not_finite_are_a_failed_gate(
    change, tiny: Path, monkeypatch, capsys
) -> None:
    install(monkeypatch, change=change)
    figures = tiny.parent / "figures.json"
    argv = ["--target", "xnnpack", *options(tiny), "--json", str(figures)]
    assert export_cli.main(argv) == GATE_FAILED
    rejected = reader.load(tiny.parent / "out" / f"{NAME}.rejected")
    assert rejected.manifest["golden"]["measured_deviation"] is None
    assert rejected.manifest["accuracy"]["deviation"] is None
    (report,) = json.loads(figures.read_text())
    assert "it gives logits or states that are not finite" in report["failures"]
    assert verify.main([str(rejected.path), "--checkpoint", str(tiny)]) == GATE_FAILED


@pytest.mark.parametrize("factor", [10.0, 2.0, 0.4, 0.1, 0.0])
def test_logits_of_a_wrong_scale_fail_though_every_answer_is_right(
    factor: float, tiny: Path, monkeypatch
) -> None:
    install(monkeypatch, change=lambda outputs: [outputs[0] * factor, *outputs[1:]])
    argv = ["--target", "xnnpack", "--max-drop", "100", *options(tiny)]
    assert export_cli.main(argv) == GATE_FAILED
    (folder,) = (tiny.parent / "out").iterdir()
    assert folder.name == f"{NAME}.rejected"
    # The verifier, which has no graph to compare with, sees what is beyond random weights.
    beyond = abs(factor - 1) > check.PARITY["int8"]
    status = verify.main([str(folder), "--checkpoint", str(tiny), "--max-drop", "100"])
    assert status == (GATE_FAILED if beyond else 0)


def fail_to_run(outputs: list[torch.Tensor]) -> list[torch.Tensor]:
    raise RuntimeError("method->execute() failed with error 0x12\nand more")


@pytest.mark.parametrize("kind", ["load", "run"])
def test_an_artifact_that_does_not_start_is_a_failed_lowering(
    kind: str, tiny: Path, monkeypatch, capsys
) -> None:
    if kind == "load":
        install(monkeypatch, unloadable=BadInput("model.pte: bad slice; export it again"))
    else:
        install(monkeypatch, change=fail_to_run)
    with pytest.raises(BadInput, match=r"cannot be lowered: .* does not load or run") as error:
        export_cli.main(["--target", "xnnpack", *options(tiny)])
    assert "\n" not in str(error.value)
    assert not (tiny.parent / "out").exists()
    # With all, the other targets are still exported and reported.
    install(monkeypatch, target="coreml", refuse="not wanted here")
    install(monkeypatch, target="vulkan", refuse="not wanted here")
    if kind == "load":
        install(monkeypatch, unloadable=BadInput("model.pte: bad slice; export it again"))
    else:
        install(monkeypatch, change=fail_to_run)
    figures = tiny.parent / "figures.json"
    argv = ["--target", "all", *options(tiny), "--json", str(figures)]
    assert export_cli.main(argv) == BAD_INPUT
    assert json.loads(figures.read_text()) == []
    assert capsys.readouterr().err.count("\n") == 3


def chatter(error: Exception) -> None:
    with quiet():
        print("what a library says")
        raise error


def test_what_libraries_print_is_shown_for_bugs_alone(capsys) -> None:
    for error in (BadInput("a line"), LoweringError("a line")):
        with pytest.raises(type(error)):
            chatter(error)
    assert capsys.readouterr().err == ""
    with pytest.raises(KeyError) as error:
        chatter(KeyError())
    assert error.value.__notes__ == ["what a library says\n"]  # a traceback ends with it
    assert capsys.readouterr().err == ""


def test_fp32_is_held_to_rounding(tiny: Path, monkeypatch, capsys) -> None:
    install(monkeypatch, noise=1e-2)
    argv = ["--target", "xnnpack", "--precision", "fp32", "--max-drop", "100", *options(tiny)]
    assert export_cli.main(argv) == GATE_FAILED
    assert "more than 0.0001 for fp32" in capsys.readouterr().out


def test_an_interrupt_leaves_nothing_behind(tiny: Path, monkeypatch) -> None:
    install(monkeypatch)

    def interrupt(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "check", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_cli.main(["--target", "xnnpack", *options(tiny)])
    assert not (tiny.parent / "out").exists()


def test_all_goes_on_after_a_target_that_fails(tiny: Path, monkeypatch, capsys) -> None:
    install(monkeypatch)
    for target in ("coreml", "vulkan"):
        install(monkeypatch, target=target, refuse="aten.odd.default")
    assert export_cli.main(["--target", "all", *options(tiny)]) == BAD_INPUT
    captured = capsys.readouterr()
    assert captured.err.count("aten.odd.default") == 2
    assert [p.name for p in (tiny.parent / "out").iterdir()] == [NAME]


@pytest.mark.parametrize(("noise", "status"), [(0.0, BAD_INPUT), (100.0, GATE_FAILED)])
def test_all_goes_on_after_bad_input_and_a_failed_gate_outranks_it(
    noise: float, status: int, tiny: Path, monkeypatch, capsys
) -> None:
    install(monkeypatch, noise=noise)
    for target in ("coreml", "vulkan"):
        # As a DataLoader's worker wraps it.
        error = BadInput("Traceback ...\ncore.errors.BadInput: the clips are gone: give others\n")
        install(monkeypatch, noise=noise, target=target, refuse=error)
    figures = tiny.parent / "figures.json"
    argv = ["--target", "all", *options(tiny), "--json", str(figures)]
    assert export_cli.main(argv) == status
    assert capsys.readouterr().err == "error: the clips are gone: give others\n"  # said once
    (report,) = json.loads(figures.read_text())
    assert bool(report["failures"]) == (status == GATE_FAILED)


def test_all_checks_every_name_before_the_first_export(tiny: Path, monkeypatch) -> None:
    for target in combinations.TARGETS:
        install(monkeypatch, target=target)
    taken = tiny.parent / "out" / NAME.replace("xnnpack", "vulkan")
    taken.mkdir(parents=True)
    with pytest.raises(BadInput, match="vulkan-int8 exists and is not a bundle"):
        export_cli.main(["--target", "all", *options(tiny)])
    assert list((tiny.parent / "out").iterdir()) == [taken]


def test_all_says_what_it_skips(tiny: Path, monkeypatch, capsys) -> None:
    install(monkeypatch)
    for target in ("coreml", "vulkan"):
        install(monkeypatch, target=target, refuse="not wanted here")
    export_cli.main(["--target", "all", "--precision", "fp16", *options(tiny)])
    assert "skipped: xnnpack stream fp16 is refused" in capsys.readouterr().out


def test_list_prints_the_combinations(capsys) -> None:
    assert export_cli.main(["--list"]) == 0
    assert capsys.readouterr().out.strip() == combinations.table()


def test_help_teaches(capsys) -> None:
    with pytest.raises(SystemExit):
        export_cli.main(["--help"])
    text = capsys.readouterr().out
    assert "examples:" in text
    assert "exit status:" in text


def round_trip(tiny: Path, target: str, form: str, precision: str) -> dict:
    """Export with the real target and verify what came out; any drop is let pass.

    The model is random, so its answers hang on rounding; what is checked is that the artifact is
    delegated whole, runs, is bundled, and computes what its own golden clip says.
    """
    argv = ["--target", target, "--form", form, "--precision", precision, "--max-drop", "100"]
    assert export_cli.main([*argv, *options(tiny)]) == 0
    (folder,) = (tiny.parent / "out").iterdir()
    assert folder.name.endswith(f"-{form}-{target}-{precision}")
    figures = tiny.parent / "figures.json"
    argv = [str(folder), "--checkpoint", str(tiny), "--max-drop", "100", "--json", str(figures)]
    assert verify.main(argv) == 0
    report = json.loads(figures.read_text())
    manifest = reader.load(folder).manifest
    assert report["artifact_top1"] == manifest["accuracy"]["artifact_top1"]
    assert report["interpreted"] == (target != "xnnpack")
    assert manifest["labels"] == LABELS
    return report


def test_the_readmes_main_job_leaves_a_bundle_that_runs(main_job: reader.Bundle, capsys) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert "\npip install . && python -m mobile_export --target coreml " in readme
    printed = (main_job.path.parents[1] / "printed.txt").read_text(encoding="utf-8")
    assert "s  write     artifacts/mobilenet_v2-action-stream-coreml-int8" in printed
    assert verify.main([str(main_job.path), "--clips", "5"]) == 0
    assert "golden" in capsys.readouterr().out


def test_xnnpack_from_checkpoint_to_verified_bundle(tmp_path: Path, monkeypatch, shallow) -> None:
    # TSM has half the nodes of ACTION, and lowering takes its time by the node.
    path = make_checkpoint(tmp_path, temporal="shift")
    use_noise_clips(monkeypatch, path)
    report = round_trip(path, "xnnpack", "stream", "fp32")
    assert report["deviation"] < check.PARITY["fp32"]
    assert report["agreement"] == 100.0


@pytest.mark.slow
@pytest.mark.parametrize("combination", combinations.supported(), ids="-".join)
def test_every_combination(combination: tuple[str, str, str], tiny: Path) -> None:
    round_trip(tiny, *combination)
