"""Worth is what was served beside habits and hindsight, series by series, with nothing that a day did not know."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pulse_assets.trust.tables import CALIBRATED_SCORES, LICENCE_VALUE, LICENCES, TRUST
from pulse_assets.trust.value import summary, values_by_day
from pulse_assets.trust.value_days import value_days
from pulse_resources.lake import Lake, TableContract
from pulse_resources.lake.partitions import Partitions, blocks_of

DAY = date(2024, 1, 10)
DS = pd.Timestamp("2024-01-10", tz="UTC")


def score(name: str, model: str, wis: float, h: int = 1, day: date = DAY) -> dict[str, object]:
    origin = day - timedelta(days=h)
    return {"as_of": day, "origin": origin, "unique_id": name, "model": model, "h": h, "ds": DS, "wis": wis}


def served(
    name: str, model: str, state: str, bucket: str = "1", origin: date = DAY - timedelta(days=1)
) -> dict[str, object]:
    return {"as_of": origin, "unique_id": name, "model": model, "bucket": bucket, "state": state}


def belief(name: str, model: str, wis: float, recent_skill: float | None = None, **other: object) -> dict[str, object]:
    return {
        "as_of": DAY, "unique_id": name, "model": model, "bucket": "1", "freq": "B", "targets": 90, "wis": wis,
        "reference": "naive", "recent_targets": 30, "recent_skill": recent_skill, **other,
    }  # fmt: skip


def two_series() -> tuple[list[dict[str, object]], list[dict[str, object]], list[dict[str, object]]]:
    """The model halves naive's loss on a, doubles it on b; b's losses are a hundred times larger."""
    scores = [score("a", "naive", 2), score("a", "pulse", 1), score("b", "naive", 200), score("b", "pulse", 400)]
    licences = [served("a", "pulse", "licensed"), served("b", "naive", "fallback")]
    trust = [
        belief("a", "naive", 2),
        belief("a", "pulse", 1, 0.5),
        belief("b", "naive", 200),
        belief("b", "pulse", 400, -1.0),
    ]
    return scores, licences, trust


def worth(
    scores: list[dict[str, object]], licences: list[dict[str, object]], trust: list[dict[str, object]]
) -> pd.DataFrame:
    return values_by_day(pd.DataFrame(scores), pd.DataFrame(licences), pd.DataFrame(trust))


def test_a_follower_beats_both_habits_where_licences_are_right() -> None:
    row = worth(*two_series()).iloc[0].to_dict()
    assert row == {
        "as_of": DAY, "freq": "B", "bucket": "1", "series": 2, "licensed_share": 0.5,
        "wis_followed": 0.75, "wis_always": 1.25, "wis_naive": 1.0, "wis_oracle": 0.75,
    }  # fmt: skip


def test_the_oracle_takes_the_seasonal_model_where_that_is_the_reference() -> None:
    scores, licences, trust = two_series()
    trust[3] = belief("b", "pulse", 400, -1.0, reference="seasonal_naive")
    rows = worth([*scores, score("b", "seasonal_naive", 100)], licences, trust)
    assert rows["wis_oracle"].item() == pytest.approx((0.5 + 0.5) / 2)


def test_forecasts_of_one_truth_count_as_one() -> None:
    scores, licences, trust = two_series()
    far = [score("a", model, 8, h=2) for model in ("naive", "pulse")]
    near = [score("a", model, 4, h=3) for model in ("naive", "pulse")]
    licences += [served("a", "pulse", "licensed", "2-5", DAY - timedelta(days=h)) for h in (2, 3)]
    trust += [{**row, "bucket": "2-5"} for row in trust]
    rows = worth(scores + far + near, licences, trust)
    assert rows["bucket"].tolist() == ["1", "2-5"]
    assert rows["wis_followed"].tolist()[1] == 3.0
    assert rows["series"].tolist() == [2, 1]


def test_a_series_without_a_scale_or_a_served_forecast_does_not_count() -> None:
    scores, licences, trust = two_series()
    assert worth(scores, licences[:1], trust)["series"].tolist() == [1]
    few = [{**row, "targets": 9} if row["unique_id"] == "b" else row for row in trust]
    assert worth(scores, licences, few)["series"].tolist() == [1]
    flat = [{**row, "wis": 0.0} if row["unique_id"] == "b" else row for row in trust]
    assert worth(scores, licences, flat)["series"].tolist() == [1]


def test_what_was_served_without_a_score_does_not_count() -> None:
    scores, licences, trust = two_series()
    assert worth(scores, [served("a", "seasonal_naive", "licensed"), licences[1]], trust)["series"].tolist() == [1]


def test_an_oracle_that_does_not_know_yet_is_null_and_is_compared_on_what_it_knows() -> None:
    scores, licences, trust = two_series()
    unknown = [{**row, "recent_targets": 5} for row in trust]
    row = worth(scores, licences, unknown)
    assert row["series"].item() == 2
    assert np.isnan(row["wis_oracle"].item())
    partly = [{**row, "recent_targets": 5} if row["unique_id"] == "b" else row for row in trust]
    row = worth(scores, licences, partly)
    assert row["series"].item() == 1
    assert row["wis_followed"].item() == row["wis_oracle"].item() == 0.5


def test_the_summary_gives_gains_and_the_share_of_hindsight() -> None:
    one = {"as_of": DAY, "freq": "B", "bucket": "1", "licensed_share": 0.5, "series": 1}
    rows = pd.DataFrame(
        [
            {**one, "wis_followed": 0.7, "wis_always": 0.8, "wis_naive": 1.0, "wis_oracle": 0.6},
            {**one, "wis_followed": 1.7, "wis_always": 1.8, "wis_naive": 2.0, "wis_oracle": 1.6, "series": 3},
            {**one, "wis_followed": 9.0, "wis_always": 9.0, "wis_naive": 9.0, "wis_oracle": np.nan},
        ]
    )
    found = summary(LICENCE_VALUE.cast(pa.Table.from_pandas(rows, preserve_index=False))).to_pylist()
    assert len(found) == 1
    assert found[0]["truths"] == 4
    assert found[0]["wis_always"] == pytest.approx(1.55)
    assert found[0]["gain_always"] == pytest.approx(0.1 / 1.55)
    assert found[0]["gain_naive"] == pytest.approx(0.3 / 1.75)
    assert found[0]["oracle_share"] == pytest.approx(0.5)


def test_a_summary_of_nothing_is_empty_and_hindsight_without_gain_has_no_share() -> None:
    assert len(summary(LICENCE_VALUE.empty())) == 0
    same = {f"wis_{way}": 1.0 for way in ("followed", "always", "naive", "oracle")}
    rows = pd.DataFrame([{"as_of": DAY, "freq": "B", "bucket": "1", "licensed_share": 0.0, "series": 1, **same}])
    assert summary(LICENCE_VALUE.cast(pa.Table.from_pandas(rows, preserve_index=False)))[
        "oracle_share"
    ].to_pylist() == [None]


def filled(contract: TableContract, rows: list[dict[str, object]]) -> pa.Table:
    """Return rows of a table, whatever else it wants filled with nothing much."""
    blanks = {"string": "", "bool": False, "date32[day]": DAY}
    columns = {}
    for field in contract.schema:
        blank = None if field.nullable else blanks.get(str(field.type), 0)
        columns[field.name] = pa.array([row.get(field.name, blank) for row in rows], field.type)
    return contract.cast(pa.table(columns))


@pytest.fixture
def worthy(lake: Lake) -> Lake:
    """A lake in which two days know a truth each."""
    scores, licences, trust = two_series()
    first = DAY - timedelta(days=1)
    moved = [{**row, "as_of": first, "origin": first - timedelta(days=1), "wis": 2 * row["wis"]} for row in scores]  # type: ignore[operator]
    tables = {
        CALIBRATED_SCORES: [*moved, *scores],
        LICENCES: [{**row, "serve": True, "as_of": first - timedelta(days=1)} for row in licences]
        + [{**row, "serve": True} for row in licences],
        TRUST: [{**row, "as_of": first} for row in trust] + trust,
    }
    for contract, rows in tables.items():
        lake.overwrite(contract, filled(contract, rows), Partitions("as_of", (first - timedelta(days=1), first, DAY)))
    return lake


def test_a_range_is_its_days_one_by_one_and_needs_no_other_day(worthy: Lake) -> None:
    days = [DAY - timedelta(days=1), DAY]
    whole = pa.concat_tables(value_days(worthy.snapshot(), [days])).combine_chunks()
    single = [pa.concat_tables(value_days(worthy.snapshot(), [[day]])) for day in days]
    assert whole["wis_followed"].to_pylist() == [1.5, 0.75]
    assert pa.concat_tables(single).combine_chunks().equals(whole)
    assert pa.concat_tables(value_days(worthy.snapshot(), blocks_of(days, 1))).combine_chunks().equals(whole)


def test_days_without_truths_have_no_rows(worthy: Lake, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert list(value_days(worthy.snapshot(), [[DAY + timedelta(days=1)]])) == []
    empty = Lake(str(tmp_path_factory.mktemp("empty")), durable=False)
    assert list(value_days(empty.snapshot(), [[DAY]])) == []
