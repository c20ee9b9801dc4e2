"""Maps probabilities to what earlier ones of their size turned out to be. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_OUTCOMES = 200
"""Outcomes below which probabilities are left as they are."""
SURE = 0.02
"""No probability is nearer to 0 or 1."""
DOUBT = 2
"""Imagined periods in which probabilities came true as stated: outcomes of one period share its fate. On seven panels,
each mapped by its own outcomes alone, that took the Brier score from .1166 to .1149 (November 2026)."""


@dataclass(frozen=True)
class ProbabilityMap:
    """A rising map of probabilities, straight between its knots.

    Parameters
    ----------
    at, to
        Knots, rising, shape ``(k,)``; none leaves probabilities alone but for the ends.
    outcomes
        How many it was fitted on; 0 for none.
    weight
        Of the knots beside the probability itself, in [0, 1).
    """

    at: Floats
    to: Floats
    outcomes: int
    weight: float

    def __call__(self, probability: Floats) -> Floats:
        """Return mapped probabilities, NaN for NaN."""
        mapped = np.interp(probability, self.at, self.to) if len(self.at) else probability
        mapped = self.weight * mapped + (1 - self.weight) * probability
        return np.asarray(np.where(np.isnan(probability), np.nan, np.clip(mapped, SURE, 1 - SURE)))


UNFITTED = ProbabilityMap(np.empty(0), np.empty(0), 0, 0.0)


def fit_map(probability: Floats, happened: Floats, periods: int) -> ProbabilityMap:
    """Fit the map on outcomes by isotonic regression; :data:`UNFITTED` for fewer than 200.

    Parameters
    ----------
    probability
        Shape ``(n,)``; NaN does not count.
    happened
        0 or 1, shape ``(n,)``; NaN is not known and does not count.
    periods
        Days on which they were stated.

    References
    ----------
    Zadrozny and Elkan (2002), Transforming classifier scores into accurate multiclass probability estimates, section 3.

    Examples
    --------
    >>> overconfident = np.repeat([0.1, 0.9], 200)
    >>> happened = np.tile([0.0, 1.0, 1.0, 1.0], 100)
    >>> round(fit_map(overconfident, happened, periods=8)(np.array([0.9])).item(), 9)
    0.78
    """
    known = np.isfinite(probability) & np.isfinite(happened)
    if known.sum() < LEAST_OUTCOMES:
        return UNFITTED
    from scipy.optimize import isotonic_regression

    order = np.argsort(probability[known], kind="stable")
    at, outcome = probability[known][order], happened[known][order]
    values, first, weights = np.unique(at, return_index=True, return_counts=True)
    rates = np.add.reduceat(outcome, first) / weights
    fitted = isotonic_regression(rates, weights=weights).x
    blocks = np.flatnonzero(np.append(True, np.diff(fitted) > 0))
    centres = np.add.reduceat(values * weights, blocks) / np.add.reduceat(weights, blocks)
    return ProbabilityMap(centres, fitted[blocks], int(known.sum()), periods / (periods + DOUBT))


def expected_calibration_error(probability: Floats, happened: Floats, bins: int = 10) -> float:
    """Return the mean distance of probabilities from the rate at which their bin happened, weighed by bin size.

    Bins hold equally many. NaN without outcomes.
    """
    known = np.isfinite(probability) & np.isfinite(happened)
    order = np.argsort(probability[known], kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    p, y = probability[known], happened[known]
    if not parts:
        return float("nan")
    return float(sum(len(part) * abs(p[part].mean() - y[part].mean()) for part in parts) / len(order))


def area_under_curve(probability: Floats, happened: Floats) -> float:
    """Return the probability that what happened was given the higher one: the area under the ROC curve.

    Ties count half; NaN where all or nothing happened.
    """
    known = np.isfinite(probability) & np.isfinite(happened)
    p, y = probability[known], happened[known] > 0
    if y.all() or not y.any():
        return float("nan")
    place = np.unique(p, return_inverse=True)[1]
    counts = np.bincount(place)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positive = int(y.sum())
    return float((ranks[y].sum() - positive * (positive + 1) / 2) / (positive * (len(y) - positive)))
