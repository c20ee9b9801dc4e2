"""Rules as restricted Python, compiled into the fused kernel with every number a literal. Pure.

What belongs here: the text of ``apply_rules``. Conditions become text in ``expression_code``; where things stand in
memory is the world's business (``kernel.layout``).

A step has two phases. First every rule's condition is read from the state as it stands, into a mask of ones and zeros;
then effects follow, rule after rule. A rule that could fire on no path of a block costs nothing
after the first phase. Its memory is the step from which it may fire again, the intensity of a decaying effect, and
whether it has ever fired.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from pulse_assets.simulation.expression_code import STEP, cell, condition_text, number_text, slot
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
    return "\n".join((SIGNATURE, *(f"    {line}" for line in _body(rules, vocabulary, rows)))) + "\n"


def lags_needed(rules: Sequence[Rule]) -> dict[str, int]:
    """Return the variables whose past is read, and how many steps back at most."""
    found: dict[str, int] = {}
    for part in (part for rule in rules for part in walk(rule.condition)):
        if isinstance(part, Past):
            found[part.name] = max(part.lag, found.get(part.name, 0))
    return found


def _body(rules: Sequence[Rule], vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    yield f"{STEP}: F32 = F32(t + I64(1))"
    for lag in sorted({part.lag for rule in rules for part in walk(rule.condition) if isinstance(part, Past)}):
        yield f"{slot(lag)}: I64 = (t - I64({lag}) + I64({rows.depth})) % I64({rows.depth})"
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
    yield f"            {cell(f'I64({rows.memory}) + rule * I64({MEMORY_A_RULE})')} = {number_text(NEVER)}"


def _first_phase(r: int, rule: Rule, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    """Yield the mask of a rule, and the bits of all its numbers together, which are 0 where it fires on no path."""
    condition = condition_text(rule.condition, vocabulary, rows)
    yield f"on_{r}: F32 = floats[I64({rows.enabled + r})]"
    yield f"any_{r}: I32 = I32(0)"
    yield "for lane in range(LANES):"
    yield f"    fires: BOOL = {condition} & ({STEP} >= {cell(_memory(r, rows))})"
    yield f"    mask: F32 = on_{r} if fires else F32(0.0)"
    yield f"    {cell(rows.mask + r)} = mask"
    yield f"    any_{r} = I32(any_{r} | bits_of(mask))"
    if rule.half_life is not None:
        yield f"glow_{r}: I32 = any_{r}"
        yield "for lane in range(LANES):"
        yield f"    glow_{r} = I32(glow_{r} | bits_of({cell(_memory(r, rows) + 1)}))"


def _drawing(block: int, chancy: Sequence[int], rules: Sequence[Rule], rows: RuleRows) -> Iterator[str]:
    """Yield the part of chance: uniforms for up to four rules, drawn where one of them could fire at all."""
    first = rows.uniforms + RULES_A_DRAW * block
    yield f"if ({' | '.join(f'any_{r}' for r in chancy)}) != I32(0):"
    yield f"    draw_uniform_rows(work, I64({first}), ids, k0, k1, I64({PURPOSE}), branch, t, I64({block}))"
    yield "    for lane in range(LANES):"
    for i, r in enumerate(chancy):
        mask = cell(rows.mask + r)
        yield f"        {mask} = {mask} if {cell(first + i)} < {number_text(rules[r].probability)} else F32(0.0)"


def _second_phase(r: int, rule: Rule, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    yield f"if any_{r} != I32(0):"
    yield from _indented(_remembering(r, rule, rows))
    if rule.half_life is not None:
        yield f"if glow_{r} != I32(0):"
        yield from _indented(_decaying(r, rule, vocabulary, rows))
        return
    own = [effect for effect in rule.effects if effect.target != VOLATILITY]
    if own:
        yield "    for lane in range(LANES):"
        yield f"        fired: BOOL = {cell(rows.mask + r)} > F32(0.0)"
        for i, effect in enumerate(own):
            yield from _indented(_once(i, effect, vocabulary, rows), 2)
    yield from _indented(_on_all_volatilities(r, rule, rows))


def _remembering(r: int, rule: Rule, rows: RuleRows) -> Iterator[str]:
    """Yield what a fire leaves: when the rule may fire again, that it has fired, and counts.

    The bits of 1.0 shifted by 23 are odd, those of 0.0 are not: counting stays in 32-bit words, which vectors are made
    of.
    """
    cool, seen = cell(_memory(r, rows)), cell(_memory(r, rows) + 2)
    yield f"hits_{r}: I32 = I32(0)"
    yield f"firsts_{r}: I32 = I32(0)"
    yield "for lane in range(LANES):"
    yield f"    mask: F32 = {cell(rows.mask + r)}"
    yield f"    seen: F32 = {seen}"
    yield "    new: F32 = mask if seen == F32(0.0) else F32(0.0)"
    yield f"    hits_{r} = I32(hits_{r} + ((bits_of(mask) >> 23) & 1))"
    yield f"    firsts_{r} = I32(firsts_{r} + ((bits_of(new) >> 23) & 1))"
    yield f"    {seen} = seen + new"
    if rule.cooldown:
        yield f"    {cool} = {STEP} + {number_text(rule.cooldown + 1)} if mask > F32(0.0) else {cool}"
    yield f"add_count(counts, I64({rows.fires + r}), I64(hits_{r}))"
    yield f"add_count(counts, I64({rows.by_step}) + I64({r}) * steps + t, I64(hits_{r}))"
    yield f"add_count(counts, I64({rows.first}) + I64({r}) * steps + t, I64(firsts_{r}))"


def _decaying(r: int, rule: Rule, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    """Yield effects that are applied at every step, in proportion to an intensity."""
    intensity = cell(_memory(r, rows) + 1)
    yield "for lane in range(LANES):"
    yield f"    left: F32 = {intensity} * {number_text(rule.decay)}"
    yield f"    left = left if left > {number_text(FAINTEST)} else F32(0.0)"
    yield f"    left = F32(1.0) if {cell(rows.mask + r)} > F32(0.0) else left"
    yield f"    {intensity} = left"
    for i, effect in enumerate(rule.effects):
        term = vocabulary.terms[effect.target]
        moved = f"x_{i} + {number_text(effect.amount)} * left"
        yield from _indented(_moving(i, term, moved, "left > F32(0.0)", rows))


def _once(i: int, effect: Effect, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
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
    mask = cell(rows.mask + r)
    for effect in rule.effects:
        if effect.target == VOLATILITY:
            for first, last in _runs(sorted(rows.variance.values())):
                yield f"for row in range(I64({first}), I64({last + 1})):"
                yield "    for lane in range(LANES):"
                place = cell("row")
                yield f"        {place} = {place} * {number_text(effect.amount**2)} if {mask} > F32(0.0) else {place}"


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last of each run of consecutive numbers."""
    breaks = [-1, *(i for i, (a, b) in enumerate(pairwise(numbers)) if b != a + 1), len(numbers) - 1]
    yield from ((numbers[a + 1], numbers[b]) for a, b in pairwise(breaks) if b > a)


def _memory(r: int, rows: RuleRows) -> int:
    return rows.memory + MEMORY_A_RULE * r


def _indented(lines: Iterator[str], levels: int = 1) -> Iterator[str]:
    yield from (f"{'    ' * levels}{line}" for line in lines)
