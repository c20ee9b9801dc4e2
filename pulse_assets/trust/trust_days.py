"""Says on each day how likely each model is to beat naive on each series. The border of :mod:`.belief`."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.numerics.reliability import wilson
from pulse_assets.trust.belief import history, shrinkage
from pulse_assets.trust.belief.targets import NAIVE, SEASONAL, Targets, targets_of
from pulse_assets.trust.belief.windows import Said, say
from pulse_assets.trust.buckets import BUCKETS, LONGEST
from pulse_assets.trust.tables import CALIBRATED_SCORES, TRUST
from pulse_assets.trust.traits import frequencies
from pulse_resources.lake import Snapshot

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

READ = [
    *("as_of", "origin", "unique_id", "model", "h", "ds", "y", "error", "wis", "pit"),
    *("covered_50", "covered_80", "covered_95"),
]
SERIES_A_PIECE = 1_000
"""Series whose scores are held at once."""


def trust_days(snapshot: Snapshot, blocks: list[list[date]]) -> Iterator[pa.Table]:
    """Yield the rows of ``gold/trust`` for each block of days, ascending.

    Parameters
    ----------
    snapshot
        Where scores of recalibrated forecasts and the asset's own earlier rows are read.
    blocks
        Days, ascending.
    """
    first, last = blocks[0][0], blocks[-1][-1]
    snapshot.pin(CALIBRATED_SCORES, TRUST)
    freqs = frequencies(snapshot, first, last)
    wanted = history.wanted_days(first, last, freqs.values(), BUCKETS)
    rows = _earlier(snapshot, first, wanted)
    for days in blocks:
        panel = _Panel.of(snapshot, days, freqs)
        for place, day in enumerate(days):
            made = panel.rows(place, day)
            if not len(made):
                continue
            mapped = history.map_for(day, rows)
            trust = mapped(made["p_raw"].to_numpy())
            made = made.append_column("trust", pa.array(trust, from_pandas=True))
            made = made.append_column("calibrated_on", pa.array(np.full(len(made), mapped.outcomes)))
            if day in wanted:
                rows[day] = made.select(history.REMEMBERED)
            version = snapshot.versions.get(CALIBRATED_SCORES.name, -1)
            yield TRUST.cast(made.append_column("scores_version", pa.array(np.full(len(made), version))))


def _earlier(snapshot: Snapshot, first: date, wanted: set[date]) -> dict[date, pa.Table]:
    """Return own rows of the wanted days before the range."""
    days = sorted(day for day in wanted if day < first)
    inside = pc.field("as_of").isin(pa.array(days, pa.date32()))
    span = (pc.field("as_of") >= pa.scalar(days[0])) & (pc.field("as_of") < pa.scalar(first))
    held = snapshot.read(TRUST, columns=["as_of", *history.REMEMBERED], where=span & inside)
    present = pc.unique(held["as_of"]).to_pylist()
    return {day: held.filter(pc.equal(held["as_of"], pa.scalar(day))).drop_columns(["as_of"]) for day in present}


_Part = tuple[Targets, Said]


class _Panel:
    """What the scores of one block of days say, cell by cell and day by day."""

    def __init__(self, ids: Sequence[str], models: Sequence[str], freqs: Sequence[str], parts: list[_Part]) -> None:
        self.ids = np.array(ids, object)
        self.models = np.array(models, object)
        self.freqs = np.array(freqs, object)
        self.series, self.model, self.bucket = (
            np.concatenate([getattr(targets, name) for targets, _ in parts]) for name in ("series", "model", "bucket")
        )
        self.said = Said(*(np.concatenate(column) for column in zip(*(said for _, said in parts), strict=True)))

    @classmethod
    def of(cls, snapshot: Snapshot, days: list[date], freqs: dict[str, str]) -> "_Panel":
        ids = sorted(freqs)
        oldest = days[0] - timedelta(days=max(map(history.span_days, set(freqs.values())), default=0))
        inside = (pc.field("as_of") > pa.scalar(oldest)) & (pc.field("as_of") <= pa.scalar(days[-1]))
        names = snapshot.read(CALIBRATED_SCORES, columns=["model"], where=inside & (pc.field("h") == 1))
        models = sorted({*pc.unique(names["model"]).to_pylist(), NAIVE})
        numbers = np.array(days, "datetime64[D]").astype(np.int64)
        parts = []
        for freq in sorted(set(freqs.values())):
            of_freq = [name for name in ids if freqs[name] == freq]
            since = pa.scalar(days[0] - timedelta(days=history.span_days(freq)))
            for low in range(0, len(of_freq), SERIES_A_PIECE):
                piece = pa.array(of_freq[low : low + SERIES_A_PIECE], pa.string())
                ours = inside & (pc.field("as_of") > since) & pc.field("unique_id").isin(piece)
                targets = targets_of(snapshot.read(CALIBRATED_SCORES, columns=READ, where=ours), ids, models)
                parts.append((targets, _said(targets, numbers, freq, models)))
        return cls(ids, models, [freqs[name] for name in ids], parts or [_nothing(len(days))])

    def rows(self, place: int, day: date) -> pa.Table:
        """Return the columns of ``gold/trust`` of one day, up to ``p_raw`` and calibration."""
        at = np.flatnonzero(self.said.targets[:, place] > 0)
        at = at[np.lexsort((self.bucket[at], self.model[at], self.series[at]))]
        said = Said(*(column[at, place] for column in self.said))
        freq, model = self.freqs[self.series[at]], self.models[self.model[at]]
        overlap = np.array([LONGEST[name] for name in BUCKETS])[self.bucket[at]]
        panel = _panels(freq, self.model[at], self.bucket[at])
        is_naive = model == NAIVE
        skill = np.where(is_naive, np.nan, said.skill)
        seen = shrinkage.posterior(skill, np.where(is_naive, np.nan, said.skill_se), said.targets, panel)
        effective = np.maximum(said.targets / overlap, 1.0)
        low, high = wilson(said.coverage_80 * effective, effective, 0.95)
        columns: dict[str, object] = {
            "as_of": np.full(len(at), np.datetime64(day, "D")),
            "unique_id": pa.array(self.ids[self.series[at]], pa.string()),
            "model": pa.array(model, pa.string()),
            "bucket": pa.array(np.array(BUCKETS, object)[self.bucket[at]], pa.string()),
            "freq": pa.array(freq, pa.string()),
            "targets": said.targets.astype(np.int64),
            "recent_targets": said.recent_targets.astype(np.int64),
            "reference": pa.array(_references(said), pa.string()),
        }
        shares = {
            **{name: getattr(said, name) for name in ("wis", "wis_naive", "coverage_50", "coverage_80", "coverage_95")},
            **{name: getattr(said, name) for name in ("pit_distance", "stability")},
            "skill": skill,
            "skill_se": np.where(is_naive, np.nan, said.skill_se),
            "recent_skill": np.where(is_naive, np.nan, said.recent_skill),
            "panel_skill": np.where(np.isnan(seen.skill), np.nan, seen.panel_skill),
            "panel_sd": np.where(np.isnan(seen.skill), np.nan, seen.panel_sd),
            "skill_shrunk": seen.skill,
            "p_raw": seen.probability,
            "coverage_80_low": low,
            "coverage_80_high": high,
            "coverage_80_shrunk": shrinkage.shrunk_coverage(said.coverage_80, effective, panel),
            "coverage_80_q": shrinkage.coverage_q(said.coverage_80, effective, panel),
            "kupiec_p": shrinkage.kupiec_p(said.coverage_80, effective),
            "christoffersen_p": shrinkage.christoffersen_p(
                said.after_hit, said.after_miss, said.misses_after_hit, said.misses_after_miss
            ),
        }
        return pa.table({**columns, **{name: pa.array(values, from_pandas=True) for name, values in shares.items()}})


def _said(targets: Targets, days: Ints, freq: str, models: Sequence[str]) -> Said:
    spans = np.full(len(targets.series), history.span_days(freq))
    overlaps = np.array([LONGEST[name] for name in BUCKETS])[targets.bucket]
    seasonal = np.array([model not in (NAIVE, SEASONAL) for model in models])[targets.model]
    return say(targets, days, spans, overlaps, seasonal)


def _nothing(days: int) -> _Part:
    none = np.empty(0, np.int64)
    empty = np.empty((0, days))
    return Targets(none, none, none, np.zeros(1, np.int64), none, np.empty((0, 9))), Said(*[empty] * len(Said._fields))


def _references(said: Said) -> list[str | None]:
    return [None if np.isnan(seasonal) else SEASONAL if seasonal else NAIVE for seasonal in said.seasonal.tolist()]


def _panels(freq: npt.NDArray[np.object_], model: Ints, bucket: Ints) -> Ints:
    """Return a number for each frequency, model and bucket."""
    of_freq = np.unique(freq.astype(str), return_inverse=True)[1]
    return np.asarray(np.unique((of_freq * 1_024 + model) * len(BUCKETS) + bucket, return_inverse=True)[1])
