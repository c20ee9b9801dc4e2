"""Contracts of the tables about tables."""

import pyarrow as pa

from pulse_resources.lake import Column, TableContract

TIME = pa.timestamp("us", "UTC")
TABLE = Column("table", pa.string(), "Table name, as layer/table")
VERSION = Column("version", pa.int64(), "Delta version")

LINEAGE = TableContract(
    name="ops/lineage",
    description="One commit of one table: who wrote it, from which versions of which tables, with which code",
    columns=(
        TABLE,
        VERSION,
        Column("committed_at", TIME, "Time of the commit"),
        Column("operation", pa.string(), "WRITE, CREATE TABLE, OPTIMIZE, VACUUM …"),
        Column("run_id", pa.string(), "Dagster run"),
        Column("asset_key", pa.string(), "Asset that wrote it"),
        Column("job", pa.string(), "Dagster job"),
        Column("partitions", pa.string(), "Partition, or first...last of a range"),
        Column("code_version", pa.string(), "Version of the asset's code"),
        Column("inputs", pa.string(), "JSON object: table → Delta version that was read"),
        Column("config", pa.string(), "Fingerprint of the configuration"),
        Column("seed", pa.int64(), "Seed of the random numbers", nullable=True),
        Column("rows", pa.int64(), "Rows written", "rows", nullable=True),
    ),
    key=("table", "version"),
    rows_per_day=10,
)

TABLE_HEALTH = TableContract(
    name="ops/table_health",
    description="State of one table after one round of upkeep",
    columns=(
        Column("measured_at", TIME, "When"),
        TABLE,
        VERSION,
        Column("rows", pa.int64(), "Rows in the newest version", "rows"),
        Column("files", pa.int64(), "Files of the newest version", "files"),
        Column("bytes", pa.int64(), "Their size", "bytes"),
        Column("small_files", pa.int64(), "Files under 16 MiB that share a folder with another", "files"),
        Column("files_compacted", pa.int64(), "Files merged away by this round", "files"),
        Column("files_vacuumed", pa.int64(), "Files deleted by this round", "files"),
    ),
    key=("measured_at", "table"),
    rows_per_day=2,
)

TABLES = (LINEAGE, TABLE_HEALTH)
