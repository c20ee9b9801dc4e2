"""Causal rules of a simulated world: sets of them, and the YAML files they are read from. Pure.

What belongs here: order, identity and reading. What one rule may say is in ``model``; whether rules fit a world is
decided by ``rule_checks``; ``code`` compiles them.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path

from pydantic import ValidationError

from pulse_assets.simulation.rules.expressions import RESERVED
from pulse_assets.simulation.rules.model import Effect, Rule, RuleFile
from pulse_assets.simulation.yaml_text import YamlText, load_yaml, read_yaml

__all__ = ["Effect", "Rule", "RuleFile", "RuleSet", "load_rules", "parse_rules", "rules_of"]

LANGUAGE_VERSION = 1
"""Version of what the words of a rule mean; it enters the fingerprint."""


@dataclass(frozen=True)
class RuleSet:
    """Rules in the order in which they take effect: by priority, the highest first, then by id.

    Attributes
    ----------
    rules
        Each with an id of its own.
    optional
        Variables and regimes that a world may lack.
    places
        ``file:line`` by id and key of a rule, for messages; the key is empty for the rule itself.
    """

    rules: tuple[Rule, ...]
    optional: frozenset[str] = frozenset()
    places: Mapping[tuple[str, str], str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.rules, key=lambda rule: (-rule.priority, rule.id)))
        object.__setattr__(self, "rules", ordered)
        twice = sorted(name for name, times in Counter(self.ids).items() if times > 1)
        if twice:
            raise ValueError(f"two rules are called {twice[0]!r}: rename or remove one of them")

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids, in order."""
        return tuple(rule.id for rule in self.rules)

    @property
    def fingerprint(self) -> str:
        """Digest of everything that the rules say, and of the version of the language."""
        said = [rule.model_dump(mode="json") for rule in self.rules]
        text = json.dumps([LANGUAGE_VERSION, said, sorted(self.optional)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def at(self, rule: Rule, key: str = "") -> str:
        """Return where a rule, or a key of it, is written and what it is called, for messages."""
        place = self.places.get((rule.id, key)) or self.places.get((rule.id, ""))
        return f"{place}: rule {rule.id!r}" if place else f"rule {rule.id!r}"


def load_rules(where: str | Path = "default") -> RuleSet:
    """Read a file of rules, or a set that ships with Pulse.

    Parameters
    ----------
    where
        Path of a YAML file with ``rules`` and, if wanted, ``optional``; or ``default``.

    Raises
    ------
    ValueError
        No such file, no plain YAML, or no rules; the message names file, line and key.

    Examples
    --------
    >>> rules = load_rules("default")
    >>> len(rules) >= 18 and all(rule.source and rule.rationale for rule in rules)
    True
    """
    shipped = files("pulse_assets.simulation.rules") / "sets" / f"{where}.yaml"
    if isinstance(where, str) and where.isidentifier() and shipped.is_file():
        with as_file(shipped) as path:
            return rules_of(read_yaml(path))
    if not Path(where).is_file():
        raise ValueError(f"{where}: no such file of rules, and no set of that name ships with Pulse: `default` does")
    return rules_of(read_yaml(where))


def parse_rules(text: str, where: str = "rules") -> RuleSet:
    """Read rules from a text; ``where`` stands in messages for the file's name.

    Raises
    ------
    ValueError
        As :func:`load_rules`.
    """
    return rules_of(load_yaml(text, where))


def rules_of(text: YamlText) -> RuleSet:
    """Return the rules that a YAML text states.

    Raises
    ------
    ValueError
        As :func:`load_rules`.
    """
    try:
        stated = RuleFile.model_validate(text.value)
    except ValidationError as error:
        raise ValueError(text.explain(error)) from error
    clash = sorted(RESERVED & set(stated.optional))
    if clash:
        raise ValueError(f"{text.at(('optional',))}: {clash[0]!r} is a word of the rules' language: remove it")
    _refuse_twins(stated, text)
    places: dict[tuple[str, str], str] = {}
    for i, rule in enumerate(stated.rules):
        places |= {(rule.id, ""): text.at(("rules", i)), (rule.id, "when"): text.at(("rules", i, "when"))}
        for j in range(len(rule.effects)):
            places[rule.id, f"effects.{j}"] = text.at(("rules", i, "effects", j))
    return RuleSet(stated.rules, frozenset(stated.optional), places)


def _refuse_twins(stated: RuleFile, text: YamlText) -> None:
    first: dict[str, int] = {}
    for i, rule in enumerate(stated.rules):
        if rule.id in first:
            where, before = text.at(("rules", i, "id")), text.line(("rules", first[rule.id], "id"))
            raise ValueError(f"{where}: rule {rule.id!r} stands on line {before} already: rename or remove one of them")
        first[rule.id] = i
