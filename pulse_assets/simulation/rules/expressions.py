"""The small language of conditions: ``vix > 30 [percent per year] and change(SPX, 5) < -0.07``. Pure.

What belongs here: the parts that a condition has, and ways through them. Texts become parts in ``expression_parser``;
units are checked in ``expression_units``, ranges in ``expression_ranges``, and code is made in ``expression_code``.
Nothing is ever evaluated as Python.

    condition  = conjunct { "or" conjunct }             sum     = product { ("+" | "-") product }
    conjunct   = negation { "and" negation }            product = signed { ("*" | "/") signed }
    negation   = "not" negation | comparison            signed  = "-" signed | atom
    comparison = sum [ ("<"|"<="|">"|">="|"=="|"!=") sum ]

An atom is a number with an optional unit in square brackets, ``(condition)``, a variable, ``lag(variable, n)``,
``change(variable, n)``, ``volatility(asset)``, ``step``, ``min(a, b)``, ``max(a, b)``, ``abs(a)``, or
``regime == name`` and ``regime != name``. A variable is read as its level, an asset as its log return since the origin;
``change`` is the difference over n steps, of logarithms for assets and factors on a log scale; ``volatility`` is the
standard deviation of an asset's next step before regimes; ``step`` is 1 at the first. Only ``step`` can be compared
with ``==`` and ``!=``: other numbers are never exactly equal.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Comparison = Literal["<", "<=", ">", ">=", "==", "!="]

LONGEST, DEEPEST, MOST_PARTS, LARGEST_LAG = 1000, 20, 150, 260
"""Characters, nesting and parts of a condition, and steps of a lag, at most."""
RESERVED = frozenset({"and", "or", "not", "min", "max", "abs", "lag", "change", "volatility", "regime", "step"})
"""Words that no variable may be called."""
OPPOSITE: dict[str, Comparison] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


@dataclass(frozen=True)
class Number:
    """A number and its unit, None where none was written."""

    value: float
    unit: str | None = None


@dataclass(frozen=True)
class Level:
    """A variable as it stands."""

    name: str


@dataclass(frozen=True)
class Past:
    """A variable ``lag`` steps ago, or how far it ``moved`` since then."""

    name: str
    lag: int
    moved: bool


@dataclass(frozen=True)
class Volatility:
    """Standard deviation of an asset's next step before regimes."""

    name: str


@dataclass(frozen=True)
class Step:
    """Number of the step, 1 at the first."""


@dataclass(frozen=True)
class Arithmetic:
    """A sum, difference, product or quotient."""

    sign: Literal["+", "-", "*", "/"]
    left: "Numeric"
    right: "Numeric"


@dataclass(frozen=True)
class Function:
    """``min``, ``max`` or ``abs``."""

    name: Literal["min", "max", "abs"]
    parts: "tuple[Numeric, ...]"


@dataclass(frozen=True)
class Compare:
    """Two numbers compared."""

    sign: Comparison
    left: "Numeric"
    right: "Numeric"


@dataclass(frozen=True)
class RegimeIs:
    """Whether the regime is, or is not, the named one."""

    regime: str
    holds: bool = True


@dataclass(frozen=True)
class Junction:
    """Conditions of which all or any must hold."""

    word: Literal["and", "or"]
    parts: "tuple[Condition, ...]"


@dataclass(frozen=True)
class Not:
    """The contrary of a condition."""

    part: "Condition"


Atom = Level | Past | Volatility | Step
Numeric = Number | Atom | Arithmetic | Function
Condition = Compare | RegimeIs | Junction | Not
Node = Numeric | Condition
CONDITIONS, ATOMS = (Compare, RegimeIs, Junction, Not), (Level, Past, Volatility, Step)


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all parts of it.

    Examples
    --------
    >>> [type(part).__name__ for part in walk(Not(Compare(">", Function("abs", (Level("x"),)), Number(1.0))))]
    ['Not', 'Compare', 'Function', 'Level', 'Number']
    """
    yield node
    for part in parts_of(node):
        yield from walk(part)


def parts_of(node: Node) -> tuple[Node, ...]:
    """Return the direct parts of a node."""
    if isinstance(node, Arithmetic | Compare):
        return (node.left, node.right)
    if isinstance(node, Function | Junction):
        return node.parts
    return (node.part,) if isinstance(node, Not) else ()


def names_in(node: Node) -> tuple[str, ...]:
    """Return the variables that a node names, each once, in order."""
    return tuple(dict.fromkeys(part.name for part in walk(node) if isinstance(part, Level | Past | Volatility)))


def regimes_in(node: Node) -> tuple[str, ...]:
    """Return the regimes that a node names, each once, in order."""
    return tuple(dict.fromkeys(part.regime for part in walk(node) if isinstance(part, RegimeIs)))


def without_not(condition: Condition, holds: bool = True) -> Condition:
    """Return the condition, or its contrary, with every ``not`` moved into the comparisons, where it vanishes.

    A comparison with NaN is then false, and so is its contrary.

    Examples
    --------
    >>> without_not(Not(Junction("and", (RegimeIs("calm"), Not(RegimeIs("hot"))))))
    Junction(word='or', parts=(RegimeIs(regime='calm', holds=False), RegimeIs(regime='hot', holds=True)))
    """
    if isinstance(condition, Not):
        return without_not(condition.part, not holds)
    if isinstance(condition, Junction):
        word: Literal["and", "or"] = condition.word if holds else ("or" if condition.word == "and" else "and")
        return Junction(word, tuple(without_not(part, holds) for part in condition.parts))
    if isinstance(condition, RegimeIs):
        return RegimeIs(condition.regime, condition.holds == holds)
    return condition if holds else Compare(OPPOSITE[condition.sign], condition.left, condition.right)
