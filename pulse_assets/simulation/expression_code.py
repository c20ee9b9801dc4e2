"""Conditions as restricted Python, the text that every compiler of the simulator takes. Pure.

What belongs here: one expression for one path, ``lane``, at step ``t``. Loops and effects are made in ``rule_code``.
"""

import math
from typing import assert_never

import numpy as np

from pulse_assets.simulation.expression_ranges import linear
from pulse_assets.simulation.expressions import (
    Arithmetic,
    Compare,
    Condition,
    Function,
    Junction,
    Level,
    Node,
    Number,
    Numeric,
    Past,
    RegimeIs,
    Step,
    Volatility,
    without_not,
)
from pulse_assets.simulation.kernel.layout import RuleRows
from pulse_assets.simulation.vocabulary import Vocabulary

FUNCTIONS = {"min": "min_", "max": "max_", "abs": "fabs_"}
JOINTS = {"and": " & ", "or": " | "}
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
STEP = "step"
"""Name of the local that holds the number of the step as float32."""


def number_text(value: float) -> str:
    """Return a float32 literal, written so that every compiler reads the same bits.

    Examples
    --------
    >>> number_text(0.1)
    'F32(0.10000000149011612)'
    """
    return f"F32({float(np.float32(value))!r})"


def cell(row: int | str) -> str:
    """Return where a path's number of a row stands."""
    return f"work[at(I64({row}), lane)]" if isinstance(row, int) else f"work[at({row}, lane)]"


def slot(lag: int) -> str:
    """Return the name of the local that holds the place of a lag in the ring."""
    return f"slot_{lag}"


def condition_text(condition: Condition, vocabulary: Vocabulary, rows: RuleRows) -> str:
    """Return a condition as one expression of comparisons joined by ``&`` and ``|``.

    Raises
    ------
    KeyError
        ``rows`` lacks a variable.
    """
    return _condition(without_not(condition), vocabulary, rows)


def _condition(node: Condition, vocabulary: Vocabulary, rows: RuleRows) -> str:
    if isinstance(node, Junction):
        return f"({JOINTS[node.word].join(_condition(part, vocabulary, rows) for part in node.parts)})"
    if isinstance(node, RegimeIs):
        number = number_text(vocabulary.regimes.index(node.regime))
        return f"({cell(rows.regime)} {'==' if node.holds else '!='} {number})"
    assert isinstance(node, Compare), "`not` has been moved into the comparisons"
    return _compare(node, vocabulary, rows)


def _compare(node: Compare, vocabulary: Vocabulary, rows: RuleRows) -> str:
    """Return a comparison; the level of a logarithm and a number are compared as logarithms."""
    for one, other, sign in ((node.left, node.right, node.sign), (node.right, node.left, MIRRORED[node.sign])):
        constant = linear(other)
        if _is_logarithm(one, vocabulary) and constant is not None and constant.slope == 0 and constant.offset > 0:
            return f"({_state(one, rows)} {sign} {number_text(math.log(constant.offset))})"
    return f"({_number(node.left, vocabulary, rows)} {node.sign} {_number(node.right, vocabulary, rows)})"


def _is_logarithm(node: Numeric, vocabulary: Vocabulary) -> bool:
    is_level = isinstance(node, Level) or (isinstance(node, Past) and not node.moved)
    return is_level and vocabulary.terms[node.name].is_logarithm  # type: ignore[union-attr]


def _state(node: Node, rows: RuleRows) -> str:
    if isinstance(node, Level):
        return cell(rows.state[node.name])
    assert isinstance(node, Past)
    then = cell(f"I64({rows.ring[node.name]}) + {slot(node.lag)}")
    return f"({cell(rows.state[node.name])} - {then})" if node.moved else then


def _number(node: Numeric, vocabulary: Vocabulary, rows: RuleRows) -> str:
    match node:
        case Number(value):
            return number_text(value)
        case Step():
            return STEP
        case Volatility(name):
            return f"sqrt_({cell(rows.variance[name])})"
        case Level() | Past():
            text = _state(node, rows)
            return f"exp_({text})" if _is_logarithm(node, vocabulary) else text
        case Function(name, parts):
            return f"{FUNCTIONS[name]}({', '.join(_number(part, vocabulary, rows) for part in parts)})"
        case Arithmetic(sign, left, right):
            return f"({_number(left, vocabulary, rows)} {sign} {_number(right, vocabulary, rows)})"
        case _:
            assert_never(node)
