"""What the newest 90 targets of every cell say on every day: skill with its error, coverage, PIT. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.trust.belief.sizes import NEXT, STATED, WINDOW
from pulse_assets.trust.belief.targets import Targets

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WIS, NAIVE, SEASONAL, COVERED_50, COVERED_80, COVERED_95, PIT, MOVE, NAIVE_ERROR = range(9)


class Said(NamedTuple):
    """What is said of K cells on D days, each of shape ``(K, D)``; NaN, or 0 targets, where nothing is.

    Attributes
    ----------
    targets, recent_targets
        Targets in the window, and recent ones among its newest 30.
    wis, wis_naive, seasonal
        Mean scores of the model and of the better naive one, and whether that is the seasonal one.
    skill, skill_se, recent_skill
        Ratio of sums less one, reversed; its standard error; the same over the recent ones.
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


@dataclass(frozen=True)
class Reach:
    """How far back K cells look on D days.

    Parameters
    ----------
    days
        Days since 1970, ascending, shape ``(D,)``.
    span
        Days back that count at most.
    silence
        Days without a truth after which nothing is said any more.
    since
        Truths known after this day are recent, days since 1970, shape ``(K, D)``.
    overlap
        Steps over which errors of neighbouring targets overlap, shape ``(K,)``; at least 1.
    may_be_seasonal
        Whether a cell is measured against the seasonal naive model, too, where that is the better one, shape ``(K,)``.
    """

    days: Ints
    span: int
    silence: int
    since: Ints
    overlap: Ints
    may_be_seasonal: npt.NDArray[np.bool_]


def say(targets: Targets, offsets: Ints, reach: Reach) -> Said:
    """Return what each cell's newest targets say on each day.

    Parameters
    ----------
    targets
        Of K cells.
    offsets
        Cell k owns targets ``offsets[k]:offsets[k + 1]``.
    reach
        Of the same cells.
    """
    found = np.full((len(Said._fields), len(offsets) - 1, len(reach.days)), np.nan)
    _say(
        offsets,
        targets.day,
        targets.values,
        reach.days,
        reach.span,
        reach.silence,
        reach.since,
        reach.overlap,
        reach.may_be_seasonal,
        found,
    )
    return Said(*found)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _say(
    offsets: Ints,
    known: Ints,
    values: Floats,
    days: Ints,
    span: int,
    silence: int,
    since: Ints,
    overlaps: Ints,
    may_be_seasonal: npt.NDArray[np.bool_],
    found: Floats,
) -> None:
    for cell in range(len(offsets) - 1):
        low, high = offsets[cell], offsets[cell]
        for place in range(len(days)):
            while high < offsets[cell + 1] and known[high] <= days[place]:
                high += 1
            while low < high and known[low] <= days[place] - span:
                low += 1
            low = max(low, high - WINDOW)
            silent = low == high or known[high - 1] <= days[place] - silence
            found[:2, cell, place] = 0.0
            if not silent:
                recent = low + np.searchsorted(known[low:high], since[cell, place], side="right")
                recent = max(recent, high - NEXT)
                found[0, cell, place], found[1, cell, place] = high - low, high - recent
                _skill(values[low:high], recent - low, overlaps[cell], may_be_seasonal[cell], found[:, cell, place])
                _calibration(values[low:high], found[:, cell, place])


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _skill(window: Floats, recent: int, overlap: int, may_be_seasonal: bool, found: Floats) -> None:
    count = len(window)
    loss, naive, seasonal = window[:, WIS].sum(), window[:, NAIVE].sum(), window[:, SEASONAL].sum()
    column = SEASONAL if may_be_seasonal and seasonal < naive else NAIVE
    reference = seasonal if column == SEASONAL else naive
    found[2], found[3], found[4] = loss / count, reference / count, 1.0 if column == SEASONAL else 0.0
    if not reference > 0.0:
        return
    ratio = loss / reference
    found[5] = 1.0 - ratio
    if count >= STATED and count > overlap:
        found[6] = np.sqrt(_variance(window, column, ratio, reference / count, overlap) / count)
    recent_reference = window[recent:, column].sum()
    if recent_reference > 0.0:
        found[7] = 1.0 - window[recent:, WIS].sum() / recent_reference


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _variance(window: Floats, column: int, ratio: float, mean: float, overlap: int) -> float:
    """Return the long-run variance of one target's pull on the ratio, with Bartlett weights over the overlap.

    Overlapping errors hide variance in small samples: it is raised as Harvey, Leybourne and Newbold (1997), Testing the
    equality of prediction mean squared errors, eq. 9, do.
    """
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
    overlapping = (count + 1 - 2 * overlap + overlap * (overlap - 1) / count) / count
    return max(total / count, 0.0) / (overlapping * mean * mean)


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
    if count < STATED:
        return
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
