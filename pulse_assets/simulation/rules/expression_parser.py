"""From the text of a condition to its parts: a parser of our own, which knows nothing but the language. Pure.

What belongs here: order of operations, and messages that quote text and column. The language is described in
``expressions``.
"""

from collections.abc import Callable
from typing import Literal, cast

from pulse_assets.simulation.rules.expression_words import Word, words_of
from pulse_assets.simulation.rules.expressions import (
    CONDITIONS,
    DEEPEST,
    LARGEST_LAG,
    LONGEST,
    RESERVED,
    Arithmetic,
    Compare,
    Comparison,
    Condition,
    Function,
    Junction,
    Level,
    Node,
    Not,
    Number,
    Numeric,
    Past,
    RegimeIs,
    Step,
    Volatility,
)

LARGEST_NUMBER = 1e30
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


def parse(text: str) -> Condition:
    """Return the condition that a text states.

    Raises
    ------
    ValueError
        No condition of the language, or too long, deep or large; the message quotes text and column.

    Examples
    --------
    >>> parse("vix > 30 [percent per year]")
    Compare(sign='>', left=Level(name='vix'), right=Number(value=30.0, unit='percent per year'))
    >>> parse("vix.real > 30")
    Traceback (most recent call last):
    ...
    ValueError: `vix.real > 30`, column 4: '.' has no meaning in a condition: use names, numbers, + - * /, comparisons
    """
    if len(text) > LONGEST:
        raise ValueError(
            f"a condition has at most {LONGEST} characters, this one {len(text)}: make several rules of it"
        )
    parser = _Parser(text)
    found = parser.condition()
    if parser.now.kind != "end":
        raise parser.refusal("the condition should have ended here: join conditions with `and` or `or`")
    if not isinstance(found, CONDITIONS):
        raise parser.refusal("this is a number, not a condition: compare it with something")
    return found


class _Parser:
    """Reads a text from left to right, one word ahead."""

    def __init__(self, text: str) -> None:
        self.text, self.depth, self.place = text, 0, 0
        self.words = words_of(text)

    @property
    def now(self) -> Word:
        """The word to be read next."""
        return self.words[self.place]

    def refusal(self, why: str) -> ValueError:
        """Return an error at the word to be read next."""
        came = f"came {self.now.text!r}" if self.now.text else "the text ends"
        return ValueError(f"`{self.text}`, column {self.now.column}: {came}: {why}")

    def condition(self) -> Node:
        """Read alternatives joined by ``or``."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.refusal(f"a condition is at most {DEEPEST} deep: make several rules of it")
        found = self._joined("or", lambda: self._joined("and", self._negation))
        self.depth -= 1
        return found

    def _joined(self, word: Literal["and", "or"], read: Callable[[], Node]) -> Node:
        first = read()
        if self.now.text != word:
            return first
        parts = [self._a_condition(first, word)]
        while self._took(word):
            parts.append(self._a_condition(read(), word))
        return Junction(word, tuple(parts))

    def _negation(self) -> Node:
        if not self._took("not"):
            return self._comparison()
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.refusal(f"a condition is at most {DEEPEST} deep: leave out pairs of `not`")
        found = Not(self._a_condition(self._negation(), "not"))
        self.depth -= 1
        return found

    def _comparison(self) -> Node:
        left = self._sum()
        if self.now.text not in COMPARISONS:
            return left
        sign = cast("Comparison", self._take().text)
        compared = Compare(sign, self._a_number(left, sign), self._a_number(self._sum(), sign))
        if self.now.text in COMPARISONS:
            raise self.refusal("comparisons cannot be chained: write `a < b and b < c`")
        if sign in ("==", "!=") and Step() not in (compared.left, compared.right):
            raise self.refusal(f"only `step` and `regime` can be compared with {sign}: use < or >")
        return compared

    def _sum(self) -> Node:
        return self._chain(("+", "-"), lambda: self._chain(("*", "/"), self._signed))

    def _chain(self, signs: tuple[str, ...], read: Callable[[], Node]) -> Node:
        left = read()
        while self.now.text in signs:
            sign = cast("Literal['+', '-', '*', '/']", self._take().text)
            left = Arithmetic(sign, self._a_number(left, sign), self._a_number(read(), sign))
        return left

    def _signed(self) -> Node:
        if not self._took("-"):
            return self._atom()
        part = self._a_number(self._atom(), "-")
        return Number(-part.value, part.unit) if isinstance(part, Number) else Arithmetic("*", Number(-1.0), part)

    def _atom(self) -> Node:
        token = self.now
        if token.kind == "number":
            return self._number()
        if self._took("("):
            found = self.condition()
            self._need(")")
            return found
        if token.kind == "name" and token.text not in RESERVED:
            return Level(self._variable())
        readers = {"lag": self._past, "change": self._past, "volatility": self._volatility, "regime": self._regime}
        readers |= {"step": self._step, "min": self._function, "max": self._function, "abs": self._function}
        if token.text in readers:
            return readers[token.text]()
        raise self.refusal("a number, a variable or a parenthesis was expected")

    def _number(self) -> Node:
        value = float(self._take().text)
        if value > LARGEST_NUMBER:
            raise ValueError(f"`{self.text}`: numbers are at most {LARGEST_NUMBER:g}: use another unit")
        unit = self._take().text[1:-1].strip() if self.now.kind == "unit" else None
        return Number(value, unit)

    def _variable(self) -> str:
        if self.now.kind != "name" or self.now.text in RESERVED:
            raise self.refusal("the name of a variable was expected")
        return self._take().text

    def _past(self) -> Node:
        word = self._take().text
        self._need("(")
        name = self._variable()
        self._need(",")
        lag = self._take().text if self.now.kind == "number" else ""
        if not (lag.isdigit() and 1 <= int(lag) <= LARGEST_LAG):
            raise self.refusal(f"{word}({name}, n) takes a whole number of steps from 1 to {LARGEST_LAG}")
        self._need(")")
        return Past(name, int(lag), word == "change")

    def _volatility(self) -> Node:
        self._take()
        self._need("(")
        name = self._variable()
        self._need(")")
        return Volatility(name)

    def _regime(self) -> Node:
        self._take()
        if self.now.text not in ("==", "!="):
            raise self.refusal("after `regime` comes == or != and the name of a regime")
        holds = self._take().text == "=="
        return RegimeIs(self._variable(), holds)

    def _step(self) -> Node:
        self._take()
        return Step()

    def _function(self) -> Node:
        name = cast("Literal['min', 'max', 'abs']", self._take().text)
        self._need("(")
        parts = [self._a_number(self._sum(), name)]
        while self._took(","):
            parts.append(self._a_number(self._sum(), name))
        self._need(")")
        if len(parts) != (1 if name == "abs" else 2):
            raise ValueError(
                f"`{self.text}`: {name} takes {'one part' if name == 'abs' else 'two parts'}, came {len(parts)}"
            )
        return Function(name, tuple(parts))

    def _a_number(self, node: Node, word: str) -> Numeric:
        if isinstance(node, CONDITIONS):
            raise self.refusal(f"{word!r} takes numbers, and one side of it is a condition: check the parentheses")
        return node

    def _a_condition(self, node: Node, word: str) -> Condition:
        if not isinstance(node, CONDITIONS):
            raise self.refusal(f"{word!r} takes conditions, and one side of it is a number: compare it with something")
        return node

    def _take(self) -> Word:
        token = self.now
        self.place += token.kind != "end"
        return token

    def _took(self, text: str) -> bool:
        fits = self.now.text == text
        self.place += fits
        return fits

    def _need(self, text: str) -> None:
        if not self._took(text):
            raise self.refusal(f"{text!r} was expected")
