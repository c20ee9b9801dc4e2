"""Steps of a series, against exchange sessions and pandas offsets."""

from datetime import date

import exchange_calendars as exchanges
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.signals.calendars import add_steps, business_days, infer_freq, partition_days, steps_between

OFFSETS = {
    "h": lambda n: pd.Timedelta(hours=n),
    "D": lambda n: pd.Timedelta(days=n),
    "W": lambda n: pd.Timedelta(weeks=n),
    "MS": lambda n: pd.DateOffset(months=n),
    "QS": lambda n: pd.DateOffset(months=3 * n),
    "YS": lambda n: pd.DateOffset(years=n),
    "B": lambda n: pd.offsets.BDay(n),
}
DAYS = st.dates(date(1990, 1, 1), date(2040, 12, 31))


def moments(*texts: object) -> np.ndarray:
    return np.array([str(text) for text in texts], "datetime64[us]")


@pytest.fixture(scope="module")
def sessions() -> np.ndarray:
    """Sessions of the New York Stock Exchange, 2000–2024."""
    calendar = exchanges.get_calendar("XNYS", start="2000-01-03", end="2024-12-31")
    return np.asarray(calendar.sessions.to_numpy("datetime64[us]"))


def test_the_next_step_is_the_next_session_unless_a_closure_was_not_foreseen(sessions: np.ndarray) -> None:
    calendar = exchanges.get_calendar("XNYS")
    unforeseen = {np.datetime64(day.date(), "us") for day in calendar.adhoc_holidays}
    ahead = add_steps(sessions[:-1], 1, "B", "XNYS")
    wrong = ahead != sessions[1:]
    assert set(ahead[wrong]) <= unforeseen
    assert wrong.sum() < 15


def test_neighbouring_sessions_are_one_step_apart_whatever_closed_the_exchange(sessions: np.ndarray) -> None:
    assert (steps_between(sessions[:-1], sessions[1:], "B", "XNYS") == 1).all()


def test_many_sessions_are_counted_one_by_one(sessions: np.ndarray) -> None:
    first = np.repeat(sessions[0], len(sessions))
    assert (steps_between(first, sessions, "B", "XNYS") == np.arange(len(sessions))).all()


def test_hurricane_sandy_is_not_foreseen_but_is_no_gap_afterwards() -> None:
    before, after = moments("2012-10-26"), moments("2012-10-31")
    assert add_steps(before, 1, "B", "XNYS") == moments("2012-10-29")
    assert steps_between(before, after, "B", "XNYS") == 1


@pytest.mark.parametrize(
    ("friday", "session"),
    [("2022-12-30", "2023-01-03"), ("2024-03-28", "2024-04-01"), ("2024-08-30", "2024-09-03")],
    ids=["new year on a Sunday", "good friday", "labor day"],
)
def test_holidays_are_skipped(friday: str, session: str) -> None:
    assert add_steps(moments(friday), 1, "B", "XNYS") == moments(session)
    assert add_steps(moments(friday), 1, "B", "weekday") != moments(session)


@given(DAYS, st.integers(1, 400), st.sampled_from(["h", "D", "W", "B"]), st.integers(0, 23))
def test_steps_are_those_of_pandas(day: date, count: int, freq: str, hour: int) -> None:
    start = pd.Timestamp(day) + pd.Timedelta(hours=hour)
    expected = moments(start + OFFSETS[freq](count))
    assert add_steps(moments(start), count, freq, "none") == expected
    if freq != "B" or start.weekday() < 5:
        assert steps_between(moments(start), expected, freq, "none") == count


@given(st.dates(date(1990, 1, 1), date(2040, 12, 31)), st.integers(1, 60), st.sampled_from(["MS", "QS", "YS"]))
def test_months_quarters_and_years_are_those_of_pandas(day: date, count: int, freq: str) -> None:
    start = pd.Timestamp(day.replace(day=min(day.day, 27)))
    expected = moments(start + OFFSETS[freq](count))
    assert add_steps(moments(start), count, freq, "none") == expected
    assert steps_between(moments(start), expected, freq, "none") == count


@given(st.dates(date(1990, 1, 1), date(2040, 12, 31)), st.integers(1, 60), st.sampled_from(["MS", "QS"]))
def test_a_series_at_the_end_of_months_stays_there(day: date, count: int, freq: str) -> None:
    end = pd.Timestamp(day) + pd.offsets.MonthEnd(0)
    months = count * (3 if freq == "QS" else 1)
    expected = moments(end + pd.offsets.MonthEnd(months))
    assert add_steps(moments(end), count, freq, "none") == expected
    assert steps_between(moments(end), expected, freq, "none") == count


def test_a_day_that_the_month_lacks_becomes_its_last() -> None:
    assert add_steps(moments("2024-01-30"), 1, "MS", "none") == moments("2024-02-29")


def test_the_time_of_day_is_kept() -> None:
    for freq in ("B", "D", "W", "MS"):
        assert str(add_steps(moments("2024-01-05T17:30"), 1, freq, "none")[0]).endswith("T17:30:00.000000")


def test_event_times_and_steps_broadcast() -> None:
    ahead = add_steps(moments("2024-01-01", "2024-01-05")[:, None], np.arange(1, 4), "B", "weekday")
    assert ahead.shape == (2, 3)
    assert (ahead[1] == moments("2024-01-08", "2024-01-09", "2024-01-10")).all()


def test_an_exchange_with_another_week_trades_on_its_own_days() -> None:
    thursday = moments("2024-01-04")
    assert add_steps(thursday, 1, "B", "XSAU") == moments("2024-01-07")


@pytest.mark.parametrize("code", ["24/7", "24/5", "XLON", "CMES"])
def test_every_calendar_of_the_library_is_understood(code: str) -> None:
    assert steps_between(moments("2024-01-09"), moments("2024-01-10"), "B", code) == 1
    assert business_days(code) is business_days(code)


def test_an_unknown_exchange_says_what_to_write_instead() -> None:
    with pytest.raises(ValueError, match="'XNYSE' is none; use `weekday`, `none` or an exchange code"):
        business_days("XNYSE")


@pytest.mark.parametrize(
    ("freq", "count"), [("h", 200), ("D", 60), ("B", 60), ("W", 40), ("MS", 40), ("QS", 20), ("YS", 12)]
)
def test_frequency_is_inferred_from_event_times(freq: str, count: int) -> None:
    ds = pd.date_range("2010-01-01", periods=count, freq=freq).to_numpy("datetime64[us]")
    assert infer_freq(ds) == freq
    assert infer_freq(ds[::-1]) == freq


def test_sessions_with_holidays_are_business_days(sessions: np.ndarray) -> None:
    assert infer_freq(sessions[:60]) == "B"


def test_one_event_time_or_none_says_nothing_about_frequency() -> None:
    assert infer_freq(moments("2024-01-01", "2024-01-01")) == infer_freq(moments()) == "D"


def test_what_becomes_known_at_a_weekend_belongs_to_monday() -> None:
    known = moments("2024-01-05T23:59", "2024-01-06", "2024-01-07T23:59:59", "2024-01-08", "1980-01-01")
    days = partition_days(known, np.datetime64("1990-01-01"))
    expected = ["2024-01-05", "2024-01-08", "2024-01-08", "2024-01-08", "1990-01-01"]
    assert [str(day) for day in days] == expected
