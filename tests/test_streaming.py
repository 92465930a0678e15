"""The streaming protocol: decisions as on the live path, and figures that are known by hand."""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from clips import levels, refusal
from datasets import write_egogesture
from helpers import make_model
from live_vectors import FOLDER

from core import checkpoint
from core.data.egogesture import CLASSES
from core.data.streams import EgoGestureStreams, file_stream, ticks
from core.data.video import write_clip
from core.decision import NONE_LABELS, NUMBERS, Decider, Rule
from core.evaluation.report import main as evaluate
from core.evaluation.streaming import StreamScore, decide, stream_logits
from core.labels import NO_GESTURE
from mobile_export.bundle.manifest import DECISION

LABELS = [NO_GESTURE, "left", "right"]
RATE = 10.0


def rule_of(
    labels: Sequence[str] = LABELS, nones: Collection[str] = NONE_LABELS, **numbers
) -> Rule:
    return Rule(tuple(labels), frozenset(nones), **(NUMBERS | numbers))


def test_rule_has_the_numbers_of_a_bundle() -> None:
    rule = vars(Rule.of(LABELS))
    assert all(DECISION[name] == rule[name] for name in NUMBERS)
    assert rule == vars(rule_of(nones=[NO_GESTURE]))


def same_decisions(logits: torch.Tensor, rule: Rule) -> None:
    live = Decider(rule)
    answers = [live.update(t / RATE, row) for t, row in enumerate(logits.tolist())]
    current, events = decide(logits, rule)
    assert current == [a.current for a in answers]
    ended = [a.ended for a in answers if a.ended]
    last = live.reset()
    expected = [*ended, last] if last else ended
    found = [(e.label, e.start / RATE, e.end / RATE) for e in events]
    assert found == [(e.label, e.start, e.end) for e in expected]


def test_decisions_are_those_of_the_live_path() -> None:
    """On the shared vectors, with steady times in the place of theirs, and on random logits."""
    content = json.loads((FOLDER / "decision.json").read_text())
    nones = {"Doing other things", NO_GESTURE}
    used = 0
    for case in content["cases"]:
        numbers = {k: v for k, v in case["rule"].items() if k != "none_labels"}
        resets = any(step.get("reset") for step in case["steps"])
        if resets or set(case["rule"]["none_labels"]) != nones:
            continue  # the protocol never resets
        used += 1
        logits = torch.tensor([s["logits"] for s in case["steps"]], dtype=torch.float64)
        same_decisions(logits, rule_of(content["labels"], nones, **numbers))
    assert used >= 5
    generator = torch.Generator().manual_seed(0)
    for threshold in (0.4, 0.8):
        noise = torch.randn(400, 3, generator=generator, dtype=torch.float64)
        held = noise[::8].repeat_interleave(8, 0) * 4  # answers that last a while
        rule = rule_of(nones={NO_GESTURE}, window=3, threshold=threshold, agree=2)
        same_decisions(held + noise, rule)


def logits_of(answers: list[int]) -> torch.Tensor:
    return 20.0 * torch.nn.functional.one_hot(torch.tensor(answers), 3).double()


def test_figures_by_hand() -> None:
    """A gesture that is found late, one that is missed, and one that nobody made."""
    rule = rule_of(window=1, threshold=0.5, agree=2, release=2)
    answers = [0] * 40
    answers[8:14] = [1] * 6  # left is made from 5 to 12: decided at 9, 0.4 s late
    answers[30:34] = [1] * 4  # nobody makes anything
    score = StreamScore(RATE)
    starts, ends, labels = (torch.tensor(v) for v in ([5, 18], [12, 24], [1, 2]))
    score.add(logits_of(answers), rule, starts, ends, labels)
    found = score.report()
    assert (found["gestures"], found["events"], found["right_events"]) == (2, 2, 1)
    assert found["delay_median"] == 0.4
    assert found["minutes"] == pytest.approx(40 / 600, abs=1e-3)
    assert found["false_alarms_a_minute"] == pytest.approx(15.0)
    assert found["recognised"] == 50.0
    # Open from 9 to 14 (released at 15) and from 31 to 34; truth is left in 5..12, right in 18..24.
    current = decide(logits_of(answers), rule)[0]
    assert len(current) == 40
    assert [t for t, label in enumerate(current) if label == "left"] == [
        *range(9, 15),
        *range(31, 35),
    ]
    assert current.count(None) == 30
    wrong = 4 + 2 + 7 + 4  # late, held on, missed, invented
    assert found["frame_accuracy"] == pytest.approx(100 * (40 - wrong) / 40)


def test_a_second_event_of_a_gesture_is_false() -> None:
    rule = rule_of(window=1, threshold=0.5, agree=2, release=2)
    answers = [0] * 5 + [1] * 4 + [0] * 4 + [1] * 4 + [0] * 5
    events = decide(logits_of(answers), rule)[1]
    assert [(e.label, e.start, e.end) for e in events] == [("left", 5, 8), ("left", 13, 16)]
    score = StreamScore(RATE)
    score.add(logits_of(answers), rule, *(torch.tensor([v]) for v in (5, 18, 1)))
    assert (score.events, score.right_events) == (2, 1)


def test_what_was_decided_before_a_gesture_is_no_answer_to_it() -> None:
    """Left twice in a row without a pause: the delay of the second is not zero."""
    rule = rule_of(window=1, threshold=0.5, agree=2, release=2)
    answers = [0] * 4 + [1] * 8 + [0] * 3 + [1] * 6
    score = StreamScore(RATE)
    parts = (torch.tensor(v) for v in ([4, 11], [9, 20], [1, 1]))
    score.add(logits_of(answers), rule, *parts)
    assert score.delays == [0.1, 0.5]


def test_gestures_after_the_end_are_missed() -> None:
    rule = rule_of(window=1, threshold=0.5, agree=2, release=2)
    score = StreamScore(RATE)
    starts, ends, classes = (torch.tensor(v) for v in ([5, 22, 18], [8, 30, 40], [1, 1, 2]))
    score.add(logits_of([0] * 5 + [1] * 4 + [0] * 11), rule, starts, ends, classes)
    assert (score.gestures, score.right_events) == (3, 1)
    score.add(torch.zeros(0, 3), rule, starts, ends, classes)  # of no frame at all
    assert (score.gestures, score.right_events) == (6, 1)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("label,start,end\na,1.0,1.4\nb,63.4,64.7\n", "1 of 2 gestures begin after the end"),
        ("Label; Start; End\na;63.4;64.7\n", "1 of 1 gestures begin after the end"),
        ("label,start,end\na,1000,1400\n", "look like milliseconds"),
    ],
)
def test_times_that_no_recording_has(tmp_path: Path, rows: str, said: str, capsys) -> None:
    model, labels = make_model(size=32, num_classes=3), ["a", "b", "none"]
    checkpoint.save(tmp_path / "m.safetensors", model, labels)
    write_clip(tmp_path / "v.mp4", levels(20, 32, 32), RATE)
    (tmp_path / "t.csv").write_text(rows)
    argv = ["--checkpoint", str(tmp_path / "m.safetensors"), "--stream", str(tmp_path / "v.mp4")]
    argv += ["--truth", str(tmp_path / "t.csv"), "--json", str(tmp_path / "r.json")]
    if "milli" in said:
        assert said in refusal(lambda: evaluate(argv))
        return
    assert evaluate(argv) == 0
    assert said in capsys.readouterr().err
    assert (
        json.loads((tmp_path / "r.json").read_text())["stream"]["gestures"] == rows.count("\n") - 1
    )


def test_nothing_at_all_has_no_figures() -> None:
    empty = torch.zeros(0, dtype=torch.long)
    score = StreamScore(RATE)
    score.add(torch.zeros(0, 3), rule_of(), empty, empty, empty)
    found = score.report()
    assert found["top1"] is found["delay_median"] is found["false_alarms_a_minute"] is None


# Recordings


def test_ticks_of_a_gesture() -> None:
    assert ticks(0.0, 1.0, 10.0) == (0, 10)
    assert ticks(0.31, 0.39, 10.0) == (4, 4)


def test_whole_recordings_of_egogesture(tmp_path: Path) -> None:
    root = write_egogesture(tmp_path)
    config = replace(make_model().config, size=32, num_classes=CLASSES)
    labels = [str(i) for i in range(CLASSES, 0, -1)]
    streams = EgoGestureStreams(root, "test", 9, config, labels)
    assert len(streams) == 2
    frames, starts, ends, classes = streams[0]
    assert frames.shape == (10, 3, 32, 32)  # a second at 30, every third
    # Frames 2 to 13 and 16 to 27, from 1: seconds 0.033 to 0.4 and 0.5 to 0.867.
    assert (starts.tolist(), ends.tolist()) == ([1, 5], [4, 8])
    assert [labels[i] for i in classes] == ["2", "83"]
    for file in (root / "frames" / "Subject02" / "Scene1" / "Color1" / "rgb1").iterdir():
        file.unlink()
    assert "rgb1 cannot be read" in refusal(lambda: streams[0])


def test_streams_of_egogesture_by_the_command_line(tmp_path: Path) -> None:
    root = write_egogesture(tmp_path / "ego")
    model, report = tmp_path / "model.safetensors", tmp_path / "report.json"
    labels = [str(i) for i in range(1, CLASSES + 1)]
    checkpoint.save(model, make_model(size=32, frames=4, num_classes=CLASSES), labels)
    argv = ["--data", str(root), "--checkpoint", str(model), "--workers", "0", "--streams", "2"]
    assert evaluate([*argv, "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert found["clips"] == 4
    assert (found["stream"]["streams"], found["stream"]["gestures"]) == (2, 4)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    labels = ["a", "b", "c", "d", "e"]
    model, report = make_model(size=32, frames=4), tmp_path / "report.json"
    checkpoint.save(tmp_path / "m.safetensors", model, labels)
    video, truth = tmp_path / "v.mp4", tmp_path / "t.csv"
    frames = torch.randint(0, 255, (150, 3, 32, 32), dtype=torch.uint8)
    write_clip(video, frames, 20.0)
    truth.write_text('label,start,end\n\n"b",1.0,2.5\na,5,6\n')
    parts, starts, ends, classes = file_stream(video, truth, model.config, labels)
    parts = list(parts)
    assert [len(part) for part in parts] == [64, 11]
    assert (starts.tolist(), ends.tolist(), classes.tolist()) == ([10, 50], [25, 60], [1, 0])
    whole = stream_logits(model, torch.cat(parts))
    assert torch.equal(stream_logits(model, iter(parts)), whole)
    argv = ["--checkpoint", str(tmp_path / "m.safetensors"), "--stream", str(video)]
    assert evaluate([*argv, "--truth", str(truth), "--json", str(report)]) == 0
    found = json.loads(report.read_text())["stream"]
    assert (found["gestures"], found["minutes"]) == (2, 0.125)
    assert "give both or neither" in refusal(lambda: evaluate(argv))
    more = ["--truth", str(truth), "--confusion", str(tmp_path / "c.png")]
    assert "are not of --stream" in refusal(lambda: evaluate([*argv, *more]))
    for text in ("x,1,2\n", "a,3,2\n", "a,1\n", "a,b,c\n"):
        truth.write_text(text)
        message = refusal(lambda: evaluate([*argv, "--truth", str(truth)]))
        assert f"{truth} line 1" in message
    truth.write_text("a,1,2\n")
    video.write_bytes(b"nothing")
    assert f"--stream {video}" in refusal(lambda: evaluate([*argv, "--truth", str(truth)]))
