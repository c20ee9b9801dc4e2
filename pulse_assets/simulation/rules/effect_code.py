"""Effects as restricted Python: statements for one path, ``i``, on which a rule has ``fired`` or not. Pure.

What belongs here: how states, variances and regimes change. When they do is decided in ``code``.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from pulse_assets.simulation.kernel.layout import RuleRows
from pulse_assets.simulation.rules.effects import REGIME, VOLATILITY, is_on_volatility, move, variable_of
from pulse_assets.simulation.rules.expression_code import ZERO, cell, number_text
from pulse_assets.simulation.rules.model import Effect, Rule
from pulse_assets.simulation.rules.vocabulary import Term, Vocabulary

FAINTEST = 2**-10
"""Intensity below which a decaying effect is over, after ten half-lives; it also keeps denormal numbers out."""


def once(i: int, effect: Effect, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    """Yield the statements of an effect that is applied in the step of the fire, but for volatilities of all assets."""
    if effect.target == VOLATILITY:
        return
    if effect.target == REGIME:
        yield from _choosing(i, cell(rows.regime), number_text(vocabulary.regimes.index(str(effect.set))), "fired")
    elif is_on_volatility(effect):
        place = cell(rows.variance[variable_of(effect)])
        yield from _choosing(i, place, f"x_{i} * {number_text(effect.amount**2)}", "fired")
    else:
        term = vocabulary.terms[effect.target]
        yield from _moving(i, term, _moved(i, effect, term), "fired", rows)


def decaying(rule: Rule, intensity: str, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    """Yield the statements of effects that are applied at every step, in proportion to an intensity."""
    yield f"left: F32 = {intensity} * {number_text(rule.decay)}"
    yield f"left = left if left > {number_text(FAINTEST)} else {ZERO}"
    yield "left = choose(fired, mask, left)"
    yield f"alive: BOOL = left > {ZERO}"
    yield f"{intensity} = left"
    for i, effect in enumerate(rule.effects):
        term = vocabulary.terms[effect.target]
        yield from _moving(i, term, f"x_{i} + {number_text(effect.amount)} * left", "alive", rows)


def on_all_volatilities(r: int, rule: Rule, rows: RuleRows) -> Iterator[str]:
    """Yield loops that multiply the variance of every asset on the paths of a rule's mask."""
    mask = f"work[at(I64({rows.mask + r}), lane)]"
    for effect in rule.effects:
        if effect.target == VOLATILITY:
            for first, last in _runs(sorted(rows.variance.values())):
                yield f"for row in range(I64({first}), I64({last + 1})):"
                yield "    for lane in range(LANES):"
                yield "        h: F32 = work[at(row, lane)]"
                yield f"        g: F32 = h * {number_text(effect.amount**2)}"
                yield f"        work[at(row, lane)] = g if {mask} > {ZERO} else h"


def _moved(i: int, effect: Effect, term: Term) -> str:
    if effect.kind == "set":
        return number_text(term.state(effect.amount))
    if effect.kind == "multiply" and not term.is_logarithm:
        return f"x_{i} * {number_text(effect.amount)}"
    return f"x_{i} + {number_text(move(effect, term))}"


def _moving(i: int, term: Term, moved: str, when: str, rows: RuleRows) -> Iterator[str]:
    """Yield a move of a state that stays within its bounds."""
    place = cell(rows.state[term.name])
    moved = f"max_({moved}, {number_text(term.low)})" if term.low > -math.inf else moved
    moved = f"min_({moved}, {number_text(term.high)})" if term.high < math.inf else moved
    yield from _choosing(i, place, moved, when)


def _choosing(i: int, place: str, moved: str, when: str) -> Iterator[str]:
    yield f"x_{i}: F32 = {place}"
    yield f"{place} = choose({when}, {moved}, x_{i})"


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last of each run of consecutive numbers."""
    breaks = [-1, *(i for i, (a, b) in enumerate(pairwise(numbers)) if b != a + 1), len(numbers) - 1]
    yield from ((numbers[a + 1], numbers[b]) for a, b in pairwise(breaks) if b > a)
