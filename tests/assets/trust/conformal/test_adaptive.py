"""Recalibration keeps its promise of coverage, and nothing it issues is infinite."""

import numpy as np
import pytest

from pulse_assets.numerics.normal_scores import KNOTS
from pulse_assets.numerics.quantiles import LEVELS
from pulse_assets.trust.conformal.adaptive import (
    ACI,
    LEAST,
    METHODS,
    POOLED,
    RAW,
    fresh_state,
    held,
    learn,
    pooled_quantiles,
    thresholds,
)

INTERVALS = ((6, 16, 0.5), (3, 19, 0.8), (1, 21, 0.95))
NO_POOL = np.full(len(LEVELS), np.nan)


def issued(z: np.ndarray, h: int = 1) -> np.ndarray:
    """Thresholds for every step of some series, with truths that come h steps late; shape (T, S, 23)."""
    steps, series = z.shape
    state, rows, overlap = fresh_state(series), np.arange(series), np.full(series, h)
    found = np.full((steps, series, len(LEVELS)), np.nan)
    for step in range(steps):
        if step >= h:
            learn(state, rows, z[step - h], found[step - h], overlap, step)
        pool = np.tile(pooled_quantiles(state, rows, step), (series, 1))
        found[step] = thresholds(state, rows, pool, overlap, step)[0]
    return found


def coverage(z: np.ndarray, found: np.ndarray, interval: tuple[int, int, float]) -> np.ndarray:
    low, high, _ = interval
    return np.asarray((z >= found[:, :, low]) & (z <= found[:, :, high]))


@pytest.fixture(scope="module")
def shocked() -> tuple[np.ndarray, np.ndarray]:
    """Heavy tails whose spread doubles at step 500 and calms at 1,000."""
    z = np.random.default_rng(3).standard_t(5, (1_300, 150))
    z[500:1_000] *= 2
    return z, issued(z)


@pytest.mark.parametrize("interval", INTERVALS)
def test_coverage_over_the_panel_is_within_half_a_point(
    shocked: tuple[np.ndarray, np.ndarray], interval: tuple[int, int, float]
) -> None:
    assert coverage(shocked[0][100:], shocked[1][100:], interval).mean() == pytest.approx(interval[2], abs=0.005)


@pytest.mark.parametrize("interval", INTERVALS)
def test_coverage_of_single_series_is_near_too(
    shocked: tuple[np.ndarray, np.ndarray], interval: tuple[int, int, float]
) -> None:
    by_series = coverage(shocked[0][100:], shocked[1][100:], interval).mean(axis=0)
    assert np.abs(by_series - interval[2]).mean() <= 0.003


@pytest.mark.parametrize("interval", INTERVALS)
def test_coverage_holds_after_the_spread_has_doubled(
    shocked: tuple[np.ndarray, np.ndarray], interval: tuple[int, int, float]
) -> None:
    assert coverage(shocked[0][500:600], shocked[1][500:600], interval).mean() >= interval[2] - 0.03


def test_thresholds_are_finite_and_never_fall(shocked: tuple[np.ndarray, np.ndarray]) -> None:
    assert np.isfinite(shocked[1]).all()
    assert (np.diff(shocked[1], axis=2) >= 0).all()


def test_a_bias_moves_the_interval() -> None:
    z = np.random.default_rng(1).standard_normal((400, 40)) + 1
    median = issued(z)[200:, :, 11]
    assert median.mean() == pytest.approx(1, abs=0.1)


def test_a_perfect_forecast_loses_little() -> None:
    z = np.random.default_rng(2).standard_normal((700, 60))
    loss = {
        name: np.maximum(LEVELS * (z[100:, :, None] - at), (LEVELS - 1) * (z[100:, :, None] - at)).mean()
        for name, at in (("moved", issued(z)[100:]), ("raw", KNOTS))
    }
    assert loss["moved"] / loss["raw"] < 1.02


def test_late_truths_of_overlapping_steps_are_covered_too() -> None:
    steps = np.cumsum(np.random.default_rng(5).standard_normal((1_200, 60)), axis=0)
    z = 1.4 * (steps[5:] - steps[:-5]) / np.sqrt(5)
    found = issued(z, h=5)
    for interval in INTERVALS:
        assert coverage(z[150:], found[150:], interval).mean() == pytest.approx(interval[2], abs=0.01)


def test_without_scores_nothing_is_moved() -> None:
    found, method = thresholds(fresh_state(2), np.arange(2), np.tile(NO_POOL, (2, 1)), np.ones(2, int), 0)
    assert np.allclose(found, KNOTS)
    assert method.tolist() == [RAW, RAW]


def test_a_new_row_takes_the_pool_s_shape() -> None:
    found, method = thresholds(fresh_state(1), np.arange(1), 2 * KNOTS[None, :], np.ones(1, int), 0)
    assert np.allclose(found, 2 * KNOTS)
    assert METHODS[method[0]] == "pooled"
    assert method[0] == POOLED


def test_old_scores_are_forgotten() -> None:
    state = fresh_state(1)
    rows, overlap = np.zeros(1, np.int64), np.ones(1, np.int64)
    for day in range(LEAST):
        learn(state, rows, np.array([5.0]), np.tile(NO_POOL, (1, 1)), overlap, day)
    assert held(state, rows, LEAST).tolist() == [LEAST]
    assert thresholds(state, rows, NO_POOL[None, :], overlap, LEAST)[1].tolist() == [ACI]
    assert held(state, rows, 3_000).tolist() == [0]
    assert thresholds(state, rows, NO_POOL[None, :], overlap, 3_000)[1].tolist() == [RAW]


def test_an_unknown_truth_teaches_nothing() -> None:
    state = fresh_state(1)
    learn(state, np.zeros(1, np.int64), np.array([np.nan]), KNOTS[None, :], np.ones(1, np.int64), 0)
    assert state.seen.tolist() == [0]
    assert np.array_equal(state.rates[0], LEVELS)
