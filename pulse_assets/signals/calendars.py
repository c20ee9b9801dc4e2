"""Steps of a series: which days its calendar expects, next and in between. Pure; nothing of any series' values."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Dates = npt.NDArray[np.datetime64]
Ints = npt.NDArray[np.int64]

STEPS_A_YEAR = {"h": 8760.0, "D": 365.25, "B": 261.0, "W": 52.18, "MS": 12.0, "QS": 4.0, "YS": 1.0}
"""Known frequencies and how many of their steps a year has."""
MONTHS = {"MS": 1, "QS": 3, "YS": 12}
DAYS = {"D": 1, "W": 7}


@lru_cache(maxsize=16)
def business_days(calendar: str, *, scheduled_only: bool = True) -> np.busdaycalendar:
    """Return the days on which an exchange trades, 1950–2060: weekdays, unless its week is another.

    Parameters
    ----------
    calendar
        Exchange code of exchange-calendars, or ``weekday`` / ``none`` for every weekday.
    scheduled_only
        Leave out closures that were decided on short notice: a forecast made before them did not know of them.

    Raises
    ------
    ValueError
        No exchange has that code.
    """
    if calendar in ("weekday", "none"):
        return np.busdaycalendar()
    import exchange_calendars as exchanges

    try:
        exchange = exchanges.get_calendar(calendar)
    except exchanges.errors.InvalidCalendarName as error:
        raise ValueError(
            f"calendar {calendar!r} is none; use `weekday`, `none` or an exchange code such as XNYS"
        ) from error
    regular = exchange.regular_holidays  # None for calendars such as 24/7
    holidays = [] if regular is None else list(regular.holidays("1950-01-01", "2060-12-31").to_numpy("datetime64[D]"))
    if not scheduled_only:
        holidays += [np.datetime64(day.date(), "D") for day in exchange.adhoc_holidays]
    return np.busdaycalendar(weekmask=exchange.weekmask, holidays=holidays)


def add_steps(ds: Dates, steps: Ints | int, freq: str, calendar: str) -> Dates:
    """Return the event times some steps of the frequency later.

    Parameters
    ----------
    ds
        Event times, ``datetime64[us]``, any shape that broadcasts with ``steps``.
    steps
        Steps ahead, at least 1.
    freq, calendar
        See :data:`STEPS_A_YEAR` and :func:`business_days`.

    Returns
    -------
    array of datetime64[us]
        Time of day, and for months the day of the month, as in ``ds``; the last day of a month stays the last.

    Examples
    --------
    >>> friday = np.array(["2022-12-30"], "datetime64[us]")
    >>> str(add_steps(friday, 1, "B", "XNYS")[0])[:10]
    '2023-01-03'
    """
    days = ds.astype("datetime64[D]")
    rest = ds - days
    if freq == "B":
        ahead = np.busday_offset(days, steps, roll="backward", busdaycal=business_days(calendar))
        return np.asarray(ahead.astype("datetime64[us]") + rest)
    if freq in MONTHS:
        return np.asarray(_add_months(days, np.asarray(steps) * MONTHS[freq]).astype("datetime64[us]") + rest)
    if freq == "h":
        return np.asarray(ds + np.asarray(steps) * np.timedelta64(1, "h"))
    return np.asarray(ds + np.asarray(steps) * np.timedelta64(DAYS[freq], "D"))


def _add_months(days: Dates, count: Ints) -> Dates:
    """Return the same day of a later month; the last day of a month, and a day that month lacks, give its last."""
    months = days.astype("datetime64[M]")
    within = days - months.astype("datetime64[D]")
    was_last = (days + 1).astype("datetime64[M]") > months
    later = months + count
    last = (later + 1).astype("datetime64[D]") - 1
    return np.asarray(np.where(was_last, last, np.minimum(later.astype("datetime64[D]") + within, last)))


def steps_between(earlier: Dates, later: Dates, freq: str, calendar: str) -> Ints:
    """Return how many steps of the frequency lie between two event times (1 for neighbours).

    Unscheduled closures count as no step: by ``later`` they are history.
    """
    first, last = earlier.astype("datetime64[D]"), later.astype("datetime64[D]")
    if freq == "B":
        days = np.busday_count(first, last, busdaycal=business_days(calendar, scheduled_only=False))
        return np.asarray(days, np.int64)
    if freq in MONTHS:
        months = (last.astype("datetime64[M]") - first.astype("datetime64[M]")).astype(np.int64)
        return np.asarray(months // MONTHS[freq], np.int64)
    if freq == "h":
        return np.asarray((later - earlier) // np.timedelta64(1, "h"), np.int64)
    return np.asarray((last - first).astype(np.int64) // DAYS[freq], np.int64)


def infer_freq(ds: Dates, default: str = "D") -> str:
    """Return the frequency of event times from the median distance of the first thirty; ``default`` for one alone.

    Only the first thirty are looked at, so that what comes later changes nothing of what was computed before.
    """
    first = np.unique(ds)[:30]
    if len(first) < 2:
        return default
    days = float(np.median(np.diff(first) / np.timedelta64(1, "D")))
    if days < 0.5:
        return "h"
    if days <= 3:
        weekend = np.is_busday(first.astype("datetime64[D]"), weekmask="0000011")
        return "D" if weekend.any() else "B"
    limits = (("W", 10.0), ("MS", 60.0), ("QS", 200.0))
    return next((freq for freq, limit in limits if days <= limit), "YS")


def partition_days(known_at: Dates, first: np.datetime64) -> Dates:
    """Return the weekday partition on which something known at these moments is first visible (``datetime64[D]``).

    A moment at the weekend belongs to Monday; whatever was known before the first partition belongs to it.
    """
    days = np.busday_offset(known_at.astype("datetime64[D]"), 0, roll="forward")
    return np.maximum(days, first.astype("datetime64[D]"))
