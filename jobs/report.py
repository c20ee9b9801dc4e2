"""Lake contents as tables for people: what the command line shows after a run and on request. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from rich.table import Table

from jobs.terminal import as_rich
from pulse_assets.catalogue import TABLES
from pulse_assets.signals.tables import INGESTS, QUARANTINE, SERIES
from pulse_assets.trust.licensing.gates import REASONS
from pulse_assets.trust.licensing.serving import servable
from pulse_assets.trust.tables import CALIBRATED, LICENCES, SCORES
from pulse_resources.errors import ConfigError, TableMissingError
from pulse_resources.lake import Lake, TableContract
from pulse_resources.lake.upkeep import Health, health

FORECAST_COLUMNS = ("unique_id", "model", "h", "ds", "q025", "q500", "q975", "state", "tier")
LICENCE_COLUMNS = (
    "unique_id",
    "model",
    "bucket",
    "state",
    "tier",
    "serve",
    "targets",
    "skill",
    "trust",
    "coverage_80",
    "reasons",
)
SCORE_COLUMNS = ("unique_id", "model", "truths", "wis", "coverage_50", "coverage_80", "coverage_95")
SOURCE_COLUMNS = (
    "source",
    "started_at",
    "outcome",
    "rows_delivered",
    "rows_new",
    "rows_corrected",
    "rows_quarantined",
    "error",
)
REFUSAL_COLUMNS = ("source", "origin", "reason", "detail", "original")


@dataclass(frozen=True, slots=True)
class View:
    """Something that ``pulse show`` shows: its rows, and a sentence about them."""

    rows: pa.Table
    title: str
    note: str = ""


def table_states(lake: Lake) -> list[Health]:
    """Return the state of every table that exists."""
    return [health(lake, contract) for contract in TABLES if lake.exists(contract)]


def newest_origin(lake: Lake) -> date:
    """Return the newest day with licences.

    Raises
    ------
    TableMissingError
        Nothing was licensed yet.
    """
    newest = pc.max(lake.read(LICENCES, columns=["as_of"])["as_of"]).as_py()
    if newest is None:
        raise TableMissingError(f"{LICENCES.name} under {lake.root} holds no day yet; `pulse run` makes one")
    return newest  # type: ignore[no-any-return]


def forecasts_view(lake: Lake, as_of: date | None, series: str | None) -> View:
    """Return the forecasts that may be shown, with their licences."""
    day = as_of or newest_origin(lake)
    today = pc.field("as_of") == day
    rows = servable(lake.read(CALIBRATED, where=today), lake.read(LICENCES, where=today))
    note = (
        "licensed: may be used. fallback: the naive forecast, nothing better is proven. Quantiles 2.5 %, 50 %, 97.5 %."
    )
    return View(_matching(rows.select(list(FORECAST_COLUMNS)), series), f"Forecasts as of {day}", note)


def licences_view(lake: Lake, as_of: date | None, series: str | None) -> View:
    """Return all decisions of a day, with reasons in words below."""
    day = as_of or newest_origin(lake)
    rows = lake.read(LICENCES, where=pc.field("as_of") == day).select(list(LICENCE_COLUMNS))
    rows = _matching(rows, series).sort_by([(name, "ascending") for name in ("unique_id", "model", "bucket")])
    codes = sorted({code for text in rows["reasons"].to_pylist() for code in text.split()})
    return View(rows, f"Licences as of {day}", "\n".join(f"{code}: {REASONS[code]}" for code in codes))


def scores_view(lake: Lake, as_of: date | None, series: str | None) -> View:
    """Return mean scores a series and model over all scores known by a day."""
    rows = lake.read(SCORES, as_of=as_of) if as_of else lake.read(SCORES)
    rows = _matching(rows, series)
    covered = [f"covered_{level}" for level in (50, 80, 95)]
    for name in covered:
        rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(pa.float64()))
    means = [("ds", "count_distinct"), ("wis", "mean"), *((name, "mean") for name in covered)]
    table = rows.group_by(["unique_id", "model"], use_threads=False).aggregate(means)
    table = table.rename_columns(list(SCORE_COLUMNS)).sort_by([("unique_id", "ascending"), ("wis", "ascending")])
    return View(
        table, f"Mean scores{f' known by {as_of}' if as_of else ''}", "WIS in units of the series; smaller is better."
    )


def sources_view(lake: Lake, as_of: date | None, series: str | None) -> View:  # noqa: ARG001 - one signature for all
    """Return the looks at sources, newest first."""
    rows = lake.read(INGESTS, columns=list(SOURCE_COLUMNS)).sort_by([("started_at", "descending")])
    return View(rows, "Looks at sources")


def quarantine_view(lake: Lake, as_of: date | None, series: str | None) -> View:  # noqa: ARG001 - one signature for all
    """Return refused rows."""
    rows = lake.read(QUARANTINE, columns=[*REFUSAL_COLUMNS, "received_at"]).sort_by([("received_at", "descending")])
    return View(
        rows.select(list(REFUSAL_COLUMNS)), "Refused rows", "Mend them at the source; the next run takes them in."
    )


def series_view(lake: Lake, as_of: date | None, series: str | None) -> View:
    """Return what is known of each series."""
    rows = _matching(lake.read(SERIES, as_of=as_of) if as_of else lake.read(SERIES), series)
    groups = rows.group_by(["unique_id", "kind", "unit", "freq"], use_threads=False)
    wanted = [("ds", "min"), ("ds", "max"), ("ds", "count_distinct"), ("known_at", "max")]
    names = ["unique_id", "kind", "unit", "freq", "first", "last", "observations", "newest_known_at"]
    return View(groups.aggregate(wanted).rename_columns(names).sort_by("unique_id"), "Series")


ONE_SERIES = "forecast"
"""What ``pulse show`` calls all about one series, see :mod:`jobs.one_series`."""
ONE_SIMULATION = "simulation"
"""What it calls all about one simulated scenario, see :mod:`jobs.one_simulation`."""
TRUST_IN = "trust"
"""What it calls trust in all series or one, see :mod:`jobs.one_trust`."""
VIEWS = {
    "forecasts": forecasts_view,
    "licences": licences_view,
    "scores": scores_view,
    "series": series_view,
    "sources": sources_view,
    "quarantine": quarantine_view,
}


def view_of(what: str) -> TableContract | None:
    """Return the contract of a table that is named like ``ops/lineage``."""
    return next((contract for contract in TABLES if contract.name == what), None)


def show(lake: Lake, what: str, as_of: date | None, series: str | None) -> View:
    """Return a view by name, or the newest rows of a table by its name.

    Raises
    ------
    ConfigError
        Neither a view nor a table.
    """
    if what in VIEWS:
        return VIEWS[what](lake, as_of, series)
    contract = view_of(what)
    if contract is None:
        names = [*VIEWS, ONE_SERIES, ONE_SIMULATION, TRUST_IN, *(contract.name for contract in TABLES)]
        raise ConfigError(f"nothing is called {what!r}; expected one of {', '.join(names)}")
    return View(lake.read(contract, as_of=as_of) if as_of else lake.read(contract), contract.name, contract.description)


def _matching(rows: pa.Table, series: str | None) -> pa.Table:
    if series is None:
        return rows
    return rows.filter(pc.match_substring(rows["unique_id"], series, ignore_case=True))


def states_table(states: Sequence[Health]) -> Table:
    """Return table states for a terminal."""
    rows = [
        {"table": s.table, "rows": s.rows, "version": s.version, "files": s.files, "MiB": s.bytes / 2**20}
        for s in states
    ]
    if not rows:
        return as_rich(pa.table({"no tables yet": pa.nulls(0)}), "Tables", 0)  # rich prints nothing without a column
    return as_rich(pa.Table.from_pylist(rows), "Tables", len(rows))


def count_by(rows: Sequence[Mapping[str, object]], name: str) -> dict[str, int]:
    """Return how often each value of a column occurs."""
    values = [str(row[name]) for row in rows]
    return {value: values.count(value) for value in sorted(set(values))}
