"""A calibrated world against arch and statsmodels, on real returns."""

import math
import warnings

import numpy as np
import pytest
from arch import arch_model

from pulse_assets.simulation.calibration.regimes import RegimeFit, fit_regimes, regime_log_likelihood
from pulse_assets.simulation.calibration.world_settings import WorldSettings
from pulse_assets.simulation.calibration.worlds import calibrate
from pulse_assets.simulation.world import World

PERCENT = 100.0
WINDOW = 1500


@pytest.fixture(scope="module")
def prices() -> tuple[np.ndarray, np.ndarray]:
    """Return days, and daily closes of 20 equities."""
    from skfolio.datasets import load_sp500_dataset

    table = load_sp500_dataset()
    return table.index.to_numpy().astype("datetime64[D]"), table.to_numpy()


@pytest.fixture(scope="module")
def world(prices: tuple[np.ndarray, np.ndarray]) -> World:
    days, levels = prices
    names = [f"s{i}" for i in range(levels.shape[1])]
    settings = WorldSettings.model_validate(
        {"assets": {name: name for name in names}, "window_days": WINDOW, "innovations": "historical"}
    )
    values = {name: (days, levels[:, i]) for i, name in enumerate(names)}
    return calibrate(values, days[-1], settings).world


@pytest.fixture(scope="module")
def returns(prices: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return log returns of the calibration's window, shape ``(T, 20)``."""
    days, levels = prices
    inside = days[1:] > np.busday_offset(days[-1], -WINDOW)
    return np.asarray(np.diff(np.log(levels), axis=0)[inside])


def test_a_world_expects_the_variance_that_arch_expects(world: World, returns: np.ndarray) -> None:
    """Where both searches end at the same maximum, which is nine in ten."""
    ahead, next_variance = [], []
    for place, series in enumerate(returns.T):
        model = arch_model(PERCENT * series, mean="Constant", vol="GARCH", p=1, o=1, q=1, rescale=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = model.fit(disp="off", show_warning=False)
        theirs = result.forecast(horizon=1, reindex=False).variance.to_numpy()[0, 0] / PERCENT**2
        next_variance.append(world.variance[place] / theirs - 1)
        params = np.array([getattr(world, name)[place] for name in ("omega", "alpha", "gamma", "beta")])
        scale = np.array([PERCENT**2, 1, 1, 1])
        ahead.append(np.max(np.abs(params * scale - result.params.to_numpy()[1:]) / result.std_err.to_numpy()[1:]))
    assert np.mean(np.abs(next_variance) < 0.01) >= 0.9
    assert np.mean(np.array(ahead) < 0.1) >= 0.9


def test_the_residuals_drawn_are_those_of_arch(world: World, returns: np.ndarray) -> None:
    model = arch_model(PERCENT * returns[:, 7], mean="Constant", vol="GARCH", p=1, o=1, q=1, rescale=False)
    theirs = model.fit(disp="off", show_warning=False).std_resid
    theirs = (theirs - theirs.mean()) / theirs.std()
    np.testing.assert_allclose(world.residuals[:, 7], theirs, atol=0.02)


@pytest.mark.parametrize("part", [slice(-2500, None), slice(0, 2500)])
def test_regimes_are_as_likely_as_those_of_statsmodels(part: slice) -> None:
    """The likelihood is theirs to rounding, its maximum within 0.05."""
    from arch.data import sp500
    from statsmodels.tsa.api import MarkovRegression

    series = np.diff(np.log(sp500.load()["Adj Close"].to_numpy()))[part]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MarkovRegression(PERCENT * series, k_regimes=2, trend="c", switching_variance=True)
        best = model.fit(disp=False)
    fit = fit_regimes(series, 2)
    shift = len(series) * math.log(PERCENT)
    assert fit.loglik == pytest.approx(best.llf + shift, abs=0.05)
    stay, leave = fit.transition[0, 0], fit.transition[1, 0]
    ours = np.array([stay, leave, *(PERCENT * fit.mean), *(PERCENT * fit.sd) ** 2])
    assert model.loglike(ours) + shift == pytest.approx(fit.loglik, rel=1e-9)
    assert regime_log_likelihood(fit, series) == pytest.approx(fit.loglik, rel=1e-9)
    np.testing.assert_allclose(np.sort(np.sqrt(best.params[-2:])) / PERCENT, fit.sd, rtol=0.02)
    assert isinstance(fit, RegimeFit)
