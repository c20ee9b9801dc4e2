"""What happens to a block of paths in one step, a part at a time: restricted Python over rows of ``work``.

A row holds one number a path. Loops over lanes are straight lines with selects, so that compilers make vectors of
them; sums run over variables in a fixed order, with explicit fused multiply-adds, so that no vector width can change
them. How the parts follow one another is in ``block``.
"""

from pulse_assets.simulation.kernel.intrinsics import (
    BOOL,
    F32,
    I64,
    LANES,
    U64,
    F32s,
    U64s,
    at,
    compiled,
    fabs_,
    fma,
    max_,
    min_,
    sqrt_,
    truncated,
)
from pulse_assets.simulation.kernel.philox import (
    CHANCE,
    JUMPS,
    MIXING,
    draw_normal_rows,
    draw_uniform_rows,
)
from pulse_assets.simulation.kernel.transforms import exp_, log_

ZERO, ONE, TINY, MINUS_TWO = F32(0.0), F32(1.0), F32(1e-30), F32(-2.0)
MOST_JUMPS = 8
"""Jumps a step that are told apart; more are as rare as rounding where a world passes its guards."""


@compiled
def fill_row(work: F32s, row: I64, value: F32) -> None:
    """Set a row to one number."""
    for lane in range(LANES):
        work[at(row, lane)] = value


@compiled
def copy_row(work: F32s, source: I64, target: I64) -> None:
    """Copy a row."""
    for lane in range(LANES):
        work[at(target, lane)] = work[at(source, lane)]


@compiled
def turn_row(work: F32s, row: I64, signs: F32s) -> None:
    """Multiply a row by each path's sign."""
    for lane in range(LANES):
        work[at(row, lane)] *= signs[lane]


@compiled
def mirror_row(work: F32s, row: I64, signs: F32s) -> None:
    """Turn a uniform u into 1 - u for paths with sign -1."""
    for lane in range(LANES):
        u: F32 = work[at(row, lane)]
        work[at(row, lane)] = u if signs[lane] > ZERO else ONE - u


@compiled
def mix_tails(
    work: F32s, e: I64, assets: I64, spare: I64, nu: I64, ids: U64s, k0: U64, k1: U64, branch: I64, t: I64
) -> None:
    """Turn normal shocks of assets into Student's t of unit variance with ``nu`` degrees of freedom in common.

    Chi-squared is -2 times the logarithms of ``nu // 2`` uniforms, and a squared normal where ``nu`` is odd. Rows
    ``spare`` to ``spare + 4`` are scratch.
    """
    mixed: I64 = spare + 4
    fill_row(work, mixed, ZERO)
    for block in range((nu // 2 + 3) // 4):
        draw_uniform_rows(work, spare, ids, k0, k1, MIXING, branch, t, block)
        for place in range(4):
            if 4 * block + place < nu // 2:
                for lane in range(LANES):
                    work[at(mixed, lane)] += MINUS_TWO * log_(work[at(spare + place, lane)])
    if nu % 2 == 1:
        draw_normal_rows(work, spare, ids, k0, k1, MIXING, branch, t, 255)
        for lane in range(LANES):
            work[at(mixed, lane)] += work[at(spare, lane)] * work[at(spare, lane)]
    scale: F32 = F32(nu - 2)
    for lane in range(LANES):
        work[at(mixed, lane)] = sqrt_(scale / work[at(mixed, lane)])
    for a in range(assets):
        for lane in range(LANES):
            work[at(e + a, lane)] *= work[at(mixed, lane)]


@compiled
def take_days(
    work: F32s, e: I64, assets: I64, day: I64, chance: I64, floats: F32s, first: I64, days: I64, leave: F32
) -> None:
    """Replace shocks of assets by those of a past day: the next one, or with probability ``leave`` any (row chance)."""
    count: F32 = F32(days)
    for lane in range(LANES):
        following: F32 = work[at(day, lane)] + ONE
        following = ZERO if following >= count else following
        drawn: F32 = F32(truncated(work[at(chance + 1, lane)] * count))
        drawn = drawn if drawn < count else ZERO
        work[at(day, lane)] = drawn if work[at(chance, lane)] < leave else following
    for a in range(assets):
        start: U64 = U64(first) + U64(a) * U64(days)
        for lane in range(LANES):
            work[at(e + a, lane)] = floats[start + U64(truncated(work[at(day, lane)]))]


@compiled
def move_regime(work: F32s, regime: I64, chance: I64, floats: F32s, table: I64, regimes: I64, spare: I64) -> None:
    """Move each path's regime by cumulative transition probabilities, ``(K, K)`` at ``table``; one row is scratch."""
    fill_row(work, spare, ZERO)
    for k in range(regimes):
        for j in range(regimes - 1):
            count_above(work, spare, regime, F32(k), chance, floats[table + k * regimes + j])
    copy_row(work, spare, regime)


@compiled
def count_above(work: F32s, count: I64, regime: I64, here: F32, chance: I64, limit: F32) -> None:
    """Add one where a path is in a regime and its uniform reaches a limit; looking limits up would be slower."""
    if limit < ONE:
        for lane in range(LANES):
            is_counted: BOOL = (work[at(regime, lane)] == here) & (work[at(chance, lane)] >= limit)
            work[at(count, lane)] += ONE if is_counted else ZERO


@compiled
def read_regime(work: F32s, regime: I64, target: I64, floats: F32s, table: I64, regimes: I64) -> None:
    """Fill a row with each path's entry of a table by regime."""
    fill_row(work, target, floats[table])
    for k in range(1, regimes):
        here: F32 = F32(k)
        value: F32 = floats[table + k]
        for lane in range(LANES):
            work[at(target, lane)] = value if work[at(regime, lane)] == here else work[at(target, lane)]


@compiled
def draw_jumps(
    work: F32s,
    jump: I64,
    regime: I64,
    regimes: I64,
    chance: I64,
    floats: F32s,
    table: I64,
    mean: F32,
    sd: F32,
    spare: I64,
    ids: U64s,
    signs: F32s,
    k0: U64,
    k1: U64,
    branch: I64,
    t: I64,
) -> None:
    """Fill a row with the summed log sizes of this step's jumps; their number inverts the Poisson distribution."""
    draw_normal_rows(work, spare, ids, k0, k1, JUMPS, branch, t, 0)
    fill_row(work, jump, ZERO)
    for k in range(regimes):
        for n in range(MOST_JUMPS):
            count_above(work, jump, regime, F32(k), chance, floats[table + k * MOST_JUMPS + n])
    for lane in range(LANES):
        count: F32 = work[at(jump, lane)]
        size: F32 = work[at(spare, lane)] * signs[lane]
        work[at(jump, lane)] = fma(count, mean, sqrt_(count) * (sd * size))


@compiled
def move_assets_plain(work: F32s, x: I64, e: I64, assets: I64, floats: F32s, drift: I64) -> None:
    """Add drift and shocks that already have their deviation."""
    for a in range(assets):
        mu: F32 = floats[drift + a]
        for lane in range(LANES):
            work[at(x + a, lane)] += mu + work[at(e + a, lane)]


@compiled
def move_assets_scaled(
    work: F32s, x: I64, e: I64, assets: I64, floats: F32s, drift: I64, load: I64, scale: I64, shift: I64, jump: I64
) -> None:
    """As :func:`move_assets_plain`, with factor and drift of the regime and jumps."""
    for a in range(assets):
        mu: F32 = floats[drift + a]
        taken: F32 = floats[load + a]
        for lane in range(LANES):
            shock: F32 = fma(work[at(scale, lane)], work[at(e + a, lane)], mu + work[at(shift, lane)])
            work[at(x + a, lane)] += fma(taken, work[at(jump, lane)], shock)


@compiled
def move_assets_garch(
    work: F32s,
    x: I64,
    e: I64,
    h: I64,
    assets: I64,
    floats: F32s,
    drift: I64,
    load: I64,
    garch: I64,
    scale: I64,
    shift: I64,
    jump: I64,
) -> None:
    """Move returns and their variances (GJR-GARCH); the recursion runs on shocks before the regime's factor."""
    for a in range(assets):
        mu: F32 = floats[drift + a]
        taken: F32 = floats[load + a]
        omega: F32 = floats[garch + 4 * a]
        alpha: F32 = floats[garch + 4 * a + 1]
        both: F32 = floats[garch + 4 * a + 2]
        beta: F32 = floats[garch + 4 * a + 3]
        for lane in range(LANES):
            variance: F32 = work[at(h + a, lane)]
            raw: F32 = sqrt_(variance) * work[at(e + a, lane)]
            shock: F32 = fma(work[at(scale, lane)], raw, mu + work[at(shift, lane)])
            work[at(x + a, lane)] += fma(taken, work[at(jump, lane)], shock)
            weight: F32 = both if raw < ZERO else alpha
            work[at(h + a, lane)] = fma(weight, raw * raw, fma(beta, variance, omega))


@compiled
def move_factors(work: F32s, m: I64, e: I64, factors: I64, floats: F32s, table: I64) -> None:
    """Move factors one step of their autoregression and keep them within their bounds.

    The table has mean, phi, low and high of each; shocks already have their deviation. Numbers so small that processors
    slow down become zero.
    """
    for f in range(factors):
        mean: F32 = floats[table + 4 * f]
        phi: F32 = floats[table + 4 * f + 1]
        low: F32 = floats[table + 4 * f + 2]
        high: F32 = floats[table + 4 * f + 3]
        for lane in range(LANES):
            moved: F32 = fma(phi, work[at(m + f, lane)] - mean, mean + work[at(e + f, lane)])
            moved = min_(max_(moved, low), high)
            work[at(m + f, lane)] = moved if fabs_(moved) > TINY else ZERO


@compiled
def shock_row(work: F32s, row: I64, keep: F32, add: F32) -> None:
    """Apply a scenario's shock to a variable."""
    for lane in range(LANES):
        work[at(row, lane)] = fma(keep, work[at(row, lane)], add)


@compiled
def add_values(work: F32s, total: I64, x: I64, assets: I64, floats: F32s, positions: I64) -> None:
    """Fill a row with the value of positions held since the origin: position times exp of the log return, summed."""
    fill_row(work, total, ZERO)
    for a in range(assets):
        position: F32 = floats[positions + a]
        if position != ZERO:
            for lane in range(LANES):
                work[at(total, lane)] = fma(position, exp_(work[at(x + a, lane)]), work[at(total, lane)])


@compiled
def add_gains(work: F32s, total: I64, x: I64, before: I64, assets: I64, floats: F32s, positions: I64) -> None:
    """Fill a row with the step's profit of positions that are brought back to their size before every step."""
    fill_row(work, total, ZERO)
    for a in range(assets):
        position: F32 = floats[positions + a]
        if position != ZERO:
            for lane in range(LANES):
                gain: F32 = exp_(work[at(x + a, lane)] - work[at(before + a, lane)]) - ONE
                work[at(total, lane)] = fma(position, gain, work[at(total, lane)])
        copy_row(work, x + a, before + a)


@compiled
def chance_rows(
    work: F32s, chance: I64, ids: U64s, signs: F32s, is_mirrored: I64, k0: U64, k1: U64, branch: I64, t: I64, block: I64
) -> None:
    """Fill four rows with uniforms for regime, number of jumps, whether to leave a run of days, and the next day."""
    draw_uniform_rows(work, chance, ids, k0, k1, CHANCE, branch, t, block)
    if is_mirrored != 0:
        for row in range(4):
            mirror_row(work, chance + row, signs)
