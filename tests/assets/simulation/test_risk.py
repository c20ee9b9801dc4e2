"""VaR, ES, their intervals and allocation, outcomes of paths: known answers, slow references, coverage."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import special, stats

from pulse_assets.simulation.risk.allocation import euler_allocation, shortfall_weights, var_weights
from pulse_assets.simulation.risk.measures import LEVELS, expected_shortfall, interval_ranks, value_at_risk
from pulse_assets.simulation.risk.outcomes import drawdown_summary, exposure_profile, outcomes_of, ruin_probability

PNL = arrays.arrays(float, st.integers(1, 60), elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 1)))
LEVEL = st.sampled_from([0.05, 0.5, 0.9, 0.95, 0.975, 0.99])
NORMAL_VAR, NORMAL_ES = (
    [1.6448536269515, 1.9599639845401, 2.3263478740408],
    [2.0627128075074, 2.3378027922014, 2.6652142203458],
)
T5_VAR99, T5_ES99 = 3.364929998907, 4.452429111818
T5_VAR = stats.t.ppf(LEVELS, 5)
T5_ES = stats.t.pdf(T5_VAR, 5) / (1 - np.array(LEVELS)) * (5 + T5_VAR**2) / 4


def slow_shortfall(losses: list[float], level: float) -> float:
    """Average the quantile function over the tail, as ES is defined."""
    n = len(losses)
    total = 0.0
    for rank, loss in enumerate(sorted(losses), start=1):
        total += loss * max(0.0, min(rank / n, 1.0) - max((rank - 1) / n, level))
    return total / (1 - level)


@pytest.mark.parametrize(
    ("quantile", "var", "es"),
    [
        (special.ndtri, NORMAL_VAR, NORMAL_ES),
        (lambda u: special.stdtrit(5, u), [*T5_VAR[:2], T5_VAR99], [*T5_ES[:2], T5_ES99]),
    ],
    ids=["normal", "t5"],
)
def test_quantile_grids_give_the_known_answers(
    quantile: Callable[[np.ndarray], np.ndarray], var: list[float], es: list[float]
) -> None:
    pnl = -quantile((np.arange(4_000_000) + 0.5) / 4_000_000)
    np.testing.assert_allclose(value_at_risk(pnl).value, var, rtol=1e-5)
    np.testing.assert_allclose(expected_shortfall(pnl).value, es, rtol=3e-5)  # the grid ends where the tail does not


@given(PNL, LEVEL)
def test_they_are_the_defined_ones_with_ties_and_any_number_of_paths(pnl: np.ndarray, level: float) -> None:
    losses = sorted((-pnl).tolist())
    var = next(x for i, x in enumerate(losses, start=1) if i / len(losses) >= level - 1e-12)
    assert value_at_risk(pnl, [level]).value.tolist() == [var]
    np.testing.assert_allclose(
        expected_shortfall(pnl, [level]).value, slow_shortfall(losses, level), rtol=1e-9, atol=1e-9
    )


@given(PNL, LEVEL, st.floats(-1e3, 1e3), st.floats(0.1, 10))
def test_risk_moves_with_cash_and_scales_with_size(pnl: np.ndarray, level: float, cash: float, size: float) -> None:
    for measure in (value_at_risk, expected_shortfall):
        base, moved = measure(pnl, [level]), measure(size * pnl + cash, [level])
        np.testing.assert_allclose(moved.value, size * base.value - cash, rtol=1e-9, atol=1e-7)
        np.testing.assert_allclose(moved.high, size * base.high - cash, rtol=1e-6, atol=1e-4)


@given(arrays.arrays(float, (2, 40), elements=st.floats(-1e3, 1e3)), LEVEL)
def test_expected_shortfall_is_subadditive_and_above_var(pnl: np.ndarray, level: float) -> None:
    es = [expected_shortfall(row, [level]).value[0] for row in (*pnl, pnl.sum(axis=0))]
    assert es[2] <= es[0] + es[1] + 1e-6
    assert es[0] >= value_at_risk(pnl[0], [level]).value[0] - 1e-9


def test_the_order_of_paths_and_float32_are_of_no_matter() -> None:
    pnl = np.random.default_rng(1).standard_t(5, 5000).astype(np.float32)
    for measure in (value_at_risk, expected_shortfall):
        np.testing.assert_array_equal(measure(pnl), measure(pnl[::-1].copy()))
        np.testing.assert_array_equal(measure(pnl), measure(pnl.astype(float)))


@pytest.mark.parametrize("n", [100, 10_000, 100_000])
def test_interval_ranks_cover_by_the_binomial_distribution(n: int) -> None:
    low, high = interval_ranks(n, LEVELS)
    for level, below, above in zip(LEVELS, low, high, strict=True):
        assert stats.binom.cdf(below - 1, n, level) <= 0.025 < stats.binom.cdf(below, n, level)
        assert above == n + 1 or stats.binom.sf(above - 1, n, level) <= 0.025 < stats.binom.sf(above - 2, n, level)


def test_interval_ranks_are_the_known_ones() -> None:
    assert [ranks.tolist() for ranks in interval_ranks(100_000, [0.99])] == [[98_938], [99_062]]


def test_standard_errors_are_the_known_ones_for_normal_losses() -> None:
    pnl = special.ndtri((np.arange(100_000) + 0.5) / 100_000)
    assert value_at_risk(pnl, [0.99]).standard_error[0] == pytest.approx(0.0118, abs=2e-4)
    assert expected_shortfall(pnl, [0.99]).standard_error[0] == pytest.approx(0.0145, abs=2e-4)


def test_too_few_paths_have_no_bound() -> None:
    pnl = np.random.default_rng(1).standard_normal(100)
    assert value_at_risk(pnl, [0.99]).high[0] == np.inf
    assert expected_shortfall(pnl, [0.99]).high[0] == np.inf
    assert np.isfinite(expected_shortfall(pnl, [0.99]).value[0])


@pytest.mark.parametrize("pnl", [np.array([]), np.array([1.0, np.nan]), np.array([1.0, -np.inf])])
def test_unknown_and_infinite_losses_make_risk_unknown(pnl: np.ndarray) -> None:
    assert np.isnan(value_at_risk(pnl).value).all()
    assert np.isnan(expected_shortfall(pnl).value).all()


def test_equal_outcomes_have_no_error() -> None:
    found = expected_shortfall(np.full(1000, -3.0), [0.95])
    assert [part.tolist() for part in found] == [[3.0], [3.0], [3.0], [0.0]]


@pytest.mark.parametrize("law", ["normal", "t5"])
def test_intervals_cover_as_often_as_they_say(law: str) -> None:
    rng, n, replications = np.random.default_rng(12), 10_000, 1000
    true_var, true_es = (np.array(NORMAL_VAR), np.array(NORMAL_ES)) if law == "normal" else (T5_VAR, T5_ES)
    covered = np.zeros((2, 3))
    for _ in range(replications):
        pnl = rng.standard_normal(n) if law == "normal" else rng.standard_t(5, n)
        for row, (measure, truth) in enumerate([(value_at_risk, true_var), (expected_shortfall, true_es)]):
            found = measure(pnl)
            covered[row] += (found.low <= truth) & (truth <= found.high)
    assert ((covered / replications >= 0.93) & (covered / replications <= 0.97)).all(), covered / replications


# --- allocation


def normal_book(n: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return contributions of four correlated positions, one of them a hedge, and their parts of a unit of risk."""
    positions = np.array([3.0, 1.0, -2.0, 0.5])
    correlation = np.full((4, 4), 0.3) + 0.7 * np.eye(4)
    shocks = np.random.default_rng(seed).standard_normal((n, 4)) @ np.linalg.cholesky(correlation).T
    return shocks * positions, positions * (correlation @ positions) / np.sqrt(positions @ correlation @ positions)


@pytest.mark.parametrize("measure", ["es", "var"])
@pytest.mark.parametrize("level", LEVELS)
def test_allocation_of_normal_risk_is_the_closed_form(measure: str, level: float) -> None:
    contributions, parts = normal_book(200_000)
    found = euler_allocation(contributions.sum(axis=1), contributions, level, measure)
    truth = parts * dict(zip(LEVELS, NORMAL_ES if measure == "es" else NORMAL_VAR, strict=True))[level]
    assert (np.abs(found.amount - truth) / found.standard_error < 4).all()
    assert (found.standard_error < 0.1).all()


@pytest.mark.parametrize("measure", ["es", "var"])
def test_standard_errors_of_allocation_are_honest(measure: str) -> None:
    found = [
        euler_allocation(contributions.sum(axis=1), contributions, 0.95, measure)
        for contributions, _ in (normal_book(4000, seed) for seed in range(300))
    ]
    spread = np.std([each.amount for each in found], axis=0)
    told = np.sqrt(np.mean([each.standard_error**2 for each in found], axis=0))
    np.testing.assert_allclose(told, spread, rtol=0.2)


@given(arrays.arrays(float, (50, 3), elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 1))), LEVEL)
def test_allocations_add_up_to_the_whole(contributions: np.ndarray, level: float) -> None:
    pnl = contributions.sum(axis=1)
    for name, measure in (("es", expected_shortfall), ("var", value_at_risk)):
        total = euler_allocation(pnl, contributions, level, name).amount.sum()
        np.testing.assert_allclose(total, measure(pnl, [level]).value[0], rtol=1e-9, atol=1e-6)


def test_float32_outcomes_add_up_too() -> None:
    contributions = normal_book(20_000)[0].astype(np.float32)
    pnl = contributions.sum(axis=1)
    for name, measure in (("es", expected_shortfall), ("var", value_at_risk)):
        found = euler_allocation(pnl, contributions, 0.99, name)
        assert found.amount.sum() == pytest.approx(measure(pnl, [0.99]).value[0], rel=1e-13)


def test_weights_alone_tell_which_paths_to_run_again() -> None:
    pnl = np.random.default_rng(3).standard_normal(1000)
    for weights, measure in (
        (shortfall_weights(pnl, 0.95), expected_shortfall),
        (var_weights(pnl, 0.95), value_at_risk),
    ):
        assert len(weights.path) <= 51
        assert weights.weight.sum() == pytest.approx(1)
        assert -(weights.weight @ pnl[weights.path]) == pytest.approx(measure(pnl, [0.95]).value[0])


def test_contributions_that_do_not_add_up_are_refused() -> None:
    contributions = normal_book(100)[0]
    pnl = contributions.sum(axis=1)
    pnl[7] += 1
    with pytest.raises(ValueError, match="on 1 paths they do not, on path 7 they differ by 1 USD"):
        euler_allocation(pnl, contributions, 0.95)
    with pytest.raises(ValueError, match="expected contributions"):
        euler_allocation(pnl[1:], contributions, 0.95)
    with pytest.raises(ValueError, match="of 2 paths 1 are NaN"):
        shortfall_weights(np.array([1.0, np.nan]), 0.95)


# --- outcomes on the way


def slow_outcomes(pnl: list[float], capital: float) -> tuple[float, float, float, int]:
    highest, deepest, under = capital, 0.0, 0
    for value in (capital + p for p in pnl):
        highest = max(highest, value)
        deepest = max(deepest, (highest - value) / highest)
        under += value < highest
    return pnl[-1], min(pnl), deepest, under


@given(arrays.arrays(float, (5, 12), elements=st.floats(-500, 500)), st.floats(1, 1e4))
def test_outcomes_are_those_of_a_walk_along_the_path(pnl: np.ndarray, capital: float) -> None:
    pnl[:, 0] = 0
    found = np.transpose(outcomes_of(pnl, capital))
    np.testing.assert_allclose(found, [slow_outcomes(row, capital) for row in pnl.tolist()], atol=1e-12)


def test_the_drawdown_of_brownian_motion_is_the_known_one() -> None:
    n, steps, sigma = 4000, 1000, 0.2
    walk = np.random.default_rng(4).standard_normal((n, steps)).cumsum(axis=1) * sigma / np.sqrt(steps)
    value = np.exp(np.concatenate([np.zeros((n, 1)), walk], axis=1))
    depth = -np.log1p(-outcomes_of(value - 1, 1.0).drawdown)
    shift = 2 * 0.5826 * sigma / np.sqrt(steps)  # of two extremes seen at discrete times (Broadie and others 1997)
    expected = np.sqrt(np.pi / 2) * sigma - shift
    assert abs(depth.mean() - expected) < 4 * depth.std() / np.sqrt(n)


def test_summaries_of_drawdowns_and_ruin() -> None:
    rng = np.random.default_rng(5)
    summary = drawdown_summary(rng.random(10_000), rng.integers(0, 100, 10_000), [0.9])
    assert abs(summary.mean.value - 0.5) < 4 * summary.mean.standard_error
    assert summary.quantiles.low[0] < 0.9 < summary.quantiles.high[0]
    assert summary.quantile_steps.value[0] == pytest.approx(90, abs=2)
    ruin = ruin_probability(rng.standard_normal(10_000), 2.0)
    assert ruin.low < special.ndtr(-2) < ruin.high
    assert np.isnan(ruin_probability(np.array([np.nan, 1.0]), 2.0).value)
    with pytest.raises(ValueError, match="capital, which must be positive"):
        outcomes_of(np.zeros((1, 2)), 0.0)


def test_exposure_of_brownian_motion_is_the_closed_form() -> None:
    n, steps = 40_000, 4
    value = np.random.default_rng(6).standard_normal((n, steps)).cumsum(axis=1)
    profile = exposure_profile(value, [0.95])
    sd = np.sqrt(np.arange(1, steps + 1))
    np.testing.assert_allclose(profile.expected, sd / np.sqrt(2 * np.pi), rtol=0.03)
    np.testing.assert_allclose(profile.expected + profile.expected_negative, value.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(profile.potential[0], NORMAL_VAR[0] * sd, rtol=0.03)
    assert profile.expected_over_time == pytest.approx(profile.expected.mean())
    assert (exposure_profile(-np.abs(value), [0.95]).potential == 0).all()
    with pytest.raises(ValueError, match="at least one path"):
        exposure_profile(np.empty((0, 3)))
