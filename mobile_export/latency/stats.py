"""Figures of a list of times. The apps compute the same, by the same formulas."""

import math
from collections.abc import Sequence

DECIMALS = 4  # of milliseconds; a tenth of a microsecond


def nearest_rank(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that at least ``percent`` % (1 to 100) of ``ordered`` do not exceed.

    That is the value of rank ceil(percent * n / 100), counted from 1: one that was measured,
    nothing between two. ``ordered`` ascends and has at least one value.
    """
    return ordered[(percent * len(ordered) + 99) // 100 - 1]


def summary(values: Sequence[float]) -> dict[str, float]:
    """A schema's stage: count, min, mean, p50, p90, p99 and the population's std, as of the values.

    Raises ``ValueError`` when there are none.
    """
    if not values:
        raise ValueError("no times to sum up")
    ordered, count = sorted(values), len(values)
    mean = math.fsum(ordered) / count
    figures = {
        "min": ordered[0],
        "mean": mean,
        "p50": nearest_rank(ordered, 50),
        "p90": nearest_rank(ordered, 90),
        "p99": nearest_rank(ordered, 99),
        "std": math.sqrt(math.fsum((value - mean) ** 2 for value in ordered) / count),
    }
    return {"count": count} | {name: rounded(value) for name, value in figures.items()}


def rounded(ms: float) -> float:
    """Milliseconds as they are written."""
    return round(ms, DECIMALS)
