"""Dynamics: each calibration finds what was simulated, each oracle gives the known answer."""

import math
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from pulse_assets.simulation.calibration.dynamics import registry
from pulse_assets.simulation.calibration.dynamics.innovations import likeliest_nu, likely_block_length
from pulse_assets.simulation.calibration.dynamics.oracles import (
    garch_kurtosis,
    merton_call,
    ou_moments,
    t_tail_dependence,
)
from pulse_assets.simulation.calibration.dynamics.protocol import Dynamics, Kind, Sample, Settings
from pulse_assets.simulation.calibration.dynamics.registry import available_dynamics, find_dynamics, parse_settings
from pulse_assets.simulation.calibration.dynamics.switching import multipliers
from pulse_assets.simulation.calibration.dynamics.volatility import Constant
from pulse_assets.simulation.world import Floats, Jumps, Regimes


def plugin(name: str, kind: Kind, **options: object) -> tuple[Dynamics, Settings]:
    found = find_dynamics(name, kind)
    return found, parse_settings(found, options)


def calibrated(name: str, kind: Kind, sample: Sample, **options: object) -> dict[str, object]:
    found, settings = plugin(name, kind, **options)
    return found.calibrate(sample, settings)


def array(value: object) -> Floats:
    return np.asarray(value, np.float64)


def gjr_returns(days: int, seed: int, omega: float, alpha: float, gamma: float, beta: float) -> np.ndarray:
    z = np.random.default_rng(seed).normal(size=days)
    e, h = np.empty(days), omega / (1 - alpha - gamma / 2 - beta)
    for t in range(days):
        e[t] = math.sqrt(h) * z[t]
        h = omega + (alpha + gamma * (e[t] < 0)) * e[t] ** 2 + beta * h
    return e


@pytest.mark.parametrize(("name", "kind"), available_dynamics().items())
def test_every_plugin_keeps_the_protocol(name: str, kind: Kind) -> None:
    found = find_dynamics(name, kind)
    assert isinstance(found, Dynamics)
    assert (found.name, found.kind) == (name, kind)
    assert issubclass(found.settings, Settings)
    assert found.settings().model_config["extra"] == "forbid"


def test_constant_volatility_is_the_mean_and_variance_of_own_days() -> None:
    returns = np.random.default_rng(1).normal(0.001, 0.02, size=(500, 2))
    returns[::3, 1] = np.nan
    found = calibrated("constant", "volatility", Sample(returns))
    np.testing.assert_allclose(array(found["drift"]), np.nanmean(returns, axis=0))
    np.testing.assert_allclose(array(found["variance"]), np.nanvar(returns, axis=0))
    assert array(found["beta"]).tolist() == [1, 1]
    assert array(found["omega"]).tolist() == [0, 0]


def test_gjr_is_found_again_and_a_failed_fit_becomes_constant() -> None:
    true = (2e-6, 0.03, 0.1, 0.9)
    returns = np.stack([gjr_returns(6000, 2, *true), gjr_returns(6000, 3, *true), np.zeros(6000)], axis=1)
    returns[:3000, 1] = np.nan
    found = calibrated("gjr", "volatility", Sample(returns))
    np.testing.assert_allclose(array(found["beta"])[:2], 0.9, atol=0.03)
    np.testing.assert_allclose(array(found["gamma"])[:2], 0.1, atol=0.05)
    assert found["failed"] == {2: "constant"}
    assert array(found["beta"])[2] == 1
    plain = calibrated("gjr", "volatility", Sample(returns[:, :1]), asymmetric=False)
    assert array(plain["gamma"])[0] == 0


def test_the_variance_oracle_is_what_simulation_gives() -> None:
    oracle = find_dynamics("gjr", "volatility").oracle
    found = oracle({"omega": 1e-6, "alpha": 0.08, "beta": 0.9, "variance": 2e-4}, 20)
    assert found["unconditional_variance"] == pytest.approx(5e-5, rel=1e-12)
    assert found["unconditional_kurtosis"] == pytest.approx(4.432835820895518, rel=1e-12)
    random, h, total = np.random.default_rng(4), np.full(200_000, 2e-4), np.zeros(200_000)
    for _ in range(20):
        e = np.sqrt(h) * random.normal(size=len(h))
        total, h = total + e, 1e-6 + 0.08 * e**2 + 0.9 * h
    error = (total**2).std() / math.sqrt(len(total))
    assert abs(total.var() - found["variance"]) < 4 * error
    assert math.isinf(garch_kurtosis(0.5, 0, 0.49))
    assert garch_kurtosis(0.02, 0.1, 0.9) > garch_kurtosis(0.07, 0.0, 0.9)


def test_known_answers() -> None:
    assert merton_call(100, 100, 0.05, 0.2, 1, 0.5, -0.1, 0.15) == pytest.approx(11.661674787504, rel=1e-11)
    assert merton_call(100, 100, 0.05, 0.2, 1, 0, -0.1, 0.15) == pytest.approx(10.450583572186, rel=1e-12)
    assert ou_moments(2, 0.5, 0.3, 1, 1) == pytest.approx((0.5676676416, 0.0220878981), rel=1e-8)
    assert t_tail_dependence(4, 0.5) == pytest.approx(0.2531699951, rel=1e-9)
    assert t_tail_dependence(4, -1) == 0
    gbm = find_dynamics("constant", "volatility").oracle({"drift": -0.045, "variance": 0.09}, 1)
    assert gbm["price"] == pytest.approx(1.0, rel=1e-12)
    shares = find_dynamics("hamilton", "regimes").oracle({"leave_calm": 0.02, "leave_stressed": 0.05}, 1)
    assert shares == pytest.approx({"share_calm": 5 / 7, "share_stressed": 2 / 7, "stay_calm": 50, "stay_stressed": 20})
    tails = find_dynamics("student_t", "innovations").oracle({"nu": 5, "correlation": 0.0}, 1)
    assert tails["kurtosis"] == 9
    assert find_dynamics("normal", "innovations").oracle({}, 1)["tail_dependence"] == 0


def test_an_autoregression_at_whole_steps_is_an_ornstein_uhlenbeck_process() -> None:
    kappa, steps = 2.0, 250
    phi = math.exp(-kappa / steps)
    sigma = 0.3 * math.sqrt((1 - phi**2) / (2 * kappa))
    parameters = {"phi": phi, "mean": 0.5, "sigma": sigma, "start": 1.0}
    found = find_dynamics("ar1", "factor").oracle(parameters, steps)
    assert (found["mean"], found["variance"]) == pytest.approx(ou_moments(kappa, 0.5, 0.3, 1, 1), rel=1e-9)


def test_merton_moments_are_what_simulation_gives() -> None:
    found = find_dynamics("merton_jumps", "jumps").oracle(
        {"drift": 1e-3, "variance": 1e-4, "intensity": 0.2, "mean": -0.03, "sd": 0.02}, 5
    )
    random, paths = np.random.default_rng(5), 400_000
    count = random.poisson(1.0, paths)
    total = 5e-3 + math.sqrt(5e-4) * random.normal(size=paths) - 0.03 * count
    total += 0.02 * np.sqrt(count) * random.normal(size=paths)
    centred = (total - total.mean()) / total.std()
    assert total.mean() == pytest.approx(found["mean"], abs=4 * total.std() / math.sqrt(paths))
    assert total.var() == pytest.approx(found["variance"], rel=0.01)
    assert (centred**3).mean() == pytest.approx(found["skewness"], abs=0.03)
    assert (centred**4).mean() == pytest.approx(found["kurtosis"], abs=0.1)


def test_jumps_take_their_share_of_variance() -> None:
    """Calibrated jumps and what is left of variance make up the variance of the sample."""
    random, days = np.random.default_rng(6), 20_000
    jump = np.where(random.uniform(size=days) < 0.004, random.normal(-0.08, 0.01, days), 0.0)
    returns = 0.005 * random.normal(size=(days, 2)) + jump[:, None] * np.array([1.0, 0.5])
    variance = returns.var(axis=0)
    residuals = (returns - returns.mean(axis=0)) / np.sqrt(variance)
    sample = Sample(returns, residuals, returns[:, 0], np.ones((days, 1)), np.ones(1), variance)
    found = calibrated("merton_jumps", "jumps", sample)
    jumps, explained = found["jumps"], array(found["explained"])
    assert isinstance(jumps, Jumps)
    assert jumps.intensity[0] == pytest.approx(0.004, rel=0.25)
    assert (jumps.mean, jumps.sd) == pytest.approx((-0.08, 0.01), abs=0.005)
    np.testing.assert_allclose(jumps.load, [1, 0.5], atol=0.02)
    np.testing.assert_allclose(variance * (1 - explained), 0.005**2, rtol=0.1)


def test_calm_markets_have_no_jumps_and_all_jumps_leave_a_fifth() -> None:
    residuals = np.clip(np.random.default_rng(7).normal(size=(1000, 1)), -3, 3)
    sample = Sample(residuals, residuals, residuals[:, 0], np.ones((1000, 1)), np.ones(1), np.ones(1))
    assert calibrated("merton_jumps", "jumps", sample)["jumps"] is None
    wild = np.where(np.arange(1000) % 100 == 0, 10.0, 0.01)[:, None]
    sample = Sample(wild, wild, wild[:, 0], np.ones((1000, 1)), np.ones(1), wild.var(axis=0))
    assert array(calibrated("merton_jumps", "jumps", sample)["explained"])[0] == pytest.approx(0.8)


@pytest.mark.parametrize("nu", [4, 8])
def test_degrees_of_freedom_are_found_again(nu: int) -> None:
    random = np.random.default_rng(8)
    lower = np.linalg.cholesky(np.full((5, 5), 0.4) + 0.6 * np.eye(5))
    shocks = (random.normal(size=(5000, 5)) @ lower.T) * np.sqrt((nu - 2) / random.chisquare(nu, size=(5000, 1)))
    assert abs(likeliest_nu(shocks) - nu) <= 1
    assert calibrated("student_t", "innovations", Sample(shocks, shocks), nu=6)["nu"] == 6


def test_normal_residuals_are_nearly_normal_under_t() -> None:
    assert likeliest_nu(np.random.default_rng(9).normal(size=(5000, 5))) == 30


def test_too_few_common_days_for_t_are_refused() -> None:
    residuals = np.full((500, 2), np.nan)
    residuals[:300, 0] = residuals[250:, 1] = 1.0
    with pytest.raises(ValueError, match="at least 100 days on which all assets have returns, got 50"):
        likeliest_nu(residuals)


def test_blocks_last_as_long_as_volatility_does() -> None:
    noise = np.random.default_rng(10).normal(size=(2000, 2))
    clustered = np.stack([gjr_returns(2000, seed, 2e-6, 0.1, 0.0, 0.88) for seed in (1, 2)], axis=1)
    assert likely_block_length(noise) < 8 < likely_block_length(clustered) <= 200
    assert likely_block_length(noise[:50]) == 1
    assert calibrated("historical", "innovations", Sample(noise, noise), block_length=5)["block_length"] == 5


def test_the_block_oracle_keeps_what_autocorrelation_blocks_keep() -> None:
    oracle = find_dynamics("historical", "innovations").oracle
    assert oracle({"block_length": 1, "autocorrelation": 0.9}, 10)["variance"] == 10
    assert oracle({"block_length": 1e9, "autocorrelation": 0.5}, 2)["variance"] == pytest.approx(3)


def test_multipliers_have_a_mean_square_of_one() -> None:
    random = np.random.default_rng(11)
    state = (random.uniform(size=4000) < 0.25).astype(int)
    residuals = random.normal(size=(4000, 3)) * np.array([0.8, 1.6])[state][:, None]
    probabilities = np.eye(2)[state]
    found = multipliers(residuals, probabilities, np.array([0.75, 0.25]))
    assert found[1] / found[0] == pytest.approx(2, rel=0.05)
    assert np.array([0.75, 0.25]) @ found**2 == pytest.approx(1)


def test_hamilton_counts_volatility_once() -> None:
    """Residuals that GARCH has evened out already get multipliers near 1, raw ones the deviations of the regimes."""
    random = np.random.default_rng(12)
    state = np.repeat([0, 1, 0, 1], 500)
    noise = random.normal(size=2000)
    reference = noise * np.array([0.005, 0.02])[state]
    even = calibrated("hamilton", "regimes", Sample(noise[:, None], noise[:, None], reference))["regimes"]
    raw = (reference / reference.std())[:, None]
    uneven = calibrated("hamilton", "regimes", Sample(raw, raw, reference))["regimes"]
    assert isinstance(even, Regimes)
    assert isinstance(uneven, Regimes)
    np.testing.assert_allclose(even.volatility, 1, atol=0.05)
    assert uneven.volatility[1] / uneven.volatility[0] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("steps", [1.0, 21.0])
def test_an_autoregression_is_found_again_at_the_pace_of_steps(steps: float) -> None:
    phi, sigma, rows = 0.995, 0.05, 4000
    random, states = np.random.default_rng(13), [2.0]
    for shock in random.normal(size=int(rows * steps)):
        states.append(2 + phi * (states[-1] - 2) + sigma * shock)
    found = calibrated("ar1", "factor", Sample(np.array(states)[:: int(steps), None], steps=steps))
    assert array(found["phi"])[0] == pytest.approx(phi, abs=0.003)
    assert array(found["sigma"])[0] == pytest.approx(sigma, rel=0.05)
    assert array(found["mean"])[0] == pytest.approx(2, abs=0.5)


def test_a_trend_is_a_random_walk_and_a_constant_is_refused() -> None:
    walk = np.cumsum(np.random.default_rng(14).normal(0.5, 1, size=500))
    found = calibrated("ar1", "factor", Sample(walk[:, None]))
    assert array(found["phi"])[0] == 1
    with pytest.raises(ValueError, match="24 values that move"):
        calibrated("ar1", "factor", Sample(np.ones((100, 1))))


def test_names_and_settings_that_do_not_exist_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"unknown volatility 'gjrr': installed are constant, gjr\. Did you mean 'gjr'"
    ):
        find_dynamics("gjrr", "volatility")
    with pytest.raises(ValueError, match="unknown jumps 'gjr'"):
        find_dynamics("gjr", "jumps")
    with pytest.raises(ValueError, match=r"'student_t' does not take 'nu' as 2: .*; it takes nu"):
        plugin("student_t", "innovations", nu=2)
    with pytest.raises(ValueError, match=r"'constant' does not take 'speed' as 3: .*; it takes nothing"):
        plugin("constant", "volatility", speed=3)
    with pytest.raises(ValueError, match="an oracle needs a finite 'variance', got None"):
        find_dynamics("constant", "volatility").oracle({}, 5)


class Smooth(Constant):
    """A plug-in of a third party."""

    name = "smooth"


def test_third_parties_add_dynamics_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint(name, f"{__name__}:{name}", registry.GROUP) for name in ("smooth", "bad")]
    monkeypatch.setattr(EntryPoint, "load", lambda point: {"smooth": Smooth, "bad": math}[point.name])
    monkeypatch.setattr(registry, "entry_points", lambda **_: points)
    assert isinstance(find_dynamics("smooth", "volatility"), Smooth)
    assert find_dynamics("gjr", "volatility").name == "gjr"
    with pytest.raises(ValueError, match="is no Dynamics: it needs name, kind"):
        find_dynamics("bad", "volatility")
