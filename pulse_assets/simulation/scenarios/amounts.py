"""Sizes in scenario files ("+40 %", "-0.5 pp", 1.4) and what they mean for a variable: a level, or a move on its scale.

What belongs here: reading one size and placing it on a variable's scale, strictly. Which step it falls on is decided by
``shocks``.

An asset has no level, only a price relative to that at the origin: a plain number is its log return since then, a
percentage its change of price. A factor's plain numbers are in its unit, its percentages are of its level at the
origin.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

from pulse_assets.simulation.world import Variable, World, level_of, state_of

Unit = Literal["", "%", "pp", "bp"]

SIZE = re.compile(r"([+-]\d+(?:\.\d+)?) ?(%|pp|bp)")
POINTS = {"pp": 1.0, "bp": 0.01}
"""Percentage points in one of each."""
LARGEST_LOG_RETURN = 3.0
"""Log return beyond which a plain number was meant as a price: a factor of 20."""
LOG_RETURN = "log return"


@dataclass(frozen=True)
class Amount:
    """One size as written: a number in the variable's own unit, or per cent, percentage points or basis points."""

    value: float
    unit: Unit = ""

    def __str__(self) -> str:
        return f"{self.value:+g} {self.unit}" if self.unit else f"{self.value:g}"


def read_amount(written: object) -> Amount:
    """Read a size.

    Parameters
    ----------
    written
        A finite number, or a text of sign, number and ``%``, ``pp`` or ``bp``.

    Raises
    ------
    ValueError
        It is neither; without a sign it would not be clear whether a change or a share is meant.

    Examples
    --------
    >>> read_amount("+40 %"), read_amount("-25bp"), read_amount(1.4)
    (Amount(value=40.0, unit='%'), Amount(value=-25.0, unit='bp'), Amount(value=1.4, unit=''))
    >>> read_amount("40 %")
    Traceback (most recent call last):
    ...
    ValueError: expected a finite number or a text such as "+40 %", "-0.5 pp" or "+25 bp", sign first; came '40 %'
    """
    if isinstance(written, Amount):
        return written
    if isinstance(written, int | float) and not isinstance(written, bool) and abs(written) < math.inf:
        return Amount(float(written))
    match = SIZE.fullmatch(written) if isinstance(written, str) else None
    if match is None or not match[1].isascii():
        shown = written if not isinstance(written, str) else written[:40]
        raise ValueError(
            f'expected a finite number or a text such as "+40 %", "-0.5 pp" or "+25 bp", sign first; came {shown!r}'
        )
    return Amount(float(match[1]), match[2])  # type: ignore[arg-type]


def factor_of(amount: Amount) -> float:
    """Return the factor that a size stands for: 1.4 and "+40 %" are both 1.4.

    Raises
    ------
    ValueError
        It is not positive, or in points.
    """
    if amount.unit not in {"", "%"}:
        raise ValueError(f'expected a factor such as 1.4 or a change such as "+40 %"; came {amount}: use kind add')
    factor = amount.value if not amount.unit else 1 + amount.value / 100
    if not 0 < factor <= math.exp(LARGEST_LOG_RETURN):
        raise ValueError(f"a factor lies above 0 and up to 20; came {factor:g}")
    return factor


def origin_state(world: World, name: str) -> float:
    """Return the state of a variable at the origin: 0 for an asset, else its level on its scale."""
    index = world.index(name) - len(world.assets)
    return 0.0 if index < 0 else float(world.level[index])


def placed(variable: Variable, origin: float, amount: Amount) -> float:
    """Return the state at which a variable stands when it is said to be *at* a level.

    Parameters
    ----------
    variable
        With its unit, scale and bounds.
    origin
        Its state at the origin, which percentages and points count from.
    amount
        The level: "+40 %" is 40 % above the origin.

    Raises
    ------
    ValueError
        The level is out of bounds, or the unit does not fit.

    Examples
    --------
    >>> round(placed(Variable("WTI", "asset", "log return"), 0.0, Amount(40, "%")), 4)
    0.3365
    >>> placed(Variable("spread", "macro", "percent"), 1.0, Amount(50, "bp"))
    1.5
    """
    if variable.group == "asset":
        return _log_return(variable.name, amount)
    return _checked_state(variable, amount.value if not amount.unit else _from_origin(variable, origin, amount))


def moved(variable: Variable, origin: float, amount: Amount) -> float:
    """Return by how much a state changes when its variable is said to move *by* an amount from the origin.

    Parameters
    ----------
    variable, origin
        As in :func:`placed`.
    amount
        The change: a plain number adds to a factor's level, or to an asset's log return.

    Raises
    ------
    ValueError
        As :func:`placed`.

    Examples
    --------
    >>> round(moved(Variable("vix", "macro", "percent", scale="log"), 3.0, Amount(100, "%")), 4)
    0.6931
    """
    if variable.group == "asset":
        return _log_return(variable.name, amount)
    return _checked_state(variable, _from_origin(variable, origin, amount)) - origin


def check_unit(variable: Variable, unit: str | None) -> None:
    """Refuse a unit that is not the variable's; none is not checked.

    Raises
    ------
    ValueError
        With both units.
    """
    own = LOG_RETURN if variable.group == "asset" else variable.unit
    if unit is not None and unit.strip().casefold() != own.casefold():
        hint = "; an asset's price change is written in per cent" if variable.group == "asset" else ""
        raise ValueError(
            f"{variable.name} is in {own!r}, not in {unit!r}{hint}: convert the number or correct the unit"
        )


def _log_return(name: str, amount: Amount) -> float:
    if amount.unit in POINTS:
        raise ValueError(f'{name} is an asset, {amount} has no meaning for it: write a change such as "-20 %"')
    if amount.unit == "%" and amount.value <= -100:
        raise ValueError(f"{name} is an asset and cannot lose all: {amount} must be above -100 %")
    value = math.log1p(amount.value / 100) if amount.unit else amount.value
    if abs(value) > LARGEST_LOG_RETURN:
        raise ValueError(
            f"{name} is an asset, for which {amount} is a log return since the origin of more than "
            f'{LARGEST_LOG_RETURN:g} (20 times the price): write its change of price, such as "+50 %"'
        )
    return value


def _from_origin(variable: Variable, origin: float, amount: Amount) -> float:
    level = float(level_of(variable, origin))
    if amount.unit == "%":
        if level == 0:
            raise ValueError(f"{variable.name} is 0 at the origin, {amount} of it is nothing: give a number instead")
        return level * (1 + amount.value / 100)
    if amount.unit in POINTS:
        if "percent" not in variable.unit and "%" not in variable.unit:
            raise ValueError(f"{variable.name} is in {variable.unit!r}, not in per cent, so it has no points: {amount}")
        return level + amount.value * POINTS[amount.unit]
    return level + amount.value


def _checked_state(variable: Variable, level: float) -> float:
    if not variable.low <= level <= variable.high:
        raise ValueError(
            f"{variable.name} would be at {level:g} {variable.unit}, outside its bounds "
            f"{variable.low:g} to {variable.high:g}: lower the shock"
        )
    if variable.scale == "log" and level <= 0:
        raise ValueError(f"{variable.name} is kept as a logarithm and cannot be at {level:g}: give a positive level")
    return float(state_of(variable, level))
