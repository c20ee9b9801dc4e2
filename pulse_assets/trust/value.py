"""What following licences was worth, beside other ways to choose a model. Pure."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pulse_assets.trust.belief.sizes import LEAST_RECENT, STATED
from pulse_assets.trust.buckets import BUCKETS, bucket_codes

Floats = npt.NDArray[np.float64]

NAIVE, POOLED = "naive", "pulse"
CELL = ["as_of", "unique_id", "bucket"]
WAYS = ("followed", "always", "naive", "oracle")
LOSSES = [f"wis_{way}" for way in WAYS]
GROUP = ("freq", "bucket")
SUMMED = ("licensed_share", *LOSSES, "gain_always", "gain_naive", "oracle_share")
NOTHING = 1e-12
"""A gain of the oracle, in naive errors, that is none."""


def values_by_day(scores: pd.DataFrame, served: pd.DataFrame, trust: pd.DataFrame) -> pd.DataFrame:
    """Return for each day, frequency and bucket what each way of choosing a model scored.

    Parameters
    ----------
    scores
        Columns ``as_of, origin, unique_id, model, h, ds, wis`` of ``gold/calibrated_scores``.
    served
        Columns ``as_of`` (the origin), ``unique_id, model, bucket, state`` of the rows of ``gold/licences`` that were
        to be served.
    trust
        Columns ``as_of, unique_id, model, bucket, freq, targets, wis, reference, recent_targets, recent_skill`` of
        ``gold/trust`` of the same days as the scores.

    Returns
    -------
    DataFrame
        Columns of ``gold/licence_value``. A forecast counts where something was served, and naive and the model
        ``pulse`` spoke, too. Losses are WIS over the mean WIS of naive in the series' window: a quiet series counts as
        much as a wild one. Where that window holds fewer than 10 truths the series does not count yet, nor where the
        oracle is silent while it speaks of others. Forecasts of one truth are averaged before truths are.
    """
    rows = _scaled(_beside(scores, served), trust)
    of_truth = rows.groupby([*CELL, "freq", "ds"], sort=True)[[*LOSSES, "licensed"]].mean().reset_index()
    groups = of_truth.groupby(["as_of", "freq", "bucket"], sort=True)
    series = groups["unique_id"].nunique().astype(np.int64)
    return pd.DataFrame(
        {
            "series": series,
            "licensed_share": groups["licensed"].mean(),
            **{name: groups[name].mean() for name in LOSSES},
        }
    ).reset_index()


def _beside(scores: pd.DataFrame, served: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each forecast that was served, with what all models scored in its place."""
    key = ["as_of", "origin", "unique_id", "h", "ds"]
    rows = scores.assign(bucket=np.array(BUCKETS, object)[bucket_codes(scores["h"].to_numpy())])
    losses = rows.pivot_table(index=[*key, "bucket"], columns="model", values="wis", aggfunc="first", observed=True)
    losses = losses.reindex(columns=sorted({NAIVE, POOLED, *losses.columns})).reset_index()
    chosen = served.rename(columns={"as_of": "origin", "model": "served"})
    both = losses.merge(chosen, on=["origin", "unique_id", "bucket"], how="inner").dropna(subset=[NAIVE, POOLED])
    both["wis_followed"] = _of_model(both, both["served"])
    both["licensed"] = (both["state"] == "licensed").astype(float)
    return both.dropna(subset=["wis_followed"]).rename(columns={NAIVE: "wis_naive", POOLED: "wis_always"})


def _of_model(losses: pd.DataFrame, model: pd.Series) -> Floats:
    """Return the loss of the named model in each row, NaN where it has none."""
    found = np.full(len(losses), np.nan)
    for name in model.dropna().unique():
        if name in losses:
            here = (model == name).to_numpy()
            found[here] = losses.loc[here, name]
    return found


def _scaled(rows: pd.DataFrame, trust: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of series with a scale, with the oracle's loss, and all losses over that scale.

    The oracle takes for the truths of a day whichever of ``pulse`` and its naive reference did better over the 30
    truths that end there: it knows at each origin what comes, and is written down once that has come.
    """
    scales = trust.loc[(trust["model"] == NAIVE) & (trust["targets"] >= STATED) & (trust["wis"] > 0)]
    rows = rows.merge(scales[[*CELL, "freq", "wis"]], on=CELL, how="inner")
    known = trust.loc[(trust["model"] == POOLED) & (trust["recent_targets"] >= LEAST_RECENT)]
    rows = rows.merge(known[[*CELL, "reference", "recent_skill"]], on=CELL, how="left")
    better = rows["reference"].astype(object).where(~(rows["recent_skill"] > 0), POOLED)
    better = better.where(rows["recent_skill"].notna())
    by_name = rows.rename(columns={"wis_naive": NAIVE, "wis_always": POOLED})
    rows["wis_oracle"] = _of_model(by_name, better)
    rows[LOSSES] = rows[LOSSES].div(rows["wis"], axis=0)
    is_known = rows["wis_oracle"].notna()
    any_known = is_known.groupby([rows[name] for name in ("as_of", *GROUP)]).transform("any")
    return rows[is_known | ~any_known]


def summary(rows: pa.Table) -> pa.Table:
    """Return what each way was worth over all days on which the oracle is known, by frequency and bucket.

    Parameters
    ----------
    rows
        Columns of ``gold/licence_value``.

    Returns
    -------
    pyarrow.Table
        ``freq, bucket, truths, licensed_share, wis_followed, wis_always, wis_naive, wis_oracle``, weighed by series;
        what a follower gained over always using the model and over always using naive, as shares of their losses; and
        ``oracle_share``: the follower's share of what the oracle gained over the better of these two habits, null where
        there was nothing to gain.
    """
    frame: pd.DataFrame = rows.to_pandas().dropna(subset=["wis_oracle"])
    groups = list(frame.groupby(list(GROUP), sort=True))
    means = [_means(part) for _, part in groups]
    keys = {name: pa.array([key[place] for key, _ in groups], pa.string()) for place, name in enumerate(GROUP)}
    truths = pa.array([int(part["series"].sum()) for _, part in groups], pa.int64())
    numbers = {name: pa.array([mean[name] for mean in means], pa.float64()) for name in SUMMED}
    return pa.table({**keys, "truths": truths, **numbers})


def _means(part: pd.DataFrame) -> dict[str, float | None]:
    mean = {name: float(np.average(part[name], weights=part["series"])) for name in SUMMED[:5]}
    followed, always, naive, oracle = (mean[name] for name in LOSSES)
    habit = min(always, naive)
    gains = {
        "gain_always": 1 - followed / always if always > 0 else None,
        "gain_naive": 1 - followed / naive if naive > 0 else None,
        "oracle_share": (habit - followed) / (habit - oracle) if habit - oracle > NOTHING else None,
    }
    return {**mean, **gains}
