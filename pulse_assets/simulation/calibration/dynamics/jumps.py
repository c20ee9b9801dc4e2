"""Jumps that assets have in common."""

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from pulse_assets.simulation.calibration.dynamics.oracles import merton_call, merton_moments
from pulse_assets.simulation.calibration.dynamics.protocol import Kind, Sample, Settings, number
from pulse_assets.simulation.world import Floats, Jumps

LARGEST_SHARE = 0.8
"""Of an asset's variance that jumps may explain; the load of one with more is lowered."""
LARGEST_LOAD = 5.0


class MertonSettings(Settings):
    """Which days count as jumps.

    Attributes
    ----------
    threshold
        Deviations of the market's standardised move beyond which a day is one.
    fewest
        Such days needed; with fewer the world has no jumps.
    """

    threshold: float = Field(default=4.0, ge=2)
    fewest: int = Field(default=3, ge=2)


class MertonJumps:
    """Poisson many jumps a step of normal log size (Merton 1976), from the days that moved the whole market."""

    name = "merton_jumps"
    kind: Kind = "jumps"
    settings: type[Settings] = MertonSettings

    def calibrate(self, sample: Sample, settings: Settings) -> dict[str, object]:
        """Return jumps and the share of each asset's variance that they explain: the rest has to be lowered by it.

        The market's move is the mean of the assets' standardised residuals, so that under GARCH a day counts by its
        surprise; sizes are those of the reference's returns, loads the slopes of the assets' returns on them.
        """
        assert isinstance(settings, MertonSettings)
        move = market_moves(sample.residuals)
        limit = settings.threshold * float(np.sqrt(np.nanmean(move**2))) if np.isfinite(move).any() else np.inf
        is_jump = (np.abs(move) > limit) & np.isfinite(sample.reference)
        if is_jump.sum() < settings.fewest:
            return {"jumps": None, "explained": np.zeros(sample.returns.shape[1]), "limit": np.inf}
        sizes = sample.reference[is_jump]
        weights = sample.probabilities.sum(axis=0)
        intensity = sample.probabilities[is_jump].sum(axis=0) / np.maximum(weights, 1.0)
        mean, sd = float(sizes.mean()), float(sizes.std())
        load = _loads(sample.returns[is_jump], sizes)
        added = float(sample.stationary @ intensity) * (mean**2 + sd**2)
        share = added * load**2 / sample.variance
        load = load * np.sqrt(np.minimum(1.0, LARGEST_SHARE / np.maximum(share, 1e-12)))
        explained = added * load**2 / sample.variance
        return {"jumps": Jumps(intensity, mean, sd, load), "explained": explained, "limit": limit}

    def oracle(self, parameters: Mapping[str, float], steps: int) -> dict[str, float]:
        """Return moments after some steps, and the price of a call at the money with one year for the steps.

        Takes ``drift, variance, intensity, mean, sd`` a step. The call has spot and strike 100 and no interest.
        """
        variance, intensity = number(parameters, "variance"), number(parameters, "intensity")
        mean, sd = number(parameters, "mean"), number(parameters, "sd")
        found = merton_moments(number(parameters, "drift", 0.0), variance, intensity, mean, sd, steps)
        return found | {
            "call": merton_call(100, 100, 0, float(np.sqrt(variance * steps)), 1, intensity * steps, mean, sd)
        }


def market_moves(residuals: Floats) -> Floats:
    """Return the mean residual of each day, NaN for a day without any, shape ``(T,)``.

    Parameters
    ----------
    residuals
        Shape ``(T, A)``; NaN counts as missing.
    """
    known = np.isfinite(residuals)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, residuals, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _loads(returns: Floats, sizes: Floats) -> Floats:
    """Return the slope of each asset's returns on the sizes, without constant, shape ``(A,)``."""
    known = np.isfinite(returns)
    moved = np.where(known, returns, 0.0).T @ sizes
    squares = np.maximum(known.T @ sizes**2, 1e-300)
    return np.asarray(np.clip(moved / squares, -LARGEST_LOAD, LARGEST_LOAD))
