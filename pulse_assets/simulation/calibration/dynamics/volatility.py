"""Volatility of assets: constant, or moving with past returns."""

from collections.abc import Mapping

import numpy as np

from pulse_assets.forecasting.garch import REASONS, fit_gjr
from pulse_assets.simulation.calibration.dynamics.oracles import (
    garch_kurtosis,
    garch_variance,
    gbm_moments,
    variance_after,
)
from pulse_assets.simulation.calibration.dynamics.protocol import Kind, Sample, Settings, number
from pulse_assets.simulation.world import Floats


class ConstantSettings(Settings):
    """Nothing to set."""


class GjrSettings(Settings):
    """How GJR-GARCH is fitted.

    Attributes
    ----------
    asymmetric
        False fits GARCH(1,1).
    """

    asymmetric: bool = True


class Constant:
    """Geometric Brownian motion: the variance of the sample, for ever."""

    name = "constant"
    kind: Kind = "volatility"
    settings: type[Settings] = ConstantSettings

    def calibrate(self, sample: Sample, settings: Settings) -> dict[str, object]:  # noqa: ARG002 - nothing to set
        """Return mean and variance of each asset's returns."""
        mean, variance = mean_and_variance(sample.returns)
        zero = np.zeros(len(mean))
        return {
            "drift": mean,
            "omega": zero,
            "alpha": zero,
            "gamma": zero,
            "beta": np.ones(len(mean)),
            "variance": variance,
        }

    def oracle(self, parameters: Mapping[str, float], steps: int) -> dict[str, float]:
        """Return lognormal moments for ``drift`` and ``variance``."""
        return gbm_moments(number(parameters, "drift", 0.0), number(parameters, "variance"), steps)


class Gjr:
    """GJR-GARCH(1,1), all assets in one call; an asset whose fit fails gets constant volatility."""

    name = "gjr"
    kind: Kind = "volatility"
    settings: type[Settings] = GjrSettings

    def calibrate(self, sample: Sample, settings: Settings) -> dict[str, object]:
        """Return parameters by maximum likelihood; ``failed`` names the reason where there is none."""
        assert isinstance(settings, GjrSettings)
        known = np.isfinite(sample.returns)
        values = sample.returns.T[known.T]
        offsets = np.concatenate([[0], np.cumsum(known.sum(axis=0))]).astype(np.int64)
        fit = fit_gjr(values, offsets, asymmetric=settings.asymmetric)
        found = {name: getattr(fit, name) for name in ("omega", "alpha", "gamma", "beta")}
        found |= {"drift": fit.mu, "variance": fit.first_variance}
        constant = Constant().calibrate(sample, ConstantSettings())
        usable = fit.converged & (fit.omega > 0) & (fit.persistence < 1)
        fields: dict[str, object] = {
            name: np.where(usable, value, np.asarray(constant[name])) for name, value in found.items()
        }
        reasons = [REASONS[code] if code else "no stationary fit" for code in fit.reason]
        fields["failed"] = {i: reasons[i] for i in np.flatnonzero(~usable).tolist()}
        return fields

    def oracle(self, parameters: Mapping[str, float], steps: int) -> dict[str, float]:
        """Return the unconditional variance and kurtosis, and the variance expected over the next steps.

        Takes ``omega, alpha, gamma, beta``, and ``variance`` of the next step (the unconditional one by default).
        """
        omega, alpha, beta = (number(parameters, name) for name in ("omega", "alpha", "beta"))
        gamma = number(parameters, "gamma", 0.0)
        long_run = garch_variance(omega, alpha, gamma, beta)
        path = variance_after(number(parameters, "variance", long_run), omega, alpha + gamma / 2 + beta, steps)
        return {
            "unconditional_variance": long_run,
            "unconditional_kurtosis": garch_kurtosis(alpha, gamma, beta),
            "last_variance": float(path[-1]),
            "variance": float(path.sum()),
        }


def mean_and_variance(returns: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance of each column, shapes ``(A,)``; NaN counts as missing, no value at all gives 0."""
    known = np.isfinite(returns)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, returns, 0.0).sum(axis=0) / count
    variance = np.where(known, (returns - mean) ** 2, 0.0).sum(axis=0) / count
    return mean, variance
