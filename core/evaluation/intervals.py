"""Confidence intervals of shares."""

import math

Z95 = 1.959963984540054  # two-sided 95 % point of the normal distribution


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, in per cent; all of it without a count.

    Wilson, JASA 22, 1927; Brown, Cai and DasGupta, Statistical Science 16, 2001.
    """
    if not whole:
        return 0.0, 100.0
    share, extra = part / whole, Z95 * Z95 / whole
    middle = (share + extra / 2) / (1 + extra)
    half = Z95 / (1 + extra) * math.sqrt(share * (1 - share) / whole + extra / whole / 4)
    return 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)
