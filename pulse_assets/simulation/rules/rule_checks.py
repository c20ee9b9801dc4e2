"""Whether rules fit a world: names, units, contradictions, twins, cycles. Pure.

What belongs here: judging and choosing rules, with messages that name file, line and rule. How effects fit targets is
in ``effects``, how rules fire each other in ``gains``.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import prod

from pulse_assets.simulation.rules.checked_rules import CheckedRules, Finding
from pulse_assets.simulation.rules.effects import REGIME, problems_of, variable_of
from pulse_assets.simulation.rules.expression_ranges import can_hold, must_hold
from pulse_assets.simulation.rules.expression_units import check_units
from pulse_assets.simulation.rules.expressions import Volatility, names_in, regimes_in, walk, without_not
from pulse_assets.simulation.rules.gains import explosive_cycle, gains_of
from pulse_assets.simulation.rules.model import Effect, Rule
from pulse_assets.simulation.rules.rule_set import RuleSet
from pulse_assets.simulation.rules.vocabulary import Vocabulary, closest, vocabulary_of
from pulse_assets.simulation.world import World


def check_rules(rules: RuleSet, world: World | Vocabulary) -> CheckedRules:
    """Return the rules that a world can follow.

    A rule that needs a variable or regime which the world lacks is left out if the file calls that name optional.

    Raises
    ------
    ValueError
        With all errors, a line each: unknown names, different units, a condition that can never hold, effects that
        do not fit their target or do nothing, twins, contradictory settings, and cycles with a gain above 1.

    Examples
    --------
    >>> from math import inf
    >>> from pulse_assets.simulation.rules.rule_set import parse_rules
    >>> from pulse_assets.simulation.rules.vocabulary import Term
    >>> vix = Term("vix", "macro", "log", "percent per year", -inf, inf, 2.8, 0.3, 0.97, 0.07)
    >>> rules = parse_rules('''rules:
    ...   - {id: fear, version: 1, when: vxi > 30, rationale: r, source: s, effects: [{target: vix, multiply: 1.1}]}
    ... ''', "mine.yaml")
    >>> check_rules(rules, Vocabulary({"vix": vix}))
    Traceback (most recent call last):
    ...
    ValueError: mine.yaml:2: rule 'fear': there is no variable 'vxi' in the world: did you mean vix? Correct it, or \
list it under `optional`
    """
    vocabulary = vocabulary_of(world) if isinstance(world, World) else world
    active, findings, errors = [], list[Finding](), list[str]()
    for rule in rules:
        missing = {name: key for name, key in _names(rule) if not _is_known(name, key, vocabulary)}
        unknown = [name for name in missing if name not in rules.optional]
        errors += [_unknown(rules, rule, name, missing[name], vocabulary) for name in unknown]
        if missing and not unknown:
            reason = f"needs {', '.join(missing)}, which this world does not have"
            findings.append(Finding("inactive", rule.id, reason))
        elif not missing:
            active.append(rule)
            errors += _errors_alone(rules, rule, vocabulary)
    errors += [each for pair in combinations(active, 2) for each in _errors_of_pair(rules, *pair)]
    errors += [] if errors else _explosion(rules, active, vocabulary)
    if errors:
        raise ValueError("\n".join(errors))
    findings += [_always(rules, rule) for rule in active if must_hold(rule.condition, vocabulary)]
    return CheckedRules(tuple(active), vocabulary, tuple(findings))


def _names(rule: Rule) -> Iterator[tuple[str, str]]:
    """Yield variables and regimes, and the key of the rule in which they stand; regimes' keys end in ``regime``."""
    yield from ((name, "when") for name in names_in(rule.condition))
    yield from ((name, "when.regime") for name in regimes_in(rule.condition))
    for i, effect in enumerate(rule.effects):
        if variable_of(effect):
            yield variable_of(effect), f"effects.{i}"
        elif effect.target == REGIME and isinstance(effect.set, str):
            yield effect.set, f"effects.{i}.regime"


def _is_known(name: str, key: str, vocabulary: Vocabulary) -> bool:
    return name in (vocabulary.regimes if key.endswith(".regime") else vocabulary.terms)


def _unknown(rules: RuleSet, rule: Rule, name: str, key: str, vocabulary: Vocabulary) -> str:
    is_regime = key.endswith(".regime")
    kind, known = ("regime", vocabulary.regimes) if is_regime else ("variable", tuple(vocabulary.terms))
    where = rules.at(rule, key.removesuffix(".regime"))
    hint = closest(name, known)
    hint = hint if hint.endswith("?") else f"{hint}."
    return f"{where}: there is no {kind} {name!r} in the world: {hint} Correct it, or list it under `optional`"


def _errors_alone(rules: RuleSet, rule: Rule, vocabulary: Vocabulary) -> Iterator[str]:
    at_when = rules.at(rule, "when")
    for part in walk(rule.condition):
        if isinstance(part, Volatility) and not vocabulary.terms[part.name].is_asset:
            yield f"{at_when}: volatility({part.name}) needs an asset: use the level or change of {part.name}"
    try:
        check_units(rule.condition, vocabulary)
    except ValueError as error:
        yield f"{at_when}: {error}"
    if not can_hold(rule.condition, vocabulary):
        yield f"{at_when}: `{rule.when}` can never hold within the bounds of the world: correct it"
    targets: dict[str, Effect] = {}
    for i, effect in enumerate(rule.effects):
        at_effect = rules.at(rule, f"effects.{i}")
        yield from (f"{at_effect}: {problem}" for problem in problems_of(effect, vocabulary))
        if effect.target in targets and "set" in (effect.kind, targets[effect.target].kind):
            yield f"{at_effect}: {effect.target} is set and changed in one rule: keep one effect on it"
        targets[effect.target] = effect


def _errors_of_pair(rules: RuleSet, first: Rule, second: Rule) -> Iterator[str]:
    if without_not(first.condition) != without_not(second.condition):
        return
    where = f"{rules.at(second)} has the same condition as {rules.at(first)}"
    if first.effects == second.effects:
        yield f"{where} and the same effects: remove one of them"
    if first.priority != second.priority:
        return
    settings = {effect.target: effect.set for effect in first.effects if effect.kind == "set"}
    for effect in second.effects:
        if effect.kind == "set" and settings.get(effect.target, effect.set) != effect.set:
            yield f"{where} and priority, and sets {effect.target} otherwise: remove one, or change its priority"


def _explosion(rules: RuleSet, active: Sequence[Rule], vocabulary: Vocabulary) -> list[str]:
    cycle = explosive_cycle(gains_of(active, vocabulary), len(active))
    if cycle is None:
        return []
    chain = " -> ".join(f"{active[gain.source].id} -({gain.through}, {gain.size:.2f})" for gain in cycle)
    first, total = active[cycle[0].source], prod(gain.size for gain in cycle)
    return [
        f"{rules.at(first)}: these rules keep each other alight: {chain} -> {first.id}; the product of their gains is"
        f" {total:.2f}, above 1: make effects smaller, or cool-downs longer"
    ]


def _always(rules: RuleSet, rule: Rule) -> Finding:
    return Finding("warning", rule.id, f"{rules.at(rule, 'when')}: `{rule.when}` always holds within the bounds")
