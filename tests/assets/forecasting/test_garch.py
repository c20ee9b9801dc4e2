"""GJR-GARCH fits, the variances that follow, and filtered historical simulation."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from pulse_assets.forecasting import fhs
from pulse_assets.forecasting.fhs import (
    filtered_historical_paths,
    filtered_historical_quantiles,
    random_words,
    standardised_residuals,
)
from pulse_assets.forecasting.garch import (
    REASONS,
    GjrFit,
    filter_variance,
    fit_gjr,
    update_variance,
    variance_path,
)
from pulse_assets.forecasting.garch_likelihood import likelihood
from pulse_assets.forecasting.garch_steps import BOUNDS, bounded_step
from pulse_assets.numerics.quantiles import LEVELS

TRUTH = {"mu": 5e-4, "omega": 4e-6, "alpha": 0.03, "gamma": 0.10, "beta": 0.88}
HORIZON = 10


def stated(series: int = 1, nu: float = np.inf, **parameters: float) -> GjrFit:
    """Return a fit with stated parameters, beginning at its long-run variance."""
    mu, omega, alpha, gamma, beta = (np.full(series, parameters.get(name, 0.0)) for name in TRUTH)
    first = omega / (1 - alpha - 0.5 * gamma - beta)
    return GjrFit(
        mu, omega, alpha, gamma, beta, np.full(series, nu), np.zeros(series), first, np.zeros(series, np.int8)
    )


def simulated(fit: GjrFit, z: np.ndarray) -> np.ndarray:
    """Return the returns that have the given residuals, shape ``(S, n)``, one step after another."""
    returns, h = np.empty_like(z), fit.first_variance.copy()
    for t in range(z.shape[1]):
        returns[:, t] = fit.mu + np.sqrt(h) * z[:, t]
        h = update_variance(fit, returns[:, t], h)
    return returns


def stacked(rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return values and offsets."""
    return np.concatenate(rows), np.cumsum([0, *map(len, rows)])


@pytest.fixture(scope="module")
def panel() -> tuple[np.ndarray, np.ndarray]:
    """Returns of different lengths: calm, wild, heavy-tailed, persistent, and some that cannot be fitted."""
    rng = np.random.default_rng(5)
    fitted = simulated(stated(4, **TRUTH), rng.standard_t(6, (4, 900)) / np.sqrt(1.5))
    odd = [rng.normal(0, 0.01, 300), np.zeros(200), rng.normal(size=30), np.append(rng.normal(size=200), np.nan)]
    return stacked([*(row[: 900 - 131 * k] for k, row in enumerate(fitted)), *odd])


def plain_likelihood(x: np.ndarray, backcast: float, theta: np.ndarray) -> float:
    """Return the log-likelihood as the textbook has it."""
    mu, omega, alpha, gamma, beta, eta = theta
    h, total = omega + (alpha + gamma / 2 + beta) * backcast, 0.0
    for value in x:
        e = value - mu
        if eta == 0:
            total -= 0.5 * (math.log(2 * math.pi * h) + e * e / h)
        else:
            nu = 1 / eta
            total += math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(math.pi * (nu - 2) * h)
            total -= 0.5 * (nu + 1) * math.log1p(e * e / ((nu - 2) * h))
        h = omega + (alpha + gamma * (e < 0)) * e * e + beta * h
    return total


ETAS = pytest.mark.parametrize("eta", [0.0, 0.004, 0.125, 0.45])
LENGTHS = pytest.mark.parametrize("n", [100, 101, 127, 1003])


@ETAS
@LENGTHS
def test_the_likelihood_is_the_plain_recursion(eta: float, n: int) -> None:
    x, theta = np.random.default_rng(n).standard_t(5, n), np.array([0.02, 0.05, 0.03, 0.1, 0.85, eta])
    value = likelihood(x, 1.3, theta, np.empty((10, n + 1)), np.empty(6))
    assert value == pytest.approx(plain_likelihood(x, 1.3, theta), rel=1e-12)


@ETAS
@LENGTHS
def test_the_gradient_is_the_slope_of_the_likelihood(eta: float, n: int) -> None:
    x, theta = np.random.default_rng(n).standard_t(5, n), np.array([0.02, 0.05, 0.03, 0.1, 0.85, eta])
    gradient = np.empty(6)
    likelihood(x, 1.3, theta, np.empty((10, n + 1)), gradient)
    for place in range(6 if eta else 5):
        move = np.zeros(6)
        move[place] = 1e-6
        slope = (plain_likelihood(x, 1.3, theta + move) - plain_likelihood(x, 1.3, theta - move)) / 2e-6
        assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-3)


def best_within_bounds(theta: np.ndarray, gradient: np.ndarray, inverse: np.ndarray) -> float:
    """Return the most that the quadratic model gains within the bounds, by trying every set of bounds that bind."""
    weights, room = BOUNDS[:, :6], BOUNDS[:, :6] @ theta - BOUNDS[:, 6]
    curvature, best = np.linalg.inv(inverse), 0.0
    for count in range(6):
        for binding in map(list, combinations(range(len(BOUNDS)), count)):
            across = weights[binding] @ inverse @ weights[binding].T
            if np.linalg.matrix_rank(across, hermitian=True) == count:
                push = np.linalg.solve(across, -room[binding] - weights[binding] @ inverse @ gradient)
                step = inverse @ (gradient + weights[binding].T @ push)
                if (weights @ step + room > -1e-9).all():
                    best = max(best, gradient @ step - 0.5 * step @ curvature @ step)
    return best


@given(st.integers(0, 2**32))
@settings(max_examples=100)
def test_a_step_is_the_best_within_the_bounds(seed: int) -> None:
    """Whatever the model: from inside, from an edge and from a corner."""
    rng = np.random.default_rng(seed)
    alpha, lift, beta = rng.dirichlet(np.ones(4))[:3] * (rng.random(3) < 0.6)
    theta = np.array([0.0, 0.1 * rng.random() + 1e-8, alpha, lift - alpha, beta, rng.choice([0.002, 0.2, 1 / 2.05])])
    root = rng.normal(size=(6, 6)) * 10.0 ** rng.uniform(-1.5, 0, 6)
    inverse, gradient, step = root @ root.T + 1e-6 * np.eye(6), rng.normal(size=6), np.empty(6)
    gain = bounded_step(theta, gradient, inverse, step)
    assert (BOUNDS[:, :6] @ (theta + step) - BOUNDS[:, 6] > -1e-7).all()
    reached = gain - 0.5 * step @ np.linalg.solve(inverse, step)
    assert reached == pytest.approx(best_within_bounds(theta, gradient, inverse), rel=1e-4, abs=1e-6)


def test_known_parameters_are_found() -> None:
    z = np.random.default_rng(1).normal(size=(40, 4000))
    fit = fit_gjr(*stacked(list(simulated(stated(40, **TRUTH), z))))
    assert fit.converged.all()
    for name, value in TRUTH.items():
        found = getattr(fit, name)
        error = found.std() / math.sqrt(len(found))
        assert abs(found.mean() - value) < 4 * error + 0.02 * value, name
        assert found.std() < 0.5 * value or name == "mu", name


def test_known_degrees_of_freedom_are_found() -> None:
    z = np.random.default_rng(2).standard_t(5, (20, 4000)) / math.sqrt(5 / 3)
    returns = stacked(list(simulated(stated(20, **TRUTH), z)))
    heavy, normal = fit_gjr(*returns, dist="t"), fit_gjr(*returns)
    assert abs(np.median(heavy.nu) - 5) < 0.3
    assert np.median(heavy.alpha + heavy.gamma / 2) == pytest.approx(0.08, abs=0.015)
    assert (heavy.loglik > normal.loglik + 50).all()
    assert np.isinf(normal.nu).all()


def test_nothing_near_a_fit_is_more_likely(panel: tuple[np.ndarray, np.ndarray]) -> None:
    values, offsets = panel
    fit = fit_gjr(values, offsets)
    rng = np.random.default_rng(3)
    for s in np.flatnonzero(fit.converged):
        returns = values[offsets[s] : offsets[s + 1]]
        best = np.array([getattr(fit, name)[s] for name in TRUTH] + [0.0])
        h = fit.first_variance[s]
        backcast = (h - best[1]) / (best[2] + best[3] / 2 + best[4])
        assert plain_likelihood(returns, backcast, best) == pytest.approx(fit.loglik[s], abs=1e-7)
        for width in (1e-3, 1e-2, 0.1):
            for _ in range(20):
                near = best * (1 + width * rng.normal(size=6))
                is_inside = near[2] >= 0 and near[2] + near[3] >= 0 and near[2] + near[3] / 2 + near[4] < 1
                assert not is_inside or plain_likelihood(returns, backcast, near) < fit.loglik[s] + 1e-5


@pytest.mark.parametrize("dist", ["normal", "t"])
@pytest.mark.parametrize("factor", [2.0**-30, 1e-5, 100.0, 2.0**40])
def test_a_fit_scales_with_its_returns(panel: tuple[np.ndarray, np.ndarray], factor: float, dist: str) -> None:
    values, offsets = panel
    base, scaled = fit_gjr(values, offsets, dist=dist), fit_gjr(values * factor, offsets, dist=dist)
    np.testing.assert_array_equal(scaled.reason, base.reason)
    is_exact = math.frexp(factor)[0] == 0.5
    close = {"rtol": 0.0 if is_exact else 1e-6, "atol": 0.0}
    np.testing.assert_allclose(scaled.nu, base.nu, **close)
    for name in ("alpha", "gamma", "beta"):
        close["atol"] = 0.0 if is_exact else 1e-9
        np.testing.assert_allclose(getattr(scaled, name), getattr(base, name), **close)
    close["atol"] = 0.0
    np.testing.assert_allclose(scaled.mu / factor, base.mu, **close)
    np.testing.assert_allclose(scaled.omega / factor**2, base.omega, **close)
    np.testing.assert_allclose(scaled.first_variance / factor**2, base.first_variance, **close)
    np.testing.assert_allclose(scaled.loglik + np.diff(offsets) * math.log(factor), base.loglik, rtol=1e-9)


def columns(fit: GjrFit) -> np.ndarray:
    return np.stack([np.asarray(value, float) for value in vars(fit).values()])


def test_order_company_and_place_in_memory_change_no_bit(panel: tuple[np.ndarray, np.ndarray]) -> None:
    values, offsets = panel
    rows = [values[low:high] for low, high in pairwise(offsets)]
    together = columns(fit_gjr(values, offsets, dist="t"))
    order = np.random.default_rng(4).permutation(len(rows))
    shuffled = columns(fit_gjr(*stacked([rows[s] for s in order]), dist="t"))
    np.testing.assert_array_equal(shuffled, together[:, order])
    for s, row in enumerate(rows):
        alone = columns(fit_gjr(np.append([7.0] * (s % 5), row), np.array([s % 5, s % 5 + len(row)]), dist="t"))
        np.testing.assert_array_equal(alone[:, 0], together[:, s])


@given(
    st.integers(0, 2**32),
    st.integers(100, 400),
    st.sampled_from([1.3, 2.2, 4.0, 50.0]),
    st.floats(0, 0.9),
    st.sampled_from(["normal", "t"]),
    st.booleans(),
)
@settings(max_examples=150)
def test_every_fit_is_stationary_and_keeps_variance_positive(
    seed: int, n: int, tail: float, zeros: float, dist: str, asymmetric: bool
) -> None:
    """Trends, jumps, stale prices, tails without a variance: whatever moves has a fit within the bounds."""
    rng = np.random.default_rng(seed)
    returns = rng.standard_t(tail, n) * np.exp(np.linspace(0, rng.normal(), n)) * 0.01
    returns[rng.random(n) < zeros] = 0.0
    returns[0] = 0.01
    fit = fit_gjr(returns, np.array([0, n]), dist=dist, asymmetric=asymmetric)
    assert REASONS[fit.reason[0]] in ("fitted", "not_converged")
    assert np.isfinite(fit.loglik[0])
    assert fit.omega[0] > 0
    assert min(fit.alpha[0], fit.alpha[0] + fit.gamma[0], fit.beta[0]) >= 0
    assert fit.persistence[0] < 1
    assert asymmetric or fit.gamma[0] == 0
    variance, following = filter_variance(fit, returns, np.array([0, n]))
    assert variance.min() > 0
    assert following[0] > 0


def test_options_fix_their_parameters(panel: tuple[np.ndarray, np.ndarray]) -> None:
    free, plain = fit_gjr(*panel), fit_gjr(*panel, asymmetric=False, mean="zero")
    ok = free.converged
    assert not plain.mu[ok].any()
    assert not plain.gamma[ok].any()
    assert free.gamma[ok].any()
    assert (free.loglik[ok] > plain.loglik[ok]).all()


def test_series_that_cannot_be_fitted_say_why() -> None:
    rng = np.random.default_rng(6)
    good = rng.normal(0, 0.01, 500)
    with_nan, with_inf = good.copy(), good.copy()
    with_nan[7], with_inf[490] = np.nan, -np.inf
    rows = [good, good[:99], np.full(300, 0.01), with_nan, with_inf, good * 1e200, good * 1e-200, good[:0], good]
    fit = fit_gjr(*stacked(rows))
    reasons = [REASONS[code] for code in fit.reason]
    assert reasons == [
        "fitted",
        "too_short",
        "constant",
        "not_finite",
        "not_finite",
        "not_finite",
        "constant",
        "too_short",
        "fitted",
    ]
    assert np.isnan(columns(fit)[:-1][:, ~fit.converged]).all()
    np.testing.assert_array_equal(columns(fit)[:, 0], columns(fit)[:, -1])


def test_no_series_is_no_fit() -> None:
    assert fit_gjr(np.empty(0), np.zeros(1, np.int64)).mu.shape == (0,)


@pytest.mark.parametrize("offsets", [[], [0, 5, 3], [0, 200], [-1, 100]])
def test_offsets_that_do_not_cut_the_values_are_refused(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="rising offsets"):
        fit_gjr(np.ones(100), np.array(offsets))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValueError, match="'laplace'"):
        fit_gjr(np.ones(100), np.array([0, 100]), dist="laplace")  # type: ignore[arg-type]


def test_a_fit_of_other_series_is_refused(panel: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="take"):
        filter_variance(stated(2, **TRUTH), *panel)


def test_an_update_is_what_filtering_again_gives() -> None:
    """Bit for bit, over a hundred days with missing ones, for fits of every kind."""
    rng = np.random.default_rng(7)
    returns = simulated(stated(6, **TRUTH), rng.standard_t(4, (6, 700)) / math.sqrt(2))
    returns[5, :] = 0.01
    fit = fit_gjr(*stacked(list(returns[:, :600])))
    returns[rng.random(returns.shape) < 0.05] = np.nan
    _, following = filter_variance(fit, *stacked(list(returns[:, :600])))
    for day in range(600, 700):
        following = update_variance(fit, returns[:, day], following)
    variance, again = filter_variance(fit, *stacked(list(returns)))
    np.testing.assert_array_equal(following, again)
    assert np.isnan(again).tolist() == [False] * 5 + [True]
    assert np.isfinite(variance.reshape(6, 700)[:5]).all()


def test_a_missing_return_counts_as_expected() -> None:
    fit = stated(1, **TRUTH)
    h = np.array([3e-4])
    missing = update_variance(fit, np.array([np.nan]), h)
    assert missing == pytest.approx(variance_path(fit, h, 2)[0, 1], rel=1e-12)


def test_expected_variance_goes_to_its_long_run_and_no_further() -> None:
    fit = stated(2, **TRUTH)
    path = variance_path(fit, fit.long_run_variance * [0.25, 9.0], 800)
    assert (np.diff(path[0]) >= 0).all()
    assert (np.diff(path[1]) <= 0).all()
    np.testing.assert_allclose(path[:, -1], fit.long_run_variance, rtol=1e-8)
    half = fit.long_run_variance[1] + 8 * fit.long_run_variance[1] * fit.persistence[1] ** np.arange(800)
    np.testing.assert_allclose(path[1], half, rtol=1e-10)


def test_random_words_are_those_of_splitmix64() -> None:
    """The generator's published outputs for seed 0 are the finaliser of multiples of its increment."""
    multiples = np.arange(1, 4, dtype=np.uint64) * np.uint64(fhs.GOLDEN)
    assert [f"{word:016x}" for word in fhs._mixed(multiples)] == [
        "e220a8397b1dcdaf",
        "6e789e6aa1b965f4",
        "06c45d188009454f",
    ]


def test_random_words_are_even_and_distinct() -> None:
    words = random_words(3, 20_000, 21)
    assert len(np.unique(words)) == words.size
    counts = np.bincount(((words >> np.uint64(32)) * np.uint64(1008) >> np.uint64(32)).astype(int).ravel())
    expected = words.size / 1008
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi2 - 1007) < 4 * math.sqrt(2 * 1007)
    ranks = words.astype(float)
    assert np.abs(np.corrcoef(ranks) - np.eye(21)).max() < 5 / math.sqrt(20_000)


def test_seeds_share_no_words() -> None:
    """Neighbouring seeds that shift each other's paths would look like a sample sixteen times as large."""
    words = np.concatenate([random_words(seed, 2_000, 21).ravel() for seed in range(-8, 8)])
    assert len(np.unique(words)) == len(words)


def normal_residuals(n: int) -> np.ndarray:
    z = ndtri((np.arange(n) + 0.5) / n)
    return z / z.std()


def test_simulated_returns_have_the_known_variance_and_kurtosis() -> None:
    """GARCH(1e-6, 0.08, 0.9) with normal residuals: variance 5e-5, kurtosis 4.432836."""
    fit, z = stated(1, omega=1e-6, alpha=0.08, beta=0.9), normal_residuals(100_000)
    start, offsets = np.array([5e-5]), np.array([0, len(z)])
    moments = []
    for seed in range(16):
        end = filtered_historical_paths(fit, z, offsets, start, horizon=250, paths=20_000, seed=seed)[0, -1]
        moments.append([np.mean(end**2), np.mean(end**4)])
    variance, fourth = np.mean(moments, axis=0)
    errors = np.std(moments, axis=0) / 4
    assert abs(variance - 5e-5) < 3 * errors[0] < 1e-6
    assert abs(fourth - 4.432835820895518 * 25e-10) < 3 * errors[1]
    assert fourth / variance**2 == pytest.approx(4.4328, abs=0.15)


def test_simulated_variance_is_the_expected_path() -> None:
    fit, z = stated(1, **TRUTH), np.random.default_rng(8).permutation(normal_residuals(10_000))
    start = np.array([4e-4])
    paths = filtered_historical_paths(fit, z, np.array([0, len(z)]), start, horizon=30, paths=100_000)[0]
    np.testing.assert_allclose(paths.var(axis=1), variance_path(fit, start, 30)[0], rtol=0.03)


def test_one_step_quantiles_are_those_of_the_residuals(panel: tuple[np.ndarray, np.ndarray]) -> None:
    fit = fit_gjr(*panel)
    residuals, following = standardised_residuals(fit, *panel)
    quantiles = filtered_historical_quantiles(fit, *panel, horizon=1, paths=100_000)
    for s in np.flatnonzero(fit.converged):
        own = np.sort(residuals[panel[1][s] : panel[1][s + 1]])
        z = (quantiles[s, 0] - fit.mu[s]) / math.sqrt(following[s])
        below, upto = (np.searchsorted(own, z + nudge) / len(own) for nudge in (-1e-9, 1e-9))
        assert (below - 0.006 < LEVELS).all()
        assert (upto + 0.006 > LEVELS).all()


def test_residuals_give_the_returns_back(panel: tuple[np.ndarray, np.ndarray]) -> None:
    values, offsets = panel
    fit = fit_gjr(values, offsets)
    residuals, _ = standardised_residuals(fit, values, offsets)
    variance, _ = filter_variance(fit, values, offsets)
    again = np.repeat(fit.mu, np.diff(offsets)) + np.sqrt(variance) * residuals
    ok = np.repeat(fit.converged, np.diff(offsets))
    np.testing.assert_allclose(again[ok], values[ok], atol=1e-15)
    assert np.isnan(residuals[~ok]).all()


@pytest.mark.parametrize("cumulative", [False, True])
def test_quantiles_rise_with_their_level(panel: tuple[np.ndarray, np.ndarray], cumulative: bool) -> None:
    fit = fit_gjr(*panel)
    quantiles = filtered_historical_quantiles(fit, *panel, horizon=HORIZON, paths=200, cumulative=cumulative)
    assert quantiles.shape == (len(fit.mu), HORIZON, len(LEVELS))
    assert (np.diff(quantiles[fit.converged], axis=2) >= 0).all()
    assert np.isnan(quantiles[~fit.converged]).all()


def test_quantiles_are_those_of_the_paths_and_cumulative_ones_of_their_sums(
    panel: tuple[np.ndarray, np.ndarray],
) -> None:
    fit = fit_gjr(*panel)
    residuals, following = standardised_residuals(fit, *panel)
    steps = filtered_historical_paths(fit, residuals, panel[1], following, horizon=HORIZON, paths=100, seed=2)
    sums = filtered_historical_paths(
        fit, residuals, panel[1], following, horizon=HORIZON, paths=100, seed=2, cumulative=True
    )
    np.testing.assert_allclose(sums, np.cumsum(steps, axis=1), rtol=1e-12, atol=1e-15)
    quantiles = filtered_historical_quantiles(fit, *panel, horizon=HORIZON, paths=100, seed=2, cumulative=True)
    expected = np.quantile(sums[:4], LEVELS, axis=2, method="weibull").transpose(1, 2, 0)
    np.testing.assert_allclose(quantiles[:4], expected, rtol=1e-12)


def test_chunks_order_and_company_do_not_change_a_quantile(
    panel: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    values, offsets = panel
    fit = fit_gjr(values, offsets)
    whole = filtered_historical_quantiles(fit, values, offsets, horizon=HORIZON, paths=300, seed=9)
    monkeypatch.setattr(fhs, "RETURNS_A_CHUNK", 1)
    chunked = filtered_historical_quantiles(fit, values, offsets, horizon=HORIZON, paths=300, seed=9)
    np.testing.assert_array_equal(chunked, whole)
    order = np.random.default_rng(1).permutation(len(fit.mu))
    rows = [values[offsets[s] : offsets[s + 1]] for s in order]
    shuffled = filtered_historical_quantiles(fit.take(order), *stacked(rows), horizon=HORIZON, paths=300, seed=9)
    np.testing.assert_array_equal(shuffled, whole[order])


def test_more_paths_and_steps_keep_the_first_ones_and_seeds_differ(panel: tuple[np.ndarray, np.ndarray]) -> None:
    fit = fit_gjr(*panel)
    residuals, following = standardised_residuals(fit, *panel)

    def paths(horizon: int, paths: int, seed: int = 0) -> np.ndarray:
        return filtered_historical_paths(fit, residuals, panel[1], following, horizon=horizon, paths=paths, seed=seed)

    large = paths(9, 50)
    np.testing.assert_array_equal(paths(4, 20), large[:, :4, :20])
    assert not np.array_equal(paths(9, 50, seed=1)[0], large[0])
    assert np.isfinite(paths(9, 50, seed=-1)[0]).all()


def test_series_with_the_same_dates_draw_the_same_dates() -> None:
    """So that what two series have in common on a day stays common: one is the other times three."""
    fit = stated(1, **TRUTH)
    returns = simulated(fit, np.random.default_rng(3).normal(size=(1, 500)))[0]
    both = stacked([returns, 3 * returns])
    pair = fit_gjr(*both)
    residuals, following = standardised_residuals(pair, *both)
    paths = filtered_historical_paths(pair, residuals, both[1], following, horizon=5, paths=100)
    np.testing.assert_allclose(paths[1], 3 * paths[0], rtol=1e-4, atol=1e-7)


def test_no_steps_or_paths_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        filtered_historical_paths(stated(1), np.ones(3), np.array([0, 3]), np.ones(1), horizon=0)
    with pytest.raises(ValueError, match="at least one step"):
        filtered_historical_quantiles(stated(1), np.ones(3), np.array([0, 3]), horizon=5, paths=0)
