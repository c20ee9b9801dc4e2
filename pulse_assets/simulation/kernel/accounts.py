"""What a step does to the portfolio: profit, exposure, drawdown, next step's leverage; restricted Python."""

from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.intrinsics import F32, I64, LANES, F32s, I64s, at, compiled, fma, min_, sqrt_
from pulse_assets.simulation.kernel.record import track_capital
from pulse_assets.simulation.kernel.steps import ZERO, add_gains, add_values, fill_row

SMALLEST_VARIANCE = F32(1e-20)


@compiled
def lever(work: F32s, floats: F32s, ints: I64s) -> None:
    """Set the coming step's leverage to target over expected deviation of the portfolio, at most the policy's limit.

    Target and limit stand in the policy's table, then the assets' positions as shares of capital. The deviation is the
    length of the assets' deviations, weighted with these, times the factor of the world's own correlation; rows of
    shocks are free by now and hold them.
    """
    table: I64 = ints[H.AT_POLICY]
    target: F32 = floats[table]
    limit: F32 = floats[table + 1]
    spare: I64 = ints[H.SPARE]
    assets: I64 = ints[H.ASSETS]
    for a in range(assets):
        share: F32 = floats[table + 2 + a]
        for lane in range(LANES):
            deviation: F32 = sqrt_(work[at(ints[H.VARIANCE] + a, lane)]) * work[at(ints[H.SCALE], lane)]
            work[at(ints[H.E] + a, lane)] = share * deviation
    fill_row(work, spare, SMALLEST_VARIANCE)
    for k in range(assets):
        fill_row(work, spare + 1, ZERO)
        for a in range(k, assets):
            weight: F32 = floats[ints[H.AT_CHOL] + a * ints[H.SIZE] + k]
            for lane in range(LANES):
                work[at(spare + 1, lane)] = fma(weight, work[at(ints[H.E] + a, lane)], work[at(spare + 1, lane)])
        for lane in range(LANES):
            part: F32 = work[at(spare + 1, lane)]
            work[at(spare, lane)] = fma(part, part, work[at(spare, lane)])
    for lane in range(LANES):
        work[at(ints[H.LEVERAGE], lane)] = min_(target / sqrt_(work[at(spare, lane)]), limit)


@compiled
def account(work: F32s, t: I64, steps: I64, floats: F32s, ints: I64s) -> None:
    """Bring profit, exposure and drawdown up to date; a held portfolio that is not tracked only at the end."""
    assets: I64 = ints[H.ASSETS]
    spare: I64 = ints[H.SPARE]
    if ints[H.POLICY] == H.HOLD:
        if (ints[H.TRACKED] != 0) | (t == steps - 1):
            add_values(work, ints[H.EXPOSURE], ints[H.STATE], assets, floats, ints[H.AT_POSITIONS])
            net: F32 = floats[ints[H.AT_CAPITAL] + 1]
            for lane in range(LANES):
                work[at(ints[H.PROFIT], lane)] = work[at(ints[H.EXPOSURE], lane)] - net
    else:
        add_gains(work, spare, ints[H.STATE], ints[H.BEFORE], assets, floats, ints[H.AT_POSITIONS])
        for lane in range(LANES):
            gain: F32 = work[at(spare, lane)]
            work[at(ints[H.PROFIT], lane)] = fma(work[at(ints[H.LEVERAGE], lane)], gain, work[at(ints[H.PROFIT], lane)])
        if ints[H.POLICY] == H.VOLATILITY_TARGET:
            lever(work, floats, ints)
        whole: F32 = floats[ints[H.AT_CAPITAL] + 1]
        for lane in range(LANES):
            work[at(ints[H.EXPOSURE], lane)] = work[at(ints[H.LEVERAGE], lane)] * whole
    if ints[H.TRACKED] != 0:
        track_capital(
            work,
            ints[H.PROFIT],
            ints[H.DRAWDOWN],
            ints[H.PEAK],
            ints[H.UNDER],
            ints[H.WORST],
            floats[ints[H.AT_CAPITAL]],
        )
