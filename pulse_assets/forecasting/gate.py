"""The gate: how much each member of the pool weighs in a forecast, from losses observed by its origin.

A member's weight falls with the power of its loss relative to the best member's; the power and the members' priors are
a small linear map of a few cheap features, trained on backtests of other panels (``benchmarks/pretrain.py``) and tuned
on the panel at hand by :mod:`.tuning` where that helps. Two sets of weights, for the nearest and the farthest step, are
mixed in between.

References
----------
Montero-Manso, Athanasopoulos, Hyndman and Talagala (2020), FFORMA: feature-based forecast model averaging.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.forecasting.walk_state import NAIVE, OF_A_CHANNEL, REFERENCE, REPEAT

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FEATURES = ("one", "length", "season", "trend")
"""What the gate sees of a series beside losses: 1, its length, what repeating the season gains, what a trend gains."""
INPUTS = len(FEATURES)
POWER = 4.0
"""Power of the losses before anything is learned."""
FAR_OUT = 2.0
"""A member may leave the range of the past by this many ranges; beyond it is not used."""
LEAST_CLOSENESS = -3.0


def plain_gate(members: int) -> Floats:
    """Return the gate that has learned nothing, shape ``(2, members, INPUTS + 1)``: weights by power of loss."""
    gate = np.zeros((2, members, INPUTS + 1))
    gate[:, :, INPUTS] = POWER
    return gate


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _log_ratio(a: float, b: float) -> float:
    """Return log(a / b) within log 20 of zero; 0 where it says nothing."""
    if not (a >= 0.0 and b >= 0.0) or (a == 0.0 and b == 0.0):
        return 0.0
    ratio = a / b if b > 0.0 else 20.0
    return math.log(min(max(ratio, 0.05), 20.0))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def look(made: Floats, loss: Floats, statistics: Floats, usable: Bools, closeness: Floats, features: Floats) -> None:
    """Fill what the gate sees at P origins.

    Parameters
    ----------
    made, loss, statistics
        As :func:`~pulse_assets.forecasting.walk.walk` fills them, with M columns of members.
    usable
        Members with finite forecasts within reason and a loss, shape ``(P, M)``; the naive one always is.
    closeness
        Minus the logarithm of loss over least loss, within [-3, 0], shape ``(P, M)``.
    features
        Shape ``(P, INPUTS)``.
    """
    for p in range(made.shape[0]):
        lowest, highest = statistics[p, 5], statistics[p, 6]
        reach = FAR_OUT * (highest - lowest) + 1e-9 * max(abs(lowest), abs(highest))
        least = np.inf
        for member in range(made.shape[2]):
            fine = member != REFERENCE and loss[p, member] == loss[p, member]
            for h in range(made.shape[1]):
                fine = fine and lowest - reach <= made[p, h, member] <= highest + reach
            usable[p, member] = fine
            if fine:
                least = min(least, loss[p, member])
        usable[p, NAIVE] = True
        for member in range(made.shape[2]):
            closeness[p, member] = 0.0
            if usable[p, member] and loss[p, member] > least:
                ratio = least / loss[p, member]
                closeness[p, member] = max(math.log(ratio), LEAST_CLOSENESS) if ratio > 0.0 else LEAST_CLOSENESS
        naive = loss[p, NAIVE]
        repeat = loss[p, REPEAT] if usable[p, REPEAT] else naive
        trend = np.inf
        for member in (2, 3, OF_A_CHANNEL + 2, OF_A_CHANNEL + 3):
            if usable[p, member]:
                trend = min(trend, loss[p, member])
        features[p, 0] = 1.0
        features[p, 1] = min(max(math.log(statistics[p, 4] / 50.0), -2.5), 3.0) / 2.0
        features[p, 2] = _log_ratio(naive, repeat)
        features[p, 3] = _log_ratio(naive, trend) if trend < np.inf else 0.0


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def weigh(gate: Floats, usable: Bools, closeness: Floats, features: Floats, weights: Floats) -> None:
    """Fill the weights at one origin: ``weights`` of shape ``(2, M)``, near and far, each summing to 1."""
    for end in range(2):
        highest = -np.inf
        for member in range(len(usable)):
            if usable[member]:
                score = gate[end, member, INPUTS] * closeness[member]
                for i in range(INPUTS):
                    score += gate[end, member, i] * features[i]
                weights[end, member] = score
                highest = max(highest, score)
        total = 0.0
        for member in range(len(usable)):
            weights[end, member] = math.exp(weights[end, member] - highest) if usable[member] else 0.0
            total += weights[end, member]
        for member in range(len(usable)):
            weights[end, member] /= total


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def blend(
    gate: Floats,
    made: Floats,
    usable: Bools,
    closeness: Floats,
    features: Floats,
    weights: Floats,
    center: Floats,
    apart: Floats,
) -> None:
    """Fill the weighted mean of the members and how far they are apart, for P origins.

    Parameters
    ----------
    gate
        Shape ``(2, M, INPUTS + 1)``.
    made, usable, closeness, features
        See :func:`look`.
    weights
        Shape ``(P, 2, M)``: at the nearest and the farthest step; mixed linearly in between.
    center, apart
        Weighted mean and weighted standard deviation, shape ``(P, H)``, in units of ``made``.
    """
    horizon = made.shape[1]
    for p in range(made.shape[0]):
        weigh(gate, usable[p], closeness[p], features[p], weights[p])
        for h in range(horizon):
            far = h / (horizon - 1.0) if horizon > 1 else 0.0
            mean = 0.0
            for member in range(made.shape[2]):
                weight = (1.0 - far) * weights[p, 0, member] + far * weights[p, 1, member]
                if weight > 0.0:
                    mean += weight * made[p, h, member]
            square = 0.0
            for member in range(made.shape[2]):
                weight = (1.0 - far) * weights[p, 0, member] + far * weights[p, 1, member]
                if weight > 0.0:
                    square += weight * (made[p, h, member] - mean) ** 2
            center[p, h], apart[p, h] = mean, math.sqrt(square)
