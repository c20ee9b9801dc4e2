"""All that is known about one simulated scenario: risk, distributions, rules, differences, a picture. Reads only."""

from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.compute as pc

from jobs.report import View
from pulse_assets.simulation.pictures.plots import BASE, simulation_sheet
from pulse_assets.simulation.tables import DIVERGENCE, RULE_AUDIT, SIMULATION_RISK, SIMULATIONS
from pulse_resources.errors import ConfigError, TableMissingError
from pulse_resources.lake import Lake

RISK_COLUMNS = ("measure", "name", "level", "estimator", "value", "low", "high", "unit")
MEASURES = (
    "mean_pnl",
    "value_at_risk",
    "expected_shortfall",
    "drawdown",
    "time_under_water",
    "ruin",
    "event",
    "shortfall_of",
    "gravity_share",
    "broken_paths",
)
FAN_COLUMNS = ("variable", "unit", "origin_level", "mean", "q010", "q050", "q500", "q950", "q990")
RULE_COLUMNS = (
    "rule",
    "state",
    "fires",
    "paths_fired",
    "pnl_effect_usd",
    "pnl_effect_se",
    "shortfall_effect_usd",
    "reason",
)
DIFFERENCE_COLUMNS = ("measure", "step", "difference", "se", "low", "high", "correlation")


@dataclass(frozen=True)
class OneSimulation:
    """One scenario of one day.

    Parameters
    ----------
    scenario, day
        Which.
    others
        Scenarios that were simulated on the same day.
    simulations
        Columns of ``gold/simulations``, of this scenario and of the base.
    risk
        Columns of ``gold/simulation_risk``.
    rules
        Columns of ``gold/rule_audit``, those that fired most first.
    divergence
        Columns of ``gold/scenario_divergence``.
    """

    scenario: str
    day: date
    others: tuple[str, ...]
    simulations: pa.Table
    risk: pa.Table
    rules: pa.Table
    divergence: pa.Table


def look_up(lake: Lake, as_of: date | None, scenario: str | None) -> OneSimulation:
    """Return the newest simulation of a scenario, or that of a day.

    Parameters
    ----------
    lake
        Where it was kept.
    as_of
        Its origin; None for the newest.
    scenario
        Its name; None for the base, or the first by name of the scenarios of the day if the base is none of them.

    Raises
    ------
    ConfigError
        There is no such scenario, or not of that day.
    TableMissingError
        Nothing was simulated yet.
    """
    days = _days_by_scenario(lake)
    if not days:
        raise TableMissingError(
            f"{SIMULATION_RISK.name} under {lake.root} holds no day yet; `pulse simulate` makes one"
        )
    name = _meant(scenario, sorted(days)) if scenario is not None else _usual(days, as_of)
    day = as_of or max(days[name])
    if day not in days[name]:
        raise ConfigError(
            f"{name} was not simulated as of {day}; it was as of {_in_words(days[name])}, and "
            f"`pulse simulate --scenario {name} --as-of {day}` makes one"
        )
    today = pc.field("as_of") == day
    this = today & (pc.field("scenario") == name)
    return OneSimulation(
        name,
        day,
        tuple(sorted(other for other in days if day in days[other] and other != name)),
        lake.read(SIMULATIONS, where=today & pc.field("scenario").isin(pa.array(sorted({name, BASE})))),
        lake.read(SIMULATION_RISK, where=this),
        lake.read(RULE_AUDIT, where=this).sort_by(
            [("fires", "descending"), ("state", "ascending"), ("rule", "ascending")]
        ),
        lake.read(DIVERGENCE, where=this),
    )


def views(one: OneSimulation) -> list[View]:
    """Return what is to be shown of a simulation; rules and differences are left out where there are none."""
    own = one.simulations.filter(pc.equal(one.simulations["scenario"], one.scenario))
    last = own.filter(pc.equal(own["step"], pc.max(own["step"])))
    steps, paths, run = (last[name][0].as_py() for name in ("step", "paths", "run_id"))
    size = f"{steps} business days, {paths:,} paths"
    note = f"Run {run}. Losses are positive; low and high are the ends of 95 % intervals."
    if one.others:
        note += f" Simulated on the same day: {', '.join(one.others)}."
    shown = [
        View(_ordered(one.risk).select(list(RISK_COLUMNS)), f"Risk of {one.scenario} as of {one.day}: {size}", note)
    ]
    note = "Quantiles 1 %, 5 %, 50 %, 95 %, 99 %; assets are cumulative log returns."
    shown.append(View(last.select(list(FAN_COLUMNS)), f"Distributions after {steps} business days", note))
    if len(one.rules):
        note = "Effects: mean profit, and 97.5 % shortfall, with the rule less without it, on the same random numbers."
        shown.append(View(one.rules.select(list(RULE_COLUMNS)), "Causal rules", note))
    if len(one.divergence):
        against = one.divergence["against"][0].as_py()
        rows = one.divergence.select(list(DIFFERENCE_COLUMNS))
        note = "pnl_usd is of the mean, pnl_usd_q050 of the 5 % quantile; paired, so shared luck cancels."
        shown.append(View(rows, f"Differences of {one.scenario} from {against}", note))
    return shown


def picture(one: OneSimulation) -> bytes:
    """Return fans, profit, exposure, rules and differences of a simulation on one sheet."""
    simulations, risk, rules, divergence = (
        table.to_pandas() for table in (one.simulations, one.risk, one.rules, one.divergence)
    )
    return simulation_sheet(simulations, risk, rules, divergence, one.scenario)


def _ordered(risk: pa.Table) -> pa.Table:
    """Return the risk of the portfolio first, and assets by what they bring to its shortfall."""
    order = {name: place for place, name in enumerate(MEASURES)}
    rows = sorted(
        risk.to_pylist(),
        key=lambda row: (
            order.get(row["measure"], len(order)),
            row["level"],
            row["estimator"],
            -row["value"] if row["measure"] == "shortfall_of" else 0,
            row["name"],
        ),
    )
    return pa.Table.from_pylist(rows, schema=risk.schema)


def _days_by_scenario(lake: Lake) -> dict[str, set[date]]:
    pairs = lake.read(SIMULATION_RISK, columns=["as_of", "scenario"]).group_by(["as_of", "scenario"]).aggregate([])
    days: dict[str, set[date]] = {}
    for pair in pairs.to_pylist():
        days.setdefault(pair["scenario"], set()).add(pair["as_of"])
    return days


def _meant(scenario: str, names: list[str]) -> str:
    """Return the scenario of a name, whatever its case."""
    found = [name for name in names if name == scenario] or [
        name for name in names if name.casefold() == scenario.casefold()
    ]
    if found:
        return found[0]
    close = get_close_matches(scenario, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"those simulated are {', '.join(names)}"
    raise ConfigError(f"no scenario called {scenario!r} was simulated; {hint}")


def _usual(days: dict[str, set[date]], as_of: date | None) -> str:
    every = set().union(*days.values())
    day = as_of or max(every)
    names = sorted(name for name in days if day in days[name])
    if not names:
        raise ConfigError(
            f"nothing was simulated as of {day}; it was as of {_in_words(every)}, and "
            f"`pulse simulate --as-of {day}` makes one"
        )
    return BASE if BASE in names else names[0]


def _in_words(days: set[date]) -> str:
    first, last = min(days), max(days)
    return str(last) if first == last else f"{len(days)} days from {first} to {last}"
