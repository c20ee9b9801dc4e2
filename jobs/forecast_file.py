"""Forecasts of a file that someone has: CSV or Parquet in, quantiles out; no lake, no run, no Dagster.

What becomes of the answer is here: what is said of it, and the files it is written to. How a file is understood is the
business of :mod:`jobs.long_table`, how a forecast is made that of :mod:`pulse_assets.forecasting.api`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from jobs.long_table import LongTable, Names, long_table, read_file
from jobs.targets import check_target, writing
from pulse_assets.forecasting.api import Forecast, forecast
from pulse_assets.forecasting.frames import FATAL, REASONS, frequency
from pulse_assets.forecasting.kinds import MARKET_KINDS
from pulse_assets.forecasting.plots import fan_charts
from pulse_assets.signals.calendars import STEPS_A_YEAR, infer_freq
from pulse_resources.errors import ConfigError

KINDS = (*MARKET_KINDS, "rate", "macro", "sentiment", "other")
SHOWN_COLUMNS = ("unique_id", "h", "ds", "q025", "q500", "q975")
SHOWN_MEMBERS = 6
SHOWN_IDS = 5
DRAWN = 12
WORDS = {"h": "hourly", "D": "daily", "B": "daily on weekdays", "W": "weekly", "MS": "monthly"} | {
    "QS": "quarterly",
    "YS": "yearly",
}
SHORTEST_STEP = np.timedelta64(45, "m")
OUR_NAMES = re.compile(r"\b(unique_id|ds|y)\b")


@dataclass(frozen=True, slots=True)
class Request:
    """What to forecast, how, and where to write it.

    Parameters
    ----------
    file
        CSV or Parquet.
    horizon
        Steps ahead.
    freq
        Frequency; None takes what the first series looks like.
    kind
        Decides the scale; None takes ``price`` where the column of values is called so, else ``other``.
    season, gap_policy
        See :func:`pulse_assets.forecasting.api.forecast`.
    names
        Columns that the user named.
    output, plot
        Files to write: ``.csv`` or ``.parquet``, and ``.png``.
    """

    file: Path
    horizon: int
    freq: str | None = None
    kind: str | None = None
    season: int | None = None
    gap_policy: str = "ffill"
    names: Names = field(default_factory=Names)
    output: Path | None = None
    plot: Path | None = None


@dataclass(frozen=True)
class Answer:
    """Forecasts of a file, and what is to be said of them.

    Parameters
    ----------
    made
        What the api returned.
    taken_as
        Which columns the file was taken to have, its frequency and kind.
    remarks, refusals
        Lines on series that stand with a remark, and on series without a forecast; a frequency that the file does not
        look like is a remark.
    written
        Lines on files that were written.
    """

    made: Forecast
    taken_as: str
    remarks: tuple[str, ...]
    refusals: tuple[str, ...]
    written: tuple[str, ...]

    @property
    def shown(self) -> pa.Table:
        """Return the columns that a terminal has room for; days without a time of day as dates."""
        rows = _short_stamps(self.made.rows.select(list(SHOWN_COLUMNS)))
        return rows.set_column(2, "ds", rows["ds"].cast(pa.string()))  # 2024 is no 2,024

    @property
    def first_series(self) -> str:
        """Return the id of the first series."""
        return str(self.made.rows["unique_id"][0].as_py())

    @property
    def recipe(self) -> pa.Table:
        """Return the heaviest members of the first series' forecast."""
        members = self.made.members
        members = members.filter(pc.equal(members["unique_id"], self.first_series)).drop_columns(["unique_id"])
        return members.sort_by([("weight_first", "descending")]).slice(0, SHOWN_MEMBERS)


def forecast_file(request: Request) -> Answer:
    """Forecast every series of a file.

    Raises
    ------
    ConfigError
        The file or an option is wrong, or no series of it can be forecast.
    """
    _check_options(request)
    table = long_table(read_file(request.file), request.file, request.names)
    kind = request.kind or ("price" if table.is_price else "other")
    try:
        looks = _looks(table)
        freq = _agreed(request, looks)
        made = forecast(
            table.rows,
            freq=freq,
            horizon=request.horizon,
            season=request.season,
            kind=kind,
            gap_policy=request.gap_policy,
        )
    except ConfigError:
        raise
    except (ValueError, pa.ArrowException) as error:
        words = " ".join(str(error).split())
        where = f" ({request.file.name}: {table.origin()})" if OUR_NAMES.search(words) else ""
        raise ConfigError(words + where) from error
    reasons = list(_in_words(made.reasons))
    if not len(made.rows):
        hint = "; name the column that tells series apart with --id" if "DUPLICATE_STAMPS" in dict(reasons) else ""
        words = "; ".join(text for _, text in reasons)
        raise ConfigError(f"no series of {request.file.name} can be forecast: {words}{hint}")
    taken_as = f"{table.origin()}, {WORDS[freq]}, kind {kind}"
    remarks = [text for code, text in reasons if code not in FATAL]
    refusals = tuple(text for code, text in reasons if code in FATAL)
    if looks not in (None, freq):
        remarks.insert(0, f"the first series looks {WORDS[looks]}, and was taken as {WORDS[freq]} (--freq {freq})")
    return Answer(made, taken_as, tuple(remarks), refusals, tuple(_write(request, made, table)))


def _check_options(request: Request) -> None:
    """Say what is wrong with the options before anything is computed."""
    if request.kind is not None and request.kind not in KINDS:
        raise ConfigError(f"kind {request.kind!r} is not known; use one of {', '.join(KINDS)}")
    check_target("--output", request.output, (".csv", ".parquet"), request.file)
    check_target("--plot", request.plot, (".png",), request.file)


def _looks(table: LongTable) -> str | None:
    """Return the frequency that the first series looks like, None where that cannot be told."""
    if pa.types.is_integer(table.rows["ds"].type):
        return "YS" if (table.names.time or "").lower() == "year" else None
    ids = table.rows["unique_id"].cast(pa.string())
    first = table.rows.filter(pc.equal(ids, ids[0])).slice(0, 1_000)["ds"].drop_null()
    moments = np.unique(_moments(first).to_numpy("datetime64[us]"))
    if len(moments) < 3:
        return None
    if np.median(np.diff(moments)) < SHORTEST_STEP:
        raise ConfigError(
            f"the stamps in {table.names.time!r} are finer than hourly; aggregate them, or number the steps 0, 1, 2, …"
        )
    return infer_freq(moments)


def _agreed(request: Request, looks: str | None) -> str:
    """Return the frequency to forecast at; stamps finer than that would each be taken for a whole step."""
    if request.freq is None:
        if looks is None:
            raise ConfigError("the frequency cannot be told from the time stamps; name it with --freq")
        return looks
    freq = frequency(request.freq)
    if looks is not None and STEPS_A_YEAR[looks] > 2 * STEPS_A_YEAR[freq]:
        raise ConfigError(
            f"the first series is {WORDS[looks]}, --freq {request.freq} asks for {WORDS[freq]} steps; "
            f"aggregate it first, or use --freq {looks}"
        )
    return freq


def _moments(ds: pa.ChunkedArray) -> pd.DatetimeIndex:
    """Return stamps as the api takes them: in UTC, without a time zone."""
    try:
        return pd.DatetimeIndex(pd.to_datetime(ds.to_pandas(), utc=True, format="ISO8601")).tz_localize(None)
    except ValueError as error:
        raise ConfigError(f"a stamp is no ISO date or time: {str(error).split('. ')[0]}") from error


def _in_words(reasons: pa.Table) -> Iterator[tuple[str, str]]:
    """Yield each reason code with a line of the series that have it."""
    for code in sorted(set(reasons["reason"].to_pylist())):
        ids = reasons.filter(pc.equal(reasons["reason"], code))["unique_id"].to_pylist()
        more = f"; … ({len(ids):,} series)" if len(ids) > SHOWN_IDS else ""
        yield code, f"{code} ({REASONS[code]}): {'; '.join(ids[:SHOWN_IDS])}{more}"


def _write(request: Request, made: Forecast, table: LongTable) -> Iterator[str]:
    if request.output is not None:
        with writing(request.output):
            _write_rows(made.rows, request.output)
        yield f"wrote {len(made.rows):,} rows with 23 quantiles to {request.output}"
    if request.plot is not None:
        ids, picture = _picture(made, table)
        with writing(request.plot):
            request.plot.write_bytes(picture)
        yield f"drew {len(ids):,} series to {request.plot}"


def _write_rows(rows: pa.Table, path: Path) -> None:
    rows = rows.set_column(0, "unique_id", rows["unique_id"].cast(pa.string()))
    if path.suffix.lower() == ".parquet":
        pq.write_table(rows, path)
    else:
        pacsv.write_csv(_short_stamps(rows), path, pacsv.WriteOptions(quoting_style="needed"))


def _short_stamps(rows: pa.Table) -> pa.Table:
    """Return the table with days as dates, and with seconds where nothing is finer."""
    place = rows.column_names.index("ds")
    ds = rows["ds"]
    if pa.types.is_integer(ds.type):
        return rows
    for kind in (pa.date32(), pa.timestamp("s")):
        if pc.all(pc.equal(ds.cast(kind, safe=False).cast(ds.type), ds)).as_py():
            return rows.set_column(place, "ds", ds.cast(kind, safe=False))
    return rows


def _picture(made: Forecast, table: LongTable) -> tuple[list[str], bytes]:
    ids = list(dict.fromkeys(made.rows["unique_id"].to_pylist()))[:DRAWN]
    names = table.rows["unique_id"].cast(pa.string())
    chosen = pc.is_in(names, pa.array(ids, pa.string()))
    past = table.rows.filter(chosen)
    history = pd.DataFrame({"unique_id": names.filter(chosen).to_pandas(), "y": past["y"].to_numpy()})
    whole = pa.types.is_integer(past["ds"].type)
    history["ds"] = past["ds"].to_numpy() if whole else _moments(past["ds"])
    ahead = made.rows.filter(pc.is_in(made.rows["unique_id"].cast(pa.string()), pa.array(ids, pa.string()))).to_pandas()
    return ids, fan_charts(history[np.isfinite(history["y"])], ahead, ids)
