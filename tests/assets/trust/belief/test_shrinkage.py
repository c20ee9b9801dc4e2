"""Shrinkage borrows from the panel what a series lacks, and says nothing of what nobody knows."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import ndtr
from scipy.stats import false_discovery_control

from pulse_assets.numerics.exceedances import christoffersen, kupiec
from pulse_assets.trust.belief.shrinkage import christoffersen_p, coverage_q, kupiec_p, posterior, shrunk_coverage

Floats = npt.NDArray[np.float64]
ONE = np.zeros(1, np.int64)
SKILLS = arrays(np.float64, 12, elements=st.floats(-1e12, 1, allow_nan=False))
ERRORS = arrays(np.float64, 12, elements=st.floats(0, 1e6))


def slow_probability(skill: list[float], se: list[float], targets: float) -> list[float]:
    """Return the probabilities of one panel, by the formulas of empirical Bayes on logarithms of loss ratios.

    Three imagined series have no gain, a spread of 5 % and no noise.
    """
    gain = [min(max(-np.log(1 - s), -2.0), 2.0) for s in skill]
    noise = [(e / (1 - s)) ** 2 for s, e in zip(skill, se, strict=True)]
    weights = [1 / (v + 0.01) for v in noise] + [100.0] * 3
    prior = np.average([*gain, 0, 0, 0], weights=weights)
    squares = [(g - prior) ** 2 - v for g, v in zip(gain, noise, strict=True)] + [prior**2 + 0.05**2] * 3
    tau2 = max(np.average(squares, weights=weights), 0.01**2)
    found = []
    for g, v in zip(gain, noise, strict=True):
        weight = tau2 / (tau2 + v)
        found.append(float(ndtr((prior + weight * (g - prior)) / np.sqrt(weight * v + v * targets / 30))))
    return found


def test_probabilities_equal_the_formulas() -> None:
    rng = np.random.default_rng(0)
    skill, se = rng.normal(0.1, 0.2, 20), rng.uniform(0.02, 0.2, 20)
    seen = posterior(skill, se, np.full(20, 90.0), np.zeros(20, np.int64))
    np.testing.assert_allclose(seen.probability, slow_probability(skill.tolist(), se.tolist(), 90), rtol=1e-12)


@given(SKILLS, ERRORS)
@settings(max_examples=60)
def test_probabilities_are_probabilities_whatever_the_skill(skill: Floats, se: Floats) -> None:
    seen = posterior(skill, se, np.full(12, 90.0), np.arange(12) % 2)
    assert ((seen.probability >= 0) & (seen.probability <= 1)).all()
    assert np.isfinite(seen.skill).all()


@given(SKILLS, st.permutations(range(12)))
@settings(max_examples=40)
def test_the_order_of_series_is_no_matter(skill: Floats, order: list[int]) -> None:
    se, targets, panel = np.linspace(0.01, 0.5, 12), np.full(12, 90.0), np.arange(12) % 3
    whole = posterior(skill, se, targets, panel)
    moved = posterior(skill[order], se[order], targets, panel[order])
    np.testing.assert_allclose(moved.probability, whole.probability[order], rtol=1e-6, atol=1e-9)


def test_more_skill_is_never_less_trusted() -> None:
    skill = np.linspace(-0.8, 0.4, 50)
    seen = posterior(skill, 0.1 * (1 - skill), np.full(50, 90.0), np.zeros(50, np.int64))
    assert (np.diff(seen.probability) > 0).all()
    assert (np.diff(seen.skill) > 0).all()


def test_few_or_noisy_targets_are_drawn_to_the_panel() -> None:
    skill = np.array([0.3] * 20 + [-0.3, -0.3])
    se = np.array([0.05] * 20 + [0.05, 5.0])
    seen = posterior(skill, se, np.full(22, 90.0), np.zeros(22, np.int64))
    assert seen.skill[20] < 0 < seen.skill[21] <= seen.panel_skill[21]
    assert seen.probability[20] < 0.05
    assert abs(seen.probability[21] - 0.5) < 0.2


def test_a_copy_of_naive_is_not_believed_to_beat_it_and_a_perfect_model_is() -> None:
    copy, perfect = (posterior(np.array([s]), np.zeros(1), np.array([90.0]), ONE).probability for s in (0.0, 1.0))
    assert copy == 0
    assert perfect == 1


def test_a_quiet_series_does_not_drown_its_panel() -> None:
    """Its naive losses were next to nothing: a skill of minus billions."""
    skill, se = np.full(50, 0.2), np.full(50, 0.05)
    targets, panel = np.full(51, 90.0), np.zeros(51, np.int64)
    without = posterior(skill, se, targets[1:], panel[1:])
    beside = posterior(np.append(skill, -1e13), np.append(se, 1e13), targets, panel)
    assert beside.panel_skill[0] == pytest.approx(without.panel_skill[0], abs=0.05)
    np.testing.assert_allclose(beside.probability[:-1], without.probability, atol=0.1)


def test_what_is_unknown_stays_unknown_and_teaches_nothing() -> None:
    skill, se = np.array([0.2, np.nan, 0.1]), np.array([0.1, 0.1, np.nan])
    seen = posterior(skill, se, np.full(3, 90.0), np.zeros(3, np.int64))
    alone = posterior(skill[:1], se[:1], np.full(1, 90.0), ONE)
    assert np.isnan(seen.probability).tolist() == [False, True, True]
    assert np.isnan(seen.skill).tolist() == [False, True, True]
    assert seen.probability[0] == alone.probability[0]


def test_no_series_have_no_posterior() -> None:
    none = np.empty(0)
    assert all(not len(part) for part in posterior(none, none, none, np.empty(0, np.int64)))
    assert not len(shrunk_coverage(none, none, np.empty(0, np.int64)))
    assert not len(coverage_q(none, none, np.empty(0, np.int64)))


def test_coverage_of_few_truths_is_drawn_to_the_panel() -> None:
    coverage = np.array([0.8] * 30 + [0.5, 0.5])
    targets = np.array([90.0] * 30 + [90.0, 2.0])
    shrunk = shrunk_coverage(coverage, targets, np.zeros(32, np.int64))
    assert 0.5 < shrunk[30] < shrunk[31] < 0.8
    assert np.isnan(shrunk_coverage(np.array([np.nan]), np.ones(1), ONE)).all()


def test_q_values_are_those_of_scipy_in_each_panel() -> None:
    rng = np.random.default_rng(1)
    coverage, targets = rng.uniform(0.6, 0.95, 20), rng.uniform(10, 90, 20)
    panel = np.repeat([0, 1], 10)
    p = 2 * ndtr(-np.abs(coverage - 0.8) / np.sqrt(0.16 / targets))
    expected = np.concatenate([false_discovery_control(p[:10]), false_discovery_control(p[10:])])
    np.testing.assert_allclose(coverage_q(coverage, targets, panel), expected, rtol=1e-10)
    assert np.isnan(coverage_q(np.array([np.nan, 0.8]), np.full(2, 90.0), np.zeros(2, np.int64))).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize("misses", [0, 5, 18, 40, 90])
def test_kupiec_is_the_asymptotic_test_of_exceedances(misses: int) -> None:
    found = kupiec_p(np.array([1 - misses / 90]), np.array([90.0]))
    assert found.item() == pytest.approx(kupiec(misses, 90, 0.2).asymptotic, rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_christoffersen_is_the_asymptotic_test_of_exceedances(seed: int) -> None:
    misses = np.random.default_rng(seed).random(90) < 0.3
    before, now = misses[:-1], misses[1:]
    counts = [(~before).sum(), before.sum(), (~before & now).sum(), (before & now).sum()]
    found = christoffersen_p(*(np.array([float(count)]) for count in counts))
    assert found.item() == pytest.approx(christoffersen(misses, 0.2).independence.asymptotic, rel=1e-9)


def test_nothing_known_gives_no_p_value() -> None:
    nan = np.array([np.nan])
    assert np.isnan([kupiec_p(nan, np.ones(1)).item(), christoffersen_p(nan, nan, nan, nan).item()]).all()
