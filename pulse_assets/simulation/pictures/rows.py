"""Which rows of the simulation tables a picture shows, and in what order. Pure.

What they look like is in ``panels``, where they stand on a sheet in ``plots``.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_assets.simulation.pictures.panels import Mark, fan_of

PROFIT = "pnl_usd"
MEASURES = (PROFIT, "drawdown", "net_exposure_usd", "leverage")
OUTCOMES = (PROFIT, "worst_pnl_usd", "drawdown", "steps_under_water")
RISKS = {"mean_pnl": "mean", "value_at_risk": "VaR", "expected_shortfall": "ES"}
MOST_RULES = 30
MOST_OUTCOMES = 8


def newest(rows: pd.DataFrame, scenario: str) -> pd.DataFrame:
    """Return the rows of a scenario's newest day."""
    own: pd.DataFrame = rows[rows["scenario"] == scenario]
    last: pd.DataFrame = own[own["as_of"] == own["as_of"].max()]
    return last


def same_day(rows: pd.DataFrame, first: pd.DataFrame, scenario: str) -> pd.DataFrame:
    """Return the rows of a scenario that are of the day of other rows."""
    return rows[(rows["scenario"] == scenario) & rows["as_of"].isin(first["as_of"].unique())]


def moved_most(simulations: pd.DataFrame, count: int, risk: pd.DataFrame | None = None) -> list[str]:
    """Return the variables that matter most in a scenario: half of them assets, half factors, as far as there are.

    Parameters
    ----------
    simulations
        Columns of ``gold/simulations``, of one day and scenario.
    count
        How many.
    risk
        Columns of ``gold/simulation_risk``: assets are then ranked by their part of the shortfall. All others are by
        how far the median moves at any step, in widths of the 80 % interval of the last.
    """
    rows = simulations[~simulations["variable"].isin(MEASURES)]
    parts: dict[str, float] = {}
    if risk is not None:
        shares = risk[risk["measure"] == "shortfall_of"]
        parts = {str(name): abs(float(own["value"].max())) for name, own in shares.groupby("name")}
    ranked: dict[bool, list[tuple[float, float, str]]] = {True: [], False: []}
    for name, own in rows.groupby("variable", sort=False):
        fan = fan_of(own)
        width = float(fan.at("q900")[-1] - fan.at("q100")[-1])
        moved = float(np.abs(fan.at("q500") - fan.at("q500")[0]).max()) / width if width > 0 else 0.0
        ranked[bool(own["unit"].iloc[0] == "log return")].append((-parts.get(str(name), 0.0), -moved, str(name)))
    assets, factors = ([name for *_, name in sorted(ranked[kind])] for kind in (True, False))
    few = max(count - len(factors), count - count // 2)
    return [*assets[:few], *factors[: count - min(few, len(assets))]]


def furthest_apart(both: Sequence[pd.DataFrame]) -> list[str]:
    """Return the variables that both scenarios have: the profit, then by the distance of medians at the last step."""
    fans = [{str(name): fan_of(own) for name, own in rows.groupby("variable")} for rows in both]
    apart: dict[str, float] = {}
    for name in fans[0].keys() & fans[1].keys():
        one, other = fans[0][name], fans[1][name]
        width = float(other.at("q900")[-1] - other.at("q100")[-1])
        apart[name] = float(abs(one.at("q500")[-1] - other.at("q500")[-1])) / max(width, 1e-12)
    names = [name for name in apart if name not in MEASURES]
    return [PROFIT][: PROFIT in apart] + sorted(names, key=lambda name: (-apart[name], name))


def risk_marks(risk: pd.DataFrame) -> list[Mark]:
    """Return mean, value at risk and shortfall as profits: the tables give losses positive.

    What Sobol points estimate follows what paths do, by the same name.
    """
    rows = risk[risk["measure"].isin(RISKS)]
    rows = rows.assign(place=rows["measure"].map(list(RISKS).index), is_quasi=rows["estimator"] == "sobol")
    rows = rows.sort_values(["level", "place", "is_quasi"])
    marks = []
    for measure, level, *ends in zip(
        *(rows[name] for name in ("measure", "level", "value", "low", "high")), strict=True
    ):
        value, low, high = (float(end) for end in ends)
        if level:
            marks.append(Mark(f"{RISKS[measure]} {100 * level:g} %", -value, -high, -low))
        else:
            marks.append(Mark(RISKS[measure], value, low, high))
    return marks


def outcomes_compared(divergence: pd.DataFrame, against: str) -> dict[str, list[Mark]]:
    """Return a scenario's differences from another by outcome, each of the mean and of quantiles, or of several steps.

    Parameters
    ----------
    divergence
        Columns of ``gold/scenario_divergence``, of one day and scenario; differences that are not known are left out.
    against
        What it is compared with.
    """
    rows = divergence[(divergence["against"] == against) & divergence["difference"].notna()]
    named = rows.assign(outcome=[_parted(measure)[0] for measure in rows["measure"]])
    groups = {str(name): _differences_of(own) for name, own in named.groupby("outcome")}
    order = [name for name in OUTCOMES if name in groups] + sorted(groups.keys() - set(OUTCOMES))
    return {name: groups[name] for name in order[:MOST_OUTCOMES]}


def _differences_of(rows: pd.DataFrame) -> list[Mark]:
    rows = rows.sort_values(["step", "measure"])
    values = rows[["difference", "low", "high"]].to_numpy(np.float64)
    has_steps = rows["step"].nunique() > 1
    labels = [
        f"step {step}" + (f", {part}" if part != "mean" else "") if has_steps else part
        for step, part in zip(rows["step"], (_parted(measure)[1] for measure in rows["measure"]), strict=True)
    ]
    return [Mark(label, *map(float, row)) for label, row in zip(labels, values, strict=True)]


def _parted(measure: str) -> tuple[str, str]:
    """Return which outcome a measure is of, and what of it."""
    outcome, _, quantile = measure.rpartition("_q")
    return (
        (outcome, f"{int(quantile) / 10:g} %") if outcome and f"q{quantile}" in QUANTILE_COLUMNS else (measure, "mean")
    )


def fired(rules: pd.DataFrame) -> pd.DataFrame:
    """Return the rules that fired, the most frequent first, at most thirty."""
    rows = rules[rules["fires"] > 0]
    return rows.sort_values(["fires", "rule"], ascending=[False, True]).head(MOST_RULES)
