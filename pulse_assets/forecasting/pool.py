"""The pool over a panel: learns what its series share, then speaks for each of them at any origins.

Two passes of the same walk. The first visits origins spread over the past of a sample of series and learns, from what
was known at a *refit*, the map on lags, the gate, the spread and the shape of errors: a :class:`PanelModel`. The second
visits the origins asked for and applies it. Nothing here knows calendars, tables or kinds of series.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.calibrate import WIDTH, fit_spread, shape_of, spread_inputs, spread_of
from pulse_assets.forecasting.gate import INPUTS, blend, look
from pulse_assets.forecasting.lags import LagMap, apply_lags, fit_lags, lags_of
from pulse_assets.forecasting.prior import Prior
from pulse_assets.forecasting.tuning import Rows, descend, tune
from pulse_assets.forecasting.volatility import Volatility, fit_volatility
from pulse_assets.forecasting.walk import COUNT, NAIVE, STATISTICS, Spec, State, anchors_of, new_state, walk
from pulse_assets.numerics.threads import one_thread

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Block = TypeVar("Block")
Result = TypeVar("Result")

LAGS = COUNT + 1
"""Column of the map on lags, behind the walk's members and their reference."""
POOL = COUNT + 2
"""Columns of the pool."""
BACKTEST_ROWS = 6_000
FEWEST_ORIGINS, MOST_ORIGINS = 24, 64
PAST_USED = 0.6
"""Share of a series' past over which its backtest origins are spread: shocks are common to the series of a panel."""
LAG_SERIES = 4_000
NEWEST, ZERO = range(2)
PULL_ROWS = 400.0
"""Backtest rows that the belief about the members' distance from the anchor is worth."""
PULL_BELIEF = {True: 1.0, False: 0.3}
"""That belief, for panels where relative errors make sense and for markets."""
LARGEST_PULL_ERROR = 10.0
SERIES_A_BLOCK, ORIGINS_A_BLOCK = 64, 4_096
ROWS_A_SHOCK = 4.0
"""Backtest errors that are worth one independent error."""


class MapBlocks(Protocol):
    """Applies a function to blocks, wherever; results come in block order."""

    def __call__(self, function: Callable[[Block], Result], blocks: Iterable[Block]) -> Iterator[Result]:
        """Return the results lazily."""


@dataclass(frozen=True)
class Batch:
    """S series of one frequency and kind, on the scale on which they are forecast.

    Parameters
    ----------
    values, offsets
        Observations, shape ``(N,)``, finite; series s owns ``offsets[s]:offsets[s + 1]``, shape ``(S + 1,)``.
    may_log
        Whether logarithms may be taken where a series is positive, shape ``(S,)``.
    code
        A hash of each id, shape ``(S,)``: it decides folds and samples, so that they do not depend on the company.
    sizes
        Season, horizon and what follows from them.
    relative
        Whether relative errors make sense; where they do not, these are market series with a conditional volatility.
    anchor
        What a forecast is pulled to as far as its members have not earned their distance: ``NEWEST`` value or ``ZERO``.
    """

    values: Floats
    offsets: Ints
    may_log: Bools
    code: Ints
    sizes: Spec
    relative: bool
    anchor: int = 0

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.code)

    def select(self, series: Ints) -> "Batch":
        """Return some of the series, in the given order."""
        lengths, begins = np.diff(self.offsets)[series], self.offsets[:-1][series]
        ends = np.cumsum(lengths)
        rows = np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - (ends - lengths), lengths)
        offsets = np.concatenate(([0], ends)).astype(np.int64)
        return replace(
            self, values=self.values[rows], offsets=offsets, may_log=self.may_log[series], code=self.code[series]
        )


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
class Spoken:
    """What the walk and the map on lags say at P origins; see :func:`~pulse_assets.forecasting.walk.walk`."""

    made: Floats
    loss: Floats
    spread: Floats
    statistics: Floats

    @staticmethod
    def empty(origins: int, sizes: Spec) -> "Spoken":
        """Return room for some origins."""
        return Spoken(
            np.full((origins, sizes.horizon, POOL), np.nan),
            np.full((origins, POOL), np.nan),
            np.empty((origins, sizes.anchors)),
            np.empty((origins, len(STATISTICS))),
        )

    def take(self, rows: Ints) -> "Spoken":
        """Return a copy of some origins."""
        return Spoken(self.made[rows], self.loss[rows], self.spread[rows], self.statistics[rows])


def listen(batch: Batch, starts: Ints, origins: Ints, state: State | None = None) -> Spoken:
    """Walk over a batch and return what is said at each origin; the state is advanced in place."""
    spoken = Spoken.empty(len(origins), batch.sizes)
    walk(
        batch.values,
        batch.offsets,
        batch.may_log,
        starts,
        origins,
        state or new_state(len(batch), batch.sizes),
        batch.sizes,
        anchors_of(batch.sizes.horizon),
        spoken.made,
        spoken.loss,
        spoken.spread,
        spoken.statistics,
    )
    return spoken


def hear_lags(
    batch: Batch,
    starts: Ints,
    origins: Ints,
    fitted_on: Ints,
    lag_map: LagMap | None,
    spoken: Spoken,
    before: tuple[Ints, Floats] | None = None,
) -> None:
    """Add what the map on lags says; origins of at most ``fitted_on`` observations get the other fold's map."""
    if lag_map is None:
        return
    apply_lags(
        batch.values,
        batch.offsets,
        batch.may_log,
        batch.code & 1,
        starts,
        origins,
        fitted_on,
        *(before or (np.zeros(len(batch), np.int64), np.zeros((len(batch), 2)))),
        lag_map.coefficients,
        max(batch.sizes.season, 1),
        batch.sizes.stride,
        anchors_of(batch.sizes.horizon),
        LAGS,
        spoken.made,
        spoken.loss,
    )


def backtest_origins(count: int, sizes: Spec, wanted: int) -> Ints:
    """Return up to ``wanted`` past origins of a series of ``count`` observations, all of whose truths are known.

    Their distance is a power of two times a third of the horizon, so refits at different times share most of them.

    Examples
    --------
    >>> from pulse_assets.forecasting.walk import spec
    >>> backtest_origins(60, spec(12, 0, 18), 4).tolist()
    [18, 24, 30, 36, 42]
    """
    newest, base = count - sizes.horizon, max(1, sizes.horizon // 3)
    oldest = max(2 * sizes.season + 2 if sizes.season > 1 else 6, 6)
    if newest < oldest:
        oldest = min(oldest, max(6, newest))
    far = PAST_USED * count / max(wanted, 1) / base
    gap = base * 2 ** max(0, int(np.log2(far)) if far >= 1 else 0)
    first = max(-(-oldest // gap), newest // gap - wanted)
    return np.arange(first, newest // gap + 1, dtype=np.int64) * gap if newest >= 6 else np.empty(0, np.int64)


@dataclass(frozen=True)
class _Plan:
    """Which origins of which series each refit learns from: rows are the union over refits."""

    series: Ints  # (U,) row to series of the batch
    origins: Ints  # (U,)
    rows: list[Ints]  # by refit, into the union, older origins first


def _plan(batch: Batch, counts: Ints) -> _Plan:
    order = np.argsort(batch.code, kind="stable")
    chosen: list[tuple[Ints, Ints]] = []
    for refit in range(counts.shape[1]):
        known = int((counts[:, refit] > 0).sum())
        wanted = int(np.clip(BACKTEST_ROWS // max(known, 1), FEWEST_ORIGINS, MOST_ORIGINS)) if batch.relative else MOST_ORIGINS
        series, origins, total = [], [], 0
        for s in order:
            if total >= BACKTEST_ROWS:
                break
            some = backtest_origins(int(counts[s, refit]), batch.sizes, wanted)
            series.append(np.full(len(some), s))
            origins.append(some)
            total += len(some)
        chosen.append((np.concatenate([*series, []]).astype(np.int64), np.concatenate([*origins, []]).astype(np.int64)))
    longest = int(np.diff(batch.offsets).max(initial=0)) + 1
    keys = [series * longest + origins for series, origins in chosen]
    union = np.unique(np.concatenate([*keys, np.empty(0, np.int64)]))
    rows = []
    for refit, key in enumerate(keys):
        ago = counts[key // longest, refit] - key % longest
        rows.append(np.searchsorted(union, key[np.lexsort((key, -ago))]))
    return _Plan(union // longest, union % longest, rows)


def _blocks(series: int, starts: Ints) -> list[tuple[int, int]]:
    """Cut series into blocks of bounded size and number of origins."""
    cuts, low = [], 0
    while low < series:
        high = low + 1
        while high < min(series, low + SERIES_A_BLOCK) and starts[high + 1] - starts[low] <= ORIGINS_A_BLOCK:
            high += 1
        cuts.append((low, high))
        low = high
    return cuts


@dataclass(frozen=True)
class _Walking:
    batch: Batch
    starts: Ints
    origins: Ints


def _listen(work: _Walking) -> Spoken:
    return listen(work.batch, work.starts, work.origins)


def fit_models(batch: Batch, counts: Ints, prior: Prior, map_blocks: MapBlocks) -> list[PanelModel]:
    """Learn what a panel has to teach by each of R refits.

    Parameters
    ----------
    batch
        Series in any order.
    counts
        Observations known at each refit, shape ``(S, R)``; 0 where a series was unknown or is told otherwise later.
    prior
        What other panels taught.
    map_blocks
        Where the walks run.
    """
    with one_thread():
        return [_taught(lessons, prior, batch) for lessons in learn(batch, counts, map_blocks)]


def _taught(lessons: "Lessons", prior: Prior, batch: Batch) -> PanelModel:
    gate, penalty = tune(prior.gate, lessons.rows)
    center, apart = unseen(gate, prior.gate, penalty, lessons)
    anchor = anchors_at(lessons.spoken, batch.anchor)
    pull = fit_pull(center - anchor, lessons.truth - anchor, lessons.rows.scale, PULL_BELIEF[batch.relative])
    center = anchor + pull * (center - anchor)
    standardised, slopes = standardise(center, apart, prior.slopes, lessons, batch.sizes)
    shape = shape_of(standardised, prior.quantiles, len(standardised) / ROWS_A_SHOCK)
    return PanelModel(
        gate, slopes, shape, lessons.lag_map, pull, lessons.volatility, penalty, len(standardised)
    )


def unseen(gate: Floats, prior: Floats, penalty: float, lessons: "Lessons") -> tuple[Floats, Floats]:
    """Return center and distance of the members at each backtest row, by a gate that was not tuned on its series.

    Errors of rows that tuned the gate would be too small, and the intervals made from them too narrow.
    """
    center, apart, _ = blended(gate, lessons.spoken)
    if penalty == np.inf:
        return center, apart
    for fold in range(2):
        others = descend(prior, [lessons.rows.some(lessons.fold != fold)], penalty)
        mine = np.flatnonzero(lessons.fold == fold)
        center[mine], apart[mine], _ = blended(others, lessons.spoken.take(mine))
    return center, apart


def anchors_at(spoken: Spoken, anchor: int) -> Floats:
    """Return what forecasts are pulled to, shape ``(P, H)``."""
    return np.zeros(spoken.made.shape[:2]) if anchor == ZERO else spoken.made[:, :, NAIVE].copy()


def fit_pull(away: Floats, moved: Floats, scale: Floats, belief: float) -> float:
    """Return the share of the members' distance from the anchor that least squares keep, between 0 and 1.

    Parameters
    ----------
    away, moved
        Distance of the members and of the truth from the anchor, shape ``(N, H)``.
    scale
        Weight of an error of each row, shape ``(N,)``.
    belief
        Share that is believed before any row is seen.

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
    own = len(away) / (len(away) + PULL_ROWS)
    return float(np.clip(own * float((x * y).mean()) / square + (1 - own) * belief, 0.0, 1.0))


def learn(batch: Batch, counts: Ints, map_blocks: MapBlocks) -> "Iterator[Lessons]":
    """Yield the backtests of each refit; one walk serves all."""
    plan = _plan(batch, counts)
    own, place = np.unique(plan.series, return_inverse=True)
    sample = batch.select(own)
    starts = np.searchsorted(place, np.arange(len(own) + 1))
    works = (
        _Walking(
            sample.select(np.arange(low, high)),
            starts[low : high + 1] - starts[low],
            plan.origins[starts[low] : starts[high]],
        )
        for low, high in _blocks(len(own), starts)
    )
    everything = _joined(list(map_blocks(_listen, works)), batch.sizes)
    for refit, rows in enumerate(plan.rows):
        spoken = everything.take(rows)
        yield _learn(batch, counts[:, refit], sample, place[rows], plan.origins[rows], own, spoken)


def _joined(heard: list[Spoken], sizes: Spec) -> Spoken:
    if not heard:
        return Spoken.empty(0, sizes)
    names = ("made", "loss", "spread", "statistics")
    return Spoken(*(np.concatenate([getattr(part, name) for part in heard]) for name in names))


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


def _learn(
    batch: Batch, counts: Ints, sample: Batch, place: Ints, origins: Ints, own: Ints, spoken: Spoken
) -> Lessons:
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


def expected_spreads(volatility: Volatility, batch: Batch, starts: Ints, origins: Ints) -> Floats:
    """Return the standard deviations that a volatility expects at origins, shape ``(P, H)``."""
    variance = volatility.next_variances(batch.values, batch.offsets, starts, origins)
    return volatility.spreads(np.repeat(np.arange(len(batch)), np.diff(starts)), variance, batch.sizes.horizon)


def standardise(
    center: Floats, apart: Floats, prior: Floats, lessons: Lessons, sizes: Spec
) -> tuple[Floats, Floats]:
    """Return errors divided by their spread, shape ``(N, H)``, NaN where there is none, and the slopes of the spread."""
    base, inputs = spread_parts(lessons.spoken, apart, lessons.expected, sizes)
    error = lessons.truth - center
    slopes = fit_spread(error, base, inputs, prior)
    sigma = np.empty_like(center)
    spread_of(base, inputs, slopes, sigma)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sigma > 0, error / sigma, np.nan), slopes


def _fit_lag_map(batch: Batch, counts: Ints) -> LagMap | None:
    known = np.flatnonzero(counts > 0)
    chosen = known[np.argsort(batch.code[known], kind="stable")[:LAG_SERIES]]
    season = max(batch.sizes.season, 1)
    lags = lags_of(batch.sizes.season, batch.sizes.season_2)
    arrays = (batch.values, batch.offsets[chosen], batch.may_log[chosen], batch.code[chosen] & 1, counts[chosen])
    return fit_lags(*arrays, season, lags, batch.sizes.horizon)


def _rows_of(spoken: Spoken, truth: Floats, relative: bool) -> Rows:
    """Turn what was said and came into the rows that tune a gate."""
    usable, closeness, features = looked(spoken)
    scale = spoken.statistics[:, 3]
    fine = np.isfinite(scale) & (scale > 0)
    weight = np.where(fine, 1 / np.where(fine, scale, 1.0), 0.0)
    naive = np.abs(truth - spoken.made[:, :, NAIVE])
    mean = float((naive * weight[:, None])[fine].mean()) if fine.any() else 1.0
    both = np.abs(truth) + np.abs(spoken.made[:, :, NAIVE])
    share = float((2 * naive / np.where(both > 0, both, 1.0)).mean()) if relative and len(truth) else 0.0
    made = np.nan_to_num(spoken.made, nan=0.0)
    return Rows(made, truth, usable, closeness, features, weight / max(mean, 1e-12), 1 / share if share > 0 else 0.0)


def looked(spoken: Spoken) -> tuple[Bools, Floats, Floats]:
    """Return what the gate sees; see :func:`~pulse_assets.forecasting.gate.look`."""
    count = len(spoken.loss)
    usable, closeness, features = np.zeros((count, POOL), bool), np.empty((count, POOL)), np.empty((count, INPUTS))
    look(spoken.made, spoken.loss, spoken.statistics, usable, closeness, features)
    return usable, closeness, features


def blended(gate: Floats, spoken: Spoken) -> tuple[Floats, Floats, Floats]:
    """Return center and distance of the members, shape ``(P, H)``, and their weights, shape ``(P, 2, POOL)``."""
    usable, closeness, features = looked(spoken)
    center, apart = (np.empty(spoken.made.shape[:2]) for _ in range(2))
    weights = np.zeros((len(center), 2, POOL))
    blend(gate, spoken.made, usable, closeness, features, weights, center, apart)
    return center, apart, weights


def spread_parts(spoken: Spoken, apart: Floats, expected: Floats, sizes: Spec) -> tuple[Floats, Floats]:
    """Return base and inputs of the spread; see :func:`~pulse_assets.forecasting.calibrate.spread_inputs`."""
    base, inputs = np.empty_like(apart), np.empty((*apart.shape, WIDTH))
    anchors = anchors_of(sizes.horizon)
    spread_inputs(spoken.spread, spoken.statistics, apart, expected, anchors, base, inputs)
    return base, inputs


@dataclass(frozen=True)
class Outlook:
    """What a pool says at P origins: distribution = center + sigma × shape of the model.

    Parameters
    ----------
    center, sigma
        Shape ``(P, H)``, on the scale of the batch.
    weights
        Shape ``(P, 2, POOL)``: nearest and farthest step; empty unless asked for.
    loss
        Shape ``(P, POOL)``; likewise.
    lowest
        Lowest value seen by then, shape ``(P,)``.
    """

    center: Floats
    sigma: Floats
    weights: npt.NDArray[np.float32]
    loss: npt.NDArray[np.float32]
    lowest: Floats


def outlook_of(model: PanelModel, spoken: Spoken, expected: Floats, sizes: Spec, anchor: int) -> Outlook:
    """Apply one model to what was heard, the map on lags included, and to the expected standard deviations."""
    center, apart, weights = blended(model.gate, spoken)
    start = anchors_at(spoken, anchor)
    center = start + model.pull * (center - start)
    base, inputs = spread_parts(spoken, apart, expected, sizes)
    sigma = np.empty_like(center)
    spread_of(base, inputs, model.slopes, sigma)
    few = (weights.astype(np.float32), spoken.loss.astype(np.float32))
    return Outlook(center, sigma, *few, spoken.statistics[:, 5])


@dataclass(frozen=True)
class _Speaking:
    batch: Batch
    series: tuple[int, int]
    starts: Ints
    origins: Ints
    model_of: Ints
    fitted_on: Ints
    models: Sequence[PanelModel]
    explain: bool


def speak(
    batch: Batch,
    starts: Ints,
    origins: Ints,
    model_of: Ints,
    fitted_on: Ints,
    models: Sequence[PanelModel],
    map_blocks: MapBlocks,
    *,
    explain: bool = False,
) -> Outlook:
    """Forecast each series from each of its origins.

    Parameters
    ----------
    starts, origins
        Series s has the origins ``origins[starts[s]:starts[s + 1]]``: numbers of observations, rising.
    model_of
        Which of the models serves each origin, shape ``(P,)``.
    fitted_on
        Observations of each series that were known when each model was fitted, shape ``(S, R)``.
    explain
        Return weights and losses as well.
    """
    works = (
        _Speaking(
            batch.select(np.arange(low, high)),
            (low, high),
            starts[low : high + 1] - starts[low],
            origins[starts[low] : starts[high]],
            model_of[starts[low] : starts[high]],
            fitted_on[low:high],
            models,
            explain,
        )
        for low, high in _blocks(len(batch), starts)
        if starts[high] > starts[low]
    )
    parts = list(map_blocks(_speak, works))
    if not parts:
        horizon = batch.sizes.horizon
        empty = np.empty((0, horizon))
        return Outlook(empty, empty, np.empty((0, 2, POOL), np.float32), np.empty((0, POOL), np.float32), np.empty(0))
    names = ("center", "sigma", "weights", "loss", "lowest")
    return Outlook(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _speak(work: _Speaking) -> Outlook:
    spoken = listen(work.batch, work.starts, work.origins)
    return say(work, spoken)


def say(work: _Speaking, spoken: Spoken) -> Outlook:
    """Apply the models to what was heard at the origins of one block."""
    parts, places = [], []
    series = np.repeat(np.arange(len(work.batch)), np.diff(work.starts))
    for number in np.unique(work.model_of):
        model = work.models[number]
        rows = np.flatnonzero(work.model_of == number)
        part = spoken if len(rows) == len(series) else spoken.take(rows)
        starts = np.searchsorted(series[rows], np.arange(len(work.batch) + 1))
        hear_lags(work.batch, starts, work.origins[rows], work.fitted_on[:, number], model.lag_map, part)
        expected = np.empty((0, 0))
        if model.volatility is not None:
            own = model.volatility.take(np.arange(*work.series))
            expected = expected_spreads(own, work.batch, starts, work.origins[rows])
        parts.append(outlook_of(model, part, expected, work.batch.sizes, work.batch.anchor))
        places.append(rows)
    back = np.argsort(np.concatenate(places), kind="stable")
    names = ("center", "sigma", "weights", "loss", "lowest")
    center, sigma, weights, loss, lowest = (np.concatenate([getattr(part, n) for part in parts])[back] for n in names)
    nothing = len(series) if work.explain else 0
    return Outlook(center, sigma, weights[:nothing], loss[:nothing], lowest)
