"""One causal rule as a YAML file states it. Pure.

What belongs here: what a rule may say. Sets of rules and files of them are in ``rules``.
"""

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pulse_assets.simulation.rules.expression_parser import parse
from pulse_assets.simulation.rules.expressions import Condition

Kind = Literal["add", "multiply", "set", "shock"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=80)]
Text = Annotated[str, Field(min_length=1, max_length=4000)]

KINDS: tuple[Kind, ...] = ("add", "multiply", "set", "shock")
DECAYING: tuple[Kind, ...] = ("add", "shock")
"""Effects that a half-life may spread over steps."""
MOST_RULES = 200


class Strict(BaseModel):
    """Nothing extra, nothing converted, no infinities."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Effect(Strict):
    """What a rule does to one target when it fires: one of add, multiply, set and shock.

    Parameters
    ----------
    target
        A factor, an asset, ``regime``, ``volatility`` (of all assets) or ``volatility.NAME`` (of one).
    add
        Added to the level of a factor on a linear scale.
    multiply
        Factor on the level of a factor, or on volatilities.
    set
        Level that a factor takes, or name of the regime.
    shock
        Log return added to an asset, or to the logarithm of a factor on a log scale.
    unit
        Of the number, checked against the target's; a factor (``multiply``) and a regime have none.

    Examples
    --------
    >>> Effect(target="vix", multiply=1.05).kind
    'multiply'
    """

    target: Annotated[str, Field(pattern=r"^(volatility\.)?[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]
    add: float | None = None
    multiply: float | None = None
    set: float | str | None = None
    shock: float | None = None
    unit: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"an effect has exactly one of {', '.join(KINDS)}, here are {given or 'none'}")
        if self.unit is not None and (given[0] == "multiply" or isinstance(self.set, str)):
            raise ValueError("a factor and a regime have no unit: leave `unit` out")
        return self

    @property
    def kind(self) -> Kind:
        """Which of the four it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def amount(self) -> float:
        """The number; NaN for a regime."""
        value = getattr(self, self.kind)
        return float("nan") if isinstance(value, str) else float(value)


class Rule(Strict):
    """One causal rule: what it waits for, what it does, and why anyone should believe it.

    Parameters
    ----------
    id, version
        Name of the rule, and a number to be raised when it changes.
    when
        Condition in the language of ``expressions``, read from the state after the dynamics of a step.
    effects
        Applied in order, when the rule fires.
    cooldown
        Steps after a fire in which it does not fire again.
    probability
        Chance of firing when it could.
    priority
        Rules with a higher one take effect first; among equals the order is that of their ids.
    half_life
        Steps in which the effects (``add`` and ``shock`` only) lose half their size: they are applied in full in the
        step of the fire and decay by ``2^(-1/half_life)`` a step; a further fire begins anew in full. None applies
        them once.
    rationale, source
        Why, and who says so.
    tags
        For people and filters.
    """

    id: Name
    version: Annotated[int, Field(ge=1)]
    when: Text
    effects: Annotated[tuple[Effect, ...], Field(min_length=1, max_length=20, strict=False)]
    cooldown: Annotated[int, Field(ge=0, le=100_000)] = 0
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    half_life: Annotated[float, Field(gt=0, le=10_000)] | None = None
    rationale: Text
    source: Text
    tags: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @field_validator("when")
    @classmethod
    def _is_a_condition(cls, when: str) -> str:
        parse(when)
        return when

    @model_validator(mode="after")
    def _can_decay(self) -> Self:
        wrong = [effect.kind for effect in self.effects if effect.kind not in DECAYING]
        if self.half_life is not None and wrong:
            raise ValueError(
                f"half_life spreads {' and '.join(DECAYING)} over steps, not {wrong[0]}: leave it out or make two rules"
            )
        return self

    @cached_property
    def condition(self) -> Condition:
        """The condition, parsed."""
        return parse(self.when)

    @property
    def decay(self) -> float:
        """What is left of an effect a step later; 0 without a half-life."""
        return 0.0 if self.half_life is None else float(2 ** (-1 / self.half_life))


class RuleFile(Strict):
    """A file of rules.

    Parameters
    ----------
    rules
        At most 200.
    optional
        Variables and regimes that a world may lack: rules that need one are then left out, with the reason.
    """

    rules: Annotated[tuple[Rule, ...], Field(max_length=MOST_RULES, strict=False)]
    optional: Annotated[tuple[Name, ...], Field(strict=False)] = ()
