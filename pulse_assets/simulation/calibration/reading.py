"""What the simulator reads from silver, as arrays of what was known on a day. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.simulation.calibration.gravity import Past
from pulse_assets.simulation.calibration.known_series import KnownSeries, Values, Vintages
from pulse_assets.simulation.calibration.world_settings import WorldSettings
from pulse_assets.simulation.scenarios.scenario import changes_of
from pulse_assets.simulation.world import Floats, World

Days = npt.NDArray[np.datetime64]

LEARNED_FROM_DAYS = 2520
"""Weekdays of the past that a correction is learned from."""


def vintages_of(silver: pa.Table, ids: Sequence[str]) -> dict[str, Vintages]:
    """Return all vintages of some series.

    Parameters
    ----------
    silver
        Columns ``unique_id, ds, y, known_at`` of ``silver/series``.
    ids
        Series; those without a row are empty.
    """
    wanted = silver.filter(pc.is_in(silver["unique_id"], pa.array(sorted(set(ids)), pa.string())))
    rows = wanted.sort_by([("unique_id", "ascending"), ("known_at", "ascending"), ("ds", "ascending")]).combine_chunks()
    names = rows["unique_id"].to_numpy(zero_copy_only=False)
    known, days = (
        rows[name].cast(pa.int64()).to_numpy().astype("datetime64[us]").astype("datetime64[D]")
        for name in ("known_at", "ds")
    )
    values = rows["y"].to_numpy()
    found = {name: Vintages(known[:0], days[:0], values[:0]) for name in ids}
    borders = np.flatnonzero(names[1:] != names[:-1]) + 1
    for first, last in pairwise([0, *borders, len(names)] if len(names) else []):
        found[str(names[first])] = Vintages(known[first:last], days[first:last], values[first:last])
    return found


def prices_on(world: World, values: Mapping[str, Vintages], day: date) -> dict[str, float]:
    """Return the last price of each asset as known on a day."""
    found = {}
    for asset in world.assets:
        levels = KnownSeries(asset.name, values[asset.source]).by(np.datetime64(day)).levels
        if len(levels):
            found[asset.name] = float(levels[-1])
    return found


def levels_on(world: World, settings: WorldSettings, values: Mapping[str, Vintages], day: date, days: Days) -> Floats:
    """Return the level of every variable on some days, as known on one day: the last on or before; ``(D, V)``.

    NaN stands before a series begins.
    """
    from pulse_assets.simulation.calibration.participants import factor_at

    known = {name: KnownSeries(name, series) for name, series in values.items()}
    by_name = {factor.name: factor for factor in settings.factors}
    at = np.datetime64(day)
    columns = []
    for variable in world.variables:
        is_asset = variable.group == "asset"
        series = known[variable.source].by(at) if is_asset else factor_at(known, by_name[variable.name], at)
        columns.append(_last_before(series, days))
    return np.stack(columns, axis=1)


def _last_before(series: Values, days: Days) -> Floats:
    place = np.searchsorted(series.days, days, side="right") - 1
    if not len(series.levels):
        return np.full(len(days), np.nan)
    return np.asarray(np.where(place >= 0, series.levels[np.maximum(place, 0)], np.nan))


def changes_between(
    world: World, settings: WorldSettings, values: Mapping[str, Vintages], day: date, first: date, last: date
) -> Floats:
    """Return each variable's change on every weekday of a window of the past, as known on a day, shape ``(T, V)``.

    Raises
    ------
    ValueError
        The window does not end before the day: it would be the future.
    """
    if last > day:
        raise ValueError(
            f"the window {first} … {last} ends after {day}, the day to be simulated: choose an earlier one"
        )
    weekdays = np.arange(np.datetime64(first), np.datetime64(last) + 1)
    weekdays = weekdays[np.is_busday(weekdays)]
    before = np.busday_offset(np.datetime64(first), -1, roll="forward")
    return changes_of(world, levels_on(world, settings, values, day, np.append(before, weekdays)))


def past_of(world: World, settings: WorldSettings, values: Mapping[str, Vintages], day: date) -> Past:
    """Return what a correction is learned from: changes, factors and regimes on the weekdays before a day."""
    days = np.busday_offset(np.datetime64(day), np.arange(-LEARNED_FROM_DAYS, 1), roll="backward")
    levels = levels_on(world, settings, values, day, days)
    changes = changes_of(world, levels)
    assets = len(world.assets)
    log = np.array([factor.scale == "log" for factor in world.factors], bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.where(log, np.log(levels[:-1, assets:]), levels[:-1, assets:])
    return Past(changes, np.where(np.isfinite(factors), factors, np.nan), _regimes_before(world, changes[:, :assets]))


def _regimes_before(world: World, returns: Floats) -> Floats:
    """Return each regime's filtered probability at the start of every step, from the assets' mean return."""
    if world.regimes is None:
        return np.ones((len(returns), 1))
    with np.errstate(invalid="ignore"):
        market = np.nanmean(np.where(np.isfinite(returns), returns, 0.0), axis=1)
    unit = market / max(float(market.std()), 1e-12)
    deviation = world.regimes.volatility
    density = np.exp(-0.5 * (unit[:, None] / deviation) ** 2) / deviation
    found = np.empty((len(returns), len(deviation)))
    belief = np.full(len(deviation), 1 / len(deviation))
    for t in range(len(returns)):
        found[t] = belief
        updated = belief * density[t]
        belief = (updated / updated.sum()) @ world.regimes.transition
    return found
