"""A trained panel behind data frames: what a model server is asked with, and what it answers. Pure.

Times in frames are UTC without a zone, and texts are plain strings: what every model server takes.
"""

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from pulse_assets.forecasting.training import TrainedPanel
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS

TIME = pa.timestamp("us", "UTC")
ASKED: Mapping[str, str] = {
    "unique_id": "string",
    "ds": "datetime",
    "y": "double",
    "known_at": "datetime",
    "calendar": "string",
}
"""Columns of a question and their types: the past of series of the panel's family, as in ``silver/series``."""
ANSWERED: Mapping[str, str] = {
    "as_of": "datetime",
    "unique_id": "string",
    "model": "string",
    "h": "long",
    "ds": "datetime",
    "mean": "double",
    **dict.fromkeys(QUANTILE_COLUMNS, "double"),
}
"""Columns of an answer and their types."""
ORIGIN = "origin"
"""Parameter of a question: ISO date of the origin; empty for the newest day on which something became known."""


def question(rows: pa.Table) -> pd.DataFrame:
    """Return rows of ``silver/series`` as a frame to ask with."""
    frame: pd.DataFrame = rows.select(list(ASKED)).to_pandas()
    for name, kind in ASKED.items():
        if kind == "datetime":
            frame[name] = frame[name].dt.tz_localize(None)
        elif kind == "string":
            frame[name] = frame[name].astype(object)
    return frame


def answer(trained: TrainedPanel, frame: pd.DataFrame, origin: str = "") -> pd.DataFrame:
    """Return the forecasts of a trained panel for a frame.

    Parameters
    ----------
    frame
        Columns :data:`ASKED`, no nulls.
    origin
        ISO date, or empty; see :data:`ORIGIN`.

    Raises
    ------
    ValueError
        A column is missing or has nulls, the origin is no date, or the panel cannot speak from it.
    """
    lacking = [name for name in ASKED if name not in frame.columns]
    nulls = [name for name in ASKED if name not in lacking and frame[name].isna().any()]
    if lacking or nulls or not len(frame):
        raise ValueError(
            f"expected rows with {', '.join(ASKED)} and no nulls; {len(frame)} rows came, without "
            f"{lacking or 'nothing'}, with nulls in {nulls or 'nothing'}"
        )
    day = date.fromisoformat(origin) if origin else frame["known_at"].max().date()
    made = trained.forecast(_rows(trained, frame), day)
    told = made.set_column(0, "as_of", made["as_of"].cast(pa.timestamp("us")))
    frame_of: pd.DataFrame = told.set_column(4, "ds", told["ds"].cast(pa.timestamp("us"))).to_pandas()
    return frame_of


def _rows(trained: TrainedPanel, frame: pd.DataFrame) -> pa.Table:
    freq, kind = trained.family.split(" ", 1)
    count = len(frame)
    columns = {
        "unique_id": pa.array(frame["unique_id"].astype(object), pa.string()),
        **{
            name: pa.array(frame[name].to_numpy("datetime64[us]").astype(np.int64)).cast(pa.timestamp("us")).cast(TIME)
            for name in ("ds", "known_at")
        },
        "y": pa.array(frame["y"].to_numpy(np.float64)),
        "calendar": pa.array(frame["calendar"].astype(object), pa.string()),
        "freq": pa.array([freq] * count, pa.string()),
        "kind": pa.array([kind] * count, pa.string()),
    }
    return pa.table(columns)
