"""The sensor asks for each run once, whatever became of its cursor, and says why it asks for none."""

import json
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from jobs.retraining import JOBS, follow_models, models_need_retraining, retrain
from pulse_assets.trust.evidence_tables import MODEL_EVENTS
from pulse_assets.trust.models_assets import models
from pulse_assets.trust.retraining_assets import model_events, shadow_scores
from pulse_resources.compute import Compute
from pulse_resources.lake import Lake
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.market import Market
from pulse_resources.registry import Registry
from tests.assets.trust.retraining_lake import PRICE_IDS, follow, fresh_lake, tell_drift, tell_models, tell_trust
from tests.assets.trust.trained_lake import NOW, PRICES, Trained, trained_lake

ASKED, LATER = date(2024, 4, 8), date(2024, 4, 9)
DOWN = Registry(address="http://127.0.0.1:9", timeout_seconds=2)


def tick(lake: Lake, cursor: str | None = None) -> tuple[list[dg.RunRequest], str, str | None]:
    """Return what one tick asks for, why it asks for nothing, and the cursor after it."""
    context = dg.build_sensor_context(cursor=cursor, resources={"lake": DeltaLake(root=lake.root, durable=False)})
    data = models_need_retraining.evaluate_tick(context)
    return list(data.run_requests or []), data.skip_message or "", data.cursor


@pytest.fixture
def scene(tmp_path: Path) -> Trained:
    """Prices that alarm on the day ASKED, not followed yet."""
    made = trained_lake(tmp_path)
    tell_drift(made.lake, [ASKED], PRICE_IDS)
    tell_trust(made.lake, [ASKED])
    return made


def test_an_empty_lake_is_skipped_in_words(tmp_path: Path) -> None:
    requests, why, _ = tick(fresh_lake(tmp_path))
    assert requests == []
    assert why == "gold/trust does not exist yet: nothing is judged, so nothing is asked for"


def test_each_new_day_is_followed_once(scene: Trained) -> None:
    (request,), _, cursor = tick(scene.lake)
    assert request.job_name == follow_models.name
    assert request.run_config == {"ops": {"model_events": {"config": {"as_of": str(ASKED)}}}}
    requests, why, same = tick(scene.lake, cursor)
    assert (requests, same) == ([], cursor)
    assert "the models were followed for 2024-04-08" in why
    tell_trust(scene.lake, [LATER])
    (request,), _, _ = tick(scene.lake, cursor)
    assert request.run_config["ops"]["model_events"]["config"] == {"as_of": str(LATER)}


def test_what_was_asked_for_is_trained_once_a_day_until_it_is_done(scene: Trained) -> None:
    lake = scene.lake
    follow(lake, DOWN)
    (request,), _, cursor = tick(lake)
    assert request.job_name == retrain.name
    assert request.run_config["ops"]["models"]["config"] == {
        "trained_on": str(ASKED),
        "families": [PRICES],
        "alias": "challenger",
    }
    requests, why, _ = tick(lake, cursor)
    assert requests == []
    assert f"the training of {PRICES} was launched for {ASKED}" in why
    tell_trust(lake, [LATER])
    (again,), _, cursor = tick(lake, cursor)
    assert again.run_key != request.run_key
    assert again.run_config["ops"]["models"]["config"]["trained_on"] == str(LATER)
    tell_models(lake, PRICES, LATER)
    assert follow(lake, DOWN)["shadow"] == PRICES
    (followed,), _, _ = tick(lake, cursor)
    assert followed.job_name == follow_models.name


@pytest.mark.parametrize("cursor", [None, "", "no JSON", "[]", '{"asked": 3}', '{"other": "x"}'])
def test_a_cursor_that_is_lost_asks_for_the_same_run_again_and_for_no_other(scene: Trained, cursor: str | None) -> None:
    """Dagster launches a run key once; and were it launched again, it would add nothing."""
    follow(scene.lake, DOWN)
    (expected,), _, _ = tick(scene.lake)
    (request,), _, _ = tick(scene.lake, cursor)
    assert request.run_key == expected.run_key
    before = scene.lake.read(MODEL_EVENTS)
    assert follow(scene.lake, DOWN)["events_added"] == 0
    assert scene.lake.read(MODEL_EVENTS).equals(before)


def definitions(scene: Trained, registry: Registry) -> dg.Definitions:
    return dg.Definitions(
        assets=[models, model_events, shadow_scores],
        jobs=list(JOBS),
        sensors=[models_need_retraining],
        executor=dg.in_process_executor,
        resources={
            "lake": DeltaLake(root=scene.lake.root, durable=False),
            "lake_io": dg.mem_io_manager,
            "compute": Compute(mode="inline"),
            "market": Market(now=NOW.isoformat()),
            "registry": registry,
        },
    )


def launch(scene: Trained, registry: Registry, request: dg.RunRequest) -> bool:
    """Run what was asked for; return whether it succeeded."""
    job = definitions(scene, registry).resolve_job_def(str(request.job_name))
    return job.execute_in_process(run_config=dict(request.run_config), raise_on_error=False).success


def test_what_the_sensor_asks_for_leads_from_the_alarm_to_the_shadow(scene: Trained) -> None:
    cursor, jobs = None, []
    for _ in range(6):
        requests, _, cursor = tick(scene.lake, cursor)
        for request in requests:
            jobs.append(request.job_name)
            assert launch(scene, scene.registry, request)
    rows = scene.lake.read(MODEL_EVENTS).sort_by("event").to_pylist()
    assert [(row["event"], row["trained_on"]) for row in rows] == [("retrain_requested", None), ("shadow", ASKED)]
    assert jobs[:2] == [follow_models.name, retrain.name]
    assert len(jobs) <= 4, "it comes to rest"
    assert json.loads(str(cursor)).keys() == {"asked"}


def test_without_a_registry_the_training_fails_and_is_asked_for_again_the_next_day(scene: Trained) -> None:
    follow(scene.lake, DOWN)
    (request,), _, cursor = tick(scene.lake)
    assert not launch(scene, DOWN, request)
    assert tick(scene.lake, cursor)[0] == []
    tell_trust(scene.lake, [LATER])
    (again,), _, _ = tick(scene.lake, cursor)
    assert launch(scene, scene.registry, again)
    shadow = [row for row in scene.lake.read(MODEL_EVENTS).to_pylist() if row["event"] == "shadow"]
    assert [row["trained_on"] for row in shadow] == [LATER]
