"""When a run is precise enough: a rule that gives the same answer for any number of workers. Pure.

It looks at completed blocks in their order and at nothing else. Error bars themselves are in ``estimators``.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST = 16
"""Blocks or replicates before which a rule does not stop unless told to: an early standard error is itself a guess."""
VARIES = 1e-12
"""A variance below this share of the mean square is lost in the rounding of sums of squares."""


class Prefixes(NamedTuple):
    """Estimate after each number of blocks in order, and its standard error: shape ``(B, ...)``, NaN where unknown."""

    value: Floats
    standard_error: Floats


def block_prefixes(counts: Ints, sums: Floats, squares: Floats) -> Prefixes:
    """Return the mean after each block of independent paths and its standard error.

    Parameters
    ----------
    counts
        Paths in each completed block, in order of blocks without a gap, shape ``(B,)``.
    sums, squares
        Of the paths' values and of their squares, shape ``(B, ...)``. Added up in order of blocks, in float64.

    Returns
    -------
    Prefixes
        The standard error is NaN as long as a value has not varied: no hit so far is no proof of precision.

    Raises
    ------
    ValueError
        The shapes do not fit.

    Examples
    --------
    >>> found = block_prefixes(np.array([2, 2]), np.array([3.0, 7.0]), np.array([5.0, 25.0]))
    >>> found.value.tolist(), found.standard_error.round(4).tolist()
    ([1.5, 2.5], [0.5, 0.6455])
    """
    if sums.shape != squares.shape or sums.shape[:1] != counts.shape:
        raise ValueError(f"blocks do not fit: counts {counts.shape}, sums {sums.shape}, squares {squares.shape}")
    n = np.cumsum(counts).reshape(-1, *[1] * (sums.ndim - 1)).astype(np.float64)
    mean, square = np.cumsum(sums, axis=0) / n, np.cumsum(squares, axis=0) / n
    variance = square - mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(variance > VARIES * square, np.sqrt(variance / (n - 1)), np.nan)
    return Prefixes(np.asarray(mean), np.asarray(error))


def replicate_prefixes(estimates: Floats) -> Prefixes:
    """Return the mean of the first 1, 2, … B estimates and its standard error from their spread.

    For what has no sums: quantiles of blocks, or replicates of RQMC.

    Parameters
    ----------
    estimates
        Of completed blocks or replicates, in order without a gap, shape ``(B, ...)``.
    """
    counts = np.ones(len(estimates), np.int64)
    centre = estimates[:1]  # near the mean, so that squares keep their digits
    found = block_prefixes(counts, estimates - centre, (estimates - centre) ** 2)
    return Prefixes(np.asarray(found.value + centre), found.standard_error)


def stop_after(
    prefixes: Prefixes, target: Floats | float, relative: bool = False, least: int = LEAST, most: int | None = None
) -> int | None:
    """Return after how many blocks to stop: the first prefix on which every output is precise enough.

    Every prefix is looked at in order, so the answer is the same however many later blocks workers have completed
    by now and however many workers there are. Blocks beyond it are thrown away, not averaged in.

    Parameters
    ----------
    prefixes
        Of the completed blocks in order without a gap.
    target
        Standard error wanted of each output, shape ``(...)`` or one for all; NaN or infinite leaves an output out.
    relative
        Whether the target is a share of the estimate's size.
    least
        Blocks before which it never stops.
    most
        Blocks after which it stops in any case.

    Returns
    -------
    int | None
        None to go on.

    Raises
    ------
    ValueError
        ``least`` is below 1 or above ``most``.

    Notes
    -----
    A rule that looks at the estimated error stops too soon where that is by chance too low: an interval reported
    after stopping covers less than it says and the estimate has a bias of order of the target squared. Both vanish
    as the target shrinks (Glynn and Whitt 1992, The asymptotic validity of sequential stopping rules for stochastic
    simulations, theorem 1); ``least`` keeps them small where it does not.

    Examples
    --------
    >>> prefixes = Prefixes(np.array([1.0, 1.1, 1.0]), np.array([0.2, 0.1, 0.05]))
    >>> stop_after(prefixes, 0.1, least=1), stop_after(prefixes, 0.01, least=1)
    (2, None)
    >>> stop_after(prefixes, 0.01, least=1, most=3)
    3
    """
    if least < 1 or (most is not None and most < least):
        raise ValueError(f"expected 1 <= least <= most blocks; came least {least} and most {most}")
    blocks = len(prefixes.value)
    wanted = np.asarray(target, np.float64) * (np.abs(prefixes.value) if relative else np.ones_like(prefixes.value))
    left_out = ~np.isfinite(np.broadcast_to(target, wanted.shape))
    precise = ((prefixes.standard_error <= wanted) | left_out).reshape(blocks, -1).all(axis=1)
    enough = np.flatnonzero(precise[least - 1 :])
    found = int(enough[0]) + least if enough.size else None
    if most is not None and blocks >= most and (found is None or found > most):
        return most
    return found
