"""Laws that simulated paths obey: known answers, moments, distributions, and how often intervals hold the truth.

All seeds are fixed and all bands are four standard errors, so a failure says that a law has changed.
"""

from math import exp, log, sqrt

import numpy as np
import pytest
from scipy import stats

from pulse_assets.simulation.calibration.dynamics.oracles import (
    ar1_moments,
    garch_kurtosis,
    garch_variance,
    gbm_moments,
    merton_moments,
    ou_moments,
    variance_after,
)
from pulse_assets.simulation.engine import simulate
from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.risk.estimators import antithetic_mean, control_variate_mean, plain_mean
from pulse_assets.simulation.risk.estimators import probability_with_interval as share_of
from pulse_assets.simulation.risk.measures import expected_shortfall, value_at_risk
from pulse_assets.simulation.world import Floats, Jumps, Variable, World
from tests.assets.simulation.engine_worlds import (
    CAPITAL,
    FURTHEST,
    assert_mean,
    factor_world,
    no_shocks,
    plain_world,
    profits,
    program_of,
    returns,
    rich_world,
    states,
    traced_row,
    two_regimes,
)

MANY = 2_000_000
RATE, VOLATILITY = 0.05, 0.2
REACH_OF_STEPS = 0.5826
"""How far beyond the last step a Brownian motion has been at most, in deviations of a step: -zeta(1/2) / sqrt(2 pi)."""


def a_year(steps: int, volatility: float = VOLATILITY, rate: float = RATE, **changes: object) -> World:
    """Return an asset under the pricing measure of a year."""
    drift = np.array([(rate - volatility**2 / 2) / steps])
    return plain_world(volatility / sqrt(steps), **({"drift": drift} | changes))


# Brownian motion and what is made of it


@pytest.mark.parametrize("steps", [1, 12])
def test_log_returns_and_prices_have_the_moments_of_brownian_motion(steps: int) -> None:
    world = plain_world(0.05, drift=np.array([0.001]))
    x, known = returns(world, steps, MANY), gbm_moments(0.001, 0.05**2, steps)
    assert_mean(x, known["mean"])
    assert_mean((x - known["mean"]) ** 2, known["variance"])
    assert_mean(((x - known["mean"]) ** 2 / known["variance"]) ** 2, known["kurtosis"])
    price = np.exp(x)
    assert_mean(price, known["price"])
    assert_mean((price - known["price"]) ** 2, known["price_variance"])
    assert stats.kstest((x[::10] - known["mean"]) / sqrt(known["variance"]), "norm").pvalue > 1e-4


@pytest.mark.parametrize("steps", [1, 4, 12])
def test_european_options_cost_what_black_and_scholes_say(steps: int) -> None:
    profit = profits(a_year(steps), steps, MANY)  # spot and strike 100
    assert_mean(exp(-RATE) * np.maximum(profit, 0), 10.450583572186)
    assert_mean(exp(-RATE) * np.maximum(-profit, 0), 5.573526022257)


def test_an_exchange_option_costs_what_margrabe_says() -> None:
    parts = {"drift": -0.5 * np.array([0.2, 0.3]) ** 2 / 4, "variance": np.array([0.2, 0.3]) ** 2 / 4}
    profit = profits(plain_world(assets=2, rho=0.5, **parts), 4, MANY, (100.0, -95.0))
    assert_mean(np.maximum(profit + 5, 0), 12.952272612275)


def test_a_call_on_a_price_that_jumps_costs_what_merton_says() -> None:
    intensity, mean, sd, steps = 0.5, -0.1, 0.15, 12
    growth = exp(mean + sd**2 / 2) - 1
    drift = np.array([(RATE - VOLATILITY**2 / 2 - intensity * growth) / steps])
    world = a_year(steps, drift=drift, jumps=Jumps(np.array([intensity / steps]), mean, sd, np.ones(1)))
    assert_mean(exp(-RATE) * np.maximum(profits(world, steps, MANY), 0), 11.661674787504)
    known = merton_moments(float(drift[0]), VOLATILITY**2 / steps, intensity / steps, mean, sd, steps)
    x = returns(world, steps, MANY) - known["mean"]
    assert_mean(x, 0)
    assert_mean(x**2, known["variance"])
    assert_mean(x**3 / known["variance"] ** 1.5, known["skewness"])


def test_baskets_of_64_cost_what_is_known() -> None:
    """The geometric one has a closed form; with it as control variate the arithmetic one is 9.4567 within 0.001."""
    assets, rate, volatility = 64, 0.02, 0.3
    drift = np.full(assets, (rate - volatility**2 / 2) / 2)
    world = plain_world(volatility / sqrt(2), assets, 0.5, drift=drift)
    program = program_of(world, 2, np.full(assets, CAPITAL / assets), recorded=(2,), traced=H.RECORDED_STEPS)
    geometric, arithmetic = [], []
    for seed in range(4):
        x = states(program, 50_000, seed)[:, 0]
        geometric.append(exp(-rate) * np.maximum(100 * np.exp(x[:, :assets].mean(axis=1)) - 100, 0))
        arithmetic.append(exp(-rate) * np.maximum(x[:, traced_row(program, H.PROFIT)], 0))
    control, value = np.concatenate(geometric), np.concatenate(arithmetic)
    assert_mean(control, 8.2302154241965)
    assert_mean(value, 9.4567)
    found = control_variate_mean(value, control[:, None], np.array([8.2302154241965]))
    assert abs(float(found.value) - 9.4567) < 0.001 + FURTHEST * float(found.standard_error)
    assert float(found.standard_error) < 0.004


def test_the_worst_drawdown_of_brownian_motion_is_what_is_expected() -> None:
    """sqrt(pi/2) sd sqrt(T) in continuous time; steps miss the highest point before a fall and the lowest in it."""
    steps, sd = 1000, 0.01
    program = program_of(plain_world(sd, drift=np.zeros(1)), steps)
    depth = -np.log1p(-simulate(program, 3, 0, 100_000).outcomes[1].astype(np.float64))
    assert_mean(depth / (sd * sqrt(steps)), sqrt(np.pi / 2) - 2 * REACH_OF_STEPS / sqrt(steps))


def test_errors_shrink_with_the_root_of_the_number_of_paths() -> None:
    profit = profits(a_year(1), 1, MANY, seed=5)
    sizes = 2 ** np.arange(6, 15)
    errors = [exp(-RATE) * np.maximum(profit[: n * 120], 0).reshape(120, n).mean(axis=1).std(ddof=1) for n in sizes]
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.05)


# volatility


def test_returns_of_garch_have_the_known_variance_and_kurtosis() -> None:
    """Its kurtosis is 3 E[h²] / E[h]², which conditional variances tell far better than fourth powers of returns."""
    omega, alpha, beta = (np.array([value]) for value in (1e-6, 0.08, 0.9))
    world = plain_world(drift=np.zeros(1), variance=np.array([5e-5]), omega=omega, alpha=alpha, beta=beta)
    assert garch_variance(1e-6, 0.08, 0, 0.9) == pytest.approx(5e-5)
    program = program_of(world, 500, recorded=(499, 500), traced=H.RECORDED_STEPS)
    x = np.concatenate([states(program, 200_000, seed) for seed in range(4)])
    r, h = x[:, 1, 0] - x[:, 0, 0], x[:, 0, traced_row(program, H.VARIANCE)]
    assert_mean(r**2, 5e-5)
    assert_mean(h, 5e-5)
    assert_mean(3 * h**2 / 5e-5**2, 4.432835820895518)
    assert np.mean(r**4) / np.mean(r**2) ** 2 == pytest.approx(garch_kurtosis(0.08, 0, 0.9), rel=0.04)


@pytest.mark.parametrize("innovations", ["normal", "student_t"])
def test_expected_variances_run_to_the_long_run_as_they_should(innovations: str) -> None:
    """Also with leverage, with tails, and with regimes, which scale returns and stay out of the recursion."""
    world = rich_world(innovations=innovations, jumps=None)
    program = program_of(world, 60, np.zeros(3) + 1, traced=H.EVERY_STEP)
    first = traced_row(program, H.VARIANCE)
    h = states(program, 40_000)[..., first : first + 3]
    persistence = world.alpha + world.gamma / 2 + world.beta
    for a in range(3):
        known = variance_after(world.variance[a], world.omega[a], persistence[a], 61)[1:]
        assert_mean(h[:, ::10, a], known[::10])


def test_a_fall_raises_variance_by_gamma_more() -> None:
    world = rich_world(innovations="normal", regimes=None, jumps=None)
    program = program_of(world, 2, np.ones(3), traced=H.EVERY_STEP)
    x = states(program, 5000)
    first = traced_row(program, H.VARIANCE)
    for a in range(3):
        e = x[:, 0, a] - world.drift[a]
        weight = world.alpha[a] + world.gamma[a] * (e < 0)
        expected = world.omega[a] + weight * e**2 + world.beta[a] * world.variance[a]
        np.testing.assert_allclose(x[:, 0, first + a], expected, rtol=2e-5)


def test_a_scenario_multiplies_the_variance_of_its_steps_alone() -> None:
    world = plain_world(0.01, drift=np.zeros(1))
    variance = np.array([1.0, 9.0, 1.0])
    program = program_of(world, 3, shocks=no_shocks(world, 3, variance=variance), traced=H.EVERY_STEP)
    steps = np.diff(states(program, 200_000)[..., 0], axis=1, prepend=0.0)
    assert_mean(steps**2, 1e-4 * variance)


# factors


def test_the_exact_step_of_ornstein_and_uhlenbeck_has_its_mean_and_variance() -> None:
    kappa, mean, sd, start, steps = 2.0, 0.5, 0.3, 1.0, 50
    assert ou_moments(kappa, mean, sd, start, 1) == pytest.approx((0.5676676416, 0.0220878981), abs=1e-10)
    phi = exp(-kappa / steps)
    world = factor_world(start, mean, phi, sd * sqrt((1 - phi**2) / (2 * kappa)))
    program = program_of(world, steps, recorded=(20, steps), traced=H.RECORDED_STEPS)
    m = states(program, 400_000)[..., 1]
    assert_mean(m[:, 1], 0.5676676416)
    assert_mean((m[:, 1] - 0.5676676416) ** 2, 0.0220878981)
    known = ar1_moments(phi, mean, float(world.sigma[0]), start, 20)
    assert_mean(m[:, 0], known["mean"])
    assert_mean((m[:, 0] - known["mean"]) ** 2, known["variance"])


def test_a_factor_on_a_log_scale_has_the_law_of_its_logarithm() -> None:
    world = factor_world(log(20), log(15), 0.9, 0.1, scale="log", low=1.0, high=500.0)
    program = program_of(world, 8, recorded=(8,), traced=H.RECORDED_STEPS)
    state, known = states(program, 200_000)[:, 0, 1], ar1_moments(0.9, log(15), 0.1, log(20), 8)
    assert_mean(state, known["mean"])
    assert stats.kstest((state[::4] - known["mean"]) / sqrt(known["variance"]), "norm").pvalue > 1e-4


def test_factors_stay_within_their_bounds_and_leave_them_again() -> None:
    world = factor_world(0.5, 0.5, 0.95, 0.2, low=0.0, high=1.0)
    m = states(program_of(world, 40, traced=H.EVERY_STEP), 2000)[..., 1]
    assert (m.min(), m.max()) == (0, 1)
    for end in (0, 1):
        there = m[:, :-1] == end
        assert 0.2 < (m[:, 1:][there] != end).mean() < 0.8


def test_tiny_factors_become_nothing() -> None:
    """Numbers below 1e-30 would slow processors down."""
    m = states(program_of(factor_world(1.0, 0.0, 0.5, 0.0), 200, traced=H.EVERY_STEP), 1)[0, :, 1]
    np.testing.assert_allclose(m[:99], 0.5 ** np.arange(1, 100), rtol=1e-5)
    assert (m[100:] == 0).all()


# regimes and jumps


def test_regimes_take_their_shares_of_time_and_last_as_long_as_they_should() -> None:
    world = plain_world(regimes=two_regimes())
    program = program_of(world, 400, traced=H.EVERY_STEP)
    regime = states(program, 8192)[..., traced_row(program, H.REGIME)]
    assert set(np.unique(regime)) == {0, 1}
    late = regime[:, 200:]
    assert_mean((late == 0).mean(axis=1), 5 / 7)
    assert_mean((late == 1).mean(axis=1), 2 / 7)
    for place, stay in ((0, 50), (1, 20)):
        left = (regime[:, 1:] != place)[regime[:, :-1] == place]
        error = sqrt((1 / stay) * (1 - 1 / stay) / len(left))
        assert abs(left.mean() - 1 / stay) < FURTHEST * error
        assert 1 / left.mean() == pytest.approx(stay, rel=0.02)


def test_the_first_regime_is_drawn_from_what_was_known_at_the_origin() -> None:
    world = plain_world(regimes=two_regimes((0.3, 0.7)))
    program = program_of(world, 1, traced=H.EVERY_STEP)
    regime = states(program, 400_000)[:, 0, traced_row(program, H.REGIME)]
    assert_mean(regime, 0.3 * 0.02 + 0.7 * 0.95)


def test_a_regime_scales_shocks_and_shifts_drift() -> None:
    world = plain_world(0.01, drift=np.array([1e-3]), regimes=two_regimes((0.5, 0.5)))
    program = program_of(world, 1, traced=H.EVERY_STEP)
    x = states(program, 400_000)[:, 0]
    regime = x[:, traced_row(program, H.REGIME)]
    assert world.regimes is not None
    for place in range(2):
        r = x[regime == place, 0] - 1e-3 - world.regimes.drift[place]
        assert_mean(r, 0)
        assert_mean(r**2, 1e-4 * world.regimes.volatility[place] ** 2)


def test_forced_regimes_hold_for_their_steps() -> None:
    world = plain_world(regimes=two_regimes())
    forced = np.array([-1, 1, 1, -1, 0, -1])
    program = program_of(world, 6, shocks=no_shocks(world, 6, regime=forced), traced=H.EVERY_STEP)
    regime = states(program, 100_000)[..., traced_row(program, H.REGIME)]
    assert (regime[:, [1, 2]] == 1).all()
    assert (regime[:, 4] == 0).all()
    assert_mean(regime[:, [3, 5]], [0.95, 0.02])


def test_jumps_come_as_often_as_poisson_says_in_each_regime() -> None:
    intensity = np.array([0.3, 1.5])
    world = plain_world(
        1e-6, drift=np.zeros(1), regimes=two_regimes((0.5, 0.5)), jumps=Jumps(intensity, 1.0, 0.0, np.full(1, 0.25))
    )
    calm = world.with_(regimes=None, jumps=Jumps(intensity[:1], 1.0, 0.0, np.full(1, 0.25)))
    for each, lam, at in ((calm, 0.3, None), (world, 0.3, 0), (world, 1.5, 1)):
        program = program_of(each, 1, traced=H.EVERY_STEP)
        x = states(program, 200_000)[:, 0]
        x = x if at is None else x[x[:, traced_row(program, H.REGIME)] == at]
        jumps = np.rint(x[:, 0] / 0.25).astype(int)
        most = 6 if lam > 1 else 4
        counts = np.bincount(np.minimum(jumps, most), minlength=most + 1)
        expected = np.append(stats.poisson.pmf(np.arange(most), lam), stats.poisson.sf(most - 1, lam)) * len(x)
        assert stats.chisquare(counts, expected).pvalue > 1e-4


def test_jumps_are_common_to_assets_by_their_loads() -> None:
    loads = np.array([1.0, 0.5, 0.0])
    world = plain_world(1e-6, 3, drift=np.zeros(3), jumps=Jumps(np.array([0.5]), 0.02, 0.1, loads))
    x = states(program_of(world, 1, np.ones(3), traced=H.EVERY_STEP), 20_000)[:, 0, :3]
    np.testing.assert_allclose(x, np.outer(x[:, 0], loads), atol=2e-5)
    assert_mean(x[:, 0] ** 2, 0.5 * (0.02**2 + 0.1**2) + 0.25 * 0.02**2)


# what drives assets together


def random_correlation(size: int) -> Floats:
    mixing = np.random.default_rng(size).normal(size=(size, 3))
    covariance = mixing @ mixing.T + np.eye(size)
    sd = np.sqrt(np.diag(covariance))
    return np.asarray(covariance / sd / sd[:, None])


@pytest.mark.parametrize("size", [2, 5, 12])
def test_shocks_have_the_correlation_of_the_world(size: int) -> None:
    correlation, paths = random_correlation(size), 200_000
    world = plain_world(0.01, size, drift=np.zeros(size), correlation=correlation)
    x = states(program_of(world, 1, np.ones(size), traced=H.EVERY_STEP), paths)[:, 0, :size] / 0.01
    products = x[:, :, None] * x[:, None, :]
    assert_mean(products.reshape(paths, -1), correlation.ravel())


def test_assets_and_factors_share_their_shocks() -> None:
    world = rich_world(innovations="normal", regimes=None, jumps=None, level=np.array([log(20), 0.5, 3.0]))
    x = states(program_of(world, 1, np.ones(3), traced=H.EVERY_STEP), 200_000)[:, 0, :6]
    inside = (x[:, 4] > 0) & (x[:, 4] < 1)
    assert inside.mean() > 0.999
    expected = np.concatenate([world.drift, world.mean + world.phi * (world.level - world.mean)])
    shocks = (x - expected) / np.concatenate([np.sqrt(world.variance), world.sigma])
    products = shocks[:, :, None] * shocks[:, None, :]
    assert_mean(products.reshape(len(x), -1), world.correlation.ravel())


def test_phases_of_a_scenario_have_their_own_correlation() -> None:
    world = plain_world(0.01, 2, 0.1, drift=np.zeros(2))
    shocks = no_shocks(
        world, 2, phase=np.array([0, 1]), correlations=(world.correlation, np.array([[1, 0.9], [0.9, 1]]))
    )
    x = states(program_of(world, 2, np.ones(2), shocks=shocks, traced=H.EVERY_STEP), 100_000)[..., :2] / 0.01
    steps = np.diff(x, axis=1, prepend=0.0)
    assert_mean(steps[..., 0] * steps[..., 1], [0.1, 0.9])


@pytest.mark.parametrize("nu", [3, 4, 5, 6, 7, 30])
def test_student_shocks_are_students_with_unit_variance(nu: int) -> None:
    world = plain_world(0.05, drift=np.zeros(1), innovations="student_t", nu=nu)
    x = states(program_of(world, 1, traced=H.EVERY_STEP), 200_000)[:, 0, 0] / 0.05
    assert stats.kstest(x * sqrt(nu / (nu - 2)), stats.t(nu).cdf).pvalue > 1e-4
    if nu > 4:
        assert_mean(x**2, 1.0)


def test_student_shocks_are_extreme_together() -> None:
    """One chi-square for all assets: their squares depend although they are not correlated."""
    world = plain_world(0.01, 2, drift=np.zeros(2), innovations="student_t", nu=5)
    x = states(program_of(world, 2, np.ones(2), traced=H.EVERY_STEP), 200_000)[..., :2]
    first, second = np.moveaxis(np.diff(x, axis=1, prepend=0.0), 1, 0)
    assert_mean(first[:, 0] * first[:, 1], 0.0)
    far = stats.t(5).ppf(0.99) * 0.01 * sqrt(3 / 5)
    together = (np.abs(first) > far).all(axis=1).mean()
    assert together > 0.02**2 * 5
    apart = (np.abs(first[:, 0]) > far) & (np.abs(second[:, 1]) > far)
    assert_mean(apart.astype(float), 0.02**2)  # but one of each step


def past_days(days: int = 150, assets: int = 3) -> Floats:
    shocks = np.random.default_rng(2).standard_t(4, size=(days, assets)) @ np.array(
        [[1, 0.5, 0], [0, 1, 0], [0, 0.3, 1]]
    )
    return np.asarray(shocks / np.sqrt(np.mean(shocks**2, axis=0)))


def days_drawn(block_length: float, steps: int, paths: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the past day of every step, and how far the step is from that day's residuals, in deviations."""
    past, sd = past_days(), 0.01
    world = plain_world(
        sd, 3, drift=np.full(3, 1e-4), innovations="historical", residuals=past, block_length=block_length
    )
    x = states(program_of(world, steps, np.ones(3), traced=H.EVERY_STEP), paths)[..., :3]
    shocks = (np.diff(x, axis=1, prepend=0.0) - 1e-4) / sd
    day = np.argmin(np.abs(shocks[..., :1] - past[:, 0]), axis=-1)
    return day, np.abs(shocks - past[day]).max(axis=-1)


def test_historical_shocks_are_whole_days_each_as_likely_as_any() -> None:
    day, off = days_drawn(1.0, 1, 200_000)
    assert off.max() < 2e-5
    assert stats.chisquare(np.bincount(day[:, 0], minlength=150)).pvalue > 1e-4


def test_single_days_do_not_depend_on_the_day_before() -> None:
    day, _ = days_drawn(1.0, 2, 100_000)
    table = np.bincount(day[:, 0] // 30 * 5 + day[:, 1] // 30, minlength=25).reshape(5, 5)
    assert stats.chi2_contingency(table).pvalue > 1e-4
    follows = day[:, 1] == (day[:, 0] + 1) % 150
    assert_mean(follows.astype(float), 1 / 150)


def test_blocks_of_days_are_as_long_as_they_should_be() -> None:
    """A run goes on with the next day, the first after the last, and breaks off with probability 1/length."""
    length, days = 8.0, 150
    day, off = days_drawn(length, 100, 2000)
    assert off.max() < 1e-4
    follows = day[:, 1:] == (day[:, :-1] + 1) % days
    assert_mean(follows.mean(axis=1), 1 - 1 / length * (1 - 1 / days))
    assert (day[:, :-1] == days - 1)[follows].any()
    runs = np.diff(np.flatnonzero(np.append(~follows, True, axis=None)))
    assert runs.mean() == pytest.approx(length / (1 - 1 / days), rel=0.03)
    assert stats.chisquare(np.bincount(day[:, -1] // 15, minlength=10)).pvalue > 1e-4


# mirrored paths


def test_mirrored_paths_have_opposite_shocks() -> None:
    world = plain_world(0.05, drift=np.array([0.01]))
    program = program_of(world, 6, antithetic=True, traced=H.EVERY_STEP)
    x = states(program, 2000)[..., 0] - 0.01 * np.arange(1, 7)
    np.testing.assert_allclose(x[::2] + x[1::2], 0, atol=3e-7)
    np.testing.assert_array_equal(states(program, 2000)[::2], states(program_of(world, 6, traced=H.EVERY_STEP), 1000))


def test_mirroring_helps_means_and_keeps_their_laws() -> None:
    world, paths = a_year(1), 400_000
    profit = simulate(program_of(world, 1, antithetic=True, tracked=False), 1, 0, paths).outcomes[0].astype(float)
    call = exp(-RATE) * np.maximum(profit, 0)
    found = antithetic_mean(call[::2], call[1::2])
    assert abs(float(found.value) - 10.450583572186) < FURTHEST * float(found.standard_error)
    plain = plain_mean(exp(-RATE) * np.maximum(profits(world, 1, paths), 0))
    assert 1.5 < float(plain.standard_error / found.standard_error) ** 2 < 2.5
    assert (
        stats.kstest(np.log1p(profit[1::2] / 100), stats.norm(RATE - VOLATILITY**2 / 2, VOLATILITY).cdf).pvalue > 1e-4
    )


def test_mirrored_paths_have_the_laws_of_regimes_and_jumps() -> None:
    world = plain_world(
        1e-6, drift=np.zeros(1), regimes=two_regimes((0.3, 0.7)), jumps=Jumps(np.full(2, 0.4), 0.25, 0.1, np.ones(1))
    )
    program = program_of(world, 1, antithetic=True, traced=H.EVERY_STEP)
    x = states(program, 200_000)[1::2, 0]
    assert_mean(x[:, traced_row(program, H.REGIME)], 0.3 * 0.02 + 0.7 * 0.95)
    assert_mean(x[:, 0], 0.4 * 0.25)
    assert_mean(x[:, 0] ** 2, 0.4 * (0.25**2 + 0.1**2) + 0.4**2 * 0.25**2)


# risk of one step

LEVELS = (0.95, 0.975, 0.99)
NORMAL_VAR = (1.6448536269515, 1.9599639845401, 2.3263478740408)
NORMAL_ES = (2.0627128075074, 2.3378027922014, 2.6652142203458)


def one_step(paths: int, seed: int, **parts: object) -> Floats:
    """Return shocks of one step as an outcome's profit tells them, in deviations."""
    world = plain_world(0.1, drift=np.zeros(1), **parts)
    return returns(world, 1, paths, seed) / 0.1


def student_shortfall(level: float, nu: int) -> float:
    q = stats.t(nu).ppf(level)
    return float(stats.t(nu).pdf(q) * (nu + q**2) / ((nu - 1) * (1 - level)))


def test_value_at_risk_and_shortfall_of_normal_steps_are_the_known_ones() -> None:
    shocks = one_step(MANY, 2)
    for found, known in ((value_at_risk(shocks, LEVELS), NORMAL_VAR), (expected_shortfall(shocks, LEVELS), NORMAL_ES)):
        assert (np.abs(found.value - known) < FURTHEST * found.standard_error).all()
        assert ((found.low < known) & (known < found.high)).all()
        assert (found.standard_error < 0.004).all()


def test_value_at_risk_and_shortfall_of_student_steps_are_the_known_ones() -> None:
    shocks = one_step(MANY, 3, innovations="student_t", nu=5) * sqrt(5 / 3)
    var, shortfall = value_at_risk(shocks, [0.99]), expected_shortfall(shocks, [0.99])
    assert student_shortfall(0.99, 5) == pytest.approx(4.452429111818)
    for found, known in ((var, 3.364929998907), (shortfall, 4.452429111818)):
        assert float(found.low[0]) < known < float(found.high[0])


@pytest.mark.parametrize("nu", [0, 5], ids=["normal", "student"])
def test_intervals_hold_the_truth_in_95_of_100_replications(nu: int) -> None:
    """Means, shares, VaR and shortfall of 1,000 runs: 93 to 97 % of their intervals hold the known value."""
    runs, paths = 1000, 4000
    parts = {"innovations": "student_t", "nu": nu} if nu else {}
    law = stats.t(nu) if nu else stats.norm
    shocks = one_step(runs * paths, 4, **parts) * (sqrt(nu / (nu - 2)) if nu else 1)
    shortfalls = [student_shortfall(level, nu) for level in LEVELS] if nu else list(NORMAL_ES)
    known = np.array([0, 0.1, *law.ppf(LEVELS), *shortfalls])
    threshold = law.ppf(0.1)
    held = np.zeros(len(known))
    for run in shocks.reshape(runs, paths):
        below = int((run < threshold).sum())
        found = (plain_mean(run), share_of(below, paths), value_at_risk(run, LEVELS), expected_shortfall(run, LEVELS))
        low, high = (np.concatenate([np.atleast_1d(getattr(each, end)) for each in found]) for end in ("low", "high"))
        held += (low <= known) & (known <= high)
    assert (held >= 0.93 * runs).all(), held
    assert (held <= 0.97 * runs).all(), held


def test_a_variable_of_the_world_is_what_it_is_called() -> None:
    """Outcomes are those of the portfolio: positions times price relatives, less what was paid."""
    world = rich_world()
    program = program_of(world, 5, (60.0, -20.0, 35.0), traced=H.EVERY_STEP)
    x = states(program, 1000)
    pnl = np.expm1(x[..., :3]) @ [60.0, -20.0, 35.0]
    np.testing.assert_allclose(x[..., traced_row(program, H.PROFIT)], pnl, atol=2e-5)
    np.testing.assert_allclose(x[..., traced_row(program, H.EXPOSURE)], pnl + 75.0, atol=2e-5)
    assert isinstance(world.variables[0], Variable)
