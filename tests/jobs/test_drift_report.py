"""The page about what changed most: written beside the tables, linked from the table it is about."""

from datetime import date
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jobs.definitions import build_definitions
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.drift_days import drift_days
from pulse_assets.trust.evidence_tables import DRIFT
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import Partitions
from pulse_resources.lake.resource import DeltaLake

pytestmark = pytest.mark.slow

FRIDAY = date(2023, 12, 29)


def silver() -> pa.Table:
    """Two years of three rates, one of which jumps about in the last months."""
    rng, ds = np.random.default_rng(1), pd.bdate_range("2022-01-03", FRIDAY, tz="UTC")
    frames = []
    for name in ("calm", "quiet", "wild"):
        steps = rng.normal(size=len(ds))
        steps[-90:] *= 4 if name == "wild" else 1
        frames.append(pd.DataFrame({"as_of": ds.date, "unique_id": f"f:{name}", "ds": ds, "y": np.cumsum(steps)}))
    frame = pd.concat(frames).assign(
        known_at=lambda f: f["ds"] + pd.Timedelta(hours=22),
        kind="rate",
        unit="percent",
        freq="B",
        calendar="weekday",
        source="f",
        flags="",
    )
    return SERIES.cast(pa.Table.from_pandas(frame, preserve_index=False)).sort_by("as_of")


def write(lake: Lake) -> None:
    rows = silver()
    lake.overwrite(SERIES, rows, Partitions.of("as_of", sorted(set(rows["as_of"].to_pylist()))))
    made = pa.concat_tables(drift_days(lake.snapshot(), [[FRIDAY]]))
    lake.overwrite(DRIFT, made, Partitions.of("as_of", [FRIDAY]))


def run(lake: Lake, instance: dg.DagsterInstance, as_of: str = "") -> dg.ExecuteInProcessResult:
    definitions = build_definitions(lake=DeltaLake(root=lake.root, durable=False))
    return definitions.resolve_job_def("drift_report").execute_in_process(
        instance=instance,
        raise_on_error=False,
        run_config={
            "ops": {"render_drift_report": {"config": {"as_of": as_of}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
    )


def test_the_page_lies_beside_the_tables_and_is_linked_from_drift(lake: Lake, instance: dg.DagsterInstance) -> None:
    write(lake)
    assert run(lake, instance).success
    page = Path(lake.root) / "reports" / "drift" / f"{FRIDAY}.html"
    text = page.read_text(encoding="utf-8")
    assert text.index("<td>f:wild") < text.index("<td>f:calm")
    (record,) = instance.fetch_observations(dg.AssetKey(DRIFT.path), limit=1).records
    assert record.asset_observation is not None
    told = record.asset_observation.metadata
    assert told["report"].value == str(page)
    assert told["bytes"].value == page.stat().st_size
    assert str(told["series"].value).startswith("f:wild")


def test_without_a_comparison_there_is_no_page_and_no_failure(lake: Lake, instance: dg.DagsterInstance) -> None:
    assert run(lake, instance).success
    assert not (Path(lake.root) / "reports").exists()


def test_a_day_that_is_none_is_refused_in_words(lake: Lake, instance: dg.DagsterInstance) -> None:
    result = run(lake, instance, as_of="friday")
    assert not result.success
    said = " ".join(str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure)
    assert "expected a date such as 2024-06-28" in said
