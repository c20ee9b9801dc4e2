"""Brings the evidence of the licence gate together from the lake, block by block of days, and writes decisions as rows.

The border of this domain: it reads through a snapshot and leaves every decision to :mod:`.licences`.
"""

from collections.abc import Iterator, Mapping
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.forecasting.engine import MODELS, origin_end
from pulse_assets.forecasting.pack import Panel, pack
from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.evidence import Status, gather
from pulse_assets.trust.licences import Decisions, Policy, decide, window_days
from pulse_assets.trust.tables import LICENCES, SCORES
from pulse_resources.evidence import fingerprint
from pulse_resources.lake import Snapshot
from pulse_resources.lake.partitions import weekdays

Dates = npt.NDArray[np.datetime64]
SCORED = ["as_of", "origin", "unique_id", "model", "h", "ds", "wis", "covered_80", "covered_95"]
PACKED = ["unique_id", "ds", "y", "known_at", "kind", "freq", "calendar"]


def judge(
    snapshot: Snapshot,
    blocks: list[list[date]],
    thresholds: Mapping[str, float],
    models: tuple[str, ...] = MODELS,
) -> Iterator[pa.Table]:
    """Yield the licences of each block of days, with the columns of ``gold/licences``.

    Parameters
    ----------
    snapshot
        Where silver, forecasts and scores are read.
    blocks
        Days, ascending.
    thresholds
        Fields of :class:`.licences.Policy`.
    models
        Names, sorted, ``naive`` among them. A model without forecasts of a series on a day has no row there, unless
        the whole series is rejected.
    """
    policy = Policy(**thresholds)  # type: ignore[arg-type]
    silver = snapshot.read(SERIES, as_of=blocks[-1][-1], columns=PACKED)
    panel = pack(silver, origin_end(blocks[0][0]), origin_end(blocks[-1][-1]))
    for days in blocks:
        status = _status(panel, days)
        forecast, expires = _forecast(snapshot, status.ids, days, models)
        history = {freq: _before(days, window_days(freq, policy)) for freq in set(status.freqs)}
        scores = {freq: _scores(snapshot, status, freq, history[freq]) for freq in history}
        decisions = decide(gather(scores, status, history, models, forecast, policy), models, policy)
        yield _rows(decisions, status, days, models, expires, snapshot.versions, policy)


def _status(panel: Panel, days: list[date]) -> Status:
    """Return what is known of each series on each day, over all epochs of a series."""
    ends = np.array([origin_end(day) for day in days], np.int64)
    counts = panel.known_counts(ends)
    fresh = panel.is_fresh(counts, ends)
    ids, first, series = np.unique(panel.ids.astype(str), return_index=True, return_inverse=True)
    known_any, fresh_any = np.zeros((len(ids), len(days)), bool), np.zeros((len(ids), len(days)), bool)
    np.logical_or.at(known_any, series, counts > 0)
    np.logical_or.at(fresh_any, series, fresh)
    return Status(tuple(ids.tolist()), tuple(panel.freq[first]), known_any.T, fresh_any.T)


def _forecast(
    snapshot: Snapshot, ids: tuple[str, ...], days: list[date], models: tuple[str, ...]
) -> tuple[npt.NDArray[np.bool_], Dates]:
    """Return which series and models have forecasts on which day, and the last day that they speak of.

    Forecasts of other series or models get no decision here; the gate then counts them as unlicensed.
    """
    inside = (pc.field("as_of") >= pa.scalar(days[0])) & (pc.field("as_of") <= pa.scalar(days[-1]))
    ours = pc.field("unique_id").isin(ids) & pc.field("model").isin(models)
    rows = snapshot.read(FORECASTS, columns=["as_of", "unique_id", "model", "ds"], where=inside & ours)
    last = rows.group_by(["as_of", "unique_id", "model"]).aggregate([("ds", "max")])
    at = tuple(
        pc.index_in(last[name], pa.array(values, last.schema.field(name).type)).to_numpy()
        for name, values in (("as_of", days), ("unique_id", ids), ("model", models))
    )
    shape = (len(days), len(ids), len(models))
    expires = np.broadcast_to(np.array(days, "datetime64[D]")[:, None, None], shape).copy()
    found = np.zeros(shape, bool)
    found[at] = True
    expires[at] = last["ds_max"].cast(pa.timestamp("us")).to_numpy().astype("datetime64[D]")
    return found, expires


def _before(days: list[date], window: int) -> list[date]:
    """Return the weekdays of one window that ends at the first day, followed by the other days."""
    first = np.busday_offset(np.datetime64(days[0]), 1 - window).astype(object)
    return weekdays(first, days[-1])


def _scores(snapshot: Snapshot, status: Status, freq: str, history: list[date]) -> pa.Table:
    ids = [unique_id for unique_id, of in zip(status.ids, status.freqs, strict=True) if of == freq]
    inside = (pc.field("as_of") >= pa.scalar(history[0])) & (pc.field("as_of") <= pa.scalar(history[-1]))
    return snapshot.read(SCORES, columns=SCORED, where=inside & pc.field("unique_id").isin(ids))


def _rows(
    decisions: Decisions,
    status: Status,
    days: list[date],
    models: tuple[str, ...],
    expires: Dates,
    versions: Mapping[str, int],
    policy: Policy,
) -> pa.Table:
    """Lay decisions out as rows, for series that were known on the day."""
    ours = decisions.decided & status.known[:, :, None]
    day, series, model = np.nonzero(ours)
    count = len(day)
    columns = {
        "as_of": pa.array(np.array(days, "datetime64[D]")[day]),
        "unique_id": pa.array(np.array(status.ids, object)[series], pa.string()),
        "model": pa.array(np.array(models, object)[model], pa.string()),
        "expires_on": pa.array(expires[ours]),
        "targets": pa.array(decisions.targets[ours].astype(np.int64)),
        "forecasts_version": pa.array(np.full(count, versions.get(FORECASTS.name, -1))),
        "scores_version": pa.array(np.full(count, versions.get(SCORES.name, -1))),
        "policy": pa.array([fingerprint(policy.as_dict())] * count, pa.string()),
    }
    for name in ("state", "tier", "serve", "reasons"):
        columns[name] = pa.array(getattr(decisions, name)[ours], LICENCES.type_of(name))
    for name in ("skill", "coverage_80", "coverage_95"):
        columns[name] = pa.array(getattr(decisions, name)[ours], from_pandas=True)
    return LICENCES.cast(pa.table(columns))
