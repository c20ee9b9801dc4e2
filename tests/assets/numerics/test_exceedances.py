"""Tests of value at risk: known answers, all rows of days gone through one by one, and how often they cry wolf."""

from itertools import product
from math import comb, log

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import xlogy

from pulse_assets.numerics.exceedances import Backtest, basel_zone, christoffersen, kupiec
from pulse_assets.numerics.hit_outcomes import coverage_outcomes, independence_outcomes, rate_outcomes

ROWS = st.lists(st.booleans(), min_size=2, max_size=40).map(lambda hits: np.array(hits, bool))
EVERY = [np.array(row, bool) for row in product([False, True], repeat=9)]


def philox(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def slow_independence(hits: np.ndarray) -> float:
    """Return the likelihood ratio by its definition, day by day."""
    pairs = list(zip(hits[:-1].tolist(), hits[1:].tolist(), strict=True))

    def loglik(days: list[bool]) -> float:
        n, x = len(days), sum(days)
        return float(xlogy(x, x / n) + xlogy(n - x, 1 - x / n)) if n else 0.0

    after = [[now for before, now in pairs if before is state] for state in (False, True)]
    return 2 * (loglik(after[0]) + loglik(after[1]) - loglik([now for _, now in pairs]))


def slow_coverage(hits: np.ndarray, p: float) -> float:
    n, x = len(hits) - 1, int(hits[1:].sum())
    promised = x * log(p) + (n - x) * log(1 - p)
    seen = float(xlogy(x, x / n) + xlogy(n - x, 1 - x / n))
    return slow_independence(hits) + 2 * (seen - promised)


def slow_p_value(seen: float, outcomes: list[tuple[float, float]], tie: float) -> float:
    larger = sum(probability for ratio, probability in outcomes if ratio > seen + 1e-8)
    return larger + tie * sum(probability for ratio, probability in outcomes if abs(ratio - seen) <= 1e-8)


@pytest.mark.parametrize(
    ("hits", "n", "p", "ratio"),
    [
        (4, 250, 0.01, 0.7691383643858458),
        (10, 250, 0.01, 12.955491062356018),
        (0, 1000, 0.01, 20.1006717070),
        (7, 255, 0.01, 5.316341340978),
        (0, 250, 0.01, -2 * 250 * log(0.99)),
        (250, 250, 0.01, -2 * 250 * log(0.01)),
        (5, 100, 0.05, 0.0),
    ],
)
def test_kupiec_knows_its_textbook_answers(hits: int, n: int, p: float, ratio: float) -> None:
    found = kupiec(hits, n, p)
    assert found.statistic == pytest.approx(ratio, rel=1e-11, abs=1e-12)
    assert found.asymptotic == pytest.approx(stats.chi2.sf(ratio, 1), rel=1e-9)


@given(st.integers(0, 400), st.integers(0, 400), st.floats(0.001, 0.999))
def test_kupiec_is_the_log_of_the_likelihood_ratio(hits: int, misses: int, p: float) -> None:
    assume(hits + misses)
    n = hits + misses
    found = kupiec(hits, n, p)
    best = stats.binom.logpmf(hits, n, hits / n)
    assert found.statistic == pytest.approx(2 * (best - stats.binom.logpmf(hits, n, p)), rel=1e-6, abs=1e-6)
    assert found.statistic >= 0
    assert 0 <= found.p_value <= 1
    mirrored = kupiec(misses, n, 1 - p)
    np.testing.assert_allclose(mirrored, found, rtol=1e-6, atol=1e-9)


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.01, 0.99), st.floats(0, 1))
def test_kupiecs_p_value_is_the_binomial_probability_of_a_ratio_as_large(
    hits: int, misses: int, p: float, tie: float
) -> None:
    assume(hits + misses)
    n = hits + misses
    outcomes = [(kupiec(x, n, p).statistic, float(stats.binom.pmf(x, n, p))) for x in range(n + 1)]
    expected = slow_p_value(kupiec(hits, n, p).statistic, outcomes, tie)
    assert kupiec(hits, n, p, tie).p_value == pytest.approx(expected, abs=1e-9)


def test_chi_squared_rejects_a_99_percent_value_at_risk_without_hits_in_250_days_where_counting_does_not() -> None:
    assert [hits for hits in range(20) if kupiec(hits, 250, 0.01).asymptotic > 0.05] == [1, 2, 3, 4, 5, 6]
    assert [hits for hits in range(20) if kupiec(hits, 250, 0.01).p_value > 0.05] == [0, 1, 2, 3, 4, 5, 6]


def test_no_forecasts_tell_nothing() -> None:
    assert np.isnan(kupiec(0, 0, 0.01)).all()
    for days in (0, 1):
        found = christoffersen(np.zeros(days, bool), 0.01)
        assert found.transitions == (0, 0, 0, 0)
        assert np.isnan([found.independence, found.coverage]).all()


def test_christoffersen_knows_its_textbook_answer() -> None:
    hits = np.zeros(250, bool)
    hits[[20, 21, 22, 100, 180, 181]] = True
    found = christoffersen(hits, 0.01)
    assert found.transitions == (240, 3, 3, 3)
    assert found.independence.statistic == pytest.approx(15.915296651119732, rel=1e-11)
    assert found.independence.asymptotic == pytest.approx(stats.chi2.sf(15.915296651119732, 1), rel=1e-9)
    assert found.coverage.statistic == pytest.approx(15.915296651119732 + kupiec(6, 249, 0.01).statistic, rel=1e-11)
    assert found.coverage.asymptotic == pytest.approx(stats.chi2.sf(found.coverage.statistic, 2), rel=1e-9)


@given(ROWS, st.floats(0.01, 0.99))
def test_christoffersens_ratios_are_those_of_the_definition(hits: np.ndarray, p: float) -> None:
    found = christoffersen(hits, p)
    assert sum(found.transitions) == len(hits) - 1
    assert found.independence.statistic == pytest.approx(slow_independence(hits), abs=1e-9)
    assert found.coverage.statistic == pytest.approx(slow_coverage(hits, p), rel=1e-9, abs=1e-9)
    assert all(0 <= found[test].p_value <= 1 for test in (1, 2))


@given(st.sampled_from(EVERY), st.sampled_from([0.1, 0.3, 0.5]), st.sampled_from([0.0, 0.25, 1.0]))
def test_christoffersens_p_values_are_those_of_all_rows_of_days(hits: np.ndarray, p: float, tie: float) -> None:
    found, x = christoffersen(hits, p, tie), hits.sum()
    orders = [(slow_independence(row), 1 / comb(9, x)) for row in EVERY if row.sum() == x]
    rows = [(slow_coverage(row, p), p ** row.sum() * (1 - p) ** (9 - row.sum())) for row in EVERY]
    independence = slow_p_value(slow_independence(hits), orders, tie)
    assert found.independence.p_value == pytest.approx(independence, abs=1e-9)
    assert found.coverage.p_value == pytest.approx(slow_p_value(slow_coverage(hits, p), rows, tie), abs=1e-9)


@given(ROWS)
def test_time_reversed_days_are_as_dependent(hits: np.ndarray) -> None:
    one, other = christoffersen(hits, 0.2).independence, christoffersen(hits[::-1], 0.2).independence
    np.testing.assert_allclose(one, other, atol=1e-9)


@pytest.mark.parametrize(("n", "p"), [(2, 0.5), (250, 0.01), (1000, 0.05)])
def test_what_could_have_happened_adds_up_to_certainty(n: int, p: float) -> None:
    for outcomes in (rate_outcomes(n, p), coverage_outcomes(n, p), independence_outcomes(n // 20, n)):
        assert outcomes.probabilities.sum() == pytest.approx(1, abs=1e-10)
        assert (outcomes.statistics >= 0).all()


@pytest.mark.parametrize(("n", "p"), [(250, 0.01), (250, 0.05), (1000, 0.01)])
def test_with_ties_broken_at_random_5_percent_of_correct_models_are_rejected(n: int, p: float) -> None:
    """Within 1.5 points, more than four standard errors of 4,000 trials; chi-squared is out by up to 4.5."""
    rng = philox(7)
    rejected = np.zeros(3)
    for _ in range(4_000):
        hits, ties = rng.random(n) < p, rng.random(3)
        rejected[0] += kupiec(int(hits.sum()), n, p, ties[0]).p_value <= 0.05
        rejected[1] += christoffersen(hits, p, ties[1]).independence.p_value <= 0.05
        rejected[2] += christoffersen(hits, p, ties[2]).coverage.p_value <= 0.05
    np.testing.assert_allclose(rejected / 4_000, 0.05, atol=0.015)


def size(tie: float, n: int, p: float) -> float:
    """Return how often Kupiec's test at 5 % rejects a correct model."""
    chances = stats.binom.pmf(np.arange(n + 1), n, p)
    return float(sum(chances[x] for x in range(n + 1) if kupiec(x, n, p, tie).p_value <= 0.05))


@pytest.mark.parametrize(("n", "p"), [(250, 0.025), (250, 0.05), (500, 0.01), (1000, 0.01), (1000, 0.05), (2500, 0.01)])
def test_mid_p_keeps_kupiecs_size_and_the_whole_tie_never_exceeds_it(n: int, p: float) -> None:
    assert size(0.5, n, p) == pytest.approx(0.05, abs=0.015)
    assert size(1.0, n, p) <= 0.05


def test_no_number_of_hits_in_250_days_makes_5_percent_of_a_promise_of_1() -> None:
    assert size(0.5, 250, 0.01) == pytest.approx(0.0137, abs=1e-4)
    chances = stats.binom.pmf(np.arange(251), 250, 0.01)
    chi_squared = sum(chances[x] for x in range(251) if kupiec(x, 250, 0.01).asymptotic <= 0.05)
    assert chi_squared == pytest.approx(0.0948, abs=1e-4)


def test_hits_in_clusters_are_found_out() -> None:
    hits = np.zeros(1000, bool)
    hits[300:310] = True
    found = christoffersen(hits, 0.01)
    assert kupiec(10, 1000, 0.01).p_value > 0.5
    assert found.independence.p_value < 1e-9
    assert found.coverage.p_value < 1e-9


@pytest.mark.parametrize("hits", [np.zeros(10, int), np.zeros((2, 5), bool), np.array([0.0, np.nan])])
def test_hits_that_are_no_days_are_refused(hits: np.ndarray) -> None:
    with pytest.raises(ValueError, match="hits must be 1-d and boolean, one a day; came"):
        christoffersen(hits, 0.01)


@pytest.mark.parametrize(("hits", "n"), [(-1, 10), (11, 10), (0, -1)])
def test_more_hits_than_forecasts_are_refused(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"between 0 and n; came {hits} of {n}"):
        kupiec(hits, n, 0.01)
    with pytest.raises(ValueError, match=f"between 0 and n; came {hits} of {n}"):
        basel_zone(hits, n)


@pytest.mark.parametrize("p", [0.0, 1.0, 5.0, np.nan])
def test_a_promise_that_is_no_probability_is_refused(p: float) -> None:
    for test in (lambda: kupiec(1, 10, p), lambda: basel_zone(1, 10, p), lambda: christoffersen(np.ones(3, bool), p)):
        with pytest.raises(ValueError, match=f"inside .0, 1.; came {p}"):
            test()


@pytest.mark.parametrize("tie", [-0.1, 1.1, np.nan])
def test_a_part_of_a_tie_beyond_the_whole_is_refused(tie: float) -> None:
    with pytest.raises(ValueError, match=f"must lie in .0, 1.; came {tie}"):
        kupiec(1, 10, 0.1, tie)


def test_basels_zones_are_those_of_its_table() -> None:
    zones = [basel_zone(hits, 250) for hits in range(12)]
    assert zones == ["green"] * 5 + ["yellow"] * 5 + ["red"] * 2


@given(st.integers(1, 2000), st.floats(0.001, 0.2))
def test_more_hits_never_better_a_zone_and_none_is_green(n: int, p: float) -> None:
    worse = [("green", "yellow", "red").index(basel_zone(hits, n, p)) for hits in range(min(n, 60) + 1)]
    assert worse[0] == 0
    assert (np.diff(worse) >= 0).all()


def test_a_zone_needs_a_forecast() -> None:
    with pytest.raises(ValueError, match="at least 1 forecast"):
        basel_zone(0, 0)


def test_a_backtest_is_its_statistic_and_two_p_values() -> None:
    assert Backtest._fields == ("statistic", "p_value", "asymptotic")
