"""Says on each day how likely each model is to beat naive on each series. The border of :mod:`.belief`."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.forecasting.engine import MODELS
from pulse_assets.trust.belief import history
from pulse_assets.trust.belief.probability import UNFITTED, ProbabilityMap
from pulse_assets.trust.belief.rows import Panel, rows_of
from pulse_assets.trust.belief.targets import NAIVE, READ, SEASONAL, Targets, joined, parts_of_cell, targets_of
from pulse_assets.trust.belief.windows import Reach, Said, say
from pulse_assets.trust.buckets import BUCKETS, LONGEST
from pulse_assets.trust.tables import CALIBRATED_SCORES, TRUST
from pulse_assets.trust.traits import REMEMBERED, frequencies
from pulse_resources.lake import Snapshot
from pulse_resources.lake.partitions import between, blocks_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ROWS_A_READ = 500_000
"""Scores that are held at once, about."""
SCORES_A_DAY = 15
"""Scores of a series on one day, about: three models, five horizons."""
CELL_DAYS = 1_000_000
"""Cells times days whose results are held at once, about."""
SERIES_A_PIECE = 1_000
"""Series whose targets are put in order at once."""
DAYS_A_LOOK = 12
"""Days of own earlier rows that are held whole."""


def trust_days(snapshot: Snapshot, blocks: list[list[date]], models: Sequence[str] = MODELS) -> Iterator[pa.Table]:
    """Yield the rows of ``gold/trust`` of each day, ascending.

    Parameters
    ----------
    snapshot
        Where scores of recalibrated forecasts and the asset's own earlier rows are read.
    blocks
        Days, ascending.
    models
        Names, ``naive`` among them.
    """
    first, last = blocks[0][0], blocks[-1][-1]
    snapshot.pin(CALIBRATED_SCORES, TRUST)
    freqs = frequencies(snapshot, first, last)
    looked_at = set(history.probes(first, last))
    rows = _earlier(snapshot, first, sorted(looked_at))
    month, mapped = date.min, UNFITTED
    size = max(CELL_DAYS // (max(len(freqs), 1) * len(models) * len(BUCKETS)), 1)
    for days in (some for block in blocks for some in blocks_of(block, size)):
        panel = _panel(snapshot, days, freqs, sorted(models))
        for place, day in enumerate(days):
            if day.replace(day=1) != month:
                month = day.replace(day=1)
                rows = {made: held for made, held in rows.items() if made >= history.probes(month, month)[0]}
                mapped = history.map_for(day, rows)
            made = _mapped(rows_of(panel, place, day), mapped, snapshot)
            if day in looked_at:
                rows[day] = history.thinned(made)
            if len(made):
                yield made


def _mapped(rows: pa.Table, mapped: ProbabilityMap, snapshot: Snapshot) -> pa.Table:
    trust = mapped(rows["p_raw"].to_numpy())
    version = snapshot.versions.get(CALIBRATED_SCORES.name, -1)
    columns = {
        "trust": pa.array(trust, pa.float64(), from_pandas=True),
        "calibrated_on": pa.array(np.full(len(rows), mapped.outcomes)),
        "scores_version": pa.array(np.full(len(rows), version)),
    }
    for name, values in columns.items():
        rows = rows.append_column(name, values)
    return TRUST.cast(rows)


def _earlier(snapshot: Snapshot, first: date, looked_at: list[date]) -> dict[date, pa.Table]:
    """Return own rows of the days before the range that are looked at."""
    rows: dict[date, pa.Table] = {}
    for days in blocks_of([day for day in looked_at if day < first], DAYS_A_LOOK):
        span = between(days[0], days[-1])
        inside = pc.field("as_of").isin(pa.array(days, pa.date32()))
        held = snapshot.read(TRUST, columns=["as_of", *history.REMEMBERED], where=span & inside)
        for day in pc.unique(held["as_of"]).to_pylist():
            rows[day] = history.thinned(held.filter(pc.equal(held["as_of"], pa.scalar(day))))
    return rows


def _panel(snapshot: Snapshot, days: list[date], freqs: dict[str, str], models: list[str]) -> Panel:
    """Return what the scores say, cell by cell and day by day."""
    ids = sorted(freqs)
    by_span: dict[int, list[str]] = {}
    for name in ids:
        by_span.setdefault(history.span_days(freqs[name]), []).append(name)
    found = [
        (cells, said)
        for span, some in sorted(by_span.items())
        for cells, said in _pieces(_targets(snapshot, days, span, some, ids, models), days, span, ids, freqs, models)
    ]
    cells = np.concatenate([np.empty(0, np.int64), *(cells for cells, _ in found)])
    none = Said(*[np.empty((0, len(days)))] * len(Said._fields))
    said = Said(*(np.concatenate(column) for column in zip(none, *(said for _, said in found), strict=True)))
    series, model, bucket = parts_of_cell(cells, len(models))
    return Panel(np.array(ids, object), np.array(models, object), _freqs(ids, freqs), series, model, bucket, said)


def _freqs(ids: list[str], freqs: dict[str, str]) -> npt.NDArray[np.object_]:
    return np.array([freqs[name] for name in ids], object)


def _targets(
    snapshot: Snapshot, days: list[date], span: int, some: list[str], ids: list[str], models: list[str]
) -> list[Targets]:
    """Return the targets of some series within their span, in parts whose days follow one another."""
    since = days[0] - timedelta(days=span)
    count = (days[-1] - since).days
    step = max(ROWS_A_READ // (len(some) * SCORES_A_DAY), 1)
    ours = pc.scalar(True) if len(some) == len(ids) else pc.field("unique_id").isin(pa.array(some, pa.string()))
    parts = []
    for low in range(0, count, step):
        begins, ends = since + timedelta(days=low), since + timedelta(days=min(low + step, count))
        inside = (pc.field("as_of") > pa.scalar(begins)) & (pc.field("as_of") <= pa.scalar(ends))
        parts.append(targets_of(snapshot.read(CALIBRATED_SCORES, columns=list(READ), where=inside & ours), ids, models))
        pa.default_memory_pool().release_unused()  # else it keeps 100 MiB more (5,000 series, November 2026)
    return parts


def _pieces(
    parts: list[Targets], days: list[date], span: int, ids: list[str], freqs: dict[str, str], models: list[str]
) -> Iterator[tuple[Ints, Said]]:
    cells_a_series = len(models) * len(BUCKETS)
    named = _freqs(ids, freqs)
    for low in range(0, len(ids), SERIES_A_PIECE):
        targets = joined(parts, low * cells_a_series, (low + SERIES_A_PIECE) * cells_a_series)
        cells, begins = np.unique(targets.cell, return_index=True)
        series, model, bucket = parts_of_cell(cells, len(models))
        reach = Reach(
            days=np.array(days, "datetime64[D]").astype(np.int64),
            span=span,
            silence=REMEMBERED.days,
            since=_since(days, named[series], bucket),
            overlap=np.array([LONGEST[name] for name in BUCKETS])[bucket],
            may_be_seasonal=~np.isin(np.array(models, object)[model].astype(str), (NAIVE, SEASONAL)),
        )
        yield cells, say(targets, np.append(begins, len(targets.cell)), reach)


def _since(days: list[date], freqs: npt.NDArray[np.object_], buckets: Ints) -> Ints:
    """Return the day after which truths are recent, by cell and day: so long before that 30 truths have come since."""
    steps = {(freq, bucket): history.ahead(freq, BUCKETS[bucket]) for freq in set(freqs) for bucket in range(4)}
    back = np.array([steps[pair] for pair in zip(freqs, buckets.tolist(), strict=True)], np.int64)
    unlike, place = np.unique(back, return_inverse=True)
    now = np.array(days, "datetime64[D]")[None, :]
    return np.asarray(np.busday_offset(now, -unlike[:, None], roll="backward").astype(np.int64)[place])
