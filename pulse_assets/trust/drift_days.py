"""Watches the errors of every model on every series, and whole panels, day by day. The border of :mod:`.detection`.

What a day hands to the next is read back from the rows of ``ops/drift`` itself where a range begins. How rows are read
and written is in :mod:`.drift_rows`.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.trust.data_drift_days import data_drift_days
from pulse_assets.trust.detection.panel import ALARMS, BASELINE, DAYS, panel_statistic
from pulse_assets.trust.detection.watcher import Watcher
from pulse_assets.trust.drift_rows import Key, kept_of, number_of, stream_rows
from pulse_assets.trust.evidence_tables import DRIFT
from pulse_assets.trust.tables import SCORES
from pulse_assets.trust.traits import frequencies, newest_before
from pulse_resources.lake import Snapshot
from pulse_resources.lake.partitions import between, blocks_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]

MODEL_DRIFT, PREDICTION_DRIFT, PANEL_DRIFT = "model_drift", "prediction_drift", "panel_drift"
NAIVE, POOLED = "naive", "pulse"
STARTS = timedelta(days=1_100)
"""How far back watching begins where nothing was watched before."""
DAYS_A_READ = 30
"""Days of missed scores that are held at once."""
WINDOW = timedelta(days=round((BASELINE + DAYS) * 1.5))
"""In which the days of a panel are looked for."""
READ = ["as_of", "origin", "unique_id", "model", "ds", "wis", "z"]
DAILY = ("h", "D", "B")
"""Frequencies whose panels are watched as a whole: of others hardly two series tell something on one day."""
FRIDAY = 4


def drift_days(snapshot: Snapshot, blocks: list[list[date]]) -> Iterator[pa.Table]:
    """Yield the rows of ``ops/drift`` for each day.

    Parameters
    ----------
    snapshot
        Where scores of raw forecasts and the asset's own earlier rows are read: recalibration would hide drift.
    blocks
        Days, ascending; on Fridays the steps of the series themselves are looked at, too.
    """
    snapshot.pin(SCORES, DRIFT)
    first, last = blocks[0][0], blocks[-1][-1]
    freqs = frequencies(snapshot, first, last)
    watch = _restored(snapshot, first)
    for days in blocks:
        watch.open(_scores(snapshot, days[0], days[-1]))
        panels = _panels(snapshot, days[0] - WINDOW, days[-1], freqs)
        steps = data_drift_days(snapshot, [day for day in days if day.weekday() == FRIDAY])
        for day in days:
            watch.take(day)
            parts = [watch.rows(day), _panel_rows(panels, day)]
            if day.weekday() == FRIDAY:
                parts.append(next(steps))
            rows = pa.concat_tables(parts)
            if len(rows):
                yield rows


class _Truths(NamedTuple):
    """Values of some streams by day, ascending: which stream, and which of several on one day."""

    days: Ints
    turns: Ints
    places: Ints
    values: Floats


class _Watch:
    """Streams by drift, series and model."""

    def __init__(self) -> None:
        self.places: dict[Key, int] = {}
        self.watcher = Watcher()
        self.opened: list[_Truths] = []

    def open(self, scores: pd.DataFrame) -> None:
        """Make ready the one-step scores of a block of days."""
        beside = scores[scores["model"] != NAIVE]
        self.opened = [self._placed(MODEL_DRIFT, scores, "z"), self._placed(PREDICTION_DRIFT, beside, "gain")]
        self.watcher.grow(len(self.places))

    def _placed(self, drift: str, scores: pd.DataFrame, column: str) -> _Truths:
        ids, models = scores["unique_id"].cat, scores["model"].cat
        many = max(len(models.categories), 1)
        pairs, who = np.unique(
            ids.codes.to_numpy(np.int64) * many + models.codes.to_numpy(np.int64), return_inverse=True
        )
        names = [(ids.categories[pair // many], models.categories[pair % many]) for pair in pairs.tolist()]
        places = [self.places.setdefault((drift, *name), len(self.places)) for name in names]
        return _Truths(
            days=scores["day"].to_numpy(np.int64),
            turns=scores["turn"].to_numpy(np.int64),
            places=np.array(places, np.int64)[who],
            values=scores[column].to_numpy(np.float32).astype(np.float64),  # as they are kept
        )

    def take(self, day: date) -> None:
        """Take in the truths of a day, each once, in the order of their events."""
        number = number_of(day)
        for truths in self.opened:
            low, high = np.searchsorted(truths.days, [number, number + 1])
            turns = truths.turns[low:high]
            for turn in range(int(turns.max(initial=-1)) + 1):
                at = low + np.flatnonzero(turns == turn)
                self.watcher.take(truths.places[at], truths.values[at], number)

    def rows(self, day: date) -> pa.Table:
        """Return what is said on a day of every stream that has begun, in the order of the key."""
        begun = self.watcher.streams.held > 0
        keys = sorted(key for key, place in self.places.items() if begun[place])
        places = np.array([self.places[key] for key in keys], np.int64)
        return stream_rows(day, keys, self.watcher.kept(places), self.watcher.verdicts(places))


def _restored(snapshot: Snapshot, first: date) -> _Watch:
    """Return the streams as they stood before a day: from own newest rows, and scores that came since."""
    watch, newest = _Watch(), newest_before(snapshot, DRIFT, first)
    if newest:
        keys, kept = kept_of(snapshot, newest, (MODEL_DRIFT, PREDICTION_DRIFT))
        watch.places = {key: place for place, key in enumerate(keys)}
        watch.watcher.grow(len(keys))
        watch.watcher.restore(np.arange(len(keys)), kept)
    begin = newest + timedelta(days=1) if newest else first - STARTS
    missed = [begin + timedelta(days=step) for step in range((first - begin).days)]
    for days in blocks_of(missed, DAYS_A_READ):
        scores = _scores(snapshot, days[0], days[-1])
        watch.open(scores)
        for number in scores["day"].unique().tolist():
            watch.take(date(1970, 1, 1) + timedelta(days=number))
    return watch


def _scores(snapshot: Snapshot, first: date, last: date) -> pd.DataFrame:
    """Return one-step scores between two days, each truth of a series and model once, by its newest origin.

    ``gain`` is by how much naive lost more, over what both lost: in [-1, 1], whatever the unit and however wild.
    ``turn`` counts the truths of a series and model on one day, in the order of their events.
    """
    wanted = between(first, last) & (pc.field("h") == 1)
    table = snapshot.read(SCORES, columns=READ, where=wanted)
    rows: pd.DataFrame = table.drop_columns(["as_of", "origin", "ds"]).to_pandas(strings_to_categorical=True)
    for name, column, kind in (
        ("day", "as_of", pa.int32()),
        ("origin", "origin", pa.int32()),
        ("ds", "ds", pa.int64()),
    ):
        rows[name] = table[column].cast(kind).to_numpy()
    rows = rows.sort_values(["day", "unique_id", "model", "ds", "origin"], kind="stable")
    rows = rows.drop_duplicates(["day", "unique_id", "model", "ds"], keep="last")
    naive = rows.loc[rows["model"] == NAIVE, ["day", "unique_id", "ds", "origin", "wis"]]
    rows = rows.merge(
        naive.rename(columns={"wis": "wis_naive"}), on=["day", "unique_id", "ds", "origin"], how="left", sort=False
    )
    total = rows["wis_naive"] + rows["wis"]
    rows["gain"] = (rows["wis_naive"] - rows["wis"]) / total.where(total > 0)
    rows["turn"] = rows.groupby(["day", "unique_id", "model"], sort=False, observed=True).cumcount()
    return rows


def _panels(
    snapshot: Snapshot, first: date, last: date, freqs: dict[str, str]
) -> dict[str, tuple[npt.NDArray[np.datetime64], Floats]]:
    """Return days and normal scores of the pooled model, shape ``(days, series)``, for each daily frequency.

    Where several truths of a series became known on one day, the newest counts, by its newest origin.
    """
    ours = between(first, last) & (pc.field("h") == 1) & (pc.field("model") == POOLED)
    rows = snapshot.read(SCORES, columns=["as_of", "unique_id", "ds", "origin", "z"], where=ours)
    as_of, ds, origin = (rows[name].to_numpy() for name in ("as_of", "ds", "origin"))
    column = rows["unique_id"].combine_chunks().dictionary_encode()
    codes, ids = column.indices.to_numpy(), column.dictionary.to_pylist()
    freq_of = np.array([freqs.get(name, "") for name in ids], object)[codes] if len(rows) else np.array([], object)
    order = np.lexsort((origin, ds))
    found = {}
    for freq in DAILY:
        at = order[freq_of[order] == freq]
        if len(at):
            days, row = np.unique(as_of[at], return_inverse=True)
            _, place = np.unique(codes[at], return_inverse=True)
            matrix = np.full((len(days), place.max() + 1), np.nan)
            matrix[row, place] = rows["z"].to_numpy()[at]  # of several the last stays
            found[freq] = days.astype("datetime64[D]"), matrix
    return found


def _panel_rows(panels: dict[str, tuple[npt.NDArray[np.datetime64], Floats]], day: date) -> pa.Table:
    rows: list[dict[str, object]] = []
    for freq, (days, z) in sorted(panels.items()):
        inside = (days <= np.datetime64(day)) & (days >= np.datetime64(day - WINDOW))
        known = z[inside][-(BASELINE + DAYS) :]
        if not len(known):
            continue
        _, distance = panel_statistic(known)
        unknown = bool(np.isnan(distance))
        rows.append(
            {
                "as_of": day,
                "drift": PANEL_DRIFT,
                "unique_id": f"panel {freq}",
                "model": POOLED,
                "state": "learning" if unknown else "alarm" if distance > ALARMS else "none",
                "statistic": None if unknown else distance,
                "threshold": ALARMS,
                "direction": "",
                "targets": int(np.isfinite(known[-DAYS:]).sum()),
            }
        )
    return DRIFT.cast(pa.Table.from_pylist(rows, schema=DRIFT.schema.remove_metadata()))
