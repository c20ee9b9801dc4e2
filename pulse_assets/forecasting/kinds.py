"""What a kind and a frequency of series mean for its forecast: the scale it is walked on, seasons, kind of panel. Pure.

A price or volatility is walked on its logarithm, a bounded sentiment on its logit; whatever leaves the scale ends the
series' forecasts from there on. All else is walked as it is, with logarithms as a second channel where it is positive.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]
Bools = npt.NDArray[np.bool_]

SEASONS = {"h": (24, 168), "D": (7, 0), "B": (5, 0), "W": (52, 0), "MS": (12, 0), "QS": (4, 0), "YS": (1, 0)}
"""Seasons in steps by frequency; the losses of the members say whether a series has them."""
SAME, EXPONENTIAL, BOUNDED = range(3)
SCALES = {"price": EXPONENTIAL, "volatility": EXPONENTIAL, "sentiment": BOUNDED}
KINDS = ("price", "return", "volatility", "rate", "macro", "sentiment", "other")
MARKET_KINDS = ("price", "return", "volatility")
LARGEST = 1e100
"""A larger value ends the series' forecasts: squares of such would overflow."""


def panel_class(kind: str) -> str:
    """Return whether series of a kind learn from ``market`` panels or from ``other`` ones."""
    return "market" if kind in MARKET_KINDS else "other"


def scale_of(kind: str, first: Floats) -> Ints:
    """Return the scale of series of a kind from their first values; shapes alike.

    A sentiment whose first value is not within (-1, 1) is walked as it is.
    """
    scale = SCALES.get(kind, SAME)
    leaves = (scale == BOUNDED) & ~(np.abs(first) < 1.0)
    return np.asarray(np.where(leaves, SAME, scale).astype(np.int64))


def to_scale(values: Floats, scale: Ints) -> Floats:
    """Return values on their scale, NaN where they have none.

    Parameters
    ----------
    values, scale
        Shape ``(N,)``; scale is ``SAME``, ``EXPONENTIAL`` (logarithm taken) or ``BOUNDED`` (logit of (-1, 1) taken).

    Examples
    --------
    >>> to_scale(np.array([2.0, 1.0, 0.0]), np.array([SAME, EXPONENTIAL, BOUNDED])).tolist()
    [2.0, 0.0, 0.0]
    """
    out = values.astype(np.float64, copy=True)
    out[~(np.abs(out) <= LARGEST)] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        for code, change in ((EXPONENTIAL, np.log), (BOUNDED, lambda y: np.log((1 + y) / (1 - y)))):
            rows = scale == code
            out[rows] = change(out[rows])
    out[~np.isfinite(out)] = np.nan
    return out


def from_scale(values: Floats, scale: int) -> Floats:
    """Return values on the scale of the series: the inverse of :func:`to_scale`."""
    if scale == EXPONENTIAL:
        return np.asarray(np.exp(values))
    if scale == BOUNDED:
        return np.asarray(np.tanh(values / 2))
    return values


def sound_counts(scaled: Floats, offsets: Ints) -> Ints:
    """Return how many values of each series come before the first that is NaN, shape ``(S,)``."""
    unsound = np.append(np.flatnonzero(np.isnan(scaled)), len(scaled))
    first = unsound[np.searchsorted(unsound, offsets[:-1])]
    return np.asarray(np.minimum(first, offsets[1:]) - offsets[:-1])
