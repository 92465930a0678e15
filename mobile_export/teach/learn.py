"""The learned part: a model for one's own classes, judged fold by fold and then made of all clips.

What was finished lies in the job's folder, so that a job that was stopped goes on behind it.
"""

import copy
import io
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.checkpoint import Checkpoint
from core.files import replace_file
from core.model import VideoClassifier
from core.training.frozen import Maps, Rest, fit, frame_logits, start_head
from mobile_export.teach.crossval import Fold, Judgement
from mobile_export.teach.features import no_room

STEPS = 90  # at most; class means are most of the way

Told = Callable[[float, str], None]  # part of a stage that is done, words


def fresh(base: Checkpoint, classes: int) -> VideoClassifier:
    """A copy of a model with a new classifier."""
    model = VideoClassifier(replace(base.config, num_classes=classes))
    kept = {k: v for k, v in base.model.state_dict().items() if not k.startswith("classifier.")}
    model.load_state_dict(kept, strict=False)
    return model.to(memory_format=torch.channels_last)


def learned(
    base: Checkpoint, border: int, maps: Maps, classes: int, seed: int, steps: int,
    told: Callable[[int, int], None], until: float | None,
    head: tuple[Tensor, Tensor] | None = None,
) -> tuple[VideoClassifier, int]:  # fmt: skip
    """A model that was fine-tuned on ``maps``, and the steps that it took.

    ``until`` is a moment of ``time.monotonic`` at which training ends. ``head`` gives the first
    rows of the classifier, which stand for gestures that the base knows already.
    """
    model = fresh(base, classes)
    rest = Rest(model, border)
    start_head(rest, maps)
    if head is not None:
        _keep_rows(model, *head)
    taken = fit(
        rest, maps, frames=base.config.frames, steps=steps, seed=seed, told=told,
        late=lambda: until is not None and time.monotonic() >= until,
    )  # fmt: skip
    return model.eval(), taken


@torch.no_grad()
def _keep_rows(model: VideoClassifier, weight: Tensor, bias: Tensor) -> None:
    """Put known rows in the place of the first ones; the others take their size."""
    own = model.classifier
    scale = weight.norm(dim=1).mean() / own.weight.norm(dim=1).mean().clamp(min=1e-9)
    own.weight.mul_(scale)
    own.bias.mul_(scale).sub_(own.bias.mean()).add_(bias.mean())
    own.weight[: len(weight)].copy_(weight)
    own.bias[: len(bias)].copy_(bias)


def judge(
    base: Checkpoint, border: int, maps: Maps, always: Maps | None, judgement: Judgement,
    folds: Sequence[Fold], folder: Path, seed: int, steps: int, told: Told,
    budget: Callable[[int], float | None],
    after: Callable[[], None],
    head: tuple[Tensor, Tensor] | None = None,
) -> None:  # fmt: skip
    """Answer every clip by a model that was trained without its fold, into ``judgement``.

    ``always`` are clips of every training that are held out of none. ``budget`` gives the moment
    until which a fold may train, from the number of trainings that are left; ``after`` is called
    when a fold is done.
    """
    classes = len(judgement.labels)
    for number, fold in enumerate(folds):
        path = folder / f"fold-{number}.npz"
        kept = _load(path)
        if kept is None:
            held = set(fold.held)
            train = maps.of([i for i in range(len(maps.clips)) if i not in held])
            train = together(train, always)

            def at(step: int, most: int, number: int = number) -> None:
                told((number + step / most) / len(folds), f"judging, part {number + 1}")

            until = budget(len(folds) - number + 1)
            model, _ = learned(
                base, border, train, classes, seed, steps, at, until, head
            )  # fmt: skip
            rest = Rest(model, border)
            kept = {i: frame_logits(rest, maps.clips[i][0]) for i in fold.held}
            _save(path, kept)
        judgement.logits.update(kept)
        after()


def together(maps: Maps, always: Maps | None) -> Maps:
    """Clips with those of every training."""
    if always is None:
        return maps
    return Maps([*maps.clips, *always.clips], [*maps.classes, *always.classes], maps.idle)


def _save(path: Path, logits: dict[int, Tensor]) -> None:
    content = io.BytesIO()
    arrays: dict[str, Any] = {str(i): v.numpy() for i, v in logits.items()}
    np.savez(content, **arrays)
    try:
        replace_file(path, content.getvalue())
    except OSError as error:
        raise no_room(path.parent, error) from None


def _load(path: Path) -> dict[int, Tensor] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {int(name): torch.from_numpy(file[name]) for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def copy_of(base: Checkpoint) -> Checkpoint:
    """A checkpoint whose model may be changed."""
    return replace(base, model=copy.deepcopy(base.model))
