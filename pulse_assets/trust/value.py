"""What following licences was worth, beside other ways to choose a model. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pulse_assets.trust.buckets import BUCKETS, bucket_codes

NAIVE, POOLED = "naive", "pulse"
LEAST = 10
"""Truths of a series that its scale rests on."""
SCALED_ON_DAYS = 365
"""Days whose truths give a series its scale: the mean WIS of naive."""
LOOK_AHEAD = 30
"""Truths over which the oracle knows the better model."""
LEAST_GAIN = 1e-12
ORACLE_DAYS = 1_000
"""Days within which they must lie."""
TARGET = ["as_of", "unique_id", "bucket", "ds"]

Floats = npt.NDArray[np.float64]


def values_by_day(
    scores: pd.DataFrame, licences: pd.DataFrame, freqs: Mapping[str, str], days: Sequence[date]
) -> pd.DataFrame:
    """Return for each day, frequency and bucket what each way of choosing a model scored.

    Parameters
    ----------
    scores
        Columns ``as_of, origin, unique_id, model, h, ds, wis`` of ``gold/calibrated_scores``, of the days and of 1,000
        before them.
    licences
        Columns ``as_of`` (the origin), ``unique_id, model, bucket, state`` of served rows of ``gold/licences``.
    freqs
        Frequency of each series.
    days
        That are wanted.

    Returns
    -------
    DataFrame
        Columns of ``gold/licence_value``. Losses are WIS over the mean WIS of naive on the series' truths of the year
        before: a quiet series counts as much as a wild one. The oracle takes for each series and bucket the model with
        the smaller loss over the 30 truths that end on the day.
    """
    targets = _targets(scores, licences)
    wanted = set(days)
    parts = []
    for (unique_id, _), cell in targets.groupby(["unique_id", "bucket"], sort=True):
        if unique_id in freqs:
            parts.append(_scaled(cell, wanted).assign(freq=freqs[str(unique_id)]))
    return _summed(pd.concat(parts)) if parts else _summed(targets.iloc[:0].assign(freq="", oracle=np.nan))


def _targets(scores: pd.DataFrame, licences: pd.DataFrame) -> pd.DataFrame:
    """Return the losses of naive, of the model and of what was served, one row a truth."""
    rows = scores.assign(bucket=np.array(BUCKETS, object)[bucket_codes(scores["h"].to_numpy())])
    key = ["origin", "unique_id", "h", "ds"]
    by_model = [
        rows.loc[rows["model"] == model, [*key, "wis", *(["as_of", "bucket"] if model == NAIVE else [])]].rename(
            columns={"wis": model}
        )
        for model in (NAIVE, POOLED)
    ]
    both = by_model[0].merge(by_model[1], on=key, how="inner")
    served = licences.rename(columns={"as_of": "origin", "model": "served"})
    both = both.merge(served, on=["origin", "unique_id", "bucket"], how="inner")
    chosen = rows[[*key, "model", "wis"]].rename(columns={"model": "served", "wis": "followed"})
    both = both.merge(chosen, on=[*key, "served"], how="inner")
    both["licensed"] = (both["state"] == "licensed").astype(float)
    return both.groupby(TARGET, sort=True)[[NAIVE, POOLED, "followed", "licensed"]].mean().reset_index()


def _scaled(cell: pd.DataFrame, wanted: set[date]) -> pd.DataFrame:
    """Return the targets of the wanted days of one series and bucket, over their scale, with the oracle's loss."""
    cell = cell.sort_values(["as_of", "ds"], kind="stable")
    day = cell["as_of"].to_numpy("datetime64[D]").astype(np.int64)
    losses = {name: cell[name].to_numpy(np.float64) for name in (NAIVE, POOLED)}
    rows = np.flatnonzero(cell["as_of"].isin(wanted).to_numpy())
    scale, oracle = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for place, row in enumerate(rows):
        low, high = np.searchsorted(day, [day[row] - SCALED_ON_DAYS, day[row]])
        if high - low >= LEAST:
            scale[place] = losses[NAIVE][low:high].mean()
        first = row + 1 - LOOK_AHEAD
        if first >= 0 and day[first] >= day[row] - ORACLE_DAYS:
            oracle[place] = min(part[first : row + 1].mean() for part in losses.values())
    made = cell.iloc[rows].assign(oracle=oracle)
    scale[~(scale > 0)] = np.nan
    for name in (NAIVE, POOLED, "followed", "oracle"):
        made[name] = made[name].to_numpy(np.float64) / scale
    kept: pd.DataFrame = made[np.isfinite(scale)]
    return kept


def _summed(targets: pd.DataFrame) -> pd.DataFrame:
    groups = targets.groupby(["as_of", "freq", "bucket"], sort=True)
    return pd.DataFrame(
        {
            "series": groups["unique_id"].nunique().astype(np.int64),
            "licensed_share": groups["licensed"].mean(),
            "wis_followed": groups["followed"].mean(),
            "wis_always": groups[POOLED].mean(),
            "wis_naive": groups[NAIVE].mean(),
            "wis_oracle": groups["oracle"].mean(),
        }
    ).reset_index()


def summary(rows: pa.Table) -> pa.Table:
    """Return what each way was worth over all days, by frequency and bucket, weighed by series.

    Parameters
    ----------
    rows
        Columns of ``gold/licence_value``.

    Returns
    -------
    pyarrow.Table
        ``freq, bucket, truths, licensed_share, wis_followed, wis_always, wis_naive, wis_oracle``, and the share of the
        oracle's gain over always using the model that a follower had; null where there was none to have.
    """
    names = ["licensed_share", "wis_followed", "wis_always", "wis_naive", "wis_oracle"]
    frame: pd.DataFrame = rows.to_pandas()
    known = frame.dropna(subset=["wis_oracle"])
    groups = known.groupby(["freq", "bucket"], sort=True)
    rows_made = []
    for (freq, bucket), part in groups:
        mean = {name: float(np.average(part[name], weights=part["series"])) for name in names}
        gain = mean["wis_always"] - mean["wis_oracle"]
        share = (mean["wis_always"] - mean["wis_followed"]) / gain if gain > LEAST_GAIN else None
        who = {"freq": freq, "bucket": bucket, "truths": int(part["series"].sum())}
        rows_made.append({**who, **mean, "oracle_share": share})
    columns = ["freq", "bucket", "truths", *names, "oracle_share"]
    return pa.table({name: [row[name] for row in rows_made] for name in columns})
