"""Every family is trained, kept and told of once; a row of forecasts leads to model, code, run and data."""

import shutil
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from pulse_assets.forecasting.pooled import PULSE, PooledEngine
from pulse_assets.forecasting.serving import question
from pulse_assets.forecasting.tables import FORECASTS, MEMBER_WEIGHTS
from pulse_assets.forecasting.training import TrainedPanel
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_assets.operations.tables import LINEAGE
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.evidence_tables import MODEL_EVENTS, MODELS
from pulse_assets.trust.models_assets import ARTEFACT, code_digest
from pulse_resources.errors import RegistryError
from pulse_resources.registry import CHALLENGER, CHAMPION, Registry, model_name
from tests.assets.trust.trained_lake import LAST, NOW, PRICES, QUARTER, RATES, Trained, error_of, trained_lake

FIRST_DAY, LAST_DAY = date(2024, 5, 6), date(2024, 5, 8)
NUMBERS = ["mean", *QUANTILE_COLUMNS]
WHERE_FROM = """
    WITH written AS (
        SELECT version, run_id, code_version, inputs, committed_at,
               CAST(split_part(partitions, '...', 1) AS DATE) AS first_day,
               CAST(split_part(partitions, '...', -1) AS DATE) AS last_day
        FROM lineage WHERE "table" = 'gold/forecasts' AND partitions <> ''
    ), kept AS (
        SELECT * FROM models QUALIFY row_number() OVER (PARTITION BY model_version ORDER BY registered_at DESC) = 1
    )
    SELECT f.as_of, f.unique_id, f.model, f.h, f.model_version, f.data_version,
           w.run_id, w.code_version, w.version AS forecasts_version, w.inputs,
           k.registered_name, k.registered_version, k.digest, k.mlflow_run_id,
           k.code_version AS trained_by_code, k.data_version AS trained_on_data, k.run_id AS trained_by_run
    FROM forecasts f
    JOIN written w ON f.as_of BETWEEN w.first_day AND w.last_day
        AND f.data_version = CAST(json_extract(w.inputs, '$."silver/series"') AS BIGINT)
    LEFT JOIN kept k USING (model_version)
    QUALIFY row_number() OVER (PARTITION BY f.as_of, f.unique_id, f.model, f.h ORDER BY w.version DESC) = 1
    ORDER BY ALL
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A lake with forecasts of three days, registered models and lineage."""
    scene = trained_lake(tmp_path_factory.mktemp("told"))
    for result in (scene.forecast(FIRST_DAY, LAST_DAY), scene.register(), scene.record()):
        assert result.success
    return scene


def rows_of(scene: Trained) -> list[dict[str, object]]:
    return scene.lake.read(MODELS).sort_by([("family", "ascending"), ("registered_at", "ascending")]).to_pylist()


def test_each_family_is_trained_as_of_the_last_quarter_and_told_with_its_evidence(told: Trained) -> None:
    rows = rows_of(told)
    assert [row["family"] for row in rows] == [PRICES, RATES]
    for row in rows:
        one = told.registry.version(str(row["registered_name"]), str(row["registered_version"]))
        assert one.aliases == (CHAMPION,)
        assert row["trained_on"] == QUARTER
        assert row["model_version"] == f"{PooledEngine().version} {row['family']} {QUARTER}"
        assert row["series"] == {PRICES: 4, RATES: 2}[str(row["family"])]
        assert row["data_version"] == told.lake.open(SERIES).version()
        assert (row["mlflow_run_id"], row["registered_at"]) == (one.run_id, NOW)
        assert row["code_version"] == code_digest()
        assert row["digest"] == one.tags["pulse/digest"]
        assert one.tags["dagster/run_id"] == row["run_id"]


def test_the_run_in_mlflow_leads_back_to_dagster_and_to_the_data(told: Trained) -> None:
    from mlflow import MlflowClient

    row = rows_of(told)[0]
    run = MlflowClient(told.registry.uri).get_run(str(row["mlflow_run_id"]))
    tags = run.data.tags
    assert tags["dagster/run_id"] == row["run_id"]
    assert tags["dagster/asset_key"] == MODELS.name
    assert tags["delta/silver_series_version"] == str(row["data_version"])
    assert tags["pulse/code_digest"] == row["code_version"]
    assert len(tags["pulse/config"]) == 12
    assert run.data.params["trained_on"] == str(QUARTER)
    assert 0 < len(run.data.metrics) <= 50


@pytest.mark.parametrize("family", [PRICES, RATES])
@pytest.mark.parametrize("day", [FIRST_DAY, LAST_DAY])
def test_a_model_loaded_by_its_alias_gives_the_forecasts_of_the_table_exactly(
    told: Trained, family: str, day: date
) -> None:
    kind = family.split(" ")[1]
    past = told.lake.read(SERIES, as_of=day, where=pc.field("kind") == kind)
    made = told.registry.load(model_name(family), CHAMPION).predict(question(past), {"origin": str(day)})
    mine = pc.field("unique_id").isin(past["unique_id"].unique())
    today = (pc.field("as_of") == pa.scalar(day)) & (pc.field("model") == PULSE)
    expected = told.lake.read(FORECASTS, where=today & mine)
    expected = expected.sort_by([("unique_id", "ascending"), ("h", "ascending")]).to_pandas()
    assert len(made) == len(expected) > 0
    assert made["unique_id"].tolist() == expected["unique_id"].tolist()
    pd.testing.assert_frame_equal(made[NUMBERS], expected[NUMBERS], check_exact=True)
    trained = TrainedPanel.from_bytes(told.registry.artefact(model_name(family), CHAMPION, ARTEFACT))
    assert set(expected["model_version"]) == {trained.model_version}


def test_one_query_leads_from_any_forecast_to_model_data_code_and_run(told: Trained) -> None:
    import duckdb

    forecasts, models, lineage = (
        DeltaTable(told.lake.uri(contract.name)).to_pyarrow_dataset() for contract in (FORECASTS, MODELS, LINEAGE)
    )
    found = duckdb.sql(WHERE_FROM).df()
    del forecasts, models, lineage
    assert len(found) == len(told.lake.read(FORECASTS, columns=["h"]))
    commit = told.lake.history(FORECASTS)[0]
    assert set(found["run_id"]) == {commit["dagster.run_id"]}
    assert set(found["code_version"]) == {commit["dagster.code_version"]} != {""}
    assert set(found["forecasts_version"]) == {commit["version"]}
    assert set(found["data_version"]) == {told.lake.open(SERIES).version()}
    assert found["inputs"].str.contains(SERIES.name).all()
    pulse = found[found["model"] == PULSE]
    rows = {str(row["model_version"]): row for row in rows_of(told)}
    for version, part in pulse.groupby("model_version"):
        row = rows[str(version)]
        for ours, theirs in {
            "registered_name": "registered_name",
            "registered_version": "registered_version",
            "digest": "digest",
            "mlflow_run_id": "mlflow_run_id",
            "trained_by_code": "code_version",
            "trained_by_run": "run_id",
        }.items():
            assert set(part[ours]) == {row[theirs]}
    assert len(pulse)
    references = found[found["model"] != PULSE]
    assert set(references["model_version"]) == {PooledEngine().version}
    assert references["digest"].isna().all()


def test_members_carry_the_version_of_the_forecast_that_they_make(told: Trained) -> None:
    assert told.tell_members(LAST_DAY, LAST_DAY).success
    day = pc.field("as_of") == pa.scalar(LAST_DAY)
    rows = told.lake.read(FORECASTS, columns=["unique_id", "model_version"], where=day & (pc.field("model") == PULSE))
    members = told.lake.read(MEMBER_WEIGHTS, columns=["unique_id", "model_version"], where=day)
    pairs = [set(zip(*(some[name].to_pylist() for name in some.column_names), strict=True)) for some in (rows, members)]
    assert pairs[0] == pairs[1]


def test_registering_again_adds_nothing_and_a_later_training_is_a_challenger(told: Trained, tmp_path: Path) -> None:
    scene = fresh_copy(told, tmp_path)
    before = rows_of(scene)
    assert scene.register().success
    assert rows_of(scene) == before
    shutil.rmtree(scene.lake.uri(MODELS.name))  # as if the run had died between the registry and the table
    assert scene.register().success
    assert rows_of(scene) == before
    assert scene.register(trained_on=str(LAST), families=[PRICES]).success
    added = [row for row in rows_of(scene) if row not in before]
    assert [(row["family"], row["trained_on"], row["registered_version"]) for row in added] == [(PRICES, LAST, "2")]
    assert scene.registry.version(model_name(PRICES), CHALLENGER).version == "2"
    assert scene.registry.version(model_name(PRICES), CHAMPION).version == "1"


def fresh_copy(told: Trained, folder: Path) -> Trained:
    """Return the lake with a registry of its own into which the models were registered again."""
    scene = trained_lake(folder)
    assert scene.register().success
    assert [row["digest"] for row in rows_of(scene)] == [row["digest"] for row in rows_of(told)]
    return scene


def test_models_that_the_registry_lost_are_registered_again(told: Trained, tmp_path: Path) -> None:
    scene = fresh_copy(told, tmp_path / "a")
    lost = Trained(scene.lake, trained_lake(tmp_path / "b").registry)
    assert lost.register().success
    assert lost.registry.version(model_name(PRICES), CHAMPION).version == "1"
    runs = [one.registry.version(model_name(family)).run_id for one in (scene, lost) for family in (PRICES, RATES)]
    assert sorted(str(row["mlflow_run_id"]) for row in rows_of(lost)) == sorted(runs)


def test_without_a_registry_the_asset_says_so_and_forecasts_are_made(told: Trained, tmp_path: Path) -> None:
    down = Trained(trained_lake(tmp_path).lake, Registry(address="http://127.0.0.1:9", timeout_seconds=2))
    said = error_of(down.register())
    assert "RegistryError" in said
    assert "forecasts do not need it" in said
    assert rows_of(down) == []
    assert down.forecast(LAST_DAY, LAST_DAY).success
    day = pc.field("as_of") == pa.scalar(LAST_DAY)
    ours, theirs = (scene.lake.read(FORECASTS, where=day).drop_columns(["data_version"]) for scene in (told, down))
    assert ours.equals(theirs)


def test_a_registry_that_fails_half_way_leaves_what_it_has_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, real = trained_lake(tmp_path), Registry.register

    def once(self: Registry, submission: object, alias: str) -> object:
        if submission.name == model_name(RATES):  # type: ignore[attr-defined]
            raise RegistryError("it went down")
        return real(self, submission, alias)  # type: ignore[arg-type]

    monkeypatch.setattr(Registry, "register", once)
    assert "it went down" in error_of(scene.register())
    assert [row["family"] for row in rows_of(scene)] == [PRICES]
    monkeypatch.setattr(Registry, "register", real)
    assert scene.register().success
    assert [row["family"] for row in rows_of(scene)] == [PRICES, RATES]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"trained_on": "yesterday"}, "trained_on is 'yesterday'; expected a date like 2024-03-31"),
        ({"trained_on": "2001-01-01"}, "no series of any family was known by 2001-01-01"),
        ({"families": ["B gold"]}, "no series of B gold was known by 2024-03-31; known were B price, B rate"),
        ({"alias": "king"}, "alias is 'king'; expected challenger, champion, or nothing"),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_is_registered(
    told: Trained, config: dict[str, object], said: str
) -> None:
    before = told.lake.open(MODELS).version()
    assert said in error_of(told.register(**config))
    assert told.lake.open(MODELS).version() == before


def test_an_empty_lake_has_nothing_to_learn(tmp_path: Path) -> None:
    scene = trained_lake(tmp_path)
    shutil.rmtree(scene.lake.uri(SERIES.name))
    assert "silver/series is empty, so there is nothing to learn; `pulse run` fills it" in error_of(scene.register())


def test_promotions_told_in_the_table_are_taken_by_the_forecasts_after_their_day(told: Trained, tmp_path: Path) -> None:
    scene = trained_lake(tmp_path)
    row = {
        "as_of": FIRST_DAY,
        "family": PRICES,
        "event": "promoted",
        "trained_on": FIRST_DAY,
        "replaces": QUARTER,
        "reasons": "BY_HAND",
        "evidence": "{}",
        "run_id": "",
        "recorded_at": NOW,
    }
    scene.lake.append_missing(
        MODEL_EVENTS, pa.Table.from_pylist([row], schema=MODEL_EVENTS.schema.remove_metadata()), app_id="test"
    )
    assert scene.forecast(FIRST_DAY, LAST_DAY).success
    columns = ["as_of", "unique_id", "model", "h", "model_version", *NUMBERS]
    ours, theirs = (some.lake.read(FORECASTS, columns=columns).to_pandas() for some in (scene, told))
    same = (ours[NUMBERS].to_numpy() == theirs[NUMBERS].to_numpy()).all(axis=1)
    moved = (ours["model"] == PULSE) & ours["unique_id"].str.contains("price") & (ours["as_of"] > FIRST_DAY)
    assert moved.any()
    assert (same == ~moved).all()
    assert set(ours.loc[moved, "model_version"].str[-10:]) == {str(FIRST_DAY)}
    assert (ours.loc[~moved, "model_version"] == theirs.loc[~moved, "model_version"]).all()
    assert MODEL_EVENTS.name in scene.lake.history(FORECASTS)[0]["pulse.inputs"]
