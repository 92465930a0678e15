"""What every data set of clips has."""

from collections.abc import Sequence
from typing import Any

from torch.utils.data import DataLoader, Dataset


class Clips(Dataset[Any]):
    """Clips by number: uint8 frames (T, 3, S, S) and the label's number, or ``IGNORE``.

    Windows for training have more beside these.
    """

    labels: list[str]
    start: str | None = None  # how a loader's workers have to start, None: as the system does

    def __len__(self) -> int:
        raise NotImplementedError


class Chosen(Clips):
    """Clips of a data set by their numbers in it, in the order given."""

    def __init__(self, clips: Clips, numbers: Sequence[int]) -> None:
        self.clips, self.numbers = clips, numbers
        self.labels, self.start = clips.labels, clips.start

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Any:
        return self.clips[self.numbers[index]]


def loader(data: Dataset, workers: int, **options: Any) -> DataLoader:
    """A loader whose workers start as the data needs it; ``options`` are ``DataLoader``'s.

    A fork inherits a drawing library without its threads and would wait for them forever.
    """
    inner: Any = data
    while hasattr(inner, "dataset"):  # a part of another
        inner = inner.dataset
    start = getattr(inner, "start", None) if workers else None
    return DataLoader(data, num_workers=workers, multiprocessing_context=start, **options)
