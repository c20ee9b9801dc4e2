"""Which values a condition's parts can take, and whether it can hold at all. Pure.

What belongs here: interval analysis. Every part is treated as free to take any value in its range, so "cannot hold" is
certain, while "can hold" may still be wrong (``change(x, 5) > 1 and lag(x, 5) > x`` is not seen through).

References
----------
Moore, Kearfott and Cloud (2009), Introduction to Interval Analysis, chapters 2 and 5.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from pulse_assets.simulation.rules.expressions import (
    ATOMS,
    Arithmetic,
    Atom,
    Compare,
    Condition,
    Function,
    Junction,
    Level,
    Number,
    Numeric,
    Past,
    RegimeIs,
    Step,
    Volatility,
    walk,
    without_not,
)
from pulse_assets.simulation.rules.vocabulary import Vocabulary

MOST_ALTERNATIVES = 64
"""Alternatives of a condition beyond which nothing is said."""
Literals = tuple[Compare | RegimeIs, ...]


@dataclass(frozen=True)
class Range:
    """All numbers from low to high, both included; none if low is above high."""

    low: float
    high: float

    @property
    def is_empty(self) -> bool:
        """Whether no number is in it."""
        return self.low > self.high

    def meet(self, other: "Range") -> "Range":
        """Return the numbers in both."""
        return Range(max(self.low, other.low), min(self.high, other.high))


EVERYTHING = Range(-math.inf, math.inf)


@dataclass(frozen=True)
class Linear:
    """``slope * atom + offset``; no atom where the slope is 0."""

    slope: float
    atom: Atom | None
    offset: float


def can_hold(condition: Condition, vocabulary: Vocabulary) -> bool:
    """Return whether some state within the bounds might fulfil a condition; False is certain."""
    found = alternatives(condition)
    return found is None or any(_can_hold(literals, vocabulary) for literals in found)


def must_hold(condition: Condition, vocabulary: Vocabulary) -> bool:
    """Return whether every state within the bounds fulfils a condition; True is certain."""
    return not can_hold(without_not(condition, holds=False), vocabulary)


def alternatives(condition: Condition) -> list[Literals] | None:
    """Return a condition as alternatives of comparisons that hold together; None if they are too many."""
    return _alternatives(without_not(condition))


def linear(node: Numeric) -> Linear | None:
    """Return a number as a linear function of one atom, None if it is none."""
    if isinstance(node, Number):
        return Linear(0.0, None, node.value)
    if isinstance(node, ATOMS):
        return Linear(1.0, node, 0.0)
    if isinstance(node, Arithmetic):
        left, right = linear(node.left), linear(node.right)
        return None if left is None or right is None else _combined(node.sign, left, right)
    return None


def range_of(node: Numeric, known: Mapping[Atom, Range]) -> Range:
    """Return the values that a number can take, given those of its atoms."""
    if isinstance(node, Number):
        return Range(node.value, node.value)
    if isinstance(node, Function):
        return _range_of_function(node, [range_of(part, known) for part in node.parts])
    if isinstance(node, Arithmetic):
        return _range_of_arithmetic(node.sign, range_of(node.left, known), range_of(node.right, known))
    return known.get(node, EVERYTHING)


def bounds_of(atom: Atom, vocabulary: Vocabulary) -> Range:
    """Return the values an atom can take in a world."""
    if isinstance(atom, Step):
        return Range(1, math.inf)
    if isinstance(atom, Volatility):
        return Range(0, math.inf)
    term = vocabulary.terms[atom.name]
    if isinstance(atom, Past) and atom.moved:
        width = term.high - term.low
        return Range(-width, width)
    return Range(term.level(term.low), term.level(term.high))


def _alternatives(node: Condition) -> list[Literals] | None:
    if not isinstance(node, Junction):
        return [(node,)] if isinstance(node, Compare | RegimeIs) else None
    parts = [_alternatives(part) for part in node.parts]
    if any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    size = sum(map(len, known)) if node.word == "or" else math.prod(map(len, known))
    if size > MOST_ALTERNATIVES:
        return None
    if node.word == "or":
        return [literals for part in known for literals in part]
    return [tuple(literal for literals in chosen for literal in literals) for chosen in product(*known)]


def _can_hold(literals: Literals, vocabulary: Vocabulary) -> bool:
    regimes = set(vocabulary.regimes)
    for literal in literals:
        if isinstance(literal, RegimeIs):
            regimes = {name for name in regimes if (name == literal.regime) == literal.holds}
    if not regimes and any(isinstance(literal, RegimeIs) for literal in literals):
        return False
    compared = [literal for literal in literals if isinstance(literal, Compare)]
    known = {
        atom: bounds_of(atom, vocabulary)
        for literal in compared
        for atom in walk(literal)
        if isinstance(atom, Level | Past | Volatility | Step)
    }
    for literal in compared:
        _narrow(literal, known)
    return not any(each.is_empty for each in known.values()) and all(_possible(each, known) for each in compared)


def _narrow(literal: Compare, known: dict[Atom, Range]) -> None:
    """Restrict the range of an atom that is compared with a number."""
    found = linear(Arithmetic("-", literal.left, literal.right))
    if found is None or found.atom is None or found.slope == 0 or literal.sign == "!=":
        return
    limit = -found.offset / found.slope
    allowed = Range(limit, limit)
    if literal.sign != "==":
        strict = "=" not in literal.sign
        above = (literal.sign[0] == ">") == (found.slope > 0)
        limit = math.nextafter(limit, math.inf if above else -math.inf) if strict else limit
        allowed = Range(limit, math.inf) if above else Range(-math.inf, limit)
    met = known[found.atom].meet(allowed)
    known[found.atom] = Range(_ceil(met.low), _floor(met.high)) if isinstance(found.atom, Step) else met


def _ceil(value: float) -> float:
    return math.ceil(value) if math.isfinite(value) else value


def _floor(value: float) -> float:
    return math.floor(value) if math.isfinite(value) else value


def _possible(literal: Compare, known: Mapping[Atom, Range]) -> bool:
    left, right = range_of(literal.left, known), range_of(literal.right, known)
    match literal.sign:
        case "<":
            return left.low < right.high
        case "<=":
            return left.low <= right.high
        case ">":
            return left.high > right.low
        case ">=":
            return left.high >= right.low
        case "==":
            return not left.meet(right).is_empty
        case "!=":
            return not left.low == left.high == right.low == right.high


def _combined(sign: str, left: Linear, right: Linear) -> Linear | None:
    if sign in ("+", "-"):
        turn = 1.0 if sign == "+" else -1.0
        if left.atom is not None and right.atom is not None and left.atom != right.atom:
            return None
        return Linear(left.slope + turn * right.slope, left.atom or right.atom, left.offset + turn * right.offset)
    if sign == "*" and left.atom is None:
        left, right = right, left
    if right.atom is not None or (sign == "/" and right.offset == 0):
        return None
    factor = right.offset if sign == "*" else 1 / right.offset
    return Linear(left.slope * factor, left.atom, left.offset * factor)


def _range_of_function(node: Function, parts: list[Range]) -> Range:
    if node.name == "min":
        return Range(min(part.low for part in parts), min(part.high for part in parts))
    if node.name == "max":
        return Range(max(part.low for part in parts), max(part.high for part in parts))
    part = parts[0]
    ends = (abs(part.low), abs(part.high))
    return Range(0.0 if part.low <= 0 <= part.high else min(ends), max(ends))


def _range_of_arithmetic(sign: str, left: Range, right: Range) -> Range:
    if sign == "+":
        ends = [left.low + right.low, left.high + right.high]
    elif sign == "-":
        ends = [left.low - right.high, left.high - right.low]
    elif sign == "/" and right.low <= 0 <= right.high:
        return EVERYTHING
    else:
        act = _times if sign == "*" else _over
        ends = [act(a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
    return EVERYTHING if any(map(math.isnan, ends)) else Range(min(ends), max(ends))


def _times(a: float, b: float) -> float:
    return 0.0 if 0.0 in (a, b) else a * b


def _over(a: float, b: float) -> float:
    return math.nan if math.isinf(a) and math.isinf(b) else a / b
