"""Changes of unit are told from volatile days."""

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.trust.quality.jumps import JUMP_Z, smallest_factor, unit_jump
from tests.assets.trust.quality.plain_measures import plain_jump
from tests.assets.trust.quality.rows_of import measured, walk

SHARED = Path(os.environ.get("PULSE_TEST_PANELS", "panels"))


def score(values: object, kind: str = "price", freq: str = "B", first: int = 1) -> float:
    return float(unit_jump(np.asarray(values, float), first, smallest_factor(kind, freq)))


def jumped(factor: float, after: int = 12, kind: str = "price", seed: int = 0, sd: float = 0.01) -> float:
    values = walk(90, seed, sd)
    values[-after:] *= factor
    return score(values, kind)


@pytest.mark.parametrize("factor", [2, 0.5, 3, 10, 0.1, 100, 0.01, 1000])
def test_a_price_that_is_multiplied_for_good_has_changed_its_unit(factor: float) -> None:
    assert jumped(factor) > JUMP_Z


@pytest.mark.parametrize("kind", ["macro", "other", "volatility"])
@pytest.mark.parametrize("factor", [10, 0.1, 100, 1000])
def test_other_levels_change_their_unit_by_ten_or_more(kind: str, factor: float) -> None:
    assert jumped(factor, kind=kind) > JUMP_Z
    assert jumped(3, kind=kind) < JUMP_Z


@pytest.mark.parametrize("factor", [100, 0.01])
def test_a_rate_changes_between_percent_and_shares_of_one(factor: float) -> None:
    assert jumped(factor, kind="rate", after=3) > JUMP_Z
    assert jumped(10, kind="rate") < JUMP_Z  # a policy rate near zero does as much


@pytest.mark.parametrize("factor", [100, 0.01])
def test_returns_around_zero_change_their_scale(factor: float) -> None:
    returns = np.random.default_rng(2).standard_t(4, 160) * 0.01
    returns[-20:] *= factor
    assert score(returns, "return") > JUMP_Z


def test_the_larger_the_factor_the_sooner_it_is_believed() -> None:
    days = {factor: next(n for n in range(1, 12) if jumped(factor, after=n) > JUMP_Z) for factor in (2, 4, 10, 100)}
    assert days == {2: 5, 4: 2, 10: 2, 100: 1}


@pytest.mark.parametrize("seed", range(20))
def test_crashes_spikes_and_calm_series_are_no_changes_of_unit(seed: int) -> None:
    values = walk(90, seed)
    assert score(values) < JUMP_Z
    crash = values.copy()
    crash[-9:] *= 0.6
    assert score(crash) < JUMP_Z
    spike = values.copy()
    spike[-12] *= 100  # a wrong tick that was followed by right ones
    assert score(spike) < JUMP_Z
    slide = values.copy()
    slide[-25:] *= np.exp(-0.12 * np.arange(25))
    assert score(slide) < JUMP_Z


def test_the_calmest_series_needs_a_factor_too() -> None:
    assert score(np.append(np.full(50, 5.0), np.full(12, 5.5))) < JUMP_Z
    assert score(np.append(np.full(50, 5.0), np.full(12, 10.0))) > JUMP_Z


def test_the_day_of_the_negative_oil_price_is_none() -> None:
    oil = [24.5, 25.1, 28.3, 26.1, 23.6, 25.1, 22.8, 22.4, 20.1, 19.9, 19.9, 18.3, -37.6, 10.0, 13.8, 16.5, 16.9, 12.8]
    for count in range(8, len(oil) + 1):
        assert score([*(25 + walk(40) / 100), *oil][: 40 + count]) < JUMP_Z


def test_the_volatility_of_february_2018_is_none() -> None:
    vix = [11.1, 11.1, 11.5, 11.6, 11.1, 13.8, 14.8, 13.5, 13.5, 17.3, 37.3, 30.0, 27.7, 33.5, 29.1, 25.6, 25.0, 19.3]
    for count in range(8, len(vix) + 1):
        assert score([*(10 + walk(60) / 100), *vix][: 60 + count], "volatility") < JUMP_Z


@pytest.mark.parametrize("values", [[], [1.0] * 7])
def test_too_few_values_give_nan(values: list[float]) -> None:
    assert math.isnan(score(values))


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(50),
        np.full(50, 7.0),
        np.append(np.zeros(40), np.ones(10)),
        1e308 * (-1.0) ** np.arange(50),
        np.full(50, 5e-324),
        np.tile([0.0, 1.0], 30),
    ],
)
def test_strange_values_give_a_finite_number(values: np.ndarray) -> None:
    assert 0 <= score(values) < 1e6


@given(st.integers(0, 10_000), st.sampled_from(["price", "macro", "rate"]))
def test_the_compiled_statistic_is_that_of_plain_loops(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    values = walk(int(rng.integers(8, 120)), seed, float(rng.choice([0.001, 0.02, 0.2])))
    values[rng.integers(len(values)) :] *= rng.choice([0.01, 0.5, 1, 2, 100])
    first = int(rng.integers(0, len(values)))
    expected = plain_jump(values, first, smallest_factor(kind, "B"))
    assert score(values, kind, first=first) == pytest.approx(expected, rel=1e-9)
    assert score(-values, kind, first=first) == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 10_000), st.floats(1e-6, 1e6))
def test_the_unit_itself_does_not_matter(seed: int, unit: float) -> None:
    values = walk(60, seed, 0.05)
    assert score(values * unit) == pytest.approx(score(values), rel=1e-6, abs=1e-9)


def panel(name: str) -> pd.DataFrame:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"no {path}: set PULSE_TEST_PANELS to the folder of panels")
    return pd.read_parquet(path)


def jumping(frame: pd.DataFrame, freq: str, calendar: str, kind: str) -> set[str]:
    """Return the series of a panel that jump on any Friday."""
    known = frame.dropna(subset="y")
    ds = pd.to_datetime(known["ds"]).dt.tz_localize("UTC").dt.as_unit("us")
    rows = pd.DataFrame({"unique_id": known["unique_id"].astype(str), "ds": ds, "y": known["y"], "known_at": ds})
    days = pd.date_range(ds.min().tz_localize(None), ds.max().tz_localize(None), freq="W-FRI")
    measures = measured(rows.assign(freq=freq, calendar=calendar, kind=kind), *days)
    names = np.unique(rows["unique_id"])
    return set(names[measures.faults["DQ_UNIT_JUMP"].any(axis=1)])


@pytest.mark.slow
def test_five_years_of_505_shares_have_only_real_spin_offs_and_share_dividends() -> None:
    frame = panel("sp500_ohlcv_2013_2018.parquet").rename(columns={"close": "y"})
    assert jumping(frame, "B", "XNYS", "price") == {"DISCA", "DISCK", "EBAY", "NI"}


@pytest.mark.slow
def test_decades_of_markets_and_macro_series_have_few() -> None:
    markets = panel("multi_asset_daily.parquet")
    vix = markets["asset_class"] == "volatility_index"
    assert jumping(markets[~vix], "B", "weekday", "price") == {"AAPL", "RRC"}  # halved in a day; wrong split
    assert jumping(markets[vix], "B", "weekday", "volatility") == set()
    macro = panel("fred_md_2024_06.parquet")
    rates = macro["unique_id"].isin(["FEDFUNDS", "CP3Mx", "TB3MS", "TB6MS", "GS1", "GS5", "GS10", "AAA", "BAA"])
    assert jumping(macro[rates], "MS", "none", "rate") == set()
    assert jumping(macro[~rates], "MS", "none", "macro") == {"CLAIMSx", "NONBORRES"}  # April 2020; below zero in 2008
