"""The 23 quantile levels used everywhere, and the empirical quantile behind them."""

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]

LEVELS: Floats = np.array([0.01, 0.025, *(0.05 * k for k in range(1, 20)), 0.975, 0.99])
"""Probabilities of the forecast hubs' quantiles: 0.01, 0.025, 0.05, 0.10, …, 0.95, 0.975, 0.99."""
LEVELS = LEVELS.round(3)
MEDIAN = 11
"""Position of the median among :data:`LEVELS`."""
QUANTILE_COLUMNS: tuple[str, ...] = tuple(f"q{round(level * 1000):03d}" for level in LEVELS)
"""Column names in per mille: q010, q025, q050, …, q990."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sorted_quantile(values: Floats, count: int, level: float) -> float:
    """Return the quantile of an ascending sample at position ``level·(n+1)``, the expected-coverage plotting rule.

    Parameters
    ----------
    values
        Shape ``(>= count,)``, ascending, no NaN.
    count
        How many of them belong to the sample, at least 1.
    level
        Probability in (0, 1). Outside ``1/(n+1) … n/(n+1)`` the extreme value is returned: the sample is too short
        to say more.

    References
    ----------
    Hyndman and Fan (1996), Sample quantiles in statistical packages, definition 6.
    """
    position = level * (count + 1) - 1.0
    if position <= 0.0:
        return float(values[0])
    below = int(position)
    if below >= count - 1:
        return float(values[count - 1])
    low, high = values[below], values[below + 1]
    return float(min(low + (position - below) * (high - low), high))
