"""Packs silver rows into flat arrays that a kernel can walk, keeping who knew what when. Pure.

Most series only ever grow: what is known at an origin is a prefix of one array. Where a value was revised or came late,
the series is cut into *epochs* between those moments; within an epoch the prefix rule holds again. So every engine
sees plain arrays, and an origin can never see a vintage that came after it.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]

FOREVER = np.iinfo(np.int64).max
STALE_AFTER_DAYS = {"h": 3, "D": 8, "B": 12, "W": 30, "MS": 75, "QS": 200, "YS": 800}
"""Days without a new observation after which a series counts as stale."""
MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True)
class Panel:
    """Series in flat arrays; S segments (epochs) of N observations in all, sorted by ``unique_id``, then epoch.

    Times are microseconds since 1970 (UTC).

    Parameters
    ----------
    ids, kind, freq, calendar
        One entry a segment, shape ``(S,)``.
    values, ds, known
        One entry an observation, shape ``(N,)``; ``ds`` rises strictly within a segment and ``known`` never falls.
    offsets
        Shape ``(S + 1,)``: segment s owns observations ``offsets[s]:offsets[s + 1]``.
    after, until
        Shape ``(S,)``: segment s serves the origins whose end lies in ``(after, until]``.
    """

    ids: Texts
    kind: Texts
    freq: Texts
    calendar: Texts
    values: Floats
    ds: Ints
    known: Ints
    offsets: Ints
    after: Ints
    until: Ints

    def __len__(self) -> int:
        """Return the number of segments."""
        return len(self.ids)

    def select(self, segments: Ints) -> "Panel":
        """Return some of the segments, in the given order."""
        lengths = np.diff(self.offsets)[segments]
        starts = self.offsets[:-1][segments]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        rows = np.repeat(starts, lengths) + within
        return Panel(
            ids=self.ids[segments],
            kind=self.kind[segments],
            freq=self.freq[segments],
            calendar=self.calendar[segments],
            values=self.values[rows],
            ds=self.ds[rows],
            known=self.known[rows],
            offsets=np.concatenate(([0], np.cumsum(lengths))),
            after=self.after[segments],
            until=self.until[segments],
        )

    def known_counts(self, ends: Ints) -> Ints:
        """Return how many observations of each segment were known before each end, shape ``(S, O)``.

        Origins that the segment does not serve get 0.
        """
        from pulse_assets.forecasting.counting import prefix_counts

        return np.asarray(prefix_counts(self.known, self.offsets, self.after, self.until, ends))

    def newest(self, array: Ints, counts: Ints) -> Ints:
        """Return the entry of ``array`` at the newest known observation, shape ``(S, O)``; needs counts >= 1."""
        return np.asarray(array[self.offsets[:-1, None] + np.maximum(counts, 1) - 1])

    def is_fresh(self, counts: Ints, ends: Ints) -> npt.NDArray[np.bool_]:
        """Return whether something became known recently enough for the series' frequency, shape ``(S, O)``."""
        allowed = np.array([STALE_AFTER_DAYS[freq] for freq in self.freq], np.int64) * MICROSECONDS_A_DAY
        age = ends[None, :] - self.newest(self.known, counts)
        return np.asarray((counts > 0) & (age <= allowed[:, None]))


def pack(series: pa.Table, first_end: int, last_end: int) -> Panel:
    """Pack silver rows for origins whose ends lie in ``[first_end, last_end]`` (microseconds).

    Parameters
    ----------
    series
        Columns ``unique_id, ds, y, known_at, kind, freq, calendar``; any order, no nulls. Rows known at or after
        ``last_end`` are ignored.
    """
    from pulse_assets.forecasting.counting import revising_rows

    rows = series.filter(pc.less(series["known_at"].cast(pa.int64()), last_end))
    rows = rows.sort_by([("unique_id", "ascending"), ("known_at", "ascending"), ("ds", "ascending")]).combine_chunks()
    if not len(rows):
        return _empty()
    codes = rows["unique_id"].combine_chunks().dictionary_encode()
    code = codes.indices.to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    bounds = np.append(starts, len(code))
    ds, known = (rows[name].cast(pa.int64()).to_numpy() for name in ("ds", "known_at"))
    y = rows["y"].to_numpy()
    first = pa.array(starts)  # what a series is, is settled by its first row: later ones may not change the past
    traits = [rows[name].take(first).to_numpy() for name in ("kind", "freq", "calendar")]
    revising = revising_rows(ds, bounds)
    pieces = []
    for number, (low, high) in enumerate(pairwise(bounds)):
        part = slice(low, high)
        if revising[part].any():
            epochs = _epochs(ds[part], known[part], y[part], revising[part], first_end)
            pieces += [(number, *epoch) for epoch in epochs]
        else:
            pieces.append((number, ds[part], known[part], y[part], -FOREVER, FOREVER))
    return _assemble(codes.dictionary.to_numpy(zero_copy_only=False), traits, pieces)


def _epochs(
    ds: Ints, known: Ints, y: Floats, revising: npt.NDArray[np.bool_], first_end: int
) -> list[tuple[Ints, Ints, Floats, int, int]]:
    """Cut one series, sorted by knowledge, at its revisions; epochs over before ``first_end`` are left out."""
    cuts = np.unique(known[revising])
    epochs = []
    for after, until in zip([-FOREVER, *cuts], [*cuts, FOREVER], strict=True):
        if until < first_end:
            continue
        seen = known < until
        order = np.lexsort((known[seen], ds[seen]))
        last = np.append(np.diff(ds[seen][order]) != 0, True)
        rows = np.flatnonzero(seen)[order][last]
        epochs.append((ds[rows], np.maximum(known[rows], after), y[rows], int(after), int(until)))
    return epochs


def _assemble(ids: Texts, traits: list[Texts], pieces: list[tuple[int, Ints, Ints, Floats, int, int]]) -> Panel:
    numbers = np.array([piece[0] for piece in pieces])
    ds, known, y = (np.concatenate([piece[place] for piece in pieces]) for place in (1, 2, 3))
    offsets = np.concatenate(([0], np.cumsum([len(piece[1]) for piece in pieces])))
    after, until = (np.array([piece[place] for piece in pieces], np.int64) for place in (4, 5))
    kind, freq, calendar = (trait[numbers] for trait in traits)
    return Panel(ids[numbers], kind, freq, calendar, y, ds, known, offsets, after, until)


def _empty() -> Panel:
    texts, ints = np.array([], object), np.array([], np.int64)
    return Panel(texts, texts, texts, texts, np.array([]), ints, ints, np.array([0]), ints, ints)
