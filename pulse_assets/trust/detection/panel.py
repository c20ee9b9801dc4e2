"""Whether a whole panel moves: how many series are off at once, against how many usually are. Pure."""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]

DAYS = 5
"""Days that are looked at together."""
BASELINE = 120
"""Days before them, from which the panel's own usual share comes."""
LEAST_DAYS, LEAST_SERIES = 40, 10
SIGNIFICANT = float(ndtri(0.995))
"""A series is off where its mean over five days would be so in one of a hundred."""
ALARMS = 5.0
"""Robust deviations of the usual share at which a panel alarms; the square root of the share is nearly normal."""


def without_common_factor(z: Floats) -> Floats:
    """Return scores less what all series of a day share, and scaled to a spread of 1 over the days before.

    Parameters
    ----------
    z
        Shape ``(days, series)``; NaN where a series has no truth. A day's median over its series is taken out: one
        wild day of the market is no drift of the panel.
    """
    counts = np.isfinite(z).sum(axis=1)
    medians = np.zeros(len(z))
    rows = counts > 0
    medians[rows] = np.nanmedian(z[rows], axis=1)
    return z - np.where(counts >= LEAST_SERIES, medians, 0.0)[:, None]


def shares_off(z: Floats) -> Floats:
    """Return for each day the share of series whose mean over the five days up to it is far from 0, shape ``(days,)``.

    NaN for fewer than ten series with a truth in those days.
    """
    clean = without_common_factor(z)
    sums, counts = (np.cumsum(np.vstack((np.zeros((1, z.shape[1])), part)), axis=0)
                    for part in (np.nan_to_num(clean), np.isfinite(clean)))  # fmt: skip
    low = np.maximum(np.arange(1, len(z) + 1) - DAYS, 0)
    total, number = sums[1:] - sums[low], counts[1:] - counts[low]
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.abs(total) / np.sqrt(number) > SIGNIFICANT
    seen = (number > 0).sum(axis=1)
    return np.where(seen >= LEAST_SERIES, (off & (number > 0)).sum(axis=1) / np.maximum(seen, 1), np.nan)


def panel_statistic(z: Floats) -> tuple[float, float]:
    """Return the share of series that are off on the last day, and how far that is from the usual share.

    Parameters
    ----------
    z
        One-step normal scores of the last 125 days, shape ``(days, series)``; NaN where there is no truth.

    Returns
    -------
    float, float
        Share; robust deviations of its square root from that of the days before, NaN for fewer than forty of them.
    """
    shares = shares_off(z[-(BASELINE + DAYS) :])
    if not len(shares):
        return float("nan"), float("nan")
    usual = np.sqrt(shares[:-DAYS][np.isfinite(shares[:-DAYS])])
    if len(usual) < LEAST_DAYS or np.isnan(shares[-1]):
        return float(shares[-1]), float("nan")
    centre = np.median(usual)
    series = np.isfinite(z[-DAYS:]).any(axis=0).sum()
    spread = max(1.4826 * float(np.median(np.abs(usual - centre))), 0.5 / np.sqrt(series))
    return float(shares[-1]), float((np.sqrt(shares[-1]) - centre) / spread)
