"""Draw what a model says while a continuous recording runs: frames above, probabilities below.

python -m core.timeline --out timeline.png
"""

from pathlib import Path

import matplotlib
import numpy as np
import torch

from core import checkpoint
from core.checkpoint import Checkpoint
from core.data.gestures import LABELS, NO_GESTURE, OTHER
from core.data.synthetic import SyntheticStreams
from core.errors import BadInput, run_main
from core.evaluate import DECISION_FRAMES, stream_logits
from core.options import Parser, check_file, positive, whole

matplotlib.use("Agg")

PICTURES = 16  # frames shown above the curves
SHOWN = 0.25  # a class is drawn when its probability reaches this somewhere


def smoothed(logits: torch.Tensor) -> np.ndarray:
    """Probabilities (T, classes) of the mean logits of the last eight frames."""
    means = [logits[max(0, t + 1 - DECISION_FRAMES) : t + 1].mean(0) for t in range(len(logits))]
    return torch.stack(means).softmax(-1).numpy()


def draw(loaded: Checkpoint, index: int, seconds: float, path: Path) -> None:
    """Stream the first ``seconds`` of test recording ``index`` and draw it into ``path``.

    Raises ``BadInput`` when the checkpoint does not know the synthetic gestures.
    """
    from matplotlib import pyplot

    if loaded.labels != list(LABELS):
        raise BadInput(f"{loaded.path} has classes of its own: this draws the synthetic gestures")
    config = loaded.config
    if not config.can_stream:
        raise BadInput(
            f"{loaded.path} is bidirectional and cannot stream: give a causal checkpoint"
        )
    frames, starts, ends, labels = SyntheticStreams(index + 1, config, "default", split="test")[
        index
    ]
    count = min(len(frames), int(seconds * config.frame_rate))
    frames = frames[:count]
    chances = smoothed(stream_logits(loaded.model, frames))
    time = np.arange(count) / config.frame_rate

    figure, (top, bottom) = pyplot.subplots(
        2, 1, figsize=(12, 4.6), height_ratios=(1, 2.6), layout="constrained"
    )
    picked = np.linspace(0, count - 1, PICTURES).astype(int)
    top.imshow(torch.cat(list(frames[picked]), dim=-1).permute(1, 2, 0).numpy(), aspect="equal")
    top.axis("off")
    for name in (NO_GESTURE, OTHER):
        bottom.plot(time, chances[:, LABELS.index(name)], color="0.75", linewidth=1, label=name)
    for number in np.flatnonzero(chances.max(0) >= SHOWN):
        if LABELS[number] not in (NO_GESTURE, OTHER):
            bottom.plot(time, chances[:, number], linewidth=2, label=LABELS[number])
    for start, end, label in zip(*(t.tolist() for t in (starts, ends, labels)), strict=True):
        if start < count:
            bottom.axvspan(start / config.frame_rate, end / config.frame_rate, color="0.95")
        if end < count:
            x = end / config.frame_rate
            bottom.axvline(x, color="0.5", linestyle=":", linewidth=1)
            bottom.text(x, 1.02, LABELS[label], rotation=20, fontsize=7, ha="left")
    bottom.set(xlim=(0, time[-1]), ylim=(0, 1), xlabel="seconds", ylabel="probability")
    bottom.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = Parser(prog="python -m core.timeline", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=checkpoint.bundled_path())
    parser.add_argument("--stream", type=whole(0), default=0, help="number of the test recording")
    parser.add_argument("--seconds", type=positive, default=24.0)
    parser.add_argument("--out", type=Path, default=Path("timeline.png"))
    args = parser.parse_args(argv)
    check_file("--out", args.out)
    draw(checkpoint.load(args.checkpoint), args.stream, args.seconds, args.out)
    print(args.out)
    return 0


if __name__ == "__main__":
    run_main(main)
