"""Series as they were known on a day, and what calibration makes of them: log returns of prices, states of factors.

What belongs here: the rule of what was known when, on arrays. What is estimated from it stands in ``refits``.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.simulation.calibration.world_settings import FactorSettings
from pulse_assets.simulation.world import Floats

Days = npt.NDArray[np.datetime64]
YEAR = np.timedelta64(365, "D")


class Values(NamedTuple):
    """A series: days ``datetime64[D]``, strictly rising, shape ``(n,)``, and levels, shape ``(n,)``."""

    days: Days
    levels: Floats


class Vintages(NamedTuple):
    """A series with its revisions.

    Attributes
    ----------
    known
        Day by the end of which each value was known, ``datetime64[D]``, shape ``(n,)``, in any order.
    days
        Day that it is for, shape ``(n,)``; the value known last is the one that counts.
    levels
        Shape ``(n,)``.
    """

    known: Days
    days: Days
    levels: Floats


class KnownSeries:
    """A series that can be asked what was known of it on a day.

    Parameters
    ----------
    name
        For messages.
    vintages
        With levels that are finite.

    Raises
    ------
    ValueError
        A level is not finite, or the arrays differ in length.
    """

    def __init__(self, name: str, vintages: Vintages) -> None:
        known, days = (np.asarray(each, "datetime64[D]") for each in vintages[:2])
        levels = np.ascontiguousarray(vintages.levels, np.float64)
        _check(name, known, days, levels)
        order = np.lexsort((np.arange(len(days)), days, known))
        self._known, self._days, self._levels = known[order], days[order], levels[order]
        falls = np.flatnonzero(np.diff(self._days) <= np.timedelta64(0, "D"))
        self._rising = int(falls[0]) + 1 if len(falls) else len(days)
        self._cached: tuple[int, Values] | None = None

    def by(self, day: np.datetime64) -> Values:
        """Return what was known by the end of a day; it does not change when later values are added."""
        count = int(np.searchsorted(self._known, day, side="right"))
        if count <= self._rising:
            return Values(self._days[:count], self._levels[:count])
        if self._cached is None or self._cached[0] != count:
            self._cached = count, _newest(self._days[:count], self._levels[:count])
        return self._cached[1]


def at_once(name: str, values: Values) -> KnownSeries:
    """Return a series all of which was known before any day that is asked for.

    Raises
    ------
    ValueError
        Its days do not rise strictly, or a level is not finite.
    """
    days = np.asarray(values[0], "datetime64[D]")
    if not (np.diff(days) > np.timedelta64(0, "D")).all():
        raise ValueError(f"{name}: expected days that rise strictly: sort them and keep one value a day")
    return KnownSeries(name, Vintages(np.full(len(days), np.datetime64("0001-01-01")), days, values[1]))


def window(values: Values, start: np.datetime64) -> Values:
    """Return the values after a day, and the last one before, from which the first change counts."""
    first = max(int(np.searchsorted(values.days, start, side="right")) - 1, 0)
    return Values(values.days[first:], values.levels[first:])


def log_returns(name: str, values: Values, longest_gap: int) -> tuple[Days, Floats]:
    """Return the log return of each price against the one before, on the day of the later.

    Parameters
    ----------
    name
        For messages.
    values
        Prices.
    longest_gap
        Days between two prices beyond which there is no return.

    Returns
    -------
    days, returns
        Shape ``(n - 1,)`` or less; bits do not depend on later prices.

    Raises
    ------
    ValueError
        A price is 0 or less.
    """
    if len(values.levels) and values.levels.min() <= 0:
        place = int(np.argmax(values.levels <= 0))
        raise ValueError(
            f"{name}: expected prices above 0, got {values.levels[place]} on {values.days[place]}: declare it as a "
            "factor on linear scale, or shorten window_days"
        )
    returns = np.empty(max(len(values.levels) - 1, 0))
    _differences_of_logs(np.ascontiguousarray(values.levels), returns)
    near = np.diff(values.days) <= np.timedelta64(longest_gap, "D")
    return values.days[1:][near], returns[near]


def factor_values(factor: FactorSettings, first: Values, second: Values | None) -> Values:
    """Return the levels of a factor: less a second series, or as change against a year before in percent.

    Raises
    ------
    ValueError
        A level is 0 or less although the factor has a log scale.
    """
    days, levels = first
    if second is not None:
        days, mine, theirs = np.intersect1d(first.days, second.days, assume_unique=True, return_indices=True)
        levels = first.levels[mine] - second.levels[theirs]
    if factor.transform == "yoy":
        before = np.searchsorted(days, days - YEAR, side="right") - 1
        has = before >= 0
        days, levels = days[has], 100 * (levels[has] / levels[before[has]] - 1)
    if factor.scale == "log" and len(levels) and levels.min() <= 0:
        place = int(np.argmax(levels <= 0))
        raise ValueError(
            f"{factor.name}: expected levels above 0 on log scale, got {levels[place]} on {days[place]}: make it linear"
        )
    return Values(days, levels)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _differences_of_logs(levels: Floats, returns: Floats) -> None:
    """Fill differences of logarithms one by one, so that no number depends on how many there are."""
    before = math.log(levels[0]) if len(levels) else 0.0
    for i in range(len(returns)):
        now = math.log(levels[i + 1])
        returns[i] = now - before
        before = now


def _newest(days: Days, levels: Floats) -> Values:
    """Return the last value of each day, by day; the input is in order of knowledge."""
    order = np.argsort(days, kind="stable")
    sorted_days = days[order]
    is_last = np.append(sorted_days[1:] != sorted_days[:-1], True)
    return Values(sorted_days[is_last], levels[order][is_last])


def _check(name: str, known: Days, days: Days, levels: Floats) -> None:
    if not known.shape == days.shape == levels.shape or levels.ndim != 1:
        raise ValueError(f"{name}: expected as many days as levels, got {known.shape}, {days.shape}, {levels.shape}")
    wrong = ~np.isfinite(levels) | np.isnat(days) | np.isnat(known)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise ValueError(
            f"{name}: expected finite levels, got {levels[place]} on {days[place]}: take the row out of the series"
        )
