"""A map from exogenous series to the pool's errors: one ridge for a panel, admitted only where a backtest gains. Pure.

Errors are divided by the mean absolute seasonal difference of their series, inputs by their own standard deviation, so
one map serves series of any unit. A coefficient is common to all steps ahead plus, where that helps, a part by step.

References
----------
Hoerl and Kennard (1970), Ridge regression. Zhang (2003), Time series forecasting using a hybrid ARIMA and neural
network model (a second model fitted to the errors of the first).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.admission import (
    ADMITTED,
    TOO_FEW_ROWS,
    enough,
    gain_of,
    newest_rows,
    scaled_losses,
)
from pulse_assets.forecasting.drivers import Inputs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NO_GAIN = "EXOGENOUS_NO_GAIN"
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Penalties tried, relative to the mean square of the inputs."""
UNTRIED = (0.1, False)
"""Penalty and by-step part where the past is too short to choose."""
LARGEST_ERROR = 10.0
"""A scaled error beyond this pulls no harder."""
PAST_USED, FEWEST_ORIGINS, MOST_ORIGINS = 0.6, 8, 64
"""Share of the past over which backtest origins are spread, and how many there are."""


@dataclass(frozen=True)
class ExogenousMap:
    """What exogenous series add to a forecast.

    Parameters
    ----------
    coefficients
        By step ahead, shape ``(H, K + L)``, for the inputs common to all steps and those of each; empty if refused.
    spread_ratio
        Mean absolute error with them over that without, on rows that did not fit them; at most 1.
    reason
        ``ADMITTED``, ``EXOGENOUS_NO_GAIN`` or ``TOO_FEW_ROWS``.
    """

    coefficients: Floats
    spread_ratio: float
    reason: str

    @staticmethod
    def refused(horizon: int, reason: str) -> "ExogenousMap":
        """Return a map that adds nothing."""
        return ExogenousMap(np.empty((horizon, 0)), 1.0, reason)

    @property
    def admitted(self) -> bool:
        """Whether it adds anything."""
        return self.reason == ADMITTED

    def shift(self, inputs: Inputs) -> Floats:
        """Return what to add to centers, in seasonal differences, shape ``(P, H)``; the inputs are complete."""
        return _said(self.coefficients, inputs)


def origins_ago(counts: Ints, horizon: int, season: int, rows: int) -> Ints:
    """Return how many steps ago backtest origins lie, falling, each at least a horizon.

    Parameters
    ----------
    counts
        Observations of each series, shape ``(S,)``.
    rows
        Backtest rows wanted of all series.

    Examples
    --------
    >>> origins_ago(np.array([100]), 6, 12, 9).tolist()
    [54, 48, 42, 36, 30, 24, 18, 12, 6]
    """
    room = int(PAST_USED * float(np.median(counts))) - horizon if len(counts) else -1
    if room < 0:
        return np.empty(0, np.int64)
    wanted = int(np.clip(rows // len(counts), FEWEST_ORIGINS, MOST_ORIGINS))
    gap = max(1, horizon // 3, room // wanted)
    if season > 1 and gap > 1 and gap % season == 0:  # all origins would see the same season
        gap -= 1
    return horizon + gap * np.arange(min(wanted, room // gap + 1) - 1, -1, -1, dtype=np.int64)


def fit_exogenous(inputs: Inputs, target: Floats, usable: Bools, series: Ints, ago: Ints) -> ExogenousMap:
    """Fit a map on older rows, choose its penalty there, and keep it, refitted on all, if it gains on the newest.

    Parameters
    ----------
    inputs
        At N origins; incomplete ones are left out.
    target
        The pool's errors in seasonal differences, shape ``(N, H)``.
    usable
        Rows that have such a scale, shape ``(N,)``.
    series, ago
        Which series a row belongs to and how many steps ago its origin was, shape ``(N,)``.
    """
    horizon = target.shape[1]
    kept = usable & inputs.complete & np.isfinite(target).all(axis=1)
    inputs, target, series, ago = inputs.take(kept), target[kept], series[kept], ago[kept]
    judged = newest_rows(ago)
    older = _before(ago, judged, horizon)
    if not older.any() or not enough(series[judged], ago[judged]):
        return ExogenousMap.refused(horizon, TOO_FEW_ROWS)
    choice = _choose(inputs.take(older), target[older], ago[older])
    made = _said(_Squares.of(inputs.take(older), target[older]).solve(*choice), inputs.take(judged))
    one = np.ones(int(judged.sum()))
    alone, helped = scaled_losses(target[judged], one), scaled_losses(target[judged] - made, one)
    if not gain_of(alone, helped, series[judged], ago[judged]) > 0:
        return ExogenousMap.refused(horizon, NO_GAIN)
    ratio = min(1.0, float(helped.mean() / alone.mean()))
    return ExogenousMap(_Squares.of(inputs, target).solve(*choice), ratio, ADMITTED)


def _before(ago: Ints, newer: Bools, horizon: int) -> Bools:
    """Return the rows whose truths were known when the first of the newer rows was said."""
    return np.asarray(ago >= int(ago[newer].max(initial=0)) + horizon)


def _choose(inputs: Inputs, target: Floats, ago: Ints) -> tuple[float, bool]:
    """Return the penalty, and whether steps ahead differ, that do best on the newer of some rows."""
    newer = newest_rows(ago)
    older = _before(ago, newer, target.shape[1])
    if not older.any():
        return UNTRIED
    squares, tested = _Squares.of(inputs.take(older), target[older]), inputs.take(newer)
    one = np.ones(int(newer.sum()))

    def loss(choice: tuple[float, bool]) -> float:
        return float(scaled_losses(target[newer] - _said(squares.solve(*choice), tested), one).mean())

    return min(((strength, by_step) for strength in STRENGTHS for by_step in (False, True)), key=loss)


@dataclass(frozen=True)
class _Squares:
    """Sums of squares of the inputs, shape ``(H, K, K)``, and their products with the target, shape ``(H, K)``."""

    inputs: Floats
    target: Floats

    @staticmethod
    def of(inputs: Inputs, target: Floats) -> "_Squares":
        horizon, count = target.shape[1], inputs.common.shape[1] + inputs.ahead.shape[2]
        squares, products = np.empty((horizon, count, count)), np.empty((horizon, count))
        bounded = np.clip(target, -LARGEST_ERROR, LARGEST_ERROR)
        for h in range(horizon):
            x = np.concatenate([inputs.common, inputs.ahead[:, h]], axis=1)
            squares[h], products[h] = x.T @ x, x.T @ bounded[:, h]
        return _Squares(squares, products)

    def solve(self, strength: float, by_step: bool) -> Floats:
        """Return the coefficients of each step, shape ``(H, K)``."""
        shared = _ridge(self.inputs.sum(axis=0), self.target.sum(axis=0), strength)
        if not by_step:
            return np.tile(shared, (len(self.target), 1))
        left = self.target - self.inputs @ shared
        own = [_ridge(square, product, strength) for square, product in zip(self.inputs, left, strict=True)]
        return np.asarray(shared + np.array(own))


def _ridge(square: Floats, product: Floats, strength: float) -> Floats:
    size = float(np.trace(square)) / max(len(square), 1)
    return np.asarray(np.linalg.solve(square + (strength * size or 1.0) * np.eye(len(square)), product))


def _said(coefficients: Floats, inputs: Inputs) -> Floats:
    count = inputs.common.shape[1]
    common = np.einsum("pk,hk->ph", inputs.common, coefficients[:, :count])
    return np.asarray(common + np.einsum("phk,hk->ph", inputs.ahead, coefficients[:, count:]))
