"""A trained model with other classes: logits dropped and merged after the classifier.

A merged class has the sum of the probabilities, which is the logarithm of the sum of exponentials
of its logits. ``Merge`` computes it pair by pair from linear layers, ReLU, sigmoid, sums and
products alone, which every target of the exporter takes in every precision; where nothing is
merged it is one linear layer of zeros and ones, which is exact.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.polynomial import Chebyshev, Polynomial
from torch import Tensor, nn

from core.checkpoint import Checkpoint
from core.classes import ClassMap
from core.decision import idle_labels
from core.model import VideoClassifier
from core.temporal import Shape, State

DEGREE = 6  # of the polynomial below: 8e-7 off at most, which is a rounding of a float32 logit


def _coefficients() -> np.ndarray:
    """Of p with -log(1 - u) = u p(u) for u from 0 to a half, rising powers."""

    def quotient(u: np.ndarray) -> np.ndarray:
        return -np.log1p(-u) / u  # Chebyshev's points do not hold 0

    found = Chebyshev.interpolate(quotient, DEGREE, domain=[0, 0.5])
    return found.convert(kind=Polynomial).coef


class Pairs(nn.Module):
    """Two by two: ``log(exp(a) + exp(b))`` of logits (N, K), one that has no partner as it is.

    ``log(exp(a) + exp(b)) = a + relu(b - a) - log(1 - u)`` with ``u = sigmoid(-|b - a|)``, at most
    a half. Without a partner b is a and the polynomial's coefficients are zeros: exact.
    """

    def __init__(self, pairs: Sequence[tuple[int, int]], inputs: int) -> None:
        super().__init__()
        chosen = torch.zeros(2, len(pairs), inputs)
        for row, pair in enumerate(pairs):
            for side, column in enumerate(pair):
                chosen[side, row, column] = 1
        # Of memory of their own: ExecuTorch writes a view down from the start of what it views.
        self.register_buffer("first", chosen[0].clone())
        self.register_buffer("second", chosen[1].clone())
        merged = torch.tensor([[float(a != b) for a, b in pairs]])
        for power, value in enumerate(_coefficients().tolist()):
            self.register_buffer(f"c{power}", merged * value)

    def forward(self, logits: Tensor) -> Tensor:
        """(N, inputs) -> (N, pairs)."""
        a = F.linear(logits, self.first)  # type: ignore[arg-type]  # buffers are tensors
        b = F.linear(logits, self.second)  # type: ignore[arg-type]
        difference = b - a
        above = F.relu(difference)
        u = torch.sigmoid(difference - above - above)
        p = getattr(self, f"c{DEGREE}") * u
        for power in range(DEGREE - 1, 0, -1):
            p = (p + getattr(self, f"c{power}")) * u
        return a + above + (p + self.c0) * u


class Merge(nn.Module):
    """Logits (N, old classes) -> (N, new classes), by the number of the new class of each old one.

    ``None`` drops a class. Every new class holds at least one.
    """

    def __init__(self, numbers: Sequence[int | None], count: int) -> None:
        super().__init__()
        held = [[i for i, n in enumerate(numbers) if n == new] for new in range(count)]
        inputs, levels = len(numbers), []
        while max(map(len, held)) > 1:
            halves = [[group[i : i + 2] for i in range(0, len(group), 2)] for group in held]
            pairs = [(pair[0], pair[-1]) for group in halves for pair in group]
            levels.append(Pairs(pairs, inputs))
            inputs, places = len(pairs), iter(range(len(pairs)))
            held = [[next(places) for _ in group] for group in halves]
        self.levels = nn.Sequential(*levels)
        order = [group[0] for group in held]
        self.chosen: Tensor | None
        same = order == list(range(inputs))
        self.register_buffer("chosen", None if same else torch.eye(inputs)[order].contiguous())

    def forward(self, logits: Tensor) -> Tensor:
        """(N, old classes) -> (N, new classes)."""
        merged = self.levels(logits)
        return merged if self.chosen is None else F.linear(merged, self.chosen)


class Regrouped(VideoClassifier):
    """A model of other classes than its classifier's; ``base`` is what was trained.

    The logits of a clip are regrouped after their mean over time, those of a stream frame by frame.
    """

    def __init__(self, base: VideoClassifier, head: Merge, count: int) -> None:
        nn.Module.__init__(self)
        self.config = replace(base.config, num_classes=count)
        self.base, self.head = base, head

    def over(self, change: Callable[[VideoClassifier], VideoClassifier]) -> "Regrouped":
        """The same classes of a changed base."""
        return Regrouped(change(self.base), self.head, self.config.num_classes).eval()

    def folded_logits(self, x: Tensor, frames: int) -> Tensor:
        """See ``VideoClassifier``."""
        return self.head(self.base.folded_logits(x, frames))

    def forward(self, clip: Tensor) -> Tensor:
        """See ``VideoClassifier``."""
        return self.head(self.base(clip))

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """See ``VideoClassifier``."""
        logits, new = self.base.step(frame, state)
        return self.head(logits), new

    def state_shapes(self, size: int | None = None) -> dict[str, Shape]:
        """See ``VideoClassifier``."""
        return self.base.state_shapes(size)

    def initial_state(self, batch: int = 1, size: int | None = None) -> State:
        """See ``VideoClassifier``."""
        return self.base.initial_state(batch, size)


def regrouped(
    checkpoint: Checkpoint, classes: ClassMap | None
) -> tuple[Checkpoint, ClassMap | None]:
    """The checkpoint with other classes, and the map of all of its own.

    Without a map, and where it was trained with the map and has the new classes already, both are
    given back. Raises ``BadInput`` where the map does not fit its classes.
    """
    labels = checkpoint.labels
    if classes is None or classes.is_of(labels):
        return checkpoint, classes
    known = classes.over(labels)
    count = len(known.labels)
    model = Regrouped(checkpoint.model, Merge(known.numbers(labels), count), count).eval()
    settings = checkpoint.info.get("settings")
    settings = dict(settings) if isinstance(settings, dict) else {}
    settings["none"] = known.idle(idle_labels(labels, checkpoint.info))
    info = checkpoint.info | {"settings": settings}
    return replace(checkpoint, model=model, labels=known.labels, info=info), known
