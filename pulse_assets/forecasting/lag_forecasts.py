"""Forecasts and losses of the map on lags at any origin, from whole histories or from tails that move on. Pure."""

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.forecasting.lags import ALL, FOLDS, fill_inputs, prefixes
from pulse_assets.forecasting.walk_state import FORGET

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


JUDGED = 8
"""Newest past origins that tell the loss of the map on a series."""


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _say(newest: float, scale: float, x: Floats, coefficients: Floats, is_log: bool, out: Floats) -> None:
    """Fill the map's forecasts; the steps ahead are the inner loop, which can be vectorised."""
    out[:] = 0.0
    for i in range(len(x)):
        for h in range(len(out)):
            out[h] += x[i] * coefficients[i, h]
    for h in range(len(out)):
        out[h] = newest + scale * out[h]
        if is_log:
            out[h] = np.exp(min(out[h], 300.0))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _loss_at(
    n: int,
    gone: int,
    c: int,
    stride: int,
    season: int,
    y: Floats,
    z: Floats,
    pace: Floats,
    coefficients: Floats,
    anchors: Ints,
    x: Floats,
    told: Floats,
    held: Ints,
    past: Floats,
) -> float:
    """Return the discounted mean absolute error of the map's newest past forecasts; NaN where there are none.

    ``held`` and ``past`` keep forecasts from one origin to the next: neighbours share most of theirs.
    """
    total, weights, weight = 0.0, 0.0, 1.0
    end = (n - 1) // stride * stride
    for _ in range(JUDGED):
        place = end // stride % JUDGED
        if held[place] != 2 * end + c:
            back = fill_inputs(z[c], pace[c], end, gone, len(x), season, x)
            if not back > 0.0:
                break
            _say(z[c, end - gone - 1], back, x, coefficients, c == 1, told)
            held[place], past[place] = 2 * end + c, told
        for i in range(len(anchors)):
            if end + anchors[i] < n:
                total += weight * abs(past[place, i] - y[end + anchors[i] - gone])
                weights += weight
                weight *= FORGET
        end -= stride
    return total / weights if weights > 0.0 else np.nan


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def apply_lags(
    values: Floats,
    offsets: Ints,
    may_log: Bools,
    fold: Ints,
    starts: Ints,
    origins: Ints,
    judged_until: Ints,
    gone: Ints,
    before: Floats,
    coefficients: Floats,
    season: int,
    stride: int,
    anchors: Ints,
    member: int,
    made: Floats,
    loss: Floats,
) -> None:
    """Fill the forecasts and losses of the map at each origin.

    Parameters
    ----------
    values, offsets, may_log, fold, starts, origins
        As above; ``origins[starts[s]:starts[s + 1]]`` are numbers of observations of series s.
    judged_until
        Origins of at most so many observations get the map of the other fold, shape ``(S,)``: they lie in the time
        that the maps were fitted on.
    gone, before
        How many first observations ``values`` leaves out, shape ``(S,)``, and the sums of seasonal differences when
        it begins, shape ``(S, 2)``; zeros for whole histories.
    coefficients
        Shape ``(3, L, H)``.
    stride, anchors
        Past origins that judge are multiples of ``stride``; steps ahead that count, from 0.
    member
        Column of ``made``, shape ``(P, H, M)``, and of ``loss``, shape ``(P, M)``, to fill; NaN where there is nothing
        to say.
    """
    lags, horizon, longest = coefficients.shape[1], coefficients.shape[2], 0
    for s in range(len(offsets) - 1):
        if starts[s + 1] > starts[s]:
            longest = max(longest, origins[starts[s + 1] - 1] - gone[s])
    z, pace, x = np.empty((2, longest)), np.empty((2, longest)), np.empty(lags)
    told, told_few, few = np.empty(horizon), np.empty(len(anchors)), np.empty((FOLDS, lags, len(anchors)))
    held, past = np.full(JUDGED, -1), np.empty((JUDGED, len(anchors)))
    for i in range(len(anchors)):
        few[:, :, i] = coefficients[:FOLDS, :, anchors[i]]
    for s in range(len(offsets) - 1):
        if starts[s + 1] == starts[s]:
            continue
        held[:] = -1
        away = gone[s]
        y = values[offsets[s] : offsets[s] + origins[starts[s + 1] - 1] - away]
        positive = away + prefixes(y, season, may_log[s], before[s], z, pace)
        for p in range(starts[s], starts[s + 1]):
            n = origins[p]
            c = 1 if may_log[s] and n <= positive else 0
            loss[p, member] = np.nan
            made[p, :, member] = np.nan
            scale = fill_inputs(z[c], pace[c], n, away, lags, season, x)
            if not scale > 0.0:
                continue
            newest = z[c, n - away - 1]
            _say(newest, scale, x, coefficients[fold[s] if n <= judged_until[s] else ALL], c == 1, told)
            for h in range(horizon):
                made[p, h, member] = told[h]
            loss[p, member] = _loss_at(
                n, away, c, stride, season, y, z, pace, few[fold[s]], anchors, x, told_few, held, past
            )


def tail_length(lags: int, season: int, stride: int) -> int:
    """Return how many of the newest observations :func:`apply_lags` needs at an origin."""
    return lags + 1 + season + (JUDGED + 1) * stride


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def move_tails(
    values: Floats,
    offsets: Ints,
    new: Floats,
    new_offsets: Ints,
    season: int,
    keep: int,
    may_log: Bools,
    gone: Ints,
    before: Floats,
    moved: Floats,
    moved_offsets: Ints,
) -> None:
    """Append new observations to the tails of series and let go of the oldest beyond ``keep``.

    ``gone``, ``before`` and ``may_log`` are brought up to date in place, so that :func:`apply_lags` says the same as
    with the whole history; ``moved`` and ``moved_offsets`` are filled.
    """
    row = 0
    for s in range(len(offsets) - 1):
        held, came = offsets[s + 1] - offsets[s], new_offsets[s + 1] - new_offsets[s]
        drop = max(0, held + came - keep)
        whole = np.empty(held + came)
        whole[:held] = values[offsets[s] : offsets[s + 1]]
        whole[held:] = new[new_offsets[s] : new_offsets[s + 1]]
        z, pace = np.empty((2, held + came)), np.empty((2, held + came))
        if drop > 0:
            positive = prefixes(whole, season, may_log[s], before[s], z, pace)
            may_log[s] = may_log[s] and positive == held + came
            at = drop + season - 1  # the last difference whose later value is among the first `season` kept
            before[s, 0] = pace[0, at]
            if may_log[s]:
                before[s, 1] = pace[1, at]
            gone[s] += drop
        moved_offsets[s] = row
        for t in range(drop, held + came):
            moved[row] = whole[t]
            row += 1
    moved_offsets[len(offsets) - 1] = row
