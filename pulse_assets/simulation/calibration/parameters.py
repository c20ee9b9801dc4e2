"""What a calibration estimates and then holds until the next one: the parameters of a world, without its state.

What belongs here: the value. How it is estimated is in ``refits``, the state of a day in ``day_states``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pulse_assets.forecasting.garch import GjrFit
from pulse_assets.simulation.calibration.regimes import RegimeFit
from pulse_assets.simulation.calibration.world_settings import FactorSettings
from pulse_assets.simulation.world import Floats, Innovations, Jumps, Regimes, Variable

GONE = -1
"""Position of an index that has been left out after the fit."""


@dataclass(frozen=True, eq=False)
class Parameters:
    """Parameters of A assets and F factors, V in all.

    Attributes
    ----------
    fitted_on
        Day whose knowledge they are from.
    start
        Day after which returns count.
    assets, factors
        Shapes ``(A,)`` and ``(F,)``.
    volatility
        GJR-GARCH of each asset by which variance is filtered; constant volatility is ``beta = 1`` alone.
    drift
        Log return expected a step, before regimes and jumps, shape ``(A,)``.
    kept_variance
        Share of variance that jumps do not explain, shape ``(A,)``.
    sample_variance
        Of returns, shape ``(A,)``.
    mean, phi, sigma
        Of factors a step, shape ``(F,)``.
    correlation
        Of drivers, shape ``(V, V)``.
    innovations, nu, block_length, jumps
        As in :class:`pulse_assets.simulation.world.World`.
    regimes, switching
        Regimes as of the day of the fit, and the model by which their probabilities are filtered on later days; None
        without.
    index
        Position of the asset that stands for the market, None for the mean of all, -1 if it is not among them any more.
    jump_limit
        Mean residual beyond which a day counts as a jump and is not drawn again.
    left_out
        Variable → reason.
    notes
        What else a person should know.
    observations
        Variable → returns or values used.
    """

    fitted_on: np.datetime64
    start: np.datetime64
    assets: tuple[Variable, ...]
    factors: tuple[FactorSettings, ...]
    volatility: GjrFit
    drift: Floats
    kept_variance: Floats
    sample_variance: Floats
    mean: Floats
    phi: Floats
    sigma: Floats
    correlation: Floats
    innovations: Innovations
    nu: int = 0
    block_length: float = 1.0
    regimes: Regimes | None = None
    switching: RegimeFit | None = None
    index: int | None = None
    jumps: Jumps | None = None
    jump_limit: float = np.inf
    left_out: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    observations: dict[str, int] = field(default_factory=dict)

    def take(self, assets: Sequence[int], factors: Sequence[int]) -> "Parameters":
        """Return the parameters of some of the assets and factors, in the order asked for."""
        a, f = np.array(assets, np.int64), np.array(factors, np.int64)
        both = np.concatenate([a, len(self.assets) + f])
        jumps = None if self.jumps is None else replace(self.jumps, load=self.jumps.load[a])
        return replace(
            self,
            assets=tuple(self.assets[i] for i in assets),
            factors=tuple(self.factors[i] for i in factors),
            volatility=self.volatility.take(a),
            drift=self.drift[a],
            kept_variance=self.kept_variance[a],
            sample_variance=self.sample_variance[a],
            mean=self.mean[f],
            phi=self.phi[f],
            sigma=self.sigma[f],
            correlation=self.correlation[np.ix_(both, both)],
            index=None if self.index is None else [*assets].index(self.index) if self.index in assets else GONE,
            jumps=jumps,
        )
