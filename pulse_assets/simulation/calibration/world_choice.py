"""Which world a lake's series make, where nobody wrote one down. Pure.

What belongs here: picking series and naming variables. Worlds written down are read by ``world_settings``.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.simulation.calibration.world_settings import FactorSettings, WorldSettings, load_world_settings
from pulse_assets.simulation.calibration.worlds import refit_day

AUTO = "auto"
EMBEDDED = "embedded:"
MOST_ASSETS = 64
MOST_FACTORS = 12
FEWEST_PRICES = 600
FACTOR_KINDS = ("volatility", "rate", "macro", "sentiment")
DAILY = ("B", "D")
REFIT: Literal["monthly"] = "monthly"
KNOWN = pa.timestamp("us", "UTC")


def choose_worlds(world: str, silver: pa.Table, days: Sequence[date]) -> Iterator[tuple[WorldSettings, list[date]]]:
    """Yield the settings of a world and the days that they hold for, oldest first; of ``auto`` those of each refit day.

    Raises
    ------
    ValueError
        As :func:`choose_world`.
    """
    if world != AUTO:
        yield choose_world(world, silver), list(days)
        return
    for _, group in groupby(days, lambda day: refit_day(day, REFIT)):
        same = list(group)
        yield choose_world(world, silver, same[0]), same


def choose_world(world: str, silver: pa.Table, day: date | None = None) -> WorldSettings:
    """Return the settings of a world.

    Parameters
    ----------
    world
        A file, a world that ships with Pulse, or ``auto``: the embedded one where the lake has the embedded data, else
        the daily prices with the longest histories, and beside them rates, volatilities and macro series.
    silver
        ``silver/series`` with ``unique_id``; for ``auto`` also ``ds, known_at, kind, unit, freq``.
    day
        For ``auto``: only series count that were known by the day on which parameters that stand on this one are
        estimated, whatever became known later. None lets all count.

    Raises
    ------
    ValueError
        The file is wrong, or the lake has no series of daily prices that is long enough.
    """
    if world != AUTO:
        return load_world_settings(Path(world) if Path(world).suffix in (".yaml", ".yml") else world)
    if day is not None:
        silver = silver.filter(pc.less(silver["known_at"], pa.scalar(_end_of(refit_day(day, REFIT)), KNOWN)))
    ids = pc.unique(silver["unique_id"]).to_pylist()
    if any(str(name).startswith(EMBEDDED) for name in ids):
        return load_world_settings("embedded")
    counts = silver.group_by(["unique_id", "kind", "unit", "freq"], use_threads=False).aggregate(
        [("ds", "count_distinct")]
    )
    rows = sorted(counts.to_pylist(), key=lambda row: (-row["ds_count_distinct"], row["unique_id"]))
    prices = [
        row["unique_id"]
        for row in rows
        if row["kind"] == "price" and row["freq"] in DAILY and row["ds_count_distinct"] >= FEWEST_PRICES
    ][:MOST_ASSETS]
    if not prices:
        raise ValueError(
            f"no series of {FEWEST_PRICES} daily prices or more is known among {len(ids)}{_when(day)}: ingest some, or "
            "write down a world and name its file (docs/how-to/simulate.md)"
        )
    others = [row for row in rows if row["kind"] in FACTOR_KINDS and row["ds_count_distinct"] >= 60][:MOST_FACTORS]
    names = variable_names([*prices, *(row["unique_id"] for row in others)])
    factors = tuple(
        FactorSettings(
            name=names[row["unique_id"]],
            source=row["unique_id"],
            unit=row["unit"],
            scale="log" if row["kind"] == "volatility" else "linear",
            stale_days=10 if row["freq"] in DAILY else 120,
        )
        for row in others
    )
    return WorldSettings(assets={names[price]: price for price in prices}, factors=factors, refit=REFIT)


def newest_day_with(settings: WorldSettings, silver: pa.Table, names: Iterable[str], day: date) -> date:
    """Return the newest weekday up to a day on which all of some variables had a fresh value.

    Parameters
    ----------
    settings, silver
        Of the world, and what is known, columns ``unique_id, known_at``.
    names
        Variables; those that the world does not have or of which nothing is known do not count.
    day
        The newest day that there is.
    """
    sources = {**settings.assets, **{factor.name: factor.source for factor in settings.factors}}
    wanted = {sources[name] for name in names if name in sources}
    rows = silver.filter(pc.is_in(silver["unique_id"], pa.array(sorted(wanted), pa.string())))
    newest = rows.group_by("unique_id", use_threads=False).aggregate([("known_at", "max")])["known_at_max"].to_pylist()
    known: list[date] = [
        np.busday_offset(np.datetime64(moment.date()), 0, roll="forward").astype(object) for moment in newest
    ]
    return min([day, *known])


def _end_of(day: np.datetime64) -> datetime:
    return datetime.combine(day.astype(object) + timedelta(days=1), time.min, tzinfo=UTC)


def _when(day: date | None) -> str:
    return "" if day is None else f" by {refit_day(day, REFIT)}, the newest day of estimation"


def variable_names(ids: Iterable[str]) -> dict[str, str]:
    """Return a name that rules and scenarios can use for each series: its own behind the source, made a word.

    Examples
    --------
    >>> variable_names(["fred:DGS10", "a:S&P 500", "b:S&P 500"])
    {'fred:DGS10': 'DGS10', 'a:S&P 500': 'S_P_500', 'b:S&P 500': 'S_P_500_2'}
    """
    taken: dict[str, str] = {}
    for unique_id in ids:
        word = re.sub(r"\W+", "_", unique_id.rpartition(":")[2], flags=re.ASCII).strip("_") or "series"
        word = f"_{word}" if word[0].isdigit() else word
        number = 1
        name = word
        while name in taken.values():
            number += 1
            name = f"{word}_{number}"
        taken[unique_id] = name
    return taken
