"""Brings the evidence of the licence gates together, block by block of days, and writes decisions as rows.

The border of :mod:`.licensing`: it reads through a snapshot and leaves every decision to the gates.
"""

from collections.abc import Iterator, Mapping
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.forecasting.engine import MODELS
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_assets.trust.evidence_tables import DATA_QUALITY, DRIFT
from pulse_assets.trust.licensing.chain import row_hashes
from pulse_assets.trust.licensing.gates import DRIFTS, HELD, NAIVE, decide, evidence_of
from pulse_assets.trust.licensing.policy import Policy
from pulse_assets.trust.tables import CALIBRATED, LICENCES, TRUST
from pulse_resources.errors import ConfigError
from pulse_resources.evidence import fingerprint
from pulse_resources.lake import Snapshot
from pulse_resources.lake.partitions import between, blocks_of, weekdays

KEYS = ["unique_id", "model", "bucket"]
WATCHED = ["model_drift", "prediction_drift"]
EARLIER = 6
"""Origins before at which a rank must have been earned, too."""
DAYS_AT_ONCE = 10
"""Days whose forecasts are held at once: 5,000 series have 75,000 rows of 23 quantiles a day."""
VERSIONS = {
    "forecasts_version": CALIBRATED,
    "trust_version": TRUST,
    "quality_version": DATA_QUALITY,
    "drift_version": DRIFT,
}


def licence_days(snapshot: Snapshot, blocks: list[list[date]], thresholds: Mapping[str, float]) -> Iterator[pa.Table]:
    """Yield the licences of each day, with the columns of ``gold/licences``.

    Parameters
    ----------
    snapshot
        Where recalibrated forecasts, trust, quality, drift and the asset's own earlier rows are read.
    blocks
        Days, ascending.
    thresholds
        Fields of :class:`.licensing.policy.Policy` that replace its defaults.

    Raises
    ------
    ConfigError
        A threshold has an unknown name.
    """
    try:
        policy = Policy.of(thresholds)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    snapshot.pin(*VERSIONS.values(), LICENCES)
    earned = _earned_before(snapshot, blocks[0][0])
    for days in (some for block in blocks for some in blocks_of(block, DAYS_AT_ONCE)):
        rows = _evidence(snapshot, days, policy)
        for day in days:
            today = rows[rows["as_of"] == day].reset_index(drop=True)
            earned = {before: earned.get(before, {}) for before in _six_before(day)}
            keys = list(zip(*(today[name] for name in KEYS), strict=True))
            today["floor"] = [min(then.get(key, HELD) for then in earned.values()) for key in keys]
            decided = _decided(today, policy)
            earned[day] = dict(zip(keys, decided["earned"].to_pylist(), strict=True))
            if len(decided):
                yield decided


def _decided(today: pd.DataFrame, policy: Policy) -> pa.Table:
    today = today.assign(earned=0, state="", serve=False, reasons="", tier=None, row_hash="")
    rows = LICENCES.cast(pa.Table.from_pandas(today[LICENCES.schema.names], preserve_index=False))
    evidence = evidence_of(rows)
    decisions = decide(evidence, policy)
    for name in ("earned", "state", "serve", "reasons", "tier"):
        at = rows.column_names.index(name)
        rows = rows.set_column(at, name, pa.array(getattr(decisions, name), LICENCES.type_of(name)))
    rows = LICENCES.cast(rows)
    hashes = pa.array(row_hashes(rows), pa.string())
    return LICENCES.cast(rows.set_column(rows.column_names.index("row_hash"), "row_hash", hashes))


def _evidence(snapshot: Snapshot, days: list[date], policy: Policy) -> pd.DataFrame:
    """Return one row for each series, model and bucket that is decided about on each day."""
    inside = between(days[0], days[-1])
    quality = snapshot.read(DATA_QUALITY, columns=["as_of", "unique_id", "quality", "flags"], where=inside).to_pandas()
    made = _forecast(snapshot, inside)
    rows = pd.concat([made, _unforecast(made, quality)], ignore_index=True)
    columns = ["as_of", *KEYS, "targets", "skill", "trust", "coverage_80_shrunk", "coverage_80_q"]
    trust = snapshot.read(TRUST, columns=columns, where=inside).to_pandas()
    rows = rows.merge(trust.rename(columns={"coverage_80_shrunk": "coverage_80"}), on=["as_of", *KEYS], how="left")
    rows = rows.merge(quality.rename(columns={"flags": "quality_flags"}), on=["as_of", "unique_id"], how="left")
    rows = rows.merge(_drift(snapshot, inside), on=["as_of", "unique_id", "model"], how="left")
    short = rows["unforecast"] & ~rows["quality_flags"].fillna("").str.contains("DQ_STALE|DQ_EMPTY|DQ_SHORT")
    rows["quality_flags"] = (
        rows["quality_flags"].fillna("").where(~short, rows["quality_flags"].fillna("") + " DQ_SHORT")
    )
    rows["quality_flags"] = rows["quality_flags"].str.strip()
    rows["targets"] = rows["targets"].fillna(0).astype(np.int64)
    rows["drift"] = [state if isinstance(state, str) else None for state in rows["drift"]]
    for name, contract in VERSIONS.items():
        rows[name] = np.int64(snapshot.versions.get(contract.name, -1))
    rows["policy"] = fingerprint(policy.as_dict())
    ordered: pd.DataFrame = rows.sort_values(["as_of", *KEYS], kind="stable")
    return ordered


def _forecast(snapshot: Snapshot, inside: pc.Expression) -> pd.DataFrame:
    """Return who has forecasts, until when, what is wrong with them, and how old their model is."""
    columns = ["as_of", *KEYS, "ds", "model_version", *QUANTILE_COLUMNS]
    rows = snapshot.read(CALIBRATED, columns=columns, where=inside)
    frame = rows.select(columns[:6]).to_pandas()
    quantiles = np.column_stack([rows[name].to_numpy() for name in QUANTILE_COLUMNS])
    frame["nonfinite"] = ~np.isfinite(quantiles).all(axis=1)
    frame["crossing"] = (np.diff(quantiles, axis=1) < 0).any(axis=1)
    wanted = {"ds": "max", "model_version": "first", "nonfinite": "any", "crossing": "any"}
    made = frame.groupby(["as_of", *KEYS], sort=False, as_index=False).agg(wanted)
    made["expires_on"] = made["ds"].dt.date
    flags = made["nonfinite"].map({True: "NONFINITE", False: ""}) + made["crossing"].map(
        {True: " QUANTILE_CROSS", False: ""}
    )
    made["forecast_flags"] = flags.str.strip()
    learned = made["model_version"].str.extract(r" (\d{4}-\d{2}-\d{2})$", expand=False)
    learned = pd.to_datetime(learned, format="%Y-%m-%d", errors="coerce")  # what is no day is unknown
    made["model_age_days"] = (pd.to_datetime(made["as_of"]) - learned).dt.days
    made["model_age_days"] = made["model_age_days"].astype("Int64")
    made["unforecast"] = False
    kept: pd.DataFrame = made.drop(columns=["ds", "model_version", "nonfinite", "crossing"])
    return kept


def _unforecast(made: pd.DataFrame, quality: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each model of every series that is known, but has no naive forecast."""
    naive = made.loc[made["model"] == NAIVE, ["as_of", "unique_id"]].drop_duplicates()
    known = quality[["as_of", "unique_id"]].merge(naive, on=["as_of", "unique_id"], how="left", indicator=True)
    without = known.loc[known["_merge"] == "left_only", ["as_of", "unique_id"]]
    rows = without.merge(pd.DataFrame({"model": list(MODELS)}), how="cross")
    rows = rows.merge(made[["as_of", "unique_id", "model"]].drop_duplicates(), how="left", indicator=True)
    rows = rows.loc[rows["_merge"] == "left_only"].drop(columns="_merge")
    none = pd.array([pd.NA] * len(rows), dtype="Int64")
    return rows.assign(bucket="1", expires_on=rows["as_of"], forecast_flags="", model_age_days=none, unforecast=True)


def _drift(snapshot: Snapshot, inside: pc.Expression) -> pd.DataFrame:
    """Return the worst state of what is watched of each series and model; an unknown one is worse than all."""
    columns = ["as_of", "unique_id", "model", "state"]
    rows = snapshot.read(DRIFT, columns=[*columns, "drift"], where=inside & pc.field("drift").isin(WATCHED)).to_pandas()
    rank = rows["state"].map({state: place for place, state in enumerate(DRIFTS)})
    rank = rank.fillna(len(DRIFTS))  # a state that this version does not know
    worst: pd.DataFrame = rows.assign(rank=rank).groupby(columns[:3], sort=False, as_index=False)["rank"].max()
    worst["drift"] = worst.pop("rank").map(dict(enumerate(DRIFTS))).astype(object)
    return worst


def _earned_before(snapshot: Snapshot, first: date) -> dict[date, dict[tuple[str, str, str], int]]:
    """Return the ranks earned at the six origins before a range, from own rows."""
    days = _six_before(first)
    inside = between(days[0], days[-1])
    rows = snapshot.read(LICENCES, columns=["as_of", *KEYS, "earned"], where=inside)
    found: dict[date, dict[tuple[str, str, str], int]] = {}
    for day, *key, earned in zip(*(rows[name].to_pylist() for name in ("as_of", *KEYS, "earned")), strict=True):
        found.setdefault(day, {})[(key[0], key[1], key[2])] = earned
    return found


def _six_before(day: date) -> list[date]:
    return weekdays(np.busday_offset(np.datetime64(day, "D"), -EARLIER).astype(object), day)[:-1]
