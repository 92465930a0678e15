"""The confusion matrix: counted, drawn as a picture, and its worst cells in words."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.files import plain_words, write_figure

NAMED = 40  # classes up to which cells carry their figure
WORST = 10  # confusions that a report names


def count(says: Tensor, labels: Tensor, classes: int) -> Tensor:
    """How often each class (row) was called each class (column): (K, K), whole numbers."""
    return torch.bincount(labels * classes + says, minlength=classes**2).view(classes, classes)


def worst(matrix: Tensor, names: list[str]) -> list[dict]:
    """The most frequent mistakes: class, what it was called, how many clips."""
    wrong = matrix.clone()
    wrong.fill_diagonal_(0)
    order = wrong.flatten().argsort(descending=True, stable=True)[:WORST].tolist()
    cells = [(i // len(names), i % len(names)) for i in order]
    return [
        {"class": names[row], "called": names[column], "clips": int(wrong[row, column])}
        for row, column in cells
        if wrong[row, column]
    ]


@plain_words
def draw(path: Path, matrix: Tensor, names: list[str]) -> None:
    """Draw shares of each row in percent into a PNG. Raises ``BadInput`` when it cannot."""
    from matplotlib.figure import Figure

    total = matrix.sum(1, keepdim=True)
    shares = (100.0 * matrix / total.clamp(min=1)).numpy()
    side = min(24.0, 3.5 + 0.32 * len(names))
    size = 8 if len(names) <= NAMED else max(2.0, 8 * NAMED / len(names))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set(xlabel="called", ylabel="class")
    if len(names) <= NAMED:
        for row, column in zip(*np.nonzero(shares), strict=True):
            value = shares[row, column]
            colour = "white" if value > 50 else "black"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=6, c=colour)
    figure.colorbar(picture, label="% of the class's clips", shrink=0.6)
    write_figure("--confusion", path, figure, dpi=100)
