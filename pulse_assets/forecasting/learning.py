"""What a panel teaches: backtests over a sample of its past become a gate, a map on lags, a spread and a shape.

Learned at a *refit* from what was known then, and frozen until the next. Nothing here speaks of the future; see
:mod:`.speaking`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.backtests import plan_of
from pulse_assets.forecasting.calibrate import fit_spread, shape_of, spread_of
from pulse_assets.forecasting.engine import MapBlocks
from pulse_assets.forecasting.lags import LagMap, fit_lags, lags_of
from pulse_assets.forecasting.pool import (
    NEWEST,
    Batch,
    Spoken,
    anchors_at,
    blended,
    blocks_of,
    expected_spreads,
    hear_lags,
    joined,
    listen,
    looked,
    spread_parts,
)
from pulse_assets.forecasting.prior import Prior
from pulse_assets.forecasting.tuning import Rows, descend, tune
from pulse_assets.forecasting.volatility import Volatility, fit_volatility
from pulse_assets.forecasting.walk_state import NAIVE, Spec, anchors_of
from pulse_assets.numerics.threads import one_thread

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LAG_SERIES = 4_000
PULL_BELIEF = {True: (1.0, 400.0), False: (0.3, 6_000.0)}
"""Share of the distance from the anchor that is believed to be earned, and how many backtest rows the belief is worth:
for panels where relative errors make sense, and for markets, whose rows share few shocks and many trends."""
FEWEST_IN_FOLD = 0.25
LEAST_PULL_GAIN = 0.003
"""Share of the absolute error that a pull must save, or the belief stays."""
LARGEST_PULL_ERROR = 10.0
SMALLEST_SCALE, LARGEST_NAIVE, LARGEST_STANDARDISED = 1e-150, 1e3, 50.0
"""Series that move less do not tune; an error of the naive forecast beyond so many seasonal differences counts as this,
so that one series that jumps after standing nearly still does not mute all others. For the same reason an error beyond
so many spreads counts as this in the shape."""
ROWS_A_SHOCK = 4.0
"""Backtest errors that are worth one independent error."""


@dataclass(frozen=True)
class PanelModel:
    """What a panel taught by one refit; frozen until the next.

    Parameters
    ----------
    gate
        Shape ``(2, POOL, INPUTS + 1)``.
    slopes
        Of the spread, shape ``(WIDTH,)``.
    shape
        Quantiles of standardised errors, shape ``(H, 23)``.
    lag_map
        The map on lags, or None.
    pull
        Share of the members' distance from the anchor that is kept.
    volatility
        Conditional volatility of each series of the batch, or None.
    penalty, rows
        How freely the gate was tuned (infinity: not at all), and on how many backtest rows.
    """

    gate: Floats
    slopes: Floats
    shape: Floats
    lag_map: LagMap | None
    pull: float
    volatility: Volatility | None
    penalty: float
    rows: int


@dataclass(frozen=True)
class _Walking:
    batch: Batch
    starts: Ints
    origins: Ints


def _listen(work: _Walking) -> Spoken:
    return listen(work.batch, work.starts, work.origins)


def fit_models(batch: Batch, counts: Ints, priors: Sequence[Prior], map_blocks: MapBlocks) -> list[PanelModel]:
    """Learn what a panel has to teach by each of R refits.

    Parameters
    ----------
    batch
        Series in any order.
    counts
        Observations known at each refit, shape ``(S, R)``; 0 where a series was unknown or is told otherwise later.
    priors
        What other panels had taught by each refit, R of them.
    map_blocks
        Where the walks run.
    """
    with one_thread():
        taught = zip(learn(batch, counts, map_blocks), priors, strict=True)
        return [_taught(lessons, prior, batch) for lessons, prior in taught]


def _taught(lessons: "Lessons", prior: Prior, batch: Batch) -> PanelModel:
    gate, penalty = tune(prior.gate, lessons.rows)
    center, apart = unseen(gate, prior.gate, penalty, lessons)
    anchor = anchors_at(lessons.spoken, batch.anchor)
    pull = fit_pull(center - anchor, lessons.truth - anchor, lessons.rows.scale, *PULL_BELIEF[batch.relative])
    center = anchor + pull * (center - anchor)
    standardised, slopes = standardise(center, apart, prior.slopes, lessons, batch.sizes)
    shape = shape_of(standardised, prior.quantiles, len(standardised) / ROWS_A_SHOCK)
    return PanelModel(gate, slopes, shape, lessons.lag_map, pull, lessons.volatility, penalty, len(standardised))


def unseen(gate: Floats, prior: Floats, penalty: float, lessons: "Lessons") -> tuple[Floats, Floats]:
    """Return center and distance of the members at each backtest row, by a gate that was not tuned on its series.

    Errors of rows that tuned the gate would be too small, and the intervals made from them too narrow.
    """
    center, apart, _ = blended(gate, lessons.spoken)
    if penalty == np.inf:
        return center, apart
    folds = folds_of(lessons.fold)
    for fold in range(2):
        others = descend(prior, [lessons.rows.some(folds != fold)], penalty)
        mine = np.flatnonzero(folds == fold)
        center[mine], apart[mine], _ = blended(others, lessons.spoken.take(mine))
    return center, apart


def folds_of(by_series: Ints) -> Ints:
    """Return the fold of each backtest row: by series, or older and newer ones where one fold has few series.

    Examples
    --------
    >>> folds_of(np.array([1, 1, 1, 1])).tolist()
    [0, 0, 1, 1]
    """
    if FEWEST_IN_FOLD <= float(np.mean(by_series)) <= 1 - FEWEST_IN_FOLD:
        return by_series
    return np.asarray(np.arange(len(by_series)) >= len(by_series) // 2, np.int64)


def fit_pull(away: Floats, moved: Floats, scale: Floats, belief: float, worth: float) -> float:
    """Return the share of the members' distance from the anchor that least squares keep, between 0 and 1.

    Parameters
    ----------
    away, moved
        Distance of the members and of the truth from the anchor, shape ``(N, H)``.
    scale
        Weight of an error of each row, shape ``(N,)``.
    belief, worth
        Share that is believed before any row is seen, and how many rows that is worth.

    References
    ----------
    James and Stein (1961), Estimation with quadratic loss.
    """
    if not len(away):
        return belief
    x, y = away * scale[:, None], moved * scale[:, None]
    y = np.clip(y, -LARGEST_PULL_ERROR, LARGEST_PULL_ERROR)
    x = np.clip(x, -LARGEST_PULL_ERROR, LARGEST_PULL_ERROR)
    square = float((x * x).mean())
    if not square > 0.0:
        return belief
    own = len(away) / (len(away) + worth)
    pull = float(np.clip(own * float((x * y).mean()) / square + (1 - own) * belief, 0.0, 1.0))
    saved = 1 - np.abs(y - pull * x).mean() / max(float(np.abs(y - belief * x).mean()), 1e-300)
    return pull if saved >= LEAST_PULL_GAIN else belief


def learn(batch: Batch, counts: Ints, map_blocks: MapBlocks) -> "Iterator[Lessons]":
    """Yield the backtests of each refit; one walk serves all."""
    plan = plan_of(batch, counts)
    own, place = np.unique(plan.series, return_inverse=True)
    sample = batch.select(own)
    starts = np.searchsorted(place, np.arange(len(own) + 1))
    works = (
        _Walking(
            sample.select(np.arange(low, high)),
            starts[low : high + 1] - starts[low],
            plan.origins[starts[low] : starts[high]],
        )
        for low, high in blocks_of(len(own), starts, batch.sizes.horizon)
    )
    heard = list(map_blocks(_listen, works))
    everything = joined(heard) if heard else Spoken.empty(0, batch.sizes)
    for refit, rows in enumerate(plan.rows):
        spoken = everything.take(rows)
        yield _learn(batch, counts[:, refit], sample, place[rows], plan.origins[rows], own, spoken)


@dataclass(frozen=True)
class Lessons:
    """The backtests of one refit, older origins first: what was said, what came, and both as rows that tune a gate."""

    spoken: Spoken
    truth: Floats
    rows: Rows
    fold: Ints
    lag_map: LagMap | None
    volatility: Volatility | None
    expected: Floats  # standard deviations from the volatility, shape (N, H); or empty


def _learn(batch: Batch, counts: Ints, sample: Batch, place: Ints, origins: Ints, own: Ints, spoken: Spoken) -> Lessons:
    """Complete the rows of one refit; they come older origins first, while the map goes series by series."""
    lag_map, volatility = _fit_lag_map(batch, counts), None
    order = np.lexsort((origins, place))
    back = np.argsort(order, kind="stable")
    grouped = spoken.take(order)
    starts = np.searchsorted(place[order], np.arange(len(own) + 1))
    hear_lags(sample, starts, origins[order], counts[own], lag_map, grouped)
    spoken, expected = grouped.take(back), np.empty((0, 0))
    if not batch.relative:
        volatility = fit_volatility(batch.values, batch.offsets, counts, differenced=batch.anchor == NEWEST)
        expected = expected_spreads(volatility.take(own), sample, starts, origins[order])[back]
    truth = sample.values[(sample.offsets[:-1][place] + origins)[:, None] + np.arange(batch.sizes.horizon)]
    rows = _rows_of(spoken, truth, batch.relative)
    return Lessons(spoken, truth, rows, sample.code[place] & 1, lag_map, volatility, expected)


def standardise(center: Floats, apart: Floats, prior: Floats, lessons: Lessons, sizes: Spec) -> tuple[Floats, Floats]:
    """Return errors divided by their spread, shape ``(N, H)``, NaN where it is 0, and the slopes of the spread."""
    base, inputs = spread_parts(lessons.spoken, apart, lessons.expected, sizes)
    error = lessons.truth - center
    slopes = fit_spread(error, base, inputs, prior)
    sigma = np.empty_like(center)
    spread_of(base, inputs, slopes, sigma)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        standardised = np.clip(error / sigma, -LARGEST_STANDARDISED, LARGEST_STANDARDISED)
        return np.where(sigma > 0, standardised, np.nan), slopes


def _fit_lag_map(batch: Batch, counts: Ints) -> LagMap | None:
    known = np.flatnonzero(counts > 0)
    chosen = known[np.argsort(batch.code[known], kind="stable")[:LAG_SERIES]]
    season = max(batch.sizes.season, 1)
    lags = lags_of(batch.sizes.season, batch.sizes.season_2)
    arrays = (batch.values, batch.offsets[chosen], batch.may_log[chosen], batch.code[chosen] & 1, counts[chosen])
    return fit_lags(*arrays, season, lags, batch.sizes.horizon)


def _rows_of(spoken: Spoken, truth: Floats, relative: bool) -> Rows:
    """Turn what was said and came into the rows that tune a gate; a few steps ahead stand for all."""
    horizon = truth.shape[1]
    steps = anchors_of(horizon)
    naive_made = spoken.made[:, :, NAIVE]
    usable, closeness, features = looked(spoken)
    scale = spoken.statistics[:, 3]
    fine = np.isfinite(scale) & (scale > SMALLEST_SCALE)
    weight = np.where(fine, 1 / np.where(fine, scale, 1.0), 0.0)
    naive = np.abs(truth - naive_made)
    scaled = np.minimum(naive * weight[:, None], LARGEST_NAIVE)[fine]
    mean = float(scaled.mean()) if fine.any() else 1.0
    both = np.abs(truth) + np.abs(naive_made)
    share = float((2 * naive / np.where(both > 0, both, 1.0)).mean()) if relative and len(truth) else 0.0
    made = np.nan_to_num(spoken.made[:, steps], nan=0.0)
    scale, relative_weight = weight / max(mean, 1e-12), 1 / share if share > 0 else 0.0
    far = steps / max(horizon - 1, 1)
    return Rows(made, truth[:, steps], far, usable, closeness, features, scale, relative_weight)
