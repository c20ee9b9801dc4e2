"""A global ridge on lags: one linear map from the newest values to all steps ahead, shared by the series of a panel.

Inputs and outputs are differences from the newest value, on the logarithm where a series is positive, divided by the
mean absolute seasonal difference known by then; so one map serves series of any unit. Every series gets its past
judged by a map that never saw it (two folds by the hash of its id), and its forecast from the map of all.

References
----------
Zeng, Chen, Zhang and Xu (2023), Are transformers effective for time series forecasting? (NLinear). Montero-Manso and
Hyndman (2021), Principles and algorithms for forecasting groups of time series. Corsi (2009), A simple approximate
long-memory model of realized volatility (the lags of a volatility).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FOLDS, ALL = 2, 2
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Penalties tried, relative to the mean variance of the inputs."""
LARGEST = 40.0
"""Inputs and outputs are cut off at this many seasonal differences."""
WINDOWS, WINDOWS_A_SERIES, NUMBERS = 16_000, 40, 3_000_000
"""Training windows at most, of one series at most, and numbers in them at most: more cost more than they add."""
JUDGING = 1_500
"""Windows that judge the penalties, at most."""
LEAST_WINDOWS = 60
LAGS = {(1, 0): 8, (4, 0): 13, (5, 0): 22, (7, 0): 22, (12, 0): 37, (52, 0): 105, (24, 168): 504}


def lags_of(season: int, season_2: int) -> int:
    """Return how many lags are used for seasons: three of the longest and one more where that is not too many."""
    return LAGS.get((season, season_2), min(3 * max(season, season_2) + 1, 504))


@dataclass(frozen=True)
class LagMap:
    """Coefficients of the maps of both folds and of all series.

    Parameters
    ----------
    coefficients
        Shape ``(3, L, H)``: lags 2 … L (oldest first) and a constant.
    strength
        Penalty that was chosen.
    windows
        Windows it was fitted on.
    """

    coefficients: Floats
    strength: float
    windows: int


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def prefixes(y: Floats, season: int, may_log: bool, before: Floats, z: Floats, pace: Floats) -> int:
    """Fill what the map sees of one series and its running sum of seasonal differences.

    Returns how many of the first values allow logarithms. ``z`` and ``pace`` have rows for values and logarithms;
    ``before``, shape ``(2,)``, is what their sums were when y began, its first ``season`` values counted already.
    """
    positive = 0
    if may_log:
        while positive < len(y) and y[positive] > 0.0:
            z[1, positive] = np.log(y[positive])
            positive += 1
    for t in range(len(y)):
        z[0, t] = y[t]
    for c in range(2):
        total = before[c]
        for t in range(len(y) if c == 0 else positive):
            if t >= season:
                total += abs(z[c, t] - z[c, t - season])
            pace[c, t] = total
    return positive


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fill_inputs(z: Floats, pace: Floats, n: int, gone: int, lags: int, season: int, x: Floats) -> float:
    """Fill the inputs at an origin of n observations, of which ``gone`` are not at hand; return the scale or 0."""
    if n < lags + 1 or n <= season:
        return 0.0
    scale = pace[n - gone - 1] / (n - season)
    n -= gone
    if not scale > 0.0:
        return 0.0
    for i in range(lags - 1):
        x[i] = min(max((z[n - lags + i] - z[n - 1]) / scale, -LARGEST), LARGEST)
    x[lags - 1] = 1.0
    return float(scale)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _windows(
    values: Floats,
    offsets: Ints,
    may_log: Bools,
    counts: Ints,
    season: int,
    lags: int,
    horizon: int,
    most: int,
    inputs: Floats,
    outputs: Floats,
    owner: Ints,
) -> int:
    """Fill training windows that end by ``counts``, spread evenly over each series; return how many."""
    made = 0
    longest = 0
    for s in range(len(counts)):
        longest = max(longest, counts[s])
    z, pace, x = np.empty((2, longest)), np.empty((2, longest)), np.empty(lags)
    for s in range(len(counts)):
        n = counts[s]
        room = n - lags - horizon
        if room <= 0:
            continue
        y = values[offsets[s] : offsets[s] + n]
        c = 1 if prefixes(y, season, may_log[s], np.zeros(2), z, pace) == n else 0
        pieces = min(most, room)
        before = -1
        for i in range(pieces):
            end = n - horizon - (room - 1) * i // max(pieces - 1, 1)
            scale = fill_inputs(z[c], pace[c], end, 0, lags, season, x)
            if end == before or not scale > 0.0:
                continue
            before = end
            inputs[made] = x
            for h in range(horizon):
                outputs[made, h] = min(max((z[c, end + h] - z[c, end - 1]) / scale, -LARGEST), LARGEST)
            owner[made] = s
            made += 1
    return made


def fit_lags(
    values: Floats, offsets: Ints, may_log: Bools, fold: Ints, counts: Ints, season: int, lags: int, horizon: int
) -> LagMap | None:
    """Fit the maps on what S series had told by their first ``counts`` observations.

    Parameters
    ----------
    values, offsets, may_log
        As for :func:`~pulse_assets.forecasting.walk.walk`.
    fold
        0 or 1, shape ``(S,)``.
    counts
        Observations known, shape ``(S,)``.
    season
        Steps of the seasonal difference that scales, at least 1.

    Returns
    -------
    LagMap or None
        None when there are too few windows for that many lags.
    """
    most = int(np.clip(min(WINDOWS, NUMBERS // lags) // max(len(counts), 1), 2, WINDOWS_A_SERIES))
    space = int(np.clip(counts - lags - horizon, 0, most).sum())
    if space < max(LEAST_WINDOWS, 2 * lags):
        return None
    inputs, outputs, owner = np.empty((space, lags)), np.empty((space, horizon)), np.empty(space, np.int64)
    made = _windows(values, offsets, may_log, counts, season, lags, horizon, most, inputs, outputs, owner)
    inputs, outputs, own = inputs[:made], outputs[:made], fold[owner[:made]]
    if made < max(LEAST_WINDOWS, 2 * lags) or not (0 < own.sum() < made):
        return None
    moments = [(inputs[own == f].T @ inputs[own == f], inputs[own == f].T @ outputs[own == f]) for f in range(FOLDS)]
    solved = [_Solver(*moments[1 - f]) for f in range(FOLDS)]
    thin = np.arange(0, made, max(1, made // JUDGING))
    judges = [thin[own[thin] == f] for f in range(FOLDS)]
    losses = []
    for strength in STRENGTHS:
        errors = [np.abs(inputs[rows] @ solved[f].at(strength) - outputs[rows]).sum() for f, rows in enumerate(judges)]
        losses.append(float(np.sum(errors)))
    strength = STRENGTHS[int(np.argmin(losses))]
    whole = _Solver(moments[0][0] + moments[1][0], moments[0][1] + moments[1][1])
    return LagMap(np.stack([solved[0].at(strength), solved[1].at(strength), whole.at(strength)]), strength, made)


class _Solver:
    """Ridge for several penalties from one eigendecomposition."""

    def __init__(self, square: Floats, cross: Floats) -> None:
        self.values, self.vectors = np.linalg.eigh(square)
        self.turned = self.vectors.T @ cross
        self.mean = float(np.trace(square)) / len(square)

    def at(self, strength: float) -> Floats:
        """Return the coefficients for a penalty relative to the mean eigenvalue."""
        return np.asarray(self.vectors @ (self.turned / (self.values + strength * self.mean)[:, None]))
