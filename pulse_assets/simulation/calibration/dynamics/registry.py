"""Finds dynamics by name: those that ship with Pulse, and those of third parties by entry point."""

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from pydantic import ValidationError

from pulse_assets.simulation.calibration.dynamics.factors import Ar1
from pulse_assets.simulation.calibration.dynamics.innovations import Historical, Normal, StudentT
from pulse_assets.simulation.calibration.dynamics.jumps import MertonJumps
from pulse_assets.simulation.calibration.dynamics.protocol import Dynamics, Kind, Settings
from pulse_assets.simulation.calibration.dynamics.switching import Hamilton
from pulse_assets.simulation.calibration.dynamics.volatility import Constant, Gjr

GROUP = "pulse.dynamics"
BUILT_IN: tuple[Dynamics, ...] = (
    Constant(),
    Gjr(),
    Hamilton(),
    MertonJumps(),
    Normal(),
    StudentT(),
    Historical(),
    Ar1(),
)
_BY_NAME = {plugin.name: plugin for plugin in BUILT_IN}


def available_dynamics() -> dict[str, Kind]:
    """Return what is installed: name → kind. This loads the plug-ins of third parties."""
    return {name: _load(name).kind for name in (*_BY_NAME, *_points())}


def find_dynamics(name: str, kind: Kind) -> Dynamics:
    """Return a plug-in; of third parties' only the one asked for is loaded.

    Parameters
    ----------
    name, kind
        What it is called, and which part of a world it must calibrate.

    Raises
    ------
    ValueError
        There is none of that name and kind; the message lists those that there are.

    Examples
    --------
    >>> find_dynamics("gjr", "volatility").name
    'gjr'
    """
    if name in _BY_NAME or name in _points():
        plugin = _load(name)
        if plugin.kind == kind:
            return plugin
    names = [*(each for each, plugin in _BY_NAME.items() if plugin.kind == kind), *_points()]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"unknown {kind} {name!r}: installed are {', '.join(sorted(names))}.{hint}")


def parse_settings(plugin: Dynamics, given: Mapping[str, object]) -> Settings:
    """Return the settings of a plug-in.

    Raises
    ------
    ValueError
        They do not fit its schema; the message names the key.
    """
    try:
        return plugin.settings.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ValueError(
            f"{plugin.kind} {plugin.name!r} does not take {key!r} as {first['input']!r}: {first['msg']}; it takes "
            f"{', '.join(plugin.settings.model_fields) or 'nothing'}"
        ) from error


def _points() -> dict[str, EntryPoint]:
    """Return entry points by name; one that has the name of ours does not replace it."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in _BY_NAME}


def _load(name: str) -> Dynamics:
    if name in _BY_NAME:
        return _BY_NAME[name]
    point = _points()[name]
    made = point.load()
    plugin = made() if isinstance(made, type) else made
    return _checked(plugin, point.value)


def _checked(plugin: object, where: str) -> Dynamics:
    if isinstance(plugin, Dynamics):
        return plugin
    raise ValueError(f"{where} is no Dynamics: it needs name, kind, settings, calibrate() and oracle()")
