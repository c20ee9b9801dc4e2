"""Named events of a scenario, such as "WTI above +50 % at any step", placed in a world and a run.

What belongs here: thresholds on scales, and windows. The grammar is in ``model``.
"""

from typing import TYPE_CHECKING

from pulse_assets.simulation.scenarios.amounts import Amount, placed
from pulse_assets.simulation.scenarios.files import Scenario
from pulse_assets.simulation.scenarios.model import MEASURES, Event
from pulse_assets.simulation.scenarios.shocks import origin_states
from pulse_assets.simulation.world import World

if TYPE_CHECKING:
    from pulse_assets.simulation.program import Event as PlacedEvent


def compile_events(scenario: Scenario, world: World, steps: int) -> "tuple[PlacedEvent, ...]":
    """Place a scenario's events in a world and a run.

    An event happens on a path when the state is beyond the threshold, not at it, after any step of the window.

    Parameters
    ----------
    scenario
        With the events that it inherits.
    world
        The variables and their states at the origin, which percentages count from.
    steps
        Length of the run.

    Returns
    -------
    tuple
        By name; thresholds on the scale of their variable, windows counted from 1 with both ends.

    Raises
    ------
    ValueError
        The world lacks the variable, the level does not fit it, or the step lies after the end of the run. The message
        names file, line and event.
    """
    return tuple(_placed(name, event, scenario, world, steps) for name, event in sorted(scenario.events.items()))


def _placed(name: str, event: Event, scenario: Scenario, world: World, steps: int) -> "PlacedEvent":
    from pulse_assets.simulation.program import Event as PlacedEvent

    try:
        level = event.below if event.above is None else event.above
        assert level is not None
        threshold = _threshold(event.variable, level, world)
        first, last = _window(event, steps)
    except ValueError as error:
        text = next(link.text for link in reversed(scenario.chain) if name in link.file.events)
        raise ValueError(f"{text.at(('events', name))}: events.{name}: {error}") from error
    return PlacedEvent(name, event.variable, threshold, event.above is not None, first, last)


def _threshold(name: str, level: Amount, world: World) -> float:
    if name in MEASURES:
        if level.unit:
            raise ValueError(f"{name} is compared with a plain number, not with {level}: a drawdown of 20 % is 0.2")
        return level.value
    if name not in world.names:
        raise ValueError(
            f"the world has no variable {name!r}; there are {', '.join(world.names)} and the portfolio's "
            f"{', '.join(MEASURES)}"
        )
    index = world.index(name)
    return placed(world.variables[index], float(origin_states(world)[index]), level)


def _window(event: Event, steps: int) -> tuple[int, int]:
    if event.when == "any":
        return 1, steps
    if event.when == "end":
        return steps, steps
    if event.when > steps:
        raise ValueError(f"step {event.when} lies after the end of a run of {steps} steps: lengthen the run")
    return event.when, event.when
