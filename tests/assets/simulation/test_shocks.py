"""Shocks: sizes read strictly, known answers of every kind, and what holds for any of them."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.simulation.scenarios.amounts import Amount, factor_of, moved, placed, read_amount
from pulse_assets.simulation.scenarios.conditional import conditional_mean, step_covariance
from pulse_assets.simulation.scenarios.scenario import Window, changes_of, compile_scenario, no_shock, parse_scenario
from pulse_assets.simulation.scenarios.shocks import Move, Shocks, put
from pulse_assets.simulation.world import Floats, World
from pulse_assets.simulation.yaml_text import load_yaml
from tests.assets.simulation.scenario_worlds import NAMES, small_world, walk

SPX, WTI, VIX, SPREAD = range(4)
WINDOW = Window(date(2008, 9, 1), date(2008, 9, 3))
STILL = np.zeros((30, 4))


def compiled(shock: str, steps: int = 30, world: World | None = None, **settings: object) -> Shocks:
    text = load_yaml(f"name: test\nshocks:\n  - {shock}\n", "test.yaml")
    return compile_scenario(parse_scenario(text), world or small_world(), steps, **settings)  # type: ignore[arg-type]


def refused(shock: str, **settings: object) -> str:
    with pytest.raises(ValueError, match=r"^test\.yaml:3") as caught:
        compiled(shock, **settings)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value", "unit"),
    [("+40 %", 40, "%"), ("-0.5 pp", -0.5, "pp"), ("+25bp", 25, "bp"), (1.4, 1.4, ""), (-3, -3, ""), ("+0 %", 0, "%")],
)
def test_sizes_are_read(written: object, value: float, unit: str) -> None:
    assert read_amount(written) == Amount(value, unit)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "written",
    ["40 %", "+40  %", "+ 40 %", "+40", "+1e3 %", "+40 %%", "+.5 %", "+1_0 %", "\u221240 %", "+٤٠ %", "+nan %", "",
     float("nan"), float("inf"), True, None, [1], {"a": 1}],
)  # fmt: skip
def test_sizes_that_may_mean_two_things_or_none_are_refused(written: object) -> None:
    with pytest.raises(ValueError, match="sign first"):
        read_amount(written)


@given(st.decimals(-99, 1000, places=3), st.sampled_from(["%", " %"]))
def test_percentages_survive_writing_and_reading(value: object, end: str) -> None:
    assert read_amount(f"{value:+}{end}").value == pytest.approx(float(value))  # type: ignore[arg-type]


def test_a_level_and_a_move_are_told_apart() -> None:
    world = small_world()
    vix, spread, spx = world.variables[VIX], world.variables[SPREAD], world.variables[SPX]
    assert placed(vix, np.log(20), Amount(30)) == pytest.approx(np.log(30))
    assert moved(vix, np.log(20), Amount(30)) == pytest.approx(np.log(50 / 20))
    assert placed(spread, 1.0, Amount(0.5)) == 0.5
    assert moved(spread, 1.0, Amount(0.5)) == 0.5
    assert placed(spread, 1.0, Amount(50, "bp")) == 1.5
    assert placed(spx, 0.0, Amount(-20, "%")) == pytest.approx(np.log(0.8))


@pytest.mark.parametrize(
    ("written", "factor"), [("+40 %", 1.4), (1.4, 1.4), ("-100 %", None), (0, None), ("+1 pp", None)]
)
def test_factors_are_positive(written: object, factor: float | None) -> None:
    if factor is None:
        with pytest.raises(ValueError, match="factor"):
            factor_of(read_amount(written))
    else:
        assert factor_of(read_amount(written)) == pytest.approx(factor)


def test_no_shock_leaves_every_state_alone() -> None:
    world = small_world()
    shocks = no_shock(world, 5)
    noise = np.random.default_rng(1).normal(size=(5, 4))
    assert np.array_equal(walk(world, shocks, noise)[:, :2], np.cumsum(world.drift + noise[:, :2], axis=0))
    assert shocks.correlations[0].tolist() == world.correlation.tolist()
    with pytest.raises(ValueError, match="at least 1 step"):
        no_shock(world, 0)


def test_multiplying_an_asset_spreads_the_logarithm_evenly() -> None:
    shocks = compiled('{kind: multiply, variable: WTI, by: "+40 %", over: 10, from: 3}')
    expected = np.zeros(30)
    expected[2:12] = np.log(1.4) / 10
    np.testing.assert_allclose(shocks.add[:, WTI], expected)
    assert (shocks.keep == 1).all()
    assert not shocks.add[:, [SPX, VIX, SPREAD]].any()


def test_multiplying_a_factor_follows_its_scale() -> None:
    shocks = compiled("{kind: multiply, variable: [vix, spread], by: 1.5, over: 4}")
    np.testing.assert_allclose(shocks.add[:4, VIX], np.log(1.5) / 4)
    np.testing.assert_allclose(shocks.add[:4, SPREAD], 0.5 / 4)


def test_adding_is_in_units_of_the_level() -> None:
    shocks = compiled('{kind: add, variable: spread, by: "+100 bp", over: 5, unit: percent}')
    np.testing.assert_allclose(shocks.add[:5, SPREAD], 0.2)
    logs = compiled("{kind: add, variable: vix, by: 10, over: 2}").add[:2, VIX]
    np.testing.assert_allclose(20 * np.exp(np.cumsum(logs)), [25, 30])


def test_a_held_change_stays_and_another_fades() -> None:
    world = small_world()
    path = '{kind: multiply, variable: vix, by: "+40 %", over: 10'
    plain, faded, held = (
        walk(world, shocks, STILL)[:, VIX]
        for shocks in (no_shock(world, 30), compiled(path + "}"), compiled(path + ", hold: true}"))
    )
    np.testing.assert_allclose((held - plain)[9:], np.log(1.4))
    assert (faded - plain)[9] < np.log(1.4)
    assert (faded - plain)[29] == pytest.approx((faded - plain)[9] * 0.9**20)


def test_a_strict_path_is_kept_whatever_happens() -> None:
    world = small_world()
    noise = np.random.default_rng(2).normal(size=(30, 4))
    shocks = compiled("{kind: path, variable: vix, levels: [25, 30, 35], from: 2}")
    np.testing.assert_allclose(np.exp(walk(world, shocks, noise)[1:4, VIX]), [25, 30, 35])


def test_a_seeded_path_leaves_chance_on_top() -> None:
    world = small_world()
    noise = np.random.default_rng(3).normal(size=(30, 4))
    path = '{kind: path, variable: SPX, levels: ["-5 %", "-10 %"], mode: seed_then_free}'
    moved_by = walk(world, compiled(path), noise) - walk(world, no_shock(world, 30), noise)
    np.testing.assert_allclose(np.exp(moved_by[:3, SPX]), [0.95, 0.9, 0.9])


def test_conditional_moves_are_the_textbook_ones() -> None:
    world = small_world()
    shocks = compiled('{kind: conditional, given: {WTI: "+40 %", vix: "+10 %"}, over: 8}')
    covariance = step_covariance(world)
    inner = covariance[np.ix_([WTI, VIX], [WTI, VIX])]
    given_moves = np.array([np.log(1.4), np.log(1.1)])
    expected = covariance[:, [WTI, VIX]] @ np.linalg.inv(inner) @ given_moves
    np.testing.assert_allclose(shocks.add[:8].sum(axis=0), expected, rtol=1e-9)
    np.testing.assert_allclose(shocks.add[0] * 8, expected, rtol=1e-9)
    np.testing.assert_allclose(covariance[0, 1], 0.3 * 0.01 * 0.02)


def test_conditional_means_agree_with_simulation() -> None:
    rng = np.random.default_rng(4)
    factor = rng.normal(size=(3, 3))
    draws = rng.multivariate_normal([1.0, 2.0, 3.0], factor @ factor.T, 400_000)
    near = np.abs(draws[:, 0] - 2.0) < 0.05
    expected = conditional_mean(np.array([0]), np.array([2.0]), np.array([1.0, 2.0, 3.0]), factor @ factor.T)
    np.testing.assert_allclose(draws[near].mean(axis=0), expected, atol=0.15)


def test_others_stop_at_their_bounds() -> None:
    shocks = compiled('{kind: conditional, given: {vix: "-70 %"}}')
    assert shocks.add[0, SPREAD] == pytest.approx(max(-1.0, 0.5 * 0.02 / 0.06 * np.log(0.3)))
    shocks = compiled('{kind: conditional, given: {vix: "-70 %"}}', world=small_world(sigma=np.array([0.06, 0.3])))
    assert shocks.add[0, SPREAD] == -1.0


def replays(changes: Floats) -> dict[Window, Floats]:
    return {WINDOW: changes}


CHANGES = np.array([[-0.05, 0.02, 0.1, 0.2], [0.01, -0.03, 0.2, -0.1], [-0.02, 0.0, -0.1, 0.3]])
REPLAY = "{kind: replay, window: {from: 2008-09-01, to: 2008-09-03}"


def test_a_free_replay_adds_what_happened() -> None:
    shocks = compiled(REPLAY + ", from: 4}", replays=replays(CHANGES))
    np.testing.assert_array_equal(shocks.add[3:6], CHANGES)
    assert (shocks.keep == 1).all()


def test_nothing_else_moves_what_is_replayed_strictly() -> None:
    world = small_world()
    shocks = compiled(REPLAY + ", mode: strict, variables: [SPX, vix]}", replays=replays(CHANGES))
    noise = np.random.default_rng(5).normal(size=(30, 4))
    states = walk(world, shocks, noise)
    np.testing.assert_allclose(states[:3, SPX], np.cumsum(CHANGES[:, SPX]))
    np.testing.assert_allclose(states[:3, VIX], np.log(20) + np.cumsum(CHANGES[:, VIX]))
    assert not np.isclose(states[:3, WTI], np.cumsum(CHANGES[:, WTI])).any()


def test_a_replay_leaves_out_what_has_no_history_and_says_so() -> None:
    holed = CHANGES.copy()
    holed[1, VIX] = np.nan
    shocks = compiled(REPLAY + "}", replays=replays(holed))
    assert not shocks.add[:, VIX].any()
    assert shocks.add[:3, SPX].any()
    assert "no complete history of vix" in shocks.remarks[0]
    assert "vix" in refused(REPLAY + ", variables: [vix]}", replays=replays(holed))
    assert "hand its changes over" in refused(REPLAY + "}")
    assert "shape (3, 2)" in refused(REPLAY + "}", replays=replays(CHANGES[:, :2]))


def test_changes_are_on_the_scale_of_each_variable() -> None:
    levels = np.array([[100.0, 50.0, 20.0, 1.0], [110.0, 0.0, 30.0, np.nan], [99.0, 55.0, 30.0, 2.0]])
    changes = changes_of(small_world(), levels)
    np.testing.assert_allclose(changes[:, SPX], np.log([1.1, 0.9]))
    np.testing.assert_allclose(changes[:, VIX], np.log([1.5, 1.0]))
    assert np.isnan(changes[:, [WTI, SPREAD]]).all()


def test_correlations_blend_within_their_group_for_their_steps() -> None:
    world = small_world()
    shocks = compiled("{kind: correlation, toward: 0.8, blend: 0.5, from: 3, until: 5}")
    assert shocks.phase.tolist() == [0, 0, 1, 1, 1] + [0] * 25
    assert len(shocks.correlations) == 2
    assert shocks.correlations[1][SPX, WTI] == pytest.approx(0.55)
    np.testing.assert_array_equal(shocks.correlations[1][2:], world.correlation[2:])


def test_a_matrix_is_taken_in_the_order_of_its_names() -> None:
    matrix = "toward: [[1, 0.9, -0.6], [0.9, 1, -0.5], [-0.6, -0.5, 1]]"
    shocks = compiled(f"{{kind: correlation, variables: [WTI, SPX, vix], {matrix}}}")
    assert shocks.correlations[1][WTI, VIX] == -0.6
    assert shocks.correlations[1][SPX, VIX] == -0.5


def test_contradicting_correlations_are_repaired_or_refused() -> None:
    shock = "{kind: correlation, variables: [SPX, vix], toward: 1.0"
    shocks = compiled(shock + "}")
    assert np.linalg.eigvalsh(shocks.correlations[1])[0] > 0
    assert np.diag(shocks.correlations[1]).tolist() == [1, 1, 1, 1]
    assert "made positive semi-definite" in shocks.remarks[0]
    assert "set repair: true" in refused(shock + ", repair: false}")
    impossible = "{kind: correlation, variables: [SPX, WTI, vix], toward: -1.0}"
    assert "eigenvalue" in refused(impossible)


@given(st.floats(-0.3, 1), st.floats(0, 1), st.sampled_from(["assets", "all", "[SPX, vix]", "[WTI, vix, spread]"]))
def test_any_stress_gives_a_correlation_matrix(toward: float, blend: float, variables: str) -> None:
    shocks = compiled(f"{{kind: correlation, variables: {variables}, toward: {toward}, blend: {blend}}}", 3)
    for matrix in shocks.correlations:
        assert np.array_equal(matrix, matrix.T)
        assert (np.diag(matrix) == 1).all()
        assert np.linalg.eigvalsh(matrix)[0] > -1e-7


def test_a_factor_on_deviations_is_squared_for_variances() -> None:
    shocks = compiled('{kind: volatility, by: "+50 %", from: 2, until: 3}', 5)
    assert shocks.variance.tolist() == [1, 2.25, 2.25, 1, 1]


@pytest.mark.parametrize(
    ("shock", "said"),
    [
        ("{kind: add, variable: GOLD, by: 1}", "no variable 'GOLD'"),
        ("{kind: add, variable: WTI, by: 20}", "log return since the origin of more than 3"),
        ("{kind: add, variable: WTI, by: 2, unit: USD}", "is in 'log return', not in 'USD'"),
        ('{kind: add, variable: WTI, by: "+2 pp"}', "has no meaning for it"),
        ('{kind: add, variable: spread, by: "+20 %"}', "use kind multiply"),
        ('{kind: add, variable: spread, by: "-2 pp"}', "outside its bounds 0 to 10"),
        ("{kind: add, variable: spread, by: .nan}", "sign first"),
        ("{kind: path, variable: vix, levels: [20, 30, 200]}", "level 3: vix would be at 200"),
        ("{kind: path, variable: vix, levels: []}", "at least 1 item"),
        ("{kind: conditional, given: {SPX: 0.1, SPY: 0.1}}", "no variable 'SPY'"),
        ('{kind: multiply, variable: vix, by: "-100 %"}', "above 0"),
        ("{kind: multiply, variable: vix, by: 1.1, days: 3}", "Extra inputs"),
        ("{kind: multiply, variable: vix, by: 1.1, over: 0}", "greater than or equal to 1"),
        ("{kind: multiply, variable: vix, by: 1.1, over: 2.5}", "valid integer"),
        ("{kind: wish, variable: vix}", "'wish'"),
        ("{kind: volatility, by: 2, from: 5, until: 2}", "before it begins"),
        ("{kind: correlation, toward: 1.5}", "less than or equal to 1"),
        ("{kind: correlation, toward: [[1, 0], [0, 1]]}", "list their names"),
        ("{kind: correlation, variables: [SPX, WTI], toward: [[1, 0]]}", "2 rows of 2 numbers"),
        ("{kind: correlation, variables: [SPX, WTI], toward: [[1, .nan], [.nan, 1]]}", "finite number"),
        ("{kind: correlation, variables: [SPX, WTI], toward: [[1, 2], [2, 1]]}", "eigenvalue"),
        ("{kind: correlation, variables: [SPX, WTI], toward: [[1, 0.2], [0.1, 1]]}", "symmetric"),
        ("{kind: replay, window: {from: 2009-01-01, to: 2008-01-01}}", "swap them"),
        ("{kind: replay, window: {from: 2008-01-01, to: 2009-01-01}, mode: strict, from: 2}", "begins at step 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(shock: str, said: str) -> None:
    assert said in refused(shock)


def test_what_cannot_move_independently_is_refused() -> None:
    same = small_world(correlation=np.ones((4, 4)))
    assert "cannot move independently" in refused("{kind: conditional, given: {SPX: 0.1, WTI: 0.1}}", world=same)
    still = small_world(sigma=np.array([0.06, 0.0]))
    assert "never moves by chance" in refused("{kind: conditional, given: {spread: 0.1}}", world=still)
    zero = small_world(level=np.array([3.0, 0.0]))
    assert "0 at the origin" in refused('{kind: multiply, variable: spread, by: "+10 %"}', world=zero)


MOVES = st.builds(
    Move,
    st.integers(0, 3),
    st.integers(0, 6),
    st.sampled_from([0.0, 1.0]),
    st.lists(st.floats(-2, 2), min_size=1, max_size=8).map(np.array),
)


@given(st.lists(MOVES, max_size=6))
def test_moves_happen_one_after_the_other(moves: list[Move]) -> None:
    keep, add = np.ones((5, len(NAMES))), np.zeros((5, len(NAMES)))
    put(keep, add, moves)
    states = np.random.default_rng(6).normal(size=(5, len(NAMES)))
    expected = states.copy()
    for move in moves:
        for i, value in enumerate(move.add):
            if move.first + i < 5:
                place = move.first + i, move.variable
                expected[place] = move.keep * expected[place] + value
    np.testing.assert_allclose(keep * states + add, expected)


def test_the_fingerprint_is_that_of_the_numbers() -> None:
    shock = "{kind: multiply, variable: WTI, by: 1.4, over: 10}"
    assert compiled(shock).fingerprint == compiled(shock.replace("1.4", '"+40 %"')).fingerprint
    assert compiled(shock).fingerprint != compiled(shock.replace("1.4", "1.5")).fingerprint
    assert compiled(shock).fingerprint != compiled(shock, 31).fingerprint
