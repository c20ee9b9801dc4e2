"""Models from outside, stacked on the pool's answer: how much each is trusted, and what that makes of a forecast. Pure.

The pool keeps what the models are not given: center = pool + Σ weight × (model - pool), weights at least 0 and at most
1 together. Where a model is silent its part stays with the pool. Asking models is the business of :mod:`.outside`.

References
----------
Breiman (1996), Stacked regressions. Wolpert (1992), Stacked generalization.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.admission import (
    ADMITTED,
    NO_GAIN,
    TOO_FEW_ROWS,
    enough,
    gain_of,
    newest_rows,
    scaled_losses,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WORTH = 20.0
"""Rows that the belief that the pool needs no help is worth."""
ROUNDS, STEPS = 12, 200
LEAST_ERROR = 1e-3
"""An error smaller than this, relative to the mean one, weighs no more."""
LARGEST = 1e6
"""Scaled distances are cut off here, so that their squares stay finite."""


@dataclass(frozen=True)
class Stacked:
    """What stacking makes of P forecasts: center and sigma, shape ``(P, H)``, and shares of models, ``(P, E)``."""

    center: Floats
    sigma: Floats
    shares: Floats


@dataclass(frozen=True)
class Stack:
    """Weights of E models from outside.

    Parameters
    ----------
    names
        Of the models.
    weights
        Shape ``(E,)``, at least 0, together at most 1; 0 for a model that was not admitted.
    spread_ratio
        Mean absolute error of the stack over that of the pool, on rows that did not fit it; at most 1.
    reasons
        Of each model: ``ADMITTED``, ``NO_GAIN``, ``TOO_FEW_ROWS``, or why it never spoke.
    """

    names: tuple[str, ...]
    weights: Floats
    spread_ratio: float
    reasons: tuple[str, ...]

    def apply(self, center: Floats, sigma: Floats, made: Floats) -> Stacked:
        """Stack the models' forecasts on the pool's.

        Parameters
        ----------
        center, sigma
            The pool's, shape ``(P, H)``; they come back untouched where no admitted model speaks.
        made
            The models', shape ``(P, H, E)``; a row with a NaN is silence.
        """
        spoke = np.isfinite(made).all(axis=1)
        shares = np.where(spoke, self.weights, 0.0)
        heard = shares.sum(axis=1)
        told = heard > 0
        total = max(float(self.weights.sum()), 1e-300)
        moved, narrowed = center.copy(), sigma.copy()
        moved[told] += np.einsum("phe,pe->ph", _away(center[told], made[told]), shares[told])
        narrowed[told] *= 1 - (1 - self.spread_ratio) * (heard[told] / total)[:, None]
        return Stacked(moved, narrowed, shares)


def fit_stack(
    names: Sequence[str], center: Floats, made: Floats, truth: Floats, scale: Floats, series: Ints, ago: Ints
) -> Stack:
    """Find the models that help on the newest rows when trusted as the older ones suggest, and their weights by all.

    Models are admitted one at a time, the most helpful first, each beside those before it.

    Parameters
    ----------
    names
        Of E models.
    center, truth
        The pool's forecasts and what came, shape ``(N, H)``, finite.
    made
        The models' forecasts, shape ``(N, H, E)``; a row with a NaN is silence.
    scale
        Weight of an error of each row, shape ``(N,)``.
    series, ago
        Which series a row belongs to and how many steps ago its origin was, shape ``(N,)``.

    Examples
    --------
    >>> rows = np.arange(40)
    >>> truth = np.sin(rows)[:, None]
    >>> made = np.stack([truth, -truth], axis=2)
    >>> stack = fit_stack(["knows", "errs"], 0 * truth, made, truth, np.ones(40), rows % 20, rows // 20)
    >>> stack.weights.round(2).tolist(), stack.reasons
    ([0.66, 0.0], ('ADMITTED', 'NO_GAIN'))
    """
    count = len(names)
    away, left = _away(center, made), truth - center
    judged = newest_rows(ago)
    older, nobody = ~judged, np.zeros(count)
    if not enough(series[judged], ago[judged]) or not older.any():
        return Stack(tuple(names), nobody, 1.0, (TOO_FEW_ROWS,) * count)
    own = series[judged], ago[judged]

    def losses(weights: Floats) -> Floats:
        return scaled_losses(left[judged] - away[judged] @ weights, scale[judged])

    chosen: list[int] = []
    alone = now = losses(nobody)
    while len(chosen) < count:
        tried = {
            e: losses(_weights(away[older], left[older], scale[older], [*chosen, e]))
            for e in range(count)
            if e not in chosen
        }
        gains = {e: gain_of(now, after, *own) for e, after in tried.items()}
        best = max(gains, key=lambda e: gains[e])
        if not gains[best] > 0:
            break
        chosen.append(best)
        now = tried[best]
    ratio = min(1.0, float(now.mean() / alone.mean())) if chosen else 1.0
    weights = _weights(away, left, scale, chosen) if chosen else nobody
    return Stack(tuple(names), weights, ratio, tuple(ADMITTED if e in chosen else NO_GAIN for e in range(count)))


def convex_weights(x: Floats, y: Floats) -> Floats:
    """Return weights of least absolute error, at least 0 and at most 1 together.

    Parameters
    ----------
    x, y
        Shapes ``(N, E)`` and ``(N,)``, finite.

    References
    ----------
    Weiszfeld (1937) for least absolute errors by weighted squares; Beck and Teboulle (2009), A fast iterative
    shrinkage-thresholding algorithm, for those under constraints.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> convex_weights(x, x @ [0.25, 0.5]).round(6).tolist()
    [0.25, 0.5]
    """
    weights = np.zeros(x.shape[1])
    least = LEAST_ERROR * max(float(np.abs(y).mean()), 1e-300) if len(y) else 1.0
    pull = np.ones(len(y))
    for _ in range(ROUNDS):
        weighted = x * pull[:, None]
        weights = _constrained_squares(x.T @ weighted, weighted.T @ y, weights)
        pull = 1 / np.maximum(np.abs(y - x @ weights), least)
    return weights


def _constrained_squares(square: Floats, product: Floats, start: Floats) -> Floats:
    steepest = float(np.linalg.eigvalsh(square)[-1])
    if not steepest > 0:
        return np.zeros_like(start)
    now, before, pace = start, start, 1.0
    for _ in range(STEPS):
        faster = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        ahead = now + (pace - 1) / faster * (now - before)
        before, pace = now, faster
        now = _projected(ahead - (square @ ahead - product) / steepest)
    return now


def _projected(weights: Floats) -> Floats:
    """Return the nearest weights that are at least 0 and at most 1 together."""
    clipped = np.maximum(weights, 0.0)
    if clipped.sum() <= 1:
        return clipped
    falling = np.sort(weights)[::-1]
    excess = (np.cumsum(falling) - 1) / np.arange(1, len(falling) + 1)
    return np.asarray(np.maximum(weights - excess[np.flatnonzero(falling > excess)[-1]], 0.0))


def _weights(away: Floats, left: Floats, scale: Floats, chosen: list[int]) -> Floats:
    """Return the weights of some models by some rows, drawn to 0 as far as rows are few."""
    weights = np.zeros(away.shape[2])
    x = np.clip(away[:, :, chosen] * scale[:, None, None], -LARGEST, LARGEST)
    y = np.clip(left * scale[:, None], -LARGEST, LARGEST)
    spoke = int((away[:, :, chosen] != 0).any(axis=(1, 2)).sum())
    weights[chosen] = convex_weights(x.reshape(-1, len(chosen)), y.ravel()) * (spoke / (spoke + WORTH))
    return weights


def _away(center: Floats, made: Floats) -> Floats:
    """Return how far models are from the pool, 0 where they are silent."""
    spoke = np.asarray(np.isfinite(made).all(axis=1))
    return np.where(~spoke[:, None, :], 0.0, np.where(np.isfinite(made), made, 0.0) - center[:, :, None])
