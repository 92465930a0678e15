"""benchmarks/results.py: the supplement's comparisons on rendered gestures."""

import json
import shlex
from pathlib import Path

import pytest
import results
import torch
from PIL import Image

from core import checkpoint
from core.errors import BadInput
from core.training.loop import parse

TINY = ["--size", "32", "--windows", "16", "--steps", "1"]
TINY += ["--test-clips", "27", "--pairs", "2"]


def arguments(out, *more):
    return results.parse(["--out", str(out), *more])


def test_every_row_differs_from_the_others_in_its_model_alone(tmp_path):
    args = arguments(tmp_path)
    models, rest = set(), set()
    for row in results.rows(list(results.GROUPS)):
        training, testing = results.commands(row, args)
        asked = vars(parse(training[1:]))
        assert asked["causal"] != asked.pop("bidirectional")
        model = (asked.pop("temporal"), asked.pop("causal"), asked.pop("location"))
        assert str(asked.pop("out")) in testing[testing.index("--checkpoint") + 1]
        models.add(model)
        rest.add(json.dumps(asked, default=str, sort_keys=True))
    assert len(models) == 1 + 5 + 5 + 3  # one TSN; location 1 is the first table's ACTION
    assert len(rest) == 1


# Newcombe, Statistics in Medicine 17 (1998), table I, and counts of fifteen computed by hand.
@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [
        (81, 263, 25.53, 36.62), (0, 20, 0.0, 16.11),
        (0, 15, 0.0, 20.39), (9, 15, 35.75, 80.18), (15, 15, 79.61, 100.0), (0, 0, 0.0, 100.0),
    ],
)  # fmt: skip
def test_the_interval_is_wilsons(part, whole, low, high):
    assert results.wilson(part, whole) == pytest.approx((low, high), abs=0.005)


@pytest.mark.slow  # a dozen processes
def test_the_tables_are_of_what_was_trained_and_a_second_run_trains_nothing(tmp_path, capfd):
    options = [*TINY, "--only", "locations", "--json", str(tmp_path / "results.json")]
    options += ["--plot", str(tmp_path / "results.png")]
    assert results.main(["--out", str(tmp_path), *options]) == 0
    first = capfd.readouterr()
    rows = json.loads((tmp_path / "results.json").read_text())
    assert [row["location"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        assert row["clips"] == 27
        assert row["top1_interval"][0] <= row["top1"] <= row["top1_interval"][1]
        assert f"{row['top1']:.1f}" in first.out
        assert "core.train" in shlex.split(row["commands"][0])
    assert Image.open(tmp_path / "results.png").size[0] > 100
    assert first.err.count("python -m core.train") == 4
    assert results.main(["--out", str(tmp_path), *options]) == 0
    second = capfd.readouterr()
    assert "python -m" not in second.err
    assert first.out.endswith(second.out)


TESTED = {
    "clips": 27, "top1": 90.0, "top5": 99.0, "static_top1": None, "pairs": {"a / b": 80.0},
    "clips_a_pair": 2,
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """The commands that were run; a test leaves figures behind."""
    found = []

    def run(command):
        found.append(command)
        if command[0] == "core.evaluate":
            file = command[command.index("--json") + 1]
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).write_text(json.dumps(TESTED))

    monkeypatch.setattr(results, "run", run)
    return found


def test_a_row_is_of_the_options_that_made_it(tmp_path, asked, capsys, monkeypatch):
    argv = ["--out", str(tmp_path / "a"), "--only", "causal", "--steps", "10"]
    assert results.main(argv) == 0
    assert len(asked) == 12
    assert "| TSM | 90.0 (" in capsys.readouterr().out
    assert results.main(argv) == 0
    assert len(asked) == 12
    for other in (["--steps", "400"], ["--test-clips", "50"]):
        with pytest.raises(BadInput, match="by other options: give another folder") as refused:
            results.main([*argv, *other])
        assert "\n" not in str(refused.value)
    # A folder may be moved, and a row that was not finished is asked for again.
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "b" / "causal_ce" / results.DONE).unlink()
    argv[1] = str(tmp_path / "b")
    assert results.main(argv) == 0
    assert len(asked) == 14
    assert "ce" in asked[-2]
    # The model in the package is another one by now.
    bundled = checkpoint.load(checkpoint.bundled_path())
    other = tmp_path / "other.safetensors"
    checkpoint.save(other, bundled.model, bundled.labels, {"another": True})
    monkeypatch.setattr(checkpoint, "bundled_path", lambda: other)
    with pytest.raises(BadInput, match="is not of the package's model: give another folder"):
        results.main(argv)
    assert len(asked) == 14


def test_a_figure_that_there_is_not_is_a_dash(tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / results.TEST).write_text(json.dumps(TESTED))
    row = results.measured(results.Row("causal", "none"), arguments(tmp_path))
    assert row["static_top1"] is None
    assert results.table([row], "causal").splitlines()[-1].endswith("| 99.0 | - | 80.0 |")


def test_the_trunk_is_the_bundled_model_without_what_it_knows_of_time(tmp_path):
    results.write_trunk(tmp_path / "runs" / results.TRUNK)
    trunk = checkpoint.load(tmp_path / "runs" / results.TRUNK)
    bundled = checkpoint.load(checkpoint.bundled_path())
    assert trunk.config.temporal == "none"
    assert trunk.config.frames == bundled.config.frames > 1
    own, trained = trunk.model.state_dict(), bundled.model.state_dict()
    assert all(torch.equal(own[name], trained[name]) for name in own)
    assert all(".temporal." in name for name in set(trained) - set(own))
