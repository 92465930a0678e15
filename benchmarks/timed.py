"""Programs timed by the native runner in turn, so that the noise of a machine hits all alike."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import peers_process
from peers_contenders import visits
from tqdm import tqdm

Visited = TypeVar("Visited")
Process = tuple[list[str], dict[str, str]]  # a command and what its environment has besides


def interleaved(
    every: Sequence[Visited], rounds: int, process: Callable[[Visited], Process]
) -> dict[Visited, list[float]]:
    """Milliseconds of all counted calls, each visit in a process of its own.

    ``process`` gives that of one of ``every``, by ``peers_process.bench``. Raises ``BadInput`` for
    a program that does not run.
    """
    found: dict[Visited, list[float]] = {one: [] for one in every}
    turns = tqdm(visits(every, rounds), total=len(every) * rounds, desc="visits", unit="")
    for _, one in turns:
        found[one] += peers_process.run(*process(one)).answer["ms"]
    return found
