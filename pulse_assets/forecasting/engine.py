"""The seam between assets and whatever makes forecasts: a panel and origins in, rows in order of origin out.

What belongs here is what every engine and its readers share. Engines live in modules of their own and satisfy
:class:`Forecaster`; :class:`pulse_assets.forecasting.references.ReferenceBank` is the simplest.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from pulse_assets.forecasting import kinds
from pulse_assets.forecasting.pack import MICROSECONDS_A_DAY, Panel

Block = TypeVar("Block")
Result = TypeVar("Result")

MODELS = ("naive", "pulse", "seasonal_naive")
"""Models in ``gold/forecasts``, in alphabetical order; on a day any of them may have nothing to say of a series."""
LOG_KINDS = tuple(kind for kind, scale in kinds.SCALES.items() if scale == kinds.EXPONENTIAL)
ROWS_A_CHUNK = 50_000
SEASONS = {freq: season for freq, (season, _) in kinds.SEASONS.items()}
"""The one season that a reference model repeats."""
HORIZONS = {"h": 24, "D": 7, "B": 5, "W": 4, "MS": 3, "QS": 2, "YS": 1}
"""Steps ahead by frequency: a week of weekdays, a quarter of months."""
LARGEST = 1e150
"""A larger value, or a price that has no logarithm, ends a series' forecasts: sums of such would overflow."""


class MapBlocks(Protocol):
    """Applies a function to blocks, wherever; results come in block order."""

    def __call__(self, function: Callable[[Block], Result], blocks: Iterable[Block]) -> Iterator[Result]:
        """Return the results lazily."""


class Forecaster(Protocol):
    """Makes quantile forecasts of a panel from every origin asked for."""

    @property
    def version(self) -> str:
        """Version of the engine; it changes whenever a result can change."""

    def forecast(self, panel: Panel, origins: list[date], map_blocks: MapBlocks) -> Iterator[pa.Table]:
        """Yield tables in order of origin, with the columns of ``gold/forecasts`` up to the quantiles.

        A row at an origin depends on nothing known after it, bit for bit, nor on the other origins asked for. Series
        that are too short or stale at an origin, or too wild for finite quantiles, have no rows there.

        Raises
        ------
        ValueError
            The origins do not rise.
        """


def check_origins(origins: list[date]) -> None:
    """Raise ValueError unless the origins rise, because a walk only moves forward."""
    if any(earlier >= later for earlier, later in pairwise(origins)):
        raise ValueError(f"origins must rise, because a walk only moves forward; came {[str(o) for o in origins]}")


def origin_chunks(origins: list[date], steps: int) -> Iterator[slice]:
    """Cut origins into pieces of about :data:`ROWS_A_CHUNK` rows of one model, ``steps`` rows an origin."""
    size = max(1, ROWS_A_CHUNK // max(1, steps))
    return (slice(low, low + size) for low in range(0, len(origins), size))


def refit_day(origin: date) -> date:
    """Return the first day of the origin's quarter: what was known before it is what panels were last fitted on."""
    return date(origin.year, 3 * ((origin.month - 1) // 3) + 1, 1)


def knows_from(origin: date) -> int:
    """Return the end of the last refit at or before an origin, in microseconds since 1970.

    A panel packed from here on can be refitted as it was then.
    """
    return int(np.datetime64(refit_day(origin), "D").astype(np.int64)) * MICROSECONDS_A_DAY


class Promotion(NamedTuple):
    """A training that serves one panel out of turn: at origins after a day, until the next promotion or refit.

    Parameters
    ----------
    family
        Panel, as in ``B price``: frequency and kind.
    effective_after
        Day whose evidence led to it; it counts for later origins only.
    trained_on
        Last day whose knowledge it has learned from, at most ``effective_after``.
    """

    family: str
    effective_after: date
    trained_on: date


def refit_end(family: str, origin: date, promotions: Iterable[tuple[str, date, date]] = ()) -> int:
    """Return the end of what the training had learned from that serves a panel at an origin, in microseconds.

    That is the refit at the start of the quarter, or what the newest :class:`Promotion` before the origin names, if
    that is later. Of promotions that take effect on one day the last counts. No end lies before :func:`knows_from`.

    Examples
    --------
    >>> def day(*promotions: Promotion) -> str:
    ...     return str(np.datetime64(refit_end("B price", date(2024, 5, 7), promotions), "us").astype("datetime64[D]"))
    >>> day(), day(Promotion("B price", date(2024, 5, 6), date(2024, 5, 3)))
    ('2024-04-01', '2024-05-04')
    """
    serving = None
    for panel, after, trained_on in promotions:
        if panel == family and after < origin and (serving is None or after >= serving[0]):
            serving = (after, trained_on)
    quarter = knows_from(origin)
    return quarter if serving is None else max(quarter, origin_end(serving[1]))


def origin_end(origin: date) -> int:
    """Return the end of an origin's day in microseconds since 1970 (UTC): known strictly before it counts."""
    return (int(np.datetime64(origin, "D").astype(np.int64)) + 1) * MICROSECONDS_A_DAY


def inline(function: Callable[[Block], Result], blocks: Iterable[Block]) -> Iterator[Result]:
    """Map in this process: the ``map_blocks`` that needs no compute resource."""
    return map(function, blocks)
