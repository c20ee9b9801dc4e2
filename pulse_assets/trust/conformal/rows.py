"""Numbers for the rows that are recalibrated: one for each series, model and horizon, in order of first sight. Pure."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.trust.conformal.cadence import cadence_of, overlap

Ints = npt.NDArray[np.int64]
WHO = ("unique_id", "model", "h")


class Rows:
    """Gives every (series, model, horizon) a number, keeps it, and knows what its frequency means.

    Parameters
    ----------
    frequencies
        Frequency of every series.

    Attributes
    ----------
    group, overlap, memory, patience
        Of each row: rows of one frequency, model and horizon have one group; the others as in :mod:`.cadence`.

    Examples
    --------
    >>> rows = Rows({"a": "B", "b": "B"})
    >>> rows.of(pa.table({"unique_id": ["a", "b"], "model": ["naive", "naive"], "h": [1, 1]})).tolist()
    [0, 1]
    >>> rows.group.tolist()
    [0, 0]
    """

    def __init__(self, frequencies: Mapping[str, str]) -> None:
        self.frequencies = frequencies
        self.ids: dict[str, int] = {}
        self.models: dict[str, int] = {}
        self.groups: dict[tuple[str, int, int], int] = {}
        self.number: Ints = np.full((0, 0, 0), -1, np.int64)
        self.group, self.overlap, self.memory, self.patience = (np.empty(0, np.int64) for _ in range(4))

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.group)

    def of(self, table: pa.Table) -> Ints:
        """Return the numbers of the rows of a table with columns ``unique_id, model, h``, new ones where needed."""
        model, series = _coded(table["model"], self.models), _coded(table["unique_id"], self.ids)
        h = table["h"].to_numpy().astype(np.int64)
        self._make_room(int(h.max(initial=0)) + 1)
        rows = self.number[model, series, h]
        new = np.flatnonzero(rows < 0)
        if len(new):
            self._add(model[new], series[new], h[new])
            rows = self.number[model, series, h]
        return np.asarray(rows)

    def _make_room(self, horizons: int) -> None:
        need = (len(self.models), len(self.ids), horizons)
        have = self.number.shape
        if any(more > some for more, some in zip(need, have, strict=True)):
            room = tuple(max(some, more + more // 2) for more, some in zip(need, have, strict=True))
            wider = np.full(room, -1, np.int64)
            wider[tuple(slice(some) for some in have)] = self.number
            self.number = wider

    def _add(self, model: Ints, series: Ints, h: Ints) -> None:
        model, series, h = np.unique(np.stack((model, series, h)), axis=1)
        self.number[model, series, h] = len(self) + np.arange(len(h))
        names = list(self.ids)
        freqs = [self.frequencies.get(names[place], "") for place in series.tolist()]
        keys = list(zip(freqs, model.tolist(), h.tolist(), strict=True))
        cadences = [cadence_of(freq) for freq in freqs]
        self.group = _joined(self.group, [self.groups.setdefault(key, len(self.groups)) for key in keys])
        self.overlap = _joined(self.overlap, [overlap(freq, steps) for freq, _, steps in keys])
        self.memory = _joined(self.memory, [cadence.memory for cadence in cadences])
        self.patience = _joined(self.patience, [cadence.patience for cadence in cadences])


def _joined(values: Ints, more: list[int]) -> Ints:
    return np.concatenate((values, np.array(more, np.int64)))


def _coded(column: pa.ChunkedArray, known: dict[str, int]) -> Ints:
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    numbers = np.array([known.setdefault(text, len(known)) for text in encoded.dictionary.to_pylist()], np.int64)
    return np.asarray(numbers[encoded.indices.to_numpy(zero_copy_only=False)])
