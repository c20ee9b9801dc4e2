"""Each family of filters, step by step, against the recursion as the books have it."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting import bank
from tests.assets.forecasting import plain_walk as plain

SERIES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "noise": lambda rng: rng.normal(size=40),
    "line": lambda rng: 3 + 0.5 * np.arange(40) + rng.normal(0, 0.3, 40),
    "walk": lambda rng: 100 + rng.normal(size=40).cumsum(),
    "season": lambda rng: 10 * np.sin(np.arange(40) * np.pi / 2) + rng.normal(size=40),
    "negative": lambda rng: -50 - rng.gamma(2, 3, 40),
    "large": lambda rng: 1e9 * (1 + rng.normal(0, 0.1, 40)),
}
each_series = pytest.mark.parametrize("name", SERIES)


def series(name: str) -> np.ndarray:
    return SERIES[name](np.random.default_rng(sum(map(ord, name))))


def stepped_levels(y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels and lags ``(G,)`` and losses ``(K, G)`` of the compiled level filters."""
    level, lag = np.zeros((2, bank.LEVELS)), np.zeros((2, bank.LEVELS))
    loss = np.zeros((2, bank.SHARES, bank.LEVELS))
    sums = np.zeros(2)
    for t, x in enumerate(y):
        bank.step_levels(x, t, 0, level, loss, lag, bank.slope_of(sums[0], sums[1], t))
        sums += x, t * x
    assert not level[1].any(), "the other channel was touched"
    return level[0], lag[0], loss[0]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
@settings(max_examples=50)
def test_the_slope_is_that_of_least_squares(values: list[float]) -> None:
    y, t = np.array(values), np.arange(len(values))
    scale = np.abs(y).max() + 1
    assert bank.slope_of(y.sum(), (t * y).sum(), len(y)) == pytest.approx(plain.ols_slope(y), abs=1e-9 * scale)


@each_series
def test_levels_are_smoothed_with_a_gain_that_falls_from_one_over_t(name: str) -> None:
    y = series(name)
    level, lag, loss = stepped_levels(y)
    for g, gain in enumerate(bank.LEVEL_GAIN):
        expected, behind = plain.smoothed(y, gain)
        assert level[g] == pytest.approx(expected, rel=1e-12, abs=1e-12)
        assert lag[g] == pytest.approx(behind, rel=1e-12, abs=1e-12)
        for k, share in enumerate(bank.DRIFT_SHARE):
            assert loss[k, g] == pytest.approx(plain.level_filter(y, gain, share, 1).loss(y), rel=1e-9)


@pytest.mark.parametrize("slope", [-2.0, 0.3])
def test_the_lag_is_how_far_a_level_trails_behind_a_straight_line(slope: float) -> None:
    y = 7 + slope * np.arange(50)
    level, lag, loss = stepped_levels(y)
    np.testing.assert_allclose(level + slope * lag, y[-1], rtol=1e-12)
    np.testing.assert_allclose(loss[bank.DRIFT_SHARE.tolist().index(1.0)], 0, atol=1e-10)


def test_until_its_gain_takes_over_a_level_is_the_plain_mean() -> None:
    y = series("noise")
    level, _, _ = stepped_levels(y[:10])
    assert level[0] == pytest.approx(y[:10].mean())
    assert level[-1] == y[9]


@each_series
@pytest.mark.parametrize("h", [1, 7])
def test_a_level_and_half_the_slope_is_the_theta_method(name: str, h: int) -> None:
    """Mean of the line and of the smoothed theta line, which has twice the curvature of the series."""
    y, t = series(name), np.arange(40)
    level, lag, _ = stepped_levels(y)
    slope, start = np.polyfit(t, y, 1)
    theta_line = 2 * y - (start + slope * t)
    for g, gain in enumerate(bank.LEVEL_GAIN):
        classical = (plain.smoothed(theta_line, gain)[0] + start + slope * (39 + h)) / 2
        ours = level[g] + bank.DRIFT_SHARE[bank.HALF] * slope * (h + lag[g])
        assert ours == pytest.approx(classical, rel=1e-9, abs=1e-9 * np.abs(y).max())


@each_series
def test_trends_are_damped_holt_filters(name: str) -> None:
    y = series(name)
    level, slope, loss = (np.zeros((2, bank.TRENDS)) for _ in range(3))
    for t, x in enumerate(y):
        bank.step_trends(x, t, 0, level, slope, loss)
    for g in range(bank.TRENDS):
        gains = bank.TREND_GAIN[g], bank.TREND_SLOPE_GAIN[g], bank.TREND_DAMPING[g]
        expected = plain.damped_trend(y, *gains, 1)
        assert loss[0, g] == pytest.approx(expected.loss(y), rel=1e-9)
        ahead = level[0, g] + bank.TREND_DAMPING[g] * slope[0, g]
        assert ahead == pytest.approx(expected.ahead[0], rel=1e-9, abs=1e-9)
    assert not level[1].any()


def test_a_straight_line_is_followed_from_the_second_value_on_whatever_the_gains() -> None:
    """The first gains are those of a least-squares line, so undamped filters never err on one."""
    y = 5 - 1.5 * np.arange(30)
    level, slope, loss = (np.zeros((2, bank.TRENDS)) for _ in range(3))
    for t, x in enumerate(y):
        bank.step_trends(x, t, 0, level, slope, loss)
    undamped = bank.TREND_DAMPING == 1
    np.testing.assert_allclose(loss[0, undamped], 0, atol=1e-10)
    np.testing.assert_allclose(slope[0, undamped], -1.5)


def test_filters_are_the_same_to_the_bit_until_their_own_gains_take_over() -> None:
    """So that which of them is chosen does not hang on the rounding of a large value, or on the unit."""
    y = 1e9 + np.array([3.0, 1.0, 2.5])
    level, slope, loss = (np.zeros((2, bank.TRENDS)) for _ in range(3))
    for t, x in enumerate(y):
        bank.step_trends(x, t, 0, level, slope, loss)
    for damping in np.unique(bank.TREND_DAMPING):
        slow = (damping == bank.TREND_DAMPING) & (bank.TREND_GAIN < 5 / 6) & (bank.TREND_SLOPE_GAIN < 1 / 2)
        assert slow.any()
        assert len(np.unique(level[0, slow])) == len(np.unique(slope[0, slow])) == 1


Seasonal = tuple[np.ndarray, ...]


def stepped_seasons(y: np.ndarray, m: int) -> tuple[Seasonal, Seasonal]:
    """Level, season, loss, lag of the filters without trend; level, slope, season, loss of Holt-Winters."""
    j, mask = 1, 63
    ring = np.zeros((2, mask + 1))
    level, lag = np.zeros((2, 2, bank.SEASONS)), np.zeros((2, 2, bank.SEASONS))
    season, loss = np.zeros((2, 2, m, bank.SEASONS)), np.zeros((2, 2, 2, bank.SEASONS))
    holt, holt_slope, holt_loss = (np.zeros((2, 2, bank.HOLTS)) for _ in range(3))
    holt_season = np.zeros((2, 2, m, bank.HOLTS))
    for t, x in enumerate(y):
        ring[0, t & mask] = x
        if t == 2 * m - 1:
            bank.start_seasons(t, m, 0, j, ring, mask, level, season, lag, holt, holt_slope, holt_season)
        elif t >= 2 * m:
            k, first, slope = t % m, 1 / (t // m + 1), plain.ols_slope(y[:t])
            bank.step_season_levels(x, 0, j, k, first, level, season, loss, lag, slope)
            bank.step_holts(x, 0, j, k, first, holt, holt_slope, holt_season, holt_loss)
    assert not any(array[1].any() or array[:, 0].any() for array in (level, season, loss, holt, holt_season))
    return (level[0, j], season[0, j], loss[0, j], lag[0, j]), (
        holt[0, j],
        holt_slope[0, j],
        holt_season[0, j],
        holt_loss[0, j],
    )


@each_series
@pytest.mark.parametrize("m", [2, 5, 12])
def test_seasonal_filters_start_from_two_seasons_and_follow_the_error(name: str, m: int) -> None:
    y = series(name)
    (level, season, loss, lag), (holt, slope, holt_season, holt_loss) = stepped_seasons(y, m)
    place, drift = len(y) % m, plain.ols_slope(y)
    near = {"rel": 1e-9, "abs": 1e-9 * np.abs(y).max()}
    for g in range(bank.SEASONS):
        gains = bank.SEASON_GAIN[g], bank.SEASON_RATIO[g]
        for q, share in enumerate(bank.SEASON_DRIFT):
            expected = plain.season_filter(y, m, *gains, share, 1)
            assert loss[q, g] == pytest.approx(expected.loss(y), **near)
            ours = level[g] + season[place, g] + share * drift * (1 + lag[g])
            assert ours == pytest.approx(expected.ahead[0], **near)
    for g in range(bank.HOLTS):
        damping = bank.HOLT_DAMPING[g]
        gains = bank.HOLT_GAIN[g], bank.HOLT_SLOPE_GAIN[g], bank.HOLT_SEASON[g], damping
        expected = plain.holt_winters(y, m, *gains, 1)
        assert holt_loss[g] == pytest.approx(expected.loss(y), **near)
        assert holt[g] + damping * slope[g] + holt_season[place, g] == pytest.approx(expected.ahead[0], **near)


def test_a_line_with_a_season_is_known_after_two_seasons() -> None:
    """The start takes the season's own slope out, so that the seasonal parts sum to nothing."""
    m, t = 6, np.arange(40)
    y = 2 + 0.7 * t + np.array([3.0, -1, 0, 2, -3, -1])[t % m]
    (level, season, _, lag), (holt, slope, holt_season, _) = stepped_seasons(y[: 2 * m], m)
    np.testing.assert_allclose(season.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(holt_season[:, 0], [3, -1, 0, 2, -3, -1], atol=1e-12)
    np.testing.assert_allclose(holt + slope + holt_season[0], y[12])
    np.testing.assert_allclose(level + 0.7 * (1 + lag) + season[0], y[12])


@pytest.mark.parametrize("zeros", [0.0, 0.4, 0.9, 1.0])
def test_demand_is_size_times_chance_and_size_moves_only_with_a_demand(zeros: float) -> None:
    rng = np.random.default_rng(int(10 * zeros))
    y = np.where(rng.random(50) < zeros, 0.0, rng.gamma(3, 2, 50))
    size, chance, loss = (np.zeros(bank.DEMANDS) for _ in range(3))
    for t, x in enumerate(y):
        before = size.copy()
        bank.step_demand(x, t, size, chance, loss)
        if x == 0:
            np.testing.assert_array_equal(size, before)
    for g in range(bank.DEMANDS):
        expected = plain.intermittent(y, bank.SIZE_GAIN[g], bank.DEMAND_GAIN[g], 1)
        assert size[g] * chance[g] == pytest.approx(expected.ahead[0], rel=1e-12, abs=1e-15)
        assert loss[g] == pytest.approx(expected.loss(y), rel=1e-9, abs=1e-12)
    assert ((chance >= 0) & (chance <= 1)).all()
