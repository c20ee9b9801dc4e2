"""How wide a forecast is: inputs, slopes and shape against plain NumPy, and what little evidence gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting import calibrate
from pulse_assets.forecasting.calibrate import (
    INPUTS,
    LARGEST_ERROR,
    LEAST_ERROR,
    PRIOR_ROWS,
    WIDTH,
    fit_spread,
    shape_of,
    spread_inputs,
    spread_of,
)
from pulse_assets.forecasting.walk_state import anchors_of
from pulse_assets.numerics.quantiles import LEVELS, MEDIAN

PRIOR_QUANTILES = np.linspace(-2, 2, len(LEVELS))
Parts = tuple[np.ndarray, np.ndarray]


def scene(rng: np.random.Generator, origins: int = 6, horizon: int = 10) -> tuple[np.ndarray, ...]:
    """Spreads, statistics, distances of members and conditional volatilities."""
    statistics = rng.gamma(2, 1, (origins, 7))
    statistics[:, 4] = rng.integers(8, 900, origins)
    count = len(anchors_of(horizon))
    return (
        rng.gamma(2, 1, (origins, count)),
        statistics,
        rng.gamma(2, 1, (origins, horizon)),
        rng.gamma(2, 1, (origins, horizon)),
    )


def parts(
    spread: np.ndarray,
    statistics: np.ndarray,
    apart: np.ndarray,
    volatility: np.ndarray,
    phases: np.ndarray | None = None,
) -> Parts:
    phases = np.ones_like(apart) if phases is None else phases
    base, inputs = np.full(apart.shape, np.nan), np.full((*apart.shape, WIDTH), np.nan)
    spread_inputs(spread, statistics, apart, volatility, phases, anchors_of(apart.shape[1]), base, inputs)
    return base, inputs


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(12)


@pytest.mark.parametrize("horizon", [1, 3, 6, 7, 10, 48])
def test_the_base_is_past_error_at_anchors_and_straight_in_logarithms_between(
    rng: np.random.Generator, horizon: int
) -> None:
    spread, statistics, apart, volatility = scene(rng, horizon=horizon)
    base, _ = parts(spread, statistics, apart, volatility)
    anchors, steps = anchors_of(horizon), np.arange(horizon)
    np.testing.assert_allclose(base[:, anchors], spread, rtol=1e-12)
    for p in range(len(base)):
        expected = np.interp(np.log(steps + 1), np.log(anchors + 1), np.log(spread[p]))
        np.testing.assert_allclose(base[p], np.exp(expected), rtol=1e-12)


def test_inputs_are_logarithms_relative_to_the_base(rng: np.random.Generator) -> None:
    spread, statistics, apart, volatility = scene(rng)
    phases = rng.gamma(2, 1, apart.shape)
    base, inputs = parts(spread, statistics, apart, volatility, phases)
    fast, middle, slow, scale, count = (column[:, None] for column in statistics.T[:5])
    root, step = np.sqrt(np.arange(1, 11)), np.log(np.arange(1, 11))
    expected = {
        "one": 1.0,
        "log_step": step,
        "log_step_squared": step**2,
        "slow_pace": np.log(slow * root / base),
        "members_apart": np.log(apart / base + 0.01),
        "fast_over_slow": np.log(fast / slow),
        "middle_over_slow": np.log(middle / slow),
        "seasonal_difference": np.log(scale * root / base),
        "log_count": np.clip(np.log(count / 50), -2, 2),
        "conditional_volatility": np.log(volatility / base),
        "place_in_season": np.log(phases),
    }
    assert tuple(expected) == INPUTS
    for i, (name, values) in enumerate(expected.items()):
        np.testing.assert_allclose(inputs[:, :, i], np.broadcast_to(values, base.shape), rtol=1e-9, err_msg=name)


def test_without_past_errors_at_an_anchor_the_pace_and_the_root_of_the_steps_stand_in(
    rng: np.random.Generator,
) -> None:
    spread, statistics, apart, volatility = scene(rng)
    base, _ = parts(np.full_like(spread, np.nan), statistics, apart, volatility)
    np.testing.assert_allclose(base, statistics[:, 2:3] * np.sqrt(np.arange(1, 11)), rtol=1e-9)
    statistics[:, 2] = 0  # no pace either: the seasonal difference
    base, _ = parts(np.full_like(spread, np.nan), statistics, apart, volatility)
    np.testing.assert_allclose(base, statistics[:, 3:4] * np.sqrt(np.arange(1, 11)), rtol=1e-9)


@pytest.mark.parametrize("scale", [0.0, np.nan])
def test_a_series_that_never_erred_has_no_base_and_finite_inputs(rng: np.random.Generator, scale: float) -> None:
    spread, statistics, apart, volatility = scene(rng)
    spread[:], statistics[:, :3], statistics[:, 3], apart[:] = 0, 0, scale, 0
    base, inputs = parts(spread, statistics, apart, np.full_like(volatility, np.nan))
    assert not base.any()
    assert np.isfinite(inputs).all()


def test_no_volatility_counts_as_nothing_to_say(rng: np.random.Generator) -> None:
    spread, statistics, apart, volatility = scene(rng)
    for missing in (np.empty((0, 0)), np.full_like(volatility, np.nan)):
        _, inputs = parts(spread, statistics, apart, missing)
        assert not inputs[:, :, INPUTS.index("conditional_volatility")].any()


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**40])
def test_the_unit_of_the_series_changes_no_input(rng: np.random.Generator, unit: float) -> None:
    spread, statistics, apart, volatility = scene(rng)
    base, inputs = parts(spread, statistics, apart, volatility)
    other = statistics * np.where(np.arange(7) == 4, 1, unit)
    base_2, inputs_2 = parts(spread * unit, other, apart * unit, volatility * unit)
    np.testing.assert_allclose(inputs_2, inputs, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(base_2, base * unit, rtol=1e-12)


def test_spread_is_base_times_the_exponential_of_inputs_times_slopes(rng: np.random.Generator) -> None:
    base, inputs = parts(*scene(rng))
    slopes, sigma = rng.normal(0, 0.3, WIDTH), np.empty_like(base)
    spread_of(base, inputs, slopes, sigma)
    np.testing.assert_allclose(sigma, base * np.exp(inputs @ slopes), rtol=1e-12)
    spread_of(base, inputs, np.zeros(WIDTH), sigma)
    np.testing.assert_array_equal(sigma, base)


def errors_with(rng: np.random.Generator, slopes: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors whose absolute values follow a spread with given slopes."""
    base, inputs = parts(*scene(rng, rows))
    inputs[:, :, -1] = rng.normal(size=base.shape)  # parts() leaves the season out
    return np.exp(inputs @ slopes) * base * rng.choice([-1, 1], base.shape), base, inputs


def test_slopes_are_those_of_least_squares_held_to_the_prior(rng: np.random.Generator) -> None:
    error, base, inputs = errors_with(rng, rng.normal(0, 0.2, WIDTH), 40)
    error *= rng.gamma(1, 1, error.shape)
    prior = rng.normal(0, 0.1, WIDTH)
    target = np.log(np.maximum(np.abs(error) / base, LEAST_ERROR)).ravel()
    x = inputs.reshape(-1, WIDTH)
    held = np.sqrt(PRIOR_ROWS / WIDTH * base.shape[1])
    rows = np.vstack([x, held * np.eye(WIDTH)])
    expected = np.linalg.lstsq(rows, np.concatenate([target, held * prior]), rcond=None)[0]
    np.testing.assert_allclose(fit_spread(error, base, inputs, prior), expected, rtol=1e-8, atol=1e-10)


def test_many_rows_find_the_slopes_and_none_keep_the_prior(rng: np.random.Generator) -> None:
    slopes, prior = rng.normal(0, 0.2, WIDTH), np.zeros(WIDTH)
    error, base, inputs = errors_with(rng, slopes, 4_000)
    np.testing.assert_allclose(fit_spread(error, base, inputs, prior), slopes, atol=0.05)
    np.testing.assert_array_equal(fit_spread(error, np.zeros_like(base), inputs, slopes), slopes)
    np.testing.assert_array_equal(fit_spread(error[:0], base[:0], inputs[:0], slopes), slopes)


def test_errors_beyond_all_measure_count_as_large_ones(rng: np.random.Generator) -> None:
    """One series whose past errors were next to nothing must not bend the slopes of all others."""
    error, base, inputs = errors_with(rng, np.zeros(WIDTH), 30)
    prior = np.zeros(WIDTH)
    error[3], base[3] = 1.0, 1e-320
    found = fit_spread(error, base, inputs, prior)
    base[3] = 1 / LARGEST_ERROR
    np.testing.assert_allclose(found, fit_spread(error, base, inputs, prior), rtol=1e-9)


def test_rows_without_base_or_error_do_not_count(rng: np.random.Generator) -> None:
    error, base, inputs = errors_with(rng, np.zeros(WIDTH), 30)
    prior = np.full(WIDTH, 0.1)
    expected = fit_spread(error[:20], base[:20], inputs[:20], prior)
    base[20:25], error[25:] = 0, np.nan
    np.testing.assert_allclose(fit_spread(error, base, inputs, prior), expected, rtol=1e-12)


def test_without_errors_the_shape_is_the_prior_s() -> None:
    for nothing in (np.empty((0, 3)), np.full((9, 3), np.nan)):
        np.testing.assert_array_equal(shape_of(nothing, PRIOR_QUANTILES, 0.0), [PRIOR_QUANTILES] * 3)


def test_many_errors_give_their_own_quantiles_and_few_stay_near_the_prior(rng: np.random.Generator) -> None:
    many, few = rng.normal(size=(40_000, 2)), rng.normal(5, 1, (4, 2))
    np.testing.assert_allclose(shape_of(many, PRIOR_QUANTILES, 1e6), [np.quantile(many, LEVELS)] * 2, atol=0.06)
    near = shape_of(few, PRIOR_QUANTILES, 1.0)
    assert np.abs(near - PRIOR_QUANTILES).max() < 0.2


def test_each_step_has_its_own_shape_where_it_has_errors_enough(rng: np.random.Generator) -> None:
    errors = rng.normal(size=(20_000, 2)) * [1, 3]
    shape = shape_of(errors, PRIOR_QUANTILES, 1e6)
    assert shape[1, -1] > 2.5 * shape[0, -1]


def test_weights_of_own_errors_pool_and_prior_are_as_written(rng: np.random.Generator) -> None:
    errors = rng.standard_t(4, (80, 3))
    errors[::7, 1], errors[:, 2] = np.nan, np.nan
    weight = 20.0
    own = weight / (weight + calibrate.PRIOR_QUANTILES)
    pooled = errors[np.isfinite(errors)]
    middle = own * np.quantile(pooled, LEVELS) + (1 - own) * PRIOR_QUANTILES
    found = shape_of(errors, PRIOR_QUANTILES, weight)
    for h in range(3):
        here = errors[np.isfinite(errors[:, h]), h]
        alone = len(here) / (len(here) + calibrate.PRIOR_HORIZON) * own
        expected = middle if not len(here) else alone * np.quantile(here, LEVELS) + (1 - alone) * middle
        np.testing.assert_allclose(found[h], expected, rtol=1e-12, atol=1e-12)


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2), max_size=30), st.floats(0, 100))
@settings(max_examples=60)
def test_shapes_rise_with_the_level(rows: list[list[float]], weight: float) -> None:
    shape = shape_of(np.array(rows).reshape(-1, 2), PRIOR_QUANTILES, weight)
    assert (np.diff(shape, axis=1) >= 0).all()


def test_errors_from_the_spread_itself_are_covered_as_often_as_levels_say(rng: np.random.Generator) -> None:
    """The round trip: fit spread and shape on one half of errors, count how many of the other lie below."""
    slopes = rng.normal(0, 0.2, WIDTH)
    size, base, inputs = errors_with(rng, slopes, 3_000)
    error, half = np.abs(size) * rng.standard_t(5, size.shape), 1_500
    found = fit_spread(error[:half], base[:half], inputs[:half], np.zeros(WIDTH))
    sigma = np.empty_like(base)
    spread_of(base, inputs, found, sigma)
    shape = shape_of(error[:half] / sigma[:half], PRIOR_QUANTILES, 1e6)
    below = (error[half:, :, None] <= sigma[half:, :, None] * shape).mean(axis=(0, 1))
    np.testing.assert_allclose(below, LEVELS, atol=0.015)
    assert LEVELS[MEDIAN] == 0.5
