"""Our scores against scoringrules, which is written by others."""

import numpy as np
import pytest
import scoringrules
from scipy.special import ndtri

from pulse_assets.numerics.quantiles import LEVELS, MEDIAN
from pulse_assets.numerics.scores import crps_from_quantiles, pinball, weighted_interval_score


@pytest.fixture
def forecasts() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    quantiles = np.sort(rng.standard_t(3, (500, 23)) * rng.lognormal(0, 4, (500, 1)), axis=1)
    y = quantiles[np.arange(500), rng.integers(0, 23, 500)] * rng.choice([1.0, 0.3, 4.0], 500)
    return quantiles, y


def test_pinball_is_their_quantile_score(forecasts: tuple[np.ndarray, np.ndarray]) -> None:
    quantiles, y = forecasts
    theirs = scoringrules.quantile_score(y[:, None], quantiles, LEVELS[None, :], backend="numpy")
    np.testing.assert_allclose(pinball(quantiles, y), theirs, rtol=1e-12)


def test_wis_is_their_weighted_interval_score(forecasts: tuple[np.ndarray, np.ndarray]) -> None:
    quantiles, y = forecasts
    lower, upper = quantiles[:, :MEDIAN], quantiles[:, :MEDIAN:-1]
    alpha = 2 * LEVELS[:MEDIAN]
    # the numpy backend of 0.10 weighs the median itself instead of its error, so the compiled one is asked
    theirs = scoringrules.weighted_interval_score(y, quantiles[:, MEDIAN], lower, upper, alpha, backend="numba")
    np.testing.assert_allclose(weighted_interval_score(quantiles, y), theirs, rtol=1e-10)


def test_wis_is_the_weighted_sum_of_their_interval_scores(forecasts: tuple[np.ndarray, np.ndarray]) -> None:
    quantiles, y = forecasts
    alpha = 2 * LEVELS[:MEDIAN]
    lower, upper = quantiles[:, :MEDIAN], quantiles[:, :MEDIAN:-1]
    intervals = scoringrules.interval_score(y[:, None], lower, upper, alpha[None, :], backend="numpy")
    total = (intervals * alpha / 2).sum(axis=1) + np.abs(y - quantiles[:, MEDIAN]) / 2
    np.testing.assert_allclose(weighted_interval_score(quantiles, y), total / (MEDIAN + 0.5), rtol=1e-10)


def test_wis_is_their_crps_from_quantiles(forecasts: tuple[np.ndarray, np.ndarray]) -> None:
    quantiles, y = forecasts
    theirs = scoringrules.crps_quantile(y, quantiles, LEVELS, backend="numpy")
    np.testing.assert_allclose(weighted_interval_score(quantiles, y), theirs, rtol=1e-12)


def test_crps_from_quantiles_is_near_the_exact_one_of_a_normal() -> None:
    y = np.linspace(-3, 3, 61)
    exact = scoringrules.crps_normal(y, 0.0, 1.0, backend="numpy")
    ours = crps_from_quantiles(np.repeat(ndtri(LEVELS)[None, :], len(y), axis=0), y)
    np.testing.assert_allclose(ours, exact, rtol=0.02)
