"""What a world is calibrated from and how: settings, and the files that they are read from.

What belongs here: schemas at the border. Estimation is in ``refits`` and ``calibration``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pulse_assets.simulation.calibration.dynamics.protocol import Dynamics, Kind, Settings
from pulse_assets.simulation.calibration.dynamics.registry import find_dynamics, parse_settings
from pulse_assets.simulation.calibration.part_guards import check_variables
from pulse_assets.simulation.world import Variable
from pulse_assets.simulation.yaml_text import read_yaml

WORLDS = Path(__file__).parent / "shipped"
"""Worlds that ship with Pulse."""
DEFAULTS: Mapping[str, str] = {"regimes": "hamilton", "jumps": "merton_jumps"}
"""What ``true`` (or ``on``) means."""
KINDS: Mapping[str, Kind] = {
    "volatility": "volatility",
    "innovations": "innovations",
    "regimes": "regimes",
    "jumps": "jumps",
}


class Choice(BaseModel):
    """A plug-in and its settings: ``gjr``, or ``{use: gjr, asymmetric: false}``.

    Attributes
    ----------
    use
        Name of the plug-in; all other keys are its settings.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    use: str

    def plugin(self, kind: Kind) -> tuple[Dynamics, Settings]:
        """Return the plug-in and its checked settings.

        Raises
        ------
        ValueError
            There is none, or it does not take the settings.
        """
        found = find_dynamics(self.use, kind)
        return found, parse_settings(found, self.model_extra or {})


def _as_choice(given: object) -> object:
    return {"use": given} if isinstance(given, str) else given


Chosen = Annotated[Choice, BeforeValidator(_as_choice)]


class FactorSettings(Settings):
    """A macro or overlay variable.

    Attributes
    ----------
    name, unit, group, scale
        As in :class:`pulse_assets.simulation.world.Variable`.
    source
        Series in silver.
    minus
        A second one that is taken off the first, on the days of both.
    transform
        ``yoy`` is the change against the value a year before, in percent; of prices with a trend, for an
        autoregression has none.
    low, high
        Bounds of the level.
    dynamics
        Plug-in.
    window_days, min_observations, stale_days
        As for assets, whose settings are the defaults; at least 60 values are needed by default.
    """

    name: str
    source: str
    unit: str
    minus: str | None = None
    transform: Literal["level", "yoy"] = "level"
    group: Literal["macro", "overlay"] = "macro"
    scale: Literal["linear", "log"] = "linear"
    low: float | None = None
    high: float | None = None
    dynamics: Chosen = Choice(use="ar1")
    window_days: int | None = Field(default=None, ge=20)
    min_observations: int = Field(default=60, ge=24)
    stale_days: int | None = Field(default=None, ge=1)

    @property
    def variable(self) -> Variable:
        """The variable of the world."""
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        return Variable(self.name, self.group, self.unit, self.scale, low, high, self.source)

    @field_validator("dynamics")
    @classmethod
    def _dynamics_exist(cls, choice: Choice) -> Choice:
        choice.plugin("factor")
        return choice


class WorldSettings(Settings):
    """A world to calibrate.

    Attributes
    ----------
    assets
        Name in the world → series in silver, of prices.
    factors
        Macro and overlay variables.
    volatility, innovations
        Plug-ins; ``gjr`` and ``student_t`` by default.
    regimes, jumps
        Plug-ins, ``true`` for the default one, ``false`` for none.
    drift
        ``zero``, ``mean`` (the sample's), or ``shrunk``: the sample's times ``t²/(t² + s²)``, where s is its standard
        error and t² what the assets' means vary more than their errors explain. Means of a few years are mostly noise.
    window_days
        Weekdays before the calibration that count.
    min_observations
        Returns that an asset needs in them.
    stale_days
        Days without a value after which a variable is left out; longer gaps between prices give no return.
    required
        Variables without which there is no world; others are left out with a reason.
    history
        Weekdays of past states kept for rules with lags.
    refit
        When parameters are estimated in :func:`pulse_assets.simulation.calibration.worlds.calibrate_days`: on the first
        weekday of a month or quarter, or daily.
    """

    assets: dict[str, str] = Field(min_length=1)
    factors: tuple[FactorSettings, ...] = ()
    volatility: Chosen = Choice(use="gjr")
    innovations: Chosen = Choice(use="student_t")
    regimes: Chosen | None = None
    jumps: Chosen | None = None
    drift: Literal["zero", "mean", "shrunk"] = "shrunk"
    window_days: int = Field(default=2520, ge=100)
    min_observations: int = Field(default=500, ge=100)
    stale_days: int = Field(default=10, ge=1)
    required: tuple[str, ...] = ()
    history: int = Field(default=63, ge=0, le=2520)
    refit: Literal["daily", "monthly", "quarterly"] = "monthly"

    @field_validator("regimes", "jumps", mode="before")
    @classmethod
    def _switches(cls, given: object, info: ValidationInfo) -> object:
        if given is True:
            return {"use": DEFAULTS[str(info.field_name)]}
        return None if given is False else given

    @field_validator("volatility", "innovations", "regimes", "jumps")
    @classmethod
    def _plugins_exist(cls, choice: Choice | None, info: ValidationInfo) -> Choice | None:
        if choice is not None:
            choice.plugin(KINDS[str(info.field_name)])
        return choice

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        check_variables([*self.asset_variables(), *(factor.variable for factor in self.factors)])
        names = [*self.assets, *(factor.name for factor in self.factors)]
        unknown = [name for name in self.required if name not in names]
        if unknown:
            raise ValueError(f"'required' names {unknown[0]!r}, which is none of {', '.join(names)}: correct it")
        index = (self.regimes.model_extra or {}).get("index") if self.regimes else None
        if index is not None and index not in self.assets:
            raise ValueError(f"'index' of the regimes is {index!r}, which is none of the assets: name one of them")
        if self.min_observations > self.window_days:
            raise ValueError(
                f"min_observations {self.min_observations} exceeds window_days {self.window_days}: lower it"
            )
        return self

    def asset_variables(self) -> list[Variable]:
        """Return the variables of the assets."""
        return [Variable(name, "asset", "log return", source=source) for name, source in self.assets.items()]

    @property
    def sources(self) -> tuple[str, ...]:
        """All series of silver that are read, each once."""
        factors = (source for factor in self.factors for source in (factor.source, factor.minus) if source)
        return tuple(dict.fromkeys((*self.assets.values(), *factors)))


def load_world_settings(path_or_name: str | Path) -> WorldSettings:
    """Read the settings of a world from a file, or of one that ships with Pulse by its name.

    Parameters
    ----------
    path_or_name
        A path that ends in ``.yaml`` or ``.yml``, or a name such as ``embedded``.

    Raises
    ------
    ValueError
        There is no such file, or it says something that settings have not; the message names file, line and key.

    Examples
    --------
    >>> load_world_settings("embedded").volatility.use
    'gjr'
    """
    path = Path(path_or_name)
    if path.suffix not in (".yaml", ".yml"):
        shipped = sorted(each.stem for each in WORLDS.glob("*.yaml"))
        if str(path_or_name) not in shipped:
            raise ValueError(f"no world {str(path_or_name)!r}: give a .yaml file, or one of {', '.join(shipped)}")
        path = WORLDS / f"{path_or_name}.yaml"
    text = read_yaml(path)
    try:
        return WorldSettings.model_validate(text.value)
    except ValidationError as error:
        raise ValueError(text.explain(error)) from error
