"""Where outcomes come from: parts of assets that add up, and rules switched off one at a time on the same numbers."""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.plan import Plan, make_plan, traced
from pulse_assets.simulation.program import Gravity
from pulse_assets.simulation.risk import allocation, attribution
from pulse_assets.simulation.risk.allocation import euler_allocation
from pulse_assets.simulation.risk.attribution import contributions, rule_audit, shortfall_parts
from pulse_assets.simulation.risk.estimators import antithetic_mean, plain_mean
from pulse_assets.simulation.risk.measures import expected_shortfall
from pulse_assets.simulation.rules.rule_checks import check_rules
from pulse_assets.simulation.rules.rule_set import parse_rules
from pulse_assets.simulation.runs import Outcome, carry_out
from pulse_assets.simulation.tables import RULE_AUDIT
from pulse_assets.simulation.world import World
from tests.assets.simulation.engine_worlds import (
    no_shocks,
    portfolio,
    request_of,
    rich_world,
    some_shocks,
    states,
    traced_row,
    two_regimes,
)

DAY, STEPS, PATHS, LEVEL = date(2024, 6, 28), 12, 3000, 0.975
ALL = np.arange(PATHS)
POLICIES: dict[str, dict[str, Any]] = {
    "hold": {},
    "rebalance": {"policy": "rebalance"},
    "volatility_target": {"policy": "volatility_target", "policy_options": {"target": 0.009, "cap": 1.5}},
}


def uncertain_world() -> World:
    """Return a world of which it is not known in which regime it is."""
    return rich_world(regimes=two_regimes((0.5, 0.5)))


def run_of(policy: str = "hold", paths: int = PATHS, **changes: Any) -> tuple[Plan, Outcome]:
    world = changes.pop("world", None) or uncertain_world()
    parts = {"shocks": some_shocks(world, STEPS), "portfolio": portfolio(world, **POLICIES[policy])}
    plan = make_plan(request_of(world, **(parts | changes)), paths)
    return plan, carry_out(plan)


# parts of assets


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("antithetic", [False, True], ids=["plain", "antithetic"])
def test_profits_of_assets_add_up_to_those_of_paths(policy: str, antithetic: bool) -> None:
    plan, outcome = run_of(policy, antithetic=antithetic)
    parts = contributions(plan, ALL)
    assert parts.shape == (PATHS, 3)
    np.testing.assert_allclose(parts.sum(axis=1), outcome.outcomes[0], atol=2e-4)
    assert (parts[:, 2] == 0).all()
    assert (np.abs(parts[:, :2]).max(axis=0) > 1).all()


def test_paths_may_be_asked_for_in_any_order_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, _ = run_of("volatility_target")
    whole, chosen = contributions(plan, ALL), np.array([2999, 5, 5, 0, 1700])
    np.testing.assert_array_equal(contributions(plan, chosen), whole[chosen])
    assert contributions(plan, ALL[:0]).shape == (0, 3)
    monkeypatch.setattr(attribution, "MOST_NUMBERS", 1)  # 512 at once then
    np.testing.assert_array_equal(contributions(plan, ALL), whole)


def test_parts_are_of_the_end_also_where_the_end_is_not_recorded() -> None:
    plan, outcome = run_of(recorded=(2, 5))
    np.testing.assert_allclose(contributions(plan, ALL).sum(axis=1), outcome.outcomes[0], atol=2e-4)


def test_parts_follow_the_path_that_gravity_took() -> None:
    world = uncertain_world()
    pull = Gravity(np.full((6, 3), 0.02), np.full((6, 2), 0.001), np.full(6, 0.002), 1e9)
    plan, outcome = run_of("rebalance", world=world, gravity=pull)
    np.testing.assert_allclose(contributions(plan, ALL).sum(axis=1), outcome.outcomes[0], atol=2e-4)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("level", [0.9, LEVEL])
def test_parts_of_the_shortfall_are_those_of_all_contributions(
    policy: str, level: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the paths of the tail are run again, and yet nothing is missing."""
    monkeypatch.setattr(allocation, "FITS", 1e-3)  # float32 rounds with the size of positions, not of their profits
    plan, outcome = run_of(policy)
    pnl, parts = outcome.outcomes[0], shortfall_parts(plan, outcome, level)
    known = euler_allocation(pnl, contributions(plan, ALL), level)
    assert list(parts) == ["spx", "wti"]  # nothing is held in gold
    np.testing.assert_allclose([part for part, _ in parts.values()], known.amount[:2], rtol=1e-5)
    np.testing.assert_allclose([error for _, error in parts.values()], known.standard_error[:2], rtol=1e-4)
    assert sum(part for part, _ in parts.values()) == pytest.approx(float(expected_shortfall(pnl, [level]).value[0]))


def test_only_paths_that_matter_are_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, outcome = run_of()
    ran: list[int] = []
    real = attribution.contributions
    monkeypatch.setattr(attribution, "contributions", lambda plan, paths: ran.append(len(paths)) or real(plan, paths))
    shortfall_parts(plan, outcome)
    assert sum(ran) < 3 * (1 - LEVEL) * PATHS


def test_a_hedge_has_a_negative_part() -> None:
    world = uncertain_world().with_(correlation=np.full((6, 6), 0.8) + 0.2 * np.eye(6))
    plan, outcome = run_of(world=world, shocks=no_shocks(world, STEPS))
    parts = shortfall_parts(plan, outcome)
    assert parts["spx"][0] > 0
    assert parts["wti"][0] < 0


def test_intervals_of_parts_hold_those_of_many_more_paths() -> None:
    many, whole = run_of(paths=60_000)
    truth = shortfall_parts(many, whole)
    held = 0
    for seed in range(20):
        plan, outcome = run_of(seed=1000 + seed, paths=2000)
        found = shortfall_parts(plan, outcome)
        held += sum(abs(found[name][0] - truth[name][0]) < 1.96 * found[name][1] for name in found)
    assert 32 <= held <= 40  # of 40; 38 expected


# rules

RULES = """rules:
  - {id: rebound, version: 3, when: "change(spx, 2) < -0.02 [log return]", cooldown: 2, rationale: r, source: s,
      effects: [{target: spx, shock: 0.005}, {target: vix, multiply: 1.02}]}
  - {id: doom, version: 1, when: "spx < -5 [log return]", rationale: r, source: s,
      effects: [{target: wti, shock: -0.5}]}
  - {id: needs_more, version: 2, when: "missing > 3", rationale: r, source: s, effects: [{target: spx, shock: 0.001}]}
optional: [missing]
"""


def ruled(**changes: Any) -> tuple[Plan, Outcome]:
    """Return a run with rules; all runs here share one compiled set."""
    world = uncertain_world()
    return run_of(world=world, rules=check_rules(parse_rules(RULES), world), **changes)


def audit_of(plan: Plan, outcome: Outcome, **options: Any) -> dict[str, dict[str, Any]]:
    table = rule_audit(plan, outcome, DAY, versions={"needs_more": 2}, **options)
    assert set(RULE_AUDIT.schema.names) == set(table.column_names)
    return {row["rule"]: row for row in table.to_pylist()}


def without_rebound(plan: Plan, paths: int) -> Outcome:
    shocks = replace(plan.request.shocks, disabled=frozenset({"rebound"}))
    return carry_out(make_plan(replace(plan.request, shocks=shocks), paths))


def test_a_rules_effect_is_the_paired_difference_without_it() -> None:
    plan, outcome = ruled()
    row, without = audit_of(plan, outcome)["rebound"], without_rebound(plan, PATHS)
    difference = outcome.outcomes[0].astype(float) - without.outcomes[0]
    assert row["pnl_effect_usd"] == pytest.approx(difference.mean(), rel=1e-12)
    assert row["pnl_effect_se"] == pytest.approx(float(plain_mean(difference).standard_error), rel=1e-12)
    shortfalls = [
        float(expected_shortfall(each.outcomes[0].astype(float), [LEVEL]).value[0]) for each in (outcome, without)
    ]
    assert row["shortfall_effect_usd"] == pytest.approx(shortfalls[0] - shortfalls[1], rel=1e-9)
    assert row["pnl_effect_usd"] > 4 * row["pnl_effect_se"]  # it lifts what is held
    apart = np.sqrt(2 * outcome.outcomes[0].var() / PATHS)
    assert row["pnl_effect_se"] < apart / 3  # what common random numbers are for


def test_an_effect_is_of_the_first_paths_if_fewer_are_wanted() -> None:
    plan, outcome = ruled()
    row, without = audit_of(plan, outcome, ablated_paths=700)["rebound"], without_rebound(plan, 700)
    assert row["pnl_effect_usd"] == pytest.approx(
        (outcome.outcomes[0, :700].astype(float) - without.outcomes[0]).mean()
    )
    assert row["paths"] == PATHS


def test_mirrored_pairs_are_one_observation_of_an_effect() -> None:
    plan, outcome = ruled(antithetic=True)
    row = audit_of(plan, outcome)["rebound"]
    difference = outcome.outcomes[0].astype(float) - without_rebound(plan, PATHS).outcomes[0]
    known = antithetic_mean(difference[::2], difference[1::2])
    assert (row["pnl_effect_usd"], row["pnl_effect_se"]) == pytest.approx(
        (float(known.value), float(known.standard_error))
    )


def traced_fires(plan: Plan, rule: str) -> np.ndarray:
    """Return whether a rule fired, shape ``(PATHS, STEPS)``."""
    program = traced(plan)
    row = traced_row(program, H.MASK) + program.rule_ids.index(rule)
    return states(program, PATHS, plan.request.seed)[..., row] > 0


def test_paths_on_which_a_rule_never_fired_are_the_same_without_it() -> None:
    plan, outcome = ruled(shocks=no_shocks(uncertain_world(), STEPS))
    fired, without = traced_fires(plan, "rebound").any(axis=1), without_rebound(plan, PATHS)
    same = (outcome.outcomes[0] == without.outcomes[0]) & (outcome.outcomes[1] == without.outcomes[1])
    assert same[~fired].all()
    assert not same[fired].all()
    assert 0.2 < fired.mean() < 0.95


def test_fires_are_counted_as_traced_paths_show_them() -> None:
    plan, outcome = ruled()
    fires = traced_fires(plan, "rebound")
    row = audit_of(plan, outcome, ablated_paths=0)["rebound"]
    assert row["fires_by_step"] == fires.sum(axis=0).tolist()
    assert row["fires"] == fires.sum() == sum(row["fires_by_step"])
    first = np.where(fires.any(axis=1), np.argmax(fires, axis=1), -1)
    assert row["first_fires"] == [int((first == t).sum()) for t in range(STEPS)]
    assert row["paths_fired"] == fires.any(axis=1).sum() < row["fires"]


def test_a_rule_that_never_fired_has_no_ablation() -> None:
    plan, outcome = ruled()
    ran: list[int] = []

    def mapping(function: Any, jobs: Any) -> Any:
        for job in jobs:
            ran.append(job[3])
            yield function(job)

    row = audit_of(plan, outcome, map_blocks=mapping)["doom"]
    assert (row["fires"], row["paths_fired"], row["state"]) == (0, 0, "active")
    assert row["pnl_effect_usd"] is row["pnl_effect_se"] is row["shortfall_effect_usd"] is None
    assert ran == [PATHS]  # one run, without the other rule


def test_a_rule_that_a_scenario_disables_is_said_to_be_and_does_nothing() -> None:
    world = uncertain_world()
    shocks = replace(some_shocks(world, STEPS), disabled=frozenset({"rebound"}))
    plan, outcome = ruled(shocks=shocks, scenario="calm")
    row = audit_of(plan, outcome)["rebound"]
    assert (row["state"], row["reason"], row["fires"]) == ("disabled", "disabled by scenario calm", 0)
    assert row["pnl_effect_usd"] is None
    _, without = run_of(world=world, shocks=shocks, scenario="calm")
    np.testing.assert_array_equal(outcome.outcomes, without.outcomes)


def test_a_rule_that_the_world_cannot_follow_is_listed_with_the_reason() -> None:
    row = audit_of(*ruled())["needs_more"]
    assert (row["state"], row["rule_version"], row["fires"], row["paths_fired"]) == ("inactive", 2, 0, 0)
    assert row["reason"] == "needs missing, which this world does not have"
    assert row["first_fires"] == row["fires_by_step"] == []


@pytest.mark.parametrize("ablated", [0, 1])
def test_effects_are_unknown_where_nothing_is_ablated(ablated: int) -> None:
    row = audit_of(*ruled(), ablated_paths=ablated)["rebound"]
    assert row["fires"] > 0
    assert row["pnl_effect_usd"] is None


def test_rows_say_what_they_are_of() -> None:
    plan, outcome = ruled()
    for row in audit_of(plan, outcome, ablated_paths=0).values():
        assert (row["as_of"], row["scenario"], row["paths"], row["run_id"]) == (DAY, "base", PATHS, plan.run_id)
    assert audit_of(plan, outcome, ablated_paths=0)["rebound"]["rule_version"] == 3


def test_a_run_without_rules_has_an_empty_audit() -> None:
    assert rule_audit(*run_of(), DAY).num_rows == 0


def test_parts_follow_the_path_that_rules_made() -> None:
    plan, outcome = ruled()
    np.testing.assert_allclose(contributions(plan, ALL).sum(axis=1), outcome.outcomes[0], atol=2e-4)
