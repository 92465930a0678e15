"""Teach five gestures from a few clips: the time from the button to the bundle, and the accuracy.

    python benchmarks/teach.py --target xnnpack --json teach.json
    python benchmarks/teach.py --people --clips 5

Clips of the validation split are written as somebody records them, in four sessions; the command
line teaches them, in a process of its own; its model answers clips of the test split. The model in
the package knows these gestures from rendered capsules of the training split, so capsules say how
long it takes and not how well new gestures are learned; of rendered people it has seen nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from intervals import wilson
from tqdm import tqdm

from core import checkpoint
from core.data.clips import Clips
from core.data.rendered.people.clips import PeopleClips
from core.data.rendered.synthetic import SyntheticClips
from core.data.transforms import normalise
from core.data.video import write_clip
from core.errors import run_main
from core.files import write_json
from core.options import Parser, check_file, whole
from mobile_export.combinations import TARGETS
from mobile_export.teach.folder import WORK

GESTURES = (
    "Swiping Left", "Swiping Right", "Thumb Up", "Rolling Hand Forward",
    "Zooming In With Full Hand", "No gesture",
)  # fmt: skip
SESSIONS = 4
SECONDS = 2.4  # of a clip, as the page records them
RECORDED = 160  # pixels of the clips that are written


def clips_of(people: bool, split: str, count: int, size: int, config) -> Clips:
    """Clips whose classes follow one another."""
    kind = PeopleClips if people else SyntheticClips
    frames = round(SECONDS * config.frame_rate) if split == "val" else config.frames
    return kind(split, count, frames=frames, size=size, frame_rate=config.frame_rate, only=GESTURES)


def record(root: Path, people: bool, number: int, config) -> None:
    """``number`` clips of every gesture, a quarter of them in each session."""
    clips = clips_of(people, "val", number * len(GESTURES), RECORDED, config)
    for index in tqdm(range(len(clips)), desc="record", unit="clip"):
        frames, label = clips[index]
        turn = index // len(GESTURES)
        folder = root / clips.labels[label] / f"session{turn * SESSIONS // number}"
        folder.mkdir(parents=True, exist_ok=True)
        write_clip(folder / f"{turn}.mp4", frames, config.frame_rate)


@torch.inference_mode()
def judge(trained: checkpoint.Checkpoint, people: bool, number: int) -> dict:
    """Right answers to ``number`` clips of every gesture of the test split."""
    config, right = trained.config, 0
    clips = clips_of(people, "test", number * len(GESTURES), config.size, config)
    for index in tqdm(range(len(clips)), desc="judge", unit="clip"):
        frames, label = clips[index]
        logits = trained.model(normalise(frames[None], config.mean, config.std))
        right += trained.labels[int(logits.argmax())] == clips.labels[label]
    low, high = wilson(right, len(clips))
    share = 100 * right / len(clips)
    return {"clips": len(clips), "right": right, "accuracy": share, "interval": [low, high]}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=TARGETS, help="without one, no bundle is made")
    parser.add_argument("--people", action="store_true", help="rendered people, not capsules")
    parser.add_argument("--clips", type=whole(SESSIONS), default=20, help="of a gesture")
    parser.add_argument("--test", type=whole(1), default=40, help="clips of a gesture to judge by")
    parser.add_argument("--from", dest="base", type=Path, help="default: the package's model")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    check_file("--json", args.json)
    base = args.base or checkpoint.bundled_path()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "clips"
        record(root, args.people, args.clips, checkpoint.load(base).config)
        command = [sys.executable, "-m", "mobile_export.teach", str(root), "--from", str(base)]
        command += ["--out", f"{folder}/out"]
        began = time.monotonic()
        made = subprocess.run(command + (["--target", args.target] if args.target else []))
        seconds = time.monotonic() - began
        if made.returncode:
            return made.returncode
        report = json.loads((root / WORK / "report.json").read_text())
        test = judge(checkpoint.load(root / WORK / "model.safetensors"), args.people, args.test)
    found = {
        "target": args.target, "people": args.people, "clips": args.clips,
        "seconds": round(seconds, 1), "stages": report["stages"],
        "by_session": {key: report["judged"][key] for key in ("accuracy", "interval", "clips")},
        "rule": report["decision"], "test": test,
    }  # fmt: skip
    print(json.dumps(found))
    if args.json:
        write_json("--json", args.json, found)
    return 0


if __name__ == "__main__":
    run_main(main)
