"""Our GJR-GARCH against arch, on real returns: same sample, mean and distribution, in percent for arch."""

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from arch import arch_model
from arch.univariate.base import ARCHModelResult

from pulse_assets.forecasting.garch import GjrFit, filter_variance, fit_gjr, variance_path

DAYS = 1008
PERCENT = 100.0


@pytest.fixture(scope="module")
def equities() -> np.ndarray:
    """Log returns of 20 equities in two spans of four years, shape ``(40, 1008)``."""
    from skfolio.datasets import load_sp500_dataset

    returns = np.diff(np.log(load_sp500_dataset().to_numpy()), axis=0).T
    return np.concatenate([returns[:, -DAYS:], returns[:, 2000 : 2000 + DAYS]])


def theirs(returns: np.ndarray, asymmetric: bool, mean: str, dist: str) -> ARCHModelResult:
    """Return arch's result; its complaints about its own search are not ours."""
    model = arch_model(PERCENT * returns, mean=mean, vol="GARCH", p=1, o=int(asymmetric), q=1, dist=dist, rescale=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(disp="off", show_warning=False)


def offsets(series: int) -> np.ndarray:
    return np.arange(series + 1) * DAYS


def as_fit(result: ARCHModelResult, first_variance: float) -> GjrFit:
    """Return arch's parameters as a fit of decimal returns."""
    mu, omega, alpha, gamma, beta = (np.array([value]) for value in result.params.to_numpy())
    one, none = np.ones(1), np.zeros(1, np.int8)
    return GjrFit(mu / PERCENT, omega / PERCENT**2, alpha, gamma, beta, np.inf * one, one, first_variance * one, none)


@pytest.mark.parametrize(
    ("asymmetric", "mean", "dist"),
    [(True, "constant", "normal"), (True, "zero", "normal"), (False, "constant", "normal"), (True, "constant", "t")],
)
def test_our_likelihood_is_theirs_or_better(equities: np.ndarray, asymmetric: bool, mean: str, dist: str) -> None:
    """Never 0.5 lower, within 0.05 for nine in ten; ours may be higher, where their search stopped early."""
    fit = fit_gjr(equities.ravel(), offsets(len(equities)), asymmetric=asymmetric, mean=mean, dist=dist)  # type: ignore[arg-type]
    assert fit.converged.all()
    peer = np.array([theirs(row, asymmetric, mean.title(), dist).loglikelihood for row in equities])
    ahead = fit.loglik - (peer + DAYS * math.log(PERCENT))
    assert ahead.min() > -0.5
    assert np.mean(np.abs(ahead) < 0.05) >= 0.9
    assert np.median(np.abs(ahead)) < 1e-3


def test_our_parameters_are_theirs_on_the_index() -> None:
    """Twenty years of the S&P 500, where the maximum is sharp."""
    from arch.data import sp500

    returns = np.diff(np.log(sp500.load()["Adj Close"].to_numpy()))
    fit = fit_gjr(returns, np.array([0, len(returns)]))
    result = theirs(returns, True, "Constant", "normal")
    errors = result.std_err.to_numpy()
    scale = np.array([PERCENT, PERCENT**2, 1, 1, 1])
    ours = scale * [getattr(fit, name)[0] for name in ("mu", "omega", "alpha", "gamma", "beta")]
    assert (np.abs(ours - result.params.to_numpy()) < 0.05 * errors).all()


@pytest.mark.parametrize("series", [0, 7, 25])
def test_our_variances_are_theirs_for_their_parameters(equities: np.ndarray, series: int) -> None:
    returns = equities[series]
    result = theirs(returns, True, "Constant", "normal")
    variance = result.conditional_volatility**2 / PERCENT**2
    fit = as_fit(result, variance[0])
    ours, following = filter_variance(fit, returns, offsets(1))
    np.testing.assert_allclose(ours, variance, rtol=1e-9)
    forecast = result.forecast(horizon=10, reindex=False).variance.to_numpy() / PERCENT**2
    np.testing.assert_allclose(variance_path(fit, following, 10), forecast, rtol=1e-9)


def test_our_first_variance_is_theirs(equities: np.ndarray) -> None:
    """Both begin from the same weighted mean of the first 75 squares."""
    fit: Callable[..., GjrFit] = fit_gjr
    found = fit(equities[0], offsets(1))
    result = theirs(equities[0], True, "Constant", "normal")
    assert found.first_variance[0] == pytest.approx(result.conditional_volatility[0] ** 2 / PERCENT**2, rel=1e-3)
