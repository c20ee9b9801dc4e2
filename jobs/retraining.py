"""What keeps models learning: the job that follows the evidence of a day, the one that trains, the sensor of both.

What a day asks for is decided by the asset ``ops/model_events`` and recorded there. The sensor only sees that a day has
not been followed yet, or that something that was asked for has not been trained. Its cursor holds what it asked for
last, and may be lost: then it asks once more, and what was done already is done by nobody again.
"""

import json

import dagster as dg

from pulse_assets.trust.evidence_tables import MODEL_EVENTS, MODELS
from pulse_assets.trust.model_event_days import waiting_requests
from pulse_assets.trust.retraining_assets import newest_day
from pulse_assets.trust.tables import TRUST
from pulse_resources.evidence import fingerprint
from pulse_resources.lake import Lake
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.registry import CHALLENGER

EVERY_SECONDS = 300

follow_models = dg.define_asset_job(
    "follow_models",
    selection=dg.AssetSelection.assets(MODEL_EVENTS.path),
    description="Record what the newest evidence asks of the trained models: to learn anew, to be promoted, to go",
)
retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.assets(MODELS.path, MODEL_EVENTS.path),
    description="Train and register the families that were asked for, and take them into the shadow",
)


@dg.sensor(
    name="models_need_retraining",
    jobs=[retrain, follow_models],
    minimum_interval_seconds=EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launches the training of what ops/model_events asks for, and follows each new day of trust once",
)
def models_need_retraining(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[DeltaLake]
) -> dg.RunRequest | dg.SkipReason:
    """Ask for the run that is due; each once for each day."""
    store = lake.lake()
    day = newest_day(store, TRUST)
    if day is None:
        return dg.SkipReason(f"{TRUST.name} does not exist yet: nothing is judged, so nothing is asked for")
    record = store.read(MODEL_EVENTS)
    waiting = waiting_requests(record, day)
    asked = {family: str(since) for family, since in waiting.items()}
    request = _training(store, asked, str(day)) if waiting else _following(store, str(day))
    if request.run_key == _asked_last(context.cursor):
        what = f"the training of {', '.join(waiting)} was launched" if waiting else "the models were followed"
        return dg.SkipReason(f"{what} for {day}; it is launched again when {TRUST.name} has a newer day")
    context.update_cursor(json.dumps({"asked": request.run_key}))
    return request


def _training(store: Lake, asked: dict[str, str], day: str) -> dg.RunRequest:
    """Return the run that trains what was asked for, on what was known by a day: tried once a day until it is done."""
    models = {"trained_on": day, "families": sorted(asked), "alias": CHALLENGER}
    return dg.RunRequest(
        run_key=f"retrain {fingerprint([asked, day, _version(store)])}",
        job_name=retrain.name,
        run_config={"ops": {"models": {"config": models}, "model_events": {"config": {"as_of": day}}}},
        tags={"pulse/families": ", ".join(sorted(asked)), "pulse/as_of": day},
    )


def _following(store: Lake, day: str) -> dg.RunRequest:
    trust = store.open(TRUST).version() if store.exists(TRUST) else -1
    return dg.RunRequest(
        run_key=f"follow {fingerprint([day, trust, _version(store)])}",
        job_name=follow_models.name,
        run_config={"ops": {"model_events": {"config": {"as_of": day}}}},
        tags={"pulse/as_of": day},
    )


def _version(store: Lake) -> int:
    return store.open(MODEL_EVENTS).version() if store.exists(MODEL_EVENTS) else -1


def _asked_last(cursor: str | None) -> str:
    """Return the key of the run that was asked for last; a cursor that is lost or damaged says nothing."""
    try:
        kept = json.loads(cursor or "{}")
    except ValueError:
        return ""
    return str(kept.get("asked", "")) if isinstance(kept, dict) else ""


JOBS = (follow_models, retrain)
SENSORS = (models_need_retraining,)
