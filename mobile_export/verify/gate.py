"""What a check shows of the drop in accuracy, after however many clips: passed, failed, not shown.

Clips are looked at one batch after the other until the answer is clear, so the number of them
depends on what they show, and an interval made for a number that was set beforehand would be wrong
too often. The one in here is a confidence sequence: the intervals after all numbers of clips hold
the true drop together, in 95 of 100 checks. Waudby-Smith and Ramdas, "Estimating means of bounded
random variables by betting", J. Royal Statistical Society B 86(1), 2024; by Ville's inequality.

A clip counts +1 when the checkpoint alone is right, -1 when the artifact alone is, else 0. Who
holds that the mean is at least m loses by betting the share s of his money against it: a clip of
+1 leaves 1 - s of it, 0 makes it 1 + s m / (1 - m), -1 makes it 1 + s (1 + m) / (1 - m). Were he
wrong, his money would not grow on average, and would reach 40 times what it was in one of 40 cases
at most. All shares are played side by side; every m at which they come to 40 is ruled out. The
money grows with m, so that what is left is an interval. Clips are taken for independent draws.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Verdict = Literal["passed", "failed", "not shown"]
ERROR = 0.025  # of either side: an artifact that loses more passes in one of 40 checks at most
SHARES = (np.arange(64) + 0.5) / 64  # evenly: few clips differ, which asks for bold bets
HALVINGS = 40  # of the 200 points in which an end of the interval is looked for


def log_money(lost: ArrayLike, won: ArrayLike, clips: ArrayLike, mean: float) -> np.ndarray:
    """Logarithm of what betting against a mean of at least ``mean`` (-1 to 1) has come to.

    Counts in any one shape: clips that the checkpoint alone got right, the artifact alone, all.
    """
    b, c, n = (np.asarray(x, dtype=float)[..., None] for x in (lost, won, clips))
    grown = (
        b * np.log1p(-SHARES)
        + c * np.log1p(SHARES * (1 + mean) / (1 - mean))
        + (n - b - c) * np.log1p(SHARES * mean / (1 - mean))
    )
    most = grown.max(-1)
    return most + np.log(np.exp(grown - most[..., None]).mean(-1))


def gate_interval(lost: int, won: int, clips: int) -> tuple[float, float]:
    """95 % interval of the drop in points, whenever the looking ended.

    ``lost`` clips were right by the checkpoint alone, ``won`` by the artifact alone.
    """
    return -_upper_end(won, lost, clips), _upper_end(lost, won, clips)


def _upper_end(lost: int, won: int, clips: int) -> float:
    kept, ruled_out = -1.0, 1.0
    for _ in range(HALVINGS):
        middle = (kept + ruled_out) / 2
        if log_money(lost, won, clips, middle) >= -math.log(ERROR):
            ruled_out = middle
        else:
            kept = middle
    return 100 * ruled_out


def verdict(interval: tuple[float, float], max_drop: float) -> Verdict:
    """What an interval of the drop shows of a bound, both in points."""
    low, high = interval
    if high <= max_drop:
        return "passed"
    return "failed" if low > max_drop else "not shown"


def in_points(drop: float) -> str:
    """With its unit."""
    return f"{drop:g} point{'' if drop == 1 else 's'}"


def in_95(interval: tuple[float, float]) -> str:
    """An interval for a reader."""
    low, high = interval
    return f"95 %: {low:+.2f} to {high:+.2f}"


def in_words(interval: tuple[float, float], max_drop: float, clips: int) -> str:
    """What was shown, and what was not, as a sentence."""
    bound = in_points(max_drop)
    found = verdict(interval, max_drop)
    if found == "passed":
        return f"passed: {clips} clips show that it loses at most {bound}"
    if found == "failed":
        return f"failed: {clips} clips show that it loses more than {bound}"
    return (
        f"not shown: after {clips} clips it may still lose more than {bound} "
        f"({in_95(interval)}); more clips would tell"
    )
