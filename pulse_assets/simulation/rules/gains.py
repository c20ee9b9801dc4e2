r"""Chains of rules that keep themselves alight: what one rule adds to another's condition, and cycles of that. Pure.

What belongs here: the gain of a rule on another, and the search for cycles whose gains multiply to more than 1.

Let rule r fire as often as its cool-down c lets it, from the long-run mean, for a year without noise: its effect a on
a variable v with autoregression φ moves v to

.. math:: m_t = φ m_{t-1} + a p 2^{-(t \bmod (c + 1)) / h}

(in full once, without a half-life h; p is the rule's probability). The gain of r on rule s through v is how far that
takes what s compares, in the direction that fires s, divided by the distance from the long-run mean to the number it is
compared with, but at least one stationary deviation. Mean reversion, cool-down and half-life therefore make a push die.
Where several variables are compared at once there is no such number, and the deviation alone is used. The gain on
``regime == x`` of a rule that sets it is p.

Limits: rules are taken alone (several may push a variable together), other parts of a condition are taken to hold, the
correlation of variables and the noise that a volatility or a regime adds are left out. So a product above 1 does not
prove an explosion, nor one below 1 that there is none; the guards of the simulator still watch for those.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from pulse_assets.simulation.rules.effects import REGIME, is_on_volatility, move, variable_of
from pulse_assets.simulation.rules.expression_ranges import linear
from pulse_assets.simulation.rules.expressions import (
    ATOMS,
    Arithmetic,
    Atom,
    Compare,
    Level,
    Past,
    RegimeIs,
    Step,
    Volatility,
    parts_of,
    walk,
    without_not,
)
from pulse_assets.simulation.rules.model import Effect, Rule
from pulse_assets.simulation.rules.vocabulary import STEPS_A_YEAR, Term, Vocabulary
from pulse_assets.simulation.world import Floats

LOG_VOLATILITY_SD = 0.35
"""Deviation of the logarithm of an asset's daily volatility: a judgement; realised volatility has 0.3 to 0.5."""


@dataclass(frozen=True)
class Gain:
    """How strongly one rule fires another, and through which variable."""

    source: int
    target: int
    through: str
    size: float


@dataclass(frozen=True)
class _Watch:
    """What a rule compares: a key of displacements, over how many steps (0: the level), which way, how far off."""

    key: str
    window: int
    direction: int
    distance: float


def gains_of(rules: Sequence[Rule], vocabulary: Vocabulary) -> list[Gain]:
    """Return the gain of each rule on each, where there is any, through the variable where it is largest."""
    pushes = [_displacements(rule, vocabulary) for rule in rules]
    watches = [_watches(rule, vocabulary) for rule in rules]
    found = []
    for r, push in enumerate(pushes):
        for s, watched in enumerate(watches):
            sizes = [(_size(push[each.key], each), each.key) for each in watched if each.key in push]
            sizes += [(chance, REGIME) for chance in _regime_gains(rules[r], rules[s])]
            if sizes and max(sizes)[0] > 0:
                size, key = max(sizes)
                found.append(Gain(r, s, key, size))
    return found


def explosive_cycle(gains: Sequence[Gain], rules: int) -> list[Gain] | None:
    """Return a cycle whose gains multiply to more than 1, None if there is none.

    Distances are negative logarithms of gains, so such a cycle is a negative one (Bellman 1958, Ford 1956).

    Examples
    --------
    >>> loop = [Gain(0, 1, "vix", 2.0), Gain(1, 0, "SPX", 0.6)]
    >>> [gain.through for gain in explosive_cycle(loop, 2)]
    ['vix', 'SPX']
    >>> explosive_cycle([Gain(0, 1, "vix", 2.0), Gain(1, 0, "SPX", 0.4)], 2) is None
    True
    """
    best, before = [0.0] * rules, dict[int, Gain]()
    changed: int | None = None
    for _ in range(rules):
        changed = None
        for gain in gains:
            reached = best[gain.source] + math.log(gain.size)
            if reached > best[gain.target] + 1e-12:
                best[gain.target], before[gain.target], changed = reached, gain, gain.target
        if changed is None:
            return None
    return None if changed is None else _cycle_behind(changed, before, rules)


def _cycle_behind(rule: int, before: dict[int, Gain], rules: int) -> list[Gain]:
    for _ in range(rules):
        rule = before[rule].source
    cycle = [before[rule]]
    while cycle[0].source != rule:
        cycle.insert(0, before[cycle[0].source])
    return cycle


def _displacements(rule: Rule, vocabulary: Vocabulary) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for effect in rule.effects:
        for key, amount, phi in _pushed(effect, vocabulary):
            found[key] = found.get(key, 0) + _response(rule, amount, phi, held=effect.kind == "set")
    return found


def _pushed(effect: Effect, vocabulary: Vocabulary) -> Iterator[tuple[str, float, float]]:
    if is_on_volatility(effect):
        for name in [variable_of(effect)] if variable_of(effect) else vocabulary.assets:
            yield f"volatility of {name}", math.log(effect.amount), vocabulary.terms[name].persistence
    elif effect.target != REGIME:
        term = vocabulary.terms[effect.target]
        yield term.name, move(effect, term), term.phi


def _response(rule: Rule, amount: float, phi: float, held: bool) -> Floats:
    """Return the displacement at each step of a year, shape ``(252,)``."""
    displaced, level = np.zeros(STEPS_A_YEAR), 0.0
    for t in range(STEPS_A_YEAR):
        since = t % (rule.cooldown + 1)
        pushed = amount * rule.probability * rule.decay**since
        level = pushed if held and since == 0 else phi * level + pushed
        displaced[t] = level
    return displaced


def _size(displaced: Floats, watch: _Watch) -> float:
    before = np.concatenate((np.zeros(watch.window), displaced))[:STEPS_A_YEAR] if watch.window else 0.0
    moved = displaced - before
    largest = np.abs(moved).max() if watch.direction == 0 else (watch.direction * moved).max()
    return float(largest) / watch.distance


def _regime_gains(source: Rule, target: Rule) -> list[float]:
    named = {effect.set for effect in source.effects if effect.target == REGIME}
    wanted = [part for part in walk(without_not(target.condition)) if isinstance(part, RegimeIs)]
    return [source.probability for name in named for part in wanted if (name == part.regime) == part.holds]


def _watches(rule: Rule, vocabulary: Vocabulary) -> list[_Watch]:
    compared = [part for part in walk(without_not(rule.condition)) if isinstance(part, Compare)]
    return [watch for part in compared for watch in _watches_of(part, vocabulary)]


def _watches_of(part: Compare, vocabulary: Vocabulary) -> Iterator[_Watch]:
    found = linear(Arithmetic("-", part.left, part.right))
    if found is None:
        for side in parts_of(part):
            for atom in walk(side):
                if isinstance(atom, ATOMS) and not isinstance(atom, Step):
                    yield _watch(atom, math.nan, 0, vocabulary)
    elif found.atom is not None and found.slope != 0 and not isinstance(found.atom, Step):
        above = (part.sign[0] == ">") == (found.slope > 0)
        yield _watch(found.atom, -found.offset / found.slope, 1 if above else -1, vocabulary)


def _watch(atom: Atom, limit: float, direction: int, vocabulary: Vocabulary) -> _Watch:
    assert not isinstance(atom, Step)
    term = vocabulary.terms[atom.name]
    key = f"volatility of {atom.name}" if isinstance(atom, Volatility) else atom.name
    window = atom.lag if isinstance(atom, Past) and atom.moved else 0
    mean, sd = _habit(atom, term)
    logarithmic = isinstance(atom, Volatility) or (term.is_logarithm and not window)
    limit = (math.log(limit) if limit > 0 else math.nan) if logarithmic else limit
    off = (limit - mean) * direction
    return _Watch(key, window, direction, max(off, sd, 1e-12) if math.isfinite(off) else max(sd, 1e-12))


@cache
def _habit(atom: Level | Past | Volatility, term: Term) -> tuple[float, float]:
    """Return mean and deviation in the long run of what is compared, logarithms where levels move in them."""
    if isinstance(atom, Volatility):
        return math.log(term.sigma), LOG_VOLATILITY_SD
    if not (isinstance(atom, Past) and atom.moved):
        return term.mean, term.sd
    if term.is_asset:
        return 0.0, term.sigma * math.sqrt(atom.lag)
    steps = sum(term.phi ** (2 * k) for k in range(atom.lag))
    return 0.0, math.sqrt(term.sigma**2 * steps + term.sd**2 * (1 - term.phi**atom.lag) ** 2)
