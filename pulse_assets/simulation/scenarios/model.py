"""What a scenario file may say: name, parent, regimes, forks, events and :mod:`shocks <.shock_model>`.

What belongs here: the grammar. Where files are and how they follow one another is in ``files``.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, field_validator, model_validator

from pulse_assets.simulation.risk.capital import Portfolio
from pulse_assets.simulation.scenarios.parts import Name, Shock, Size, Step, Strict, check_window
from pulse_assets.simulation.scenarios.shock_model import AnyShock

MOST_SHOCKS, MOST_EVENTS = 200, 200
MEASURES = ("pnl_usd", "drawdown", "net_exposure_usd", "leverage")
"""What events may watch beside the variables, in plain numbers: USD, a share of the peak, USD, a multiple."""

When = Literal["any", "end"] | Step

EVENT = re.compile(r"(\w+) (below|above) (\S+(?: ?(?:%|pp|bp))?) at (any step|end|step (\d{1,6}))")


class Regime(Shock):
    """A regime that is forced for some steps.

    Attributes
    ----------
    name
        One of the world's, or ``calm`` or ``stressed`` for the least and the most volatile.
    until
        Last step; the end of the run by default.
    """

    name: Name
    until: Step | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_window(self.first, self.until)
        return self


class Event(Strict):
    """Something that may happen, whose probability is reported.

    Attributes
    ----------
    variable
        A variable, or ``pnl_usd``, ``drawdown``, ``net_exposure_usd`` or ``leverage`` of the portfolio.
    below, above
        The level, one of them: of a variable as in :class:`~.shock_model.Path`, else a plain number.
    when
        ``any`` step, at the ``end``, or at one step.
    """

    variable: Name
    below: Size | None = None
    above: Size | None = None
    when: When

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.below is None) == (self.above is None):
            raise ValueError("an event has a level that it is below or above: give one of the two")
        return self


def read_event(written: object) -> object:
    """Turn ``VARIABLE below|above LEVEL at any step|end|step N`` into a mapping; leave mappings alone.

    Raises
    ------
    ValueError
        The text does not read so.

    Examples
    --------
    >>> read_event("WTI above +50 % at any step")
    {'variable': 'WTI', 'above': '+50 %', 'when': 'any'}
    >>> read_event("vix above 40 at step 5")
    {'variable': 'vix', 'above': 40.0, 'when': 5}
    """
    if not isinstance(written, str):
        return written
    match = EVENT.fullmatch(" ".join(written.split()))
    if match is None:
        raise ValueError(
            'expected "VARIABLE below|above LEVEL at any step|at end|at step N", such as "WTI above +50 % at any step"'
        )
    variable, side, level, when, step = match.groups()
    return {"variable": variable, side: _number(level), "when": int(step) if step else when.removesuffix(" step")}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _as_list(value: object) -> object:
    return [{"name": value}] if isinstance(value, str) else [value] if isinstance(value, dict) else value


class ScenarioFile(Strict):
    """A scenario as written.

    Attributes
    ----------
    name
        What runs and tables call it.
    parent
        Scenario that this one continues: a shipped name or a file beside it.
    shocks
        In this order; those of a parent come first.
    regime
        Name, or windows with ``name``, ``from`` and ``until``.
    disable_rules
        Ids of rules that do not act.
    branch_from
        Step from which random numbers differ from those of other scenarios; they are common to all by default.
    events
        By name.
    portfolio
        Replaces the portfolio of the run.
    """

    name: Name
    title: Annotated[str, StringConstraints(max_length=200)] = ""
    description: Annotated[str, StringConstraints(max_length=5_000)] = ""
    version: Annotated[int, Field(strict=True, ge=1)] = 1
    parent: str | None = None
    shocks: Annotated[list[AnyShock], Field(max_length=MOST_SHOCKS)] = Field(default_factory=list)
    regime: Annotated[list[Regime], BeforeValidator(_as_list)] = Field(default_factory=list)
    disable_rules: list[Annotated[str, StringConstraints(min_length=1, max_length=80)]] = Field(default_factory=list)
    branch_from: Step | None = None
    events: Annotated[dict[Name, Annotated[Event, BeforeValidator(read_event)]], Field(max_length=MOST_EVENTS)] = Field(
        default_factory=dict
    )
    portfolio: dict[str, object] | None = None

    @field_validator("portfolio")
    @classmethod
    def _is_a_portfolio(cls, stated: dict[str, object] | None) -> dict[str, object] | None:
        try:
            if stated is not None:
                Portfolio.model_validate(stated)
        except ValidationError as error:
            said = (f"{'.'.join(map(str, each['loc']))} {each['msg']}" for each in error.errors())
            raise ValueError("; ".join(each.removeprefix(" Value error, ") for each in said)) from error
        return stated
