"""Conditions as restricted Python, the text that every compiler of the simulator takes. Pure.

What belongs here: one expression for one path at one step. Loops and effects are made in ``code``.
"""

import math
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from pulse_assets.simulation.kernel.layout import RuleRows
from pulse_assets.simulation.rules.expressions import (
    Arithmetic,
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
    without_not,
)
from pulse_assets.simulation.rules.vocabulary import Vocabulary

FUNCTIONS = {"min": "min_", "max": "max_", "abs": "fabs_"}
JOINTS = {"and": " & ", "or": " | "}
STEP, ZERO = "step", "zero"
"""Locals that hold the number of the step and 0, as float32."""


@dataclass(frozen=True)
class Logarithm:
    """A sum of states, each with sign 1 or -1, and a constant."""

    states: tuple[tuple[int, Level | Past], ...]
    constant: float


def number_text(value: float) -> str:
    """Return a float32 literal, written so that every compiler reads the same bits.

    Examples
    --------
    >>> number_text(0.1)
    'F32(0.10000000149011612)'
    """
    return f"F32({float(np.float32(value))!r})"


def cell(row: int) -> str:
    """Return a path's number of a row; the local ``row_N`` holds where row N begins, ``i`` the path's place in it."""
    return f"work[row_{row} + i]"


def past_cell(name: str, lag: int) -> str:
    """Return a path's past state; the local ``past_LAG_NAME`` holds where its row begins."""
    return f"work[past_{lag}_{name} + i]"


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
    """Return a comparison; of levels whose states are logarithms, and multiples of them, as one of logarithms."""
    left, right = log_of(node.left, vocabulary), log_of(node.right, vocabulary)
    if left is not None and right is not None and (left.states or right.states):
        return f"({_log_text(left, rows)} {node.sign} {_log_text(right, rows)})"
    return f"({_number(node.left, vocabulary, rows)} {node.sign} {_number(node.right, vocabulary, rows)})"


def log_of(node: Numeric, vocabulary: Vocabulary) -> Logarithm | None:
    """Return the logarithm of a number as a sum of states and a constant, None if it is no such sum."""
    if isinstance(node, Number):
        return Logarithm((), math.log(node.value)) if node.value > 0 else None
    if isinstance(node, Level | Past):
        return Logarithm(((1, node),), 0.0) if is_logarithm(node, vocabulary) else None
    if not isinstance(node, Arithmetic) or node.sign in ("+", "-"):
        return None
    left, right = log_of(node.left, vocabulary), log_of(node.right, vocabulary)
    if left is None or right is None:
        return None
    turn = 1 if node.sign == "*" else -1
    states = (*left.states, *((turn * power, state) for power, state in right.states))
    return Logarithm(states, left.constant + turn * right.constant)


def is_logarithm(node: Level | Past, vocabulary: Vocabulary) -> bool:
    """Return whether a part is a level whose state is its logarithm."""
    return vocabulary.terms[node.name].is_logarithm and not (isinstance(node, Past) and node.moved)


def _log_text(found: Logarithm, rows: RuleRows) -> str:
    """Return states one after another, then the constant."""
    text = ""
    for power, state in found.states:
        sign = ("" if power > 0 else "-") if not text else (" + " if power > 0 else " - ")
        text = f"({text}{sign}{_state(state, rows)})"
    if found.constant and text:
        return f"({text} + {number_text(found.constant)})"
    return text or number_text(found.constant)


def _state(node: Level | Past, rows: RuleRows) -> str:
    if isinstance(node, Level):
        return cell(rows.state[node.name])
    then = past_cell(node.name, node.lag)
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
            return f"exp_({text})" if is_logarithm(node, vocabulary) else text
        case Function(name, parts):
            return f"{FUNCTIONS[name]}({', '.join(_number(part, vocabulary, rows) for part in parts)})"
        case Arithmetic(sign, left, right):
            return f"({_number(left, vocabulary, rows)} {sign} {_number(right, vocabulary, rows)})"
        case _:
            assert_never(node)
