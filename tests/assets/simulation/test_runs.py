"""Runs: what is kept is not simulated again, the order of workers changes nothing, and a run's name says what it is."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.simulation import plan as plans
from pulse_assets.simulation.engine import BlockResult, simulate
from pulse_assets.simulation.kernel.intrinsics import LANES
from pulse_assets.simulation.plan import Plan, Request, make_plan
from pulse_assets.simulation.program import Event, Gravity
from pulse_assets.simulation.risk.stopping import block_prefixes, stop_after
from pulse_assets.simulation.rules.checked_rules import CheckedRules
from pulse_assets.simulation.rules.rule_set import parse_rules
from pulse_assets.simulation.rules.vocabulary import vocabulary_of
from pulse_assets.simulation.runs import Job, Outcome, carry_out, fingerprint, run_inline, run_job
from tests.assets.simulation.engine_worlds import no_shocks, portfolio, request_of, rich_world, two_regimes

STEPS, PATHS = 6, 5 * LANES - 100

RULE = """rules:
  - {{id: rebound, version: 1, when: "spx < {limit} [log return]", effects: [{{target: spx, shock: 0.001}}],
      rationale: r, source: s}}
"""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut runs into blocks of 512 paths: real ones take seconds."""
    monkeypatch.setattr(plans, "MOST_PATHS_A_BLOCK", LANES)


def plan_of(paths: int = PATHS, **changes: Any) -> Plan:
    return make_plan(request_of(rich_world(), STEPS, **changes), paths)


class Workers:
    """Threads that take blocks all at once and finish them in a shuffled order."""

    def __init__(self, seed: int, ahead: int = 100) -> None:
        self.rng, self.ahead, self.ran = np.random.default_rng(seed), ahead, []

    def map_blocks(self, function: Callable[[Job], BlockResult], jobs: Iterable[Job]) -> Iterator[BlockResult]:
        """Yield results in the order of jobs, like ``Compute.map_blocks``."""
        waiting = list(jobs)[: self.ahead]
        with ThreadPoolExecutor(2) as pool:
            futures = {pool.submit(function, waiting[place]): place for place in self.rng.permutation(len(waiting))}
            found: dict[int, BlockResult] = {}
            given_out = 0
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                self.ran.append(futures[future])
                while given_out in found:
                    yield found[given_out]
                    given_out += 1


class Counting:
    """Runs blocks here and remembers which."""

    def __init__(self) -> None:
        self.firsts: list[int] = []

    def map_blocks(self, function: Callable[[Job], BlockResult], jobs: Iterable[Job]) -> Iterator[BlockResult]:
        """Run blocks one after the other."""
        for job in jobs:
            self.firsts.append(job[2])
            yield function(job)


# blocks


def test_blocks_cover_all_paths_once_in_order() -> None:
    plan = plan_of()
    assert plan.block_paths == LANES
    assert list(plan.blocks()) == [(number, number * LANES, LANES) for number in range(4)] + [
        (4, 4 * LANES, LANES - 100)
    ]


def test_a_run_in_blocks_has_the_bits_of_one_block() -> None:
    plan = plan_of()
    outcome, whole = carry_out(plan), simulate(plan.program, 7, 0, PATHS)
    np.testing.assert_array_equal(outcome.outcomes.view(np.int32), whole.outcomes.view(np.int32))
    np.testing.assert_array_equal(outcome.counts, whole.counts)
    assert (outcome.paths, outcome.simulated, outcome.kept) == (PATHS, 5, 0)


@pytest.mark.parametrize("size", ["6", "2600"])
def test_blocks_are_whole_sets_of_lanes_and_take_a_second_or_two(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.undo()
    plan = make_plan(request_of(rich_world(), int(size)), 10)
    assert plan.block_paths % LANES == 0
    assert LANES <= plan.block_paths <= plans.MOST_PATHS_A_BLOCK
    assert plan.block_paths * int(size) * 8 <= plans.WORK_A_BLOCK


@settings(max_examples=15)
@given(seed=st.integers(0, 1000))
def test_workers_that_finish_in_any_order_change_no_bit(seed: int) -> None:
    plan, workers = plan_of(), Workers(seed)
    kept: list[int] = []
    outcome = carry_out(plan, workers.map_blocks, keep=lambda number, _: kept.append(number))
    assert fingerprint(outcome) == fingerprint(carry_out(plan))
    assert kept == [0, 1, 2, 3, 4]
    assert sorted(workers.ran) == kept


# what was kept


@pytest.mark.parametrize("there", [set(), {0}, {4}, {1, 3}, {0, 1, 2, 3}, {0, 1, 2, 3, 4}])
def test_kept_blocks_are_not_simulated_again_and_change_no_bit(there: set[int]) -> None:
    plan = plan_of()
    blocks: dict[int, BlockResult] = {}
    whole = carry_out(plan, keep=blocks.__setitem__)
    counting, again = Counting(), dict[int, BlockResult]()
    outcome = carry_out(
        plan, counting.map_blocks, kept={number: blocks[number] for number in there}, keep=again.__setitem__
    )
    missing = sorted(set(range(5)) - there)
    assert fingerprint(outcome) == fingerprint(whole)
    assert counting.firsts == [number * LANES for number in missing]
    assert list(again) == missing
    assert (outcome.simulated, outcome.kept) == (5 - len(there), len(there))


def test_a_run_that_was_cut_off_goes_on_where_it_ended() -> None:
    plan, blocks = plan_of(), dict[int, BlockResult]()

    def lost_after_two(function: Callable[[Job], BlockResult], jobs: Iterable[Job]) -> Iterator[BlockResult]:
        for number, job in enumerate(jobs):
            if number == 2:
                raise KeyboardInterrupt
            yield function(job)

    with pytest.raises(KeyboardInterrupt):
        carry_out(plan, lost_after_two, keep=blocks.__setitem__)
    assert sorted(blocks) == [0, 1]
    outcome = carry_out(plan, kept=blocks)
    assert (outcome.simulated, outcome.kept) == (3, 2)
    assert fingerprint(outcome) == fingerprint(carry_out(plan))


def test_a_longer_run_takes_up_the_full_blocks_of_a_shorter_one() -> None:
    short, long, blocks = plan_of(), plan_of(8 * LANES), dict[int, BlockResult]()
    carry_out(short, keep=blocks.__setitem__)
    assert short.run_id == long.run_id
    counting = Counting()
    outcome = carry_out(long, counting.map_blocks, kept=blocks)
    assert counting.firsts == [number * LANES for number in range(4, 8)]  # the short run's last block was not full
    assert fingerprint(outcome) == fingerprint(carry_out(long))


def test_a_shorter_run_takes_what_it_needs_of_a_longer_one() -> None:
    short, long, blocks = plan_of(), plan_of(8 * LANES), dict[int, BlockResult]()
    whole = carry_out(long, keep=blocks.__setitem__)
    outcome = carry_out(short, kept=blocks)
    assert (outcome.simulated, outcome.kept) == (1, 4)
    np.testing.assert_array_equal(outcome.outcomes, whole.outcomes[:, :PATHS])


def test_a_kept_block_of_other_paths_is_simulated_again() -> None:
    plan, blocks = plan_of(), dict[int, BlockResult]()
    whole = carry_out(plan, keep=blocks.__setitem__)
    outcome = carry_out(plan, kept={0: blocks[1], 1: blocks[1], 4: blocks[3]})
    assert (outcome.simulated, outcome.kept) == (4, 1)
    assert fingerprint(outcome) == fingerprint(whole)


# stopping


def precise_enough(target: float) -> Callable[[list[BlockResult]], bool]:
    """Return the rule that the mean profit has a standard error below a target."""

    def stop(done: list[BlockResult]) -> bool:
        pnl = [block.outcomes[0].astype(np.float64) for block in done]
        sums, squares = (np.array([(part**power).sum() for part in pnl]) for power in (1, 2))
        prefixes = block_prefixes(np.array([len(part) for part in pnl]), sums, squares)
        return stop_after(prefixes, target, least=2) is not None

    return stop


def test_a_stop_rule_sees_prefixes_of_the_blocks() -> None:
    seen: list[list[int]] = []

    def third(done: list[BlockResult]) -> bool:
        seen.append([block.first for block in done])
        return len(done) == 3

    outcome = carry_out(plan_of(), Workers(3).map_blocks, stop=third)
    assert seen == [[0], [0, LANES], [0, LANES, 2 * LANES]]
    assert (outcome.paths, outcome.simulated) == (3 * LANES, 3)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ahead", [100, 12])
def test_a_run_stops_after_the_same_block_whatever_ran_where(seed: int, ahead: int) -> None:
    plan = plan_of(20 * LANES)
    alone = carry_out(plan, stop=precise_enough(0.05))
    assert 3 * LANES < alone.paths < 12 * LANES
    for stop_seed in (seed, seed + 100):
        found = carry_out(plan, Workers(stop_seed, ahead).map_blocks, stop=precise_enough(0.05))
        assert fingerprint(found) == fingerprint(alone)


def test_a_run_stops_after_the_same_block_whatever_was_kept() -> None:
    plan, blocks = plan_of(20 * LANES), dict[int, BlockResult]()
    carry_out(plan, keep=blocks.__setitem__)
    alone = carry_out(plan, stop=precise_enough(0.05))
    for kept in (blocks, {number: blocks[number] for number in (0, 3, 5, 19)}):
        found = carry_out(plan, kept=kept, stop=precise_enough(0.05))
        assert fingerprint(found) == fingerprint(alone)
    assert carry_out(plan, kept=blocks, stop=precise_enough(0.05)).simulated == 0


def test_a_run_that_stops_simulates_nothing_behind_it() -> None:
    counting = Counting()
    carry_out(plan_of(20 * LANES), counting.map_blocks, stop=lambda done: len(done) == 2)
    assert counting.firsts == [0, LANES]


def test_fingerprints_tell_any_difference_apart() -> None:
    outcome = carry_out(plan_of())
    touched, counted = outcome.outcomes.copy(), outcome.counts.copy()
    touched.view(np.int32)[2, 17] ^= 1
    counted[-1] += 1
    same = Outcome(outcome.outcomes.copy(), outcome.counts.copy(), 0, 5)
    assert fingerprint(same) == fingerprint(outcome)
    different = (Outcome(touched, outcome.counts, 5, 0), Outcome(outcome.outcomes, counted, 5, 0))
    assert len({fingerprint(each) for each in (outcome, *different)}) == 3


def test_a_job_runs_where_it_is_called() -> None:
    plan = plan_of()
    job: Job = (plan.program, 7, 3, 100, "cpu")
    expected = simulate(plan.program, 7, 3, 100)
    (found,) = run_inline(run_job, [job])
    np.testing.assert_array_equal(found.outcomes, expected.outcomes)
    assert found.first == 3


# names of runs


def rules_with(limit: float) -> CheckedRules:
    return CheckedRules(parse_rules(RULE.format(limit=limit)).rules, vocabulary_of(rich_world()))


def gravity(cap: float = 0.001, budget: float = 5.0) -> Gravity:
    return Gravity(np.full((6, 3), 0.01), np.zeros((6, 2)), np.full(6, cap), budget)


def shocked(**changes: Any) -> Any:
    return no_shocks(rich_world(), STEPS, **changes)


WORLD = rich_world()
EVENT = Event("low", "spx", -0.01, False, 1, STEPS)
OTHERS: dict[str, Callable[[Request], Request]] = {
    "seed": lambda r: replace(r, seed=8),
    "seed beyond 64 bits": lambda r: replace(r, seed=2**64 + 9),
    "scenario's name": lambda r: replace(r, scenario="crisis"),
    "shock": lambda r: replace(r, shocks=shocked(add=np.full((STEPS, 6), 1e-6))),
    "variance of a step": lambda r: replace(r, shocks=shocked(variance=np.array([1.0] * 5 + [1.5]))),
    "forced regime": lambda r: replace(r, shocks=shocked(regime=np.array([-1] * 5 + [1]))),
    "branch": lambda r: replace(r, shocks=shocked(branch=np.array([0] * 5 + [1]))),
    "steps": lambda r: replace(r, shocks=no_shocks(WORLD, STEPS + 1)),
    "position": lambda r: replace(r, portfolio=portfolio(WORLD, positions={"spx": 80.0, "wti": -30.001})),
    "capital": lambda r: replace(r, portfolio=portfolio(WORLD, capital_usd=101.0)),
    "policy": lambda r: replace(r, portfolio=portfolio(WORLD, policy="rebalance")),
    "drift": lambda r: replace(r, world=rich_world(drift=WORLD.drift + 1e-9)),
    "correlation": lambda r: replace(r, shocks=shocked(correlations=(0.999 * WORLD.correlation + 0.001 * np.eye(6),))),
    "regimes": lambda r: replace(r, world=rich_world(regimes=two_regimes((0.9, 0.1)))),
    "no jumps": lambda r: replace(r, world=rich_world(jumps=None)),
    "innovations": lambda r: replace(r, world=rich_world(nu=6)),
    "antithetic": lambda r: replace(r, antithetic=True),
    "recorded steps": lambda r: replace(r, recorded=(2, STEPS)),
    "event": lambda r: replace(r, events=(EVENT,)),
    "event's threshold": lambda r: replace(r, events=(replace(EVENT, threshold=-0.02),)),
    "event's window": lambda r: replace(r, events=(replace(EVENT, first=2),)),
    "gravity": lambda r: replace(r, gravity=gravity()),
    "gravity's budget": lambda r: replace(r, gravity=gravity(budget=6.0)),
    "gravity's cap": lambda r: replace(r, gravity=gravity(cap=0.002)),
}


def test_the_same_request_has_the_same_name() -> None:
    one, two = plan_of(), plan_of()
    assert one.run_id == two.run_id
    assert len(one.run_id) == 32
    assert int(one.run_id, 16) >= 0
    assert one.run_id == plan_of(seed=7 + 2**64).run_id
    assert one.run_id == plan_of(rules=CheckedRules((), vocabulary_of(WORLD))).run_id


def test_any_change_gives_another_name_and_no_two_are_alike() -> None:
    base = plan_of().request
    names = {"base": plan_of().run_id} | {
        what: make_plan(change(base), PATHS).run_id for what, change in OTHERS.items()
    }
    assert len(set(names.values())) == len(names)


def test_a_rule_and_its_numbers_and_whether_it_is_on_are_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling rules takes seconds and their text is enough for a name, so the pilot is left out here."""
    monkeypatch.setattr(plans, "_pilot_ranges", lambda request: np.ones((len(request.marks), 10, 2)))
    requests = [
        request_of(WORLD, STEPS),
        request_of(WORLD, STEPS, rules=rules_with(-0.01)),
        request_of(WORLD, STEPS, rules=rules_with(-0.02)),
        request_of(WORLD, STEPS, rules=rules_with(-0.01), shocks=shocked(disabled=frozenset({"rebound"}))),
    ]
    assert len({make_plan(request, PATHS).run_id for request in requests}) == 4
    assert (
        make_plan(requests[1], PATHS).run_id == make_plan(request_of(WORLD, STEPS, rules=rules_with(-0.01)), 1).run_id
    )


def test_a_new_layout_or_stream_gives_every_run_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {plan_of().run_id}
    for version in ("LAYOUT_VERSION", "STREAM_VERSION"):
        with monkeypatch.context() as patch:
            patch.setattr(plans, version, getattr(plans, version) + 1)
            names.add(plan_of().run_id)
    assert len(names) == 3
