"""Rules that fit a world, what was found about them, and whether they really fired in a run. Pure.

What belongs here: the value that simulations take. It is made by ``rule_checks``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.kernel.layout import RuleRows
from pulse_assets.simulation.rules.code import lags_needed, rule_source
from pulse_assets.simulation.rules.effects import is_on_volatility
from pulse_assets.simulation.rules.model import Rule
from pulse_assets.simulation.rules.vocabulary import Vocabulary

ALWAYS = 0.95
"""Share of the fires that its cool-down and probability allow at which a rule is said to fire always."""


@dataclass(frozen=True)
class Finding:
    """Something worth knowing about a rule: it is left out (``inactive``), or may not be as meant (``warning``)."""

    kind: Literal["inactive", "warning"]
    rule: str
    message: str


@dataclass(frozen=True)
class CheckedRules:
    """Rules that fit a world, with the world's words.

    Attributes
    ----------
    active
        The rules, in the order in which they take effect.
    vocabulary
        What the world has.
    findings
        About rules left out, and warnings.
    """

    active: tuple[Rule, ...]
    vocabulary: Vocabulary
    findings: tuple[Finding, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the active rules, in order."""
        return tuple(rule.id for rule in self.active)

    @property
    def lags(self) -> dict[str, int]:
        """Variables whose past is read, and how many steps back at most."""
        return lags_needed(self.active)

    @property
    def moves_variance(self) -> bool:
        """Whether some rule changes the volatility of assets."""
        return any(is_on_volatility(effect) for rule in self.active for effect in rule.effects)

    @property
    def inactive(self) -> Mapping[str, str]:
        """Rules left out, and why."""
        return {finding.rule: finding.message for finding in self.findings if finding.kind == "inactive"}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may not be as meant."""
        return tuple(finding.message for finding in self.findings if finding.kind == "warning")

    def source(self, rows: RuleRows) -> str:
        """Return the restricted Python of the rules; see :func:`~pulse_assets.simulation.rules.code.rule_source`."""
        return rule_source(self.active, self.vocabulary, rows)


def never_or_always(
    checked: CheckedRules, fires: npt.NDArray[np.int64], chances: int, disabled: frozenset[str] = frozenset()
) -> tuple[Finding, ...]:
    """Return the rules that a pilot run shows to be idle or unconditional.

    Parameters
    ----------
    checked
        R active rules.
    fires
        How often each fired, shape ``(R,)``.
    chances
        Steps times paths.
    disabled
        Rules that were switched off, of which nothing is said.

    Raises
    ------
    ValueError
        Not one count a rule.
    """
    if fires.shape != (len(checked.active),):
        raise ValueError(f"expected one count for each of {len(checked.active)} rules, came shape {fires.shape}")
    found = []
    for rule, count in zip(checked.active, fires.tolist(), strict=True):
        most = chances / (rule.cooldown + 1 / rule.probability)
        if rule.id in disabled:
            continue
        if count == 0:
            message = f"rule {rule.id!r} never fired in {chances} steps of paths: check its thresholds, or remove it"
            found.append(Finding("warning", rule.id, message))
        elif count >= ALWAYS * most:
            message = (
                f"rule {rule.id!r} fired {count} times of {most:.0f} possible: it does not depend on its condition"
            )
            found.append(Finding("warning", rule.id, message))
    return tuple(found)
