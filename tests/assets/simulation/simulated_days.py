"""A small day's simulation that tests of pictures and views share: real rows, made the way that assets make them."""

from datetime import date
from functools import cache

import numpy as np
import pyarrow as pa

from pulse_assets.simulation.day import Known, Services, Wish, simulate_day, tables_of
from pulse_assets.simulation.rules.rule_set import parse_rules
from pulse_assets.simulation.scenarios.scenario import load_scenario
from pulse_assets.simulation.tables import DIVERGENCE, RULE_AUDIT, SIMULATION_RISK, SIMULATIONS
from pulse_resources.lake import Lake, Partitions, TableContract
from tests.assets.simulation.scenario_worlds import small_world

DAY, LATER = date(2018, 6, 1), date(2018, 6, 4)
PATHS, STEPS = 600, 10
RULES = """
optional: [gold]
rules:
  - id: fear_follows_losses
    version: 3
    when: change(SPX, 1) < -0.01 [log return]
    effects: [{target: vix, multiply: 1.05}]
    cooldown: 2
    rationale: a test
    source: none
  - id: fear_is_endless
    version: 1
    when: vix > 149 [percent per year]
    effects: [{target: vix, multiply: 0.9}]
    rationale: a test
    source: none
  - id: gold_shines
    version: 1
    when: gold > 0 [log return]
    effects: [{target: vix, multiply: 0.9}]
    rationale: a test
    source: none
"""
TABLES = (SIMULATIONS, SIMULATION_RISK, RULE_AUDIT, DIVERGENCE)


@cache
def day_tables(day: date = DAY) -> dict[str, pa.Table]:
    """Return the rows of both scenarios of a day by the name of their table; the price of WTI is not known."""
    world = small_world()
    world = world.with_(history=np.tile(np.r_[0.0, 0.0, world.level], (70, 1)))
    known = Known(day, world, {"SPX": 2700.0})
    scenarios = tuple(load_scenario(name) for name in ("base", "energy_crisis"))
    wish = Wish(scenarios, parse_rules(RULES, "rules.yaml"), None, PATHS, STEPS, seed=day.day)
    made = tables_of(known, wish, simulate_day(known, wish, Services()), Services())
    tables = dict(zip(TABLES, (made.simulations, made.risk, made.rules, made.divergence), strict=True))
    return {contract.name: stamped(contract, rows) for contract, rows in tables.items()}


def stamped(contract: TableContract, rows: pa.Table) -> pa.Table:
    """Return rows as the asset stores them."""
    if "data_version" in contract.schema.names:
        rows = rows.append_column("data_version", pa.array(np.zeros(len(rows), np.int64)))
    return contract.cast(rows)


def write_day(lake: Lake, day: date) -> None:
    """Store a day."""
    for contract in TABLES:
        lake.overwrite(contract, day_tables(day)[contract.name], Partitions.of("as_of", [day]))
