"""Which thresholds were issued for which truth to come, for many rows at once. Pure."""

import numpy as np
import numpy.typing as npt

from pulse_assets.numerics.quantiles import LEVELS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MINUTE = 60_000_000
MINUTES_A_DAY = 1_440
PENDING_DAYS = 20
"""What was issued by an origin so old, for an event time so long ago, is forgotten."""


class Issued:
    """Thresholds by row and event time; of several origins that spoke of one truth the newest counts.

    Examples
    --------
    >>> issued = Issued()
    >>> issued.add(np.array([3]), np.array([MINUTE]), np.ones((1, 23)), 0)
    >>> issued.take(np.array([3, 4]), np.array([MINUTE, MINUTE]))[:, 0].tolist()
    [1.0, nan]
    """

    def __init__(self) -> None:
        self.keys: Ints = np.empty(0, np.int64)
        self.values: Floats = np.empty((0, len(LEVELS)))
        self.origins: Ints = np.empty(0, np.int64)

    def add(self, rows: Ints, ds: Ints, thresholds: Floats, origin: int) -> None:
        """Keep the thresholds of an origin, which is newer than all before.

        Parameters
        ----------
        rows
            Shape ``(k,)``, below 2³¹.
        ds
            Event times in microseconds since 1970, shape ``(k,)``, each pair of row and event time once.
        thresholds
            Shape ``(k, 23)``.
        origin
            Days since 1970.
        """
        keys = np.concatenate((_keys(rows, ds), self.keys))
        self.keys, first = np.unique(keys, return_index=True)
        self.values = np.concatenate((thresholds, self.values))[first]
        self.origins = np.concatenate((np.full(len(rows), origin), self.origins))[first]

    def take(self, rows: Ints, ds: Ints) -> Floats:
        """Return and forget the thresholds issued for truths that have come; NaN where none were, shape ``(k, 23)``."""
        found = np.full((len(rows), len(LEVELS)), np.nan)
        if not len(self.keys):
            return found
        keys = _keys(rows, ds)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        hit = self.keys[place] == keys
        found[hit] = self.values[place[hit]]
        left = np.ones(len(self.keys), bool)
        left[place[hit]] = False
        self._keep(left)
        return found

    def forget(self, day: int) -> None:
        """Forget what an origin twenty days before a day issued for event times as long ago: they will not come."""
        oldest = day - PENDING_DAYS
        self._keep((self.origins >= oldest) | ((self.keys & 0xFFFFFFFF) >= oldest * MINUTES_A_DAY))

    def _keep(self, left: npt.NDArray[np.bool_]) -> None:
        self.keys, self.values, self.origins = self.keys[left], self.values[left], self.origins[left]


def _keys(rows: Ints, ds: Ints) -> Ints:
    return (rows << 32) | np.maximum(ds // MINUTE, 0)
