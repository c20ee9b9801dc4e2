"""What is kept of steps and blocks: past states, flags, histograms, traces, outcomes; restricted Python."""

from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.intrinsics import F32, I64, LANES, F32s, I64s, at, compiled
from pulse_assets.simulation.kernel.record import count_broken, count_row, record_rows, watch_event
from pulse_assets.simulation.kernel.steps import copy_row


@compiled
def remember(work: F32s, t: I64, floats: F32s, ints: I64s, counts: I64s, trace: F32s, valid: I64) -> None:
    """Keep what later steps and readers need of a step: rings of past states, flags of events, histograms, a trace."""
    variables: I64 = ints[H.ASSETS] + ints[H.FACTORS]
    slot: I64 = t % ints[H.DEPTH]
    for ring in range(ints[H.RINGS]):
        source: I64 = ints[H.STATE] + ints[ints[H.AT_RINGS] + ring]
        copy_row(work, source, ints[H.RING] + ring * ints[H.DEPTH] + slot)
    if ints[H.GRAVITY] != 0:
        for v in range(variables):
            copy_row(work, ints[H.STATE] + v, ints[H.BEFORE] + v)
    for event in range(ints[H.EVENTS]):
        told: I64 = ints[H.AT_EVENT_INTS] + H.EVENT_INTS * event
        if (t >= ints[told + H.EVENT_FROM]) & (t <= ints[told + H.EVENT_UNTIL]):
            threshold: F32 = floats[ints[H.AT_EVENTS] + event]
            row: I64 = ints[H.STATE] + ints[told]
            watch_event(work, row, ints[H.EVENT] + event, threshold, ints[told + H.EVENT_ABOVE])
    record: I64 = ints[ints[H.AT_STEPS] + H.INTS_A_STEP * t + H.RECORD]
    if (record >= 0) & (ints[H.COUNTED] != 0):
        rows: I64 = variables + H.MEASURES
        record_rows(
            work,
            ints[H.STATE],
            rows,
            floats,
            ints[H.AT_RANGES] + 2 * record * rows,
            counts,
            ints[H.AT_HISTOGRAM] + record * rows * H.BINS,
            ints[H.AT_SUMS] + record * rows,
            valid,
        )
    place: I64 = t if ints[H.TRACED] == H.EVERY_STEP else record
    if (ints[H.TRACED] != 0) & (place >= 0):
        for traced in range(ints[H.TRACED_ROWS]):
            for lane in range(LANES):
                trace[at(place * ints[H.TRACED_ROWS] + traced, lane)] = work[at(ints[H.STATE] + traced, lane)]


@compiled
def finish(work: F32s, ints: I64s, counts: I64s, outcome: F32s, valid: I64) -> None:
    """Hand over the outcomes of each path and the counts of the block."""
    for event in range(ints[H.EVENTS]):
        count_row(work, ints[H.EVENT] + event, counts, ints[H.AT_EVENT_COUNTS] + event, valid)
    rows: I64 = ints[H.ASSETS] + ints[H.FACTORS] + 1
    count_broken(work, ints[H.STATE], rows, ints[H.SPARE], counts, ints[H.AT_BROKEN], valid)
    for lane in range(LANES):
        outcome[at(0, lane)] = work[at(ints[H.PROFIT], lane)]
        outcome[at(1, lane)] = work[at(ints[H.DRAWDOWN], lane)]
        outcome[at(2, lane)] = work[at(ints[H.UNDER], lane)]
        outcome[at(3, lane)] = work[at(ints[H.WORST], lane)]
