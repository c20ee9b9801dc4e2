"""Where things are in the arrays of a compiled world. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

MEMORY_A_RULE = 2
"""Rows a rule keeps for each path: the step from which it may fire again, 0 until it has fired, and its intensity."""


@dataclass(frozen=True)
class RuleRows:
    """Rows of ``work`` and offsets in ``floats`` and ``counts`` that compiled rules use.

    Attributes
    ----------
    state
        Row of each variable's state.
    variance
        Row of each asset's variance.
    regime
        Row of the regime's number.
    ring, depth
        First row of each variable with lags, and how many rows it has: the state at the end of step s stands in row
        ``ring[name] + (s + depth) % depth``.
    memory
        First of :data:`MEMORY_A_RULE` rows a rule.
    mask, uniforms
        Scratch: one row a rule, and four rows for each four rules begun.
    enabled
        Offset in ``floats`` of one number a rule, 1 or 0.
    fires, first, by_step
        Offsets in ``counts``: fires of each rule, and its first fires and fires at each step.
    """

    state: Mapping[str, int]
    variance: Mapping[str, int]
    regime: int
    ring: Mapping[str, int]
    depth: int
    memory: int
    mask: int
    uniforms: int
    enabled: int
    fires: int
    first: int
    by_step: int
