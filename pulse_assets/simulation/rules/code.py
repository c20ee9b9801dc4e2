"""Rules as restricted Python, compiled into the fused kernel with every number a literal. Pure.

What belongs here: the text of ``apply_rules``. Conditions become text in ``expression_code``, effects in
``effect_code``; where things stand in memory is the world's business (``kernel.layout``).

A step has two phases. First every rule's condition is read from the state as it stands, into a mask of ones and zeros;
then effects follow, rule after rule, for those rules that have anything to do in a block. The memory of a rule is the
step from which it may fire again (0 until it has fired) and the intensity of a decaying effect.
"""

import re
from collections.abc import Iterator, Sequence

from pulse_assets.simulation.kernel.layout import MEMORY_A_RULE, RuleRows
from pulse_assets.simulation.rules.effect_code import decaying, on_all_volatilities, once
from pulse_assets.simulation.rules.expression_code import STEP, ZERO, cell, condition_text, number_text
from pulse_assets.simulation.rules.expressions import Past, walk
from pulse_assets.simulation.rules.model import Rule
from pulse_assets.simulation.rules.vocabulary import Vocabulary

CODE_VERSION = 1
"""Version of the text that the same rules become."""
RULES_A_DRAW = 4
"""Rules that one draw of uniforms serves."""
PURPOSE = 5
"""Purpose of the words drawn for rules."""
NEVER = 1e30
"""Step that no simulation reaches."""
CHOOSE = """def choose(condition: BOOL, one: F32, other: F32) -> F32:
    return one if condition else other


@compiled
"""
"""A choice in a function of its own is a select by the time that it is inlined; several choices by the same condition
in one loop become branches, and those scattered stores. Whoever compiles the text decorates the first function."""
SIGNATURE = (
    "def apply_rules(work: F32s, floats: F32s, counts: I64s, ids: U64s, k0: U64, k1: U64, branch: I64, t: I64,"
    " steps: I64, valid: I64) -> None:"
)


def rule_source(rules: Sequence[Rule], vocabulary: Vocabulary, rows: RuleRows) -> str:
    """Return the text of ``apply_rules``, and of what it needs, for a block of paths at one step.

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
    return CHOOSE + "\n".join((SIGNATURE, *(f"    {line}" for line in lines))) + "\n"


def lags_needed(rules: Sequence[Rule]) -> dict[str, int]:
    """Return the variables whose past is read, and how many steps back at most."""
    found: dict[str, int] = {}
    for part in _pasts(rules):
        found[part.name] = max(part.lag, found.get(part.name, 0))
    return found


def _pasts(rules: Sequence[Rule]) -> Iterator[Past]:
    yield from (part for rule in rules for part in walk(rule.condition) if isinstance(part, Past))


def _places(rules: Sequence[Rule], body: Sequence[str], rows: RuleRows) -> Iterator[str]:
    """Yield locals for the number of the step, zero, and where the rows begin that the body uses.

    Numba's front end takes a millisecond for each call, so what is used often is named once, and locals of all rules
    have the same names where they can: each further name that is assigned twice is one more pass over everything.
    """
    yield f"{STEP}: F32 = F32(t + I64(1))"
    yield f"{ZERO}: F32 = F32(0.0)"
    for row in sorted({int(found) for line in body for found in re.findall(r"\brow_(\d+)", line)}):
        yield f"row_{row}: U64 = at(I64({row}), I64(0))"
    for name, lag in sorted({(part.name, part.lag) for part in _pasts(rules)}):
        slot = f"(t - I64({lag}) + I64({rows.depth})) % I64({rows.depth})"
        yield f"past_{lag}_{name}: U64 = at(I64({rows.ring[name]}) + {slot}, I64(0))"


def _body(rules: Sequence[Rule], vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    yield from _silencing(len(rules), rows)
    for r, rule in enumerate(rules):
        yield from _first_phase(r, rule, vocabulary, rows)
    chancy = [r for r, rule in enumerate(rules) if rule.probability < 1]
    for block in range(-(-len(chancy) // RULES_A_DRAW)):
        yield from _drawing(block, chancy[RULES_A_DRAW * block : RULES_A_DRAW * (block + 1)], rules, rows)
    for r, rule in enumerate(rules):
        yield from _second_phase(r, rule, vocabulary, rows)


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
    yield "for lane in range(LANES):"
    yield "    i: U64 = U64(lane)"
    yield f"    fires: BOOL = {condition_text(rule.condition, vocabulary, rows)} & ({STEP} >= {_free(r, rows)})"
    yield f"    mask: F32 = on_{r} if fires else {ZERO}"
    yield f"    {cell(rows.mask + r)} = mask"
    yield f"    any_{r} = I32(any_{r} | bits_of(mask))"


def _drawing(block: int, chancy: Sequence[int], rules: Sequence[Rule], rows: RuleRows) -> Iterator[str]:
    """Yield the part of chance: uniforms for up to four rules, drawn where one of them could fire at all."""
    first = rows.uniforms + RULES_A_DRAW * block
    yield f"if ({' | '.join(f'any_{r}' for r in chancy)}) != I32(0):"
    yield f"    draw_uniform_rows(work, I64({first}), ids, k0, k1, I64({PURPOSE}), branch, t, I64({block}))"
    yield "    for lane in range(LANES):"
    yield "        i: U64 = U64(lane)"
    for i, r in enumerate(chancy):
        mask, chance = cell(rows.mask + r), number_text(rules[r].probability)
        yield f"        {mask} = {mask} if {cell(first + i)} < {chance} else {ZERO}"


def _second_phase(r: int, rule: Rule, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    """Yield counts and effects; a rule that fires nowhere is skipped, unless effects of earlier fires go on."""
    waiting = f"any_{r}"
    if rule.half_life is not None:
        waiting = f"left_{r}"
        yield f"{waiting}: I32 = any_{r}"
        yield "for lane in range(LANES):"
        yield "    i: U64 = U64(lane)"
        yield f"    {waiting} = I32({waiting} | bits_of({cell(_memory(r, rows) + 1)}))"
    yield f"if {waiting} != I32(0):"
    yield "    hits: I32 = I32(0)"
    yield "    news: I32 = I32(0)"
    yield "    for lane in range(LANES):"
    yield "        i: U64 = U64(lane)"
    yield from (f"        {line}" for line in _acting(r, rule, vocabulary, rows))
    yield from (f"    {line}" for line in on_all_volatilities(r, rule, rows))
    yield f"    add_count(counts, I64({rows.fires + r}), I64(hits))"
    yield f"    add_count(counts, I64({rows.by_step}) + I64({r}) * steps + t, I64(hits))"
    yield f"    add_count(counts, I64({rows.first}) + I64({r}) * steps + t, I64(news))"


def _acting(r: int, rule: Rule, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    """Yield what a fire does and leaves.

    The bits of 1.0 shifted by 23 are odd, those of 0.0 are not: counting stays in 32-bit words, as vectors have them.
    """
    free = _free(r, rows)
    yield f"mask: F32 = {cell(rows.mask + r)}"
    yield f"fired: BOOL = mask > {ZERO}"
    yield f"ready: F32 = {free}"
    yield f"fresh: F32 = mask if ready == {ZERO} else {ZERO}"
    yield "hits = I32(hits + ((bits_of(mask) >> 23) & 1))"
    yield "news = I32(news + ((bits_of(fresh) >> 23) & 1))"
    yield f"{free} = choose(fired, {STEP} + {number_text(rule.cooldown + 1)}, ready)"
    if rule.half_life is None:
        for i, effect in enumerate(rule.effects):
            yield from once(i, effect, vocabulary, rows)
    else:
        yield from decaying(rule, cell(_memory(r, rows) + 1), vocabulary, rows)


def _free(r: int, rows: RuleRows) -> str:
    return cell(_memory(r, rows))


def _memory(r: int, rows: RuleRows) -> int:
    return rows.memory + MEMORY_A_RULE * r
