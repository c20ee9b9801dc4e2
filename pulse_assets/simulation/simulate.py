"""A range of days simulated: from settings to worlds as of each day, blocks kept in the lake, rows of all tables.

Not pure: it hands blocks to ``Compute`` and keeps them in the lake. One day is the business of ``day``.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from math import inf
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from pulse_assets.simulation.block_store import BlockStore
from pulse_assets.simulation.calibration.known_series import Vintages
from pulse_assets.simulation.calibration.reading import changes_between, past_of, prices_on, vintages_of
from pulse_assets.simulation.calibration.world_choice import choose_world, choose_worlds
from pulse_assets.simulation.calibration.world_settings import WorldSettings
from pulse_assets.simulation.calibration.worlds import Calibration, calibrate_days
from pulse_assets.simulation.day import (
    EVEN,
    DayTables,
    Known,
    Services,
    Simulated,
    Wish,
    requests,
    simulate_day,
    tables_of,
)
from pulse_assets.simulation.engine import BlockResult
from pulse_assets.simulation.plan import Plan, check_size, make_plan
from pulse_assets.simulation.risk.capital import Portfolio
from pulse_assets.simulation.rules.rule_set import load_rules
from pulse_assets.simulation.runs import fingerprint
from pulse_assets.simulation.scenarios.scenario import Scenario, load_scenario, refuse_unknown_rules
from pulse_assets.simulation.tables import DIVERGENCE, RULE_AUDIT, RUNS, SIMULATION_RISK, SIMULATIONS
from pulse_resources.compute import Compute
from pulse_resources.errors import ConfigError
from pulse_resources.lake import Evidence, Lake

NO_RULES = "none"
Say = Callable[[str], object]


def plans_of(silver: pa.Table, day: date, config: Mapping[str, Any]) -> list[Plan]:
    """Return the plans of a day's scenarios, laid out again from what was known and configured.

    Raises
    ------
    ConfigError
        As :func:`simulate_days`.
    """
    with mistakes_of_users():
        wish = wish_of(config)
        settings = choose_world(str(config["world"]), silver, day)
        values = vintages_of(silver, settings.sources)
        made = next(iter(calibrate_days(values, np.array([day], "datetime64[D]"), settings)))
        known = _known(day, made, settings, values, wish)
        return [make_plan(request, wish.paths) for request, _ in requests(known, wish)]


@dataclass(frozen=True, eq=False)
class Made:
    """What a range of days gave.

    Attributes
    ----------
    tables
        Rows by name of their table.
    remarks
        What was left out of the last day, and why.
    """

    tables: Mapping[str, pa.Table]
    remarks: tuple[str, ...] = ()


@contextmanager
def mistakes_of_users() -> Iterator[None]:
    """Turn what the pure core says of wrong files and settings into the border's error.

    Raises
    ------
    ConfigError
        Something that a user wrote is wrong.
    """
    try:
        yield
    except ConfigError:
        raise
    except ValidationError as error:
        raise ConfigError("; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())) from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def simulate_days(
    silver: pa.Table,
    days: Sequence[date],
    config: Mapping[str, Any],
    compute: Compute,
    lake: Lake,
    say: Say,
    evidence: Evidence,
) -> Made:
    """Simulate all scenarios as of every day.

    Parameters
    ----------
    silver
        ``silver/series`` as known on the last day.
    days
        Rising.
    config
        Fields of :class:`~pulse_assets.simulation.assets.SimulationConfig`.
    compute, lake
        Where blocks run, and where those of runs with more than one are kept.
    say
        Is told what happens, a line at a time.
    evidence
        What commits of kept blocks carry.

    Raises
    ------
    ConfigError
        World, rules, scenario, portfolio or size are wrong; the message names file, line or variable.
    """
    with mistakes_of_users():
        wish = wish_of(config)
        services = _services(compute, lake, say, evidence)
        parts: dict[str, list[pa.Table]] = {}
        newest: list[Simulated] = []
        calibration = None
        for known, calibration in _all_known(silver, days, str(config["world"]), wish):
            newest = simulate_day(known, wish, services)
            made_rows = _named(tables_of(known, wish, newest, services))
            made_rows[RUNS.name] = _runs(known.day, newest, calibration, config, wish)
            for name, table in made_rows.items():
                parts.setdefault(name, []).append(table)
        tables = {name: pa.concat_tables(each, promote_options="permissive") for name, each in parts.items()}
        return Made(tables, _remarks(newest, calibration))


def _remarks(newest: Sequence[Simulated], calibration: Calibration | None) -> tuple[str, ...]:
    left_out = calibration.report.left_out.items() if calibration else ()
    of_world = (f"{name} is not in the world: {why}" for name, why in left_out)
    return tuple(dict.fromkeys((*of_world, *(remark for each in newest for remark in each.remarks))))


def wish_of(config: Mapping[str, Any]) -> Wish:
    """Return what a configuration asks for.

    Raises
    ------
    ValueError
        A scenario, a rule file or a number is wrong, or scenarios are named twice.
    """
    check_size(config["paths"], config["steps"])
    for name in ("ablated_paths", "target_error"):
        if not 0 <= config[name] < inf:
            raise ValueError(f"{name} must be 0 (none) or more; came {config[name]}")
    scenarios = tuple(load_scenario(name) for name in config["scenarios"])
    _refuse_twins(scenarios)
    portfolio = Portfolio(
        positions=dict(config["positions_usd"]) or EVEN,
        capital_usd=config["capital_usd"],
        allow_short=config["allow_short"],
        policy=config["policy"],
        policy_options=dict(config["policy_options"]),
    )
    rules = None if config["rules"] == NO_RULES else load_rules(config["rules"])
    for scenario in scenarios:
        refuse_unknown_rules(scenario, rules.ids if rules is not None else ())
    return Wish(
        scenarios,
        rules,
        portfolio,
        config["paths"],
        config["steps"],
        config["seed"],
        config["antithetic"],
        config["learned_correction"],
        config["ablated_paths"],
        config["sobol"],
        config["target_error"],
    )


def _refuse_twins(scenarios: Sequence[Scenario]) -> None:
    names = [scenario.name for scenario in scenarios]
    if not names:
        raise ValueError("no scenario was asked for: `base` is the world without shocks")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"scenario {twice[0]!r} was asked for twice: name each once")


def _all_known(silver: pa.Table, days: Sequence[date], world: str, wish: Wish) -> Iterator[tuple[Known, Calibration]]:
    for settings, same in choose_worlds(world, silver, days):
        values = vintages_of(silver, settings.sources)
        for day, made in zip(same, calibrate_days(values, np.array(same, "datetime64[D]"), settings), strict=True):
            yield _known(day, made, settings, values, wish), made


def _known(day: date, made: Calibration, settings: WorldSettings, values: Mapping[str, Vintages], wish: Wish) -> Known:
    world = made.world
    windows = {window for scenario in wish.scenarios for window in scenario.windows}
    return Known(
        day,
        world,
        prices_on(world, values, day),
        {window: changes_between(world, settings, values, day, window.start, window.end) for window in windows},
        past_of(world, settings, values, day) if wish.learns else None,
    )


def _services(compute: Compute, lake: Lake, say: Say, evidence: Evidence) -> Services:
    def kept(plan: Plan) -> Mapping[int, BlockResult]:
        found = BlockStore(lake, plan.run_id).kept(plan.blocks()) if _is_kept(plan) else {}
        if found:
            say(f"run {plan.run_id}: {len(found)} blocks were kept")
        return found

    def keep(plan: Plan, number: int, result: BlockResult) -> None:
        if _is_kept(plan):
            BlockStore(lake, plan.run_id, evidence).keep(number, result)
            say(f"run {plan.run_id}: block {number} of {-(-plan.paths // plan.block_paths)} is durable")

    return Services(compute.map_blocks, compute.map_blocks, kept, keep, compute.device_in_use)


def _is_kept(plan: Plan) -> bool:
    """Return whether a run's blocks are kept: one of a single block costs seconds, and its rows are kept anyway."""
    return plan.paths > plan.block_paths


def _runs(day: date, done: Sequence[Simulated], made: Calibration, config: Mapping[str, Any], wish: Wish) -> pa.Table:
    rows = [
        {
            "as_of": day,
            "scenario": each.plan.request.scenario,
            "run_id": each.plan.run_id,
            "paths": each.outcome.paths,
            "steps": each.plan.program.steps,
            "seed": each.plan.request.seed,
            "sha256": fingerprint(each.outcome),
            "blocks_simulated": each.outcome.simulated,
            "blocks_kept": each.outcome.kept,
            "config": json.dumps(dict(config), sort_keys=True),
            "rules": wish.rules.fingerprint if wish.rules is not None else "",
            "world": each.plan.request.world.fingerprint[:16],
            "fitted_on": made.report.fitted_on.astype(object),
            "left_out": "\n".join(_remarks([each], made)),
        }
        for each in done
    ]
    return pa.Table.from_pylist(rows)


def _named(tables: DayTables) -> dict[str, pa.Table]:
    return {
        SIMULATIONS.name: tables.simulations,
        SIMULATION_RISK.name: tables.risk,
        RULE_AUDIT.name: tables.rules,
        DIVERGENCE.name: tables.divergence,
    }
