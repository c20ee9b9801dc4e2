"""Evidence for the gate: sums that a slow loop finds, too, and that no bystander changes."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.trust.evidence import MEASURES, Status, daily_sums, gather
from pulse_assets.trust.licences import Policy, window_days

IDS, MODELS = ("a", "b", "c"), ("m", "naive")
DAYS = [date(2024, 1, 1) + timedelta(days=k) for k in range(12)]
Key = tuple[int, str, str, int, int, int]


def score_table(keys: list[Key], seed: int = 0) -> pa.Table:
    """Rows of ``(day, series, model, event day, origin, horizon)`` with random scores."""
    rng = np.random.default_rng(seed)
    days, ids, models, events, origins, horizons = zip(*keys, strict=True) if keys else ((),) * 6
    start = np.datetime64("2024-01-01", "us")
    return pa.table(
        {
            "as_of": pa.array([DAYS[0] + timedelta(days=day) for day in days], pa.date32()),
            "origin": pa.array([DAYS[0] + timedelta(days=origin - 30) for origin in origins], pa.date32()),
            "unique_id": pa.array(ids, pa.string()),
            "model": pa.array(models, pa.string()),
            "h": pa.array(horizons, pa.int16()),
            "ds": pa.array([start + np.timedelta64(event, "D") for event in events], pa.timestamp("us")).cast(
                pa.timestamp("us", "UTC")
            ),
            "wis": pa.array(rng.lognormal(0, 6, len(keys))),
            "covered_80": pa.array(rng.random(len(keys)) < 0.8, pa.bool_()),
            "covered_95": pa.array(rng.random(len(keys)) < 0.95, pa.bool_()),
        }
    )


def with_naive(keys: list[Key]) -> list[Key]:
    """Return the forecasts and a naive one beside each of the first two horizons, if only by chance of the third."""
    beside = [(day, name, "naive", *rest) for day, name, _, *rest in keys if rest[-1] < 3]
    return list(dict.fromkeys(keys + beside))


KEYS = st.lists(
    st.tuples(
        st.integers(0, 14),
        st.sampled_from([*IDS, "stranger"]),
        st.sampled_from([*MODELS, "unknown"]),
        st.integers(0, 3),
        st.integers(0, 4),
        st.integers(1, 3),
    ),
    unique=True,
    max_size=60,
).map(with_naive)


def forecast_of(row: dict[str, object]) -> tuple[object, ...]:
    """Return what a forecast is about, and from when, whoever made it."""
    return tuple(row[name] for name in ("as_of", "unique_id", "ds", "origin", "h"))


@given(KEYS)
@settings(max_examples=80)
def test_daily_sums_equal_a_slow_loop(keys: list[Key]) -> None:
    table = score_table(keys)
    sums = daily_sums(table, DAYS, IDS, MODELS)
    naive = {forecast_of(row): row["wis"] for row in table.to_pylist() if row["model"] == "naive"}
    of_truth: dict[tuple[object, ...], list[dict[str, float]]] = {}
    for row in table.to_pylist():
        if forecast_of(row) not in naive:
            continue
        of_truth.setdefault((row["as_of"], row["unique_id"], row["model"], row["ds"]), []).append(row)
    for d, s, m in np.ndindex(len(DAYS), len(IDS), len(MODELS)):
        truths = [rows for key, rows in of_truth.items() if key[:3] == (DAYS[d], IDS[s], MODELS[m])]
        assert sums["targets"][d, s, m] == len(truths)
        for name in MEASURES:
            expected = sum(sum(row[name] for row in rows) / len(rows) for rows in truths)
            assert np.isclose(sums[name][d, s, m], expected, rtol=1e-12)
        beside = sum(sum(naive[forecast_of(row)] for row in rows) / len(rows) for rows in truths)
        assert np.isclose(sums["wis_naive"][d, s, m], beside, rtol=1e-12)


@given(KEYS, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_neither_order_nor_other_rows_change_a_bit(keys: list[Key], random: object) -> None:
    table = score_table(keys)
    whole = daily_sums(table, DAYS, IDS, MODELS)
    order = list(range(len(table)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = table.take(pa.array(order, pa.int64()))
    part = daily_sums(shuffled, DAYS[4:], IDS[1:2], MODELS[1:])
    for name, sums in whole.items():
        np.testing.assert_array_equal(daily_sums(shuffled, DAYS, IDS, MODELS)[name], sums)
        np.testing.assert_array_equal(part[name], sums[4:, 1:2, 1:])


def test_forecasts_of_one_truth_share_its_one_vote() -> None:
    mine: list[Key] = [(0, "a", "m", 1, origin, h) for origin in range(4) for h in (1, 2)] + [(0, "a", "m", 2, 0, 1)]
    keys = mine + [(day, name, "naive", *rest) for day, name, _, *rest in mine]
    table = score_table(keys)
    sums = daily_sums(table, DAYS, IDS, MODELS)
    wis = table["wis"].to_numpy()
    assert sums["targets"][0, 0, 0] == 2
    assert sums["wis"][0, 0, 0] == pytest.approx(wis[:8].mean() + wis[8])


def test_a_model_is_compared_with_naive_on_the_forecasts_that_both_made() -> None:
    """Naive speaks every day, the model only on some: over all days naive's sum would be larger, and prove nothing."""
    naive: list[Key] = [(day, "a", "naive", day, day, h) for day in range(6) for h in (1, 2)]
    model: list[Key] = [(day, "a", "m", day, day, 1) for day in (1, 4)]
    table = score_table(naive + model)
    wis = dict(zip(naive + model, table["wis"].to_pylist(), strict=True))
    sums = {name: of[:, 0].sum(axis=0) for name, of in daily_sums(table, DAYS, IDS, MODELS).items()}
    assert sums["targets"].tolist() == [2, 6]
    assert sums["wis_naive"][0] == pytest.approx(wis[1, "a", "naive", 1, 1, 1] + wis[4, "a", "naive", 4, 4, 1])
    assert sums["wis"][0] == pytest.approx(sum(wis[key] for key in model))
    assert sums["wis_naive"][1] == sums["wis"][1]


def test_no_scores_are_zero_truths() -> None:
    nothing = ([], [(0, "stranger", "m", 0, 0, 1)], [(0, "a", "m", 0, 0, 1)], [(0, "a", "unknown", 0, 0, 1)])
    for table in map(score_table, nothing):
        assert all(not sums.any() for sums in daily_sums(table, DAYS, IDS, MODELS).values())


def status(known: np.ndarray, fresh: np.ndarray) -> Status:
    return Status(IDS, ("B", "W", "B"), known, fresh)


def test_each_series_is_judged_over_the_window_of_its_own_frequency() -> None:
    policy = Policy(window_targets=2)
    windows = {freq: window_days(freq, policy) for freq in ("B", "W")}
    days = list(pd.bdate_range("2024-03-01", periods=3).date)
    history = {f: list(pd.bdate_range(end=days[0], periods=w).date) + days[1:] for f, w in windows.items()}
    rng = np.random.default_rng(2)
    span = history["W"]
    keys: list[Key] = [
        ((day - DAYS[0]).days, name, model, event, origin, 1)
        for day in span
        for name in IDS
        for origin, event in enumerate(rng.integers(0, 3, 2).tolist())
        for model in MODELS
    ]
    table = score_table(sorted(set(keys)))
    frame = table.to_pandas()
    full = np.ones((3, 3), bool)
    scores = dict.fromkeys(history, table)
    found = gather(scores, status(full, full), history, MODELS, np.ones((3, 3, 2), bool), policy)
    for d, s, m in np.ndindex(3, 3, 2):
        freq = ("B", "W", "B")[s]
        newest = [day for day in span if day <= days[d]][-windows[freq] :]
        rows = frame[frame["as_of"].isin(newest) & (frame["unique_id"] == IDS[s]) & (frame["model"] == MODELS[m])]
        expected = rows.groupby(["as_of", "ds"])["wis"].mean()
        assert found.targets[d, s, m] == len(expected)
        assert found.wis[d, s, m] == pytest.approx(expected.sum(), rel=1e-12)
    np.testing.assert_array_equal(found.wis_naive, np.repeat(found.wis[:, :, 1:], 2, axis=2))


def test_stale_and_short_say_why_there_is_no_forecast() -> None:
    """A series is short without a naive forecast; that another model is silent about it, or is not, is no matter."""
    known = np.array([[False, True, True], [True, True, True]])
    fresh = np.array([[False, False, True], [True, True, True]])
    forecast = np.array(
        [[[False, False], [False, False], [True, False]], [[False, True], [True, True], [False, False]]]
    )
    policy = Policy(window_targets=1)
    ends = {freq: list(pd.bdate_range(end=DAYS[0], periods=window_days(freq, policy)).date) for freq in ("B", "W")}
    history = {freq: [*window, DAYS[1]] for freq, window in ends.items()}
    scores = {freq: score_table([]) for freq in history}
    found = gather(scores, status(known, fresh), history, MODELS, forecast, policy)
    assert found.stale.tolist() == [[False, True, False], [False, False, False]]
    assert found.short.tolist() == [[False, False, True], [False, False, True]]
    np.testing.assert_array_equal(found.forecast, forecast)
