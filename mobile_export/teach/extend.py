"""New gestures beside those that a model knows: rendered clips of the old ones are replayed.

A model that is trained on new gestures alone forgets the old ones (French, "Catastrophic forgetting
in connectionist networks", Trends in Cognitive Sciences 3, 1999); some clips of each old one among
the new ones keep them. What the old ones lose all the same is measured on others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from core.checkpoint import Checkpoint
from core.data import open_clips
from core.data.clips import Clips
from core.data.source import trained_capsules
from core.errors import BadInput
from core.labels import LABELS
from core.model import VideoClassifier
from core.training.frozen import Maps, Rest, frame_logits
from mobile_export.teach.features import Cache

REPLAYED, MEASURED = 4, 2  # rendered clips of each known gesture: in training, and held out


@dataclass(frozen=True)
class Known:
    """Rendered clips of what a model knows: to replay, and to measure the loss on."""

    replayed: Maps
    measured: Maps
    head: tuple[Tensor, Tensor]  # weight and bias of its classifier


def known_of(
    base: Checkpoint, border: int, cache: Cache, idle: frozenset[int],
    told: Callable[[int, int], None],
) -> Known:  # fmt: skip
    """Render them, or find them in the cache. ``idle`` are numbers of ``base.labels``.

    Raises ``BadInput`` for a model whose gestures are not the rendered ones.
    """
    if base.labels != list(LABELS):
        raise BadInput(
            f"--extend keeps the {len(LABELS)} rendered gestures, and this model has "
            f"{len(base.labels)} of its own ({base.labels[0]} ...): put clips of them into the "
            "folder instead"
        )
    capsules = trained_capsules(base.info)
    parts = []
    counts = {"train": REPLAYED * len(LABELS), "test": MEASURED * len(LABELS)}
    done, of = 0, sum(counts.values())
    for split, count in counts.items():
        clips: Clips = open_clips(None, split, base.config, count, capsules=capsules)
        rows, classes = [], []
        for index in range(count):
            key = f"rendered {capsules or 'people'} {split} {index}"
            found = cache.get(key, lambda i=index, c=clips: c[i][0], 1 if split == "test" else None)  # type: ignore[misc]  # bound to this clip
            rows.append(found.maps)
            classes.append(index % len(LABELS))
            done += 1
            told(done, of)
        parts.append(Maps(rows, classes, idle))
    weight, bias = base.model.classifier.weight, base.model.classifier.bias
    return Known(parts[0], parts[1], (weight.detach().clone(), bias.detach().clone()))


def loss_of(
    known: Known, before: VideoClassifier, after: VideoClassifier, border: int
) -> dict[str, Any]:
    """Accuracy on the old gestures before and after, in per cent of clips; JSON-ready."""
    right = []
    for model in (before, after):
        rest = Rest(model, border)
        right.append(
            [
                int(frame_logits(rest, clip[0]).mean(0).argmax()) == label
                for clip, label in zip(known.measured.clips, known.measured.classes, strict=True)
            ]
        )
    count = len(right[0])
    pairs = list(zip(*right, strict=True))
    return {
        "clips": count,
        "before": round(100 * sum(right[0]) / count, 1),
        "after": round(100 * sum(right[1]) / count, 1),
        "lost": sum(a and not b for a, b in pairs),
        "won": sum(b and not a for a, b in pairs),
    }
