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
PRIOR = 4.0
"""Weight of the belief that a series shows the factor as it is, where the scores' own variance is 1: loadings of real
factors spread by about a half, and without a factor the days before would give any."""
ALARMS = 4.0
"""Robust deviations of the usual share at which a panel alarms; the square root of the share is nearly normal."""


def without_common_factor(z: Floats) -> Floats:
    """Return scores less what each series has in common with the panel, over their spread on the days before.

    The factor of a day is the median over its series: one wild day of the market is no drift of the panel. How much of
    it a series shows, and how far it then spreads, is estimated without the last five days, which are judged.

    Parameters
    ----------
    z
        Shape ``(days, series)``; NaN where a series has no truth.

    Returns
    -------
    array
        The same shape; NaN stays. A series of fewer than forty earlier days is taken to show the factor as it is, and
        to have a spread of 1; on a day of fewer than ten series there is no factor.
    """
    known = np.isfinite(z)
    factor = np.zeros(len(z))
    rows = known.sum(axis=1) >= LEAST_SERIES
    factor[rows] = np.nanmedian(z[rows], axis=1)
    earlier = max(len(z) - DAYS, 0)
    seen = known[:earlier]
    counts = seen.sum(axis=0)
    enough = counts >= LEAST_DAYS
    f = np.where(seen, factor[:earlier, None], 0.0)
    values = np.where(seen, z[:earlier], 0.0)
    divisor = np.maximum(counts, 1)
    mean, factor_mean = values.sum(axis=0) / divisor, f.sum(axis=0) / divisor
    away = np.where(seen, values - mean, 0.0)
    factor_away = np.where(seen, f - factor_mean, 0.0)
    variance = (factor_away**2).sum(axis=0)
    loading = 1 + np.where(enough, ((away * factor_away).sum(axis=0) - variance) / (variance + PRIOR), 0.0)
    rest = away - loading * factor_away
    spread = np.sqrt((rest**2).sum(axis=0) / divisor)
    return (z - loading * factor[:, None]) / np.where(enough & (spread > 0), spread, 1.0)


def shares_off(z: Floats) -> Floats:
    """Return for each day the share of series whose mean over the five days up to it is far from 0.

    Parameters
    ----------
    z
        Shape ``(days, series)``; NaN where a series has no truth.

    Returns
    -------
    array
        Shape ``(days,)``; NaN for fewer than ten series with a truth in those days.
    """
    clean = without_common_factor(z)
    sums, counts = (np.cumsum(np.vstack((np.zeros((1, z.shape[1])), part)), axis=0)
                    for part in (np.nan_to_num(clean), np.isfinite(clean)))  # fmt: skip
    low = np.maximum(np.arange(1, len(z) + 1) - DAYS, 0)
    total, number = sums[1:] - sums[low], counts[1:] - counts[low]
    off = np.abs(total) > SIGNIFICANT * np.sqrt(number)
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

    Raises
    ------
    ValueError
        The scores are not 2-d.

    Examples
    --------
    >>> z = np.random.default_rng(0).standard_normal((125, 400))
    >>> z[-5:, :60] += 1.5
    >>> share, distance = panel_statistic(z)
    >>> bool(share > 0.05 and distance > ALARMS)
    True
    """
    if z.ndim != 2:
        raise ValueError(f"scores must have the shape (days, series); came {z.shape}")
    z = z[-(BASELINE + DAYS) :]
    shares = shares_off(z)
    if not len(shares):
        return float("nan"), float("nan")
    usual = np.sqrt(shares[:-DAYS][np.isfinite(shares[:-DAYS])])
    if len(usual) < LEAST_DAYS or np.isnan(shares[-1]):
        return float(shares[-1]), float("nan")
    centre = np.median(usual)
    series = np.isfinite(z[-DAYS:]).any(axis=0).sum()
    # the square root of a share of n spreads by half over the root of n, whatever the share; a panel may spread more
    spread = max(1.4826 * float(np.median(np.abs(usual - centre))), 0.5 / np.sqrt(series))
    return float(shares[-1]), float((np.sqrt(shares[-1]) - centre) / spread)
