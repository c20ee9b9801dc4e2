"""Asset checks made from suites: they run in Dagster, warn, and say what they expected."""

from datetime import date

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from pulse_assets.declare import table_asset
from pulse_assets.trust import quality_checks
from pulse_assets.trust.evidence_tables import DATA_QUALITY
from pulse_resources.lake import Lake
from pulse_resources.lake.io_manager import delta_io_manager
from pulse_resources.lake.resource import DeltaLake

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

DAY = date(2024, 6, 28)


def rows(flags: str) -> pa.Table:
    frame = pd.DataFrame({"unique_id": [f"s:{n}" for n in range(5)]}).assign(as_of=DAY, freq="B", flags=flags)
    frame = frame.assign(observations=500, duplicates=0, flat_run=1, age_days=0.1, late_share=0.01, quality=1.0)
    frame = frame.assign(missing_share=0.0, flat_share=0.01, revision_rate=0.0, revision_size=None, jump_z=1.5)
    return DATA_QUALITY.cast(pa.Table.from_pandas(frame, preserve_index=False))


@pytest.mark.parametrize(("flags", "passed"), [("", True), ("DQ_STALE", False)])
def test_the_check_on_data_quality_says_what_failed_and_under_which_suite(
    lake: Lake, instance: dg.DagsterInstance, flags: str, passed: bool
) -> None:
    @table_asset(DATA_QUALITY, group="trust", deps=[], code_version="1")
    def data_quality() -> pa.Table:
        return rows(flags)

    definitions = dg.Definitions(
        assets=[data_quality],
        asset_checks=[quality_checks.quality_meets_expectations],
        resources={
            "lake": DeltaLake(root=lake.root, durable=False),
            "lake_io": delta_io_manager([DATA_QUALITY]),
        },
    )
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, partition_key=str(DAY)
    )
    (verdict,) = result.get_asset_check_evaluations()
    assert (verdict.check_name, verdict.passed, verdict.severity) == (
        "meets_expectations",
        passed,
        dg.AssetCheckSeverity.WARN,
    )
    assert verdict.metadata["rows"].value == 5
    assert str(verdict.metadata["suite"].value).startswith("data_quality ")
    assert (verdict.metadata["failed"].value == "none") is passed
    assert verdict.metadata["result"].value["success"] is passed


def test_each_table_has_one_suite() -> None:
    checks = dg.load_asset_checks_from_modules([quality_checks])
    keys = {key.to_user_string() for check in checks for key in check.check_keys}
    tables = ("gold/forecasts", "gold/calibrated", "ops/data_quality", "gold/trust")
    assert keys == {f"{table}:meets_expectations" for table in tables}
