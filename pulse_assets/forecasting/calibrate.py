"""Calibration: how wide a forecast must be, learned from errors of the panel and shrunk to what other panels taught.

A forecast's spread is a log-linear function of what is known at its origin: past errors of the series by step ahead,
their recent pace, how far the members are apart. Errors divided by it are pooled over series and origins; their
quantiles are the shape of every forecast. Quantiles rise by construction.

References
----------
Romano, Patterson and Candès (2019), Conformalized quantile regression. Papadopoulos, Gammerman and Vovk (2008),
Normalized nonconformity measures. Corsi (2009), as in :mod:`.lags`, for the three paces of volatility.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.numerics.quantiles import LEVELS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

INPUTS = (
    "one",
    "log_step",
    "log_step_squared",
    "slow_pace",
    "members_apart",
    "fast_over_slow",
    "middle_over_slow",
    "seasonal_difference",
    "log_count",
    "conditional_volatility",
    "place_in_season",
)
"""Inputs of the spread, all logarithms relative to the series' own past error at that step."""
WIDTH = len(INPUTS)
LEAST_ERROR, LARGEST_ERROR = 1e-3, 1e6
"""A smaller or larger error, relative to past ones, counts as this: its logarithm would say too much."""
PRIOR_ROWS = 40.0
"""Rows that what other panels taught is worth when the spread is fitted."""
PRIOR_QUANTILES, PRIOR_HORIZON = 60.0, 400.0
"""Errors that the pre-trained shape is worth, and that the shape of all steps is worth against that of one."""


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _log(a: float, b: float) -> float:
    if not (a > 0.0 and b > 0.0):
        return 0.0
    return min(max(math.log(a / b), -7.0), 7.0)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def spread_inputs(
    spread: Floats,
    statistics: Floats,
    apart: Floats,
    volatility: Floats,
    phases: Floats,
    anchors: Ints,
    base: Floats,
    inputs: Floats,
) -> None:
    """Fill the base spread and the inputs of P origins.

    Parameters
    ----------
    spread, statistics
        As :func:`~pulse_assets.forecasting.walk.walk` fills them, shapes ``(P, anchors)`` and ``(P, 7)``.
    apart
        Standard deviation between members, shape ``(P, H)``.
    volatility
        Conditional standard deviation of the error from a volatility model, shape ``(P, H)``, NaN without; or empty.
    phases
        Error at the place in the season of each step, relative to all, shape ``(P, H)``.
    base
        Past mean absolute error at each step, interpolated between anchors, shape ``(P, H)``; 0 for a series that
        never erred.
    inputs
        Shape ``(P, H, WIDTH)``.
    """
    horizon, last = apart.shape[1], len(anchors) - 1
    for p in range(len(spread)):
        slow = statistics[p, 2]
        if not slow > 0.0:
            slow = statistics[p, 3] if statistics[p, 3] > 0.0 else 0.0
        right = 0
        for h in range(horizon):
            while right < last and anchors[right] < h:
                right += 1
            left = max(right - 1, 0)
            root = math.sqrt(h + 1.0)
            low, high = spread[p, left], spread[p, right]
            if not low > 0.0:
                low = slow * math.sqrt(anchors[left] + 1.0)
            if not high > 0.0:
                high = slow * math.sqrt(anchors[right] + 1.0)
            share = 1.0
            if anchors[right] > anchors[left]:
                share = math.log((h + 1.0) / (anchors[left] + 1.0))
                share /= math.log((anchors[right] + 1.0) / (anchors[left] + 1.0))
            base[p, h] = low ** (1.0 - share) * high**share if low > 0.0 and high > 0.0 else max(low, high)
            now, step = base[p, h], math.log(h + 1.0)
            inputs[p, h, 0] = 1.0
            inputs[p, h, 1] = step
            inputs[p, h, 2] = step * step
            inputs[p, h, 3] = _log(slow * root, now)
            inputs[p, h, 4] = _log(apart[p, h] + 0.01 * now, now)
            inputs[p, h, 5] = _log(statistics[p, 0], slow)
            inputs[p, h, 6] = _log(statistics[p, 1], slow)
            inputs[p, h, 7] = _log(statistics[p, 3] * root, now)
            inputs[p, h, 8] = min(max(math.log(statistics[p, 4] / 50.0), -2.0), 2.0)
            inputs[p, h, 9] = _log(volatility[p, h], now) if volatility.shape[0] > 0 else 0.0
            inputs[p, h, 10] = _log(phases[p, h], 1.0)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def spread_of(base: Floats, inputs: Floats, slopes: Floats, sigma: Floats) -> None:
    """Fill the spread, shape ``(P, H)``: base times the exponential of inputs times slopes."""
    for p in range(base.shape[0]):
        for h in range(base.shape[1]):
            total = 0.0
            for i in range(len(slopes)):
                total += inputs[p, h, i] * slopes[i]
            sigma[p, h] = base[p, h] * math.exp(total)


def fit_spread(error: Floats, base: Floats, inputs: Floats, prior: Floats) -> Floats:
    """Return the slopes of the spread: least squares on the log of the absolute error, held to the prior.

    Parameters
    ----------
    error, base
        Shape ``(N, H)``; rows with a base of 0 are left out.
    inputs
        Shape ``(N, H, WIDTH)``.
    prior
        Slopes that other panels taught, shape ``(WIDTH,)``.
    """
    fine = (base > 0) & np.isfinite(error)
    if not fine.any():
        return prior
    with np.errstate(over="ignore"):
        target = np.log(np.clip(np.abs(error[fine]) / base[fine], LEAST_ERROR, LARGEST_ERROR))
    x = inputs[fine]
    left = target - x @ prior
    steps = error.shape[1]
    square = x.T @ x / steps
    return np.asarray(prior + np.linalg.solve(square + PRIOR_ROWS / WIDTH * np.eye(WIDTH), x.T @ left / steps))


def shape_of(standardised: Floats, prior: Floats, weight: float) -> Floats:
    """Return the quantiles of standardised errors for each step, shape ``(H, 23)``.

    Parameters
    ----------
    standardised
        Errors divided by their spread, shape ``(N, H)``; NaN does not count.
    prior
        Quantiles that other panels taught, shape ``(23,)``.
    weight
        How many independent errors the rows are worth: they share series and shocks.
    """
    horizon = standardised.shape[1]
    pooled = standardised[np.isfinite(standardised)]
    if not len(pooled):
        return np.tile(prior, (horizon, 1))
    own = weight / (weight + PRIOR_QUANTILES)
    middle = own * np.quantile(pooled, LEVELS) + (1 - own) * prior
    table = np.empty((horizon, len(LEVELS)))
    for h in range(horizon):
        here = standardised[:, h]
        here = here[np.isfinite(here)]
        alone = len(here) / (len(here) + PRIOR_HORIZON) * own if len(here) else 0.0
        table[h] = middle if alone == 0.0 else alone * np.quantile(here, LEVELS) + (1 - alone) * middle
    return np.maximum.accumulate(table, axis=1)
