"""Rules as restricted Python, compiled into the fused kernel with every number a literal. Pure.

What belongs here: the text of ``apply_rules``. Conditions become text in ``expression_code``; where things stand in
memory is the world's business (``kernel.layout``).

A step has two phases. First every rule's condition is read from the state as it stands, into a mask of ones and zeros;
then effects follow, rule after rule. A rule that fires on no path of a block costs nothing in the second phase. Its
memory is the step from which it may fire again, the intensity of a decaying effect, and whether it has ever fired.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from pulse_assets.simulation.expression_code import STEP, cell, condition_text, number_text, slot
from pulse_assets.simulation.expressions import Past, walk
from pulse_assets.simulation.kernel.layout import MEMORY_A_RULE, RuleRows
from pulse_assets.simulation.rule_effects import REGIME, is_on_volatility, move, variable_of
from pulse_assets.simulation.rule_model import Effect, Rule
from pulse_assets.simulation.vocabulary import Term, Vocabulary

CODE_VERSION = 1
"""Version of the text that the same rules become."""
RULES_A_DRAW = 4
"""Rules that one draw of uniforms serves."""
PURPOSE = 5
"""Purpose of the words drawn for rules."""
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
    chancy = [r for r, rule in enumerate(rules) if rule.probability < 1]
    for block in range(-(-len(chancy) // RULES_A_DRAW)):
        first = rows.uniforms + RULES_A_DRAW * block
        yield f"draw_uniform_rows(work, I64({first}), ids, k0, k1, I64({PURPOSE}), branch, t, I64({block}))"
    for r, rule in enumerate(rules):
        uniform = rows.uniforms + chancy.index(r) if r in chancy else None
        yield from _first_phase(r, rule, uniform, vocabulary, rows)
    for r, rule in enumerate(rules):
        yield from _second_phase(r, rule, vocabulary, rows)


def _first_phase(r: int, rule: Rule, uniform: int | None, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    mask = cell(rows.mask + r)
    terms = [condition_text(rule.condition, vocabulary, rows)]
    terms += [f"({STEP} >= {cell(_memory(r, rows))})"] if rule.cooldown else []
    terms += [] if uniform is None else [f"({cell(uniform)} < {number_text(rule.probability)})"]
    yield f"hits_{r}: I64 = I64(0)"
    yield f"if floats[I64({rows.enabled + r})] > F32(0.0):"
    yield "    for lane in range(LANES):"
    yield f"        fires: BOOL = {' & '.join(terms)}"
    yield f"        {mask} = F32(1.0) if fires else F32(0.0)"
    yield f"        hits_{r} += I64(1) if fires else I64(0)"
    yield "    for lane in range(valid, LANES):"
    yield f"        hits_{r} -= I64({mask})"
    yield f"        {mask} = F32(0.0)"
    yield "else:"
    yield "    for lane in range(LANES):"
    yield f"        {mask} = F32(0.0)"


def _second_phase(r: int, rule: Rule, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    if rule.half_life is not None:
        yield "for lane in range(LANES):"
        yield from _indented(_decaying(r, rule, vocabulary, rows))
    yield f"if hits_{r} > I64(0):"
    yield f"    firsts_{r}: I64 = I64(0)"
    yield "    for lane in range(LANES):"
    yield f"        fired: BOOL = {cell(rows.mask + r)} > F32(0.0)"
    yield from _indented(_remembering(r, rule, rows), 2)
    if rule.half_life is None:
        for i, effect in enumerate(rule.effects):
            if effect.target != "volatility":
                yield from _indented(_once(i, effect, vocabulary, rows), 2)
        yield from _indented(_on_all_volatilities(r, rule, rows))
    yield f"    add_count(counts, I64({rows.fires + r}), hits_{r})"
    yield f"    add_count(counts, I64({rows.by_step}) + I64({r}) * steps + t, hits_{r})"
    yield f"    add_count(counts, I64({rows.first}) + I64({r}) * steps + t, firsts_{r})"


def _remembering(r: int, rule: Rule, rows: RuleRows) -> Iterator[str]:
    """Yield the memory of a fire: when the rule may fire again, and that it has fired."""
    cool, seen = cell(_memory(r, rows)), cell(_memory(r, rows) + 2)
    if rule.cooldown:
        yield f"{cool} = {STEP} + {number_text(rule.cooldown + 1)} if fired else {cool}"
    yield f"seen: F32 = {seen}"
    yield f"firsts_{r} += I64(1) if fired & (seen == F32(0.0)) else I64(0)"
    yield f"{seen} = F32(1.0) if fired else seen"


def _decaying(r: int, rule: Rule, vocabulary: Vocabulary, rows: RuleRows) -> Iterator[str]:
    """Yield effects that are applied at every step, in proportion to an intensity."""
    intensity = cell(_memory(r, rows) + 1)
    yield f"left: F32 = {intensity} * {number_text(rule.decay)}"
    yield f"left = left if left > {number_text(FAINTEST)} else F32(0.0)"
    yield f"left = F32(1.0) if {cell(rows.mask + r)} > F32(0.0) else left"
    yield f"{intensity} = left"
    for i, effect in enumerate(rule.effects):
        term = vocabulary.terms[effect.target]
        moved = f"x_{i} + {number_text(effect.amount)} * left"
        yield from _moving(i, term, moved, "left > F32(0.0)", rows)


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
        if effect.target == "volatility":
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
