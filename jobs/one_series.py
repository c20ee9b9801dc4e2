"""All that is known about one series as of a day: history, forecasts with licences, scores, a picture. Reads only."""

from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jobs.report import View, licences_view, newest_origin, scores_view
from pulse_assets.forecasting.tables import MEMBER_WEIGHTS
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.tables import CALIBRATED, LICENCES, SCORES
from pulse_resources.errors import ConfigError
from pulse_resources.lake import Lake

TAIL = 8
SHOWN_IDS = 12
HISTORY_COLUMNS = ("ds", "y", "unit", "known_at", "flags")
FORECAST_COLUMNS = ("model", "h", "ds", "q025", "q100", "q500", "q900", "q975", "state", "tier", "serve")
SCORED = ["unique_id", "model", "h", "wis", "pit"]


@dataclass(frozen=True)
class OneSeries:
    """One series as of a day.

    Parameters
    ----------
    history
        Columns of ``silver/series``, the newest vintage of each event time that was known then, in order of time.
    forecasts
        Columns of ``gold/calibrated``, of all models, with ``state, tier, serve`` of their licences; the one that
        readers should take comes first.
    scores
        Columns :data:`SCORED` of ``gold/scores``, known by then.
    members
        Columns of ``gold/forecast_members`` of all days by then.
    """

    unique_id: str
    day: date
    history: pa.Table
    forecasts: pa.Table
    scores: pa.Table
    members: pa.Table


def look_up(lake: Lake, as_of: date | None, series: str) -> OneSeries:
    """Return the one series that some text names: its id, its name behind the source, or a part that no other has.

    Raises
    ------
    ConfigError
        No series or more than one is meant.
    TableMissingError
        Nothing was licensed yet.
    """
    day = as_of or newest_origin(lake)
    unique_id = meant(lake, series, day)
    this = pc.field("unique_id") == unique_id
    today = this & (pc.field("as_of") == day)
    return OneSeries(
        unique_id,
        day,
        _newest_vintages(lake.read(SERIES, as_of=day, where=this)),
        _licensed(lake.read(CALIBRATED, where=today).drop_columns(["z", "rates"]), lake.read(LICENCES, where=today)),
        lake.read(SCORES, as_of=day, where=this, columns=SCORED),
        lake.read(MEMBER_WEIGHTS, as_of=day, where=this).sort_by("as_of"),
    )


def views(lake: Lake, one: OneSeries) -> list[View]:
    """Return what is to be shown of a series, in the order of the flow; what there is nothing of is left out."""
    tail = one.history.slice(max(len(one.history) - TAIL, 0)).select(list(HISTORY_COLUMNS))
    shown = [View(tail, f"Newest values of {one.unique_id}, as known on {one.day}")]
    note = "Quantiles 2.5 %, 10 %, 50 %, 90 %, 97.5 %; take the rows marked in the column `serve`."
    if not len(one.forecasts):
        note = f"{one.day} was not computed, or the series had ended; without --as-of the newest day is shown"
    shown.append(View(one.forecasts.select(list(FORECAST_COLUMNS)), f"Forecasts as of {one.day}", note))
    for view in (licences_view(lake, one.day, one.unique_id), scores_view(lake, one.day, one.unique_id)):
        rows = view.rows.filter(pc.equal(view.rows["unique_id"], one.unique_id))  # views match parts of ids
        shown += [View(rows.drop_columns(["unique_id"]), view.title, view.note)] if len(rows) else []
    newest = one.members.filter(pc.equal(one.members["as_of"], one.day))
    if len(newest):
        rows = newest.select(["member", "weight_first", "weight_last", "loss"])
        shown.append(View(rows.sort_by([("weight_first", "descending")]), "What the pooled forecast is made of"))
    return shown


def picture(one: OneSeries) -> bytes:
    """Return fan, calibration and errors of a series, and what its forecasts were made of, on one sheet."""
    from pulse_assets.forecasting.plots import series_sheet

    rows = one.forecasts.to_pandas()
    forecasts = rows[rows["model"] == rows["model"].iloc[0]] if len(rows) else rows
    members = one.members.to_pandas() if len(one.members) else None
    title = f"{one.unique_id}, {forecasts['model'].iloc[0]} as of {one.day}" if len(rows) else one.unique_id
    named = [frame.assign(unique_id=title) for frame in (one.history.to_pandas(), forecasts)]
    return series_sheet(named[0], named[1], one.scores.to_pandas(), members)


def meant(lake: Lake, series: str, day: date) -> str:
    """Return the id that is meant, preferring the whole of it to the name behind the source, and that to a part.

    Raises
    ------
    ConfigError
        No series that was known by the day, or more than one, is meant.
    """
    ids = pc.unique(lake.read(SERIES, as_of=day, columns=["unique_id"])["unique_id"]).to_pylist()
    if not ids:
        raise ConfigError(f"no series was known on {day}; `pulse show series` says since when each is")
    text = series.casefold()
    ways = (
        [name for name in ids if name == series],
        [name for name in ids if name.casefold().rpartition(":")[2] == text],
        [name for name in ids if text in name.casefold()],
    )
    found = sorted(next((way for way in ways if way), []))
    if len(found) == 1:
        return str(found[0])
    if found:
        more = f", … ({len(found):,} in all)" if len(found) > SHOWN_IDS else ""
        raise ConfigError(f"{series!r} may be any of {', '.join(found[:SHOWN_IDS])}{more}; name one")
    close = get_close_matches(series, ids, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(close)}?" if close else "; `pulse show series` lists them"
    raise ConfigError(f"no series is called like {series!r}{hint}")


def _newest_vintages(rows: pa.Table) -> pa.Table:
    frame: pd.DataFrame = rows.sort_by([("ds", "ascending"), ("known_at", "ascending")]).to_pandas()
    return pa.Table.from_pandas(frame.drop_duplicates("ds", keep="last"), rows.schema, preserve_index=False)


def _licensed(forecasts: pa.Table, licences: pa.Table) -> pa.Table:
    keys = ["as_of", "unique_id", "model", "bucket"]
    rows = forecasts.join(licences.select([*keys, "state", "tier", "serve"]), keys=keys)
    return rows.sort_by([("serve", "descending"), ("model", "ascending"), ("h", "ascending")])
