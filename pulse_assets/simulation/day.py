"""One day's simulations: worlds, rules, scenarios and portfolio of a day put together, run, and turned into rows.

Pure: it takes what was known and gives tables; where blocks run and are kept is handed in.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import numpy as np
import pyarrow as pa

from pulse_assets.simulation.calibration.gravity import Past, learn_gravity
from pulse_assets.simulation.engine import BlockResult
from pulse_assets.simulation.plan import Plan, Request, make_plan
from pulse_assets.simulation.program import Gravity
from pulse_assets.simulation.results import RISK_LEVELS, distributions, quasi_rows, risk
from pulse_assets.simulation.risk.attribution import SHORTFALL_LEVEL, rule_audit, shortfall_parts
from pulse_assets.simulation.risk.capital import Portfolio
from pulse_assets.simulation.risk.divergence import divergence_rows, outcome_differences
from pulse_assets.simulation.risk.measures import expected_shortfall
from pulse_assets.simulation.risk.quasi_runs import MapReplicates, quasi_risk
from pulse_assets.simulation.rules.checked_rules import CheckedRules
from pulse_assets.simulation.rules.rule_checks import check_rules
from pulse_assets.simulation.rules.rule_set import RuleSet
from pulse_assets.simulation.runs import MapBlocks, Outcome, carry_out, run_inline
from pulse_assets.simulation.scenarios.scenario import Scenario, Window, compile_events, compile_scenario
from pulse_assets.simulation.world import Floats, World

OUTCOME_NAMES = ("pnl_usd", "drawdown", "steps_under_water", "worst_pnl_usd")
DEFAULT_USD = 1_000_000.0
EVEN = {"*": DEFAULT_USD}
"""Positions that stand for an even spread over whatever assets the world has."""
BASE = "base"


@dataclass(frozen=True, eq=False)
class Wish:
    """What is to be simulated, whatever the day.

    Attributes
    ----------
    scenarios
        In order; the one called ``base`` is what others are compared with.
    rules
        None for a world without causal rules.
    portfolio
        With the positions :data:`EVEN`, one million USD is spread evenly over the assets of the world; None is that
        with as much capital behind it.
    paths, steps, seed
        Size of the run.
    antithetic
        Whether paths come in mirrored pairs.
    learns
        Whether a correction is learned from the past.
    ablated_paths
        Paths that are run again without each rule.
    sobol
        Whether risk is also estimated with scrambled Sobol points.
    target_error
        Standard error of the 97.5 % shortfall, as a share of it, at which a run ends before it has all its paths; 0
        for none.
    """

    scenarios: tuple[Scenario, ...]
    rules: RuleSet | None
    portfolio: Portfolio | None
    paths: int
    steps: int
    seed: int = 0
    antithetic: bool = False
    learns: bool = False
    ablated_paths: int = 4096
    sobol: bool = False
    target_error: float = 0.0


@dataclass(frozen=True, eq=False)
class Known:
    """What was known at an origin.

    Attributes
    ----------
    day
        The origin.
    world
        Calibrated as of it.
    prices
        Of assets at the origin.
    replays
        Changes of all variables in windows of the past that scenarios ask for.
    past
        What the correction is learned from; None for none.
    """

    day: date
    world: World
    prices: Mapping[str, float] = field(default_factory=dict)
    replays: Mapping[Window, Floats] = field(default_factory=dict)
    past: Past | None = None


@dataclass(frozen=True, eq=False)
class Simulated:
    """One scenario of one day.

    Attributes
    ----------
    plan, outcome
        What was run and what it gave.
    remarks
        What was left out and why.
    """

    plan: Plan
    outcome: Outcome
    remarks: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Services:
    """Where blocks run and are kept.

    Attributes
    ----------
    map_blocks, map_replicates
        Run a function over jobs, and over replicates of Sobol points.
    kept, keep
        Blocks of a run that were kept, and how a further one is.
    device
        ``cpu`` or ``gpu``.
    """

    map_blocks: MapBlocks = run_inline
    map_replicates: MapReplicates | None = None
    kept: Callable[[Plan], Mapping[int, BlockResult]] = lambda plan: {}  # noqa: ARG005
    keep: Callable[[Plan, int, BlockResult], None] | None = None
    device: str = "cpu"


def even_portfolio(world: World, like: Portfolio | None = None) -> Portfolio:
    """Return one million USD spread evenly over all assets, with as much capital behind it or as another says."""
    like = like or Portfolio(positions=EVEN, capital_usd=DEFAULT_USD)
    each = DEFAULT_USD / len(world.assets)
    return like.model_copy(update={"positions": {asset.name: each for asset in world.assets}})


def requests(known: Known, wish: Wish) -> Iterator[tuple[Request, tuple[str, ...]]]:
    """Yield what each scenario of a day asks for, and what was left out of it.

    Raises
    ------
    ValueError
        Rules, scenario or portfolio do not fit the world; the message names file, line or variable.
    """
    rules = check_rules(wish.rules, known.world) if wish.rules is not None else None
    gravity = _gravity(known, wish)
    all_ids = wish.rules.ids if wish.rules is not None else ()
    for scenario in wish.scenarios:
        shocks = compile_scenario(scenario, known.world, wish.steps, known.replays, all_ids)
        events = compile_events(scenario, known.world, wish.steps)
        portfolio = _portfolio(scenario, known.world, wish)
        request = Request(
            known.world, scenario.name, shocks, portfolio, events, rules, gravity, wish.seed, wish.antithetic
        )
        yield request, (*shocks.remarks, *_inactive(rules))


def _inactive(rules: CheckedRules | None) -> tuple[str, ...]:
    return tuple(f"rule {name} is inactive: {why}" for name, why in sorted(rules.inactive.items())) if rules else ()


def _portfolio(scenario: Scenario, world: World, wish: Wish) -> Portfolio:
    if scenario.portfolio is not None:
        return Portfolio.model_validate(dict(scenario.portfolio))
    if wish.portfolio is None or wish.portfolio.positions == EVEN:
        return even_portfolio(world, wish.portfolio)
    return wish.portfolio


def _gravity(known: Known, wish: Wish) -> Gravity | None:
    if not wish.learns or known.past is None:
        return None
    return learn_gravity(known.world, known.past).gravity


def simulate_day(known: Known, wish: Wish, services: Services) -> list[Simulated]:
    """Run all scenarios of a day."""
    done = []
    for request, remarks in requests(known, wish):
        plan = make_plan(request, wish.paths)
        outcome = carry_out(
            plan,
            services.map_blocks,
            kept=services.kept(plan),
            keep=partial(services.keep, plan) if services.keep else None,
            stop=precise_enough(wish.target_error) if wish.target_error > 0 else None,
            device=services.device,
        )
        done.append(Simulated(plan, outcome, remarks))
    return done


def precise_enough(target: float, level: float = SHORTFALL_LEVEL) -> Callable[[list[BlockResult]], bool]:
    """Return a stop rule: the shortfall's standard error on the blocks so far is at most a share of its size.

    It sees a prefix of the blocks in their order, so it stops every run of a plan at the same block. An error that is
    by chance small stops too soon: intervals after stopping cover slightly less than they say (Glynn and Whitt 1992).
    """

    def stop(done: list[BlockResult]) -> bool:
        pnl = np.concatenate([result.outcomes[0] for result in done])
        found = expected_shortfall(pnl, [level])
        return bool(found.standard_error[0] <= target * abs(found.value[0]))

    return stop


@dataclass(frozen=True, eq=False)
class DayTables:
    """Rows of a day for the four tables; a table without rows has no columns."""

    simulations: pa.Table
    risk: pa.Table
    rules: pa.Table
    divergence: pa.Table


def tables_of(known: Known, wish: Wish, done: Sequence[Simulated], services: Services) -> DayTables:
    """Return the rows of a day's simulations."""
    simulations, risks, audits, differences = [], [], [], []
    base = next((each for each in done if each.plan.request.scenario == BASE), None)
    for each in done:
        plan, outcome = each.plan, each.outcome
        simulations.append(distributions(plan, outcome, known.day, known.prices))
        parts = {SHORTFALL_LEVEL: shortfall_parts(plan, outcome)}
        risks.append(risk(plan, outcome, known.day, parts))
        if wish.sobol:
            risks.append(quasi_rows(plan, quasi_risk(plan, RISK_LEVELS, services.map_replicates), known.day))
        audit = rule_audit(
            plan,
            outcome,
            known.day,
            services.map_blocks,
            ablated_paths=wish.ablated_paths,
            versions={rule.id: rule.version for rule in wish.rules or ()},
        )
        audits += [audit] if len(audit) else []
        if base is not None and each is not base:
            differences.append(_against(each, base, known.day))
    return DayTables(_together(simulations), _together(risks), _together(audits), _together(differences))


def _against(each: Simulated, base: Simulated, day: date) -> pa.Table:
    here, there = (
        dict(zip(OUTCOME_NAMES, one.outcome.outcomes.astype(np.float64), strict=True)) for one in (each, base)
    )
    rows = divergence_rows(
        day, each.plan.request.scenario, BASE, outcome_differences(here, there, each.plan.program.steps)
    )
    count = len(rows)
    rows = rows.append_column("paths", pa.array([each.outcome.paths] * count, pa.int64()))
    return rows.append_column("run_id", pa.array([each.plan.run_id] * count, pa.string()))


def _together(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})
