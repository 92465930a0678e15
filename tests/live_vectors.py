"""Makes ``tests/vectors/*.json``: what every implementation of ticks and decisions has to answer.

    python tests/live_vectors.py

The Python implementation writes them and is held to them; so are the Kotlin and Swift ones. What it
should answer stands in test_decision.py and test_ticks.py, written by hand.
"""

import json
import math
import random
from dataclasses import asdict
from pathlib import Path

from core.decision import Answer, Decider, Event, Rule
from mobile_export.live.ticks import Ticks

FOLDER = Path(__file__).parent / "vectors"
LABELS = ("Doing other things", "No gesture", "Swiping Left", "Swiping Right", "Thumb Up")
NONE = ("Doing other things", "No gesture")
DEFAULT = {"window": 8, "threshold": 0.5, "agree": 2, "release": 3}
PERIOD = 0.1


def stream(text: str) -> list[list[float]]:
    """Logits, a frame a letter: o, n, l, r, t are labels, capital letters surer, . is flat."""
    rows = []
    for letter in text:
        row = [0.0] * len(LABELS)
        if letter != ".":
            row["onlrt".index(letter.lower())] = 9.0 if letter.isupper() else 3.0
        rows.append(row)
    return rows


def noise(seed: int, count: int, scale: float) -> list[list[float]]:
    """Logits that wander, rounded so that they are the same in every language."""
    generator = random.Random(seed)
    row = [0.0] * len(LABELS)
    rows = []
    for _ in range(count):
        row = [0.8 * value + scale * generator.gauss(0, 1) for value in row]
        rows.append([round(value, 3) for value in row])
    return rows


def decision_cases() -> list[dict]:
    """Name, rule and steps; a step is a frame's time and logits, or a reset."""
    single = DEFAULT | {"window": 1}
    streams = {
        "one gesture between rests": (DEFAULT, stream("nnnnnnLLLLLLLLnnnnnnnnnnnn")),
        "a gesture from the first frame on": (DEFAULT, stream("LLLLLL")),
        "one frame is not enough": (single, stream("nnLnnnLLnnnn")),
        "a gap shorter than the release does not split": (single, stream("LLLnnLLnnnnn")),
        "a gap as long as the release splits": (single, stream("LLLnnnLLLnnn")),
        "another label ends it and follows": (single, stream("LLLRRRRRRnnn")),
        "two others in turn end it": (single, stream("LLLRTRTTTnnn")),
        "none labels are added up": (single, stream("onon....LLL")),
        "equal logits give the first label a chance below the threshold": (
            single,
            stream("......"),
        ),
        "the mean of fewer frames at the start": (DEFAULT, stream("lllllllllll")),
        "other numbers": (
            {"window": 3, "threshold": 0.7, "agree": 4, "release": 2},
            stream("nnLLLLLLnnRRRRRRRRnnnn"),
        ),
        "no label is none": (single | {"none_labels": []}, stream("nnnLLLnnn")),
        "every label is none": (single | {"none_labels": list(LABELS)}, stream("nnLL")),
        "large logits do not overflow": (single, [[-900.0, 0.0, 900.0, 0.0, 1.0]] * 4),
        "noise": (DEFAULT, noise(1, 200, 1.5)),
        "noise with a shorter window": (DEFAULT | {"window": 3}, noise(2, 200, 1.5)),
    }
    cases = []
    for name, (rule, rows) in streams.items():
        steps: list[dict] = [
            {"time": round(i * PERIOD, 3), "logits": row} for i, row in enumerate(rows)
        ]
        cases.append({"name": name, "rule": {"none_labels": list(NONE)} | rule, "steps": steps})
    first = [{"time": round(i * PERIOD, 3), "logits": r} for i, r in enumerate(stream("LLLLLL"))]
    second = [{"time": round(2 + t["time"], 3), "logits": t["logits"]} for t in first]
    steps = [*first, {"reset": True}, *second, {"reset": True}, {"reset": True}]
    cases.append(
        {"name": "a reset closes the event", "rule": {"none_labels": list(NONE)} | DEFAULT}
        | {"steps": steps}
    )
    return cases


def answer_rows(case: dict) -> list[dict]:
    """What the rule answers to each step."""
    rule = case["rule"]
    numbers = {key: rule[key] for key in DEFAULT}
    decider = Decider(Rule(LABELS, frozenset(rule["none_labels"]), **numbers))
    rows = []
    for step in case["steps"]:
        if "reset" in step:
            rows.append({"ended": _event(decider.reset())})
        else:
            rows.append(_answer(decider.update(step["time"], step["logits"])))
    return rows


def _answer(answer: Answer) -> dict:
    return {
        "winner": answer.winner,
        "confidence": round(answer.confidence, 9),
        "current": answer.current,
        "started": answer.started,
        "ended": _event(answer.ended),
    }


def _event(event: Event | None) -> dict | None:
    return event and {k: v if k == "label" else round(v, 9) for k, v in asdict(event).items()}


def tick_cases() -> list[dict]:
    """Name, rate, limit and the time stamps of a camera."""
    jitter = random.Random(3)
    steady = {f"a camera of {fps} frames a second": _camera(fps, 3.0) for fps in (5, 10, 12, 15)}
    steady |= {f"a camera of {fps} frames a second": _camera(fps, 3.0) for fps in (24, 25, 30, 60)}
    streams = steady | {
        "jitter": [round(i / 30 + jitter.uniform(-0.01, 0.01), 6) for i in range(3, 150)],
        "a clock that does not start at zero": [round(1e6 + t, 6) for t in _camera(30, 2.0)],
        "four missed ticks go on": [0.0, 0.1, 0.6, 0.7],
        "five missed ticks reset": [0.0, 0.1, 0.7, 0.8, 0.9],
        "busy for a second": [*_camera(30, 1.0), *[round(2 + t, 6) for t in _camera(30, 1.0)]],
        "another recording": [5.0, 5.1, 5.2, 0.0, 0.1, 0.2],
        "a frame twice": [0.0, 0.0, 0.1, 0.1, 0.2],
        "a little late and a little early": [0.0, 0.124, 0.176, 0.31, 0.376],
    }
    return [
        {"name": name, "rate": 10.0, "reset_after_missed": 5, "times": times}
        for name, times in streams.items()
    ]


def _camera(rate: float, seconds: float) -> list[float]:
    return [round(i / rate, 6) for i in range(math.ceil(seconds * rate))]


def tick_rows(case: dict) -> list[dict]:
    """What the tick says to each frame."""
    ticks = Ticks(case["rate"], case["reset_after_missed"])
    return [asdict(ticks.frame(seconds)) for seconds in case["times"]]


def vectors() -> dict[str, dict]:
    """The contents of both files."""
    decisions = [case | {"answers": answer_rows(case)} for case in decision_cases()]
    ticks = [case | {"answers": tick_rows(case)} for case in tick_cases()]
    return {
        "decision.json": {"schema": 1, "labels": list(LABELS), "cases": decisions},
        "ticks.json": {"schema": 1, "cases": ticks},
    }


def text_of(content: dict) -> str:
    """JSON with a step or an answer a line, so that a change can be read."""
    cases = []
    for case in content["cases"]:
        parts = []
        for key, value in case.items():
            if isinstance(value, list):
                rows = ",\n   ".join(json.dumps(row) for row in value)
                parts.append(f'"{key}": [\n   {rows}\n  ]')
            else:
                parts.append(f'"{key}": {json.dumps(value)}')
        cases.append("{" + ",\n  ".join(parts) + "}")
    rest = json.dumps({k: v for k, v in content.items() if k != "cases"})[:-1]
    return rest + ', "cases": [\n ' + ",\n ".join(cases) + "\n]}\n"


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in vectors().items():
        (FOLDER / name).write_text(text_of(content), encoding="utf-8")


if __name__ == "__main__":
    main()
