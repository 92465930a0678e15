"""Teach five gestures from a few clips: the time from the button to the bundle, and the accuracy.

    python benchmarks/teach.py --target xnnpack --json teach.json
    python benchmarks/teach.py --clips 5 --fine-tune 200
    python benchmarks/teach.py --of known

Clips of rendered people of the validation split are written as somebody records them, in four
sessions; the command line teaches them, in a process of its own; its model answers clips of the
test split, whose people and rooms are others, and a stream of them with rest and other motion
between. *own* gestures are in no training (a circle, a knock, scissors, horns, a wagging finger),
*known* ones are the package's.
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
from intervals import wilson
from own_gestures import GESTURES as OWN
from own_gestures import film
from torch import Tensor
from tqdm import tqdm

from core import checkpoint
from core.data.rendered.people.clips import PeopleClips
from core.data.transforms import normalise
from core.data.video import write_clip
from core.decision import Rule
from core.errors import run_main
from core.evaluation.events import Gesture
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


class Material:
    """Clips of one kind of gestures, uint8 (T, 3, S, S) of ``SECONDS`` at the model's rate."""

    def __init__(self, kind: str, config: ModelConfig) -> None:
        self.kind, self.config = kind, config
        self.labels = list(OWN) if kind == "own" else list(KNOWN)

    def clip(self, split: str, label: str, number: int, size: int) -> Tensor:
        """One of many; what is no gesture is rest and other motion in turn."""
        rate = self.config.frame_rate
        frames = round(SECONDS * rate)
        if label == NO_GESTURE and number % 2:
            return self.other(split, number, size, frames)
        if self.kind == "own":
            return film(label, split, number, size, SECONDS, rate)
        return self.rendered(split, label, number, size, frames, seed=KNOWN.index(label))

    def other(self, split: str, number: int, size: int, frames: int) -> Tensor:
        """Hands that do something else."""
        return self.rendered(split, OTHER, number, size, frames, seed=99)

    def rendered(
        self, split: str, label: str, number: int, size: int, frames: int, seed: int
    ) -> Tensor:
        """A person who makes one of the package's gestures."""
        clips = PeopleClips(
            split, number + 1, frames=frames, size=size, frame_rate=self.config.frame_rate,
            only=(label,), seed=seed,
        )  # fmt: skip
        return clips[number][0]


def record(root: Path, material: Material, number: int) -> None:
    """``number`` clips of every gesture, a quarter of them in each session."""
    for label in tqdm(material.labels, desc="record", unit="gesture"):
        for turn in range(number):
            folder = root / label / f"session{turn * SESSIONS // number}"
            folder.mkdir(parents=True, exist_ok=True)
            frames = material.clip("val", label, turn, RECORDED)
            write_clip(folder / f"{turn}.mp4", frames, material.config.frame_rate)


@torch.inference_mode()
def judge(trained: checkpoint.Checkpoint, material: Material, number: int) -> dict:
    """Right answers to ``number`` clips of every gesture, and the events of a stream of them."""
    config, rule = trained.config, Rule.of(trained.labels, trained.info)
    rate = config.frame_rate
    right, frames, gestures, at = 0, [], [], 0
    order = [(label, turn) for turn in range(number) for label in material.labels]
    for place, (label, turn) in enumerate(tqdm(order, desc="judge", unit="clip")):
        clip = material.clip("test", label, turn, config.size)
        first = (len(clip) - config.frames) // 2
        middle = clip[first : first + config.frames]
        logits = trained.model(normalise(middle[None], config.mean, config.std))
        right += trained.labels[int(logits.argmax())] == label
        if label != NO_GESTURE:
            gestures.append(Gesture(label, at / rate, (at + len(clip) - 1) / rate))
        frames.append(clip)
        at += len(clip)
        if place % 2:
            frames.append(material.other("test", 1000 + place, config.size, BETWEEN))
            at += BETWEEN
    _, found = decide(stream_logits(trained.model, torch.cat(frames)), rule)
    events = [replace(e, start=e.start / rate, end=e.end / rate) for e in found]
    low, high = wilson(right, len(order))
    return {
        "clips": len(order), "right": right, "accuracy": round(100 * right / len(order), 2),
        "interval": [round(low, 2), round(high, 2)],
        "stream": score(events, gestures, at / rate / 60).to_dict(),
    }  # fmt: skip


def fine_tuned(root: Path, base: Path, out: Path, steps: int) -> tuple[Path, float]:
    """All layers trained on the same clips by ``core.train``: the model and the seconds."""
    command = [sys.executable, "-m", "core.train", "--data", str(root), "--from", str(base)]
    command += ["--out", str(out), "--steps", str(steps), "--every", str(steps), "--cpu"]
    began = time.monotonic()
    subprocess.run(command, check=True)
    return out / "best.safetensors", round(time.monotonic() - began, 1)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--target", choices=TARGETS, help="without one, no bundle is made")
    add("--of", choices=("own", "known"), default="own", help="gestures, default own")
    add("--clips", type=whole(SESSIONS), default=20, help="of a gesture")
    add("--test", type=whole(1), default=40, help="clips of a gesture to judge by")
    add("--fine-tune", type=whole(1), metavar="STEPS", help="train all layers beside it")
    add("--from", dest="base", type=Path, help="default: the package's model")
    add("--json", type=Path)
    args = parser.parse_args(argv)
    check_file("--json", args.json)
    base = args.base or checkpoint.bundled_path()
    material = Material(args.of, checkpoint.load(base).config)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "clips"
        record(root, material, args.clips)
        command = [sys.executable, "-m", "mobile_export.teach", str(root), "--from", str(base)]
        command += ["--out", f"{folder}/out"]
        began = time.monotonic()
        made = subprocess.run(command + (["--target", args.target] if args.target else []))
        seconds = time.monotonic() - began
        if made.returncode:
            return made.returncode
        report = json.loads((root / WORK / "report.json").read_text())
        taught = checkpoint.load(root / WORK / "model.safetensors")
        found = {
            "target": args.target, "of": args.of, "clips": args.clips,
            "seconds": round(seconds, 1), "stages": report["stages"],
            "by_session": {k: report["judged"][k] for k in ("accuracy", "interval", "clips")},
            "rule": report["decision"], "test": judge(taught, material, args.test),
        }  # fmt: skip
        if args.fine_tune:
            path, took = fine_tuned(root, base, Path(folder) / "run", args.fine_tune)
            tuned = checkpoint.load(path)
            tuned.info["decision"] = report["decision"]  # the same rule for both
            found["fine_tuned"] = {"steps": args.fine_tune, "seconds": took} | judge(
                tuned, material, args.test
            )
    print(json.dumps(found))
    if args.json:
        write_json("--json", args.json, found)
    return 0


if __name__ == "__main__":
    run_main(main)
