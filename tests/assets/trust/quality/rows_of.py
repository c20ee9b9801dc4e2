"""Silver rows of series with chosen faults."""

import numpy as np
import pandas as pd
import pyarrow as pa

from pulse_assets.forecasting.pack import MICROSECONDS_A_DAY
from pulse_assets.trust.quality.ledger import keep_ledger
from pulse_assets.trust.quality.measures import Measures, measure

LAG = pd.Timedelta(hours=22)
STEPS = {"D": "D", "B": "B", "W": "W-FRI", "MS": "MS", "QS": "QS", "YS": "YS", "h": "h"}


def walk(count: int, seed: int = 0, sd: float = 0.01, start: float = 100.0) -> np.ndarray:
    """Return a price that moves by about one percent a step."""
    steps = np.random.default_rng(seed).standard_t(4, count) * sd
    return np.asarray(start * np.exp(np.cumsum(steps)))


def rows_of(
    y: object,
    freq: str = "B",
    kind: str = "price",
    name: str = "s:A",
    calendar: str = "weekday",
    last: str = "2024-06-28 01:00",
) -> pd.DataFrame:
    """Return observations one step apart, the newest on a day, each known the same evening."""
    values = np.asarray(y, float)
    newest = pd.Timestamp(last) if freq == "h" else pd.Timestamp(last).normalize()
    ds = pd.date_range(end=newest, periods=len(values), freq=STEPS[freq], tz="UTC").as_unit("us")
    frame = pd.DataFrame({"unique_id": name, "ds": ds, "y": values, "known_at": (ds + LAG).as_unit("us")})
    return frame.assign(kind=kind, freq=freq, calendar=calendar)


def end_of(day: object) -> int:
    """Return the end of a day in microseconds."""
    return int(pd.Timestamp(day).normalize().value // 1_000 + MICROSECONDS_A_DAY)  # type: ignore[arg-type]


def as_table(rows: pd.DataFrame) -> pa.Table:
    """Return silver rows as Arrow."""
    return pa.Table.from_pandas(rows, preserve_index=False)


def measured(rows: pd.DataFrame, *days: object) -> Measures:
    """Measure all series on some days; by default on the day on which the newest row became known."""
    ends = np.array([end_of(day) for day in days or (rows["known_at"].max().tz_localize(None),)], np.int64)
    return measure(keep_ledger(as_table(rows), int(ends[-1])), ends)


def flags_of(rows: pd.DataFrame, *days: object) -> set[str]:
    """Return the flags of the first series on the last day."""
    return set(measured(rows, *days).flags[0, -1].split())
