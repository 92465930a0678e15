"""Clips whose frames tell their number, for the tests of reading them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from core.errors import BadInput


def levels(count: int, width: int = 48, height: int = 32) -> np.ndarray:
    """(T, H, W, 3): frame t is grey of level 8 + 6 t, so that a frame tells its number."""
    grey = 8 + 6 * np.arange(count, dtype=np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (count, height, width, 3)).copy()


def numbers(clip: torch.Tensor) -> list[int]:
    """Frame numbers of a clip made of ``levels``."""
    return [round((frame.float().mean().item() - 8) / 6) for frame in clip]


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(BadInput) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)
