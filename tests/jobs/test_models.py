"""What ``pulse models`` does: aliases and the table of events move together, or not at all."""

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jobs.models import BY_HAND, list_models, promote, rollback
from jobs.settings import Settings
from pulse_assets.forecasting.pooled import PULSE
from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.trust.evidence_tables import MODEL_EVENTS, MODELS
from pulse_resources.errors import ConfigError, RegistryError, WriteConflictError
from pulse_resources.lake import Lake
from pulse_resources.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry, model_name
from tests.assets.trust.trained_lake import LAST, NOW, PRICES, QUARTER, RATES, Trained, trained_lake

NAME = model_name(PRICES)
MONDAY = date(2024, 4, 29)
TRAINED = date(2024, 4, 24)
FORECAST_TO = date(2024, 5, 3)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Forecasts of a week, the models of the quarter, and a challenger for prices that has learned more."""
    scene = trained_lake(tmp_path_factory.mktemp("template"))
    runs = (scene.forecast(MONDAY, FORECAST_TO), scene.register(), scene.register(trained_on=str(TRAINED)))
    assert all(run.success for run in runs)
    return scene


@pytest.fixture
def scene(template: Trained, tmp_path: Path) -> Trained:
    """A lake of the test's own; the registry's aliases are given back afterwards."""
    shutil.copytree(template.lake.root, tmp_path / "lake")
    for name in (NAME, model_name(RATES)):
        template.registry.restore(name, {CHAMPION: "1", CHALLENGER: "2"})
    return Trained(Lake(str(tmp_path / "lake"), durable=False), template.registry)


def aliases(scene: Trained) -> dict[str, str]:
    return {alias: one.version for one in scene.registry.versions(NAME) for alias in one.aliases}


def events(scene: Trained) -> list[dict[str, object]]:
    return scene.lake.read(MODEL_EVENTS).sort_by("recorded_at").to_pylist()


def learned_up_to(scene: Trained, day: date) -> set[str]:
    """Return what the models had learned up to that made the forecasts of prices on a day."""
    where = (pc.field("as_of") == pa.scalar(day)) & (pc.field("model") == PULSE)
    rows = scene.lake.read(FORECASTS, columns=["unique_id", "model_version"], where=where).to_pylist()
    return {row["model_version"][-10:] for row in rows if "price" in row["unique_id"]}


def test_promoted_by_hand_serves_from_the_next_origin_until_it_is_rolled_back(scene: Trained) -> None:
    said = promote(scene.lake, scene.registry, NAME, "2", now=NOW)
    assert said == (
        f"{NAME} 2 is the champion; at origins after 2024-05-03 the engine takes what B price had learned up to "
        "2024-04-24, not 2024-03-31"
    )
    assert aliases(scene) == {CHAMPION: "2", PREVIOUS: "1"}
    row = events(scene)[0]
    assert (row["as_of"], row["family"], row["event"]) == (FORECAST_TO, PRICES, "promoted")
    assert (row["trained_on"], row["replaces"], row["reasons"]) == (TRAINED, QUARTER, BY_HAND)
    assert json.loads(str(row["evidence"]))["registered_version"] == "2"
    assert scene.forecast(FORECAST_TO, date(2024, 5, 6)).success
    assert learned_up_to(scene, FORECAST_TO) == {str(QUARTER)}
    assert learned_up_to(scene, date(2024, 5, 6)) == {str(TRAINED)}
    said = rollback(scene.lake, scene.registry, PRICES, now=NOW + timedelta(days=1))
    assert said.endswith(
        "at origins after 2024-05-06 the engine takes what B price had learned up to 2024-03-31, not 2024-04-24"
    )
    assert aliases(scene) == {CHAMPION: "1"}
    assert (events(scene)[1]["event"], events(scene)[1]["trained_on"], events(scene)[1]["replaces"]) == (
        "rolled_back",
        TRAINED,
        QUARTER,
    )
    assert scene.forecast(date(2024, 5, 6), date(2024, 5, 7)).success
    assert learned_up_to(scene, date(2024, 5, 6)) == {str(TRAINED)}
    assert learned_up_to(scene, date(2024, 5, 7)) == {str(QUARTER)}


@pytest.mark.parametrize("version", ["2", CHALLENGER])
@pytest.mark.parametrize("which", [NAME, PRICES])
def test_a_model_is_named_by_its_registered_name_or_its_family(scene: Trained, which: str, version: str) -> None:
    promote(scene.lake, scene.registry, which, version, now=NOW)
    assert aliases(scene)[CHAMPION] == "2"


def test_promoting_again_changes_nothing(scene: Trained) -> None:
    promote(scene.lake, scene.registry, NAME, "2", now=NOW)
    before = events(scene), aliases(scene)
    said = promote(scene.lake, scene.registry, NAME, "2", now=NOW + timedelta(days=3), as_of=LAST)
    assert said == f"{NAME} 2 is the champion already; the engine had taken its training before"
    assert (events(scene), aliases(scene)) == before


def test_a_promotion_that_was_killed_between_its_steps_is_ended_by_the_next(scene: Trained) -> None:
    scene.registry.promote(NAME, "2")
    assert events(scene) == []
    promote(scene.lake, scene.registry, NAME, "2", now=NOW)
    assert [row["event"] for row in events(scene)] == ["promoted"]
    assert aliases(scene) == {CHAMPION: "2", PREVIOUS: "1"}


def test_the_list_tells_versions_aliases_and_which_training_serves(scene: Trained) -> None:
    rows = list_models(scene.lake, scene.registry).rows.to_pylist()
    assert [(row["model"], row["version"]) for row in rows] == [
        (NAME, "2"),
        (NAME, "1"),
        (model_name(RATES), "2"),
        (model_name(RATES), "1"),
    ]
    assert [row["serves"] for row in rows] == ["", "yes", "", "yes"]
    assert [row["aliases"] for row in rows] == [CHALLENGER, CHAMPION] * 2
    assert rows[0]["trained_on"] == TRAINED
    assert rows[0]["series"] == 4
    assert len(rows[0]["digest"]) == 12
    promote(scene.lake, scene.registry, NAME, "2", now=NOW)
    rows = list_models(scene.lake, scene.registry).rows.to_pylist()
    assert [row["serves"] for row in rows] == ["yes", "", "", "yes"]


def test_the_list_of_an_empty_registry_and_of_a_lake_without_models(scene: Trained, tmp_path: Path) -> None:
    empty = Lake(str(tmp_path / "none"), durable=False)
    view = list_models(empty, scene.registry)
    assert set(view.rows["serves"].to_pylist()) == {"not in ops/models"}
    fresh = trained_lake(tmp_path / "fresh")
    assert len(list_models(empty, fresh.registry).rows) == 0


def nothing_changed(scene: Trained) -> None:
    assert events(scene) == []
    assert aliases(scene) == {CHAMPION: "1", CHALLENGER: "2"}


def test_a_registry_that_is_down_changes_nothing(scene: Trained) -> None:
    down = Registry(address="http://127.0.0.1:9", timeout_seconds=1)
    for ask in (
        lambda: promote(scene.lake, down, NAME, "2", now=NOW),
        lambda: rollback(scene.lake, down, NAME, now=NOW),
        lambda: list_models(scene.lake, down),
    ):
        with pytest.raises(RegistryError, match="did not answer within 1 s"):
            ask()
    nothing_changed(scene)


def test_a_registry_that_goes_down_before_the_aliases_move_changes_nothing(
    scene: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise RegistryError("went down")

    monkeypatch.setattr(Registry, "_move", down)
    with pytest.raises(RegistryError, match="went down"):
        promote(scene.lake, scene.registry, NAME, "2", now=NOW)
    nothing_changed(scene)


def test_a_lake_that_cannot_be_written_moves_no_alias(scene: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise WriteConflictError("others won")

    monkeypatch.setattr(Lake, "append_missing", lost)
    with pytest.raises(WriteConflictError, match="others won"):
        promote(scene.lake, scene.registry, NAME, "2", now=NOW)
    nothing_changed(scene)


def test_a_model_whose_artefact_is_gone_or_damaged_is_not_promoted(tmp_path: Path) -> None:
    scene = trained_lake(tmp_path)
    for day in (QUARTER, TRAINED):
        assert scene.register(trained_on=str(day), families=[PRICES]).success
    for fate in ("damaged", "gone"):
        for path in Path(scene.registry.home, "mlflow-artifacts").rglob("panel"):
            if fate == "gone":
                path.unlink()
            else:
                path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(RegistryError, match=r"is damaged.*register the model again"):
            promote(scene.lake, scene.registry, NAME, "2", now=NOW)
        nothing_changed(scene)


def test_a_model_that_the_lake_does_not_know_is_not_promoted(scene: Trained) -> None:
    shutil.rmtree(scene.lake.uri(MODELS.name))
    with pytest.raises(ConfigError, match=r"pulse-b-price 2 is not in ops/models .*Nothing was changed"):
        promote(scene.lake, scene.registry, NAME, "2", now=NOW)
    nothing_changed(scene)


def test_a_version_that_is_not_the_one_in_the_lake_is_not_promoted(scene: Trained) -> None:
    rows = scene.lake.read(MODELS)
    shutil.rmtree(scene.lake.uri(MODELS.name))
    other = rows.set_column(rows.column_names.index("digest"), "digest", pa.array(["0" * 64] * len(rows)))
    scene.lake.append(MODELS, other, app_id="test")
    with pytest.raises(RegistryError, match=r"ops/models tells of .* with 000000000000…: register it again"):
        promote(scene.lake, scene.registry, NAME, "2", now=NOW)
    nothing_changed(scene)


@pytest.mark.parametrize(("which", "version"), [(NAME, "9"), (NAME, "nonsense"), ("B gold", "1"), ("pulse-", "1")])
def test_a_version_that_is_not_there_is_named_with_those_that_are(scene: Trained, which: str, version: str) -> None:
    with pytest.raises(RegistryError, match="has no version or alias"):
        promote(scene.lake, scene.registry, which, version, now=NOW)
    nothing_changed(scene)


def test_without_a_previous_version_there_is_nothing_to_return_to(scene: Trained) -> None:
    with pytest.raises(RegistryError, match="has no previous version to return to"):
        rollback(scene.lake, scene.registry, NAME, now=NOW)
    nothing_changed(scene)


def test_no_origin_is_served_by_what_was_learned_from_its_future(scene: Trained) -> None:
    with pytest.raises(ConfigError, match="cannot serve origins after 2024-04-23: take --as-of 2024-04-24 or later"):
        promote(scene.lake, scene.registry, NAME, "2", now=NOW, as_of=TRAINED - timedelta(days=1))
    nothing_changed(scene)


def test_a_second_promotion_of_a_family_on_one_day_is_refused(scene: Trained) -> None:
    promote(scene.lake, scene.registry, NAME, "2", now=NOW)
    rollback(scene.lake, scene.registry, NAME, now=NOW + timedelta(minutes=1))
    assert [row["event"] for row in events(scene)] == ["promoted", "rolled_back"]
    before = aliases(scene)
    with pytest.raises(ConfigError, match=r"B price was already promoted on 2024-05-03 .*take --as-of a later day"):
        promote(scene.lake, scene.registry, NAME, "2", now=NOW + timedelta(minutes=2))
    assert aliases(scene) == before
    promote(scene.lake, scene.registry, NAME, "2", now=NOW, as_of=FORECAST_TO + timedelta(days=1))
    assert aliases(scene)[CHAMPION] == "2"


def test_promoting_what_serves_anyway_says_that_nothing_changes_for_forecasts(scene: Trained) -> None:
    said = promote(scene.lake, scene.registry, NAME, "1", now=NOW)
    assert said == (
        f"{NAME} 1 is the champion; at origins after 2024-05-03 the engine goes on with what B price had learned up to "
        "2024-03-31"
    )


def test_the_environment_says_where_models_are_kept(tmp_path: Path) -> None:
    plain = Settings.from_environment({"DAGSTER_HOME": str(tmp_path)}).registry()
    assert plain.uri == f"sqlite:///{tmp_path}/mlflow.db"
    named = {"MLFLOW_TRACKING_URI": "http://mlflow:5000", "MLFLOW_DEFAULT_ARTIFACT_ROOT": "s3://bucket/models"}
    server = Settings.from_environment(named).registry()
    assert (server.uri, server.artefact_root) == ("http://mlflow:5000", "s3://bucket/models")


def test_a_model_that_is_not_there_is_not_rolled_back_and_that_is_said(scene: Trained) -> None:
    with pytest.raises(RegistryError, match="has no version or alias 'champion'"):
        rollback(scene.lake, scene.registry, "W macro", now=NOW)
