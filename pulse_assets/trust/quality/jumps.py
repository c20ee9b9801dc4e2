"""Tells a change of unit from a volatile day: a compiled statistic of one series of values. Pure.

A change of unit, of currency or an unadjusted split multiplies all later values by one factor. So it is looked for on
the scale of logarithms of absolute values, it happens within one step, it lasts, and the factor is one that the market
does not make in a step: a z-score of 8 asks for ``exp(8 * floor)`` at least, however calm the series was.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]

JUMP_Z = 8.0
"""A larger z-score is a change of unit."""
LOG_FACTOR = {"price": math.log(1.8), "rate": math.log(30.0), "return": math.log(30.0), "sentiment": math.log(30.0)}
"""Smallest factor by kind: shares are split in two, rates and returns change between percent and shares of one."""
OTHER_LOG_FACTOR = math.log(5.0)
"""Of all other kinds, and of prices that are told weekly or less often: these may double from one to the next."""
AFTER, BEFORE = 10, 20
"""Values on both sides of a step whose medians are compared."""
SCALE_AFTER, SCALE_BEFORE, SCALE_FEWEST = 20, 60, 8
"""The same for values around zero, whose scale is compared instead; and how many must not be zero."""
FEWEST_BEFORE = 4
MAD_TO_SD = 1.4826
MEDIAN_SE = 1.2533


def smallest_factor(kind: str, freq: str) -> float:
    """Return the logarithm of the smallest factor that may be a change of unit.

    Examples
    --------
    >>> [round(math.exp(smallest_factor("price", freq)), 2) for freq in ("B", "MS")]
    [1.8, 5.0]
    """
    slow_price = kind == "price" and freq not in ("h", "D", "B")
    return OTHER_LOG_FACTOR if slow_price else LOG_FACTOR.get(kind, OTHER_LOG_FACTOR)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def median(values: Floats) -> float:
    """Return the median: NumPy's, compiled once rather than at every place that asks for it."""
    return np.median(values)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def robust_sd(values: Floats) -> float:
    """Return the median absolute deviation from the median, times 1.4826."""
    return MAD_TO_SD * median(np.abs(values - median(values)))  # type: ignore[no-any-return]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def unit_jump(values: Floats, first: int, log_factor: float) -> float:
    """Return the largest lasting shift of level at or after a place, as a robust z-score.

    Parameters
    ----------
    values
        Finite observations, oldest first, shape ``(N,)``.
    first
        Place of the first value whose step from its predecessor is looked at.
    log_factor
        Logarithm of the smallest factor that may count as a change of unit.

    Returns
    -------
    float
        NaN for fewer than eight values.
    """
    if len(values) < 8:
        return np.nan
    one_sign = True
    for value in values:
        one_sign &= value * values[0] > 0 or ((value > 0) == (values[0] > 0) and value != 0)
    if one_sign and values[0] != 0:
        return _level_jump(np.log(np.abs(values)), max(first, 1), log_factor / JUMP_Z)  # type: ignore[no-any-return]
    return _scale_jump(values, max(first, 1), log_factor / JUMP_Z)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _level_jump(logs: Floats, first: int, floor: float) -> float:
    """Return the largest z-score of a step that the median level before and after it confirms."""
    steps = logs[1:] - logs[:-1]
    sd = robust_sd(steps)
    best = 0.0
    for at in range(max(first, FEWEST_BEFORE), len(logs)):
        after = min(len(logs) - at, AFTER)
        # the fewer values confirm it, the larger a factor is asked for: its fourth power when there is one
        noise = max(sd, floor * (1.0 + 3.0 / after**2))
        step = steps[at - 1]
        if abs(step) / noise <= best:
            continue
        before = logs[max(at - BEFORE, 0) : at]
        shift = median(logs[at : at + after]) - median(before)
        if shift * step <= 0:
            continue
        best = max(best, min(abs(step), abs(shift)) / max(noise, robust_sd(before)))
    return best


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _scale_jump(values: Floats, first: int, floor: float) -> float:
    """Return the z-score of the likeliest change of scale, which values and their steps must show alike."""
    at = _likeliest_change(values, first)
    if at < 0:
        return 0.0
    low, high = max(at - SCALE_BEFORE, 0), min(at + SCALE_AFTER, len(values))
    steps = values[1:] - values[:-1]
    level = _scale_shift(values[low:at], values[at:high], floor)
    step = _scale_shift(steps[low : at - 1], steps[at : high - 1], floor)
    return min(abs(level), abs(step)) if level * step > 0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _likeliest_change(values: Floats, first: int) -> int:
    """Return the place where mean log sizes of values differ most before and after, in standard errors; -1 if none."""
    sums, counts = np.zeros(len(values) + 1), np.zeros(len(values) + 1)
    for place, value in enumerate(values):
        sums[place + 1] = sums[place] + (math.log(abs(value)) if value != 0 else 0.0)
        counts[place + 1] = counts[place] + (1.0 if value != 0 else 0.0)
    best, found = 0.0, -1
    for at in range(first, len(values)):
        low, high = max(at - SCALE_BEFORE, 0), min(at + SCALE_AFTER, len(values))
        before, after = counts[at] - counts[low], counts[high] - counts[at]
        if min(before, after) < SCALE_FEWEST:
            continue
        shift = (sums[high] - sums[at]) / after - (sums[at] - sums[low]) / before
        score = abs(shift) / math.sqrt(1.0 / before + 1.0 / after)
        if score > best:
            best, found = score, at
    return found


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _scale_shift(before: Floats, after: Floats, floor: float) -> float:
    """Return the shift of the median log size in standard errors, 0 where too few are neither zero nor infinite."""
    old, new = np.abs(before), np.abs(after)
    old, new = np.log(old[(old > 0) & np.isfinite(old)]), np.log(new[(new > 0) & np.isfinite(new)])
    if min(len(old), len(new)) < SCALE_FEWEST - 1:
        return 0.0
    noise = max(robust_sd(old), robust_sd(new)) * MEDIAN_SE * math.sqrt(1.0 / len(old) + 1.0 / len(new))
    return (median(new) - median(old)) / max(noise, floor)  # type: ignore[no-any-return]
