"""What a clip would cost as one Vulkan program: its frames unrolled, the states inside.

    python benchmarks/unrolled.py --frames 1 2 4 8

Vulkan convolves at batch 1 alone, so the clip form, whose frames are its batch, cannot be lowered.
Unrolled, the program holds the graph of a frame once for every frame. Prints, for the bundled
model, the nodes, the seconds of lowering, the bytes of the program and of those that are no
constants, for every number of frames.
"""

import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from core.checkpoint import bundled_path, load
from core.errors import run_main
from core.files import write_json
from core.markdown import markdown
from core.options import Parser, check_file, whole
from mobile_export.graph import forms
from mobile_export.targets import vulkan
from mobile_export.targets.delegation import lower_whole
from mobile_export.targets.quick import quick_provenance

COLUMNS = ("frames", "nodes", "seconds", "MB", "MB without constants")


class Unrolled(nn.Module):
    """``frames (1, 3, S, S), one by one -> logits (1, classes)``, their mean, from zero states."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *frames: Tensor) -> Tensor:
        """The mean of the logits of all frames."""
        state = self.model.initial_state(1)
        total = None
        for frame in frames:
            logits, state = self.model.step(frame, state)
            total = logits if total is None else total + logits
        return total / len(frames)


def constant_bytes(model: nn.Module) -> int:
    """What a program holds of weights and of the slots' constant maps; equal ones it holds once."""
    return sum(map(len, {x.numpy().tobytes() for x in model.state_dict().values()}))


def measured(frames: int) -> dict:
    """Lower the bundled model in fp32 over so many frames."""
    model = forms.deployed(load(bundled_path()).model, "vulkan")
    side = model.config.size
    inputs = tuple(torch.zeros(1, 3, side, side) for _ in range(frames))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        with quick_provenance():
            program = torch.export.export(Unrolled(model).eval(), inputs)
        nodes = len(program.graph.nodes)
        artifact, _ = lower_whole(program, vulkan.partitioner({}), Path(folder), True)
        size = artifact.stat().st_size
    return {
        "frames": frames, "nodes": nodes, "seconds": round(time.monotonic() - began, 1),
        "bytes": size, "graph_bytes": size - constant_bytes(model),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--frames", type=whole(1), nargs="+", default=[1, 2, 4],
        help="of a clip, a program each (default 1 2 4)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="rows, one a number of frames")
    args = parser.parse_args(argv)
    check_file("--json", args.json)
    rows = [measured(frames) for frames in args.frames]
    if args.json:
        write_json("--json", args.json, rows)
    shown = [
        [str(r["frames"]), str(r["nodes"]), str(r["seconds"]), f"{r['bytes'] / 1e6:.2f}",
         f"{r['graph_bytes'] / 1e6:.2f}"]
        for r in rows
    ]  # fmt: skip
    print(markdown(COLUMNS, shown, COLUMNS))
    return 0


if __name__ == "__main__":
    run_main(main)
