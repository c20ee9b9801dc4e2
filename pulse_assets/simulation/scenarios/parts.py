"""What all parts of a scenario file are made of: names, steps, sizes, and models that refuse unknown keys.

What belongs here: building blocks of the grammar in ``shock_model`` and ``model``.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints

from pulse_assets.simulation.scenarios.amounts import Amount, read_amount

LAST_STEP = 100_000

Size = Annotated[Amount, PlainValidator(read_amount)]
Step = Annotated[int, Field(strict=True, ge=1, le=LAST_STEP)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=80)]


class Strict(BaseModel):
    """Refuses unknown keys and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class Shock(Strict):
    """What all shocks have.

    Attributes
    ----------
    first
        Step at which it begins (``from``).
    optional
        Left out, with a remark, where the world lacks the variable, the regime or the history.
    """

    first: Step = Field(1, alias="from")
    optional: bool = Field(False, strict=True)


def check_window(first: int, until: int | None) -> None:
    """Refuse a window that ends before it begins.

    Raises
    ------
    ValueError
        With both steps.
    """
    if until is not None and until < first:
        raise ValueError(f"it would end at step {until}, before it begins at step {first}: swap them")
