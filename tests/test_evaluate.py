"""Evaluation: what it refuses, and the numbers that it gives where they are known."""

import json
from argparse import Namespace

import pytest
import torch
from datasets import write_jester
from helpers import make_model
from PIL import Image

from core import checkpoint
from core.data import open_clips
from core.data.rendered import synthetic
from core.data.source import Source
from core.data.transforms import normalise
from core.errors import BadInput
from core.evaluation import confusion, report
from core.evaluation.report import by_class, clip_logits, pair_accuracy
from core.evaluation.report import main as evaluate
from core.evaluation.streaming import gesture_decisions, stream_logits
from core.labels import LABELS, TIME_PAIRS
from core.model import ModelConfig

ROUNDING = 1e-5  # float32 sums in another order, of probabilities


def test_evaluation_refuses_what_it_cannot_give(tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, make_model(causal=False), ["a", "b", "c", "d", "e"])
    argv = ["--checkpoint", str(path), "--workers", "0"]
    for more, reason in (
        (["--streams", "1"], "cannot stream"),
        (["--data", str(tmp_path), "--streams", "1"], "leave them or --data out"),
        (["--data", str(tmp_path), "--pairs", "1"], "leave them or --data out"),
        (["--json", str(tmp_path / "missing" / "report.json")], "folder that exists"),
        (["--confusion", str(tmp_path / "missing" / "m.png")], "folder that exists"),
        (["--views", "10x3"], "--views are of clips in a folder"),
        (["--views", "10x0"], "10x0 is not CLIPSxCROPS"),
        (["--stream", "v.mp4", "--truth", "t.csv"], "cannot stream"),
    ):
        with pytest.raises(BadInput, match=reason):
            evaluate([*argv, *more])
    with pytest.raises(BadInput, match="-1 is not a whole number"):
        evaluate([*argv, "--streams", "-1"])


def test_evaluation_of_one_clip_by_a_tsn_flagged_bidirectional(tmp_path):
    """It streams all the same; the one clip is of no static class."""
    path, report = tmp_path / "model.safetensors", tmp_path / "report.json"
    model = make_model(temporal="none", causal=False, size=32, num_classes=27)
    checkpoint.save(path, model, list(LABELS))
    argv = ["--checkpoint", str(path), "--clips", "1", "--streams", "1", "--workers", "0"]
    argv.append("--capsules")
    assert evaluate([*argv, "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert found["static_top1"] is None
    assert found["stream"]["gestures"] == synthetic.SyntheticStreams.GESTURES


def test_a_large_class_does_not_pass_for_all(capsys):
    logits = torch.eye(3)[torch.tensor([0] * 63)]  # always the first
    labels = torch.tensor([0] * 60 + [1] * 3)
    assert report.balance(logits, labels) == (50.0, 95.24)
    report.tell_majority(labels, ["a", "b", "c"], 95.24)
    assert "95.24 % of the clips are 'a'" in capsys.readouterr().err
    report.tell_majority(torch.tensor([0, 0, 1]), ["a", "b"], 66.7)
    assert not capsys.readouterr().err


def test_stream_decision_averages_the_last_eight_frames():
    model = make_model()
    frames = torch.randint(0, 255, (12, 3, 64, 64), dtype=torch.uint8)
    logits = stream_logits(model, frames)
    assert logits.shape == (12, 5)
    decided = gesture_decisions(logits, [11, 3])
    assert decided.tolist() == [
        int(logits[4:12].mean(0).argmax()),
        int(logits[:4].mean(0).argmax()),
    ]


class Shades(torch.utils.data.Dataset):
    """Clips of a pair in the place of rendered ones: of one grey each, the number of the class."""

    def __init__(self, split, config, count, *, capsules, seed, backgrounds, only):
        assert (split, capsules, backgrounds) == ("val", "hard", None)
        self.count, self.only = count, only
        self.shape = (config.frames, 3, config.size, config.size)
        self.seed = seed

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index >= self.count:
            raise IndexError(index)
        label = LABELS.index(self.only[index % 2])
        return torch.full(self.shape, label, dtype=torch.uint8), label


class Answers(torch.nn.Module):
    """A model that reads the class off the grey and answers what ``answer(name, times)`` says.

    ``times`` counts the clips of that class before. A third class always has the largest logit.
    """

    def __init__(self, answer):
        super().__init__()
        self.config = ModelConfig(frames=2, size=32)
        self.answer, self.shown = answer, []
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (self.config.mean, self.config.std))
        out = torch.zeros(len(x), len(LABELS))
        out[:, LABELS.index("Stop Sign")] = 9.0
        for logits, clip in zip(out, x, strict=True):
            name = LABELS[round(float((clip * std + mean).mean()) * 255)]
            logits[LABELS.index(self.answer(name, self.shown.count(name)))] = 1.0
            self.shown.append(name)
        return out


OTHER_OF_PAIR = {a: b for pair in TIME_PAIRS for a, b in (pair, pair[::-1])}
FIRST = {name: pair[0] for pair in TIME_PAIRS for name in pair}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda name, times: name, 100.0),
        (lambda name, times: OTHER_OF_PAIR[name], 0.0),
        (lambda name, times: FIRST[name], 50.0),
        # Of four clips a class, three of the first and one of the second are right.
        (lambda name, times: FIRST[name] if times < 3 else OTHER_OF_PAIR[FIRST[name]], 50.0),
        (lambda name, times: name if times < 3 else OTHER_OF_PAIR[name], 75.0),
        (lambda name, times: name if name == FIRST[name] or times == 0 else FIRST[name], 62.5),
    ],
    ids=["right", "swapped", "always the first", "three to one", "three of four", "five of eight"],
)
def test_pair_accuracy_of_known_answers(answer, expected, monkeypatch):
    made = []

    def shades(*args, **settings):
        made.append(Shades(*args, **settings))
        return made[-1]

    monkeypatch.setattr(report, "rendered_clips", shades)
    model = Answers(answer)
    args = Namespace(split="val", pairs=8, capsules="hard", backgrounds=None, workers=0)
    found = pair_accuracy(model, args)
    assert found == {" / ".join(pair): expected for pair in TIME_PAIRS}
    assert model.shown == [name for pair in TIME_PAIRS for _ in range(4) for name in pair]
    seeds = {clips.seed for clips in made} | {0}  # 0 is that of the clips that --clips asks for
    assert len(seeds) == 1 + len(TIME_PAIRS), "scenes are used twice"


def test_names_with_dollar_signs_are_no_formulas(tmp_path):
    confusion.draw(tmp_path / "c.png", torch.eye(2, dtype=torch.long), ["$a_$", "$"])
    assert (tmp_path / "c.png").stat().st_size > 1000


def test_confusions_are_counted_and_named():
    says, labels = torch.tensor([0, 1, 1, 2, 1]), torch.tensor([0, 0, 0, 2, 2])
    matrix = confusion.count(says, labels, 3)
    assert matrix.tolist() == [[1, 2, 0], [0, 0, 0], [0, 1, 1]]
    assert confusion.worst(matrix, ["a", "b", "c"]) == [
        {"class": "a", "called": "b", "clips": 2},
        {"class": "c", "called": "b", "clips": 1},
    ]


@pytest.mark.parametrize("classes", [3, 27, 174])
def test_confusion_matrix_is_a_picture(tmp_path, classes):
    path = tmp_path / "matrix.png"
    matrix = torch.randint(0, 9, (classes, classes), generator=torch.Generator().manual_seed(0))
    confusion.draw(path, matrix, [f"class {i}" for i in range(classes)])
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 200
    assert [p.name for p in tmp_path.iterdir()] == ["matrix.png"]


def test_views_of_a_clip_are_averaged_as_probabilities(tmp_path):
    """Ten clips and three crops: what 30 single passes give, averaged after the softmax."""
    root = write_jester(tmp_path / "jester", val=2)
    path, report = tmp_path / "model.safetensors", tmp_path / "report.json"
    model = make_model(causal=False, size=32, frames=4, num_classes=27)
    checkpoint.save(path, model, list(LABELS))
    source = Source(root)
    clips = open_clips(source, "val", model.config, labels=list(LABELS), views=(10, 3))
    logits, labels = clip_logits(model, clips, 0, "views")
    mean, std = model.config.mean, model.config.std
    with torch.no_grad():
        passes = [model(normalise(view[None], mean, std)) for view in clips[1][0]]
    expected = torch.cat(passes).softmax(-1).mean(0)
    assert (logits[1].exp() - expected).abs().max() < ROUNDING
    assert labels.tolist() == [r.label for r in clips.records]
    argv = ["--checkpoint", str(path), "--data", str(root), "--views", "10x3", "--workers", "0"]
    argv += ["--confusion", str(tmp_path / "m.png"), "--json", str(report), "--clips", "1"]
    assert evaluate(argv) == 0
    found = json.loads(report.read_text())
    assert (found["split"], found["views"], found["clips"]) == ("val", "10x3", 1)
    assert (tmp_path / "m.png").exists()


def test_top1_by_class():
    says = torch.tensor([0, 1, 0, 2, 2, 0, 2])
    labels = torch.tensor([0, 0, 0, 2, 2, 2, 2])
    logits = torch.nn.functional.one_hot(says, 3).float()
    found = by_class(logits, labels, ["a", "b", "c"])
    assert found == {"a": 66.67, "c": 75.0}, "b has no clip and is left out"
