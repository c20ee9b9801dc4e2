"""Which series take part in a world on a day, and why others are left out.

What belongs here: age, length and movement of series. What is estimated from those that take part is in ``refits``.
"""

from collections.abc import Mapping

import numpy as np

from pulse_assets.simulation.calibration.known_series import (
    Days,
    KnownSeries,
    Values,
    factor_values,
    log_returns,
    window,
)
from pulse_assets.simulation.calibration.world_settings import FactorSettings, WorldSettings
from pulse_assets.simulation.world import Floats

MOST_REASONS = 4
KnownBy = Mapping[str, KnownSeries]
"""Series in silver by name."""


def refuse_missing(
    left_out: Mapping[str, str], settings: WorldSettings, day: np.datetime64, *, none_left: bool
) -> None:
    """Raise if a required variable is left out, or no asset is left.

    Raises
    ------
    ValueError
        With the day and the reasons.
    """
    missing = [name for name in settings.required if name in left_out]
    if missing or none_left:
        every = [f"{name}: {why}" for name, why in left_out.items() if none_left or name in missing]
        reasons = "; ".join(
            [*every[:MOST_REASONS], *([f"and {rest} more"] if (rest := len(every) - MOST_REASONS) > 0 else [])]
        )
        what = f"{', '.join(missing)} is required and missing" if missing else "no asset is left"
        raise ValueError(f"world of {day}: {what} ({reasons}): ingest what is missing, or change the settings")


def stale_reason(values: Values, day: np.datetime64, longest: int) -> str:
    """Return why a series is too old to tell a level, or an empty text."""
    if not len(values.days):
        return f"no value was known by {day}"
    age = int((day - values.days[-1]) / np.timedelta64(1, "D"))
    return f"its last value is of {values.days[-1]}, {age} days old, more than {longest}" if age > longest else ""


def factor_at(known: KnownBy, factor: FactorSettings, day: np.datetime64) -> Values:
    """Return the levels of a factor as they were known on a day.

    Raises
    ------
    ValueError
        A series is missing, or a level does not fit the scale.
    """
    for source in (factor.source, factor.minus):
        if source is not None and source not in known:
            raise ValueError(f"there is no series {source!r}")
    second = None if factor.minus is None else known[factor.minus].by(day)
    return factor_values(factor, known[factor.source].by(day), second)


def asset_series(
    known: KnownBy, settings: WorldSettings, day: np.datetime64, start: np.datetime64, left_out: dict[str, str]
) -> dict[str, tuple[Days, Floats]]:
    """Return days and log returns of the assets that take part, and fill why others do not."""
    found = {}
    for name, source in settings.assets.items():
        if source not in known:
            left_out[name] = f"there is no series {source!r}"
            continue
        values = window(known[source].by(day), start)
        why = stale_reason(values, day, settings.stale_days)
        try:
            days, returns = log_returns(name, values, settings.stale_days)
        except ValueError as error:
            left_out[name] = str(error)
            continue
        inside = days > start
        days, returns = days[inside], returns[inside]
        if not why and len(returns) < settings.min_observations:
            why = f"it has {len(returns)} returns since {start}, fewer than {settings.min_observations}"
        if not why and not np.ptp(returns) > 0:
            why = "it does not move"
        if why:
            left_out[name] = why
        else:
            found[name] = days, returns
    return found


def factor_states(
    known: KnownBy, settings: WorldSettings, day: np.datetime64, left_out: dict[str, str]
) -> list[tuple[FactorSettings, tuple[Days, Floats], float]]:
    """Return the factors that take part, their states on their own days and the steps between two of them."""
    found = []
    for factor in settings.factors:
        try:
            values = factor_at(known, factor, day)
        except ValueError as error:
            left_out[factor.name] = str(error)
            continue
        start = np.busday_offset(day, -(factor.window_days or settings.window_days), roll="backward")
        values = Values(values.days[values.days > start], values.levels[values.days > start])
        why = stale_reason(values, day, factor.stale_days or settings.stale_days)
        if not why and len(values.days) < factor.min_observations:
            why = f"it has {len(values.days)} values since {start}, fewer than {factor.min_observations}"
        if not why and not np.ptp(values.levels) > 0:
            why = "it does not move"
        if why:
            left_out[factor.name] = why
            continue
        states = np.log(values.levels) if factor.scale == "log" else values.levels
        steps = max(float(np.median(np.busday_count(values.days[:-1], values.days[1:]))), 1.0)
        found.append((factor, (values.days, states), steps))
    return found
