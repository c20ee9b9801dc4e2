"""Compiled rules against NumPy masks: the same states and the same counts."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.compiled_rules import CompiledRules, rows_of
from benchmarks.plain_rules import PlainRules
from pulse_assets.simulation.kernel.intrinsics import LANES
from pulse_assets.simulation.kernel.translate import c_functions
from pulse_assets.simulation.rules.checked_rules import CheckedRules
from pulse_assets.simulation.rules.code import lags_needed
from tests.assets.simulation.interpreted_rules import FEW, InterpretedRules
from tests.assets.simulation.rule_words import checked, rule, rule_set, words

STEPS = 30
EVERY_KIND = (
    rule("fear", "change(SPX, 5) < -0.03", "target: vix, multiply: 1.06", cooldown=3, priority=5),
    rule("fades", "vix > 24", "target: vix, multiply: 0.97", cooldown=2),
    rule(
        "level", "vix * hope > 9 or us10y / 2 - 1 > lag(us10y, 3)", "target: hope, add: -0.05, unit: index", cooldown=1
    ),
    rule("ratio", "vix / lag(vix, 4) > 1.1 and 2 * vix > us10y", "target: us10y, multiply: 1.01"),
    rule("slow", "change(us10y, 2) > 0.1", "target: WTI, shock: 0.001", half_life=3, cooldown=4),
    rule("twice", "hope < 0.4", "target: hope, add: 0.01}, {target: us10y, add: -0.01", half_life=1.5),
    rule("stress", "vix > 20 and regime == calm", "target: regime, set: stressed", probability=0.3, priority=9),
    rule("relief", "not (vix > 18 or regime != stressed)", "target: regime, set: calm", probability=0.6, priority=9),
    rule("rough", "volatility(SPX) > 0.011", "target: volatility, multiply: 0.9", cooldown=6),
    rule("oil", "abs(change(WTI, 3)) > 0.05", "target: volatility.WTI, multiply: 1.1", probability=0.5, cooldown=5),
    rule("late", "step >= 20 and max(hope, 0.5) > 0.55 and min(us10y, 0.6) > 0", "target: vix, set: 15", cooldown=9),
    rule("floor", "hope < 0.3", "target: hope, set: 0.3", priority=-9, probability=0.9),
    rule("extra", "step == 7", "target: SPX, shock: -0.01", probability=0.7),
)


def unchecked(*rules: str) -> CheckedRules:
    """Return rules without judging their units and cycles, which random ones would not survive."""
    return CheckedRules(rule_set(*rules).rules, words())


def origin(found: CheckedRules, paths: int, seed: int) -> tuple[PlainRules, dict[str, np.ndarray]]:
    """Return plain rules at the origin, and the shocks of each step by name, shape ``(steps, paths)``."""
    rng, terms = np.random.default_rng(seed), found.vocabulary.terms
    state = {
        name: np.clip(rng.normal(term.mean, 0 if term.is_asset else term.sd, paths), term.low, term.high).astype(
            np.float32
        )
        for name, term in terms.items()
    }
    variance = {name: rng.uniform(5e-5, 4e-4, paths).astype(np.float32) for name in found.vocabulary.assets}
    plain = PlainRules(found, state, variance, rng.integers(0, 2, paths).astype(np.float32))
    for name, lag in found.lags.items():
        for age in range(1, lag + 2):
            before = rng.normal(0, terms[name].sigma, paths)
            plain.past[name, -age] = (state[name] + before * np.sqrt(age)).astype(np.float32)
    return plain, {name: rng.normal(0, term.sigma, (STEPS, paths)).astype(np.float32) for name, term in terms.items()}


def run_both(
    found: CheckedRules,
    block: CompiledRules | InterpretedRules,
    seed: int = 1,
    enabled: tuple[bool, ...] | None = None,
    steps: int = STEPS,
) -> PlainRules:
    """Move plain and compiled rules alike, and compare after every step."""
    valid, paths = block.valid, len(block.ids)
    plain, shocks = origin(found, paths, seed)
    plain.enabled = enabled or plain.enabled
    block.fill(plain.state, plain.variance, plain.regime)
    block.floats[:] = plain.enabled
    for (name, step), values in plain.past.items():
        block.remember(name, step, values)
    plain.partial, plain.free_from[:, valid:] = True, 10**9
    for t in range(steps):
        for name, values in shocks.items():
            plain.state[name] += values[t]
            block.row(block.rows.state[name])[:] = plain.state[name]
        masks = plain.step(t, block.uniforms(t))
        block.step(t)
        assert_same(plain, block, masks, t)
        for name in found.lags:
            plain.past[name, t] = plain.state[name].copy()
            block.remember(name, t, plain.state[name])
    assert block.fires.tolist() == plain.fires.tolist()
    assert block.by_step().sum(axis=1).tolist() == plain.fires.tolist()
    assert block.by_step(first=True).sum(axis=1).tolist() == plain.firsts.tolist()
    return plain


def assert_same(plain: PlainRules, block: CompiledRules | InterpretedRules, masks: list[np.ndarray], t: int) -> None:
    """Compare everything that a step changes, on all paths, bit for bit."""
    for r, mask in enumerate(masks):
        assert block.by_step()[r, t] == np.count_nonzero(mask)
        np.testing.assert_array_equal(block.row(block.rows.mask + r), mask)
    for name, values in plain.state.items():
        np.testing.assert_array_equal(block.row(block.rows.state[name]), values, name)
    for name, values in plain.variance.items():
        np.testing.assert_array_equal(block.row(block.rows.variance[name]), values, name)
    np.testing.assert_array_equal(block.row(block.rows.regime), plain.regime)


@pytest.fixture(scope="module")
def every_kind() -> CheckedRules:
    return unchecked(*EVERY_KIND)


@pytest.fixture(scope="module")
def code(every_kind: CheckedRules) -> Callable[..., None]:
    return CompiledRules(every_kind, STEPS).apply


@pytest.mark.parametrize("valid", [LANES, 300, 1])
def test_compiled_rules_equal_plain_ones_bit_for_bit(
    every_kind: CheckedRules, code: Callable[..., None], valid: int
) -> None:
    block = CompiledRules(every_kind, STEPS, valid=valid, first_path=2**33, code=code)
    plain = run_both(every_kind, block, seed=valid)
    if valid == LANES:
        assert (plain.fires > 0).all(), dict(zip(every_kind.ids, plain.fires, strict=True))
        assert (plain.firsts < plain.fires).any()
    assert (plain.firsts <= valid).all()


def test_disabled_rules_do_nothing_and_leave_others_their_numbers(
    every_kind: CheckedRules, code: Callable[..., None]
) -> None:
    enabled = tuple(name not in ("stress", "fear", "slow") for name in every_kind.ids)
    plain = run_both(every_kind, CompiledRules(every_kind, STEPS, code=code), enabled=enabled)
    assert all((fires > 0) == on for fires, on in zip(plain.fires, enabled, strict=True))


def test_the_text_is_interpreted_as_it_is_compiled(every_kind: CheckedRules) -> None:
    run_both(every_kind, InterpretedRules(every_kind, STEPS, valid=FEW - 1), steps=12)


def test_the_text_becomes_c(every_kind: CheckedRules, code: Callable[..., None]) -> None:
    from pulse_assets.simulation.kernel.compile import rule_module

    source = every_kind.source(rows_of(every_kind, STEPS)[0])
    text = c_functions(rule_module(source).apply_rules)
    assert "pulse_choose" in text
    assert "pulse_apply_rules" in text


NUMBERS = st.integers(-4, 4).map(lambda n: f"{n / 2:g}" if n >= 0 else f"(0 - {-n / 2:g})")
READ = st.sampled_from(
    [
        "us10y",
        "hope",
        "vix",
        "lag(us10y, 1)",
        "lag(vix, 3)",
        "change(hope, 2)",
        "change(SPX, 1)",
        "volatility(WTI)",
        "SPX",
    ]
)
TERMS = st.one_of(READ, READ, NUMBERS, st.builds("{} {} {}".format, READ, st.sampled_from("+-*/"), READ))
COMPARED = st.builds("{} {} {}".format, TERMS, st.sampled_from(["<", "<=", ">", ">="]), TERMS)
SIMPLE = st.one_of(
    COMPARED, st.sampled_from(["regime == calm", "regime != calm", "step > 3", "step == 5", "step != 2"])
)
CONDITIONS = st.one_of(
    SIMPLE,
    st.builds("not ({})".format, SIMPLE),
    st.builds("{} {} ({})".format, SIMPLE, st.sampled_from(["and", "or"]), SIMPLE),
)
ONCE = st.sampled_from(
    [
        "target: us10y, add: 0.25",
        "target: us10y, multiply: 0.9",
        "target: us10y, set: 2.5",
        "target: hope, add: -0.2",
        "target: hope, set: 0",
        "target: vix, multiply: 1.2",
        "target: vix, shock: -0.1",
        "target: vix, set: 20",
        "target: SPX, shock: 0.01",
        "target: volatility, multiply: 1.1",
        "target: volatility.WTI, multiply: 0.5",
        "target: regime, set: stressed",
        "target: regime, set: calm",
    ]
)
DECAYING = st.sampled_from(["target: us10y, add: 0.25", "target: hope, add: 0.1", "target: SPX, shock: -0.01"])
CHANCES = st.fixed_dictionaries(
    {"cooldown": st.integers(0, 3), "probability": st.sampled_from([1, 1, 0.5, 0.1]), "priority": st.integers(-1, 1)}
)
RULES = st.one_of(
    st.tuples(CONDITIONS, ONCE, CHANCES),
    st.tuples(
        CONDITIONS, DECAYING, st.builds(lambda a, h: {**a, "half_life": h}, CHANCES, st.sampled_from([0.1, 1, 4]))
    ),
)


@settings(deadline=None)
@given(st.lists(RULES, min_size=1, max_size=6), st.integers(0, 2**31), st.integers(1, FEW))
def test_any_rules_equal_plain_ones(stated: list[tuple[str, str, dict[str, object]]], seed: int, valid: int) -> None:
    found = unchecked(*(rule(f"r{i}", when, effect, **more) for i, (when, effect, more) in enumerate(stated)))
    run_both(found, InterpretedRules(found, STEPS, valid=valid), seed=seed, steps=8)


def alone(*rules: str, steps: int = 12, **state: float) -> InterpretedRules:
    """Return a block whose rules have acted for some steps from a stated state that does not move by itself."""
    found = unchecked(*rules)
    block = InterpretedRules(found, STEPS, valid=FEW)
    for name, row in block.rows.state.items():
        block.row(row)[:] = state.get(name, found.vocabulary.terms[name].mean)
    for row in block.rows.variance.values():
        block.row(row)[:] = 1e-4
    for t in range(steps):
        block.step(t)
    return block


def test_a_cool_down_counts_the_steps_without_a_fire() -> None:
    block = alone(rule("a", "step >= 1", "target: SPX, shock: 0.01", cooldown=3))
    assert (block.by_step()[0, :12] > 0).tolist() == [True, False, False, False] * 3
    assert block.by_step(first=True)[0].tolist() == [FEW] + [0] * (STEPS - 1)


def test_a_half_life_halves_an_effect_and_a_new_fire_begins_it_anew() -> None:
    block = alone(rule("a", "step == 1 or step == 4", "target: us10y, add: 0.5", half_life=1), steps=6, us10y=0.0)
    whole = 0.5 * (1 + 0.5 + 0.25 + 1 + 0.5 + 0.25)
    np.testing.assert_allclose(block.row(block.rows.state["us10y"]), whole, rtol=1e-6)


def test_a_faint_effect_ends_and_leaves_no_denormal_number() -> None:
    block = alone(rule("a", "step == 1", "target: us10y, add: 0.5", half_life=1), steps=STEPS, us10y=0.0)
    assert (block.row(block.rows.memory + 1) == 0).all()
    np.testing.assert_allclose(block.row(block.rows.state["us10y"]), 1 - 2**-10, rtol=1e-6)


def test_conditions_are_read_before_any_effect() -> None:
    block = alone(
        rule("a", "us10y < 1", "target: us10y, set: 5", priority=1),
        rule("b", "us10y < 1", "target: hope, set: 0.9"),
        steps=1,
        us10y=0.0,
    )
    assert (block.row(block.rows.state["hope"]) == np.float32(0.9)).all()


def test_the_lower_priority_has_the_last_word() -> None:
    early = rule("z", "step == 1", "target: hope, set: 0.1", priority=2)
    late = rule("a", "step == 1", "target: hope, set: 0.9", priority=1)
    block = alone(late, early, steps=1)
    assert (block.row(block.rows.state["hope"]) == np.float32(0.9)).all()


def test_effects_stay_within_bounds_and_leave_other_paths_alone() -> None:
    block = alone(rule("a", "us10y > 3.5", "target: hope, add: 0.4"), us10y=4.0, steps=5)
    assert (block.row(block.rows.state["hope"]) == 1).all()
    still = alone(rule("a", "us10y > 3.5", "target: hope, add: 0.4"), us10y=3.0, hope=1.7)
    assert (still.row(still.rows.state["hope"]) == np.float32(1.7)).all()


def test_the_levels_of_logarithms_are_compared_as_logarithms(every_kind: CheckedRules) -> None:
    source = every_kind.source(rows_of(every_kind, STEPS)[0])
    assert source.count("exp_(") == 2  # `vix * hope > 9` and `2 * vix > us10y`


def test_lags_are_the_longest_of_each_variable(every_kind: CheckedRules) -> None:
    assert lags_needed(every_kind.active) == {"SPX": 5, "us10y": 3, "vix": 4, "WTI": 3}
    assert every_kind.lags == lags_needed(every_kind.active)
    assert every_kind.moves_variance
    assert not checked(rule("a", "vix > 30", "target: vix, multiply: 0.9")).moves_variance


def test_only_rules_of_chance_draw() -> None:
    sure = unchecked(rule("a", "vix > 30", "target: vix, multiply: 0.9"))
    assert "draw_uniform_rows" not in sure.source(rows_of(sure, STEPS)[0])
    five = unchecked(*(rule(f"r{i}", "vix > 30", "target: hope, add: 0.1", probability=0.5) for i in range(5)))
    assert five.source(rows_of(five, STEPS)[0]).count("draw_uniform_rows") == 2
