"""The filter bank for other processors: one header that a C compiler and CUDA both take, with its grids in front. Pure.

Grids, sizes and the place of each number in memory are taken from the modules of the CPU's bank, never copied by hand.
What compiles and runs the text is in :mod:`.bank`.
"""

import math
from collections.abc import Iterator
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting import bank as filters  # the package has a module `bank` of its own
from pulse_assets.forecasting.walk_state import (
    DEMAND,
    FAMILIES,
    MEMBERS,
    OF_A_CHANNEL,
    SEASONAL_FAMILIES,
    SHORTEST,
    Spec,
    new_state,
    spec,
)

VOICES: tuple[str, ...] = (*MEMBERS[: 2 * OF_A_CHANNEL], MEMBERS[DEMAND])
"""Members of the pool that are filters, in the order of the kernels' forecasts."""
FIELDS: tuple[str, ...] = (
    *("trend", "level", "level_loss", "level_lag", "trend_level", "trend_slope", "trend_loss"),
    *("season_level", "season_loss", "season_lag", "holt_level", "holt_slope", "holt_loss", "demand"),
    *("season", "holt_season"),
)
"""Fields of the walk's state that the kernels fill, in their order; the last two depend on the length of the season."""
CHANNEL_LANES = filters.LEVELS + filters.TRENDS + 2 * (filters.SEASONS + filters.HOLTS)
LANES = 2 * CHANNEL_LANES + filters.DEMANDS
"""Filters of a series, each a thread."""

_SIZES = ("LEVELS", "SHARES", "TRENDS", "SEASONS", "HOLTS", "DEMANDS", "HALF", "BURN_IN")
_GRIDS = (
    *("LEVEL_GAIN", "DRIFT_SHARE", "TREND_GAIN", "TREND_SLOPE_GAIN", "TREND_DAMPING", "SEASON_GAIN", "SEASON_RATIO"),
    *("SEASON_DRIFT", "HOLT_GAIN", "HOLT_SLOPE_GAIN", "HOLT_DAMPING", "HOLT_SEASON", "SIZE_GAIN", "DEMAND_GAIN"),
)


def fields(sizes: Spec) -> Iterator[tuple[str, slice, tuple[int, ...]]]:
    """Yield each of :data:`FIELDS` with its slots and its shape for one series.

    Examples
    --------
    >>> next(fields(spec(12, 0, 18)))
    ('trend', slice(0, 4, None), (2, 2))
    """
    blank, first = new_state(0, sizes), 0
    for name in FIELDS:
        shape = getattr(blank, name).shape[1:]
        yield name, slice(first, first + math.prod(shape)), shape
        first += math.prod(shape)


def device_source() -> str:
    """Return ``bank.h`` with its grids, sizes and slots in front: text for a C compiler, NVRTC or nvcc.

    Examples
    --------
    >>> "#define PULSE_LEVELS 8" in device_source()
    True
    """
    numbers = {name: int(getattr(filters, name)) for name in _SIZES}
    numbers |= {"LANES": LANES, "CHANNEL_LANES": CHANNEL_LANES, "VOICES": len(VOICES), "OF_A_CHANNEL": OF_A_CHANNEL}
    numbers |= {"FAMILIES": len(FAMILIES), "SEASONAL_FAMILIES": len(SEASONAL_FAMILIES), "SHORTEST": SHORTEST}
    numbers |= {f"AT_{name.upper()}": slots.start for name, slots, _ in fields(spec(0, 0, 1)) if name != FIELDS[-1]}
    defines = [f"#define PULSE_{name} {number}" for name, number in numbers.items()]
    grids = " \\\n".join(f"PULSE_GRID {name}[] = {_initializer(getattr(filters, name))};" for name in _GRIDS)
    header = files(__name__).joinpath("bank.h").read_text(encoding="utf-8")
    return "\n".join([*defines, f"#define PULSE_GRIDS \\\n{grids}", header])


def _initializer(grid: npt.NDArray[np.float64]) -> str:
    return "{" + ", ".join(repr(float(value)) for value in grid) + "}"  # repr is read back exactly
