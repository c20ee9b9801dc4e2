"""Cost of the lake against plain Parquet: ``python -m benchmarks.lake [--rows N] [--rounds R] [--json]``.

Both write the same columns with the default codec; the lake's write goes through Dagster and the IO manager: cast,
rules, key check, order, commit with evidence, sync to disk.
"""

import argparse
import gc
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import Cost, Report, measured
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
PARTITIONS = 20
FIRST = date(2023, 1, 1)


Windows = dg.TimeWindowPartitionsDefinition


def daily(count: int) -> Windows:
    """Return days of one year."""
    return dg.DailyPartitionsDefinition(FIRST.isoformat(), end_date=(FIRST + timedelta(days=count)).isoformat())


def bars(windows: Windows, symbols: int, decimals: int = 2) -> pa.Table:
    """Return rows of the benchmark table, in order of its key; many decimals mean that values do not repeat."""
    rng = np.random.default_rng(1)
    days = np.array([key[:10] for key in windows.get_partition_keys()], "datetime64[D]")
    names = pa.DictionaryArray.from_arrays(
        pa.array(np.tile(np.arange(symbols, dtype="int32"), len(days))), pa.array([f"S{n:06d}" for n in range(symbols)])
    )
    numbers = {
        name: pa.array(rng.normal(100, 1, len(days) * symbols).round(decimals)) for name in BARS.schema.names[2:]
    }
    return pa.table({"as_of": pa.array(np.repeat(days, symbols)), "symbol": names.cast(pa.string()), **numbers})


def write_through_dagster(table: pa.Table, root: Path, windows: Windows) -> None:
    """Materialize one asset whose output is the table, over all partitions in one run."""

    @dg.asset(
        key=BARS.path, partitions_def=windows, io_manager_key="io", backfill_policy=dg.BackfillPolicy.single_run()
    )
    def asset() -> pa.Table:
        return table

    keys = windows.get_partition_keys()
    dg.materialize(
        [asset],
        resources={"lake": DeltaLake(root=str(root)), "io": delta_io_manager([BARS])},
        tags={"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


@contextmanager
def settled() -> Iterator[Cost]:
    """Measure a block after what was written before has reached the disk, so that neither pays for the other."""
    os.sync()
    gc.collect()
    with measured() as cost:
        yield cost


def compare(table: pa.Table, windows: Windows, rounds: int) -> dict[str, float]:
    """Return medians over interleaved rounds: wall seconds of plain Parquet and of the lake, writing and reading."""
    costs: dict[str, list[float]] = {
        "plain": [],
        "lake": [],
        "plain_cpu": [],
        "lake_cpu": [],
        "plain_read": [],
        "lake_read": [],
    }
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            with settled() as plain:
                pq.write_table(table, root / "plain.parquet")
            with settled() as ours:
                write_through_dagster(table, root / "lake", windows)
            with measured() as plain_read:
                pq.read_table(root / "plain.parquet")
            with measured() as ours_read:
                read = Lake(str(root / "lake")).read(BARS)
            assert len(read) == len(table), "the lake returned another number of rows"
        for name, cost in (("plain", plain), ("lake", ours)):
            costs[name].append(cost.wall_s)
            costs[f"{name}_cpu"].append(cost.cpu_s)
        costs["plain_read"].append(plain_read.wall_s)
        costs["lake_read"].append(ours_read.wall_s)
    return {name: statistics.median(values) for name, values in costs.items()}


def _seconds_a_partition(count: int = 300) -> float:
    """Return what each further partition of a range run costs, whatever it holds."""
    costs = []
    for windows in (daily(10), daily(count)):
        table = bars(windows, 1)
        with tempfile.TemporaryDirectory() as folder, measured() as cost:
            write_through_dagster(table, Path(folder), windows)
        costs.append(cost.wall_s)
    return (costs[1] - costs[0]) / (count - 10)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    symbols = options.rows // PARTITIONS
    write_through_dagster(
        bars(daily(2), 1), Path(tempfile.mkdtemp()), daily(2)
    )  # what is imported late is not measured
    report = Report("lake")
    for name, decimals, what in (("", 15, "full precision"), ("_cents", 2, "two decimals, so values repeat")):
        windows = daily(PARTITIONS)
        cost = compare(bars(windows, symbols, decimals), windows, options.rounds)
        note = f"{options.rows:,} rows, {PARTITIONS} days, {what}, wall, median of {options.rounds}"
        report.add(
            f"write_vs_parquet{name}", cost["lake"] / cost["plain"], "ratio", "pyarrow.parquet.write_table", note
        )
        report.add(f"write_cpu_vs_parquet{name}", cost["lake_cpu"] / cost["plain_cpu"], "ratio", "same", "CPU")
        report.add(
            f"read_vs_parquet{name}", cost["lake_read"] / cost["plain_read"], "ratio", "pyarrow.parquet.read_table"
        )
        report.add(
            f"write_s{name}", cost["lake"], "s", note=f"plain {cost['plain']:.2f} s; only the lake syncs to disk"
        )
    note = "Dagster's events for each partition of a range run"
    report.add("partition_ms", 1000 * _seconds_a_partition(), "ms", note=note)
    report.print()


if __name__ == "__main__":
    main()
