"""From a lake to licences: real forecasts and scores of a few series, judged over some days."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pulse_assets.forecasting.engine import MODELS, origin_end
from pulse_assets.forecasting.pack import pack
from pulse_assets.forecasting.references import REFERENCES, ReferenceBank
from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.judge import PACKED, judge
from pulse_assets.trust.scoring import first_releases, score
from pulse_assets.trust.tables import LICENCES, SCORES
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import Partitions, blocks_of, weekdays

FIRST, LAST = date(2020, 2, 17), date(2020, 4, 3)
DAYS = weekdays(FIRST, LAST)
THRESHOLDS = {"window_targets": 15, "min_targets": 5, "coverage_band": 0.05}
EVIDENCE_COLUMNS = ["forecasts_version", "scores_version"]


def silver(fates: dict[str, tuple[str, str]]) -> pa.Table:
    """Daily rates from one day to another, known the same evening."""
    rng = np.random.default_rng(4)
    frames = []
    for name, (first, last) in fates.items():
        ds = pd.bdate_range(first, last, tz="UTC")
        y = np.cumsum(rng.normal(size=len(ds)))
        frames.append(pd.DataFrame({"as_of": ds.date, "unique_id": name, "ds": ds, "y": y}))
    frame = pd.concat(frames).assign(
        known_at=lambda f: f["ds"] + pd.Timedelta(hours=22),
        kind="rate",
        unit="percent",
        freq="B",
        calendar="weekday",
        source="f",
        flags="",
    )
    return SERIES.cast(pa.Table.from_pandas(frame, preserve_index=False))


@dataclass(frozen=True)
class Scene:
    """A lake with silver, forecasts and scores of all days."""

    lake: Lake

    def judged(self, blocks: list[list[date]]) -> pa.Table:
        """Return the licences of some blocks of days."""
        return pa.concat_tables(judge(self.lake.snapshot(), blocks, THRESHOLDS)).combine_chunks()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    lake = Lake(str(tmp_path_factory.mktemp("lake")), durable=False)
    rows = silver(
        {
            "f:long": ("2019-12-02", "2020-04-03"),
            "f:new": ("2020-03-23", "2020-04-03"),
            "f:old": ("2019-12-02", "2020-03-02"),
            "f:young": ("2020-02-03", "2020-04-03"),
        }
    )
    write(lake, SERIES, rows)
    made = pa.concat_tables(
        ReferenceBank().forecast(pack(rows.select(PACKED), origin_end(FIRST), origin_end(LAST)), DAYS)
    )
    count = len(made)
    made = made.append_column("model_version", pa.array(["1"] * count)).append_column(
        "data_version", pa.array([0] * count)
    )
    write(lake, FORECASTS, FORECASTS.cast(made))
    write(lake, SCORES, SCORES.cast(score(FORECASTS.cast(made), first_releases(rows))))
    return Scene(lake)


def write(lake: Lake, contract: object, rows: pa.Table) -> None:
    lake.overwrite(contract, rows, Partitions.of("as_of", sorted(set(rows["as_of"].to_pylist()))))


@pytest.fixture(scope="module")
def licences(scene: Scene) -> pa.Table:
    return scene.judged([DAYS])


def keys_of(rows: pa.Table) -> list[tuple[date, str, str]]:
    return list(zip(*(rows[name].to_pylist() for name in LICENCES.key), strict=True))


def expected_keys(lake: Lake) -> list[tuple[date, str, str]]:
    """Return one key for each forecast, and one for each model of a series that was known and has no naive one."""
    known = lake.read(SERIES, columns=["unique_id", "as_of"]).group_by("unique_id").aggregate([("as_of", "min")])
    since = dict(zip(known["unique_id"].to_pylist(), known["as_of_min"].to_pylist(), strict=True))
    made = set(keys_of(lake.read(FORECASTS, columns=list(LICENCES.key))))
    whole = [(day, name) for day in DAYS for name in sorted(since) if since[name] <= day]
    return [(*of, m) for of in whole for m in MODELS if (*of, m) in made or (*of, "naive") not in made]


def test_every_forecast_and_every_model_of_a_rejected_series_has_one_row(scene: Scene, licences: pa.Table) -> None:
    assert keys_of(licences) == expected_keys(scene.lake)
    assert {model for _, name, model in keys_of(licences) if name == "f:long"} == set(REFERENCES)
    assert {model for day, name, model in keys_of(licences) if (day, name) == (LAST, "f:old")} == set(MODELS)


@pytest.fixture(scope="module")
def joined(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The same lake with forecasts of ``pulse``: those of naive, 1 % narrower, late to begin and then often silent."""
    lake = Lake(str(tmp_path_factory.mktemp("joined")), durable=False)
    made = FORECASTS.cast(scene.lake.read(FORECASTS))
    spoken = [day for number, day in enumerate(DAYS) if number >= 18 and number % 3]
    frame = made.filter((pc.field("model") == "naive") & pc.field("as_of").isin(spoken)).to_pandas()
    names = [name for name in frame.columns if name.startswith("q")]
    frame[names] = frame[names].mul(0.99).add(frame["q500"] * 0.01, axis=0)
    pulse = FORECASTS.cast(pa.Table.from_pandas(frame.assign(model="pulse"), preserve_index=False))
    made = pa.concat_tables([made, pulse])
    write(lake, SERIES, scene.lake.read(SERIES))
    write(lake, FORECASTS, made)
    write(lake, SCORES, SCORES.cast(score(made, first_releases(scene.lake.read(SERIES)))))
    return Scene(lake)


def test_a_model_that_is_silent_on_some_days_has_rows_on_the_others(joined: Scene, licences: pa.Table) -> None:
    found = joined.judged([DAYS])
    keys = keys_of(found)
    assert keys == expected_keys(joined.lake)
    assert [(day, "f:long", "pulse") in keys for day in DAYS[15:24]] == [False] * 4 + [True, True, False, True, True]
    others = found.filter(pc.field("model") != "pulse").drop_columns([*EVIDENCE_COLUMNS, "serve", "state"])
    before = licences.filter(pc.field("model") != "pulse").drop_columns([*EVIDENCE_COLUMNS, "serve", "state"])
    assert others.combine_chunks().equals(before.combine_chunks()), "its company changes no number of the others"
    served = found.filter(found["serve"]).group_by(["as_of", "unique_id"]).aggregate([([], "count_all")])
    assert set(served["count_all"].to_pylist()) == {1}
    assert joined.judged(blocks_of(DAYS, 7)).equals(found)


def test_a_model_that_is_often_silent_is_compared_with_naive_on_the_same_truths(joined: Scene) -> None:
    """It says what naive says: beside a sum over more truths than its own it would look far better than that."""
    rows = joined.judged([DAYS]).filter((pc.field("model") == "pulse") & (pc.field("unique_id") == "f:long"))
    skill = [value for value in rows["skill"].to_pylist() if value is not None]
    assert len(skill) > 5
    assert max(map(abs, skill)) < 0.01


def test_a_lake_without_forecasts_of_some_models_is_judged_by_the_others(scene: Scene, licences: pa.Table) -> None:
    """Rows that a caller does not ask for are as if they were not there."""
    found = pa.concat_tables(judge(scene.lake.snapshot(), [DAYS], THRESHOLDS, ("naive",))).combine_chunks()
    mine = licences.filter(pc.field("model") == "naive").combine_chunks()
    told = ["reasons", "targets", "coverage_80", "expires_on"]
    assert found.select([*LICENCES.key, *told]).equals(mine.select([*LICENCES.key, *told]))
    assert set(found["state"].to_pylist()) <= {"licensed", "fallback", "rejected"}, "nothing else could be licensed"


def test_stale_new_and_unproven_series_are_told_apart(licences: pa.Table) -> None:
    frame = licences.to_pandas().set_index(["as_of", "unique_id", "model"]).sort_index()
    reasons, state = frame["reasons"], frame["state"]
    assert reasons[LAST, "f:old", "naive"].split()[0] == "DQ_STALE"
    assert set(state[LAST, "f:old"]) == {"rejected"}
    assert reasons[LAST, "f:new", "pulse"] == "DQ_SHORT UNPROVEN"
    assert reasons[date(2020, 3, 9), "f:young", "naive"] == "UNPROVEN"
    assert state[date(2020, 3, 9), "f:young", "naive"] == "fallback"
    assert "UNPROVEN" not in reasons[LAST, "f:long", "naive"]
    assert "licensed" in set(state)


def test_numbers_are_those_of_the_score_table(scene: Scene, licences: pa.Table) -> None:
    scores = scene.lake.read(SCORES).to_pandas()
    window = DAYS[DAYS.index(LAST) - 14 :]
    for model in REFERENCES:
        mine = scores[scores["as_of"].isin(window) & (scores["unique_id"] == "f:long")]
        by_truth = mine.groupby(["model", "ds"])[["wis", "covered_80"]].mean(numeric_only=False).astype(float)
        row = licences.filter(
            (pc.field("as_of") == LAST) & (pc.field("unique_id") == "f:long") & (pc.field("model") == model)
        ).to_pylist()[0]
        assert row["targets"] == len(by_truth.loc[model])
        assert row["coverage_80"] == pytest.approx(by_truth.loc[model, "covered_80"].mean())
        ratio = by_truth.loc[model, "wis"].sum() / by_truth.loc["naive", "wis"].sum()
        assert row["skill"] == pytest.approx(1 - ratio)


def test_a_licence_ends_with_the_forecasts_that_it_is_about(scene: Scene, licences: pa.Table) -> None:
    made = scene.lake.read(FORECASTS, columns=["as_of", "unique_id", "model", "ds"]).to_pandas()
    last = made.groupby(["as_of", "unique_id", "model"])["ds"].max().dt.date
    for row in licences.to_pylist():
        key = tuple(row[name] for name in LICENCES.key)
        assert row["expires_on"] == last.get(key, row["as_of"])


@pytest.mark.parametrize("size", [1, 4, 10])
def test_cutting_days_into_blocks_or_runs_changes_nothing(scene: Scene, licences: pa.Table, size: int) -> None:
    blocks = blocks_of(DAYS, size)
    assert scene.judged(blocks).equals(licences)
    runs = [scene.judged([block]) for block in blocks[-3:]]
    days = [day for block in blocks[-3:] for day in block]
    assert (
        pa.concat_tables(runs).combine_chunks().equals(licences.filter(pc.field("as_of").isin(days)).combine_chunks())
    )


def test_forecasts_of_strangers_are_not_judged_and_do_no_harm(
    scene: Scene, licences: pa.Table, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Another engine's model, or a series that silver does not hold, has no licence, which the gate then reports."""
    lake = Lake(str(tmp_path_factory.mktemp("strangers")), durable=False)
    made = scene.lake.read(FORECASTS)
    naive = made.filter(pc.field("model") == "naive")
    of_model = naive.set_column(2, "model", pa.array(["zzz"] * len(naive)))
    of_series = naive.filter(pc.field("unique_id") == "f:long")
    of_series = of_series.set_column(1, "unique_id", pa.array(["f:stranger"] * len(of_series)))
    write(lake, SERIES, scene.lake.read(SERIES))
    write(lake, SCORES, scene.lake.read(SCORES))
    write(lake, FORECASTS, pa.concat_tables([made, of_model, of_series]))
    found = Scene(lake).judged([DAYS])
    assert found.drop_columns(EVIDENCE_COLUMNS).equals(licences.drop_columns(EVIDENCE_COLUMNS))


def test_an_empty_lake_has_nothing_to_license(lake: Lake) -> None:
    assert len(Scene(lake).judged([DAYS[:3]])) == 0


def test_series_without_forecasts_and_scores_are_never_licensed(lake: Lake) -> None:
    write(lake, SERIES, silver({"f:a": ("2019-12-02", "2020-04-03")}))
    found = Scene(lake).judged([DAYS[-3:]])
    assert set(found["state"].to_pylist()) == {"rejected"}
    assert set(found["reasons"].to_pylist()) == {"DQ_SHORT UNPROVEN"}
    assert not any(found["serve"].to_pylist())


def test_licences_name_the_versions_and_thresholds_that_they_rest_on(scene: Scene, licences: pa.Table) -> None:
    for name, table in (("forecasts_version", FORECASTS), ("scores_version", SCORES)):
        assert set(licences[name].to_pylist()) <= {-1, scene.lake.open(table).version()}
    other = pa.concat_tables(judge(scene.lake.snapshot(), [DAYS[-1:]], THRESHOLDS | {"min_targets": 6}))
    assert set(other["policy"].to_pylist()).isdisjoint(licences["policy"].to_pylist())
    assert max(licences["expires_on"].to_pylist()) > LAST - timedelta(days=1)
