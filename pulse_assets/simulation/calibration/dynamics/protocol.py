"""What a plug-in for dynamics is: a name, a schema of settings, a calibration to fields of a world, an exact answer.

What belongs here: the protocol and what it passes around. Third parties implement it and declare an entry point in the
group ``pulse.dynamics``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel, ConfigDict

from pulse_assets.simulation.world import Floats

Kind = Literal["volatility", "regimes", "jumps", "innovations", "factor"]
"""Parts of a world, in the order in which they are calibrated."""


class Settings(BaseModel):
    """Base of the schemas: keys that are unknown and numbers that are not finite are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True, eq=False)
class Sample:
    """What a plug-in calibrates from: nothing but what was known at the origin.

    Attributes
    ----------
    returns
        Log returns of A assets on their own days, NaN where there is none, shape ``(T, A)``; for a factor its states,
        shape ``(T, 1)``.
    residuals
        Returns less their mean over their expected deviation, shape ``(T, A)``; empty while volatility is calibrated.
    reference
        Returns of the index that stands for the market, shape ``(T,)``.
    probabilities
        Of each regime on each day, given the sample, shape ``(T, K)``; ones, ``(T, 1)``, without regimes.
    stationary
        Share of each regime in the long run, shape ``(K,)``.
    variance
        Long-run variance of each asset, shape ``(A,)``.
    steps
        Steps of the world between two rows.
    """

    returns: Floats
    residuals: Floats = field(default_factory=lambda: np.empty((0, 0)))
    reference: Floats = field(default_factory=lambda: np.empty(0))
    probabilities: Floats = field(default_factory=lambda: np.empty((0, 1)))
    stationary: Floats = field(default_factory=lambda: np.ones(1))
    variance: Floats = field(default_factory=lambda: np.empty(0))
    steps: float = 1.0


@runtime_checkable
class Dynamics(Protocol):
    """A plug-in.

    Attributes
    ----------
    name
        What settings call it.
    kind
        Which part of a world it calibrates.
    settings
        Schema of its settings.
    """

    name: str
    kind: Kind
    settings: type[Settings]

    def calibrate(self, sample: Sample, settings: Settings) -> dict[str, object]:
        """Return fields of a world by name, some with others that only the calibration needs.

        volatility
            ``drift, omega, alpha, gamma, beta, variance`` of each asset, shape ``(A,)``, as at the start of the sample.
        regimes
            ``switching``, the fit of the reference (``calibration.regimes``), and ``regimes``.
        jumps
            ``jumps``, or None without any; ``explained``, their share of each asset's variance, shape ``(A,)``; and
            ``limit``, the mean residual beyond which a day counts as one.
        innovations
            ``innovations``, and ``nu`` or ``block_length``.
        factor
            ``mean, phi, sigma`` a step, shape ``(1,)``.

        Raises
        ------
        ValueError
            The sample does not allow it; the message says what to do.
        """
        ...

    def oracle(self, parameters: Mapping[str, float], steps: int) -> dict[str, float]:
        """Return exact answers, such as moments after some steps, for parameters given as numbers.

        Raises
        ------
        ValueError
            A parameter is missing.
        """
        ...


def number(parameters: Mapping[str, float], name: str, default: float | None = None) -> float:
    """Return a parameter of an oracle.

    Raises
    ------
    ValueError
        It is missing and has no default, or is not finite.
    """
    value = parameters.get(name, default)
    if value is None or not math.isfinite(value):
        raise ValueError(f"an oracle needs a finite {name!r}, got {value}: the parameters are {sorted(parameters)}")
    return float(value)
