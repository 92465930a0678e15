"""Draw what a model says while a continuous recording runs: frames above, probabilities below.

python -m core.timeline --out timeline.png
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core import checkpoint
from core.checkpoint import Checkpoint
from core.data import rendered_streams
from core.data.source import trained_capsules
from core.errors import BadInput
from core.evaluation.streaming import DECISION_FRAMES, stream_logits
from core.files import plain_words, write_figure
from core.labels import LABELS, NO_GESTURE, OTHER
from core.options import Parser, check_file, positive, whole

PICTURES = 16  # frames shown above the curves
SHOWN = 0.25  # a class is drawn when its probability reaches this somewhere


def smoothed(logits: torch.Tensor) -> np.ndarray:
    """Probabilities (T, classes) of the mean logits of the last eight frames."""
    means = [logits[max(0, t + 1 - DECISION_FRAMES) : t + 1].mean(0) for t in range(len(logits))]
    return torch.stack(means).softmax(-1).numpy()


@dataclass(frozen=True)
class Span:
    """A stretch of the time line that has a name, in seconds."""

    label: str
    start: float
    end: float


@plain_words
def plot(
    option: str,
    path: Path,
    times: np.ndarray,
    chances: np.ndarray,
    labels: Sequence[str],
    grey: Collection[str],
    pictures: Sequence[np.ndarray],
    spans: Sequence[Span],
) -> None:
    """Draw probabilities (T, classes) over times (T,) in seconds, pictures (S, S, 3) above them.

    Classes in ``grey`` are drawn thin, the others where they get anywhere. ``spans`` are shaded and
    named at their end. ``option`` is what a path that cannot be written is blamed on.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(1, 2.6))
    if len(pictures):
        top.imshow(np.concatenate(list(pictures), axis=1), aspect="equal")
    top.axis("off")
    for name in grey:
        bottom.plot(times, chances[:, labels.index(name)], color="0.75", linewidth=1, label=name)
    for number in np.flatnonzero(chances.max(0) >= SHOWN).tolist():
        if labels[number] not in grey:
            bottom.plot(times, chances[:, number], linewidth=2, label=labels[number])
    for span in spans:
        if span.start < times[-1]:
            bottom.axvspan(span.start, min(span.end, times[-1]), color="0.95")
        if span.end <= times[-1]:
            bottom.axvline(span.end, color="0.5", linestyle=":", linewidth=1)
            bottom.text(span.end, 1.02, span.label, rotation=20, fontsize=7, ha="left")
    last = times[-1] if len(times) > 1 else times[-1] + 1  # a single frame has no width
    bottom.set(xlim=(times[0], last), ylim=(0, 1), xlabel="seconds", ylabel="probability")
    bottom.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    write_figure(option, path, figure, dpi=90)


def draw(loaded: Checkpoint, index: int, seconds: float, path: Path) -> None:
    """Stream the first ``seconds`` of test recording ``index`` and draw it into ``path``.

    Raises ``BadInput`` when the checkpoint does not know the rendered gestures.
    """
    if loaded.labels != list(LABELS):
        raise BadInput(f"{loaded.path} has classes of its own: this draws the rendered gestures")
    config = loaded.config
    if not config.can_stream:
        raise BadInput(f"{loaded.path}: {config.why_no_stream}")
    streams = rendered_streams("test", config, index + 1, capsules=trained_capsules(loaded.info))
    frames, starts, ends, labels = streams[index]
    rate = config.frame_rate
    count = min(len(frames), int(seconds * rate))
    if count == 0:
        raise BadInput(f"--seconds {seconds:g} holds no frame at {rate:g} a second: give more")
    frames = frames[:count]
    chances = smoothed(stream_logits(loaded.model, frames))
    picked = frames[np.linspace(0, count - 1, PICTURES).astype(int)]
    parts = zip(*(t.tolist() for t in (starts, ends, labels)), strict=True)
    spans = [Span(LABELS[label], first / rate, last / rate) for first, last, label in parts]
    pictures = list(picked.permute(0, 2, 3, 1).numpy())
    times = np.arange(count) / rate
    plot("--out", path, times, chances, LABELS, (NO_GESTURE, OTHER), pictures, spans)


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
