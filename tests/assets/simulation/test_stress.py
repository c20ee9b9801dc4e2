"""Reverse stress: known answers, agreement with a solver and with simulated paths, and refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import optimize, stats

from pulse_assets.simulation.risk.stress import Moments, horizon_moments, linear_bad_moves, most_likely_bad_path
from pulse_assets.simulation.world import Floats, Jumps, World
from tests.assets.simulation.scenario_worlds import small_world

FACTORS = arrays.arrays(float, (3, 3), elements=st.floats(-1, 1)).map(lambda x: x @ x.T + 0.1 * np.eye(3))
EXPOSURES = arrays.arrays(float, 3, elements=st.floats(-10, 10)).filter(lambda w: np.abs(w).max() > 0.1)


def simulated(world: World, steps: int, paths: int, seed: int) -> Floats:
    """Log returns of assets over a horizon, path by path and plainly; shape ``(paths, A)``."""
    rng, count = np.random.default_rng(seed), len(world.assets)
    root = np.linalg.cholesky(world.correlation[:count, :count])
    variance, total = np.tile(world.variance, (paths, 1)), np.zeros((paths, count))
    regimes, jumps = world.regimes, world.jumps
    assert regimes is not None
    regime = rng.choice(len(regimes.now), paths, p=regimes.now)
    for _ in range(steps):
        regime = (rng.random((paths, 1)) > np.cumsum(regimes.transition, axis=1)[regime]).sum(axis=1)
        shock = np.sqrt(variance) * (rng.normal(size=(paths, count)) @ root.T)
        total += world.drift + regimes.drift[regime, None] + regimes.volatility[regime, None] * shock
        if jumps is not None:
            number = rng.poisson(jumps.intensity[regime])
            size = rng.normal(number * jumps.mean, jumps.sd * np.sqrt(number))
            total += jumps.load * size[:, None]
        variance = world.omega + (world.alpha + world.gamma * (shock < 0)) * shock**2 + world.beta * variance
    return total


def test_the_nearest_bad_path_is_found() -> None:
    rng = np.random.default_rng(1)
    moves, paths = rng.normal(size=(500, 4)), rng.permutation(10_000)[:500]
    root = rng.normal(size=(4, 4))
    mean, covariance = rng.normal(size=4), root @ root.T
    found = most_likely_bad_path(paths, moves, Moments(mean, covariance))
    squares = np.array([(x - mean) @ np.linalg.inv(covariance) @ (x - mean) for x in moves])
    assert found.path == paths[squares.argmin()]
    assert found.distance == pytest.approx(np.sqrt(squares.min()))
    assert found.tail_probability == pytest.approx(stats.chi2.sf(squares.min(), 4))
    np.testing.assert_array_equal(found.moves, moves[squares.argmin()])


def test_of_equally_likely_paths_the_first_is_taken() -> None:
    moves = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert most_likely_bad_path(np.array([9, 4, 7]), moves, Moments(np.zeros(2), np.eye(2))).path == 4


def test_directions_that_never_move_do_not_count() -> None:
    one = most_likely_bad_path(np.array([0]), np.array([[-0.2, -0.2]]), Moments(np.zeros(2), np.full((2, 2), 0.01)))
    assert one.distance == pytest.approx(2.0)
    assert one.tail_probability == pytest.approx(stats.chi2.sf(4, 1))


@given(FACTORS, EXPOSURES, st.floats(0.1, 100))
def test_the_linear_answer_is_what_a_solver_finds(covariance: Floats, exposure: Floats, loss: float) -> None:
    mean = np.array([0.01, -0.02, 0.0])
    found = linear_bad_moves(exposure, loss, Moments(mean, covariance))
    if found.distance == 0:
        assert exposure @ mean <= -loss
        return
    assert exposure @ found.moves == pytest.approx(-loss)
    inverse = np.linalg.inv(covariance)
    assert (found.moves - mean) @ inverse @ (found.moves - mean) == pytest.approx(found.distance**2, rel=1e-6)
    aside = np.linalg.svd(exposure[None])[2][1:] * 0.01  # along the edge of the bad half-space nothing is nearer
    for step in (*aside, *-aside):
        other = found.moves + step - mean
        assert other @ inverse @ other > found.distance**2 * (1 - 1e-9)


def test_the_linear_answer_agrees_with_scipy() -> None:
    covariance, exposure, mean = (
        np.array([[0.04, 0.01], [0.01, 0.02]]),
        np.array([100.0, -40.0]),
        np.array([0.02, 0.01]),
    )
    found = linear_bad_moves(exposure, 30.0, Moments(mean, covariance))
    inverse = np.linalg.inv(covariance)
    solved = optimize.minimize(
        lambda d: (d - mean) @ inverse @ (d - mean),
        np.array([-1.0, 0.0]),
        constraints={"type": "ineq", "fun": lambda d: -30.0 - exposure @ d},
        tol=1e-12,
    )
    np.testing.assert_allclose(found.moves, solved.x, atol=1e-5)
    assert found.tail_probability == pytest.approx(
        stats.norm.cdf(-30, exposure @ mean, np.sqrt(exposure @ covariance @ exposure))
    )


def test_simulated_bad_paths_are_never_likelier_than_the_linear_answer() -> None:
    covariance, exposure = np.array([[0.04, 0.01], [0.01, 0.02]]), np.array([100.0, 50.0])
    moves = np.random.default_rng(2).multivariate_normal(np.zeros(2), covariance, 100_000)
    bad = np.flatnonzero(moves @ exposure <= -40)
    moments = Moments(np.zeros(2), covariance)
    found, linear = most_likely_bad_path(bad, moves[bad], moments), linear_bad_moves(exposure, 40.0, moments)
    assert linear.distance <= found.distance < 1.02 * linear.distance
    np.testing.assert_allclose(found.moves, linear.moves, atol=0.05)
    assert len(bad) / 100_000 == pytest.approx(linear.tail_probability, rel=0.02)


def test_an_expected_loss_is_no_stress() -> None:
    found = linear_bad_moves(np.array([100.0]), 5.0, Moments(np.array([-0.1]), np.array([[0.01]])))
    assert found.distance == 0
    assert found.tail_probability == pytest.approx(stats.norm.cdf(0.5))


@pytest.mark.parametrize("jumps", [None, Jumps(np.array([0.02, 0.2]), -0.02, 0.01, np.array([1.0, 0.5]))])
def test_moments_of_a_horizon_are_those_of_simulated_paths(jumps: Jumps | None) -> None:
    world = small_world(jumps=jumps)
    found, paths = horizon_moments(world, 15), simulated(world, 15, 100_000, seed=3)
    error = np.sqrt(np.diag(found.covariance) / len(paths))
    assert (np.abs(paths.mean(axis=0) - found.mean) < 4 * error).all()
    np.testing.assert_allclose(np.cov(paths.T), found.covariance, rtol=0.04)


def test_constant_volatility_grows_with_the_horizon() -> None:
    none = np.zeros(2)
    world = small_world(omega=none, alpha=none, gamma=none, beta=np.ones(2), regimes=None)
    found = horizon_moments(world, 10)
    np.testing.assert_allclose(found.covariance, 10 * np.array([[1e-4, 0.6e-4], [0.6e-4, 4e-4]]))
    np.testing.assert_allclose(found.mean, 10 * world.drift)


def test_what_cannot_be_answered_is_refused() -> None:
    moments, one = Moments(np.zeros(2), np.eye(2)), np.array([1])
    with pytest.raises(ValueError, match="lower the threshold"):
        most_likely_bad_path(np.empty(0, np.int64), np.empty((0, 2)), moments)
    with pytest.raises(ValueError, match="path 1 has a move that is not finite"):
        most_likely_bad_path(one, np.array([[np.nan, 0]]), moments)
    with pytest.raises(ValueError, match="expected moves of shape"):
        most_likely_bad_path(one, np.zeros((1, 3)), moments)
    with pytest.raises(ValueError, match="positive semi-definite"):
        most_likely_bad_path(one, np.zeros((1, 2)), Moments(np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]])))
    for loss in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="positive number of USD"):
            linear_bad_moves(np.ones(2), loss, moments)
    with pytest.raises(ValueError, match="nothing moves"):
        linear_bad_moves(np.zeros(2), 1.0, moments)
    with pytest.raises(ValueError, match="exposure of shape"):
        linear_bad_moves(np.ones(3), 1.0, moments)
    with pytest.raises(ValueError, match="one step"):
        horizon_moments(small_world(), 0)
