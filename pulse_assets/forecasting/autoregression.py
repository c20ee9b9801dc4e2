"""Autoregressions from running autocovariances: Yule-Walker by Levinson-Durbin, the order by AICc, at any origin.

Three versions of a series: its values less the first one, its differences, its seasonal differences. Products of
neighbours are summed as observations arrive, so a fit at an origin costs O(order²) however long the series is.

References
----------
Brockwell and Davis (1991), Time Series: Theory and Methods, ch. 8. Hurvich and Tsai (1989), Regression and time series
model selection in small samples.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]

VALUES, DIFFERENCES, SEASONAL = range(3)
SHORTEST = 10
"""Observations that a fit needs."""
LARGEST_EXPONENT = 300.0


def work_of(order: int, horizon: int) -> tuple[int, int]:
    """Return the shape of the scratch that a fit of an order and its forecasts need."""
    return 4, order + 1 + horizon


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def observe_products(
    x: float, t: int, m: int, order: int, mask: int, ring: Floats, products: Floats, total: Floats, head: Floats
) -> None:
    """Take in observation t of all three versions.

    Parameters
    ----------
    ring
        Newest values of each version, shape ``(3, R)``; R = mask + 1.
    products
        Sums of x_t·x_{t-k}, shape ``(3, order + 1)``.
    total, head
        Sums, shape ``(3,)``, and the first values, shape ``(3, order + 1)``.
    """
    ring[VALUES, t & mask] = x
    for version in range(3):
        back = 0 if version == VALUES else (1 if version == DIFFERENCES else m)
        if (version == SEASONAL and m < 2) or t < back:
            continue
        z = x if version == VALUES else x - ring[VALUES, (t - back) & mask]
        ring[version, t & mask] = z
        total[version] += z
        if t - back < order:
            head[version, t - back] = z
        for k in range(min(order, t - back) + 1):
            products[version, k] += z * ring[version, (t - k) & mask]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _covariances(
    lags: int,
    count: int,
    n: int,
    version: int,
    mask: int,
    ring: Floats,
    products: Floats,
    total: Floats,
    head: Floats,
    out: Floats,
) -> None:
    """Fill autocovariances about the mean; the ends that a lagged sum leaves out are taken from it exactly."""
    mean = total[version] / count
    first, last = 0.0, 0.0
    for k in range(lags + 1):
        if k > 0:
            first += head[version, k - 1]
            last += ring[version, (n - k) & mask]
        both = 2.0 * total[version] - first - last
        out[k] = (products[version, k] - mean * both + (count - k) * mean * mean) / count


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _levinson(covariance: Floats, largest: int, count: int, now: Floats, before: Floats, best: Floats) -> int:
    """Solve Yule-Walker for every order; leave the coefficients of the best by AICc in ``best``, return its order."""
    variance, chosen = covariance[0], 0
    least = count * math.log(variance) + 2.0
    for order in range(1, largest + 1):
        left = covariance[order]
        for i in range(1, order):
            left -= now[i] * covariance[order - i]
        reflection = left / variance
        if not abs(reflection) < 1.0:
            break
        for i in range(1, order):
            before[i] = now[i]
        for i in range(1, order):
            now[i] = before[i] - reflection * before[order - i]
        now[order] = reflection
        variance *= 1.0 - reflection * reflection
        if not variance > 0.0:
            break
        free = order + 2.0
        criterion = count * math.log(variance) + 2.0 * free + 2.0 * free * (free + 1.0) / max(count - free - 1.0, 1.0)
        if criterion < least:
            least, chosen = criterion, order
            for i in range(1, order + 1):
                best[i] = now[i]
    return chosen


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def emit_autoregression(
    n: int,
    version: int,
    m: int,
    horizon: int,
    mask: int,
    ring: Floats,
    products: Floats,
    total: Floats,
    head: Floats,
    is_log: bool,
    origin: float,
    steps: npt.NDArray[np.int64],
    made: Floats,
    member: int,
    work: Floats,
) -> None:
    """Fill ``made[:, member]`` with forecasts from n observations at some steps ahead (0 is the next).

    Left as it is when the series is too short or does not vary. ``work`` is scratch of :func:`work_of` size: taking
    memory here would cost more than the arithmetic.
    """
    back = 0 if version == VALUES else (1 if version == DIFFERENCES else m)
    count, order = n - back, products.shape[1] - 1
    if count < SHORTEST:
        return
    largest, covariance, best, path, out = min(order, count // 3), work[0], work[1], work[2], work[3]
    _covariances(largest, count, n, version, mask, ring, products, total, head, covariance)
    if not covariance[0] > 0.0:
        return
    chosen = _levinson(covariance, largest, count, path, out, best)
    mean = total[version] / count
    for i in range(chosen):
        path[i] = ring[version, (n - chosen + i) & mask] - mean
    value = ring[VALUES, (n - 1) & mask]
    for h in range(horizon):
        next_one = 0.0
        for i in range(1, chosen + 1):
            next_one += best[i] * path[chosen + h - i]
        path[chosen + h] = next_one
        if version == VALUES:
            value = next_one + mean
        elif version == DIFFERENCES:
            value += next_one + mean
        else:
            value = next_one + mean + (ring[VALUES, (n + h - m) & mask] if h < m else out[h - m])
        out[h] = value
    for i in range(len(steps)):
        value = out[steps[i]] + origin
        made[i, member] = math.exp(min(value, LARGEST_EXPONENT)) if is_log else value
