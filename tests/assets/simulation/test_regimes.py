"""Regime switching: what was simulated is found again, and "now" knows nothing of later days."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.simulation.calibration.regimes import (
    RegimeFit,
    filtered_probabilities,
    fit_regimes,
    regime_log_likelihood,
    smoothed_probabilities,
    stationary_of,
)

TRUE = RegimeFit(np.array([0.0006, -0.001]), np.array([0.006, 0.02]), np.array([[0.98, 0.02], [0.05, 0.95]]), np.nan, 0)


def simulated(fit: RegimeFit, days: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return returns and the states behind them."""
    random = np.random.default_rng(seed)
    states, state = np.empty(days, int), 0
    for t in range(days):
        state = int(random.choice(fit.states, p=fit.transition[state]))
        states[t] = state
    return fit.mean[states] + fit.sd[states] * random.normal(size=days), states


def slow_log_likelihood(fit: RegimeFit, returns: np.ndarray) -> float:
    """Return the likelihood by the matrix product of definitions, without filtering."""
    density = np.exp(-0.5 * ((returns[:, None] - fit.mean) / fit.sd) ** 2) / (fit.sd * np.sqrt(2 * np.pi))
    row = fit.stationary * density[0]
    for t in range(1, len(returns)):
        row = (row @ fit.transition) * density[t]
    return float(np.log(row.sum()))


def test_two_regimes_are_found_again() -> None:
    returns, states = simulated(TRUE, 8000, 1)
    fit = fit_regimes(returns, 2)
    assert fit.names == ("calm", "stressed")
    np.testing.assert_allclose(fit.sd, TRUE.sd, rtol=0.05)
    np.testing.assert_allclose(fit.transition, TRUE.transition, atol=0.015)
    assert fit.loglik > regime_log_likelihood(TRUE, returns)
    guess = filtered_probabilities(fit, returns).argmax(axis=1)
    assert np.mean(guess == states) > 0.9


def test_three_regimes_are_found_again() -> None:
    truth = RegimeFit(np.zeros(3), np.array([0.5, 1.5, 4.0]), np.full((3, 3), 0.01) + 0.97 * np.eye(3), np.nan, 0)
    fit = fit_regimes(simulated(truth, 6000, 2)[0], 4)
    assert fit.states == 3
    assert fit.names == ("calm", "normal", "stressed")
    np.testing.assert_allclose(fit.sd, truth.sd, rtol=0.08)


@pytest.mark.parametrize("seed", range(5))
def test_one_regime_is_enough_for_plain_noise(seed: int) -> None:
    returns = np.random.default_rng(seed).normal(0.1, 2.0, size=1500)
    fit = fit_regimes(returns, 3)
    assert (fit.states, fit.names) == (1, ("normal",))
    assert fit.sd[0] == pytest.approx(returns.std())
    assert fit_regimes(returns, 2, keep_all=True).states == 2


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), days=st.integers(2, 60))
def test_the_filter_gives_the_likelihood_of_the_definition(seed: int, days: int) -> None:
    returns, _ = simulated(TRUE, days, seed)
    assert regime_log_likelihood(TRUE, returns) == pytest.approx(slow_log_likelihood(TRUE, returns), rel=1e-10)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), cut=st.integers(1, 299))
def test_later_returns_do_not_change_a_bit_of_earlier_probabilities(seed: int, cut: int) -> None:
    returns, _ = simulated(TRUE, 300, seed)
    changed = returns.copy()
    changed[cut:] = np.random.default_rng(seed + 1).permutation(10 * returns[cut:])
    full = filtered_probabilities(TRUE, returns)[:cut]
    assert np.array_equal(full, filtered_probabilities(TRUE, changed)[:cut])
    assert np.array_equal(full, filtered_probabilities(TRUE, returns[:cut]))


def test_probabilities_sum_to_one_also_after_an_impossible_return() -> None:
    returns, _ = simulated(TRUE, 400, 3)
    returns[100], returns[200] = 5.0, np.nan
    for found in (filtered_probabilities(TRUE, returns), smoothed_probabilities(TRUE, returns)):
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-9)
    filtered = filtered_probabilities(TRUE, returns)
    np.testing.assert_allclose(filtered[200], filtered[199] @ TRUE.transition, rtol=1e-12)
    assert filtered[100, 1] > 0.999
    assert np.array_equal(smoothed_probabilities(TRUE, returns)[-1], filtered[-1])


def test_a_fit_scales_and_repeats() -> None:
    returns, _ = simulated(TRUE, 2000, 4)
    fit, again, scaled = fit_regimes(returns), fit_regimes(returns), fit_regimes(100 * returns)
    assert np.array_equal(fit.sd, again.sd)
    np.testing.assert_allclose(scaled.sd, 100 * fit.sd, rtol=1e-6)
    assert scaled.loglik == pytest.approx(fit.loglik - 2000 * np.log(100), abs=1e-4)


def test_the_stationary_shares_are_known() -> None:
    np.testing.assert_allclose(TRUE.stationary, [5 / 7, 2 / 7], rtol=1e-12)
    np.testing.assert_allclose(stationary_of(np.eye(1)), [1.0])


@pytest.mark.parametrize(
    ("returns", "states", "message"),
    [
        (np.zeros(100), 2, "regimes need at least 250 returns of one series"),
        (np.ones(300), 2, "finite returns that move"),
        (np.append(np.arange(300.0), np.inf), 2, "finite returns that move"),
        (np.arange(300.0), 9, "expected 1 to 4 regimes, got 9"),
    ],
)
def test_what_cannot_be_fitted_is_refused(returns: np.ndarray, states: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_regimes(returns, states)
