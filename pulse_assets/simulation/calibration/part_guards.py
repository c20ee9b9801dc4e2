"""Checks of the parts of a world: variables, factors, innovations, regimes, jumps.

What belongs here: checks of one part by itself. What parts do together is checked in ``guards``.
"""

import keyword
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.world import (
    GROUPS,
    LARGEST_NU,
    LARGEST_STEP_SD,
    SUM_TOLERANCE,
    Floats,
    Jumps,
    Regimes,
    Variable,
    World,
    level_of,
)

SMALLEST_NU = 3
FEWEST_DAYS = 100
"""Days of residuals that ``historical`` draws from, at least."""
LARGEST_JUMPS_A_STEP = 2.0
LARGEST_LOG = 80.0
"""Absolute logarithm of a level beyond which ``exp`` leaves float32 after a few steps."""
LARGEST_LEVEL = 1e30
ROUNDING = 1e-9
SMALLEST_SQUARE, LARGEST_SQUARE = 0.25, 4.0
"""Mean square that residuals may have; standardised ones have about 1."""


def refuse(wrong: npt.ArrayLike, names: Sequence[str], what: str, came: Floats, do: str) -> None:
    """Raise for the first of the named for which something is wrong, shape ``(n,)``."""
    places = np.flatnonzero(wrong)
    if len(places):
        first, others = int(places[0]), len(places) - 1
        more = f" (and {others} more)" if others else ""
        raise ValueError(f"{names[first]}{more}: expected {what}, got {np.asarray(came)[first]}: {do}")


def check_variables(variables: Sequence[Variable]) -> None:
    """Refuse names that rules cannot use or that stand twice, unknown groups, and factors before assets.

    Raises
    ------
    ValueError
        With the variable, what was expected, what came and what to do.
    """
    if not variables:
        raise ValueError("a world needs at least one variable: name assets or factors in its settings")
    seen: set[str] = set()
    for variable in variables:
        name = variable.name
        if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name):
            raise ValueError(
                f"variable {name!r}: expected letters, digits and underscores, no word of Python: rename it"
            )
        if name in seen:
            raise ValueError(f"variable {name!r} stands twice in the world: rename one of them")
        if variable.group not in GROUPS or variable.scale not in ("linear", "log"):
            raise ValueError(
                f"{name}: expected a group of {GROUPS} and scale linear or log, got {variable}: correct it"
            )
        seen.add(name)
    groups = [variable.group != "asset" for variable in variables]
    if groups != sorted(groups):
        raise ValueError(f"{variables[groups.index(True)].name}: factors stand after all assets: reorder the variables")


def check_factors(world: World) -> None:
    """Refuse levels outside their bounds and autoregressions that leave float32.

    Raises
    ------
    ValueError
        With the variable, what was expected, what came and what to do.
    """
    factors = world.factors
    names = [factor.name for factor in factors]
    for factor, state in zip(factors, world.level, strict=True):
        _check_bounds(factor, float(state))
    refuse(np.abs(world.phi) > 1, names, "phi in [-1, 1]", world.phi, "it would explode: use 1 for a random walk")
    refuse(world.sigma < 0, names, "sigma of at least 0", world.sigma, "recalibrate it")
    log = np.array([factor.scale == "log" for factor in factors], bool)
    wide = log & ((world.sigma > LARGEST_STEP_SD) | (np.abs(world.mean) > LARGEST_LOG))
    limits = f"sigma up to {LARGEST_STEP_SD} and a mean within ±{LARGEST_LOG:.0f} on log scale"
    refuse(wide, names, limits, world.sigma, "it would leave float32: check the unit of the series")


def _check_bounds(factor: Variable, state: float) -> None:
    if not factor.low < factor.high or (factor.scale == "log" and factor.high <= 0):
        raise ValueError(f"{factor.name}: expected low < high (positive for log), got {factor}: correct the bounds")
    largest = LARGEST_LOG if factor.scale == "log" else LARGEST_LEVEL
    if abs(state) > largest:
        raise ValueError(
            f"{factor.name}: expected a state within ±{largest}, got {state}: check the unit of the series"
        )
    level = float(level_of(factor, state))
    slack = ROUNDING * max(1.0, abs(level))
    if not factor.low - slack <= level <= factor.high + slack:
        raise ValueError(f"{factor.name}: expected {factor.low} to {factor.high}, got {level}: widen its bounds")


def check_innovations(world: World) -> None:
    """Refuse unknown innovations, degrees of freedom that are not offered, and residuals that are not standardised.

    Raises
    ------
    ValueError
        With the variable, what was expected, what came and what to do.
    """
    if world.innovations not in ("normal", "student_t", "historical"):
        raise ValueError(f"innovations: expected normal, student_t or historical, got {world.innovations!r}")
    if world.innovations == "student_t" and world.nu not in range(SMALLEST_NU, LARGEST_NU + 1):
        raise ValueError(
            f"nu: expected a whole number from {SMALLEST_NU} to {LARGEST_NU}, got {world.nu}: beyond it use 'normal'"
        )
    if world.innovations == "historical":
        _check_residuals(world)


def _check_residuals(world: World) -> None:
    names, residuals = world.names, world.residuals
    if residuals.ndim != 2 or residuals.shape[1] != len(world.assets) or len(residuals) < FEWEST_DAYS:
        raise ValueError(
            f"residuals: expected at least {FEWEST_DAYS} days of {len(world.assets)} assets, got shape "
            f"{residuals.shape}: give assets with a longer common past, or use 'student_t'"
        )
    count = np.sum(~np.isfinite(residuals), axis=0)
    refuse(count > 0, names, "no missing residual", count, "use only days on which all assets have one")
    square = np.mean(residuals**2, axis=0)
    wrong = ~((square >= SMALLEST_SQUARE) & (square <= LARGEST_SQUARE))
    refuse(wrong, names, "residuals of mean square near 1", square, "divide returns by their deviation")
    if not 1 <= world.block_length <= len(residuals):
        raise ValueError(f"block_length: expected 1 to {len(residuals)} days, got {world.block_length}: shorten it")


def check_regimes(regimes: Regimes) -> None:
    """Refuse probabilities that are none and multipliers that are not positive.

    Raises
    ------
    ValueError
        With the variable, what was expected, what came and what to do.
    """
    names, count = regimes.names, len(regimes.names)
    if not count or len(set(names)) < count or not all(name.isidentifier() for name in names):
        raise ValueError(f"regimes: expected different names of letters, digits and underscores, got {names}")
    shapes = {"transition": (count, count), "now": (count,), "volatility": (count,), "drift": (count,)}
    for field, shape in shapes.items():
        value = getattr(regimes, field)
        if value.shape != shape or not np.isfinite(value).all():
            raise ValueError(f"regimes.{field}: expected finite numbers of shape {shape}, got {value.tolist()}")
    rows = np.vstack([regimes.transition, regimes.now])
    owners = [*(f"regimes.transition from {name}" for name in names), "regimes.now"]
    outside = ((rows < 0) | (rows > 1)).any(axis=1)
    refuse(outside, owners, "probabilities in [0, 1]", rows, "correct them")
    off = np.abs(rows.sum(axis=1) - 1) > SUM_TOLERANCE
    refuse(off, owners, "probabilities that sum to 1", rows.sum(axis=1), "divide them by their sum")
    owners = [f"regimes.volatility of {name}" for name in names]
    refuse(~(regimes.volatility > 0), owners, "a factor above 0", regimes.volatility, "correct it")
    forced = np.asarray(regimes.forced_volatility)
    if forced.shape != (count,) or not (np.isfinite(forced) & (forced > 0)).all():
        raise ValueError(f"regimes.stress: expected {count} factors above 0, got {forced.tolist()}")


def check_jumps(jumps: Jumps, regimes: int) -> None:
    """Refuse jumps of which there would be too many, and sizes that are not finite.

    Raises
    ------
    ValueError
        With the variable, what was expected, what came and what to do.
    """
    if jumps.intensity.shape != (regimes,):
        raise ValueError(f"jumps.intensity: expected one for each of {regimes} regimes, got {jumps.intensity.shape}")
    wrong = ~((jumps.intensity >= 0) & (jumps.intensity <= LARGEST_JUMPS_A_STEP))
    owners = [f"jumps.intensity in regime {k}" for k in range(regimes)]
    what = f"0 to {LARGEST_JUMPS_A_STEP} jumps a step"
    refuse(wrong, owners, what, jumps.intensity, "give jumps a step, not a year; many small ones are volatility")
    if not (np.isfinite([jumps.mean, jumps.sd]).all() and jumps.sd >= 0):
        raise ValueError(
            f"jumps: expected a finite mean and sd of at least 0, got {jumps.mean}, {jumps.sd}: correct it"
        )
