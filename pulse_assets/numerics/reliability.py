"""Whether ensembles and probabilities mean what they say: Brier score and its parts, ranks of the truth.

Scores of whole ensembles are in :mod:`pulse_assets.numerics.ensemble`. Nothing here draws random numbers: a truth that
ties with members takes the middle of the ranks it might have, or counts in equal parts for each.
"""

from math import nan
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from pulse_assets.numerics.distances import Floats, Members

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Brier(NamedTuple):
    """The Brier score and its parts: ``score = reliability - resolution + uncertainty + within``.

    Attributes
    ----------
    score
        Mean squared distance of probabilities from 0 and 1, in [0, 1]; lower is better.
    reliability
        How far forecasts lie from the rate at which what they forecast happens; 0 is best.
    resolution
        How far those rates lie from the overall rate; higher is better.
    uncertainty
        Score of always forecasting the overall rate.
    within
        What bins hide: variance of forecasts in a bin less twice their covariance with outcomes. 0 without bins.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def brier(probabilities: Floats, happened: Bools, bins: int | None = None) -> Brier:
    """Return the Brier score of forecasts of an event, decomposed.

    Parameters
    ----------
    probabilities
        Shape ``(n,)``, in [0, 1]. NaN anywhere gives NaN: choose first which forecasts count.
    happened
        Shape ``(n,)``.
    bins
        Bins of equal width in which forecasts count as alike, at least 1; by default only equal ones do. Give it for
        ensembles of many members, where hardly any two forecasts are equal and reliability would mean nothing.

    Returns
    -------
    Brier
        NaN for no forecasts.

    Raises
    ------
    ValueError
        The shapes differ or are not 1-d, a probability lies outside [0, 1], or there are fewer bins than 1.

    References
    ----------
    Murphy (1973), A new vector partition of the probability score, eq. 8. Within bins: Stephenson, Coelho and Jolliffe
    (2008), Two extra components in the Brier score decomposition, eq. 4.

    Examples
    --------
    >>> parts = brier(np.array([0.25, 0.25, 0.75, 0.75]), np.array([False, False, True, False]))
    >>> [round(part, 6) for part in parts]
    [0.1875, 0.0625, 0.0625, 0.1875, 0.0]
    """
    if probabilities.shape != happened.shape or probabilities.ndim != 1:
        raise ValueError(
            f"probabilities and outcomes must be 1-d and equally long; came {probabilities.shape} and {happened.shape}"
        )
    wrong = probabilities[(probabilities < 0) | (probabilities > 1)]
    if wrong.size:
        raise ValueError(f"probabilities lie in [0, 1]; came {wrong[:5].tolist()}")
    if bins is not None and bins < 1:
        raise ValueError(f"expected at least 1 bin, or None for equal forecasts; came {bins}")
    if not len(happened) or np.isnan(probabilities).any():
        return Brier(nan, nan, nan, nan, nan)
    outcomes = happened.astype(np.float64)
    alike = _alike(probabilities, bins)
    count = np.bincount(alike)
    mean, rate = (np.bincount(alike, values) / count for values in (probabilities, outcomes))
    overall = outcomes.mean()
    spread, surprise = probabilities - mean[alike], outcomes - rate[alike]
    return Brier(
        score=float(np.square(probabilities - outcomes).mean()),
        reliability=float((count * np.square(mean - rate)).sum() / len(outcomes)),
        resolution=float((count * np.square(rate - overall)).sum() / len(outcomes)),
        uncertainty=float(overall * (1 - overall)),
        within=float((spread * (spread - 2 * surprise)).mean()),
    )


def _alike(probabilities: Floats, bins: int | None) -> Ints:
    """Return a number for each forecast, 0, 1, …, the same for those that count as alike."""
    values = probabilities if bins is None else np.minimum(np.floor(probabilities * bins), bins - 1)
    return np.asarray(np.unique(values, return_inverse=True)[1], np.int64)


def wilson(successes: Floats, trials: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Return the Wilson interval of a proportion; NaN without trials.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference.

    Examples
    --------
    >>> low, high = wilson(np.array([90.0]), np.array([100.0]), 0.95)
    >>> round(low.item(), 6), round(high.item(), 6)
    (0.825634, 0.944771)
    """
    z = ndtri((1 + confidence) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = successes / trials
        middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
        half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return np.asarray(middle - half), np.asarray(middle + half)


def pit_of_ensemble(members: Members, y: Members) -> Floats:
    """Return the probability integral transform of the truth: the middle of its rank among members, in (0, 1).

    The share ``(r - 1/2) / (m + 1)`` of a truth in rank r of m members and itself is spread evenly for calibrated
    forecasts, never 0 or 1, and the same for equal input.

    Parameters
    ----------
    members
        Shape ``(n, m)``, in any order; m of 0 gives 1/2. Infinite members are members.
    y
        Truth, shape ``(n,)``, unit of ``members``. NaN anywhere in a row gives NaN in that row.

    Returns
    -------
    array
        Shape ``(n,)``.

    Raises
    ------
    ValueError
        The shapes do not match.

    Examples
    --------
    >>> pit_of_ensemble(np.array([[1.0, 2.0, 2.0], [1.0, 2.0, 3.0]]), np.array([2.0, 9.0])).tolist()
    [0.625, 0.875]
    """
    below, ties, known = _places(members, y)
    pit = (below + (ties + 1) / 2) / (members.shape[1] + 1)
    return np.where(known, pit, np.nan)


def rank_histogram(members: Members, y: Members, bins: int | None = None) -> Floats:
    """Return how often the truth takes each rank among members: flat if they are exchangeable with it.

    Parameters
    ----------
    members
        Shape ``(n, m)``, in any order.
    y
        Truth, shape ``(n,)``, unit of ``members``. A row with NaN anywhere is left out.
    bins
        Bins to share ranks 1 … m + 1 among, at least 1; by default one each. A rank across a border counts in parts.

    Returns
    -------
    array
        Shape ``(bins,)``, adding up to the rows that count. A truth that ties with t members counts ``1 / (t + 1)``
        for each rank it might have.

    Raises
    ------
    ValueError
        The shapes do not match, or there are fewer bins than 1.

    References
    ----------
    Hamill (2001), Interpretation of rank histograms for verifying ensemble forecasts. Ties in parts: Czado, Gneiting
    and Held (2009), Predictive model assessment for count data, section 2.1.

    Examples
    --------
    >>> rank_histogram(np.array([[1.0, 2.0, 2.0], [1.0, 2.0, 3.0]]), np.array([2.0, 0.0])).round(3).tolist()
    [1.0, 0.333, 0.333, 0.333]
    """
    if bins is not None and bins < 1:
        raise ValueError(f"expected at least 1 bin, or None for one a rank; came {bins}")
    below, ties, known = _places(members, y)
    below, ties = below[known], ties[known]
    ranks = members.shape[1] + 1
    frequency = np.bincount(below[ties == 0], minlength=ranks).astype(np.float64)
    for first, tied in zip(below[ties > 0], ties[ties > 0], strict=True):
        frequency[first : first + tied + 1] += 1 / (tied + 1)
    if bins is None:
        return frequency
    cumulative = np.concatenate(([0.0], np.cumsum(frequency)))
    edges = np.linspace(0, ranks, bins + 1)
    return np.diff(np.interp(edges, np.arange(ranks + 1), cumulative))


def _places(members: Members, y: Members) -> tuple[Ints, Ints, Bools]:
    """Return how many members lie below each truth, how many tie with it, and whether nothing is NaN."""
    if members.ndim != 2 or members.shape[:1] != y.shape:
        raise ValueError(f"members and truth must have shapes (n, m) and (n,); came {members.shape} and {y.shape}")
    truth = y[:, None]
    below, not_above = np.count_nonzero(members < truth, axis=1), np.count_nonzero(members <= truth, axis=1)
    known = ~(np.isnan(members).any(axis=1) | np.isnan(y))
    return below, not_above - below, known
