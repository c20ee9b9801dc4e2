"""Paired differences: known answers, identities, honest intervals, and the rows of the table."""

from datetime import date
from math import isinf, isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from pulse_assets.simulation.risk.divergence import (
    DIVERGENCE,
    Sums,
    divergence_rows,
    outcome_differences,
    replayed_differences,
    step_differences,
)
from pulse_assets.simulation.risk.paired import mean_difference, quantile_difference
from pulse_assets.simulation.world import Floats

OUTCOMES = arrays.arrays(float, 12, elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 3)))


def pairs(n: int, seed: int, correlation: float = 0.95) -> tuple[Floats, Floats]:
    common, own = np.random.default_rng(seed).normal(size=(2, n))
    return 0.5 + correlation * common + np.sqrt(1 - correlation**2) * own, common


def sums(states: Floats) -> Sums:
    return Sums(len(states), states.sum(axis=0), (states**2).sum(axis=0))


@given(OUTCOMES, OUTCOMES)
def test_the_mean_difference_is_the_paired_t_test(a: Floats, b: Floats) -> None:
    found = mean_difference("x", 1, a, b)
    assert found.difference == pytest.approx(a.mean() - b.mean(), abs=1e-9)
    if np.ptp(a - b) > 1e-2:
        low, high = stats.ttest_rel(a, b).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((low, high))
    if np.ptp(a) > 1e-2 and np.ptp(b) > 1e-2:
        assert found.correlation == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-6)


@given(OUTCOMES, OUTCOMES)
def test_differences_turn_their_sign_with_the_order(a: Floats, b: Floats) -> None:
    one, other = mean_difference("x", 1, a, b), mean_difference("x", 1, b, a)
    assert (one.difference, one.low, one.high) == (-other.difference, -other.high, -other.low)
    assert one.se == other.se


def test_a_scenario_does_not_differ_from_itself() -> None:
    a, _ = pairs(3_000, 1)
    for found in outcome_differences({"x": a}, {"x": a}, 5):
        assert (found.difference, found.se, found.low, found.high) == (0, 0, 0, 0)
        assert found.correlation == pytest.approx(1)
        assert isinf(found.variance_reduction)


def test_common_random_numbers_are_worth_what_they_are_said_to_be() -> None:
    found = mean_difference("x", 1, *pairs(50_000, 2))
    assert found.correlation == pytest.approx(0.95, abs=0.005)
    assert found.variance_reduction == pytest.approx(1 / (1 - 0.95), rel=0.03)
    alone = mean_difference("x", 1, *pairs(50_000, 3, correlation=0.0))
    assert alone.variance_reduction == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("correlation", [0.0, 0.95])
@pytest.mark.parametrize("p", [0.05, 0.5])
def test_intervals_of_quantiles_hold_what_they_promise(p: float, correlation: float) -> None:
    held = 0
    for seed in range(300):
        found = quantile_difference("x", 1, *pairs(2_000, 1000 + seed, correlation), p)
        held += found.low <= 0.5 <= found.high
    assert stats.binom.cdf(held, 300, 0.95) > 1e-4
    assert stats.binom.sf(held - 1, 300, 0.95) > 1e-4


def test_the_error_of_a_quantile_is_the_textbook_one_without_pairing() -> None:
    found = quantile_difference("x", 1, *pairs(200_000, 4, correlation=0.0), 0.5)
    assert found.measure == "x_q500"
    assert found.se == pytest.approx(np.sqrt(2 * np.pi / 2 / 200_000), rel=0.5)
    paired = quantile_difference("x", 1, *pairs(200_000, 4), 0.5)
    assert paired.se < found.se / 2


def test_too_few_paths_for_a_tail_give_no_error() -> None:
    found = quantile_difference("x", 1, *pairs(100, 5), 0.01)
    assert isnan(found.se)
    assert isnan(found.low)
    assert not isnan(found.difference)
    assert not isnan(quantile_difference("x", 1, *pairs(500, 5), 0.01).se)


def test_events_have_no_quantiles() -> None:
    a, b = np.array([True, True, False, False]), np.array([True, False, False, False])
    found = outcome_differences({"ruin": a, "only_here": a}, {"ruin": b}, 9)
    assert [(each.measure, each.step, each.difference) for each in found] == [("ruin", 9, 0.25)]


def test_sums_say_the_same_as_paths() -> None:
    rng = np.random.default_rng(6)
    common = rng.normal(size=(400, 3, 2))
    a, b = common + 0.1 * rng.normal(size=common.shape) + 0.2, common
    names, steps = ["SPX", "vix"], [5, 10, 20]
    by_path = replayed_differences(names, steps, a, b)
    by_sums = step_differences(names, steps, sums(a), sums(b), (a * b).sum(axis=0))
    assert [each[:2] for each in by_path] == [each[:2] for each in by_sums]
    for one, other in zip(by_path, by_sums, strict=True):
        assert one[2:] == pytest.approx(other[2:])
    for paired, alone in zip(by_sums, step_differences(names, steps, sums(a), sums(b)), strict=True):
        assert alone.difference == paired.difference
        assert alone.se > 3 * paired.se
        assert isnan(alone.correlation)


def test_rows_are_those_of_the_table() -> None:
    found = outcome_differences(*({"pnl_usd": each} for each in pairs(100, 7)), 20, quantiles=(0.01, 0.5))
    rows = divergence_rows(date(2024, 1, 2), "energy_crisis", "base", found)
    assert rows.schema == DIVERGENCE
    assert rows["measure"].to_pylist() == ["pnl_usd", "pnl_usd_q010", "pnl_usd_q500"]
    assert rows["se"].null_count == 1
    assert set(rows["against"].to_pylist()) == {"base"}
    assert divergence_rows(date(2024, 1, 2), "a", "b", []).schema == DIVERGENCE


def test_what_cannot_be_compared_is_refused() -> None:
    two = np.array([1.0, 2.0])
    with pytest.raises(ValueError, match=r"x: expected the outcomes of the same two paths or more"):
        mean_difference("x", 1, two, np.ones(3))
    with pytest.raises(ValueError, match="same two paths"):
        mean_difference("x", 1, np.ones(1), np.ones(1))
    with pytest.raises(ValueError, match=r"x: 1 paths have no finite outcome, first number 1"):
        mean_difference("x", 1, two, np.array([1.0, np.nan]))
    for p in (0.0, 1.0, np.nan):
        with pytest.raises(ValueError, match=r"inside \(0, 1\)"):
            quantile_difference("x", 1, two, two, p)
    states = np.ones((4, 1, 1))
    with pytest.raises(ValueError, match="came 4 and 3"):
        step_differences(["a"], [1], sums(states), sums(states[:3]))
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        step_differences(["a", "b"], [1], sums(states), sums(states))
