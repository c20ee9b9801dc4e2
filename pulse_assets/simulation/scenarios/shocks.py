"""What a scenario does to a world, step by step, as arrays for the kernel.

What belongs here: the value and how moves add up in it. What kinds of shock become which moves is in ``moves``,
and a whole scenario is compiled in ``scenarios``.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.world import Floats, World

Ints = npt.NDArray[np.int64]

FREE = -1
"""No regime is forced."""


@dataclass(frozen=True, eq=False)
class Shocks:
    """A scenario on a world of V variables, on their scales.

    Attributes
    ----------
    keep, add
        After the dynamics of step t a state x becomes ``keep[t] * x + add[t]``, shape ``(steps, V)``.
    variance
        Factor on the variance of assets' shocks, shape ``(steps,)``.
    regime
        Regime that is forced, or -1, shape ``(steps,)``.
    phase
        Which of the correlations drives a step, shape ``(steps,)``.
    correlations
        Each of shape ``(V, V)``; the first is the world's own.
    branch
        Which random numbers are drawn, 0 for those that all scenarios have in common, shape ``(steps,)``.
    disabled
        Ids of rules that do not act.
    remarks
        What was left out and why, for people; no part of the fingerprint.
    """

    keep: Floats
    add: Floats
    variance: Floats
    regime: Ints
    phase: Ints
    correlations: tuple[Floats, ...]
    branch: Ints
    disabled: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """How many steps it is made for."""
        return len(self.variance)

    @property
    def fingerprint(self) -> str:
        """Digest of all that changes outcomes."""
        digest = hashlib.sha256("\n".join(sorted(self.disabled)).encode())
        arrays = (self.keep, self.add, self.variance, self.regime, self.phase, self.branch, *self.correlations)
        for array in arrays:
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


class Move(NamedTuple):
    """What happens to one variable over some steps.

    Attributes
    ----------
    variable
        Its position in the world.
    first
        Step at which it begins, from 0.
    keep
        1 adds to the state, 0 replaces it.
    add
        On the variable's scale, shape ``(n,)``; what lies after the last step of a run is not used.
    """

    variable: int
    first: int
    keep: float
    add: Floats


def no_shock(world: World, steps: int) -> Shocks:
    """Return the scenario in which nothing happens.

    Raises
    ------
    ValueError
        There is not a single step.

    Examples
    --------
    >>> none = np.empty(0)
    >>> from pulse_assets.simulation.world import Variable
    >>> one = [np.ones(1)] * 4
    >>> world = World((Variable("vix", "macro", "percent"),), *[none] * 6, *one, np.eye(1))
    >>> shocks = no_shock(world, 2)
    >>> shocks.keep.tolist(), shocks.add.tolist(), shocks.regime.tolist()
    ([[1.0], [1.0]], [[0.0], [0.0]], [-1, -1])
    """
    if steps < 1:
        raise ValueError(f"a run has at least 1 step; came {steps}")
    shape = (steps, len(world.variables))
    return Shocks(
        keep=np.ones(shape),
        add=np.zeros(shape),
        variance=np.ones(steps),
        regime=np.full(steps, FREE, np.int64),
        phase=np.zeros(steps, np.int64),
        correlations=(np.array(world.correlation, np.float64),),
        branch=np.zeros(steps, np.int64),
    )


def origin_states(world: World) -> Floats:
    """Return the state of every variable at the origin, shape ``(V,)``: 0 for assets."""
    return np.concatenate([np.zeros(len(world.assets)), world.level])


def put(keep: Floats, add: Floats, moves: Iterable[Move]) -> None:
    """Let moves happen after those that are in the arrays already.

    Parameters
    ----------
    keep, add
        As in :class:`Shocks`, shape ``(steps, V)``; changed in place.
    moves
        In order.
    """
    for move in moves:
        steps = slice(move.first, min(move.first + len(move.add), len(keep)))
        count = max(steps.stop - steps.start, 0)
        keep[steps, move.variable] *= move.keep
        add[steps, move.variable] = move.keep * add[steps, move.variable] + move.add[:count]
