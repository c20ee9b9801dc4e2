"""Rules as restricted Python, compiled into the fused kernel with every number a literal. Pure.

What belongs here: the text of ``apply_rules``. Conditions become text in ``expression_code``; where things stand in
memory is the world's business (``kernel.layout``).

A step has two phases. First every rule's condition is read from the state as it stands, into a mask of ones and zeros;
then effects follow, rule after rule. A rule that could fire on no path of a block costs nothing
after the first phase. Its memory is the step from which it may fire again, the intensity of a decaying effect, and
whether it has ever fired.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from pulse_assets.simulation.expression_code import STEP, cell, condition_text, number_text
from pulse_assets.simulation.expressions import Past, walk
from pulse_assets.simulation.kernel.layout import MEMORY_A_RULE, RuleRows
from pulse_assets.simulation.rule_effects import REGIME, VOLATILITY, is_on_volatility, move, variable_of
from pulse_assets.simulation.rule_model import Effect, Rule
from pulse_assets.simulation.vocabulary import Term, Vocabulary

CODE_VERSION = 1
"""Version of the text that the same rules become."""
RULES_A_DRAW = 4
"""Rules that one draw of uniforms serves."""
PURPOSE = 5
"""Purpose of the words drawn for rules."""
NEVER = 1e30
"""Step that no simulation reaches."""
FAINTEST = 1e-6
"""Intensity below which a decaying effect is over; it also keeps denormal numbers out."""
ZERO, ONE = "zero", "one"
"""Names of locals."""
SIGNATURE = (
    "def apply_rules(work: F32s, floats: F32s, counts: I64s, ids: U64s, k0: U64, k1: U64, branch: I64, t: I64,"
    " steps: I64, valid: I64) -> None:"
)


def rule_source(rules: Sequence[Rule], vocabulary: Vocabulary, rows: RuleRows) -> str:
    """Return the text of ``apply_rules`` for a block of paths at one step.

    Parameters
    ----------
    rules
        R rules that fit the vocabulary, in the order in which they take effect; rule r of ``floats``, ``counts``,
        memory and mask is the r-th of them.
    vocabulary
        What the world has.
    rows
        Where things stand.
    """
    body = list(_body(rules, vocabulary, rows))
    lines = (*_places(rules, body, rows), *body)
    return "\n".join((SIGNATURE, *(f"    {line}" for line in lines))) + "\n"


def lags_needed(rules: Sequence[Rule]) -> dict[str, int]:
    """Return the variables whose past is read, and how many steps back at most."""
    found: dict[str, int] = {}
    for part in _pasts(rules):
        found[part.name] = max(part.lag, found.get(part.name, 0))
    return found


def _places(rules: Sequence[Rule], body: Sequence[str], rows: RuleRows) -> Iterator[str]:
    """Yield locals for the number of the step, one and zero, and where the rows begin that the body uses.

    Numba's front end takes a millisecond for each call, so what is used often is named once, and locals of all rules
    have the same names where they can: each further name that is assigned twice is one more pass over everything.
    """
    yield f"{STEP}: F32 = F32(t + I64(1))"
    yield f"{ZERO}: F32 = F32(0.0)"
    yield f"{ONE}: F32 = F32(1.0)"
    for row in sorted({int(found) for line in body for found in re.findall(r"\brow_(\d+)", line)}):
        yield f"row_{row}: U64 = at(I64({row}), I64(0))"
    for name, lag in sorted({(part.name, part.lag) for part in _pasts(rules)}):
        slot = f"(t - I64({lag}) + I64({rows.depth})) % I64({rows.depth})"
        yield f"past_{lag}_{name}: U64 = at(I64({rows.ring[name]}) + {slot}, I64(0))"


def _pasts(rules: Sequence[Rule]) -> Iterator[Past]:
    yield from (part for rule in rules for part in walk(rule.condition) if isinstance(part, Past))


def _body(rules: Sequence[Rule], vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    yield from _silencing(len(rules), rows)
    for r, rule in enumerate(rules):
        yield from _first_phase(r, rule, vocabulary, rows)
    chancy = [r for r, rule in enumerate(rules) if rule.probability < 1]
    for block in range(-(-len(chancy) // RULES_A_DRAW)):
        yield from _drawing(block, chancy[RULES_A_DRAW * block : RULES_A_DRAW * (block + 1)], rules, rows)
    for r, rule in enumerate(rules):
        yield from _second_phase(r, rule, vocabulary, rows)


def _for_each_path(lines: Iterator[str]) -> Iterator[str]:
    yield "for lane in range(LANES):"
    yield "    i: U64 = U64(lane)"
    yield from _indented(lines)


def _silencing(rules: int, rows: RuleRows) -> Iterator[str]:
    """Yield what keeps the paths that fill up a block from ever firing: no rule of theirs may before a far step."""
    yield "if t == I64(0):"
    yield f"    for rule in range(I64({rules})):"
    yield "        for lane in range(valid, LANES):"
    yield f"            work[at(I64({rows.memory}) + rule * I64({MEMORY_A_RULE}), lane)] = {number_text(NEVER)}"


def _first_phase(r: int, rule: Rule, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    """Yield the mask of a rule, and the bits of all its numbers together, which are 0 where it fires on no path."""
    yield f"on_{r}: F32 = floats[I64({rows.enabled + r})]"
    yield f"any_{r}: I32 = I32(0)"
    yield from _for_each_path(_masking(r, rule, vocabulary, rows))
    if rule.half_life is not None:
        yield f"glow_{r}: I32 = any_{r}"
        intensity = cell(_memory(r, rows) + 1)
        yield from _for_each_path(iter([f"glow_{r} = I32(glow_{r} | bits_of({intensity}))"]))


def _masking(r: int, rule: Rule, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    condition = condition_text(rule.condition, vocabulary, rows)
    yield f"fires: BOOL = {condition} & ({STEP} >= {cell(_memory(r, rows))})"
    yield f"mask: F32 = on_{r} if fires else {ZERO}"
    yield f"{cell(rows.mask + r)} = mask"
    yield f"any_{r} = I32(any_{r} | bits_of(mask))"


def _drawing(block: int, chancy: Sequence[int], rules: Sequence[Rule], rows: RuleRows) -> Iterator[str]:
    """Yield the part of chance: uniforms for up to four rules, drawn where one of them could fire at all."""
    first = rows.uniforms + RULES_A_DRAW * block
    yield f"if ({' | '.join(f'any_{r}' for r in chancy)}) != I32(0):"
    yield f"    draw_uniform_rows(work, I64({first}), ids, k0, k1, I64({PURPOSE}), branch, t, I64({block}))"
    masks = {cell(rows.mask + r): (cell(first + i), rules[r].probability) for i, r in enumerate(chancy)}
    lines = (f"{mask} = {mask} if {u} < {number_text(chance)} else {ZERO}" for mask, (u, chance) in masks.items())
    yield from _indented(_for_each_path(lines))


def _second_phase(r: int, rule: Rule, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    yield f"if any_{r} != I32(0):"
    yield "    hits: I32 = I32(0)"
    yield "    firsts: I32 = I32(0)"
    lines = [*_remembering(r, rule, rows)]
    if rule.half_life is None:
        lines += [line for i, effect in enumerate(rule.effects) for line in _once(i, effect, vocabulary, rows)]
    yield from _indented(_for_each_path(iter(lines)))
    yield from _indented(_on_all_volatilities(r, rule, rows))
    yield f"    add_count(counts, I64({rows.fires + r}), I64(hits))"
    yield f"    add_count(counts, I64({rows.by_step}) + I64({r}) * steps + t, I64(hits))"
    yield f"    add_count(counts, I64({rows.first}) + I64({r}) * steps + t, I64(firsts))"
    if rule.half_life is not None:
        yield f"if glow_{r} != I32(0):"
        yield from _indented(_for_each_path(_decaying(r, rule, vocabulary, rows)))


def _remembering(r: int, rule: Rule, rows: RuleRows) -> Iterator[str]:
    """Yield what a fire leaves: when the rule may fire again, that it has fired, and counts.

    The bits of 1.0 shifted by 23 are odd, those of 0.0 are not: counting stays in 32-bit words, as vectors have them.
    """
    cool, seen = cell(_memory(r, rows)), cell(_memory(r, rows) + 2)
    yield f"mask: F32 = {cell(rows.mask + r)}"
    yield f"fired: BOOL = mask > {ZERO}"
    yield f"seen: F32 = {seen}"
    yield f"new: F32 = mask if seen == {ZERO} else {ZERO}"
    yield "hits = I32(hits + ((bits_of(mask) >> 23) & 1))"
    yield "firsts = I32(firsts + ((bits_of(new) >> 23) & 1))"
    yield f"{seen} = seen + new"
    if rule.cooldown:
        yield f"{cool} = {STEP} + {number_text(rule.cooldown + 1)} if fired else {cool}"


def _decaying(r: int, rule: Rule, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    """Yield effects that are applied at every step, in proportion to an intensity."""
    intensity = cell(_memory(r, rows) + 1)
    yield f"left: F32 = {intensity} * {number_text(rule.decay)}"
    yield f"left = left if left > {number_text(FAINTEST)} else {ZERO}"
    yield f"left = {ONE} if {cell(rows.mask + r)} > {ZERO} else left"
    yield f"{intensity} = left"
    for i, effect in enumerate(rule.effects):
        term = vocabulary.terms[effect.target]
        yield from _moving(i, term, f"x_{i} + {number_text(effect.amount)} * left", f"left > {ZERO}", rows)


def _once(i: int, effect: Effect, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    if effect.target == VOLATILITY:
        return
    if effect.target == REGIME:
        place = cell(rows.regime)
        yield f"{place} = {number_text(vocabulary.regimes.index(str(effect.set)))} if fired else {place}"
    elif is_on_volatility(effect):
        place = cell(rows.variance[variable_of(effect)])
        yield f"{place} = {place} * {number_text(effect.amount**2)} if fired else {place}"
    else:
        term = vocabulary.terms[effect.target]
        yield from _moving(i, term, _moved(i, effect, term), "fired", rows)


def _moved(i: int, effect: Effect, term: Term) -> str:
    if effect.kind == "set":
        return number_text(term.state(effect.amount))
    if effect.kind == "multiply" and not term.is_logarithm:
        return f"x_{i} * {number_text(effect.amount)}"
    return f"x_{i} + {number_text(move(effect, term))}"


def _moving(i: int, term: Term, moved: str, when: str, rows: RuleRows) -> Iterator[str]:
    """Yield a move of a state that stays within its bounds."""
    place = cell(rows.state[term.name])
    moved = f"max_({moved}, {number_text(term.low)})" if term.low > float("-inf") else moved
    moved = f"min_({moved}, {number_text(term.high)})" if term.high < float("inf") else moved
    yield f"x_{i}: F32 = {place}"
    yield f"{place} = {moved} if {when} else x_{i}"


def _on_all_volatilities(r: int, rule: Rule, rows: RuleRows) -> Iterator[str]:
    mask = f"work[at(I64({rows.mask + r}), lane)]"
    for effect in rule.effects:
        if effect.target == VOLATILITY:
            for first, last in _runs(sorted(rows.variance.values())):
                yield f"for row in range(I64({first}), I64({last + 1})):"
                yield "    for lane in range(LANES):"
                yield "        h: F32 = work[at(row, lane)]"
                yield f"        work[at(row, lane)] = h * {number_text(effect.amount**2)} if {mask} > {ZERO} else h"


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last of each run of consecutive numbers."""
    breaks = [-1, *(i for i, (a, b) in enumerate(pairwise(numbers)) if b != a + 1), len(numbers) - 1]
    yield from ((numbers[a + 1], numbers[b]) for a, b in pairwise(breaks) if b > a)


def _memory(r: int, rows: RuleRows) -> int:
    return rows.memory + MEMORY_A_RULE * r


def _indented(lines: Iterator[str], levels: int = 1) -> Iterator[str]:
    yield from (f"{'    ' * levels}{line}" for line in lines)
