"""Compiled walk through a ledger: what stands at the end of each day, counted afresh from what was known then. Pure.

A day's figures are a function of the rows known before its end and of nothing else; they are carried over to the next
day only where nothing became known in between.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.trust.quality.jumps import median, unit_jump

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REFERENCE = 128
"""Observations before the window that say what is usual for the series."""
FIGURES = (
    "observations",
    "duplicates",
    "due",
    "missing",
    "flat_run",
    "flat_share",
    "flat_surprise",
    "revision_rate",
    "revision_size",
    "jump_z",
    "newest_ds",
    "longest_lag",
)
"""Rows of what :func:`walk` returns."""
(
    OBSERVATIONS,
    DUPLICATES,
    DUE,
    MISSING,
    FLAT_RUN,
    FLAT_SHARE,
    FLAT_SURPRISE,
    REVISION_RATE,
    REVISION_SIZE,
    JUMP_Z,
    NEWEST_DS,
    LONGEST_LAG,
) = range(len(FIGURES))
ABSENT = -1


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def walk(
    known: Ints,
    values: Floats,
    event: Ints,
    row_offsets: Ints,
    event_offsets: Ints,
    ds: Ints,
    step: Ints,
    window: Ints,
    log_factor: Floats,
    ends: Ints,
) -> tuple[Floats, Ints]:
    """Return figures of S series at D ends, and when they last became known.

    Parameters
    ----------
    known, values, event, row_offsets, event_offsets, ds, step
        As in :class:`.ledger.Ledger`.
    window
        Steps that count, shape ``(S,)``.
    log_factor
        Logarithm of the smallest factor that may be a change of unit, shape ``(S,)``.
    ends
        Ascending; rows known strictly before an end are known at it, shape ``(D,)``.

    Returns
    -------
    figures
        Shape ``(len(FIGURES), S, D)``. ``flat_surprise`` is minus the logarithm of the probability of the newest flat
        run, given how often the series stood still before; infinite where it never moved.
    told_at
        Shape ``(S, D)``; -1 where a series is not known yet.
    """
    figures = np.zeros((len(FIGURES), len(row_offsets) - 1, len(ends)))
    told_at = np.full((len(row_offsets) - 1, len(ends)), ABSENT)
    for series in range(len(row_offsets) - 1):
        low, high = event_offsets[series], event_offsets[series + 1]
        value, first = np.full(high - low, np.nan), np.zeros(high - low)
        moment, released, doubled = np.zeros((3, high - low), np.int64)
        row, newest, current = row_offsets[series], ABSENT, np.zeros(len(FIGURES))
        last = ABSENT
        for day in range(len(ends)):
            begin = row
            while row < row_offsets[series + 1] and known[row] < ends[day]:
                place = event[row] - low
                if math.isfinite(values[row]):
                    _tell(value, first, moment, released, doubled, place, values[row], known[row])
                    newest, last = max(newest, place), known[row]
                elif newest == ABSENT:
                    last = known[row]
                row += 1
            if row > begin:
                current = _figures(
                    value,
                    first,
                    released,
                    ds[low:high],
                    step[low:high],
                    newest,
                    window[series],
                    log_factor[series],
                )
                current[DUPLICATES] = doubled.sum()
            figures[:, series, day] = current
            told_at[series, day] = last
    return figures, told_at


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _tell(
    value: Floats, first: Floats, moment: Ints, released: Ints, doubled: Ints, place: int, new: float, known: int
) -> None:
    """Enter one row: a first release, a revision, or another value told at the same moment."""
    if math.isnan(value[place]):
        first[place], released[place] = new, known
    elif moment[place] == known and value[place] != new:
        doubled[place] = 1
    value[place], moment[place] = new, known


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _figures(
    value: Floats, first: Floats, released: Ints, ds: Ints, step: Ints, newest: int, window: int, log_factor: float
) -> Floats:
    """Count what stands, from the newest event time backwards."""
    out = np.zeros(len(FIGURES))
    out[REVISION_SIZE] = out[JUMP_Z] = np.nan
    out[OBSERVATIONS] = (~np.isnan(value)).sum()
    if newest == ABSENT:
        return out
    places, inside = _newest_places(value, step, newest, window)
    recent = value[places]
    out[NEWEST_DS] = ds[newest]
    start, seen = len(places) - inside, 0
    for number in range(start, len(places)):
        place = places[number]
        seen += number == start or step[place] > step[places[number - 1]]
        out[LONGEST_LAG] = max(out[LONGEST_LAG], released[place] - ds[place])
    out[DUE] = min(step[newest] - step[places[0]] + 1, window)
    out[MISSING] = out[DUE] - seen
    _stillness(out, value, recent, inside, newest)
    _revisions(out, first[places[start:]], recent)
    out[JUMP_Z] = unit_jump(recent, start, log_factor)
    return out


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _newest_places(value: Floats, step: Ints, newest: int, window: int) -> tuple[Ints, int]:
    """Return where the window's observations and those before it stand, oldest first, and how many are inside."""
    places = np.empty(newest + 1, np.int64)
    count = inside = 0
    for place in range(newest, -1, -1):
        if math.isnan(value[place]):
            continue
        if step[place] > step[newest] - window:
            inside += 1
        elif count >= inside + REFERENCE:
            break
        places[count] = place
        count += 1
    return places[:count][::-1].copy(), inside


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _stillness(out: Floats, value: Floats, recent: Floats, inside: int, newest: int) -> None:
    """Fill in the newest flat run, the share of flat steps in the window, and how surprising the run is."""
    run = 0
    for place in range(newest, -1, -1):
        if math.isnan(value[place]):
            continue
        if value[place] != value[newest]:
            break
        run += 1
    out[FLAT_RUN] = run
    counted = min(inside, len(recent) - 1)
    still = usual = 0
    for place in range(1, len(recent)):
        flat = recent[place] == recent[place - 1]
        still += flat and place >= len(recent) - counted
        usual += flat and place <= len(recent) - run
    out[FLAT_SHARE] = still / counted if counted else 0.0
    before = max(len(recent) - run, 0)
    chance = (usual + 1.0) / (before + 2.0)
    out[FLAT_SURPRISE] = np.inf if run >= len(recent) else -(run - 1) * math.log(chance)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _revisions(out: Floats, first: Floats, recent: Floats) -> None:
    """Fill in which share of the window was revised, and by how many usual steps."""
    start, revised, total = len(recent) - len(first), 0, 0.0
    for place in range(len(first)):
        change = abs(recent[start + place] - first[place])
        revised += change > 0
        total += change
    out[REVISION_RATE] = revised / len(first)
    usual = median(np.abs(recent[1:] - recent[:-1])) if len(recent) > 1 else 0.0
    if revised and usual > 0 and math.isfinite(total / usual):
        out[REVISION_SIZE] = total / revised / usual
