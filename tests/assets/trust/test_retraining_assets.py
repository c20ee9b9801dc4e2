"""From an alarm to the model that serves: every step is recorded once, and nothing is lost with the registry."""

import json
import shutil
from datetime import date
from pathlib import Path

import pyarrow.compute as pc
import pytest

from pulse_assets.trust.evidence_tables import DRIFT, MODEL_EVENTS, MODELS, SHADOW_SCORES
from pulse_assets.trust.model_event_days import findings, waiting_requests
from pulse_assets.trust.retraining.promotions import promotions_in_force
from pulse_assets.trust.retraining_assets import model_events, newest_day
from pulse_assets.trust.tables import LICENCES, TRUST
from pulse_resources.lake import Lake
from pulse_resources.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry, model_name
from tests.assets.trust.retraining_lake import (
    PRICE_IDS,
    RATE_IDS,
    follow,
    fresh_lake,
    models,
    put,
    run,
    shadow_scores,
    tell_drift,
    tell_models,
    tell_shadow,
    tell_trust,
)
from tests.assets.trust.trained_lake import LAST, PRICES, QUARTER, RATES, Trained, error_of, trained_lake

ASKED, TRAINED, DECIDED = date(2024, 4, 8), date(2024, 4, 9), date(2024, 5, 9)
DOWN = Registry(address="http://127.0.0.1:9", timeout_seconds=2)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return trained_lake(tmp_path_factory.mktemp("template")).lake


@pytest.fixture
def lake(template: Lake, tmp_path: Path) -> Lake:
    """Silver, and prices that alarm on the day ASKED."""
    shutil.copytree(template.root, tmp_path / "lake")
    made = Lake(str(tmp_path / "lake"), durable=False)
    tell_drift(made, [ASKED], PRICE_IDS[:2])
    tell_trust(made, [ASKED])
    return made


def told(lake: Lake) -> list[tuple[date, str, str, date | None, str]]:
    rows = lake.read(MODEL_EVENTS).sort_by([("as_of", "ascending"), ("recorded_at", "ascending")])
    names = ("as_of", "family", "event", "trained_on", "reasons")
    return list(zip(*(rows[name].to_pylist() for name in names), strict=True))


REQUESTED = (ASKED, PRICES, "retrain_requested", None, "DRIFT_ALARM")
IN_SHADOW = (TRAINED, PRICES, "shadow", TRAINED, "TRAINED")


def test_an_alarm_asks_for_a_training_once(lake: Lake) -> None:
    said = follow(lake, DOWN)
    assert said["events_added"] == 1
    assert (said["as_of"], said["retrain_requested"], said["suspect"]) == (str(ASKED), PRICES, "none")
    assert told(lake) == [REQUESTED]
    version = lake.open(MODEL_EVENTS).version()
    assert follow(lake, DOWN)["events_added"] == 0
    assert lake.open(MODEL_EVENTS).version() == version, "the same day twice adds nothing"
    (row,) = lake.read(MODEL_EVENTS).to_pylist()
    assert row["replaces"] == QUARTER
    assert json.loads(row["evidence"]) == {"drifted": 0.5, "distrusted": None, "age_days": 8, "served": 0.0}
    commit = lake.history(MODEL_EVENTS)[0]
    assert DRIFT.name in commit["pulse.inputs"]
    assert waiting_requests(lake.read(MODEL_EVENTS), ASKED) == {PRICES: ASKED}


def test_a_registered_training_enters_the_shadow_and_then_is_scored(lake: Lake) -> None:
    follow(lake, DOWN)
    tell_models(lake, PRICES, QUARTER)
    tell_trust(lake, [TRAINED])
    assert follow(lake, DOWN)["events_added"] == 0, "the model of the quarter is not what was asked for"
    tell_models(lake, PRICES, TRAINED)
    assert follow(lake, DOWN)["shadow"] == PRICES
    assert follow(lake, DOWN)["events_added"] == 0
    assert told(lake) == [REQUESTED, IN_SHADOW]
    assert waiting_requests(lake.read(MODEL_EVENTS), TRAINED) == {}
    result = run(lake, DOWN, shadow_scores, days=(date(2024, 4, 8), date(2024, 4, 16)))
    assert result.success
    rows = lake.read(SHADOW_SCORES)
    assert rows["as_of"].to_pylist() == [date(2024, 4, day) for day in (11, 12, 15, 16)]
    assert MODEL_EVENTS.name in lake.history(SHADOW_SCORES)[0]["pulse.inputs"]


def in_shadow(lake: Lake, gain: float) -> None:
    follow(lake, DOWN)
    tell_models(lake, PRICES, TRAINED)
    tell_trust(lake, [TRAINED, DECIDED])
    follow(lake, DOWN, TRAINED)
    tell_shadow(lake, date(2024, 4, 10), DECIDED, TRAINED, gain)


def test_a_better_challenger_is_promoted_and_serves_after_that_day(lake: Lake) -> None:
    in_shadow(lake, 0.05)
    said = follow(lake, DOWN)
    assert told(lake) == [REQUESTED, IN_SHADOW, (DECIDED, PRICES, "promoted", TRAINED, "SHADOW_BETTER")]
    assert (said["cooldown"], said["shadow"]) == (PRICES, "none")
    row = lake.read(MODEL_EVENTS, where=pc.field("event") == "promoted").to_pylist()[0]
    evidence = json.loads(row["evidence"])
    assert evidence["days"] == 22
    assert evidence["lower"] > 0
    assert row["replaces"] == QUARTER
    assert promotions_in_force(lake.read(MODEL_EVENTS)) == ((PRICES, DECIDED, TRAINED),)
    assert follow(lake, DOWN)["events_added"] == 0


def test_a_worse_one_is_rejected_and_the_family_left_in_peace(lake: Lake) -> None:
    in_shadow(lake, -0.05)
    tell_drift(lake, [DECIDED], PRICE_IDS)
    assert follow(lake, DOWN)["cooldown"] == PRICES
    assert told(lake)[-1] == (DECIDED, PRICES, "rejected", TRAINED, "SHADOW_WORSE")
    assert follow(lake, DOWN)["events_added"] == 0


def test_scores_that_became_known_later_decide_nothing(lake: Lake) -> None:
    in_shadow(lake, 0.05)
    assert follow(lake, DOWN, date(2024, 4, 30))["events_added"] == 0
    assert follow(lake, DOWN, DECIDED)["events_added"] == 1
    assert follow(lake, DOWN, date(2024, 4, 30))["events_added"] == 0, "an earlier day is not judged again"


def test_a_challenger_that_the_refit_has_overtaken_is_rejected(lake: Lake) -> None:
    in_shadow(lake, 0.0)
    day = date(2024, 7, 1)
    tell_trust(lake, [day])
    follow(lake, DOWN)
    assert told(lake)[-1] == (day, PRICES, "rejected", TRAINED, "SUPERSEDED")


def test_lost_trust_asks_for_a_training_and_served_rows_say_what_it_is_worth(lake: Lake) -> None:
    days = [date(2024, 4, day) for day in (9, 10, 11, 12, 15, 16, 17, 18, 19, 22, 23, 24, 25, 26)]
    tell_drift(lake, days, [])
    tell_trust(lake, days, trust=0.3)
    served = [*PRICE_IDS[:3], RATE_IDS[0]]
    put(lake, LICENCES, [
        {"as_of": days[-1], "unique_id": name, "model": "pulse", "bucket": "1", "serve": True, "state": "licensed"}
        for name in served
    ])  # fmt: skip
    assert findings(lake.snapshot(), days[-1]).served == {PRICES: 0.75, RATES: 0.25}
    assert follow(lake, DOWN)["retrain_requested"] == f"{PRICES}, {RATES}"
    assert {row[-1] for row in told(lake)} == {"SKILL_LOST"}
    rows = lake.read(MODEL_EVENTS).sort_by("family").to_pylist()
    assert [json.loads(row["evidence"])["served"] for row in rows] == [0.75, 0.25]


def test_missing_tables_say_nothing_and_stop_nothing(tmp_path: Path) -> None:
    lake = fresh_lake(tmp_path)
    assert follow(lake, DOWN) == {"events_added": 0}
    tell_trust(lake, [ASKED])
    assert follow(lake, DOWN)["events_added"] == 0
    result = run(lake, DOWN, shadow_scores, days=(ASKED, ASKED))
    assert result.success
    assert not len(lake.read(SHADOW_SCORES))


def test_a_wrong_day_is_refused(lake: Lake) -> None:
    said = error_of(run(lake, DOWN, model_events, configs={"model_events": {"as_of": "today"}}))
    assert "as_of is 'today'; expected a date like 2024-05-10" in said


def test_the_newest_day_is_that_of_the_files(lake: Lake) -> None:
    assert newest_day(lake, TRUST) == ASKED
    assert newest_day(lake, LICENCES) is None
    lake.create(LICENCES)
    assert newest_day(lake, LICENCES) is None


def test_training_registering_and_promoting_move_the_aliases_with_the_record(tmp_path: Path) -> None:
    scene: Trained = trained_lake(tmp_path)
    lake, registry, name = scene.lake, scene.registry, model_name(PRICES)
    tell_drift(lake, [ASKED], PRICE_IDS)
    tell_trust(lake, [ASKED])
    assert scene.register(families=[PRICES]).success
    assert follow(lake, registry)["registry"] == "nothing to move"
    configs = {
        "models": {"trained_on": str(TRAINED), "families": [PRICES]},
        "model_events": {"as_of": str(TRAINED)},
    }
    assert run(lake, registry, models, model_events, configs=configs).success
    assert told(lake) == [REQUESTED, IN_SHADOW]
    assert registry.version(name, CHALLENGER).version == "2"
    tell_shadow(lake, date(2024, 4, 10), DECIDED, TRAINED, 0.05)
    assert "not moved, the registry does not answer" in str(follow(lake, DOWN, DECIDED)["registry"])
    assert registry.version(name, CHAMPION).version == "1"
    moved = follow(lake, registry, DECIDED)
    assert (moved["events_added"], moved["registry"]) == (0, f"{name} 2 is the champion")
    assert follow(lake, registry, DECIDED)["registry"] == "nothing to move"
    assert registry.version(name, CHAMPION).version == "2"
    assert registry.version(name, PREVIOUS).version == "1"
    assert scene.forecast(LAST, LAST).success
    assert len(lake.read(MODELS)) == 2
