"""A forecast meets its truth once: the first release, and only if the forecast was made before it was known."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.numerics.normal_scores import normal_scores
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_assets.numerics.scores import weighted_interval_score
from pulse_assets.trust.scoring import LOOKBACK, first_releases, lookback, score, wanted_forecasts
from pulse_assets.trust.tables import SCORES

DAY = date(2024, 1, 1)
TIME = pa.timestamp("us", "UTC")
Forecast = tuple[int, str, str, int, int]  # origin, series, model, horizon, event day
Truth = tuple[int, str, int]  # day of knowledge, series, event day


def times(days: list[int]) -> pa.Array:
    return pa.array([datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in days], TIME)


def dates(days: list[int]) -> pa.Array:
    return pa.array([DAY + timedelta(days=day) for day in days], pa.date32())


def forecast_table(rows: list[Forecast]) -> pa.Table:
    origins, ids, models, horizons, events = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    rng = np.random.default_rng(len(rows))
    quantiles = np.sort(rng.normal(size=(len(rows), len(QUANTILE_COLUMNS))), axis=1)
    columns = {
        "as_of": dates(list(origins)),
        "unique_id": pa.array(ids, pa.string()),
        "model": pa.array(models, pa.string()),
        "h": pa.array(horizons, pa.int16()),
        "ds": times(list(events)),
        "mean": pa.array(quantiles.mean(axis=1)),
        **{name: pa.array(quantiles[:, k]) for k, name in enumerate(QUANTILE_COLUMNS)},
        "model_version": pa.array(["m1"] * len(rows), pa.string()),
        "data_version": pa.array([3] * len(rows), pa.int64()),
    }
    return FORECASTS.cast(pa.table(columns))


def truth_table(rows: list[Truth]) -> pa.Table:
    known, ids, events = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "as_of": dates(list(known)),
            "unique_id": pa.array(ids, pa.string()),
            "ds": times(list(events)),
            "y": pa.array([event / 10 + len(name) for _, name, event in rows], pa.float64()),
        }
    )


def slow_scores(forecasts: pa.Table, truths: pa.Table) -> pd.DataFrame:
    both = forecasts.to_pandas().rename(columns={"as_of": "origin"}).merge(truths.to_pandas(), on=["unique_id", "ds"])
    both = both[(both["as_of"] > both["origin"]) & (both["as_of"] - both["origin"] <= LOOKBACK)]
    return both.sort_values(list(SCORES.key), ignore_index=True)


ids = st.sampled_from("abc")
FORECAST_ROWS = st.lists(
    st.tuples(st.integers(0, 12), ids, st.sampled_from(["m", "naive"]), st.integers(1, 3), st.integers(0, 12)),
    max_size=40,
    unique_by=lambda row: row[:4],
)
TRUTH_ROWS = st.lists(
    st.tuples(st.integers(0, 14), ids, st.integers(0, 12)), max_size=20, unique_by=lambda row: row[1:]
)


@given(FORECAST_ROWS, TRUTH_ROWS)
@settings(max_examples=150)
def test_scores_equal_a_slow_merge(forecast_rows: list[Forecast], truth_rows: list[Truth]) -> None:
    forecasts, truths = forecast_table(forecast_rows), truth_table(truth_rows)
    ours = SCORES.cast(score(forecasts, truths))
    assert ours["as_of"].to_pylist() == sorted(ours["as_of"].to_pylist())
    found = ours.sort_by([(name, "ascending") for name in SCORES.key]).to_pandas()
    slow = slow_scores(forecasts, truths)
    for name in ("as_of", "origin", "unique_id", "model", "h", "ds", "y", "model_version"):
        assert found[name].tolist() == slow[name].tolist()
    quantiles = slow[list(QUANTILE_COLUMNS)].to_numpy(float)
    np.testing.assert_array_equal(found["error"], slow["y"].to_numpy(float) - slow["q500"].to_numpy(float))
    np.testing.assert_array_equal(found["wis"], weighted_interval_score(quantiles, slow["y"].to_numpy(float)))
    np.testing.assert_array_equal(found["z"], normal_scores(quantiles, slow["y"].to_numpy(float)))
    inside = (slow["q100"] <= slow["y"]) & (slow["y"] <= slow["q900"])
    assert found["covered_80"].tolist() == inside.tolist()


@given(FORECAST_ROWS, TRUTH_ROWS, st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_the_order_of_rows_does_not_matter(
    forecast_rows: list[Forecast], truth_rows: list[Truth], random: object
) -> None:
    forecasts, truths = forecast_table(forecast_rows), truth_table(truth_rows)
    expected = score(forecasts, truths)
    mixed = []
    for table in (forecasts, truths):
        order = list(range(len(table)))
        random.shuffle(order)  # type: ignore[attr-defined]
        mixed.append(table.take(pa.array(order, pa.int64())))
    keys = [(name, "ascending") for name in SCORES.key]
    assert score(*mixed).sort_by(keys).equals(expected.sort_by(keys))


def test_a_truth_known_on_the_day_of_the_forecast_is_no_test_of_it() -> None:
    forecasts = forecast_table([(origin, "a", "m", 1, 9) for origin in range(4, 8)])
    made = score(forecasts, truth_table([(6, "a", 9)]))
    assert made["origin"].to_pylist() == dates([4, 5]).to_pylist()
    assert set(made["as_of"].to_pylist()) == {DAY + timedelta(days=6)}


def test_only_first_releases_are_truths() -> None:
    flags = ["", "revision", "gap late", "suspected_split revision", "late"]
    silver = truth_table([(day, "a", day) for day in range(5)]).append_column("flags", pa.array(flags))
    assert first_releases(silver)["ds"].to_pylist() == times([0, 2, 4]).to_pylist()
    assert first_releases(silver).column_names == ["as_of", "unique_id", "ds", "y"]


@given(st.lists(st.integers(0, 400), max_size=25, unique=True), st.lists(st.integers(0, 400), max_size=40))
def test_the_file_filter_lets_every_wanted_forecast_through(events: list[int], others: list[int]) -> None:
    truths = truth_table([(500, "a", event) for event in events])
    table = pa.table({"ds": times([*events, *others])})
    kept = set(table.filter(wanted_forecasts(truths))["ds"].to_pylist())
    assert set(times(events).to_pylist()) <= kept
    assert all(any(abs(time - truth) <= timedelta(days=5) for truth in times(events).to_pylist()) for time in kept)


def test_no_truths_want_no_forecast() -> None:
    table = pa.table({"ds": times([1, 2])})
    assert len(table.filter(wanted_forecasts(truth_table([])))) == 0


def test_a_truth_later_than_the_lookback_scores_nothing_however_days_are_cut_into_blocks() -> None:
    """The lookback prunes whole years of files from the first day of a block on; the scores must not show where."""
    longest = LOOKBACK.days
    forecasts = forecast_table([(origin, "a", "m", 1, 20) for origin in range(10)])
    made = score(forecasts, truth_table([(longest + 5, "a", 20)]))
    assert made["origin"].to_pylist() == dates([5, 6, 7, 8, 9]).to_pylist()
    days = [DAY + timedelta(days=longest + 5 + k) for k in range(40)]
    for block in (days, days[:1]):
        assert lookback(block) <= min(made["origin"].to_pylist())


def test_nothing_to_score_gives_an_empty_score_table() -> None:
    some, none = forecast_table([(1, "a", "m", 1, 2)]), forecast_table([])
    for forecasts, truths in ((some, truth_table([])), (none, truth_table([(3, "a", 2)])), (none, truth_table([]))):
        assert len(SCORES.cast(score(forecasts, truths))) == 0


def test_numbers_of_one_score_are_those_of_the_textbook() -> None:
    forecasts = forecast_table([(0, "a", "m", 1, 1)])
    y = forecasts["q500"][0].as_py()
    truths = truth_table([(1, "a", 1)]).set_column(3, "y", pa.array([y]))
    row = score(forecasts, truths).to_pylist()[0]
    assert row["error"] == 0
    assert row["pit"] == pytest.approx(0.5)
    assert all(row[f"covered_{nominal}"] for nominal in (50, 80, 95))
    assert pc.sum(score(forecasts, truths)["wis"]).as_py() > 0
