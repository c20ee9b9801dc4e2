"""Quasi-random normals: their law, what they do to variance, and bits that do not depend on blocks."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pulse_assets.simulation.risk import quasi
from pulse_assets.simulation.risk.quasi import normals_of, plan_sobol, sobol_normals

ASSETS, STEPS = 8, 6
CORRELATION = np.full((ASSETS, ASSETS), 0.5) + 0.5 * np.eye(ASSETS)
CHOL = np.linalg.cholesky(CORRELATION)
WEIGHTS = np.array([0.3, 0.1, -0.2, 0.5, 0.0, 0.2, 0.1, 0.4])


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("order", ["terminal", "brownian"])
def test_both_turns_are_orthogonal(weights: np.ndarray | None, order: quasi.Order) -> None:
    plan = plan_sobol(64, STEPS, CHOL, 1, weights, order)
    np.testing.assert_allclose(plan.across.T @ plan.across, np.eye(ASSETS), atol=1e-6)
    np.testing.assert_allclose(plan.along.T @ plan.along, np.eye(STEPS), atol=1e-6)
    assert sorted(plan.place.ravel()) == list(range(STEPS * ASSETS))
    assert plan.place[0, 0] == 0


def test_the_waves_are_the_eigenvectors_they_are_said_to_be() -> None:
    t = np.arange(1, STEPS + 1)
    motion = np.minimum.outer(t, t).astype(float)
    bridge = motion - np.outer(t, t) / STEPS
    for order, covariance, skip in (("brownian", motion, 0), ("terminal", bridge, 1)):
        increments, lengths = quasi._waves(STEPS, order)
        waves = np.cumsum(increments, axis=0)[:, skip:]
        values = np.sort(np.linalg.eigvalsh(covariance))[::-1][: STEPS - skip]
        np.testing.assert_allclose(lengths[skip:], values, atol=1e-9)
        np.testing.assert_allclose(covariance @ waves, waves * values, atol=1e-9)
    np.testing.assert_allclose(quasi._waves(STEPS, "terminal")[0][:, 0], 1 / np.sqrt(STEPS))


def test_the_portfolio_moves_with_the_first_dimension_alone_to_first_order() -> None:
    plan = plan_sobol(1024, STEPS, CHOL, 3, WEIGHTS)
    z = normals_of(plan, 0).astype(float)
    profit = (z @ CHOL.T @ WEIGHTS).sum(axis=1) / np.sqrt(STEPS * (WEIGHTS @ CORRELATION @ WEIGHTS))
    strata = np.sort(np.floor(stats.norm.cdf(profit) * 1024))
    assert len(np.unique(strata)) > 1000  # one path a stratum but for rounding at their edges


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_they_are_independent_standard_normals(weights: np.ndarray | None) -> None:
    plan = plan_sobol(256, STEPS, CHOL, 5, weights)
    z = np.concatenate([normals_of(plan, replicate) for replicate in range(200)]).reshape(-1, STEPS * ASSETS)
    assert stats.kstest(z[::7].ravel()[:20_000], "norm").pvalue > 1e-3
    covariance = np.cov(z.T)
    np.testing.assert_allclose(covariance, np.eye(STEPS * ASSETS), atol=0.03)
    assert abs(z.mean()) < 1e-3


@settings(max_examples=20)
@given(st.integers(0, 256), st.integers(0, 256), st.integers(0, 2))
def test_a_range_of_paths_has_the_bits_of_the_whole(first: int, last: int, replicate: int) -> None:
    first, last = sorted((first, last))
    plan = plan_sobol(256, STEPS, CHOL, 7, WEIGHTS)
    part = normals_of(plan, replicate, first, last - first)
    np.testing.assert_array_equal(part, normals_of(plan, replicate)[first:last])


def test_sums_are_exact_so_no_bit_depends_on_the_library() -> None:
    plan = plan_sobol(64, STEPS, CHOL, 7, WEIGHTS)
    engine = quasi.deepcopy(quasi._engine(plan.place.size, 7, 0))
    coordinates = engine.random(64) + 2.0**-33
    ordered = (np.rint(quasi.ndtri(coordinates) * 2**19) / 2**19)[:, plan.place]
    across = [[[sum((row * plan.across[v]).tolist()[::-1]) for v in range(ASSETS)] for row in path] for path in ordered]
    shocks = np.rint(np.array(across) * 2**19) / 2**19
    along = [
        [[sum((path[:, v] * plan.along[t]).tolist()[::-1]) for v in range(ASSETS)] for t in range(STEPS)]
        for path in shocks
    ]
    np.testing.assert_array_equal(normals_of(plan, 0), np.array(along).astype(np.float32))


def test_scrambles_and_seeds_differ_and_come_again() -> None:
    first = sobol_normals(64, 2, CHOL, 0, 1)
    np.testing.assert_array_equal(first, sobol_normals(64, 2, CHOL, 0, 1))
    assert (first != sobol_normals(64, 2, CHOL, 1, 1)).mean() > 0.99
    assert (first != sobol_normals(64, 2, CHOL, 0, 2)).mean() > 0.99


def test_an_average_needs_far_fewer_paths_than_plain_ones() -> None:
    n, replicates = 1024, 32
    plan = plan_sobol(n, STEPS, CHOL, 11, np.full(ASSETS, 0.3))

    def value(z: np.ndarray) -> float:
        x = 0.3 * (z @ CHOL.T).sum(axis=1) / np.sqrt(STEPS)
        return float(np.maximum(np.exp(x).mean(axis=1) - 1, 0).mean())

    rng = np.random.default_rng(1)
    plain = np.var([value(rng.standard_normal((n, STEPS, ASSETS))) for _ in range(200)])
    assert plain / np.var([value(normals_of(plan, replicate)) for replicate in range(replicates)]) > 300


def test_more_variables_than_assets_are_turned_too() -> None:
    weights = np.where(np.arange(ASSETS) < 3, 0.2, 0.0)
    plan = plan_sobol(64, 2, CHOL, 1, weights)
    np.testing.assert_allclose(plan.across.T @ plan.across, np.eye(ASSETS), atol=1e-6)
    assert np.isfinite(normals_of(plan, 0)).all()


@pytest.mark.parametrize("variables", [1, 2])
def test_one_variable_and_one_step_are_enough(variables: int) -> None:
    z = sobol_normals(64, 1, np.eye(variables), 0, 1, np.ones(variables))
    assert z.shape == (64, 1, variables)
    assert abs(z.mean()) < 0.05


def test_the_largest_dimension_works_and_one_more_is_refused() -> None:
    assert normals_of(plan_sobol(64, 37, np.eye(573), 1), 0, 0, 1).shape == (1, 37, 573)  # 21,201 in all
    with pytest.raises(
        ValueError, match=r"21,202 dimensions, but Sobol points have at most 21,201: take at most 10600"
    ):
        plan_sobol(64, 10_601, np.eye(2), 1)


def test_what_would_be_out_of_balance_or_range_is_refused() -> None:
    with pytest.raises(ValueError, match="powers of two; came 1000 paths: take 512 or 1024"):
        plan_sobol(1000, 1, CHOL, 1)
    with pytest.raises(ValueError, match="expected 8 finite weights"):
        plan_sobol(64, 1, CHOL, 1, np.zeros(ASSETS))
    with pytest.raises(ValueError, match="not within the 64 of the plan"):
        normals_of(plan_sobol(64, 1, CHOL, 1), 0, 60, 5)
    with pytest.raises(ValueError, match="at least one step"):
        plan_sobol(64, 0, CHOL, 1)


def test_importing_it_does_not_import_scipy_stats() -> None:
    text = "import sys, pulse_assets.simulation.risk.quasi; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 0
