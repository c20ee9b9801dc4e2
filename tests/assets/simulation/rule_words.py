"""A small vocabulary and short rules for tests."""

import numpy as np

from pulse_assets.simulation.rules.checked_rules import CheckedRules
from pulse_assets.simulation.rules.rule_checks import check_rules
from pulse_assets.simulation.rules.rule_set import RuleSet, parse_rules
from pulse_assets.simulation.rules.vocabulary import LOG_RETURN, Term, Vocabulary

RATE = "percent per year"
INF = np.inf


def words() -> Vocabulary:
    """Return two assets, a factor on a log scale, a bounded and an unbounded one on a linear scale, two regimes."""
    terms = (
        Term("SPX", "asset", "linear", LOG_RETURN, -INF, INF, 0.0, 0.19, 1.0, 0.012, 0.97),
        Term("WTI", "asset", "linear", LOG_RETURN, -INF, INF, 0.0, 0.35, 1.0, 0.022, 0.95),
        Term("vix", "macro", "log", RATE, float(np.log(5)), float(np.log(150)), 2.8, 0.3, 0.97, 0.073),
        Term("us10y", "macro", "linear", RATE, -INF, INF, 3.0, 0.8, 0.99, 0.113),
        Term("hope", "overlay", "linear", "index", 0.0, 1.0, 0.5, 0.16, 0.95, 0.05),
    )
    return Vocabulary({term.name: term for term in terms}, ("calm", "stressed"))


def rule(name: str, when: str, effect: str, **more: object) -> str:
    """Return the YAML of a rule with one effect, such as ``target: vix, multiply: 1.1``."""
    said = {"version": 1, "rationale": "a test", "source": "a test", **more}
    rest = ", ".join(f"{key}: {value}" for key, value in said.items())
    return f"  - {{id: {name}, when: '{when}', effects: [{{{effect}}}], {rest}}}\n"


def rule_set(*rules: str, optional: str = "") -> RuleSet:
    """Return rules as read from ``rules.yaml``; the first stands on line 3."""
    return parse_rules(f"optional: [{optional}]\nrules:\n{''.join(rules)}", "rules.yaml")


def checked(*rules: str, optional: str = "") -> CheckedRules:
    """Return rules that fit the small vocabulary."""
    return check_rules(rule_set(*rules, optional=optional), words())
