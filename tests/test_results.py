"""benchmarks/results.py: the supplement's comparisons on rendered gestures."""

import json
import shlex

import pytest
import results
import torch
from PIL import Image

from core import checkpoint
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


def test_the_trunk_is_the_bundled_model_without_what_it_knows_of_time(tmp_path):
    results.write_trunk(tmp_path / "runs" / results.TRUNK)
    trunk = checkpoint.load(tmp_path / "runs" / results.TRUNK)
    bundled = checkpoint.load(checkpoint.bundled_path())
    assert trunk.config.temporal == "none"
    assert trunk.config.frames == bundled.config.frames > 1
    own, trained = trunk.model.state_dict(), bundled.model.state_dict()
    assert all(torch.equal(own[name], trained[name]) for name in own)
    assert all(".temporal." in name for name in set(trained) - set(own))
