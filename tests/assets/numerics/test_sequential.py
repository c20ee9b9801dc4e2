"""Bounds that may be looked at every day, and tests of many series that share their shocks."""

from math import inf, log, nan, sqrt

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pulse_assets.numerics.comparison import diebold_mariano
from pulse_assets.numerics.sequential import RHO_SQUARED, confidence_sequence, pooled_diebold_mariano

Floats = npt.NDArray[np.float64]

DAYS, LEAST = 180, 20
SENSIBLE = st.floats(-100, 100, width=32)


def plain_bounds(values: Floats, level: float = 0.05, *, linked: bool = False) -> tuple[float, float]:
    """The bounds after the last value, as the formula is printed."""
    n, mean, variance = len(values), values.mean(), values.var(ddof=1)
    if linked:
        away = values - mean
        correlation = min(max((away[1:] * away[:-1]).sum() / (away**2).sum() - 1 / sqrt(n), 0.0), 0.9)
        variance *= (1 + correlation) / (1 - correlation)
    wide = n * RHO_SQUARED + 1
    radius = sqrt(variance * 2 * wide / (n**2 * RHO_SQUARED) * log(1 + sqrt(wide) / (2 * level)))
    return mean - radius, mean + radius


def crossed(values: Floats) -> npt.NDArray[np.int64]:
    """Return the first look from the twentieth on at which the lower bound is above 0; beyond the last for never."""
    above = confidence_sequence(values, linked=True).lower[:, LEAST - 1 :] > 0
    return np.where(above.any(axis=1), above.argmax(axis=1) + LEAST, values.shape[1] + 1)


@pytest.mark.parametrize("linked", [False, True])
def test_every_bound_is_that_of_the_formula_on_the_values_so_far(linked: bool) -> None:
    values = np.random.default_rng(5).standard_t(4, 60).cumsum() + 1e6
    bounds = confidence_sequence(values, linked=linked)
    for n in range(2, 61):
        expected = plain_bounds(values[:n], linked=linked)
        assert (bounds.lower[n - 1], bounds.upper[n - 1]) == pytest.approx(expected, rel=1e-9)


def test_a_radius_worked_out_by_hand() -> None:
    """Sixty values of variance 60 / 59: 2·2 / (60² / 60) = 1/15, and ln(1 + √2 / .1) = 2.717481."""
    values = np.tile([1.0, -1.0], 30)
    radius = sqrt(60 / 59 / 15 * 2.7174814)
    bounds = confidence_sequence(values)
    assert (bounds.lower[-1], bounds.upper[-1]) == pytest.approx((-radius, radius), rel=1e-6)


@given(values=arrays(np.float64, st.integers(0, 30), elements=SENSIBLE), later=st.integers(0, 10))
def test_later_values_change_no_byte_of_earlier_bounds(values: Floats, later: int) -> None:
    more = np.append(values, np.random.default_rng(later).standard_normal(later))
    for linked in (False, True):
        short, long = confidence_sequence(values, linked=linked), confidence_sequence(more, linked=linked)
        for few, many in zip(short, long, strict=True):
            assert few.tobytes() == many[: len(values)].tobytes()


@given(values=arrays(np.float64, st.integers(2, 30), elements=SENSIBLE))
def test_bounds_turn_around_with_the_sign_and_hold_the_mean_between_them(values: Floats) -> None:
    ours, theirs = confidence_sequence(values), confidence_sequence(-values)
    np.testing.assert_allclose(ours.lower, -theirs.upper, atol=1e-9)
    means = values.cumsum() / np.arange(1, len(values) + 1)
    assert ((ours.lower <= means + 1e-9) & (means <= ours.upper + 1e-9)).all()


def test_many_sequences_at_once_are_each_by_itself() -> None:
    values = np.random.default_rng(6).standard_normal((4, 50))
    together = confidence_sequence(values, linked=True)
    for row in range(4):
        assert together.lower[row].tobytes() == confidence_sequence(values[row], linked=True).lower.tobytes()


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 3.0, 3.0], [0.1, 0.1, 0.1, 0.1]])
def test_without_chance_nothing_is_known(values: list[float]) -> None:
    lower, upper = confidence_sequence(np.array(values, np.float64))
    assert lower.tolist() == [-inf] * len(values)
    assert upper.tolist() == [inf] * len(values)


@pytest.mark.parametrize("wrong", [nan, inf, -inf])
def test_from_a_value_that_is_none_on_bounds_are_none(wrong: float) -> None:
    lower, upper = confidence_sequence(np.array([1.0, 2.0, wrong, 2.0, 1.0]), linked=True)
    assert np.isfinite(lower[1])
    assert np.isnan(lower[2:]).all()
    assert np.isnan(upper[2:]).all()


@pytest.mark.parametrize(("level", "spread"), [(0.0, 1.0), (1.0, 1.0), (nan, 1.0), (0.05, 0.0), (0.05, nan)])
def test_a_level_that_is_none_is_refused(level: float, spread: float) -> None:
    with pytest.raises(ValueError, match="expected a level in"):
        confidence_sequence(np.ones(3), level, spread)


def test_looking_every_day_promotes_one_in_twenty_by_chance_at_most() -> None:
    random = np.random.default_rng(7)
    assert (crossed(random.standard_normal((4_000, DAYS))) <= DAYS).mean() < 0.025
    assert (crossed(random.standard_t(5, (4_000, DAYS))) <= DAYS).mean() < 0.025


def test_three_tenths_of_a_standard_deviation_are_found_in_nine_of_ten_cases() -> None:
    first = crossed(np.random.default_rng(8).standard_normal((4_000, DAYS)) + 0.3)
    assert (first <= DAYS).mean() >= 0.9
    assert 70 <= np.median(first) <= 110


def test_days_that_hang_together_promote_no_more_often() -> None:
    random, value, days = np.random.default_rng(9), np.zeros(4_000), []
    for _ in range(DAYS + 30):
        value = 0.3 * value + random.standard_normal(4_000)
        days.append(value)
    assert (crossed(np.array(days[30:]).T) <= DAYS).mean() < 0.05


def test_pooled_known_answer_is_the_paired_test_of_daily_means() -> None:
    """Differences 1..5 by origin, whatever the spread over series: the paired t-test of TRUST's table."""
    spread = np.array([[-1.0, 1.0]])
    statistic, p_value = pooled_diebold_mariano(np.arange(1.0, 6.0)[:, None] + spread, np.zeros((5, 2)))
    assert statistic == pytest.approx(4.2426407)
    assert p_value == pytest.approx(0.0132356, rel=1e-5)


@given(losses=arrays(np.float64, (8, 3), elements=SENSIBLE), copies=st.integers(1, 5), h=st.integers(1, 3))
def test_copies_of_a_series_prove_nothing_more(losses: Floats, copies: int, h: int) -> None:
    once = pooled_diebold_mariano(losses, losses[::-1], h)
    many = pooled_diebold_mariano(np.tile(losses, copies), np.tile(losses[::-1], copies), h)
    np.testing.assert_allclose(many, once, rtol=1e-5, atol=1e-5)


def test_missing_series_and_days_are_left_out() -> None:
    losses = np.random.default_rng(10).standard_normal((12, 3))
    holes = losses.copy()
    holes[3] = nan
    holes[5, 1] = nan
    kept = np.delete(holes, 3, axis=0)
    assert pooled_diebold_mariano(holes, np.zeros((12, 3))) == diebold_mariano(
        np.nanmean(kept, axis=1), np.zeros(11), h=1
    )
    assert np.isnan(pooled_diebold_mariano(holes, np.zeros((12, 3)), h=2)).all()


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (5, 0)])
def test_too_little_to_test_is_unknown(shape: tuple[int, int]) -> None:
    assert np.isnan(pooled_diebold_mariano(np.ones(shape), np.zeros(shape))).all()


def test_losses_of_unlike_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape \(origins, series\); came \(3, 1\) and \(3,\)"):
        pooled_diebold_mariano(np.ones((3, 1)), np.ones(3))
