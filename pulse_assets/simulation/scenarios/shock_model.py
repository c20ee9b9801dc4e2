"""What a scenario file may say of one shock: the models of its kinds, which refuse anything else.

What belongs here: the grammar of shocks. What one does to a world is in ``moves`` and ``correlations``.

Steps are counted from 1, the first one after the origin; windows include both ends.
"""

from datetime import date
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from pulse_assets.simulation.scenarios.amounts import factor_of
from pulse_assets.simulation.scenarios.parts import Name, Shock, Size, Step, Strict, check_window

MOST_LEVELS = 10_000

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Mode = Literal["strict", "seed_then_free"]


class Push(Shock):
    """A change of one variable or several, spread evenly.

    Attributes
    ----------
    over
        Steps that it is spread over.
    hold
        Whether it is kept up, so that it does not fade with a factor's own pull back; prices keep a change anyway.
    unit
        Checked against the variable's if given.
    """

    variable: Name | Annotated[list[Name], Field(min_length=1)]
    by: Size
    over: Step = 1
    hold: bool = Field(False, strict=True)
    unit: str | None = None

    @property
    def variables(self) -> list[str]:
        """Names of what is pushed."""
        return [self.variable] if isinstance(self.variable, str) else self.variable


class Add(Push):
    """Adds to the level of a factor (a number in its unit, "pp" or "bp"), or to the log return of an asset."""

    kind: Literal["add"]

    @model_validator(mode="after")
    def _no_percentage(self) -> Self:
        if self.by.unit == "%":
            raise ValueError(f'{self.by} is a relative change: use kind multiply, or "pp" for percentage points')
        return self


class Multiply(Push):
    """Multiplies a price or a level: "+40 %" or the factor 1.4."""

    kind: Literal["multiply"]

    @model_validator(mode="after")
    def _positive(self) -> Self:
        factor_of(self.by)
        return self


class Path(Shock):
    """Levels step by step.

    Attributes
    ----------
    levels
        Of a factor in its unit, of an asset as change of price since the origin ("-5 %") or as log return.
    mode
        ``strict`` sets the state on every path; ``seed_then_free`` adds the changes and leaves chance on top.
    """

    kind: Literal["path"]
    variable: Name
    levels: Annotated[list[Size], Field(min_length=1, max_length=MOST_LEVELS)]
    mode: Mode = "strict"
    unit: str | None = None

    @property
    def variables(self) -> list[str]:
        """Name of what is led."""
        return [self.variable]


class Conditional(Shock):
    """Moves of some variables, and with them what all others are expected to do.

    Attributes
    ----------
    given
        Move of each named variable over the window, beyond what it does by itself.
    over
        Steps of the window.
    """

    kind: Literal["conditional"]
    given: Annotated[dict[Name, Size], Field(min_length=1)]
    over: Step = 1

    @property
    def variables(self) -> list[str]:
        """Names of what is given."""
        return list(self.given)


class Window(NamedTuple):
    """Days of the past, both included."""

    start: date
    end: date

    def __str__(self) -> str:
        return f"{self.start}..{self.end}"


class Days(Strict):
    """A window of the past as written."""

    start: date = Field(alias="from")
    end: date = Field(alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start > self.end:
            raise ValueError(f"the window begins on {self.start}, after its end {self.end}: swap them")
        return self


class Replay(Shock):
    """The changes of a window of the past, step by step.

    Attributes
    ----------
    variables
        What is replayed; everything that has a history in the window by default.
    mode
        ``strict``: nothing else moves the replayed variables in the window; ``seed_then_free``: chance stays on top.
    """

    kind: Literal["replay"]
    window: Days
    variables: Annotated[list[Name], Field(min_length=1)] | None = None
    mode: Mode = "seed_then_free"

    @property
    def days(self) -> Window:
        """The window."""
        return Window(self.window.start, self.window.end)

    @model_validator(mode="after")
    def _strict_from_the_origin(self) -> Self:
        if self.mode == "strict" and self.first > 1:
            raise ValueError(
                f"a strict replay begins at step 1, not {self.first}, because paths differ by then: "
                "set from: 1 or mode: seed_then_free"
            )
        return self


class Correlation(Shock):
    """Correlations within a group, blended towards a number or a matrix.

    Attributes
    ----------
    variables
        Names, or ``assets``, ``macro``, ``overlay`` or ``all``.
    toward
        One correlation for every pair, or a matrix in the order of the names.
    blend
        Share of the target, 0 to 1.
    until
        Last step; the end of the run by default.
    repair
        Whether a result that is no correlation matrix is replaced by the nearest one; else it is an error.
    """

    kind: Literal["correlation"]
    variables: Literal["assets", "macro", "overlay", "all"] | Annotated[list[Name], Field(min_length=2)] = "assets"
    toward: Annotated[float, Field(strict=True, ge=-1, le=1)] | list[list[Number]] = 1.0
    blend: Annotated[float, Field(strict=True, ge=0, le=1)] = 1.0
    until: Step | None = None
    repair: bool = Field(True, strict=True)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_window(self.first, self.until)
        if isinstance(self.toward, list):
            names = self.variables
            if isinstance(names, str):
                raise ValueError(  # noqa: TRY004 - pydantic takes no other
                    f"a matrix needs its variables in order, not {names!r}: list their names"
                )
            if len(self.toward) != len(names) or any(len(row) != len(names) for row in self.toward):
                raise ValueError(f"a matrix for {len(names)} variables has {len(names)} rows of {len(names)} numbers")
        return self


class Volatility(Shock):
    """A factor on the standard deviation of all assets' shocks: 2, or "+100 %".

    Attributes
    ----------
    until
        Last step; the end of the run by default.
    """

    kind: Literal["volatility"]
    by: Size
    until: Step | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_window(self.first, self.until)
        factor_of(self.by)
        return self


AnyShock = Annotated[
    Add | Multiply | Path | Conditional | Replay | Correlation | Volatility, Field(discriminator="kind")
]
