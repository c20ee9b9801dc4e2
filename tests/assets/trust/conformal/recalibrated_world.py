"""A small lake to recalibrate in: prices, counts of all days and monthly figures, forecast every weekday."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.numerics.normal_scores import KNOTS
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.scoring import score
from pulse_assets.trust.tables import SCORES
from pulse_resources.lake import Lake, Partitions, TableContract
from pulse_resources.lake.partitions import weekdays

LAST = date(2024, 6, 28)
FREQS = {"b1": "B", "b2": "B", "b3": "B", "d1": "D", "m1": "MS", "m2": "MS"}
MODELS = ("naive", "pulse")
HORIZONS = {"B": 3, "D": 4, "MS": 2}
TOLD_AFTER = {"B": 0, "D": 1, "MS": 40}
"""Days after its event time on which a truth becomes known, or the first weekday after that."""


@dataclass(frozen=True)
class World:
    """Tables of a small lake and the days they cover."""

    series: pa.Table
    forecasts: pa.Table
    scores: pa.Table
    days: list[date]

    def write(self, lake: Lake, until: date = LAST) -> None:
        """Write what was known by a day."""
        for contract, rows in ((SERIES, self.series), (FORECASTS, self.forecasts), (SCORES, self.scores)):
            known = rows.filter(pc.less_equal(rows["as_of"], pa.scalar(until)))
            if len(known):
                put(lake, contract, known)


def put(lake: Lake, contract: TableContract, rows: pa.Table) -> None:
    """Write the rows of all days that they have."""
    lake.overwrite(contract, contract.cast(rows), Partitions("as_of", tuple(sorted(set(rows["as_of"].to_pylist())))))


def small_world(days: int, *, seed: int = 0) -> World:
    """Return a world of so many weekdays before 28 June 2024; ``b3`` is new, ``m2`` has a biased forecast."""
    rng = np.random.default_rng(seed)
    every = weekdays(np.busday_offset(np.datetime64(LAST), 1 - days).astype(object), LAST)
    truths = pd.concat([_truths(name, freq, every, rng) for name, freq in FREQS.items()], ignore_index=True)
    forecasts = pd.concat([_forecasts(truths, name, freq, every, rng) for name, freq in FREQS.items()])
    told = truths.assign(as_of=truths["told"])[["as_of", "unique_id", "ds", "y"]]
    table = FORECASTS.cast(pa.Table.from_pandas(forecasts.sort_values("as_of"), preserve_index=False))
    known = pa.Table.from_pandas(told, preserve_index=False)
    known = known.set_column(0, "as_of", known["as_of"].cast(pa.date32()))
    known = known.set_column(2, "ds", known["ds"].cast(pa.timestamp("us", "UTC")))
    scores = SCORES.cast(score(table, known))
    inside = scores.filter(pc.is_in(scores["as_of"], pa.array(every, pa.date32())))
    return World(_silver(truths, every[0]), table, inside, every)


def _events(freq: str, days: list[date]) -> list[date]:
    begins, ends = days[0] - timedelta(days=100), days[-1] + timedelta(days=120)
    return [time.date() for time in pd.date_range(begins, ends, freq=freq)]


def _truths(name: str, freq: str, days: list[date], rng: np.random.Generator) -> pd.DataFrame:
    events = _events(freq, days)
    told = [event + timedelta(days=TOLD_AFTER[freq]) for event in events]
    told = [np.busday_offset(np.datetime64(day), 0, roll="forward").astype(object) for day in told]
    y = rng.standard_t(5, len(events)) * np.where(np.arange(len(events)) > len(events) / 2, 2.0, 1.0)
    return pd.DataFrame(
        {"unique_id": name, "ds": pd.to_datetime(events, utc=True), "told": told, "y": y + (name == "m2")}
    )


def _forecasts(truths: pd.DataFrame, name: str, freq: str, days: list[date], rng: np.random.Generator) -> pd.DataFrame:
    own = truths[truths["unique_id"] == name].sort_values("ds")
    told = np.array(own["told"], "datetime64[D]")
    rows = []
    for day in days[len(days) // 3 :] if name == "b3" else days:
        known = int(np.searchsorted(told, np.datetime64(day), side="right"))
        for model in MODELS:
            for h in range(1, HORIZONS[freq] + 1):
                center, width = 0.3 * rng.normal(), np.exp(0.2 * rng.normal())
                quantiles = center + width * KNOTS
                numbers = dict(zip(QUANTILE_COLUMNS, quantiles, strict=True))
                when = own["ds"].iloc[known + h - 1]
                rows.append(
                    {"as_of": day, "unique_id": name, "model": model, "h": h, "ds": when, "mean": center} | numbers
                )
    return pd.DataFrame(rows).assign(model_version="v1", data_version=0)


def _silver(truths: pd.DataFrame, first: date) -> pa.Table:
    """Return one early row of each series: recalibration only asks silver for frequencies."""
    one = truths.groupby("unique_id", as_index=False).first()
    rows = one.assign(
        as_of=first,
        known_at=pd.Timestamp(first, tz="UTC"),
        kind="other",
        unit="x",
        freq=one["unique_id"].map(FREQS),
        calendar="weekday",
        source="test",
        flags="",
    ).drop(columns="told")
    return SERIES.cast(pa.Table.from_pandas(rows, preserve_index=False))
