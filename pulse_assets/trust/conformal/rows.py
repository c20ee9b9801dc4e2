"""Numbers for the rows that are recalibrated: one for each series, model and horizon, in order of first sight. Pure."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
LARGEST_H = 4_096
MOST_MODELS = 1_024


class Rows:
    """Gives every (series, model, horizon) a number and keeps it.

    Examples
    --------
    >>> rows = Rows()
    >>> table = pa.table({"unique_id": ["a", "b"], "model": ["naive", "naive"], "h": [1, 1]})
    >>> rows.of(table).tolist(), len(rows)
    ([0, 1], 2)
    """

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.models: dict[str, int] = {}
        self.codes: Ints = np.empty(0, np.int64)
        self.places: Ints = np.empty(0, np.int64)

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.codes)

    def of(self, table: pa.Table) -> Ints:
        """Return the numbers of the rows of a table with columns ``unique_id, model, h``, new ones where needed."""
        series, models = _coded(table["unique_id"], self.ids), _coded(table["model"], self.models)
        h = table["h"].to_numpy().astype(np.int64)
        codes = (series * MOST_MODELS + models) * LARGEST_H + h
        new = np.setdiff1d(codes, self.codes)
        if len(new):
            places = np.concatenate((self.places, np.arange(len(self), len(self) + len(new))))
            merged = np.concatenate((self.codes, new))
            order = np.argsort(merged, kind="stable")
            self.codes, self.places = merged[order], places[order]
        return np.asarray(self.places[np.searchsorted(self.codes, codes)])


def _coded(column: pa.ChunkedArray, known: dict[str, int]) -> Ints:
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    numbers = np.array([known.setdefault(text, len(known)) for text in encoded.dictionary.to_pylist()], np.int64)
    return np.asarray(numbers[encoded.indices.to_numpy(zero_copy_only=False)])
