"""Dagster definitions of ingestion: one look at all sources, and the silver series."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.declare import START, days_of, table_asset, table_spec
from pulse_assets.signals.ingest import describe, ingest
from pulse_assets.signals.silver import first_missing, to_series
from pulse_assets.signals.tables import INGESTS, MACRO_VINTAGES, MARKET_BARS, QUARANTINE, SERIES
from pulse_resources.evidence import evidence_of
from pulse_resources.lake.io_manager import ALSO_FROM, INPUTS
from pulse_resources.lake.reading import end_of
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.market import Market

BRONZE = (MARKET_BARS, MACRO_VINTAGES, QUARANTINE, INGESTS)


@dg.multi_asset(
    name="ingest",
    specs=[table_spec(table, group="signals", deps=[], code_version="1") for table in BRONZE],
    can_subset=False,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL),
)
def bronze(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[DeltaLake], market: dg.ResourceParam[Market]
) -> Iterator[dg.MaterializeResult[None]]:
    """Look once at every configured source; what is new lands, what is wrong is quarantined."""
    store = lake.lake()
    reports = []
    for source in market.sources():
        reports.append(ingest(store, source, market.clock, evidence_of(context)))
        context.log.info(next(describe(reports[-1:])))
    refused = sum(report.rows_quarantined for report in reports)
    said = dg.MetadataValue.md("\n".join(f"* {line}" for line in describe(reports)))
    for table in BRONZE:
        store.create(table)
        yield dg.MaterializeResult(
            asset_key=table.path,
            metadata={"delta_version": store.open(table).version(), "sources": said, "rows_quarantined": refused},
        )


@table_asset(SERIES, group="signals", deps=[MARKET_BARS, MACRO_VINTAGES], code_version="1")
def series(context: dg.AssetExecutionContext, lake: dg.ResourceParam[DeltaLake]) -> dg.Output[pa.Table]:
    """Bring everything known into one table of series, each row in the partition on which it was first known.

    A run for some days also brings in what became known before them and is not in silver yet, so that a forecast
    never silently lacks history because an earlier partition was skipped.
    """
    days = days_of(context)
    snapshot = lake.lake().snapshot()
    bars, vintages = (snapshot.read(table, as_of=days[-1]) for table in (MARKET_BARS, MACRO_VINTAGES))
    rows = to_series(bars, vintages, START, days[-1], START)
    before = rows.filter(pc.field("as_of") < days[0])
    earlier = first_missing(before, lake.lake().read(SERIES, columns=["unique_id", "ds", "known_at"]))
    rows = rows.filter(pc.field("as_of") >= (earlier or days[0]))
    return dg.Output(
        rows,
        metadata={
            INPUTS: snapshot.versions,
            ALSO_FROM: earlier.isoformat() if earlier else "",
            "known_until": end_of(days[-1]).isoformat(),
            "series": len(rows["unique_id"].unique()),
            "rows_flagged": pc.sum(pc.not_equal(rows["flags"], "")).as_py() or 0,
        },
    )
