"""Residual gravity: learned where there is something to learn, refused where not, and bounded three times."""

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pytest

from pulse_assets.simulation import results
from pulse_assets.simulation.calibration.gravity import BUDGET, CAP, FEWEST, Past, learn_gravity
from pulse_assets.simulation.engine import simulate
from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.plan import make_plan
from pulse_assets.simulation.program import Gravity, Program
from pulse_assets.simulation.runs import carry_out
from pulse_assets.simulation.world import Floats, World
from tests.assets.simulation.engine_worlds import (
    factor_world,
    program_of,
    request_of,
    rich_world,
    states,
    traced_row,
    two_regimes,
)

MOOD = 1
"""Place of the factor that pulls in these tests."""


def plain(**changes: Any) -> World:
    return rich_world(**({"regimes": None, "jumps": None, "innovations": "normal"} | changes))


def history(
    world: World, steps: int = 1000, seed: int = 1, pull: Callable[[Floats], Floats] | None = None, **truth: Floats
) -> Past:
    """Return a past of the world's own dynamics, plus a pull that depends on the factors' deviations before a step."""
    rng, assets, count = np.random.default_rng(seed), len(world.assets), len(world.variables)
    phi = truth.get("phi", world.phi)
    changes, before = np.empty((steps, count)), np.empty((steps, count - assets))
    state = world.mean.copy()
    for t in range(steps):
        off = state - world.mean
        shocks = rng.normal(size=count) * np.concatenate([np.sqrt(world.variance), world.sigma])
        changes[t] = shocks + np.concatenate([world.drift, (phi - 1) * off])
        if pull is not None:
            changes[t] += pull(off)
        before[t], state = state, state + changes[t, assets:]
    return Past(changes, before, np.ones((steps, 1)))


def pull_on_first(world: World, share: float) -> Callable[[Floats], Floats]:
    """Return a pull on the first asset alone, in its deviations a unit of the mood's deviation."""
    step = share * np.sqrt(world.variance[0])

    def pull(off: Floats) -> Floats:
        return np.concatenate([[step * off[MOOD]], np.zeros(len(world.variables) - 1)])

    return pull


# learning


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_learned_where_there_is_nothing(seed: int) -> None:
    world = plain()
    learned = learn_gravity(world, history(world, seed=seed))
    assert learned.gravity is None
    assert (np.abs(learned.gain) < 0.03).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_pull_is_learned_where_there_is_one_and_nowhere_else(seed: int) -> None:
    world = plain()
    learned = learn_gravity(world, history(world, seed=seed, pull=pull_on_first(world, 4.0)))
    assert learned.gravity is not None
    gravity = learned.gravity
    assert learned.gain[0] > 0.1
    assert gravity.factors[0, MOOD] == pytest.approx(4.0 * np.sqrt(world.variance[0]), rel=0.15)
    assert np.abs(np.delete(gravity.factors[0], MOOD)).max() < 0.1 * gravity.factors[0, MOOD]
    assert not gravity.factors[1:].any()
    assert not gravity.regimes[1:].any()
    assert gravity.cap.tolist() == [CAP * np.sqrt(world.variance[0]), 0, 0, 0, 0, 0]
    assert gravity.budget == BUDGET


def test_a_factor_that_returns_faster_than_fitted_is_pulled_home() -> None:
    world = plain()
    faster = world.phi.copy()
    faster[MOOD] = 0.5
    gravity = learn_gravity(world, history(world, phi=faster)).gravity
    assert gravity is not None
    assert gravity.factors[3 + MOOD, MOOD] == pytest.approx(0.5 - world.phi[MOOD], rel=0.1)
    assert np.flatnonzero(gravity.cap).tolist() == [3 + MOOD]


def test_a_shift_by_regime_is_learned() -> None:
    world = plain(regimes=two_regimes())
    assert world.regimes is not None
    past, rng = history(world), np.random.default_rng(3)
    calm = np.repeat(rng.random(20) < 0.5, 50).astype(float)
    regimes = np.column_stack([calm, 1 - calm])
    changes = past.changes.copy()
    changes[:, :3] += (regimes @ world.regimes.drift)[:, None]  # what the world knows of regimes already
    changes[:, 1] += regimes @ [0.01, -0.02]
    gravity = learn_gravity(world, Past(changes, past.factors, regimes)).gravity
    assert gravity is not None
    assert np.flatnonzero(gravity.cap).tolist() == [1]
    np.testing.assert_allclose(gravity.regimes[1], [0.01, -0.02], rtol=0.2)


def test_a_past_that_is_too_short_teaches_nothing() -> None:
    world = plain()
    pull = pull_on_first(world, 10.0)
    learned = learn_gravity(world, history(world, FEWEST - 1, pull=pull))
    assert learned.gravity is None
    assert np.isnan(learned.gain).all()
    assert learn_gravity(world, history(world, FEWEST, pull=pull)).gravity is not None


def test_steps_with_unknown_features_are_left_out() -> None:
    world = plain()
    past = history(world, pull=pull_on_first(world, 4.0))
    holes = past.factors.copy()
    holes[::3, MOOD] = np.nan
    thinner = Past(past.changes[np.arange(1000) % 3 > 0], past.factors[np.arange(1000) % 3 > 0], np.ones((666, 1)))
    one, two = learn_gravity(world, Past(past.changes, holes, past.regimes)), learn_gravity(world, thinner)
    assert one.gravity is not None
    assert two.gravity is not None
    np.testing.assert_array_equal(one.gravity.factors, two.gravity.factors)
    unknown = learn_gravity(world, Past(past.changes, np.full_like(holes, np.nan), past.regimes))
    assert unknown.gravity is None


@pytest.mark.parametrize("known", [0, 1, FEWEST - 1])
def test_a_variable_with_too_few_known_changes_has_no_correction(known: int) -> None:
    """Also where the first half is unknown altogether, from which the first judged prediction would be made."""
    world = plain()
    past = history(world, pull=pull_on_first(world, 10.0))
    changes = past.changes.copy()
    changes[: 1000 - known, 0] = np.nan
    learned = learn_gravity(world, Past(changes, past.factors, past.regimes))
    assert learned.gravity is None
    assert np.isnan(learned.gain[0])
    assert np.isfinite(learned.gain[1:]).all()


def test_unknown_changes_are_left_out_of_their_variable_alone() -> None:
    world = plain()
    past = history(world, pull=pull_on_first(world, 4.0))
    changes = past.changes.copy()
    changes[:400, 0] = np.nan
    learned = learn_gravity(world, Past(changes, past.factors, past.regimes))
    assert learned.gravity is not None
    assert learned.gain[0] > 0.1
    np.testing.assert_array_equal(learned.gain[1:], learn_gravity(world, past).gain[1:])


def test_a_correction_is_judged_by_later_steps_only() -> None:
    """A pull that turned round half way fits the past as a whole and would have helped nobody."""
    world = plain()
    before, after = (history(world, 500, 5, pull_on_first(world, share)) for share in (6.0, -6.0))
    past = Past(*(np.concatenate(pair) for pair in zip(_parts(before), _parts(after), strict=True)))
    learned = learn_gravity(world, past)
    assert learned.gain[0] < 0
    assert learned.gravity is None


def _parts(past: Past) -> tuple[Floats, Floats, Floats]:
    return past.changes, past.factors, past.regimes


def test_the_gain_asked_for_decides() -> None:
    world = plain()
    past = history(world, pull=pull_on_first(world, 4.0))
    gain = learn_gravity(world, past).gain[0]
    assert learn_gravity(world, past, least_gain=gain + 0.01).gravity is None
    assert learn_gravity(world, past, least_gain=gain - 0.01).gravity is not None


@pytest.mark.parametrize("part", ["changes", "factors", "regimes"])
def test_shapes_that_do_not_fit_are_refused_with_what_was_expected(part: str) -> None:
    world = plain()
    arrays = dict(zip(("changes", "factors", "regimes"), _parts(history(world, 300)), strict=True))
    arrays[part] = arrays[part][:, 1:]
    with pytest.raises(ValueError, match=r"expected changes, factors and regimes of shapes .*\(300, 6\).*, got"):
        learn_gravity(world, Past(**arrays))


# what the kernel does with it


def gravity_of(world: World, cap: Floats, budget: float = 1e9, **parts: Floats) -> Gravity:
    factors, regimes = len(world.factors), len(world.regimes.names) if world.regimes else 1
    count = len(world.variables)
    nothing = {"factors": np.zeros((count, factors)), "regimes": np.zeros((count, regimes))}
    return Gravity(**(nothing | parts), cap=cap, budget=budget)


def pulled(world: World, gravity: Gravity, steps: int = 12, paths: int = 400) -> tuple[Floats, Program]:
    """Return what gravity changed in every state after every step, shape ``(paths, steps, V)``."""
    program = program_of(world, steps, np.ones(3), gravity=gravity, traced=H.EVERY_STEP)
    base = program_of(world, steps, np.ones(3), traced=H.EVERY_STEP)
    count = len(world.variables)
    return states(program, paths)[..., :count] - states(base, paths)[..., :count], program


def counted(program: Program, paths: int = 400) -> Floats:
    """Return the sizes of pulls and of all movement in units of the cap, shape ``(V, 2)``."""
    first, count = program.offset(H.AT_PULL), program.offset(H.ASSETS) + program.offset(H.FACTORS)
    counts = simulate(program, 1, 0, paths).counts[first : first + 2 * count]
    return np.asarray(counts.reshape(count, 2) / 2.0**20)


FIRST = np.eye(6)[0]


def test_without_a_correction_gravity_changes_no_bit() -> None:
    world = rich_world()
    moved, _ = pulled(world, gravity_of(world, 0 * FIRST, factors=np.ones((6, 3)), regimes=np.ones((6, 2))))
    assert not moved.any()


def test_no_pull_is_larger_than_the_cap() -> None:
    world = rich_world()
    for sign in (1, -1):
        moved, _ = pulled(world, gravity_of(world, 0.002 * FIRST, regimes=np.full((6, 2), sign * 50.0)))
        np.testing.assert_allclose(moved[..., 0] - sign * 0.002 * np.arange(1, 13), 0, atol=1e-6)
        assert not moved[..., 1:].any()


@pytest.mark.parametrize(("size", "steps"), [(5.0, 4), (0.5, 8), (0.25, 16)])
def test_a_path_that_has_spent_its_budget_is_left_alone(size: float, steps: int) -> None:
    """The circuit breaker: pulls count by their size, so halves last twice as long."""
    world = rich_world()
    gravity = gravity_of(world, 0.002 * FIRST, budget=4.0, regimes=np.full((6, 2), size * 0.002))
    moved, _ = pulled(world, gravity, steps=20)
    expected = min(size, 1) * 0.002 * np.minimum(np.arange(1, 21), steps)
    np.testing.assert_allclose(moved[..., 0], np.broadcast_to(expected, moved.shape[:2]), atol=2e-6)


def test_the_budget_is_one_for_all_variables() -> None:
    world = rich_world()
    cap = np.array([0.002, 0, 0.001, 0, 0, 0.01])
    moved, _ = pulled(world, gravity_of(world, cap, budget=7.0, regimes=np.ones((6, 2))))
    pulls = np.rint(moved[:, -1, [0, 2]] / cap[[0, 2]])
    assert (pulls == [3, 2]).all()  # 3 variables, 7 pulls, in the order of variables
    assert (moved[:, 0, 5] > 0).all()


def test_a_pull_is_a_share_of_deviations_and_a_number_of_the_regime() -> None:
    world = rich_world()
    shares, by_regime = np.array([0.003, -0.01, 0.002]), np.array([0.001, -0.004])
    gravity = gravity_of(world, FIRST, factors=np.outer(FIRST, shares), regimes=np.outer(FIRST, by_regime))
    moved, program = pulled(world, gravity)
    x = states(program, 400)
    regime = x[..., traced_row(program, H.REGIME)].astype(int)
    pull = np.diff(moved[..., 0], axis=1, prepend=0.0) - by_regime[regime]
    off = x[..., 3:6] - world.mean
    start = np.concatenate([np.tile(world.level - world.mean, (400, 1, 1)), off[:, :-1]], axis=1)
    np.testing.assert_allclose(pull, start @ shares, atol=2e-6)


def test_a_pull_follows_what_stood_at_the_start_of_the_step() -> None:
    """It is learned from that; read after the step it would also correlate an asset with the factor's shock."""
    world = rich_world()
    gravity = gravity_of(world, FIRST, factors=np.outer(FIRST, [0.0, 0.05, 0.0]))
    moved, _ = pulled(world, gravity, 1)
    expected = 0.05 * (world.level[MOOD] - world.mean[MOOD])
    np.testing.assert_allclose(moved[:, 0, 0], expected, atol=1e-6)


def test_a_learned_world_moves_like_its_past() -> None:
    """Round trip: the mean path of a mood that returns faster than fitted is nearer to the truth with gravity."""
    world = plain(level=np.array([3.0, 0.75, 3.0]))
    faster = world.phi.copy()
    faster[MOOD] = 0.5
    gravity = learn_gravity(world, history(world, phi=faster), budget=1e9).gravity
    assert gravity is not None
    program = program_of(world, 8, np.ones(3), gravity=gravity, traced=H.EVERY_STEP)
    base = program_of(world, 8, np.ones(3), traced=H.EVERY_STEP)
    truth = world.mean[MOOD] + 0.5 ** np.arange(1, 9) * (0.75 - world.mean[MOOD])
    with_it, without = (np.abs(states(each, 20_000)[..., 4].mean(axis=0) - truth) for each in (program, base))
    assert (with_it < without).all()
    assert with_it.sum() < 0.8 * without.sum()


def test_pulls_and_movements_are_counted_as_traced_paths_show_them() -> None:
    world = rich_world()
    gravity = gravity_of(world, 0.002 * FIRST, budget=5.0, regimes=np.full((6, 2), 0.0013))
    moved, program = pulled(world, gravity)
    found, x = counted(program), states(program, 400)
    pulls = np.abs(np.diff(moved[..., 0], axis=1, prepend=0.0)).sum()
    moves = np.abs(np.diff(x[..., 0], axis=1, prepend=0.0)).sum()
    assert found[0] == pytest.approx([pulls / 0.002, moves / 0.002], rel=1e-4)
    assert not found[1:].any()


def test_the_share_of_gravity_stands_in_the_risk_table() -> None:
    world = rich_world()
    gravity = gravity_of(world, np.array([0.002, 0, 0, 0, 0.01, 0]), regimes=np.full((6, 2), 0.001))
    plan = make_plan(request_of(world, 8, gravity=gravity), 500)
    outcome = carry_out(plan)
    rows = [
        row for row in results.risk(plan, outcome, date(2024, 6, 28)).to_pylist() if row["measure"] == "gravity_share"
    ]
    assert [row["name"] for row in rows] == ["spx", "mood"]
    first = plan.program.offset(H.AT_PULL)
    for row, place in zip(rows, (0, 4), strict=True):
        pulls, moves = outcome.counts[first + 2 * place : first + 2 * place + 2]
        assert row["value"] == pytest.approx(pulls / moves)
        assert 0 < row["value"] < 0.5


def test_the_share_is_right_for_variables_that_move_by_more_than_one() -> None:
    world = factor_world(0.0, 0.0, 1.0, 100.0)
    gravity = Gravity(np.zeros((2, 1)), np.array([[0.0], [25.0]]), np.array([0.0, 25.0]), 1e9)
    plan = make_plan(request_of(world, 8, gravity=gravity), 500)
    rows = results.risk(plan, carry_out(plan), date(2024, 6, 28)).to_pylist()
    (share,) = (row["value"] for row in rows if row["measure"] == "gravity_share")
    assert share == pytest.approx(0.3, abs=0.05)
