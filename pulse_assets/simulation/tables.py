"""Contracts of the simulation tables."""

from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_resources.lake import Column, Rule, TableContract

AS_OF = Column("as_of", pa.date32(), "Origin: nothing known after this day was used")
SCENARIO = Column("scenario", pa.string(), "Scenario; base is the world without shocks")
RUN_ID = Column("run_id", pa.string(), "Digest of world, rules, scenario, portfolio, seed and stream version")
PATHS = Column("paths", pa.int64(), "Simulated paths", "paths")
ROUNDING = 1e-12
"""Of a mean of equal log returns, by which it may lie above them."""
DATA_VERSION = Column("data_version", pa.int64(), "Delta version of silver/series that the world was calibrated from")


def _do_not_cross(rows: pa.Table) -> pa.ChunkedArray:
    holds = pc.is_valid(rows["as_of"])
    for low, high in pairwise(QUANTILE_COLUMNS):
        holds = pc.and_(holds, pc.less_equal(rows[low], rows[high]))
    return holds


def _ordered(rows: pa.Table) -> pa.ChunkedArray:
    inside = pc.and_(pc.less_equal(rows["low"], rows["value"]), pc.less_equal(rows["value"], rows["high"]))
    return pc.or_(pc.is_null(rows["low"]), pc.fill_null(inside, fill_value=True))


SIMULATIONS = TableContract(
    name="gold/simulations",
    description="Distribution of one variable after one step of one scenario, simulated from what was known at as_of",
    columns=(
        AS_OF,
        SCENARIO,
        Column("variable", pa.string(), "Variable of the world, or pnl_usd, drawdown, net_exposure_usd, leverage"),
        Column("step", pa.int16(), "Steps after the origin", "business days"),
        Column("ds", pa.timestamp("us", "UTC"), "Weekday of the step"),
        Column("unit", pa.string(), "Unit of mean and quantiles; assets are cumulative log returns"),
        Column(
            "origin_level", pa.float64(), "Level at the origin: price of an asset, level of a factor", nullable=True
        ),
        Column("mean", pa.float64(), "Mean over paths; of a factor on a log scale the geometric mean", "see unit"),
        *(
            Column(name, pa.float64(), f"Quantile at probability {int(name[1:]) / 1000:g}", "see unit")
            for name in QUANTILE_COLUMNS
        ),
        PATHS,
        RUN_ID,
        DATA_VERSION,
    ),
    key=("as_of", "scenario", "variable", "step"),
    partition="as_of",
    physical="year",
    rows_per_day=1_500,
    rules=(Rule("quantiles_do_not_cross", "quantiles that rise with their level", _do_not_cross),),
)

SIMULATION_RISK = TableContract(
    name="gold/simulation_risk",
    description="What a scenario does to the portfolio: value at risk, shortfall, drawdown, ruin, events; intervals",
    columns=(
        AS_OF,
        SCENARIO,
        Column(
            "measure",
            pa.string(),
            "value_at_risk, expected_shortfall, shortfall_of (an asset's Euler part), mean_pnl, ruin, event, drawdown, "
            "time_under_water, broken_paths, gravity_share",
        ),
        Column("name", pa.string(), "Asset, event or variable that it is of; empty for the portfolio"),
        Column("level", pa.float64(), "Probability of the measure, where it has one; else 0"),
        Column("estimator", pa.string(), "plain, antithetic, or sobol: scrambled Sobol points, 16 replicates"),
        Column("value", pa.float64(), "Estimate", "see unit"),
        Column("low", pa.float64(), "Lower end of its 95 % interval", "see unit", nullable=True),
        Column("high", pa.float64(), "Upper end", "see unit", nullable=True),
        Column("unit", pa.string(), "USD, probability, share, steps or paths"),
        Column("horizon_steps", pa.int16(), "Steps simulated", "business days"),
        PATHS,
        RUN_ID,
        Column("seed", pa.int64(), "Seed of the random numbers"),
        Column("world", pa.string(), "Fingerprint of the calibrated world"),
        DATA_VERSION,
    ),
    key=("as_of", "scenario", "measure", "name", "level", "estimator"),
    partition="as_of",
    physical="year",
    rows_per_day=200,
    rules=(Rule("interval_holds_value", "an estimate inside its interval", _ordered),),
)

RULE_AUDIT = TableContract(
    name="gold/rule_audit",
    description="How often a causal rule fired in a scenario, when first, and what it did to the outcome",
    columns=(
        AS_OF,
        SCENARIO,
        Column("rule", pa.string(), "Id of the rule"),
        Column("rule_version", pa.int32(), "Version of the rule"),
        Column(
            "state", pa.string(), "active, disabled by the scenario, or inactive because the world lacks a variable"
        ),
        Column("reason", pa.string(), "Why it is not active; else empty"),
        Column("fires", pa.int64(), "Fires over all paths and steps", "fires"),
        Column("paths_fired", pa.int64(), "Paths on which it fired at least once", "paths"),
        Column("first_fires", pa.list_(pa.int64()), "Paths whose first fire was at step 1, 2, …", "paths"),
        Column("fires_by_step", pa.list_(pa.int64()), "Fires at step 1, 2, …", "fires"),
        Column(
            "pnl_effect_usd",
            pa.float64(),
            "Mean profit with the rule less without it, same paths",
            "USD",
            nullable=True,
        ),
        Column("pnl_effect_se", pa.float64(), "Its paired standard error", "USD", nullable=True),
        Column("shortfall_effect_usd", pa.float64(), "97.5 % shortfall with less without it", "USD", nullable=True),
        PATHS,
        RUN_ID,
    ),
    key=("as_of", "scenario", "rule"),
    partition="as_of",
    physical="year",
    rows_per_day=100,
)

DIVERGENCE = TableContract(
    name="gold/scenario_divergence",
    description="How a scenario's outcomes differ from those of the base on the same random numbers",
    columns=(
        AS_OF,
        SCENARIO,
        Column("against", pa.string(), "Scenario that it is compared with"),
        Column("measure", pa.string(), "Outcome, or variable at a step"),
        Column("step", pa.int16(), "Steps after the origin", "business days"),
        Column("difference", pa.float64(), "Scenario less the other", "unit of the measure", nullable=True),
        Column("se", pa.float64(), "Paired standard error", "unit of the measure", nullable=True),
        Column("low", pa.float64(), "Lower end of the 95 % interval", "unit of the measure", nullable=True),
        Column("high", pa.float64(), "Upper end", "unit of the measure", nullable=True),
        Column("correlation", pa.float64(), "Of the two scenarios' paths", nullable=True),
        PATHS,
        RUN_ID,
    ),
    key=("as_of", "scenario", "against", "measure", "step"),
    partition="as_of",
    physical="year",
    rows_per_day=500,
)


def _is_probability(rows: pa.Table) -> pa.ChunkedArray:
    holds = pc.is_valid(rows["as_of"])
    for name in ("pit", "fall_probability"):
        inside = pc.and_(pc.greater_equal(rows[name], 0), pc.less_equal(rows[name], 1))
        holds = pc.and_(holds, pc.fill_null(inside, fill_value=True))
    return holds


def _tails_are_ordered(rows: pa.Table) -> pa.ChunkedArray:
    holds = pc.is_valid(rows["as_of"])
    for worse, better in (("es_95", "var_95"), ("es_99", "var_99"), ("var_99", "var_95"), ("es_99", "es_95")):
        inside = pc.less_equal(rows[worse], pc.add(rows[better], ROUNDING))
        holds = pc.and_(holds, pc.fill_null(inside, fill_value=True))
    return holds


RETRODICTION = TableContract(
    name="gold/retrodiction",
    description="How a simulation from a past origin compares with what happened, as known at as_of",
    columns=(
        AS_OF,
        Column("origin", pa.date32(), "Day that was simulated from, in the past of as_of"),
        Column("engine", pa.string(), "pulse, or a reference: random_walk, historical_bootstrap, garch_fhs"),
        Column("mode", pa.string(), "seed_then_free, or strict: factors led along what they did"),
        Column("variable", pa.string(), "Asset, portfolio, or all for scores of the whole vector"),
        Column("step", pa.int16(), "Steps after the origin", "business days"),
        Column("actual", pa.float64(), "What happened, as the log return since the origin", nullable=True),
        Column("crps", pa.float64(), "Fair continuous ranked probability score", "log return", nullable=True),
        Column("energy_score", pa.float64(), "Of the whole vector", "log return", nullable=True),
        Column("pit", pa.float64(), "Middle rank of what happened among members", "probability", nullable=True),
        Column("var_95", pa.float64(), "Simulated quantile at 5 %", "log return", nullable=True),
        Column("es_95", pa.float64(), "Mean below it", "log return", nullable=True),
        Column("var_99", pa.float64(), "Simulated quantile at 1 %", "log return", nullable=True),
        Column("es_99", pa.float64(), "Mean below it", "log return", nullable=True),
        Column("fall_probability", pa.float64(), "Probability of the fall that counts as an event", nullable=True),
        Column("fell", pa.bool_(), "Whether it happened", nullable=True),
        Column("paths", pa.int64(), "Members", "paths"),
        DATA_VERSION,
    ),
    key=("as_of", "origin", "engine", "mode", "variable", "step"),
    partition="as_of",
    physical="year",
    rows_per_day=600,
    rules=(
        Rule("origin_is_past", "origins before as_of", lambda rows: pc.less(rows["origin"], rows["as_of"])),
        Rule("probabilities_lie_in_0_to_1", "probabilities between 0 and 1", _is_probability),
        Rule("tails_are_ordered", "shortfalls beyond quantiles, and 99 % beyond 95 %", _tails_are_ordered),
    ),
)

RUNS = TableContract(
    name="ops/simulation_runs",
    description="One simulated scenario of one day: all that is needed to run it again, and the digest of its outcome",
    columns=(
        AS_OF,
        SCENARIO,
        RUN_ID,
        PATHS,
        Column("steps", pa.int16(), "Steps simulated", "business days"),
        Column("seed", pa.int64(), "Seed of the random numbers"),
        Column("sha256", pa.string(), "Digest of outcomes and counts: the same for any computer, chunk and cluster"),
        Column("blocks_simulated", pa.int32(), "Blocks of paths simulated now", "blocks"),
        Column("blocks_kept", pa.int32(), "Blocks taken from ops/simulation_blocks", "blocks"),
        Column("config", pa.string(), "Configuration as JSON"),
        Column("rules", pa.string(), "Fingerprint of the rule set; empty for none"),
        Column("world", pa.string(), "Fingerprint of the calibrated world"),
        Column("fitted_on", pa.date32(), "Day whose knowledge the world's parameters are from"),
        Column("left_out", pa.string(), "Variables, shocks and rules that were left out, and why, a line each"),
        DATA_VERSION,
    ),
    key=("as_of", "scenario"),
    partition="as_of",
    physical="year",
    rows_per_day=5,
)

BLOCKS = TableContract(
    name="ops/simulation_blocks",
    description="Outcomes of one finished block of paths: a run that is asked for again takes it from here",
    columns=(
        RUN_ID,
        Column("block", pa.int32(), "Number of the block, from 0"),
        Column("first_path", pa.int64(), "Number of its first path"),
        Column("paths", pa.int64(), "Paths of the block", "paths"),
        Column("outcomes", pa.large_binary(), "float32 (4, paths): profit, drawdown, steps under water, worst profit"),
        Column("counts", pa.large_binary(), "int64 counters and histograms, zlib"),
        Column("sha256", pa.string(), "Digest of both, before compression"),
    ),
    key=("run_id", "block", "paths"),
    rows_per_day=10,
)

TABLES = (SIMULATIONS, SIMULATION_RISK, RULE_AUDIT, DIVERGENCE, RETRODICTION, RUNS, BLOCKS)
