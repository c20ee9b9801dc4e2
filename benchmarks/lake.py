"""Cost of the lake against plain Parquet: ``python -m benchmarks.lake [--rows N] [--rounds R] [--json]``.

Both write the same columns with the default codec; the lake's write goes through Dagster and the IO manager: cast,
rules, key check, order, commit with evidence, sync to disk.
"""

import argparse
import statistics
import tempfile
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import Report, measured
from pulse_resources.lake import Column, Lake, TableContract
from pulse_resources.lake.io_manager import delta_io_manager
from pulse_resources.lake.resource import DeltaLake

BARS = TableContract(
    name="bench/bars",
    description="a bar of a benchmark",
    columns=(
        Column("as_of", pa.date32(), "day"),
        Column("symbol", pa.string(), "ticker"),
        *(Column(name, pa.float64(), name) for name in ("open", "high", "low", "close", "volume")),
    ),
    key=("as_of", "symbol"),
    partition="as_of",
    physical="year",
)
SYMBOLS = 500_000
"""Rows a day: ten million rows are twenty days."""
FIRST = date(2023, 1, 1)


def bars(days: int, symbols: int) -> pa.Table:
    """Return rows of the benchmark table, in order of its key."""
    rng = np.random.default_rng(1)
    stamps = np.repeat(np.arange(days, dtype="int32") + (FIRST - date(1970, 1, 1)).days, symbols)
    names = pa.DictionaryArray.from_arrays(
        pa.array(np.tile(np.arange(symbols, dtype="int32"), days)), pa.array([f"S{n:06d}" for n in range(symbols)])
    )
    numbers = {name: pa.array(rng.normal(100, 1, days * symbols).round(2)) for name in BARS.schema.names[2:]}
    return pa.table(
        {"as_of": pa.array(stamps, pa.int32()).cast(pa.date32()), "symbol": names.cast(pa.string()), **numbers}
    )


def write_through_dagster(table: pa.Table, root: Path, days: int) -> None:
    """Materialize one asset whose output is the table."""
    last = FIRST + timedelta(days=days - 1)
    partitions = dg.DailyPartitionsDefinition(FIRST.isoformat(), end_date=(last + timedelta(days=1)).isoformat())

    @dg.asset(
        key=BARS.path, partitions_def=partitions, io_manager_key="io", backfill_policy=dg.BackfillPolicy.single_run()
    )
    def asset() -> pa.Table:
        return table

    tags = {"dagster/asset_partition_range_start": str(FIRST), "dagster/asset_partition_range_end": str(last)}
    dg.materialize(
        [asset],
        resources={"lake": DeltaLake(root=str(root)), "io": delta_io_manager([BARS])},
        tags=tags,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def _seconds_a_partition(count: int = 1_000) -> float:
    """Return what each further partition of a range run costs, whatever it holds."""
    with tempfile.TemporaryDirectory() as folder, measured() as few:
        write_through_dagster(bars(10, 1), Path(folder), 10)
    with tempfile.TemporaryDirectory() as folder, measured() as many:
        write_through_dagster(bars(count, 1), Path(folder), count)
    return (many.wall_s - few.wall_s) / (count - 10)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    days = options.rows // SYMBOLS
    table = bars(days, SYMBOLS)
    costs: dict[str, list[float]] = {"parquet": [], "lake": [], "parquet_read": [], "lake_read": []}
    cpu: dict[str, list[float]] = {"parquet": [], "lake": []}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            with measured() as plain:
                pq.write_table(table, root / "plain.parquet")
            with measured() as ours:
                write_through_dagster(table, root / "lake", days)
            for name, cost in (("parquet", plain), ("lake", ours)):
                costs[name].append(cost.wall_s)
                cpu[name].append(cost.cpu_s)
            with measured() as plain:
                pq.read_table(root / "plain.parquet")
            with measured() as ours:
                read = Lake(str(root / "lake")).read(BARS)
            assert len(read) == days * SYMBOLS, "the lake returned another number of rows"
            costs["parquet_read"].append(plain.wall_s)
            costs["lake_read"].append(ours.wall_s)
    median = {name: statistics.median(values) for name, values in costs.items()}
    report = Report("lake")
    note = f"{options.rows:,} rows, median of {options.rounds}, wall, synced to disk by the lake only"
    report.add("write_vs_parquet", median["lake"] / median["parquet"], "ratio", "pyarrow.parquet.write_table", note)
    report.add(
        "write_cpu_vs_parquet", statistics.median(cpu["lake"]) / statistics.median(cpu["parquet"]), "ratio", "same"
    )
    report.add("read_vs_parquet", median["lake_read"] / median["parquet_read"], "ratio", "pyarrow.parquet.read_table")
    report.add("write_s", median["lake"], "s", note=f"plain {median['parquet']:.2f} s")
    report.add(
        "partition_ms", 1000 * _seconds_a_partition(), "ms", note="Dagster's events for each partition of a range run"
    )
    report.print()


if __name__ == "__main__":
    main()
