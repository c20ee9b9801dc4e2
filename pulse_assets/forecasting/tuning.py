"""Tunes the gate on the backtests of one panel, and only as far as later origins of that panel agree.

Gradient steps from the pre-trained gate with a penalty for leaving it. Older origins tune, the newest judge: the
pre-trained gate stays unless tuning lowers the loss there.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.forecasting.gate import INPUTS, weigh

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

STEPS, RATE = 40, 0.04
PENALTIES = (3e-3, 3e-4)
LARGEST_LOSS = 20.0
"""A scaled error beyond this many mean errors of the naive forecast pulls no harder."""
NEWEST = 0.35
"""Share of the rows, the newest, that judge the tuning done on the others."""
LEAST_ROWS, MOST_ROWS = 120, 1_000
LEAST_GAIN = 0.002
"""Share of the loss that tuning must save on the newest rows, and more than its standard error there."""


@dataclass(frozen=True)
class Rows:
    """Backtest rows of one panel, in order of time: N rows, H steps, M members.

    Parameters
    ----------
    made, truth
        Forecasts, shape ``(N, K, M)``, and what came, shape ``(N, K)``, at K of the steps ahead.
    far
        How far each of them is on the way from the nearest step (0) to the farthest (1), shape ``(K,)``.
    usable, closeness, features
        See :func:`~pulse_assets.forecasting.gate.look`.
    scale
        Weight of an absolute error, shape ``(N,)``: one over the seasonal difference of the series, so scaled that the
        naive forecast of the panel has mean 1.
    relative
        Weight of a symmetric relative error, which then counts for half as in the OWA; 0 where it makes no sense.
    """

    made: Floats
    truth: Floats
    far: Floats
    usable: Bools
    closeness: Floats
    features: Floats
    scale: Floats
    relative: float

    def some(self, chosen: Bools) -> "Rows":
        """Return the rows chosen by a mask, thinned to the most that tuning looks at."""
        rows = np.flatnonzero(chosen)
        return self.part(rows[:: max(1, -(-len(rows) // MOST_ROWS))])

    def part(self, cut: slice | npt.NDArray[np.int64]) -> "Rows":
        """Return some of the rows."""
        return Rows(
            self.made[cut],
            self.truth[cut],
            self.far,
            self.usable[cut],
            self.closeness[cut],
            self.features[cut],
            self.scale[cut],
            self.relative,
        )


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def loss_and_slope(  # noqa: C901 - one compiled loop over rows, steps and members
    gate: Floats,
    made: Floats,
    truth: Floats,
    steps: Floats,
    usable: Bools,
    closeness: Floats,
    features: Floats,
    scale: Floats,
    relative: float,
    slope: Floats,
) -> float:
    """Return the mean loss of the rows and fill its derivative by the gate.

    The loss of a step is the scaled absolute error, or the mean of that and of the symmetric relative error.
    """
    rows, horizon, members = made.shape
    weights, pull = np.zeros((2, members)), np.zeros((2, members))
    slope[:] = 0.0
    total = 0.0
    for n in range(rows):
        weigh(gate, usable[n], closeness[n], features[n], weights)
        pull[:] = 0.0
        lean = np.zeros(2)
        for h in range(horizon):
            far = steps[h]
            near_mean, far_mean = 0.0, 0.0
            for member in range(members):
                if usable[n, member]:
                    near_mean += weights[0, member] * made[n, h, member]
                    far_mean += weights[1, member] * made[n, h, member]
            mean = (1.0 - far) * near_mean + far * far_mean
            error = truth[n, h] - mean
            force, size = scale[n], abs(error) * scale[n]
            if relative > 0.0:
                both = abs(truth[n, h]) + abs(mean)
                other = 2.0 / both if both > 0.0 else 0.0
                total += 0.5 * min(size, LARGEST_LOSS) + 0.5 * abs(error) * other * relative
                force = -np.sign(error) * ((0.5 * force if size < LARGEST_LOSS else 0.0) + 0.5 * other * relative)
                force -= 0.25 * abs(error) * other * other * relative * np.sign(mean)
            else:
                total += min(size, LARGEST_LOSS)
                force = -np.sign(error) * force if size < LARGEST_LOSS else 0.0
            lean[0] += force * (1.0 - far) * near_mean
            lean[1] += force * far * far_mean
            for member in range(members):
                if usable[n, member]:
                    pull[0, member] += force * (1.0 - far) * made[n, h, member]
                    pull[1, member] += force * far * made[n, h, member]
        for end in range(2):
            for member in range(members):
                if usable[n, member]:
                    push = weights[end, member] * (pull[end, member] - lean[end])
                    for i in range(INPUTS):
                        slope[end, member, i] += push * features[n, i]
                    slope[end, member, INPUTS] += push * closeness[n, member]
    slope /= rows * horizon
    return float(total / (rows * horizon))


def row_losses(gate: Floats, rows: Rows) -> Floats:
    """Return the loss of each row, shape ``(N,)``; what :func:`loss_and_slope` averages."""
    weights = np.zeros((len(rows.truth), 2, rows.made.shape[2]))
    for row in range(len(weights)):
        weigh(gate, rows.usable[row], rows.closeness[row], rows.features[row], weights[row])
    near, far = (np.einsum("nkm,nm->nk", rows.made, weights[:, end]) for end in range(2))
    center = near + rows.far * (far - near)
    error = np.abs(rows.truth - center)
    size = np.minimum(error * rows.scale[:, None], LARGEST_LOSS)
    if rows.relative > 0:
        both = np.abs(rows.truth) + np.abs(center)
        share = 2 * error / np.where(both > 0, both, 1.0)
        size = 0.5 * size + 0.5 * share * rows.relative
    return np.asarray(size.mean(axis=1))


def mean_loss(gate: Floats, rows: Rows) -> float:
    """Return the mean loss of a gate over rows."""
    return float(row_losses(gate, rows).mean())


def _evaluate(gate: Floats, rows: Rows) -> tuple[float, Floats]:
    slope = np.empty_like(gate)
    arrays = (rows.made, rows.truth, rows.far, rows.usable, rows.closeness, rows.features, rows.scale)
    return float(loss_and_slope(gate, *arrays, rows.relative, slope)), slope


def descend(gate: Floats, panels: list[Rows], penalty: float, steps: int = STEPS, rate: float = RATE) -> Floats:
    """Return the gate after some steps of Adam on the mean loss of panels, each counting alike.

    Parameters
    ----------
    gate
        Where to start, and what the penalty (squared distance times ``penalty``) holds on to.

    References
    ----------
    Kingma and Ba (2015), Adam: a method for stochastic optimization.
    """
    if not all(len(rows.truth) for rows in panels):
        raise ValueError("a panel without rows teaches nothing; leave it out")
    now, first, second = gate.copy(), np.zeros_like(gate), np.zeros_like(gate)
    for step in range(1, steps + 1):
        slope = 2.0 * penalty * (now - gate)
        for rows in panels:
            slope += _evaluate(now, rows)[1] / len(panels)
        first = 0.9 * first + 0.1 * slope
        second = 0.99 * second + 0.01 * slope * slope
        now = now - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-5)
    return now


def tune(gate: Floats, rows: Rows) -> tuple[Floats, float]:
    """Return the gate for a panel and the penalty that was chosen; infinity when the pre-trained gate stays."""
    count = len(rows.truth)
    if count < LEAST_ROWS:
        return gate, np.inf
    rows = rows.part(slice(None, None, -(-count // MOST_ROWS)))
    count = len(rows.truth)
    cut = int(count * (1 - NEWEST))
    older, newest = rows.part(slice(cut)), rows.part(slice(cut, None))
    untuned, best, chosen = row_losses(gate, newest), 0.0, np.inf
    for penalty in PENALTIES:
        saved = untuned - row_losses(descend(gate, [older], penalty), newest)
        gain, noise = float(saved.mean()), float(saved.std()) / np.sqrt(len(saved))
        if gain > max(best, LEAST_GAIN * float(untuned.mean()), noise):
            best, chosen = gain, penalty
    return (gate, chosen) if chosen == np.inf else (descend(gate, [rows], chosen), chosen)
