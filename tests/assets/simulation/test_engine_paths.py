"""Paths of the engine one by one: bits that no chunk changes, replays, and what is kept of each by its definition."""

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.numerics.quantiles import LEVELS, QUANTILE_COLUMNS
from pulse_assets.simulation import results
from pulse_assets.simulation.engine import BlockResult, replay, simulate
from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.philox import MOST_BRANCHES, MOST_PATHS
from pulse_assets.simulation.kernel.record import LARGEST
from pulse_assets.simulation.placement import FAR
from pulse_assets.simulation.plan import MARKS, MOST_PATHS_A_RUN, MOST_STEPS, REACH, Plan, Request, make_plan, traced
from pulse_assets.simulation.program import MEASURE_NAMES, Event, Holdings, Program, build
from pulse_assets.simulation.risk.capital import Portfolio
from pulse_assets.simulation.risk.exposure_policies import build_policy, follow
from pulse_assets.simulation.risk.histograms import ranks_of, share_outside
from pulse_assets.simulation.risk.outcomes import outcomes_of
from pulse_assets.simulation.runs import Outcome, carry_out
from pulse_assets.simulation.world import Floats, World, level_of
from tests.assets.simulation.engine_worlds import (
    CAPITAL,
    factor_world,
    no_shocks,
    plain_world,
    portfolio,
    program_of,
    request_of,
    rich_world,
    some_shocks,
    states,
    traced_row,
    two_regimes,
)

SEED, STEPS = 7, 14
TARGET, LIMIT = 0.011, 1.5
POSITIONS = np.array([80.0, -30.0, 0.0])
EVENTS = (
    Event("spx_low", "spx", -0.05, False, 1, STEPS),
    Event("spx_low_late", "spx", -0.05, False, STEPS, STEPS),
    Event("wti_window", "wti", 0.03, True, 3, 7),
    Event("vix_high", "vix", float(np.log(25.0)), True, 1, STEPS),
    Event("mood_at_step", "mood", 0.6, True, 5, 5),
    Event("deep", "drawdown", 0.05, True, 2, STEPS),
    Event("loss", "pnl_usd", -4.0, False, 1, STEPS),
    Event("exposed", "net_exposure_usd", 51.0, True, 1, STEPS),
)


def rich_program(world: World | None = None, *, policy: str = "hold", **parts: Any) -> Program:
    """Return a program with every part, 14 steps long, with shocks and events."""
    world = world or rich_world()
    shocks = parts.pop("shocks", None) or some_shocks(world, STEPS)
    holdings = Holdings(POSITIONS, CAPITAL, policy, target=TARGET, limit=LIMIT)
    ranges = np.zeros((2, len(world.variables) + H.MEASURES, 2))
    ranges[..., 0], ranges[..., 1] = -1.0, 8.0 / H.BINS
    return build(world, holdings, shocks, events=EVENTS, recorded=(5, STEPS), ranges=ranges, **parts)


def historical_world() -> World:
    residuals = np.random.default_rng(2).standard_t(4, size=(120, 3))
    residuals /= np.sqrt(np.mean(residuals**2, axis=0))
    return rich_world(innovations="historical", residuals=residuals, block_length=4.0)


PROGRAMS = {
    "student t": rich_program,
    "historical": lambda **parts: rich_program(historical_world(), **parts),
    "antithetic": lambda **parts: rich_program(antithetic=True, **parts),
    "rebalance": lambda **parts: rich_program(policy="rebalance", **parts),
    "volatility_target": lambda **parts: rich_program(policy="volatility_target", **parts),
}


def assert_same_bits(left: np.ndarray, right: np.ndarray) -> None:
    assert left.dtype == right.dtype == np.float32
    assert np.isfinite(right).all()
    np.testing.assert_array_equal(left.view(np.int32), right.view(np.int32))


# blocks


def in_blocks(program: Program, size: int, paths: int, *, backwards: bool = False) -> BlockResult:
    starts = list(range(0, paths, size))
    found = {
        first: simulate(program, SEED, first, min(size, paths - first)) for first in starts[:: -1 if backwards else 1]
    }
    outcomes = np.concatenate([found[first].outcomes for first in starts], axis=1)
    return BlockResult(0, outcomes, np.sum([found[first].counts for first in starts], axis=0))


@pytest.fixture(scope="module")
def whole() -> BlockResult:
    return simulate(rich_program(), SEED, 0, 70_000)


@pytest.mark.parametrize(("size", "paths"), [(1, 60), (7, 700), (512, 70_000), (1000, 70_000)])
@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "backwards"])
def test_blocks_of_any_size_in_any_order_have_the_bits_of_the_whole(
    whole: BlockResult, size: int, paths: int, backwards: bool
) -> None:
    program = rich_program()
    found = in_blocks(program, size, paths, backwards=backwards)
    assert_same_bits(found.outcomes, whole.outcomes[:, :paths])
    expected = whole.counts if paths == 70_000 else simulate(program, SEED, 0, paths).counts
    np.testing.assert_array_equal(found.counts, expected)


@settings(max_examples=25)
@given(first=st.integers(0, 69_000), paths=st.integers(1, 1000), name=st.sampled_from(sorted(PROGRAMS)))
def test_any_range_has_the_bits_of_a_wider_one(first: int, paths: int, name: str) -> None:
    program = PROGRAMS[name]()
    wider = simulate(program, SEED, max(first - 313, 0), paths + 700)
    from_here = first - wider.first
    assert_same_bits(simulate(program, SEED, first, paths).outcomes, wider.outcomes[:, from_here : from_here + paths])


def test_a_block_simulated_twice_is_the_same_and_another_seed_is_not() -> None:
    program = rich_program()
    one, again, other = (simulate(program, seed, 0, 600) for seed in (SEED, SEED, SEED + 1))
    assert_same_bits(one.outcomes, again.outcomes)
    np.testing.assert_array_equal(one.counts, again.counts)
    assert (one.outcomes[0] != other.outcomes[0]).all()


def test_seeds_count_modulo_two_to_the_64() -> None:
    program = rich_program()
    assert_same_bits(simulate(program, -3, 0, 10).outcomes, simulate(program, 2**64 - 3, 0, 10).outcomes)


def test_paths_are_told_apart_up_to_the_last() -> None:
    program = rich_program()
    starts = (0, 2**32 - 5, 2**32, 2**33, MOST_PATHS - 10)
    found = [simulate(program, SEED, first, 10).outcomes[0] for first in starts]
    assert len(np.unique(found)) == 45  # the second and the third share five numbers
    assert_same_bits(found[1][5:], found[2][:5])


# replays


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_path_replayed_alone_ends_where_it_did_in_its_block(name: str) -> None:
    program, block = PROGRAMS[name](traced=H.EVERY_STEP), simulate(PROGRAMS[name](), SEED, 0, 3000)
    chosen = np.array([2999, 0, 17, 511, 512, 513, 1024, 17], np.uint64)
    trace = replay(program, SEED, chosen)
    at = {place: traced_row(program, place) for place in (H.PROFIT, H.DRAWDOWN)}
    assert_same_bits(trace[:, -1, at[H.PROFIT]], block.outcomes[0][chosen])
    assert_same_bits(trace[:, -1, at[H.DRAWDOWN]], block.outcomes[1][chosen])
    for place, path in enumerate(chosen):
        assert_same_bits(replay(program, SEED, np.array([path]))[0], trace[place])


@pytest.mark.parametrize("name", PROGRAMS)
def test_replayed_paths_are_in_the_histograms_to_the_last_one(name: str) -> None:
    """Histograms and sums follow from the traced numbers by float32 arithmetic, for every variable and measure."""
    program = PROGRAMS[name]()
    counts = simulate(program, SEED, 0, 1300).counts
    rows = len(program.names)
    x = replay(PROGRAMS[name](traced=H.RECORDED_STEPS), SEED, np.arange(1300, dtype=np.uint64))[..., :rows]
    low, inverse = np.float32(-1.0), np.float32(H.BINS / 8.0)
    place = (x - low) * inverse
    bins = np.clip(place, np.float32(0), np.float32(H.BINS - 1)).astype(np.int64)
    expected = np.zeros((2, rows, H.BINS), np.int64)
    for record in range(2):
        for row in range(rows):
            expected[record, row] = np.bincount(bins[:, record, row], minlength=H.BINS)
    first = program.offset(H.AT_HISTOGRAM)
    np.testing.assert_array_equal(counts[first : first + expected.size].reshape(expected.shape), expected)
    parts = np.clip(place * np.float32(4096), np.float32(-2e9), np.float32(2e9)).astype(np.int64).sum(axis=0)
    first = program.offset(H.AT_SUMS)
    np.testing.assert_array_equal(counts[first : first + parts.size].reshape(parts.shape), parts)


def test_recorded_traces_are_those_steps_of_whole_ones() -> None:
    ids = np.arange(600, dtype=np.uint64)
    whole_trace = replay(rich_program(traced=H.EVERY_STEP), SEED, ids)
    assert_same_bits(replay(rich_program(traced=H.RECORDED_STEPS), SEED, ids), whole_trace[:, [4, STEPS - 1]])


def test_no_paths_are_replayed_as_none() -> None:
    program = rich_program(traced=H.EVERY_STEP)
    assert replay(program, SEED, np.array([], np.uint64)).shape == (0, STEPS, program.traced_rows)


def test_tracing_tracking_and_recording_change_no_path() -> None:
    world = rich_world()
    bare = program_of(world, STEPS, POSITIONS, shocks=some_shocks(world, STEPS), tracked=False)
    assert_same_bits(simulate(bare, SEED, 0, 600).outcomes[0], simulate(rich_program(), SEED, 0, 600).outcomes[0])


def test_drivers_that_are_handed_over_replace_those_drawn() -> None:
    """The kernel's own drivers of a plain world, given back to it, lead to the same bits."""
    world = plain_world(0.02, 3, 0.3)
    free = plain_world(1.0, 3, 0.0, drift=np.zeros(3))
    z = np.diff(states(program_of(free, 5, np.ones(3), traced=H.EVERY_STEP), 700, SEED)[..., :3], axis=1, prepend=0.0)
    given_program = program_of(world, 5, POSITIONS, given=True)
    found = simulate(given_program, SEED, 0, 700, z.astype(np.float32)).outcomes
    np.testing.assert_allclose(found, simulate(program_of(world, 5, POSITIONS), SEED, 0, 700).outcomes, atol=1e-4)
    part = simulate(given_program, SEED, 100, 300, z[100:400].astype(np.float32)).outcomes
    assert_same_bits(part, found[:, 100:400])


# scenarios and forks


def test_a_strict_path_is_kept_to_the_last_bit() -> None:
    world, level = rich_world(), np.array([0.01, -0.02, 0.033, 0.1])
    shocks = no_shocks(world, STEPS)
    shocks.keep[2:6, 0], shocks.add[2:6, 0] = 0.0, level
    shocks.keep[2:6, 3], shocks.add[2:6, 3] = 0.0, np.log([30, 40, 50, 60])
    x = replay(rich_program(world, shocks=shocks, traced=H.EVERY_STEP), SEED, np.arange(600, dtype=np.uint64))
    for row, kept in ((0, level), (3, np.log([30, 40, 50, 60]))):
        assert (x[:, 2:6, row] == kept.astype(np.float32)).all()
        assert x[:, 6, row].std() > 0
        assert x[:, 1, row].std() > 0


def test_shocks_come_on_top_of_the_same_numbers() -> None:
    """Common random numbers: a shift by a shock is what differs from the base, and nothing before it does."""
    world = rich_world()
    shocks = no_shocks(world, STEPS)
    shocks.add[4, 1] = -0.2
    ids = np.arange(600, dtype=np.uint64)
    base, moved = (
        replay(rich_program(world, shocks=each, traced=H.EVERY_STEP), SEED, ids)
        for each in (no_shocks(world, STEPS), shocks)
    )
    assert_same_bits(moved[:, :4], base[:, :4])
    np.testing.assert_allclose(moved[:, 4:, 1] - base[:, 4:, 1], -0.2, atol=1e-6)
    others = [row for row in range(6) if row != 1]
    assert_same_bits(moved[..., others], base[..., others])


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("branch", [1, MOST_BRANCHES - 1])
def test_forks_agree_before_their_step_and_differ_after_it(name: str, branch: int) -> None:
    world, fork = rich_world(), 6
    branches = np.where(np.arange(STEPS) >= fork, branch, 0)
    ids = np.arange(600, dtype=np.uint64)
    base, forked = (
        replay(PROGRAMS[name](shocks=no_shocks(world, STEPS, branch=each), traced=H.EVERY_STEP), SEED, ids)
        for each in (np.zeros(STEPS, int), branches)
    )
    assert_same_bits(forked[:, :fork], base[:, :fork])
    differ = (forked[:, fork:, 0] != base[:, fork:, 0]).mean(axis=0)
    if name == "historical":  # a run of past days that was under way at the fork goes on in both
        assert differ[0] > 0.3
        assert differ[-1] > 0.95
        return
    assert differ.min() > 0.99
    steps = [np.diff(each[:, fork - 1 :, 0].astype(float), axis=1)[::2] for each in (base, forked)]
    assert abs(np.corrcoef(steps[0].ravel(), steps[1].ravel())[0, 1]) < 4 / np.sqrt(steps[0].size)


def test_two_forks_of_one_branch_share_their_numbers_and_others_do_not() -> None:
    world, ids = rich_world(), np.arange(300, dtype=np.uint64)
    found = {}
    for name, branch, fork in (("a", 1, 3), ("b", 1, 8), ("c", 2, 3)):
        branches = np.where(np.arange(STEPS) >= fork, branch, 0)
        shocks = no_shocks(world, STEPS, branch=branches)
        x = replay(rich_program(world, shocks=shocks, traced=H.EVERY_STEP), SEED, ids)
        found[name] = x[:, 9, 5] - np.float32(0.999) * x[:, 8, 5]  # the shock of a factor without bounds in the way
    np.testing.assert_allclose(found["a"], found["b"], atol=1e-5)
    assert np.abs(found["a"] - found["c"]).mean() > 0.01


# what is kept of a path, by its definition


def known_variance(x: Floats, program: Program, world: World, shocks_variance: Floats) -> Floats:
    """Return the variance of each asset in each step as known before it, from traces of a world that starts calm."""
    first, assets = traced_row(program, H.VARIANCE), len(world.assets)
    h = np.concatenate([np.tile(world.variance, (len(x), 1, 1)), x[:, :-1, first : first + assets]], axis=1)
    scale = np.ones((len(x), x.shape[1]))
    if world.regimes is not None:
        regime = x[..., traced_row(program, H.REGIME)].astype(int)
        scale = world.regimes.volatility[np.concatenate([np.zeros((len(x), 1), int), regime[:, :-1]], axis=1)]
    louder = np.concatenate([[1.0], np.sqrt(shocks_variance[:-1])])
    return np.asarray(h * (scale * louder)[..., None] ** 2)


@pytest.mark.parametrize("policy", ["hold", "rebalance", "volatility_target"])
@pytest.mark.parametrize("regimes", [None, two_regimes()], ids=["one regime", "two regimes"])
def test_policies_earn_what_their_definition_says(policy: str, regimes: Any) -> None:
    world = rich_world(regimes=regimes, jumps=None)
    shocks = some_shocks(world, STEPS)
    shocks.regime[:] = -1
    program = rich_program(world, policy=policy, shocks=shocks, traced=H.EVERY_STEP)
    x = states(program, 1500)
    r = np.diff(x[..., :3], axis=1, prepend=0.0)
    options = {"target": TARGET, "cap": LIMIT} if policy == "volatility_target" else {}
    variance = known_variance(x, program, world, shocks.variance)
    ledger = follow(build_policy(policy, options), POSITIONS, CAPITAL, r, variance, world.correlation[:3, :3])
    np.testing.assert_allclose(x[..., traced_row(program, H.PROFIT)], ledger.pnl_usd[:, 1:], atol=1e-4)


def test_leverage_meets_its_target_and_its_limit() -> None:
    world = rich_world(jumps=None)
    program = rich_program(world, policy="volatility_target", shocks=no_shocks(world, STEPS), traced=H.EVERY_STEP)
    x = states(program, 2000)
    leverage = x[..., traced_row(program, H.LEVERAGE)]
    risk = POSITIONS * np.sqrt(known_variance(x, program, world, np.ones(STEPS)))[:, 1:]
    deviation = np.sqrt(np.einsum("pta,ab,ptb->pt", risk, world.correlation[:3, :3], risk))
    np.testing.assert_allclose(leverage[:, :-1], np.minimum(LIMIT, TARGET * CAPITAL / deviation), rtol=2e-5)
    assert (leverage == LIMIT).any()
    assert leverage.min() < 1.0
    np.testing.assert_allclose(x[..., traced_row(program, H.EXPOSURE)], leverage * POSITIONS.sum(), rtol=1e-6)


@pytest.mark.parametrize("name", PROGRAMS)
def test_outcomes_are_those_of_the_whole_path(name: str) -> None:
    program = PROGRAMS[name](traced=H.EVERY_STEP)
    trace = replay(program, SEED, np.arange(2000, dtype=np.uint64))
    pnl = np.concatenate([np.zeros((2000, 1), np.float32), trace[..., traced_row(program, H.PROFIT)]], axis=1)
    end, drawdown, under, worst = simulate(PROGRAMS[name](), SEED, 0, 2000).outcomes
    known = outcomes_of(pnl, CAPITAL)  # type: ignore[arg-type] - in float32, as the kernel has it
    assert_same_bits(end, known.pnl_usd)  # type: ignore[arg-type]
    assert_same_bits(worst, known.worst_pnl_usd)  # type: ignore[arg-type]
    np.testing.assert_array_equal(under, known.steps_under_water)
    np.testing.assert_allclose(drawdown, known.drawdown, atol=2e-7)
    assert under.max() == STEPS
    assert (worst <= 0).all()
    highest = np.maximum.accumulate(np.float32(CAPITAL) + pnl, axis=1)
    deepest = np.maximum.accumulate(1 - (np.float32(CAPITAL) + pnl) / highest, axis=1)
    np.testing.assert_allclose(trace[..., traced_row(program, H.DRAWDOWN)], deepest[:, 1:], atol=2e-7)


def test_losing_more_than_the_capital_is_followed_to_the_end() -> None:
    """Drawdowns above one and worst losses beyond the capital are possible for short or large positions."""
    program = program_of(plain_world(0.3), 10, (-150.0,), traced=H.EVERY_STEP)
    pnl = replay(program, SEED, np.arange(2000, dtype=np.uint64))[..., traced_row(program, H.PROFIT)]
    known = outcomes_of(np.concatenate([np.zeros((2000, 1), np.float32), pnl], axis=1), CAPITAL)  # type: ignore[arg-type]
    _, drawdown, _, worst = simulate(program_of(plain_world(0.3), 10, (-150.0,)), SEED, 0, 2000).outcomes
    np.testing.assert_allclose(drawdown, known.drawdown, rtol=1e-5, atol=1e-6)
    assert (worst < -CAPITAL).any()
    assert drawdown.max() > 1


@pytest.mark.parametrize("name", PROGRAMS)
def test_events_are_counted_as_traced_paths_show_them(name: str) -> None:
    program = PROGRAMS[name](traced=H.EVERY_STEP)
    first = program.offset(H.AT_EVENT_COUNTS)
    counted = simulate(PROGRAMS[name](), SEED, 0, 2000).counts[first : first + len(EVENTS)]
    trace = replay(program, SEED, np.arange(2000, dtype=np.uint64))
    expected = []
    for event in EVENTS:
        x = trace[:, event.first - 1 : event.last, program.names.index(event.variable)]
        threshold = np.float32(event.threshold)
        expected.append(int(((x > threshold) if event.is_above else (x < threshold)).any(axis=1).sum()))
    assert counted.tolist() == expected
    assert sum(0 < count < 2000 for count in expected) >= 6


def test_events_cost_nothing_of_the_paths() -> None:
    world = rich_world()
    bare = program_of(world, STEPS, POSITIONS, shocks=some_shocks(world, STEPS))
    assert_same_bits(simulate(bare, SEED, 0, 600).outcomes, simulate(rich_program(), SEED, 0, 600).outcomes)


# paths that break


def test_paths_that_leave_float32_are_counted() -> None:
    """A world without its guards: persistence 3.4 makes variances, then returns, infinite on some paths."""
    world = plain_world(variance=np.array([1.0]), omega=np.array([0.1]), alpha=np.array([3.0]), beta=np.array([0.4]))
    program = program_of(world, 100, (1.0,), traced=H.EVERY_STEP)
    paths = np.arange(3000, dtype=np.uint64)
    end = replay(program, SEED, paths)[:, -1]
    broken = ~(np.abs(end[:, [0, traced_row(program, H.PROFIT)]]) < LARGEST).all(axis=1)
    found = simulate(program_of(world, 100, (1.0,)), SEED, 0, 3000).counts[program.offset(H.AT_BROKEN)]
    assert found == broken.sum()
    assert 0 < found < 3000


def test_a_price_beyond_float32_breaks_the_profit() -> None:
    world = plain_world()
    shocks = no_shocks(world, 2)
    shocks.add[1, 0] = 90.0
    program = program_of(world, 2, (1e6,), shocks=shocks)
    found = simulate(program, SEED, 0, 700)
    assert found.counts[program.offset(H.AT_BROKEN)] == 700
    assert np.isinf(found.outcomes[0]).all()


def test_a_factor_that_explodes_is_counted_as_broken() -> None:
    """One without bounds is kept below 3e38, which is nothing sound either."""
    assert LARGEST < FAR
    world = factor_world(1.0, 0.0, 2.0, 0.1)
    program = program_of(world, 200)
    assert simulate(program, SEED, 0, 600).counts[program.offset(H.AT_BROKEN)] == 600


def test_sound_worlds_break_nowhere() -> None:
    program = rich_program()
    assert simulate(program, SEED, 0, 5000).counts[program.offset(H.AT_BROKEN)] == 0


# distributions from histograms


@pytest.fixture(scope="module")
def run() -> tuple[Plan, Outcome]:
    plan = make_plan(request_of(rich_world(), 15, recorded=(1, 5, 15)), 6000)
    return plan, carry_out(plan)


def test_quantiles_are_those_of_all_paths_within_a_bin(run: tuple[Plan, Outcome]) -> None:
    plan, outcome = run
    x = states(traced(plan, H.RECORDED_STEPS), 6000, SEED)
    rows = {
        (row["variable"], row["step"]): row
        for row in results.distributions(plan, outcome, date(2024, 6, 28)).to_pylist()
    }
    assert len(rows) == 3 * (6 + len(MEASURE_NAMES))
    ranks = ranks_of(6000, LEVELS) - 1
    for q, name in enumerate(plan.program.names):
        variable = plan.request.world.variables[q] if q < 6 else None
        for place, step in enumerate(plan.request.marks):
            row = rows[name, step]
            found = np.array([row[column] for column in QUANTILE_COLUMNS])
            exact, width = np.sort(x[:, place, q])[ranks], plan.program.ranges[place, q, 1]
            if variable is not None and variable.scale == "log":
                found = np.log(found)
            assert np.abs(found - exact).max() <= 1.01 * width + 1e-6 * np.abs(exact).max(), (name, step)
            assert (np.diff(found) >= 0).all()


def test_means_are_those_of_all_paths(run: tuple[Plan, Outcome]) -> None:
    plan, outcome = run
    x = states(traced(plan, H.RECORDED_STEPS), 6000, SEED)
    for row in results.distributions(plan, outcome, date(2024, 6, 28)).to_pylist():
        q, place = plan.program.names.index(row["variable"]), plan.request.marks.index(row["step"])
        exact, width = x[:, place, q].mean(), plan.program.ranges[place, q, 1]
        exact = float(level_of(plan.request.world.variables[q], exact)) if 3 <= q < 6 else exact
        assert row["mean"] == pytest.approx(exact, abs=0.01 * width, rel=1e-5), row


def test_ranges_come_from_the_first_paths_and_reach_far_beyond_them(run: tuple[Plan, Outcome]) -> None:
    plan, outcome = run
    x = states(traced(plan, H.RECORDED_STEPS), 512, SEED)[..., : len(plan.program.names)]
    low, high = plan.program.ranges[..., 0], plan.program.ranges[..., 0] + H.BINS * plan.program.ranges[..., 1]
    slack = 1e-6 * np.abs(high - low)
    assert (low - slack <= np.minimum(x.min(axis=0), x.mean(axis=0) - REACH * x.std(axis=0))).all()
    assert (high + slack >= np.maximum(x.max(axis=0), x.mean(axis=0) + REACH * x.std(axis=0))).all()
    assert (plan.program.ranges[..., 1] > 0).all()
    first, shape = plan.program.offset(H.AT_HISTOGRAM), (*plan.program.ranges.shape[:2], H.BINS)
    counts = outcome.counts[first : first + np.prod(shape)].reshape(shape)
    assert (counts.sum(axis=-1) == 6000).all()
    lowest, highest = share_outside(counts[:, :6])
    assert lowest.max() < 0.002
    assert highest.max() < 0.002


def test_ranges_do_not_depend_on_how_many_paths_are_asked_for() -> None:
    request = request_of(rich_world(), 5)
    assert np.array_equal(make_plan(request, 1).program.ranges, make_plan(request, MOST_PATHS_A_RUN).program.ranges)


def test_ranges_of_what_never_moves_or_breaks_are_sound() -> None:
    world = plain_world()
    shocks = no_shocks(world, 3)
    shocks.add[2, 0] = 90.0
    plan = make_plan(request_of(world, shocks=shocks, portfolio=portfolio(world, positions={"a0": 1e6})), 600)
    assert np.isfinite(plan.program.ranges).all()
    assert (plan.program.ranges[..., 1] > 0).all()
    assert carry_out(plan).counts[plan.program.offset(H.AT_BROKEN)] == 600


def test_by_default_the_marks_and_the_last_step_are_recorded() -> None:
    assert request_of(plain_world(), 30).marks == (1, 2, 3, 5, 10, 15, 20, 30)
    assert request_of(plain_world(), 20).marks[-1] == 20
    assert request_of(plain_world(), 1).marks == (1,)
    assert request_of(plain_world(), 600).marks == (*MARKS, 600)


# wrong input


@pytest.mark.parametrize(
    ("first", "paths"), [(0, 0), (0, -1), (-1, 5), (MOST_PATHS, 1), (MOST_PATHS - 10, 11), (2**39, 10**12)]
)
def test_a_range_that_is_none_is_refused(first: int, paths: int) -> None:
    program = program_of(plain_world(), 1)
    with pytest.raises(ValueError, match=r"expected 1 or more paths within 0 … 1,099,511,627,776, got"):
        simulate(program, SEED, first, paths)


@pytest.mark.parametrize("paths", [0, -5, MOST_PATHS_A_RUN + 1, MOST_PATHS + 1, 10**13])
def test_too_few_or_too_many_paths_are_refused(paths: int) -> None:
    with pytest.raises(ValueError, match=rf"expected 1 to {MOST_PATHS_A_RUN:,} paths, got {paths:,}"):
        make_plan(request_of(plain_world()), paths)


def test_too_many_steps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 1 to 2,600 steps, about ten years of days, got 2,601"):
        make_plan(request_of(plain_world(), MOST_STEPS + 1), 10)
    make_plan(request_of(plain_world(), MOST_STEPS), 10)


def test_no_steps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 1 to 2,600 steps.*got 0"):
        make_plan(request_of(plain_world(), 0), 10)


@pytest.mark.parametrize("recorded", [(0, 5), (5, 30), (5, 3)])
def test_recorded_steps_outside_the_run_are_refused(recorded: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected recorded steps that rise from 1 to at most 12, got"):
        make_plan(request_of(plain_world(), 12, recorded=recorded), 10)


def test_an_unknown_policy_is_refused_by_name() -> None:
    with pytest.raises(
        ValueError, match=r"unknown exposure policy 'martingale'; there are hold, rebalance, volatility_target"
    ):
        Portfolio(positions={"a0": 1.0}, capital_usd=1.0, policy="martingale")


def test_a_policy_without_compiled_form_is_refused_with_what_to_do() -> None:
    other = Portfolio.model_construct(positions={"a0": 1.0}, capital_usd=1.0, policy="mine", policy_options={})
    with pytest.raises(ValueError, match=r"policy 'mine' has no compiled form: simulate with hold.*or replay paths"):
        make_plan(request_of(plain_world(), portfolio=other), 10)


def test_a_position_in_what_the_world_lacks_is_refused_by_name() -> None:
    lost = Portfolio(positions={"btc": 1.0}, capital_usd=1.0)
    with pytest.raises(ValueError, match=r"a position in 'btc', nothing in the world; its assets: spx, wti, gold"):
        make_plan(request_of(rich_world(), portfolio=lost), 10)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"beta": np.array([0.9, 0.999, 0.92])}, "wti: expected persistence below 1"),
        ({"sigma": np.array([0.06, np.nan, 0.05])}, "mood: expected a finite sigma"),
        ({"nu": 2}, "nu: expected a whole number from 3"),
        ({"correlation": np.eye(5)}, r"correlation: expected shape \(6, 6\)"),
    ],
)
def test_a_world_that_would_break_is_refused_by_the_variables_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make_plan(request_of(rich_world(**changes)), 10)


def test_a_request_needs_no_more_than_a_world_a_scenario_and_a_portfolio() -> None:
    world = rich_world()
    request = Request(world, "base", no_shocks(world, 3), portfolio(world))
    assert carry_out(make_plan(request, 5)).outcomes.shape == (4, 5)
