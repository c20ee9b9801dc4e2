"""Writes that replace exactly what they were asked to, appends that count once, reads that stay as they were known."""

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pulse_resources.errors import ContractError, PartitionError, TableMissingError, WriteConflictError
from pulse_resources.lake import Column, Evidence, Lake, Partitions, Rule, TableContract, commits, writing
from pulse_resources.lake import lake as lake_module
from pulse_resources.lake.commits import Progress
from pulse_resources.lake.reading import end_of

DAYS = [date(2023, 12, 26) + timedelta(days=step) for step in range(14)]
"""Two weeks around a new year, weekends included."""
KNOWN = datetime(2024, 1, 2, 12, tzinfo=UTC)

BY_DAY = TableContract(
    name="t/by_day",
    description="a value of a symbol on a day",
    columns=(
        Column("as_of", pa.date32(), "day"),
        Column("symbol", pa.string(), "ticker"),
        Column("y", pa.float64(), "value", "USD"),
    ),
    key=("as_of", "symbol"),
    partition="as_of",
    physical="year",
    rules=(Rule("y_is_not_negative", "y at least zero", lambda rows: pc.greater_equal(rows["y"], 0)),),
)
EVENTS = TableContract(
    name="t/events",
    description="a fact and when it became known",
    columns=(
        Column("id", pa.int64(), "number of the fact"),
        Column("known_at", pa.timestamp("us", "UTC"), "when it became known"),
    ),
    key=("id",),
)


def changed(contract: TableContract, **change: object) -> TableContract:
    names = ("name", "description", "columns", "key", "partition", "physical", "rules")
    return TableContract(**{name: getattr(contract, name) for name in names} | change)


def rows_for(days: list[date], y: float = 1.0, symbols: str = "ab") -> pa.Table:
    pairs = [(day, symbol) for day in days for symbol in symbols]
    return pa.table(
        {
            "as_of": pa.array([day for day, _ in pairs], pa.date32()),
            "symbol": pa.array([symbol for _, symbol in pairs], pa.string()),
            "y": pa.array([y] * len(pairs), pa.float64()),
        }
    )


def events(*ids: int, known_at: datetime = KNOWN) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "known_at": [known_at] * len(ids)}, schema=EVENTS.schema)


def stream(rows: pa.Table, size: int = 2) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(max_chunksize=size))


def days_of(*days: date) -> Partitions:
    return Partitions.of("as_of", days)


def held(lake: Lake, contract: TableContract = BY_DAY) -> dict[date, list[float]]:
    """Return the values of each day, so that a duplicate shows."""
    found: dict[date, list[float]] = {}
    for row in lake.read(contract).to_pylist():
        found.setdefault(row["as_of"], []).append(row["y"])
    return found


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit a stream every four rows."""
    monkeypatch.setattr(writing, "BLOCK_ROWS", 4)


# Overwrite of a table


def test_an_overwrite_replaces_its_days_and_no_other(lake: Lake) -> None:
    lake.overwrite(BY_DAY, rows_for(DAYS), days_of(*DAYS))
    commit = lake.overwrite(BY_DAY, rows_for(DAYS[2:4], 2.0), days_of(*DAYS[2:4]))
    assert held(lake) == {day: [2.0, 2.0] if day in DAYS[2:4] else [1.0, 1.0] for day in DAYS}
    assert (commit.rows, commit.commits, commit.version) == (4, 1, 2)


def test_a_day_without_rows_is_emptied(lake: Lake) -> None:
    lake.overwrite(BY_DAY, rows_for(DAYS[:3]), days_of(*DAYS[:3]))
    lake.overwrite(BY_DAY, rows_for(DAYS[1:2], 2.0), days_of(*DAYS[:2]))
    assert held(lake) == {DAYS[1]: [2.0, 2.0], DAYS[2]: [1.0, 1.0]}
    lake.overwrite(BY_DAY, BY_DAY.empty(), days_of(*DAYS))
    assert held(lake) == {}


def test_friday_and_monday_leave_the_weekend_between_them_alone(lake: Lake) -> None:
    friday, saturday, sunday, monday = (date(2024, 1, day) for day in (5, 6, 7, 8))
    lake.overwrite(BY_DAY, rows_for([friday, saturday, sunday, monday]), days_of(friday, saturday, sunday, monday))
    lake.overwrite(BY_DAY, rows_for([friday, monday], 2.0), days_of(friday, monday))
    assert held(lake) == {friday: [2.0] * 2, saturday: [1.0] * 2, sunday: [1.0] * 2, monday: [2.0] * 2}


def test_rows_outside_the_partitions_are_refused_and_nothing_is_written(lake: Lake) -> None:
    lake.overwrite(BY_DAY, rows_for(DAYS[:2]), days_of(*DAYS[:2]))
    with pytest.raises(PartitionError, match=r"as_of = 2023-12-28 lie outside .* nothing was written"):
        lake.overwrite(BY_DAY, rows_for(DAYS[:3], 2.0), days_of(*DAYS[:2]))
    assert lake.open(BY_DAY).version() == 1
    assert held(lake) == {day: [1.0, 1.0] for day in DAYS[:2]}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (rows_for(DAYS[:1], -1.0), "y_is_not_negative: 2 rows"),
        (rows_for(DAYS[:1], symbols="aab"), "key_is_unique: 1 rows"),
        (rows_for(DAYS[:1], -1.0, symbols="aa"), "y_is_not_negative: 2 rows; key_is_unique: 1 rows"),
    ],
)
def test_rows_that_break_a_rule_are_refused_and_nothing_is_written(lake: Lake, rows: pa.Table, says: str) -> None:
    with pytest.raises(ContractError, match=f"t/by_day: nothing was written.*{says}"):
        lake.overwrite(BY_DAY, rows, days_of(DAYS[0]))
    assert held(lake) == {}


def test_duplicate_keys_are_found_also_when_rows_are_sorted_by_something_else(lake: Lake) -> None:
    by_value = TableContract("t/by_value", "a row", BY_DAY.columns, BY_DAY.key, partition="as_of", sort=("y", "symbol"))
    rows = rows_for(DAYS[:1], symbols="aa").set_column(2, "y", pa.array([1.0, 2.0]))
    with pytest.raises(ContractError, match="key_is_unique: 1 rows"):
        lake.overwrite(by_value, rows, days_of(DAYS[0]))


def test_the_wrong_partition_column_is_refused(lake: Lake) -> None:
    with pytest.raises(PartitionError, match="t/by_day is partitioned by 'as_of', not 'symbol'"):
        lake.overwrite(BY_DAY, rows_for(DAYS[:1]), Partitions.of("symbol", ["a"]))


def test_rows_are_stored_in_the_order_of_the_key(lake: Lake) -> None:
    rows = rows_for(DAYS[:3])
    shuffled = rows.take(random.Random(1).sample(range(len(rows)), len(rows)))
    lake.overwrite(BY_DAY, shuffled, days_of(*DAYS))
    assert lake.read(BY_DAY, columns=rows.column_names).equals(rows.cast(lake.read(BY_DAY).schema))


# Overwrite by a stream


@pytest.mark.usefixtures("small_blocks")
def test_a_stream_is_cut_into_commits_at_partition_borders(lake: Lake) -> None:
    done: list[Progress] = []
    commit = lake.overwrite(BY_DAY, stream(rows_for(DAYS), 3), days_of(*DAYS), on_commit=done.append)
    assert held(lake) == {day: [1.0, 1.0] for day in DAYS}
    assert (commit.rows, commit.commits) == (28, len(done))
    assert len(done) > 4
    assert [step.version for step in done] == list(range(1, 1 + len(done)))
    assert [step.partitions for step in done] == sorted({step.partitions for step in done})
    assert (done[-1].partitions, done[-1].of, done[-1].rows) == (14, 14, 28)
    for step in done:  # after each commit the days so far are whole, and no later one has begun
        days = lake.read(BY_DAY, version=step.version)["as_of"].to_pylist()
        assert sorted(days) == sorted([*DAYS[: step.partitions], *DAYS[: step.partitions]])


def test_a_stream_that_fits_one_block_is_one_commit(lake: Lake) -> None:
    assert lake.overwrite(BY_DAY, stream(rows_for(DAYS)), days_of(*DAYS)).commits == 1


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kept", [[], DAYS[:1], DAYS[-1:], DAYS[4:9], DAYS[::3]], ids=len)
def test_a_stream_empties_the_days_it_brings_nothing_for(lake: Lake, kept: list[date]) -> None:
    lake.overwrite(BY_DAY, rows_for(DAYS), days_of(*DAYS))
    lake.overwrite(BY_DAY, stream(rows_for(kept, 2.0)), days_of(*DAYS[:-1], *kept))
    assert held(lake) == {day: [2.0, 2.0] for day in kept} | {DAYS[-1]: [2.0 if DAYS[-1] in kept else 1.0] * 2}


@pytest.mark.usefixtures("small_blocks")
def test_a_stream_that_goes_back_in_time_is_refused_and_leaves_whole_days(lake: Lake) -> None:
    lake.overwrite(BY_DAY, rows_for(DAYS), days_of(*DAYS))
    rows = pa.concat_tables([rows_for(DAYS[:6], 2.0), rows_for(DAYS[1:2], 3.0)])
    with pytest.raises(PartitionError, match="a stream must come in order of as_of; 2023-12-27 came after 2023-12-31"):
        lake.overwrite(BY_DAY, stream(rows), days_of(*DAYS))
    assert all(values in ([1.0, 1.0], [2.0, 2.0]) for values in held(lake).values())
    assert sorted(held(lake)) == DAYS


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("stray", [date(2023, 12, 1), date(2023, 12, 30), date(2024, 6, 1)], ids=str)
def test_a_stray_day_in_a_stream_is_refused(lake: Lake, stray: date) -> None:
    asked = [day for day in DAYS if day != stray]
    with pytest.raises(PartitionError, match=f"as_of = {stray} lie outside"):
        lake.overwrite(BY_DAY, stream(rows_for(sorted([*asked, stray]))), days_of(*asked))
    assert stray not in held(lake)
    assert all(values == [1.0, 1.0] for values in held(lake).values())


@pytest.mark.usefixtures("small_blocks")
def test_a_row_without_a_day_is_refused_and_not_dropped_from_a_stream(lake: Lake) -> None:
    rows = pa.concat_tables([rows_for(DAYS[:3]), rows_for([None]), rows_for(DAYS[3:6])])  # type: ignore[list-item]
    with pytest.raises(ContractError, match=r"t/by_day\.as_of: 2 of 2 values are null"):
        lake.overwrite(BY_DAY, stream(rows), days_of(*DAYS))


@pytest.mark.usefixtures("small_blocks")
def test_a_stream_is_cast_as_a_table_is(lake: Lake) -> None:
    rows = rows_for(DAYS)
    midnights = rows.set_column(0, "as_of", rows["as_of"].cast(pa.timestamp("ns"))).select(["y", "symbol", "as_of"])
    lake.overwrite(BY_DAY, stream(midnights), days_of(*DAYS))
    assert held(lake) == {day: [1.0, 1.0] for day in DAYS}


OVERWRITES = st.tuples(
    st.sets(st.sampled_from(DAYS), min_size=1),  # partitions asked for
    st.sets(st.sampled_from(DAYS)),  # days that get rows, where asked for
    st.booleans(),  # as a stream
)


@settings(max_examples=12)
@given(writes=st.lists(OVERWRITES, min_size=1, max_size=5), physical=st.sampled_from([None, "year", "month"]))
@example(writes=[(set(DAYS), set(DAYS), False), ({date(2023, 12, 29), date(2024, 1, 1)}, set(), True)], physical="year")
def test_any_sequence_of_overwrites_ends_where_a_dictionary_ends(
    tmp_path_factory: pytest.TempPathFactory,
    writes: list[tuple[set[date], set[date], bool]],
    physical: str | None,
) -> None:
    lake = Lake(str(tmp_path_factory.mktemp("any")), durable=False)
    contract = changed(BY_DAY, physical=physical)
    expected: dict[date, list[float]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "BLOCK_ROWS", 5)
        for number, (asked, filled, streamed) in enumerate(writes):
            rows = rows_for(sorted(asked & filled), float(number))
            lake.overwrite(contract, stream(rows, 3) if streamed else rows, days_of(*asked))
            expected = {day: values for day, values in expected.items() if day not in asked}
            expected |= {day: [float(number)] * 2 for day in asked & filled}
            assert held(lake, contract) == expected


# Append


def test_an_append_repeated_after_a_crash_does_nothing(lake: Lake) -> None:
    first = lake.append(EVENTS, events(1, 2), app_id="feed", app_version=7)
    again = lake.append(EVENTS, events(1, 2), app_id="feed", app_version=7)
    older = lake.append(EVENTS, events(0), app_id="feed", app_version=6)
    assert (first.rows, first.commits) == (2, 1)
    assert {(commit.rows, commit.commits, commit.version) for commit in (again, older)} == {(0, 0, first.version)}
    assert lake.append(EVENTS, events(3), app_id="feed", app_version=8).rows == 1
    assert lake.append(EVENTS, events(4), app_id="another feed", app_version=1).rows == 1
    assert sorted(lake.read(EVENTS)["id"].to_pylist()) == [1, 2, 3, 4]


@settings(max_examples=10)
@given(batches=st.lists(st.lists(st.integers(0, 9), max_size=5, unique=True), max_size=5))
def test_append_missing_ends_with_every_key_once(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]]
) -> None:
    lake = Lake(str(tmp_path_factory.mktemp("missing")), durable=False)
    seen: set[int] = set()
    for batch in batches:
        commit = lake.append_missing(EVENTS, events(*batch), app_id="feed")
        assert commit.rows == len(set(batch) - seen)
        seen |= set(batch)
        assert lake.append_missing(EVENTS, events(*batch), app_id="feed").commits == 0
    assert sorted(lake.read(EVENTS)["id"].to_pylist()) == sorted(seen)


def test_append_missing_compares_keys_after_the_cast(lake: Lake) -> None:
    lake.append_missing(EVENTS, events(1, 2), app_id="feed")
    small = events(2, 3).set_column(0, "id", pa.array([2, 3], pa.int8()))
    assert lake.append_missing(EVENTS, small, app_id="feed").rows == 1


def test_a_function_of_rows_sees_the_snapshot_that_it_is_appended_to(lake: Lake) -> None:
    lake.append(EVENTS, events(1), app_id="feed")
    seen: list[list[int]] = []

    def one_more(read: Callable[..., pa.Table]) -> pa.Table:
        ids = read(columns=["id"])["id"].to_pylist()
        seen.append(ids)
        if len(seen) == 1:  # another writer commits under the same id after this look and before this commit
            lake.append(EVENTS, events(2), app_id="feed")
        return events(max(ids) + 1)

    assert lake.append(EVENTS, one_more, app_id="feed").rows == 1
    assert [sorted(ids) for ids in seen] == [[1], [1, 2]]
    assert sorted(lake.read(EVENTS)["id"].to_pylist()) == [1, 2, 3]


def test_two_appenders_with_one_app_id_duplicate_nothing(lake: Lake) -> None:
    start = threading.Barrier(2)

    def feed(batches: range) -> int:
        start.wait(30)
        return sum(lake.append(EVENTS, events(n, 100 + n), app_id="feed", app_version=n).rows for n in batches)

    with ThreadPoolExecutor(2) as pool:
        written = sum(pool.map(feed, [range(1, 9)] * 2))
    assert sorted(lake.read(EVENTS)["id"].to_pylist()) == [*range(1, 9), *range(101, 109)]
    assert written == 16


def test_two_appenders_of_what_is_missing_duplicate_nothing(lake: Lake) -> None:
    start = threading.Barrier(2)

    def feed(low: int) -> None:
        start.wait(30)
        for n in range(low, low + 6):
            lake.append_missing(EVENTS, events(n, n + 1, n + 2), app_id="feed")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(feed, [0, 2]))
    assert sorted(lake.read(EVENTS)["id"].to_pylist()) == list(range(10))


# Reads


def test_a_missing_table_is_empty_and_has_no_history(lake: Lake) -> None:
    assert lake.read(BY_DAY).schema == BY_DAY.schema
    assert lake.read(BY_DAY, columns=["y"], as_of=DAYS[0]).column_names == ["y"]
    assert lake.history(BY_DAY) == []
    assert not lake.exists(BY_DAY)


def test_opening_what_is_not_there_says_where_it_was_looked_for(lake: Lake) -> None:
    with pytest.raises(TableMissingError, match=r"t/by_day does not exist under .*lake; materialize it first"):
        lake.open(BY_DAY)
    lake.create(BY_DAY)
    for version in (99, -1):
        with pytest.raises(TableMissingError, match=f"t/by_day has no readable version {version} under"):
            lake.read(BY_DAY, version=version)


def test_an_older_version_can_be_read(lake: Lake) -> None:
    for y in (1.0, 2.0, 3.0):
        lake.overwrite(BY_DAY, rows_for(DAYS[:1], y), days_of(DAYS[0]))
    values = [lake.read(BY_DAY, version=version)["y"].to_pylist() for version in range(4)]
    assert values == [[], [1.0] * 2, [2.0] * 2, [3.0] * 2]


@pytest.mark.parametrize(
    ("known_at", "is_known"),
    [("2024-01-02T23:59:59.999999", True), ("2024-01-03T00:00:00", False), ("2024-01-02T00:00:00", True)],
)
def test_known_on_a_day_means_before_its_midnight_in_utc(lake: Lake, known_at: str, is_known: bool) -> None:
    lake.append(EVENTS, events(1, known_at=datetime.fromisoformat(known_at).replace(tzinfo=UTC)), app_id="feed")
    assert len(lake.read(EVENTS, as_of=date(2024, 1, 2))) == is_known
    assert end_of(date(2024, 1, 2)) == datetime(2024, 1, 3, tzinfo=UTC)


@settings(max_examples=10)
@given(
    moments=st.lists(st.datetimes(datetime.fromisoformat("2024-01-01"), datetime.fromisoformat("2024-01-05"))),
    as_of=st.dates(date(2023, 12, 31), date(2024, 1, 5)),
)
def test_reading_as_of_agrees_with_a_loop(
    tmp_path_factory: pytest.TempPathFactory, moments: list[datetime], as_of: date
) -> None:
    lake = Lake(str(tmp_path_factory.mktemp("as_of")), durable=False)
    known = [moment.replace(tzinfo=UTC) for moment in moments]
    rows = pa.table({"id": pa.array(range(len(known)), pa.int64()), "known_at": known}, schema=EVENTS.schema)
    lake.append(EVENTS, rows, app_id="feed")
    expected = {number for number, moment in enumerate(known) if moment.date() <= as_of}
    assert set(lake.read(EVENTS, as_of=as_of)["id"].to_pylist()) == expected


def test_a_gold_table_is_read_as_of_a_day_by_its_partitions(lake: Lake) -> None:
    lake.overwrite(BY_DAY, rows_for(DAYS), days_of(*DAYS))
    assert set(lake.read(BY_DAY, as_of=DAYS[5])["as_of"].to_pylist()) == set(DAYS[:6])
    where = pc.field("as_of") > DAYS[3]
    assert set(lake.read(BY_DAY, as_of=DAYS[5], where=where)["as_of"].to_pylist()) == set(DAYS[4:6])


def test_a_table_with_both_is_read_as_of_a_day_by_both(lake: Lake) -> None:
    both = changed(BY_DAY, name="t/both", columns=(*BY_DAY.columns, Column("known_at", pa.timestamp("us", "UTC"), "")))
    known = [KNOWN - timedelta(days=7), KNOWN + timedelta(days=7)]
    rows = rows_for([date(2024, 1, 1), date(2024, 1, 4)]).append_column("known_at", pa.array(known * 2))
    lake.overwrite(both, rows, days_of(*DAYS))
    assert lake.read(both, as_of=date(2024, 1, 3), columns=["as_of", "known_at"]).to_pylist() == [
        {"as_of": date(2024, 1, 1), "known_at": known[0]}
    ]


def test_a_table_without_either_cannot_be_read_as_of_a_day(lake: Lake) -> None:
    plain = TableContract("t/plain", "a row", (Column("n", pa.int64(), "n"),), ("n",))
    lake.append(plain, pa.table({"n": [1]}), app_id="feed")
    with pytest.raises(PartitionError, match="t/plain has neither `known_at` nor a date partition"):
        lake.read(plain, as_of=DAYS[0])


def test_a_column_that_nobody_knows_is_named(lake: Lake) -> None:
    lake.create(BY_DAY)
    with pytest.raises(ContractError, match="t/by_day: no column 'nope'"):
        lake.read(BY_DAY, columns=["nope"])


def test_a_snapshot_stays_while_the_table_moves_on(lake: Lake) -> None:
    lake.overwrite(BY_DAY, rows_for(DAYS[:1]), days_of(DAYS[0]))
    snapshot = lake.snapshot()
    first = snapshot.read(BY_DAY)
    lake.overwrite(BY_DAY, rows_for(DAYS[:1], 2.0), days_of(DAYS[0]))
    assert snapshot.read(BY_DAY).equals(first)
    assert snapshot.versions == {"t/by_day": 1}
    assert lake.snapshot().read(BY_DAY)["y"].to_pylist() == [2.0, 2.0]


def test_a_snapshot_can_be_taken_before_the_first_read(lake: Lake) -> None:
    lake.append(EVENTS, events(1), app_id="feed")
    snapshot = lake.snapshot()
    snapshot.pin(EVENTS, BY_DAY)
    lake.append(EVENTS, events(2), app_id="feed")
    assert snapshot.read(EVENTS, columns=["id"])["id"].to_pylist() == [1]


def test_a_table_that_was_missing_stays_missing_in_a_snapshot(lake: Lake) -> None:
    snapshot = lake.snapshot()
    assert len(snapshot.read(BY_DAY)) == 0
    lake.overwrite(BY_DAY, rows_for(DAYS[:1]), days_of(DAYS[0]))
    assert snapshot.read(BY_DAY, columns=["y"]).schema.names == ["y"]
    assert len(snapshot.read(BY_DAY)) == 0
    assert snapshot.versions == {}


# Schema changes

NOTE = Column("note", pa.string(), "a remark", nullable=True)
WIDER = changed(BY_DAY, columns=(*BY_DAY.columns, NOTE))


def test_a_column_is_added_when_asked_for_and_older_rows_hold_null(lake: Lake) -> None:
    lake.overwrite(BY_DAY, rows_for(DAYS[:1]), days_of(DAYS[0]))
    noted = rows_for(DAYS[1:2]).append_column("note", pa.array(["x", "y"]))
    with pytest.raises(ContractError, match=r"only in the contract: \['note'\].*evolve_schema=True"):
        lake.overwrite(WIDER, noted, days_of(DAYS[1]))
    lake.overwrite(WIDER, noted, days_of(DAYS[1]), evolve_schema=True)
    assert sorted(lake.read(WIDER)["note"].to_pylist(), key=str) == [None, None, "x", "y"]
    assert lake.read(WIDER, version=1).column_names == [column.name for column in WIDER.columns]
    assert lake.read(WIDER, version=1)["note"].to_pylist() == [None, None]


def test_a_column_that_only_the_rows_name_is_added_when_asked_for(lake: Lake) -> None:
    noted = rows_for(DAYS[:1]).append_column("note", pa.array(["x", "y"]))
    lake.overwrite(BY_DAY, noted, days_of(DAYS[0]), evolve_schema=True)
    assert lake.read(BY_DAY).column_names == ["as_of", "symbol", "y", "note"]


def test_code_from_before_a_new_column_still_overwrites_and_appends(lake: Lake) -> None:
    lake.overwrite(WIDER, rows_for(DAYS[:1]), days_of(DAYS[0]))
    lake.overwrite(BY_DAY, rows_for(DAYS[1:2]), days_of(DAYS[1]))
    lake.append(BY_DAY, rows_for(DAYS[2:3]), app_id="feed", app_version=1)
    assert sorted(held(lake, WIDER)) == DAYS[:3]
    assert lake.read(WIDER)["note"].null_count == 6


def test_code_from_after_a_new_column_is_told_before_it_appends(lake: Lake) -> None:
    lake.create(BY_DAY)
    with pytest.raises(ContractError, match=r"only in the contract: \['note'\]"):
        lake.append(WIDER, rows_for(DAYS[:1]), app_id="feed", app_version=1)


@pytest.mark.parametrize(
    ("contract", "says"),
    [
        (
            changed(BY_DAY, columns=(*BY_DAY.columns, Column("must", pa.float64(), "a new duty"))),
            r"only in the contract: \['must'\]",
        ),
        (
            changed(BY_DAY, columns=(*BY_DAY.columns[:2], Column("y", pa.string(), "text now")), rules=()),
            r"of another type: \['y'\]",
        ),
        (changed(BY_DAY, columns=BY_DAY.columns[:2], rules=()), r"only stored: \['y'\]"),
        (changed(BY_DAY, physical="month"), r"only in the contract: \['month'\], only stored: \['year'\]"),
    ],
    ids=["not null", "retyped", "removed", "other folders"],
)
def test_other_schema_changes_are_refused_also_when_asked_for(lake: Lake, contract: TableContract, says: str) -> None:
    lake.overwrite(BY_DAY, rows_for(DAYS[:1]), days_of(DAYS[0]))
    rows = rows_for(DAYS[:1]).append_column("must", pa.array([1.0, 1.0])).select(contract.schema.names)
    with pytest.raises(ContractError, match=f"t/by_day: the stored table has other columns .*{says}"):
        lake.overwrite(contract, rows, days_of(DAYS[0]), evolve_schema=True)
    assert held(lake) == {DAYS[0]: [1.0, 1.0]}


# Evidence


def test_each_commit_says_who_wrote_it_from_what(lake: Lake) -> None:
    evidence = Evidence("run", "t/by_day", "job", "2024", "3", {"t/b": 2, "t/a": 1}, "cfg", 0)
    lake.overwrite(BY_DAY, rows_for(DAYS[:1]), days_of(DAYS[0]), evidence=evidence)
    lake.append(EVENTS, events(1, 2, 3), app_id="feed", evidence=evidence)
    for contract, rows in [(BY_DAY, "2"), (EVENTS, "3")]:
        commit = lake.history(contract, 1)[0]
        assert {name: commit[name] for name in evidence.as_metadata(0)} == {
            "dagster.run_id": "run",
            "dagster.asset_key": "t/by_day",
            "dagster.job": "job",
            "dagster.partitions": "2024",
            "dagster.code_version": "3",
            "pulse.inputs": '{"t/a": 1, "t/b": 2}',
            "pulse.config": "cfg",
            "pulse.seed": "0",
            "pulse.rows": rows,
        }
    assert [commit["version"] for commit in lake.history(BY_DAY)] == [1, 0]


# Concurrent writers

RACER = """
import json, sys, time
from datetime import date
import pyarrow as pa
from pathlib import Path
from pulse_resources.lake import Column, Lake, Partitions, TableContract

root, me, racers, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
lake = Lake(root, durable=False)
columns = (Column("as_of", pa.date32(), "day"), Column("writer", pa.int64(), "who"))
day = date(2024, 1, 1 + me)

for number in range(rounds):
    table = TableContract(f"race/{number}", "a row", columns, ("as_of",), partition="as_of", physical="year")
    Path(root, f"ready-{number}-{me}").touch()
    deadline = time.monotonic() + 60
    while len(list(Path(root).glob(f"ready-{number}-*"))) < racers:
        assert time.monotonic() < deadline, "the other racers never came"
        time.sleep(0.001)
    rows = pa.table({"as_of": [day], "writer": [me]})
    lake.overwrite(table, rows, Partitions.of("as_of", [day]))
"""


def test_six_processes_that_create_a_table_at_once_lose_nothing(tmp_path: Path) -> None:
    racers, rounds = 6, 4
    command = [sys.executable, "-c", RACER, str(tmp_path)]
    running = [
        subprocess.Popen([*command, str(me), str(racers), str(rounds)], stderr=subprocess.PIPE, text=True)
        for me in range(racers)
    ]
    said = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * racers, said
    for number in range(rounds):
        rows = DeltaTable(str(tmp_path / "race" / str(number))).to_pyarrow_table()
        assert sorted(rows["writer"].to_pylist()) == list(range(racers))


def test_a_lost_race_is_run_again_on_a_fresh_snapshot(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtake() -> Iterator[float]:
        yield 2.0  # once

    others = overtake()
    whole = lake_module.write_deltalake

    def slow(table: DeltaTable, rows: pa.Table, **options: object) -> None:
        for y in others:
            write_deltalake(lake.uri(BY_DAY.name), stored(y), mode="overwrite", predicate="year = 2023")
        whole(table, rows, **options)

    lake.overwrite(BY_DAY, rows_for(DAYS[:1]), days_of(DAYS[0]))
    monkeypatch.setattr(lake_module, "write_deltalake", slow)
    monkeypatch.setattr(commits.time, "sleep", [].append)
    lake.overwrite(BY_DAY, rows_for(DAYS[:1], 3.0), days_of(DAYS[0]))
    assert held(lake) == {DAYS[0]: [3.0, 3.0]}
    assert lake.open(BY_DAY).version() == 3


def stored(y: float) -> pa.Table:
    return rows_for(DAYS[:1], y).append_column("year", pa.array([2023, 2023], pa.int32()))


def test_a_writer_that_always_loses_names_both_versions(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.overwrite(BY_DAY, rows_for(DAYS[:1]), days_of(DAYS[0]))
    whole = lake_module.write_deltalake
    pauses: list[float] = []

    def overtaken(table: DeltaTable, rows: pa.Table, **options: object) -> None:
        write_deltalake(lake.uri(BY_DAY.name), stored(2.0), mode="overwrite", predicate="year = 2023")
        whole(table, rows, **options)

    monkeypatch.setattr(lake_module, "write_deltalake", overtaken)
    monkeypatch.setattr(commits.time, "sleep", pauses.append)
    says = r"(?s)t/by_day: 6 attempts lost .*\(started from version 6, newest is 7\).*Run one writer a table"
    with pytest.raises(WriteConflictError, match=says) as caught:
        lake.overwrite(BY_DAY, rows_for(DAYS[:1], 3.0), days_of(DAYS[0]))
    assert isinstance(caught.value.__cause__, CommitFailedError)
    assert len(pauses) == 5
    assert pauses[-1] > pauses[0]
    assert held(lake) == {DAYS[0]: [2.0, 2.0]}


# Durability


class Synced(list[Path]):
    """The paths that were synced, in order; fails for those in ``broken``."""

    broken = ""

    def fsync(self, descriptor: int) -> None:
        """Stand in for ``os.fsync``."""
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if self.broken and self.broken in path.name:
            raise OSError(5, "Input/output error", str(path))
        self.append(path)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Synced:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to see which file a descriptor is")
    record = Synced()
    monkeypatch.setattr(os, "fsync", record.fsync)
    return record


@pytest.mark.parametrize("folder", ["lake", "a lake", "Ölsee"])
def test_a_durable_commit_syncs_its_files_its_log_and_their_folders(
    tmp_path: Path, synced: Synced, folder: str
) -> None:
    lake = Lake(str(tmp_path / folder))
    lake.overwrite(BY_DAY, rows_for(DAYS), days_of(*DAYS))
    table = tmp_path / folder / "t" / "by_day"
    log = table / "_delta_log"
    files = {*table.glob("year=*/*.parquet")}
    assert len(files) == 2
    assert files | {log / f"{version:020}.json" for version in (0, 1)} <= set(synced)
    assert {log, table, table / "year=2023", table / "year=2024"} <= set(synced)
    assert {table.parent, tmp_path / folder, tmp_path} <= set(synced)  # each names a folder that is new


def test_a_later_commit_syncs_what_it_added_and_not_the_past(tmp_path: Path, synced: Synced) -> None:
    lake = Lake(str(tmp_path))
    lake.append(EVENTS, events(1), app_id="feed")
    before = {*tmp_path.rglob("*")}
    synced.clear()
    lake.append(EVENTS, events(2), app_id="feed")
    table = tmp_path / "t" / "events"
    new = {path for path in {*tmp_path.rglob("*")} - before if path.is_file()}
    assert set(synced) == new | {table, table / "_delta_log"}
    assert len(synced) == 4


def test_files_are_synced_before_the_folders_that_name_them(tmp_path: Path, synced: Synced) -> None:
    Lake(str(tmp_path)).append(EVENTS, events(1), app_id="feed")
    is_folder = [path.is_dir() for path in synced]
    assert is_folder == sorted(is_folder)


def test_a_checkpoint_is_synced_with_its_commit(tmp_path: Path, synced: Synced) -> None:
    lake = Lake(str(tmp_path))
    for number in range(51):
        if number == 48:  # the checkpoint follows version 49
            synced.clear()
        lake.append(EVENTS, events(number), app_id="feed")
    checkpoints = {*(tmp_path / "t" / "events" / "_delta_log").glob("*checkpoint*")}
    assert len(checkpoints) == 2
    assert checkpoints <= set(synced)


@pytest.mark.parametrize("broken", [".parquet", ".json", "_delta_log"])
def test_a_sync_that_fails_is_not_acknowledged(tmp_path: Path, synced: Synced, broken: str) -> None:
    lake = Lake(str(tmp_path))
    synced.broken = broken
    with pytest.raises(OSError, match="Input/output error"):
        lake.overwrite(BY_DAY, rows_for(DAYS[:1]), days_of(DAYS[0]))
    with pytest.raises(OSError, match="Input/output error"):
        lake.append(EVENTS, events(1), app_id="feed", app_version=1)
    synced.broken = ""
    assert lake.append(EVENTS, events(1), app_id="feed", app_version=1).rows == 0  # the commit itself had landed


def test_a_lake_that_need_not_be_durable_syncs_nothing(lake: Lake, synced: Synced) -> None:
    lake.overwrite(BY_DAY, rows_for(DAYS), days_of(*DAYS))
    lake.append(EVENTS, events(1), app_id="feed")
    assert synced == []


def test_a_folder_given_relative_to_the_current_one_is_synced_too(
    tmp_path: Path, synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Lake("lake").append(EVENTS, events(1), app_id="feed")
    assert tmp_path / "lake" / "t" / "events" / "_delta_log" / f"{1:020}.json" in synced


def test_the_log_of_a_table_is_plain_delta(lake: Lake, tmp_path: Path) -> None:
    lake.overwrite(BY_DAY, rows_for(DAYS[:1]), days_of(DAYS[0]))
    first = tmp_path / "lake" / "t" / "by_day" / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in first.read_text().splitlines()]
    metadata = next(action["metaData"] for action in actions if "metaData" in action)
    assert metadata["partitionColumns"] == ["year"]
    assert metadata["description"] == "a value of a symbol on a day"
