"""Drift is told day by day from one-step scores: a range is its days one by one, and no later day is known."""

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.data_drift_days import data_drift_rows
from pulse_assets.trust.detection.cusum import KEPT, REFERENCE
from pulse_assets.trust.drift_days import drift_days
from pulse_assets.trust.evidence_tables import DRIFT
from pulse_assets.trust.tables import SCORES
from pulse_resources.lake import Lake, Partitions, TableContract
from pulse_resources.lake.partitions import blocks_of, weekdays

DAYS = weekdays(date(2023, 1, 2), date(2024, 5, 31))
IDS = [f"s{number:02}" for number in range(12)]
BROKEN, SHIFT_AT = "s03", 260


def at(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def filled(contract: TableContract, rows: pd.DataFrame) -> pa.Table:
    """The contract's table; columns that do not matter here hold next to nothing."""
    columns = {}
    for field in contract.schema:
        if field.name in rows:
            columns[field.name] = pa.array(rows[field.name].tolist(), field.type)
        else:
            nothing = {"string": "", "bool": False}.get(str(field.type), 0)
            columns[field.name] = pa.array([nothing] * len(rows), pa.scalar(nothing).type).cast(field.type)
    return contract.cast(pa.table(columns))


def scored() -> pd.DataFrame:
    """One-step scores: white errors, one series that breaks, one with two truths a day, one with several origins."""
    random, rows = np.random.default_rng(1), []
    for number, day in enumerate(DAYS):
        for name in IDS:
            for model in ("naive", "pulse"):
                z = float(random.standard_normal()) + (2.0 if name == BROKEN and number >= SHIFT_AT else 0.0)
                told = {"as_of": day, "unique_id": name, "model": model, "h": 1, "ds": at(day), "z": z}
                told |= {"origin": day - timedelta(days=1), "wis": float(random.gamma(2.0))}
                rows.append(told)
                if name == "s00":  # an older origin of the same truth, which must not count
                    rows.append(told | {"origin": day - timedelta(days=4_000), "z": 50.0})
                if name == "s01" and day.weekday() == 0:  # a truth of Sunday, known on Monday
                    sunday = day - timedelta(days=1)
                    rows.append(told | {"ds": at(sunday), "origin": day - timedelta(days=3), "z": -z})
                if name == "s02":  # a longer horizon, which must not count
                    rows.append(told | {"h": 2, "origin": day - timedelta(days=3), "z": -50.0})
    return pd.DataFrame(rows)


def written(lake: Lake, scores: pd.DataFrame) -> Lake:
    known = pd.DataFrame({"as_of": DAYS[0], "unique_id": IDS, "ds": at(DAYS[0]), "known_at": at(DAYS[0]), "freq": "B"})
    for contract, rows in ((SERIES, filled(SERIES, known)), (SCORES, filled(SCORES, scores))):
        lake.overwrite(contract, rows, Partitions.of("as_of", sorted(set(rows["as_of"].to_pylist()))))
    return lake


def put(lake: Lake, days: list[date], size: int) -> None:
    rows = pa.concat_tables(drift_days(lake.snapshot(), blocks_of(days, size)))
    lake.overwrite(DRIFT, rows, Partitions.of("as_of", days))


def told(lake: Lake) -> pa.Table:
    return lake.read(DRIFT).sort_by([(name, "ascending") for name in DRIFT.key])


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return scored()


@pytest.fixture(scope="module")
def whole(scores: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """All days in one range."""
    lake = written(Lake(str(tmp_path_factory.mktemp("whole")), durable=False), scores)
    put(lake, DAYS, 50)
    return told(lake)


def since(rows: pa.Table, day: date) -> pa.Table:
    return rows.filter(pc.greater_equal(rows["as_of"], pa.scalar(day)))


def stream(rows: pa.Table, drift: str, name: str, model: str = "pulse") -> pd.DataFrame:
    frame = rows.to_pandas()
    return frame[(frame["drift"] == drift) & (frame["unique_id"] == name) & (frame["model"] == model)]


@pytest.mark.parametrize("cuts", [[120], [260, 270, 290], list(range(len(DAYS) - 8, len(DAYS)))])
def test_a_range_is_its_days_one_by_one(lake: Lake, scores: pd.DataFrame, whole: pa.Table, cuts: list[int]) -> None:
    written(lake, scores)
    for low, high in zip([0, *cuts], [*cuts, len(DAYS)], strict=True):
        put(lake, DAYS[low:high], 37)
    assert told(lake).equals(whole)


def test_days_that_were_left_out_are_caught_up_from_scores(lake: Lake, scores: pd.DataFrame, whole: pa.Table) -> None:
    written(lake, scores)
    put(lake, DAYS[:150], 50)
    put(lake, DAYS[230:], 50)
    assert since(told(lake), DAYS[230]).equals(since(whole, DAYS[230]))


def test_a_lake_without_own_rows_is_watched_from_the_first_score(
    lake: Lake, scores: pd.DataFrame, whole: pa.Table
) -> None:
    written(lake, scores)
    put(lake, DAYS[200:], 500)
    assert told(lake).equals(since(whole, DAYS[200]))


def test_later_scores_change_nothing(lake: Lake, scores: pd.DataFrame, whole: pa.Table) -> None:
    later = scores["as_of"] > DAYS[300]
    changed = scores.assign(z=scores["z"].where(~later, scores["z"].sample(frac=1, random_state=1).to_numpy()))
    written(lake, changed.assign(wis=changed["wis"].where(~later, 7.0)))
    put(lake, DAYS[:301], 500)
    before = whole.filter(pc.less_equal(whole["as_of"], pa.scalar(DAYS[300])))
    assert told(lake).equals(before)


def test_every_stream_learns_is_watched_and_only_what_broke_alarms(whole: pa.Table) -> None:
    frame = whole.to_pandas()
    watched = frame[frame["drift"].isin(["model_drift", "prediction_drift"])]
    assert len(watched[watched["as_of"] == DAYS[-1]]) == len(IDS) * 3  # naive has no loss beside naive
    alarms = watched[watched["state"] == "alarm"]
    broken = stream(whole, "model_drift", BROKEN)
    began = broken[broken["state"] == "alarm"]["as_of"].min()
    assert DAYS[SHIFT_AT] <= began <= DAYS[SHIFT_AT + 20]
    assert broken[broken["as_of"] == began]["direction"].item() == "up"
    assert set(alarms["unique_id"]) == {BROKEN}
    assert (broken["state"] == "alarm").sum() == 31
    assert broken["state"].iloc[-1] == "learning"


def test_what_is_not_watched_yet_has_no_statistic(whole: pa.Table) -> None:
    frame = stream(whole, "model_drift", "s05")
    learning, later = frame.iloc[: REFERENCE - 1], frame.iloc[REFERENCE:]
    assert (learning["state"] == "learning").all()
    assert learning[["statistic", "threshold", "p_value", "q_value", "phi"]].isna().all(axis=None)
    assert later[["statistic", "threshold", "p_value", "q_value", "phi"]].notna().all(axis=None)
    assert (later["q_value"] >= later["p_value"]).all()


def test_the_reference_stands_while_it_grows_when_it_is_complete_and_once_a_month(whole: pa.Table) -> None:
    frame = stream(whole, "model_drift", "s05")
    lengths = frame["reference"].map(lambda part: -1 if part is None else len(part)).to_numpy()
    np.testing.assert_array_equal(lengths[:KEPT], np.arange(1, KEPT + 1))
    assert (frame["reference_on"].iloc[KEPT - 1 :] == DAYS[KEPT - 1]).all()
    repeated = [day.month for day in frame["as_of"].iloc[KEPT:][lengths[KEPT:] == KEPT]]
    assert repeated == sorted({day.month for day in DAYS[KEPT:] if day.year == 2024} | {12}, key=lambda m: m % 12)
    assert set(lengths[KEPT:]) == {-1, KEPT}


def test_a_truth_counts_once_by_its_newest_origin(whole: pa.Table, scores: pd.DataFrame) -> None:
    first = stream(whole, "model_drift", "s00").iloc[60]["reference"]
    assert np.abs(first).max() < 6  # the older origins say 50
    assert len(first) == 61
    second = stream(whole, "model_drift", "s01").iloc[0]["reference"]
    assert len(second) == 2  # of Sunday and of Monday, in that order
    assert second[0] == -second[1]


def test_losses_are_watched_as_a_share_of_what_both_lost(whole: pa.Table, scores: pd.DataFrame) -> None:
    kept = stream(whole, "prediction_drift", "s05").iloc[30]["reference"]
    ours = scores[(scores["unique_id"] == "s05") & (scores["h"] == 1)].pivot(
        index="as_of", columns="model", values="wis"
    )
    expected = (ours["naive"] - ours["pulse"]) / (ours["naive"] + ours["pulse"])
    np.testing.assert_allclose(kept, expected.iloc[:31], rtol=1e-6)


def test_a_panel_has_one_row_a_day(whole: pa.Table) -> None:
    frame = stream(whole, "panel_drift", "panel B")
    assert frame["as_of"].tolist() == DAYS
    assert frame["state"].iloc[20] == "learning"
    assert frame["state"].iloc[200] == "none"
    assert frame["statistic"].iloc[:20].isna().all()


def test_rows_about_the_series_themselves_join_on_fridays(lake: Lake, scores: pd.DataFrame) -> None:
    written(lake, scores)
    days = DAYS[:15]
    rows = pa.concat_tables(drift_days(lake.snapshot(), blocks_of(days, 4)))
    about = rows.filter(pc.equal(rows["drift"], "data_drift"))
    fridays = [day for day in days if day.weekday() == 4]
    assert about.equals(pa.concat_tables(data_drift_rows(lake.snapshot(), day) for day in fridays))
    assert set(about["as_of"].to_pylist()) == set(fridays)


def test_a_lake_without_scores_says_nothing(lake: Lake) -> None:
    assert list(drift_days(lake.snapshot(), [DAYS[:5]])) == []


def test_a_reference_that_is_gone_is_learned_anew(lake: Lake, scores: pd.DataFrame, whole: pa.Table) -> None:
    written(lake, scores)
    newest = whole.filter(pc.equal(whole["as_of"], pa.scalar(DAYS[250])))
    lake.overwrite(DRIFT, newest, Partitions.of("as_of", [DAYS[250]]))  # no older day, so no reference
    put(lake, [DAYS[251]], 1)
    rows = since(told(lake), DAYS[251])
    assert set(stream(rows, "model_drift", "s05")["state"]) == {"learning"}
    assert stream(rows, "model_drift", "s05")["targets"].item() == 0
