"""What a block of paths leaves behind: outcomes a path, histograms and counts; restricted Python.

Counts and histograms are integers, so that neither order nor chunking can change a sum.
"""

from pulse_assets.simulation.kernel.header import BINS
from pulse_assets.simulation.kernel.intrinsics import (
    F32,
    I64,
    LANES,
    U64,
    F32s,
    I64s,
    add_count,
    at,
    compiled,
    fabs_,
    fma,
    max_,
    min_,
    truncated,
)
from pulse_assets.simulation.kernel.steps import ONE, ZERO

LAST_BIN, BIN_PARTS, LARGEST_PART = F32(BINS - 1), F32(4096.0), F32(2.0e9)
LARGEST = F32(3.4e38)
"""What lies beyond counts as broken; below the bounds that stand for none."""
FIXED_POINT, MOST_CAPS = F32(2.0**20), F32(1024.0)


@compiled
def record_rows(
    work: F32s, first: I64, rows: I64, floats: F32s, ranges: I64, counts: I64s, histogram: I64, sums: I64, valid: I64
) -> None:
    """Count each of some rows into its histogram, and add it to its sum in 4096ths of a bin.

    The table ``ranges`` has low end and bins a unit of each row.
    """
    for q in range(rows):
        low: F32 = floats[ranges + 2 * q]
        inverse: F32 = floats[ranges + 2 * q + 1]
        total: I64 = I64(0)
        for lane in range(valid):
            place: F32 = (work[at(first + q, lane)] - low) * inverse
            inside: F32 = min_(max_(place, ZERO), LAST_BIN)
            add_count(counts, histogram + q * BINS + truncated(inside), I64(1))
            part: F32 = min_(max_(place * BIN_PARTS, -LARGEST_PART), LARGEST_PART)
            total += truncated(part)
        add_count(counts, sums + q, total)


@compiled
def count_broken(work: F32s, first: I64, rows: I64, spare: I64, counts: I64s, index: I64, valid: I64) -> None:
    """Count the paths with a variable that is not finite."""
    for lane in range(LANES):
        work[at(spare, lane)] = ZERO
    for q in range(rows):
        for lane in range(LANES):
            size: F32 = fabs_(work[at(first + q, lane)])
            work[at(spare, lane)] = work[at(spare, lane)] if size < LARGEST else ONE
    total: I64 = I64(0)
    for lane in range(valid):
        total += truncated(work[at(spare, lane)])
    add_count(counts, index, total)


@compiled
def watch_event(work: F32s, row: I64, flag: I64, threshold: F32, is_above: I64) -> None:
    """Raise a flag where a variable stands beyond a threshold."""
    for lane in range(LANES):
        x: F32 = work[at(row, lane)]
        far: F32 = x - threshold if is_above != 0 else threshold - x
        work[at(flag, lane)] = ONE if far > ZERO else work[at(flag, lane)]


@compiled
def count_row(work: F32s, row: I64, counts: I64s, index: I64, valid: I64) -> None:
    """Add the number of raised flags of a row to a counter."""
    total: I64 = I64(0)
    for lane in range(valid):
        total += truncated(work[at(row, lane)])
    add_count(counts, index, total)


@compiled
def track_capital(work: F32s, profit: I64, drawdown: I64, peak: I64, under: I64, worst: I64, capital: F32) -> None:
    """Follow peak, drawdown as a share of the peak, steps under water and the worst profit of each path."""
    for lane in range(LANES):
        gain: F32 = work[at(profit, lane)]
        equity: F32 = capital + gain
        top: F32 = max_(equity, work[at(peak, lane)])
        work[at(peak, lane)] = top
        work[at(under, lane)] += ONE if equity < top else ZERO
        fall: F32 = (top - equity) / top
        work[at(drawdown, lane)] = max_(fall, work[at(drawdown, lane)])
        work[at(worst, lane)] = min_(gain, work[at(worst, lane)])


@compiled
def pull_row(
    work: F32s,
    row: I64,
    pull: I64,
    spent: I64,
    before: I64,
    cap: F32,
    budget: F32,
    counts: I64s,
    index: I64,
    valid: I64,
) -> None:
    """Move a variable by the row ``pull`` within its cap, unless the path has spent its budget of such moves.

    Sizes of pulls, and of all movement of the variable in the step, are summed in units of the cap, 2^20 parts each.
    """
    for lane in range(LANES):
        size: F32 = min_(max_(work[at(pull, lane)], -cap), cap)
        is_live: F32 = ONE if work[at(spent, lane)] < budget else ZERO
        size = size * is_live
        work[at(pull, lane)] = size
        work[at(spent, lane)] += fabs_(size) / cap
        work[at(row, lane)] += size
    pulled: I64 = I64(0)
    moved: I64 = I64(0)
    for lane in range(valid):
        pulled += truncated(min_(fabs_(work[at(pull, lane)]) / cap, MOST_CAPS) * FIXED_POINT)
        change: F32 = fabs_(work[at(row, lane)] - work[at(before, lane)])
        moved += truncated(min_(change / cap, MOST_CAPS) * FIXED_POINT)
    add_count(counts, index, pulled)
    add_count(counts, index + 1, moved)


@compiled
def learned_pull(
    work: F32s, pull: I64, state: I64, assets: I64, factors: I64, regime: I64, floats: F32s, table: I64, means: I64
) -> None:
    """Fill a row with the correction of one variable: a number by regime and a share of each factor's deviation.

    The table has F coefficients, then one number a regime.
    """
    for lane in range(LANES):
        work[at(pull, lane)] = floats[U64(table + factors) + U64(truncated(work[at(regime, lane)]))]
    for f in range(factors):
        share: F32 = floats[table + f]
        if share != ZERO:
            mean: F32 = floats[means + 4 * f]
            for lane in range(LANES):
                off: F32 = work[at(state + assets + f, lane)] - mean
                work[at(pull, lane)] = fma(share, off, work[at(pull, lane)])
