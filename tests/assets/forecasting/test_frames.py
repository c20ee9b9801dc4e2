"""Reading anyone's table: a slow reader, every reason a series can have, and every error a table can cause."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting.frames import (
    ALIASES,
    FATAL,
    GAP_POLICIES,
    REASONS,
    Series,
    frequency,
    read_series,
)
from pulse_assets.signals.calendars import STEPS_A_YEAR, add_steps

NAN = math.nan
Row = tuple[str, int, float]


def table(rows: list[Row], **more: list[object]) -> pa.Table:
    """A long table with integer stamps."""
    ids, ds, y = zip(*rows, strict=True)
    return pa.table({"unique_id": list(ids), "ds": list(ds), "y": pa.array(y, pa.float64()), **more})


def stamped(ds: object, y: list[float] | None = None) -> pa.Table:
    """One series with stamps of any type."""
    return pa.table({"unique_id": ["a"] * len(ds), "ds": ds, "y": y or [float(k) for k in range(len(ds))]})  # type: ignore[arg-type]


def as_dict(series: Series) -> dict[str, tuple[list[float], int]]:
    parts = np.split(series.values, series.offsets[1:-1]) if len(series) else []
    return {
        str(name): (part.tolist(), int(newest))
        for name, part, newest in zip(series.ids, parts, series.newest, strict=True)
    }


def slow_read(rows: list[Row], policy: str) -> tuple[dict[str, tuple[list[float], int]], dict[str, str]]:
    """Read row by row: one dictionary a series."""
    found, reasons = {}, {}
    for name in sorted({row[0] for row in rows}):
        mine = [(ds, y) for n, ds, y in rows if n == name]
        finite = dict(sorted((ds, y) for ds, y in mine if math.isfinite(y)))
        steps = list(finite)
        if not finite:
            reasons[name] = "NO_VALUES"
        elif len(mine) > len({ds for ds, _ in mine}):
            reasons[name] = "DUPLICATE_STAMPS"
        elif len(steps) <= steps[-1] - steps[0] and policy == "none":
            reasons[name] = "HAS_GAPS"
        else:
            values = [finite[steps[0]]]
            for step in range(steps[0] + 1, steps[-1] + 1):
                values.append(finite.get(step, 0.0 if policy == "zero" else values[-1]))
            found[name] = (values, steps[-1])
            if len(steps) < len(values):
                reasons[name] = "GAPS_FILLED"
    return found, reasons


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "B", "10", "9", "é"]),
        st.integers(-6, 12),
        st.one_of(st.floats(-1e6, 1e6), st.sampled_from([NAN, math.inf])),
    ),
    min_size=1,
    max_size=40,
)


@given(ROWS, st.sampled_from(GAP_POLICIES))
@settings(max_examples=200)
def test_a_table_is_read_as_row_by_row(rows: list[Row], policy: str) -> None:
    series = read_series(table(rows), "D", gap_policy=policy)
    found, reasons = slow_read(rows, policy)
    assert as_dict(series) == found
    assert dict(series.reasons) == reasons
    assert series.ids.tolist() == sorted(found)
    assert np.isfinite(series.values).all()


@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 40))
@settings(max_examples=60)
def test_neither_order_nor_partition_of_rows_matters(rows: list[Row], random: object, size: int) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    parts = [table(shuffled[low : low + size]) for low in range(0, len(rows), size)]
    ours, theirs = read_series(table(rows), "D"), read_series(pa.concat_tables(parts), "D")
    assert ours.values.tobytes() == theirs.values.tobytes()
    assert as_dict(ours) == as_dict(theirs)
    assert ours.ids.tolist() == theirs.ids.tolist()
    assert ours.newest.tolist() == theirs.newest.tolist()
    assert dict(ours.reasons) == dict(theirs.reasons)


VINTAGES = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.integers(0, 8)), min_size=1, max_size=30, unique=True
)


@given(VINTAGES, st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_with_known_at_the_value_known_last_counts(keys: list[tuple[str, int, int]], random: object) -> None:
    rows = [(name, ds, known, float(number)) for number, (name, ds, known) in enumerate(keys)]
    latest: dict[tuple[str, int], tuple[int, float]] = {}
    for name, ds, known, y in rows:
        latest[name, ds] = max(latest.get((name, ds), (-1, 0.0)), (known, y))
    random.shuffle(rows)  # type: ignore[attr-defined]
    at = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=known) for _, _, known, _ in rows]
    series = read_series(table([(name, ds, y) for name, ds, _, y in rows], known_at=list(at)), "D")
    expected, _ = slow_read([(name, ds, y) for (name, ds), (_, y) in latest.items()], "ffill")
    assert as_dict(series) == expected


@pytest.mark.parametrize("known", [datetime(2024, 1, 1, tzinfo=UTC), None])
def test_two_values_known_at_once_are_duplicates_whatever_their_order(known: datetime | None) -> None:
    rows = [("a", 1, 5.0), ("a", 1, 6.0), ("a", 2, 7.0), ("b", 1, 1.0)]
    for some in (rows, rows[::-1]):
        series = read_series(table(some, known_at=pa.array([known] * 4, pa.timestamp("us", "UTC"))), "D")
        assert dict(series.reasons) == {"a": "DUPLICATE_STAMPS"}
        assert as_dict(series) == {"b": ([1.0], 1)}


def test_a_tie_that_a_later_value_settles_is_no_duplicate() -> None:
    at = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 1, 2)]
    series = read_series(table([("a", 1, 5.0), ("a", 1, 6.0), ("a", 1, 7.0)], known_at=list(at)), "D")
    assert as_dict(series) == {"a": ([7.0], 1)}


FAULTS: dict[str, tuple[list[Row], str, str]] = {
    "duplicate": ([("a", 1, 1.0), ("a", 1, 1.0), ("a", 2, 2.0)], "ffill", "DUPLICATE_STAMPS"),
    "nan_beside_value": ([("a", 1, 1.0), ("a", 1, NAN)], "ffill", "DUPLICATE_STAMPS"),
    "all_nan": ([("a", 1, NAN), ("a", 2, NAN)], "ffill", "NO_VALUES"),
    "all_infinite": ([("a", 1, math.inf), ("a", 2, -math.inf)], "ffill", "NO_VALUES"),
    "gap": ([("a", 1, 1.0), ("a", 4, 2.0)], "ffill", "GAPS_FILLED"),
    "gap_zero": ([("a", 1, 1.0), ("a", 4, 2.0)], "zero", "GAPS_FILLED"),
    "gap_refused": ([("a", 1, 1.0), ("a", 4, 2.0)], "none", "HAS_GAPS"),
    "nan_inside": ([("a", 1, 1.0), ("a", 2, NAN), ("a", 3, 2.0)], "ffill", "GAPS_FILLED"),
    "two_a_step": ([("a", 1, 1.0), ("a", 1, NAN), ("a", 1, 2.0)], "ffill", "DUPLICATE_STAMPS"),
    "mostly_gaps": ([("a", 1, 1.0), ("a", 2_000, 2.0)], "ffill", "HAS_GAPS"),
    "many_gaps": ([("a", 1, 1.0), ("a", 900, 2.0)], "ffill", "GAPS_FILLED"),
    "nan_refused": ([("a", 1, 1.0), ("a", 2, NAN), ("a", 3, 2.0)], "none", "HAS_GAPS"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_one_series_is_its_reason_and_costs_no_other(fault: str) -> None:
    rows, policy, reason = FAULTS[fault]
    good: list[Row] = [(name, k, float(k)) for name in ("0", "z") for k in range(5)]
    series = read_series(table([*good, *rows]), "D", gap_policy=policy)
    assert dict(series.reasons) == {"a": reason}
    assert reason in REASONS
    assert ("a" in as_dict(series)) == (reason not in FATAL)
    alone = as_dict(read_series(table(good), "D", gap_policy=policy))
    assert {name: as_dict(series)[name] for name in ("0", "z")} == alone


@pytest.mark.parametrize(
    ("freq", "ds"),
    [
        ("D", ["2024-01-01T06:00", "2024-01-01T18:00", "2024-01-02T06:00"]),
        ("MS", ["2024-01-01", "2024-01-02", "2024-02-01"]),
        ("B", ["2024-01-05", "2024-01-06", "2024-01-07"]),
        ("W", ["2024-01-01", "2024-01-04", "2024-01-08"]),
    ],
)
def test_several_values_within_one_step_are_too_fine(freq: str, ds: list[str]) -> None:
    series = read_series(stamped(ds), freq)
    assert dict(series.reasons) == {"a": "TOO_FINE"}
    assert len(series) == len(series.values) == 0


def test_every_reason_is_told_in_words() -> None:
    assert set(FATAL) < set(REASONS)
    assert all(words for words in REASONS.values())


def test_missing_values_before_the_first_and_after_the_last_are_no_gaps() -> None:
    series = read_series(table([("a", 1, NAN), ("a", 2, 5.0), ("a", 3, 6.0), ("a", 4, NAN)]), "D", gap_policy="none")
    assert as_dict(series) == {"a": ([5.0, 6.0], 3)}


@pytest.mark.parametrize(
    ("ds", "newest"),
    [
        (["2024-02-28", "2024-02-29"], "2024-02-29"),
        (["2024-02-28T06:00", "2024-02-29T06:00"], "2024-02-29T06:00"),
        (["2024-02-28 06:00:00", "2024-02-29"], "2024-02-29"),
        (["2024-02-28T00:00:00.5", "2024-02-29T00:00:00.25"], "2024-02-29T00:00:00.25"),
        (["2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z"], "2024-02-29"),
        (["2024-02-28T00:00:00+02:00", "2024-02-29T00:00:00+02:00"], "2024-02-29"),
        (["2024-02-28T00:00-0500", "2024-02-29T00:00-0500"], "2024-02-29"),
        ([date(2024, 2, 28), date(2024, 2, 29)], "2024-02-29"),
        ([np.datetime64("2024-02-28", "us").item(), np.datetime64("2024-02-29", "us").item()], "2024-02-29"),
        ([datetime(2024, 2, 28, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)], "2024-02-29"),
        ([datetime(2024, 2, day, tzinfo=ZoneInfo("Europe/Paris")) for day in (28, 29)], "2024-02-29"),
        (np.array(["2024-02-28", "2024-02-29"], "datetime64[ns]"), "2024-02-29"),
        (np.array(["2024-02-28", "2024-02-29"], "datetime64[s]"), "2024-02-29"),
    ],
    ids=str,
)
def test_stamps_of_any_type_are_read_as_the_clock_showed_them(ds: object, newest: str) -> None:
    series = read_series(stamped(ds), "D")
    assert series.stamps == "datetime"
    assert series.newest.astype("datetime64[us]").tolist() == np.array([newest], "datetime64[us]").tolist()
    assert series.values.tolist() == [0, 1]
    large = stamped(ds)
    if pa.types.is_string(large["ds"].type):
        large = large.set_column(1, "ds", large["ds"].cast(pa.large_string()))
        assert as_dict(read_series(large, "D")) == as_dict(series)


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.int64(), pa.uint16()])
def test_integer_stamps_count_steps(kind: pa.DataType) -> None:
    series = read_series(stamped(pa.array([3, 4, 6], kind)), "QS")
    assert (series.stamps, series.newest.tolist(), series.values.tolist()) == ("integer", [6], [0, 1, 1, 2])


@pytest.mark.parametrize("kind", [pa.float32(), pa.int16(), pa.decimal128(10, 2), pa.uint8()])
def test_any_numbers_are_values(kind: pa.DataType) -> None:
    y = pa.array([1, 2, None], pa.float64()).cast(kind, safe=False)
    series = read_series(pa.table({"unique_id": ["a"] * 3, "ds": [1, 2, 3], "y": y}), "D")
    assert series.values.tolist() == [1, 2]


@pytest.mark.parametrize(
    "ids", [[10, 9], pa.array(["10", "9"]).dictionary_encode(), pa.array(["10", "9"], pa.large_string())]
)
def test_ids_of_any_type_are_text(ids: object) -> None:
    series = read_series(pa.table({"unique_id": ids, "ds": [1, 1], "y": [10.0, 9.0]}), "D")
    assert as_dict(series) == {"10": ([10.0], 1), "9": ([9.0], 1)}


def test_words_of_a_dictionary_that_no_row_uses_are_no_series() -> None:
    rows = table([("gone", 1, 1.0), ("a", 1, 2.0)])
    coded = rows.set_column(0, "unique_id", rows["unique_id"].dictionary_encode()).slice(1)
    series = read_series(coded, "D")
    assert as_dict(series) == {"a": ([2.0], 1)}
    assert dict(series.reasons) == {}


@pytest.mark.parametrize("freq", STEPS_A_YEAR)
def test_neighbours_of_a_frequency_are_no_gap_and_what_is_left_out_is_one(freq: str) -> None:
    start = np.datetime64("2024-01-01T00:00", "us")
    ds = np.append(start, add_steps(np.full(29, start), np.arange(1, 30), freq, "weekday"))
    whole = read_series(stamped(ds), freq, gap_policy="none")
    assert whole.values.tolist() == list(range(30))
    holed = read_series(stamped(np.delete(ds, [7, 8]), [float(k) for k in range(30) if k not in (7, 8)]), freq)
    assert holed.values.tolist() == [*range(7), 6, 6, *range(9, 30)]
    assert dict(holed.reasons) == {"a": "GAPS_FILLED"}


def test_month_ends_are_one_month_apart() -> None:
    ends = ["2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"]
    assert len(read_series(stamped(ends), "ME", gap_policy="none").values) == 5


def test_weekends_are_no_gap_of_weekdays() -> None:
    assert len(read_series(stamped(["2024-01-05", "2024-01-08"]), "B", gap_policy="none").values) == 2


@pytest.mark.parametrize("name", [*ALIASES, "W-SUN", "QS-OCT", "A-DEC"])
def test_known_frequencies_are_known_to_the_calendars(name: str) -> None:
    assert frequency(name) in STEPS_A_YEAR


@pytest.mark.parametrize("name", ["", "5min", "d", "weekly", "-D", "T"])
def test_unknown_frequencies_name_those_that_are_known(name: str) -> None:
    with pytest.raises(ValueError, match=r"not known; use one of .*MS"):
        frequency(name)


GOOD = table([("a", 1, 1.0), ("a", 2, 2.0)])
ERRORS: dict[str, tuple[Callable[[], pa.Table], str]] = {
    "no_column": (lambda: GOOD.drop_columns(["y"]), "lacks y; it has unique_id, ds"),
    "no_columns": (lambda: pa.table({"x": [1]}), "lacks unique_id, ds, y"),
    "no_rows": (lambda: GOOD.slice(0, 0), "no rows"),
    "no_id": (lambda: GOOD.set_column(0, "unique_id", pa.array(["a", None])), "unique_id is missing in 1 rows"),
    "no_stamp": (lambda: GOOD.set_column(1, "ds", pa.array([1, None])), "ds is missing in 1 rows"),
    "stamps_of_nothing": (lambda: stamped(pa.nulls(2)), "ds is missing in 2 rows"),
    "words_for_values": (lambda: GOOD.set_column(2, "y", pa.array(["1", "x"])), "y must be numbers"),
    "lists_for_values": (lambda: GOOD.set_column(2, "y", pa.array([[1.0], [2.0]])), "y must be numbers"),
    "fractions_for_stamps": (lambda: stamped([1.5, 2.5]), "ds must be timestamps, dates, ISO text or integers"),
    "words_for_stamps": (lambda: stamped(["yesterday", "today"]), "no ISO date or time"),
    "a_month_too_many": (lambda: stamped(["2024-12-01", "2024-13-01"]), "no ISO date or time"),
    "zone_and_none": (lambda: stamped(["2024-01-01T00:00Z", "2024-01-02T00:00"]), "mixes time zones"),
    "two_zones": (lambda: stamped(["2024-01-01T00:00+02:00", "2024-01-02T00:00+03:00"]), "mixes time zones"),
    "offset_and_none": (lambda: stamped(["2024-01-01T00:00+02:00", "2024-01-02T00:00"]), "mixes time zones"),
}


@pytest.mark.parametrize("fault", ERRORS)
def test_a_fault_of_the_table_is_an_error_that_says_what_came(fault: str) -> None:
    make, message = ERRORS[fault]
    with pytest.raises(ValueError, match=message):
        read_series(make(), "D")


def test_unknown_options_are_errors() -> None:
    with pytest.raises(ValueError, match="gap policy 'mean' is not known; use one of ffill, zero, none"):
        read_series(GOOD, "D", gap_policy="mean")
    with pytest.raises(ValueError, match="frequency '5min' is not known"):
        read_series(GOOD, "5min")
