"""Means with error bars and the stopping rule: identities, references, coverage, no dependence on workers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from pulse_assets.simulation.risk.estimators import (
    antithetic_mean,
    control_variate_mean,
    critical,
    plain_mean,
    probability_with_interval,
    replicate_mean,
)
from pulse_assets.simulation.risk.stopping import Prefixes, block_prefixes, replicate_prefixes, stop_after

VALUES = arrays.arrays(float, st.integers(20, 60), elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 2)))


@given(VALUES)
def test_the_plain_interval_is_the_textbook_one(values: np.ndarray) -> None:
    found = plain_mean(values)
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    np.testing.assert_allclose([found.low, found.high], values.mean() + np.array([-half, half]), rtol=1e-9, atol=1e-9)


def test_columns_are_estimated_alone() -> None:
    values = np.random.default_rng(1).standard_normal((50, 3))
    np.testing.assert_allclose(plain_mean(values).high[1], plain_mean(values[:, 1]).high)


def test_a_twin_that_mirrors_everything_leaves_no_error() -> None:
    values = np.random.default_rng(1).standard_normal(50)
    assert float(antithetic_mean(values, 4 - values).standard_error) == pytest.approx(0, abs=1e-15)
    assert float(antithetic_mean(values, 4 - values).value) == pytest.approx(2)
    np.testing.assert_array_equal(antithetic_mean(values, values), plain_mean(values))


@given(VALUES)
def test_a_control_that_tells_nothing_changes_nothing(values: np.ndarray) -> None:
    found = control_variate_mean(values, np.ones((len(values), 1)), np.ones(1))
    assert float(found.value) == pytest.approx(values.mean(), abs=1e-9)


def test_the_error_is_that_of_the_regression() -> None:
    rng = np.random.default_rng(2)
    controls = rng.standard_normal((40, 2)) + np.array([1.0, -2.0])
    values = controls @ [3.0, 0.5] + rng.standard_normal(40)
    found = control_variate_mean(values, controls, np.array([1.0, -2.0]))
    design = np.column_stack([np.ones(40), controls - [1.0, -2.0]])
    slope, rss, *_ = np.linalg.lstsq(design, values)
    error = np.sqrt(rss[0] / 37 * np.linalg.inv(design.T @ design)[0, 0])
    np.testing.assert_allclose([found.value, found.standard_error], [slope[0], error])
    np.testing.assert_allclose(found.high - found.value, stats.t.ppf(0.975, 37) * error)


def basket(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an arithmetic and a geometric mean of four lognormal prices; the latter's mean is ``exp(0.02)``."""
    x = 0.4 * rng.standard_normal((n, 4))
    return np.exp(x).mean(axis=1), np.exp(x.mean(axis=1))


@pytest.mark.parametrize("kind", ["plain", "antithetic", "control"])
def test_intervals_of_means_cover_as_often_as_they_say(kind: str) -> None:
    rng, covered, truth = np.random.default_rng(3), 0, np.exp(0.08)
    for _ in range(1000):
        arithmetic, geometric = basket(rng, 500)
        if kind == "plain":
            found = plain_mean(arithmetic)
        elif kind == "antithetic":
            x = 0.4 * rng.standard_normal((250, 4))
            found = antithetic_mean(np.exp(x).mean(axis=1), np.exp(-x).mean(axis=1))
        else:
            found = control_variate_mean(arithmetic, geometric[:, None], np.array([np.exp(0.02)]))
        covered += bool(found.low <= truth <= found.high)
    assert 930 <= covered <= 970


def test_control_and_twin_shrink_the_error() -> None:
    rng = np.random.default_rng(4)
    arithmetic, geometric = basket(rng, 2000)
    controlled = control_variate_mean(arithmetic, geometric[:, None], np.array([np.exp(0.02)]))
    assert controlled.standard_error < plain_mean(arithmetic).standard_error / 2


def test_intervals_over_replicates_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    found = replicate_mean(rng.standard_normal((16, 1000)))
    assert 0.93 <= np.mean((found.low <= 0) & (found.high >= 0)) <= 0.97
    with pytest.raises(ValueError, match="at least 16 replicates; came 15"):
        replicate_mean(np.zeros(15))


@pytest.mark.parametrize("expected", [3, 10, 50, 1000])
def test_intervals_of_shares_cover_as_often_as_they_say(expected: int) -> None:
    n = 10_000
    hits = np.arange(3000)
    found = probability_with_interval(hits, n)
    shares = np.linspace(0.9, 1.1, 41) * expected / n
    covered = [stats.binom.pmf(hits, n, p)[(found.low <= p) & (p <= found.high)].sum() for p in shares]
    assert 0.93 <= np.mean(covered) <= 0.97


@given(st.integers(0, 500), st.integers(500, 1000))
def test_shares_have_intervals_within_zero_and_one(hits: int, n: int) -> None:
    found = probability_with_interval(hits, n)
    reference = stats.binomtest(hits, n).proportion_ci(method="wilson")
    np.testing.assert_allclose([found.low, found.high], reference, atol=1e-12)
    mirrored = probability_with_interval(n - hits, n)
    np.testing.assert_allclose(mirrored.low, 1 - found.high, atol=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_what_cannot_be_estimated_is_refused_or_nan() -> None:
    assert np.isnan(probability_with_interval(0, 0).value)
    with pytest.raises(ValueError, match="between 0 and the 5 paths; came 6"):
        probability_with_interval(6, 5)
    with pytest.raises(ValueError, match="at least 2 paths; came 1"):
        plain_mean(np.zeros(1))
    with pytest.raises(ValueError, match="one mirrored twin"):
        antithetic_mean(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match=r"controls \(N, C\)"):
        control_variate_mean(np.zeros(9), np.zeros((9, 2)), np.zeros(1))
    with pytest.raises(ValueError, match="between 0 and 1"):
        critical(confidence=95)
    assert np.isnan(plain_mean(np.array([1.0, np.nan])).value)


# --- stopping


def blocks(seed: int, count: int = 40, size: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, size, 2)) + np.array([5.0, 0.0])


def prefixes_of(values: np.ndarray) -> Prefixes:
    counts = np.full(len(values), values.shape[1])
    return block_prefixes(counts, values.sum(axis=1), (values**2).sum(axis=1))


def test_prefixes_are_those_of_all_paths_so_far() -> None:
    values = blocks(1)
    found = prefixes_of(values)
    for count in (1, 7, 40):
        so_far = plain_mean(values[:count].reshape(-1, 2))
        np.testing.assert_allclose(found.value[count - 1], so_far.value)
        np.testing.assert_allclose(found.standard_error[count - 1], so_far.standard_error, rtol=1e-9)


def test_prefixes_of_replicates_are_those_of_their_spread() -> None:
    estimates = 1e6 + np.random.default_rng(2).standard_normal(30)
    found = replicate_prefixes(estimates)
    assert np.isnan(found.standard_error[0])
    np.testing.assert_allclose(found.standard_error[-1], plain_mean(estimates).standard_error, rtol=1e-6)
    np.testing.assert_allclose(found.value[-1], estimates.mean())


@given(st.integers(0, 50), st.floats(0.02, 0.06), st.integers(1, 40), st.booleans())
def test_more_completed_blocks_do_not_change_when_it_stops(seed: int, target: float, seen: int, bounded: bool) -> None:
    values, most = blocks(seed), 30 if bounded else None
    whole = stop_after(prefixes_of(values), target, most=most)
    part = stop_after(prefixes_of(values[:seen]), target, most=most)
    assert part == (whole if whole is not None and whole <= seen else None)


def test_it_stops_when_the_last_output_is_precise() -> None:
    found = prefixes_of(blocks(3))
    each = [stop_after(Prefixes(found.value[:, i], found.standard_error[:, i]), 0.03, least=1) for i in (0, 1)]
    assert stop_after(found, 0.03, least=1) == max(stop for stop in each if stop is not None)
    assert stop_after(found, np.array([0.03, np.inf]), least=1) == each[0]


def test_a_relative_target_is_a_share_of_the_estimate() -> None:
    found = prefixes_of(blocks(4)[..., :1])
    assert stop_after(found, 0.03 / 5, relative=True, least=1) == pytest.approx(stop_after(found, 0.03, least=1), abs=1)


def test_what_has_not_varied_does_not_stop_it() -> None:
    never = np.zeros((20, 50))
    found = block_prefixes(np.full(20, 50), never.sum(axis=1), never.sum(axis=1))
    assert stop_after(found, 0.1) is None
    assert stop_after(found, 0.1, most=20) == 20


def test_unsound_blocks_and_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="blocks do not fit"):
        block_prefixes(np.ones(2, np.int64), np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="least 5 and most 4"):
        stop_after(Prefixes(np.ones(1), np.ones(1)), 1.0, least=5, most=4)
