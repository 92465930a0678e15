"""Clips and training windows with other classes: see ``core.classes``."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from core.classes import ClassMap
from core.data.clips import Clips
from core.errors import BadInput
from core.labels import IGNORE


def new_labels(classes: ClassMap, labels: Sequence[str]) -> Tensor:
    """The new class of each old one, ``IGNORE`` of those that are dropped and of ``IGNORE`` itself.

    That is -1, the last entry.
    """
    numbers = classes.numbers(labels)
    return torch.tensor([*(IGNORE if n is None else n for n in numbers), IGNORE])


class Relabelled(Clips):
    """The clips of classes that count, under their new names.

    Items are those of ``clips``, asked for as there, with labels of the new classes; a frame of a
    dropped class has the label ``IGNORE``. Raises ``BadInput`` when no clip is left.
    """

    def __init__(self, clips: Clips, classes: ClassMap) -> None:
        self.clips, self.map = clips, classes
        self.labels, self.start = classes.labels, clips.start
        self._table = new_labels(classes, clips.labels)
        for name in ("split", "views"):
            if hasattr(clips, name):
                setattr(self, name, getattr(clips, name))
        own = getattr(clips, "classes", None)
        self.numbers = [
            i
            for i in range(len(clips))
            if own is None or own[i] == IGNORE or int(self._table[own[i]]) != IGNORE
        ]
        if not self.numbers:
            what = getattr(self, "split", "such")
            raise BadInput(
                f"{classes.where} keeps none of the {len(clips)} {what} clips: they are of classes "
                f"that it drops ({', '.join(clips.labels[:3])} ...)"
            )

    @property
    def broken(self) -> list:
        """Of the clips before, those of dropped classes among them."""
        return getattr(self.clips, "broken", [])

    @property
    def classes(self) -> list[int]:
        """The new class of every clip."""
        own = self.clips.classes  # type: ignore[attr-defined]  # asked for where clips have it
        return [int(self._table[own[i]]) for i in self.numbers]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, key: int | tuple[int, int]) -> Any:
        index, *draw = key if isinstance(key, tuple) else (key,)
        found = self.clips[(self.numbers[index], *draw) if draw else self.numbers[index]]
        frames, *labels = found[:3]
        return (frames, *map(self._new, labels), *found[3:])

    def _new(self, label: int | Tensor) -> int | Tensor:
        return self._table[label] if isinstance(label, Tensor) else int(self._table[label])


def relabelled(clips: Clips, classes: ClassMap | None) -> Clips:
    """The clips as they are without a map."""
    return clips if classes is None else Relabelled(clips, classes)
