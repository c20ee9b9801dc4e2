"""How honest simulations would have been: worlds as of past days, simulated and scored against what came. Pure.

What belongs here: from series and days to rows. What happened is read in ``truth``, scores are in
``scores``, and what rows of many days say is in ``report``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

import numpy as np
import pyarrow as pa

from pulse_assets.simulation.calibration.gravity import learn_gravity
from pulse_assets.simulation.calibration.known_series import Days, KnownSeries, Vintages
from pulse_assets.simulation.calibration.participants import KnownBy
from pulse_assets.simulation.calibration.reading import past_of
from pulse_assets.simulation.calibration.world_settings import WorldSettings
from pulse_assets.simulation.calibration.worlds import calibrate_days
from pulse_assets.simulation.engine import F32s as Singles
from pulse_assets.simulation.engine import states_at
from pulse_assets.simulation.kernel.header import RECORDED_STEPS
from pulse_assets.simulation.program import Holdings, build
from pulse_assets.simulation.retrodiction.names import (
    ALL,
    FREE,
    PORTFOLIO,
    PULSE,
    STRICT,
    Mode,
)
from pulse_assets.simulation.retrodiction.reference_worlds import settings_for
from pulse_assets.simulation.retrodiction.scores import SCHEMA, Label, score_steps
from pulse_assets.simulation.retrodiction.truth import actual_returns, led_along, origin_of
from pulse_assets.simulation.retrodiction.wanted import Wanted
from pulse_assets.simulation.rules.rule_checks import check_rules
from pulse_assets.simulation.scenarios.scenario import Shocks, no_shock
from pulse_assets.simulation.world import World

Values = Mapping[str, Vintages]


@dataclass(frozen=True, eq=False)
class Retrodicted:
    """A day's rows, and why some that were wanted are not among them."""

    day: date
    rows: pa.Table
    remarks: tuple[str, ...]


def months_of(days: Sequence[date], horizon: int) -> list[list[date]]:
    """Return days in blocks whose origins lie in one month: within a block all worlds have the same parameters.

    Examples
    --------
    >>> [len(block) for block in months_of([date(2018, 6, 27), date(2018, 6, 28), date(2018, 6, 29)], 20)]
    [2, 1]
    """
    return [[*block] for _, block in groupby(days, lambda day: _origin(day, horizon).astype("datetime64[M]"))]


def seed_of(seed: int, origin: np.datetime64) -> int:
    """Return the seed of an origin's random numbers, another one each day.

    Examples
    --------
    >>> seed_of(1, np.datetime64("1970-01-31")) - (1 << 32)
    30
    """
    return (seed << 32) + int(origin.astype("datetime64[D]").astype(np.int64))


def retrodict(values: Values, days: Sequence[date], settings: WorldSettings, wanted: Wanted) -> Iterator[Retrodicted]:
    """Simulate from the origin of every day and score against what the day knows.

    Parameters
    ----------
    values
        Series in silver with the day by which each value was known. What is known after a day does not change its rows.
    days
        Days that score, rising.
    settings
        Of the world that is judged.
    wanted
        What else.

    Yields
    ------
    Retrodicted
        One a day. A day whose origin has no world, for want of a past, has no rows and a remark.

    Raises
    ------
    ValueError
        An asset is called ``portfolio`` or ``all``, or a series has a level that is not finite.
    """
    clash = sorted({PORTFOLIO, ALL} & {*settings.assets})
    if clash:
        raise ValueError(f"an asset is called {clash[0]!r}, which rows say of the assets together: rename it")
    known = {name: KnownSeries(name, series) for name, series in values.items()}
    origins = np.array([_origin(day, wanted.horizon) for day in days], "datetime64[D]")
    by_engine = {engine: settings_for(engine, settings, wanted.block_days) for engine in wanted.engines}
    worlds = [_worlds(values, origins, chosen) for chosen in by_engine.values()]
    for day, made in zip(days, zip(*worlds, strict=True), strict=True):
        past = _Past(values, known, np.datetime64(day, "D"), _origin(day, wanted.horizon), settings, wanted)
        yield _day(past, dict(zip(by_engine, made, strict=True)))


@dataclass(frozen=True, eq=False)
class _Past:
    """A day, its origin and what is known."""

    values: Values
    known: KnownBy
    day: np.datetime64
    origin: np.datetime64
    settings: WorldSettings
    wanted: Wanted


def _origin(day: date, horizon: int) -> np.datetime64:
    return origin_of(np.datetime64(day, "D"), horizon)


def _worlds(values: Values, origins: Days, settings: WorldSettings) -> Iterator[World | str]:
    """Yield a world or why there is none, for each origin; after one that has none it goes on with the next."""
    left = origins
    while len(left):
        try:
            for made in calibrate_days(values, left, settings):
                left = left[1:]
                yield made.world
        except ValueError as why:
            left = left[1:]
            yield str(why)


def _day(past: _Past, worlds: Mapping[str, World | str]) -> Retrodicted:
    parts, remarks = [SCHEMA.empty_table()], []
    for engine, world in worlds.items():
        for mode in past.wanted.modes if engine == PULSE else (FREE,):
            if isinstance(world, str):
                remarks.append(f"{engine} of {past.origin}: {world}")
            elif mode == STRICT and not world.factors:
                remarks.append(f"{engine} of {past.origin}: no factor can be led, so there is no strict mode")
            else:
                try:
                    parts.append(_scored(past, engine, mode, world))
                except ValueError as why:  # rules that do not fit this world: others may
                    remarks.append(f"{engine} of {past.origin}: {why}")
    return Retrodicted(past.day.astype(object), pa.concat_tables(parts), tuple(dict.fromkeys(remarks)))


def _scored(past: _Past, engine: str, mode: Mode, world: World) -> pa.Table:
    wanted, steps = past.wanted, past.wanted.steps
    shocks = no_shock(world, steps[-1])
    if mode == STRICT:
        shocks = led_along(world, past.settings, past.known, past.origin, past.day, steps[-1])
    members = _members(past, world, shocks, is_pulse=engine == PULSE)
    actual = actual_returns(world.assets, past.known, past.origin, past.day, steps)
    label = Label(past.day.astype(object), past.origin.astype(object), engine, mode)
    names = [asset.name for asset in world.assets]
    return score_steps(members, actual, names, steps, label, fall=wanted.fall, energy_members=wanted.energy_members)


def _members(past: _Past, world: World, shocks: Shocks, *, is_pulse: bool) -> Singles:
    """Return log returns of the assets at the scored steps, shape ``(S, A, paths)``."""
    wanted, assets = past.wanted, len(world.assets)
    rules = check_rules(wanted.rules, world) if is_pulse and wanted.rules is not None else None
    gravity = None
    if is_pulse and wanted.learns:
        origin = past.origin.astype(object)
        gravity = learn_gravity(world, past_of(world, past.settings, past.values, origin)).gravity
    program = build(
        world,
        Holdings(np.full(assets, 1 / assets), 1.0),
        shocks,
        recorded=wanted.steps,
        rules=rules if rules and rules.active else None,
        gravity=gravity,
        traced=RECORDED_STEPS,
        tracked=False,
        counted=False,
    )
    return states_at(program, seed_of(wanted.seed, past.origin), wanted.paths, assets)
