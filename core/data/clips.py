"""What every data set of clips has."""

from typing import Any

from torch.utils.data import Dataset


class Clips(Dataset[Any]):
    """Clips by number: uint8 frames (T, 3, S, S) and the label's number, or ``IGNORE``.

    Windows for training have more beside these.
    """

    labels: list[str]

    def __len__(self) -> int:
        raise NotImplementedError
