"""Compiled steps of regime switching: the filter of hidden states, and iterations that raise the likelihood.

What belongs here: loops over time. What callers see is in ``regimes``.
"""

import math

import numpy as np
from numba import njit

from pulse_assets.simulation.world import Floats

SMALLEST_SD = 0.01
"""Of a state, in deviations of the sample."""
SMALLEST_PROBABILITY = 1e-6
TINY = 1e-300
LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)
POWERS = 40
"""Squarings of a transition matrix that give its stationary distribution: 2^40 steps."""


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def filter_states(
    x: Floats, mean: Floats, sd: Floats, transition: Floats, first: Floats, filtered: Floats, predicted: Floats
) -> float:
    """Fill the probabilities of K states after and before each of T values; return the log-likelihood.

    Parameters
    ----------
    x
        Shape ``(T,)``; what is not finite counts as missing.
    mean, sd, transition, first
        Shapes ``(K,)``, ``(K,)``, ``(K, K)``; ``first`` are the probabilities before the first value, ``(K,)``.
    filtered, predicted
        Filled, shape ``(T, K)``.
    """
    states, total = len(mean), 0.0
    log_density = np.empty(states)
    for t in range(len(x)):
        for j in range(states):
            if t == 0:
                predicted[0, j] = first[j]
            else:
                predicted[t, j] = 0.0
                for i in range(states):
                    predicted[t, j] += filtered[t - 1, i] * transition[i, j]
        if not math.isfinite(x[t]):
            filtered[t] = predicted[t]
            continue
        peak = -np.inf
        for j in range(states):
            z = (x[t] - mean[j]) / sd[j]
            log_density[j] = -0.5 * z * z - math.log(sd[j])
            peak = max(peak, log_density[j])
        mass = 0.0
        for j in range(states):
            filtered[t, j] = predicted[t, j] * math.exp(log_density[j] - peak)
            mass += filtered[t, j]
        mass = max(mass, TINY)
        for j in range(states):
            filtered[t, j] /= mass
        total += math.log(mass) + peak - LOG_ROOT_TWO_PI
    return total


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def smooth_states(transition: Floats, filtered: Floats, predicted: Floats) -> None:
    """Turn filtered probabilities, shape ``(T, K)``, into those given all values, in place."""
    states = len(transition)
    for t in range(len(filtered) - 2, -1, -1):
        for i in range(states):
            ahead = 0.0
            for j in range(states):
                ahead += transition[i, j] * filtered[t + 1, j] / max(predicted[t + 1, j], TINY)
            filtered[t, i] *= ahead


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def maximise(
    x: Floats, mean: Floats, sd: Floats, transition: Floats, iterations: int, tolerance: float
) -> tuple[Floats, Floats, Floats, float]:
    """Return means, deviations, transitions and log-likelihood after iterations from a start.

    Ends when the log-likelihood gains less than the tolerance; the best parameters seen are returned.
    """
    states = len(mean)
    filtered, predicted = np.empty((len(x), states)), np.empty((len(x), states))
    best_mean, best_sd, best_transition, best = mean.copy(), sd.copy(), transition.copy(), -np.inf
    mean, sd, transition = mean.copy(), sd.copy(), transition.copy()
    for _ in range(iterations):
        value = filter_states(x, mean, sd, transition, _stationary(transition), filtered, predicted)
        gain = value - best
        if value > best:
            best_mean[:], best_sd[:], best_transition[:], best = mean, sd, transition, value
        if gain < tolerance:
            break
        _update(x, filtered, predicted, mean, sd, transition)
    return best_mean, best_sd, best_transition, best


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _stationary(transition: Floats) -> Floats:
    power: Floats = transition.copy()
    square = np.empty_like(power)
    for _ in range(POWERS):
        for i in range(len(power)):
            total = 0.0
            for j in range(len(power)):
                square[i, j] = 0.0
                for k in range(len(power)):
                    square[i, j] += power[i, k] * power[k, j]
                total += square[i, j]
            for j in range(len(power)):
                square[i, j] /= total
        power[:] = square
    row: Floats = power[0].copy()
    return row


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _update(x: Floats, filtered: Floats, predicted: Floats, mean: Floats, sd: Floats, transition: Floats) -> None:
    """Replace the parameters by the most likely ones given the states' smoothed probabilities."""
    states = len(mean)
    moves, weight = np.zeros((states, states)), np.zeros(states)
    first, second = np.zeros(states), np.zeros(states)
    now, later = filtered[len(x) - 1].copy(), np.empty(states)
    for t in range(len(x) - 1, -1, -1):
        if t < len(x) - 1:
            later[:] = now
            for i in range(states):
                now[i] = 0.0
                for j in range(states):
                    both = filtered[t, i] * transition[i, j] * later[j] / max(predicted[t + 1, j], TINY)
                    moves[i, j] += both
                    now[i] += both
        if math.isfinite(x[t]):
            for i in range(states):
                weight[i] += now[i]
                first[i] += now[i] * x[t]
                second[i] += now[i] * x[t] * x[t]
    for i in range(states):
        mean[i] = first[i] / max(weight[i], TINY)
        sd[i] = max(math.sqrt(max(second[i] / max(weight[i], TINY) - mean[i] * mean[i], 0.0)), SMALLEST_SD)
        left = 0.0
        for j in range(states):
            moves[i, j] = max(moves[i, j], SMALLEST_PROBABILITY)
            left += moves[i, j]
        for j in range(states):
            transition[i, j] = moves[i, j] / left
