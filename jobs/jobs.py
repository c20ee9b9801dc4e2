"""Jobs, schedules and sensors: what is launched together, when, and what happens when a run fails.

One trigger an asset: the schedule starts ingestion and silver, automation conditions start everything behind them.
``forecast_daily`` is for launching by hand, from the command line or from outside.
"""

import os
from collections.abc import Mapping

import dagster as dg
import requests

from jobs import drift_report, retraining
from pulse_assets.declare import AS_OF
from pulse_assets.simulation.assets import WRITTEN as SIMULATED

GOLD_GROUPS = ("forecasting", "trust")

market_daily = dg.define_asset_job(
    "market_daily",
    selection=dg.AssetSelection.groups("signals"),
    description="Look at every source, then bring what is new into silver",
)
forecast_daily = dg.define_asset_job(
    "forecast_daily",
    selection=dg.AssetSelection.groups(*GOLD_GROUPS) | dg.AssetSelection.assets(["ops", "lineage"]),
    description="Forecast, score, license, and record the lineage",
)
run_range = dg.define_asset_job(
    "run_range",
    selection=dg.AssetSelection.assets(["silver", "series"], ["ops", "lineage"])
    | dg.AssetSelection.groups(*GOLD_GROUPS),
    description="Silver, forecasts, scores, licences and lineage over a range of days: a walk-forward evaluation",
)
simulate_daily = dg.define_asset_job(
    "simulate_daily",
    selection=dg.AssetSelection.assets(*(table.name.split("/") for table in SIMULATED)),
    description="Simulate scenarios from the world as of each day of a range; what is simulated is its configuration",
)
retrodict = dg.define_asset_job(
    "retrodict",
    selection=dg.AssetSelection.assets(["gold", "retrodiction"]),
    description="Score the simulations that would have been made in the past, over a range of days",
)
register_models = dg.define_asset_job(
    "register_models",
    selection=dg.AssetSelection.assets(["ops", "models"]),
    description="Train every panel model as of a day and keep it in the registry, with its evidence",
)
maintain_weekly = dg.define_asset_job(
    "maintain_weekly",
    selection=dg.AssetSelection.assets(["ops", "table_health"], ["ops", "lineage"]),
    description="Compact and vacuum all tables",
)


@dg.schedule(job=market_daily, cron_schedule="30 22 * * 1-5", execution_timezone="UTC")
def market_weekdays(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Ingest each weekday half an hour after daily bars count as known."""
    key = context.scheduled_execution_time.strftime(AS_OF.fmt)
    return dg.RunRequest(run_key=f"market {key}", partition_key=key)


maintain_sundays = dg.ScheduleDefinition(
    name="maintain_sundays", job=maintain_weekly, cron_schedule="0 3 * * 0", execution_timezone="UTC"
)

automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=60,
    description="Launches whatever stands behind silver once its inputs are new and their blocking checks passed",
)


@dg.run_failure_sensor(
    name="run_failed",
    default_status=dg.DefaultSensorStatus.RUNNING,
    monitor_all_code_locations=True,
    description="Says which run failed and why, in the log and at PULSE_ALERT_URL if that is set",
)
def run_failed(context: dg.RunFailureSensorContext) -> None:
    """Log a failed run, and post it as JSON where the operator asked for it."""
    alert = {
        "run_id": context.dagster_run.run_id,
        "job": context.dagster_run.job_name,
        "partition": _partitions_of(context.dagster_run.tags),
        "error": _why(context)[:2_000],
    }
    context.log.error("run %(run_id)s of %(job)s failed: %(error)s", alert)
    url = os.environ.get("PULSE_ALERT_URL")
    if url:
        requests.post(url, json=alert, timeout=10).raise_for_status()


def _partitions_of(tags: Mapping[str, str]) -> str:
    first, last = (tags.get(f"dagster/asset_partition_range_{end}", "") for end in ("start", "end"))
    return f"{first}...{last}" if first else tags.get("dagster/partition", "")


def _why(context: dg.RunFailureSensorContext) -> str:
    """Return the errors of the steps that failed, each with its causes, or what the run says when no step did."""
    lines = []
    for event in context.get_step_failure_events():
        error = event.step_failure_data.error
        error = error.cause or error if error else None  # the outermost only says that a step failed
        while error is not None:
            lines.append(f"{event.step_key}: {error.message.strip()}")
            error = error.cause
    return "\n".join(lines) or context.failure_event.message or ""


JOBS = (
    market_daily,
    forecast_daily,
    run_range,
    simulate_daily,
    retrodict,
    register_models,
    *retraining.JOBS,
    maintain_weekly,
)
SCHEDULES = (market_weekdays, maintain_sundays, *drift_report.SCHEDULES)
SENSORS = (automation, run_failed, *retraining.SENSORS)
