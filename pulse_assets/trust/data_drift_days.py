"""Compares the newest steps of every series with those before them. The border of :mod:`.detection.distributions`.

A report, never an alarm: that a market calmed down is no fault of a model. What a model's errors say is
:mod:`.drift_days`'.
"""

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.forecasting.engine import origin_end
from pulse_assets.forecasting.kinds import scale_of, to_scale
from pulse_assets.forecasting.pack import Panel, pack
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.detection.distributions import compare_panel
from pulse_assets.trust.evidence_tables import DRIFT
from pulse_resources.lake import Snapshot

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]

DATA_DRIFT = "data_drift"
REFERENCE, RECENT = 365, 90
"""Steps that are compared: the newest, with those before them."""
WARNS = 0.05
"""q-value up to which a change is told: one in twenty of those told may be chance."""
READ = ["unique_id", "ds", "y", "known_at", "kind", "freq", "calendar"]


def data_drift_rows(snapshot: Snapshot, day: date) -> pa.Table:
    """Return the rows of ``ops/drift`` that are about the steps of series, for one day.

    Parameters
    ----------
    snapshot
        Where silver is read, as known by the end of the day.
    day
        Nothing known after it is used.

    Returns
    -------
    pa.Table
        One row a series known by then, by ``unique_id``. ``learning`` and without figures where 455 steps are not
        known yet, or nothing became known lately: a stale series says nothing about now.
    """
    return next(data_drift_days(snapshot, [day]))


def data_drift_days(snapshot: Snapshot, days: Sequence[date]) -> Iterator[pa.Table]:
    """Yield what :func:`data_drift_rows` returns for each of some ascending days, reading silver once."""
    for compared in _compared(snapshot, days):
        yield _rows(*compared)


def samples_of(snapshot: Snapshot, day: date) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return the steps of every series that were compared on a day: those of the reference, and the newest."""
    _, ids, _, steps, starts, stops = next(_compared(snapshot, [day]))
    cuts = {
        name: (start, stop - RECENT, stop)
        for name, start, stop in zip(ids.tolist(), starts.tolist(), stops.tolist(), strict=True)
        if stop - start == REFERENCE + RECENT
    }
    reference = {name: steps[start:middle] for name, (start, middle, _) in cuts.items()}
    return reference, {name: steps[middle:stop] for name, (_, middle, stop) in cuts.items()}


def _compared(snapshot: Snapshot, days: Sequence[date]) -> Iterator[tuple[date, Texts, Texts, Floats, Ints, Ints]]:
    """Yield for each day its series, frequencies, all steps, and where in these each comparison begins and ends."""
    if not days:
        return
    series = snapshot.read(SERIES, as_of=days[-1], columns=READ)
    panel = pack(series, origin_end(days[0]), origin_end(days[-1]))
    ends = np.array([origin_end(day) for day in days], np.int64)
    counts = panel.known_counts(ends)
    fresh = panel.is_fresh(counts, ends)
    steps = _steps(panel)
    for place, day in enumerate(days):
        serving = np.flatnonzero(counts[:, place])
        stops = panel.offsets[serving] + counts[serving, place]
        firsts = panel.offsets[serving] + (panel.kind[serving] != "return")
        starts = np.maximum(firsts, stops - REFERENCE - RECENT)
        lasts = np.where(fresh[serving, place], stops, starts)
        yield day, panel.ids[serving], panel.freq[serving], steps, starts, lasts


def _steps(panel: Panel) -> Floats:
    """Return what happened from each observation to the next, shape ``(N,)``, on the scale that it is forecast on.

    A series' first observation has none before it: NaN. A return is a step as it is; a difference of two would hide
    its mean.
    """
    lengths = np.diff(panel.offsets)
    kinds = np.repeat(panel.kind, lengths)
    scale = np.zeros(len(panel.values), np.int64)
    first = np.repeat(panel.values[panel.offsets[:-1]], lengths)
    for kind in set(panel.kind.tolist()):
        at = kinds == kind
        scale[at] = scale_of(kind, first[at])
    scaled = to_scale(panel.values, scale)
    steps = np.diff(scaled, prepend=np.nan)
    steps[panel.offsets[:-1]] = np.nan
    returns = kinds == "return"
    steps[returns] = scaled[returns]
    return steps


def _rows(day: date, ids: Texts, freqs: Texts, steps: Floats, starts: Ints, stops: Ints) -> pa.Table:
    """Return a day's rows from where in ``steps`` each series' comparison begins and ends."""
    figures = {name: np.full(len(ids), np.nan) for name in ("statistic", "p_value", "q_value", "psi", "wasserstein")}
    complete = stops - starts == REFERENCE + RECENT
    for freq in sorted(set(freqs.tolist())):
        members = np.flatnonzero(complete & (freqs == freq))
        windows = steps[starts[members][:, None] + np.arange(REFERENCE + RECENT)]
        _fill(figures, members, windows)
    known = ~np.isnan(figures["q_value"])
    warned = known & (figures["q_value"] <= WARNS)
    columns = {
        "as_of": pa.array([day] * len(ids), pa.date32()),
        "drift": pa.array([DATA_DRIFT] * len(ids), pa.string()),
        "unique_id": pa.array(ids, pa.string()),
        "model": pa.array([""] * len(ids), pa.string()),
        "state": pa.array(np.where(known, np.where(warned, "warn", "none"), "learning"), pa.string()),
        "direction": pa.array([""] * len(ids), pa.string()),
        "targets": pa.array(np.where(known, RECENT, np.clip(stops - starts, 0, RECENT)), pa.int64()),
        **{name: pa.array(values, from_pandas=True) for name, values in figures.items()},
    }
    return DRIFT.cast(pa.table(columns))


def _fill(figures: dict[str, Floats], members: Ints, windows: Floats) -> None:
    """Put the figures of one panel's series in their places; a step that is missing leaves a series without any."""
    sound = np.isfinite(windows).all(axis=1)
    members, windows = members[sound], windows[sound]
    if not len(members):
        return
    reference, recent = windows[:, :REFERENCE], windows[:, REFERENCE:]
    found = compare_panel(reference, recent, autocorrelated=True)
    spread = reference.std(axis=1)
    figures["wasserstein"][members] = found.wasserstein / np.where(spread > 0, spread, np.nan)
    for name in ("statistic", "p_value", "q_value", "psi"):
        figures[name][members] = getattr(found, name)
