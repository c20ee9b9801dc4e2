"""Upkeep keeps every row and shrinks the number of files; lineage copies each commit once; run history stays small."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from jobs.definitions import build_definitions
from pulse_assets.catalogue import TABLES
from pulse_assets.forecasting.assets import forecasts
from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.operations.assets import lineage, upkeep
from pulse_assets.operations.tables import LINEAGE, TABLE_HEALTH
from pulse_assets.signals.tables import INGESTS, SERIES
from pulse_resources.compute import Compute
from pulse_resources.lake import Evidence, Lake, TableContract
from pulse_resources.lake.io_manager import delta_io_manager
from pulse_resources.lake.partitions import Partitions, weekdays
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.market import Market

NOW = datetime(2024, 6, 28, 23, tzinfo=UTC)
DAYS = tuple(date(2024, 6, day) for day in (3, 4, 5, 6, 7, 10))


def series_of(day: date) -> pa.Table:
    moment = datetime(day.year, day.month, day.day, 22, tzinfo=UTC)
    row = {
        "as_of": day,
        "ds": moment,
        "y": float(day.day),
        "known_at": moment,
        "kind": "price",
        "unit": "USD",
        "freq": "B",
        "calendar": "weekday",
        "source": "test",
        "flags": "",
    }
    return SERIES.cast(pa.Table.from_pylist([row | {"unique_id": f"test:{name}"} for name in "ab"]))


@pytest.fixture
def used(lake: Lake) -> Lake:
    """Return a lake in which silver was written day by day: one small file and one commit a day."""
    for day in DAYS:
        wrote = Evidence(run_id=f"run of {day}", asset_key=SERIES.name, partitions=str(day), inputs={"bronze/x": 3})
        lake.overwrite(SERIES, series_of(day), Partitions.of("as_of", [day]), evidence=wrote)
    return lake


def run(
    lake: Lake,
    asset: dg.AssetsDefinition,
    *,
    now: datetime = NOW,
    config: Mapping[str, object] | None = None,
    raise_on_error: bool = True,
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [asset],
        resources={"lake": DeltaLake(root=lake.root, durable=False), "market": Market(now=now.isoformat())},
        run_config={"ops": {asset.op.name: {"config": dict(config)}}} if config else None,
        raise_on_error=raise_on_error,
    )


def rows_of(lake: Lake, contract: TableContract, version: int | None = None) -> list[dict[str, object]]:
    table = lake.read(contract, version=version)
    return table.sort_by([(name, "ascending") for name in contract.key]).to_pylist()


def files_of(lake: Lake, contract: TableContract) -> Sequence[Path]:
    return list(Path(lake.uri(contract.name)).rglob("*.parquet"))


def newest_health(lake: Lake) -> dict[str, dict[str, object]]:
    rows = lake.read(TABLE_HEALTH).sort_by("measured_at").to_pylist()
    return {str(row["table"]): row for row in rows}


def test_upkeep_merges_small_files_and_keeps_every_row(used: Lake) -> None:
    before = rows_of(used, SERIES)
    assert len(used.open(SERIES).file_uris()) == len(DAYS)
    run(used, upkeep)
    assert len(used.open(SERIES).file_uris()) == 1
    assert rows_of(used, SERIES) == before


def test_upkeep_leaves_older_versions_readable(used: Lake) -> None:
    version = used.open(SERIES).version()
    before = rows_of(used, SERIES, version - 2)
    run(used, upkeep)
    assert rows_of(used, SERIES, version - 2) == before


def test_upkeep_notes_the_state_of_each_table_that_exists(used: Lake) -> None:
    run(used, upkeep)
    noted = newest_health(used)
    assert set(noted) == {SERIES.name}, "table_health itself did not exist yet"
    state = noted[SERIES.name]
    assert (state["rows"], state["files"], state["small_files"]) == (2 * len(DAYS), 1, 0)
    assert state["files_compacted"] == len(DAYS)
    assert state["version"] == used.open(SERIES).version()
    assert state["measured_at"] == NOW


def test_upkeep_of_a_compact_table_writes_no_version(used: Lake) -> None:
    run(used, upkeep)
    version = used.open(SERIES).version()
    run(used, upkeep, now=datetime(2024, 7, 5, 3, tzinfo=UTC))
    assert used.open(SERIES).version() == version
    assert newest_health(used)[SERIES.name]["files_compacted"] == 0


def test_upkeep_of_an_empty_lake_succeeds(lake: Lake) -> None:
    assert run(lake, upkeep).success
    assert newest_health(lake) == {}


def test_upkeep_deletes_no_file_that_the_retention_still_covers(used: Lake) -> None:
    before = set(files_of(used, SERIES))
    run(used, upkeep, config={"retention_hours": 7 * 24})
    assert before <= set(files_of(used, SERIES))


@pytest.mark.parametrize("hours", [0, 24, 7 * 24 - 1])
def test_upkeep_refuses_a_retention_under_seven_days_before_it_touches_a_table(used: Lake, hours: int) -> None:
    version = used.open(SERIES).version()
    result = run(used, upkeep, config={"retention_hours": hours}, raise_on_error=False)
    assert not result.success
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    said = failure.step_failure_data.error.to_string()
    assert "at least 168 hours" in said
    assert f"asked for {hours}" in said
    assert used.open(SERIES).version() == version


def test_lineage_holds_one_row_a_commit_of_every_table(used: Lake) -> None:
    used.append(INGESTS, ingest_rows(), app_id="test", app_version=1)
    run(used, lineage)
    held = used.read(LINEAGE)
    assert sorted(zip(held["table"].to_pylist(), held["version"].to_pylist(), strict=True)) == commits_of(used)


def test_lineage_says_who_wrote_from_what(used: Lake) -> None:
    run(used, lineage)
    by_version = {row["version"]: row for row in rows_of(used, LINEAGE)}
    assert by_version[0]["operation"] == "CREATE TABLE"
    first = by_version[1]
    assert (first["run_id"], first["asset_key"]) == (f"run of {DAYS[0]}", SERIES.name)
    assert (first["partitions"], first["inputs"], first["rows"]) == (str(DAYS[0]), '{"bronze/x": 3}', 2)


def test_lineage_added_twice_is_lineage_added_once(used: Lake) -> None:
    run(used, lineage)
    version, before = used.open(LINEAGE).version(), rows_of(used, LINEAGE)
    run(used, lineage)
    assert rows_of(used, LINEAGE) == before
    assert used.open(LINEAGE).version() == version, "nothing new, no commit"


def test_lineage_catches_up_with_what_upkeep_did(used: Lake) -> None:
    run(used, lineage)
    run(used, upkeep)
    run(used, lineage)
    held = used.read(LINEAGE)
    assert sorted(zip(held["table"].to_pylist(), held["version"].to_pylist(), strict=True)) == commits_of(used)
    assert "OPTIMIZE" in held["operation"].to_pylist()


def test_lineage_survives_the_clean_up_of_a_tables_log(used: Lake) -> None:
    """That is what the table is for: the log forgets after thirty days."""
    run(used, lineage)
    before = rows_of(used, LINEAGE)
    forget_log(used, SERIES)
    assert len(used.history(SERIES)) < len(DAYS)
    run(used, lineage)
    kept = {(row["table"], row["version"]): row for row in rows_of(used, LINEAGE)}
    assert all(kept[row["table"], row["version"]] == row for row in before)


def test_the_plot_of_a_backfill_is_stored_once(lake: Lake, instance: dg.DagsterInstance) -> None:
    """Dagster copies an output's metadata to every partition of the run: a picture each would fill the run history."""
    days = forecast_range(lake, instance, 5)
    written = materialized(instance)
    assert sorted(written) == days
    assert [day for day, metadata in written.items() if "data:image/png" in str(metadata)] == days[-1:]


@pytest.mark.parametrize("count", [1, 5])
def test_a_partitions_row_count_is_that_of_the_partition(lake: Lake, instance: dg.DagsterInstance, count: int) -> None:
    forecast_range(lake, instance, count)
    rows = len(lake.read(FORECASTS))
    stated = [metadata.get("dagster/partition_row_count") for metadata in materialized(instance).values()]
    assert [number.value if number else None for number in stated] == ([rows] if count == 1 else [None] * count)


def forecast_range(lake: Lake, instance: dg.DagsterInstance, count: int) -> list[str]:
    """Forecast the newest days of half a year in one run; return them."""
    days = weekdays(date(2024, 1, 1), date(2024, 6, 28))
    rows = pa.concat_tables([series_of(day) for day in days])
    lake.overwrite(SERIES, rows, Partitions.of("as_of", days))
    newest = [str(day) for day in days[-count:]]
    dg.materialize(
        [forecasts],
        instance=instance,
        resources={
            "lake": DeltaLake(root=lake.root, durable=False),
            "lake_io": delta_io_manager(TABLES),
            "compute": Compute(),
        },
        tags={"dagster/asset_partition_range_start": newest[0], "dagster/asset_partition_range_end": newest[-1]},
    )
    return newest


def materialized(instance: dg.DagsterInstance) -> dict[str, Mapping[str, dg.MetadataValue]]:
    """Return the metadata of each partition's newest materialization of the forecasts."""
    records = instance.fetch_materializations(forecasts.key, limit=100).records
    return {str(r.partition_key): r.asset_materialization.metadata for r in records if r.asset_materialization}


def test_a_check_launched_by_itself_looks_at_the_newest_computed_day(used: Lake, instance: dg.DagsterInstance) -> None:
    """The button `Execute` of the user interface names no partition."""
    for day in DAYS:
        instance.report_runless_asset_event(dg.AssetMaterialization(SERIES.path, partition=str(day)))
    result = execute_check(used, instance, "latest_partition_is_recent")
    (evaluation,) = result.get_asset_check_evaluations()
    assert evaluation.passed
    assert evaluation.metadata["partition"].value == str(DAYS[-1])


def test_a_check_of_what_was_never_computed_says_so(lake: Lake, instance: dg.DagsterInstance) -> None:
    result = execute_check(lake, instance, "latest_partition_is_recent")
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    assert "silver/series was not computed for any day yet" in failure.step_failure_data.error.to_string()


def execute_check(lake: Lake, instance: dg.DagsterInstance, name: str) -> dg.ExecuteInProcessResult:
    """Launch one check of silver without its asset."""
    check = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(SERIES.path), name))
    ours = build_definitions(lake=DeltaLake(root=lake.root, durable=False))
    definitions = dg.Definitions.merge(ours, dg.Definitions(jobs=[dg.define_asset_job("by_itself", selection=check)]))
    return definitions.resolve_job_def("by_itself").execute_in_process(instance=instance, raise_on_error=False)


def ingest_rows() -> pa.Table:
    texts = {"source": "test", "outcome": "ok"}
    counts = {"rows_delivered": 2, "rows_new": 2, "rows_corrected": 0, "rows_quarantined": 0}
    row = {**texts, **counts, "started_at": NOW, "bars_version": 0, "vintages_version": 0}
    return INGESTS.cast(pa.Table.from_pylist([row]))


def commits_of(lake: Lake) -> list[tuple[str, int]]:
    """Return table and version of every commit in the lake but those of lineage itself."""
    others = [table for table in TABLES if table.name != LINEAGE.name]
    return sorted((table.name, commit["version"]) for table in others for commit in lake.history(table))


def forget_log(lake: Lake, contract: TableContract) -> None:
    """Do what time does: drop the JSON log before a checkpoint."""
    table: DeltaTable = lake.open(contract)
    table.create_checkpoint()
    for path in Path(lake.uri(contract.name), "_delta_log").glob("0*.json"):
        if int(path.stem) < table.version():
            path.unlink()
