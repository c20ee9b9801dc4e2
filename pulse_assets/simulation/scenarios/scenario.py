"""What-if scenarios: from a file and a world to the arrays that the kernel takes.

What belongs here: compiling a whole scenario, and the names that callers use. Reading files is in ``files``,
the kinds of shock in ``moves``, ``conditional`` and ``correlations``.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from pulse_assets.simulation.scenarios.amounts import factor_of
from pulse_assets.simulation.scenarios.conditional import conditional_moves
from pulse_assets.simulation.scenarios.correlations import Stress, names_meant, phases
from pulse_assets.simulation.scenarios.events import compile_events
from pulse_assets.simulation.scenarios.files import (
    Link,
    Scenario,
    branch_of,
    combine,
    load_scenario,
    parse_scenario,
    shipped_scenarios,
)
from pulse_assets.simulation.scenarios.model import Regime
from pulse_assets.simulation.scenarios.moves import changes_of, path_moves, push_moves, replay_moves
from pulse_assets.simulation.scenarios.shock_model import (
    Add,
    AnyShock,
    Conditional,
    Correlation,
    Multiply,
    Path,
    Replay,
    Volatility,
    Window,
)
from pulse_assets.simulation.scenarios.shocks import Move, Shocks, no_shock, put
from pulse_assets.simulation.world import Floats, World

__all__ = [
    "Scenario",
    "Shocks",
    "Window",
    "changes_of",
    "combine",
    "compile_events",
    "compile_scenario",
    "load_scenario",
    "no_shock",
    "parse_scenario",
    "refuse_unknown_rules",
    "shipped_scenarios",
]

Replays = Mapping[Window, Floats]
"""Changes of every variable on its scale in each step of a window, shape ``(T, V)``: what ``changes_of`` returns."""


@dataclass
class _Draft:
    """Shocks in the making."""

    world: World
    shocks: Shocks
    replays: Replays
    stresses: list[Stress] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    asked: int = 0
    done: int = 0


def compile_scenario(
    scenario: Scenario,
    world: World,
    steps: int,
    replays: Replays | None = None,
    rule_ids: Collection[str] = (),
) -> Shocks:
    """Return what a scenario does to a world.

    Shocks happen in the order of the files, parents first: on one step a later one acts on what an earlier one left.

    Parameters
    ----------
    scenario
        With all that it inherits.
    world
        V variables and their states at the origin.
    steps
        Length of the run; what a scenario does later is left out with a remark.
    replays
        History of each of the scenario's ``windows``.
    rule_ids
        Rules that the run has, of which a scenario may disable some.

    Raises
    ------
    ValueError
        A variable, regime, rule or history is missing and not optional, a size does not fit its variable, correlations
        contradict each other, or nothing of the scenario is left. The message names file, line and key.
    """
    refuse_unknown_rules(scenario, rule_ids)
    draft = _Draft(world, no_shock(world, steps), replays or {})
    for link in scenario.chain:
        for i, shock in enumerate(link.file.shocks):
            with _located(link, ("shocks", i), shock.kind) as where:
                _apply(draft, shock, where)
        for i, regime in enumerate(link.file.regime):
            with _located(link, ("regime", i), regime.name) as where:
                _force(draft, regime, where)
        if link.file.branch_from is not None:
            draft.shocks.branch[link.file.branch_from - 1 :] = branch_of(link.file.name)
    if draft.asked and not draft.done:
        raise ValueError(
            f"nothing of scenario {scenario.name!r} is left: {'; '.join(draft.remarks)}: "
            "add to the world what is missing, or lengthen the run"
        )
    phase, correlations, repairs = phases(draft.stresses, world, steps)
    return replace(
        draft.shocks,
        phase=phase,
        correlations=correlations,
        disabled=scenario.disabled,
        remarks=(*draft.remarks, *repairs),
    )


@contextmanager
def _located(link: Link, path: tuple[str | int, ...], what: str) -> Iterator[str]:
    where = f"{link.text.at(path)}: {'.'.join(str(part) for part in path)} ({what})"
    try:
        yield where
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _apply(draft: _Draft, shock: AnyShock, where: str) -> None:
    draft.asked += 1
    if _is_too_late(draft, shock.first, where):
        return None
    if isinstance(shock, Volatility):
        draft.shocks.variance[shock.first - 1 : shock.until] *= factor_of(shock.by) ** 2
    elif isinstance(shock, Correlation):
        names = _present(draft, names_meant(shock, draft.world), shock.optional, where)
        if len(names) < 2:
            return _leave_out(draft, shock.optional, where, f"there are fewer than two variables of {shock.variables}")
        draft.stresses.append(Stress(shock, names, where))
    else:
        moves = _moves(draft, shock, where)
        if not moves:
            return None
        cut = max(move.first + len(move.add) for move in moves)
        if cut > draft.shocks.steps:
            draft.remarks.append(f"{where}: would last until step {cut}, the run ends at step {draft.shocks.steps}")
        put(draft.shocks.keep, draft.shocks.add, moves)
    draft.done += 1
    return None


def _moves(draft: _Draft, shock: Add | Multiply | Path | Conditional | Replay, where: str) -> list[Move]:
    world = draft.world
    if isinstance(shock, Replay):
        return _replayed(draft, shock, where)
    names = _present(draft, shock.variables, shock.optional, where)
    if not names:
        return []
    if isinstance(shock, Path):
        return path_moves(shock, world)
    if isinstance(shock, Conditional):
        return conditional_moves(shock, {name: shock.given[name] for name in names}, world)
    return push_moves(shock, names, world, draft.shocks.steps)


def _replayed(draft: _Draft, shock: Replay, where: str) -> list[Move]:
    world = draft.world
    changes = draft.replays.get(shock.days)
    if changes is None or not len(changes):
        _leave_out(draft, shock.optional, where, f"there is no history of {shock.days}: hand its changes over")
        return []
    if changes.ndim != 2 or changes.shape[1] != len(world.names):
        raise ValueError(
            f"history of {shock.days} has shape {changes.shape}: it needs a column for each of the world's "
            f"{len(world.names)} variables"
        )
    asked = _present(draft, shock.variables or world.names, shock.optional, where)
    known = [name for name in asked if np.isfinite(changes[:, world.index(name)]).all()]
    unknown = [name for name in asked if name not in known]
    if unknown:
        may_lack = shock.optional or shock.variables is None
        _leave_out(draft, may_lack, where, f"no complete history of {', '.join(unknown)} in {shock.days}")
    return replay_moves(shock, known, changes, world)


def _present(draft: _Draft, names: Sequence[str], optional: bool, where: str) -> list[str]:
    missing = [name for name in names if name not in draft.world.names]
    if missing and not optional:
        draft.world.index(missing[0])
    if missing:
        draft.remarks.append(f"{where}: the world has no {', '.join(missing)}")
    return [name for name in names if name not in missing]


def _leave_out(draft: _Draft, may_lack: bool, where: str, why: str) -> None:
    if not may_lack:
        raise ValueError(f"{why}; set optional: true to leave it out where that is so")
    draft.remarks.append(f"{where}: {why}")


def _is_too_late(draft: _Draft, first: int, where: str) -> bool:
    if first > draft.shocks.steps:
        draft.remarks.append(f"{where}: begins at step {first}, after the end at step {draft.shocks.steps}")
    return first > draft.shocks.steps


def _force(draft: _Draft, regime: Regime, where: str) -> None:
    draft.asked += 1
    if _is_too_late(draft, regime.first, where):
        return None
    number = _regime_number(draft.world, regime.name)
    if number is None:
        has = ", ".join(draft.world.regimes.names) if draft.world.regimes else "none"
        return _leave_out(draft, regime.optional, where, f"the world has no regime {regime.name!r}, it has {has}")
    draft.shocks.regime[regime.first - 1 : regime.until] = number
    draft.done += 1
    return None


def _regime_number(world: World, name: str) -> int | None:
    """Find a regime by name; where none is so called, ``calm`` and ``stressed`` are the least and most volatile."""
    if world.regimes is None:
        return None
    if name in world.regimes.names:
        return world.regimes.names.index(name)
    extremes = {"calm": np.argmin, "stressed": np.argmax}
    return int(extremes[name](world.regimes.volatility)) if name in extremes else None


def refuse_unknown_rules(scenario: Scenario, rule_ids: Collection[str]) -> None:
    """Raise if a scenario disables a rule that a run does not have.

    Raises
    ------
    ValueError
        The message names file, line and rule.
    """
    for link in scenario.chain:
        for i, rule in enumerate(link.file.disable_rules):
            if rule not in rule_ids:
                has = ", ".join(sorted(rule_ids)) or "none"
                raise ValueError(
                    f"{link.text.at(('disable_rules', i))}: disable_rules: the run has no rule {rule!r}, it has {has}: "
                    "correct the id or take it out"
                )
