"""What commits say about themselves comes into one table, once, whoever wrote them."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pyarrow as pa
import pytest

from pulse_assets.operations import assets as operations
from pulse_assets.operations.lineage import TEXTS, lineage_rows
from pulse_assets.operations.tables import LINEAGE
from pulse_assets.trust.tables import LICENCES, SCORES
from pulse_resources.lake import Evidence, Lake
from pulse_resources.lake.resource import DeltaLake

STAMP = Evidence("run-1", "gold/scores", "run_range", "2024-01-01", "7", {"silver/series": 3}, "abc", 11)
COMMIT = {
    "version": 4,
    "timestamp": 1_700_000_000_123,
    "operation": "WRITE",
    "dagster.run_id": "r",
    "dagster.partitions": "2024-01-02",
    "pulse.inputs": '{"silver/series": 9}',
    "pulse.seed": "",
    "pulse.rows": "62",
}


def test_a_commit_of_ours_tells_who_when_and_from_what() -> None:
    row = lineage_rows("gold/scores", [COMMIT], 3).to_pylist()[0]
    assert row["table"] == "gold/scores"
    assert row["version"] == 4
    assert row["committed_at"] == datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC)
    assert (row["run_id"], row["partitions"], row["inputs"]) == ("r", "2024-01-02", '{"silver/series": 9}')
    assert (row["rows"], row["seed"]) == (62, None)


def test_a_commit_of_another_writer_has_empty_texts() -> None:
    row = lineage_rows("t/x", [{"version": 0, "timestamp": 0}], -1).to_pylist()[0]
    assert all(row[name] == "" for name in (*TEXTS, "operation"))
    assert row["rows"] is row["seed"] is None


@pytest.mark.parametrize(("after", "versions"), [(-1, [6, 5, 4]), (4, [6, 5]), (6, [])])
def test_only_commits_newer_than_those_held_are_returned(after: int, versions: list[int]) -> None:
    history = [COMMIT | {"version": number} for number in (6, 5, 4)]
    found = lineage_rows("t/x", history, after)
    assert found["version"].to_pylist() == versions
    assert LINEAGE.cast(found).schema.equals(LINEAGE.schema)


def scores_row(h: int) -> pa.Table:
    today = datetime(2024, 1, 1, tzinfo=UTC)
    row = {column.name: 0.5 if pa.types.is_floating(column.type) else None for column in SCORES.columns}
    row |= {"as_of": today.date(), "origin": today.date() - timedelta(days=3), "ds": today, "h": h, "unique_id": "a"}
    row |= {"model": "m", "model_version": "1", "covered_50": True, "covered_80": True, "covered_95": True}
    return pa.Table.from_pylist([row], schema=SCORES.schema.remove_metadata())


def record(lake: Lake, instance: dg.DagsterInstance) -> int:
    resources = {"lake": DeltaLake(root=lake.root, durable=False)}
    result = dg.materialize([operations.lineage], instance=instance, resources=resources)
    metadata = result.asset_materializations_for_node("lineage")[0].metadata
    return int(str(metadata["commits_added"].value))


def test_real_commits_are_copied_once(lake: Lake, instance: dg.DagsterInstance) -> None:
    from pulse_resources.lake.partitions import Partitions

    day = Partitions.of("as_of", [datetime(2024, 1, 1, tzinfo=UTC).date()])
    lake.overwrite(SCORES, scores_row(1), day, evidence=STAMP)
    lake.create(LICENCES)
    assert record(lake, instance) == 3
    assert record(lake, instance) == 0
    lake.overwrite(SCORES, scores_row(2), day, evidence=STAMP)
    lake.open(SCORES).optimize.compact()
    assert record(lake, instance) >= 1
    rows = lake.read(LINEAGE).sort_by([("table", "ascending"), ("version", "ascending")]).to_pylist()
    keys = [(row["table"], row["version"]) for row in rows]
    assert len(keys) == len(set(keys))
    ours = next(row for row in rows if row["table"] == "gold/scores" and row["operation"] == "WRITE")
    told = {name: ours[name] for name in ("run_id", "asset_key", "job", "partitions", "code_version", "config", "seed")}
    assert told == {
        "run_id": "run-1",
        "asset_key": "gold/scores",
        "job": "run_range",
        "partitions": "2024-01-01",
        "code_version": "7",
        "config": "abc",
        "seed": 11,
    }
    assert ours["rows"] == 1
