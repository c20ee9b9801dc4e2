"""Compaction and vacuum: fewer files, the same rows, and no version lost that time travel promises."""

import json
import os
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from pulse_resources.errors import ConfigError, TableMissingError
from pulse_resources.lake import Column, Lake, Partitions, TableContract
from pulse_resources.lake.upkeep import RETENTION_FLOOR_HOURS, SMALL_FILE_BYTES, Health, compact, health, vacuum

DAYS = [date(2023, 12, 30) + timedelta(days=step) for step in range(5)]
BY_DAY = TableContract(
    name="t/by_day",
    description="a value on a day",
    columns=(Column("as_of", pa.date32(), "day"), Column("y", pa.float64(), "value")),
    key=("as_of",),
    partition="as_of",
    physical="year",
)
EVENTS = TableContract("t/events", "a fact", (Column("id", pa.int64(), "number"),), ("id",))


@pytest.fixture
def written(lake: Lake) -> Lake:
    """Five days, two in one year and three in the next, each from a commit of its own."""
    for day in DAYS:
        lake.overwrite(BY_DAY, pa.table({"as_of": [day], "y": [1.0]}), Partitions.of("as_of", [day]))
    return lake


def test_health_counts_rows_files_and_what_could_be_merged(written: Lake, tmp_path: Path) -> None:
    files = [*(tmp_path / "lake" / "t" / "by_day").glob("year=*/*.parquet")]
    size = sum(file.stat().st_size for file in files)
    assert health(written, BY_DAY) == Health("t/by_day", 5, 5, 5, size, 5)


def test_one_small_file_in_a_folder_has_nothing_to_be_merged_with(written: Lake) -> None:
    written.overwrite(BY_DAY, BY_DAY.empty(), Partitions.of("as_of", DAYS[1:2]))
    state = health(written, BY_DAY)
    assert (state.files, state.small_files) == (4, 3)


def test_large_files_are_not_small(written: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pulse_resources.lake.upkeep.SMALL_FILE_BYTES", 1)
    assert health(written, BY_DAY).small_files == 0
    assert SMALL_FILE_BYTES == 16 * 2**20


def test_a_table_without_folders_or_without_rows_has_a_state_too(lake: Lake) -> None:
    lake.create(BY_DAY)
    assert health(lake, BY_DAY) == Health("t/by_day", 0, 0, 0, 0, 0)
    for number in range(3):
        lake.append(EVENTS, pa.table({"id": [number]}), app_id="feed")
    state = health(lake, EVENTS)
    assert (state.rows, state.files, state.small_files) == (3, 3, 3)


def test_a_table_that_was_never_written_has_no_state(lake: Lake) -> None:
    for upkeep in (health, compact):
        with pytest.raises(TableMissingError, match="t/by_day does not exist"):
            upkeep(lake, BY_DAY)
    with pytest.raises(TableMissingError, match="t/by_day does not exist"):
        vacuum(lake, BY_DAY, RETENTION_FLOOR_HOURS)


def test_compaction_merges_the_files_of_a_folder_and_keeps_the_rows(written: Lake) -> None:
    before = written.read(BY_DAY).sort_by("as_of")
    assert compact(written, BY_DAY) == (5, 2)
    assert written.read(BY_DAY).sort_by("as_of").equals(before)
    state = health(written, BY_DAY)
    assert (state.files, state.small_files, state.version) == (2, 0, 6)
    assert compact(written, BY_DAY) == (0, 0)


def test_compaction_leaves_older_versions_readable_and_the_day_replaceable(written: Lake) -> None:
    compact(written, BY_DAY)
    assert len(written.read(BY_DAY, version=2)) == 2
    written.overwrite(BY_DAY, pa.table({"as_of": DAYS[2:3], "y": [2.0]}), Partitions.of("as_of", DAYS[2:3]))
    values = {row["as_of"]: row["y"] for row in written.read(BY_DAY).to_pylist()}
    assert values == {day: 2.0 if day == DAYS[2] else 1.0 for day in DAYS}


def test_an_append_is_still_recognized_after_compaction_and_vacuum(lake: Lake) -> None:
    for number in range(3):
        lake.append(EVENTS, pa.table({"id": [number]}), app_id="feed", app_version=number)
    compact(lake, EVENTS)
    vacuum(lake, EVENTS, RETENTION_FLOOR_HOURS)
    assert lake.append(EVENTS, pa.table({"id": [2]}), app_id="feed", app_version=2).rows == 0
    assert sorted(lake.read(EVENTS)["id"].to_pylist()) == [0, 1, 2]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to see which file a descriptor is")
def test_compaction_of_a_durable_lake_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(str(tmp_path))
    for number in range(3):
        lake.append(EVENTS, pa.table({"id": [number]}), app_id="feed")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    synced: set[Path] = set()
    monkeypatch.setattr(os, "fsync", lambda opened: synced.add(Path(f"/proc/self/fd/{opened}").readlink()))
    compact(lake, EVENTS)
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert len(new) == 4  # data, commit, checkpoint and the pointer to it
    assert new <= synced


@pytest.mark.parametrize("hours", [0, 24, RETENTION_FLOOR_HOURS - 1])
def test_a_vacuum_under_seven_days_is_refused(written: Lake, hours: int) -> None:
    with pytest.raises(ConfigError, match=f"vacuum of t/by_day keeps at least 168 hours of history, asked for {hours}"):
        vacuum(written, BY_DAY, hours)


def test_vacuum_spares_what_running_readers_may_need(written: Lake) -> None:
    compact(written, BY_DAY)
    assert vacuum(written, BY_DAY, RETENTION_FLOOR_HOURS) == 0
    assert [len(written.read(BY_DAY, version=version)) for version in range(7)] == [0, 1, 2, 3, 4, 5, 5]


def test_vacuum_removes_what_was_replaced_before_the_retention(written: Lake, tmp_path: Path) -> None:
    day = DAYS[0]
    written.overwrite(BY_DAY, pa.table({"as_of": [day], "y": [2.0]}), Partitions.of("as_of", [day]))
    removed_days_ago(tmp_path / "lake" / "t" / "by_day" / "_delta_log" / f"{6:020}.json", 8)
    assert vacuum(written, BY_DAY, RETENTION_FLOOR_HOURS) == 1
    assert len([*(tmp_path / "lake" / "t" / "by_day").glob("year=*/*.parquet")]) == 5
    assert len(written.read(BY_DAY)) == 5


def removed_days_ago(commit: Path, days: int) -> None:
    """Move the removals of a commit into the past, as if the table were that much older."""
    actions = [json.loads(line) for line in commit.read_text().splitlines()]
    for action in actions:
        if "remove" in action:
            action["remove"]["deletionTimestamp"] -= days * 86_400_000
    commit.write_text("\n".join(map(json.dumps, actions)))
