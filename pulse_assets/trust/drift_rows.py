"""Rows of ``ops/drift`` about watched streams: written from what the watcher keeps, and read back as that.

The reference of a stream stands in its row while it is learned and grows, on the day on which it is complete, and once
a month, so that a day finds it without reading years of rows.
"""

from collections.abc import Iterable
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.trust.detection.cusum import KEPT
from pulse_assets.trust.detection.discovery import q_values_within
from pulse_assets.trust.detection.watcher import NEVER, STATES, WARN, Kept, Verdicts
from pulse_assets.trust.evidence_tables import DRIFT
from pulse_resources.lake import Snapshot

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Key = tuple[str, str, str]

KEYS = ["drift", "unique_id", "model"]
READ = [*KEYS, "targets", "last", "up", "down", "statistic", "reference_on", "alarm_on", "reference"]


def number_of(day: date) -> int:
    """Return a day as a number of days since 1970."""
    return int(np.datetime64(day, "D").astype(np.int64))


def stream_rows(day: date, keys: list[Key], kept: Kept, said: Verdicts) -> pa.Table:
    """Return the rows of a day, in the order of the streams.

    Parameters
    ----------
    day
        As of which.
    keys
        Drift, series and model of each stream.
    kept, said
        What the streams hand on, and what is said of them.
    """
    drifts = np.array([key[0] for key in keys], object)
    _, groups = np.unique(drifts.astype(str), return_inverse=True)
    watched = said.state >= WARN
    directions = np.where(watched, np.where(said.rises, "up", "down"), "")
    shown = (kept.reference_on == NEVER) | (kept.reference_on == number_of(day)) | (day == _first_weekday(day))
    columns = {
        "as_of": pa.repeat(pa.scalar(day), len(keys)),
        **{name: pa.array([key[place] for key in keys], pa.string()) for place, name in enumerate(KEYS)},
        "state": pa.array(np.array(STATES, object)[said.state], pa.string()),
        "statistic": _floats(said.statistic),
        "threshold": _floats(said.threshold),
        "p_value": _floats(said.p_value),
        "q_value": _floats(q_values_within(groups, said.p_value)),
        "direction": pa.array(directions.astype(object), pa.string()),
        "targets": pa.array(kept.targets),
        "up": pa.array(kept.up),
        "down": pa.array(kept.down),
        "last": pa.array(kept.last),
        "phi": _floats(said.phi),
        "reference_on": _dates(kept.reference_on),
        "alarm_on": _dates(kept.alarm_on),
        "reference": _lists(kept, shown),
    }
    return DRIFT.cast(pa.table(columns))


def kept_of(snapshot: Snapshot, day: date, drifts: Iterable[str]) -> tuple[list[Key], Kept]:
    """Return the streams that have rows of some drifts on a day, and what they had kept then.

    Parameters
    ----------
    snapshot
        Where own rows are read.
    day
        A day that has rows.
    drifts
        Which drifts.
    """
    ours = pc.field("drift").isin(list(drifts))
    rows = snapshot.read(DRIFT, columns=READ, where=ours & (pc.field("as_of") == pa.scalar(day)))
    keys = _keys(rows)
    values, held = _values(rows["reference"])
    completed = rows["reference_on"].to_numpy().astype("datetime64[D]")
    repeated = np.datetime64(_first_weekday(day))
    for oldest in (repeated, np.datetime64(date.min)):
        missing = (held == 0) & ~np.isnat(completed)
        if missing.any():
            wanted = {keys[place]: place for place in np.flatnonzero(missing).tolist()}
            _find(snapshot, np.maximum(completed[missing], oldest), ours, wanted, completed, values, held)
    lost = (held == 0) & ~np.isnat(completed)  # such streams begin anew: without a reference sums say nothing
    floats = {name: np.nan_to_num(rows[name].to_numpy()) * ~lost for name in ("last", "up", "down", "statistic")}
    return keys, Kept(
        values=values,
        held=held,
        last=floats["last"],
        up=floats["up"],
        down=floats["down"],
        largest=floats["statistic"],
        targets=np.where(lost, 0, rows["targets"].to_numpy()),
        reference_on=np.where(lost, NEVER, _numbers(rows["reference_on"])),
        alarm_on=np.where(lost, NEVER, _numbers(rows["alarm_on"])),
    )


def _find(
    snapshot: Snapshot,
    days: npt.NDArray[np.datetime64],
    ours: pc.Expression,
    wanted: dict[Key, int],
    completed: npt.NDArray[np.datetime64],
    values: Floats,
    held: Ints,
) -> None:
    """Fill in references that stand in rows of some days, where they are those that a stream has now."""
    then = pc.field("as_of").isin(pa.array(np.unique(days).astype(object).tolist(), pa.date32()))
    there = pc.field("reference").is_valid()
    rows = snapshot.read(DRIFT, columns=[*KEYS, "reference_on", "reference"], where=ours & then & there)
    found, counts = _values(rows["reference"])
    since = rows["reference_on"].to_numpy().astype("datetime64[D]")
    for place, key in enumerate(_keys(rows)):
        target = wanted.get(key)
        if target is not None and since[place] == completed[target]:
            values[target], held[target] = found[place], counts[place]


def _first_weekday(day: date) -> date:
    """Return the first weekday of a weekday's month."""
    first = day.replace(day=1)
    return first + timedelta(days=(7 - first.weekday()) % 7 if first.weekday() > 4 else 0)


def _keys(rows: pa.Table) -> list[Key]:
    return list(zip(*(rows[name].to_pylist() for name in KEYS), strict=True))


def _floats(values: Floats) -> pa.Array:
    return pa.array(values, from_pandas=True)


def _dates(numbers: Ints) -> pa.Array:
    return pa.array(numbers.astype(np.int32), mask=numbers == NEVER).cast(pa.date32())


def _numbers(days: pa.ChunkedArray) -> Ints:
    return np.asarray(pc.fill_null(days.cast(pa.int32()), NEVER).to_numpy(), np.int64)


def _lists(kept: Kept, shown: npt.NDArray[np.bool_]) -> pa.ListArray:
    lengths = np.where(shown, kept.held, 0)
    ends = np.append(0, np.cumsum(lengths)).astype(np.int32)
    inside = np.arange(KEPT) < lengths[:, None]
    return pa.ListArray.from_arrays(
        pa.array(ends), pa.array(kept.values[inside].astype(np.float32)), mask=pa.array(~shown)
    )


def _values(lists: pa.ChunkedArray) -> tuple[Floats, Ints]:
    """Return lists as rows of a matrix, shape ``(k, 225)``, and their lengths; no list is an empty one."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(), np.int64)
    values = np.zeros((len(lengths), KEPT))
    values[np.arange(KEPT) < lengths[:, None]] = pc.list_flatten(lists).to_numpy()
    return values, lengths
