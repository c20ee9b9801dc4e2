"""What happened after an origin, as known on a later day: returns of assets, and the way that factors went. Pure.

What belongs here: reading the truth. What is said of simulations against it is in ``scores``.
"""

from collections.abc import Sequence

import numpy as np

from pulse_assets.simulation.calibration.known_series import Days, KnownSeries
from pulse_assets.simulation.calibration.participants import KnownBy, factor_at
from pulse_assets.simulation.calibration.world_settings import FactorSettings, WorldSettings
from pulse_assets.simulation.scenarios.scenario import Shocks, no_shock
from pulse_assets.simulation.scenarios.shocks import Ints
from pulse_assets.simulation.world import Floats, Variable, World, state_of

LONGEST_SILENCE = np.timedelta64(5, "D")
"""Days that a price may lag behind its step more than it did at the origin; then nothing is known of the step."""


def origin_of(day: np.datetime64, horizon: int) -> np.datetime64:
    """Return the weekday whose simulation has just come to its last step.

    Examples
    --------
    >>> str(origin_of(np.datetime64("2018-06-29"), 20))
    '2018-06-01'
    """
    found: np.datetime64 = np.busday_offset(day, -horizon, roll="backward")
    return found


def days_of_steps(origin: np.datetime64, steps: Sequence[int] | Ints) -> Days:
    """Return the weekday of each step after an origin, shape ``(S,)``."""
    return np.asarray(np.busday_offset(origin, np.asarray(steps), roll="backward"), "datetime64[D]")


def actual_returns(
    assets: Sequence[Variable], known: KnownBy, origin: np.datetime64, day: np.datetime64, steps: Sequence[int]
) -> Floats:
    """Return the log return of each asset from the origin to some steps.

    A simulation starts from the newest price known at its origin; the truth of a step is the newest known by the end
    of the step's day. Hence prices that are always told some days late span as many days as steps. Levels are those
    known on the later day, with all revisions and splits until then.

    Parameters
    ----------
    assets
        A of them.
    known
        Series in silver.
    origin, day
        Days that were simulated from and that know the truth.
    steps
        S steps; none after ``day``.

    Returns
    -------
    array
        Shape ``(S, A)``. NaN where there is no new price since the origin, as on a holiday after it, where the newest
        one has fallen behind by more than five days more than at the origin, or where a price is not positive.

    Raises
    ------
    ValueError
        A step lies after the day.
    """
    ends = days_of_steps(origin, steps)
    if len(ends) and ends.max() > day:
        raise ValueError(f"step {max(steps)} after {origin} is {ends.max()}, which {day} does not know: score it later")
    found = [_returns(known[asset.source], origin, day, ends) for asset in assets]
    return np.array(found, np.float64).reshape(len(found), len(ends)).T


def _returns(series: KnownSeries, origin: np.datetime64, day: np.datetime64, ends: Days) -> Floats:
    at_origin, settled = series.by(origin).days, series.by(day)
    if not len(at_origin):
        return np.full(len(ends), np.nan)
    newest = [series.by(end).days for end in ends]
    told = np.array([days[-1] for days in newest], "datetime64[D]")
    first = at_origin[-1]
    levels = settled.levels[np.searchsorted(settled.days, np.append(told, first))]
    is_fresh = (told > first) & (told - first >= ends - origin - LONGEST_SILENCE)
    usable = is_fresh & (levels[:-1] > 0) & (levels[-1] > 0)
    ratio = np.divide(levels[:-1], levels[-1], out=np.full(len(ends), np.nan), where=usable)
    return np.asarray(np.log(ratio))


def led_along(
    world: World, settings: WorldSettings, known: KnownBy, origin: np.datetime64, day: np.datetime64, steps: int
) -> Shocks:
    """Return the scenario in which factors do what they really did, and assets are free.

    At the end of each step a factor stands where it stood: at the last value for that day or one before it, as known on
    the later day. Rules of that step and later ones read it; assets' own shocks are not conditioned on it.

    Parameters
    ----------
    world, settings
        What was simulated from the origin, and the settings that it was calibrated by.
    known
        Series in silver.
    origin, day
        As for :func:`actual_returns`.
    steps
        Length of the run.

    Returns
    -------
    Shocks
        A factor of which the later day knows nothing is left free.
    """
    shocks, ends = no_shock(world, steps), days_of_steps(origin, np.arange(1, steps + 1))
    by_name = {factor.name: factor for factor in settings.factors}
    for place, variable in enumerate(world.variables):
        if variable.group != "asset":
            states = _states(by_name[variable.name], known, day, ends)
            has = np.isfinite(states)
            shocks.keep[has, place], shocks.add[has, place] = 0.0, states[has]
    return shocks


def _states(factor: FactorSettings, known: KnownBy, day: np.datetime64, ends: Days) -> Floats:
    try:
        values = factor_at(known, factor, day)
    except ValueError:  # a level that does not fit the scale, which the origin's world did not know of
        return np.full(len(ends), np.nan)
    place = np.searchsorted(values.days, ends, side="right") - 1
    if not len(values.levels):
        return np.full(len(ends), np.nan)
    return np.where(place >= 0, state_of(factor.variable, values.levels[np.maximum(place, 0)]), np.nan)
