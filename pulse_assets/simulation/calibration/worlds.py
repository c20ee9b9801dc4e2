"""Worlds from data: as of one day, or of many days cheaply, never with anything that became known later.

What belongs here: what callers use. Estimation is in ``refits``, the state of a day in ``day_states``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from pulse_assets.numerics.threads import one_thread
from pulse_assets.simulation.calibration.day_states import Followed, Track, levels_and_history, still_there
from pulse_assets.simulation.calibration.guards import check_world, persistence
from pulse_assets.simulation.calibration.known_series import Days, KnownSeries, Values, Vintages, at_once
from pulse_assets.simulation.calibration.parameters import Parameters
from pulse_assets.simulation.calibration.participants import KnownBy, refuse_missing
from pulse_assets.simulation.calibration.refits import fit_parameters
from pulse_assets.simulation.calibration.world_settings import WorldSettings
from pulse_assets.simulation.world import Floats, Regimes, World

LARGEST_PERSISTENCE = 0.999
"""Of a calibrated asset: half of a shock to variance is then gone after 693 days. More is lowered to it."""
MONTHS = {"monthly": 1, "quarterly": 3}


@dataclass(frozen=True, eq=False)
class Report:
    """How a world came about.

    Attributes
    ----------
    as_of
        Day of the world.
    fitted_on
        Day whose knowledge the parameters are from.
    left_out
        Variable → reason.
    notes
        What was lowered or replaced.
    observations
        Variable → returns or values that it was fitted to.
    """

    as_of: np.datetime64
    fitted_on: np.datetime64
    left_out: Mapping[str, str]
    notes: tuple[str, ...]
    observations: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Calibration:
    """A checked world and how it came about."""

    world: World
    report: Report


def calibrate(
    values: Mapping[str, tuple[Days, Floats]], as_of: np.datetime64 | date, settings: WorldSettings
) -> Calibration:
    """Calibrate a world as of a day.

    Parameters
    ----------
    values
        Series in silver → days ``datetime64[D]``, strictly rising, and levels, shapes ``(n,)``, as they were known at
        ``as_of``: nothing known later, and revised values as they were.
    as_of
        ``datetime64[D]``.
    settings
        Of the world.

    Returns
    -------
    Calibration
        Variables that are stale, too short or do not move are left out with a reason.

    Raises
    ------
    ValueError
        A level is NaN or of a later day, a required variable or every asset is left out, or the world would explode;
        the message names the variable and says what to do.

    Examples
    --------
    >>> days = np.arange("2010-01-01", "2014-01-01", dtype="datetime64[D]")
    >>> days = days[np.is_busday(days)]
    >>> price = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, len(days))))
    >>> settings = WorldSettings(assets={"stock": "mine:STOCK"}, volatility="constant", innovations="normal")
    >>> made = calibrate({"mine:STOCK": (days, price)}, days[-1], settings)
    >>> made.world.names, float(np.sqrt(made.world.variance[0]).round(3))
    (('stock',), 0.01)
    """
    day = _as_day(as_of)
    for name, (days, _) in values.items():
        if len(days) and np.max(days) > day:
            last = np.max(days)
            raise ValueError(f"{name}: expected values up to {day}, got one of {last}: give what was known by then")
    known = {name: at_once(name, Values(*series)) for name, series in values.items()}
    parameters = fit_parameters(known, settings, day)
    return _world_on(Followed(parameters, known, day, settings.stale_days), known, settings, day)


def calibrate_days(
    values: Mapping[str, Vintages], days: Sequence[np.datetime64] | Days, settings: WorldSettings
) -> Iterator[Calibration]:
    """Calibrate worlds as of many days: parameters on refit days, states every day.

    A refit day is fixed by the calendar: the first weekday of the month or quarter of a day (or of the one before, if
    that is still to come), or with ``daily`` the day itself. What comes out for a day is the same bit for bit whatever
    became known later and whatever other days are asked for.

    Parameters
    ----------
    values
        Series in silver with the day by which each value was known.
    days
        Rising; shape ``(D,)``.
    settings
        Of the world.

    Yields
    ------
    Calibration
        One a day, in order.

    Raises
    ------
    ValueError
        As for :func:`calibrate`, or the days do not rise.
    """
    asked = np.asarray(days, "datetime64[D]")
    if not (np.diff(asked) > np.timedelta64(0, "D")).all():
        raise ValueError("expected days that rise strictly: sort them and ask for each once")
    known = {name: KnownSeries(name, series) for name, series in values.items()}
    refits = np.array([refit_day(day, settings.refit) for day in asked], "datetime64[D]")
    for refit in np.unique(refits):
        parameters = fit_parameters(known, settings, refit)
        yield from _worlds(parameters, known, settings, asked[refits == refit])


def refit_day(day: np.datetime64 | date, cadence: str) -> np.datetime64:
    """Return the day on which the parameters that stand on a day were estimated.

    Examples
    --------
    >>> str(refit_day(np.datetime64("2015-08-20"), "monthly")), str(refit_day(np.datetime64("2015-08-02"), "quarterly"))
    ('2015-08-03', '2015-07-01')
    """
    day = _as_day(day)
    if cadence == "daily":
        return day
    month = day.astype("datetime64[M]")
    first = month - (month.astype(np.int64) % MONTHS[cadence])
    found = np.busday_offset(first.astype("datetime64[D]"), 0, roll="forward")
    if found > day:
        found = np.busday_offset((first - MONTHS[cadence]).astype("datetime64[D]"), 0, roll="forward")
    return _as_day(found)


def _as_day(day: np.datetime64 | date) -> np.datetime64:
    found: np.datetime64 = np.asarray([day], "datetime64[D]")[0]
    return found


def _worlds(parameters: Parameters, known: KnownBy, settings: WorldSettings, days: Days) -> Iterator[Calibration]:
    """Yield the worlds of days with the same parameters; variables that have gone stale by a day are not in it."""
    followed: dict[tuple[int, ...], Followed] = {}
    for day in days:
        left_out = dict(parameters.left_out)
        assets, factors = still_there(parameters, known, settings, day, left_out)
        refuse_missing(left_out, settings, day, none_left=not assets)
        key = (*assets, -1, *factors)
        if key not in followed:
            followed[key] = Followed(parameters.take(assets, factors), known, days[-1], settings.stale_days)
        made = _world_on(followed[key], known, settings, day)
        yield replace(made, report=replace(made.report, left_out=left_out))


def _world_on(followed: Followed, known: KnownBy, settings: WorldSettings, day: np.datetime64) -> Calibration:
    with one_thread():
        return _checked_world(followed, known, settings, day)


def _checked_world(followed: Followed, known: KnownBy, settings: WorldSettings, day: np.datetime64) -> Calibration:
    parameters = followed.parameters
    tracks = followed.tracks(day)
    levels, history = levels_and_history(parameters, tracks, known, settings.history, day)
    regimes = followed.regimes(tracks)
    world = _assemble(parameters, tracks, regimes, levels, history)
    if parameters.innovations == "historical":
        residuals = followed.residuals(tracks)
        world = world.with_(residuals=residuals, block_length=min(parameters.block_length, max(len(residuals), 1)))
    world, lowered = _limited(world, parameters)
    check_world(world)
    notes = (*parameters.notes, *(f"{name}: persistence lowered to {LARGEST_PERSISTENCE}" for name in lowered))
    return Calibration(world, Report(day, parameters.fitted_on, parameters.left_out, notes, parameters.observations))


def _assemble(
    parameters: Parameters, tracks: Sequence[Track], regimes: Regimes | None, levels: Floats, history: Floats
) -> World:
    fit, kept = parameters.volatility, parameters.kept_variance
    following = np.array([track.variance[-1] for track in tracks])
    return World(
        variables=(*parameters.assets, *(factor.variable for factor in parameters.factors)),
        drift=parameters.drift,
        omega=fit.omega * kept,
        alpha=fit.alpha,
        gamma=fit.gamma,
        beta=fit.beta,
        variance=following * kept,
        level=levels,
        mean=parameters.mean,
        phi=parameters.phi,
        sigma=parameters.sigma,
        correlation=parameters.correlation,
        innovations=parameters.innovations,
        nu=parameters.nu,
        regimes=regimes,
        jumps=parameters.jumps,
        history=history,
    )


def _limited(world: World, parameters: Parameters) -> tuple[World, list[str]]:
    """Lower ``alpha``, ``gamma`` and ``beta`` alike where persistence exceeds the limit.

    The long-run variance is then that of the sample.
    """
    moves = (world.alpha > 0) | (world.gamma > 0) | (world.omega > 0)
    persists = persistence(world)
    high = moves & (persists > LARGEST_PERSISTENCE)
    if not high.any():
        return world, []
    factor = np.where(high, LARGEST_PERSISTENCE / np.where(high, persists, 1), 1)
    target = parameters.sample_variance * parameters.kept_variance * (1 - LARGEST_PERSISTENCE)
    omega = np.where(high, target, world.omega)
    lowered = {name: getattr(world, name) * factor for name in ("alpha", "gamma", "beta")}
    return world.with_(omega=omega, **lowered), [parameters.assets[i].name for i in np.flatnonzero(high)]
