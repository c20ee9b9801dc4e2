"""Exogenous columns of a table as arrays beside the series, and what is known of them at an origin. Pure.

``x_NAME`` is known up to the newest observation, ``fx_NAME`` for the steps ahead as well. What is made of them is the
business of :mod:`.exogenous`.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.forecasting.frames import Series, stamps_of, steps_apart

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PAST, FUTURE = "x_", "fx_"
FEW = 6
"""Newest values whose mean is an input."""
CHANGES = 3
"""Newest changes that are inputs."""
LARGEST = 5.0
"""Inputs are cut off at this many standard deviations."""


@dataclass(frozen=True)
class Drivers:
    """Exogenous values of S series at each observation and ``ahead`` steps more.

    Parameters
    ----------
    names
        Of C columns: first those known for the past alone, then ``future`` columns known for steps ahead.
    future
        How many of the last columns are known for steps ahead.
    values, offsets
        Shape ``(N + S × ahead, C)``, NaN where a value is missing, and where each series begins, shape ``(S + 1,)``.
    ahead
        Steps ahead.
    """

    names: tuple[str, ...]
    future: int
    values: Floats
    offsets: Ints
    ahead: int

    def select(self, series: Ints) -> "Drivers":
        """Return some of the series, in the given order."""
        parts = [self.values[self.offsets[s] : self.offsets[s + 1]] for s in series]
        offsets = np.concatenate(([0], np.cumsum(np.diff(self.offsets)[series]))).astype(np.int64)
        return replace(self, values=np.concatenate([self.values[:0], *parts]), offsets=offsets)


@dataclass(frozen=True)
class Inputs:
    """What is known of exogenous values at P origins, in standard deviations; NaN where a value is missing.

    Parameters
    ----------
    common
        The same for all steps ahead, shape ``(P, K)``.
    ahead
        Of each step ahead, shape ``(P, H, L)``.
    """

    common: Floats
    ahead: Floats

    @property
    def complete(self) -> Bools:
        """Origins at which nothing is missing, shape ``(P,)``."""
        return np.asarray(np.isfinite(self.common).all(axis=1) & np.isfinite(self.ahead).all(axis=(1, 2)))

    def take(self, rows: Bools) -> "Inputs":
        """Return some origins."""
        return Inputs(self.common[rows], self.ahead[rows])


def driver_names(table: pa.Table) -> tuple[list[str], list[str]]:
    """Return the exogenous columns of a table, in alphabetical order: known for the past, known for steps ahead.

    Examples
    --------
    >>> driver_names(pa.table({"y": [1.0], "x_oil": [2.0], "fx_promo": [0.0]}))
    (['x_oil'], ['fx_promo'])
    """
    names = sorted(table.column_names)
    return [n for n in names if n.startswith(PAST)], [n for n in names if n.startswith(FUTURE)]


def read_drivers(table: pa.Table, series: Series, freq: str, ahead: int) -> Drivers | None:
    """Lay out the exogenous columns of a table beside its series; None where it has none.

    Parameters
    ----------
    table
        The long table that the series were read from; rows after a series' newest observation, with null ``y``, carry
        its future values. With ``known_at`` the row known last counts where one stamp has several. A step without a
        row gets the values of the row before it, as ``y`` does; a null or NaN stays missing.
    series, freq
        As :func:`~pulse_assets.forecasting.frames.read_series` returned them, and Pulse's name of the frequency.
    ahead
        Steps ahead to lay out.

    Raises
    ------
    ValueError
        A column does not hold numbers.
    """
    past, future = driver_names(table)
    if not past and not future:
        return None
    lengths = np.diff(series.offsets)
    offsets = series.offsets + ahead * np.arange(len(lengths) + 1)
    ids = pa.array(series.ids, pa.string())
    owner = pc.index_in(table["unique_id"].cast(pa.string()), value_set=ids).fill_null(-1).to_numpy()
    owner = owner.astype(np.int64)
    stamps, kind = stamps_of(table["ds"], freq)
    rows = np.flatnonzero(owner >= 0)
    rows = rows[np.argsort(_known(table)[rows], kind="stable")]
    owner, stamps = owner[rows], stamps[rows]
    newest = series.newest[owner]
    away = steps_apart(np.minimum(stamps, newest), np.maximum(stamps, newest), freq, kind)
    step = lengths[owner] - 1 + np.where(stamps < newest, -away, away)
    inside = (step >= 0) & (step < lengths[owner] + ahead)
    rows, place = rows[inside], (offsets[owner] + step)[inside]
    values = np.full((int(offsets[-1]), len(past) + len(future)), np.nan)
    for c, name in enumerate(past + future):
        values[place, c] = _numbers(table, name)[rows]
    filled = _last_row(place, offsets)
    values = np.where(filled[:, None] >= 0, values[filled], np.nan)
    tails = np.concatenate([np.arange(end - ahead, end) for end in offsets[1:]] or [np.empty(0, np.int64)])
    values[tails.astype(np.int64), : len(past)] = np.nan
    return Drivers((*past, *future), len(future), values, offsets, ahead)


def inputs_at(drivers: Drivers, series: Ints, origins: Ints, season: int, horizon: int) -> Inputs:
    """Return what is known at origins: nothing after them but values that are known for steps ahead.

    For every column: its newest value and the mean of the last few against the series' own mean, and its newest
    changes. For those known ahead, each step's value against that mean, the newest value, and the season before.

    Parameters
    ----------
    series, origins
        Series, rising, and number of observations known of it, of P origins; shape ``(P,)``.
    season, horizon
        Steps of the season, and ahead.
    """
    starts = np.searchsorted(series, np.arange(len(drivers.offsets)))
    common = np.empty((len(series), (2 + CHANGES) * len(drivers.names)))
    ahead = np.empty((len(series), horizon, (3 if season > 1 else 2) * drivers.future))
    for s in np.flatnonzero(np.diff(starts)):
        mine = slice(starts[s], starts[s + 1])
        values = drivers.values[drivers.offsets[s] : drivers.offsets[s + 1]]
        middle, wide = _moments(values, origins[mine])
        common[mine] = _past_inputs(values, origins[mine], middle, wide)
        own = slice(len(drivers.names) - drivers.future, None)
        ahead[mine] = _future_inputs(values[:, own], origins[mine], middle[:, own], wide[:, own], season, horizon)
    return Inputs(np.clip(common, -LARGEST, LARGEST), np.clip(ahead, -LARGEST, LARGEST))


def _moments(values: Floats, origins: Ints) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the values before each origin, shape ``(P, C)``."""
    finite = np.isfinite(values)
    begin = values[np.argmax(finite, axis=0), np.arange(values.shape[1])]
    apart = np.where(finite, values - begin, 0.0)
    count = np.maximum(np.cumsum(finite, axis=0)[origins - 1], 1)
    mean = np.cumsum(apart, axis=0)[origins - 1] / count
    square = np.cumsum(apart * apart, axis=0)[origins - 1] / count
    variance = square - mean * mean
    return begin + mean, np.sqrt(np.where(variance > 1e-12 * square, variance, 0.0))


def _past_inputs(values: Floats, origins: Ints, middle: Floats, wide: Floats) -> Floats:
    newest = values[origins - 1]
    back = origins[:, None] - FEW + np.arange(FEW)
    few = np.where(back[:, :, None] >= 0, values[np.maximum(back, 0)], np.nan)
    changes = np.diff(values, axis=0, prepend=np.nan)
    pace = _moments(np.abs(changes), origins)[0]
    parts = [_ratio(newest - middle, wide), _ratio(few.mean(axis=1) - middle, wide)]
    parts += [_ratio(changes[np.maximum(origins - 1 - k, 0)], pace) for k in range(CHANGES)]
    return np.concatenate(parts, axis=1)


def _future_inputs(values: Floats, origins: Ints, middle: Floats, wide: Floats, season: int, horizon: int) -> Floats:
    steps = np.arange(horizon)
    coming = values[origins[:, None] + steps]
    wide = wide[:, None, :]
    parts = [_ratio(coming - middle[:, None, :], wide), _ratio(coming - values[origins - 1][:, None, :], wide)]
    if season > 1:
        back = origins[:, None] - season + steps % season
        before = np.where(back[:, :, None] >= 0, values[np.maximum(back, 0)], np.nan)
        parts.append(_ratio(coming - before, wide))
    return np.concatenate(parts, axis=2)


def _ratio(away: Floats, wide: Floats) -> Floats:
    """Return a distance in standard deviations: 0 for what never moved, NaN where a value is missing."""
    moved = wide > 0
    return np.where(moved | ~np.isfinite(away), away / np.where(moved, wide, 1.0), 0.0)


def _known(table: pa.Table) -> Ints:
    if "known_at" not in table.column_names:
        return np.zeros(len(table), np.int64)
    known = table["known_at"].cast(pa.timestamp("us"), safe=False).cast(pa.int64()).fill_null(0)
    return np.asarray(known.to_numpy())


def _numbers(table: pa.Table, name: str) -> Floats:
    try:
        values = table[name].cast(pa.float64()).fill_null(np.nan).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{name} must be numbers: {error}") from error
    return np.where(np.isfinite(values), values, np.nan)


def _last_row(place: Ints, offsets: Ints) -> Ints:
    """Return for each step the newest step at or before it that has a row, -1 before the first or after the last."""
    steps = np.arange(int(offsets[-1]))
    own = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    with_row = np.full(len(steps), -1, np.int64)
    with_row[place] = place
    last = np.full(len(offsets) - 1, -1, np.int64)
    np.maximum.at(last, own[place], place)
    found = np.maximum.accumulate(with_row) if len(steps) else with_row
    return np.where((found >= offsets[:-1][own]) & (steps <= last[own]), found, -1)
