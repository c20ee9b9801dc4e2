"""Whether a difference is more than chance: two models' losses, many p-values.

Scores themselves live in :mod:`pulse_assets.numerics.accuracy` and :mod:`pulse_assets.numerics.scores`, tests of a rate
of exceedances in :mod:`pulse_assets.numerics.exceedances`.
"""

from math import nan, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

Floats = npt.NDArray[np.float64]


class Significance(NamedTuple):
    """A test statistic and the probability of one at least as extreme when nothing but chance is at work."""

    statistic: float
    p_value: float


UNKNOWN = Significance(nan, nan)


def diebold_mariano(loss_a: Floats, loss_b: Floats, h: int) -> Significance:
    """Test whether two models' h-step forecasts lose equally on average.

    The variance of the mean difference takes in ``h - 1`` autocovariances, since h-step errors overlap, with Bartlett
    weights, which keep it from being negative. The statistic is corrected for small samples and read off Student's t
    with ``n - 1`` degrees of freedom; with ``h = 1`` this is the paired t-test.

    Parameters
    ----------
    loss_a, loss_b
        Shape ``(n,)``, in the same unit, in order of time, one for each origin. NaN anywhere gives NaN: leaving an
        origin out would change which differences overlap.
    h
        Horizon in steps between origins, at least 1.

    Returns
    -------
    Significance
        Below 0 where ``loss_a`` is the smaller, and two-sided. NaN where ``n <= h`` or the difference never varies.

    Raises
    ------
    ValueError
        The losses differ in shape or are not 1-d, or h is below 1.

    References
    ----------
    Diebold and Mariano (1995), Comparing predictive accuracy, section 1.1. Correction: Harvey, Leybourne and Newbold
    (1997), Testing the equality of prediction mean squared errors, eq. 9. Weights: Newey and West (1987), A simple,
    positive semi-definite, heteroskedasticity and autocorrelation consistent covariance matrix, eq. 5.

    Examples
    --------
    >>> statistic, p_value = diebold_mariano(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 7.0]), h=1)
    >>> round(statistic, 6), round(p_value, 6)
    (-2.0, 0.183503)
    """
    if loss_a.shape != loss_b.shape or loss_a.ndim != 1:
        raise ValueError(f"the losses must be 1-d and equally long; came shapes {loss_a.shape} and {loss_b.shape}")
    if h < 1:
        raise ValueError(f"a horizon has at least 1 step; came {h}")
    n = len(loss_a)
    if n <= h:
        return UNKNOWN
    difference = loss_a - loss_b
    deviations = difference - difference[0]  # first, so that equal differences have a variance of exactly 0
    mean = difference[0] + deviations.mean()
    deviations -= deviations.mean()
    covariances = [(deviations[lag:] * deviations[: n - lag]).sum() / n for lag in range(h)]
    variance = covariances[0] + 2 * sum((1 - lag / h) * covariances[lag] for lag in range(1, h))
    if not variance > 0:
        return UNKNOWN
    small_sample = sqrt((n - h) * (n - h + 1)) / n
    statistic = float(mean / sqrt(variance / n) * small_sample)
    return Significance(statistic, float(2 * stdtr(n - 1, -abs(statistic))))


def benjamini_hochberg(p: Floats) -> Floats:
    """Return p-values adjusted so that rejecting those below a level keeps the false discovery rate below it.

    Parameters
    ----------
    p
        Shape ``(n,)``, in [0, 1]. NaN stays NaN and does not count as a test.

    Returns
    -------
    array
        Shape ``(n,)``, in [0, 1], never below ``p`` and in the same order.

    Raises
    ------
    ValueError
        A value lies outside [0, 1].

    References
    ----------
    Benjamini and Hochberg (1995), Controlling the false discovery rate, section 3.1.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.5, np.nan, 0.02, 0.03])).round(9).tolist()
    [0.04, 0.5, nan, 0.04, 0.04]
    """
    wrong = p[(p < 0) | (p > 1)]
    if wrong.size:
        raise ValueError(f"p-values lie in [0, 1]; came {wrong[:5].tolist()}")
    tested = np.flatnonzero(~np.isnan(p))
    falling = tested[np.argsort(-p[tested], kind="stable")]
    count = len(falling)
    raised = np.minimum(p[falling] * (count / np.arange(count, 0, -1)), 1)
    adjusted = np.full(len(p), np.nan)
    adjusted[falling] = np.minimum.accumulate(raised)
    return adjusted
