"""What is held: signed positions in USD and the capital behind them, checked at the border.

How exposure changes on the way is in ``exposure_policies``, what P&L comes to in ``outcomes``.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pulse_assets.simulation.risk.exposure_policies import ExposurePolicy, build_policy
from pulse_assets.simulation.world import World

Floats = npt.NDArray[np.float64]


class Portfolio(BaseModel):
    """Signed exposures in USD and the capital behind them.

    Parameters
    ----------
    positions
        USD in each asset at the origin, by the asset's name in the world; negative is short.
    capital_usd
        What may be lost before ruin; drawdowns are shares of capital plus P&L.
    allow_short
        Whether positions may be negative.
    policy, policy_options
        How exposure changes on the way: one of ``exposure_policies.available_policies()``, and its parameters.

    Raises
    ------
    ValueError
        A position or the capital is no finite number, no position is other than 0, one is negative without
        ``allow_short``, the capital is not positive, or the policy is unknown or does not take its options.

    Examples
    --------
    >>> Portfolio(positions={"spx": 1000.0, "gold": -50.0}, capital_usd=500.0, allow_short=True).policy
    'hold'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    positions: Mapping[str, float]
    capital_usd: float
    allow_short: bool = False
    policy: str = "hold"
    policy_options: Mapping[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        for name, usd in self.positions.items():
            if not isfinite(usd):
                raise ValueError(f"the position in {name!r} must be a finite number of USD; came {usd}")
            if usd < 0 and not self.allow_short:
                raise ValueError(f"the position in {name!r} is short, {usd} USD; set allow_short to permit that")
        if not any(self.positions.values()):
            raise ValueError("a portfolio holds something: give at least one position that is not 0")
        if not (isfinite(self.capital_usd) and self.capital_usd > 0):
            raise ValueError(f"capital_usd must be a positive number of USD; came {self.capital_usd}")
        build_policy(self.policy, self.policy_options)
        return self

    @property
    def exposure_policy(self) -> ExposurePolicy:
        """The policy with its options."""
        return build_policy(self.policy, self.policy_options)

    def vector(self, world: World) -> Floats:
        """Return positions in USD in the order of the world's assets, 0 where nothing is held, shape ``(A,)``.

        Raises
        ------
        ValueError
            A position is in something that is no asset of the world.
        """
        names = [asset.name for asset in world.assets]
        for name in self.positions:
            if name not in names:
                what = "a factor, which has no price," if name in world.names else "nothing"
                raise ValueError(
                    f"there is a position in {name!r}, {what} in the world; its assets: {', '.join(names)}"
                )
        return np.array([self.positions.get(name, 0.0) for name in names])
