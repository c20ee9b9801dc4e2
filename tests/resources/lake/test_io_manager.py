"""The nine partition scenarios that public Delta IO managers lose data in."""

from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from pulse_resources.errors import ContractError, PartitionError
from pulse_resources.lake import Column, Lake, TableContract
from pulse_resources.lake.io_manager import CONFIG, EVOLVE, INPUTS, SEED, delta_io_manager
from pulse_resources.lake.resource import DeltaLake

DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-02-01")
STATIC = dg.StaticPartitionsDefinition(["a", "b", "c"])
HOURS = dg.HourlyPartitionsDefinition("2024-01-01-00:00", end_date="2024-01-02-00:00")
COLUMNS = (Column("symbol", pa.string(), "ticker"), Column("y", pa.float64(), "value", "USD"))


def contract(name: str, kind: pa.DataType, *, physical: str | None = None) -> TableContract:
    return TableContract(
        name=f"t/{name}",
        description="a test row",
        columns=(Column("part", kind, "partition"), *COLUMNS),
        key=("part", "symbol"),
        partition="part",
        physical=physical,
    )


BY_DAY = contract("by_day", pa.date32(), physical="year")
BY_NAME = contract("by_name", pa.string())
BY_HOUR = contract("by_hour", pa.timestamp("us", "UTC"), physical="month")


def rows_for(values: list[object], kind: pa.DataType, scale: float = 1.0) -> pa.Table:
    parts = pa.array([value for value in values for _ in "xy"], kind)
    return pa.table({"part": parts, "symbol": ["x", "y"] * len(values), "y": [scale] * len(parts)})


def asset_of(table: TableContract, partitions: dg.PartitionsDefinition, **options: object) -> dg.AssetsDefinition:
    """An asset that writes two rows for each of its partitions; ``scale`` marks which run wrote them."""
    kind = table.type_of("part")

    @dg.asset(
        key=table.path,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="lake_io",
        config_schema={"scale": dg.Field(float, default_value=1.0)},
        code_version="7",
        **options,
    )
    def rows(context: dg.AssetExecutionContext) -> dg.Output[pa.Table]:
        values: list[object] = list(context.partition_keys)
        if pa.types.is_date(kind):
            values = [date.fromisoformat(key) for key in context.partition_keys]
        if pa.types.is_timestamp(kind):
            values = [datetime.strptime(key, "%Y-%m-%d-%H:%M").replace(tzinfo=UTC) for key in context.partition_keys]
        table_ = rows_for(values, kind, context.op_execution_context.op_config["scale"])
        return dg.Output(table_, metadata={INPUTS: {"t/source": 3}, CONFIG: "cfg", SEED: 11})

    return rows


def run(
    lake: Lake,
    assets: list[dg.AssetsDefinition],
    *contracts: TableContract,
    key: str = "",
    to: str = "",
    scale: float = 1.0,
) -> dg.ExecuteInProcessResult:
    resources = {"lake": DeltaLake(root=lake.root, durable=False), "lake_io": delta_io_manager(contracts)}
    name = assets[0].op.name
    config = {"ops": {name: {"config": {"scale": scale}}}}
    tags = {"dagster/asset_partition_range_start": key, "dagster/asset_partition_range_end": to} if to else {}
    return dg.materialize(
        assets, partition_key=None if to or not key else key, resources=resources, run_config=config, tags=tags
    )


def by_part(lake: Lake, table: TableContract) -> dict[object, list[float]]:
    frame = lake.read(table).to_pandas()
    return {part: sorted(group["y"]) for part, group in frame.groupby("part")}


def test_running_a_day_again_replaces_only_that_day(lake: Lake) -> None:
    asset = asset_of(BY_DAY, DAYS)
    run(lake, [asset], BY_DAY, key="2024-01-02")
    run(lake, [asset], BY_DAY, key="2024-01-03")
    run(lake, [asset], BY_DAY, key="2024-01-03", scale=2.0)
    assert by_part(lake, BY_DAY) == {date(2024, 1, 2): [1.0, 1.0], date(2024, 1, 3): [2.0, 2.0]}


def test_a_range_in_one_run_replaces_exactly_its_days(lake: Lake) -> None:
    asset = asset_of(BY_DAY, DAYS)
    run(lake, [asset], BY_DAY, key="2024-01-01", to="2024-01-10")
    run(lake, [asset], BY_DAY, key="2024-01-04", to="2024-01-06", scale=2.0)
    twos = {day for day, values in by_part(lake, BY_DAY).items() if values == [2.0, 2.0]}
    assert twos == {date(2024, 1, 4), date(2024, 1, 5), date(2024, 1, 6)}
    assert len(by_part(lake, BY_DAY)) == 10


def test_an_unpartitioned_reader_sees_all_rows_and_a_range_reader_its_range(lake: Lake) -> None:
    seen: dict[str, int] = {}
    upstream = dg.AssetIn(key=BY_DAY.path)

    @dg.asset(ins={"rows": upstream}, io_manager_key="lake_io")
    def everything(rows: pa.Table) -> None:
        seen["all"] = len(rows)

    @dg.asset(
        ins={"rows": upstream},
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="lake_io",
    )
    def some(rows: pd.DataFrame) -> None:
        seen["some"] = len(rows)

    source = asset_of(BY_DAY, DAYS)
    run(lake, [source], BY_DAY, key="2024-01-01", to="2024-01-06")
    resources = {"lake": DeltaLake(root=lake.root, durable=False), "lake_io": delta_io_manager([BY_DAY])}
    dg.materialize([everything, source], selection=[everything], resources=resources)
    tags = {"dagster/asset_partition_range_start": "2024-01-02", "dagster/asset_partition_range_end": "2024-01-04"}
    dg.materialize([some, source], selection=[some], resources=resources, tags=tags)
    assert seen == {"all": 12, "some": 6}


def test_string_and_static_keys_keep_the_other_partitions(lake: Lake) -> None:
    asset = asset_of(BY_NAME, STATIC)
    run(lake, [asset], BY_NAME, key="c")
    run(lake, [asset], BY_NAME, key="a", to="b", scale=2.0)
    run(lake, [asset], BY_NAME, key="b", scale=3.0)
    assert by_part(lake, BY_NAME) == {"a": [2.0, 2.0], "b": [3.0, 3.0], "c": [1.0, 1.0]}


def test_hours_do_not_wipe_one_another(lake: Lake) -> None:
    asset = asset_of(BY_HOUR, HOURS)
    run(lake, [asset], BY_HOUR, key="2024-01-01-00:00")
    run(lake, [asset], BY_HOUR, key="2024-01-01-01:00", to="2024-01-01-03:00", scale=2.0)
    assert [values[0] for values in by_part(lake, BY_HOUR).values()] == [1.0, 2.0, 2.0, 2.0]


def test_a_new_column_is_refused_unless_it_was_asked_for(lake: Lake) -> None:
    run(lake, [asset_of(BY_DAY, DAYS)], BY_DAY, key="2024-01-02")
    wider = TableContract(
        **{**vars_of(BY_DAY), "columns": (*BY_DAY.columns, Column("note", pa.string(), "new", nullable=True))}
    )
    with pytest.raises(ContractError, match="evolve_schema"):
        run(lake, [asset_of(wider, DAYS)], wider, key="2024-01-03")
    run(lake, [asset_of(wider, DAYS, metadata={EVOLVE: True})], wider, key="2024-01-03")
    run(lake, [asset_of(BY_DAY, DAYS)], BY_DAY, key="2024-01-04")  # code from before the change still writes
    assert len(by_part(lake, wider)) == 3
    assert lake.read(wider)["note"].null_count == 6


def test_the_commit_carries_the_evidence(lake: Lake) -> None:
    result = run(lake, [asset_of(BY_DAY, DAYS)], BY_DAY, key="2024-01-02", to="2024-01-04")
    commit = lake.history(BY_DAY)[0]
    assert commit["dagster.run_id"] == result.run_id
    assert commit["dagster.asset_key"] == "t/by_day"
    assert commit["dagster.partitions"] == "2024-01-02...2024-01-04"
    assert commit["dagster.code_version"] == "7"
    assert commit["pulse.inputs"] == '{"t/source": 3}'
    assert (commit["pulse.config"], commit["pulse.seed"], commit["pulse.rows"]) == ("cfg", "11", "6")


def test_rows_outside_the_run_s_partitions_are_refused_and_nothing_is_written(lake: Lake) -> None:
    @dg.asset(key=BY_DAY.path, partitions_def=DAYS, io_manager_key="lake_io")
    def stray(context: dg.AssetExecutionContext) -> pa.Table:
        return rows_for([date(2024, 1, 9)], pa.date32())

    with pytest.raises(PartitionError, match=r"2024-01-09 lie outside .*2024-01-02"):
        run_plain(lake, stray, "2024-01-02")
    assert len(lake.read(BY_DAY)) == 0


def test_an_asset_without_a_contract_is_told_so(lake: Lake) -> None:
    @dg.asset(key=["x", "unknown"], partitions_def=DAYS, io_manager_key="lake_io")
    def unknown() -> pa.Table:
        return pa.table({"n": [1]})

    with pytest.raises(ContractError, match="no table contract for asset 'x/unknown'"):
        run_plain(lake, unknown, "2024-01-02")


def run_plain(lake: Lake, asset: dg.AssetsDefinition, key: str) -> None:
    resources = {"lake": DeltaLake(root=lake.root, durable=False), "lake_io": delta_io_manager([BY_DAY])}
    dg.materialize([asset], partition_key=key, resources=resources)


def vars_of(table: TableContract) -> dict[str, object]:
    names = ("name", "description", "columns", "key", "partition", "physical", "sort", "rows_per_day", "rules")
    return {name: getattr(table, name) for name in names}


def test_the_lake_is_a_folder_per_table(lake: Lake, tmp_path: Path) -> None:
    run(lake, [asset_of(BY_DAY, DAYS)], BY_DAY, key="2024-01-02")
    assert (tmp_path / "lake" / "t" / "by_day" / "year=2024").is_dir()
