"""Rows of the tables from a run's outcome: distributions, risk, fires of rules, differences of scenarios. Pure."""

from collections.abc import Mapping
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.numerics.quantiles import LEVELS, QUANTILE_COLUMNS
from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.plan import Plan
from pulse_assets.simulation.program import MEASURE_NAMES
from pulse_assets.simulation.risk.estimators import (
    Estimate,
    antithetic_mean,
    critical,
    plain_mean,
    probability_with_interval,
)
from pulse_assets.simulation.risk.histograms import quantiles
from pulse_assets.simulation.risk.measures import expected_shortfall, value_at_risk
from pulse_assets.simulation.risk.outcomes import ruin_probability
from pulse_assets.simulation.risk.quasi_runs import QuasiRisk
from pulse_assets.simulation.runs import Outcome
from pulse_assets.simulation.world import level_of

Floats = npt.NDArray[np.float64]
Row = dict[str, object]

RISK_LEVELS = (0.95, 0.975, 0.99)
MEASURE_UNITS = dict(zip(MEASURE_NAMES, ("USD", "share of peak", "USD", "multiple"), strict=True))
PARTS_OF_A_BIN = 4096.0


def distributions(plan: Plan, outcome: Outcome, as_of: date, prices: Mapping[str, float] | None = None) -> pa.Table:
    """Return mean and quantiles of every variable and measure at the recorded steps.

    Parameters
    ----------
    plan, outcome
        What was run, and what it gave.
    as_of
        Origin.
    prices
        Price of each asset at the origin, as far as known.
    """
    request, program = plan.request, plan.program
    found, means = _quantiles(plan, outcome), _means(plan, outcome)
    days = np.busday_offset(np.datetime64(as_of), request.marks, roll="backward").astype("datetime64[us]")
    rows: list[Row] = []
    for q, name in enumerate(program.names):
        scale = _Scale(plan, q, prices or {})
        for place, step in enumerate(request.marks):
            values = dict(zip(QUANTILE_COLUMNS, scale.levels(found[place, q]).tolist(), strict=True))
            rows.append(
                {"as_of": as_of, "scenario": request.scenario, "variable": name, "step": step, "ds": days[place].item()}
                | {"unit": scale.unit, "origin_level": scale.origin}
                | {"mean": float(scale.levels(means[place, q]))}
                | values
                | {"paths": outcome.paths, "run_id": plan.run_id}
            )
    return pa.Table.from_pylist(rows)


class _Scale:
    """How a recorded row reads as levels."""

    def __init__(self, plan: Plan, place: int, prices: Mapping[str, float]) -> None:
        world = plan.request.world
        self.variable = world.variables[place] if place < len(world.variables) else None
        self.origin: float | None = None
        if self.variable is None:
            self.unit = MEASURE_UNITS[plan.program.names[place]]
        elif self.variable.group == "asset":
            self.unit = "log return"
            self.origin = prices.get(self.variable.name)
        else:
            self.unit = self.variable.unit
            self.origin = float(level_of(self.variable, world.level[place - len(world.assets)]))

    def levels(self, states: Floats) -> Floats:
        is_factor = self.variable is not None and self.variable.group != "asset"
        return level_of(self.variable, states) if self.variable is not None and is_factor else np.asarray(states)


def _quantiles(plan: Plan, outcome: Outcome) -> Floats:
    """Return quantiles on the variables' scales, shape ``(recorded, rows, 23)``, rising."""
    ranges = plan.program.ranges
    counts = _part(plan, outcome, H.AT_HISTOGRAM, ranges.shape[0] * ranges.shape[1] * H.BINS)
    shaped = counts.reshape(*ranges.shape[:2], H.BINS)
    return np.maximum.accumulate(quantiles(shaped, ranges[..., 0], ranges[..., 1], LEVELS), axis=-1)


def _means(plan: Plan, outcome: Outcome) -> Floats:
    ranges = plan.program.ranges
    sums = _part(plan, outcome, H.AT_SUMS, ranges.shape[0] * ranges.shape[1]).reshape(ranges.shape[:2])
    return np.asarray(ranges[..., 0] + ranges[..., 1] * sums / PARTS_OF_A_BIN / outcome.paths)


def _part(plan: Plan, outcome: Outcome, place: int, count: int) -> npt.NDArray[np.int64]:
    first = plan.program.offset(place)
    return outcome.counts[first : first + count]


def risk(
    plan: Plan, outcome: Outcome, as_of: date, parts: Mapping[float, Mapping[str, tuple[float, float]]] | None = None
) -> pa.Table:
    """Return the portfolio's risk and the probabilities of events, each with a 95 % interval.

    Parameters
    ----------
    plan, outcome, as_of
        As for :func:`distributions`.
    parts
        Euler parts of expected shortfall by level and asset, with their standard errors: what
        :func:`~pulse_assets.simulation.risk.attribution.shortfall_parts` gives.
    """
    pnl, drawdown, under, worst = outcome.outcomes
    rows = [
        _row("mean_pnl", *_bounds(_mean(plan, pnl)), unit="USD"),
        _row("drawdown", *_bounds(_mean(plan, drawdown)), unit="share"),
        _row("time_under_water", *_bounds(_mean(plan, under)), unit="steps"),
        _row("ruin", *_bounds(ruin_probability(worst, plan.request.portfolio.capital_usd)), unit="probability"),
        _row("broken_paths", float(_part(plan, outcome, H.AT_BROKEN, 1)[0]), unit="paths"),
    ]
    for measure, estimate in (
        ("value_at_risk", value_at_risk(pnl, RISK_LEVELS)),
        ("expected_shortfall", expected_shortfall(pnl, RISK_LEVELS)),
    ):
        for k, level in enumerate(RISK_LEVELS):
            bounds = (float(estimate.value[k]), float(estimate.low[k]), float(estimate.high[k]))
            rows.append(_row(measure, *bounds, unit="USD", level=level))
    rows += _events(plan, outcome) + _gravity_shares(plan, outcome)
    reach = critical()
    for level, by_asset in (parts or {}).items():
        for name, (amount, error) in by_asset.items():
            bounds = (amount, amount - reach * error, amount + reach * error)
            rows.append(_row("shortfall_of", *bounds, unit="USD", level=level, name=name))
    estimator = "antithetic" if plan.request.antithetic else "plain"
    return pa.Table.from_pylist([_common(plan, as_of, outcome.paths, estimator) | row for row in rows])


def quasi_rows(plan: Plan, found: QuasiRisk, as_of: date) -> pa.Table:
    """Return the estimates of scrambled Sobol points as further rows of the risk table."""
    rows = [_row("mean_pnl", *_bounds(found.mean_pnl), unit="USD")]
    for measure, estimate in (
        ("value_at_risk", found.value_at_risk),
        ("expected_shortfall", found.expected_shortfall),
    ):
        rows += [
            _row(measure, *(float(part[k]) for part in estimate[:3]), unit="USD", level=level)
            for k, level in enumerate(RISK_LEVELS)
        ]
    return pa.Table.from_pylist([_common(plan, as_of, found.paths, "sobol") | row for row in rows])


def _common(plan: Plan, as_of: date, paths: int, estimator: str) -> Row:
    return {
        "as_of": as_of,
        "scenario": plan.request.scenario,
        "estimator": estimator,
        "horizon_steps": plan.program.steps,
        "paths": paths,
        "run_id": plan.run_id,
        "seed": plan.request.seed,
        "world": plan.request.world.fingerprint[:16],
    }


def _mean(plan: Plan, outcomes: npt.NDArray[np.float32]) -> Estimate:
    """Return the mean over paths; of mirrored pairs, each pair is one observation."""
    values = outcomes.astype(np.float64)
    if plan.request.antithetic and len(values) >= 4:
        pairs = len(values) // 2 * 2
        return antithetic_mean(values[:pairs:2], values[1:pairs:2])
    return plain_mean(values)


def _row(
    measure: str,
    value: float,
    low: float | None = None,
    high: float | None = None,
    *,
    unit: str,
    level: float = 0.0,
    name: str = "",
) -> Row:
    finite = [None if bound is None or not np.isfinite(bound) else bound for bound in (low, high)]
    return {
        "measure": measure,
        "name": name,
        "level": level,
        "value": value,
        "low": finite[0],
        "high": finite[1],
        "unit": unit,
    }


def _bounds(estimate: Estimate) -> tuple[float, float, float]:
    return float(estimate.value), float(estimate.low), float(estimate.high)


def _events(plan: Plan, outcome: Outcome) -> list[Row]:
    hits = _part(plan, outcome, H.AT_EVENT_COUNTS, len(plan.program.events))
    return [
        _row(
            "event", *_bounds(probability_with_interval(int(count), outcome.paths)), unit="probability", name=event.name
        )
        for event, count in zip(plan.program.events, hits, strict=True)
    ]


def _gravity_shares(plan: Plan, outcome: Outcome) -> list[Row]:
    """Return how much of each variable's movement the learned correction makes."""
    if plan.request.gravity is None:
        return []
    names = plan.request.world.names
    sums = _part(plan, outcome, H.AT_PULL, 2 * len(names)).reshape(-1, 2).astype(np.float64)
    return [
        _row("gravity_share", float(pulled / max(moved, 1.0)), unit="share", name=name)
        for name, (pulled, moved), cap in zip(names, sums, plan.request.gravity.cap, strict=True)
        if cap > 0
    ]
