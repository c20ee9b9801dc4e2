"""Units of conditions: that nobody compares a yield with a log return. Pure.

What belongs here: the unit of each part. A bare number fits any unit; a product or quotient of two units is a new one,
and a quotient of like units has none, which fits bare numbers only.
"""

from collections import Counter
from typing import assert_never

from pulse_assets.simulation.rules.expressions import (
    Arithmetic,
    Compare,
    Condition,
    Function,
    Level,
    Number,
    Numeric,
    Past,
    Step,
    Volatility,
    walk,
)
from pulse_assets.simulation.rules.vocabulary import LOG_RETURN, Vocabulary

Unit = tuple[tuple[str, int], ...]
"""Units and their powers, in order of name; empty for a share."""
RATE = "percent per year"
SAME = {"log change": LOG_RETURN, "log returns": LOG_RETURN, "step": "steps"} | dict.fromkeys(
    ("percent", "percentage points", "percent per annum", "% per year", "%"), RATE
)
"""Other words for a unit; per cent are taken for per cent a year, since sources of yields say either."""


def check_units(condition: Condition, vocabulary: Vocabulary) -> None:
    """Refuse comparisons, sums, minima and maxima of different units.

    Raises
    ------
    ValueError
        With both units and what to do.
    """
    for part in walk(condition):
        if isinstance(part, Compare):
            _common((part.left, part.right), f"the sides of {part.sign!r}", vocabulary)


def plain(unit: str) -> str:
    """Return a unit in the one way it is compared: lower case, single spaces, one word for each thing.

    Examples
    --------
    >>> plain("Percent  per year"), plain("%"), plain("log change")
    ('percent per year', 'percent per year', 'log return')
    """
    words = " ".join(unit.lower().split())
    return SAME.get(words, words)


def unit_of(node: Numeric, vocabulary: Vocabulary) -> Unit | None:
    """Return the unit of a number, None where it fits any.

    Raises
    ------
    ValueError
        Different units are added or chosen from.
    """
    if isinstance(node, Number):
        return None if node.unit is None else _single(node.unit)
    if isinstance(node, Function):
        return _common(node.parts, f"the parts of {node.name}", vocabulary)
    if isinstance(node, Arithmetic):
        return _of_arithmetic(node, vocabulary)
    return _single(_unit_of_atom(node, vocabulary))


def written(unit: Unit | None) -> str:
    """Return a unit for messages.

    Examples
    --------
    >>> written((("percent", 1), ("year", -1))), written(())
    ('[percent * year^-1]', 'no unit')
    """
    if not unit:
        return "no unit"
    return f"[{' * '.join(name if power == 1 else f'{name}^{power}' for name, power in unit)}]"


def _unit_of_atom(node: Level | Past | Volatility | Step, vocabulary: Vocabulary) -> str:
    match node:
        case Step():
            return "steps"
        case Volatility():
            return LOG_RETURN
        case Past(name, _, moved):
            return vocabulary.terms[name].unit_of_change() if moved else vocabulary.terms[name].unit
        case Level(name):
            return vocabulary.terms[name].unit
        case _:
            assert_never(node)


def _of_arithmetic(node: Arithmetic, vocabulary: Vocabulary) -> Unit | None:
    if node.sign in ("+", "-"):
        return _common((node.left, node.right), f"the sides of {node.sign!r}", vocabulary)
    left, right = unit_of(node.left, vocabulary), unit_of(node.right, vocabulary)
    if left is None and (right is None or node.sign == "*"):
        return right
    return _multiplied(left or (), right or (), 1 if node.sign == "*" else -1)


def _common(parts: tuple[Numeric, ...], where: str, vocabulary: Vocabulary) -> Unit | None:
    units = [unit for unit in (unit_of(part, vocabulary) for part in parts) if unit is not None]
    for unit in units[1:]:
        if unit != units[0]:
            raise ValueError(
                f"{where} have different units, {written(units[0])} and {written(unit)}: convert one of them, or"
                " correct the unit in brackets"
            )
    return units[0] if units else None


def _single(unit: str) -> Unit:
    return ((plain(unit), 1),)


def _multiplied(left: Unit, right: Unit, power: int) -> Unit:
    powers = Counter(dict(left))
    for name, exponent in right:
        powers[name] += power * exponent
    return tuple(sorted((name, exponent) for name, exponent in powers.items() if exponent))
