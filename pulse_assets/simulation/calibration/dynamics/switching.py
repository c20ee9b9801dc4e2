"""Market regimes by Hamilton's model of an index."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from pulse_assets.simulation.calibration.dynamics.oracles import mean_stay
from pulse_assets.simulation.calibration.dynamics.protocol import Kind, Sample, Settings, number
from pulse_assets.simulation.calibration.regimes import (
    LARGEST_STATES,
    RegimeFit,
    filtered_probabilities,
    fit_regimes,
    smoothed_probabilities,
    stationary_of,
)
from pulse_assets.simulation.world import Floats, Regimes


class HamiltonSettings(Settings):
    """Regimes.

    Attributes
    ----------
    states
        At most so many; the data decide.
    index
        Name of the asset that stands for the market; without one, the mean return of all assets.
    scaling
        ``estimated`` multiplies deviations by those of standardised residuals in each regime. ``labels`` leaves
        volatility and drift to the other dynamics: rules and scenarios see the regime, and only one that a scenario
        forces changes volatility, by the market's deviation in it over that of all days.
    """

    states: int = Field(default=2, ge=1, le=LARGEST_STATES)
    index: str | None = None
    scaling: Literal["estimated", "labels"] = "estimated"


class Hamilton:
    """A hidden chain of regimes, each with its mean and deviation of the market's returns (Hamilton 1989)."""

    name = "hamilton"
    kind: Kind = "regimes"
    settings: type[Settings] = HamiltonSettings

    def calibrate(self, sample: Sample, settings: Settings) -> dict[str, object]:
        """Return regimes whose multipliers are the deviations of standardised residuals, so nothing counts twice."""
        assert isinstance(settings, HamiltonSettings)
        has_reference = np.isfinite(sample.reference)
        reference = sample.reference[has_reference]
        fit = fit_regimes(reference, settings.states)
        smoothed = smoothed_probabilities(fit, reference)
        now = filtered_probabilities(fit, reference)[-1]
        if settings.scaling == "labels":
            stress = fit.sd / np.sqrt(float(fit.stationary @ fit.sd**2))
            one = np.ones(len(fit.names))
            return {
                "regimes": Regimes(fit.names, fit.transition, now / now.sum(), one, 0 * one, stress),
                "switching": fit,
            }
        volatility = multipliers(sample.residuals[has_reference], smoothed, fit.stationary)
        regimes = Regimes(fit.names, fit.transition, now / now.sum(), volatility, drift_shifts(fit))
        return {"regimes": regimes, "switching": fit}

    def oracle(self, parameters: Mapping[str, float], steps: int) -> dict[str, float]:  # noqa: ARG002
        """Return shares and mean stays of two regimes that end with ``leave_calm`` and ``leave_stressed``."""
        calm, stressed = number(parameters, "leave_calm"), number(parameters, "leave_stressed")
        share = stationary_of(np.array([[1 - calm, calm], [stressed, 1 - stressed]]))
        return {
            "share_calm": float(share[0]),
            "share_stressed": float(share[1]),
            "stay_calm": mean_stay(1 - calm),
            "stay_stressed": mean_stay(1 - stressed),
        }


def multipliers(residuals: Floats, probabilities: Floats, stationary: Floats) -> Floats:
    """Return the factor on deviations in each regime, with a mean square of 1 in the long run, shape ``(K,)``.

    Parameters
    ----------
    residuals
        Standardised, shape ``(T, A)``; NaN counts as missing.
    probabilities
        Of each regime on each day, shape ``(T, K)``.
    stationary
        Shares in the long run, shape ``(K,)``.
    """
    known = np.isfinite(residuals)
    squares = np.where(known, residuals, 0.0) ** 2
    weight = probabilities.T @ known.sum(axis=1)
    raw = (probabilities.T @ squares.sum(axis=1)) / np.maximum(weight, 1e-12)
    raw = np.maximum(raw, 1e-4 * max(float(raw.max()), 1e-12))
    return np.asarray(np.sqrt(raw / float(stationary @ raw)))


def drift_shifts(fit: RegimeFit) -> Floats:
    """Return what regimes add to the mean return, shrunk by their noise, with mean 0 in the long run, shape ``(K,)``.

    The factor is ``max(0, 1 - noise/signal)``, the positive part of James and Stein's.
    """
    shift = fit.mean - float(fit.stationary @ fit.mean)
    signal = float(fit.stationary @ shift**2)
    noise = float((fit.sd**2).sum()) / fit.observations
    factor = max(0.0, 1 - noise / signal) if signal > 0 else 0.0
    return np.asarray(factor * shift)
