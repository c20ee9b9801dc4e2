"""Recalibration keeps its promise of coverage, and nothing it issues is infinite."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pulse_assets.numerics.normal_scores import KNOTS
from pulse_assets.numerics.quantiles import LEVELS
from tests.assets.trust.conformal.in_turn import INTERVALS, Floats, issued_in_turn, plain_in_turn


def covered(z: Floats, found: Floats, interval: tuple[int, int, float]) -> Floats:
    low, high, _ = interval
    return np.asarray((z >= found[:, :, low]) & (z <= found[:, :, high]), np.float64)


def loss(z: Floats, found: Floats) -> float:
    miss = z[100:, :, None] - found[100:]
    return float(np.maximum(LEVELS * miss, (LEVELS - 1) * miss).mean())


@pytest.fixture(scope="module")
def shocked() -> tuple[Floats, Floats]:
    """Heavy tails whose spread doubles at step 500 and calms at 1,000."""
    z = np.random.default_rng(3).standard_t(5, (1_300, 150))
    z[500:1_000] *= 2
    return z, issued_in_turn(z)


@pytest.mark.parametrize("interval", INTERVALS)
def test_coverage_over_the_panel_is_within_half_a_point(
    shocked: tuple[Floats, Floats], interval: tuple[int, int, float]
) -> None:
    assert covered(*shocked, interval)[100:].mean() == pytest.approx(interval[2], abs=0.005)


@pytest.mark.parametrize("interval", INTERVALS)
def test_coverage_of_single_series_is_within_three_tenths_of_a_point_on_average(
    shocked: tuple[Floats, Floats], interval: tuple[int, int, float]
) -> None:
    by_series = covered(*shocked, interval)[100:].mean(axis=0)
    assert np.abs(by_series - interval[2]).mean() <= 0.003


@pytest.mark.parametrize("interval", INTERVALS)
def test_coverage_holds_after_the_spread_has_doubled(
    shocked: tuple[Floats, Floats], interval: tuple[int, int, float]
) -> None:
    assert covered(*shocked, interval)[500:600].mean() >= interval[2] - 0.03


def test_thresholds_are_finite_and_never_fall(shocked: tuple[Floats, Floats]) -> None:
    assert np.isfinite(shocked[1]).all()
    assert (np.diff(shocked[1], axis=2) >= 0).all()


def test_the_bias_of_each_series_moves_its_interval_one_way() -> None:
    rng = np.random.default_rng(1)
    bias = rng.normal(size=60)
    z = rng.standard_normal((900, 60)) + bias
    found = issued_in_turn(z)
    assert np.abs(found[500:, :, 11].mean(axis=0) - bias).mean() < 0.15
    for level in (2, 11, 20):
        below = (z[300:] <= found[300:, :, level]).mean(axis=0)
        assert np.abs(below - LEVELS[level]).mean() < 0.02


def test_a_perfect_forecast_loses_little() -> None:
    z = np.random.default_rng(2).standard_normal((700, 60))
    assert loss(z, issued_in_turn(z)) / loss(z, np.broadcast_to(KNOTS, (*z.shape, 23))) < 1.012


def test_late_truths_of_overlapping_steps_are_covered_too() -> None:
    steps = np.cumsum(np.random.default_rng(5).standard_normal((1_200, 60)), axis=0)
    z = 1.4 * (steps[5:] - steps[:-5]) / np.sqrt(5)
    found = issued_in_turn(z, h=5)
    for interval in INTERVALS:
        assert covered(z, found, interval)[150:].mean() == pytest.approx(interval[2], abs=0.01)


def test_one_broken_series_does_not_widen_the_others() -> None:
    z = np.random.default_rng(6).standard_normal((400, 20))
    broken = z.copy()
    broken[:, 0] = 100.0 * np.sign(z[:, 0])
    sound = loss(z[:, 1:], issued_in_turn(z)[:, 1:])
    assert loss(broken[:, 1:], issued_in_turn(broken)[:, 1:]) < 1.02 * sound


def test_every_step_says_the_same_as_plain_loops() -> None:
    rng = np.random.default_rng(8)
    z = rng.standard_t(3, (90, 3)) * np.array([0.5, 1.0, 3.0])
    for h in (1, 3):
        np.testing.assert_allclose(issued_in_turn(z, h), plain_in_turn(z, h), rtol=1e-5, atol=1e-6)


@given(arrays(np.float64, (30, 2), elements=st.floats(-100, 100)), st.integers(1, 4))
@settings(max_examples=40)
def test_whatever_comes_thresholds_stay_finite_in_order_and_within_reach(z: Floats, h: int) -> None:
    found = issued_in_turn(z, h)
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=2) >= 0).all()
    assert (np.abs(found[20:]) <= 2 * max(np.abs(z).max(), KNOTS[-1]) + 1e-4).all()


@given(arrays(np.float64, (25, 3), elements=st.floats(-5, 5)), st.integers(1, 3), st.integers(5, 20))
@settings(max_examples=30)
def test_what_comes_later_changes_nothing_earlier(z: Floats, h: int, cut: int) -> None:
    other = z.copy()
    other[cut:] = 7.0
    assert np.array_equal(issued_in_turn(z, h)[: cut + h], issued_in_turn(other, h)[: cut + h])


def test_equal_scores_everywhere_are_no_trouble() -> None:
    for value in (0.0, 2.5, -100.0):
        found = issued_in_turn(np.full((80, 3), value))
        assert np.isfinite(found).all()
        assert (np.diff(found, axis=2) >= 0).all()
