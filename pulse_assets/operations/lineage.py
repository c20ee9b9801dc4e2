"""Turns Delta histories into lineage rows. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pulse_assets.operations.tables import LINEAGE

TEXTS = {
    "run_id": "dagster.run_id",
    "asset_key": "dagster.asset_key",
    "job": "dagster.job",
    "partitions": "dagster.partitions",
    "code_version": "dagster.code_version",
    "inputs": "pulse.inputs",
    "config": "pulse.config",
}


def lineage_rows(table: str, history: Iterable[Mapping[str, Any]], after: int) -> pa.Table:
    """Return the commits of a table newer than version ``after`` as rows of ``ops/lineage``.

    A commit that Pulse did not write, for example a compaction, has empty texts.
    """
    commits = [commit for commit in history if commit["version"] > after]
    rows = [
        {
            "table": table,
            "version": commit["version"],
            "committed_at": datetime.fromtimestamp(commit["timestamp"] / 1000, UTC),
            "operation": commit.get("operation", ""),
            **{ours: commit.get(theirs, "") for ours, theirs in TEXTS.items()},
            "seed": _number(commit.get("pulse.seed")),
            "rows": _number(commit.get("pulse.rows")),
        }
        for commit in commits
    ]
    return pa.Table.from_pylist(rows, schema=LINEAGE.schema.remove_metadata())


def _number(text: object) -> int | None:
    return int(str(text)) if text not in (None, "") else None
