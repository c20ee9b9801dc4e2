"""Exogenous series: admitted where a backtest gains, never known before their time, dropped where they are missing."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting.api import Forecast, backtest, forecast
from pulse_assets.forecasting.drivers import CHANGES, FEW, Drivers, driver_names, inputs_at, read_drivers
from pulse_assets.forecasting.exogenous import fit_exogenous, origins_ago
from pulse_assets.forecasting.frames import read_series

Floats = np.ndarray
LENGTH, HORIZON = 90, 4
OPTIONS = {"freq": "MS", "horizon": HORIZON}


def panel(name: str, effect: float, series: int = 25, seed: int = 3) -> tuple[pa.Table, Floats]:
    """Seasonal series moved by a driver of their own, at once if it is known ahead, else a step later."""
    rng, steps = np.random.default_rng(seed), LENGTH + HORIZON
    driver = rng.normal(size=(series, steps))
    moves = driver if name.startswith("fx_") else np.roll(driver, 1, axis=1)
    walk = np.cumsum(rng.normal(0, 0.2, (series, steps)), axis=1)
    values = 30 + 2 * np.sin(np.arange(steps) * np.pi / 6) + walk + effect * moves
    known = np.where(np.arange(steps) < LENGTH, values, np.nan)
    table = pa.table(
        {
            "unique_id": np.repeat([f"s{k:02d}" for k in range(series)], steps),
            "ds": np.tile(np.arange(steps), series),
            "y": pa.array(known.ravel(), from_pandas=True),
            name: driver.ravel(),
        }
    )
    return table, values


def with_column(table: pa.Table, name: str, values: Floats) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values, from_pandas=True))


def error(made: Forecast, values: Floats) -> float:
    return float(np.abs(made.rows["q500"].to_numpy().reshape(-1, HORIZON) - values[:, LENGTH:]).mean())


@pytest.mark.parametrize(("name", "at_most"), [("fx_promo", 0.5), ("x_oil", 0.9)])
def test_a_useful_series_is_admitted_and_improves_forecast_and_backtest(name: str, at_most: float) -> None:
    table, values = panel(name, 1.5)
    without = table.drop_columns(name)
    made, alone = forecast(table, **OPTIONS), forecast(without, **OPTIONS)
    assert made.outside.to_pylist() == [{"name": name, "weight": None, "reason": "ADMITTED"}]
    assert error(made, values) < at_most * error(alone, values)
    then, bare = (backtest(some, **OPTIONS, cutoffs=4, step=3) for some in (table, without))
    misses = [np.abs(done.rows["q500"].to_numpy() - done.rows["y"].to_numpy()).mean() for done in (then, bare)]
    assert misses[0] < at_most * misses[1]
    width = [(done.rows["q900"].to_numpy() - done.rows["q100"].to_numpy()).mean() for done in (then, bare)]
    assert width[0] < width[1]
    covered = (then.rows["q100"].to_numpy() < then.rows["y"].to_numpy()) & (
        then.rows["y"].to_numpy() < then.rows["q900"].to_numpy()
    )
    assert 0.7 < covered.mean() < 0.95


@pytest.mark.parametrize("name", ["fx_noise", "x_noise"])
def test_noise_is_not_admitted_and_changes_not_one_bit(name: str) -> None:
    for seed in range(6):
        table, _ = panel(name, 0.0, seed=seed)
        made, alone = forecast(table, **OPTIONS), forecast(table.drop_columns(name), **OPTIONS)
        assert made.outside["reason"].to_pylist() == ["EXOGENOUS_NO_GAIN"]
        assert made.rows.equals(alone.rows)
        assert made.members.equals(alone.members)
    then = backtest(table, **OPTIONS, cutoffs=2)
    assert then.rows.equals(backtest(table.drop_columns(name), **OPTIONS, cutoffs=2).rows)


@pytest.mark.parametrize(("name", "unknown_after"), [("x_oil", 0), ("fx_promo", HORIZON)])
def test_values_after_what_was_known_at_a_cutoff_change_no_byte(name: str, unknown_after: int) -> None:
    table, _ = panel(name, 1.5)
    rng = np.random.default_rng(0)
    values = table[name].to_numpy().reshape(-1, LENGTH + HORIZON).copy()
    values[:, LENGTH:] = rng.permutation(values[:, LENGTH:].ravel()).reshape(-1, HORIZON)
    if name == "x_oil":
        shuffled = with_column(table, name, values.ravel())
        assert forecast(shuffled, **OPTIONS).rows.equals(forecast(table, **OPTIONS).rows)
    first = LENGTH - HORIZON - 12 + unknown_after
    values[:, first:] = rng.permutation(values[:, first:].ravel()).reshape(len(values), -1)
    parts = []
    for some in (table, with_column(table, name, values.ravel())):
        then = backtest(some, **OPTIONS, cutoffs=3, step=6)
        assert then.outside["reason"].to_pylist() == ["ADMITTED"]
        parts.append(then.rows.filter(pa.compute.equal(then.rows["cutoff"], LENGTH - HORIZON - 12 - 1)))
    assert len(parts[0]) == 25 * HORIZON
    assert parts[0].equals(parts[1])


@pytest.mark.parametrize("name", ["fx_promo", "x_oil"])
def test_order_of_rows_does_not_matter(name: str) -> None:
    table, _ = panel(name, 1.5)
    mixed = table.take(np.random.default_rng(1).permutation(len(table)))
    assert forecast(mixed, **OPTIONS).rows.equals(forecast(table, **OPTIONS).rows)


@pytest.mark.parametrize(("name", "hole"), [("fx_promo", LENGTH + 2), ("fx_promo", LENGTH - 2), ("x_oil", LENGTH - 1)])
def test_a_series_with_missing_values_is_forecast_without(name: str, hole: int) -> None:
    table, _ = panel(name, 1.5)
    values = table[name].to_numpy().copy()
    values[5 * (LENGTH + HORIZON) + hole] = np.nan
    holed = forecast(with_column(table, name, values), **OPTIONS)
    assert holed.reasons.to_pylist() == [{"unique_id": "s05", "reason": "EXOGENOUS_MISSING"}]
    own = pa.compute.equal(holed.rows["unique_id"].cast(pa.string()), "s05")
    bare = forecast(table.drop_columns(name), **OPTIONS)
    assert holed.rows.filter(own).equals(bare.rows.filter(own))
    assert not holed.rows.equals(bare.rows)


def test_known_ahead_needs_rows_ahead() -> None:
    table, _ = panel("fx_promo", 1.5)
    cut = table.filter(pa.compute.less(table["ds"], LENGTH))
    made = forecast(cut, **OPTIONS)
    assert set(made.reasons["reason"].to_pylist()) == {"EXOGENOUS_MISSING"}
    assert made.rows.equals(forecast(cut.drop_columns("fx_promo"), **OPTIONS).rows)


def test_exogenous_series_and_models_from_outside_go_together() -> None:
    class Zero:
        name = "zero"

        def forecast(self, histories: list[Floats], horizon: int, season: int) -> Floats:  # noqa: ARG002
            return np.zeros((len(histories), horizon))

    table, _ = panel("fx_promo", 1.5)
    both, one = forecast(table, **OPTIONS, members=[Zero()]), forecast(table, **OPTIONS)
    assert both.outside["reason"].to_pylist() == ["ADMITTED", "NO_GAIN"]
    assert both.rows.equals(one.rows)


def test_too_short_a_past_gives_no_verdict() -> None:
    table = pa.table({"unique_id": ["a"] * 12, "ds": np.arange(12), "y": np.arange(12.0) % 5, "x_a": np.arange(12.0)})
    assert forecast(table, **OPTIONS).outside["reason"].to_pylist() == ["TOO_FEW_ROWS"]


def test_text_is_refused() -> None:
    table = pa.table({"unique_id": ["a"] * 12, "ds": np.arange(12), "y": np.arange(12.0), "x_a": ["high"] * 12})
    with pytest.raises(ValueError, match="x_a must be numbers"):
        forecast(table, **OPTIONS)


def test_columns_are_laid_out_beside_the_series() -> None:
    days = np.arange("2024-01-01", "2024-01-08", dtype="datetime64[D]")
    table = pa.table(
        {
            "unique_id": ["b"] * 7,
            "ds": pa.array(days[::-1]),
            "y": pa.array([None, None, 5.0, 4.0, None, 2.0, None]),
            "x_a": [7.0, 6.0, 5.0, 4.0, np.inf, 2.0, 1.0],
            "fx_b": [70.0, 60.0, 50.0, 40.0, 30.0, 20.0, 10.0],
        }
    )
    laid = read_drivers(table, read_series(table, "D"), "D", 3)
    assert laid is not None
    assert laid.names == ("x_a", "fx_b")
    np.testing.assert_array_equal(laid.values[:, 0], [2, np.nan, 4, 5, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(laid.values[:, 1], [20, 30, 40, 50, 60, 70, np.nan])
    assert driver_names(table) == (["x_a"], ["fx_b"])
    assert read_drivers(table.select(["unique_id", "ds", "y"]), read_series(table, "D"), "D", 3) is None


def test_a_step_without_a_row_gets_the_values_before_it_and_the_newest_vintage_counts() -> None:
    known = pa.array([1, 1, 2, 1], pa.timestamp("us"))
    table = pa.table(
        {"unique_id": ["a"] * 4, "ds": [1, 2, 2, 4], "y": [1.0, 2, 3, 4], "x_a": [5.0, 6, 7, 8], "known_at": known}
    )
    laid = read_drivers(table.take([2, 0, 3, 1]), read_series(table, "D"), "D", 1)
    assert laid is not None
    np.testing.assert_array_equal(laid.values[:, 0], [5, 7, 7, 8, np.nan])


@given(seed=st.integers(0, 1_000), season=st.sampled_from([1, 4]), n=st.integers(8, 30))
@settings(max_examples=50, deadline=None)
def test_inputs_are_what_a_plain_reading_gives(seed: int, season: int, n: int) -> None:
    values = 1e4 + np.random.default_rng(seed).normal(size=(33, 2))
    made = inputs_at(Drivers(("x_a", "fx_b"), 1, values, np.array([0, 33]), 3), np.array([0]), np.array([n]), season, 3)
    past, coming = values[:n], values[n : n + 3, 1]
    mean, wide = past.mean(axis=0), past.std(axis=0)
    pace = np.abs(np.diff(past, axis=0)).mean(axis=0)
    common = [(past[-1] - mean) / wide, (past[-FEW:].mean(axis=0) - mean) / wide]
    common += [(past[-1 - k] - past[-2 - k]) / pace for k in range(CHANGES)]
    ahead = [(coming - mean[1]) / wide[1], (coming - past[-1, 1]) / wide[1]]
    if season > 1:
        ahead.append((coming - past[n - season : n - season + 3, 1]) / wide[1])
    np.testing.assert_allclose(made.common[0], np.clip(np.concatenate(common), -5, 5), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(made.ahead[0], np.clip(np.array(ahead).T, -5, 5), rtol=1e-6, atol=1e-6)
    assert made.complete.all()


def test_what_never_moved_says_nothing() -> None:
    values = np.full((20, 1), 0.1)
    made = inputs_at(Drivers(("fx_a",), 1, values, np.array([0, 20]), 4), np.zeros(1, int), np.array([15]), 4, 4)
    assert not made.common.any()
    assert not made.ahead.any()


def test_origins_do_not_all_fall_on_one_day_of_the_week() -> None:
    ago = origins_ago(np.full(10, 1000), 7, 7, 640)
    assert len(ago) == 64
    assert len(np.unique(ago % 7)) == 7
    assert ago[-1] == 7
    assert not len(origins_ago(np.array([], int), 7, 7, 640))


def test_a_map_is_refused_without_rows() -> None:
    made = inputs_at(
        Drivers(("x_a",), 0, np.zeros((9, 1)), np.array([0, 9]), 2), np.zeros(0, int), np.zeros(0, int), 1, 2
    )
    refused = fit_exogenous(made, np.zeros((0, 2)), np.zeros(0, bool), np.zeros(0, int), np.zeros(0, int))
    assert refused.reason == "TOO_FEW_ROWS"
