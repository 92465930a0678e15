"""Training runs that are small enough for a test."""

import json
from pathlib import Path

from core.data.rendered import synthetic

TINY = [
    "--width", "0.25", "--size", "32", "--frames", "4", "--clips", "27", "--steps", "4",
    "--batch", "3", "--every", "2", "--val-clips", "5", "--workers", "0", "--cpu", "--fp32",
    "--capsules",
]  # fmt: skip
SMALL = [
    "--width", "0.25", "--size", "32", "--frames", "4", "--batch", "4", "--workers", "0", "--cpu",
    "--precision", "fp32",
]  # fmt: skip


def records(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def write_own_clips(root: Path) -> Path:
    """Clips of three gestures under names of one's own, as videos in class folders."""
    names = ["Thumb Up=like", "Thumb Down=dislike", "Swiping Left=next"]
    argv = [text for name in names for text in ("--class", name)]
    synthetic.main(["--capsules", "--write", str(root), "--count", "18", "--size", "48", *argv])
    return root
