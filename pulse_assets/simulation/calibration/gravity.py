"""Residual gravity: a small learned correction of what dynamics and rules leave unexplained. Pure.

A ridge regression of each variable's unexplained movement on the factors' deviations and the regime, as known at the
start of a step. It is bounded three times: the kernel caps every correction, stops correcting a path that has spent its
budget, and a variable has a correction at all only where one made from its past would have lowered the error.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.program import Gravity
from pulse_assets.simulation.world import World

Floats = npt.NDArray[np.float64]

LEAST_GAIN = 0.05
"""Share by which the error must fall for a variable to keep its correction."""
CAP = 0.25
"""Largest correction of a step, in standard deviations of the variable's step."""
BUDGET = 20.0
"""Corrections of full size that a path may get, over all variables."""
PENALTY = 50.0
"""Ridge penalty in observations of a feature with unit variance."""
FIRST_SHARE = 0.5
"""Share of the past that the first judged prediction is made from."""
REFITS = 12
"""How often the past is refitted while it is judged."""
FEWEST = 250
"""Steps of the past below which nothing is learned."""


@dataclass(frozen=True, eq=False)
class Past:
    """What happened before the origin, T steps.

    Attributes
    ----------
    changes
        Of every variable's state over each step, shape ``(T, V)``; NaN where unknown.
    factors
        State of every factor at the start of each step, shape ``(T, F)``; NaN where unknown.
    regimes
        Filtered probability of each regime at the start of each step, shape ``(T, K)``.
    """

    changes: Floats
    factors: Floats
    regimes: Floats


@dataclass(frozen=True, eq=False)
class Learned:
    """A correction, and what was found about it.

    Attributes
    ----------
    gravity
        None where no variable gains.
    gain
        Share by which each variable's mean absolute error would have fallen, shape ``(V,)``; NaN where unknown.
    """

    gravity: Gravity | None
    gain: Floats


def learn_gravity(world: World, past: Past, *, least_gain: float = LEAST_GAIN, budget: float = BUDGET) -> Learned:
    """Fit the correction from what was known at the origin, and keep it only where it would have helped.

    Parameters
    ----------
    world
        V variables, F factors, K regimes.
    past
        Rows with an unknown feature are left out, for each variable also those with an unknown change; fewer than 250
        give no correction.
    least_gain
        Share by which the error of predictions made from earlier steps only must fall.
    budget
        See :class:`~pulse_assets.simulation.program.Gravity`.

    Raises
    ------
    ValueError
        Shapes do not fit the world.
    """
    _check(world, past)
    features = _features(world, past)
    usable = np.isfinite(features).all(axis=1)
    residual = _unexplained(world, past)[usable]
    features = features[usable]
    variables = len(world.variables)
    gain = np.full(variables, np.nan)
    if len(features) < FEWEST:
        return Learned(None, gain)
    gain = np.array([_gain(features, residual[:, v]) for v in range(variables)])
    kept = gain >= least_gain
    if not kept.any():
        return Learned(None, gain)
    coefficients = np.stack(
        [_ridge(features, residual[:, v]) if kept[v] else np.zeros(features.shape[1]) for v in range(variables)]
    )
    factors = len(world.factors)
    deviation = np.concatenate([np.sqrt(world.variance), world.sigma])
    return Learned(
        Gravity(coefficients[:, :factors], coefficients[:, factors:], np.where(kept, CAP * deviation, 0.0), budget),
        gain,
    )


def _check(world: World, past: Past) -> None:
    regimes = len(world.regimes.names) if world.regimes else 1
    steps = len(past.changes)
    expected = ((steps, len(world.variables)), (steps, len(world.factors)), (steps, regimes))
    came = (past.changes.shape, past.factors.shape, past.regimes.shape)
    if came != expected:
        raise ValueError(f"expected changes, factors and regimes of shapes {expected}, got {came}")


def _features(world: World, past: Past) -> Floats:
    """Return deviations of factors from their means, then probabilities of regimes, shape ``(T, F + K)``."""
    return np.concatenate([past.factors - world.mean, past.regimes], axis=1)


def _unexplained(world: World, past: Past) -> Floats:
    """Return each step's movement less what the dynamics expect of it, shape ``(T, V)``."""
    shift = past.regimes @ world.regimes.drift if world.regimes else np.zeros(len(past.changes))
    assets = world.drift[None, :] + shift[:, None]
    factors = (world.phi - 1) * (past.factors - world.mean)
    return np.asarray(past.changes - np.concatenate([assets, factors], axis=1))


def _ridge(features: Floats, target: Floats) -> Floats:
    """Return ridge coefficients; features are scaled to unit variance for the penalty, which spares none."""
    known = np.isfinite(target)
    x, y = features[known], target[known]
    scale = np.maximum(x.std(axis=0), 1e-12)
    scale[x.std(axis=0) == 0] = 1.0
    z = x / scale
    return np.asarray(np.linalg.solve(z.T @ z + PENALTY * np.eye(z.shape[1]), z.T @ y) / scale)


def _gain(features: Floats, target: Floats) -> float:
    """Return by how much the mean absolute error of predictions from earlier steps falls below that of none."""
    if np.isfinite(target).sum() < FEWEST:
        return np.nan
    features, target = features[np.isfinite(target)], target[np.isfinite(target)]
    count = len(features)
    cuts = np.linspace(FIRST_SHARE * count, count, REFITS + 1).astype(int)
    with_it, without = 0.0, 0.0
    for start, end in pairwise(cuts):
        predicted = features[start:end] @ _ridge(features[:start], target[:start])
        with_it += float(np.abs(target[start:end] - predicted).sum())
        without += float(np.abs(target[start:end]).sum())
    return 1 - with_it / without if without > 0 else np.nan
