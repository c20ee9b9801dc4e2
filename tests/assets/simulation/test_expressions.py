"""The language of conditions: what it takes, and that it takes nothing else."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.simulation.rules.expression_parser import parse
from pulse_assets.simulation.rules.expressions import (
    LARGEST_LAG,
    LONGEST,
    Arithmetic,
    Compare,
    Condition,
    Function,
    Junction,
    Level,
    Not,
    Number,
    Past,
    RegimeIs,
    Step,
    Volatility,
    names_in,
    regimes_in,
)

VIX, SPX = Level("vix"), Level("SPX")


def number(value: float) -> Number:
    return Number(float(value))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("vix > 30", Compare(">", VIX, number(30))),
        ("vix > 30 [percent per year]", Compare(">", VIX, Number(30.0, "percent per year"))),
        ("vix >= -1e-3", Compare(">=", VIX, number(-0.001))),
        ("lag(vix, 5) < .5", Compare("<", Past("vix", 5, moved=False), number(0.5))),
        ("change(SPX, 21) < -0.1", Compare("<", Past("SPX", 21, moved=True), number(-0.1))),
        ("volatility(SPX) > 0.02", Compare(">", Volatility("SPX"), number(0.02))),
        ("step == 3", Compare("==", Step(), number(3))),
        ("regime == calm", RegimeIs("calm")),
        ("regime != calm", RegimeIs("calm", holds=False)),
        ("abs(vix) > 1", Compare(">", Function("abs", (VIX,)), number(1))),
        ("min(vix, 3) > 1", Compare(">", Function("min", (VIX, number(3))), number(1))),
        ("((vix)) > (1)", Compare(">", VIX, number(1))),
        (
            "vix > 1 + 2 * 3",
            Compare(">", VIX, Arithmetic("+", number(1), Arithmetic("*", number(2), number(3)))),
        ),
        ("vix - 1 - 2 > 0", Compare(">", Arithmetic("-", Arithmetic("-", VIX, number(1)), number(2)), number(0))),
    ],
)
def test_texts_become_parts(text: str, found: Condition) -> None:
    assert parse(text) == found


def test_and_binds_closer_than_or_and_not_closer_than_both() -> None:
    found = parse("not vix > 1 and vix > 2 or vix > 3")
    assert isinstance(found, Junction)
    assert found.word == "or"
    first = found.parts[0]
    assert isinstance(first, Junction)
    assert first.word == "and"
    assert isinstance(first.parts[0], Not)


def test_names_and_regimes_are_each_told_once() -> None:
    found = parse("vix > 1 and lag(vix, 2) > volatility(SPX) and (regime == calm or regime != calm)")
    assert names_in(found) == ("vix", "SPX")
    assert regimes_in(found) == ("calm",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: the text ends: a number, a variable or a parenthesis was expected"),
        ("vix", "a number, not a condition"),
        ("vix >", "column 6: the text ends"),
        ("vix > 30 30", "column 10: came '30': the condition should have ended here"),
        ("1 < vix < 3", "cannot be chained: write `a < b and b < c`"),
        ("vix == 30", "only `step` and `regime` can be compared with =="),
        ("vix = 30", "column 5: '=' has no meaning"),
        ("(vix > 1", "')' was expected"),
        ("(vix > 1) > 2", "takes numbers, and one side of it is a condition"),
        ("vix and vix > 1", "takes conditions, and one side of it is a number"),
        ("not vix", "takes conditions"),
        ("vix > 1 [percent] [percent]", "should have ended here"),
        ("vix [percent] > 1", "should have ended here"),
        ("lag(vix) > 1", "',' was expected"),
        ("lag(vix, 0) > 1", f"whole number of steps from 1 to {LARGEST_LAG}"),
        ("lag(vix, 1.5) > 1", "whole number of steps"),
        ("lag(vix, 9999) > 1", "whole number of steps"),
        ("change(vix + 1, 5) > 1", "',' was expected"),
        ("volatility(3) > 1", "name of a variable was expected"),
        ("regime > 1", "after `regime` comes == or != and the name"),
        ("regime == 1", "name of a variable was expected"),
        ("min(vix) > 1", "min takes two parts, came 1"),
        ("abs(vix, 1) > 1", "abs takes one part, came 2"),
        ("vix > 1e999", "numbers are at most 1e+30"),
        ("and > 1", "a number, a variable or a parenthesis was expected"),
        ("vix > 1 &amp; 2", "has no meaning"),
        ("vix > 1 or", "the text ends"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        parse(text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') > 0",
        "vix.__class__ > 0",
        "vix[0] > 0",
        "(lambda: 1)() > 0",
        "vix ** 9 ** 9 ** 9 > 0",
        "[x for x in vix] > 0",
        "vix > 0 if vix else vix",
        "exec(vix) > 0",
        "vix > 0; vix > 1",
        "vix := 3",
        "\uff56\uff49\uff58 > 3",
        "vix > '3'",
        "f(vix) > 0",
        "`vix` > 0",
        "vix > 0x10",
        "vix > 1_000",
        "vix\x00 > 1",
    ],
)
def test_python_is_no_condition(text: str) -> None:
    with pytest.raises(ValueError, match="column"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 400 + "vix > 1" + ")" * 400,
        "not " * 200 + "vix > 1",
        "abs(" * 100 + "vix" + ")" * 100 + "> 1",
        "-" * 500 + "vix > 1",
        "vix > 1" + " + 1" * 200,
        "vix > 1" + " and vix > 1" * 75,
        "x" * (LONGEST + 1) + " > 1",
        "vix > 1" + " " * 100_000,
    ],
)
def test_deep_and_long_conditions_are_refused_quickly(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(ValueError, match=r"column|characters|parts"):
        parse(text)
    assert time.process_time() - begin < 1


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse(text)


@given(st.text("vixSPX()<>=!+-*/.,[] 0123456789andorlg", max_size=40))
def test_any_text_of_its_words_is_a_condition_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse(text)
