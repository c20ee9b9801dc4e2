"""What conditions mean: random ones are read, judged and rewritten without changing it; units are told apart."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pulse_assets.simulation.rules.expression_parser import parse
from pulse_assets.simulation.rules.expression_ranges import alternatives, can_hold, must_hold
from pulse_assets.simulation.rules.expression_units import check_units, unit_of
from pulse_assets.simulation.rules.expressions import (
    Arithmetic,
    Compare,
    Condition,
    Function,
    Junction,
    Level,
    Node,
    Not,
    Number,
    Past,
    RegimeIs,
    Step,
    walk,
    without_not,
)
from tests.assets.simulation.rule_words import words

numbers = st.integers(-3, 3).map(lambda n: Number(float(n)))
names = st.sampled_from(["vix", "us10y", "hope"])
atoms = st.one_of(numbers, names.map(Level), st.builds(Past, names, st.integers(1, 3), st.booleans()), st.just(Step()))
numerics = st.recursive(
    atoms,
    lambda part: st.one_of(
        st.builds(Arithmetic, st.sampled_from("+-*/"), part, part),
        st.builds(lambda a: Function("abs", (a,)), part),
        st.builds(lambda name, a, b: Function(name, (a, b)), st.sampled_from(["min", "max"]), part, part),
    ),
    max_leaves=5,
)
compares = st.builds(Compare, st.sampled_from(["<", "<=", ">", ">="]), numerics, numerics)
conditions = st.recursive(
    st.one_of(compares, st.builds(RegimeIs, st.sampled_from(["calm", "stressed"]), st.booleans())),
    lambda part: st.one_of(
        st.builds(Not, part),
        st.builds(lambda word, a, b: Junction(word, (a, b)), st.sampled_from(["and", "or"]), part, part),
    ),
    max_leaves=5,
)


def written(node: Node) -> str:
    """Return the text of a part, with every parenthesis."""
    match node:
        case Arithmetic(sign, left, right) | Compare(sign, left, right):
            return f"({written(left)} {sign} {written(right)})"
        case Function(name, parts):
            return f"{name}({', '.join(map(written, parts))})"
        case RegimeIs(regime, holds):
            return f"(regime {'==' if holds else '!='} {regime})"
        case Not(part):
            return f"(not {written(part)})"
        case Junction(word, parts):
            return f"({f' {word} '.join(map(written, parts))})"
        case _:
            return written_atom(node)


def written_atom(node: Node) -> str:
    """Return the text of a part that has no parts."""
    match node:
        case Number(value):
            return repr(value) if value >= 0 else f"(-{-value!r})"
        case Past(name, lag, moved):
            return f"{'change' if moved else 'lag'}({name}, {lag})"
        case Level(name):
            return name
        case _:
            return "step"


@given(conditions)
def test_what_is_written_is_read_again(condition: Condition) -> None:
    text = written(condition)
    assume(len(text.replace("(", " ( ").replace(")", " ) ").replace(",", " , ").split()) <= 100)
    assert parse(text) == condition


def value_of(node: Node, state: dict[Node, float]) -> float:
    """Return a number or a truth, as plainly as can be."""
    match node:
        case Number(value):
            return value
        case Arithmetic(sign, left, right):
            a, b = value_of(left, state), value_of(right, state)
            if sign == "/":
                return a / b if b else math.nan
            return {"+": a + b, "-": a - b, "*": a * b}[sign]
        case Function(name, parts):
            values = [value_of(part, state) for part in parts]
            return abs(values[0]) if name == "abs" else min(values) if name == "min" else max(values)
        case Compare(sign, left, right):
            a, b = value_of(left, state), value_of(right, state)
            return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[sign]
        case RegimeIs(regime, holds):
            return (state[RegimeIs("now")] == (regime == "stressed")) == holds
        case Not(part):
            return not value_of(part, state)
        case Junction(word, parts):
            return (all if word == "and" else any)(value_of(part, state) for part in parts)
        case _:
            return state[node]


def state_of(condition: Condition, draw: st.DataObject) -> dict[Node, float]:
    """Return values of all atoms within their bounds."""
    state: dict[Node, float] = {RegimeIs("now"): draw.draw(st.booleans())}
    bounds = {"vix": (5, 150), "us10y": (-10, 10), "hope": (0, 1)}
    for part in walk(condition):
        match part:
            case Step():
                state[part] = draw.draw(st.integers(1, 5))
            case Level(name) | Past(name, _, False):
                state[part] = draw.draw(st.floats(*bounds[name]))
            case Past(name, _, True):
                width = {"vix": math.log(30), "us10y": 20, "hope": 1}[name]
                state[part] = draw.draw(st.floats(-width, width))
    return state


@given(conditions, st.data())
def test_a_condition_that_holds_somewhere_is_never_called_impossible(condition: Condition, draw: st.DataObject) -> None:
    state = state_of(condition, draw)
    if value_of(condition, state):
        assert can_hold(condition, words())


@given(conditions, st.data())
def test_a_condition_that_fails_somewhere_is_never_called_certain(condition: Condition, draw: st.DataObject) -> None:
    state = state_of(condition, draw)
    values = [value_of(part, state) for part in walk(condition) if isinstance(part, Arithmetic)]
    if not value_of(condition, state) and np.isfinite(values).all():
        assert not must_hold(condition, words())


@given(conditions, st.data())
def test_moving_not_into_comparisons_changes_nothing(condition: Condition, draw: st.DataObject) -> None:
    state, moved = state_of(condition, draw), without_not(condition)
    assert not any(isinstance(part, Not) for part in walk(moved))
    values = [value_of(part, state) for part in walk(condition) if isinstance(part, Arithmetic)]
    if np.isfinite(values).all():
        assert value_of(condition, state) == value_of(moved, state)


@pytest.mark.parametrize(
    "text",
    [
        "vix > 50 and vix < 30",
        "vix > 200",
        "vix < -1",
        "vix > 30 and not vix > 20",
        "hope > 1",
        "2 * hope - 1 > 1.5",
        "hope < 0.2 and (hope > 0.3 or hope > 0.4)",
        "abs(us10y) < 0",
        "regime == calm and regime == stressed",
        "regime != calm and regime != stressed",
        "step < 1",
        "step > 5 and step < 6",
        "step == 5 and step == 6",
        "change(hope, 3) > 1",
        "us10y > 3 and us10y < 3",
        "us10y >= 3 and us10y < 3",
        "volatility(SPX) < 0",
        "min(hope, vix) > 2",
    ],
)
def test_contradictions_are_seen(text: str) -> None:
    assert not can_hold(parse(text), words())


@pytest.mark.parametrize(
    "text",
    ["vix > 4", "step >= 1", "hope <= 1", "regime == calm or regime != calm", "vix > 20 or vix < 30", "hope >= 0"],
)
def test_certainties_are_seen(text: str) -> None:
    assert must_hold(parse(text), words())


@pytest.mark.parametrize("text", ["vix > 20 and vix < 30", "us10y >= 3 and us10y <= 3", "hope < 1", "us10y / hope > 3"])
def test_what_may_hold_is_neither(text: str) -> None:
    assert can_hold(parse(text), words())
    assert not must_hold(parse(text), words())


def test_too_many_alternatives_are_left_alone() -> None:
    text = " and ".join(["(vix > 60 or vix < 50)"] * 7)
    assert alternatives(parse(text)) is None
    assert can_hold(parse(f"{text} and vix > 500"), words())


@pytest.mark.parametrize(
    "text",
    [
        "vix > 30 [percent per year]",
        "vix > 30 [Percent  per annum]",
        "vix > us10y",
        "vix > lag(vix, 2) + 3",
        "change(vix, 5) > 0.1 [log return]",
        "change(vix, 5) > change(SPX, 5)",
        "change(us10y, 5) > 0.5 [percent per year]",
        "vix / us10y > 5",
        "vix * us10y > 5 [percent] * us10y",
        "vix > 8 [percent] + 15.9 [percent] * (volatility(SPX) / 0.01 [log return])",
        "step > 5 [steps]",
        "SPX > 0.5 [log return]",
    ],
)
def test_like_units_fit(text: str) -> None:
    check_units(parse(text), words())


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("vix > SPX", ("[percent per year]", "[log return]")),
        ("vix > 30 [USD]", ("[percent per year]", "[usd]")),
        ("vix + hope > 3", ("[percent per year]", "[index]")),
        ("vix / us10y > 5 [percent]", ("no unit", "[percent per year]")),
        ("change(vix, 3) > 3 [percent]", ("[log return]", "[percent per year]")),
        ("max(vix, volatility(SPX)) > 3", ("[percent per year]", "[log return]")),
        ("step > vix", ("[steps]", "[percent per year]")),
        ("vix * vix > vix", ("[percent per year^2]", "[percent per year]")),
    ],
)
def test_different_units_are_refused_by_name(text: str, units: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="different units") as error:
        check_units(parse(text), words())
    assert all(unit in str(error.value) for unit in units)


def test_a_bare_number_has_any_unit() -> None:
    assert unit_of(Number(3.0), words()) is None
