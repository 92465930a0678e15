"""The decision rule: by hand, against a naive second form, and against the vectors."""

import json
import math

import pytest
from live_vectors import DEFAULT, FOLDER, LABELS, NONE, answer_rows, noise, stream, vectors

from core.decision import Answer, Decider, Event, Rule, idle_labels, softmax, told_idle

ROUNDING = 1e-6  # of a probability: sums in another order, powers of another library
SURE = math.exp(9) / (math.exp(9) + 4)  # the probability of a capital letter of ``stream``


def rule(**numbers: object) -> Rule:
    return Rule(LABELS, frozenset(NONE), **(DEFAULT | {"window": 1} | numbers))


def answers(text: str, used: Rule) -> tuple[list[Answer], list[Event]]:
    """Frame by frame at tenths of a second, and the events, the last one closed by a reset."""
    decider = Decider(used)
    seen = [decider.update(i / 10, row) for i, row in enumerate(stream(text))]
    last = decider.reset()
    return seen, [a.ended for a in seen if a.ended] + ([last] if last else [])


def spans(text: str, used: Rule) -> list[tuple[str, float, float]]:
    return [(e.label, e.start, e.end) for e in answers(text, used)[1]]


def test_one_event_a_gesture() -> None:
    seen, events = answers("nnLLLLnnnn", rule())
    # A new answer needs two frames; the event begins with the first of them.
    assert [a.current for a in seen] == [None] * 3 + ["Swiping Left"] * 5 + [None] * 2
    assert [a.started for a in seen].index("Swiping Left") == 3
    assert seen[8].ended == events[0]  # the third frame without it
    assert events == [Event("Swiping Left", 0.2, 0.5, pytest.approx(SURE))]


def test_the_probability_beside_a_gesture_is_its_own() -> None:
    seen, _ = answers("nnLLLRn", rule())
    sure, beaten = seen[4], seen[5]
    assert beaten.current == sure.current == "Swiping Left"
    assert sure.shown(LABELS) == sure.confidence == pytest.approx(SURE)
    assert (beaten.winner, beaten.confidence) == ("Swiping Right", pytest.approx(SURE))
    assert beaten.shown(LABELS) == beaten.probabilities[LABELS.index("Swiping Left")] < 0.01
    assert seen[2].current is None
    assert seen[2].shown(LABELS) == seen[2].confidence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nnLnnnnn", []),  # a single frame is no answer
        ("LLnnLLnnn", [("Swiping Left", 0.0, 0.5)]),  # two frames without it do not end it
        ("LLnnnLLnnn", [("Swiping Left", 0.0, 0.1), ("Swiping Left", 0.5, 0.6)]),
        ("LLRRRRnnn", [("Swiping Left", 0.0, 0.1), ("Swiping Right", 0.2, 0.5)]),
        ("LLRTRTTnnn", [("Swiping Left", 0.0, 0.1), ("Thumb Up", 0.5, 0.6)]),
        ("LLRLLnnn", [("Swiping Left", 0.0, 0.4)]),
        ("oooonnnn", []),
    ],
)
def test_events_by_hand(text: str, expected: list) -> None:
    assert spans(text, rule()) == [(a, pytest.approx(b), pytest.approx(c)) for a, b, c in expected]


def test_the_window_is_a_mean_of_logits_and_starts_short() -> None:
    decider = Decider(rule(window=4))
    first = decider.update(0.0, [0, 0, 4, 0, 0])
    assert first.confidence == pytest.approx(softmax([0, 0, 4, 0, 0])[2])
    second = decider.update(0.1, [0, 0, 0, 2, 0])
    assert second.probabilities == pytest.approx(softmax([0, 0, 2, 1, 0]))
    for i in range(4):
        last = decider.update(0.2 + i / 10, [0, 8, 0, 0, 0])
    assert last.probabilities == pytest.approx(softmax([0, 8, 0, 0, 0]))


def test_none_labels_take_their_share() -> None:
    """Half a chance is needed of all labels, those that mean nothing included."""
    decider = Decider(rule(threshold=0.5))
    split = math.log(0.3), math.log(0.3), math.log(0.4), -50.0, -50.0
    answer = decider.update(0.0, split)
    assert (answer.winner, answer.confidence) == (None, pytest.approx(0.4))


def test_a_reset_forgets_the_past() -> None:
    decider = Decider(rule(window=8))
    for i, row in enumerate(stream("LLLL")):
        decider.update(i / 10, row)
    assert decider.reset().label == "Swiping Left"
    assert decider.reset() is None
    answer = decider.update(1.0, stream("R")[0])
    assert answer.winner == "Swiping Right"
    assert answer.confidence == pytest.approx(SURE)  # no frame of before is in the mean
    assert answer.current is None  # and no agreeing frame either


def naive(rows: list[list[float]], used: Rule) -> list[str | None]:
    """The open event's label after each frame, from all winners so far, as the document says it."""
    winners: list[str | None] = []
    current, since = None, 0
    out = []
    for t in range(len(rows)):
        part = rows[max(0, t + 1 - used.window) : t + 1]
        mean = [sum(r[c] for r in part) / len(part) for c in range(len(used.labels))]
        chances = dict(zip(used.labels, softmax(mean), strict=True))
        gestures = {k: v for k, v in chances.items() if k not in used.none_labels}
        best = max(gestures, key=gestures.get)
        winners.append(best if gestures[best] >= used.threshold else None)
        if current and t - since >= used.release:
            last = winners[-used.release :]
            if current not in last:
                current = None
        agreeing = winners[-used.agree :]
        if current is None and len(agreeing) == used.agree and len(set(agreeing)) == 1:
            current = agreeing[0]
            since = t
        out.append(current)
    return out


@pytest.mark.parametrize("seed", range(20))
def test_equal_to_the_naive_form_on_noise(seed: int) -> None:
    used = rule(window=1 + seed % 9, agree=1 + seed % 4, release=1 + seed % 5)
    rows = noise(seed, 300, 1.5)
    decider = Decider(used)
    assert [decider.update(i / 10, row).current for i, row in enumerate(rows)] == naive(rows, used)


def test_vectors_are_what_the_rule_answers() -> None:
    kept = json.loads((FOLDER / "decision.json").read_text())
    assert kept["labels"] == list(LABELS)
    for case in kept["cases"]:
        found = answer_rows(case)
        for number, (ours, theirs) in enumerate(zip(found, case["answers"], strict=True)):
            _same(ours, theirs, f"{case['name']}, step {number}")


def _same(ours: object, theirs: object, where: str) -> None:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), where
        for key in theirs:
            _same(ours[key], theirs[key], f"{where}, {key}")
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, abs=ROUNDING), where
    else:
        assert ours == theirs, where


def test_vectors_cover_what_can_happen() -> None:
    """Files that a forgotten run of the script left behind would test nothing new."""
    kept = {name: json.loads((FOLDER / name).read_text()) for name in vectors()}
    for name, content in vectors().items():
        assert [c["name"] for c in kept[name]["cases"]] == [c["name"] for c in content["cases"]]
    events = [a["ended"] for c in kept["decision.json"]["cases"] for a in c["answers"]]
    assert sum(event is not None for event in events) > 20
    ticks = [a for c in kept["ticks.json"]["cases"] for a in c["answers"]]
    assert {a["missed"] for a in ticks} >= {0, 1, 4, 5}
    assert any(a["reset"] for a in ticks)


@pytest.mark.parametrize(
    "name",
    ["none", "None", "__none__", "no_gesture", "No Gesture", "nothing", "idle", "background"],
)
def test_a_class_without_a_gesture_is_known_by_its_name(name: str) -> None:
    assert Rule.of(["wave", name]).none_labels == {name}
    assert repr(name) in told_idle(idle_labels(["wave", name]))


def test_another_class_without_a_gesture_is_named_in_training() -> None:
    info = {"settings": {"none": ["sitzen"]}}
    assert Rule.of(["wave", "sitzen"], info).none_labels == {"sitzen"}
    assert told_idle(idle_labels(["wave", "sitzen"])).startswith("warning: no class")
