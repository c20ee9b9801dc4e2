"""Names of the whole numbers at the head of ``ints``: sizes, switches, rows and offsets of a compiled world."""

(
    ASSETS,
    FACTORS,
    SIZE,
    REGIMES,
    RULES,
    EVENTS,
    RINGS,
    DEPTH,
    # switches
    ANTITHETIC,
    GIVEN,
    TRACED,
    TRACKED,
    COUNTED,
    GARCH,
    INNOVATIONS,
    NU,
    JUMPING,
    POLICY,
    GRAVITY,
    SHOCKED,
    # rows of work
    Z,
    E,
    STATE,
    VARIANCE,
    REGIME,
    SCALE,
    SHIFT,
    JUMP,
    CHANCE_ROW,
    SPARE,
    DAY,
    BEFORE,
    PROFIT,
    DRAWDOWN,
    EXPOSURE,
    LEVERAGE,
    PEAK,
    UNDER,
    WORST,
    SPENT,
    EVENT,
    MEMORY,
    MASK,
    UNIFORMS,
    RING,
    TRACED_ROWS,
    # offsets in floats
    AT_START,
    AT_DRIFT,
    AT_LOAD,
    AT_GARCH,
    AT_FACTORS,
    AT_FIRST_REGIME,
    AT_TRANSITION,
    AT_REGIME_SCALE,
    AT_REGIME_SHIFT,
    AT_JUMPS,
    AT_JUMP_SIZE,
    AT_POSITIONS,
    AT_CAPITAL,
    AT_POLICY,
    AT_GRAVITY,
    AT_ENABLED,
    AT_EVENTS,
    AT_HISTORY,
    AT_CHOL,
    AT_DAYS,
    DAYS,
    AT_SHOCKS,
    AT_VOLATILITY,
    AT_RANGES,
    # offsets in counts
    AT_BROKEN,
    AT_PULL,
    AT_EVENT_COUNTS,
    AT_HISTOGRAM,
    AT_SUMS,
    # offsets in ints
    AT_STEPS,
    AT_SHOCKED,
    AT_EVENT_INTS,
    AT_RINGS,
    # filled where a program runs
    RULES_ADDRESS,
    HEADER,
) = range(81)

NORMAL, STUDENT_T, HISTORICAL = 0, 1, 2
FOLDED, SCALED, RECURSIVE = 0, 1, 2
EVERY_STEP, RECORDED_STEPS = 1, 2
HOLD, REBALANCE, VOLATILITY_TARGET = 0, 1, 2
BRANCH, FORCED, PHASE, RECORD = 0, 1, 2, 3
INTS_A_STEP = 4
EVENT_INTS, EVENT_ABOVE, EVENT_FROM, EVENT_UNTIL = 4, 1, 2, 3
OUTCOMES = 4
"""Numbers kept of every path: profit at the end, worst drawdown, steps under water, worst profit on the way."""
MEASURES = 4
"""Rows behind the state that are recorded like variables: profit, drawdown, net exposure, leverage of the policy."""
BINS = 4096
"""Bins of a recorded variable's histogram."""
