"""Which of many series changed, when each has a p-value: the share of false ones is held down. Pure.

The adjustment itself is :func:`pulse_assets.numerics.comparison.benjamini_hochberg`; p-values of two samples, and what
autocorrelation does to them, are in :mod:`.distributions`, those of sequential tests in :mod:`.thresholds`.
"""

import numpy as np
import numpy.typing as npt

from pulse_assets.numerics.comparison import benjamini_hochberg

Floats = npt.NDArray[np.float64]

RATE = 0.05
"""Share of false ones among what is said to have changed."""


def discoveries(p: Floats, rate: float = RATE) -> npt.NDArray[np.bool_]:
    """Return which series changed, so that in the long run no more than a share of them did not.

    Parameters
    ----------
    p
        Shape ``(S,)``, in [0, 1]. NaN, where there is no evidence, is no discovery and no test.
    rate
        That share.

    Returns
    -------
    array
        Shape ``(S,)``.

    Raises
    ------
    ValueError
        A p-value lies outside [0, 1], or the rate outside (0, 1).

    References
    ----------
    Benjamini and Hochberg (1995), Controlling the false discovery rate, section 3.1.

    Examples
    --------
    >>> discoveries(np.array([0.001, 0.2, np.nan, 0.012])).tolist()
    [True, False, False, True]
    """
    if not 0 < rate < 1:
        raise ValueError(f"a rate of false discoveries lies between 0 and 1; came {rate}")
    return np.asarray(np.nan_to_num(benjamini_hochberg(p), nan=1.0) <= rate)


def q_values_within(groups: npt.NDArray[np.int64], p: Floats) -> Floats:
    """Return p-values adjusted by Benjamini and Hochberg among those of the same group.

    Parameters
    ----------
    groups
        Shape ``(S,)``.
    p
        Shape ``(S,)``, in [0, 1]. NaN stays NaN and is no test.

    Returns
    -------
    array
        Shape ``(S,)``.

    Raises
    ------
    ValueError
        A p-value lies outside [0, 1].

    Examples
    --------
    >>> q_values_within(np.array([0, 0, 1, 1]), np.array([0.01, 0.5, 0.02, np.nan])).tolist()
    [0.02, 0.5, 0.02, nan]
    """
    adjusted = np.full(len(p), np.nan)
    for group in np.unique(groups):
        rows = groups == group
        adjusted[rows] = benjamini_hochberg(p[rows])
    return adjusted
