"""Pictures of simulations as PNG small enough for asset metadata. Pure: frames of the simulation tables in, bytes out.

All frames may hold several days and scenarios: the newest day of the scenario is drawn. A frame without rows gives a
picture that says so. What single panels look like is in ``panels``.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pulse_assets.pictures import COLOURS, as_png, new_figure, say
from pulse_assets.simulation.pictures.panels import (
    BANDS,
    WIDE,
    Mark,
    draw_density,
    draw_effects,
    draw_fan,
    draw_marks,
    draw_pit,
    draw_rates,
    draw_strip,
)
from pulse_assets.simulation.pictures.rows import (
    PROFIT,
    fired,
    furthest_apart,
    moved_most,
    newest,
    outcomes_compared,
    risk_marks,
    same_day,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    Place = Figure | SubFigure

BASE = "base"
EXPOSURE = "net_exposure_usd"
UNITS = {PROFIT: "USD", "worst_pnl_usd": "USD", "drawdown": "share of peak", "steps_under_water": "steps"}
TITLES = {
    PROFIT: "profit",
    EXPOSURE: "net exposure",
    "worst_pnl_usd": "worst profit on the way",
    "steps_under_water": "steps under water",
}
WIDTH = 13.0
COLUMNS = 3
OUTCOMES_IN_A_ROW = 4
STATES = {"active": "did not", "disabled": "disabled", "inactive": "inactive"}
MOST_FANS, SHEET_FANS = 12, 6


def fan_chart(simulations: pd.DataFrame, scenario: str, variables: Sequence[str] | None = None) -> bytes:
    """Draw fans of variables over steps, one panel each, up to three in a row.

    Parameters
    ----------
    simulations
        Columns of ``gold/simulations``. Assets whose price at the origin is known are drawn as prices, others as
        returns in per cent.
    scenario
        Which to draw.
    variables
        Which to draw, of those that there are; None for the profit and then :func:`moved_most`. The first twelve are.
    """
    rows = newest(simulations, scenario)
    wanted = [PROFIT, *moved_most(rows, MOST_FANS - 1)] if variables is None else variables
    known = set(rows["variable"])
    shown = [name for name in wanted if name in known][:MOST_FANS]
    figure = new_figure(WIDTH, 0.8 + 3.2 * max(1, -(-len(shown) // COLUMNS)))
    _head(figure, rows)
    _fans(figure, rows, shown)
    return as_png(figure)


def exposure_distribution(simulations: pd.DataFrame, risk: pd.DataFrame, scenario: str) -> bytes:
    """Draw the profit over steps and at the last one, value at risk and shortfall with intervals, and net exposure.

    Parameters
    ----------
    simulations, risk
        Columns of ``gold/simulations`` and ``gold/simulation_risk``.
    scenario
        Which to draw.
    """
    figure = new_figure(WIDTH, 4.8)
    rows = newest(simulations, scenario)
    _head(figure, rows)
    _exposure(figure, rows, same_day(risk, rows, scenario))
    return as_png(figure)


def rule_timeline(rule_audit: pd.DataFrame, scenario: str) -> bytes:
    """Draw at which steps causal rules fired, how often on a path, and what each did to the profit.

    Parameters
    ----------
    rule_audit
        Columns of ``gold/rule_audit``; rules that never fired are counted in the title.
    scenario
        Which to draw; the thirty rules that fired most are.
    """
    rows = newest(rule_audit, scenario)
    figure = new_figure(WIDTH, 0.4 + _height_of_rules(rows))
    _head(figure, rows)
    _rules(figure, rows)
    return as_png(figure)


def scenario_difference(
    divergence: pd.DataFrame, simulations: pd.DataFrame, scenario: str, against: str = BASE
) -> bytes:
    """Draw how a scenario differs from another on the same random numbers: fans of both, paired differences.

    Parameters
    ----------
    divergence
        Columns of ``gold/scenario_divergence``; without rows of the two only the fans are drawn.
    simulations
        Columns of ``gold/simulations``, of both scenarios.
    scenario, against
        Which to draw, and what it is compared with.
    """
    rows = newest(simulations, scenario)
    marks = outcomes_compared(newest(divergence, scenario), against)
    figure = new_figure(WIDTH, 0.4 + _height_of_differences(marks))
    _head(figure, rows)
    _differences(figure, marks, [rows, same_day(simulations, rows, against)], (scenario, against))
    return as_png(figure)


def pit_histogram(retrodiction: pd.DataFrame) -> bytes:
    """Draw where in the simulated distributions lay what happened, one panel an engine: flat means calibrated.

    Parameters
    ----------
    retrodiction
        Columns ``engine, pit`` of ``gold/retrodiction``; a NaN is left out.
    """
    rows = retrodiction.dropna(subset=["pit"])
    engines = [str(name) for name in sorted(rows["engine"].unique(), key=lambda name: (name != "pulse", name))]
    lines = max(1, -(-len(engines) // COLUMNS))
    figure = new_figure(WIDTH if len(engines) > 1 else 5.2, 3.6 * lines)
    for place, engine in enumerate(engines, start=1):
        axes = figure.add_subplot(lines, min(COLUMNS, len(engines)), place)
        pit = rows.loc[rows["engine"] == engine, "pit"].to_numpy(np.float64)
        draw_pit(axes, pit, f"{engine} ({len(pit):,})")
    if not engines:
        say(figure.add_subplot(), "nothing retrodicted yet")
    return as_png(figure)


def simulation_sheet(
    simulations: pd.DataFrame, risk: pd.DataFrame, rule_audit: pd.DataFrame, divergence: pd.DataFrame, scenario: str
) -> bytes:
    """Draw all about one scenario on one sheet: fans, profit and exposure, rules, differences from the base.

    Parameters
    ----------
    simulations, risk, rule_audit, divergence
        As for the pictures of each; of rules and of differences there may be none, and their part is left out.
    scenario
        Which to draw.
    """
    rows = newest(simulations, scenario)
    risks, rules, pairs = (same_day(frame, rows, scenario) for frame in (risk, rule_audit, divergence))
    marks = outcomes_compared(pairs, BASE)
    heights = [0.4 + 2.8 * 2, 4.2]
    heights += [_height_of_rules(rules)] if len(rules) else []
    heights += [_height_of_differences(marks)] if marks else []
    figure = new_figure(WIDTH, 0.4 + sum(heights))
    _head(figure, rows)
    parts = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    _fans(next(parts), rows, moved_most(rows, SHEET_FANS, risks))
    _exposure(next(parts), rows, risks)
    if len(rules):
        _rules(next(parts), rules)
    if marks:
        _differences(next(parts), marks, [rows, same_day(simulations, rows, BASE)], (scenario, BASE))
    return as_png(figure)


def _head(figure: "Place", rows: pd.DataFrame) -> None:
    if len(rows):
        first = rows.iloc[0]
        figure.suptitle(f"{first['scenario']} as of {first['as_of']:%Y-%m-%d}, {first['paths']:,} paths", fontsize=14)


def _fans(figure: "Place", rows: pd.DataFrame, variables: Sequence[str]) -> None:
    if not variables:
        say(figure.add_subplot(), "nothing simulated")
        return
    lines = -(-len(variables) // COLUMNS)
    for place, name in enumerate(variables, start=1):
        axes = figure.add_subplot(lines, min(COLUMNS, len(variables)), place)
        draw_fan(axes, rows[rows["variable"] == name], _title(name))
        if place == 1:
            handles = axes.get_legend_handles_labels()
            figure.legend(*handles, loc="outside lower center", ncols=len(BANDS) + 1, fontsize=10, frameon=False)


def _exposure(figure: "Place", rows: pd.DataFrame, risk: pd.DataFrame) -> None:
    profit, exposure = (rows[rows["variable"] == name] for name in (PROFIT, EXPOSURE))
    if not len(profit):
        say(figure.add_subplot(), "no profit simulated")
        return
    grid = figure.add_gridspec(2, 3, height_ratios=(1.3, 1))
    fan = draw_fan(figure.add_subplot(grid[:, 0]), profit, "Profit, by step")
    marks = risk_marks(risk)
    middle = figure.add_subplot(grid[0 if marks else slice(None), 1])
    draw_density(middle, fan.quantiles[-1], f"Profit after {fan.steps[-1]:.0f} steps")
    middle.tick_params(labelbottom=not marks)
    if marks:
        below = figure.add_subplot(grid[1, 1], sharex=middle)
        has_both = len({mark.name for mark in marks}) < len(marks)
        draw_marks(below, marks, "USD, 95 % intervals" + ("; green by Sobol points" if has_both else ""))
    right = figure.add_subplot(grid[:, 2])
    if len(exposure):
        draw_fan(right, exposure, "Net exposure, by step")
    else:
        say(right, "no exposure simulated")


def _height_of_rules(rules: pd.DataFrame) -> float:
    return 1.4 + 0.24 * max(len(fired(rules)), 4)


def _rules(figure: "Place", rules: pd.DataFrame) -> None:
    shown = fired(rules)
    if not len(shown):
        say(figure.add_subplot(), f"none of {len(rules)} rules fired" if len(rules) else "no rules were simulated")
        return
    shares = np.stack([np.asarray(fires, np.float64) for fires in shown["fires_by_step"]]) / shown["paths"].iloc[0]
    effects, errors = (shown[name].to_numpy(np.float64) for name in ("pnl_effect_usd", "pnl_effect_se"))
    has_effects = bool(np.isfinite(effects).any())
    axes = figure.subplots(1, 2 + has_effects, sharey=True, width_ratios=(4, 1, 1) if has_effects else (5, 1))
    mesh = draw_strip(axes[0], shares, list(shown["rule"]), f"Causal rules by step: {_in_words(rules, shown)}")
    bar = figure.colorbar(mesh, ax=axes[0], pad=0.01, aspect=30)
    bar.set_label("fires a path and step", fontsize=9)
    bar.ax.tick_params(labelsize=9)
    draw_rates(axes[1], shares.sum(axis=1))
    if has_effects:
        draw_effects(axes[2], effects, errors)


def _in_words(rules: pd.DataFrame, shown: pd.DataFrame) -> str:
    count = int((rules["fires"] > 0).sum())
    counts = rules.loc[rules["fires"] == 0, "state"].value_counts()
    words = [f"{count} fired" + (f", the first {len(shown)} shown" if count > len(shown) else "")]
    words += [f"{counts[state]} {word}" for state, word in STATES.items() if counts.get(state, 0)]
    return ", ".join(words)


def _height_of_differences(groups: Mapping[str, Sequence[Mark]]) -> float:
    return 3.3 + 3.0 * -(-len(groups) // OUTCOMES_IN_A_ROW)


def _differences(
    figure: "Place", groups: Mapping[str, Sequence[Mark]], both: Sequence[pd.DataFrame], names: tuple[str, str]
) -> None:
    fans = furthest_apart(both)[:COLUMNS]
    if not fans and not groups:
        say(figure.add_subplot(), f"nothing to compare {names[0]} and {names[1]} by")
        return
    heights = [3.2] * bool(fans) + [3.0 * -(-len(groups) // OUTCOMES_IN_A_ROW)] * bool(groups)
    parts = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    if fans:
        _overlaid(next(parts), both, fans, names)
    if groups:
        part = next(parts)
        part.suptitle(
            f"{names[0]} less {names[1]} on the same random numbers: mean and quantiles, with 95 % intervals",
            fontsize=12,
        )
        for place, (outcome, marks) in enumerate(groups.items(), start=1):
            axes = part.add_subplot(-(-len(groups) // OUTCOMES_IN_A_ROW), min(OUTCOMES_IN_A_ROW, len(groups)), place)
            draw_marks(axes, marks, UNITS.get(outcome, ""))
            axes.set_title(_title(outcome), fontsize=11)


def _overlaid(figure: "Place", both: Sequence[pd.DataFrame], fans: Sequence[str], names: tuple[str, str]) -> None:
    from matplotlib.lines import Line2D

    for place, name in enumerate(fans, start=1):
        axes = figure.add_subplot(1, len(fans), place)
        for rows, colour in zip(reversed(both), COLOURS, strict=False):
            draw_fan(axes, rows[rows["variable"] == name], _title(name), colour, WIDE)
    lines = [Line2D([], [], color=colour, label=name) for name, colour in zip(reversed(names), COLOURS, strict=False)]
    figure.legend(
        handles=lines, loc="outside lower center", ncols=2, fontsize=10, frameon=False, title="median and 90 % of paths"
    )


def _title(name: str) -> str:
    return TITLES.get(name, name)
