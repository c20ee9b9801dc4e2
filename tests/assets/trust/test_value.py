"""What following licences is worth, on numbers that can be added up by hand."""

import itertools
from datetime import date

import pandas as pd
import pyarrow as pa
import pytest

from pulse_assets.trust.value import LEAST, LOOK_AHEAD, summary, values_by_day

DAYS = [day.date() for day in pd.bdate_range("2024-01-01", periods=60)]


def scores(naive: float = 2.0, pulse: float = 1.0) -> pd.DataFrame:
    rows = [
        (day, origin, "a", model, 1, pd.Timestamp(day), wis)
        for origin, day in itertools.pairwise(DAYS)
        for model, wis in (("naive", naive), ("pulse", pulse))
    ]
    return pd.DataFrame(rows, columns=["as_of", "origin", "unique_id", "model", "h", "ds", "wis"])


def licences(model: str, state: str = "licensed") -> pd.DataFrame:
    return pd.DataFrame({"as_of": DAYS, "unique_id": "a", "model": model, "bucket": "1", "state": state})


def test_losses_are_told_in_usual_naive_errors() -> None:
    made = values_by_day(scores(), licences("pulse"), {"a": "B"}, DAYS).iloc[-1]
    assert (made["wis_followed"], made["wis_always"], made["wis_naive"], made["wis_oracle"]) == (0.5, 0.5, 1.0, 0.5)
    assert (made["series"], made["licensed_share"]) == (1, 1.0)


def test_a_follower_is_charged_for_what_was_served() -> None:
    made = values_by_day(scores(), licences("naive", "fallback"), {"a": "B"}, DAYS).iloc[-1]
    assert (made["wis_followed"], made["licensed_share"]) == (1.0, 0.0)


def test_the_oracle_is_unknown_until_thirty_truths_are_in() -> None:
    made = values_by_day(scores(), licences("pulse"), {"a": "B"}, DAYS)
    assert made["wis_oracle"].isna().sum() == LOOK_AHEAD - 1 - LEAST
    assert made["as_of"].iloc[0] == DAYS[LEAST + 1]


def test_later_truths_change_nothing_of_a_day() -> None:
    early = scores()
    early = early[early["as_of"] <= DAYS[40]]
    one = values_by_day(scores(), licences("pulse"), {"a": "B"}, DAYS[:41])
    other = values_by_day(early, licences("pulse"), {"a": "B"}, DAYS[:41])
    pd.testing.assert_frame_equal(one, other)


def test_a_series_whose_naive_forecast_is_always_right_has_no_scale() -> None:
    assert len(values_by_day(scores(naive=0.0), licences("pulse"), {"a": "B"}, DAYS)) == 0


def test_nothing_served_gives_no_rows() -> None:
    assert len(values_by_day(scores(), licences("pulse").iloc[:0], {"a": "B"}, DAYS)) == 0


def test_the_summary_weighs_days_by_series_and_tells_the_share_of_the_oracle_s_gain() -> None:
    rows = pa.table(
        {
            "as_of": [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)],
            "freq": ["B"] * 3,
            "bucket": ["1"] * 3,
            "series": [1, 3, 5],
            "licensed_share": [1.0, 0.0, 1.0],
            "wis_followed": [0.7, 0.9, 0.1],
            "wis_always": [1.0, 1.0, 0.1],
            "wis_naive": [1.0, 1.0, 0.1],
            "wis_oracle": [0.6, 0.8, None],
        }
    )
    (row,) = summary(rows).to_pylist()
    assert (row["truths"], row["licensed_share"]) == (4, 0.25)
    assert row["wis_followed"] == pytest.approx(0.85)
    assert row["oracle_share"] == pytest.approx(0.15 / 0.25)
    assert len(summary(rows.slice(0, 0))) == 0
