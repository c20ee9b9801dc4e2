"""What an outcome comes from: which assets make the shortfall, which rules moved the profit. Pure.

Both run paths again: those of the tail with every step in sight, and all paths with one rule at a time switched off, on
the same random numbers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.simulation.engine import replay, traced_steps
from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.intrinsics import LANES
from pulse_assets.simulation.kernel.philox import CHANCE, draw_uniform_rows, key
from pulse_assets.simulation.plan import Plan, traced
from pulse_assets.simulation.program import Program
from pulse_assets.simulation.risk.allocation import shortfall_weights, var_weights
from pulse_assets.simulation.risk.estimators import Estimate, antithetic_mean, plain_mean
from pulse_assets.simulation.risk.measures import expected_shortfall
from pulse_assets.simulation.runs import Job, MapBlocks, Outcome, run_inline, run_job
from pulse_assets.simulation.world import Regimes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHORTFALL_LEVEL = 0.975
"""Level of the expected shortfall that is split over assets: the one of the Basel market risk standard."""
REPLAYED_AT_ONCE, MOST_NUMBERS = 2048, 2**26
"""Paths that are run again together, and numbers that their traces may hold (256 MiB) before they are fewer."""


def contributions(plan: Plan, paths: Ints) -> Floats:
    """Return each asset's profit at the end of some paths, shape ``(P, A)``, USD."""
    is_held = plan.request.portfolio.policy == "hold" and plan.request.marks[-1] == plan.program.steps
    program = traced(plan, H.RECORDED_STEPS if is_held else H.EVERY_STEP)
    fitting = MOST_NUMBERS // (traced_steps(program) * program.traced_rows)
    size = int(np.clip(fitting, LANES, REPLAYED_AT_ONCE))
    parts = [_contributions(plan, program, paths[first : first + size]) for first in range(0, len(paths), size)]
    return np.concatenate(parts) if parts else np.empty((0, len(plan.request.world.assets)))


def _contributions(plan: Plan, program: Program, paths: Ints) -> Floats:
    assets = len(plan.request.world.assets)
    positions = plan.request.portfolio.vector(plan.request.world)
    states = replay(program, plan.request.seed, paths.astype(np.uint64))
    x = states[..., :assets].astype(np.float64)
    if plan.request.portfolio.policy == "hold":
        return np.asarray(positions * np.expm1(x[:, -1]))
    leverage = states[:, :-1, program.offset(H.LEVERAGE) - program.offset(H.STATE)].astype(np.float64)
    before = np.concatenate([_first_leverage(plan, paths)[:, None], leverage], axis=1)
    steps = np.diff(x, axis=1, prepend=0.0)
    return np.asarray(np.einsum("pt,pta->pa", before, np.expm1(steps)) * positions)


def _first_leverage(plan: Plan, paths: Ints) -> Floats:
    """Return the leverage of the first step, which no trace holds: it follows from the origin, shape ``(P,)``."""
    portfolio, world = plan.request.portfolio, plan.request.world
    if portfolio.policy != "volatility_target":
        return np.ones(len(paths))
    options = portfolio.policy_options
    risk = portfolio.vector(world) * np.sqrt(world.variance)
    assets = len(world.assets)
    sd = np.sqrt(risk @ world.correlation[:assets, :assets] @ risk)
    if world.regimes is not None:
        sd = sd * world.regimes.volatility[_first_regime(plan, world.regimes, paths)]
    wanted = np.minimum(options.get("cap", 1.0), options["target"] * portfolio.capital_usd / sd)
    return np.broadcast_to(wanted, len(paths))


def _first_regime(plan: Plan, regimes: Regimes, paths: Ints) -> Ints:
    """Return the regime at the origin, which no trace holds: it is drawn again, shape ``(P,)``."""
    request = plan.request
    ids = (paths >> 1 if request.antithetic else paths).astype(np.uint64)
    chance, drawn = np.empty(len(ids), np.float32), np.empty(4 * LANES, np.float32)
    for first in range(0, len(ids), LANES):
        part = ids[first : first + LANES]
        draw_uniform_rows(drawn, 0, np.resize(part, LANES), *key(request.seed), CHANCE, 0, 0, 1)
        chance[first : first + LANES] = drawn[: len(part)]
    if request.antithetic:
        chance = np.where(paths & 1, 1 - chance, chance)
    limits = np.cumsum(regimes.now).astype(np.float32)
    return np.asarray((chance[:, None] >= limits[:-1]).sum(axis=1))


def shortfall_parts(plan: Plan, outcome: Outcome, level: float = SHORTFALL_LEVEL) -> dict[str, tuple[float, float]]:
    """Return how much of the expected shortfall each asset brings, with its standard error, in USD.

    The parts add up to the whole (Euler's allocation); only the paths that they are means of are run again.

    References
    ----------
    Tasche (1999), Risk contributions and performance measurement, theorem 4.4.
    """
    pnl = outcome.outcomes[0]
    tail, edge = shortfall_weights(pnl, level), var_weights(pnl, level)
    both, place = np.unique(np.concatenate([tail.path, edge.path]), return_inverse=True)
    losses = -contributions(plan, both)
    in_tail, at_edge = losses[place[: len(tail.path)]], losses[place[len(tail.path) :]]
    amount = tail.weight @ in_tail
    spread = tail.weight @ (in_tail - amount) ** 2 + level * (amount - edge.weight @ at_edge) ** 2
    error = np.sqrt(spread / (len(pnl) * (1 - level)))
    whole = float(expected_shortfall(pnl, [level]).value[0])
    amount = amount + (whole - amount.sum()) * np.abs(amount) / max(np.abs(amount).sum(), 1e-300)
    names = [asset.name for asset in plan.request.world.assets]
    return {
        name: (float(part), float(se))
        for name, part, se, position in zip(
            names, amount, error, plan.request.portfolio.vector(plan.request.world), strict=True
        )
        if position != 0
    }


def rule_audit(
    plan: Plan,
    outcome: Outcome,
    as_of: date,
    map_blocks: MapBlocks = run_inline,
    *,
    ablated_paths: int = 8192,
    versions: Mapping[str, int] | None = None,
) -> pa.Table:
    """Return rows of ``gold/rule_audit``.

    Parameters
    ----------
    plan, outcome, as_of
        What was run, what it gave, and its origin.
    map_blocks
        Runs the ablations.
    ablated_paths
        Paths, from the first, that are run again without each rule that fired at all; 0 for no ablation.
    versions
        Of rules that are left out because the world lacks a variable.
    """
    rules = plan.request.rules
    if rules is None:
        return pa.table({})
    versions = versions or {}
    effects = _effects(plan, outcome, map_blocks, min(ablated_paths, outcome.paths))
    rows = [_fired(plan, outcome, place) | effects.get(place, {}) for place in range(len(rules.active))]
    rows += [
        {"rule": name, "rule_version": versions.get(name, 0), "state": "inactive", "reason": reason}
        for name, reason in sorted(rules.inactive.items())
    ]
    nothing = {"fires": 0, "paths_fired": 0, "first_fires": [], "fires_by_step": [], "reason": ""}
    unknown = {"pnl_effect_usd": None, "pnl_effect_se": None, "shortfall_effect_usd": None}
    common = {"as_of": as_of, "scenario": plan.request.scenario, "paths": outcome.paths, "run_id": plan.run_id}
    return pa.Table.from_pylist([common | nothing | unknown | row for row in rows])


def _fired(plan: Plan, outcome: Outcome, place: int) -> dict[str, object]:
    rules, rows, steps = plan.request.rules, plan.program.rule_rows, plan.program.steps
    assert rules is not None
    assert rows is not None
    rule = rules.active[place]
    first, by_step = (
        outcome.counts[start + place * steps : start + (place + 1) * steps] for start in (rows.first, rows.by_step)
    )
    is_off = rule.id in plan.request.shocks.disabled
    return {
        "rule": rule.id,
        "rule_version": rule.version,
        "state": "disabled" if is_off else "active",
        "reason": f"disabled by scenario {plan.request.scenario}" if is_off else "",
        "fires": int(outcome.counts[rows.fires + place]),
        "paths_fired": int(first.sum()),
        "first_fires": first.tolist(),
        "fires_by_step": by_step.tolist(),
    }


def _effects(plan: Plan, outcome: Outcome, map_blocks: MapBlocks, paths: int) -> dict[int, dict[str, object]]:
    """Return what each rule did to the first paths' profit; a rule that never fired did nothing."""
    rows = plan.program.rule_rows
    if rows is None or paths < 2:
        return {}
    fired = [r for r in range(len(plan.program.rule_ids)) if outcome.counts[rows.fires + r] > 0]
    with_all = outcome.outcomes[0, :paths].astype(np.float64)
    shortfall = float(expected_shortfall(with_all, [SHORTFALL_LEVEL]).value[0])

    def jobs() -> Iterator[Job]:
        for r in fired:
            floats = plan.program.floats.copy()
            floats[rows.enabled + r] = 0.0
            yield replace(plan.program, floats=floats), plan.request.seed, 0, paths, "cpu"

    effects: dict[int, dict[str, object]] = {}
    for r, result in zip(fired, map_blocks(run_job, jobs()), strict=True):
        without = result.outcomes[0].astype(np.float64)
        difference = _mean(plan, with_all - without)
        effects[r] = {
            "pnl_effect_usd": float(difference.value),
            "pnl_effect_se": float(difference.standard_error),
            "shortfall_effect_usd": shortfall - float(expected_shortfall(without, [SHORTFALL_LEVEL]).value[0]),
        }
    return effects


def _mean(plan: Plan, difference: Floats) -> Estimate:
    """Return the mean of paths' differences; of mirrored pairs, each pair is one observation."""
    pairs = len(difference) // 2 * 2
    if plan.request.antithetic and pairs >= 4:
        return antithetic_mean(difference[:pairs:2], difference[1:pairs:2])
    return plain_mean(difference)
