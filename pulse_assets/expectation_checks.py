"""Warning checks made from suites of Great Expectations, for every partitioned table alike."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.declare import days_of
from pulse_assets.expectations import Suite, Verdict, validate
from pulse_resources.lake import TableContract
from pulse_resources.lake.resource import DeltaLake

ONE_DAY = timedelta(days=1)
Prepare = Callable[[pa.Table], pd.DataFrame]


def expectation_check(
    contract: TableContract,
    suite: Suite,
    *,
    description: str,
    recent: timedelta = ONE_DAY,
    columns: Sequence[str] | None = None,
    prepare: Prepare = pa.Table.to_pandas,
) -> dg.AssetChecksDefinition:
    """Return the check that the newest rows of a run are as a suite expects.

    Parameters
    ----------
    contract
        Table whose rows are looked at.
    suite
        Factory of the suite; it imports Great Expectations when it is called.
    recent
        How far back from the newest day of the run rows are read.
    columns
        Columns that are read; all by default.
    prepare
        Makes the frame that the suite looks at.
    """

    @dg.asset_check(asset=dg.AssetKey(contract.path), name="meets_expectations", description=description)
    def check(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> dg.AssetCheckResult:
        day = days_of(context)[-1]
        inside = (pc.field("as_of") > pa.scalar(day - recent)) & (pc.field("as_of") <= pa.scalar(day))
        rows = lake.lake().read(contract, as_of=day, columns=None if columns is None else list(columns), where=inside)
        return as_check_result(validate(prepare(rows), suite))

    return check


def as_check_result(verdict: Verdict) -> dg.AssetCheckResult:
    """Return a verdict as Dagster shows it: a warning at most."""
    return dg.AssetCheckResult(
        passed=verdict.success,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "rows": verdict.rows,
            "failed": ", ".join(verdict.failed) or "none",
            "suite": f"{verdict.suite} {verdict.digest}",
            "result": dg.MetadataValue.json(json.loads(verdict.report)),
        },
    )
