"""What a world must hold before it is simulated: shapes, finite numbers, probabilities, and that it cannot explode.

What belongs here: checks that raise, naming the variable and what to do. Nothing is repaired here; correlations are by
``correlation``, and persistence is limited by ``volatility``.
"""

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.calibration.correlation import check_correlation
from pulse_assets.simulation.calibration.part_guards import (
    check_factors,
    check_innovations,
    check_jumps,
    check_regimes,
    check_variables,
    refuse,
)
from pulse_assets.simulation.world import LARGEST_STEP_SD, Floats, World

ASSET_FIELDS = ("drift", "omega", "alpha", "gamma", "beta", "variance")
FACTOR_FIELDS = ("level", "mean", "phi", "sigma")


def check_world(world: World) -> None:
    """Refuse a world that is malformed or would explode.

    Regime multipliers scale returns and do not enter the variance recursion, so the persistence of each asset has to
    be below 1 by itself, with the mean squares of the innovations that are really drawn; what multipliers and jumps
    add is then limited through the deviation of a step.

    Raises
    ------
    ValueError
        With the field, the variable, what was expected, what came and what to do.
    """
    check_variables(world.variables)
    _check_shapes(world)
    _check_volatility(world)
    check_factors(world)
    check_innovations(world)
    if world.regimes is not None:
        check_regimes(world.regimes)
    if world.jumps is not None:
        check_jumps(world.jumps, 1 if world.regimes is None else len(world.regimes.names))
    check_correlation(world.correlation, world.names)
    _check_explosion(world)


def persistence(world: World) -> Floats:
    """Return how much of a variance's distance from its long run is left a step later, for the shocks drawn.

    It is ``alpha E[e²] + gamma E[e² (e < 0)] + beta``: ``alpha + gamma/2 + beta`` for symmetric innovations, while
    residuals of the past may be skewed. Constant volatility has 1.

    Returns
    -------
    array
        Shape ``(A,)``.
    """
    square, below = np.ones(len(world.assets)), np.full(len(world.assets), 0.5)
    if world.innovations == "historical":
        square = np.mean(world.residuals**2, axis=0)
        below = np.mean(np.minimum(world.residuals, 0) ** 2, axis=0)
    return np.asarray(world.alpha * square + world.gamma * below + world.beta)


def long_run_variance(world: World) -> Floats:
    """Return what each asset's expected variance tends to, before regimes and jumps, shape ``(A,)``.

    Squared log returns a step; with constant volatility it is the variance at the origin.
    """
    left = 1 - persistence(world)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(_is_constant(world), world.variance, world.omega / left)


def _is_constant(world: World) -> npt.NDArray[np.bool_]:
    return np.asarray((world.omega == 0) & (world.alpha == 0) & (world.gamma == 0) & (world.beta == 1))


def _check_shapes(world: World) -> None:
    assets, factors = len(world.assets), len(world.factors)
    names = world.names
    for fields, count, owners in ((ASSET_FIELDS, assets, names[:assets]), (FACTOR_FIELDS, factors, names[assets:])):
        for field in fields:
            value = getattr(world, field)
            if value.shape != (count,):
                raise ValueError(f"{field}: expected one number for each of {list(owners)}, got shape {value.shape}")
            refuse(~np.isfinite(value), owners, f"a finite {field}", value, "recalibrate it or leave it out")
    if world.history.size and world.history.shape[1:] != (len(names),):
        raise ValueError(f"history: expected shape (L, {len(names)}), got {world.history.shape}: give every variable")
    if world.history.size:
        wrong = ~np.isfinite(world.history).all(axis=0)
        refuse(wrong, names, "finite past states", world.history.sum(axis=0), "fill gaps with the last known value")


def _check_volatility(world: World) -> None:
    names = world.names
    refuse(~(world.variance > 0), names, "a variance above 0", world.variance, "leave out a price that does not move")
    for field, value in (
        ("omega", world.omega),
        ("alpha", world.alpha),
        ("alpha + gamma", world.alpha + world.gamma),
        ("beta", world.beta),
    ):
        refuse(value < 0, names, f"{field} of at least 0", value, "variance could turn negative: refit it")


def _check_explosion(world: World) -> None:
    names, left = world.names, persistence(world)
    wrong = ~_is_constant(world) & ~((left < 1) & (world.omega > 0))
    refuse(wrong, names, "persistence below 1 and omega above 0", left, "it would explode: lower beta or alpha")
    multiplier, shift, jump = 1.0, np.zeros(1), np.zeros(len(world.assets))
    if world.regimes is not None:
        multiplier, shift = float(world.regimes.volatility.max()), world.regimes.drift
    if world.jumps is not None:
        _check_loads(world)
        sizes = world.jumps.mean**2 + world.jumps.sd**2
        jump = float(world.jumps.intensity.max()) * sizes * world.jumps.load**2
    variance = np.maximum(world.variance, long_run_variance(world)) * multiplier**2 + jump
    what = f"a deviation of a step up to {LARGEST_STEP_SD} in every regime, jumps included"
    refuse(~(variance <= LARGEST_STEP_SD**2), names, what, np.sqrt(variance), "lower variance, multipliers or jumps")
    move = np.abs(world.drift) + np.abs(shift).max()
    refuse(~(move <= LARGEST_STEP_SD), names, f"a drift a step within ±{LARGEST_STEP_SD}", move, "give it a step")


def _check_loads(world: World) -> None:
    assert world.jumps is not None
    load = world.jumps.load
    if load.shape != (len(world.assets),):
        raise ValueError(f"jumps.load: expected one for each of {len(world.assets)} assets, got shape {load.shape}")
    refuse(~np.isfinite(load), world.names, "a finite jump load", load, "use 0 for an asset without jumps")
