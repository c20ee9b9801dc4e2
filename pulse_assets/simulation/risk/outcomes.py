"""What a path leaves behind: P&L, worst drawdown, time under water, ruin; and how exposure runs over time. Pure.

The compiled step keeps these as it goes; :func:`outcomes_of` is their definition, on whole paths. VaR and expected
shortfall of the end are in ``risk``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.risk.estimators import CONFIDENCE, Estimate, plain_mean, probability_with_interval
from pulse_assets.simulation.risk.histograms import ranks_of
from pulse_assets.simulation.risk.measures import LEVELS, PerPath, value_at_risk

Floats = npt.NDArray[np.float64]


class Outcomes(NamedTuple):
    """Of each path, shape ``(N,)``.

    P&L at the end and the lowest on the way in USD, worst drawdown as a share of the highest value so far, and how
    many steps end below the highest value so far.
    """

    pnl_usd: Floats
    worst_pnl_usd: Floats
    drawdown: Floats
    steps_under_water: Floats


class Drawdowns(NamedTuple):
    """Worst drawdown, a share of the highest value so far, and steps under water: means ``()``, quantiles ``(K,)``."""

    mean: Estimate
    quantiles: Estimate
    mean_steps: Estimate
    quantile_steps: Estimate


class Exposure(NamedTuple):
    """How much stands to be lost to or by others at each step, in USD.

    Means of the positive and of the negative part of the value and mean of the former over time, shapes ``(S,)``,
    ``(S,)`` and ``()``; quantiles of the value that are not exceeded, at least 0, shape ``(K, S)``.
    """

    expected: Floats
    expected_negative: Floats
    expected_over_time: Floats
    potential: Floats


def outcomes_of(pnl_usd: Floats, capital_usd: float) -> Outcomes:
    """Return what paths of P&L come to.

    Parameters
    ----------
    pnl_usd
        P&L since the origin at the end of each step, the origin's 0 first, shape ``(N, steps + 1)``. NaN gives NaN.
    capital_usd
        Value at the origin, above 0: drawdowns are shares of capital plus P&L at its highest.

    Raises
    ------
    ValueError
        The capital is not positive.

    Examples
    --------
    >>> found = outcomes_of(np.array([[0.0, 50.0, -25.0, 0.0]]), capital_usd=100.0)
    >>> [float(part[0]) for part in found]
    [0.0, -25.0, 0.5, 2.0]
    """
    if not capital_usd > 0:
        raise ValueError(f"a drawdown is a share of capital, which must be positive; came {capital_usd} USD")
    value = capital_usd + pnl_usd
    highest = np.maximum.accumulate(value, axis=1)
    drawdown = (1 - value / highest).max(axis=1)
    under = np.where(np.isnan(drawdown), np.nan, (value < highest).sum(axis=1))
    return Outcomes(pnl_usd[:, -1], pnl_usd.min(axis=1), drawdown, under)


def exposure_profile(value_usd: Floats, levels: Sequence[float] | Floats = LEVELS) -> Exposure:
    """Return expected and potential exposure of values at each step.

    Parameters
    ----------
    value_usd
        What is owed to the holder, negative where the holder owes, shape ``(N, S)``. NaN gives NaN at its step.
    levels
        Shape ``(K,)``, between 0 and 1.

    Raises
    ------
    ValueError
        There are no paths, or a level is not between 0 and 1.

    References
    ----------
    Basel Committee (2005), The application of Basel II to trading activities, annex 1: expected and potential future
    exposure.

    Examples
    --------
    >>> profile = exposure_profile(np.array([[0.0, 4.0], [0.0, -2.0]]), [0.5, 0.99])
    >>> profile.expected.tolist(), profile.expected_negative.tolist(), profile.potential.tolist()
    ([0.0, 2.0], [0.0, -1.0], [[0.0, 0.0], [0.0, 4.0]])
    """
    if not len(value_usd):
        raise ValueError("an exposure profile takes at least one path; came none")
    expected = np.maximum(value_usd, 0).mean(axis=0)
    ordered = np.sort(value_usd, axis=0)
    potential = np.maximum(ordered[ranks_of(len(value_usd), levels) - 1], 0) + 0 * ordered[-1]  # NaN is last
    return Exposure(expected, np.minimum(value_usd, 0).mean(axis=0), np.asarray(expected.mean()), potential)


def ruin_probability(worst_pnl_usd: PerPath, capital_usd: float, confidence: float = CONFIDENCE) -> Estimate:
    """Return the probability that losses reach the capital on the way.

    Parameters
    ----------
    worst_pnl_usd
        Lowest P&L of each path, shape ``(N,)``. One NaN makes it NaN.
    capital_usd
        Ruin is a P&L at or below minus this.

    Examples
    --------
    >>> ruin_probability(np.array([-150.0, -100.0, -20.0, 0.0]), capital_usd=100.0).value.tolist()
    0.5
    """
    if np.isnan(worst_pnl_usd).any():
        return probability_with_interval(0, 0)
    return probability_with_interval(int((worst_pnl_usd <= -capital_usd).sum()), len(worst_pnl_usd), confidence)


def drawdown_summary(
    drawdown: PerPath, steps_under_water: PerPath, levels: Sequence[float] | Floats = LEVELS
) -> Drawdowns:
    """Return means and upper quantiles of worst drawdowns and of steps under water.

    Parameters
    ----------
    drawdown, steps_under_water
        Shape ``(N,)``, at least two paths; NaN makes all NaN.

    Raises
    ------
    ValueError
        There are fewer than two paths.

    Examples
    --------
    >>> summary = drawdown_summary(np.array([0.1, 0.2, 0.3]), np.array([5.0, 9.0, 7.0]), [0.5])
    >>> round(float(summary.mean.value), 6), summary.quantile_steps.value.tolist()
    (0.2, [7.0])
    """
    depth, steps = drawdown.astype(np.float64), steps_under_water.astype(np.float64)
    return Drawdowns(plain_mean(depth), value_at_risk(-depth, levels), plain_mean(steps), value_at_risk(-steps, levels))
