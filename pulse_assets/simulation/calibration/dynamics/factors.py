"""Macro and overlay variables: first-order autoregressions, which are Ornstein-Uhlenbeck processes at whole steps."""

from collections.abc import Mapping

import numpy as np

from pulse_assets.simulation.calibration.dynamics.oracles import ar1_moments
from pulse_assets.simulation.calibration.dynamics.protocol import Kind, Sample, Settings, number

FEWEST_ROWS = 24


class Ar1Settings(Settings):
    """Autoregression.

    Attributes
    ----------
    unbiased
        Whether to take out the bias of the estimate, by which returns to the mean look faster than they are.
    """

    unbiased: bool = True


class Ar1:
    """Return to a mean, at the pace of business steps whatever the pace of the data."""

    name = "ar1"
    kind: Kind = "factor"
    settings: type[Settings] = Ar1Settings

    def calibrate(self, sample: Sample, settings: Settings) -> dict[str, object]:
        """Return mean, autoregression and deviation a step; a series without return to its mean is a random walk.

        With n steps between rows ``phi = phi_rows^(1/n)``, and the deviation is such that the variance after n steps is
        that of the rows. Bias correction: Kendall (1954), Note on bias in the estimation of autocorrelation.

        Raises
        ------
        ValueError
            Fewer than 24 rows, or rows that do not move.
        """
        assert isinstance(settings, Ar1Settings)
        state = sample.returns[:, 0]
        state = state[np.isfinite(state)]
        if len(state) < FEWEST_ROWS or not state.std() > 0:
            raise ValueError(f"an autoregression needs {FEWEST_ROWS} values that move, got {len(state)}: leave it out")
        mean, before, after = float(state.mean()), state[:-1] - state.mean(), state[1:] - state.mean()
        slope = float(before @ after / (before @ before))
        if settings.unbiased:
            slope += (1 + 3 * slope) / len(before)
        slope = min(max(slope, 0.0 if sample.steps > 1 else -1.0), 1.0)
        variance = float(np.mean((after - slope * before) ** 2))
        phi = float(np.sign(slope) * abs(slope) ** (1 / sample.steps))
        gained = sample.steps if phi == 1 else (1 - slope**2) / (1 - phi**2) if abs(phi) < 1 else 1.0
        sigma = np.sqrt(variance / gained)
        return {"mean": np.array([mean]), "phi": np.array([phi]), "sigma": np.array([sigma])}

    def oracle(self, parameters: Mapping[str, float], steps: int) -> dict[str, float]:
        """Return mean and variance after some steps for ``phi, mean, sigma`` and ``start``."""
        phi, mean, sigma = (number(parameters, name) for name in ("phi", "mean", "sigma"))
        return ar1_moments(phi, mean, sigma, number(parameters, "start", mean), steps)
