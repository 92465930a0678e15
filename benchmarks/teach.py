"""Teach five gestures from a few clips: the time from the button to the bundle, and the accuracy.

    python benchmarks/teach.py --target xnnpack --json teach.json
    python benchmarks/teach.py --clips 5 --fine-tune 200
    python benchmarks/teach.py --of known

Clips of one rendered person of the validation split are written as somebody records them, in four
sessions, each in a place of its own; the command line teaches them, in a process of its own. Its
model answers clips of the same person in other places, clips of other people (those of the test
split), and a stream of each with rest and other motion between. *own* gestures are in no training
(a circle, a knock, scissors, horns, a wagging finger), *known* ones are the package's. A bundle
that fails its check is exit status 3; its model is judged all the same.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from own_gestures import GESTURES as OWN
from own_gestures import film
from torch import Tensor
from tqdm import tqdm

from core import checkpoint
from core.data.rendered.people.clips import around
from core.data.rendered.people.scenes import clip_scene
from core.data.rendered.people.studio import studio
from core.data.rendered.window import SIDE
from core.data.transforms import normalise
from core.data.video import write_clip
from core.decision import Rule
from core.errors import GATE_FAILED, BadInput, run_main
from core.evaluation.events import Gesture
from core.evaluation.intervals import wilson
from core.evaluation.streaming import decide, stream_logits
from core.files import write_json
from core.labels import NO_GESTURE, OTHER
from core.model import ModelConfig
from core.options import Parser, check_file, whole
from mobile_export.combinations import TARGETS
from mobile_export.live.score import score
from mobile_export.teach.folder import WORK

KNOWN = (
    "Swiping Left", "Swiping Right", "Thumb Up", "Rolling Hand Forward",
    "Zooming In With Full Hand", NO_GESTURE,
)  # fmt: skip
SESSIONS = 4
SECONDS = 2.4  # of a clip, as the page records them
RECORDED = 160  # pixels of the clips that are written
BETWEEN = 20  # frames of other motion in a stream
FIRST_NEW, IN_A_PLACE = 100, 10  # number of the first clip to judge by, and clips on end in a place
MOST_PLACES = 1000  # of a person


class Material:
    """Clips of one kind of gestures, uint8 (T, 3, S, S) of ``SECONDS`` at the model's rate."""

    def __init__(self, kind: str, config: ModelConfig, person: int) -> None:
        self.kind, self.config, self.person = kind, config, person
        self.labels = list(OWN) if kind == "own" else list(KNOWN)

    def clip(self, label: str, number: int, size: int, place: int | None) -> Tensor:
        """One of many; what is no gesture is rest and other motion in turn.

        In a ``place`` it is the person who records, without one somebody else somewhere else.
        """
        if label == NO_GESTURE and number % 2:
            return self.other(number, size, place, SECONDS)
        if self.kind != "own":
            return self.rendered(label, number, size, place, SECONDS, seed=KNOWN.index(label))
        split, person, seed = self.seen(place)
        return film(label, split, number, size, SECONDS, self.config.frame_rate, person, seed)

    def other(self, number: int, size: int, place: int | None, seconds: float) -> Tensor:
        """Hands that do something else."""
        return self.rendered(OTHER, number, size, place, seconds, seed=99)

    def rendered(
        self, label: str, number: int, size: int, place: int | None, seconds: float, seed: int
    ) -> Tensor:
        """Somebody who makes one of the package's gestures."""
        split, person, place = self.seen(place)
        scene, part = clip_scene(split, seed, number, label, SIDE)
        rate = self.config.frame_rate
        times = around(part.start, part.end, round(seconds * rate), rate)
        return studio(size).render(replace(scene, person=person, place=place), times)[0]

    def seen(self, place: int | None) -> tuple[str, int | None, int | None]:
        """The split, the person and the place of a scene."""
        if place is None:
            return "test", None, None
        return "val", self.person, MOST_PLACES * self.person + place


def record(root: Path, material: Material, number: int) -> None:
    """``number`` clips of every gesture, a quarter of them in each session."""
    for label in tqdm(material.labels, desc="record", unit="gesture"):
        for turn in range(number):
            session = turn * SESSIONS // number
            folder = root / label / f"session{session}"
            folder.mkdir(parents=True, exist_ok=True)
            frames = material.clip(label, turn, RECORDED, place=session)
            write_clip(folder / f"{turn}.mp4", frames, material.config.frame_rate)


@torch.inference_mode()
def judge(trained: checkpoint.Checkpoint, material: Material, number: int, same: bool) -> dict:
    """Right answers to ``number`` clips of every gesture, and the events of a stream of them.

    ``same``: of the person who recorded, ten clips in a place, else of other people.
    """
    config, rule = trained.config, Rule.of(trained.labels, trained.info)
    rate = config.frame_rate
    right, frames, gestures, at = 0, [], [], 0
    order = [(label, turn) for turn in range(number) for label in material.labels]
    for index, (label, turn) in enumerate(tqdm(order, desc="judge", unit="clip")):
        turn += FIRST_NEW
        where = turn // IN_A_PLACE if same else None
        clip = material.clip(label, turn, config.size, where)
        first = (len(clip) - config.frames) // 2
        middle = clip[first : first + config.frames]
        logits = trained.model(normalise(middle[None], config.mean, config.std))
        right += trained.labels[int(logits.argmax())] == label
        if label != NO_GESTURE:
            gestures.append(Gesture(label, at / rate, (at + len(clip) - 1) / rate))
        frames.append(clip)
        at += len(clip)
        if index % 2:
            frames.append(material.other(1000 + index, config.size, where, BETWEEN / rate))
            at += BETWEEN
    _, found = decide(stream_logits(trained.model, torch.cat(frames)), rule)
    events = [replace(e, start=e.start / rate, end=e.end / rate) for e in found]
    low, high = wilson(right, len(order))
    return {
        "clips": len(order), "right": right, "accuracy": round(100 * right / len(order), 2),
        "interval": [round(low, 2), round(high, 2)],
        "stream": score(events, gestures, at / rate / 60).to_dict(),
    }  # fmt: skip


def judged(trained: checkpoint.Checkpoint, material: Material, number: int) -> dict:
    """By the person who recorded, elsewhere, and by other people."""
    return {
        "same_person": judge(trained, material, number, same=True),
        "others": judge(trained, material, number, same=False),
    }


def fine_tuned(
    root: Path, base: Path, out: Path, steps: int, target: str | None
) -> tuple[Path, dict[str, float]]:
    """All layers trained on the same clips by the README's commands: the model, their seconds."""
    model, data = out / "best.safetensors", ["--data", str(root)]
    commands = {
        "train": ["core.train", *data, "--from", str(base), "--out", str(out), "--cpu",
                  "--steps", str(steps)],
        "evaluate": ["core.evaluate", *data, "--checkpoint", str(model)],
    }  # fmt: skip
    if target:
        commands["export"] = ["mobile_export", "--target", target, *data, "--checkpoint"]
        commands["export"] += [str(model), "--out", str(out / "artifacts")]
    took = {}
    for name, words in commands.items():
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-m", *words])
        if done.returncode not in (0, GATE_FAILED):
            raise BadInput(f"{words[0]} ended with status {done.returncode}: see above")
        took[name] = round(time.monotonic() - began, 1)
    return model, took


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status of the teaching."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--target", choices=TARGETS, help="without one, no bundle is made")
    add("--of", choices=("own", "known"), default="own", help="gestures, default own")
    # Not so many that those to judge by were among them.
    add("--clips", type=whole(SESSIONS, FIRST_NEW), default=20, help="of a gesture")
    add("--person", type=whole(0), default=0, help="who records; every number is another one")
    add("--test", type=whole(1), default=40, help="clips of a gesture to judge by, each time")
    add("--fine-tune", type=whole(1), metavar="STEPS", help="beside it all layers, by core.train")
    add("--from", dest="base", type=Path, help="default: the package's model")
    add("--json", type=Path)
    args = parser.parse_args(argv)
    check_file("--json", args.json)
    base = args.base or checkpoint.bundled_path()
    material = Material(args.of, checkpoint.load(base).config, args.person)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "clips"
        record(root, material, args.clips)
        command = [sys.executable, "-m", "mobile_export.teach", str(root), "--from", str(base)]
        command += ["--out", f"{folder}/out"]
        began = time.monotonic()
        made = subprocess.run(command + (["--target", args.target] if args.target else []))
        seconds = time.monotonic() - began
        if made.returncode not in (0, GATE_FAILED):
            return made.returncode
        report = json.loads((root / WORK / "report.json").read_text())
        taught = checkpoint.load(root / WORK / "model.safetensors")
        found = {
            "target": args.target, "of": args.of, "clips": args.clips, "person": args.person,
            "status": made.returncode, "seconds": round(seconds, 1), "stages": report["stages"],
            "by_session": {k: report["judged"][k] for k in ("accuracy", "interval", "clips")},
            "rule": report["decision"], **judged(taught, material, args.test),
        }  # fmt: skip
        if args.fine_tune:
            out = Path(folder) / "run"
            path, took = fine_tuned(root, base, out, args.fine_tune, args.target)
            tuned = checkpoint.load(path)
            tuned.info["decision"] = report["decision"]  # the same rule for both
            found["fine_tuned"] = {"steps": args.fine_tune, "seconds": took}
            found["fine_tuned"] |= judged(tuned, material, args.test)
    print(json.dumps(found))
    if args.json:
        write_json("--json", args.json, found)
    return made.returncode


if __name__ == "__main__":
    run_main(main)
