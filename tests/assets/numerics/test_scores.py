"""Proper scores: known answers, identities and properties."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import ndtr, ndtri

from pulse_assets.numerics.quantiles import LEVELS, MEDIAN, QUANTILE_COLUMNS
from pulse_assets.numerics.scores import (
    covered,
    crps_from_quantiles,
    pinball,
    probability_integral_transform,
    weighted_interval_score,
)

NORMAL = ndtri(LEVELS)[None, :]
NUMBERS = st.floats(-1e6, 1e6).map(lambda x: round(x, 6))
FORECASTS = arrays.arrays(float, (5, 23), elements=NUMBERS).map(lambda a: np.sort(a, axis=1))
TRUTHS = arrays.arrays(float, 5, elements=NUMBERS)


def at(value: float) -> np.ndarray:
    return np.array([value])


def interval_score(low: float, high: float, y: float, alpha: float) -> float:
    return (high - low) + 2 / alpha * max(low - y, 0) + 2 / alpha * max(y - high, 0)


def test_levels_are_the_23_of_the_forecast_hubs() -> None:
    assert LEVELS.tolist() == [0.01, 0.025, *(round(0.05 * k, 2) for k in range(1, 20)), 0.975, 0.99]
    assert LEVELS[MEDIAN] == 0.5
    assert QUANTILE_COLUMNS[:3] == ("q010", "q025", "q050")
    assert QUANTILE_COLUMNS[MEDIAN] == "q500"
    assert len(set(QUANTILE_COLUMNS)) == len(LEVELS) == 23


@pytest.mark.parametrize(("y", "loss"), [(12.0, 1.8), (8.0, 0.2), (10.0, 0.0)])
def test_pinball_knows_its_textbook_answers(y: float, loss: float) -> None:
    assert pinball(at(10.0)[:, None], at(y), at(0.9)).item() == pytest.approx(loss)


@given(FORECASTS, TRUTHS)
def test_wis_is_eleven_interval_scores_and_the_median(quantiles: np.ndarray, y: np.ndarray) -> None:
    for row, truth, score in zip(quantiles, y, weighted_interval_score(quantiles, y), strict=True):
        parts = [0.5 * abs(truth - row[MEDIAN])]
        for k in range(MEDIAN):
            alpha = 2 * LEVELS[k]
            parts.append(alpha / 2 * interval_score(row[k], row[-1 - k], truth, alpha))
        assert score == pytest.approx(sum(parts) / 11.5, rel=1e-9, abs=1e-9)


def test_one_interval_scores_as_in_the_textbook() -> None:
    """[0, 10] at 80 %, median 5 and truth 12: interval score 30, WIS 13/3."""
    assert interval_score(0, 10, 12, 0.2) == pytest.approx(30)
    losses = pinball(np.array([[0.0, 5.0, 10.0]]), at(12.0), np.array([0.1, 0.5, 0.9]))
    assert 2 * losses.mean() == pytest.approx(13 / 3)


@pytest.mark.parametrize(("y", "exact"), [(0.0, 0.23369497725510913), (1.0, 0.6024413576276163)])
def test_crps_of_a_normal_is_near_its_closed_form(y: float, exact: float) -> None:
    assert crps_from_quantiles(NORMAL, at(y)).item() == pytest.approx(exact, rel=0.01)


def test_crps_scales_with_the_unit() -> None:
    """N(2, 3) at -1 has CRPS 1.807324072882849."""
    assert crps_from_quantiles(2 + 3 * NORMAL, at(-1.0)).item() == pytest.approx(1.807324072882849, rel=0.01)


@given(FORECASTS, TRUTHS)
def test_scores_are_never_negative_and_wis_is_twice_the_mean_pinball(quantiles: np.ndarray, y: np.ndarray) -> None:
    losses = pinball(quantiles, y)
    assert (losses >= 0).all()
    assert (crps_from_quantiles(quantiles, y) >= 0).all()
    np.testing.assert_allclose(weighted_interval_score(quantiles, y), 2 * losses.mean(axis=1), rtol=1e-12)


@given(NUMBERS, NUMBERS)
def test_a_point_forecast_scores_its_absolute_error(point: float, y: float) -> None:
    quantiles = np.full((1, 23), point)
    assert weighted_interval_score(quantiles, at(y)).item() == pytest.approx(abs(y - point), rel=1e-9, abs=1e-9)
    assert crps_from_quantiles(quantiles, at(y)).item() == pytest.approx(abs(y - point), rel=1e-9, abs=1e-9)


def test_the_true_distribution_has_the_best_mean_score() -> None:
    y = np.random.default_rng(0).normal(size=4_000)
    forecasts = {"true": NORMAL, "wide": 2 * NORMAL, "narrow": NORMAL / 2, "shifted": NORMAL + 0.5}
    for score in (weighted_interval_score, crps_from_quantiles):
        means = {name: score(np.repeat(q, len(y), axis=0), y).mean() for name, q in forecasts.items()}
        assert min(means, key=means.__getitem__) == "true"


def test_nan_anywhere_gives_nan_in_its_row_alone() -> None:
    quantiles, y = np.repeat(NORMAL, 3, axis=0), np.array([0.3, np.nan, 0.3])
    quantiles[2, 4] = np.nan
    for score in (weighted_interval_score, crps_from_quantiles, probability_integral_transform):
        assert np.isnan(score(quantiles, y)).tolist() == [False, True, True], score.__name__
    assert covered(quantiles[:2], y[:2], 0.8).tolist() == [True, False]


@pytest.mark.parametrize("nominal", [0.5, 0.8, 0.9, 0.95, 0.98])
def test_coverage_counts_both_ends_of_the_interval(nominal: float) -> None:
    low, high = ndtri((1 - nominal) / 2), ndtri((1 + nominal) / 2)
    ends = NORMAL[0][[np.abs(NORMAL[0] - low).argmin(), np.abs(NORMAL[0] - high).argmin()]]
    y = np.array([ends[0], ends[1], np.nextafter(ends[0], -9), np.nextafter(ends[1], 9), 0.0])
    assert covered(np.repeat(NORMAL, 5, axis=0), y, nominal).tolist() == [True, True, False, False, True]


def test_coverage_without_levels_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no central 85% interval among the levels"):
        covered(NORMAL, at(0.0), 0.85)


@pytest.mark.parametrize(("nominal", "exact"), [(0.8, 0.478332), (0.95, 0.672905)])
def test_halved_spread_loses_the_coverage_that_theory_says(nominal: float, exact: float) -> None:
    y = ndtri((np.arange(20_000) + 0.5) / 20_000)
    share = covered(np.repeat(NORMAL / 2, len(y), axis=0), y, nominal).mean()
    assert share == pytest.approx(exact, abs=2e-4)


@pytest.mark.parametrize(
    ("y", "pit"), [(NORMAL[0, 0], 0.01), (NORMAL[0, -1], 0.99), (-9.0, 0.0), (9.0, 1.0), (0.0, 0.5)]
)
def test_pit_is_the_level_at_a_quantile_and_0_or_1_outside(y: float, pit: float) -> None:
    assert probability_integral_transform(NORMAL, at(y)).item() == pytest.approx(pit)


def test_pit_interpolates_between_levels() -> None:
    y = np.linspace(-2.2, 2.2, 101)
    pit = probability_integral_transform(np.repeat(NORMAL, len(y), axis=0), y)
    assert (np.diff(pit) > 0).all()
    np.testing.assert_allclose(pit, ndtr(y), atol=0.005)
    halfway = (NORMAL[0, 4] + NORMAL[0, 5]) / 2
    assert probability_integral_transform(NORMAL, at(halfway)).item() == pytest.approx((LEVELS[4] + LEVELS[5]) / 2)


def test_pit_of_tied_quantiles_is_the_middle_of_their_levels() -> None:
    tied = np.array([*range(10), 50, 50, 50, *range(101, 111)], float)[None, :]
    assert probability_integral_transform(tied, at(50.0)).item() == pytest.approx((LEVELS[10] + LEVELS[12]) / 2)
    assert probability_integral_transform(np.full((1, 23), 7.0), at(7.0)).item() == pytest.approx(0.5)


@given(FORECASTS, TRUTHS)
def test_pit_is_a_probability_that_agrees_with_coverage(quantiles: np.ndarray, y: np.ndarray) -> None:
    pit = probability_integral_transform(quantiles, y)
    assert ((pit >= 0) & (pit <= 1)).all()
    strictly_inside = (quantiles[:, 3] < y) & (y < quantiles[:, -4])
    assert (covered(quantiles, y, 0.8) | ~strictly_inside).all()
    assert ((pit >= 0.1) & (pit <= 0.9) | ~strictly_inside).all()


@pytest.mark.parametrize(
    "score", [weighted_interval_score, crps_from_quantiles, probability_integral_transform], ids=lambda f: f.__name__
)
def test_a_score_is_the_same_bits_whatever_stands_beside_it(
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> None:
    """A matrix product gave some rows another last bit, depending on their place: day by day was not one range."""
    rng = np.random.default_rng(0)
    quantiles, y = np.sort(rng.normal(size=(3_000, 23)), axis=1), rng.normal(size=3_000)
    together = score(quantiles, y)
    np.testing.assert_array_equal(score(np.asfortranarray(quantiles), y), together)
    for low, count in ((0, 1), (1, 2), (3, 5), (7, 31), (100, 66), (11, 1_000)):
        part = slice(low, low + count)
        np.testing.assert_array_equal(score(quantiles[part], y[part]), together[part])


def test_no_forecasts_give_no_scores() -> None:
    nothing, none = np.empty((0, 23)), np.empty(0)
    for score in (weighted_interval_score, crps_from_quantiles, probability_integral_transform):
        assert score(nothing, none).shape == (0,)
    assert covered(nothing, none, 0.5).shape == (0,)
