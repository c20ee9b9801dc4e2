"""From bronze rows to silver series: flags, partitions of first knowledge, and nothing from the future."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.signals.silver import first_missing, to_series
from pulse_assets.signals.tables import MACRO_VINTAGES, MARKET_BARS, SERIES
from pulse_resources.lake.partitions import weekdays

START = date(2024, 1, 1)
LAST = date(2024, 2, 16)
TRAITS = {"unit": "USD", "freq": "B", "calendar": "weekday", "source": "s", "known_at_basis": "assumed"}
MARCH = datetime(2024, 3, 1, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def bar(ds: str, close: float, known_at: str | None = None, **traits: object) -> dict[str, object]:
    """Return a bar of AAA, known at ten in the evening unless said otherwise."""
    known = utc(known_at) if known_at else utc(ds) + timedelta(hours=22)
    row = {"symbol": "AAA", "ds": utc(ds), "close": close, "known_at": known, "received_at": MARCH, "kind": "price"}
    return row | TRAITS | traits


def silver(*bars: dict[str, object], first: date = START, last: date = LAST, start: date = START) -> pa.Table:
    rows = MARKET_BARS.cast(pa.Table.from_pylist(list(bars))) if bars else MARKET_BARS.empty()
    return to_series(rows, MACRO_VINTAGES.empty(), first, last, start)


def flags(*bars: dict[str, object]) -> list[str]:
    """Return the flags in order of knowledge."""
    return silver(*bars).sort_by([("known_at", "ascending"), ("ds", "ascending")])["flags"].to_pylist()


def partitions(*bars: dict[str, object], start: date = START) -> list[str]:
    return [str(day) for day in silver(*bars, start=start)["as_of"].to_pylist()]


def test_bars_and_vintages_become_one_table_with_one_id_space() -> None:
    vintage = {"series_id": "CPI", "ds": utc("2024-01-01"), "value": 308.4, "known_at": utc("2024-02-13")}
    vintage |= TRAITS | {"kind": "macro", "freq": "MS", "received_at": MARCH}
    rows = to_series(
        MARKET_BARS.cast(pa.Table.from_pylist([bar("2024-01-02", 10.0)])),
        MACRO_VINTAGES.cast(pa.Table.from_pylist([vintage])),
        START,
        LAST,
        START,
    )
    stored = SERIES.cast(rows)
    assert dict(zip(stored["unique_id"].to_pylist(), stored["y"].to_pylist(), strict=True)) == {
        "s:AAA": 10.0,
        "s:CPI": 308.4,
    }
    assert SERIES.broken_rules(stored) == {}


def test_no_rows_give_no_rows() -> None:
    assert len(silver()) == 0


def test_ordinary_neighbours_have_no_flag_even_over_a_weekend() -> None:
    assert flags(bar("2024-01-04", 10), bar("2024-01-05", 10.1), bar("2024-01-08", 9.9)) == ["", "", ""]


def test_a_missing_day_is_a_gap_before_the_next_row() -> None:
    assert flags(bar("2024-01-02", 10), bar("2024-01-04", 10)) == ["", "gap"]


def test_a_holiday_of_its_exchange_is_no_gap_for_a_series() -> None:
    on_exchange = {"calendar": "XNYS"}
    assert flags(bar("2024-01-12", 10, **on_exchange), bar("2024-01-16", 10, **on_exchange)) == ["", ""]
    assert flags(bar("2024-01-12", 10), bar("2024-01-16", 10)) == ["", "gap"]


def test_a_price_that_halves_or_doubles_may_be_a_split_and_stays_as_it_came() -> None:
    bars = (bar("2024-01-02", 100), bar("2024-01-03", 50.5), bar("2024-01-04", 152), bar("2024-01-05", 98))
    assert flags(*bars) == ["", "suspected_split", "suspected_split", ""]
    assert silver(*bars)["y"].to_pylist() == [100, 50.5, 152, 98]


def test_only_a_price_can_be_split() -> None:
    assert flags(bar("2024-01-02", 100, kind="rate"), bar("2024-01-03", 50, kind="rate")) == ["", ""]


def test_zero_and_negative_values_are_no_split() -> None:
    assert flags(bar("2024-01-02", 0), bar("2024-01-03", 2), bar("2024-01-04", -4)) == ["", "", ""]


def test_another_value_for_a_known_event_time_is_a_revision() -> None:
    assert flags(bar("2024-01-02", 10), bar("2024-01-03", 10), bar("2024-01-02", 11, "2024-01-05")) == [
        "",
        "",
        "revision",
    ]


def test_an_event_time_that_comes_after_a_later_one_is_late() -> None:
    assert flags(bar("2024-01-02", 10), bar("2024-01-04", 10), bar("2024-01-03", 10, "2024-01-08")) == [
        "",
        "gap",
        "late",
    ]


def test_a_row_is_not_compared_with_another_series() -> None:
    assert flags(bar("2024-01-02", 10), bar("2024-01-09", 20, symbol="BBB")) == ["", ""]


def test_what_becomes_known_at_a_weekend_is_in_the_partition_of_monday() -> None:
    friday_night, saturday = bar("2024-01-05", 1), bar("2024-01-05", 1, "2024-01-06", symbol="BBB")
    sunday = bar("2024-01-05", 1, "2024-01-07T23:59", symbol="CCC")
    assert partitions(friday_night, saturday, sunday) == ["2024-01-05", "2024-01-08", "2024-01-08"]


def test_what_was_known_before_the_start_is_in_the_first_partition() -> None:
    early, on_start = bar("2023-05-02", 1), bar("2024-01-15", 1)
    assert partitions(early, on_start, start=date(2024, 1, 15)) == ["2024-01-15", "2024-01-15"]


VALUES = st.sampled_from([1.0, 2.0, 2.01, 10.0, 0.5])
ROWS = st.lists(
    st.tuples(st.sampled_from(["AAA", "BBB"]), st.integers(0, 40), VALUES, st.integers(0, 60)),
    max_size=25,
    unique_by=lambda row: (row[0], row[1], row[1] + row[3] // 20),
)


def as_bars(rows: list[tuple[str, int, float, int]]) -> list[dict[str, object]]:
    """Turn symbol, day, value and hours until known into bars."""
    return [
        bar(
            str(START + timedelta(days=day)),
            value,
            str(datetime(2024, 1, 1) + timedelta(days=day + hours // 20, hours=hours % 20)),  # noqa: DTZ001 - utc() adds it
            symbol=symbol,
        )
        for symbol, day, value, hours in rows
    ]


def sorted_rows(rows: pa.Table) -> list[dict[str, object]]:
    return sorted(rows.to_pylist(), key=lambda row: (row["unique_id"], row["ds"], row["known_at"]))


def known_by(bars: list[dict[str, object]], day: date) -> list[dict[str, object]]:
    end = datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
    return [row for row in bars if row["known_at"] < end]


@settings(max_examples=12)
@given(ROWS)
def test_a_range_is_the_concatenation_of_its_days(rows: list[tuple[str, int, float, int]]) -> None:
    bars = as_bars(rows)
    whole = silver(*known_by(bars, LAST))
    daily = [silver(*known_by(bars, day), first=day, last=day) for day in weekdays(START, LAST)]
    assert sorted_rows(whole) == sorted_rows(pa.concat_tables([rows for rows in daily if len(rows)] or [whole]))


@settings(max_examples=25)
@given(ROWS, st.integers(0, 2**32 - 1))
def test_what_becomes_known_later_changes_nothing(rows: list[tuple[str, int, float, int]], seed: int) -> None:
    bars = as_bars(rows)
    middle = date(2024, 1, 24)
    known = known_by(bars, middle)
    later = [
        row | {"close": value} for row, value in zip(bars, np.random.default_rng(seed).random(len(bars)), strict=True)
    ]
    later = [row for row in later if row not in known and row["known_at"] >= utc("2024-01-25")]
    assert sorted_rows(silver(*known, *later, last=middle)) == sorted_rows(silver(*known, last=middle))


@settings(max_examples=25)
@given(ROWS)
def test_every_row_is_in_exactly_one_partition(rows: list[tuple[str, int, float, int]]) -> None:
    bars = as_bars(rows)
    assert len(silver(*bars, last=date(2024, 12, 31))) == len(bars)


def test_the_first_partition_that_a_table_lacks_is_found() -> None:
    rows = silver(bar("2024-01-02", 1), bar("2024-01-03", 1), bar("2024-01-04", 1))
    keys = rows.select(["unique_id", "ds", "known_at"])
    assert first_missing(rows, keys) is None
    assert first_missing(rows, keys.slice(0, 1)) == date(2024, 1, 3)
    assert first_missing(rows, keys.slice(0, 0)) == date(2024, 1, 2)
    assert first_missing(rows.slice(0, 0), keys) is None
