"""One block of paths from the origin to its last step: how the parts of a step follow one another; restricted Python.

Rules of a world are compiled by themselves and called by their address, since all the rest is the same for any.
All sizes, switches, rows and offsets come from the head of ``ints`` (see ``header``).
"""

from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.accounts import account, lever
from pulse_assets.simulation.kernel.drivers import correlate, draw_drivers, take_drivers
from pulse_assets.simulation.kernel.intrinsics import F32, I64, U64, F32s, I64s, U64s, call_rules, compiled
from pulse_assets.simulation.kernel.keeping import finish, remember
from pulse_assets.simulation.kernel.record import learned_pull, pull_row
from pulse_assets.simulation.kernel.steps import (
    ONE,
    ZERO,
    chance_rows,
    draw_jumps,
    fill_row,
    mix_tails,
    move_assets_garch,
    move_assets_plain,
    move_assets_scaled,
    move_factors,
    move_regime,
    read_regime,
    shock_row,
    take_days,
    turn_row,
)

apply_rules = call_rules
"""Rules of the world, by their address; in C and on a GPU their own text takes this name."""


@compiled
def start_paths(work: F32s, ids: U64s, signs: F32s, k0: U64, k1: U64, floats: F32s, ints: I64s) -> None:
    """Set every row to the state at the origin."""
    variables: I64 = ints[H.ASSETS] + ints[H.FACTORS]
    for row in range(ints[H.PROFIT], ints[H.EVENT] + ints[H.EVENTS]):
        fill_row(work, row, ZERO)
    for v in range(variables):
        fill_row(work, ints[H.STATE] + v, floats[ints[H.AT_START] + v])
        fill_row(work, ints[H.BEFORE] + v, floats[ints[H.AT_START] + v])
    for a in range(ints[H.ASSETS]):
        fill_row(work, ints[H.VARIANCE] + a, floats[ints[H.AT_START] + variables + a])
    fill_row(work, ints[H.SCALE], ONE)
    fill_row(work, ints[H.SHIFT], ZERO)
    fill_row(work, ints[H.JUMP], ZERO)
    fill_row(work, ints[H.LEVERAGE], ONE)
    fill_row(work, ints[H.PEAK], floats[ints[H.AT_CAPITAL]])
    for ring in range(ints[H.RINGS]):
        for slot in range(ints[H.DEPTH]):
            place: I64 = ring * ints[H.DEPTH] + slot
            fill_row(work, ints[H.RING] + place, floats[ints[H.AT_HISTORY] + place])
    chance_rows(work, ints[H.CHANCE_ROW], ids, signs, ints[H.ANTITHETIC], k0, k1, I64(0), I64(0), I64(1))
    draw_start(work, floats, ints)
    if ints[H.POLICY] == H.VOLATILITY_TARGET:
        read_regime(work, ints[H.REGIME], ints[H.SCALE], floats, ints[H.AT_REGIME_SCALE], ints[H.REGIMES])
        lever(work, floats, ints)


@compiled
def draw_start(work: F32s, floats: F32s, ints: I64s) -> None:
    """Draw the regime at the origin; the first day of a historical run is drawn in the first step."""
    fill_row(work, ints[H.DAY], ZERO)
    fill_row(work, ints[H.REGIME], ZERO)
    if ints[H.REGIMES] > 1:
        move_regime(
            work, ints[H.REGIME], ints[H.CHANCE_ROW], floats, ints[H.AT_FIRST_REGIME], ints[H.REGIMES], ints[H.SPARE]
        )


@compiled
def draw_shocks(
    work: F32s,
    ids: U64s,
    signs: F32s,
    k0: U64,
    k1: U64,
    branch: I64,
    phase: I64,
    t: I64,
    floats: F32s,
    ints: I64s,
    given: F32s,
) -> None:
    """Fill the rows of correlated shocks."""
    size: I64 = ints[H.SIZE]
    if ints[H.GIVEN] != 0:
        take_drivers(work, ints[H.Z], size, given, t)
    else:
        draw_drivers(work, ints[H.Z], size, ids, k0, k1, branch, t)
    if ints[H.ANTITHETIC] != 0:
        for row in range(size):
            turn_row(work, ints[H.Z] + row, signs)
    correlate(work, ints[H.Z], ints[H.E], floats, ints[H.AT_CHOL] + phase * size * size, size)
    if ints[H.INNOVATIONS] == H.STUDENT_T:
        mix_tails(work, ints[H.E], ints[H.ASSETS], ints[H.SPARE], ints[H.NU], ids, k0, k1, branch, t)


@compiled
def move_chances(
    work: F32s, ids: U64s, signs: F32s, k0: U64, k1: U64, branch: I64, forced: I64, t: I64, floats: F32s, ints: I64s
) -> None:
    """Move regimes, draw jumps, and replace shocks by those of past days, as far as the world has them."""
    chance: I64 = ints[H.CHANCE_ROW]
    if (ints[H.REGIMES] > 1) | (ints[H.JUMPING] != 0) | (ints[H.INNOVATIONS] == H.HISTORICAL):
        chance_rows(work, chance, ids, signs, ints[H.ANTITHETIC], k0, k1, branch, t, I64(0))
    if ints[H.REGIMES] > 1:
        if forced >= 0:
            fill_row(work, ints[H.REGIME], F32(forced))
        else:
            move_regime(work, ints[H.REGIME], chance, floats, ints[H.AT_TRANSITION], ints[H.REGIMES], ints[H.SPARE])
    read_regime(work, ints[H.REGIME], ints[H.SCALE], floats, ints[H.AT_REGIME_SCALE], ints[H.REGIMES])
    read_regime(work, ints[H.REGIME], ints[H.SHIFT], floats, ints[H.AT_REGIME_SHIFT], ints[H.REGIMES])
    louder: F32 = floats[ints[H.AT_VOLATILITY] + t]
    if louder != ONE:
        shock_row(work, ints[H.SCALE], louder, ZERO)
    if ints[H.JUMPING] != 0:
        draw_jumps(
            work,
            ints[H.JUMP],
            ints[H.REGIME],
            ints[H.REGIMES],
            chance + 1,
            floats,
            ints[H.AT_JUMPS],
            floats[ints[H.AT_JUMP_SIZE]],
            floats[ints[H.AT_JUMP_SIZE] + 1],
            ints[H.SPARE],
            ids,
            signs,
            k0,
            k1,
            branch,
            t,
        )
    if ints[H.INNOVATIONS] == H.HISTORICAL:
        leave: F32 = ONE if t == 0 else floats[ints[H.AT_DAYS] - 1]
        take_days(
            work, ints[H.E], ints[H.ASSETS], ints[H.DAY], chance + 2, floats, ints[H.AT_DAYS], ints[H.DAYS], leave
        )


@compiled
def move_state(work: F32s, floats: F32s, ints: I64s) -> None:
    """Move assets and factors by their shocks."""
    assets: I64 = ints[H.ASSETS]
    x: I64 = ints[H.STATE]
    if ints[H.GARCH] == H.RECURSIVE:
        move_assets_garch(
            work,
            x,
            ints[H.E],
            ints[H.VARIANCE],
            assets,
            floats,
            ints[H.AT_DRIFT],
            ints[H.AT_LOAD],
            ints[H.AT_GARCH],
            ints[H.SCALE],
            ints[H.SHIFT],
            ints[H.JUMP],
        )
    elif ints[H.GARCH] == H.FOLDED:
        move_assets_plain(work, x, ints[H.E], assets, floats, ints[H.AT_DRIFT])
    else:
        move_assets_scaled(
            work,
            x,
            ints[H.E],
            assets,
            floats,
            ints[H.AT_DRIFT],
            ints[H.AT_LOAD],
            ints[H.SCALE],
            ints[H.SHIFT],
            ints[H.JUMP],
        )
    if ints[H.FACTORS] > 0:
        move_factors(work, x + assets, ints[H.E] + assets, ints[H.FACTORS], floats, ints[H.AT_FACTORS])


@compiled
def shock_state(work: F32s, t: I64, floats: F32s, ints: I64s) -> None:
    """Apply the scenario's shocks of a step."""
    for s in range(ints[H.SHOCKED]):
        place: I64 = ints[H.AT_SHOCKS] + 2 * (t * ints[H.SHOCKED] + s)
        keep: F32 = floats[place]
        add: F32 = floats[place + 1]
        if (keep != ONE) | (add != ZERO):
            shock_row(work, ints[H.STATE] + ints[ints[H.AT_SHOCKED] + s], keep, add)


@compiled
def pull_state(work: F32s, floats: F32s, ints: I64s, counts: I64s, valid: I64) -> None:
    """Apply the learned correction to every variable that has one."""
    factors: I64 = ints[H.FACTORS]
    wide: I64 = 1 + factors + ints[H.REGIMES]
    budget: F32 = floats[ints[H.AT_GRAVITY]]
    for v in range(ints[H.ASSETS] + factors):
        table: I64 = ints[H.AT_GRAVITY] + 1 + v * wide
        cap: F32 = floats[table]
        if cap > ZERO:
            learned_pull(
                work,
                ints[H.SPARE],
                ints[H.BEFORE],
                ints[H.ASSETS],
                factors,
                ints[H.REGIME],
                floats,
                table + 1,
                ints[H.AT_FACTORS],
            )
            pull_row(
                work,
                ints[H.STATE] + v,
                ints[H.SPARE],
                ints[H.SPENT],
                ints[H.BEFORE] + v,
                cap,
                budget,
                counts,
                ints[H.AT_PULL] + 2 * v,
                valid,
            )


@compiled
def run_block(
    ids: U64s,
    signs: F32s,
    valid: I64,
    k0: U64,
    k1: U64,
    steps: I64,
    floats: F32s,
    ints: I64s,
    given: F32s,
    trace: F32s,
    work: F32s,
    outcome: F32s,
    counts: I64s,
) -> None:
    """Simulate paths ``ids``, the first ``valid`` of which count, over all steps."""
    start_paths(work, ids, signs, k0, k1, floats, ints)
    for t in range(steps):
        place: I64 = ints[H.AT_STEPS] + H.INTS_A_STEP * t
        branch: I64 = ints[place + H.BRANCH]
        draw_shocks(work, ids, signs, k0, k1, branch, ints[place + H.PHASE], t, floats, ints, given)
        if ints[H.GARCH] != H.FOLDED:
            move_chances(work, ids, signs, k0, k1, branch, ints[place + H.FORCED], t, floats, ints)
        move_state(work, floats, ints)
        shock_state(work, t, floats, ints)
        if ints[H.RULES] > 0:
            apply_rules(ints[H.RULES_ADDRESS], work, floats, counts, ids, k0, k1, branch, t, steps, valid)
        if ints[H.GRAVITY] != 0:
            pull_state(work, floats, ints, counts, valid)
        account(work, t, steps, floats, ints)
        remember(work, t, floats, ints, counts, trace, valid)
    finish(work, ints, counts, outcome, valid)
