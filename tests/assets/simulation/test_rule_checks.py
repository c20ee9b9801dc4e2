"""Whether rules fit a world, and whether they keep each other alight."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.simulation.rules.checked_rules import never_or_always
from pulse_assets.simulation.rules.gains import Gain, explosive_cycle, gains_of
from pulse_assets.simulation.rules.rule_checks import check_rules
from pulse_assets.simulation.rules.vocabulary import Term, Vocabulary, vocabulary_of
from pulse_assets.simulation.world import Regimes, Variable, World
from tests.assets.simulation.rule_words import RATE, checked, rule, rule_set, words


def world() -> World:
    """Return one stock, one factor on each scale, two regimes."""
    one, eye = np.ones(1), np.eye(3)
    variables = (
        Variable("SPX", "asset", "USD"),
        Variable("vix", "macro", RATE, "log", low=5, high=150),
        Variable("hope", "overlay", "index", low=0, high=1),
    )
    regimes = Regimes(("calm", "stressed"), np.full((2, 2), 0.5), np.array([1.0, 0]), np.ones(2), np.zeros(2))
    garch = (one * 1e-6, one * 0.05, one * 0.1, one * 0.88, one * 1e-4)
    level = np.array([np.log(20), 0.5])
    ways = (level, level, np.array([0.97, 0.9]), np.array([0.07, 0.05]))
    return World(variables, one * 0, *garch, *ways, eye, regimes=regimes)


def test_a_vocabulary_says_what_a_world_has() -> None:
    found = vocabulary_of(world())
    spx, vix, hope = (found.terms[name] for name in ("SPX", "vix", "hope"))
    assert found.regimes == ("calm", "stressed")
    assert found.assets == ("SPX",)
    assert (spx.unit, spx.phi) == ("log return", 1.0)
    assert spx.persistence == pytest.approx(0.05 + 0.05 + 0.88)
    assert spx.sigma == pytest.approx(np.sqrt(1e-6 / 0.02))
    assert (vix.low, vix.high) == pytest.approx((np.log(5), np.log(150)))
    assert vix.sd == pytest.approx(0.07 / np.sqrt(1 - 0.97**2))
    assert (hope.low, hope.high, hope.mean) == (0, 1, 0.5)


def test_a_variable_with_the_name_of_a_word_is_refused() -> None:
    term = Term("step", "macro", "linear", RATE, 0, 1, 0, 1, 0.9, 0.1)
    with pytest.raises(ValueError, match="variable 'step' has the name of a word"):
        Vocabulary({"step": term})


def test_rules_are_checked_against_a_world_itself() -> None:
    rules = rule_set(rule("a", "vix > 30 and regime == calm", "target: hope, add: -0.01"))
    assert check_rules(rules, world()).ids == ("a",)


@pytest.mark.parametrize(
    ("when", "effect", "message"),
    [
        (
            "vxi > 30",
            "target: vix, multiply: 1.1",
            "there is no variable 'vxi' in the world: did you mean vix? Correct it",
        ),
        ("VIX > 30", "target: vix, multiply: 1.1", "no variable 'VIX' in the world: did you mean vix?"),
        (
            "vix > 30",
            "target: gold, shock: 0.1",
            "no variable 'gold' in the world: known are SPX, WTI, vix, us10y, hope.",
        ),
        ("regime == calme", "target: vix, multiply: 1.1", "no regime 'calme' in the world: did you mean calm?"),
        ("vix > 30", "target: regime, set: stres", "no regime 'stres' in the world: did you mean stressed?"),
        ("lag(vxi, 3) > 30", "target: vix, multiply: 1.1", "no variable 'vxi'"),
        ("vix > 30", "target: volatility.SPY, multiply: 1.1", "no variable 'SPY' in the world: did you mean SPX?"),
        ("volatility(vix) > 3", "target: vix, multiply: 1.1", "volatility(vix) needs an asset"),
        ("vix > 30 [USD]", "target: vix, multiply: 1.1", "the sides of '>' have different units"),
        ("vix > 30 and vix < 20", "target: vix, multiply: 1.1", "`vix > 30 and vix < 20` can never hold"),
        ("vix > 30", "target: us10y, add: 1, unit: USD", "add to us10y is in [percent per year], the rule says [USD]"),
        ("vix > 30", "target: vix, shock: 0.1, unit: percent", "shock to vix is in [log return]"),
        ("vix > 30", "target: vix, add: 1", "vix moves in logarithms, so `add` has no meaning: use `shock`"),
        ("vix > 30", "target: SPX, set: 1", "SPX moves in logarithms, so `set` has no meaning"),
        ("vix > 30", "target: SPX, add: 1", "SPX moves in logarithms, so `add` has no meaning"),
        ("vix > 30", "target: SPX, multiply: 1.1", "the price of SPX cannot be multiplied: use `shock`"),
        ("vix > 30", "target: us10y, shock: 0.1", "us10y is on a linear scale: use `add`"),
        ("vix > 30", "target: us10y, add: 0", "add of 0 to us10y does nothing"),
        ("vix > 30", "target: vix, multiply: 1", "multiplying vix by 1 does nothing"),
        ("vix > 30", "target: vix, multiply: 0", "a factor is from 0.1 to 10"),
        ("vix > 30", "target: vix, multiply: -2", "a factor is from 0.1 to 10"),
        ("vix > 30", "target: SPX, shock: 0.9", "no log return of a step: at most 0.5"),
        ("vix > 30", "target: hope, add: 1.5", "adding 1.5 to hope leaves its range 0 to 1 index"),
        ("vix > 30", "target: hope, set: 1.5", "hope is set to 1.5, outside its range 0 to 1 index"),
        ("vix > 30", "target: vix, set: -3", "vix is set to -3, outside its range 5 to 150"),
        ("vix > 30", "target: vix, set: calm", "can only be set to a number, came 'calm'"),
        ("vix > 30", "target: regime, set: 1", "`regime` can only be set to a name"),
        ("vix > 30", "target: regime, multiply: 2", "`regime` can only be set to a name"),
        ("vix > 30", "target: volatility, add: 2", "volatility can only be multiplied, came add"),
        ("vix > 30", "target: volatility.vix, multiply: 2", "vix is no asset and has no volatility of its own"),
    ],
)
def test_what_does_not_fit_is_refused_with_file_line_and_rule(when: str, effect: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^rules.yaml:3: rule 'a': ") as error:
        checked(rule("a", when, effect))
    assert message in str(error.value)


def test_all_errors_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"rules.yaml:3: rule 'a'.*\nrules.yaml:4: rule 'b'"):
        checked(rule("a", "vxi > 30", "target: vix, multiply: 1.1"), rule("b", "vix > 30", "target: vix, multiply: 1"))


def test_errors_point_at_the_line_of_the_condition_or_effect() -> None:
    rules = rule_set(
        "  - id: a\n    version: 1\n    rationale: r\n    source: s\n    when: vxi > 30\n    effects:\n"
        "      - {target: hope, add: 0.1}\n      - {target: gold, shock: 0.1}\n"
    )
    with pytest.raises(ValueError, match=r"rules.yaml:7: rule 'a': there is no variable 'vxi'(?s:.*)rules.yaml:10: "):
        check_rules(rules, words())


def test_rules_that_need_what_a_world_may_lack_are_left_out_with_the_reason() -> None:
    found = checked(
        rule("a", "despair > 0.5 and regime == panic", "target: vix, multiply: 1.1"),
        rule("b", "vix > 30", "target: vix, multiply: 0.99"),
        optional="despair, panic",
    )
    assert found.ids == ("b",)
    assert found.inactive == {"a": "needs despair, panic, which this world does not have"}


def test_an_optional_name_does_not_excuse_another() -> None:
    with pytest.raises(ValueError, match="no variable 'despare' in the world"):
        checked(rule("a", "despair > despare", "target: vix, multiply: 1.1"), optional="despair")


def test_a_condition_that_always_holds_is_a_warning() -> None:
    found = checked(rule("a", "hope >= 0", "target: vix, multiply: 0.99"))
    assert found.warnings == ("rules.yaml:3: rule 'a': `hope >= 0` always holds within the bounds",)


def test_rules_of_one_condition_that_set_different_levels_are_refused() -> None:
    one = rule("a", "vix > 30", "target: hope, set: 0.2")
    other = rule("b", "not vix <= 30", "target: hope, set: 0.8")
    with pytest.raises(ValueError, match=r"rule 'b' has the same condition as .*rule 'a' and priority, and sets hope"):
        checked(one, other)
    later = rule("b", "vix > 30", "target: hope, set: 0.8", priority=-1)
    assert checked(one, later).ids == ("a", "b")


def test_a_rule_written_twice_is_refused() -> None:
    effect = "target: hope, add: 0.01"
    with pytest.raises(ValueError, match="and the same effects: remove one of them"):
        checked(rule("a", "vix > 30", effect), rule("b", "vix > 30.0", effect))


def test_a_rule_that_sets_and_changes_one_target_is_refused() -> None:
    with pytest.raises(ValueError, match="hope is set and changed in one rule"):
        checked(rule("a", "vix > 30", "target: hope, set: 0.2}, {target: hope, add: 0.1"))


def test_a_rule_that_fires_itself_again_and_again_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rules.yaml:3: these|rule 'a': these rules keep each other alight: a -\(vix"):
        checked(rule("a", "vix > 30", "target: vix, multiply: 1.1"))


@pytest.mark.parametrize(
    "more", [{"cooldown": 60}, {"probability": 0.02}], ids=["a long cool-down", "a small probability"]
)
def test_mean_reversion_makes_rare_pushes_die(more: dict[str, object]) -> None:
    assert checked(rule("a", "vix > 30", "target: vix, multiply: 1.1", **more)).ids == ("a",)


def test_pushes_away_from_the_threshold_close_no_cycle() -> None:
    found = checked(rule("a", "vix > 30", "target: vix, multiply: 0.8"))
    assert gains_of(found.active, found.vocabulary) == []


def test_a_cycle_through_two_rules_is_named_with_its_gains() -> None:
    fear = rule("fear", "change(SPX, 5) < -0.05", "target: vix, multiply: 2")
    flight = rule("flight", "vix > 30", "target: SPX, shock: -0.05")
    with pytest.raises(ValueError, match="keep each other alight") as error:
        checked(fear, flight)
    assert re.search(r"-\(vix, [\d.]+\) -> flight -\(SPX, [\d.]+\)", str(error.value))
    assert re.search(
        r"the product of their gains is [\d.]+, above 1: make effects smaller, or cool-downs longer", str(error.value)
    )
    calmer = rule("flight", "vix > 30", "target: SPX, shock: -0.001", cooldown=10)
    weaker = rule("fear", "change(SPX, 5) < -0.05", "target: vix, multiply: 1.02", cooldown=10)
    assert len(checked(weaker, calmer).active) == 2


def test_a_half_life_adds_up() -> None:
    brief, long = (
        checked(rule("a", "us10y > 4", "target: us10y, add: 0.01", cooldown=20, **more))
        for more in ({}, {"half_life": 10})
    )
    small, large = (gains_of(each.active, each.vocabulary)[0].size for each in (brief, long))
    assert 5 < large / small < 14.5


def test_the_gain_of_one_fire_is_its_size_over_the_distance() -> None:
    found = checked(rule("a", "us10y > 5", "target: us10y, add: 0.5", cooldown=10_000))
    assert gains_of(found.active, found.vocabulary)[0].size == pytest.approx(0.5 / 2.0)


def test_regimes_close_cycles_with_the_probability_as_gain() -> None:
    stress = rule("stress", "vix > 30", "target: regime, set: stressed", probability=0.5)
    vix = rule("vix", "regime == stressed", "target: vix, multiply: 1.05", cooldown=50)
    found = checked(stress, vix)
    assert Gain(0, 1, "regime", 0.5) in gains_of(found.active, found.vocabulary)


def test_volatility_closes_cycles_on_its_logarithm() -> None:
    with pytest.raises(ValueError, match=r"a -\(volatility of SPX"):
        checked(rule("a", "volatility(SPX) > 0.015", "target: volatility, multiply: 1.2"))


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.floats(0.05, 4)),
        max_size=12,
        unique_by=lambda each: each[:2],
    )
)
def test_a_cycle_is_found_exactly_where_powers_of_the_gains_grow(edges: list[tuple[int, int, float]]) -> None:
    best, largest = np.zeros((5, 5)), 0.0
    for r, s, size in edges:
        best[r, s] = size
    paths = best.copy()
    for _ in range(5):
        largest = max(largest, np.diag(paths).max())
        paths = (paths[:, :, None] * best[None]).max(axis=1)
    cycle = explosive_cycle([Gain(r, s, "x", size) for r, s, size in edges], 5)
    if abs(largest - 1) > 1e-9:
        assert (cycle is not None) == (largest > 1)
    if cycle is not None:
        assert np.prod([gain.size for gain in cycle]) > 1
        assert all(a.target == b.source for a, b in zip(cycle, [*cycle[1:], cycle[0]], strict=True))


def test_idle_and_unconditional_rules_are_reported_after_a_run() -> None:
    found = checked(
        rule("idle", "vix > 100", "target: hope, add: 0.01"),
        rule("never_mind", "vix > 101", "target: hope, add: 0.01"),
        rule("steady", "vix > 6", "target: hope, add: 0.01", cooldown=4),
        rule("usual", "vix > 20", "target: hope, add: 0.01"),
    )
    found_in_run = never_or_always(found, np.array([0, 0, 1990, 3000]), 10_000, frozenset({"never_mind"}))
    assert [finding.rule for finding in found_in_run] == ["idle", "steady"]
    assert "never fired in 10000" in found_in_run[0].message
    assert "fired 1990 times of 2000 possible" in found_in_run[1].message
    with pytest.raises(ValueError, match="one count for each of 4 rules"):
        never_or_always(found, np.zeros(3, np.int64), 10)
