"""The weekly page about the series whose steps changed most: written beside the tables, linked from ``ops/drift``.

Nothing waits for it: it is no asset, and what it shows was computed before.
"""

import tempfile
from datetime import date
from pathlib import Path

import dagster as dg
import pyarrow.compute as pc

from pulse_assets.trust.evidence_tables import DRIFT
from pulse_resources.errors import ConfigError
from pulse_resources.lake import Lake
from pulse_resources.lake.resource import DeltaLake

FOLDER = "reports/drift"


class ReportConfig(dg.Config):
    """Day whose comparison is shown (ISO); by default the newest one that was made."""

    as_of: str = ""


@dg.op(description="Draw the twenty series whose steps changed most with Evidently, and link the page from ops/drift")
def render_drift_report(
    context: dg.OpExecutionContext, config: ReportConfig, lake: dg.ResourceParam[DeltaLake]
) -> None:
    """Write the page of a day; say so in the log where there is nothing to draw."""
    from pulse_assets.trust.data_drift_days import samples_of
    from pulse_assets.trust.detection.report import render

    store = lake.lake()
    day = _day(store, config)
    if day is None:
        context.log.warning("no comparison was made yet: %s has rows of data_drift on Fridays", DRIFT.name)
        return
    reference, recent = samples_of(store.snapshot(), day)
    if not reference:
        context.log.warning("no series had enough steps to be compared on %s", day)
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / f"{day}.html"
        rendered = render(reference, recent, page)
        target = f"{store.uri(FOLDER)}/{page.name}"
        _put(page, target)
    context.log_event(
        dg.AssetObservation(
            asset_key=DRIFT.path,
            partition=str(day),
            metadata={
                "report": dg.MetadataValue.url(target) if "://" in target else dg.MetadataValue.path(target),
                "bytes": rendered.size,
                "series": ", ".join(rendered.series),
                "left_out": ", ".join(rendered.left_out) or "none",
            },
        )
    )


@dg.job(description="Draw what changed most in the distributions of series; nothing waits for it")
def drift_report() -> None:
    """Draw one page."""
    render_drift_report()


drift_report_saturdays = dg.ScheduleDefinition(
    name="drift_report_saturdays", job=drift_report, cron_schedule="0 6 * * 6", execution_timezone="UTC"
)


def _day(store: Lake, config: ReportConfig) -> date | None:
    if config.as_of:
        try:
            return date.fromisoformat(config.as_of)
        except ValueError as error:
            raise ConfigError(f"as_of is {config.as_of!r}; expected a date such as 2024-06-28") from error
    compared = pc.field("drift") == "data_drift"
    newest: date | None = pc.max(store.read(DRIFT, columns=["as_of"], where=compared)["as_of"]).as_py()
    return newest


def _put(page: Path, target: str) -> None:
    """Copy the page to where tables are, a folder or a bucket."""
    if "://" not in target:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).write_bytes(page.read_bytes())
        return
    import fsspec

    with fsspec.open(target, "wb") as out:
        out.write(page.read_bytes())


JOBS = (drift_report,)
SCHEDULES = (drift_report_saturdays,)
