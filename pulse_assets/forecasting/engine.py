"""The seam between assets and whatever makes forecasts: a panel and origins in, rows in order of origin out.

:class:`BaselineBank` is the first engine behind it. Another engine replaces it by satisfying :class:`Forecaster`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.forecasting.pack import MICROSECONDS_A_DAY, Floats, Ints, Panel
from pulse_assets.numerics.quantiles import LEVELS, QUANTILE_COLUMNS
from pulse_assets.signals.calendars import add_steps

if TYPE_CHECKING:
    from pulse_assets.forecasting.kernel import State

Block = TypeVar("Block")
Result = TypeVar("Result")

MEMBERS = ("drift", "ewma", "naive", "seasonal_naive")
"""In alphabetical order, which is the order of the rows and of the kernel."""
LOG_KINDS = ("price", "volatility")
SEASONS = {"h": 24, "D": 7, "B": 5, "W": 52, "MS": 12, "QS": 4, "YS": 1}
HORIZONS = {"h": 24, "D": 7, "B": 5, "W": 4, "MS": 3, "QS": 2, "YS": 1}
"""Steps ahead by frequency: a week of weekdays, a quarter of months."""
MIN_ERRORS = 20
"""Past errors that every horizon needs before a quantile is stated."""
LARGEST = 1e150
"""A larger value, or a price that has no logarithm, ends a series' forecasts: sums of such would overflow."""
SEGMENTS_A_BLOCK = 256
ROWS_A_CHUNK = 100_000


class MapBlocks(Protocol):
    """Applies a function to blocks, wherever; results come in block order."""

    def __call__(self, function: Callable[[Block], Result], blocks: Iterable[Block]) -> Iterator[Result]:
        """Return the results lazily."""


class Forecaster(Protocol):
    """Makes quantile forecasts of a panel from every origin asked for."""

    @property
    def version(self) -> str:
        """Version of the engine; it changes whenever a result can change."""

    def forecast(self, panel: Panel, origins: list[date], map_blocks: MapBlocks) -> Iterator[pa.Table]:
        """Yield tables in order of origin, with the columns of ``gold/forecasts`` up to the quantiles.

        A row at an origin depends on nothing known after it, bit for bit, nor on the other origins asked for. Series
        that are too short or stale at an origin, or too wild for finite quantiles, have no rows there.

        Raises
        ------
        ValueError
            The origins do not rise.
        """


def origin_end(origin: date) -> int:
    """Return the end of an origin's day in microseconds since 1970 (UTC): known strictly before it counts."""
    return (int(np.datetime64(origin, "D").astype(np.int64)) + 1) * MICROSECONDS_A_DAY


def inline(function: Callable[[Block], Result], blocks: Iterable[Block]) -> Iterator[Result]:
    """Map in this process: the ``map_blocks`` that needs no compute resource."""
    return map(function, blocks)


@dataclass(frozen=True)
class Work:
    """One block of segments on its way through a chunk of origins."""

    panel: Panel
    counts: Ints
    asked: npt.NDArray[np.bool_]
    horizon: Ints
    state: "State"


@dataclass(frozen=True)
class BaselineBank:
    """Naive, drift, seasonal naive and exponentially weighted mean, with quantiles from their past h-step errors.

    Parameters
    ----------
    horizons
        Steps ahead for each frequency.
    """

    horizons: Mapping[str, int] = field(default_factory=lambda: dict(HORIZONS))
    version: str = "baseline-1"

    def forecast(self, panel: Panel, origins: list[date], map_blocks: MapBlocks = inline) -> Iterator[pa.Table]:
        """Yield the forecasts of all members; see :class:`Forecaster`."""
        from pulse_assets.forecasting.kernel import new_state

        if any(earlier >= later for earlier, later in pairwise(origins)):
            raise ValueError(f"origins must rise, because a walk only moves forward; came {[str(o) for o in origins]}")
        scaled = replace(panel, values=_scaled(panel))
        sound = _sound_counts(scaled)
        horizon = np.array([self.horizons[freq] for freq in panel.freq], np.int64)
        ends = np.array([origin_end(origin) for origin in origins], np.int64)
        rows_a_day = max(1, int(horizon.sum()) * len(MEMBERS))
        chunk = max(1, ROWS_A_CHUNK // rows_a_day)
        blocks = [
            np.arange(low, min(low + SEGMENTS_A_BLOCK, len(panel))) for low in range(0, len(panel), SEGMENTS_A_BLOCK)
        ]
        parts = [scaled.select(block) for block in blocks]
        states = [new_state(len(part), max(self.horizons.values())) for part in parts]
        for low in range(0, len(origins), chunk):
            some = ends[low : low + chunk]
            counts = panel.known_counts(some)
            asked = panel.is_fresh(counts, some) & (counts >= MIN_ERRORS + horizon[:, None])
            asked &= counts <= sound[:, None]
            works = (
                Work(part, counts[block], asked[block], horizon[block], state)
                for part, block, state in zip(parts, blocks, states, strict=True)
            )
            results = list(map_blocks(_walk, works))
            states = [state for state, _, _ in results]
            arrays = [(mean, quantiles) for _, mean, quantiles in results]
            yield _table(panel, origins[low : low + chunk], counts, asked, horizon, blocks, arrays)


def _walk(work: Work) -> "tuple[State, Floats, Floats]":
    """Advance one block over a chunk of origins; rows come by segment, origin, member, horizon."""
    from pulse_assets.forecasting.kernel import advance

    panel, members = work.panel, len(MEMBERS)
    sizes = np.where(work.asked, work.horizon[:, None] * members, 0)
    target = np.where(work.asked, (np.cumsum(sizes) - sizes.ravel()).reshape(sizes.shape), -1)
    total = int(sizes.sum())
    mean, quantiles = np.empty(total), np.empty((total, len(LEVELS)))
    season = np.array([SEASONS[freq] for freq in panel.freq], np.int64)
    values, is_log = panel.values, _is_log(panel)
    advance(
        values, panel.offsets, work.counts, target, season, work.horizon, is_log, LEVELS, work.state, mean, quantiles
    )
    return work.state, mean, quantiles


def _is_log(panel: Panel) -> npt.NDArray[np.bool_]:
    return np.isin(panel.kind.astype(str), LOG_KINDS)


def _scaled(panel: Panel) -> Floats:
    """Return the values as the kernel walks them: logarithms for some kinds."""
    rows = np.repeat(_is_log(panel), np.diff(panel.offsets))
    values = panel.values.copy()
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not positive ends the series, see LARGEST
        values[rows] = np.log(values[rows])
    return values


def _sound_counts(scaled: Panel) -> Ints:
    """Return how many values of each segment come before the first that the kernel cannot take, shape ``(S,)``."""
    unsound = np.append(np.flatnonzero(~(np.abs(scaled.values) <= LARGEST)), len(scaled.values))
    first = unsound[np.searchsorted(unsound, scaled.offsets[:-1])]
    return np.asarray(np.minimum(first, scaled.offsets[1:]) - scaled.offsets[:-1])


def _table(
    panel: Panel,
    origins: list[date],
    counts: Ints,
    asked: npt.NDArray[np.bool_],
    horizon: Ints,
    blocks: list[Ints],
    arrays: list[tuple[Floats, Floats]],
) -> pa.Table:
    """Bring the blocks' rows into the order of the table: origin, series, member, horizon.

    A segment with a number that is not finite at an origin is left out there as a whole.
    """
    members = len(MEMBERS)
    segment, origin = np.nonzero(asked)  # by segment, then origin: the order in which the blocks' rows lie
    sizes = horizon[segment] * members
    begins = np.cumsum(sizes) - sizes
    order = np.lexsort((segment, origin))
    segment, origin, sizes = segment[order], origin[order], sizes[order]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = np.repeat(begins[order], sizes) + within
    h = within % np.repeat(horizon[segment], sizes) + 1
    member = within // np.repeat(horizon[segment], sizes)
    mean = np.concatenate([piece for piece, _ in arrays]) if blocks else np.empty(0)
    quantiles = np.concatenate([piece for _, piece in arrays]) if blocks else np.empty((0, len(LEVELS)))
    series = np.repeat(segment, sizes)
    days = np.array(origins, "datetime64[D]")[np.repeat(origin, sizes)]
    newest = panel.newest(panel.ds, counts)[series, np.repeat(origin, sizes)] if len(rows) else np.empty(0, np.int64)
    columns = {
        "as_of": pa.array(days),
        "unique_id": _texts(panel.ids, series),
        "model": _texts(np.array(MEMBERS, object), member),
        "h": pa.array(h.astype(np.int16)),
        "ds": pa.array(_event_times(panel, series, newest, h)).cast(pa.timestamp("us", "UTC")),
        "mean": pa.array(mean[rows]),
    }
    ranked = np.ascontiguousarray(quantiles[rows].T)
    made = pa.table(columns | {name: pa.array(ranked[k]) for k, name in enumerate(QUANTILE_COLUMNS)})
    finite = np.isfinite(mean[rows]) & np.isfinite(ranked[0]) & np.isfinite(ranked[-1])
    if finite.all():
        return made
    whole = np.logical_and.reduceat(finite, np.cumsum(sizes) - sizes)
    return made.filter(pa.array(np.repeat(whole, sizes)))


def _texts(values: npt.NDArray[np.object_], index: Ints) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(values, pa.string())).cast(
        pa.string()
    )


def _event_times(panel: Panel, series: Ints, newest: Ints, h: Ints) -> npt.NDArray[np.datetime64]:
    times = np.empty(len(series), "datetime64[us]")
    since = newest.astype("datetime64[us]")
    labels = np.array([f"{freq} {calendar}" for freq, calendar in zip(panel.freq, panel.calendar, strict=True)], object)
    for label in sorted(set(labels)):
        freq, calendar = label.split(" ", 1)
        rows = (labels == label)[series]
        times[rows] = add_steps(since[rows], h[rows], freq, calendar)
    return times
