"""Whether effects fit the variables they push, and how far one pushes on the variable's scale. Pure.

What belongs here: one effect at a time. Conditions are checked in ``rule_checks``, chains of rules in ``gains``.
"""

import math
from collections.abc import Iterator

from pulse_assets.simulation.rules.expression_units import plain
from pulse_assets.simulation.rules.model import Effect
from pulse_assets.simulation.rules.vocabulary import Term, Vocabulary
from pulse_assets.simulation.world import LARGEST_STEP_SD

VOLATILITY, REGIME = "volatility", "regime"
LARGEST_FACTOR = 10.0
"""Factor, or its inverse, beyond which a multiplication was meant otherwise."""


def variable_of(effect: Effect) -> str:
    """Return the variable that an effect names, empty for ``regime`` and ``volatility`` of all.

    Examples
    --------
    >>> variable_of(Effect(target="volatility.SPX", multiply=1.1))
    'SPX'
    """
    name = effect.target.removeprefix(f"{VOLATILITY}.")
    return "" if name in (VOLATILITY, REGIME) else name


def is_on_volatility(effect: Effect) -> bool:
    """Return whether an effect multiplies volatilities."""
    return effect.target == VOLATILITY or effect.target.startswith(f"{VOLATILITY}.")


def problems_of(effect: Effect, vocabulary: Vocabulary) -> Iterator[str]:
    """Yield what is wrong with an effect, all names of which the vocabulary has.

    Yields
    ------
    str
        What was expected, what came and what to do.
    """
    if effect.target == REGIME:
        if not isinstance(effect.set, str):
            yield f"`regime` can only be set to a name, came {effect.kind}"
        return
    if isinstance(effect.set, str):
        yield f"{effect.target} can only be set to a number, came {effect.set!r}: only `regime` takes a name"
        return
    if effect.kind == "multiply":
        yield from _problems_of_factor(effect)
    if is_on_volatility(effect):
        yield from _problems_on_volatility(effect, vocabulary)
    else:
        yield from _problems_on(vocabulary.terms[effect.target], effect)


def move(effect: Effect, term: Term) -> float:
    """Return by how much an effect moves a variable's state that stands at its long-run mean, once and in full."""
    match effect.kind:
        case "add" | "shock":
            return effect.amount
        case "set":
            return term.state(effect.amount) - term.mean
        case "multiply" if term.is_logarithm:
            return math.log(effect.amount)
        case "multiply":
            return (effect.amount - 1) * (abs(term.mean) or term.sd)


def _problems_of_factor(effect: Effect) -> Iterator[str]:
    if effect.amount == 1:
        yield f"multiplying {effect.target} by 1 does nothing: remove the effect"
    elif not 1 / LARGEST_FACTOR <= effect.amount <= LARGEST_FACTOR:
        yield f"{effect.target} is multiplied by {effect.amount:g}: a factor is from 0.1 to {LARGEST_FACTOR:g}"


def _problems_on_volatility(effect: Effect, vocabulary: Vocabulary) -> Iterator[str]:
    name = variable_of(effect)
    if effect.kind != "multiply":
        yield f"{effect.target} can only be multiplied, came {effect.kind}"
    if name and not vocabulary.terms[name].is_asset:
        yield f"{name} is no asset and has no volatility of its own: assets are {', '.join(vocabulary.assets)}"
    if not vocabulary.assets:
        yield "there is no asset in the world whose volatility could change: remove the effect"


def _problems_on(term: Term, effect: Effect) -> Iterator[str]:
    if (term.is_asset or (term.is_logarithm and effect.kind == "add")) and effect.kind not in ("shock", "multiply"):
        yield f"{term.name} moves in logarithms, so `{effect.kind}` has no meaning: use `shock` with a log return"
    elif term.is_asset and effect.kind == "multiply":
        yield f"the price of {term.name} cannot be multiplied: use `shock` with a log return, log({effect.amount:g})"
    elif effect.kind == "shock" and not (term.is_asset or term.is_logarithm):
        yield f"{term.name} is on a linear scale: use `add` with a size in {term.unit}"
    elif effect.kind in ("add", "shock"):
        yield from _problems_of_size(term, effect)
    elif effect.kind == "set":
        yield from _problems_of_level(term, effect)
    yield from _problems_of_unit(term, effect)


def _problems_of_size(term: Term, effect: Effect) -> Iterator[str]:
    if effect.amount == 0:
        yield f"{effect.kind} of 0 to {term.name} does nothing: remove the effect"
    elif effect.kind == "shock" and abs(effect.amount) > LARGEST_STEP_SD:
        yield f"a shock of {effect.amount:g} to {term.name} is no log return of a step: at most {LARGEST_STEP_SD:g}"
    elif abs(effect.amount) > term.high - term.low:
        yield f"adding {effect.amount:g} to {term.name} leaves its range {_bounds(term)}: make it smaller"


def _problems_of_level(term: Term, effect: Effect) -> Iterator[str]:
    above = effect.amount > 0 or not term.is_logarithm
    if not above or not term.low <= term.state(effect.amount) <= term.high:
        yield f"{term.name} is set to {effect.amount:g}, outside its range {_bounds(term)}: choose a level inside"


def _problems_of_unit(term: Term, effect: Effect) -> Iterator[str]:
    expected = term.unit_of_change() if effect.kind == "shock" else term.unit
    if effect.unit is not None and plain(effect.unit) != plain(expected):
        yield f"{effect.kind} to {term.name} is in [{expected}], the rule says [{effect.unit}]: convert it"


def _bounds(term: Term) -> str:
    return f"{term.level(term.low):g} to {term.level(term.high):g} {term.unit}"
