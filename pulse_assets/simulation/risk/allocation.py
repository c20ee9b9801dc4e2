"""Which positions VaR and expected shortfall come from: Euler's allocation, which adds up to the whole. Pure.

Both are weighted means of a few paths' contributions, so :func:`shortfall_weights` and :func:`var_weights` say which
paths an engine must run again to have them.
"""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.risk.histograms import ranks_of
from pulse_assets.simulation.risk.measures import PerPath, value_at_risk

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WINDOW = 0.5
"""Paths to either side of VaR that its allocation looks at, as a share of those beyond VaR."""
SMALLEST_WINDOW = 10
ROUNDS = 1e-6
"""Of the largest contribution of all paths: float32 rounds with the size of positions, not of their profits."""
FITS = 1e-5
"""Largest difference between P&L and the sum of its contributions, as a share of their sizes: float32 rounds."""


class Weights(NamedTuple):
    """Paths and their weights, shape ``(M,)`` each: the measure is minus the weighted sum of their P&L."""

    path: Ints
    weight: Floats


class Allocation(NamedTuple):
    """Each asset's part of a risk measure in USD, negative where it hedges, and its standard error: ``(A,)`` each."""

    amount: Floats
    standard_error: Floats


def shortfall_weights(pnl_usd: PerPath, level: float) -> Weights:
    """Return the paths that expected shortfall is the mean of.

    Paths with losses equal to VaR share what the others leave of ``1 - level``, so the order of paths is of no matter.

    Parameters
    ----------
    pnl_usd
        Shape ``(N,)``, no NaN.
    level
        Between 0 and 1.

    Raises
    ------
    ValueError
        There are no paths, one is NaN, or the level is not between 0 and 1.

    Examples
    --------
    >>> paths, weights = shortfall_weights(np.array([0.0, -3.0, -1.0, -3.0]), 0.7)
    >>> paths.tolist(), weights.round(6).tolist()
    ([1, 3], [0.5, 0.5])
    """
    losses, var = _losses(pnl_usd, level)
    tail = len(losses) * (1 - level)
    beyond, equal = losses > var, losses == var
    shared = (tail - beyond.sum()) / equal.sum()
    paths = np.flatnonzero(beyond | equal)
    return Weights(paths.astype(np.int64), np.where(beyond[paths], 1.0, shared) / tail)


def var_weights(pnl_usd: PerPath, level: float) -> Weights:
    """Return the paths around VaR and weights that make of their contributions the ones expected at VaR.

    They are the weights of a local linear regression on the loss, evaluated at VaR, with Epanechnikov's kernel in
    ranks over half as many paths to either side as lie beyond VaR. A straight line in the loss passes through VaR
    itself, so the parts add up to VaR with nothing to be rescaled.

    Parameters
    ----------
    pnl_usd
        Shape ``(N,)``, no NaN. Among equal losses at the window's ends the first paths count.
    level
        Between 0 and 1.

    Raises
    ------
    ValueError
        There are no paths, one is NaN, or the level is not between 0 and 1.

    References
    ----------
    Gouriéroux, Laurent and Scaillet (2000), Sensitivity analysis of values at risk, eq. 4 and section 3. Tasche (1999),
    Risk contributions and performance measurement. Fan (1993), Local linear regression smoothers.
    """
    weights, _, _ = _local_line(pnl_usd, level)
    return weights


def euler_allocation(
    pnl_usd: PerPath, contributions_usd: PerPath, level: float, measure: Literal["es", "var"] = "es"
) -> Allocation:
    """Return how much of VaR or expected shortfall each asset brings, which adds up to the whole.

    Of expected shortfall it is the mean loss of the asset on the paths of the tail; of VaR the loss of the asset
    expected where the whole loses VaR. What float32 leaves between the P&L and its contributions is spread over the
    assets in proportion to their parts' sizes.

    Parameters
    ----------
    pnl_usd
        Shape ``(N,)``, no NaN.
    contributions_usd
        P&L of each asset on each path, rows adding up to ``pnl_usd``, shape ``(N, A)``.
    level
        Between 0 and 1.

    Returns
    -------
    Allocation
        The standard error of a part of ES is the root of
        ``[Var(X | tail) + level (E[X | tail] - E[X | VaR])^2] / (n (1 - level))``; of a part of VaR it is that of the
        regression and of VaR itself, times the slope; NaN where VaR has no interval.

    Raises
    ------
    ValueError
        There are no paths, one is NaN, the level is not between 0 and 1, or contributions do not add up to the P&L.

    References
    ----------
    Tasche (1999), Risk contributions and performance measurement, theorem 4.4.

    Examples
    --------
    >>> contributions = np.array([[5.0, 5.0], [-4.0, 1.0], [-9.0, 2.0], [1.0, 0.0]])
    >>> euler_allocation(contributions.sum(axis=1), contributions, level=0.5).amount.tolist()
    [6.5, -1.5]
    """
    _refuse_misfit(pnl_usd, contributions_usd)
    line, slope_weight, distance = _local_line(pnl_usd, level)
    at_var, losses = _parts(pnl_usd, contributions_usd, line)
    if measure == "var":
        slope, error = slope_weight @ losses, value_at_risk(pnl_usd, [level]).standard_error
        residual = losses - at_var - np.outer(distance, slope)
        moved = np.where(slope == 0, 0, slope * np.where(np.isfinite(error), error, np.nan))
        return Allocation(at_var, np.sqrt(line.weight**2 @ residual**2 + moved**2))
    tail = shortfall_weights(pnl_usd, level)
    amount, losses = _parts(pnl_usd, contributions_usd, tail)
    spread = tail.weight @ (losses - amount) ** 2 + level * (amount - at_var) ** 2
    return Allocation(amount, np.sqrt(spread / (len(pnl_usd) * (1 - level))))


def _losses(pnl_usd: PerPath, level: float) -> tuple[Floats, float]:
    """Return losses of all paths and VaR."""
    if not len(pnl_usd) or np.isnan(pnl_usd).any():
        unknown = int(np.isnan(pnl_usd).sum())
        raise ValueError(f"risk is allocated over paths with known P&L; of {len(pnl_usd)} paths {unknown} are NaN")
    losses = -pnl_usd.astype(np.float64)
    rank = int(ranks_of(len(losses), [level])[0]) - 1
    return losses, float(np.partition(losses, rank)[rank])


def _local_line(pnl_usd: PerPath, level: float) -> tuple[Weights, Floats, Floats]:
    """Return the weights of a local regression's value at VaR, those of its slope, and the losses less VaR."""
    losses, var = _losses(pnl_usd, level)
    rank = int(ranks_of(len(losses), [level])[0]) - 1
    reach = max(int(WINDOW * len(losses) * (1 - level)), SMALLEST_WINDOW)
    ranks = np.arange(max(rank - reach + 1, 0), min(rank + reach, len(losses)))
    paths = np.argsort(losses, kind="stable")[ranks]
    kernel, distance = 1 - ((ranks - rank) / reach) ** 2, losses[paths] - var
    zeroth, first, second = ((kernel * distance**power).sum() for power in (0, 1, 2))
    spread = zeroth * second - first**2
    if not spread > 0:  # all losses around VaR are equal
        return Weights(paths.astype(np.int64), kernel / zeroth), np.zeros(len(paths)), distance
    weight = kernel * (second - first * distance) / spread
    return Weights(paths.astype(np.int64), weight), kernel * (zeroth * distance - first) / spread, distance


def _parts(pnl_usd: PerPath, contributions_usd: PerPath, weights: Weights) -> tuple[Floats, Floats]:
    """Return each asset's part and the losses by asset of the paths that it is made of."""
    losses = -contributions_usd[weights.path].astype(np.float64)
    amount = weights.weight @ losses
    rounding = -(weights.weight @ pnl_usd[weights.path].astype(np.float64)) - amount.sum()
    size = np.abs(amount).sum()
    return amount + (rounding * np.abs(amount) / size if size > 0 else 0.0), losses


def _refuse_misfit(pnl_usd: PerPath, contributions_usd: PerPath) -> None:
    if contributions_usd.ndim != 2 or len(contributions_usd) != len(pnl_usd):
        shapes = f"{contributions_usd.shape} for {pnl_usd.shape} outcomes"
        raise ValueError(f"expected contributions of each asset on each path, (N, A); came {shapes}")
    difference = np.abs(contributions_usd.sum(axis=1, dtype=np.float64) - pnl_usd)
    sizes = np.abs(contributions_usd)
    allowed = FITS * sizes.sum(axis=1, dtype=np.float64) + ROUNDS * float(sizes.max(initial=0.0))
    wrong = np.flatnonzero(difference > allowed)
    if wrong.size:
        worst = int(wrong[difference[wrong].argmax()])
        raise ValueError(
            f"contributions add up to the P&L; on {wrong.size} paths they do not, on path {worst} they differ by "
            f"{difference[worst]:.6g} USD from {pnl_usd[worst]:.6g}"
        )
