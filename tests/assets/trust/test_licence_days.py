"""From evidence in a lake to licences: nothing passes that was not shown, and a range is its days one by one."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pulse_assets.trust import licence_days as border
from pulse_assets.trust.evidence_tables import DATA_QUALITY, DRIFT
from pulse_assets.trust.licensing.audit import decision_problems
from pulse_assets.trust.licensing.chain import row_hashes
from pulse_assets.trust.licensing.policy import Policy
from pulse_assets.trust.licensing.serving import servable, state_on
from pulse_assets.trust.tables import CALIBRATED, LICENCES, TRUST
from pulse_resources.errors import ConfigError
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import blocks_of
from tests.assets.trust.licensed_world import DAYS, MODELS, VERSIONS, World, licensed, new_lake, put

LAST = DAYS[-1]


def one_row(rows: pa.Table, name: str, model: str, bucket: str = "1", day: date = LAST) -> dict[str, object]:
    found = rows.filter(
        (pc.field("as_of") == day)
        & (pc.field("unique_id") == name)
        & (pc.field("model") == model)
        & (pc.field("bucket") == bucket)
    )
    assert len(found) == 1
    return found.to_pylist()[0]  # type: ignore[no-any-return]


def decided(folder: Path, world: World) -> pa.Table:
    return licensed(world.write(new_lake(folder)), [list(world.days)])


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return World().write(new_lake(tmp_path_factory.mktemp("licensed")))


@pytest.fixture(scope="module")
def rows(lake: Lake) -> pa.Table:
    return licensed(lake, [DAYS])


def test_every_forecast_has_one_decision_and_one_row_of_each_bucket_is_served(rows: pa.Table) -> None:
    keys = rows.select(list(LICENCES.key)).to_pylist()
    wanted = [(day, name, model, b) for day in DAYS for name in "ab" for model in MODELS for b in ("1", "2-5")]
    assert [tuple(key.values()) for key in keys] == wanted
    served = rows.filter(rows["serve"]).group_by(["as_of", "unique_id", "bucket"]).aggregate([([], "count_all")])
    assert served["count_all"].to_pylist() == [1] * (len(DAYS) * 4)
    assert LICENCES.broken_rules(rows) == {}


def test_good_models_are_licensed_from_the_seventh_origin_on(rows: pa.Table) -> None:
    pulse = [one_row(rows, "a", "pulse", day=day) for day in DAYS]
    assert [row["state"] for row in pulse] == ["held"] * 6 + ["licensed"] * 4
    assert [row["tier"] for row in pulse] == [None] * 6 + ["A"] * 4
    assert {row["reasons"] for row in pulse[:6]} == {"HYSTERESIS"}
    assert one_row(rows, "a", "seasonal_naive")["tier"] == "B"
    assert one_row(rows, "a", "naive")["tier"] == "C"
    assert one_row(rows, "a", "naive", day=DAYS[0])["state"] == "fallback"


def test_rows_carry_their_evidence_and_add_up_from_it_alone(lake: Lake, rows: pa.Table) -> None:
    assert decision_problems(rows, Policy()) == []
    assert row_hashes(rows) == rows["row_hash"].to_pylist()
    row = one_row(rows, "a", "pulse", "2-5")
    assert (row["trust"], row["skill"], row["coverage_80"], row["targets"]) == (0.95, 0.2, 0.8, 90)
    assert row["model_age_days"] == (LAST - date(2024, 3, 31)).days
    assert one_row(rows, "a", "naive")["model_age_days"] is None
    versions = {"forecasts": CALIBRATED, "trust": TRUST, "quality": DATA_QUALITY, "drift": DRIFT}
    assert all(row[f"{name}_version"] == lake.open(table).version() for name, table in versions.items())


def test_a_licence_ends_with_the_last_forecast_of_its_bucket(rows: pa.Table) -> None:
    ends = {bucket: one_row(rows, "a", "pulse", bucket)["expires_on"] for bucket in ("1", "2-5")}
    assert ends == {"1": date(2024, 6, 17), "2-5": date(2024, 6, 19)}
    licence = one_row(rows, "a", "pulse")
    assert [state_on(licence, date(2024, 6, day)) for day in (14, 17, 18)] == ["licensed", "licensed", "expired"]


NOT_LICENSED = {
    "no_quality": ({"quality": {"a": None}}, "UNPROVEN"),
    "no_trust": ({"trust": {("a", "pulse"): None}}, "UNPROVEN"),
    "unknown_trust": ({"trust": {("a", "pulse"): {"trust": None}}}, "UNPROVEN"),
    "nan_trust": ({"trust": {("a", "pulse"): {"trust": np.nan}}}, "UNPROVEN"),
    "infinite_trust": ({"trust": {("a", "pulse"): {"trust": np.inf}}}, "UNPROVEN"),
    "unknown_coverage": ({"trust": {("a", "pulse"): {"coverage_80_shrunk": None}}}, "UNPROVEN"),
    "few": ({"trust": {("a", "pulse"): {"targets": 29}}}, "UNPROVEN"),
    "no_drift": ({"drift": {("a", "pulse"): None}}, "UNPROVEN"),
    "unknown_drift": ({"drift": {("a", "pulse"): {"state": "perhaps"}}}, "UNPROVEN"),
    "alarm": ({"drift": {("a", "pulse"): {"state": "alarm"}}}, "DRIFT_ALARM"),
    "crossing": ({"forecasts": {("a", "pulse"): {"q500": 9.0}}}, "QUANTILE_CROSS"),
    "infinite": ({"forecasts": {("a", "pulse"): {"q990": np.inf}}}, "NONFINITE"),
    "not_a_number": ({"forecasts": {("a", "pulse"): {"q500": np.nan}}}, "NONFINITE"),
    "old": ({"forecasts": {("a", "pulse"): {"model_version": "pulse-2 B rate 2023-01-01"}}}, "MODEL_STALE"),
    "untold": ({"forecasts": {("a", "pulse"): {"model_version": ""}}}, "LINEAGE_MISSING"),
    "no_day": ({"forecasts": {("a", "pulse"): {"model_version": "pulse-2 B rate 2023-13-01"}}}, "LINEAGE_MISSING"),
    "clairvoyant": ({"forecasts": {("a", "pulse"): {"model_version": "p B rate 2025-01-01"}}}, "LINEAGE_MISSING"),
    "stale": ({"quality": {"a": {"flags": "DQ_STALE", "quality": 0.0}}}, "DQ_STALE"),
}


@pytest.mark.parametrize("what", NOT_LICENSED)
def test_what_is_missing_or_wrong_holds_its_own_row_back_and_no_other(
    what: str, rows: pa.Table, tmp_path: Path
) -> None:
    changes, reason = NOT_LICENSED[what]
    found = decided(tmp_path, World(**changes))  # type: ignore[arg-type]
    row = one_row(found, "a", "pulse")
    assert row["state"] in ("held", "scored", "draft", "rejected")
    assert reason in str(row["reasons"]).split()
    assert not row["serve"]
    other = pc.field("unique_id") == "b"
    assert found.filter(other).drop_columns(VERSIONS).equals(rows.filter(other).drop_columns(VERSIONS))


def test_the_worst_of_two_detectors_counts(tmp_path: Path) -> None:
    world = World()
    lake = world.write(new_lake(tmp_path))
    rows = DRIFT.cast(lake.read(DRIFT))
    extra = rows.set_column(1, "drift", pa.array(["prediction_drift"] * len(rows)))
    ours = pc.equal(extra["model"], "pulse")
    extra = extra.set_column(4, "state", pc.if_else(ours, "alarm", "learning"))
    elsewhere = rows.set_column(1, "drift", pa.array(["data_drift"] * len(rows)))
    elsewhere = elsewhere.set_column(4, "state", pa.array(["alarm"] * len(rows)))
    put(lake, DRIFT, pa.concat_tables([rows, *map(DRIFT.cast, (extra, elsewhere))]))
    found = licensed(lake, [DAYS])
    assert one_row(found, "a", "pulse")["drift"] == "alarm"
    assert one_row(found, "a", "naive")["drift"] == "learning"


def test_a_series_without_forecasts_is_rejected_for_every_model(tmp_path: Path) -> None:
    silent = {("a", model): None for model in MODELS}
    stale = decided(tmp_path / "stale", World(forecasts=silent, quality={"a": {"flags": "DQ_STALE", "quality": 0.0}}))
    for model in MODELS:
        row = one_row(stale, "a", model)
        assert (row["state"], str(row["reasons"]).split()[0], row["expires_on"]) == ("rejected", "DQ_STALE", LAST)
    short = decided(tmp_path / "short", World(forecasts=silent))
    assert str(one_row(short, "a", "naive")["reasons"]).split()[0] == "DQ_SHORT", "it has no forecast for some reason"
    assert not any(short.filter(pc.field("unique_id") == "a")["serve"].to_pylist())
    assert (
        len(
            decided(tmp_path / "none", World(forecasts=silent, quality={"a": None})).filter(
                pc.field("unique_id") == "a"
            )
        )
        == 0
    )


def test_a_silent_model_has_no_row_beside_models_that_speak(tmp_path: Path) -> None:
    found = decided(tmp_path, World(forecasts={("a", "pulse"): None}))
    assert set(found.filter(pc.field("unique_id") == "a")["model"].to_pylist()) == {"naive", "seasonal_naive"}
    assert one_row(found, "a", "seasonal_naive")["serve"]


@pytest.mark.parametrize("size", [1, 3, 7])
def test_how_days_are_cut_is_no_matter(lake: Lake, rows: pa.Table, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert licensed(lake, blocks_of(DAYS, size)).equals(rows)
    monkeypatch.setattr(border, "DAYS_AT_ONCE", size)
    assert licensed(lake, [DAYS]).equals(rows)


def test_a_range_is_its_days_one_by_one_when_nothing_later_is_known(rows: pa.Table, tmp_path: Path) -> None:
    world, lake = World(), new_lake(tmp_path)
    for day in DAYS:
        world.write(lake, [day])
        put(lake, LICENCES, licensed(lake, [[day]]))
    alone = LICENCES.cast(lake.read(LICENCES)).sort_by([(name, "ascending") for name in LICENCES.key])
    assert alone.drop_columns(VERSIONS).combine_chunks().equals(rows.drop_columns(VERSIONS))


def test_a_range_goes_on_from_rows_of_the_days_before_it(lake: Lake, rows: pa.Table, tmp_path: Path) -> None:
    other = World().write(new_lake(tmp_path))
    put(other, LICENCES, rows.filter(pc.less(rows["as_of"], pa.scalar(DAYS[7]))))
    later = rows.filter(pc.greater_equal(rows["as_of"], pa.scalar(DAYS[7])))
    assert licensed(other, [DAYS[7:]]).drop_columns(VERSIONS).equals(later.drop_columns(VERSIONS).combine_chunks())
    assert set(licensed(lake, [DAYS[7:]])["tier"].to_pylist()) == {None}, "without them nothing was earned before"


def test_own_rows_of_the_range_and_after_it_do_not_matter(lake: Lake, rows: pa.Table, tmp_path: Path) -> None:
    other = World().write(new_lake(tmp_path))
    forged = rows.set_column(rows.column_names.index("earned"), "earned", pa.array([0] * len(rows), pa.int8()))
    put(other, LICENCES, LICENCES.cast(forged))
    assert licensed(other, [DAYS]).drop_columns(VERSIONS).equals(rows.drop_columns(VERSIONS))


def test_a_day_on_which_it_was_not_earned_begins_the_count_again(tmp_path: Path) -> None:
    world, weak = World(), World(trust={("a", "pulse"): {"trust": 0.4}})
    lake = world.write(new_lake(tmp_path))
    weak.write(lake, [DAYS[3]])
    found = licensed(lake, [DAYS])
    states = [one_row(found, "a", "pulse", day=day)["state"] for day in DAYS]
    assert states == ["held"] * 10
    assert one_row(found, "a", "pulse", day=DAYS[3])["reasons"] == "SKILL_NEG"
    assert one_row(found, "b", "pulse")["state"] == "licensed"


def test_the_order_of_rows_in_the_evidence_is_no_matter(rows: pa.Table, tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    for day in DAYS:
        for contract, table in World(series=("b", "a")).tables(day).items():
            put(lake, contract, table.take(list(range(len(table)))[::-1]))
    assert licensed(lake, [DAYS]).drop_columns(VERSIONS).equals(rows.drop_columns(VERSIONS))


@pytest.mark.parametrize("world", [World(series=()), World(series=("a",), days=(LAST,))], ids=["nothing", "one_row"])
def test_little_or_nothing_to_decide_about_is_no_error(world: World, tmp_path: Path) -> None:
    found = decided(tmp_path, world)
    assert len(found) == 6 * len(world.series)
    assert "licensed" not in found["state"].to_pylist()


def test_forecasts_without_any_other_table_are_never_licensed(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    put(lake, CALIBRATED, pa.concat_tables([World().tables(day)[CALIBRATED] for day in DAYS]))
    found = licensed(lake, [DAYS])
    assert set(found["state"].to_pylist()) == {"draft", "fallback"}
    assert set(found["reasons"].to_pylist()) == {"UNPROVEN LINEAGE_MISSING"}
    assert set(found["trust_version"].to_pylist()) == {-1}


def test_thresholds_are_named_by_their_fingerprint_and_wrong_ones_refused(lake: Lake, rows: pa.Table) -> None:
    strict = licensed(lake, [DAYS], {"min_targets": 91})
    assert set(strict["state"].to_pylist()) == {"scored", "fallback"}
    assert set(strict["policy"].to_pylist()).isdisjoint(rows["policy"].to_pylist())
    assert licensed(lake, [DAYS], {"min_targets": 30}).equals(rows)
    with pytest.raises(ConfigError, match="tier_z"):
        licensed(lake, [DAYS], {"tier_z": 1.0})


def test_only_served_forecasts_pass_the_door_and_only_until_they_expire(lake: Lake, rows: pa.Table) -> None:
    calibrated = lake.read(CALIBRATED)
    shown = servable(calibrated, rows)
    assert len(shown) == len(DAYS) * 2 * 3
    today = shown.filter(pc.field("as_of") == LAST)
    assert set(today["model"].to_pylist()) == {"pulse"}
    assert set(today["tier"].to_pylist()) == {"A"}
    later = servable(calibrated, rows, LAST + timedelta(days=5))
    assert {(row["as_of"], row["bucket"]) for row in later.to_pylist()} == {(LAST, "2-5")}
    assert len(servable(calibrated, rows, LAST + timedelta(days=6))) == 0
    assert pd.Timestamp(min(later["ds"].to_pylist())).date() == date(2024, 6, 18)
