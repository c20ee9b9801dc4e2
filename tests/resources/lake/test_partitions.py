"""Which rows a set of partitions means: to delta-rs as SQL, to Arrow as an expression, to Python as a set."""

import tempfile
from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pulse_resources.errors import PartitionError
from pulse_resources.lake import Column, Lake, Partitions, TableContract
from pulse_resources.lake.partitions import add_folder, blocks_of, folder_of, weekdays

FRIDAY, SATURDAY, SUNDAY, MONDAY = (date(2024, 1, day) for day in (5, 6, 7, 8))
CALENDAR = [date(2023, 12, 20) + timedelta(days=step) for step in range(40)]
AWKWARD = ["a", "it's", "''", "'; DROP TABLE t; --", "", "%", "a\nb", "\\", "\\'", "ü", '"q"', "NULL", "a,b", " ", "🜁"]


def contract(kind: pa.DataType, physical: str | None = None) -> TableContract:
    columns = (Column("part", kind, "partition"), Column("y", pa.float64(), "value"))
    return TableContract("t/parts", "a row", columns, ("part",), partition="part", physical=physical)


def rows_for(values: list[object], kind: pa.DataType, y: float = 1.0) -> pa.Table:
    return pa.table({"part": pa.array(values, kind), "y": pa.array([y] * len(values), pa.float64())})


def matched_by_sql(rows: pa.Table, predicate: str) -> set[object]:
    """Return the partitions that delta-rs' own SQL engine finds behind the predicate."""
    with tempfile.TemporaryDirectory() as folder:
        write_deltalake(folder, rows)
        query = QueryBuilder().register("t", DeltaTable(folder))
        found = pa.table(query.execute(f"SELECT part FROM t WHERE {predicate}").read_all())
    return set(found["part"].to_pylist())


@settings(max_examples=25)
@given(st.sets(st.sampled_from(CALENDAR), min_size=1), st.sampled_from([None, "year", "month"]))
@example({FRIDAY, MONDAY}, "year")
@example({FRIDAY, SATURDAY, SUNDAY, MONDAY}, None)
@example({date(2023, 12, 29), date(2024, 1, 1)}, "month")
def test_days_match_themselves_and_no_other_day_in_sql_and_in_arrow(asked: set[date], physical: str | None) -> None:
    partitions = Partitions.of("part", list(asked))
    stored = add_folder(contract(pa.date32(), physical), rows_for(CALENDAR, pa.date32()))
    assert matched_by_sql(stored, partitions.predicate(physical)) == asked
    assert set(stored.filter(partitions.expression())["part"].to_pylist()) == asked


def test_thirty_years_of_weekdays_are_a_range_and_a_gap_makes_a_list() -> None:
    days = weekdays(date(1995, 1, 2), date(2024, 12, 31))
    whole, gap = Partitions.of("part", days), Partitions.of("part", days[:100] + days[101:])
    assert whole.is_weekday_range
    assert not gap.is_weekday_range
    assert len(whole.predicate(None)) < 150 < 50_000 < len(gap.predicate(None))
    assert not Partitions.of("part", [FRIDAY, SATURDAY]).is_weekday_range
    assert not Partitions.of("part", [FRIDAY]).is_weekday_range
    assert not Partitions.of("part", [datetime(2024, 1, day, tzinfo=UTC) for day in (4, 5)]).is_weekday_range
    assert not Partitions.of("part", ["2024-01-04", "2024-01-05"]).is_weekday_range


def test_folders_come_first_in_the_predicate_and_only_those_that_are_touched() -> None:
    days = Partitions.of("part", [date(2024, 3, 4), date(2023, 12, 29), date(2024, 3, 6)])
    assert days.predicate("year").startswith("year IN (2023, 2024) AND part IN (DATE '2023-12-29',")
    assert days.predicate("month").startswith("month IN (202312, 202403) AND ")


@settings(max_examples=15)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=6))
@example(AWKWARD)
def test_any_string_is_quoted_so_that_it_matches_itself_alone(asked: list[str]) -> None:
    asked = [text for text in asked if "\0" not in text] or ["'"]
    partitions = Partitions.of("part", asked)
    stored = rows_for(sorted({*asked, *AWKWARD, "another"}), pa.string())
    assert matched_by_sql(stored, partitions.predicate(None)) == set(asked)
    assert set(stored.filter(partitions.expression())["part"].to_pylist()) == set(asked)


def test_partitions_with_awkward_names_are_replaced_one_by_one(lake: Lake) -> None:
    table = contract(pa.string())
    lake.overwrite(table, rows_for(list(AWKWARD), pa.string()), Partitions.of("part", AWKWARD))
    for name in AWKWARD[::3]:
        lake.overwrite(table, rows_for([name], pa.string(), 2.0), Partitions.of("part", [name]))
    held = {row["part"]: row["y"] for row in lake.read(table).to_pylist()}
    assert held == {name: 2.0 if name in AWKWARD[::3] else 1.0 for name in AWKWARD}


def test_hours_match_the_hour_and_not_the_day() -> None:
    kind = pa.timestamp("us", "UTC")
    hours = [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in range(24)]
    asked = {hours[0], hours[7], hours[23]}
    partitions = Partitions.of("part", list(asked))
    stored = add_folder(contract(kind, "month"), rows_for(list(hours), kind))
    assert matched_by_sql(stored, partitions.predicate("month")) == asked
    assert set(stored.filter(partitions.expression())["part"].to_pylist()) == asked


def test_naive_hours_match_themselves() -> None:
    kind = pa.timestamp("us")
    hours = [datetime.fromisoformat(f"2024-01-01T0{hour}:00") for hour in range(3)]
    assert matched_by_sql(rows_for(list(hours), kind), Partitions.of("part", hours[1:]).predicate(None)) == {*hours[1:]}


def test_an_hour_in_another_zone_is_the_same_partition_and_the_same_folder(lake: Lake) -> None:
    kind = pa.timestamp("us", "UTC")
    table = contract(kind, "year")
    there = datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))  # still 2023 in UTC
    here = there.astimezone(UTC)
    assert Partitions.of("part", [there, here]).values == (here,)
    for y, hour in [(1.0, here), (2.0, there)]:
        lake.overwrite(table, rows_for([hour], kind, y), Partitions.of("part", [hour]))
    assert lake.read(table).to_pylist() == [{"part": here, "y": 2.0}]


@given(st.lists(st.sampled_from(CALENDAR), min_size=1))
def test_a_set_of_partitions_is_sorted_and_without_repetition(days: list[date]) -> None:
    assert list(Partitions.of("part", days).values) == sorted(set(days))


def test_no_partition_at_all_is_a_mistake() -> None:
    with pytest.raises(PartitionError, match="no partition of 'part' was asked for"):
        Partitions.of("part", [])


def test_rows_outside_are_named_up_to_a_handful() -> None:
    partitions = Partitions.of("part", [FRIDAY])
    partitions.check(contract(pa.date32()), rows_for([FRIDAY], pa.date32()))
    with pytest.raises(PartitionError, match=r"part = 2024-01-08 lie outside .*\(2024-01-05\); nothing was written"):
        partitions.check(contract(pa.date32()), rows_for([FRIDAY, MONDAY], pa.date32()))
    with pytest.raises(PartitionError, match=r"2023-12-20, 2023-12-21, … 2024-01-28 \(39 in all\)"):
        partitions.check(contract(pa.date32()), rows_for(list(CALENDAR), pa.date32()))


@given(st.lists(st.sampled_from(CALENDAR)), st.sampled_from(["year", "month"]))
def test_rows_land_in_the_folder_that_the_predicate_names(days: list[date], physical: str) -> None:
    stored = add_folder(contract(pa.date32(), physical), rows_for(list(days), pa.date32()))
    assert stored[physical].to_pylist() == [folder_of(day, physical) for day in days]


def test_a_string_has_no_folder() -> None:
    with pytest.raises(PartitionError, match="folders by year need a date or timestamp, came '2024'"):
        folder_of("2024", "year")
    plain = rows_for(["a"], pa.string())
    assert add_folder(contract(pa.string()), plain) is plain


@given(st.lists(st.sampled_from(CALENDAR), unique=True).map(sorted), st.integers(1, 9))
def test_blocks_are_the_days_again_and_none_is_too_long(days: list[date], size: int) -> None:
    blocks = blocks_of(days, size)
    assert [day for block in blocks for day in block] == days
    assert all(0 < len(block) <= size for block in blocks)


@given(st.sampled_from(CALENDAR), st.sampled_from(CALENDAR))
def test_weekdays_are_the_days_that_are_not_at_a_weekend(first: date, last: date) -> None:
    assert weekdays(first, last) == [day for day in CALENDAR if first <= day <= last and day.isoweekday() < 6]
