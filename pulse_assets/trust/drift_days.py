"""Watches the errors of every model on every series, and whole panels, day by day. The border of :mod:`.detection`.

What a day hands to the next is read back from the rows of ``ops/drift`` itself where a range begins.
"""

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.numerics.comparison import benjamini_hochberg
from pulse_assets.trust.detection import cusum
from pulse_assets.trust.detection.panel import ALARMS, BASELINE, DAYS, panel_statistic
from pulse_assets.trust.detection.watcher import NEVER, STATES, Kept, Watcher
from pulse_assets.trust.evidence_tables import DRIFT
from pulse_assets.trust.tables import SCORES
from pulse_assets.trust.traits import frequencies
from pulse_resources.lake import Snapshot

Ints = npt.NDArray[np.int64]

MODEL_DRIFT, PREDICTION_DRIFT, PANEL_DRIFT = "model_drift", "prediction_drift", "panel_drift"
NAIVE, POOLED = "naive", "pulse"
STARTS = timedelta(days=1_100)
"""How far back watching begins where nothing was watched before."""
READ = ["as_of", "origin", "unique_id", "model", "ds", "wis", "z"]
KEYS = ["drift", "unique_id", "model"]
DAILY = ("h", "D", "B")
"""Frequencies whose panels are watched as a whole: of others hardly two series tell something on one day."""


def drift_days(snapshot: Snapshot, blocks: list[list[date]]) -> Iterator[pa.Table]:
    """Yield the rows of ``ops/drift`` for each day.

    Parameters
    ----------
    snapshot
        Where scores of raw forecasts and the asset's own earlier rows are read: recalibration would hide drift.
    blocks
        Days, ascending.
    """
    snapshot.pin(SCORES, DRIFT)
    first, last = blocks[0][0], blocks[-1][-1]
    freqs = frequencies(snapshot, first, last)
    watch = _Watch(snapshot, first)
    for days in blocks:
        since = days[0] - timedelta(days=round((BASELINE + DAYS) * 1.5))
        scores = _values(snapshot, since, days[-1])
        matrices = {freq: _matrix(scores, freqs, freq) for freq in DAILY if freq in freqs.values()}
        for day in days:
            watch.take(scores[scores["as_of"] == day], day)
            rows = [*watch.rows(day), *_panel_rows(matrices, day)]
            if rows:
                yield DRIFT.cast(pa.Table.from_pylist(rows, schema=DRIFT.schema.remove_metadata()))


class _Watch:
    """Streams by drift, series and model."""

    def __init__(self, snapshot: Snapshot, first: date) -> None:
        self.places: dict[tuple[str, str, str], int] = {}
        self.watcher = Watcher()
        newest = self._restore(snapshot, first)
        begin = newest + timedelta(days=1) if newest else first - STARTS
        missed = _values(snapshot, begin, first - timedelta(days=1))
        for day, rows in missed.groupby("as_of", sort=True):
            assert isinstance(day, date)
            self.take(rows, day)

    def take(self, rows: pd.DataFrame, day: date) -> None:
        """Take in the one-step truths of a day, each truth once."""
        number = int(np.datetime64(day, "D").astype(np.int64))
        for drift, column in ((MODEL_DRIFT, "z"), (PREDICTION_DRIFT, "gain")):
            known = rows if drift == MODEL_DRIFT else rows[rows["model"] != NAIVE]
            names = zip(known["unique_id"], known["model"], strict=True)
            places = np.array([self.places.setdefault((drift, *who), len(self.places)) for who in names], np.int64)
            self.watcher.grow(len(self.places))
            values = known[column].to_numpy(np.float32).astype(np.float64)  # as they are kept
            turn = known.groupby(["unique_id", "model"], sort=False).cumcount().to_numpy()
            for number_of_turn in range(int(turn.max()) + 1 if len(turn) else 0):
                at = turn == number_of_turn
                self.watcher.take(places[at], values[at], number)

    def rows(self, day: date) -> list[dict[str, object]]:
        """Return what is said of every stream on a day, in the order of the key."""
        order = sorted(self.places)
        places = np.array([self.places[key] for key in order], np.int64)
        said = self.watcher.verdicts(places)
        drifts = np.array([key[0] for key in order], object)
        adjusted = np.full(len(order), np.nan)
        for drift in (MODEL_DRIFT, PREDICTION_DRIFT):
            adjusted[drifts == drift] = benjamini_hochberg(said.p_value[drifts == drift])
        number = int(np.datetime64(day, "D").astype(np.int64))
        return [
            _row(day, number, key, self.watcher.kept(place), said, adjusted, at)
            | {"phi": float(self.watcher.streams.phi[place]) if not np.isnan(said.p_value[at]) else None}
            for at, (key, place) in enumerate(zip(order, places.tolist(), strict=True))
        ]

    def _restore(self, snapshot: Snapshot, first: date) -> date | None:
        """Take up what own rows kept; return their newest day."""
        before = pc.field("as_of") < pa.scalar(first)
        newest = pc.max(snapshot.read(DRIFT, columns=["as_of"], where=before)["as_of"]).as_py()
        if newest is None:
            return None
        ours = pc.field("drift").isin([MODEL_DRIFT, PREDICTION_DRIFT])
        rows = snapshot.read(DRIFT, where=ours & (pc.field("as_of") == pa.scalar(newest))).to_pylist()
        learned = sorted({row["reference_on"] for row in rows if row["reference_on"] and row["reference"] is None})
        then = pc.field("as_of").isin(pa.array(learned, pa.date32()))
        kept = snapshot.read(DRIFT, columns=["as_of", *KEYS, "reference"], where=ours & then).to_pylist()
        references = {(row["as_of"], *(row[name] for name in KEYS)): row["reference"] for row in kept}
        self.watcher.grow(len(rows))
        for place, row in enumerate(rows):
            key = tuple(row[name] for name in KEYS)
            self.places[key] = place
            reference = (
                row["reference"] if row["reference"] is not None else references.get((row["reference_on"], *key))
            )
            self.watcher.restore(place, _kept(row, reference or []))
        return newest  # type: ignore[no-any-return]


def _row(
    day: date, number: int, key: tuple[str, str, str], kept: Kept, said: object, q: npt.NDArray[np.float64], at: int
) -> dict[str, object]:
    state, statistic, limit, p, rises = (column[at] for column in said)  # type: ignore[attr-defined]
    learning = len(kept.reference) < cusum.REFERENCE
    shown = learning or kept.reference_on == number
    return {
        "as_of": day,
        **dict(zip(KEYS, key, strict=True)),
        "state": STATES[state],
        "statistic": None if np.isnan(statistic) else float(statistic),
        "threshold": None if np.isnan(limit) else float(limit),
        "p_value": None if np.isnan(p) else float(p),
        "q_value": None if np.isnan(q[at]) else float(q[at]),
        "direction": "" if learning or state < 2 else "up" if rises else "down",
        "targets": kept.targets,
        "up": kept.up,
        "down": kept.down,
        "last": kept.last,
        "reference_on": _day(kept.reference_on),
        "alarm_on": _day(kept.alarm_on),
        "reference": kept.reference.tolist() if shown else None,
    }


def _kept(row: dict[str, object], reference: list[float]) -> Kept:
    def number(name: str) -> int:
        value = row[name]
        return NEVER if value is None else int(np.datetime64(value, "D").astype(np.int64))  # type: ignore[call-overload]

    return Kept(
        reference=np.array(reference, np.float64),
        last=float(row["last"] or 0.0),  # type: ignore[arg-type]
        up=float(row["up"] or 0.0),  # type: ignore[arg-type]
        down=float(row["down"] or 0.0),  # type: ignore[arg-type]
        largest=float(row["statistic"] or 0.0),  # type: ignore[arg-type]
        targets=int(row["targets"]),  # type: ignore[call-overload]
        reference_on=number("reference_on"),
        alarm_on=number("alarm_on"),
    )


def _day(number: int) -> date | None:
    return None if number == NEVER else np.datetime64(number, "D").astype(object)


def _values(snapshot: Snapshot, first: date, last: date) -> pd.DataFrame:
    """Return one-step scores between two days, each truth of a series and model once, by its newest origin."""
    inside = (pc.field("as_of") >= pa.scalar(first)) & (pc.field("as_of") <= pa.scalar(last)) & (pc.field("h") == 1)
    rows: pd.DataFrame = snapshot.read(SCORES, columns=READ, where=inside).to_pandas()
    rows = rows.sort_values(["as_of", "unique_id", "model", "ds", "origin"], kind="stable")
    rows = rows.drop_duplicates(["as_of", "unique_id", "model", "ds"], keep="last")
    naive = rows.loc[rows["model"] == NAIVE, ["unique_id", "ds", "origin", "wis"]]
    rows = rows.merge(naive.rename(columns={"wis": "wis_naive"}), on=["unique_id", "ds", "origin"], how="left")
    total = rows["wis_naive"] + rows["wis"]
    rows["gain"] = ((rows["wis_naive"] - rows["wis"]) / total.where(total > 0)).astype(float)
    return rows


def _matrix(scores: pd.DataFrame, freqs: dict[str, str], freq: str) -> pd.DataFrame:
    """Return normal scores of the pooled model by day and series, the newest of a day."""
    ours = scores[(scores["model"] == POOLED) & (scores["unique_id"].map(freqs) == freq)]
    table = ours.groupby(["as_of", "unique_id"], sort=True)["z"].last().unstack()
    ordered: pd.DataFrame = table.sort_index(axis=1)
    return ordered


def _panel_rows(matrices: dict[str, pd.DataFrame], day: date) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for freq, table in sorted(matrices.items()):
        known = table[table.index <= day].iloc[-(BASELINE + DAYS) :] if len(table) else table
        if not len(known):
            continue
        _, distance = panel_statistic(known.to_numpy(np.float64))
        state = "learning" if np.isnan(distance) else "alarm" if distance > ALARMS else "none"
        rows.append(
            {
                "as_of": day,
                "drift": PANEL_DRIFT,
                "unique_id": f"panel {freq}",
                "model": POOLED,
                "state": state,
                "statistic": None if np.isnan(distance) else distance,
                "threshold": ALARMS,
                "direction": "",
                "targets": int(known.iloc[-DAYS:].notna().to_numpy().sum()),
            }
        )
    return rows
