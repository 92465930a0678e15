"""What every data set of clips has."""

from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset


class Clips(Dataset[Any]):
    """Clips by number: uint8 frames (T, 3, S, S) and the label's number, or ``IGNORE``.

    Windows for training have more beside these.
    """

    labels: list[str]

    def __len__(self) -> int:
        raise NotImplementedError


class Chosen(Clips):
    """Clips of a data set by their numbers in it, in the order given."""

    def __init__(self, clips: Clips, numbers: Sequence[int]) -> None:
        self.clips, self.numbers, self.labels = clips, numbers, clips.labels

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Any:
        return self.clips[self.numbers[index]]
