"""What the newest 90 targets of every cell say on every day: skill with its error, coverage, PIT. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.trust.belief.targets import Targets

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WINDOW = 90
"""Targets that count."""
RECENT = 30
"""Targets over which a model is expected to beat naive, and by which that is judged later."""
STATED = 10
"""Targets below which nothing but their number is said."""
WIS, NAIVE, SEASONAL, COVERED_50, COVERED_80, COVERED_95, PIT, MOVE, NAIVE_ERROR = range(9)


class Said(NamedTuple):
    """What is said of K cells on D days, each of shape ``(K, D)``; NaN where there is nothing to say.

    Attributes
    ----------
    targets, recent_targets
        Targets in the window, and among its newest 30.
    wis, wis_naive, seasonal
        Mean scores of the model and of the better naive one, and whether that is the seasonal one.
    skill, skill_se, recent_skill
        Ratio of sums less one, reversed; its standard error; the same over the newest 30.
    coverage_50, coverage_80, coverage_95, pit_distance, stability
        See ``gold/trust``.
    after_hit, after_miss, misses_after_hit, misses_after_miss
        Counts of targets after one inside, or outside, the 80 % interval, and of misses among these.
    """

    targets: Floats
    recent_targets: Floats
    wis: Floats
    wis_naive: Floats
    seasonal: Floats
    skill: Floats
    skill_se: Floats
    recent_skill: Floats
    coverage_50: Floats
    coverage_80: Floats
    coverage_95: Floats
    pit_distance: Floats
    stability: Floats
    after_hit: Floats
    after_miss: Floats
    misses_after_hit: Floats
    misses_after_miss: Floats


def say(targets: Targets, days: Ints, spans: Ints, overlaps: Ints, may_be_seasonal: npt.NDArray[np.bool_]) -> Said:
    """Return what each cell's newest targets say on each day.

    Parameters
    ----------
    targets
        Of K cells.
    days
        Days since 1970, ascending, shape ``(D,)``.
    spans
        Days back that count at most, by cell, shape ``(K,)``.
    overlaps
        Steps over which errors of neighbouring targets overlap, by cell, shape ``(K,)``; at least 1.
    may_be_seasonal
        Whether a cell is measured against the seasonal naive model, too, where that is the better one.
    """
    found = np.full((len(Said._fields), len(targets.series), len(days)), np.nan)
    _say(targets.offsets, targets.day, targets.values, days, spans, overlaps, may_be_seasonal, found)
    return Said(*found)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _say(
    offsets: Ints,
    known: Ints,
    values: Floats,
    days: Ints,
    spans: Ints,
    overlaps: Ints,
    may_be_seasonal: npt.NDArray[np.bool_],
    found: Floats,
) -> None:
    for cell in range(len(offsets) - 1):
        low, high = offsets[cell], offsets[cell]
        for place in range(len(days)):
            while high < offsets[cell + 1] and known[high] <= days[place]:
                high += 1
            while low < high and known[low] <= days[place] - spans[cell]:
                low += 1
            low = max(low, high - WINDOW)
            found[0, cell, place] = high - low
            found[1, cell, place] = min(high - low, RECENT)
            if high - low >= STATED:
                _skill(values[low:high], overlaps[cell], may_be_seasonal[cell], found[:, cell, place])
                _calibration(values[low:high], found[:, cell, place])


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _skill(window: Floats, overlap: int, may_be_seasonal: bool, found: Floats) -> None:
    count = len(window)
    loss, naive, seasonal = 0.0, 0.0, 0.0
    for row in range(count):
        loss += window[row, WIS]
        naive += window[row, NAIVE]
        seasonal += window[row, SEASONAL]
    column = SEASONAL if may_be_seasonal and seasonal < naive else NAIVE
    reference = seasonal if column == SEASONAL else naive
    found[2], found[3] = loss / count, reference / count
    found[4] = 1.0 if column == SEASONAL else 0.0
    if not reference > 0.0:
        return
    ratio = loss / reference
    found[5] = 1.0 - ratio
    found[6] = np.sqrt(_variance(window, column, ratio, reference / count, overlap) / count)
    recent_loss, recent_reference = 0.0, 0.0
    for row in range(max(count - RECENT, 0), count):
        recent_loss += window[row, WIS]
        recent_reference += window[row, column]
    if recent_reference > 0.0:
        found[7] = 1.0 - recent_loss / recent_reference


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _variance(window: Floats, column: int, ratio: float, mean: float, overlap: int) -> float:
    """Return the long-run variance of one target's pull on the ratio, with Bartlett weights over the overlap."""
    count = len(window)
    total = 0.0
    for lag in range(min(overlap, count)):
        weight = 1.0 if lag == 0 else 2.0 * (1.0 - lag / overlap)
        product = 0.0
        for row in range(lag, count):
            one = window[row, WIS] - ratio * window[row, column]
            other = window[row - lag, WIS] - ratio * window[row - lag, column]
            product += one * other
        total += weight * product
    return max(total / count, 0.0) / (mean * mean)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _calibration(window: Floats, found: Floats) -> None:
    count = len(window)
    for place, column in enumerate((COVERED_50, COVERED_80, COVERED_95)):
        found[8 + place] = window[:, column].mean()
    ordered = np.sort(window[:, PIT])
    found[11] = _distance_to_uniform(ordered)
    moves, moved, errors = 0.0, 0, 0.0
    for row in range(count):
        errors += window[row, NAIVE_ERROR]
        if not np.isnan(window[row, MOVE]):
            moves += window[row, MOVE]
            moved += 1
    if moved and errors > 0.0:
        found[12] = (moves / moved) / (errors / count)
    found[13:17] = 0.0
    for row in range(1, count):
        before, now = window[row - 1, COVERED_80] < 0.5, window[row, COVERED_80] < 0.5
        found[14 if before else 13] += 1.0
        found[16 if before else 15] += 1.0 if now else 0.0


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _distance_to_uniform(ordered: Floats) -> float:
    """Return the area between the empirical distribution of ordered values in [0, 1] and the uniform one."""
    count, total = len(ordered), 0.0
    for place in range(count + 1):
        low = ordered[place - 1] if place else 0.0
        high = ordered[place] if place < count else 1.0
        level = place / count
        if low <= level <= high:
            total += 0.5 * ((level - low) ** 2 + (high - level) ** 2)
        else:
            total += abs(level - 0.5 * (low + high)) * (high - low)
    return total


def pit_distance(pit: Floats) -> float:
    """Return the Wasserstein distance of PITs from the uniform distribution; NaN without any.

    Examples
    --------
    >>> pit_distance(np.array([0.5])), pit_distance(np.array([0.25, 0.75])), pit_distance(np.zeros(3))
    (0.25, 0.125, 0.5)
    """
    known = np.sort(pit[np.isfinite(pit)])
    return float(_distance_to_uniform(known)) if len(known) else float("nan")
